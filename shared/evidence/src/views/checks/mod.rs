//! The questions that a report puts to the log, each with the exact query by which its reader checks the answer.
//!
//! A question selects entries. Its query is a `jq` program over `views/entries.jsonl` that shares no code with what is done here;
//! a test runs both over one log and compares. A question that needs a part of the body which the bundle does not show is not
//! answered from the rest: what is withheld is counted beside the answer.

mod list;

use super::known::FACTORS;
use super::row::Row;
use crate::body::Group;
use crate::leaf::Kind;

pub(super) use list::CHECKS;

/// One question.
#[derive(Debug)]
pub(super) struct Check {
    /// Short name.
    pub(super) id: &'static str,
    /// The answer's label: a noun phrase.
    pub(super) title: &'static str,
    pub(super) role: Role,
    /// Kinds of entries it is about.
    pub(super) kinds: &'static [Kind],
    /// The group of the body it looks into.
    pub(super) needs: Option<Group>,
    pub(super) way: Way,
}

/// What the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A figure.
    Figure,
    /// Entries in which the control did its work; listed, because somebody should know of them.
    Worked,
    /// Entries about which a reader should ask the operator.
    Ask,
}

/// How entries are selected, and what is made of them.
#[derive(Debug)]
pub(super) enum Way {
    /// Those of the kinds.
    All,
    /// Those for which a condition holds, and the same condition for `jq`.
    If(fn(&Row) -> bool, &'static str),
    /// Those for which it does not hold.
    Unless(fn(&Row) -> bool, &'static str),
    /// Those for which a condition holds and to which no later entry of the range with the other condition points.
    Unanswered {
        condition: fn(&Row) -> bool,
        jq: &'static str,
        by: &'static [Kind],
    },
    /// Those whose text differs from that of the one before of the same kind in the range.
    Changed(Group, &'static str),
    /// The sum of a number over the entries.
    Sum(fn(&Row) -> u64, &'static str),
    /// How many different texts there are.
    Distinct(fn(&Row) -> Vec<String>, &'static str),
}

impl Check {
    /// Whether an entry is one that the question is about.
    pub(super) fn concerns(&self, row: &Row) -> bool {
        self.kinds.contains(&row.header.kind)
    }

    /// Whether what is shown of it is enough to judge it.
    pub(super) fn can_judge(&self, row: &Row) -> bool {
        self.needs.is_none_or(|group| row.shows(group))
    }

    /// The `jq` command over `entries.jsonl`: the answer of a figure, the indices for the others.
    pub(super) fn command(&self) -> String {
        let slurp = |program: String| format!("jq -s '{program}' entries.jsonl");
        let select = match &self.way {
            Way::All | Way::Sum(..) | Way::Distinct(..) | Way::Changed(..) => select(self.kinds, ""),
            Way::If(_, condition) => select(self.kinds, condition),
            Way::Unless(_, condition) => {
                let shown = self.needs.map_or_else(String::new, |group| format!(".{} and ", group.as_str()));
                select(self.kinds, &format!("{shown}({condition} | not)"))
            }
            Way::Unanswered { jq, .. } => {
                let unanswered = "$answered[.index | tostring] | not";
                let condition = if jq.is_empty() {
                    unanswered.to_owned()
                } else {
                    format!("{jq} and ({unanswered})")
                };
                select(self.kinds, &condition)
            }
        };
        match &self.way {
            Way::Changed(group, member) => {
                let text = format!(".{}.{member}", group.as_str());
                slurp(format!(
                    "map({select}) | . as $loads | range(1; length) | select($loads[.]{text} != $loads[. - 1]{text}) | $loads[.].index"
                ))
            }
            Way::Sum(_, number) => slurp(format!("map({select} | {number}) | add // 0")),
            Way::Distinct(_, text) => slurp(format!("map({select} | {text}) | unique | length")),
            Way::Unanswered { by, .. } => {
                let answered = format!(
                    "(map({} | .refs[]? | {{(tostring): true}}) | add // {{}}) as $answered",
                    self::select(by, "")
                );
                slurp(match self.role {
                    Role::Figure => format!("{answered} | map({select}) | length"),
                    Role::Worked | Role::Ask => format!("{answered} | .[] | {select} | .index"),
                })
            }
            Way::All | Way::If(..) | Way::Unless(..) => match self.role {
                Role::Figure => slurp(format!("map({select}) | length")),
                Role::Worked | Role::Ask => format!("jq '{select} | .index' entries.jsonl"),
            },
        }
    }

    /// The search that shows the same entries at the broker, and perhaps more of the kind.
    pub(super) fn search(&self) -> Option<&'static str> {
        match self.kinds {
            [kind] => Some(kind.as_str()),
            [first, rest @ ..] if rest.iter().all(|kind| kind.family() == first.family()) => Some(first.family()),
            _ => None,
        }
    }
}

/// Selects entries of these kinds for which a condition holds.
fn select(kinds: &[Kind], condition: &str) -> String {
    let of_kind = match kinds {
        [kind] => format!(".kind == \"{}\"", kind.as_str()),
        kinds if kinds.len() == Kind::ALL.len() => String::new(),
        kinds => {
            let names: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.as_str())).collect();
            format!("(.kind | IN({}))", names.join(", "))
        }
    };
    match (of_kind.is_empty(), condition.is_empty()) {
        (true, true) => ".".to_owned(),
        (true, false) => format!("select({condition})"),
        (false, true) => format!("select({of_kind})"),
        (false, false) => format!("select({of_kind} and ({condition}))"),
    }
}

/// The condition of [`super::known::is_mfa`] for `jq`.
pub(super) const JQ_MFA: &str = r#"any(.who.amr[]?; . == "mfa") or ([any(.who.amr[]?; IN("kba", "pin", "pwd")), any(.who.amr[]?; IN("fido", "hwk", "otp", "pop", "sc", "sms", "swk", "tel")), any(.who.amr[]?; IN("face", "fpt", "iris", "retina", "vbm"))] | map(select(.)) | length >= 2)"#;

const _: () = assert!(FACTORS.len() == 3, "JQ_MFA names three sorts of factors");
