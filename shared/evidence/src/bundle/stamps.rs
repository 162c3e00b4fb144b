//! Time stamps in a bundle: which there are, who made them, and what they say about the entries around them.
//!
//! A stamp over a checkpoint says that every entry below its size existed at its time. An `anchor.observe` entry that names the
//! stamp says that every entry after it was made later. Between the two stands what the log's own clock may say.

use std::io::{Read, Seek};
use std::ops::Range;

use super::archive::{Archive, Stop};
use super::verdict::{Findings, STAMPED, TERMS};
use crate::body::Group;
use crate::checkpoint::SignedCheckpoint;
use crate::disclosed::Disclosed;
use crate::encode::{from_hex_32, sha256_hex, unb64_32};
use crate::leaf::Kind;
use crate::merkle::Hash;
use crate::timestamp::{Certificate, StampError, TOLERANCE_MS, Token};

/// Time stamps in a bundle at most.
pub const STAMPS_MAX: usize = 64;
/// A member that holds a checkpoint or a time stamp is no longer than this.
const BYTES_MAX: u64 = 128 * 1024;

/// The sizes whose stamps a bundle of entries from `from` on carries, of those that are at or below its head, ascending: the newest at
/// or below the start, and all above it. Of more than [`STAMPS_MAX`], so many that lie evenly between the first and the last.
#[must_use]
pub fn chosen_stamps(from: u64, stamped: &[u64]) -> Vec<u64> {
    let first = stamped.partition_point(|size| *size <= from).saturating_sub(1);
    let fitting = stamped.get(first..).unwrap_or_default();
    let Some(gaps) = fitting.len().checked_sub(1).filter(|_| fitting.len() > STAMPS_MAX) else {
        return fitting.to_vec();
    };
    let places = (0..STAMPS_MAX).map(|n| n * gaps / (STAMPS_MAX - 1));
    places.filter_map(|place| fitting.get(place).copied()).collect()
}

/// Name of the member that holds the checkpoint of this size.
pub(super) fn checkpoint_name(size: u64) -> String {
    format!("tsa/{size:012}.checkpoint")
}

/// Name of the member that holds the time stamp over it.
pub(super) fn token_name(size: u64) -> String {
    format!("tsa/{size:012}.tsr")
}

/// What the time stamps of a bundle say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// How many it carries.
    pub carried: u64,
    /// Those that are by an authority the auditor names, and good.
    pub believed: u64,
    /// The newest of these: the entries below this size existed at this time, ms since 1970.
    pub newest: Option<(u64, i64)>,
    /// Entries of the range that it covers.
    pub covered: u64,
}

impl Stamps {
    pub(super) fn of(stamped: &[Stamped], range: Range<u64>) -> Self {
        let mut believed = stamped.iter().filter(|stamp| stamp.believed);
        let (carried, judged) = (stamped.len() as u64, believed.clone().count() as u64);
        let newest = believed.next_back().map(|stamp| (stamp.size(), stamp.time_ms));
        Self {
            carried,
            believed: judged,
            newest,
            covered: newest.map_or(0, |(size, _)| size.min(range.end).saturating_sub(range.start)),
        }
    }
}

/// A checkpoint and the time stamp over it.
pub(super) struct Stamped {
    pub(super) checkpoint: SignedCheckpoint,
    token: Vec<u8>,
    time_ms: i64,
    accuracy_ms: i64,
    believed: bool,
}

impl Stamped {
    /// Takes all of them, in order of their sizes.
    pub(super) fn take_all<S: Read + Seek>(archive: &mut Archive<S>) -> Result<Vec<Self>, Stop> {
        let names = archive.members().iter().map(|member| &*member.name);
        // Whatever has another name is left over, and does not belong.
        let mut sizes: Vec<u64> = names
            .filter_map(|name| {
                let size = name.strip_prefix("tsa/")?.strip_suffix(".tsr")?.parse().ok()?;
                (token_name(size) == name).then_some(size)
            })
            .collect();
        if sizes.len() > STAMPS_MAX {
            return Err("the bundle carries too many time stamps".into());
        }
        sizes.sort_unstable();
        sizes.into_iter().map(|size| Self::take(archive, size)).collect()
    }

    fn take<S: Read + Seek>(archive: &mut Archive<S>, size: u64) -> Result<Self, Stop> {
        let checkpoint = archive.take_text(&checkpoint_name(size), BYTES_MAX)?;
        let checkpoint = SignedCheckpoint::parse(&checkpoint)
            .ok()
            .filter(|signed| signed.unverified().size == size);
        let checkpoint = checkpoint.ok_or("a stamped checkpoint is malformed")?;
        let token = archive.take(&token_name(size)).ok_or("a member is missing")?;
        let token = archive.read(&token, BYTES_MAX)?;
        let read = Token::parse_stored(&token).map_err(|_| "a time stamp is malformed")?;
        if !read.is_over(checkpoint.unverified().to_text().as_bytes()) {
            return Err("a time stamp is over something else than the checkpoint beside it".into());
        }
        let (time_ms, accuracy_ms) = (read.time_ms(), read.accuracy_ms());
        Ok(Self {
            checkpoint,
            token,
            time_ms,
            accuracy_ms,
            believed: false,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.checkpoint.unverified().size
    }

    /// Judges it, if it says that it is by one of these authorities; any other is nobody's whom the auditor knows.
    pub(super) fn judge(&mut self, authorities: &[Certificate]) -> Result<(), StampError> {
        let token = Token::parse_stored(&self.token)?;
        let mut claimed = authorities.iter().filter(|authority| token.claims(authority)).peekable();
        if claimed.peek().is_none() {
            return Ok(());
        }
        // A renewed certificate may have the same key identifier as the one before it.
        let mut answer = Err(StampError::Signer);
        for authority in claimed {
            answer = match (answer, token.verify(authority)) {
                (Ok(()), _) | (_, Ok(())) => Ok(()),
                (Err(StampError::Signer), fault) => fault,
                (fault, _) => fault,
            };
        }
        self.believed = answer.is_ok();
        answer
    }
}

/// What the stamps say about the entries, which pass in order.
pub(super) struct Brackets {
    stamped: Vec<Stamped>,
    /// For each stamp, the latest time of the entries below it: the least of what it and all later ones say.
    latest_ms: Vec<i64>,
    /// The first stamp above the entry.
    at: usize,
}

impl Brackets {
    pub(super) fn new(stamped: Vec<Stamped>) -> Self {
        let mut latest_ms: Vec<i64> = Vec::with_capacity(stamped.len());
        for stamp in stamped.iter().rev() {
            let after = latest_ms.last().copied().unwrap_or(i64::MAX);
            let own = stamp.time_ms.saturating_add(stamp.accuracy_ms).saturating_add(TOLERANCE_MS);
            latest_ms.push(if stamp.believed { own.min(after) } else { after });
        }
        latest_ms.reverse();
        Self { stamped, latest_ms, at: 0 }
    }

    /// Holds the next entry in log order against the stamps.
    pub(super) fn admit(&mut self, entry: &Disclosed<'_>, findings: &mut Findings) {
        while self.stamped.get(self.at).is_some_and(|stamp| stamp.size() <= entry.index) {
            self.at += 1;
        }
        if self.latest_ms.get(self.at).is_some_and(|latest| entry.t > *latest) {
            findings.fault(STAMPED, Some(entry.index), "it is dated later than a time stamp that covers it");
        }
        if entry.kind == Kind::AnchorObserve && entry.shows(Group::What) {
            match Anchor::of(entry) {
                None => findings.fault(TERMS, Some(entry.index), "it does not say what was observed"),
                Some(anchor) => {
                    if anchor.time_ms.saturating_sub(TOLERANCE_MS) > entry.t {
                        findings.fault(TERMS, Some(entry.index), "it is dated earlier than what it observed");
                    }
                    self.compare(entry.index, &anchor, findings);
                }
            }
        }
    }

    /// A stamp that the bundle carries is the one that was observed.
    fn compare(&self, index: u64, anchor: &Anchor, findings: &mut Findings) {
        let Ok(at) = self.stamped.binary_search_by_key(&anchor.size, Stamped::size) else {
            return;
        };
        let Some(stamp) = self.stamped.get(at) else { return };
        if anchor.root != stamp.checkpoint.unverified().root {
            findings.fault(TERMS, Some(index), "it observed another tree than the bundle shows at that size");
        }
        let same = sha256_hex(&stamp.token) == anchor.sha256 && stamp.time_ms == anchor.time_ms;
        if anchor.stamp && !same {
            findings.fault(TERMS, Some(index), "it observed another time stamp than the one the bundle carries");
        }
    }
}

/// What an `anchor.observe` entry says was observed.
struct Anchor {
    /// A time stamp; else a cosignature.
    stamp: bool,
    size: u64,
    root: Hash,
    sha256: String,
    time_ms: i64,
}

impl Anchor {
    fn of(entry: &Disclosed<'_>) -> Option<Self> {
        let text = |name| entry.text(Group::What, name);
        let anchor = Self {
            stamp: match &*text("anchor")? {
                "rfc3161" => true,
                "witness" => false,
                _ => return None,
            },
            size: entry.number(Group::What, "size")?,
            root: unb64_32(&text("root")?).ok()?,
            sha256: text("sha256").filter(|hex| from_hex_32(hex).is_ok())?.into_owned(),
            time_ms: i64::try_from(entry.number(Group::What, "time_ms")?).ok()?,
        };
        (anchor.size <= entry.index).then_some(anchor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamps_of_a_bundle_reach_from_its_start_to_its_head() {
        assert_eq!(chosen_stamps(5, &[]), [0; 0]);
        assert_eq!(chosen_stamps(5, &[9]), [9]);
        assert_eq!(chosen_stamps(5, &[2, 5, 9]), [5, 9]);
        assert_eq!(chosen_stamps(5, &[2, 4]), [4]);
        assert_eq!(chosen_stamps(0, &[1, 2]), [1, 2]);
        let many: Vec<u64> = (1..=1000).collect();
        let chosen = chosen_stamps(10, &many);
        assert_eq!((chosen.len(), chosen.first(), chosen.last()), (STAMPS_MAX, Some(&10), Some(&1000)));
        assert!(chosen.windows(2).all(|pair| pair.first() < pair.last()));
        let exactly: Vec<u64> = (1..=STAMPS_MAX as u64).collect();
        assert_eq!(chosen_stamps(0, &exactly), exactly);
    }
}
