//! What is on the screen? Pure: the model in, cells out. Only what is on the screen is drawn, however long the lists are.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::item::Item;
use super::keys::{self, Action, Place};
use super::model::{Link, Mode, Model, Tab, Tone, noun, tone};
use super::theme::Theme;
use super::update::names;
use super::{detail, popup, wrap};
use crate::figures;
use crate::text;

/// From here on, list and request stand side by side …
const BESIDE_COLUMNS_MIN: u16 = 100;
/// … from here on one above the other; below, one replaces the other.
const ABOVE_COLUMNS_MIN: u16 = 70;
const ABOVE_ROWS_MIN: u16 = 16;
/// Lines of what is said at the bottom.
const STATUS_ROWS_MAX: usize = 4;

/// Where things are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Areas {
    header: Rect,
    list: Option<Rect>,
    detail: Option<Rect>,
    detail_edge: Borders,
    status: Rect,
    bar: Rect,
}

/// What is at a place that was clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    Tab(Tab),
    /// A row of the open list, counted from its beginning.
    Row(usize),
    Detail,
    Nothing,
}

pub(super) fn areas(model: &Model) -> Areas {
    let (columns, rows) = model.size;
    let line = |y: u16| Rect::new(0, y, columns, u16::from(y < rows));
    let said = status_lines(model, Theme::new(false)).len().max(1);
    let said = u16::try_from(said).unwrap_or(1).min(rows.saturating_sub(2));
    let body = Rect::new(0, 1.min(rows), columns, rows.saturating_sub(2 + said));
    let reading = match &model.mode {
        Mode::Reading => true,
        Mode::Judging(judgement) => judgement.was_reading,
        _ => false,
    };
    let (list, detail, detail_edge) = if columns >= BESIDE_COLUMNS_MIN {
        let list = (columns * 2 / 5).min(70);
        (
            Some(Rect { width: list, ..body }),
            Some(Rect::new(list, body.y, columns - list, body.height)),
            Borders::LEFT,
        )
    } else if columns >= ABOVE_COLUMNS_MIN && body.height >= ABOVE_ROWS_MIN {
        let list = body.height / 3;
        (
            Some(Rect { height: list, ..body }),
            Some(Rect::new(0, body.y + list, columns, body.height - list)),
            Borders::TOP,
        )
    } else if reading {
        (None, Some(body), Borders::TOP)
    } else {
        (Some(body), None, Borders::TOP)
    };
    Areas {
        header: line(0),
        list,
        detail,
        detail_edge,
        status: Rect::new(0, rows.saturating_sub(1 + said), columns, said),
        bar: line(rows.saturating_sub(1)),
    }
}

/// Where the text of the request goes.
fn detail_inner(areas: &Areas) -> Option<Rect> {
    let area = areas.detail?;
    let inner = Block::new().borders(areas.detail_edge).inner(area);
    // Air beside the rule.
    let beside = u16::from(areas.detail_edge == Borders::LEFT);
    Some(Rect::new(
        inner.x + beside,
        inner.y,
        inner.width.saturating_sub(beside),
        inner.height,
    ))
}

fn shows_filter(model: &Model) -> bool {
    matches!(model.mode, Mode::Filtering) || !model.filter_text.text().is_empty()
}

/// Where the rows of the list go.
fn rows_area(model: &Model, list: Rect) -> Rect {
    let above = 1 + u16::from(shows_filter(model));
    Rect::new(
        list.x,
        list.y + above.min(list.height),
        list.width,
        list.height.saturating_sub(above),
    )
}

/// Rows of the list on the screen; while it is not shown, what a page of it would be.
pub(crate) fn list_rows(model: &Model) -> usize {
    let rows = areas(model).list.map_or(model.size.1, |list| rows_area(model, list).height);
    usize::from(rows.max(1))
}

pub(crate) fn detail_rows(model: &Model) -> usize {
    detail_inner(&areas(model)).map_or(1, |inner| usize::from(inner.height.max(1)))
}

/// How far the request can be scrolled.
pub(crate) fn detail_top_max(model: &Model) -> usize {
    let (Some(inner), Some(item)) = (detail_inner(&areas(model)), model.selected()) else {
        return 0;
    };
    let lines = detail::lines(model, item, usize::from(inner.width), Theme::new(false)).len();
    lines.saturating_sub(usize::from(inner.height))
}

/// How far the list of keys can be scrolled.
pub(crate) fn help_top_max(model: &Model) -> usize {
    popup::help_lines(Theme::new(false)).len().saturating_sub(popup::help_rows(model))
}

/// What is at a place of the screen.
pub(crate) fn spot(model: &Model, column: u16, row: u16) -> Spot {
    let areas = areas(model);
    let at = Position::new(column, row);
    if areas.header.contains(at) {
        let tab = tabs(model).into_iter().find(|(_, start, words)| {
            let end = start + u16::try_from(words.len()).unwrap_or(u16::MAX);
            (*start..end).contains(&column)
        });
        return tab.map_or(Spot::Nothing, |(tab, ..)| Spot::Tab(tab));
    }
    if areas.detail.is_some_and(|detail| detail.contains(at)) {
        return Spot::Detail;
    }
    match areas.list.map(|list| rows_area(model, list)) {
        Some(rows) if rows.contains(at) => {
            let top = model.pane(model.tab).top_on(usize::from(rows.height));
            Spot::Row(top + usize::from(row - rows.y))
        }
        _ => Spot::Nothing,
    }
}

/// Draws everything.
pub(crate) fn view(model: &Model, frame: &mut Frame<'_>, theme: Theme) {
    if (frame.area().width, frame.area().height) != model.size {
        return; // the terminal has just changed; its new size is on its way
    }
    let areas = areas(model);
    header(model, frame, areas.header, theme);
    if let Some(list) = areas.list {
        list_pane(model, frame, list, theme);
    }
    if let Some(area) = areas.detail {
        let focused = matches!(model.mode, Mode::Reading);
        let edge = if focused { theme.title() } else { theme.quiet() };
        frame.render_widget(Block::new().borders(areas.detail_edge).border_style(edge), area);
        if let (Some(inner), Some(item)) = (detail_inner(&areas), model.selected()) {
            detail_pane(model, item, frame, inner, theme);
            if areas.detail_edge == Borders::TOP {
                let title = format!(" {} ", item.view().id);
                let width = u16::try_from(title.len()).unwrap_or(0).min(area.width.saturating_sub(2));
                frame.render_widget(
                    Span::styled(title, edge),
                    Rect::new(area.x + 2.min(area.width), area.y, width, area.height.min(1)),
                );
            }
        }
    }
    status(model, frame, areas.status, theme);
    bar(model, frame, areas.bar, theme);
    match &model.mode {
        Mode::Judging(judgement) => popup::judgement(model, judgement, frame, theme),
        Mode::Helping => popup::help(model, frame, theme),
        _ => {}
    }
}

const NAME: &str = " chunkctl review ";

/// The tabs, where each begins and what it says.
fn tabs(model: &Model) -> [(Tab, u16, String); 2] {
    let name = if model.size.0 < ABOVE_COLUMNS_MIN {
        0
    } else {
        u16::try_from(NAME.len()).unwrap_or(0)
    };
    let count = |tab: Tab| figures::count(model.pane(tab).all as u64);
    let inbox = format!(" Inbox {} ", count(Tab::Inbox));
    let history = format!(" History {} ", count(Tab::History));
    let start = name + u16::try_from(inbox.len()).unwrap_or(0);
    [(Tab::Inbox, name, inbox), (Tab::History, start, history)]
}

fn header(model: &Model, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let tabs = tabs(model);
    let mut spans = Vec::new();
    if tabs.first().is_some_and(|(_, start, _)| *start > 0) {
        spans.push(Span::styled(NAME, theme.title()));
    }
    for (tab, _, words) in tabs {
        let open = tab == model.tab;
        let style = if open {
            theme.title().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(words, style));
    }
    let (sign, style) = match &model.link {
        Link::Joining => ("joining ", theme.quiet()),
        Link::Live => ("● live ", theme.good()),
        Link::Lost(_) => ("○ not connected ", theme.bad()),
    };
    frame.render_widget(Line::from(spans), area);
    let width = u16::try_from(wrap::width(sign)).unwrap_or(0).min(area.width);
    frame.render_widget(
        Span::styled(sign, style),
        Rect::new(area.right() - width, area.y, width, area.height),
    );
}

fn list_pane(model: &Model, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let rows = rows_area(model, area);
    let columns = Columns::of(usize::from(area.width), model.tab);
    if shows_filter(model) && area.height > 0 {
        filter_line(model, frame, Rect { height: 1, ..area }, theme);
    }
    if rows.y > area.y {
        let heading = Rect::new(area.x, rows.y - 1, area.width, 1);
        frame.render_widget(Line::styled(columns.heading(), theme.quiet()), heading);
    }
    let pane = model.pane(model.tab);
    if pane.shown.is_empty() {
        for (n, line) in wrap::words(nothing(model), usize::from(area.width.saturating_sub(4)))
            .into_iter()
            .enumerate()
        {
            let y = rows.y + 1 + u16::try_from(n).unwrap_or(0);
            if y < rows.bottom() {
                frame.render_widget(
                    Line::styled(line, theme.quiet()),
                    Rect::new(rows.x + 2, y, rows.width.saturating_sub(2), 1),
                );
            }
        }
        return;
    }
    let top = pane.top_on(usize::from(rows.height));
    let listing = matches!(model.mode, Mode::Listing | Mode::Filtering);
    for (y, index) in (rows.y..rows.bottom()).zip(pane.shown.iter().skip(top)) {
        let Some(item) = model.item(*index) else { continue };
        let line = Rect::new(rows.x, y, rows.width, 1);
        let (words, style) = columns.row(model, item, theme);
        let style = if pane.selected == Some(*index) {
            style.patch(theme.selected(listing))
        } else {
            style
        };
        frame.render_widget(Line::styled(words, style), line);
    }
}

fn nothing(model: &Model) -> &'static str {
    match (&model.link, model.tab) {
        (Link::Joining, _) => "Asking the broker …",
        _ if !model.filter_text.text().is_empty() => "Nothing matches the filter; Esc drops it.",
        (_, Tab::Inbox) => "Nothing waits for you. New requests appear here by themselves.",
        (_, Tab::History) => "Nothing was decided yet.",
    }
}

fn filter_line(model: &Model, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let pane = model.pane(model.tab);
    let typing = matches!(model.mode, Mode::Filtering);
    let found = format!(
        " {} of {}",
        figures::count(pane.shown.len() as u64),
        figures::count(pane.all as u64)
    );
    let room = usize::from(area.width).saturating_sub(3 + wrap::width(&found));
    let text = model.filter_text.text();
    // The end of what is typed is what is looked at.
    let shown = if wrap::width(text) > room {
        wrap::hard(text, room).pop().unwrap_or_default()
    } else {
        text.to_owned()
    };
    let hint = if text.is_empty() { "words, dataset:NAME, by:PERSON" } else { "" };
    let spans = vec![
        Span::styled("/ ", theme.key()),
        Span::raw(shown),
        Span::styled(hint, theme.quiet()),
        Span::styled(found, theme.quiet()),
    ];
    frame.render_widget(Line::from(spans), area);
    if typing {
        let before = wrap::width(model.filter_text.before()).min(room);
        frame.set_cursor_position(Position::new(area.x + 2 + u16::try_from(before).unwrap_or(0), area.y));
    }
}

fn detail_pane(model: &Model, item: &Item, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let lines = detail::lines(model, item, usize::from(area.width), theme);
    let rows = usize::from(area.height);
    let top = model.detail_top.min(lines.len().saturating_sub(rows));
    let below = lines.len().saturating_sub(top + rows);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(top).take(rows).collect();
    frame.render_widget(Paragraph::new(shown), area);
    if below > 0 && area.height > 0 {
        let more = format!(" ↓ {} ", figures::plural(below as u64, "more line"));
        let width = u16::try_from(wrap::width(&more)).unwrap_or(0).min(area.width);
        let place = Rect::new(area.right() - width, area.bottom() - 1, width, 1);
        frame.render_widget(Clear, place);
        frame.render_widget(Span::styled(more, theme.quiet()), place);
    }
}

/// What counts down, and what was said, is on its way, or is wrong.
fn status_lines(model: &Model, theme: Theme) -> Vec<(String, Style)> {
    let mut lines = Vec::new();
    if let Some(newest) = model.scheduled.last() {
        let left_s = ((newest.due_ms - model.now_ms + 999) / 1000).max(1);
        let others = match model.scheduled.len() {
            1 => String::new(),
            n => format!("; {} more count down", n - 1),
        };
        let (noun, what) = (noun(newest.verdict), names(&newest.on));
        lines.push((
            format!("The {noun} of {what} is signed in {left_s} s: u takes it back{others}"),
            theme.warn(),
        ));
    }
    if let Some(notice) = model.notice() {
        let style = match notice.tone {
            Tone::Plain => Style::new(),
            Tone::Good => theme.good(),
            Tone::Bad => theme.bad(),
        };
        lines.push((notice.words.clone(), style));
    } else if !model.sending.is_empty() {
        let words = format!("Sending {} …", figures::plural(model.sending.len() as u64, "verdict"));
        lines.push((words, theme.quiet()));
    } else if let Link::Lost(why) = &model.link {
        lines.push((format!("The broker is not heard ({why}); it is asked again."), theme.bad()));
    } else if !model.marked.is_empty() {
        let words = format!(
            "{} marked: R rejects them, Esc unmarks them",
            figures::count(model.marked.len() as u64)
        );
        lines.push((words, Style::new()));
    } else if model.left_out > 0 {
        let words = format!("{} older ones are not shown.", figures::count(model.left_out as u64));
        lines.push((words, theme.warn()));
    }
    let columns = usize::from(model.size.0.saturating_sub(2));
    let broken = lines
        .into_iter()
        .flat_map(|(words, style)| wrap::words(&text::line(&words), columns).into_iter().map(move |line| (line, style)));
    broken.take(STATUS_ROWS_MAX).collect()
}

fn status(model: &Model, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let lines = status_lines(model, theme)
        .into_iter()
        .map(|(words, style)| Line::styled(format!(" {words}"), style));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

/// The keys that mean something now, as many as there is room for.
fn bar(model: &Model, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let mut spans = Vec::new();
    let mut taken = 0;
    for (shown, action, word) in keys::bar(model.place()) {
        let word = match (action, model.tab, model.place()) {
            (Action::OtherTab, Tab::History, _) => "inbox",
            (Action::Approve | Action::Reject | Action::Mark, Tab::History, _) => continue,
            (Action::Undo, ..) if model.scheduled.is_empty() => continue,
            (Action::Submit, _, Place::Reason) => "sign",
            _ => word,
        };
        let columns = 3 + wrap::width(shown) + wrap::width(word);
        if taken + columns > usize::from(area.width) {
            continue;
        }
        taken += columns;
        spans.extend([
            Span::raw(" "),
            Span::styled(shown, theme.key()),
            Span::raw(" "),
            Span::styled(word, theme.quiet()),
            Span::raw(" "),
        ]);
    }
    frame.render_widget(Line::from(spans), area);
}

/// How wide the columns of a list are.
struct Columns {
    tab: Tab,
    state: usize,
    who: usize,
    what: usize,
    rows: usize,
}

const FLAG_COLUMNS: usize = 2;
const AGE_COLUMNS: usize = 5;

impl Columns {
    fn of(width: usize, tab: Tab) -> Self {
        let who = (width / 5).clamp(8, 20);
        let state = if tab == Tab::History { 10 } else { 0 };
        let rows = if width >= 60 { 11 } else { 0 };
        let what = width.saturating_sub(FLAG_COLUMNS + who + 1 + state + rows + AGE_COLUMNS + 1);
        Self {
            tab,
            state,
            who,
            what,
            rows,
        }
    }

    fn line(&self, flag: &str, who: &str, state: &str, what: &str, rows: &str, age: &str) -> String {
        format!(
            "{}{} {}{}{}{} ",
            wrap::cell(flag, FLAG_COLUMNS),
            wrap::cell(who, self.who),
            wrap::cell(state, self.state),
            wrap::cell(what, self.what),
            wrap::cell_right(rows, self.rows),
            wrap::cell_right(age, AGE_COLUMNS),
        )
    }

    fn heading(&self) -> String {
        self.line("", "who", "state", "what", "rows", "age")
    }

    fn row(&self, model: &Model, item: &Item, theme: Theme) -> (String, Style) {
        let view = item.view();
        let begun = self.tab == Tab::Inbox && model.begun(&view.id).is_some();
        let refused = item.checked().is_err();
        let (flag, style) = if refused {
            ("!", theme.bad())
        } else if begun {
            ("…", theme.quiet())
        } else if model.marked.contains(&view.index) {
            ("*", theme.warn())
        } else if view.review_due {
            ("", theme.warn())
        } else if self.tab == Tab::History && tone(view.state) == Tone::Bad {
            ("", theme.bad())
        } else {
            ("", Style::new())
        };
        let rows = view.rows_estimated.map_or_else(|| "?".to_owned(), short_count);
        let words = self.line(
            flag,
            &text::line(&view.requester.name),
            view.state.as_str(),
            &item.headline(&model.me),
            &rows,
            &short_age(view.created_ms, model.now_ms),
        );
        (words, style)
    }
}

/// `42s`, `3m`, `7h`, `12d`.
pub(super) fn short_age(ms: i64, now_ms: i64) -> String {
    let s = now_ms.saturating_sub(ms).max(0) / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m", s / 60),
        3_600..172_800 => format!("{}h", s / 3_600),
        _ => format!("{}d", s / 86_400),
    }
}

/// `1,234,567`, or `123M` where that gets long.
fn short_count(n: u64) -> String {
    match n {
        0..10_000_000 => figures::count(n),
        10_000_000..10_000_000_000 => format!("{}M", figures::count(n / 1_000_000)),
        _ => format!("{}G", figures::count(n / 1_000_000_000)),
    }
}
