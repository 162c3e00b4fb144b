//! The archive: POSIX ustar in the one form this program writes. Every other byte is refused, padding included.

/// Archives consist of blocks.
pub(super) const BLOCK: usize = 512;
/// Length of a member's name at most.
const NAME_BYTES_MAX: usize = 100;
/// Largest size the header's octal field holds.
const SIZE_MAX: u64 = 0o77_777_777_777;

/// The one header of a member with this name and size.
pub(super) fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
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

/// Name and size of a member, from its header.
pub(super) fn parse_header(block: &[u8]) -> Option<(&str, u64)> {
    let name = block.get(..NAME_BYTES_MAX)?;
    let name = std::str::from_utf8(name.split(|byte| *byte == 0).next()?).ok()?;
    let size = std::str::from_utf8(block.get(124..135)?).ok()?;
    let size = u64::from_str_radix(size, 8).ok()?;
    (header(name, size)?.as_slice() == block).then_some((name, size))
}

/// Bytes of NUL behind contents of this size.
pub(super) fn padding(size: u64) -> usize {
    // Below the size of a block, so it fits.
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

/// Names are relative paths of plain characters: nothing that could leave a folder or surprise a shell.
fn name_is_valid(name: &str) -> bool {
    let part_is_valid =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    name.len() < NAME_BYTES_MAX && name.split('/').all(part_is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", "/a", "../a", "a/../b", "a//b", "a/", ".a", "a b", "a\n", "é", &"a".repeat(100)] {
            assert_eq!(header(name, 0), None, "{name:?}");
        }
    }

    #[test]
    fn a_header_reads_back() {
        for (name, size) in [("a", 0), ("rows/000000000000.jsonl.gz", 12_345), ("b/c.txt", SIZE_MAX)] {
            assert_eq!(
                header(name, size).as_ref().and_then(|block| parse_header(block)),
                Some((name, size))
            );
        }
        assert_eq!(header("a", SIZE_MAX + 1), None);
    }
}
