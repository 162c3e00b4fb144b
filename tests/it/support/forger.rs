//! An operator who lies: whoever runs a broker has its database, its master key and with that the key of the log, and can write any
//! history that these allow. What they lack are the keys of other people.

use std::io::{Cursor, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chunk_evidence::body::{Body, EntryKey, Group};
use chunk_evidence::bundle::{BundleEntry, BundleHead, BundlePlan, BundleWriter, Consistency, EntryBody, Filter};
use chunk_evidence::checkpoint::{Checkpoint, SignedCheckpoint};
use chunk_evidence::dsse;
use chunk_evidence::leaf::{Header, Leaf};
use chunk_evidence::merkle::{Frontier, empty_root, leaf_hash, root};
use chunk_evidence::note::VerifierKey;
use chunk_evidence::views::Verified;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::signature::Ed25519KeyPair;

use super::random;

/// A history under the operator's hand.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) origin: String,
    pub(crate) entries: Vec<(Header, Body)>,
}

/// The log's key, out of the file in which it is sealed.
pub(crate) fn log_key(broker: &Path) -> Ed25519KeyPair {
    struct Bytes32;
    impl KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }
    let read = |name: &str| std::fs::read_to_string(broker.join(name)).unwrap().trim().to_owned();
    let master = STANDARD.decode(read("master.key")).unwrap();
    let info = [&7_u64.to_be_bytes(), &b"seal/v1"[..]].concat();
    let mut key = [0; 32];
    let derived = Salt::new(HKDF_SHA256, b"chunkctl.dev/master/v1").extract(&master);
    derived.expand(&[&info], Bytes32).unwrap().fill(&mut key).unwrap();
    let sealed = read("data/log-key.sealed");
    let mut sealed = URL_SAFE_NO_PAD.decode(sealed.strip_prefix("v1.").unwrap()).unwrap();
    let mut text = sealed.split_off(12);
    let nonce = Nonce::try_assume_unique_for_key(&sealed).unwrap();
    let opening = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let pkcs8 = opening.open_in_place(nonce, Aad::from(b"log-key"), &mut text).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8).unwrap()
}

impl History {
    /// The true one, out of a bundle of everything.
    pub(crate) fn of(bundle: &[u8]) -> Self {
        let mut bundle = Verified::open(Cursor::new(bundle)).unwrap();
        let mut entries = Vec::new();
        bundle
            .rows(|row| {
                assert_eq!(row.index, entries.len() as u64, "the bundle begins later");
                entries.push((row.header, row.body));
                Ok(())
            })
            .unwrap();
        let origin = bundle.head().unwrap().unverified().origin.clone();
        Self { origin, entries }
    }

    /// Index of the last entry of a kind.
    pub(crate) fn last(&self, kind: &str) -> usize {
        let found = self.entries.iter().rposition(|(header, _)| header.kind.as_str() == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    }

    /// Changes a member of a body.
    pub(crate) fn set(&mut self, index: usize, group: Group, member: &str, value: impl Into<serde_json::Value>) {
        let body = &mut self.entries[index].1;
        let mut changed = body.get(group).clone();
        changed[member] = value.into();
        body.set(group, changed);
    }

    /// Takes an entry out, and makes good whatever pointed to later ones.
    pub(crate) fn drop_entry(&mut self, index: usize) {
        self.entries.remove(index);
        self.point(|to| if to > index as u64 { to - 1 } else { to });
    }

    /// Lets two neighbours change places, each with the time of the other.
    pub(crate) fn swap(&mut self, index: usize) {
        self.entries.swap(index, index + 1);
        let earlier = self.entries[index + 1].0.t;
        self.entries[index + 1].0.t = self.entries[index].0.t;
        self.entries[index].0.t = earlier;
        let (first, second) = (index as u64, index as u64 + 1);
        self.point(|to| match to {
            to if to == first => second,
            to if to == second => first,
            to => to,
        });
    }

    /// Puts an entry in before another.
    pub(crate) fn insert(&mut self, index: usize, header: Header, body: Body) {
        self.point(|to| if to >= index as u64 { to + 1 } else { to });
        self.entries.insert(index, (header, body));
    }

    fn point(&mut self, new: impl Fn(u64) -> u64) {
        for (header, _) in &mut self.entries {
            header.refs.iter_mut().for_each(|to| *to = new(*to));
            header.pol = header.pol.map(&new);
        }
    }

    /// The checkpoint of its first entries, signed as the log signs.
    pub(crate) fn checkpoint(&self, size: usize, key: &Ed25519KeyPair) -> SignedCheckpoint {
        let leaves: Vec<_> = self.leaves().iter().take(size).map(|(leaf, _)| leaf_hash(leaf)).collect();
        assert_eq!(leaves.len(), size);
        self.signed(size as u64, if size == 0 { empty_root() } else { root(&leaves) }, key)
    }

    fn signed(&self, size: u64, root: [u8; 32], key: &Ed25519KeyPair) -> SignedCheckpoint {
        let origin = self.origin.clone();
        SignedCheckpoint::sign(&Checkpoint { origin, size, root }, key).unwrap()
    }

    /// Leaves and body documents. The keys of the salts are new ones: nobody can tell.
    fn leaves(&self) -> Vec<(Vec<u8>, String)> {
        let leaf = |(header, body): &(Header, Body)| {
            let rk = EntryKey::from_random([7; 16]);
            let leaf = Leaf::new(header.clone(), body.root(&rk).unwrap()).unwrap();
            (leaf.to_bytes(), body.to_document(&rk).unwrap())
        };
        self.entries.iter().map(leaf).collect()
    }

    /// A bundle of all of it, whole in itself: every hash, every proof and every signature of the log is right.
    pub(crate) fn bundle(&self, key: &Ed25519KeyPair) -> Vec<u8> {
        let public = VerifierKey::new(&self.origin, dsse::public_key(key)).unwrap();
        let leaves = self.leaves();
        let size = leaves.len();
        let (start, head) = (self.checkpoint(0, key), self.checkpoint(size, key));
        let plan = BundlePlan {
            level: 4,
            range: 0..size as u64,
            filter: Filter::default(),
            views: false,
            start: &start,
            frontier: &Frontier::default(),
            log_key: &public,
        };
        let mut writer = BundleWriter::begin(plan, Vec::new()).unwrap();
        for (index, (leaf, document)) in (0..).zip(&leaves) {
            let body = EntryBody::Document(document);
            let opened = true;
            writer.row(&BundleEntry { index, leaf, body, opened }).unwrap();
        }
        let from_nothing = Consistency {
            from: 0,
            root: empty_root(),
            proof: Vec::new(),
        };
        let head = BundleHead {
            checkpoint: &head,
            consistency: vec![from_nothing],
            tail: &[],
            stamped: &[],
            rotations: &[],
        };
        let signed = |kind: &str, payload: &[u8]| dsse::sign(key, kind, payload, &dsse::key_id(public.public_key()));
        let mut bundle = Vec::new();
        writer.finish(&head, signed).unwrap().read_to_end(&mut bundle).unwrap();
        bundle
    }
}

/// A key of the operator's own, for acts of people who never acted.
pub(crate) fn own_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&random::<32>()).unwrap()
}
