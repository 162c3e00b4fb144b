//! Which key does what? One table, from which keys are looked up, the help bar is drawn and the guide is written.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the list of requests.
    List,
    /// In one request.
    Detail,
    /// While a filter is typed.
    Filter,
    /// While a reason is typed.
    Reason,
    /// Over the list of keys.
    Help,
}

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Approve,
    Reject,
    RejectMarked,
    Mark,
    MarkAll,
    Undo,
    Filter,
    OtherTab,
    Help,
    Redraw,
    Suspend,
    Quit,
    Submit,
    Cancel,
}

/// A line of the table.
struct Binding {
    places: &'static [Place],
    keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys as they are shown.
    shown: &'static str,
    action: Action,
    /// For the help bar; those without a word stand only in the list of keys.
    word: Option<&'static str>,
    /// For the list of keys and the guide.
    about: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
const BROWSE: &[Place] = &[Place::List, Place::Detail];
const LIST: &[Place] = &[Place::List];
const DETAIL: &[Place] = &[Place::Detail];
const TYPING: &[Place] = &[Place::Filter, Place::Reason];
const EVERYWHERE: &[Place] = &[Place::List, Place::Detail, Place::Filter, Place::Reason, Place::Help];

static TABLE: &[Binding] = &[
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Char('a'), NONE)],
        shown: "a",
        action: Action::Approve,
        word: Some("approve"),
        about: "approve the request that is shown; asks why",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Char('r'), NONE)],
        shown: "r",
        action: Action::Reject,
        word: Some("reject"),
        about: "reject the request that is shown; asks why",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Char('u'), NONE)],
        shown: "u",
        action: Action::Undo,
        word: Some("undo"),
        about: "take back the newest verdict while it counts down; nothing of it was signed",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Enter, NONE), (KeyCode::Right, NONE), (KeyCode::Char('l'), NONE)],
        shown: "Enter",
        action: Action::Open,
        word: Some("read"),
        about: "read the request whole",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Char('/'), NONE)],
        shown: "/",
        action: Action::Filter,
        word: Some("filter"),
        about: "filter: words, `dataset:NAME`, `by:PERSON`",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Char(' '), NONE)],
        shown: "Space",
        action: Action::Mark,
        word: Some("mark"),
        about: "mark or unmark, for rejecting several at once",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Char('*'), NONE)],
        shown: "*",
        action: Action::MarkAll,
        word: None,
        about: "mark all that the filter shows, or unmark them",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Char('R'), NONE)],
        shown: "R",
        action: Action::RejectMarked,
        word: None,
        about: "reject all that are marked, for one reason",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Tab, NONE), (KeyCode::BackTab, NONE), (KeyCode::Char('h'), NONE)],
        shown: "Tab",
        action: Action::OtherTab,
        word: Some("history"),
        about: "change between what waits and what was decided",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Up, NONE), (KeyCode::Char('k'), NONE)],
        shown: "↑ k",
        action: Action::Up,
        word: None,
        about: "up",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Down, NONE), (KeyCode::Char('j'), NONE)],
        shown: "↓ j",
        action: Action::Down,
        word: None,
        about: "down",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::PageUp, NONE), (KeyCode::Char('b'), CONTROL)],
        shown: "PgUp",
        action: Action::PageUp,
        word: None,
        about: "a page up",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::PageDown, NONE), (KeyCode::Char('f'), CONTROL)],
        shown: "PgDn",
        action: Action::PageDown,
        word: None,
        about: "a page down",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Home, NONE), (KeyCode::Char('g'), NONE)],
        shown: "Home g",
        action: Action::First,
        word: None,
        about: "to the beginning",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::End, NONE), (KeyCode::Char('G'), NONE)],
        shown: "End G",
        action: Action::Last,
        word: None,
        about: "to the end",
    },
    Binding {
        places: DETAIL,
        keys: &[(KeyCode::Esc, NONE), (KeyCode::Left, NONE), (KeyCode::Enter, NONE)],
        shown: "Esc",
        action: Action::Back,
        word: Some("back"),
        about: "back to the list",
    },
    Binding {
        places: LIST,
        keys: &[(KeyCode::Esc, NONE)],
        shown: "Esc",
        action: Action::Back,
        word: None,
        about: "drop the filter, then the marks",
    },
    Binding {
        places: &[Place::Help],
        keys: &[
            (KeyCode::Esc, NONE),
            (KeyCode::Enter, NONE),
            (KeyCode::Char('?'), NONE),
            (KeyCode::Char('q'), NONE),
        ],
        shown: "Esc",
        action: Action::Back,
        word: Some("back"),
        about: "back",
    },
    Binding {
        places: &[Place::Help],
        keys: &[(KeyCode::Up, NONE), (KeyCode::Char('k'), NONE), (KeyCode::PageUp, NONE)],
        shown: "↑",
        action: Action::Up,
        word: None,
        about: "up",
    },
    Binding {
        places: &[Place::Help],
        keys: &[(KeyCode::Down, NONE), (KeyCode::Char('j'), NONE), (KeyCode::PageDown, NONE)],
        shown: "↓",
        action: Action::Down,
        word: Some("more"),
        about: "down",
    },
    Binding {
        places: TYPING,
        keys: &[(KeyCode::Enter, NONE)],
        shown: "Enter",
        action: Action::Submit,
        word: Some("done"),
        about: "take what was typed; a verdict begins to count down",
    },
    Binding {
        places: TYPING,
        keys: &[(KeyCode::Esc, NONE)],
        shown: "Esc",
        action: Action::Cancel,
        word: Some("cancel"),
        about: "forget what was typed",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Char('?'), NONE), (KeyCode::F(1), NONE)],
        shown: "?",
        action: Action::Help,
        word: Some("keys"),
        about: "all keys",
    },
    Binding {
        places: EVERYWHERE,
        keys: &[(KeyCode::Char('l'), CONTROL)],
        shown: "Ctrl-L",
        action: Action::Redraw,
        word: None,
        about: "draw the screen anew",
    },
    Binding {
        places: EVERYWHERE,
        keys: &[(KeyCode::Char('z'), CONTROL)],
        shown: "Ctrl-Z",
        action: Action::Suspend,
        word: None,
        about: "stop for a while; `fg` goes on",
    },
    Binding {
        places: BROWSE,
        keys: &[(KeyCode::Char('q'), NONE)],
        shown: "q",
        action: Action::Quit,
        word: Some("quit"),
        about: "quit; a verdict that still counts down is not sent",
    },
    Binding {
        places: EVERYWHERE,
        keys: &[(KeyCode::Char('c'), CONTROL)],
        shown: "Ctrl-C",
        action: Action::Quit,
        word: None,
        about: "quit from anywhere",
    },
];

/// What a key means at a place.
pub(crate) fn action(place: Place, key: &KeyEvent) -> Option<Action> {
    // A capital letter says so itself; whether a terminal reports the shift key beside it differs.
    let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
    let means = |binding: &&Binding| binding.places.contains(&place) && binding.keys.contains(&(key.code, modifiers));
    TABLE.iter().find(means).map(|binding| binding.action)
}

/// Keys and words for the help bar of a place.
pub(crate) fn bar(place: Place) -> impl Iterator<Item = (&'static str, Action, &'static str)> {
    TABLE
        .iter()
        .filter(move |binding| binding.places.contains(&place))
        .filter_map(|binding| Some((binding.shown, binding.action, binding.word?)))
}

/// Keys, where they hold, and what they do.
pub(crate) fn list() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.iter().filter(|binding| binding.places != [Place::Help]).map(|binding| {
        let place = match binding.places {
            LIST => "list",
            DETAIL => "request",
            TYPING => "typing",
            BROWSE => "list, request",
            _ => "everywhere",
        };
        (binding.shown, place, binding.about)
    })
}

/// The table of the guide.
#[cfg(test)]
fn markdown() -> String {
    let mut out = String::from("| key | in | what it does |\n|---|---|---|\n");
    for (shown, place, about) in list() {
        let keys: Vec<String> = shown.split(' ').map(|key| format!("`{key}`")).collect();
        out.push_str(&format!("| {} | {place} | {about} |\n", keys.join(" ")));
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for place in EVERYWHERE {
            let mut keys: Vec<String> = TABLE
                .iter()
                .filter(|binding| binding.places.contains(place))
                .flat_map(|binding| binding.keys)
                .map(|key| format!("{key:?}"))
                .collect();
            let all = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), all, "{place:?}");
        }
    }

    #[test]
    fn a_capital_letter_is_one_with_and_without_the_shift_key() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            let key = KeyEvent::new(KeyCode::Char('R'), modifiers);
            assert_eq!(action(Place::List, &key), Some(Action::RejectMarked));
        }
    }

    #[test]
    fn the_guide_shows_this_table() {
        let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/reviewing.md")).unwrap();
        assert!(
            guide.contains(&markdown()),
            "docs/guides/reviewing.md does not hold this table:\n\n{}",
            markdown()
        );
    }
}
