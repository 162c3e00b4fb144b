//! Makes records of entries that were written down: commits to bodies, seals them, hashes leaves.
//!
//! That is arithmetic, and most of what recording costs beside the disk. One entry waits for nobody; the entries of a large commit are
//! divided among the processors. Nothing here knows what an entry says, and the order is that of the drafts.

use std::sync::OnceLock;

use chunk_evidence::draft::{Committer, Draft};
use chunk_evidence::encode::sha256;
use chunk_evidence::merkle::{Hash, leaf_hash};
use ring::aead::NONCE_LEN;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::data_keys::{DataKey, DataKeyError};
use crate::journal::Record;

/// A record, and the hash of its leaf in the tree.
#[derive(Debug)]
pub struct Sealed {
    /// What is stored.
    pub record: Record,
    /// RFC 6962 leaf hash.
    pub hash: Hash,
}

/// Seals each draft under the key beside it.
///
/// # Errors
/// When the system gives no random numbers.
pub fn seal_all(drafts: &[(Draft, DataKey)]) -> Result<Vec<Sealed>, DataKeyError> {
    let threads = processors().min(drafts.len() / DRAFTS_A_THREAD_MIN).max(1);
    let mut parts = drafts.chunks(drafts.len().div_ceil(threads).max(1));
    let own = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let helpers: Vec<_> = parts
            .map(|part| (part, std::thread::Builder::new().spawn_scoped(scope, || seal_part(part)).ok()))
            .collect();
        let mut sealed = seal_part(own)?;
        for (part, helper) in helpers {
            // Where there is no thread to be had, or it came to grief, the work is done here.
            let theirs = helper.and_then(|helper| helper.join().ok());
            sealed.append(&mut theirs.unwrap_or_else(|| seal_part(part))?);
        }
        Ok(sealed)
    })
}

fn seal_part(drafts: &[(Draft, DataKey)]) -> Result<Vec<Sealed>, DataKeyError> {
    let mut random = Zeroizing::new(vec![0; drafts.len() * NONCE_LEN]);
    SystemRandom::new().fill(&mut random).map_err(|_| DataKeyError::Random)?;
    let mut committer = Committer::default();
    let (nonces, _) = random.as_chunks::<NONCE_LEN>();
    drafts
        .iter()
        .zip(nonces)
        .map(|((draft, key), nonce)| {
            let leaf = draft.leaf(&mut committer);
            Ok(Sealed {
                hash: leaf_hash(&leaf),
                record: Record {
                    sealed: key.seal(*nonce, &sha256(&leaf), draft.document().as_bytes())?,
                    leaf,
                    data_key: Some(key.id().to_string()),
                },
            })
        })
        .collect()
}

/// Asking the system takes longer than sealing a small commit.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Starting a thread takes about as long as sealing ten drafts.
const DRAFTS_A_THREAD_MIN: usize = 64;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::data_keys::DataKeys;
    use chunk_evidence::body::{Body, EntryKey, Group};
    use chunk_evidence::leaf::{Header, Kind, Leaf};
    use std::collections::HashSet;

    #[test]
    fn drafts_become_records_in_their_order_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let keys = DataKeys::create(folder.path().join("keys"), &[7; 32]).unwrap();
        for count in [0, 1, 2, DRAFTS_A_THREAD_MIN * 2 - 1, DRAFTS_A_THREAD_MIN * 2, 1024, 1025] {
            let draft = |n: usize| {
                let header = Header::new(Kind::FetchIntent).at(i64::try_from(n).unwrap());
                let body = Body::new().with(Group::What, serde_json::json!({ "n": n }));
                let draft = Draft::new(&header, &body, EntryKey::from_random([3; 16])).unwrap();
                (draft, keys.data_key(["ada", "bob"].get(n % 2).unwrap(), "2026-01").unwrap())
            };
            let drafts: Vec<_> = (0..count).map(draft).collect();
            let sealed = seal_all(&drafts).unwrap();
            assert_eq!(sealed.len(), count);
            for (n, (Sealed { record, hash }, (draft, key))) in sealed.iter().zip(&drafts).enumerate() {
                let leaf = Leaf::parse(&record.leaf).unwrap();
                assert_eq!((leaf.header.t, leaf.hash()), (i64::try_from(n).unwrap(), *hash));
                assert_eq!(record.data_key.as_deref(), Some(key.id().as_str()));
                let document = keys.unseal(key.id(), &sha256(&record.leaf), &record.sealed).unwrap().unwrap();
                assert_eq!(document.as_slice(), draft.document().as_bytes());
                let (rk, body) = Body::parse_document(draft.document()).unwrap();
                assert_eq!(body.root(&rk).unwrap(), leaf.body_root);
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
