//! Is a message signed by this SSH key? OpenSSH's own format (PROTOCOL.sshsig), so that a key which never leaves somebody's agent
//! or token signs what the broker cannot make up, and `ssh-keygen -Y verify` can check it as well.
//!
//! What is read is read strictly: one form, nothing behind it, four types of keys. A token's signature counts only where its flags
//! say that somebody touched it; its application must begin with `ssh:`, because a web site's name there would make of a sign-in on
//! that site a signature here.

use ring::digest::{SHA512, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

use crate::encode::{b64_std, sha256, unb64_std};

/// What a verdict is signed for (`ssh-keygen -n`).
pub const REVIEW_NAMESPACE: &str = "review@chunkctl.dev";
/// What the enrolment of a key is signed for.
pub const ENROLL_NAMESPACE: &str = "enroll@chunkctl.dev";

/// Why something is no SSH key, or no signature by one that counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SshError {
    /// Not in the one form.
    #[error("it is not in OpenSSH's form")]
    Form,
    /// Another type of key.
    #[error(
        "keys of this type are not taken: use ssh-ed25519, ecdsa-sha2-nistp256, sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com"
    )]
    Type,
    /// It was made for something else.
    #[error("it was made for another namespace, or with another hash than sha512")]
    Purpose,
    /// A hardware key signed without being touched.
    #[error("the hardware key signed without being touched")]
    Presence,
    /// It is not by this key, or not over this message.
    #[error("the signature does not verify")]
    Signature,
}

/// A public key as OpenSSH writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    blob: Vec<u8>,
    kind: Kind,
    point: Vec<u8>,
    /// What a hardware key was made for.
    application: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
    SkEd25519,
    SkP256,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Ed25519, Self::P256, Self::SkEd25519, Self::SkP256];

    fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::P256 => "ecdsa-sha2-nistp256",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn is_hardware(self) -> bool {
        matches!(self, Self::SkEd25519 | Self::SkP256)
    }

    fn is_p256(self) -> bool {
        matches!(self, Self::P256 | Self::SkP256)
    }
}

impl SshKey {
    /// Reads a key as the agent gives it.
    ///
    /// # Errors
    /// When it is of another type, or in another form.
    pub fn from_blob(blob: &[u8]) -> Result<Self, SshError> {
        let mut read = Reader(blob);
        let name = read.string()?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name);
        let kind = kind.ok_or(SshError::Type)?;
        if kind.is_p256() && read.string()? != b"nistp256" {
            return Err(SshError::Form);
        }
        let point = read.string()?;
        let fits = if kind.is_p256() {
            point.len() == 65 && point.first() == Some(&4)
        } else {
            point.len() == 32
        };
        let application = if kind.is_hardware() { read.string()? } else { &[] };
        if !fits || !read.0.is_empty() || (kind.is_hardware() && !application.starts_with(b"ssh:")) {
            return Err(SshError::Form);
        }
        Ok(Self {
            blob: blob.to_vec(),
            kind,
            point: point.to_vec(),
            application: application.to_vec(),
        })
    }

    /// Reads a line of a `.pub` file: type, base64, and perhaps a comment.
    ///
    /// # Errors
    /// As [`SshKey::from_blob`].
    pub fn from_line(line: &str) -> Result<Self, SshError> {
        let mut words = line.trim().splitn(3, ' ');
        let (name, blob) = (words.next().unwrap_or_default(), words.next().ok_or(SshError::Form)?);
        let key = Self::from_blob(&unb64_std(blob).map_err(|_| SshError::Form)?)?;
        if key.type_name() == name { Ok(key) } else { Err(SshError::Form) }
    }

    /// Type and base64, as in a `.pub` file, without a comment.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{} {}", self.type_name(), b64_std(&self.blob))
    }

    /// The key as the agent knows it.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Its type, as OpenSSH calls it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.kind.name()
    }

    /// Whether it is on a token that wants to be touched.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.kind.is_hardware()
    }

    /// Its fingerprint, as `ssh-keygen -l` shows it: `SHA256:` and base64 without padding.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint_of(&self.blob)
    }

    /// Checks a signature in the agent's form over these bytes.
    fn verify(&self, signature: &[u8], signed: &[u8]) -> Result<(), SshError> {
        let mut read = Reader(signature);
        if read.string()? != self.type_name().as_bytes() {
            return Err(SshError::Form);
        }
        let raw = read.string()?;
        let mut message = signed.to_vec();
        if self.kind.is_hardware() {
            let (flags, counter) = (read.take(1)?, read.take(4)?);
            if flags.first().is_none_or(|flags| flags & USER_PRESENT == 0) {
                return Err(SshError::Presence);
            }
            message = [&sha256(&self.application), flags, counter, sha256(signed).as_slice()].concat();
        }
        if !read.0.is_empty() {
            return Err(SshError::Form);
        }
        let verified = if self.kind.is_p256() {
            let mut numbers = Reader(raw);
            let fixed = [numbers.number_of_32()?, numbers.number_of_32()?].concat();
            if !numbers.0.is_empty() {
                return Err(SshError::Form);
            }
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point).verify(&message, &fixed)
        } else {
            UnparsedPublicKey::new(&ED25519, &self.point).verify(&message, raw)
        };
        verified.map_err(|_| SshError::Signature)
    }
}

/// A signature with the key it is by, as `ssh-keygen -Y sign` makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    key: SshKey,
    namespace: String,
    /// In the agent's form.
    signature: Vec<u8>,
}

impl SshSignature {
    /// A signature that an agent gave over [`signed_bytes`].
    #[must_use]
    pub fn of_agent(key: SshKey, namespace: &str, signature: Vec<u8>) -> Self {
        Self {
            key,
            namespace: namespace.to_owned(),
            signature,
        }
    }

    /// Reads what [`SshSignature::to_text`] writes, and only that.
    ///
    /// # Errors
    /// When it is anything else. Nothing is verified yet.
    pub fn parse(text: &str) -> Result<Self, SshError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(SshError::Form);
        }
        let blob = unb64_std(text).map_err(|_| SshError::Form)?;
        let mut read = Reader(blob.strip_prefix(MAGIC).ok_or(SshError::Form)?);
        if read.take(4)? != VERSION {
            return Err(SshError::Form);
        }
        let key = SshKey::from_blob(read.string()?)?;
        let namespace = std::str::from_utf8(read.string()?).map_err(|_| SshError::Form)?.to_owned();
        let reserved = read.string()?;
        if read.string()? != HASH.as_bytes() {
            return Err(SshError::Purpose);
        }
        let signature = read.string()?.to_vec();
        if !reserved.is_empty() || !read.0.is_empty() {
            return Err(SshError::Form);
        }
        Ok(Self { key, namespace, signature })
    }

    /// Base64 of the signature, on one line: what stands between the lines of an armored one.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut blob = [MAGIC, VERSION].concat();
        for part in [&self.key.blob, self.namespace.as_bytes(), b"", HASH.as_bytes(), &self.signature] {
            put(&mut blob, part);
        }
        b64_std(&blob)
    }

    /// The key it names.
    #[must_use]
    pub fn key(&self) -> &SshKey {
        &self.key
    }

    /// Checks that its key signed this message for this.
    ///
    /// # Errors
    /// Why it counts for nothing.
    pub fn verify(&self, namespace: &str, message: &[u8]) -> Result<(), SshError> {
        if self.namespace != namespace {
            return Err(SshError::Purpose);
        }
        self.key.verify(&self.signature, &signed_bytes(namespace, message))
    }
}

/// Exactly the bytes that a key signs for a message.
#[must_use]
pub fn signed_bytes(namespace: &str, message: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for part in [namespace.as_bytes(), b"", HASH.as_bytes(), digest(&SHA512, message).as_ref()] {
        put(&mut bytes, part);
    }
    bytes
}

/// The fingerprint of a key in the agent's form, whatever its type.
#[must_use]
pub fn fingerprint_of(blob: &[u8]) -> String {
    format!("SHA256:{}", b64_std(&sha256(blob)).trim_end_matches('='))
}

/// Appends a text with its length before it.
fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // Nothing here comes near 4 GiB; a length that did not fit would verify nowhere.
    bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SshError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SshError::Form)?;
        self.0 = rest;
        Ok(taken)
    }

    fn string(&mut self) -> Result<&'a [u8], SshError> {
        let length: [u8; 4] = self.take(4)?.try_into().map_err(|_| SshError::Form)?;
        self.take(usize::try_from(u32::from_be_bytes(length)).map_err(|_| SshError::Form)?)
    }

    /// A positive `mpint` in its shortest form, as 32 bytes.
    fn number_of_32(&mut self) -> Result<[u8; 32], SshError> {
        let number = match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|first| first & 0x80 != 0) => rest,
            shortest @ [1..0x80, ..] => shortest,
            _ => return Err(SshError::Form),
        };
        let mut fixed = [0; 32];
        let from = fixed.len().checked_sub(number.len()).ok_or(SshError::Form)?;
        fixed.get_mut(from..).ok_or(SshError::Form)?.copy_from_slice(number);
        Ok(fixed)
    }
}

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: &[u8] = &[0, 0, 0, 1];
/// What `ssh-keygen` uses unless told otherwise.
const HASH: &str = "sha512";
/// Somebody touched the token.
const USER_PRESENT: u8 = 1;
/// Several times what the longest has.
const TEXT_BYTES_MAX: usize = 4096;

#[cfg(test)]
pub(crate) mod tests;
