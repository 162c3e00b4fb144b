//! What stands in a recording's file: blocks of the delivered bytes, each sealed, in an order that cannot be changed.
//!
//! ```text
//! file  = "chunkctl.dev/recording/v1" LF || u8 length of id || id of the data key || key, 32 bytes, sealed under the data key
//!         || block… || end
//! block = u32 length, big endian || AES-256-GCM of at most 1 MiB under `key`
//! end   = a block of no bytes
//! nonce = u64 number of the block, big endian || 0 0 0 || 1 for the end, else 0
//! ```
//! `key` is random and made for this file alone, so that numbers do as nonces however large it grows; as it is sealed, the index
//! of the intent is authenticated with it, and no file can be passed off as that of another delivery. Blocks cannot be left out
//! or swapped, because their numbers would not fit, and one that was cut off is missed because there is no end.

use std::io::{ErrorKind, Read};

use chunk_log::data_keys::{DataKeyId, DataKeys};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::RecordingError;

const MAGIC: &[u8] = b"chunkctl.dev/recording/v1\n";
/// Delivered bytes in one block.
pub(super) const BLOCK_BYTES_MAX: usize = 1 << 20;
/// A file's key as it stands in the file: nonce, key, tag.
const SEALED_KEY_BYTES: usize = NONCE_LEN + 32 + 16;
const TAG_BYTES: usize = 16;

/// Seals one recording, block by block.
pub(super) struct Sealer {
    key: LessSafeKey,
    next: u64,
}

impl Sealer {
    /// A new recording of this intent under this data key, and how its file begins.
    pub(super) fn begin(data_keys: &DataKeys, data_key: &DataKeyId, intent: u64) -> Result<(Self, Vec<u8>), RecordingError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        let random = SystemRandom::new().fill(key.as_mut_slice());
        random.map_err(|_| RecordingError::Damaged("the system gave no random numbers"))?;
        let sealed = data_keys.seal(data_key, &bound_to(intent), key.as_slice())?;
        let id = data_key.as_str().as_bytes();
        let length = u8::try_from(id.len()).map_err(|_| RecordingError::Damaged("its data key has too long an id"))?;
        let head = [MAGIC, &[length], id, &sealed].concat();
        Ok((Self { key: aead(&key)?, next: 0 }, head))
    }

    /// A block of at most [`BLOCK_BYTES_MAX`] bytes.
    pub(super) fn block(&mut self, bytes: &[u8]) -> Result<Vec<u8>, RecordingError> {
        self.seal(bytes, false)
    }

    /// What says that nothing follows.
    pub(super) fn end(mut self) -> Result<Vec<u8>, RecordingError> {
        self.seal(&[], true)
    }

    fn seal(&mut self, bytes: &[u8], end: bool) -> Result<Vec<u8>, RecordingError> {
        let too_long = |_| RecordingError::Damaged("a block is too long");
        let length = u32::try_from(bytes.len() + TAG_BYTES).map_err(too_long)?;
        let mut block = Vec::with_capacity(4 + bytes.len() + TAG_BYTES);
        block.extend_from_slice(&length.to_be_bytes());
        block.extend_from_slice(bytes);
        let (_, text) = block.split_at_mut(4);
        let tag = self.key.seal_in_place_separate_tag(nonce(self.next, end), Aad::empty(), text);
        let tag = tag.map_err(|_| RecordingError::Damaged("a block could not be sealed"))?;
        block.extend_from_slice(tag.as_ref());
        self.next += 1;
        Ok(block)
    }
}

/// Opens one recording, block by block.
pub(super) struct Opener<R> {
    file: R,
    key: LessSafeKey,
    next: u64,
    at: u64,
    ended: bool,
}

impl<R: Read> Opener<R> {
    /// Begins to read the recording of this intent.
    pub(super) fn begin(data_keys: &DataKeys, mut file: R, intent: u64) -> Result<Self, RecordingError> {
        let mut magic = [0; MAGIC.len()];
        fill(&mut file, &mut magic)?;
        if magic != MAGIC {
            return Err(RecordingError::Damaged("it is none of this version"));
        }
        let mut length = [0];
        fill(&mut file, &mut length)?;
        let [length] = length;
        let mut id = vec![0; usize::from(length)];
        fill(&mut file, &mut id)?;
        let mut sealed = [0; SEALED_KEY_BYTES];
        fill(&mut file, &mut sealed)?;
        let id = String::from_utf8(id).map_err(|_| RecordingError::Damaged("its data key has no id"))?;
        let opened = data_keys.unseal(&DataKeyId::from_stored(id), &bound_to(intent), &sealed)?;
        let opened = opened.ok_or(RecordingError::Erased)?;
        let key = opened
            .first_chunk::<32>()
            .ok_or(RecordingError::Damaged("its key is of another length"))?;
        let at = MAGIC.len() + 1 + usize::from(length) + SEALED_KEY_BYTES;
        Ok(Self {
            key: aead(key)?,
            file,
            next: 0,
            at: at as u64,
            ended: false,
        })
    }

    /// The next block's bytes; nothing after the end.
    ///
    /// # Errors
    /// When the file ends before its end, or is not what was written.
    pub(super) fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, RecordingError> {
        if self.ended {
            return Ok(None);
        }
        let mut length = [0; 4];
        fill(&mut self.file, &mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if !(TAG_BYTES..=BLOCK_BYTES_MAX + TAG_BYTES).contains(&length) {
            return Err(RecordingError::Damaged("a block has no length that there is"));
        }
        let mut block = Zeroizing::new(vec![0; length]);
        fill(&mut self.file, &mut block)?;
        // Nothing else is empty, so only the end can be the end.
        let end = length == TAG_BYTES;
        let opened = self.key.open_in_place(nonce(self.next, end), Aad::empty(), &mut block);
        opened.map_err(|_| RecordingError::Damaged("a block is not what was written"))?;
        self.next += 1;
        self.at += 4 + length as u64;
        if end {
            self.ended = true;
            return Ok(None);
        }
        block.truncate(length - TAG_BYTES);
        Ok(Some(block))
    }

    /// Where in the file the next block begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on writing where reading has come to.
    pub(super) fn into_sealer(self) -> Sealer {
        Sealer {
            key: self.key,
            next: self.next,
        }
    }
}

fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<(), RecordingError> {
    file.read_exact(buffer).map_err(|fault| match fault.kind() {
        ErrorKind::UnexpectedEof => RecordingError::Damaged("it ends before its end"),
        _ => RecordingError::File(fault),
    })
}

/// What is authenticated with the key of a file.
fn bound_to(intent: u64) -> Vec<u8> {
    [MAGIC, &intent.to_be_bytes()].concat()
}

fn aead(key: &[u8; 32]) -> Result<LessSafeKey, RecordingError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| RecordingError::Damaged("its key is none"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: u64, end: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    for (to, from) in nonce.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    if let Some(last) = nonce.last_mut() {
        *last = u8::from(end);
    }
    Nonce::assume_unique_for_key(nonce)
}
