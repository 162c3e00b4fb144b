//! Makes records of entries that were written down: commits to bodies, seals them, hashes leaves.
//!
//! That is arithmetic, and most of what recording costs beside the disk. One entry waits for nobody; the entries of a large commit are
//! divided among the processors. Nothing here knows what an entry says, and the order is that of the entries.
//!
//! Random numbers are drawn before, one entry at a time: where the system has none, that entry is refused and nothing rests on it yet.

use std::sync::OnceLock;

use chunk_evidence::body::EntryKey;
use chunk_evidence::draft::{Committer, Draft};
use chunk_evidence::encode::sha256;
use chunk_evidence::merkle::{Hash, leaf_hash};
use ring::aead::NONCE_LEN;
use ring::rand::{SecureRandom, SystemRandom};

use crate::data_keys::{DataKey, DataKeyError};
use crate::journal::Record;

/// The random numbers of one entry. Whoever seals with them uses them up.
pub struct Drawn {
    rk: EntryKey,
    /// Random ones are safe for 2^32 messages a key; a person does not do that much in a month.
    nonce: [u8; NONCE_LEN],
}

impl Drawn {
    /// Asks the system, once for both.
    ///
    /// # Errors
    /// When it has none.
    pub fn from(random: &SystemRandom) -> Result<Self, DataKeyError> {
        let (mut bits, mut rk, mut nonce) = ([0; 16 + NONCE_LEN], [0; 16], [0; NONCE_LEN]);
        random.fill(&mut bits).map_err(|_| DataKeyError::Random)?;
        let (first, second) = bits.split_at(16);
        rk.copy_from_slice(first);
        nonce.copy_from_slice(second);
        Ok(Self {
            rk: EntryKey::from_random(rk),
            nonce,
        })
    }

    /// The key that the entry's body is committed to under.
    #[must_use]
    pub fn rk(&self) -> EntryKey {
        self.rk
    }
}

/// An entry with all that it will be sealed with.
pub struct Unsealed {
    draft: Draft,
    key: DataKey,
    drawn: Drawn,
}

impl Unsealed {
    /// An entry that is to be sealed under this key.
    #[must_use]
    pub fn new(draft: Draft, key: DataKey, drawn: Drawn) -> Self {
        Self { draft, key, drawn }
    }

    fn seal(&self, committer: &mut Committer) -> Result<Sealed, DataKeyError> {
        let leaf = self.draft.leaf(committer);
        Ok(Sealed {
            hash: leaf_hash(&leaf),
            record: Record {
                sealed: self.key.seal(self.drawn.nonce, &sha256(&leaf), self.draft.document().as_bytes())?,
                leaf,
                data_key: Some(self.key.id().to_string()),
            },
        })
    }
}

/// A record, and the hash of its leaf in the tree.
#[derive(Debug)]
pub struct Sealed {
    /// What is stored.
    pub record: Record,
    /// RFC 6962 leaf hash.
    pub hash: Hash,
}

/// Seals entries, all or none. They are gone then: no nonce seals twice.
///
/// # Errors
/// When one cannot be sealed.
pub fn seal_all(entries: Vec<Unsealed>) -> Result<Vec<Sealed>, DataKeyError> {
    let threads = processors().min(entries.len() / ENTRIES_A_THREAD_MIN).max(1);
    let mut parts = entries.chunks(entries.len().div_ceil(threads).max(1));
    let own = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let helpers: Vec<_> = parts
            .map(|part| (part, std::thread::Builder::new().spawn_scoped(scope, || seal_part(part)).ok()))
            .collect();
        let mut sealed = seal_part(own)?;
        for (part, helper) in helpers {
            // Where there is no thread to be had, the work is done here; so it is where one came to grief, and then gives the same bytes.
            let theirs = helper.and_then(|helper| helper.join().ok());
            sealed.append(&mut theirs.unwrap_or_else(|| seal_part(part))?);
        }
        Ok(sealed)
    })
}

fn seal_part(entries: &[Unsealed]) -> Result<Vec<Sealed>, DataKeyError> {
    let mut committer = Committer::default();
    entries.iter().map(|entry| entry.seal(&mut committer)).collect()
}

/// Asking the system takes longer than sealing a small commit.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Starting a thread takes about as long as sealing ten entries.
const ENTRIES_A_THREAD_MIN: usize = 64;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::data_keys::DataKeys;
    use chunk_evidence::body::{Body, Group};
    use chunk_evidence::leaf::{Header, Kind, Leaf};
    use std::collections::HashSet;

    #[test]
    fn entries_become_records_in_their_order_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let keys = DataKeys::create(folder.path().join("keys"), &[7; 32]).unwrap();
        for count in [0, 1, 2, ENTRIES_A_THREAD_MIN * 2 - 1, ENTRIES_A_THREAD_MIN * 2, 1024, 1025] {
            let who = |n: usize| *["ada", "bob"].get(n % 2).unwrap();
            let body = |n: usize| Body::new().with(Group::What, serde_json::json!({ "n": n }));
            let entry = |n: usize| {
                let header = Header::new(Kind::FetchIntent).at(i64::try_from(n).unwrap());
                let drawn = Drawn::from(&SystemRandom::new()).unwrap();
                let draft = Draft::new(&header, &body(n), drawn.rk()).unwrap();
                Unsealed::new(draft, keys.data_key(who(n), "2026-01").unwrap(), drawn)
            };
            let sealed = seal_all((0..count).map(entry).collect()).unwrap();
            assert_eq!(sealed.len(), count);
            for (n, Sealed { record, hash }) in sealed.iter().enumerate() {
                let leaf = Leaf::parse(&record.leaf).unwrap();
                assert_eq!((leaf.header.t, leaf.hash()), (i64::try_from(n).unwrap(), *hash));
                let key = keys.key_for(who(n), "2026-01").unwrap();
                assert_eq!(record.data_key.as_deref(), Some(key.as_str()));
                let document = keys.unseal(&key, &sha256(&record.leaf), &record.sealed).unwrap().unwrap();
                let (rk, found) = Body::parse_document(std::str::from_utf8(&document).unwrap()).unwrap();
                assert_eq!((found.root(&rk).unwrap(), found), (leaf.body_root, body(n)));
            }
            // No nonce is used twice: under one key that would give the bodies away.
            let nonces: HashSet<_> = sealed
                .iter()
                .map(|sealed| sealed.record.sealed.first_chunk::<NONCE_LEN>())
                .collect();
            assert_eq!(nonces.len(), count);
        }
    }
}
