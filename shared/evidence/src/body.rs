//! What an entry says in confidence: eight groups of which any can be shown and any withheld, all under one commitment.
//!
//! Each group is committed by a salted digest (RFC 9901's disclosure rule); the salts come from one key per entry, so the
//! whole body opens with one value. Absent groups commit to null: whether a group is there shows only to those it is opened to.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::commit::{Committer, Groups, group_value, root_of};
use crate::encode::{DEPTH_MAX, EncodeError, b64, unb64_of, write_value};
use crate::merkle::Hash;
use crate::scan::{Raw, Scanner};

/// Number of groups.
pub const GROUPS: usize = 8;
/// Levels a group nests at most: in the line of a bundle it stands two levels deep.
pub(crate) const GROUP_DEPTH_MAX: usize = DEPTH_MAX - 2;
/// Bytes of a body document at most. What is larger cannot be recorded: a verifier reads a bundle line by line in bounded
/// memory, so nobody may make lines it cannot hold.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A part of a body that is opened or withheld as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Person: issuer, subject, name, groups, key.
    Who,
    /// Address, host, client.
    Net,
    /// What was asked or done, with the person's signature.
    What,
    /// Connections, datasets, columns, classes.
    Obj,
    /// Reason, ticket, justification.
    Why,
    /// How it ended: rows, bytes, digests.
    Out,
    /// Per column: mask, values altered.
    Mask,
    /// Broker version, instance.
    Env,
}

impl Group {
    /// Every group in schema order.
    pub const ALL: [Group; GROUPS] = [
        Group::Who,
        Group::Net,
        Group::What,
        Group::Obj,
        Group::Why,
        Group::Out,
        Group::Mask,
        Group::Env,
    ];

    /// Name in disclosures and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Who => "who",
            Group::Net => "net",
            Group::What => "what",
            Group::Obj => "obj",
            Group::Why => "why",
            Group::Out => "out",
            Group::Mask => "mask",
            Group::Env => "env",
        }
    }

    /// The group with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "who" => Group::Who,
            "net" => Group::Net,
            "what" => Group::What,
            "obj" => Group::Obj,
            "why" => Group::Why,
            "out" => Group::Out,
            "mask" => Group::Mask,
            "env" => Group::Env,
            _ => return None,
        })
    }

    /// Position in schema order, from 0.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// Why a body or a disclosure is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A value has no canonical text, or a text is not canonical.
    #[error("a body group is not canonical JSON")]
    Encoding(#[from] EncodeError),
    /// Not `["<salt>","<group>",<value>]` with a 16-byte salt and a known group.
    #[error("not a disclosure")]
    Disclosure,
    /// Not an object of `rk` and known groups, each an object.
    #[error("not a body document")]
    Document,
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("the body of an entry may have at most {BODY_BYTES_MAX} bytes")]
    Length,
}

/// The random key of one entry, from which its salts come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EntryKey([u8; 16]);

impl std::fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EntryKey(..)")
    }
}

impl EntryKey {
    /// A key from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads base64url.
    ///
    /// # Errors
    /// When it is not exactly 16 bytes.
    pub fn parse(text: &str) -> Result<Self, EncodeError> {
        unb64_of(text).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Base64url, for bodies that are opened whole.
    #[must_use]
    pub fn to_text(&self) -> String {
        b64(&self.0)
    }
}

/// The values of the eight groups; null is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body([Value; GROUPS]);

impl Body {
    /// An empty body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a group.
    pub fn set(&mut self, group: Group, value: Value) {
        if let Some(slot) = self.0.get_mut(usize::from(group.number())) {
            *slot = value;
        }
    }

    /// Sets a group and gives the body back.
    #[must_use]
    pub fn with(mut self, group: Group, value: Value) -> Self {
        self.set(group, value);
        self
    }

    /// The value of a group; null when absent.
    #[must_use]
    pub fn get(&self, group: Group) -> &Value {
        self.0.get(usize::from(group.number())).unwrap_or(&Value::Null)
    }

    /// A text member of a group.
    #[must_use]
    pub fn text(&self, group: Group, member: &str) -> Option<&str> {
        self.get(group).get(member)?.as_str()
    }

    /// A number member of a group.
    #[must_use]
    pub fn number(&self, group: Group, member: &str) -> Option<u64> {
        self.get(group).get(member)?.as_u64()
    }

    /// The digests of all groups in schema order.
    ///
    /// # Errors
    /// When a value has no canonical text.
    pub fn digests(&self, rk: &EntryKey) -> Result<[Hash; GROUPS], BodyError> {
        let written = self.write(rk)?;
        Ok(Committer::default().digests(rk, &written.groups()))
    }

    /// The commitment to this body under this entry key.
    ///
    /// # Errors
    /// When a value has no canonical text.
    pub fn root(&self, rk: &EntryKey) -> Result<Hash, BodyError> {
        Ok(root_of(&self.digests(rk)?))
    }

    /// The plaintext document that is sealed beside the leaf: `{"rk":…,"who":…}`, absent groups left out.
    ///
    /// # Errors
    /// When a value has no canonical text, or the document is longer than [`BODY_BYTES_MAX`].
    pub fn to_document(&self, rk: &EntryKey) -> Result<String, BodyError> {
        Ok(self.write(rk)?.document()?.to_owned())
    }

    /// Reads a plaintext document.
    ///
    /// # Errors
    /// When it is not canonical, or holds anything but `rk` and known groups.
    pub fn parse_document(text: &str) -> Result<(EntryKey, Self), BodyError> {
        let (rk, groups) = read_document(text)?;
        let mut body = Self::new();
        for (group, value) in Group::ALL.into_iter().zip(groups) {
            if let Some(value) = value {
                body.set(group, serde_json::from_str(value.text()).map_err(|_| BodyError::Document)?);
            }
        }
        Ok((rk, body))
    }

    /// The groups that are present, by name.
    #[must_use]
    pub fn present(&self) -> Map<String, Value> {
        let groups = Group::ALL.into_iter().zip(&self.0);
        groups
            .filter(|(_, value)| !value.is_null())
            .map(|(group, value)| (group.as_str().to_owned(), value.clone()))
            .collect()
    }

    /// Writes the document: each group once, at its place among the others.
    pub(crate) fn write(&self, rk: &EntryKey) -> Result<Written, BodyError> {
        let mut text = String::with_capacity(512);
        let mut groups = [const { 0..0 }; GROUPS];
        let mut put = |text: &mut String, group: Group, (before, behind): (&str, &str)| {
            let value = self.get(group);
            if !value.is_null() {
                text.push_str(before);
                text.push('"');
                text.push_str(group.as_str());
                text.push_str("\":");
                let from = text.len();
                write_value(text, value, GROUP_DEPTH_MAX)?;
                if let Some(place) = groups.get_mut(usize::from(group.number())) {
                    *place = from..text.len();
                }
                text.push_str(behind);
            }
            Ok::<_, BodyError>(())
        };
        // In order of the names.
        text.push('{');
        for group in [Group::Env, Group::Mask, Group::Net, Group::Obj, Group::Out] {
            put(&mut text, group, ("", ","))?;
        }
        text.push_str("\"rk\":\"");
        text.push_str(&rk.to_text());
        text.push('"');
        for group in [Group::What, Group::Who, Group::Why] {
            put(&mut text, group, (",", ""))?;
        }
        text.push('}');
        Ok(Written { text, groups })
    }
}

/// A body as its document, and where its groups stand in it.
pub(crate) struct Written {
    text: String,
    groups: [Range<usize>; GROUPS],
}

impl Written {
    /// The groups that are there.
    pub(crate) fn groups(&self) -> Groups<'_> {
        let mut groups = [None; GROUPS];
        for (group, place) in groups.iter_mut().zip(&self.groups).filter(|(_, place)| !place.is_empty()) {
            *group = self.text.get(place.clone()).map(Raw::known);
        }
        groups
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The document, unless it is too long.
    pub(crate) fn document(&self) -> Result<&str, BodyError> {
        if self.text.len() > BODY_BYTES_MAX {
            Err(BodyError::Length)
        } else {
            Ok(&self.text)
        }
    }
}

/// Reads a body document where it stands.
pub(crate) fn read_document(text: &str) -> Result<(EntryKey, Groups<'_>), BodyError> {
    let mut scanner = Scanner::new(text);
    let (mut rk, mut groups): (_, Groups<'_>) = (None, [None; GROUPS]);
    scanner.object(GROUP_DEPTH_MAX + 1, |scanner, name| {
        if name == "rk" {
            rk = Some(EntryKey::parse(scanner.string()?)?);
            return Ok(());
        }
        read_group(name, scanner.value(GROUP_DEPTH_MAX)?, &mut groups)
    })?;
    scanner.end()?;
    Ok((rk.ok_or(BodyError::Document)?, groups))
}

/// Puts a group in its place; unknown names and values that are no objects are refused.
pub(crate) fn read_group<'a>(name: &str, value: Raw<'a>, groups: &mut Groups<'a>) -> Result<(), BodyError> {
    let group = Group::parse(name).ok_or(BodyError::Document)?;
    if let Some(slot) = groups.get_mut(usize::from(group.number())) {
        *slot = group_value(value, false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::commit::{decode_disclosure, open};
    use crate::encode::{sha256, to_hex};
    use serde_json::json;

    fn rk() -> EntryKey {
        EntryKey::from_random(*b"0123456789abcdef")
    }

    #[test]
    fn the_groups_count_from_zero_in_schema_order() {
        let names: Vec<_> = Group::ALL.into_iter().map(|g| (g.number(), g.as_str())).collect();
        assert!(Group::ALL.into_iter().all(|g| Group::parse(g.as_str()) == Some(g)));
        assert_eq!(
            names,
            [
                (0, "who"),
                (1, "net"),
                (2, "what"),
                (3, "obj"),
                (4, "why"),
                (5, "out"),
                (6, "mask"),
                (7, "env")
            ]
        );
    }

    #[test]
    fn the_root_is_the_one_a_second_implementation_computes() {
        // Computed by a dozen lines of Python with hmac and hashlib; see docs/evidence.md.
        let body = Body::new()
            .with(Group::What, json!({"id": "req_1"}))
            .with(Group::Out, json!({"rows": 7}));
        assert_eq!(
            to_hex(&body.root(&rk()).unwrap()),
            "5dfa2dd99c2c94796267a53a1bfc260a932f18bdfe0b5f920fa1bdab0d94b4e2"
        );
        assert_eq!(
            to_hex(&Body::new().root(&rk()).unwrap()),
            "c1e91197fd57d02c1713b30b61cea85325e2ce7f06d3c2f0dd4cddc2a494c110"
        );
    }

    #[test]
    fn a_document_reads_back_and_refuses_strangers() {
        let body = Body::new()
            .with(Group::Who, json!({"subject": "ada"}))
            .with(Group::Env, json!({"instance": "i"}));
        let document = body.to_document(&rk()).unwrap();
        assert_eq!(
            document,
            "{\"env\":{\"instance\":\"i\"},\"rk\":\"MDEyMzQ1Njc4OWFiY2RlZg\",\"who\":{\"subject\":\"ada\"}}"
        );
        assert_eq!(Body::parse_document(&document).unwrap(), (rk(), body));
        for text in [
            "{}",
            "{\"rk\":\"MDEyMzQ1Njc4OWFiY2RlZg\",\"x\":1}",
            "{\"rk\":\"MDEyMzQ1Njc4OWFiY2RlZg\",\"who\":null}",
            "{\"rk\":\"MDEy\"}",
            "{\"rk\":\"MDEyMzQ1Njc4OWFiY2RlZg\",\"who\":\"ada\"}",
        ] {
            assert!(Body::parse_document(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_disclosure_opens_to_its_value_under_the_digest_of_its_group() {
        let body = Body::new().with(Group::Why, json!({"reason": "churn é"}));
        let (digests, written) = (body.digests(&rk()).unwrap(), body.write(&rk()).unwrap());
        for (group, value) in Group::ALL.into_iter().zip(written.groups()) {
            let disclosure = Committer::default().disclosure(&rk(), group, value);
            let text = decode_disclosure(&disclosure).unwrap();
            assert_eq!(open(&text).unwrap(), (group, value));
            assert_eq!(sha256(disclosure.as_bytes()), digests[usize::from(group.number())]);
        }
    }

    #[test]
    fn only_disclosures_are_opened() {
        let salt = "MDEyMzQ1Njc4OWFiY2RlZg";
        assert!(open(&format!("[\"{salt}\",\"why\",{{}}]")).is_ok());
        for text in [
            "[]",
            "[\"MDEy\",\"why\",{}]",
            &format!("[\"{salt}\",\"why\"]"),
            &format!("[\"{salt}\",\"how\",{{}}]"),
            &format!("[\"{salt}\",\"why\",\"text\"]"),
            &format!("[\"{salt}\",\"why\",{{}},1]"),
            &format!("[\"{salt}\",\"why\",{{}}] "),
        ] {
            assert!(open(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_body_that_no_verifier_could_hold_is_not_recorded() {
        let body = |length: usize| Body::new().with(Group::What, json!({"text": "x".repeat(length)}));
        let around = body(0).to_document(&rk()).unwrap().len();
        assert!(body(BODY_BYTES_MAX - around).to_document(&rk()).is_ok());
        assert_eq!(body(BODY_BYTES_MAX - around + 1).to_document(&rk()), Err(BodyError::Length));
    }
}
