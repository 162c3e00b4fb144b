//! A time-stamp token: what it says, and whether a certificate's key said it.

use super::certificate::{Certificate, Hash, algorithm_of};
use super::der::{
    BOOLEAN, Der, INTEGER, Malformed, OCTET_STRING, OID, Read, SEQUENCE, SET, Values, generalized_time, holding, plain, value,
};
use super::{StampError, oid};

/// A token, with the certificates it carries along, is no longer than this.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// A token that was read. Nobody has judged it before [`Token::verify`].
#[derive(Debug, Clone)]
pub struct Token<'t> {
    /// The `TSTInfo`.
    content: &'t [u8],
    says: Says<'t>,
    signer: Signer<'t>,
    digest: Der<'t>,
    /// The signed attributes, with tag and length.
    attributes: &'t [u8],
    message_digest: &'t [u8],
    /// Hashes of the signer's certificate, one of each sort at most.
    named: Vec<(Hash, &'t [u8])>,
    pub(super) algorithm: &'t [u8],
    signature: &'t [u8],
    certificates: &'t [u8],
}

/// What a `TSTInfo` says.
#[derive(Debug, Clone)]
struct Says<'t> {
    imprint: &'t [u8],
    time_ms: i64,
    accuracy_ms: i64,
    nonce: Option<&'t [u8]>,
}

#[derive(Debug, Clone)]
enum Signer<'t> {
    /// Issuer, with tag and length, and serial number.
    Issued(&'t [u8], &'t [u8]),
    KeyId(&'t [u8]),
}

impl<'t> Token<'t> {
    /// Reads a token (`TimeStampToken`).
    ///
    /// # Errors
    /// When it is not in its one form.
    pub fn parse(token: &'t [u8]) -> Result<Self, StampError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(StampError::Token);
        }
        Der::only(token, SEQUENCE).and_then(read).map_err(|Malformed| StampError::Token)
    }

    /// Reads a token as it stands in bundles: as the reply of an authority that granted it and says nothing else
    /// (`TimeStampResp`), which is what other programs read.
    ///
    /// # Errors
    /// As [`Token::parse`].
    pub fn parse_stored(stored: &'t [u8]) -> Result<Self, StampError> {
        let inside = || {
            let mut values = Der::only(stored, SEQUENCE)?.values();
            if values.take(SEQUENCE)?.contents != GRANTED {
                return Err(Malformed);
            }
            let token = values.take(SEQUENCE)?.whole;
            values.end()?;
            Ok(token)
        };
        Self::parse(inside().map_err(|Malformed| StampError::Token)?)
    }

    /// Whether it is about these bytes.
    #[must_use]
    pub fn is_over(&self, bytes: &[u8]) -> bool {
        self.says.imprint == crate::encode::sha256(bytes)
    }

    /// The time it states, ms since 1970.
    #[must_use]
    pub fn time_ms(&self) -> i64 {
        self.says.time_ms
    }

    /// How far from the true time it may be by its own account, in ms; nothing said is 0.
    #[must_use]
    pub fn accuracy_ms(&self) -> i64 {
        self.says.accuracy_ms
    }

    /// The number of the question it answers, big endian without leading zeros.
    #[must_use]
    pub fn nonce(&self) -> Option<&'t [u8]> {
        self.says.nonce
    }

    /// Whether it says that it is by the holder of this certificate: then it is true or false, and nobody else's.
    #[must_use]
    pub fn claims(&self, certificate: &Certificate) -> bool {
        self.names_signer(certificate) || self.named.iter().any(|(hash, named)| hash.of(certificate.der()) == *named)
    }

    /// Checks that the holder of this certificate made it.
    ///
    /// # Errors
    /// What does not fit.
    pub fn verify(&self, certificate: &Certificate) -> Result<(), StampError> {
        let attested = self.named.iter().all(|(hash, named)| hash.of(certificate.der()) == *named);
        if !self.names_signer(certificate) || !attested || self.named.is_empty() {
            return Err(StampError::Signer);
        }
        let hash = Hash::read(self.digest).map_err(|Malformed| StampError::Algorithm)?;
        if hash.of(self.content) != self.message_digest {
            return Err(StampError::Digest);
        }
        // They are signed as the set they are, not as the optional field they stand in.
        let mut attributes = self.attributes.to_vec();
        if let Some(tag) = attributes.first_mut() {
            *tag = SET;
        }
        match certificate.signed(self.algorithm, hash, &attributes, self.signature) {
            None => return Err(StampError::Algorithm),
            Some(false) => return Err(StampError::Signature),
            Some(true) => {}
        }
        if !certificate.is_valid_at(self.says.time_ms) {
            return Err(StampError::Validity);
        }
        if self.says.accuracy_ms > ACCURACY_MS_MAX {
            return Err(StampError::Accuracy);
        }
        Ok(())
    }

    /// The signer's certificate, if the token carries it along. It says who signed, and not that anybody should believe them.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        let mut certificates = Values::of(self.certificates);
        while let Ok(found) = certificates.any() {
            if let Some(certificate) = Certificate::from_der(found.whole)
                .ok()
                .filter(|certificate| self.claims(certificate))
            {
                return Some(certificate);
            }
        }
        None
    }

    fn names_signer(&self, certificate: &Certificate) -> bool {
        match self.signer {
            Signer::Issued(issuer, serial) => certificate.is_of(issuer, serial),
            Signer::KeyId(key_id) => certificate.has_key_id(key_id),
        }
    }
}

/// A token in the form that [`Token::parse_stored`] reads.
pub(super) fn stored(token: &[u8]) -> Vec<u8> {
    value(SEQUENCE, &[&value(SEQUENCE, GRANTED), token].concat())
}

/// A `PKIStatusInfo` that says `granted` and nothing else.
const GRANTED: &[u8] = &[INTEGER, 1, 0];
/// A token that states its time less exactly says too little.
const ACCURACY_MS_MAX: i64 = 60_000;

fn read(token: Der<'_>) -> Read<Token<'_>> {
    let mut info = token.values();
    named(&mut info, oid::SIGNED_DATA)?;
    let data = Der::only(info.take(holding(0))?.contents, SEQUENCE)?;
    info.end()?;

    let mut data = data.values();
    if data.take(INTEGER)?.number()? != 3 {
        return Err(Malformed);
    }
    let digests = data.take(SET)?;
    let mut content = data.take(SEQUENCE)?.values();
    named(&mut content, oid::TST_INFO)?;
    let inside = Der::only(content.take(holding(0))?.contents, OCTET_STRING)?.contents;
    content.end()?;
    let certificates = data.take_if(holding(0))?.map_or(&[][..], |certificates| certificates.contents);
    data.take_if(holding(1))?;
    let signer = Der::only(data.take(SET)?.contents, SEQUENCE)?;
    data.end()?;
    let token = read_signer(signer, inside, certificates)?;
    // There is one signer, so there is one of them.
    let digest = Der::only(digests.contents, SEQUENCE)?;
    if algorithm_of(digest)? != algorithm_of(token.digest)? {
        return Err(Malformed);
    }
    Ok(token)
}

fn read_signer<'t>(info: Der<'t>, content: &'t [u8], certificates: &'t [u8]) -> Read<Token<'t>> {
    let mut info = info.values();
    let version = info.take(INTEGER)?.number()?;
    let sid = info.any()?;
    let signer = match (version, sid.tag) {
        (1, SEQUENCE) => {
            let mut names = sid.values();
            let (issuer, serial) = (names.take(SEQUENCE)?.whole, names.take(INTEGER)?.contents);
            names.end()?;
            Signer::Issued(issuer, serial)
        }
        (3, tag) if tag == plain(0) => Signer::KeyId(sid.contents),
        _ => return Err(Malformed),
    };
    let digest = info.take(SEQUENCE)?;
    let signed = info.take(holding(0))?;
    let algorithm = algorithm_of(info.take(SEQUENCE)?)?;
    let signature = info.take(OCTET_STRING)?.contents;
    info.take_if(holding(1))?;
    info.end()?;

    let attributes = read_attributes(signed)?;
    Ok(Token {
        content,
        says: read_content(Der::only(content, SEQUENCE)?)?,
        signer,
        digest,
        attributes: signed.whole,
        message_digest: attributes.message_digest,
        named: attributes.named,
        algorithm,
        signature,
        certificates,
    })
}

struct Attributes<'t> {
    message_digest: &'t [u8],
    named: Vec<(Hash, &'t [u8])>,
}

/// Those of the signed attributes that matter: each once, with one value.
fn read_attributes(signed: Der<'_>) -> Read<Attributes<'_>> {
    let (mut content_type, mut message_digest, mut old, mut new) = (None, None, None, None);
    let mut attributes = signed.values();
    while !attributes.is_empty() {
        let mut attribute = attributes.take(SEQUENCE)?.values();
        let name = attribute.take(OID)?.contents;
        let mut values = attribute.take(SET)?.values();
        attribute.end()?;
        let slot = match name {
            oid::CONTENT_TYPE => &mut content_type,
            oid::MESSAGE_DIGEST => &mut message_digest,
            oid::SIGNING_CERTIFICATE => &mut old,
            oid::SIGNING_CERTIFICATE_V2 => &mut new,
            _ => continue,
        };
        if slot.replace(values.any()?).is_some() {
            return Err(Malformed);
        }
        values.end()?;
    }
    let content_type = content_type.filter(|name| name.tag == OID && name.contents == oid::TST_INFO);
    let message_digest = message_digest.filter(|digest| digest.tag == OCTET_STRING);
    content_type.ok_or(Malformed)?;
    let mut named = Vec::new();
    if let Some(old) = old {
        named.push((Hash::Sha1, first_id(old)?.take(OCTET_STRING)?.contents));
    }
    if let Some(new) = new {
        let mut id = first_id(new)?;
        let hash = id.take_if(SEQUENCE)?.map_or(Ok(Hash::Sha256), Hash::read)?;
        named.push((hash, id.take(OCTET_STRING)?.contents));
    }
    Ok(Attributes {
        message_digest: message_digest.ok_or(Malformed)?.contents,
        named,
    })
}

/// What stands in the first `ESSCertID` or `ESSCertIDv2`, that of the signer.
fn first_id(signing_certificate: Der<'_>) -> Read<Values<'_>> {
    let mut certificates = Der::only(signing_certificate.whole, SEQUENCE)?.values();
    Ok(certificates.take(SEQUENCE)?.values().take(SEQUENCE)?.values())
}

fn read_content(info: Der<'_>) -> Read<Says<'_>> {
    let mut info = info.values();
    if info.take(INTEGER)?.number()? != 1 {
        return Err(Malformed);
    }
    info.take(OID)?;
    let mut imprint = info.take(SEQUENCE)?.values();
    if algorithm_of(imprint.take(SEQUENCE)?)? != oid::SHA256 {
        return Err(Malformed);
    }
    let hash = imprint.take(OCTET_STRING)?.contents;
    imprint.end()?;
    info.take(INTEGER)?;
    let time_ms = generalized_time(info.any()?)?;
    let accuracy_ms = info.take_if(SEQUENCE)?.map_or(Ok(0), read_accuracy)?;
    info.take_if(BOOLEAN)?.map(Der::boolean).transpose()?;
    let nonce = info.take_if(INTEGER)?.map(Der::unsigned).transpose()?;
    info.take_if(holding(0))?;
    if let Some(extensions) = info.take_if(holding(1))? {
        let mut extensions = extensions.values();
        while !extensions.is_empty() {
            let mut extension = extensions.take(SEQUENCE)?.values();
            extension.take(OID)?;
            // One that must be understood is not.
            if extension.take_if(BOOLEAN)?.map(Der::boolean).transpose()? == Some(true) {
                return Err(Malformed);
            }
            extension.take(OCTET_STRING)?;
            extension.end()?;
        }
    }
    info.end()?;
    Ok(Says {
        imprint: hash,
        time_ms,
        accuracy_ms,
        nonce,
    })
}

/// Seconds, milliseconds and microseconds, each of which may be left out; rounded up to milliseconds.
fn read_accuracy(accuracy: Der<'_>) -> Read<i64> {
    let mut parts = accuracy.values();
    let mut part = |tag, at_most: u64| match parts.take_if(tag)?.map(Der::number).transpose()? {
        Some(part) if part > at_most => Err(Malformed),
        part => Ok(part.unwrap_or(0)),
    };
    let (seconds, millis, micros) = (part(INTEGER, 86_400)?, part(plain(0), 999)?, part(plain(1), 999)?);
    parts.end()?;
    i64::try_from(seconds * 1000 + millis + u64::from(micros > 0)).map_err(|_| Malformed)
}

/// The next value is this name.
fn named(values: &mut Values<'_>, name: &[u8]) -> Read<()> {
    if values.take(OID)?.contents == name {
        Ok(())
    } else {
        Err(Malformed)
    }
}
