//! The reviewer's screen, played by keys: what is on it, and what comes out of it.

mod dialogue;
mod hostile;
mod screens;
mod verdicts;

use chunk_wire::fetch::RequestView;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};

use super::model::Model;
use super::samples::{NOW_MS, me};
use super::theme::Theme;
use super::update::{Effect, Event, update};
use super::view::view;

/// A reviewer at a screen of a given size.
pub(super) struct Desk {
    pub(super) model: Model,
    terminal: Terminal<TestBackend>,
    theme: Theme,
}

impl Desk {
    pub(super) fn new(columns: u16, rows: u16) -> Self {
        Self {
            model: Model::new(me(), NOW_MS, (columns, rows), 5_000),
            terminal: Terminal::new(TestBackend::new(columns, rows)).unwrap(),
            theme: Theme::new(false),
        }
    }

    /// With these waiting, told as the broker tells them.
    pub(super) fn with(columns: u16, rows: u16, views: Vec<RequestView>) -> Self {
        let mut desk = Self::new(columns, rows);
        desk.happens(Event::List);
        for view in views {
            desk.happens(Event::Request(Box::new(view)));
        }
        desk.happens(Event::Listed(0));
        desk
    }

    pub(super) fn happens(&mut self, event: Event) -> Vec<Effect> {
        update(&mut self.model, event)
    }

    /// Presses keys by their names, one after another: `a`, `Enter`, `Ctrl-C`.
    pub(super) fn press(&mut self, names: &str) -> Vec<Effect> {
        names.split(' ').flat_map(|name| self.happens(Event::Key(key(name)))).collect()
    }

    /// Types a text.
    pub(super) fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.happens(Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
        }
    }

    /// Lets time pass.
    pub(super) fn later(&mut self, ms: i64) -> Vec<Effect> {
        let now_ms = self.model.now_ms + ms;
        self.happens(Event::Tick(now_ms))
    }

    pub(super) fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) {
        self.happens(Event::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        }));
    }

    pub(super) fn draw(&mut self) -> &ratatui::buffer::Buffer {
        self.model.settle();
        let (model, theme) = (&self.model, self.theme);
        self.terminal.draw(|frame| view(model, frame, theme)).unwrap();
        self.terminal.backend().buffer()
    }

    /// What is on the screen, line by line.
    pub(super) fn screen(&mut self) -> String {
        let width = usize::from(self.model.size.0);
        let cells: Vec<&str> = self.draw().content().iter().map(ratatui::buffer::Cell::symbol).collect();
        cells.chunks(width).map(|row| format!("{}\n", row.concat().trim_end())).collect()
    }
}

fn key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.strip_prefix("Ctrl-") {
        Some(letter) => (KeyModifiers::CONTROL, letter.to_lowercase()),
        None => (KeyModifiers::NONE, name.to_owned()),
    };
    let code = match name.as_str() {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Space" => KeyCode::Char(' '),
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "PgDn" => KeyCode::PageDown,
        "PgUp" => KeyCode::PageUp,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        letter => KeyCode::Char(letter.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}
