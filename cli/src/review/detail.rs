//! One request, whole: everything that `chunkctl request show` tells, in the columns there are, what matters most first.

use chunk_wire::fetch::RequestState;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::item::Item;
use super::model::{Model, Tone, tone};
use super::theme::Theme;
use super::wrap;
use crate::commands::request;
use crate::figures;
use crate::output::{Facts, Table};
use crate::text;

/// Columns of the names before the values.
const NAME_COLUMNS: usize = 11;
/// Earlier requests are told of up to this many.
const BEFORE_MAX: usize = 3;
/// Names of the facts in the order in which a reviewer needs them; those not named here come last.
const ORDER: [&str; 11] = [
    "request",
    "state",
    "stages",
    "emergency",
    "standing",
    "asked by",
    "why",
    "ticket",
    "what",
    "rows",
    "at most",
];

/// The lines of a request.
pub(crate) fn lines(model: &Model, item: &Item, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut page = Page {
        lines: Vec::new(),
        columns,
        theme,
    };
    let view = item.view();
    match item.checked() {
        Ok(checked) => {
            let document = checked.document();
            let facts = request::facts(view, document, model.now_ms);
            let (first, rest) = in_order(&facts);
            page.facts(&first, view.state);
            page.gap();
            page.table(&request::columns(document), |row| exposes(row).then(|| theme.warn()));
            page.gap();
            page.facts(&before(model, item), view.state);
            page.facts(&rest, view.state);
        }
        Err(why) => {
            page.text(
                "This request cannot be judged, and nothing of it can be believed: the document that the broker shows is not the one that was signed.",
                theme.bad(),
            );
            page.text(&format!("Why: {}.", text::line(why)), theme.bad());
            page.gap();
            let mut facts = Facts::new();
            facts.add("request", view.id.as_str());
            facts.add("asked by", &view.requester.name);
            page.facts(facts.lines(), view.state);
        }
    }
    for table in [request::reviews(view), request::deliveries(view)] {
        if !table.is_empty() {
            page.gap();
            page.table(&table, |_| None);
        }
    }
    page.lines
}

type Fact = (String, String);

/// The facts with what matters most first, and those that matter less.
fn in_order(facts: &Facts) -> (Vec<Fact>, Vec<Fact>) {
    let mut groups: Vec<&[Fact]> = Vec::new();
    let lines = facts.lines();
    // A fact without a name belongs to the one before it.
    let mut start = 0;
    for end in 1..=lines.len() {
        if lines.get(end).is_none_or(|(name, _)| !name.is_empty()) {
            groups.extend(lines.get(start..end));
            start = end;
        }
    }
    let place = |group: &&[Fact]| {
        let name = group.first().map_or("", |(name, _)| name.as_str());
        ORDER.iter().position(|first| *first == name).unwrap_or(ORDER.len())
    };
    groups.sort_by_key(place);
    let first = groups.partition_point(|group| place(group) < ORDER.len());
    let (first, rest) = groups.split_at(first);
    (first.concat(), rest.concat())
}

/// A classified column whose values leave as they are.
fn exposes(row: &[String]) -> bool {
    matches!(row, [_, class, sees] if class != "-" && (sees == "as it is" || sees == "reveal"))
}

/// What the same person asked of the same data before.
fn before(model: &Model, item: &Item) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut more = 0_u64;
    for earlier in model.before(item) {
        if facts.len() == BEFORE_MAX {
            more += 1;
            continue;
        }
        let view = earlier.view();
        let name = if facts.is_empty() { "before" } else { "" };
        let when = figures::from_now(view.created_ms, model.now_ms);
        facts.push((name.to_owned(), format!("{}, {when}: {}", view.state.as_str(), earlier.what)));
    }
    if more > 0 {
        facts.push((String::new(), format!("and {} more", figures::plural(more, "request"))));
    }
    if facts.is_empty() {
        facts.push(("before".to_owned(), "nothing of this data, as far as you may see".to_owned()));
    }
    facts
}

struct Page {
    lines: Vec<Line<'static>>,
    columns: usize,
    theme: Theme,
}

impl Page {
    fn gap(&mut self) {
        self.lines.push(Line::default());
    }

    fn text(&mut self, text: &str, style: Style) {
        let lines = wrap::words(text, self.columns).into_iter();
        self.lines.extend(lines.map(|line| Line::styled(line, style)));
    }

    fn facts(&mut self, facts: &[Fact], state: RequestState) {
        for (name, value) in facts {
            let style = match (name.as_str(), tone(state)) {
                ("state", Tone::Good) => self.theme.good(),
                ("state", Tone::Bad) => self.theme.bad(),
                ("emergency", _) => self.theme.warn(),
                ("why" | "what", _) => Style::new().add_modifier(ratatui::style::Modifier::BOLD),
                _ => Style::new(),
            };
            let mut name = name.as_str();
            for line in wrap::words(value, self.columns.saturating_sub(NAME_COLUMNS)) {
                let name = Span::styled(wrap::cell(std::mem::take(&mut name), NAME_COLUMNS), self.theme.quiet());
                self.lines.push(Line::from(vec![name, Span::styled(line, style)]));
            }
        }
    }

    /// A table whose last column takes what is left; a row that is too wide for that goes over several lines.
    fn table(&mut self, table: &Table, style: impl Fn(&[String]) -> Option<Style>) {
        const GAP: usize = 2;
        let rows = table.rows();
        let Some(columns) = rows.first().map(|row| row.len().saturating_sub(1)) else {
            return;
        };
        let widest = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| wrap::width(cell))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let indent: usize = widths.iter().map(|width| width + GAP).sum();
        for (n, row) in rows.iter().enumerate() {
            let style = if n == 0 {
                self.theme.quiet()
            } else {
                style(row).unwrap_or_default()
            };
            let (last, cells) = match row.split_last() {
                Some((last, cells)) => (last.as_str(), cells),
                None => ("", &[][..]),
            };
            if indent + GAP * 4 > self.columns {
                self.text(&row.join("  "), style);
                continue;
            }
            let mut head: String = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| wrap::cell(cell, width + GAP))
                .collect();
            for line in wrap::words(last, self.columns - indent) {
                self.lines.push(Line::styled(format!("{head}{line}"), style));
                head = " ".repeat(indent);
            }
        }
    }
}
