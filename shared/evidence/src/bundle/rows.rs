//! One entry as one line: full, partly opened, header only, erased, or disposed of; and the members that hold lines.

use std::borrow::Cow;

use super::input::{BundleEntry, BundleError, EntryBody};
use super::level::open_set;
use crate::body::{BodyError, EntryKey, GROUP_DEPTH_MAX, GROUPS, Group, read_document, read_group};
use crate::commit::{Committer, Groups};
use crate::disclosed::{Given, GroupSet, Page, split};
use crate::encode::{DEPTH_MAX, EncodeError, b64, unb64_32, write_string};
use crate::leaf::Leaf;
use crate::merkle::Hash;
use crate::scan::{Raw, Scanner, unescape};

/// Rows in one member at most.
pub(super) const ROWS_MAX: usize = 4096;
/// A member ends with the row by which it has so many bytes.
pub(super) const MEMBER_BYTES: usize = 1024 * 1024;
/// Bytes of a line at most: a body document as disclosures, a header with every character escaped, and a proof fit into it.
pub(super) const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// So a member has at most so many.
pub(super) const MEMBER_BYTES_MAX: usize = MEMBER_BYTES + LINE_BYTES_MAX;

/// Whether a member that holds so much is complete.
pub(super) fn is_full(rows: usize, bytes: usize) -> bool {
    rows >= ROWS_MAX || bytes >= MEMBER_BYTES
}

/// Name of the member whose first row is of this index.
pub(super) fn rows_name(first: u64) -> String {
    format!("rows/{first:012}.jsonl")
}

/// Name of the context member whose first entry is of this index.
pub(super) fn context_name(first: u64) -> String {
    format!("context/{first:012}.jsonl")
}

/// Appends the line of an entry at this level; closed when it is not to be opened. `proof` is given for context.
pub(super) fn write(
    text: &mut String,
    committer: &mut Committer,
    entry: &BundleEntry<'_>,
    leaf: &Leaf,
    level: u8,
    proof: Option<&[Hash]>,
) -> Result<(), BundleError> {
    let header = |text: &mut String| {
        text.push_str("\"h\":");
        write_string(text, &leaf.header_text);
        if let Some(proof) = proof {
            let hashes: Vec<String> = proof.iter().map(|hash| format!("\"{}\"", b64(hash))).collect();
            text.push_str(&format!(",\"i\":{},\"p\":[{}]", entry.index, hashes.join(",")));
        }
    };
    match entry.body {
        EntryBody::Erased(by) => {
            text.push_str(&format!("{{\"e\":{by},"));
            header(text);
            text.push_str(&format!(",\"r\":\"{}\"}}\n", b64(&leaf.body_root)));
        }
        EntryBody::Disposed(by) => {
            text.push('{');
            header(text);
            text.push_str(&format!(",\"r\":\"{}\",\"x\":{by}}}\n", b64(&leaf.body_root)));
        }
        EntryBody::Document(_) if !entry.opened || level < 2 => {
            text.push('{');
            header(text);
            text.push_str(&format!(",\"r\":\"{}\"}}\n", b64(&leaf.body_root)));
        }
        EntryBody::Document(document) => {
            let (rk, groups) = read_document(document).map_err(|error| BundleError::Body(entry.index, error))?;
            if committer.root(&rk, &groups) != leaf.body_root {
                return Err(BundleError::BodyRoot(entry.index));
            }
            let open = open_set(level, leaf.header.kind);
            if open == GroupSet::ALL {
                let mut named: Vec<(&str, Raw<'_>)> = Group::ALL
                    .into_iter()
                    .zip(groups)
                    .filter_map(|(group, value)| Some((group.as_str(), value?)))
                    .collect();
                named.sort_unstable_by_key(|(name, _)| *name);
                text.push_str("{\"b\":");
                object(text, named.iter().map(|(name, value)| (*name, value.text(), "")));
                text.push(',');
                header(text);
                text.push_str(&format!(",\"rk\":\"{}\"}}\n", rk.to_text()));
            } else {
                let mut split = split(committer, &rk, &groups, open);
                split.digests.sort_unstable_by_key(|(group, _)| group.as_str());
                split.disclosures.sort_unstable_by_key(|(group, _)| group.as_str());
                let digests: Vec<String> = split.digests.iter().map(|(_, digest)| b64(digest)).collect();
                text.push_str("{\"d\":");
                let named = split.digests.iter().zip(&digests);
                object(text, named.map(|((group, _), digest)| (group.as_str(), digest.as_str(), "\"")));
                text.push_str(",\"g\":");
                let named = split.disclosures.iter();
                object(text, named.map(|(group, disclosure)| (group.as_str(), disclosure.as_str(), "\"")));
                text.push(',');
                header(text);
                text.push_str("}\n");
            }
        }
    }
    Ok(())
}

/// An object of plain names and values that are put between quotes.
fn object<'t>(text: &mut String, members: impl Iterator<Item = (&'t str, &'t str, &'t str)>) {
    text.push('{');
    for (number, (name, value, quote)) in members.enumerate() {
        let comma = if number > 0 { "," } else { "" };
        text.push_str(&format!("{comma}\"{name}\":{quote}"));
        text.push_str(value);
        text.push_str(quote);
    }
    text.push('}');
}

/// The entries of a member.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) page: Page,
    /// The inclusion proof of each entry of context.
    pub(super) proofs: Vec<Vec<Hash>>,
    /// Whether nothing more could have stood in this member.
    pub(super) full: bool,
}

impl Rows {
    /// Reads a member whose first entry is of this index. Rows of the range are numbered by their order; context has numbers.
    pub(super) fn parse(text: &str, first: u64, context: bool) -> Result<Self, &'static str> {
        let mut rows = Self {
            page: Page::for_text(text.len()),
            ..Self::default()
        };
        let mut scanner = Scanner::new(text);
        let mut header = Vec::new();
        while scanner.at() < text.len() {
            let from = scanner.at();
            if is_full(rows.page.len(), from) {
                return Err("a member holds too many rows");
            }
            rows.read(&mut scanner, first + rows.page.len() as u64, context, &mut header)?;
            if scanner.at() - from >= LINE_BYTES_MAX {
                return Err("a row is too long");
            }
            scanner.line_break().map_err(|_| "a row is cut short")?;
        }
        if rows.page.get(0).is_none_or(|entry| entry.index != first) {
            return Err("a member of rows does not begin with the entry that it is named after");
        }
        rows.full = is_full(rows.page.len(), text.len());
        Ok(rows)
    }

    /// Reads a line strictly, with index and inclusion proof where they are expected.
    fn read(&mut self, scanner: &mut Scanner<'_>, index: u64, context: bool, header: &mut Vec<u8>) -> Result<(), &'static str> {
        let mut found = Line::default();
        scanner.object(DEPTH_MAX, |scanner, name| found.member(scanner, name, header))?;
        let header = found.header.then_some(header.as_slice()).ok_or(MALFORMED)?;
        let header = std::str::from_utf8(header).map_err(|_| MALFORMED)?;
        let index = match (context, found.index, found.proof) {
            (false, None, None) => index,
            (true, Some(index), Some(proof)) => {
                self.proofs.push(proof);
                index
            }
            _ => return Err(MALFORMED),
        };
        let gone = match (found.erased, found.disposed) {
            (None, None) => None,
            (Some(by), None) => Some(Gone::Erased(by)),
            (None, Some(by)) => Some(Gone::Disposed(by)),
            (Some(_), Some(_)) => return Err(MALFORMED),
        };
        let given = match (found.body, found.rk, found.digests, found.disclosures, gone, found.root) {
            (Some(groups), Some(rk), None, None, None, None) => Given::Full { rk, groups },
            (None, None, Some(digests), Some(disclosures), None, None) => Given::Partly { disclosures, digests },
            (None, None, None, None, None, Some(root)) => Given::Header(root),
            (None, None, None, None, Some(Gone::Erased(by)), Some(root)) => Given::Erased(root, by),
            (None, None, None, None, Some(Gone::Disposed(by)), Some(root)) => Given::Disposed(root, by),
            _ => return Err(MALFORMED),
        };
        self.page.add(index, header, given)
    }
}

const MALFORMED: &str = "a row is malformed";

/// What became of a body that is not there.
enum Gone {
    Erased(u64),
    Disposed(u64),
}

/// The members of a line.
#[derive(Default)]
struct Line<'l> {
    body: Option<Groups<'l>>,
    digests: Option<[Option<Hash>; GROUPS]>,
    disclosures: Option<[Option<Cow<'l, str>>; GROUPS]>,
    erased: Option<u64>,
    disposed: Option<u64>,
    /// Whether it was there; its text stands apart.
    header: bool,
    index: Option<u64>,
    proof: Option<Vec<Hash>>,
    root: Option<Hash>,
    rk: Option<EntryKey>,
}

impl<'l> Line<'l> {
    fn member(&mut self, scanner: &mut Scanner<'l>, name: &str, header: &mut Vec<u8>) -> Result<(), LineFault> {
        match name {
            "b" => {
                let mut groups = [None; GROUPS];
                scanner.object::<BodyError>(DEPTH_MAX - 1, |scanner, name| {
                    read_group(name, scanner.value(GROUP_DEPTH_MAX)?, &mut groups)
                })?;
                self.body = Some(groups);
            }
            "d" => self.digests = Some(by_group(scanner, |text| Ok(unb64_32(text)?))?),
            "g" => self.disclosures = Some(by_group(scanner, |text| Ok(unescape(text)))?),
            "e" => self.erased = Some(number(scanner)?),
            "x" => self.disposed = Some(number(scanner)?),
            "h" => {
                scanner.unescaped(header)?;
                self.header = true;
            }
            "i" => self.index = Some(number(scanner)?),
            "p" => {
                let mut proof = Vec::new();
                scanner.list::<EncodeError>(DEPTH_MAX - 1, |scanner| {
                    proof.push(unb64_32(scanner.string()?)?);
                    Ok(())
                })?;
                self.proof = Some(proof);
            }
            "r" => self.root = Some(unb64_32(scanner.string()?)?),
            "rk" => self.rk = Some(EntryKey::parse(scanner.string()?)?),
            _ => return Err(LineFault(MALFORMED)),
        }
        Ok(())
    }
}

/// An object whose names are groups and whose values are texts.
fn by_group<'l, T>(scanner: &mut Scanner<'l>, read: impl Fn(&'l str) -> Result<T, LineFault>) -> Result<[Option<T>; GROUPS], LineFault> {
    let mut found = [const { None }; GROUPS];
    scanner.object(DEPTH_MAX - 1, |scanner, name| {
        let group = Group::parse(name).ok_or(LineFault(MALFORMED))?;
        let value = read(scanner.string()?)?;
        if let Some(slot) = found.get_mut(usize::from(group.number())) {
            *slot = Some(value);
        }
        Ok::<_, LineFault>(())
    })?;
    Ok(found)
}

fn number(scanner: &mut Scanner<'_>) -> Result<u64, LineFault> {
    u64::try_from(scanner.integer()?).map_err(|_| LineFault(MALFORMED))
}

/// What is wrong with a line, in a sentence.
struct LineFault(&'static str);

impl From<EncodeError> for LineFault {
    fn from(_: EncodeError) -> Self {
        Self("a row is not canonical JSON, or of another form")
    }
}

impl From<LineFault> for &'static str {
    fn from(fault: LineFault) -> Self {
        fault.0
    }
}

impl From<BodyError> for LineFault {
    fn from(_: BodyError) -> Self {
        Self(MALFORMED)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::Log;

    /// The line of an entry, its index, and what it says as a page.
    fn line(level: u8, body: Option<u64>, proof: Option<&[Hash]>) -> (String, u64) {
        let (log, delivery) = Log::story();
        let at = usize::try_from(delivery.intent).unwrap();
        let entry = BundleEntry {
            index: delivery.intent,
            leaf: log.leaves.get(at).unwrap(),
            body: body.map_or(EntryBody::Document(log.documents.get(at).unwrap()), EntryBody::Erased),
            opened: true,
        };
        let (leaf, mut text) = (Leaf::parse(entry.leaf).unwrap(), String::new());
        write(&mut text, &mut Committer::default(), &entry, &leaf, level, proof).unwrap();
        let rows = Rows::parse(&text, entry.index, proof.is_some()).unwrap();
        assert_eq!(*rows.page.get(0).unwrap().hash, leaf.hash());
        assert_eq!(rows.proofs, proof.into_iter().map(<[Hash]>::to_vec).collect::<Vec<_>>());
        (text, entry.index)
    }

    #[test]
    fn a_row_reads_back_in_each_of_its_forms_only() {
        for level in 1..=4 {
            for (body, proof) in [
                (None, None),
                (Some(99), None),
                (None, Some([[1; 32], [2; 32]].as_slice())),
                (Some(99), Some([].as_slice())),
            ] {
                let (text, index) = line(level, body, proof);
                assert!(Rows::parse(&text, index, proof.is_none()).is_err());
                let bad = [
                    text.replacen('{', "{\"a\":1,", 1),
                    text.replacen("\"h\":", "\"h\": ", 1),
                    text.replacen("}\n", ",\"z\":1}\n", 1),
                    text.replace("\\\"v\\\":1", "\\\"v\\\":2"),
                    text.replacen("\"what\":", "\"whom\":", 1).replacen("\"r\":\"", "\"r\":\"A", 1),
                    text.trim_end().to_owned(),
                    format!("{text}\n"),
                ];
                for bad in bad {
                    assert!(Rows::parse(&bad, index, proof.is_some()).is_err(), "{bad}");
                }
            }
        }
    }

    #[test]
    fn a_member_ends_with_the_row_that_fills_it() {
        let (text, index) = line(1, None, None);
        let many = text.repeat(ROWS_MAX);
        assert!(Rows::parse(&many, index, false).unwrap().full);
        assert!(!Rows::parse(many.split_at(text.len()).1, index, false).unwrap().full);
        assert!(Rows::parse(&format!("{many}{text}"), index, false).is_err());
        let (text, index) = line(4, None, None);
        let rows = MEMBER_BYTES.div_ceil(text.len());
        assert!(rows < ROWS_MAX);
        assert!(Rows::parse(&text.repeat(rows), index, false).unwrap().full);
        assert!(!Rows::parse(&text.repeat(rows - 1), index, false).unwrap().full);
        assert!(Rows::parse(&text.repeat(rows + 1), index, false).is_err());
    }

    #[test]
    fn the_largest_body_fits_into_a_line_at_every_level() {
        use crate::body::{BODY_BYTES_MAX, Body, EntryKey};
        use crate::leaf::{HEADER_BYTES_MAX, Header, Kind};
        use serde_json::json;
        let rk = EntryKey::from_random([7; 16]);
        let mut length = BODY_BYTES_MAX - 100;
        // Quotes are escaped once in a body, and headers are escaped once more.
        let body = |length: usize| Body::new().with(Group::What, json!({"t": "\"".repeat(length / 2)}));
        while body(length).to_document(&rk).is_err() {
            length -= 1;
        }
        let document = body(length).to_document(&rk).unwrap();
        let mut act = "\u{1}".repeat(HEADER_BYTES_MAX / 6 - 20);
        act.push('"');
        let header = Header {
            act: Some(act),
            ..Header::new(Kind::PolicyLoad)
        };
        let leaf = Leaf::new(header, body(length).root(&rk).unwrap()).unwrap();
        let bytes = leaf.to_bytes();
        for level in 1..=4 {
            let entry = BundleEntry {
                index: 9,
                leaf: &bytes,
                body: EntryBody::Document(&document),
                opened: true,
            };
            let mut text = String::new();
            write(&mut text, &mut Committer::default(), &entry, &leaf, level, Some(&[[1; 32]; 64])).unwrap();
            assert!(text.len() < LINE_BYTES_MAX, "level {level}: {}", text.len());
            assert!(Rows::parse(&text, 9, true).is_ok());
        }
    }
}
