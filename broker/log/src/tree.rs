//! The Merkle tree over the journal, in memory: 64 bytes an entry, every root, proof and tile in microseconds.
//!
//! It is computed from the journal at start and never stored: there is nothing to disagree with the journal.

use chunk_evidence::merkle::{Frontier, Hash, empty_root, node_hash};
use chunk_evidence::tile::{LEVEL_MAX, TILE_WIDTH};

/// All complete subtrees of a log.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the root of leaves `i·2^k .. (i+1)·2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Appends a leaf hash and gives its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { break };
            nodes.push(node);
            let [.., left, right] = nodes.as_slice() else { break };
            if nodes.len() % 2 == 1 {
                break;
            }
            node = node_hash(left, right);
        }
        index
    }

    /// Root of the first `size` leaves; absent when there are fewer.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        if size == 0 { Some(empty_root()) } else { self.range(0, size) }
    }

    /// Proof that leaf `index` is in the tree of the first `size` leaves.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.edge(size)?.inclusion(index)
    }

    /// The tree of the first `size` leaves, for proofs of many of them; absent when there are fewer.
    #[must_use]
    pub fn edge(&self, size: u64) -> Option<Edge<'_>> {
        if size > self.size() {
            return None;
        }
        let (mut peaks, mut from) = (Vec::new(), 0);
        for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
            let root = self.node(level, from >> level)?;
            peaks.push(Peak {
                from,
                level,
                root,
                rest: root,
            });
            from += 1 << level;
        }
        let mut right: Option<Hash> = None;
        for peak in peaks.iter_mut().rev() {
            if let Some(right) = &right {
                peak.rest = node_hash(&peak.root, right);
            }
            right = Some(peak.rest);
        }
        Some(Edge { tree: self, size, peaks })
    }

    /// Proof that the tree of `to` leaves extends the tree of `from` leaves.
    #[must_use]
    pub fn consistency(&self, from: u64, to: u64) -> Option<Vec<Hash>> {
        if from > to || to > self.size() {
            return None;
        }
        if from == 0 || from == to {
            return Some(Vec::new());
        }
        // RFC 6962 §2.1.2, SUBPROOF, from the top down: `whole` while the subtree is still one the old root tells.
        let (mut low, mut high, mut whole) = (0, to, true);
        let mut proof = Vec::new();
        while from != high {
            let middle = low + split(high - low);
            if from <= middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
                whole = false;
            }
        }
        if !whole {
            proof.push(self.range(low, high)?);
        }
        proof.reverse();
        Some(proof)
    }

    /// The frontier of the first `size` leaves: what a range proof starts from.
    #[must_use]
    pub fn frontier(&self, size: u64) -> Option<Frontier> {
        let nodes = self.edge(size)?.peaks.iter().map(|peak| peak.root).collect();
        Frontier::from_parts(size, nodes).ok()
    }

    /// The bytes of a C2SP hash tile; absent when the tree does not (yet) fill that width.
    #[must_use]
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        if level > LEVEL_MAX || width == 0 || width > TILE_WIDTH {
            return None;
        }
        let from = usize::try_from(index.checked_mul(u64::from(TILE_WIDTH))?).ok()?;
        let nodes = self.levels.get(8 * usize::from(level))?;
        Some(nodes.get(from..from.checked_add(usize::from(width))?)?.concat())
    }

    /// Hash of leaves `from..to`, as RFC 6962 defines it.
    fn range(&self, from: u64, to: u64) -> Option<Hash> {
        let size = to - from;
        if size.is_power_of_two() && from.is_multiple_of(size) {
            return self.node(size.trailing_zeros(), from / size);
        }
        let middle = from + split(size);
        Some(node_hash(&self.range(from, middle)?, &self.range(middle, to)?))
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.levels.get(level as usize)?.get(usize::try_from(index).ok()?).copied()
    }
}

/// A tree of a certain size: the complete subtrees that it consists of, from the left. Whatever is not among the stored nodes lies
/// along its right edge and is hashed once, so that a proof only picks hashes out.
#[derive(Debug)]
pub struct Edge<'t> {
    tree: &'t Tree,
    size: u64,
    peaks: Vec<Peak>,
}

/// A complete subtree.
#[derive(Debug)]
struct Peak {
    /// Its first leaf.
    from: u64,
    level: u32,
    root: Hash,
    /// Root of this one and all to its right.
    rest: Hash,
}

impl Edge<'_> {
    /// Proof that leaf `index` is in the tree.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        if index >= self.size {
            return None;
        }
        let at = self.peaks.partition_point(|peak| peak.from <= index).checked_sub(1)?;
        let (left, rest) = self.peaks.split_at(at);
        let (peak, right) = rest.split_first()?;
        let mut proof = Vec::with_capacity(peak.level as usize + left.len() + 1);
        for level in 0..peak.level {
            proof.push(self.tree.node(level, index >> level ^ 1)?);
        }
        proof.extend(right.first().map(|peak| peak.rest));
        proof.extend(left.iter().rev().map(|peak| peak.root));
        Some(proof)
    }
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod foreign;
#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use chunk_evidence::merkle::{leaf_hash, root, verify_consistency, verify_inclusion};

    fn leaves(n: u64) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn tree(n: u64) -> Tree {
        let mut tree = Tree::new();
        for (index, leaf) in leaves(n).into_iter().enumerate() {
            assert_eq!(tree.push(leaf), index as u64);
        }
        tree
    }

    #[test]
    fn every_root_and_proof_of_a_small_log_verifies() {
        let (tree, all) = (tree(70), leaves(70));
        for size in 0..=70_u64 {
            let top = tree.root(size).unwrap();
            assert_eq!(top, root(&all[..size as usize]));
            assert_eq!(tree.frontier(size).unwrap().root(), top);
            for index in 0..size {
                let proof = tree.inclusion(index, size).unwrap();
                assert_eq!(verify_inclusion(&all[index as usize], index, size, &proof, &top), Ok(()));
            }
            for from in 0..=size {
                let proof = tree.consistency(from, size).unwrap();
                assert_eq!(
                    verify_consistency(from, size, &proof, &tree.root(from).unwrap(), &top),
                    Ok(()),
                    "{from} {size}"
                );
            }
        }
        assert_eq!(tree.root(71), None);
        assert_eq!(tree.inclusion(3, 71), None);
        assert_eq!(tree.inclusion(70, 70), None);
        assert_eq!(tree.consistency(3, 71), None);
        assert_eq!(tree.frontier(71), None);
    }

    #[test]
    fn a_tile_holds_the_hashes_of_its_level() {
        let (tree, all) = (tree(600), leaves(600));
        assert_eq!(tree.tile(0, 0, 256).unwrap(), all[..256].concat());
        assert_eq!(tree.tile(0, 2, 88).unwrap(), all[512..].concat());
        assert_eq!(tree.tile(0, 2, 89), None);
        assert_eq!(tree.tile(1, 0, 2).unwrap(), [root(&all[..256]), root(&all[256..512])].concat());
        assert_eq!(tree.tile(1, 0, 3), None);
        assert_eq!(tree.tile(2, 0, 1), None);
        assert_eq!(tree.tile(0, u64::MAX, 1), None);
    }
}
