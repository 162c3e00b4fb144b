//! What one log entry says in the open: its header, and the commitment to its body.
//!
//! `leaf = header "\n" base64url(body_root)`. The bytes hashed are the bytes stored: a header is parsed strictly, kept as
//! text, and never serialised again for a proof. The header names people by pseudonym only, so that bodies can be withheld or
//! erased while every proof still verifies.

use crate::encode::{DEPTH_MAX, EncodeError, INTEGER_BOUND, b64_onto, unb64_32, write_string};
use crate::merkle::{Hash, leaf_hash};
use crate::scan::{Scanner, unescape};

pub use crate::kind::Kind;

/// Bytes of a header at most.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Times end with the year 9999: what lies beyond has no date in four digits.
pub const T_MAX: i64 = 253_402_300_799_999;
/// Version of the header.
const VERSION: u64 = 1;

/// Why bytes are not a leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not canonical JSON, or not text.
    #[error("the header is not canonical JSON")]
    Encoding(#[from] EncodeError),
    /// No line break, or a body root that is not 32 bytes of base64url.
    #[error("a leaf is a header, a line break and the body root in base64url")]
    Shape,
    /// A member is missing, unknown, or has the wrong type.
    #[error("the header's `{0}` is missing, unknown or malformed")]
    Member(&'static str),
    /// Longer than [`HEADER_BYTES_MAX`].
    #[error("the header is longer than {HEADER_BYTES_MAX} bytes")]
    Length,
}

/// Whether policy allowed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

impl Decision {
    /// The word in headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
        }
    }
}

/// What an entry says in the open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Pseudonym of who did it.
    pub act: Option<String>,
    /// What policy decided.
    pub dec: Option<Decision>,
    /// Dataset.
    pub ds: Option<String>,
    /// What happened.
    pub kind: Kind,
    /// Index of the `policy.load` in force.
    pub pol: Option<u64>,
    /// Earlier entries this one rests on, in the order its kind prescribes.
    pub refs: Vec<u64>,
    /// Session.
    pub sid: Option<String>,
    /// When, ms since 1970; never before the entry before it.
    pub t: i64,
}

impl Header {
    /// A header of this kind with nothing else set; the log's writer sets the time.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            act: None,
            dec: None,
            ds: None,
            kind,
            pol: None,
            refs: Vec::new(),
            sid: None,
            t: 0,
        }
    }

    /// Sets the time and gives the header back.
    #[must_use]
    pub fn at(self, t: i64) -> Self {
        Self { t, ..self }
    }

    /// The canonical text. Absent members and empty `refs` are left out.
    ///
    /// # Errors
    /// When a number is out of bounds or the text too long.
    pub fn to_text(&self) -> Result<String, LeafError> {
        if !(0..=T_MAX).contains(&self.t) {
            return Err(LeafError::Member("t"));
        }
        let mut text = String::with_capacity(192);
        let string = |text: &mut String, name: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.push_str(name);
                write_string(text, value);
                text.push(',');
            }
        };
        let number = |text: &mut String, number: u64| {
            if number >= INTEGER_BOUND.cast_unsigned() {
                return Err(EncodeError::Integer);
            }
            text.push_str(&number.to_string());
            text.push(',');
            Ok(())
        };
        // In order of the names; each member brings its comma.
        text.push('{');
        string(&mut text, "\"act\":", self.act.as_deref());
        string(&mut text, "\"dec\":", self.dec.map(Decision::as_str));
        string(&mut text, "\"ds\":", self.ds.as_deref());
        string(&mut text, "\"k\":", Some(self.kind.as_str()));
        if let Some(pol) = self.pol {
            text.push_str("\"pol\":");
            number(&mut text, pol)?;
        }
        if !self.refs.is_empty() {
            text.push_str("\"refs\":[");
            for index in &self.refs {
                number(&mut text, *index)?;
            }
            text.pop();
            text.push_str("],");
        }
        string(&mut text, "\"sid\":", self.sid.as_deref());
        text.push_str(&format!("\"t\":{},\"v\":{VERSION}}}", self.t));
        if text.len() > HEADER_BYTES_MAX {
            Err(LeafError::Length)
        } else {
            Ok(text)
        }
    }

    /// Reads a header strictly: canonical text, known members only, every member of its type.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, LeafError> {
        let mut refs = Vec::new();
        let read = ReadHeader::parse(text, &mut refs)?;
        let own = |text: Option<&str>| text.map(|text| unescape(text).into_owned());
        Ok(Self {
            act: own(read.act),
            dec: read.dec,
            ds: own(read.ds),
            kind: read.kind,
            pol: read.pol,
            refs,
            sid: own(read.sid),
            t: read.t,
        })
    }
}

/// A header as it stands in its text: texts are still escaped, and references were appended to a list.
pub(crate) struct ReadHeader<'a> {
    pub(crate) act: Option<&'a str>,
    pub(crate) dec: Option<Decision>,
    pub(crate) ds: Option<&'a str>,
    pub(crate) kind: Kind,
    pub(crate) pol: Option<u64>,
    pub(crate) sid: Option<&'a str>,
    pub(crate) t: i64,
}

impl<'a> ReadHeader<'a> {
    /// Reads a header strictly.
    pub(crate) fn parse(text: &'a str, refs: &mut Vec<u64>) -> Result<Self, LeafError> {
        if text.len() > HEADER_BYTES_MAX {
            return Err(LeafError::Length);
        }
        let (mut act, mut dec, mut ds, mut kind, mut pol, mut sid, mut t, mut v) = (None, None, None, None, None, None, None, None);
        let mut scanner = Scanner::new(text);
        scanner.object(DEPTH_MAX, |scanner, key| {
            match key {
                "act" => act = Some(text_of(scanner, "act")?),
                "dec" => {
                    dec = match text_of(scanner, "dec")? {
                        "allow" => Some(Decision::Allow),
                        "deny" => Some(Decision::Deny),
                        _ => return Err(LeafError::Member("dec")),
                    }
                }
                "ds" => ds = Some(text_of(scanner, "ds")?),
                "k" => kind = Some(Kind::parse(text_of(scanner, "k")?).ok_or(LeafError::Member("k"))?),
                "pol" => pol = Some(number_of(scanner, "pol")?),
                "refs" => {
                    let before = refs.len();
                    scanner.list::<LeafError>(DEPTH_MAX - 1, |scanner| {
                        refs.push(number_of(scanner, "refs")?);
                        Ok(())
                    })?;
                    if refs.len() == before {
                        return Err(LeafError::Member("refs"));
                    }
                }
                "sid" => sid = Some(text_of(scanner, "sid")?),
                "t" => t = Some(number_of(scanner, "t")?),
                "v" => v = Some(number_of(scanner, "v")?),
                _ => return Err(LeafError::Member("?")),
            }
            Ok(())
        })?;
        scanner.end()?;
        if v != Some(VERSION) {
            return Err(LeafError::Member("v"));
        }
        Ok(Self {
            act,
            dec,
            ds,
            kind: kind.ok_or(LeafError::Member("k"))?,
            pol,
            sid,
            t: t.map(u64::cast_signed).filter(|t| *t <= T_MAX).ok_or(LeafError::Member("t"))?,
        })
    }
}

/// A text that is not empty, still escaped.
fn text_of<'a>(scanner: &mut Scanner<'a>, name: &'static str) -> Result<&'a str, LeafError> {
    let text = scanner.string().map_err(|_| LeafError::Member(name))?;
    if text.is_empty() { Err(LeafError::Member(name)) } else { Ok(text) }
}

fn number_of(scanner: &mut Scanner<'_>, name: &'static str) -> Result<u64, LeafError> {
    let number = scanner.integer().map_err(|_| LeafError::Member(name))?;
    u64::try_from(number).map_err(|_| LeafError::Member(name))
}

/// A log entry's open part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The header's exact text.
    pub header_text: String,
    /// The header, parsed.
    pub header: Header,
    /// Commitment to the body.
    pub body_root: Hash,
}

impl Leaf {
    /// A leaf from its parts.
    ///
    /// # Errors
    /// When the header has no valid text.
    pub fn new(header: Header, body_root: Hash) -> Result<Self, LeafError> {
        Ok(Self {
            header_text: header.to_text()?,
            header,
            body_root,
        })
    }

    /// A leaf from a header's exact text.
    ///
    /// # Errors
    /// When the text is not a valid header.
    pub fn from_text(header_text: &str, body_root: Hash) -> Result<Self, LeafError> {
        Ok(Self {
            header_text: header_text.to_owned(),
            header: Header::parse(header_text)?,
            body_root,
        })
    }

    /// The bytes that are stored and hashed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        leaf_bytes(&self.header_text, &self.body_root)
    }

    /// Reads stored bytes strictly.
    ///
    /// # Errors
    /// When they are not exactly one leaf.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LeafError::Shape)?;
        let (header, root) = text.split_once('\n').ok_or(LeafError::Shape)?;
        Self::from_text(header, unb64_32(root).map_err(|_| LeafError::Shape)?)
    }

    /// RFC 6962 leaf hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.to_bytes())
    }
}

/// The bytes of the leaf with this header and body root.
pub(crate) fn leaf_bytes(header_text: &str, body_root: &Hash) -> Vec<u8> {
    let mut text = String::with_capacity(header_text.len() + 44);
    write_leaf(&mut text, header_text, body_root);
    text.into_bytes()
}

/// Appends the text of the leaf with this header and body root.
pub(crate) fn write_leaf(text: &mut String, header_text: &str, body_root: &Hash) {
    text.push_str(header_text);
    text.push('\n');
    b64_onto(text, body_root);
}

// Indices and times are written as JSON integers, so they stay below the encoder's bound.
const _: () = assert!(INTEGER_BOUND as u64 > u32::MAX as u64);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn header() -> Header {
        Header {
            act: Some("p_1".into()),
            dec: Some(Decision::Allow),
            ds: Some("orders".into()),
            pol: Some(2),
            refs: vec![12, 7],
            sid: Some("ses_1".into()),
            ..Header::new(Kind::FetchIntent).at(1_764_000_000_123)
        }
    }

    #[test]
    fn a_leaf_has_the_written_form() {
        let leaf = Leaf::new(header(), [0; 32]).unwrap();
        assert_eq!(
            String::from_utf8(leaf.to_bytes()).unwrap(),
            "{\"act\":\"p_1\",\"dec\":\"allow\",\"ds\":\"orders\",\"k\":\"fetch.intent\",\"pol\":2,\"refs\":[12,7],\"sid\":\"ses_1\",\"t\":1764000000123,\"v\":1}\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert_eq!(Leaf::parse(&leaf.to_bytes()).unwrap(), leaf);
        let bare = Leaf::new(Header::new(Kind::LogGenesis), [1; 32]).unwrap();
        assert_eq!(bare.header_text, "{\"k\":\"log.genesis\",\"t\":0,\"v\":1}");
        assert_eq!(Leaf::parse(&bare.to_bytes()).unwrap(), bare);
    }

    #[test]
    fn a_header_reads_back_whatever_it_holds() {
        let texts = [None, Some("p_1"), Some("a\"b\\c\u{1}\n\u{e9}")].map(|text| text.map(ToOwned::to_owned));
        for (act, refs) in texts.iter().zip([vec![], vec![0], vec![7, 1, 9_007_199_254_740_991]]) {
            for (sid, dec) in texts.iter().zip([None, Some(Decision::Allow), Some(Decision::Deny)]) {
                for (ds, pol) in texts.iter().zip([None, Some(0), Some(12)]) {
                    let (act, sid, ds) = (act.clone(), sid.clone(), ds.clone());
                    let (kind, t) = (Kind::AuditRead, T_MAX);
                    let refs = refs.clone();
                    let header = Header {
                        act,
                        dec,
                        ds,
                        kind,
                        pol,
                        refs,
                        sid,
                        t,
                    };
                    let text = header.to_text().unwrap();
                    assert_eq!(Header::parse(&text).unwrap(), header);
                    let value = crate::encode::parse_canonical(&text).unwrap();
                    assert_eq!(crate::encode::canonical(&value).unwrap(), text);
                }
            }
        }
        let number = LeafError::Encoding(EncodeError::Integer);
        let far = |refs, pol| Header { refs, pol, ..header() }.to_text().unwrap_err();
        assert_eq!(far(vec![1 << 53], None), number);
        assert_eq!(far(vec![1], Some(u64::MAX)), number);
    }

    #[test]
    fn a_changed_byte_gives_another_leaf_or_none() {
        let bytes = Leaf::new(header(), [9; 32]).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(leaf) = Leaf::parse(&changed) {
                assert_eq!(leaf.to_bytes(), changed);
            }
        }
    }

    #[test]
    fn unknown_missing_and_malformed_members_are_refused() {
        for text in [
            "{\"k\":\"fetch.intent\",\"t\":1}",
            "{\"k\":\"fetch.intent\",\"t\":1,\"v\":2}",
            "{\"k\":\"fetch.peek\",\"t\":1,\"v\":1}",
            "{\"k\":\"fetch.intent\",\"t\":-1,\"v\":1}",
            "{\"k\":\"fetch.intent\",\"refs\":[],\"t\":1,\"v\":1}",
            "{\"k\":\"fetch.intent\",\"refs\":[-1],\"t\":1,\"v\":1}",
            "{\"act\":\"\",\"k\":\"fetch.intent\",\"t\":1,\"v\":1}",
            "{\"act\":null,\"k\":\"fetch.intent\",\"t\":1,\"v\":1}",
            "{\"dec\":\"maybe\",\"k\":\"fetch.intent\",\"t\":1,\"v\":1}",
            "{\"k\":\"fetch.intent\",\"t\":1,\"v\":1,\"x\":1}",
            "{\"k\":\"fetch.intent\",\"t\":\"1\",\"v\":1}",
            "{\"k\":\"fetch.intent\",\"t\":253402300800000,\"v\":1}",
            "{\"k\":\"fetch.intent\",\"t\":1,\"v\":1} ",
            "{\"k\":\"fetch.intent\",\"v\":1}",
            "[]",
        ] {
            assert!(Header::parse(text).is_err(), "{text}");
        }
    }
}
