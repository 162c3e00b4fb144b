//! Texts that other people wrote, made harmless for where they go.
//!
//! Reasons, names, SQL and host names are whatever somebody typed. In HTML they are escaped; everywhere, characters that a reader
//! cannot see, or that turn a line around, are replaced by a mark (documents) or written as an escape (JSON), so that they show.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The mark left where something unsafe stood.
const MARK: char = '\u{fffd}';

/// Whether a character may not be trusted to look like what it is.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text as one line in which everything can be seen. Line breaks and tabs are spaces.
pub(super) fn plain(text: &str) -> String {
    let seen = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_unsafe(c) => MARK,
        c => c,
    };
    text.chars().map(seen).collect()
}

/// A text of at most so many characters, as one line in which everything can be seen.
#[must_use]
pub fn short(text: &str, characters_max: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text,
    }
}

/// A text as HTML text or as the value of a quoted attribute.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// JSON whose strings keep their values: unsafe characters, which can only stand inside strings, are written as `\u` escapes.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string does not fail.
                write!(out, "\\u{unit:04x}").ok();
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A text as a CSV cell that no spreadsheet takes for a formula: the rule of `docs/evidence.md` §9.
pub(super) fn cell(text: &str) -> String {
    let starts_formula = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut clean: String = text.chars().map(|c| if hides(c) { ' ' } else { c }).collect();
    if clean.trim_start().starts_with(starts_formula) {
        clean.insert(0, '\'');
    }
    if clean.contains([',', '"', ';', ' ', '\'']) {
        format!("\"{}\"", clean.replace('"', "\"\""))
    } else {
        clean
    }
}

/// An object of those members that are there.
pub(super) fn object<'n>(members: impl IntoIterator<Item = (&'n str, Option<Value>)>) -> Map<String, Value> {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    there.collect()
}

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 entry`, `1,234 entries`.
pub(super) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Ascending indices as ranges: `#3, #7–#9`.
pub(super) fn indices(indices: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for index in indices {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    let words = runs.iter().map(|(first, last)| match last - first {
        0 => format!("#{first}"),
        1 => format!("#{first}, #{last}"),
        _ => format!("#{first}–#{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A word as a shell takes it.
pub(super) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_hides_anything() {
        assert_eq!(
            html("<script>alert('x')</script> & \"y\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"
        );
        assert_eq!(
            html("a\u{202e}b\u{0}c\u{1b}[2J\u{200b}\nd"),
            "a\u{fffd}b\u{fffd}c\u{fffd}[2J\u{fffd} d"
        );
        assert_eq!(short("abcdef", 3), "abc…");
        assert_eq!(short("äöü", 3), "äöü");
    }

    #[test]
    fn json_keeps_its_values_and_shows_what_would_hide() {
        let value = serde_json::json!({"a": "x\u{202e}\u{9b}\u{7f}\u{e0041}y"});
        let safe = json(&value.to_string());
        assert!(!safe.chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }

    #[test]
    fn no_cell_starts_a_formula_or_carries_controls() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for text in ["+1", "-1", "@a", "\t=1", " =1", "\r\n=1", "\u{ff1d}1"] {
            assert!(cell(text).trim_start_matches('"').starts_with('\''), "{text:?}");
        }
        assert_eq!(cell("a\u{1b}[2Jb\u{202e}c\r\nd"), "\"a [2Jb c  d\"");
    }

    #[test]
    fn indices_read_as_ranges() {
        assert_eq!(indices(&[]), "");
        assert_eq!(indices(&[3, 7, 8, 9, 11, 12]), "#3, #7–#9, #11, #12");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn a_file_name_cannot_become_a_command() {
        assert_eq!(shell("a.bundle"), "a.bundle");
        assert_eq!(shell("a; rm -rf ~"), "'a; rm -rf ~'");
        assert_eq!(shell("it's"), r"'it'\''s'");
    }
}
