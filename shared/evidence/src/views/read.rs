//! Reads a bundle that was verified, member by member and row by row, without holding it in memory.
//!
//! It believes what it reads: [`crate::bundle::verify_bundle`] comes first, over the same bytes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;
use serde_json::Value;

use super::row::{Row, Shown};
use crate::body::{Body, EntryKey, GROUPS, Group};
use crate::checkpoint::SignedCheckpoint;
use crate::encode::{sha256, unb64, unb64_32};
use crate::leaf::Leaf;
use crate::merkle::Hash;

/// Why a bundle that was verified cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The medium failed, or whoever takes the rows did.
    #[error("reading the bundle")]
    Io(#[from] std::io::Error),
    /// It is not the bundle that was verified.
    #[error("the bundle changed while it was read: {0}")]
    Malformed(&'static str),
}

/// A verified bundle, opened.
#[derive(Debug)]
pub struct Verified<R> {
    reader: R,
    /// Place and length of each stored member.
    members: BTreeMap<String, (u64, u64)>,
}

const BLOCK_BYTES: u64 = 512;

impl<R: Read + Seek> Verified<R> {
    /// Finds the members.
    ///
    /// # Errors
    /// When it is not an archive.
    pub fn open(mut reader: R) -> Result<Self, ReadError> {
        let mut members = BTreeMap::new();
        let mut at = 0;
        loop {
            reader.seek(SeekFrom::Start(at))?;
            let mut header = [0; BLOCK_BYTES as usize];
            reader.read_exact(&mut header)?;
            let text = |from: usize, to: usize| {
                let field = header.get(from..to).unwrap_or_default();
                let field = field.split(|byte| *byte == 0).next().unwrap_or_default();
                std::str::from_utf8(field).map_err(|_| ReadError::Malformed("a member's header"))
            };
            let name = text(0, 100)?;
            if name.is_empty() {
                return Ok(Self { reader, members });
            }
            let length = u64::from_str_radix(text(124, 136)?, 8).map_err(|_| ReadError::Malformed("a member's length"))?;
            members.insert(name.to_owned(), (at + BLOCK_BYTES, length));
            at += BLOCK_BYTES + length.div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
        }
    }

    /// The names of all members, without the ending that compressed ones have.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(|name| name.strip_suffix(".gz").unwrap_or(name))
    }

    /// A member's contents.
    ///
    /// # Errors
    /// When there is none.
    pub fn member(&mut self, name: &str) -> Result<Box<dyn BufRead + '_>, ReadError> {
        let (at, length, compressed) = match (self.members.get(name), self.members.get(&format!("{name}.gz"))) {
            (Some((at, length)), _) => (*at, *length, false),
            (None, Some((at, length))) => (*at, *length, true),
            (None, None) => return Err(ReadError::Malformed("a member is missing")),
        };
        self.reader.seek(SeekFrom::Start(at))?;
        let stored = BufReader::new((&mut self.reader).take(length));
        Ok(if compressed {
            Box::new(BufReader::new(GzDecoder::new(stored)))
        } else {
            Box::new(stored)
        })
    }

    /// Origin, size and root of the head, unverified here.
    ///
    /// # Errors
    /// When there is none.
    pub fn head(&mut self) -> Result<SignedCheckpoint, ReadError> {
        let mut text = String::new();
        self.member("head.checkpoint")?.read_to_string(&mut text)?;
        SignedCheckpoint::parse(&text).map_err(|_| ReadError::Malformed("the head checkpoint"))
    }

    /// The log's verifier key that signed the head.
    ///
    /// # Errors
    /// When there is none.
    pub fn log_key(&mut self) -> Result<String, ReadError> {
        let mut text = String::new();
        self.member("keys/log.txt")?.read_to_string(&mut text)?;
        Ok(text.trim_end().to_owned())
    }

    /// Entries outside the range that it rests on, in order.
    ///
    /// # Errors
    /// When one is malformed, or `visit` fails.
    pub fn context(&mut self, mut visit: impl FnMut(Row) -> std::io::Result<()>) -> Result<(), ReadError> {
        self.members_of("context/", &mut visit)
    }

    /// The entries of the range, in order.
    ///
    /// # Errors
    /// When one is malformed, or `visit` fails.
    pub fn rows(&mut self, mut visit: impl FnMut(Row) -> std::io::Result<()>) -> Result<(), ReadError> {
        self.members_of("rows/", &mut visit)
    }

    fn members_of(&mut self, folder: &str, visit: &mut impl FnMut(Row) -> std::io::Result<()>) -> Result<(), ReadError> {
        let names: Vec<String> = self.names().filter(|name| name.starts_with(folder)).map(str::to_owned).collect();
        for name in names {
            // Rows of the range are numbered from the first, after which their member is named.
            let first = name.strip_prefix(folder).and_then(|rest| rest.strip_suffix(".jsonl"));
            let first: u64 = first
                .and_then(|first| first.parse().ok())
                .ok_or(ReadError::Malformed("a member's name"))?;
            for (index, line) in (first..).zip(self.member(&name)?.lines()) {
                visit(read_row(&line?, index).ok_or(ReadError::Malformed("a row"))?)?;
            }
        }
        Ok(())
    }
}

/// A line: of this index, unless it says another.
fn read_row(line: &str, index: u64) -> Option<Row> {
    let line: Value = serde_json::from_str(line).ok()?;
    let (root, body, shown) = if let Some(groups) = line.get("b") {
        let mut body = Body::new();
        for (name, value) in groups.as_object()? {
            body.set(Group::parse(name)?, value.clone());
        }
        let rk = EntryKey::parse(line.get("rk")?.as_str()?).ok()?;
        (body.root(&rk).ok()?, body, Shown::Full)
    } else if let Some(disclosures) = line.get("g") {
        partly(disclosures, line.get("d")?)?
    } else {
        let root = unb64_32(line.get("r")?.as_str()?).ok()?;
        let shown = match (line.get("e"), line.get("x")) {
            (Some(by), _) => Shown::Erased(by.as_u64()?),
            (None, Some(by)) => Shown::Disposed(by.as_u64()?),
            (None, None) => Shown::Header,
        };
        (root, Body::new(), shown)
    };
    let leaf = Leaf::from_text(line.get("h")?.as_str()?, root).ok()?;
    Some(Row {
        index: line.get("i").map_or(Some(index), Value::as_u64)?,
        hash: leaf.hash(),
        header: leaf.header,
        shown,
        body,
    })
}

/// Root and opened groups of a body that is shown in part.
fn partly(disclosures: &Value, digests: &Value) -> Option<(Hash, Body, Shown)> {
    let mut body = Body::new();
    let mut groups = Vec::new();
    let mut commitment = b"chunkctl.dev/evidence/body/v1\n".to_vec();
    commitment.push(GROUPS.try_into().ok()?);
    for group in Group::ALL {
        let name = group.as_str();
        let digest = if let Some(disclosure) = disclosures.get(name) {
            let disclosure = disclosure.as_str()?;
            let opened: Value = serde_json::from_slice(&unb64(disclosure).ok()?).ok()?;
            body.set(group, opened.get(2)?.clone());
            groups.push(group);
            sha256(disclosure.as_bytes())
        } else {
            unb64_32(digests.get(name)?.as_str()?).ok()?
        };
        commitment.push(name.len().try_into().ok()?);
        commitment.extend_from_slice(name.as_bytes());
        commitment.extend_from_slice(&digest);
    }
    Some((sha256(&commitment), body, Shown::Partly(groups)))
}
