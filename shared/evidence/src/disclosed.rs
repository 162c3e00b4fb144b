//! Entries as somebody outside sees them: headers, and of the bodies whatever was opened to them.
//!
//! Opening is checked here and nowhere else: whatever a [`Disclosed`] shows is what its leaf's body root commits to, and its
//! hash is that of the leaf. Entries are read into pages, some thousand at a time, so that reading one allocates nothing.

use std::borrow::Cow;
use std::ops::Range;

use crate::body::{EntryKey, GROUPS, Group};
use crate::commit::{Committer, Groups, decode_disclosure, open, root_of};
use crate::encode::sha256;
use crate::leaf::{Decision, Kind, ReadHeader, write_leaf};
use crate::merkle::{Hash, leaf_hash};
use crate::scan::{Raw, unescape_into};

/// An entry with the opened part of its body, as it stands in its page.
#[derive(Clone, Copy)]
pub(crate) struct Disclosed<'a> {
    pub(crate) index: u64,
    pub(crate) kind: Kind,
    pub(crate) t: i64,
    pub(crate) dec: Option<Decision>,
    pub(crate) pol: Option<u64>,
    pub(crate) act: Option<&'a str>,
    pub(crate) sid: Option<&'a str>,
    pub(crate) ds: Option<&'a str>,
    pub(crate) refs: &'a [u64],
    pub(crate) opened: Opened,
    /// Of the leaf.
    pub(crate) hash: &'a Hash,
    /// Opened groups are slices of this text.
    text: &'a str,
    groups: &'a [Span; GROUPS],
}

/// What of the body is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// All groups.
    Full,
    /// The groups of this set.
    Partly(GroupSet),
    /// Nothing: only the body root is there.
    Header,
    /// Nothing is left: the body was erased under the entry of this index.
    Erased(u64),
    /// Nothing is left: the body was disposed of under the entry of this index.
    Disposed(u64),
}

/// A set of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupSet(u8);

impl GroupSet {
    pub(crate) const ALL: GroupSet = GroupSet(0xff);

    pub(crate) fn of(groups: &[Group]) -> Self {
        groups.iter().fold(Self::default(), |set, group| set.with(*group))
    }

    pub(crate) fn has(self, group: Group) -> bool {
        self.0 >> group.number() & 1 == 1
    }

    fn with(self, group: Group) -> Self {
        Self(self.0 | 1 << group.number())
    }
}

/// Why an opening is refused.
pub(crate) type OpenFault = &'static str;

impl<'a> Disclosed<'a> {
    /// Whether a group is opened (and, possibly, absent).
    pub(crate) fn shows(&self, group: Group) -> bool {
        match self.opened {
            Opened::Full => true,
            Opened::Partly(set) => set.has(group),
            Opened::Header | Opened::Erased(_) | Opened::Disposed(_) => false,
        }
    }

    /// An opened group; others read as absent.
    pub(crate) fn group(&self, group: Group) -> Option<Raw<'a>> {
        let span = self.groups.get(usize::from(group.number()))?;
        self.text.get(span.from..span.to).filter(|text| !text.is_empty()).map(Raw::known)
    }

    /// A member of an opened group.
    pub(crate) fn member(&self, group: Group, name: &str) -> Option<Raw<'a>> {
        self.group(group)?.get(name)
    }

    /// A text member of an opened group.
    pub(crate) fn text(&self, group: Group, name: &str) -> Option<Cow<'a, str>> {
        self.member(group, name)?.as_str()
    }

    /// Whether a member of an opened group is exactly this text.
    pub(crate) fn says(&self, group: Group, name: &str, text: &str) -> bool {
        self.text(group, name).is_some_and(|found| found == text)
    }

    /// A number member of an opened group.
    pub(crate) fn number(&self, group: Group, name: &str) -> Option<u64> {
        self.member(group, name)?.as_u64()
    }

    /// Which chunk an intent reads, and of how many of which moment of the source where it is not the whole; nothing where it does not say
    /// so in full.
    pub(crate) fn chunk(&self) -> Option<(u64, Option<(u64, Cow<'a, str>)>)> {
        let chunk = self.number(Group::What, "chunk")?;
        match (self.member(Group::What, "chunks"), self.member(Group::What, "snapshot")) {
            (None, None) => (chunk == 0).then_some((0, None)),
            (Some(chunks), Some(snapshot)) => {
                let (chunks, snapshot) = (chunks.as_u64()?, snapshot.as_str()?);
                let hex = snapshot.len() == 32 && snapshot.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                (hex && chunks > 1 && chunk < chunks).then_some((chunk, Some((chunks, snapshot))))
            }
            _ => None,
        }
    }
}

/// Many entries, each read and checked.
#[derive(Default)]
pub(crate) struct Page {
    /// What opened groups and decoded header texts are slices of.
    text: String,
    refs: Vec<u64>,
    entries: Vec<Entry>,
    committer: Committer,
    leaf: String,
}

/// An entry in its page, as places in the page's text.
struct Entry {
    index: u64,
    t: i64,
    pol: Option<u64>,
    kind: Kind,
    dec: Option<Decision>,
    opened: Opened,
    act: Span,
    sid: Span,
    ds: Span,
    refs: Range<usize>,
    groups: [Span; GROUPS],
    hash: Hash,
}

/// A place in a page's text; empty for what is absent.
#[derive(Clone, Copy, Default)]
struct Span {
    from: usize,
    to: usize,
}

/// What a body is given as: who reads an entry says what it found.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives until the next line is read; boxing would allocate for each"
)]
pub(crate) enum Given<'r> {
    /// All of it.
    Full { rk: EntryKey, groups: Groups<'r> },
    /// Disclosures of some groups and digests of the others; each group is in exactly one of the two.
    Partly {
        disclosures: [Option<Cow<'r, str>>; GROUPS],
        digests: [Option<Hash>; GROUPS],
    },
    /// Only its root.
    Header(Hash),
    /// Its root, and the entry that erased it.
    Erased(Hash, u64),
    /// Its root, and the entry that disposed of it.
    Disposed(Hash, u64),
}

impl Page {
    /// An empty page for entries that stand in a text of this length.
    pub(crate) fn for_text(length: usize) -> Self {
        Self {
            text: String::with_capacity(length),
            ..Self::default()
        }
    }

    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry at a place in the page.
    pub(crate) fn get(&self, at: usize) -> Option<Disclosed<'_>> {
        let entry = self.entries.get(at)?;
        let text = |span: Span| self.text.get(span.from..span.to).filter(|text| !text.is_empty());
        Some(Disclosed {
            index: entry.index,
            kind: entry.kind,
            t: entry.t,
            dec: entry.dec,
            pol: entry.pol,
            act: text(entry.act),
            sid: text(entry.sid),
            ds: text(entry.ds),
            refs: self.refs.get(entry.refs.clone()).unwrap_or_default(),
            opened: entry.opened,
            hash: &entry.hash,
            text: &self.text,
            groups: &entry.groups,
        })
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Disclosed<'_>> {
        (0..self.entries.len()).filter_map(|at| self.get(at))
    }

    /// The leaf hashes in order.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.entries.iter().map(|entry| &entry.hash)
    }

    /// Adds an entry from its header's text and what of its body is given.
    pub(crate) fn add(&mut self, index: u64, header: &str, given: Given<'_>) -> Result<(), OpenFault> {
        let (root, opened, groups) = match given {
            Given::Full { rk, groups } => {
                let root = self.committer.root(&rk, &groups);
                (root, Opened::Full, groups.map(|group| self.keep(group.map_or("", Raw::text))))
            }
            Given::Partly { disclosures, digests } => self.open(&disclosures, &digests)?,
            Given::Header(root) => (root, Opened::Header, [Span::default(); GROUPS]),
            Given::Erased(root, by) => (root, Opened::Erased(by), [Span::default(); GROUPS]),
            Given::Disposed(root, by) => (root, Opened::Disposed(by), [Span::default(); GROUPS]),
        };
        let first = self.refs.len();
        let read = ReadHeader::parse(header, &mut self.refs).map_err(|_| "the header is malformed")?;
        self.leaf.clear();
        write_leaf(&mut self.leaf, header, &root);
        let entry = Entry {
            index,
            t: read.t,
            pol: read.pol,
            kind: read.kind,
            dec: read.dec,
            opened,
            act: self.keep_unescaped(read.act),
            sid: self.keep_unescaped(read.sid),
            ds: self.keep_unescaped(read.ds),
            refs: first..self.refs.len(),
            groups,
            hash: leaf_hash(self.leaf.as_bytes()),
        };
        self.entries.push(entry);
        Ok(())
    }

    fn open(
        &mut self,
        disclosures: &[Option<Cow<'_, str>>; GROUPS],
        digests: &[Option<Hash>; GROUPS],
    ) -> Result<(Hash, Opened, [Span; GROUPS]), OpenFault> {
        let mut all = [[0; 32]; GROUPS];
        let mut spans = [Span::default(); GROUPS];
        let mut opened = GroupSet::default();
        let given = disclosures.iter().zip(digests).zip(&mut all).zip(&mut spans);
        for (group, (((disclosure, digest), slot), span)) in Group::ALL.into_iter().zip(given) {
            match (disclosure, digest) {
                (Some(disclosure), None) => {
                    let text = decode_disclosure(disclosure).map_err(|_| "a disclosure is malformed")?;
                    let (of, value) = open(&text).map_err(|_| "a disclosure is malformed")?;
                    if of != group {
                        return Err("a disclosure is of another group than it is filed under");
                    }
                    *slot = sha256(disclosure.as_bytes());
                    opened = opened.with(group);
                    *span = self.keep(value.map_or("", Raw::text));
                }
                (None, Some(digest)) => *slot = *digest,
                (Some(_), Some(_)) => return Err("a group is both opened and given as a digest"),
                (None, None) => return Err("a group is neither opened nor given as a digest"),
            }
        }
        Ok((root_of(&all), Opened::Partly(opened), spans))
    }

    fn keep(&mut self, text: &str) -> Span {
        let from = self.text.len();
        self.text.push_str(text);
        Span { from, to: self.text.len() }
    }

    fn keep_unescaped(&mut self, inner: Option<&str>) -> Span {
        let from = self.text.len();
        if let Some(inner) = inner {
            unescape_into(inner, &mut self.text);
        }
        Span { from, to: self.text.len() }
    }
}

/// The digests and disclosures of an entry that opens these groups, in schema order.
pub(crate) struct Split {
    pub(crate) digests: Vec<(Group, Hash)>,
    pub(crate) disclosures: Vec<(Group, String)>,
}

pub(crate) fn split(committer: &mut Committer, rk: &EntryKey, groups: &Groups<'_>, opened: GroupSet) -> Split {
    let all = committer.digests(rk, groups);
    let (mut digests, mut disclosures) = (Vec::new(), Vec::new());
    for ((group, digest), value) in Group::ALL.into_iter().zip(all).zip(groups) {
        if opened.has(group) {
            disclosures.push((group, committer.disclosure(rk, group, *value)));
        } else {
            digests.push((group, digest));
        }
    }
    Split { digests, disclosures }
}
