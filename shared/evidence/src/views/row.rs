//! One entry as a view reads it.

use serde_json::Value;

use crate::body::{Body, Group};
use crate::bundle::open_groups;
use crate::leaf::{Header, Leaf};
use crate::merkle::Hash;

/// An entry with the opened part of its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index in the log.
    pub index: u64,
    /// RFC 6962 hash of the leaf.
    pub hash: Hash,
    /// The open part.
    pub header: Header,
    /// What of the body is shown.
    pub shown: Shown,
    /// The groups that are shown; others read as absent.
    pub body: Body,
}

/// What of a body is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// All groups.
    Full,
    /// These groups.
    Partly(Vec<Group>),
    /// Nothing.
    Header,
    /// Nothing is left: it was erased under the entry of this index.
    Erased(u64),
    /// Nothing is left: it was disposed of under the entry of this index.
    Disposed(u64),
}

/// What is left of a body where it is kept.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives until its row is made; boxing would allocate for each"
)]
pub enum Kept {
    /// All of it.
    Body(Body),
    /// Nothing: it was erased under the entry of this index.
    Erased(u64),
    /// Nothing: it was disposed of under the entry of this index.
    Disposed(u64),
}

impl Shown {
    /// The word in `views/entries.jsonl`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Shown::Full => "full",
            Shown::Partly(_) => "partly",
            Shown::Header => "header",
            Shown::Erased(_) => "erased",
            Shown::Disposed(_) => "disposed",
        }
    }
}

impl Row {
    /// An entry as a bundle of this level shows it: for those who read the log itself.
    #[must_use]
    pub fn at_level(index: u64, leaf: Leaf, kept: Kept, level: u8) -> Self {
        let open = open_groups(level, leaf.header.kind);
        let (shown, body) = match kept {
            Kept::Erased(by) => (Shown::Erased(by), Body::new()),
            Kept::Disposed(by) => (Shown::Disposed(by), Body::new()),
            Kept::Body(_) if open.is_empty() => (Shown::Header, Body::new()),
            Kept::Body(body) if open.len() == Group::ALL.len() => (Shown::Full, body),
            Kept::Body(body) => {
                let opened = open.iter().map(|group| (*group, body.get(*group).clone()));
                let opened = opened.fold(Body::new(), |opened, (group, value)| opened.with(group, value));
                (Shown::Partly(open.to_vec()), opened)
            }
        };
        Self {
            index,
            hash: leaf.hash(),
            header: leaf.header,
            shown,
            body,
        }
    }

    /// Whether a group is shown (and, possibly, absent).
    #[must_use]
    pub fn shows(&self, group: Group) -> bool {
        match &self.shown {
            Shown::Full => true,
            Shown::Partly(groups) => groups.contains(&group),
            Shown::Header | Shown::Erased(_) | Shown::Disposed(_) => false,
        }
    }

    /// A member of a shown group; null when absent.
    pub(super) fn get(&self, group: Group, member: &str) -> &Value {
        const NOTHING: &Value = &Value::Null;
        self.body.get(group).get(member).unwrap_or(NOTHING)
    }

    pub(super) fn text(&self, group: Group, member: &str) -> Option<&str> {
        self.get(group, member).as_str()
    }

    pub(super) fn number(&self, group: Group, member: &str) -> Option<u64> {
        self.get(group, member).as_u64()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, group: Group, member: &str) -> impl Iterator<Item = &str> {
        self.items(group, member).iter().filter_map(Value::as_str)
    }

    pub(super) fn items(&self, group: Group, member: &str) -> &[Value] {
        self.get(group, member).as_array().map_or(&[], Vec::as_slice)
    }

    /// The columns of an intent or outcome, with their masks.
    pub(super) fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        self.items(Group::Mask, "columns").iter().map(|column| Column {
            class: column.get("class").and_then(Value::as_str),
            mask: column.get("mask").and_then(Value::as_str).unwrap_or_default(),
            values: column.get("values").and_then(Value::as_u64).unwrap_or_default(),
            altered: column.get("altered").and_then(Value::as_u64).unwrap_or_default(),
            name: column.get("column").and_then(Value::as_str).unwrap_or_default(),
            dataset: column.get("dataset").and_then(Value::as_str).unwrap_or_default(),
        })
    }
}

/// What went through one column of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) dataset: &'a str,
    pub(super) name: &'a str,
    pub(super) class: Option<&'a str>,
    pub(super) mask: &'a str,
    pub(super) values: u64,
    pub(super) altered: u64,
}

/// The mask that changes nothing.
pub(super) const MASK_OPEN: &str = "open";

impl Column<'_> {
    /// A column with a class that was delivered as it is.
    pub(super) fn is_revealed(&self) -> bool {
        self.class.is_some() && self.mask == MASK_OPEN
    }
}
