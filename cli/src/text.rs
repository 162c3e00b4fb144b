//! What may be shown on a terminal?
//!
//! Names, reasons, SQL and error details come from other people and other machines. A terminal obeys escape sequences, and
//! bidirectional or invisible characters make a text read differently from what it is, which matters most where a reviewer
//! reads what is signed. Such characters are replaced by a visible mark instead of dropped, so that tampering shows.

use std::borrow::Cow;

/// The mark left where something unsafe stood.
const MARK: char = '\u{fffd}';

/// Whether a character may not reach a terminal, or may not be trusted to look like what it is.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text of several lines without anything unsafe; line feeds and tabs stay.
pub(crate) fn block(text: &str) -> Cow<'_, str> {
    clean(text, |c| c == '\n' || c == '\t')
}

/// A text for one line: line feeds and tabs become spaces, so that no name can forge a line of ours.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    match block(text) {
        Cow::Borrowed(text) if !text.contains(['\n', '\t']) => Cow::Borrowed(text),
        text => Cow::Owned(text.replace(['\n', '\t'], " ")),
    }
}

/// A word as a shell takes it, for commands that are shown to be typed.
pub(crate) fn shell(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    let double_quotes_do = word.contains('\'') && !word.contains(['"', '$', '`', '\\', '!']);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else if double_quotes_do {
        Cow::Owned(format!("\"{word}\""))
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// A command line of this program, as a person would type it.
pub(crate) fn command<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> String {
    let mut line = "chunkctl".to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(&shell(argument.as_ref()));
    }
    line
}

fn clean(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.chars().all(|c| keep(c) || !is_unsafe(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if keep(c) || !is_unsafe(c) {
            out.push(c);
            continue;
        }
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            _ => {}
        }
        if !out.ends_with(MARK) {
            out.push(MARK);
        }
    }
    Cow::Owned(out)
}

/// Skips what follows an escape character, so that its parameters do not litter the line.
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        // Operating system commands and their kin run to BEL or ST. A missing end swallows no more than this line.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(&c) = rest.peek() {
                if c == '\n' {
                    break;
                }
                rest.next();
                match c {
                    '\u{7}' | '\u{9c}' => break,
                    '\u{1b}' if rest.peek() == Some(&'\\') => {
                        rest.next();
                        break;
                    }
                    _ => {}
                }
            }
        }
        Some(c) if !c.is_control() => {
            rest.next();
        }
        _ => {}
    }
}

fn skip_control_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&c) = rest.peek() {
        match c {
            '\u{20}'..='\u{3f}' => {
                rest.next();
            }
            '\u{40}'..='\u{7e}' => {
                rest.next();
                return;
            }
            _ => return,
        }
    }
}

/// JSON whose strings keep their values but carry nothing a terminal would obey: unsafe characters, which can only stand
/// inside strings, are written as `\u` escapes.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn plain_text_passes_unchanged_and_uncopied() {
        for text in ["orders", "Zoë Müller", "日本語", "select * from a where b = 'ü'", "👍"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn escape_sequences_leave_only_a_mark() {
        assert_eq!(line("a\u{1b}[31mred\u{1b}[0m"), "a\u{fffd}red\u{fffd}");
        assert_eq!(line("\u{1b}]0;title\u{7}x"), "\u{fffd}x");
        assert_eq!(line("\u{1b}]8;;http://evil\u{1b}\\link"), "\u{fffd}link");
        assert_eq!(line("\u{9b}2Jx"), "\u{fffd}x");
        assert_eq!(line("\u{1b}Pq#0\u{9c}y"), "\u{fffd}y");
        assert_eq!(line("\u{1b}"), "\u{fffd}");
    }

    #[test]
    fn an_unfinished_sequence_does_not_hide_the_next_line() {
        assert_eq!(block("\u{1b}]0;never ends\nDENIED"), "\u{fffd}\nDENIED");
    }

    #[test]
    fn bidirectional_and_invisible_characters_show() {
        assert_eq!(line("abc\u{202e}fed"), "abc\u{fffd}fed");
        assert_eq!(line("ad\u{200b}min"), "ad\u{fffd}min");
        assert_eq!(line("x\u{e0041}"), "x\u{fffd}");
    }

    #[test]
    fn no_name_can_forge_a_line() {
        assert_eq!(line("orders\nhint: run `rm`\r\tx"), "orders hint: run `rm`\u{fffd} x");
    }

    #[test]
    fn a_shown_command_can_be_typed() {
        assert_eq!(shell("a/b-c.csv"), "a/b-c.csv");
        assert_eq!(shell("my file"), "'my file'");
        assert_eq!(shell("my file's"), r#""my file's""#);
        assert_eq!(shell("it's $5"), r"'it'\''s $5'");
        assert_eq!(shell(""), "''");
        assert_eq!(
            command(["fetch", "--where", "a = 'b'", ""]),
            r#"chunkctl fetch --where "a = 'b'" ''"#
        );
        assert_eq!(command(["--where", "a = '$b'"]), r"chunkctl --where 'a = '\''$b'\'''");
        assert_eq!(command(["plan", "orders"]), "chunkctl plan orders");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a": "x\u{202e}\u{9b}\u{7f}\u{e0041}y" });
        let text = value.to_string();
        let safe = json(&text);
        assert!(!safe.chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
