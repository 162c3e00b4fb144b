//! What a verification says: one answer, the claims it consists of, and what speaks against each.

use std::collections::BTreeMap;

use super::stamps::Stamps;

/// True, false, or cannot tell. There is no "true, but".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every claim of the bundle's level holds.
    True,
    /// At least one claim does not hold.
    False,
    /// Nothing speaks against it, but something needed to judge is not known to the auditor.
    CannotTell,
}

impl Answer {
    /// `true`, `false` or `cannot_tell`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::True => "true",
            Answer::False => "false",
            Answer::CannotTell => "cannot_tell",
        }
    }

    /// Exit code of a program that asks.
    #[must_use]
    pub fn exit(self) -> u8 {
        match self {
            Answer::True => 0,
            Answer::False => 1,
            Answer::CannotTell => 2,
        }
    }
}

/// One thing a bundle of a level claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Short name; faults carry it.
    pub id: &'static str,
    /// In a sentence.
    pub text: &'static str,
    /// Whether it holds.
    pub answer: Answer,
}

/// What speaks against a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The claim.
    pub claim: &'static str,
    /// The entry, where it is about one.
    pub index: Option<u64>,
    /// In a sentence.
    pub what: String,
}

/// Figures of the range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries in the range.
    pub entries: u64,
    /// Of these, opened as far as the level goes.
    pub opened: u64,
    /// Shown by their header only.
    pub header_only: u64,
    /// Erased.
    pub erased: u64,
    /// Disposed of.
    pub disposed: u64,
    /// Entries outside the range that it rests on.
    pub context: u64,
    /// By kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Deliveries that ended `done`, where outcomes are opened.
    pub deliveries_done: u64,
    /// Rows released, where outcomes are opened.
    pub rows_released: u64,
    /// Bytes released, where outcomes are opened.
    pub bytes_released: u64,
    /// Intents without an outcome at the end of the range: deliveries under way.
    pub intents_open: u64,
    /// Signatures of people checked.
    pub signatures: u64,
}

/// The result of verifying a bundle.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The answer.
    pub answer: Answer,
    /// Origin the bundle names.
    pub origin: String,
    /// Disclosure level.
    pub level: u8,
    /// First index.
    pub from: u64,
    /// One past the last index.
    pub to: u64,
    /// Size of the head checkpoint.
    pub head: u64,
    /// What the export was filtered by, canonical JSON.
    pub filter: Option<String>,
    /// Whether it carries views.
    pub views: bool,
    /// Claims of the level, each with its own answer.
    pub claims: Vec<Claim>,
    /// What speaks against them, the first hundred.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub faults_total: u64,
    /// What the auditor would need to know to judge.
    pub unknowns: Vec<Fault>,
    /// Figures.
    pub counts: Counts,
    /// What the time stamps say.
    pub stamps: Stamps,
}

/// Faults and unknowns while they are found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Fault>,
    pub(super) faults_total: u64,
    pub(super) unknowns: Vec<Fault>,
    faulty: Vec<&'static str>,
}

/// Findings listed at most, of each sort.
pub(super) const LISTED_MAX: usize = 100;

impl Findings {
    pub(super) fn fault(&mut self, claim: &'static str, index: Option<u64>, what: impl Into<String>) {
        self.faults_total += 1;
        if !self.faulty.contains(&claim) {
            self.faulty.push(claim);
        }
        if self.faults.len() < LISTED_MAX {
            self.faults.push(Fault {
                claim,
                index,
                what: what.into(),
            });
        }
    }

    pub(super) fn unknown(&mut self, claim: &'static str, what: impl Into<String>) {
        let unknown = Fault {
            claim,
            index: None,
            what: what.into(),
        };
        if self.unknowns.len() < LISTED_MAX && !self.unknowns.contains(&unknown) {
            self.unknowns.push(unknown);
        }
    }

    pub(super) fn answer(&self) -> Answer {
        match (self.faults_total, self.unknowns.is_empty()) {
            (1.., _) => Answer::False,
            (0, false) => Answer::CannotTell,
            (0, true) => Answer::True,
        }
    }

    pub(super) fn answer_of(&self, claim: &str) -> Answer {
        if self.faulty.contains(&claim) {
            Answer::False
        } else if self.unknowns.iter().any(|unknown| unknown.claim == claim) {
            Answer::CannotTell
        } else {
            Answer::True
        }
    }
}

/// Claims of every level: name, level from which it is made, sentence.
pub(super) const CLAIMS: &[(&str, u8, &str)] = &[
    (
        FORMAT,
        0,
        "The bundle is in its one form, and its statement, signed by the log's key, covers every byte.",
    ),
    (HEAD, 0, "The head checkpoint is of the trusted log and signed by a trusted key."),
    (
        WITNESSED,
        0,
        "A quorum of the witnesses that the auditor believes vouches for the head.",
    ),
    (
        STAMPED,
        0,
        "An authority that the auditor believes has stamped a checkpoint which covers the range but for entries at its end, no more of them than the auditor accepts, and no entry it covers is dated later.",
    ),
    (
        APPEND_ONLY,
        0,
        "The head extends the start of the range and the last checkpoint the auditor has seen: nothing was removed or rewritten.",
    ),
    (
        COMPLETE,
        1,
        "The rows are all entries of the range: folded, they lead to the signed head. None is withheld that was asked for.",
    ),
    (
        ORDER,
        1,
        "Times never go back, and every entry points only to earlier ones of the right kind.",
    ),
    (
        CLOSURE,
        1,
        "Every outcome has one intent, every intent a grant and a session, every grant its request and approvals by others than the requester.",
    ),
    (VIEWS, 1, "Views and policies beside the rows are exactly those the rows give."),
    (
        TERMS,
        2,
        "Every grant has the approvals its request needed; every delivery applied the masks that were approved; figures add up.",
    ),
    (
        PEOPLE,
        3,
        "Pseudonyms stand for one person each; approvals are by distinct people, none of them the requester.",
    ),
    (
        SIGNATURES,
        4,
        "Requests and verdicts were signed by the people themselves and say what the log says.",
    ),
];

pub(super) const FORMAT: &str = "format";
pub(super) const HEAD: &str = "head";
/// Claimed only where the auditor names witnesses.
pub(super) const WITNESSED: &str = "witnessed";
/// Claimed only where the auditor names authorities.
pub(super) const STAMPED: &str = "stamped";
pub(super) const APPEND_ONLY: &str = "append_only";
pub(super) const COMPLETE: &str = "complete";
pub(super) const ORDER: &str = "order";
pub(super) const CLOSURE: &str = "closure";
pub(super) const VIEWS: &str = "views";
pub(super) const TERMS: &str = "terms";
pub(super) const PEOPLE: &str = "people";
pub(super) const SIGNATURES: &str = "signatures";
