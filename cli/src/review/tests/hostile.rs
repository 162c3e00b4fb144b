//! Text from others cannot move the cursor, change colours or reverse the direction of reading.

use proptest::prelude::*;

use super::Desk;
use crate::review::plain::Dialogue;
use crate::review::samples::{Sample, person};
use crate::review::update::Event;
use crate::text;

/// What a terminal would obey, or an eye be deceived by, between ordinary letters.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<char>().prop_map(String::from),
        "[ -~]{0,12}",
        Just("\u{1b}[31m".to_owned()),
        Just("\u{1b}[2J\u{1b}[H".to_owned()),
        Just("\u{1b}]0;title\u{7}".to_owned()),
        Just("\u{1b}]8;;http://evil\u{1b}\\".to_owned()),
        Just("\u{9b}2J".to_owned()),
        Just("\r\n\t\u{8}".to_owned()),
        Just("\u{202e}\u{2066}\u{200f}\u{200b}".to_owned()),
        Just("日本語👍🏽é\u{301}\u{301}".to_owned()),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_unsafe_character_reaches_a_cell(
        name in hostile(), sql in hostile(), reason in hostile(), host in hostile(), group in hostile(), typed in hostile(),
    ) {
        let mut requester = person("eve", &name);
        requester.groups = vec![group.clone()];
        requester.email = Some(host.clone());
        requester.subject = format!("eve{group}");
        let view = Sample::new(1).by(&requester).sql(&sql).because(&reason).on_host(&host).view();
        for (columns, rows) in [(120, 40), (80, 24), (60, 20)] {
            let mut desk = Desk::with(columns, rows, vec![Sample::new(2).view(), view.clone()]);
            for keys in ["Down", "Enter", "PgDn", "End", "a"] {
                desk.press(keys);
                desk.happens(Event::Paste(typed.clone()));
                for cell in desk.draw().content() {
                    prop_assert!(!cell.symbol().chars().any(text::is_unsafe), "{:?} at {keys}", cell.symbol());
                }
            }
            desk.press("Enter");
            desk.draw();
            for scheduled in &desk.model.scheduled {
                prop_assert!(!scheduled.reason.chars().any(text::is_unsafe), "{:?}", scheduled.reason);
            }
        }
    }

    #[test]
    fn no_line_of_the_dialogue_is_forged(name in hostile(), sql in hostile(), reason in hostile(), typed in hostile()) {
        let mut desk = Desk::new(80, 24);
        let mut dialogue = Dialogue::default();
        let view = Sample::new(1).by(&person("eve", &name)).sql(&sql).because(&reason).view();
        for event in [Event::List, Event::Request(Box::new(view)), Event::Listed(0)] {
            dialogue.hear(&mut desk.model, event);
        }
        // The greeting is a count, one line for the one request, and how to go on.
        let greeting = dialogue.take_words();
        prop_assert_eq!(greeting.lines().count(), 3, "{:?}", greeting);
        dialogue.hear(&mut desk.model, Event::Line("approve 1".into()));
        dialogue.hear(&mut desk.model, Event::Line(typed));
        dialogue.hear(&mut desk.model, Event::Line("show 1".into()));
        let words = dialogue.take_words();
        prop_assert!(!words.chars().any(|c| !"\n\t".contains(c) && text::is_unsafe(c)), "{:?}", words);
    }
}
