//! Where the parts of an export wait until they are complete: a file without a name that nobody can read.
//!
//! What goes in has been unsealed, and disks keep what was deleted. So each block is encrypted under a key that exists only in
//! this process's memory and dies with the export; erasing somebody does not have to look for copies of old exports.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use chunk_evidence::bundle::Spool;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// Plain bytes of a block.
const BLOCK: usize = 64 * 1024;
/// Bytes of a block in the file.
const SEALED: u64 = BLOCK as u64 + 16;

/// An encrypted file that is gone when it is dropped.
pub(crate) struct SealedSpool {
    file: File,
    key: LessSafeKey,
    /// Blocks in the file.
    blocks: u64,
    /// What does not fill a block yet.
    rest: Zeroizing<Vec<u8>>,
    /// The block that was read last.
    recent: Option<(u64, Zeroizing<Vec<u8>>)>,
}

impl SealedSpool {
    /// An empty one, in the folder for temporary files.
    ///
    /// # Errors
    /// When there is no such folder, or no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(key.as_mut_slice()).map_err(io::Error::other)?;
        Ok(Self {
            file: tempfile::tempfile()?,
            key: UnboundKey::new(&AES_256_GCM, key.as_slice())
                .map(LessSafeKey::new)
                .map_err(io::Error::other)?,
            blocks: 0,
            rest: Zeroizing::default(),
            recent: None,
        })
    }

    fn load(&mut self, number: u64) -> io::Result<&[u8]> {
        if self.recent.as_ref().is_none_or(|(recent, _)| *recent != number) {
            let mut block = Zeroizing::new(vec![0; BLOCK + AES_256_GCM.tag_len()]);
            self.file.read_exact_at(&mut block, number * SEALED)?;
            self.key
                .open_in_place(nonce(number), Aad::empty(), &mut block)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            self.recent = Some((number, block));
        }
        let block = self.recent.as_ref().map(|(_, block)| block.as_slice());
        Ok(block.and_then(|block| block.get(..BLOCK)).unwrap_or_default())
    }
}

impl Spool for SealedSpool {
    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() == BLOCK {
                let mut block = std::mem::take(&mut self.rest);
                self.key
                    .seal_in_place_append_tag(nonce(self.blocks), Aad::empty(), &mut *block)
                    .map_err(io::Error::other)?;
                self.file.write_all_at(&block, self.blocks * SEALED)?;
                self.blocks += 1;
            }
        }
        Ok(())
    }

    fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let place = at + done as u64;
            let (number, within) = (place / BLOCK as u64, usize::try_from(place % BLOCK as u64).unwrap_or(0));
            let block = if number == self.blocks {
                self.rest.as_slice()
            } else {
                self.load(number)?
            };
            let part = block
                .get(within..)
                .filter(|part| !part.is_empty())
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = part.len().min(buffer.len() - done);
            let (part, to) = (part.get(..length), buffer.get_mut(done..done + length));
            to.unwrap_or_default().copy_from_slice(part.unwrap_or_default());
            done += length;
        }
        Ok(())
    }
}

/// A key seals the blocks of one spool, each once, so numbers do as nonces.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    for (to, from) in nonce.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::io::{Read as _, Seek as _};

    #[test]
    fn what_was_added_reads_back_from_anywhere_and_does_not_stand_in_the_file() {
        let mut spool = SealedSpool::new().unwrap();
        let bytes: Vec<u8> = (0..40_000_u32).flat_map(|n| format!("ada {n};").into_bytes()).collect();
        for part in bytes.chunks(7_001) {
            spool.append(part).unwrap();
        }
        for (from, length) in [
            (0, 1),
            (0, bytes.len()),
            (BLOCK - 3, 9),
            (3 * BLOCK - 1, 2 * BLOCK),
            (bytes.len() - 5, 5),
            (17, 0),
        ] {
            let mut found = vec![0; length];
            spool.read(from as u64, &mut found).unwrap();
            assert!(found == bytes[from..from + length], "{length} bytes from {from}");
        }
        assert!(spool.read(bytes.len() as u64 - 1, &mut [0; 2]).is_err());
        let mut file = Vec::new();
        spool.file.rewind().unwrap();
        spool.file.read_to_end(&mut file).unwrap();
        assert!(file.len() > 5 * BLOCK && !file.windows(4).any(|window| window == b"ada "));
        file[9] ^= 1;
        spool.file.write_all_at(&file[..10], 0).unwrap();
        assert!(spool.read(0, &mut [0; 1]).is_err());
    }
}
