//! What an entry says in confidence: eight groups of which any can be shown and any withheld, all under one commitment.
//!
//! Each group is committed by a salted digest (RFC 9901's disclosure rule); the salts come from one key per entry, so the
//! whole body opens with one value. Absent groups commit to null: whether a group is there shows only to those it is opened to.

use ring::hmac;
use serde_json::{Map, Value};

use crate::encode::{EncodeError, b64, canonical, parse_canonical, sha256, unb64};
use crate::merkle::Hash;

/// Number of groups.
pub const GROUPS: usize = 8;

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
        Self::ALL.into_iter().find(|group| group.as_str() == name)
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
    /// Not an object of `rk` and known groups.
    #[error("not a body document")]
    Document,
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
        unb64(text)?.try_into().map(Self).map_err(|_| EncodeError::Base64)
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

    /// The disclosure that opens one group, in base64url.
    ///
    /// # Errors
    /// When the value has no canonical text.
    pub fn disclosure(&self, rk: &EntryKey, group: Group) -> Result<String, BodyError> {
        let value = canonical(self.get(group))?;
        Ok(b64(format!(
            "[\"{}\",\"{}\",{value}]",
            b64(&salt(&mac_key(rk), group)),
            group.as_str()
        )
        .as_bytes()))
    }

    /// The digests of all groups in schema order.
    ///
    /// # Errors
    /// When a value has no canonical text.
    pub fn digests(&self, rk: &EntryKey) -> Result<[Hash; GROUPS], BodyError> {
        let key = mac_key(rk);
        let mut digests = [[0; 32]; GROUPS];
        for ((group, value), digest) in Group::ALL.into_iter().zip(&self.0).zip(&mut digests) {
            let value = canonical(value)?;
            let disclosure = b64(format!("[\"{}\",\"{}\",{value}]", b64(&salt(&key, group)), group.as_str()).as_bytes());
            *digest = sha256(disclosure.as_bytes());
        }
        Ok(digests)
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
    /// When a value has no canonical text.
    pub fn to_document(&self, rk: &EntryKey) -> Result<String, BodyError> {
        let mut map = self.present();
        map.insert("rk".into(), rk.to_text().into());
        Ok(canonical(&Value::Object(map))?)
    }

    /// Reads a plaintext document.
    ///
    /// # Errors
    /// When it is not canonical, or holds anything but `rk` and known groups.
    pub fn parse_document(text: &str) -> Result<(EntryKey, Self), BodyError> {
        let Value::Object(mut map) = parse_canonical(text)? else {
            return Err(BodyError::Document);
        };
        let rk = map.remove("rk").ok_or(BodyError::Document)?;
        let rk = EntryKey::parse(rk.as_str().ok_or(BodyError::Document)?)?;
        Ok((rk, Self::from_present(map)?))
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

    /// A body from groups by name; null and unknown names are refused.
    ///
    /// # Errors
    /// When a name is unknown or a value null.
    pub fn from_present(map: Map<String, Value>) -> Result<Self, BodyError> {
        let mut body = Self::new();
        for (name, value) in map {
            let group = Group::parse(&name).filter(|_| !value.is_null()).ok_or(BodyError::Document)?;
            body.set(group, value);
        }
        Ok(body)
    }
}

/// The digest of a disclosure (as base64url text).
#[must_use]
pub fn digest_of(disclosure: &str) -> Hash {
    sha256(disclosure.as_bytes())
}

/// The body root of eight digests.
#[must_use]
pub fn root_of(digests: &[Hash; GROUPS]) -> Hash {
    let mut input = Vec::with_capacity(400);
    input.extend_from_slice(b"chunkctl.dev/evidence/body/v1\n");
    input.push(GROUPS as u8);
    for (group, digest) in Group::ALL.into_iter().zip(digests) {
        let name = group.as_str().as_bytes();
        input.push(name.len() as u8);
        input.extend_from_slice(name);
        input.extend_from_slice(digest);
    }
    sha256(&input)
}

/// Opens a disclosure: the group it is of and its value.
///
/// # Errors
/// When it is not base64url of canonical `["<16-byte salt>","<group>",<value>]`.
pub fn open(disclosure: &str) -> Result<(Group, Value), BodyError> {
    let text = String::from_utf8(unb64(disclosure)?).map_err(|_| BodyError::Disclosure)?;
    let Value::Array(parts) = parse_canonical(&text)? else {
        return Err(BodyError::Disclosure);
    };
    let [Value::String(salt), Value::String(name), value] = parts.as_slice() else {
        return Err(BodyError::Disclosure);
    };
    if unb64(salt)?.len() != 16 {
        return Err(BodyError::Disclosure);
    }
    Ok((Group::parse(name).ok_or(BodyError::Disclosure)?, value.clone()))
}

fn mac_key(rk: &EntryKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &rk.0)
}

fn salt(key: &hmac::Key, group: Group) -> [u8; 16] {
    let mut input = *b"chunkctl.dev/salt/v1\0";
    if let Some(last) = input.last_mut() {
        *last = group.number();
    }
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(hmac::sign(key, &input).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::encode::to_hex;
    use serde_json::json;

    fn rk() -> EntryKey {
        EntryKey::from_random(*b"0123456789abcdef")
    }

    #[test]
    fn the_groups_count_from_zero_in_schema_order() {
        let names: Vec<_> = Group::ALL.into_iter().map(|g| (g.number(), g.as_str())).collect();
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
        ] {
            assert!(Body::parse_document(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_disclosure_opens_to_its_value_under_the_digest_of_its_group() {
        let body = Body::new().with(Group::Why, json!({"reason": "churn é"}));
        let digests = body.digests(&rk()).unwrap();
        for group in Group::ALL {
            let disclosure = body.disclosure(&rk(), group).unwrap();
            assert_eq!(open(&disclosure).unwrap(), (group, body.get(group).clone()));
            assert_eq!(digest_of(&disclosure), digests[usize::from(group.number())]);
        }
    }
}
