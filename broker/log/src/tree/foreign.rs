//! Tree, proofs and verification held against `ct-merkle`, an RFC 6962 implementation, and tiles as well against `tlog_tiles`, which
//! Cloudflare's log runs on. Neither shares code with this one.

use chunk_evidence::merkle::{Hash, leaf_hash, verify_consistency, verify_inclusion};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use tlog_tiles::tile::{Tile, TileHashReader, TileReader};
use tlog_tiles::tlog::{self, HashReader};

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

/// The hashes that `tlog_tiles` would store of our leaves, in its order.
struct Stored(Vec<tlog::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let at = |index: &u64| self.0.get(usize::try_from(*index).unwrap()).copied();
        indexes.iter().map(at).collect::<Option<_>>().ok_or(tlog::Error::IndexesNotInTree)
    }
}

/// Our tiles, as a client of the log gets them.
struct Served<'t>(&'t Tree);

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let serve = |tile: &Tile| self.0.tile(tile.level(), tile.level_index(), u16::try_from(tile.width()).unwrap());
        tiles.iter().map(serve).collect::<Option<_>>().ok_or(tlog::Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn tiles_and_proofs_are_those_of_an_implementation_of_tlog_tiles() {
    let (mut ours, mut theirs) = (Tree::new(), Stored(Vec::new()));
    for size in 1..=65_800 {
        let new = tlog::stored_hashes(size - 1, &leaf(size - 1), &theirs).unwrap();
        theirs.0.extend(new);
        ours.push(leaf_hash(&leaf(size - 1)));
        if size > ALL_SIZES && ![255, 256, 257, 1025, 65_535, 65_536, 65_537, 65_800].contains(&size) {
            continue;
        }
        let root = tlog::Hash(ours.root(size).unwrap());
        assert!(tlog::tree_hash(size, &theirs).unwrap() == root, "{size}");
        for tile in Tile::new_tiles(8, 0, size) {
            // Their paths name the height, which C2SP fixes and leaves out.
            let path = tile.path().replace("tile/8/", "tile/");
            let width = u16::try_from(tile.width()).unwrap();
            let (level, index) = (tile.level(), tile.level_index());
            let named = chunk_evidence::tile::Tile::Hashes { level, index, width };
            assert_eq!(path, named.path());
            assert_eq!(
                tile.read_data(&theirs).unwrap(),
                ours.tile(level, index, width).unwrap(),
                "{path} of {size}"
            );
        }
        // A client that believes only the root finds every hash it needs in our tiles, and they lead there.
        let served = Served(&ours);
        let client = TileHashReader::new(size, root, &served);
        for index in [0, size / 3, size / 2, size - 1] {
            let entry = tlog::Hash(leaf_hash(&leaf(index)));
            let proof = ours.inclusion(index, size).unwrap().into_iter().map(tlog::Hash).collect();
            tlog::check_record(&proof, size, root, index, entry).unwrap();
            assert!(
                tlog::prove_record(size, index, &client).unwrap() == proof,
                "entry {index} of {size}"
            );
            let from = index + 1;
            let proof = ours.consistency(from, size).unwrap().into_iter().map(tlog::Hash).collect();
            tlog::check_tree(&proof, size, root, from, tlog::Hash(ours.root(from).unwrap())).unwrap();
            assert!(tlog::prove_tree(size, from, &client).unwrap() == proof, "{from} to {size}");
        }
    }
}
