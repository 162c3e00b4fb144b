//! Boxes over the screen: the reason for a verdict, and the list of keys.

use chunk_wire::review::Verdict;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::keys;
use super::model::{Judgement, Model};
use super::theme::Theme;
use super::update::names;
use super::wrap;
use crate::commands::query;
use crate::figures;
use crate::text;

const COLUMNS_MAX: u16 = 76;
/// Lines of the reason that are shown at once.
const REASON_ROWS: usize = 4;
/// Lines of what is judged.
const SUBJECT_ROWS: usize = 4;

/// A box of so many lines within, in the middle of the screen.
fn middle(model: &Model, rows: usize) -> Rect {
    let (columns, screen_rows) = model.size;
    let width = columns.saturating_sub(2).min(COLUMNS_MAX);
    let height = u16::try_from(rows + 2).unwrap_or(u16::MAX).min(screen_rows);
    Rect::new((columns - width) / 2, (screen_rows - height) / 2, width, height)
}

/// The box in which the reason for a verdict is typed.
pub(super) fn judgement(model: &Model, judgement: &Judgement, frame: &mut Frame<'_>, theme: Theme) {
    let verdict = match judgement.verdict {
        Verdict::Approve => "Approve",
        Verdict::Reject => "Reject",
    };
    let columns = usize::from(middle(model, 1).width.saturating_sub(4));
    let mut lines: Vec<Line<'_>> = subject(judgement, columns).into_iter().map(Line::from).collect();
    lines.push(Line::default());
    lines.push(Line::styled("Why? The requester and auditors read it.", theme.quiet()));
    let reason_row = lines.len();
    let typed = wrap::hard(judgement.reason.text(), columns);
    let before = wrap::hard(judgement.reason.before(), columns);
    let (mut row, mut column) = (before.len().saturating_sub(1), before.last().map_or(0, |line| wrap::width(line)));
    if column == columns {
        (row, column) = (row + 1, 0);
    }
    let top = (row + 1).saturating_sub(REASON_ROWS);
    let reason: Vec<&String> = typed.iter().skip(top).take(REASON_ROWS).collect();
    for n in 0..REASON_ROWS {
        let line = reason.get(n).map_or("", |line| line.as_str());
        lines.push(Line::from(wrap::cell(line, columns)).style(theme.field()));
    }
    lines.push(match judgement.fault {
        Some(fault) => Line::styled(fault, theme.bad()),
        None => Line::styled(then(model), theme.quiet()),
    });
    let area = middle(model, lines.len());
    let style = match judgement.verdict {
        Verdict::Approve => theme.good(),
        Verdict::Reject => theme.bad(),
    };
    let inner = boxed(frame, area, format!(" {verdict} {} ", names(&judgement.on)), style);
    frame.render_widget(Paragraph::new(lines), inner);
    let at = |offset: usize| u16::try_from(offset).unwrap_or(u16::MAX);
    let cursor = Position::new(
        inner.x.saturating_add(at(column)),
        inner.y.saturating_add(at(reason_row + row - top)),
    );
    if inner.contains(cursor) {
        frame.set_cursor_position(cursor);
    }
}

/// What happens after Enter.
fn then(model: &Model) -> String {
    match model.undo_ms / 1000 {
        0 => "Enter signs with your key.".to_owned(),
        s => format!("Enter signs with your key, after {s} s to take it back."),
    }
}

/// Who asked for what: of one request what it is, of several the first few.
fn subject(judgement: &Judgement, columns: usize) -> Vec<String> {
    let [one] = judgement.on.as_slice() else {
        let mut lines: Vec<String> = judgement
            .on
            .iter()
            .take(SUBJECT_ROWS)
            .map(|checked| {
                let words = query::words(&checked.document().query);
                wrap::cut(&text::line(&format!("{}: {words}", checked.view().requester.name)), columns)
            })
            .collect();
        if judgement.on.len() > SUBJECT_ROWS {
            lines.push(format!("and {} more", figures::count((judgement.on.len() - SUBJECT_ROWS) as u64)));
        }
        return lines;
    };
    let words = query::words(&one.document().query);
    let whole = text::line(&format!("{}: {words}", one.view().requester.name)).into_owned();
    let mut lines = wrap::words(&whole, columns);
    if lines.len() > SUBJECT_ROWS - 1 {
        lines.truncate(SUBJECT_ROWS - 2);
        lines.push("… (Esc, then Enter, shows it whole)".to_owned());
    }
    // The beginning of the digest is what two people compare over the telephone.
    lines.push(format!("digest {}", one.view().digest));
    lines.iter().map(|line| wrap::cut(line, columns)).collect()
}

/// Draws a box and gives what is within.
fn boxed(frame: &mut Frame<'_>, area: Rect, title: String, style: Style) -> Rect {
    let block = Block::bordered().border_style(style).title(Span::styled(title, style));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    Rect::new(inner.x + 1, inner.y, inner.width.saturating_sub(2), inner.height)
}

/// The list of keys.
pub(super) fn help_lines(theme: Theme) -> Vec<Line<'static>> {
    let row = |(shown, place, about): (&'static str, &'static str, &'static str)| {
        Line::from(vec![
            Span::styled(wrap::cell(shown, 8), theme.key()),
            Span::styled(wrap::cell(place, 15), theme.quiet()),
            Span::raw(about),
        ])
    };
    keys::list().map(row).collect()
}

/// How many of them are shown at once.
pub(super) fn help_rows(model: &Model) -> usize {
    usize::from(middle(model, help_lines(Theme::new(false)).len()).height.saturating_sub(2))
}

/// The list of keys, over the screen.
pub(super) fn help(model: &Model, frame: &mut Frame<'_>, theme: Theme) {
    let lines = help_lines(theme);
    let area = middle(model, lines.len());
    let rows = help_rows(model);
    let top = model.help_top.min(lines.len().saturating_sub(rows));
    let inner = boxed(frame, area, " Keys ".to_owned(), theme.title());
    let shown: Vec<Line<'_>> = lines.into_iter().skip(top).take(rows).collect();
    frame.render_widget(Paragraph::new(shown), inner);
}
