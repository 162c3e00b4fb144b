//! One entry as somebody outside sees it: its header, and of its body whatever was opened to them.
//!
//! Opening is checked here and nowhere else: whatever stands in a [`Disclosed`] is what the leaf's body root commits to.

use serde_json::{Map, Value};

use crate::body::{Body, EntryKey, GROUPS, Group, digest_of, open, root_of};
use crate::encode::{b64, unb64_32};
use crate::leaf::Leaf;
use crate::merkle::Hash;

/// An entry with the opened part of its body.
#[derive(Debug, Clone)]
pub(crate) struct Disclosed {
    pub(crate) index: u64,
    pub(crate) leaf: Leaf,
    body: Body,
    opened: Opened,
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
}

/// A set of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupSet(u8);

impl GroupSet {
    pub(crate) const NONE: GroupSet = GroupSet(0);
    pub(crate) const ALL: GroupSet = GroupSet(0xff);

    pub(crate) fn of(groups: &[Group]) -> Self {
        groups.iter().fold(Self::NONE, |set, group| Self(set.0 | 1 << group.number()))
    }

    pub(crate) fn has(self, group: Group) -> bool {
        self.0 >> group.number() & 1 == 1
    }
}

/// Why an opening is refused.
pub(crate) type OpenFault = &'static str;

impl Disclosed {
    /// An entry of which only the header is shown.
    pub(crate) fn header_only(index: u64, header: &str, body_root: Hash) -> Result<Self, OpenFault> {
        Self::new(index, header, body_root, Body::new(), Opened::Header)
    }

    /// An entry whose body was erased.
    pub(crate) fn erased(index: u64, header: &str, body_root: Hash, by: u64) -> Result<Self, OpenFault> {
        Self::new(index, header, body_root, Body::new(), Opened::Erased(by))
    }

    /// An entry that is opened whole.
    pub(crate) fn full(index: u64, header: &str, rk: &EntryKey, groups: Map<String, Value>) -> Result<Self, OpenFault> {
        let body = Body::from_present(groups).map_err(|_| "the body has a group that is unknown or null")?;
        let root = body.root(rk).map_err(|_| "the body is not canonical")?;
        Self::new(index, header, root, body, Opened::Full)
    }

    /// An entry of which some groups are opened and the digests of the others given; each group is in exactly one of the two.
    pub(crate) fn partly<'a>(
        index: u64,
        header: &str,
        disclosures: impl IntoIterator<Item = (&'a str, &'a str)>,
        digests: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, OpenFault> {
        let mut all: [Option<Hash>; GROUPS] = [None; GROUPS];
        let mut put = |group: Group, digest: Hash| match all.get_mut(usize::from(group.number())) {
            Some(slot @ None) => {
                *slot = Some(digest);
                Ok(())
            }
            _ => Err("a group is given twice"),
        };
        let mut body = Body::new();
        let mut opened = Vec::new();
        for (name, disclosure) in disclosures {
            let (group, value) = open(disclosure).map_err(|_| "a disclosure is malformed")?;
            if group.as_str() != name {
                return Err("a disclosure is of another group than it is filed under");
            }
            put(group, digest_of(disclosure))?;
            body.set(group, value);
            opened.push(group);
        }
        for (name, digest) in digests {
            let group = Group::parse(name).ok_or("a digest is of an unknown group")?;
            put(group, unb64_32(digest).map_err(|_| "a digest is malformed")?)?;
        }
        let mut digests = [[0; 32]; GROUPS];
        for (to, from) in digests.iter_mut().zip(all) {
            *to = from.ok_or("a group is neither opened nor given as a digest")?;
        }
        Self::new(index, header, root_of(&digests), body, Opened::Partly(GroupSet::of(&opened)))
    }

    fn new(index: u64, header: &str, body_root: Hash, body: Body, opened: Opened) -> Result<Self, OpenFault> {
        let leaf = Leaf::from_text(header, body_root).map_err(|_| "the header is malformed")?;
        Ok(Self { index, leaf, body, opened })
    }

    /// What of the body is opened.
    pub(crate) fn opened(&self) -> Opened {
        self.opened
    }

    /// Whether a group is opened (and, possibly, absent).
    pub(crate) fn shows(&self, group: Group) -> bool {
        match self.opened {
            Opened::Full => true,
            Opened::Partly(set) => set.has(group),
            Opened::Header | Opened::Erased(_) => false,
        }
    }

    /// The opened groups; others read as absent.
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// A text member of an opened group.
    pub(crate) fn text(&self, group: Group, member: &str) -> Option<&str> {
        self.body.text(group, member)
    }
}

/// The members `d` (digests) and `g` (disclosures) of an entry that opens these groups.
pub(crate) fn split(
    body: &Body,
    rk: &EntryKey,
    open: GroupSet,
) -> Result<(Map<String, Value>, Map<String, Value>), crate::body::BodyError> {
    let (mut digests, mut disclosures) = (Map::new(), Map::new());
    for (group, digest) in Group::ALL.into_iter().zip(body.digests(rk)?) {
        let name = group.as_str().to_owned();
        if open.has(group) {
            disclosures.insert(name, body.disclosure(rk, group)?.into());
        } else {
            digests.insert(name, b64(&digest).into());
        }
    }
    Ok((digests, disclosures))
}
