//! A bundle as it is read: which members there are, and their bytes, without ever holding more than one of them.
//!
//! Opening walks over the whole archive once, checks every byte that is not content, and hashes the contents. A member is read
//! later, where its turn comes; its hash is taken again, so that what is judged is what was covered.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use ring::digest::{Context, SHA256};

use super::member::{self, PLAIN_BYTES_MAX};
use super::tar::{BLOCK, padding, parse_header};
use crate::merkle::Hash;

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// A fault of form: nothing after it can be judged.
    Form(&'static str),
    /// The file could not be read.
    Read(io::Error),
}

impl From<&'static str> for Stop {
    fn from(what: &'static str) -> Self {
        Self::Form(what)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// A member: where its contents stand.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Box<str>,
    pub(super) digest: Hash,
    at: u64,
    size: u64,
}

/// An archive whose form is right. Members are in order of their names.
pub(super) struct Archive<S> {
    source: Mutex<S>,
    members: Vec<Member>,
    /// Which were taken; what is left over does not belong.
    taken: Vec<bool>,
}

/// Bytes read at a time.
const PART_BYTES: usize = 256 * 1024;
/// A member that is not made of rows or views has at most so many bytes.
pub(super) const SMALL_BYTES_MAX: u64 = 1024 * 1024;

impl<S: Read + Seek> Archive<S> {
    /// Reads the archive to its end.
    pub(super) fn open(mut source: S) -> Result<Self, Stop> {
        source.seek(SeekFrom::Start(0))?;
        let mut walk = Walk {
            source: &mut source,
            buffer: vec![0; PART_BYTES],
            from: 0,
            to: 0,
            at: 0,
        };
        let mut members: Vec<Member> = Vec::new();
        loop {
            let mut head = [0; BLOCK];
            walk.exactly(BLOCK as u64, |at, part| copy(&mut head, at, part))?;
            if head.iter().all(|byte| *byte == 0) {
                walk.zeros(BLOCK as u64)?;
                if !walk.part(1)?.is_empty() {
                    return Err("the archive does not end where it should".into());
                }
                break;
            }
            let (name, size) = parse_header(&head).ok_or("a member's header is malformed")?;
            if members.last().is_some_and(|last| *last.name >= *name) {
                return Err("members are out of order or doubled".into());
            }
            let at = walk.at;
            let mut context = Context::new(&SHA256);
            walk.exactly(size, |_, part| context.update(part))?;
            walk.zeros(padding(size) as u64)?;
            members.push(Member {
                name: name.into(),
                digest: finish(context),
                at,
                size,
            });
        }
        Ok(Self {
            source: Mutex::new(source),
            taken: vec![false; members.len()],
            members,
        })
    }

    /// All members, in order of their names.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether every member was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.iter().all(|taken| *taken)
    }

    /// Takes a member for reading, if it is there and was not taken before.
    pub(super) fn take(&mut self, name: &str) -> Option<Member> {
        let at = self.members.binary_search_by(|member| (*member.name).cmp(name)).ok()?;
        let taken = self.taken.get_mut(at).filter(|taken| !**taken)?;
        *taken = true;
        self.members.get(at).cloned()
    }

    /// Takes a member whose stored form follows from its length; also tells whether it is compressed.
    pub(super) fn take_stored(&mut self, name: &str) -> Option<(Member, bool)> {
        match self.take(name) {
            Some(member) => Some((member, false)),
            None => Some((self.take(&format!("{name}.gz"))?, true)),
        }
    }

    /// Takes a small member that is always stored as it is.
    pub(super) fn take_text(&mut self, name: &str, bytes_max: u64) -> Result<String, Stop> {
        let member = self.take(name).ok_or("a member is missing")?;
        let bytes = self.read(&member, bytes_max)?;
        Ok(String::from_utf8(bytes).map_err(|_| "a member is not text")?)
    }

    /// The stored bytes of a member.
    pub(super) fn read(&self, member: &Member, bytes_max: u64) -> Result<Vec<u8>, Stop> {
        if member.size > bytes_max {
            return Err("a member is too long".into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(member.size).unwrap_or(0));
        self.read_parts(member, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Passes what is in a member on, part by part, whatever form it is stored in.
    pub(super) fn read_contents(
        &self,
        member: &Member,
        compressed: bool,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !compressed {
            if member.size > PLAIN_BYTES_MAX as u64 {
                return Err("a long member is not compressed".into());
            }
            return self.read_parts(member, sink);
        }
        let mut inflate = member::Inflate::new(member.size)?;
        self.read_parts(member, |part| inflate.push(part, sink))?;
        Ok(inflate.finish()?)
    }

    fn read_parts(&self, member: &Member, mut sink: impl FnMut(&[u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; PART_BYTES.min(usize::try_from(member.size).unwrap_or(PART_BYTES))];
        let mut done = 0;
        while done < member.size {
            let length = buffer.len().min(usize::try_from(member.size - done).unwrap_or(buffer.len()));
            let part = buffer.get_mut(..length).unwrap_or_default();
            {
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                source.seek(SeekFrom::Start(member.at + done))?;
                source.read_exact(part)?;
            }
            context.update(part);
            sink(part)?;
            done += length as u64;
        }
        if finish(context) != member.digest {
            return Err("the file changed while it was read".into());
        }
        Ok(())
    }
}

/// Walks over an archive from its beginning.
struct Walk<'s, S> {
    source: &'s mut S,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Bytes of the archive passed.
    at: u64,
}

impl<S: Read> Walk<'_, S> {
    /// Some of the next bytes, at most so many; none at the end.
    fn part(&mut self, length_max: usize) -> Result<&[u8], Stop> {
        if self.from == self.to {
            self.from = 0;
            self.to = loop {
                match self.source.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        let length = length_max.min(self.to - self.from);
        let part = self.buffer.get(self.from..self.from + length).unwrap_or_default();
        self.from += length;
        self.at += length as u64;
        Ok(part)
    }

    /// Passes exactly so many bytes on, each part with its place.
    fn exactly(&mut self, length: u64, mut sink: impl FnMut(usize, &[u8])) -> Result<(), Stop> {
        let mut done = 0;
        while done < length {
            let part = self.part(usize::try_from(length - done).unwrap_or(usize::MAX))?;
            if part.is_empty() {
                return Err("the archive is cut short".into());
            }
            sink(usize::try_from(done).unwrap_or(usize::MAX), part);
            done += part.len() as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, length: u64) -> Result<(), Stop> {
        let mut clean = true;
        self.exactly(length, |_, part| clean &= part.iter().all(|byte| *byte == 0))?;
        if clean { Ok(()) } else { Err("padding is not empty".into()) }
    }
}

fn copy(to: &mut [u8], at: usize, from: &[u8]) {
    for (to, from) in to.iter_mut().skip(at).zip(from) {
        *to = *from;
    }
}

pub(super) fn finish(context: Context) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::bundle::tests::put_together;
    use std::io::Cursor;

    fn archive() -> Vec<u8> {
        let members = [("a.txt", b"hello".to_vec()), ("b/c.txt", vec![7; 512]), ("b/d", Vec::new())];
        put_together(&members.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
    }

    fn names(archive: &[u8]) -> Option<Vec<String>> {
        let archive = Archive::open(Cursor::new(archive)).ok()?;
        Some(archive.members().iter().map(|member| member.name.to_string()).collect())
    }

    #[test]
    fn an_archive_reads_back() {
        let bytes = archive();
        assert_eq!(names(&bytes).unwrap(), ["a.txt", "b/c.txt", "b/d"]);
        assert_eq!(bytes.len(), 512 * (2 + 2 + 1 + 2));
        let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
        assert_eq!(archive.take_text("a.txt", 5).unwrap(), "hello");
        assert!(matches!(archive.take_text("a.txt", 5), Err(Stop::Form("a member is missing"))));
        assert!(matches!(archive.take_text("b/c.txt", 511), Err(Stop::Form("a member is too long"))));
        assert!(!archive.is_empty());
        assert_eq!(archive.take_text("b/d", 0).unwrap(), "");
        assert!(archive.is_empty());
    }

    #[test]
    fn every_byte_outside_the_contents_is_fixed() {
        let archive = archive();
        let contents = |at: usize| (512..517).contains(&at) || (1536..2048).contains(&at);
        for at in (0..archive.len()).filter(|at| !contents(*at)) {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut changed = archive.clone();
                changed[at] ^= flip;
                assert_eq!(names(&changed), None, "byte {at} xor {flip}");
            }
        }
        for length in 0..archive.len() {
            assert_eq!(names(&archive[..length]), None, "{length}");
        }
        assert_eq!(names(&[archive.as_slice(), &[0; 512]].concat()), None);
        assert_eq!(names(&[archive.as_slice(), b"\0"].concat()), None);
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_noticed() {
        let mut bytes = archive();
        let mut archive = Archive::open(Cursor::new(bytes.clone())).unwrap();
        bytes[512] = b'j';
        archive.source = Mutex::new(Cursor::new(bytes));
        assert!(matches!(
            archive.take_text("a.txt", 5),
            Err(Stop::Form("the file changed while it was read"))
        ));
    }
}
