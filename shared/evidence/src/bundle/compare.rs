//! What stands beside the rows is a function of the rows: keys, policies and schemas by digest, and views by hash.

use std::collections::BTreeMap;

use super::member::Stored;
use super::views::Sink;
use crate::body::Group;
use crate::disclosed::Disclosed;
use crate::encode::{b64, canonical, sha256_hex};
use crate::leaf::Kind;
use crate::signed::Holder;

/// Collects the members that an entry brings along: the key its session binds, the policy and schema it loads.
pub(super) fn attach(entry: &Disclosed, members: &mut BTreeMap<String, Vec<u8>>) {
    match entry.leaf.header.kind {
        Kind::SessionOpen => {
            // A malformed binding is a fault of its own; it has no key to show.
            if let Ok(holder) = Holder::of(entry) {
                let key = serde_json::json!({ "public_key": b64(&holder.public_key), "thumbprint": holder.key });
                members.insert(
                    format!("keys/{}.json", hex_name(&holder.key)),
                    canonical(&key).unwrap_or_default().into_bytes(),
                );
            }
        }
        Kind::PolicyLoad => {
            for (member, folder, extension) in [("text", "policies", "cedar"), ("schema", "schema", "cedarschema")] {
                if let Some(text) = entry.text(Group::What, member) {
                    members.insert(
                        format!("{folder}/{}.{extension}", sha256_hex(text.as_bytes())),
                        text.as_bytes().to_vec(),
                    );
                }
            }
        }
        _ => {}
    }
}

/// File systems that ignore case would confuse thumbprints; their hashes in hex cannot be confused.
fn hex_name(thumbprint: &str) -> String {
    sha256_hex(thumbprint.as_bytes())
}

/// A view as length and hash, so that it never stands in memory.
pub(super) struct Digest {
    context: ring::digest::Context,
    length: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self {
            context: ring::digest::Context::new(&ring::digest::SHA256),
            length: 0,
        }
    }
}

impl Sink for Digest {
    fn put(&mut self, text: &str) {
        self.update(text.as_bytes());
    }
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Whether a stored member has exactly the bytes that went in here.
    pub(super) fn equals_stored(self, name: &str, stored: &mut Stored<'_>) -> Result<bool, &'static str> {
        let mut found = Digest::default();
        stored.take_into(name, |part| {
            found.update(part);
            found.length <= self.length
        })?;
        Ok(found.length == self.length && found.context.finish().as_ref() == self.context.finish().as_ref())
    }
}
