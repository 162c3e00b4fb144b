//! Slack: an incoming webhook's message in Block Kit.
//!
//! In Slack's markup `<…>` is a link or calls people (`<!everyone>`, `<@U…>`), so `&`, `<` and `>` are escaped, as Slack's documentation
//! says. Values stand between backticks, where nothing else is markup, and `verbatim` keeps names of channels and addresses
//! from becoming links.

use serde_json::{Value, json};

use super::words::{DECIDES_NOTHING, LINK, Words};

/// Characters of a field, of which Slack takes 2000.
const FIELD_MAX: usize = 1900;
/// Facts in one section, of which Slack takes 10.
const FIELDS_MAX: usize = 10;

/// The message.
pub(super) fn body(broker: &str, words: &Words) -> Value {
    let mut blocks = vec![json!({ "type": "header", "text": { "type": "plain_text", "text": words.title, "emoji": false } })];
    for facts in words.facts.chunks(FIELDS_MAX) {
        let fields: Vec<Value> = facts
            .iter()
            .map(|(name, value)| markup(&format!("*{name}*\n{}", code(value))))
            .collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let mut next = format!("To look at it: {}", code(&words.command));
    if let Some(link) = &words.link {
        // Not a button: one is answered to whoever serves the app, and here nobody does.
        next.push_str(&format!(" · <{}|{LINK}>", escaped(link)));
    }
    blocks.push(json!({ "type": "section", "text": markup(&next) }));
    blocks.push(json!({ "type": "context", "elements": [markup(&format!("{} · {DECIDES_NOTHING}", code(broker)))] }));
    // What a notification on a phone shows; nothing of others' stands in it.
    json!({ "text": words.title, "blocks": blocks })
}

fn markup(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// Text as it is, between backticks; what is too long is cut.
fn code(text: &str) -> String {
    let mut out = String::from("`");
    for c in text.chars() {
        if out.len() > FIELD_MAX {
            out.push('…');
            break;
        }
        match c {
            '`' => out.push('\''),
            c => out.push_str(&escaped(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push('`');
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::super::words::tests::{HOSTILE, hostile, minimal, speaker};
    use super::*;

    #[test]
    fn a_message_says_what_happened_and_where_to_go() {
        let message = body("Acme", &speaker().words(&minimal()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap());
    }

    #[test]
    fn nothing_that_others_wrote_calls_people_or_becomes_a_link() {
        let message = body("Acme", &speaker().words(&hostile()));
        let text = message.to_string();
        assert!(text.contains("&lt;!everyone&gt;") && !text.contains("<!") && !text.contains("<@"));
        // The one link is ours.
        assert_eq!(
            (
                text.matches('<').count(),
                text.matches("<https://broker.example:8443/requests/req_").count()
            ),
            (1, 1)
        );
        for block in message["blocks"].as_array().unwrap() {
            for field in block["fields"].as_array().into_iter().flatten() {
                let field = field["text"].as_str().unwrap();
                let (name, value) = field.split_once('\n').unwrap();
                assert!(name.starts_with('*') && name.ends_with('*'));
                assert!(
                    value.starts_with('`') && value.ends_with('`') && value.matches('`').count() == 2,
                    "{value}"
                );
                assert!(field.len() <= 2000, "{}", field.len());
            }
        }
        insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap());
        assert!(HOSTILE.contains("<!everyone>"));
    }

    #[test]
    fn a_value_of_any_length_fits() {
        for text in ["&".repeat(5000), "ö".repeat(5000), "x".repeat(5000), String::new()] {
            let code = code(&text);
            assert!(code.chars().count() <= 1990 && code.ends_with('`'), "{}", code.len());
        }
    }
}
