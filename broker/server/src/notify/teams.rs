//! Microsoft Teams: an Adaptive Card for a workflow that posts what it is sent.
//!
//! In a `TextBlock` and in a `FactSet` text is Markdown. Everything that may be somebody else's stands in a `TextRun`, which is not;
//! and nothing calls people, since that needs entities of the message beside its text.

use serde_json::{Value, json};

use super::words::{DECIDES_NOTHING, LINK, Words};

/// The message.
pub(super) fn body(broker: &str, words: &Words) -> Value {
    let mut card = vec![json!({ "type": "TextBlock", "text": words.title, "size": "Medium", "weight": "Bolder", "wrap": true })];
    for (name, value) in &words.facts {
        card.push(line(&[(&format!("{name}: "), true), (value, false)]));
    }
    card.push(line(&[("To look at it: ", true), (&words.command, false)]));
    card.push(line(&[(&format!("{broker} · {DECIDES_NOTHING}"), false)]));
    let mut content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": card,
    });
    if let (Some(link), Some(content)) = (&words.link, content.as_object_mut()) {
        let open = json!({ "type": "Action.OpenUrl", "title": LINK, "url": link });
        content.insert("actions".to_owned(), json!([open]));
    }
    json!({
        "type": "message",
        "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": content }],
    })
}

/// A line of pieces, bold or not, that are shown as they are.
fn line(pieces: &[(&str, bool)]) -> Value {
    let runs: Vec<Value> = pieces
        .iter()
        .map(|(text, bold)| {
            let weight = if *bold { "Bolder" } else { "Default" };
            json!({ "type": "TextRun", "text": inert(text), "weight": weight })
        })
        .collect();
    json!({ "type": "RichTextBlock", "inlines": runs })
}

/// Text in which `{{DATE(…)}}` and `<at>` are not words of the card's.
fn inert(text: &str) -> String {
    text.replace("{{", "{ {").replace("}}", "} }").replace('<', "‹").replace('>', "›")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::words::tests::{hostile, minimal, speaker};
    use super::*;

    #[test]
    fn a_card_says_what_happened_and_where_to_go() {
        let card = body("Acme", &speaker().words(&minimal()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&card).unwrap());
    }

    #[test]
    fn nothing_that_others_wrote_is_markdown_or_calls_people() {
        let card = body("Acme", &speaker().words(&hostile()));
        let content = &card["attachments"][0]["content"];
        let blocks = content["body"].as_array().unwrap();
        let markdown: Vec<&str> = blocks
            .iter()
            .filter(|block| block["type"] == "TextBlock")
            .map(|block| block["text"].as_str().unwrap())
            .collect();
        assert_eq!(markdown, ["A request waits for approval"]);
        let runs = blocks.iter().filter_map(|block| block["inlines"].as_array()).flatten();
        for run in runs {
            let text = run["text"].as_str().unwrap();
            assert!(!text.contains("{{") && !text.contains('<'), "{text}");
        }
        insta::assert_snapshot!(serde_json::to_string_pretty(&card).unwrap());
    }
}
