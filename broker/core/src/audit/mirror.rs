//! What a copy of the tree elsewhere needs, and whether the tree still extends what stands there.

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::merkle::{Hash, empty_root, verify_consistency};
use chunk_evidence::tile::{LEVEL_MAX, TILE_WIDTH, Tile};
use chunk_wire::problem::Code;

use crate::broker::Broker;
use crate::error::Error;

/// Entries under one full tile of the lowest level.
pub const TILE_ENTRIES: u64 = TILE_WIDTH as u64;

/// The head that a mirror shows next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Entries of the tree.
    pub size: u64,
    /// The checkpoint of that tree, cosigned where witnesses vouch for it.
    pub checkpoint: String,
    /// The checkpoint's path under its date, `checkpoints/2026-11-25/150008Z-42`.
    pub dated: String,
}

/// The newest head that may be shown.
#[must_use]
pub fn shown(broker: &Broker) -> Shown {
    let now_ms = broker.clock.now_ms();
    let shown = broker.witness.shown(&broker.log.published().checkpoint, now_ms);
    let size = shown.unverified().size;
    let date = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    Shown {
        size,
        checkpoint: shown.text().to_owned(),
        dated: format!("checkpoints/{}-{size}", date.strftime("%Y-%m-%d/%H%M%SZ")),
    }
}

/// The root of the tree of the first so many entries, if there are as many.
#[must_use]
pub fn root(broker: &Broker, size: u64) -> Option<Hash> {
    broker.log.with_tree(|tree| tree.root(size))
}

/// Paths of the full tiles that a tree of `to` entries has beyond those of its first `from`; [`super::tile`] gives each.
#[must_use]
pub fn full_tiles(from: u64, to: u64) -> Vec<String> {
    let width = u64::from(TILE_WIDTH);
    let mut paths = Vec::new();
    for level in 0..=LEVEL_MAX {
        let (had, has) = (from >> (8 * level), to >> (8 * level));
        if had == has {
            break;
        }
        let full = |index| Tile::Hashes {
            level,
            index,
            width: TILE_WIDTH,
        };
        paths.extend((had / width..has / width).map(|index| full(index).path()));
    }
    paths
}

/// Paths of the partial tiles of a tree of `to` entries that one of `from` has not.
#[must_use]
pub fn partial_tiles(from: u64, to: u64) -> Vec<String> {
    let mut paths = Vec::new();
    for level in 0..=LEVEL_MAX {
        let (had, has) = (from >> (8 * level), to >> (8 * level));
        if had == has {
            break;
        }
        let (index, width) = (has / u64::from(TILE_WIDTH), has % u64::from(TILE_WIDTH));
        if let Some(width) = u16::try_from(width).ok().filter(|width| *width > 0) {
            paths.push(Tile::Hashes { level, index, width }.path());
        }
    }
    paths
}

/// The size of a checkpoint that somebody kept, if the log is that one still.
///
/// # Errors
/// When the checkpoint is not of this log, or of more entries than there are, or of others.
pub fn extends(broker: &Broker, kept: &str) -> Result<u64, Error> {
    let refused = |what: String| Error::new(Code::EvidenceUnavailable, what);
    let foreign = || refused("It is no checkpoint of this log.".to_owned()).hint("give each broker a mirror folder of its own");
    let kept = SignedCheckpoint::parse(kept).map_err(|_| foreign())?;
    let keys = broker.log_keys();
    let (kept, _) = kept.verify(&keys).map_err(|_| foreign())?;
    let published = broker.log.published();
    let head = published.checkpoint.unverified();
    let again =
        "put the newest copy of the data folder back; if it is lost, `chunk-broker init` begins a new log, and this one can only be read";
    let proof = super::consistency(broker, kept.size, head.size).ok_or_else(|| {
        let (seen, held) = (kept.size, head.size);
        refused(format!("It holds {seen} entries of this log, and the journal holds {held}.")).hint(again)
    })?;
    let same = match kept.size {
        0 => kept.root == empty_root(),
        size => verify_consistency(size, head.size, &proof, &kept.root, &head.root).is_ok(),
    };
    if same {
        Ok(kept.size)
    } else {
        let what = format!("It holds {} entries of this log that are not those of the journal.", kept.size);
        Err(refused(what).hint("keep both for whoever oversees the evidence: the log was rewritten, or continued in two places"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_gets_each_full_tile_once_and_the_partial_ones_of_each_head() {
        let between = |from, to| [full_tiles(from, to), partial_tiles(from, to)].concat();
        assert_eq!(between(0, 1), ["tile/0/000.p/1"]);
        assert_eq!(between(1, 256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(between(256, 257), ["tile/0/001.p/1"]);
        assert_eq!(between(257, 600), ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"]);
        assert_eq!(between(600, 600), [""; 0]);
        let step = [
            between(0, 300),
            full_tiles(300, 65_536),
            full_tiles(65_536, 66_000),
            partial_tiles(300, 66_000),
            between(66_000, 70_000),
        ]
        .concat();
        for path in between(0, 70_000) {
            assert!(step.contains(&path), "{path}");
        }
    }
}
