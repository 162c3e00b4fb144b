//! A bundle taken apart as the tar file that it is, so that it can be put together wrongly.

const BLOCK: usize = 512;

/// A member: its header block and its bytes without padding.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) header: [u8; BLOCK],
    pub(crate) bytes: Vec<u8>,
}

impl Member {
    pub(crate) fn name(&self) -> String {
        let end = self.header[..100].iter().position(|&byte| byte == 0).unwrap_or(100);
        String::from_utf8(self.header[..end].to_vec()).unwrap()
    }

    /// Another name, with the checksum made good.
    pub(crate) fn rename(&mut self, name: &str) {
        self.header[..100].fill(0);
        self.header[..name.len()].copy_from_slice(name.as_bytes());
        self.seal();
    }

    /// Makes size and checksum fit what the member holds.
    pub(crate) fn seal(&mut self) {
        self.header[124..136].copy_from_slice(format!("{:011o}\0", self.bytes.len()).as_bytes());
        self.header[148..156].fill(b' ');
        let sum: u32 = self.header.iter().map(|&byte| u32::from(byte)).sum();
        self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

pub(crate) fn take_apart(tar: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    let mut rest = tar;
    while rest.len() >= BLOCK && rest[..BLOCK].iter().any(|&byte| byte != 0) {
        let header: [u8; BLOCK] = rest[..BLOCK].try_into().unwrap();
        let octal: String = header[124..136]
            .iter()
            .map(|&byte| char::from(byte))
            .filter(|digit| digit.is_digit(8))
            .collect();
        let size = usize::from_str_radix(&octal, 8).unwrap();
        members.push(Member {
            header,
            bytes: rest[BLOCK..BLOCK + size].to_vec(),
        });
        rest = &rest[BLOCK + size.next_multiple_of(BLOCK)..];
    }
    members
}

pub(crate) fn put_together(members: &[Member]) -> Vec<u8> {
    let mut tar = Vec::new();
    for member in members {
        tar.extend_from_slice(&member.header);
        tar.extend_from_slice(&member.bytes);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}
