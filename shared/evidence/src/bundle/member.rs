//! Members by their logical names: larger ones are stored as gzip, without name and time, under `NAME.gz`.
//!
//! Which form a member has follows from its length, so there is never a choice; the statement covers the stored bytes.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// Members longer than this are compressed.
const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// A member that is read into memory has at most so many bytes.
const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Gzip header: deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The members of a bundle while it is written, by stored name.
#[derive(Default)]
pub(super) struct Members(pub(super) BTreeMap<String, Vec<u8>>);

impl Members {
    /// Adds a member that is always stored as it is.
    pub(super) fn put_plain(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(name.to_owned(), bytes);
    }

    /// Adds a member in the form its length asks for.
    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>) -> std::io::Result<()> {
        if bytes.len() <= PLAIN_BYTES_MAX {
            self.put_plain(name, bytes);
        } else {
            self.0.insert(format!("{name}.gz"), gzip(&bytes)?);
        }
        Ok(())
    }
}

/// The members of a bundle while it is read. Each is taken once; what is left over does not belong.
pub(super) struct Stored<'a>(pub(super) BTreeMap<&'a str, &'a [u8]>);

impl<'a> Stored<'a> {
    /// Takes a member that is always stored as it is.
    pub(super) fn take_plain(&mut self, name: &str) -> Option<&'a [u8]> {
        self.0.remove(name)
    }

    /// Takes a member into memory, whatever form it has.
    pub(super) fn take(&mut self, name: &str) -> Result<Vec<u8>, &'static str> {
        let mut bytes = Vec::new();
        self.take_into(name, |part| {
            bytes.extend_from_slice(part);
            bytes.len() as u64 <= READ_BYTES_MAX
        })?;
        Ok(bytes)
    }

    /// Passes a member's bytes on, part by part, until `sink` has had enough.
    pub(super) fn take_into(&mut self, name: &str, mut sink: impl FnMut(&[u8]) -> bool) -> Result<(), &'static str> {
        if let Some(bytes) = self.0.remove(name) {
            if bytes.len() > PLAIN_BYTES_MAX {
                return Err("a long member is not compressed");
            }
            return if sink(bytes) { Ok(()) } else { Err("a member is too long") };
        }
        let stored = self.0.remove(format!("{name}.gz").as_str()).ok_or("a member is missing")?;
        gunzip(stored, sink)
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(GZIP_HEADER.to_vec(), Compression::new(6));
    encoder.write_all(bytes)?;
    let mut out = encoder.finish()?;
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(out)
}

fn gunzip(stored: &[u8], mut sink: impl FnMut(&[u8]) -> bool) -> Result<(), &'static str> {
    const MALFORMED: &str = "a compressed member is malformed";
    let rest = stored.strip_prefix(&GZIP_HEADER).ok_or(MALFORMED)?;
    let (deflated, trailer) = rest.split_last_chunk::<8>().ok_or(MALFORMED)?;
    let mut decoder = DeflateDecoder::new(deflated);
    let mut crc = Crc::new();
    let mut length = 0_u64;
    let mut buffer = [0; 32 * 1024];
    loop {
        let n = decoder.read(&mut buffer).map_err(|_| MALFORMED)?;
        let part = buffer.get(..n).unwrap_or_default();
        if part.is_empty() {
            break;
        }
        crc.update(part);
        length += n as u64;
        if !sink(part) {
            return Err("a member is too long");
        }
    }
    let expected = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    if decoder.total_in() != deflated.len() as u64 || expected != trailer {
        return Err(MALFORMED);
    }
    if length > PLAIN_BYTES_MAX as u64 {
        Ok(())
    } else {
        Err("a short member is compressed")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn long_members_are_compressed_and_short_ones_are_not() {
        let mut members = Members::default();
        members.put("short", vec![1; PLAIN_BYTES_MAX]).unwrap();
        members.put("long", vec![1; PLAIN_BYTES_MAX + 1]).unwrap();
        assert_eq!(members.0.keys().collect::<Vec<_>>(), ["long.gz", "short"]);
        let mut stored = Stored(members.0.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect());
        assert_eq!(stored.take("short").unwrap(), vec![1; PLAIN_BYTES_MAX]);
        assert_eq!(stored.take("long").unwrap(), vec![1; PLAIN_BYTES_MAX + 1]);
        assert_eq!(stored.take("long"), Err("a member is missing"));
    }

    #[test]
    fn the_wrong_form_and_trailing_bytes_are_refused() {
        let bytes = vec![1; PLAIN_BYTES_MAX + 1];
        let good = gzip(&bytes).unwrap();
        let read = |stored: &[u8]| gunzip(stored, |_| true);
        assert_eq!(read(&good), Ok(()));
        assert!(Stored([("x", bytes.as_slice())].into()).take("x").is_err());
        assert!(read(&gzip(b"short").unwrap()).is_err());
        assert!(read(&[good.as_slice(), b"x"].concat()).is_err());
        assert!(read(&[good.as_slice(), good.as_slice()].concat()).is_err());
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x10;
            // Deflate ends within a byte, and decoders differ about the bits that pad it: those may change, the content never.
            // That no stored byte is free, these bits included, is the statement's doing; the tests of whole bundles show it.
            let mut content = Vec::new();
            let answer = gunzip(&changed, |part| {
                content.extend_from_slice(part);
                true
            });
            let padding = at == good.len() - 9;
            assert!(answer.is_err() || (padding && content == bytes), "byte {at}");
            assert!(read(&good[..at]).is_err());
        }
        assert_eq!(gunzip(&good, |_| false), Err("a member is too long"));
    }
}
