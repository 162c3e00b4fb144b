//! Whether an entry is in a tree, and whether one tree extends another: RFC 6962 hashing and proofs over SHA-256.
//!
//! Verification follows RFC 9162 §2.1.3.2 and §2.1.4.2 step by step. A proof with a hash too many or too few is refused, so
//! a proof has exactly one accepted form.

use crate::encode::sha256;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Why a proof is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not below the size, or the sizes are in the wrong order.
    #[error("the sizes of the proof do not fit")]
    Size,
    /// The proof has a hash too many or too few.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes do not lead to the root.
    #[error("the proof leads to another root")]
    Root,
}

/// Hash of a leaf's bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&[0]);
    context.update(leaf);
    finish(context)
}

/// Hash of two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    let (_, children) = bytes.split_at_mut(1);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&bytes)
}

/// Root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(b"")
}

/// Root of the tree of these leaf hashes.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// The complete subtrees at a tree's right edge: all that is needed to append and to know the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// A frontier from its size and subtree roots, largest (leftmost) first.
    ///
    /// # Errors
    /// When the number of hashes is not the number of one bits of the size.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Result<Self, ProofError> {
        if nodes.len() == size.count_ones() as usize {
            Ok(Self { size, nodes })
        } else {
            Err(ProofError::Length)
        }
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Subtree roots, largest first.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Appends a complete subtree of `2^level` leaves; the size so far is a multiple of that.
    pub(crate) fn push_subtree(&mut self, level: u32, root: Hash) {
        let mut node = root;
        let mut ones = self.size >> level;
        while ones & 1 == 1 {
            // One node stands for every one bit of the size, so there is one to pop.
            let Some(left) = self.nodes.pop() else { break };
            node = node_hash(&left, &node);
            ones >>= 1;
        }
        self.nodes.push(node);
        self.size += 1 << level;
    }

    /// Root of the tree so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.nodes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }
}

/// The complete subtrees that a stretch of leaves consists of, from the left: level and root of each. The first leaf is of this
/// index. Where a stretch is folded does not matter to the tree, so several can be folded at once.
pub(crate) fn subtrees<'h>(first: u64, leaves: impl IntoIterator<Item = &'h Hash>) -> Vec<(u32, Hash)> {
    let mut stack: Vec<(u32, Hash)> = Vec::new();
    for (index, leaf) in (first..).zip(leaves) {
        let mut node = (0, *leaf);
        // A subtree that ends here is complete when its end is a multiple of its length, and its left half is in the stretch.
        while (index + 1).trailing_zeros() > node.0 {
            match stack.pop() {
                Some((level, left)) if level == node.0 => node = (level + 1, node_hash(&left, &node.1)),
                other => {
                    stack.extend(other);
                    break;
                }
            }
        }
        stack.push(node);
    }
    stack
}

/// Checks that a leaf hash stands at `index` in the tree of `size` with this root.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Size);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last == 0, hash == *root) {
        (false, _) => Err(ProofError::Length),
        (true, false) => Err(ProofError::Root),
        (true, true) => Ok(()),
    }
}

/// Checks that the tree of size `to` extends the tree of size `from`.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(from: u64, to: u64, proof: &[Hash], root_from: &Hash, root_to: &Hash) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Size);
    }
    if from == 0 || from == to {
        // Every tree extends the empty one, and itself; such a proof is empty.
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        let fits = if from == to {
            root_from == root_to
        } else {
            *root_from == empty_root()
        };
        return if fits { Ok(()) } else { Err(ProofError::Root) };
    }
    let mut hashes = proof.iter();
    let (mut node, mut last) = (from - 1, to - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let first = if from.is_power_of_two() {
        *root_from
    } else {
        *hashes.next().ok_or(ProofError::Length)?
    };
    let (mut hash_from, mut hash_to) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash_from = node_hash(sibling, &hash_from);
            hash_to = node_hash(sibling, &hash_to);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash_to = node_hash(&hash_to, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    match (last == 0, hash_from == *root_from && hash_to == *root_to) {
        (false, _) => Err(ProofError::Length),
        (true, false) => Err(ProofError::Root),
        (true, true) => Ok(()),
    }
}

fn finish(context: ring::digest::Context) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::encode::from_hex_32;
    use proptest::prelude::*;

    /// The definitions of RFC 6962 §2.1, word for word: slow, and obviously right.
    pub(crate) fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            many => {
                let k = split(many.len());
                node_hash(&mth(&many[..k]), &mth(&many[k..]))
            }
        }
    }

    fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    pub(crate) fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (mut proof, other) = if m < k {
            (path(m, &leaves[..k]), mth(&leaves[k..]))
        } else {
            (path(m - k, &leaves[k..]), mth(&leaves[..k]))
        };
        proof.push(other);
        proof
    }

    pub(crate) fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        let n = leaves.len();
        if m == n {
            return if whole { Vec::new() } else { vec![mth(leaves)] };
        }
        let k = split(n);
        let (mut proof, other) = if m <= k {
            (subproof(m, &leaves[..k], whole), mth(&leaves[k..]))
        } else {
            (subproof(m - k, &leaves[k..], false), mth(&leaves[..k]))
        };
        proof.push(other);
        proof
    }

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn the_roots_are_those_of_the_certificate_transparency_test_vectors() {
        let data: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let hashes: Vec<Hash> = data.iter().map(|d| leaf_hash(d)).collect();
        for (n, expected) in roots.iter().enumerate() {
            assert_eq!(root(&hashes[..=n]), from_hex_32(expected).unwrap());
        }
    }

    #[test]
    fn every_proof_of_small_trees_verifies_and_no_other_index_or_size_does() {
        for size in 1..=33_usize {
            let all = leaves(size);
            let top = mth(&all);
            assert_eq!(root(&all), top);
            for index in 0..size {
                let proof = path(index, &all);
                assert_eq!(verify_inclusion(&all[index], index as u64, size as u64, &proof, &top), Ok(()));
                for wrong in (0..size).filter(|w| *w != index) {
                    assert!(verify_inclusion(&all[index], wrong as u64, size as u64, &proof, &top).is_err());
                }
                let mut longer = proof.clone();
                longer.push([0; 32]);
                assert!(verify_inclusion(&all[index], index as u64, size as u64, &longer, &top).is_err());
                if !proof.is_empty() {
                    assert!(verify_inclusion(&all[index], index as u64, size as u64, &proof[1..], &top).is_err());
                    assert!(verify_inclusion(&all[index], index as u64, size as u64, &proof[..proof.len() - 1], &top).is_err());
                }
            }
            for from in 1..=size {
                let proof = subproof(from, &all, true);
                let old = mth(&all[..from]);
                assert_eq!(verify_consistency(from as u64, size as u64, &proof, &old, &top), Ok(()));
                assert!(verify_consistency(from as u64, size as u64, &proof, &[7; 32], &top).is_err());
                assert!(verify_consistency(from as u64, size as u64, &proof, &old, &[7; 32]).is_err());
                let mut longer = proof.clone();
                longer.push([0; 32]);
                assert!(verify_consistency(from as u64, size as u64, &longer, &old, &top).is_err());
                for at in 0..proof.len() {
                    let mut changed = proof.clone();
                    changed[at][0] ^= 1;
                    assert!(verify_consistency(from as u64, size as u64, &changed, &old, &top).is_err());
                    let mut shorter = proof.clone();
                    shorter.remove(at);
                    assert!(verify_consistency(from as u64, size as u64, &shorter, &old, &top).is_err());
                }
            }
        }
    }

    #[test]
    fn the_empty_tree_is_extended_by_every_tree() {
        let top = mth(&leaves(5));
        assert_eq!(verify_consistency(0, 5, &[], &empty_root(), &top), Ok(()));
        assert!(verify_consistency(0, 5, &[], &[1; 32], &top).is_err());
        assert!(verify_consistency(0, 5, &[[1; 32]], &empty_root(), &top).is_err());
        assert!(verify_consistency(6, 5, &[], &top, &top).is_err());
    }

    proptest! {
        #[test]
        fn a_frontier_taken_anywhere_folds_to_the_same_root(size in 0_usize..300, cut in 0_usize..300) {
            let all = leaves(size);
            let cut = cut.min(size);
            let mut frontier = Frontier::default();
            all[..cut].iter().for_each(|h| frontier.push(*h));
            let mut resumed = Frontier::from_parts(frontier.size(), frontier.nodes().to_vec()).unwrap();
            all[cut..].iter().for_each(|h| resumed.push(*h));
            prop_assert_eq!(resumed.root(), mth(&all));
        }

        #[test]
        fn folding_stretches_gives_the_same_tree(size in 0_usize..300, mut cuts in prop::collection::vec(0_usize..300, 0..6)) {
            let all = leaves(size);
            cuts.push(size);
            cuts.sort_unstable();
            let (mut frontier, mut from) = (Frontier::default(), 0);
            for cut in cuts.into_iter().map(|cut| cut.min(size)) {
                for (level, root) in subtrees(from as u64, &all[from..cut]) {
                    frontier.push_subtree(level, root);
                }
                from = cut;
            }
            let mut slow = Frontier::default();
            all.iter().for_each(|hash| slow.push(*hash));
            prop_assert_eq!(frontier, slow);
        }

        #[test]
        fn arbitrary_proofs_never_panic(index in any::<u64>(), size in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let _ = verify_inclusion(&[0; 32], index, size, &proof, &[0; 32]);
            let _ = verify_consistency(index, size, &proof, &[0; 32], &[0; 32]);
        }
    }
}
