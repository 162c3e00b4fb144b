//! Puts every question to every entry, in one pass; what the report and the assessment results are made from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::checks::{CHECKS, Check, Role, Way};
use super::known::Known;
use super::row::Row;
use super::text;
use crate::body::Group;
use crate::leaf::Kind;
use crate::merkle::Hash;

/// Entries of one answer that are described; further ones are listed by index.
const DESCRIBED_MAX: usize = 25;
/// Entries of one answer that are listed by index.
const LISTED_MAX: usize = 500;
/// Characters of a description.
const WORDS_MAX: usize = 160;

/// Every answer, while the rows go by and after.
#[derive(Debug)]
pub struct Assessment {
    known: Known,
    answers: Vec<Answer>,
    by_kind: BTreeMap<Kind, u64>,
    span_ms: Option<(i64, i64)>,
}

/// What one question came to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Entries selected, or whatever is counted.
    pub(super) value: u64,
    /// Entries of the kinds that could not be judged, because what is needed is withheld or erased.
    pub(super) withheld: u64,
    /// The first of the entries, described.
    pub(super) described: Vec<Described>,
    /// More of them, by index.
    pub(super) indices: Vec<u64>,
    state: State,
}

/// What a question remembers of entries before.
#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Texts(BTreeSet<String>),
    Before(Option<String>),
    /// Entries that nothing has answered yet; described where they will be listed.
    Waiting(BTreeMap<u64, Option<Described>>),
}

/// An entry in a list.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) index: u64,
    pub(super) hash: Hash,
    pub(super) time_ms: i64,
    pub(super) kind: Kind,
    pub(super) who: String,
    pub(super) dataset: String,
    pub(super) words: String,
}

impl Default for Assessment {
    fn default() -> Self {
        Self {
            known: Known::default(),
            answers: CHECKS.iter().map(|_| Answer::default()).collect(),
            by_kind: BTreeMap::new(),
            span_ms: None,
        }
    }
}

impl Assessment {
    /// Remembers an entry outside the range.
    pub fn context(&mut self, row: &Row) {
        self.known.remember(row);
    }

    /// Takes an entry of the range.
    pub fn row(&mut self, row: &Row) {
        self.known.remember(row);
        *self.by_kind.entry(row.header.kind).or_default() += 1;
        self.span_ms = Some((self.span_ms.map_or(row.header.t, |(first, _)| first), row.header.t));
        for (check, answer) in CHECKS.iter().zip(&mut self.answers) {
            answer.take(check, row, &self.known);
        }
    }

    /// The last entry has come.
    pub fn finish(&mut self) {
        for (check, answer) in CHECKS.iter().zip(&mut self.answers) {
            match std::mem::take(&mut answer.state) {
                State::Texts(texts) => answer.value = texts.len() as u64,
                State::Waiting(waiting) => {
                    for (index, described) in waiting {
                        answer.select(check, index, || described);
                    }
                }
                State::Nothing | State::Before(_) => {}
            }
        }
    }

    /// The answer to a question.
    pub(super) fn answer(&self, id: &str) -> Option<(&'static Check, &Answer)> {
        CHECKS.iter().zip(&self.answers).find(|(check, _)| check.id == id)
    }

    /// Entries of each kind.
    pub(super) fn by_kind(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.by_kind.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Entries of the range.
    pub(super) fn entries(&self) -> u64 {
        self.by_kind.values().sum()
    }

    /// Times of the first and the last entry.
    pub(super) fn span_ms(&self) -> Option<(i64, i64)> {
        self.span_ms
    }
}

impl Answer {
    fn take(&mut self, check: &Check, row: &Row, known: &Known) {
        // An entry can answer earlier ones whatever it shows itself: references are in the open.
        if let (Way::Unanswered { by, .. }, State::Waiting(waiting)) = (&check.way, &mut self.state)
            && by.contains(&row.header.kind)
        {
            for index in &row.header.refs {
                waiting.remove(index);
            }
        }
        if !check.concerns(row) {
            return;
        }
        if !check.can_judge(row) {
            self.withheld += 1;
            return;
        }
        match &check.way {
            Way::All => self.select(check, row.index, || Some(describe(row, known))),
            Way::If(condition, _) if condition(row) => self.select(check, row.index, || Some(describe(row, known))),
            Way::Unless(condition, _) if !condition(row) => self.select(check, row.index, || Some(describe(row, known))),
            Way::If(..) | Way::Unless(..) => {}
            Way::Sum(number, _) => self.value = self.value.saturating_add(number(row)),
            Way::Distinct(texts, _) => {
                if let State::Nothing = self.state {
                    self.state = State::Texts(BTreeSet::new());
                }
                if let State::Texts(kept) = &mut self.state {
                    kept.extend(texts(row));
                }
            }
            Way::Changed(group, member) => {
                let now = row.text(*group, member).map(str::to_owned);
                let before = std::mem::replace(&mut self.state, State::Before(now.clone()));
                if let State::Before(before) = before
                    && before != now
                {
                    self.select(check, row.index, || Some(describe(row, known)));
                }
            }
            Way::Unanswered { condition, .. } => {
                if condition(row) {
                    if let State::Nothing = self.state {
                        self.state = State::Waiting(BTreeMap::new());
                    }
                    let described = (check.role != Role::Figure).then(|| describe(row, known));
                    if let State::Waiting(waiting) = &mut self.state {
                        waiting.insert(row.index, described);
                    }
                }
            }
        }
    }

    fn select(&mut self, check: &Check, index: u64, described: impl FnOnce() -> Option<Described>) {
        self.value += 1;
        if check.role == Role::Figure {
            return;
        }
        if self.described.len() < DESCRIBED_MAX {
            self.described.extend(described());
        }
        if self.indices.len() < LISTED_MAX {
            self.indices.push(index);
        }
    }
}

fn describe(row: &Row, known: &Known) -> Described {
    Described {
        index: row.index,
        hash: row.hash,
        time_ms: row.header.t,
        kind: row.header.kind,
        who: text::short(&known.actor_words(row), WORDS_MAX),
        dataset: text::short(known.dataset(row).unwrap_or_default(), WORDS_MAX),
        words: text::short(&words(row), WORDS_MAX),
    }
}

/// What an entry says, in a line.
pub(super) fn words(row: &Row) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut say = |label: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            parts.push(if label.is_empty() { value } else { format!("{label} {value}") });
        }
    };
    let own = |group, member| row.text(group, member).map(str::to_owned);
    let list = |group, member| row.texts(group, member).collect::<Vec<_>>().join(", ");
    let number = |group, member| row.number(group, member).map(text::count);
    match row.header.kind {
        Kind::SessionOpen if row.shows(Group::Who) => {
            let amr = list(Group::Who, "amr");
            say(
                "",
                Some(if amr.is_empty() {
                    "no method named".to_owned()
                } else {
                    format!("methods: {amr}")
                }),
            );
            say("from", own(Group::Net, "ip"));
        }
        Kind::SessionFail => {
            say("", number(Group::Out, "count").map(|count| format!("{count} ×")));
            say("", own(Group::Out, "code"));
            say("from", own(Group::Net, "ip"));
        }
        Kind::RequestDeny => {
            say("", own(Group::Out, "code"));
            say("by", Some(list(Group::Out, "policies")));
            say("reason:", own(Group::Why, "reason"));
        }
        Kind::FetchOutcome => {
            say("", own(Group::Out, "end"));
            let of = |member, one, many| row.number(Group::Out, member).map(|n| text::plural(n, one, many));
            say("", of("rows", "row", "rows"));
            say("", of("bytes", "byte", "bytes"));
            let revealed: Vec<String> = row
                .columns()
                .filter(super::row::Column::is_revealed)
                .map(|column| format!("{}.{}", column.dataset, column.name))
                .collect();
            say("not masked:", Some(revealed.join(", ")));
        }
        Kind::RequestCreate => {
            say("", own(Group::What, "id"));
            say("ticket", own(Group::Why, "ticket"));
            say("reason:", own(Group::Why, "reason"));
        }
        Kind::FetchIntent => {
            say("", own(Group::What, "request"));
            say("chunk", number(Group::What, "chunk"));
            say("through", Some(list(Group::Obj, "connections")));
        }
        Kind::PolicyLoad | Kind::ConfigLoad => say("digest", own(Group::What, "digest")),
        Kind::AuditExport => {
            say("level", number(Group::Out, "level"));
            let ends = (row.number(Group::Out, "from"), row.number(Group::Out, "to"));
            if let (Some(from), Some(to)) = ends {
                say("", Some(format!("entries #{from} to before #{to}")));
            }
        }
        _ => {
            say("", own(Group::What, "id").or(own(Group::What, "request")));
            say("reason:", own(Group::Why, "reason"));
            say("", own(Group::Why, "cause"));
            if let Value::String(subject) = row.get(Group::What, "subject") {
                say("pseudonym", Some(subject.clone()));
            }
        }
    }
    parts.join("; ")
}
