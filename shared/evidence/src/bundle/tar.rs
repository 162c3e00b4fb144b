//! The archive: POSIX ustar in the one form this program writes. Every other byte is refused, padding included.

use std::collections::BTreeMap;

const BLOCK: usize = 512;
/// Length of a member's name at most.
const NAME_BYTES_MAX: usize = 100;
/// Largest size the header's octal field holds.
const SIZE_MAX: u64 = 0o77_777_777_777;

/// Writes members in order of their names.
pub(super) fn write(members: &BTreeMap<String, Vec<u8>>) -> Option<Vec<u8>> {
    let mut archive = Vec::with_capacity(members.values().map(|bytes| bytes.len() + 2 * BLOCK).sum::<usize>() + 2 * BLOCK);
    for (name, bytes) in members {
        archive.extend_from_slice(&header(name, bytes.len() as u64)?);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Some(archive)
}

/// Reads an archive strictly.
pub(super) fn read(archive: &[u8]) -> Result<BTreeMap<&str, &[u8]>, &'static str> {
    let mut members = BTreeMap::new();
    let mut rest = archive;
    let mut last = "";
    loop {
        let (head, after) = rest.split_at_checked(BLOCK).ok_or("the archive is cut short")?;
        if head.iter().all(|byte| *byte == 0) {
            let ends = after.len() == BLOCK && after.iter().all(|byte| *byte == 0);
            return if ends {
                Ok(members)
            } else {
                Err("the archive does not end where it should")
            };
        }
        let (name, size) = parse_header(head).ok_or("a member's header is malformed")?;
        if name <= last {
            return Err("members are out of order or doubled");
        }
        let size = usize::try_from(size).map_err(|_| "a member is too large")?;
        let (bytes, after) = after.split_at_checked(size).ok_or("the archive is cut short")?;
        let (padding, after) = after
            .split_at_checked(size.next_multiple_of(BLOCK) - size)
            .ok_or("the archive is cut short")?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err("padding is not empty");
        }
        members.insert(name, bytes);
        (rest, last) = (after, name);
    }
}

/// The one header of a member with this name and size.
fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if !name_is_valid(name) || size > SIZE_MAX {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(field) {
            *to = *from;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *to = from;
    }
    Some(block)
}

fn parse_header(block: &[u8]) -> Option<(&str, u64)> {
    let name = block.get(..NAME_BYTES_MAX)?;
    let name = std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()?;
    let size = std::str::from_utf8(block.get(124..135)?).ok()?;
    let size = u64::from_str_radix(size, 8).ok()?;
    (header(name, size)?.as_slice() == block).then_some((name, size))
}

/// Names are relative paths of plain characters: nothing that could leave a folder or surprise a shell.
fn name_is_valid(name: &str) -> bool {
    let part_is_valid =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    name.len() < NAME_BYTES_MAX && name.split('/').all(part_is_valid)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn archive() -> Vec<u8> {
        let members = [("a.txt", b"hello".to_vec()), ("b/c.txt", vec![7; 512]), ("b/d", Vec::new())];
        write(&members.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()).unwrap()
    }

    #[test]
    fn an_archive_reads_back_and_is_what_tar_reads() {
        let archive = archive();
        let members = read(&archive).unwrap();
        assert_eq!(members.keys().copied().collect::<Vec<_>>(), ["a.txt", "b/c.txt", "b/d"]);
        assert_eq!(members["a.txt"], b"hello");
        assert_eq!(archive.len(), 512 * (2 + 2 + 1 + 2));
    }

    #[test]
    fn every_byte_outside_the_contents_is_fixed() {
        let archive = archive();
        let contents = |at: usize| (512..517).contains(&at) || (1536..2048).contains(&at);
        for at in (0..archive.len()).filter(|at| !contents(*at)) {
            for flip in 1..=255 {
                let mut changed = archive.clone();
                changed[at] ^= flip;
                assert!(read(&changed).is_err(), "byte {at} xor {flip}");
            }
        }
        for length in 0..archive.len() {
            assert!(read(&archive[..length]).is_err(), "{length}");
        }
        assert!(read(&[archive.as_slice(), &[0; 512]].concat()).is_err());
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", "/a", "../a", "a/../b", "a//b", "a/", ".a", "a b", "a\n", "é", &"a".repeat(100)] {
            assert_eq!(header(name, 0), None, "{name:?}");
        }
    }
}
