//! Whose time stamps an auditor believes: the certificate of an authority's signer, as far as it matters here.
//!
//! The auditor pins the certificate itself, so nothing is chained to a root: a root would speak for every authority below it, now
//! and later, and whom it speaks for is decided by others. What is read of the certificate is the key, the time it is for, and
//! that it is for stamping time and for nothing else.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};

use super::StampError;
use super::der::{BIT_STRING, BOOLEAN, Der, INTEGER, Malformed, OCTET_STRING, OID, Read, SEQUENCE, holding, plain, time};
use super::oid;
use crate::encode::unb64_std;

/// A certificate (X.509) of somebody who stamps time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// As in the certificate, with tag and length.
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key_id: Option<Vec<u8>>,
    key: Key,
    valid_ms: (i64, i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// `RSAPublicKey`.
    Rsa(Vec<u8>),
    /// Points.
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// A hash function that may stand in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    /// To name a certificate that is pinned anyway, and for nothing else.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The SHA-2 function that an `AlgorithmIdentifier` names.
    pub(super) fn read(algorithm: Der<'_>) -> Read<Self> {
        match algorithm_of(algorithm)? {
            oid::SHA256 => Ok(Self::Sha256),
            oid::SHA384 => Ok(Self::Sha384),
            oid::SHA512 => Ok(Self::Sha512),
            _ => Err(Malformed),
        }
    }

    pub(super) fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut context = Context::new(match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        });
        context.update(bytes);
        context.finish().as_ref().to_vec()
    }
}

/// The name in an `AlgorithmIdentifier` whose parameters are NULL or absent.
pub(super) fn algorithm_of(algorithm: Der<'_>) -> Read<&[u8]> {
    let mut values = algorithm.values();
    let name = values.take(OID)?.contents;
    if !values.is_empty() && values.any()?.whole != [5, 0] {
        return Err(Malformed);
    }
    values.end()?;
    Ok(name)
}

impl Certificate {
    /// Reads PEM, or the base64 of DER; white space does not count.
    ///
    /// # Errors
    /// When it is no certificate that is for stamping time alone, or its key is of a sort that is not judged.
    pub fn parse(text: &str) -> Result<Self, StampError> {
        let text: String = text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).collect();
        let base64 = text
            .strip_prefix("-----BEGINCERTIFICATE-----")
            .map_or(Some(text.as_str()), |rest| rest.strip_suffix("-----ENDCERTIFICATE-----"));
        let der = base64.and_then(|base64| unb64_std(base64).ok()).ok_or(StampError::Certificate)?;
        Self::from_der(&der)
    }

    /// Reads DER.
    ///
    /// # Errors
    /// As [`Certificate::parse`].
    pub fn from_der(der: &[u8]) -> Result<Self, StampError> {
        let (certificate, stamps) = read(der).map_err(|Malformed| StampError::Certificate)?;
        if stamps { Ok(certificate) } else { Err(StampError::Purpose) }
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether these name it: its issuer as it stands in it, and its serial number.
    pub(super) fn is_of(&self, issuer: &[u8], serial: &[u8]) -> bool {
        self.issuer == issuer && self.serial == serial
    }

    /// Whether this is its subject key identifier.
    pub(super) fn has_key_id(&self, key_id: &[u8]) -> bool {
        self.key_id.as_deref() == Some(key_id)
    }

    /// Whether it is for this time.
    pub(super) fn is_valid_at(&self, time_ms: i64) -> bool {
        (self.valid_ms.0..=self.valid_ms.1).contains(&time_ms)
    }

    /// Whether its key made this signature; nothing when key and algorithms are not judged together.
    pub(super) fn signed(&self, algorithm: &[u8], hash: Hash, message: &[u8], signature: &[u8]) -> Option<bool> {
        let (key, verifies): (&[u8], &'static dyn VerificationAlgorithm) = match (&self.key, algorithm, hash) {
            (Key::Rsa(key), oid::RSA | oid::RSA_SHA256, Hash::Sha256) => (key, &RSA_PKCS1_2048_8192_SHA256),
            (Key::Rsa(key), oid::RSA | oid::RSA_SHA384, Hash::Sha384) => (key, &RSA_PKCS1_2048_8192_SHA384),
            (Key::Rsa(key), oid::RSA | oid::RSA_SHA512, Hash::Sha512) => (key, &RSA_PKCS1_2048_8192_SHA512),
            (Key::P256(key), oid::ECDSA_SHA256, Hash::Sha256) => (key, &ECDSA_P256_SHA256_ASN1),
            (Key::P256(key), oid::ECDSA_SHA384, Hash::Sha384) => (key, &ECDSA_P256_SHA384_ASN1),
            (Key::P384(key), oid::ECDSA_SHA256, Hash::Sha256) => (key, &ECDSA_P384_SHA256_ASN1),
            (Key::P384(key), oid::ECDSA_SHA384, Hash::Sha384) => (key, &ECDSA_P384_SHA384_ASN1),
            _ => return None,
        };
        Some(UnparsedPublicKey::new(verifies, key).verify(message, signature).is_ok())
    }
}

/// Reads a certificate, and whether it is for stamping time and nothing else.
fn read(der: &[u8]) -> Read<(Certificate, bool)> {
    let mut certificate = Der::only(der, SEQUENCE)?.values();
    let mut fields = certificate.take(SEQUENCE)?.values();
    certificate.take(SEQUENCE)?;
    certificate.take(BIT_STRING)?;
    certificate.end()?;

    // Only the third version has extensions.
    let version = Der::only(fields.take(holding(0))?.contents, INTEGER)?;
    if version.number()? != 2 {
        return Err(Malformed);
    }
    let serial = fields.take(INTEGER)?.contents.to_vec();
    fields.take(SEQUENCE)?;
    let issuer = fields.take(SEQUENCE)?.whole.to_vec();
    let mut validity = fields.take(SEQUENCE)?.values();
    // Valid through its last second.
    let valid_ms = (time(validity.any()?)?, time(validity.any()?)? + 999);
    validity.end()?;
    fields.take(SEQUENCE)?;
    let key = read_key(fields.take(SEQUENCE)?)?;
    fields.take_if(plain(1))?;
    fields.take_if(plain(2))?;
    let extensions = fields.take(holding(3))?;
    fields.end()?;

    let (mut stamps, mut key_id) = (None, None);
    let mut extensions = Der::only(extensions.contents, SEQUENCE)?.values();
    while !extensions.is_empty() {
        let mut extension = extensions.take(SEQUENCE)?.values();
        let name = extension.take(OID)?.contents;
        let critical = extension.take_if(BOOLEAN)?.map(Der::boolean).transpose()?.unwrap_or(false);
        let contents = extension.take(OCTET_STRING)?.contents;
        extension.end()?;
        match name {
            oid::EXTENDED_KEY_USAGE if stamps.is_none() => {
                let mut purposes = Der::only(contents, SEQUENCE)?.values();
                let purpose = purposes.take(OID)?.contents;
                stamps = Some(critical && purpose == oid::TIME_STAMPING && purposes.is_empty());
            }
            oid::KEY_ID if key_id.is_none() => key_id = Some(Der::only(contents, OCTET_STRING)?.contents.to_vec()),
            oid::EXTENDED_KEY_USAGE | oid::KEY_ID => return Err(Malformed),
            _ => {}
        }
    }
    let certificate = Certificate {
        der: der.to_vec(),
        issuer,
        serial,
        key_id,
        key,
        valid_ms,
    };
    Ok((certificate, stamps == Some(true)))
}

/// A key of a sort that is judged: RSA of 2048 bits or more with the exponent 65537, or a point of P-256 or P-384.
fn read_key(key: Der<'_>) -> Read<Key> {
    let mut values = key.values();
    let mut algorithm = values.take(SEQUENCE)?.values();
    let bits = values.take(BIT_STRING)?.bits()?;
    values.end()?;
    let name = algorithm.take(OID)?.contents;
    let parameters = algorithm.any()?;
    algorithm.end()?;
    match (name, parameters.tag, parameters.contents, bits) {
        (oid::RSA, 5, [], _) => {
            let mut numbers = Der::only(bits, SEQUENCE)?.values();
            let (modulus, exponent) = (numbers.take(INTEGER)?.unsigned()?, numbers.take(INTEGER)?.number()?);
            numbers.end()?;
            let fits = (256..=1024).contains(&modulus.len()) && modulus.first().is_some_and(|first| *first >= 0x80);
            if exponent == 65_537 && fits {
                Ok(Key::Rsa(bits.to_vec()))
            } else {
                Err(Malformed)
            }
        }
        (oid::EC, OID, oid::P256, [4, point @ ..]) if point.len() == 64 => Ok(Key::P256(bits.to_vec())),
        (oid::EC, OID, oid::P384, [4, point @ ..]) if point.len() == 96 => Ok(Key::P384(bits.to_vec())),
        _ => Err(Malformed),
    }
}
