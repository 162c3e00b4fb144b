//! Tree, proofs and verification held against `ct-merkle`, an RFC 6962 implementation that shares no code with this one.

use chunk_evidence::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;

use super::Tree;

/// Sizes up to this in all combinations.
const ALL_SIZES: u64 = 70;

fn leaf(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(32).map(|hash| hash.try_into().unwrap()).collect()
}

/// Both trees at each size up to `ALL_SIZES`, and at some larger ones.
fn each_size(mut look: impl FnMut(u64, &Tree, &MemoryBackedTree<Sha256, Vec<u8>>, &RootHash<Sha256>, Hash)) {
    let (mut ours, mut theirs) = (Tree::new(), MemoryBackedTree::<Sha256, Vec<u8>>::new());
    for size in 1..=1025 {
        ours.push(leaf_hash(&leaf(size - 1)));
        theirs.push(leaf(size - 1));
        if size <= ALL_SIZES || [255, 256, 257, 1000, 1024, 1025].contains(&size) {
            let (root, their_root) = (ours.root(size).unwrap(), theirs.root());
            look(size, &ours, &theirs, &their_root, root);
        }
    }
}

#[test]
fn roots_and_inclusion_proofs_are_those_of_another_implementation() {
    each_size(|size, ours, theirs, their_root, root| {
        assert_eq!(their_root.as_bytes().as_slice(), root);
        for index in (0..size).filter(|index| size <= ALL_SIZES || index % 37 == 0 || index + 1 == size) {
            let proof = ours.inclusion(index, size).unwrap();
            let their_proof = theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(hashes(their_proof.as_bytes()), proof, "entry {index} of {size}");
            let ours_to_them = InclusionProof::<Sha256>::from_bytes(proof.concat());
            their_root.verify_inclusion(&leaf(index), index, &ours_to_them).unwrap();
            verify_inclusion(&leaf_hash(&leaf(index)), index, size, &hashes(their_proof.as_bytes()), &root).unwrap();
        }
    });
}

#[test]
fn consistency_proofs_are_those_of_another_implementation() {
    each_size(|size, ours, theirs, their_root, root| {
        for from in (1..=size).filter(|from| size <= ALL_SIZES || from % 41 == 0 || from.is_power_of_two()) {
            let old_root = ours.root(from).unwrap();
            let proof = ours.consistency(from, size).unwrap();
            let their_proof = theirs.prove_consistency(usize::try_from(size - from).unwrap());
            assert_eq!(hashes(their_proof.as_bytes()), proof, "{from} to {size}");
            verify_consistency(from, size, &hashes(their_proof.as_bytes()), &old_root, &root).unwrap();
            let their_old = RootHash::<Sha256>::new(old_root.into(), from);
            let ours_to_them = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
            their_root.verify_consistency(&their_old, &ours_to_them).unwrap();
        }
    });
}
