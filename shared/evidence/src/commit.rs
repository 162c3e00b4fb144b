//! How a leaf commits to a body: salted digests of the groups (RFC 9901's disclosure rule), and one root over them.
//!
//! Works on the canonical texts of the groups, which readers have and writers make; buffers are reused, because verifying a
//! log does little else than this.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::body::{BodyError, EntryKey, GROUP_DEPTH_MAX, GROUPS, Group};
use crate::encode::{sha256, unb64, unb64_of};
use crate::merkle::Hash;
use crate::salts::Salts;
use crate::scan::{Raw, Scanner};

/// The groups of a body by number; absent ones are not there.
pub(crate) type Groups<'a> = [Option<Raw<'a>>; GROUPS];

/// Computes commitments. It is nothing but buffers that are used again.
#[derive(Default)]
pub struct Committer {
    json: String,
    base64: Vec<u8>,
}

impl Committer {
    /// The digests of all groups in schema order.
    pub(crate) fn digests(&mut self, rk: &EntryKey, groups: &Groups<'_>) -> [Hash; GROUPS] {
        let salts = Salts::of(rk);
        let mut digests = [[0; 32]; GROUPS];
        for ((group, value), digest) in Group::ALL.into_iter().zip(groups).zip(&mut digests) {
            *digest = sha256(self.disclose(&salts, group, *value));
        }
        digests
    }

    /// The commitment to a body.
    pub(crate) fn root(&mut self, rk: &EntryKey, groups: &Groups<'_>) -> Hash {
        root_of(&self.digests(rk, groups))
    }

    /// The disclosure that opens a group, base64url.
    pub(crate) fn disclosure(&mut self, rk: &EntryKey, group: Group, value: Option<Raw<'_>>) -> String {
        String::from_utf8_lossy(self.disclose(&Salts::of(rk), group, value)).into_owned()
    }

    fn disclose(&mut self, salts: &Salts, group: Group, value: Option<Raw<'_>>) -> &[u8] {
        self.json.clear();
        self.json.push_str("[\"");
        URL_SAFE_NO_PAD.encode_string(salts.salt(group), &mut self.json);
        self.json.push_str("\",\"");
        self.json.push_str(group.as_str());
        self.json.push_str("\",");
        self.json.push_str(value.map_or("null", Raw::text));
        self.json.push(']');
        let length = self.json.len().div_ceil(3) * 4;
        if self.base64.len() < length {
            self.base64.resize(length, 0);
        }
        // The buffer is large enough for what goes in, so there is always something to give back.
        let written = URL_SAFE_NO_PAD.encode_slice(&self.json, &mut self.base64).unwrap_or_default();
        self.base64.get(..written).unwrap_or_default()
    }
}

/// The body root of eight digests.
pub(crate) fn root_of(digests: &[Hash; GROUPS]) -> Hash {
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

/// The JSON text behind a disclosure.
pub(crate) fn decode_disclosure(disclosure: &str) -> Result<String, BodyError> {
    String::from_utf8(unb64(disclosure)?).map_err(|_| BodyError::Disclosure)
}

/// Opens the JSON text of a disclosure: the group it is of and its value, unless that is null.
pub(crate) fn open(text: &str) -> Result<(Group, Option<Raw<'_>>), BodyError> {
    let mut scanner = Scanner::new(text);
    let (mut group, mut value, mut at) = (None, None, 0);
    scanner.list(GROUP_DEPTH_MAX + 1, |scanner| {
        at += 1;
        match at {
            1 if unb64_of::<16>(scanner.string()?).is_ok() => {}
            2 => group = Group::parse(scanner.string()?),
            3 => value = group_value(scanner.value(GROUP_DEPTH_MAX)?, true)?,
            _ => return Err(BodyError::Disclosure),
        }
        Ok(())
    })?;
    scanner.end()?;
    match (at, group) {
        (3, Some(group)) => Ok((group, value)),
        _ => Err(BodyError::Disclosure),
    }
}

/// A group is an object, or null where it may be absent.
pub(crate) fn group_value(value: Raw<'_>, may_be_null: bool) -> Result<Option<Raw<'_>>, BodyError> {
    match value {
        value if value.is_object() => Ok(Some(value)),
        value if value.is_null() && may_be_null => Ok(None),
        _ => Err(BodyError::Document),
    }
}
