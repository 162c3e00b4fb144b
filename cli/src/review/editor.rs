//! A line that is being typed.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::text;

/// A text with a cursor. Nothing that a terminal would obey, and nothing invisible, can be put into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Editor {
    text: String,
    /// In bytes, between two characters.
    cursor: usize,
    bytes_max: usize,
}

impl Editor {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            ..Self::default()
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub(crate) fn before(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
    }

    /// Takes a key; whether it meant anything here.
    pub(crate) fn key(&mut self, key: &KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('u') if control => self.remove_to(0),
            KeyCode::Char('w') if control => self.remove_to(self.word_start()),
            KeyCode::Char(c) if !control && !key.modifiers.contains(KeyModifiers::ALT) => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.remove_to(self.previous()),
            KeyCode::Delete => {
                let end = self.next();
                let start = std::mem::replace(&mut self.cursor, end);
                self.remove_to(start);
            }
            KeyCode::Left => self.cursor = self.previous(),
            KeyCode::Right => self.cursor = self.next(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Puts text in at the cursor, on one line; what no longer fits is left out.
    pub(crate) fn insert(&mut self, typed: &str) {
        for c in text::line(typed).chars() {
            if self.text.len() + c.len_utf8() > self.bytes_max {
                return;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    fn remove_to(&mut self, start: usize) {
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn previous(&self) -> usize {
        self.before().char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        let after = self.text.get(self.cursor..).unwrap_or_default();
        self.cursor + after.chars().next().map_or(0, char::len_utf8)
    }

    fn word_start(&self) -> usize {
        let words = self.before().trim_end();
        words.rfind(' ').map_or(0, |space| space + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut Editor, code: KeyCode, modifiers: KeyModifiers) {
        editor.key(&KeyEvent::new(code, modifiers));
    }

    #[test]
    fn a_line_is_edited_where_the_cursor_stands() {
        let mut editor = Editor::new(100);
        editor.insert("Müller asks");
        press(&mut editor, KeyCode::Home, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Right, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Delete, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Char('i'), KeyModifiers::NONE);
        assert_eq!((editor.text(), editor.before()), ("Miller asks", "Mi"));
        press(&mut editor, KeyCode::Char('e'), KeyModifiers::CONTROL);
        press(&mut editor, KeyCode::Char('w'), KeyModifiers::CONTROL);
        press(&mut editor, KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(editor.text(), "Miller");
        press(&mut editor, KeyCode::Char('u'), KeyModifiers::CONTROL);
        press(&mut editor, KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn nothing_unsafe_or_too_long_gets_in() {
        let mut editor = Editor::new(8);
        editor.insert("a\u{1b}[2J\nb\u{202e}");
        assert!(!editor.text().chars().any(text::is_unsafe), "{:?}", editor.text());
        editor.clear();
        editor.insert("ééééé");
        assert_eq!(editor.text(), "éééé");
    }
}
