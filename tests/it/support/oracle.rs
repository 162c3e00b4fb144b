//! What the log must look like, worked out here and not with the product's own code: two writers of one mistake would agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_wire::audit::EntryView;
use std::collections::BTreeMap;

use super::Api;

/// A signed tree head, its signature set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
}

impl Checkpoint {
    pub(crate) fn parse(note: &str) -> Self {
        let mut lines = note.lines();
        let origin = lines.next().unwrap().to_owned();
        let size = lines.next().unwrap().parse().unwrap();
        let root = STANDARD.decode(lines.next().unwrap()).unwrap().try_into().unwrap();
        assert!(note.contains("\n\n\u{2014} "), "the checkpoint carries no signature: {note}");
        Self { origin, size, root }
    }

    /// The broker's present one.
    pub(crate) fn of(api: &Api) -> Self {
        let answer = api.raw("GET", "/checkpoint", None, &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self::parse(&answer.text())
    }
}

/// Proves with the broker's `/consistency` that the tree of `new` begins with the tree of `old`.
#[track_caller]
pub(crate) fn assert_extends(api: &Api, old: &Checkpoint, new: &Checkpoint) {
    assert_eq!(old.origin, new.origin);
    assert!(old.size <= new.size, "the log shrank from {} to {}", old.size, new.size);
    if old.size == new.size {
        assert_eq!(old.root, new.root, "two roots for one size");
        return;
    }
    if old.size == 0 {
        return;
    }
    let answer: serde_json::Value = api
        .raw("GET", &format!("/consistency?from={}&to={}", old.size, new.size), None, &[])
        .json();
    let proof: Vec<[u8; 32]> = answer["proof"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| STANDARD.decode(hash.as_str().unwrap()).unwrap().try_into().unwrap())
        .collect();
    assert!(
        consistent(old.size, &old.root, new.size, &new.root, &proof),
        "size {} is no beginning of size {}",
        old.size,
        new.size
    );
}

/// RFC 9162, section 2.1.4.2.
pub(crate) fn consistent(first: u64, first_root: &[u8; 32], second: u64, second_root: &[u8; 32], proof: &[[u8; 32]]) -> bool {
    if first == 0 || first >= second {
        return first == second && proof.is_empty() && first_root == second_root;
    }
    let mut path = proof.to_vec();
    if first.is_power_of_two() {
        path.insert(0, *first_root);
    }
    let Some((&seed, rest)) = path.split_first() else { return false };
    let (mut f, mut s) = (first - 1, second - 1);
    while f & 1 == 1 {
        f >>= 1;
        s >>= 1;
    }
    let (mut old, mut new) = (seed, seed);
    for hash in rest {
        if s == 0 {
            return false;
        }
        if f & 1 == 1 || f == s {
            old = node(hash, &old);
            new = node(hash, &new);
            while f & 1 == 0 && f != 0 {
                f >>= 1;
                s >>= 1;
            }
        } else {
            new = node(&new, hash);
        }
        f >>= 1;
        s >>= 1;
    }
    s == 0 && old == *first_root && new == *second_root
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = vec![1];
    bytes.extend_from_slice(left);
    bytes.extend_from_slice(right);
    ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref().try_into().unwrap()
}

/// Intents with the outcomes that point back to them: (intent, outcomes).
pub(crate) fn outcomes_by_intent(entries: &[EntryView]) -> BTreeMap<u64, Vec<&EntryView>> {
    let kind = |entry: &EntryView| entry.header["k"].as_str().unwrap().to_owned();
    let mut found: BTreeMap<u64, Vec<&EntryView>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| kind(entry) == "fetch.intent") {
        found.insert(entry.index, Vec::new());
    }
    for entry in entries.iter().filter(|entry| kind(entry) == "fetch.outcome") {
        let refs: Vec<u64> = entry.header["refs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|index| index.as_u64().unwrap())
            .collect();
        let intents: Vec<u64> = refs.into_iter().filter(|index| found.contains_key(index)).collect();
        assert_eq!(intents.len(), 1, "outcome {} points back to {} intents", entry.index, intents.len());
        found.get_mut(&intents[0]).unwrap().push(entry);
    }
    found
}

/// Every intent has one outcome; indices have no gap; times never go back.
#[track_caller]
pub(crate) fn assert_whole(entries: &[EntryView]) {
    let mut last_time = i64::MIN;
    for (expected, entry) in entries.iter().enumerate() {
        assert_eq!(entry.index, expected as u64, "the log has a gap");
        let time = entry.header["t"].as_i64().unwrap();
        assert!(time >= last_time, "time goes back at {}", entry.index);
        last_time = time;
    }
    for (intent, outcomes) in outcomes_by_intent(entries) {
        assert_eq!(outcomes.len(), 1, "intent {intent} has {} outcomes", outcomes.len());
    }
}

mod itself {
    use super::{consistent, node};

    fn leaf(i: u64) -> [u8; 32] {
        ring::digest::digest(&ring::digest::SHA256, &[&[0][..], &i.to_be_bytes()].concat())
            .as_ref()
            .try_into()
            .unwrap()
    }

    fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [only] => *only,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&root(left), &root(right))
            }
        }
    }

    fn proof(first: usize, leaves: &[[u8; 32]], whole: bool) -> Vec<[u8; 32]> {
        if first == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        if first <= left.len() {
            let mut path = proof(first, left, whole);
            path.push(root(right));
            path
        } else {
            let mut path = proof(first - left.len(), right, false);
            path.push(root(left));
            path
        }
    }

    #[test]
    fn the_oracle_accepts_what_rfc_9162_defines_and_nothing_else() {
        let leaves: Vec<[u8; 32]> = (0..20).map(leaf).collect();
        for second in 2..=20 {
            for first in 1..second {
                let (old, new) = (root(&leaves[..first]), root(&leaves[..second]));
                let path = proof(first, &leaves[..second], true);
                let (a, b) = (first as u64, second as u64);
                assert!(consistent(a, &old, b, &new, &path), "{first} {second}");
                assert!(!consistent(a, &new, b, &new, &path), "{first} {second}");
                assert!(!consistent(a, &old, b, &old, &path), "{first} {second}");
            }
        }
    }
}
