//! Where does each kind of output go?
//!
//! Data to standard output, words to standard error, and with `--json` one event a line instead of either. Everything passes
//! through here, so that every word is cleaned once more on its way to a terminal.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};

use base64::Engine as _;
use serde::Serialize;

use crate::error::{Failure, Result};
use crate::text;

/// The program's voice.
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    no_colour: bool,
    colour: bool,
    stdout_carries_data: Cell<bool>,
    #[cfg(test)]
    heard: std::cell::RefCell<Vec<String>>,
}

impl Ui {
    pub(crate) fn new(json: bool, quiet: bool, no_colour: bool) -> Self {
        let colour = !no_colour && !json && std::io::stderr().is_terminal();
        Self {
            json,
            quiet,
            no_colour,
            colour,
            stdout_carries_data: Cell::new(false),
            #[cfg(test)]
            heard: std::cell::RefCell::default(),
        }
    }

    /// The lines that went to standard error so far.
    #[cfg(test)]
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.borrow().clone()
    }

    /// Whether events are asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether colours were asked not to be used.
    pub(crate) fn is_colourless(&self) -> bool {
        self.no_colour
    }

    /// Whether progress may be drawn.
    pub(crate) fn animates(&self) -> bool {
        !self.json && !self.quiet && std::io::stderr().is_terminal()
    }

    /// Columns and rows of the terminal, where something may be drawn on it.
    pub(crate) fn canvas(&self) -> Option<(usize, usize)> {
        let (width, height) = terminal_size::terminal_size_of(std::io::stderr()).filter(|_| self.animates())?;
        Some((usize::from(width.0), usize::from(height.0)))
    }

    /// A drawing of this program's own, light on dark: the colours are set where they may be, so that any terminal's own do not
    /// turn it over.
    pub(crate) fn picture(&self, lines: &[String]) {
        for line in lines {
            self.stderr(&self.paint("97;40", line));
        }
    }

    /// Asks the terminal to put a text on the clipboard (OSC 52); false where there is none to ask. Whether it does is its own choice.
    pub(crate) fn copy(&self, words: &str) -> bool {
        // Nothing of the text is a control character once it is base64.
        let asked = self.animates() && std::env::var("TERM").is_ok_and(|term| understands_osc(&term));
        if asked {
            let encoded = base64::engine::general_purpose::STANDARD.encode(words);
            let mut terminal = std::io::stderr().lock();
            write!(terminal, "\u{1b}]52;c;{encoded}\u{7}").and_then(|()| terminal.flush()).ok();
        }
        asked
    }

    /// Standard output carries the delivered bytes from now on: events go to standard error instead.
    pub(crate) fn give_stdout_to_data(&self) {
        self.stdout_carries_data.set(true);
    }

    /// A sentence for people, unless they asked for quiet or for events.
    pub(crate) fn say(&self, words: &str) {
        if !self.quiet && !self.json {
            self.stderr(&text::block(words));
        }
    }

    /// A sentence that quiet does not silence.
    pub(crate) fn warn(&self, words: &str) {
        if self.json {
            #[derive(Serialize)]
            struct Warning<'a> {
                message: &'a str,
            }
            self.event("warning", &Warning { message: words }).ok();
        } else {
            self.stderr(&format!("{} {}", self.paint("33", "warning:"), text::block(words)));
        }
    }

    /// The next command, after a success.
    pub(crate) fn next(&self, command: &str) {
        if !self.quiet && !self.json {
            self.stderr(&format!("{} run `{}`", self.paint("36", "next:"), text::line(command)));
        }
    }

    /// Lines for standard output: the answer itself.
    ///
    /// # Errors
    /// When it cannot be written. A reader that went away is no error: `| head` is a fine thing to do.
    pub(crate) fn answer(&self, lines: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let text = text::block(lines);
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        written(write!(out, "{text}{end}").and_then(|()| out.flush()))
    }

    /// Text made by this program itself that must not be altered (a completion script, a man page).
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn verbatim(&self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        written(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// One event, when events are asked for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn event(&self, name: &str, body: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let line = event_line(name, body)?;
        if self.stdout_carries_data.get() {
            self.stderr(&line);
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        written(writeln!(out, "{line}").and_then(|()| out.flush()))
    }

    /// Tells a failure: what, why, and the next command.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            #[derive(Serialize)]
            struct Error<'a> {
                code: &'a str,
                exit: u8,
                message: &'a str,
                why: &'a [String],
                #[serde(skip_serializing_if = "Option::is_none")]
                hint: Option<&'a str>,
                #[serde(skip_serializing_if = "Option::is_none")]
                request_id: Option<&'a str>,
            }
            let body = Error {
                code: &failure.code,
                exit: failure.exit as u8,
                message: &failure.what,
                why: &failure.why,
                hint: failure.hint.as_deref(),
                request_id: failure.request_id.as_deref(),
            };
            self.event("error", &body).ok();
            return;
        }
        self.stderr(&format!("{} {}", self.paint("1;31", "error:"), text::line(&failure.what)));
        for why in &failure.why {
            for line in text::block(why).lines() {
                self.stderr(&format!("  {line}"));
            }
        }
        if let Some(id) = &failure.request_id {
            self.stderr(&format!("  the broker's operator finds it as {}", text::line(id)));
        }
        if let Some(hint) = &failure.hint {
            self.stderr(&format!("{} run `{}`", self.paint("36", "hint:"), text::line(hint)));
        }
    }

    fn paint(&self, code: &str, word: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        }
    }

    /// A closed standard error leaves nobody to tell.
    fn stderr(&self, line: &str) {
        #[cfg(test)]
        self.heard.borrow_mut().push(line.to_owned());
        writeln!(std::io::stderr().lock(), "{line}").ok();
    }
}

/// Some terminals would show what they do not understand.
fn understands_osc(term: &str) -> bool {
    !term.is_empty() && !["dumb", "linux", "unknown"].contains(&term)
}

/// `{"event":"name",…}` with the event first, as people read logs.
fn event_line(name: &str, body: &impl Serialize) -> Result<String> {
    let body = serde_json::to_string(body).map_err(|_| Failure::bug("an event could not be written as JSON"))?;
    let rest = body
        .strip_prefix('{')
        .ok_or_else(|| Failure::bug("an event must be a JSON object"))?;
    let comma = if rest == "}" { "" } else { "," };
    Ok(text::json(&format!("{{\"event\":\"{name}\"{comma}{rest}")).into_owned())
}

fn written(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_tell("output", "cannot write to standard output").why(crate::error::io_words(&error)))
        }
        _ => Ok(()),
    }
}

/// Rows under headings, columns aligned; for people. Scripts ask for `--json`.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self {
            rows: vec![headings.iter().map(|heading| heading.to_uppercase()).collect()],
        }
    }

    /// Whether there is nothing below the headings.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The headings, then the rows.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Adds a row; each cell is cleaned and kept to one line.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| text::line(cell).into_owned()).collect());
    }

    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (i, cell) in row.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(i) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `name: value` lines with the values aligned.
pub(crate) struct Facts {
    lines: Vec<(String, String)>,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new() }
    }

    /// Adds a fact; the value is cleaned. A value of several lines is indented below its name.
    pub(crate) fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.lines.push((name.to_owned(), text::block(value.as_ref()).into_owned()));
    }

    /// Names and values, in order.
    pub(crate) fn lines(&self) -> &[(String, String)] {
        &self.lines
    }

    pub(crate) fn render(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 2;
        let mut out = String::new();
        for (name, value) in &self.lines {
            let mut lines = value.lines();
            out.push_str(format!("{name:<width$}{}", lines.next().unwrap_or_default()).trim_end());
            out.push('\n');
            for line in lines {
                out.push_str(format!("{:width$}{line}", "").trim_end());
                out.push('\n');
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_event_starts_with_its_name() {
        #[derive(Serialize)]
        struct Body {
            a: u32,
            b: &'static str,
        }
        #[derive(Serialize)]
        struct Empty {}
        assert_eq!(
            event_line(
                "x.y",
                &Body {
                    a: 1,
                    b: "\u{1b}[2J\u{202e}"
                }
            )
            .unwrap(),
            r#"{"event":"x.y","a":1,"b":"\u001b[2J\u202e"}"#
        );
        assert_eq!(event_line("x", &Empty {}).unwrap(), r#"{"event":"x"}"#);
        assert!(event_line("x", &[1]).is_err());
    }

    #[test]
    fn a_table_is_aligned_and_clean() {
        let mut table = Table::new(&["name", "what"]);
        table.row(["orders", "all\norders"]);
        table.row(["é", "\u{1b}[31mx"]);
        insta::assert_snapshot!(table.render(), @r"
        NAME    WHAT
        orders  all orders
        é       �x
        ");
    }

    #[test]
    fn facts_are_aligned_and_keep_their_lines() {
        let mut facts = Facts::new();
        facts.add("sql", "select 1\nfrom t");
        facts.add("reason", "why not");
        insta::assert_snapshot!(facts.render(), @r"
        sql     select 1
                from t
        reason  why not
        ");
    }
}
