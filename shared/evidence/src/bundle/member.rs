//! Members by their logical names: larger ones are stored as gzip, without name and time, under `NAME.gz`.
//!
//! Which form a member has follows from its length, so there is never a choice; the statement covers the stored bytes.

use std::io::Write as _;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};

use super::archive::Stop;

/// Members longer than this are compressed.
pub(super) const PLAIN_BYTES_MAX: usize = 16 * 1024;
/// Gzip header: deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// CRC-32 and length.
const TRAILER: usize = 8;
/// Evidence is written once and kept for years.
const LEVEL: u32 = 9;
const MALFORMED: &str = "a compressed member is malformed";

/// Compresses a member part by part.
pub(super) struct Deflate {
    encoder: DeflateEncoder<Vec<u8>>,
    crc: Crc,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            encoder: DeflateEncoder::new(GZIP_HEADER.to_vec(), Compression::new(LEVEL)),
            crc: Crc::new(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.crc.update(bytes);
        self.encoder.write_all(bytes)
    }

    /// What is ready, once it is at least so much.
    pub(super) fn take(&mut self, bytes_min: usize) -> Option<Vec<u8>> {
        let ready = self.encoder.get_mut();
        (ready.len() >= bytes_min).then(|| std::mem::take(ready))
    }

    /// The rest.
    pub(super) fn finish(self) -> std::io::Result<Vec<u8>> {
        let mut out = self.encoder.finish()?;
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        Ok(out)
    }
}

/// Decompresses a member of known size part by part, and accepts one form only.
pub(super) struct Inflate {
    decompress: Decompress,
    crc: Crc,
    header: Vec<u8>,
    trailer: Vec<u8>,
    /// Stored bytes between header and trailer that are still to come.
    rest: u64,
    out: Vec<u8>,
    length: u64,
    ended: bool,
}

impl Inflate {
    pub(super) fn new(stored: u64) -> Result<Self, Stop> {
        let around = (GZIP_HEADER.len() + TRAILER) as u64;
        Ok(Self {
            decompress: Decompress::new(false),
            crc: Crc::new(),
            header: Vec::new(),
            trailer: Vec::new(),
            rest: stored.checked_sub(around).ok_or(MALFORMED)?,
            out: vec![0; 64 * 1024],
            length: 0,
            ended: false,
        })
    }

    pub(super) fn push(&mut self, stored: &[u8], sink: &mut dyn FnMut(&[u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        let (head, stored) = stored.split_at(stored.len().min(GZIP_HEADER.len() - self.header.len()));
        self.header.extend_from_slice(head);
        let (mut deflated, trailer) = stored.split_at(stored.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX)));
        self.rest -= deflated.len() as u64;
        self.trailer.extend_from_slice(trailer);
        while !deflated.is_empty() {
            if self.ended {
                return Err(MALFORMED.into());
            }
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(deflated, &mut self.out, FlushDecompress::None)
                .map_err(|_| MALFORMED)?;
            self.ended = status == Status::StreamEnd;
            let read = usize::try_from(self.decompress.total_in() - read).unwrap_or(usize::MAX);
            let written = usize::try_from(self.decompress.total_out() - written).unwrap_or(usize::MAX);
            if read == 0 && written == 0 {
                return Err(MALFORMED.into());
            }
            deflated = deflated.get(read..).unwrap_or_default();
            self.pass(written, sink)?;
        }
        // What the decompressor holds back because the buffer was full.
        while self.rest == 0 && !self.ended {
            let written = self.decompress.total_out();
            let status = self
                .decompress
                .decompress(&[], &mut self.out, FlushDecompress::None)
                .map_err(|_| MALFORMED)?;
            self.ended = status == Status::StreamEnd;
            let written = usize::try_from(self.decompress.total_out() - written).unwrap_or(usize::MAX);
            if written == 0 && !self.ended {
                return Err(MALFORMED.into());
            }
            self.pass(written, sink)?;
        }
        Ok(())
    }

    fn pass(&mut self, written: usize, sink: &mut dyn FnMut(&[u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        let part = self.out.get(..written).unwrap_or_default();
        self.crc.update(part);
        self.length += written as u64;
        if part.is_empty() { Ok(()) } else { sink(part) }
    }

    pub(super) fn finish(self) -> Result<(), &'static str> {
        let expected = [self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes()].concat();
        if !self.ended || self.rest > 0 || self.header != GZIP_HEADER || self.trailer != expected {
            return Err(MALFORMED);
        }
        if self.length > PLAIN_BYTES_MAX as u64 {
            Ok(())
        } else {
            Err("a short member is compressed")
        }
    }
}

/// Decompresses a member that stands in memory to a text of at most so many bytes.
pub(super) fn inflate(stored: &[u8], bytes_max: usize) -> Result<String, Stop> {
    let rest = stored.strip_prefix(&GZIP_HEADER).ok_or(MALFORMED)?;
    let (mut deflated, trailer) = rest.split_last_chunk::<TRAILER>().ok_or(MALFORMED)?;
    // The trailer says how long it will be. Where that is wrong it is refused, so it is believed as far as there may be so much.
    let length = u32::from_le_bytes([trailer[4], trailer[5], trailer[6], trailer[7]]);
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
    let length = length.ok_or("a member is too long")?;
    if length <= PLAIN_BYTES_MAX {
        return Err("a short member is compressed".into());
    }
    let mut bytes = Vec::with_capacity(length);
    let mut decompress = Decompress::new(false);
    loop {
        let (read, written) = (decompress.total_in(), decompress.total_out());
        let status = decompress
            .decompress_vec(deflated, &mut bytes, FlushDecompress::Finish)
            .map_err(|_| MALFORMED)?;
        let read = usize::try_from(decompress.total_in() - read).unwrap_or(usize::MAX);
        deflated = deflated.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            break;
        }
        if read == 0 && decompress.total_out() == written {
            return Err(MALFORMED.into());
        }
    }
    let mut crc = Crc::new();
    crc.update(&bytes);
    let expected = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    if !deflated.is_empty() || expected != trailer {
        return Err(MALFORMED.into());
    }
    Ok(String::from_utf8(bytes).map_err(|_| "a member is not text")?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut deflate = Deflate::new();
        deflate.push(bytes).unwrap();
        deflate.finish().unwrap()
    }

    fn read(stored: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        let mut inflate = Inflate::new(stored.len() as u64).map_err(|_| MALFORMED)?;
        let pushed = inflate.push(stored, &mut |part| {
            out.extend_from_slice(part);
            Ok(())
        });
        pushed.map_err(|_| MALFORMED)?;
        inflate.finish()?;
        Ok(out)
    }

    #[test]
    fn a_member_reads_back_in_parts_of_any_size() {
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        let stored = gzip(&bytes);
        assert_eq!(read(&stored).unwrap(), bytes);
        for size in [1, 7, 4096] {
            let mut inflate = Inflate::new(stored.len() as u64).unwrap();
            let mut out = Vec::new();
            for part in stored.chunks(size) {
                inflate
                    .push(part, &mut |part| {
                        out.extend_from_slice(part);
                        Ok(())
                    })
                    .unwrap();
            }
            inflate.finish().unwrap();
            assert!(out == bytes, "parts of {size}");
        }
        assert_eq!(inflate(&gzip(&[b'a'; 20_000]), 20_000).unwrap().len(), 20_000);
        assert!(inflate(&gzip(&[b'a'; 20_000]), 19_999).is_err());
        assert!(inflate(&gzip(&[0xff; 20_000]), 20_000).is_err());
        let good = gzip(&[b'a'; 20_000]);
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x10;
            // Padding bits apart; see below.
            assert!(at == good.len() - 9 || inflate(&changed, 30_000).is_err(), "byte {at}");
            assert!(inflate(&good[..at], 30_000).is_err());
        }
    }

    #[test]
    fn the_wrong_form_and_trailing_bytes_are_refused() {
        let bytes = vec![1; PLAIN_BYTES_MAX + 1];
        let good = gzip(&bytes);
        assert_eq!(read(&good).unwrap(), bytes);
        assert!(read(&gzip(b"short")).is_err());
        assert!(read(&[good.as_slice(), b"x"].concat()).is_err());
        assert!(read(&[good.as_slice(), good.as_slice()].concat()).is_err());
        assert!(read(&[&good[..good.len() - 8], b"x", &good[good.len() - 8..]].concat()).is_err());
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 0x10;
            // Deflate ends within a byte, and decoders differ about the bits that pad it: those may change, the content never.
            // That no stored byte is free, these bits included, is the statement's doing; the tests of whole bundles show it.
            let answer = read(&changed);
            let padding = at == good.len() - 9;
            assert!(answer.is_err() || (padding && answer == Ok(bytes.clone())), "byte {at}");
            assert!(read(&good[..at]).is_err());
        }
    }
}
