//! One narrow form of XML signature: enveloped, of its own parent, exclusive canonicalization, RSA with SHA-2, by a key that is
//! configured.
//!
//! Nothing of the message is believed for being beside a signature. What has been verified is given back as text of its own: the
//! very bytes whose digest was signed. Whoever reads anything else has verified nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use roxmltree::Node;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::EndEntityCert;

use super::SamlError;
use super::c14n::{self, canonical};
use super::gate::{self, SIGNATURE, attribute, content, elements, is};

/// A key whose signatures count: that of a certificate that the operator has pinned. Nothing else of the certificate is looked at,
/// its end included: it stands in configuration, and is taken out of there when it no longer counts.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// The key of a certificate (DER).
    ///
    /// # Errors
    /// When it is no certificate, or its key is none that signs here.
    pub fn of_certificate(der: &[u8]) -> Result<Self, &'static str> {
        let certificate_der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&certificate_der).map_err(|_| "is not an X.509 certificate of version 3")?;
        // An empty signature is never good; what matters is why.
        match certificate.verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, b"", b"") {
            Err(webpki::Error::InvalidSignatureForPublicKey) => {}
            _ => return Err("has no RSA key"),
        }
        if certificate.subject_public_key_info().len() < RSA_2048_KEY_BYTES {
            return Err("has an RSA key of fewer than 2048 bits");
        }
        Ok(Self(der.to_vec()))
    }

    fn verifies(&self, algorithm: &dyn SignatureVerificationAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let certificate_der = CertificateDer::from(self.0.as_slice());
        let certificate = EndEntityCert::try_from(&certificate_der);
        certificate.is_ok_and(|certificate| certificate.verify_signature(algorithm, message, signature).is_ok())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digest = digest::digest(&digest::SHA256, &self.0);
        write!(f, "SigningKey({})", hex::encode(digest.as_ref()))
    }
}

/// Verifies the one signature of an element, a child of it, and gives what was signed: the element's canonical form without it.
pub(super) fn verify(element: Node<'_, '_>, keys: &[SigningKey]) -> Result<String, SamlError> {
    let mut children = element.children().filter(|child| is(*child, SIGNATURE, "Signature"));
    let signature = children.next().ok_or(SamlError::Signature("it is not signed"))?;
    if children.next().is_some() {
        return Err(SamlError::Signature("it has several signatures"));
    }
    let (info, value) = match elements(signature)?.as_slice() {
        [info, value] => (*info, *value),
        // A key that comes with the message says nothing: whoever forges a message can bring one.
        [info, value, key] if is(*key, SIGNATURE, "KeyInfo") => (*info, *value),
        _ => return Err(PROFILE),
    };
    if !is(info, SIGNATURE, "SignedInfo") || !is(value, SIGNATURE, "SignatureValue") {
        return Err(PROFILE);
    }
    let method = info.children().find(|child| is(*child, SIGNATURE, "CanonicalizationMethod"));
    let inclusive = inclusive(method.ok_or(PROFILE)?)?;
    let info = canonical(info, None, &inclusive)?;

    // From here on, of the signature only what is signed is read.
    let tree = gate::tree(&info)?;
    let info = SignedInfo::read(tree.root_element())?;
    let value = decode(content(value)?)?;
    if !keys
        .iter()
        .any(|key| key.verifies(info.algorithm, tree.input_text().as_bytes(), &value))
    {
        return Err(SamlError::Signature(
            "it is not signed by a key that this broker trusts, or was changed",
        ));
    }
    let id = attribute(element, "ID").filter(|id| !id.is_empty());
    if id.is_none() || id != info.id {
        return Err(SamlError::Signature("its signature is of something else"));
    }
    let signed = canonical(element, Some(signature.id()), &info.inclusive)?;
    if digest::digest(info.digest, signed.as_bytes()).as_ref() != info.value.as_slice() {
        return Err(SamlError::Signature("it was changed after it was signed"));
    }
    Ok(signed)
}

/// What a signature says, once it is known to be a good one.
struct SignedInfo<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    /// What is signed; without the `#` before it.
    id: Option<&'a str>,
    inclusive: Vec<&'a str>,
    digest: &'static digest::Algorithm,
    value: Vec<u8>,
}

impl<'a> SignedInfo<'a> {
    fn read(info: Node<'a, '_>) -> Result<Self, SamlError> {
        let [canonicalization, method, reference] = named(info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
        let [transforms, digest_method, value] = named(reference, ["Transforms", "DigestMethod", "DigestValue"])?;
        let [enveloped, exclusive] = named(transforms, ["Transform", "Transform"])?;
        inclusive(canonicalization)?;
        if !elements(method)?.is_empty() || !elements(digest_method)?.is_empty() || !elements(enveloped)?.is_empty() {
            return Err(PROFILE);
        }
        if attribute(enveloped, "Algorithm") != Some(ENVELOPED) {
            return Err(PROFILE);
        }
        Ok(Self {
            algorithm: algorithm(attribute(method, "Algorithm"))?,
            id: attribute(reference, "URI").and_then(|uri| uri.strip_prefix('#')),
            inclusive: inclusive(exclusive)?,
            digest: digest_algorithm(attribute(digest_method, "Algorithm"))?,
            value: decode(content(value)?)?,
        })
    }
}

/// The children of an element, which must be these and no others.
fn named<'a, 'i, const N: usize>(node: Node<'a, 'i>, names: [&str; N]) -> Result<[Node<'a, 'i>; N], SamlError> {
    let children: [Node<'a, 'i>; N] = elements(node)?.try_into().map_err(|_| PROFILE)?;
    let fit = children.iter().zip(names).all(|(child, name)| is(*child, SIGNATURE, name));
    if fit { Ok(children) } else { Err(PROFILE) }
}

/// The prefixes that a use of exclusive canonicalization names; nothing else may be asked of it.
fn inclusive<'a>(method: Node<'a, '_>) -> Result<Vec<&'a str>, SamlError> {
    if attribute(method, "Algorithm") != Some(c14n::EXCLUSIVE) {
        return Err(PROFILE);
    }
    let list = match elements(method)?.as_slice() {
        [] => return Ok(Vec::new()),
        [namespaces] if is(*namespaces, c14n::EXCLUSIVE, "InclusiveNamespaces") && elements(*namespaces)?.is_empty() => {
            attribute(*namespaces, "PrefixList").unwrap_or_default()
        }
        _ => return Err(PROFILE),
    };
    let prefixes = list.split_ascii_whitespace();
    let prefixes: Vec<&str> = prefixes.map(|prefix| if prefix == "#default" { "" } else { prefix }).collect();
    if prefixes.len() > PREFIXES_MAX {
        Err(PROFILE)
    } else {
        Ok(prefixes)
    }
}

fn algorithm(name: Option<&str>) -> Result<&'static dyn SignatureVerificationAlgorithm, SamlError> {
    match name {
        Some("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256") => Ok(webpki::ring::RSA_PKCS1_2048_8192_SHA256),
        Some("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384") => Ok(webpki::ring::RSA_PKCS1_2048_8192_SHA384),
        Some("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512") => Ok(webpki::ring::RSA_PKCS1_2048_8192_SHA512),
        _ => Err(SamlError::Signature("it must be signed with RSA and SHA-256, SHA-384 or SHA-512")),
    }
}

fn digest_algorithm(name: Option<&str>) -> Result<&'static digest::Algorithm, SamlError> {
    match name {
        Some("http://www.w3.org/2001/04/xmlenc#sha256") => Ok(&digest::SHA256),
        Some("http://www.w3.org/2001/04/xmldsig-more#sha384") => Ok(&digest::SHA384),
        Some("http://www.w3.org/2001/04/xmlenc#sha512") => Ok(&digest::SHA512),
        _ => Err(SamlError::Signature("its digest must be SHA-256, SHA-384 or SHA-512")),
    }
}

/// Base64, with white space wherever the writer liked it.
fn decode(text: &str) -> Result<Vec<u8>, SamlError> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD
        .decode(packed)
        .map_err(|_| SamlError::Malformed("what should be base64 is not"))
}

const PROFILE: SamlError = SamlError::Signature(
    "its signature must be enveloped, of the element that it stands in, with exclusive canonicalization and nothing else",
);
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Providers name one or two; looking for each at each element costs.
const PREFIXES_MAX: usize = 16;
/// A `SubjectPublicKeyInfo` with a modulus of 2048 bits has 292 bytes at least.
const RSA_2048_KEY_BYTES: usize = 290;
