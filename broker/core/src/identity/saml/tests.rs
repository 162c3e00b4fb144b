#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attacks;
mod stories;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use ring::{digest, signature};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::response::{Expected, Told, verify};
use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const IDP: &str = "https://idp.example/saml2";
const AUDIENCE: &str = "https://broker.example.test/saml/metadata";
const ACS: &str = "https://broker.example.test/saml/acs";
const REQUEST: &str = "_request";
const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";

/// A key of a pretended identity provider.
struct Idp {
    key: RsaKeyPair,
    certificate: Vec<u8>,
}

/// The one that is trusted.
static TRUSTED: LazyLock<Idp> = LazyLock::new(|| Idp::new("2048"));
/// One that nobody trusts.
static FOREIGN: LazyLock<Idp> = LazyLock::new(|| Idp::new("2048"));

impl Idp {
    /// Made by openssl (which `tests/run` installs), because ring makes no RSA keys.
    fn new(bits: &str) -> Self {
        let (key, certificate) = made(&["-newkey", &format!("rsa:{bits}")]);
        let key = PrivatePkcs8KeyDer::from_pem_slice(&key).unwrap();
        Self {
            key: RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap(),
            certificate,
        }
    }

    fn sign(&self, algorithm: &'static dyn signature::RsaEncoding, message: &str) -> String {
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(algorithm, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .unwrap();
        STANDARD.encode(signature)
    }
}

/// A key (PEM) and its certificate (DER).
fn made(kind: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    let status = std::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=idp.example", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .args(kind)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "openssl is missing: `apt-get install openssl`"
    );
    let certificate = CertificateDer::from_pem_file(certificate).unwrap().to_vec();
    (std::fs::read(key).unwrap(), certificate)
}

fn provider() -> SamlSettings {
    SamlSettings {
        name: "corp".into(),
        issuer: IDP.into(),
        sso_url: "https://idp.example/sso?tenant=1".parse().unwrap(),
        keys: vec![SigningKey::of_certificate(&TRUSTED.certificate).unwrap()],
        name_id_format: PERSISTENT.into(),
        groups_attribute: "groups".into(),
        email_attribute: "mail".into(),
        name_attribute: "displayName".into(),
        manager_attribute: Some("manager".into()),
        force_authn: false,
        max_age_s: None,
        acr_values: Vec::new(),
    }
}

/// A time from now, as SAML writes it.
fn at(seconds: i64) -> String {
    Timestamp::from_millisecond(NOW_MS + seconds * 1000).unwrap().to_string()
}

/// What an identity provider makes, in parts that a test can change before and after it is signed.
#[derive(Clone)]
struct Answer {
    assertion: String,
    /// Before the assertion, in the response.
    status: String,
    request: String,
    info: String,
}

impl Answer {
    fn good() -> Self {
        Self::to(REQUEST, NOW_MS)
    }

    /// A good answer to a request. The assertion is in canonical form, so that what is signed needs no code of ours.
    fn to(request: &str, now_ms: i64) -> Self {
        let at = |seconds: i64| Timestamp::from_millisecond(now_ms + seconds * 1000).unwrap().to_string();
        let (before, now, soon) = (at(-30), at(0), at(300));
        let assertion = format!(
            "<saml:Assertion xmlns:saml=\"{}\" ID=\"_a1\" IssueInstant=\"{now}\" Version=\"2.0\"><saml:Issuer>{IDP}</saml:Issuer>[signature]\
             <saml:Subject><saml:NameID Format=\"{PERSISTENT}\" SPNameQualifier=\"{AUDIENCE}\">ada</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData InResponseTo=\"{request}\" NotOnOrAfter=\"{soon}\" Recipient=\"{ACS}\"></saml:SubjectConfirmationData>\
             </saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{before}\" NotOnOrAfter=\"{soon}\"><saml:AudienceRestriction><saml:Audience>{AUDIENCE}</saml:Audience>\
             </saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{before}\" SessionIndex=\"_s\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>\
             </saml:AuthnContext></saml:AuthnStatement>\
             <saml:AttributeStatement><saml:Attribute Name=\"mail\"><saml:AttributeValue>ada@example.com</saml:AttributeValue></saml:Attribute>\
             <saml:Attribute Name=\"displayName\"><saml:AttributeValue>Ada Lovelace</saml:AttributeValue></saml:Attribute>\
             <saml:Attribute Name=\"manager\"><saml:AttributeValue>grace@example.com</saml:AttributeValue></saml:Attribute>\
             <saml:Attribute Name=\"groups\"><saml:AttributeValue>oncall</saml:AttributeValue><saml:AttributeValue>data-eng</saml:AttributeValue>\
             <saml:AttributeValue>oncall</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>",
            gate::ASSERTION
        );
        let info = format!(
            "<ds:SignedInfo xmlns:ds=\"{}\"><ds:CanonicalizationMethod Algorithm=\"{C14N}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod>\
             <ds:Reference URI=\"#[id]\"><ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\">\
             </ds:Transform><ds:Transform Algorithm=\"{C14N}\"></ds:Transform></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod>\
             <ds:DigestValue>[digest]</ds:DigestValue></ds:Reference></ds:SignedInfo>",
            gate::SIGNATURE
        );
        Self {
            assertion,
            status: "<samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>".into(),
            request: request.into(),
            info,
        }
    }

    /// Changes the assertion before it is signed.
    #[track_caller]
    fn with(mut self, from: &str, to: &str) -> Self {
        assert!(self.assertion.contains(from), "{from} is not in the assertion");
        self.assertion = self.assertion.replace(from, to);
        self
    }

    /// The signature of something with this id and this canonical form.
    fn signature(&self, idp: &Idp, id: &str, canonical: &str) -> String {
        self.signature_by(
            idp,
            id,
            &STANDARD.encode(digest::digest(&digest::SHA256, canonical.as_bytes())),
            &RSA_PKCS1_SHA256,
        )
    }

    fn signature_by(&self, idp: &Idp, id: &str, digest: &str, algorithm: &'static dyn signature::RsaEncoding) -> String {
        let info = self.info.replace("[id]", id).replace("[digest]", digest);
        let value = idp.sign(algorithm, &info);
        let certificate = STANDARD.encode(&idp.certificate);
        format!(
            "<ds:Signature xmlns:ds=\"{}\">{info}<ds:SignatureValue>{value}</ds:SignatureValue>\
             <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>",
            gate::SIGNATURE
        )
    }

    /// The assertion, signed.
    fn signed_by(&self, idp: &Idp) -> String {
        let signature = self.signature(idp, "_a1", &self.unsigned());
        self.assertion.replace("[signature]", &signature)
    }

    fn signed(&self) -> String {
        self.signed_by(&TRUSTED)
    }

    /// The assertion without its signature.
    fn unsigned(&self) -> String {
        self.assertion.replace("[signature]", "")
    }

    /// A response that holds this.
    fn around(&self, held: &str) -> String {
        format!(
            "<samlp:Response xmlns:samlp=\"{}\" Destination=\"{ACS}\" ID=\"_r1\" InResponseTo=\"{}\" IssueInstant=\"{}\" Version=\"2.0\">\
             <saml:Issuer xmlns:saml=\"{}\">{IDP}</saml:Issuer>{}{held}</samlp:Response>",
            gate::PROTOCOL,
            self.request,
            at(0),
            gate::ASSERTION,
            self.status,
        )
    }

    /// The whole.
    fn message(&self) -> String {
        self.around(&self.signed())
    }
}

const C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

fn take(message: &str) -> Result<Told, SamlError> {
    take_by(&provider(), message)
}

fn take_by(provider: &SamlSettings, message: &str) -> Result<Told, SamlError> {
    let expected = Expected {
        provider,
        audience: AUDIENCE,
        acs: ACS,
        request: REQUEST,
        now_ms: NOW_MS,
    };
    verify(message.as_bytes(), &expected)
}

#[test]
fn a_good_answer_names_the_person() {
    let Told { identity, assertion } = take(&Answer::good().message()).unwrap();
    assert_eq!(assertion, "_a1");
    assert_eq!((identity.issuer.as_str(), identity.subject.as_str()), (IDP, "ada"));
    assert_eq!(
        (identity.name.as_str(), identity.email.as_deref()),
        ("Ada Lovelace", Some("ada@example.com"))
    );
    assert_eq!(identity.groups, ["data-eng", "oncall"]);
    assert_eq!(identity.manager.as_deref(), Some("grace@example.com"));
    assert_eq!(identity.amr, ["urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"]);
    assert_eq!(identity.auth_time, Some(NOW_MS / 1000 - 30));
    assert!(!identity.flow.attests_key());
}

#[test]
fn how_a_good_answer_is_written_does_not_matter() {
    let good = Answer::good().message();
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{good}");
    assert!(take(&declared).is_ok());
    for (from, to) in [
        // Attributes in another order, quotes of the other kind, an empty element, a prefix declared further up, white space in a tag.
        ("ID=\"_a1\" IssueInstant", "\n  Version='2.0'   ID='_a1' IssueInstant"),
        ("></saml:SubjectConfirmationData>", "/>"),
        ("<samlp:Response ", "<samlp:Response xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" "),
        ("Ada Lovelace", "&#65;da Lovelace"),
    ] {
        let mut changed = good.replacen(from, to, 1);
        if to.contains("Version='2.0'") {
            let start = changed.find("<saml:Assertion").unwrap();
            let rest = changed.split_off(start).replacen(" Version=\"2.0\"", "", 1);
            changed.push_str(&rest);
        }
        assert_ne!(changed, good);
        take(&changed).unwrap_or_else(|fault| panic!("{to}: {fault}"));
    }
}

#[test]
fn larger_digests_and_prefixes_that_are_kept_are_understood() {
    for (bits, hash, algorithm, encoding) in [
        (
            "384",
            "http://www.w3.org/2001/04/xmldsig-more#sha384",
            &digest::SHA384,
            &signature::RSA_PKCS1_SHA384,
        ),
        (
            "512",
            "http://www.w3.org/2001/04/xmlenc#sha512",
            &digest::SHA512,
            &signature::RSA_PKCS1_SHA512,
        ),
    ] {
        let mut answer = Answer::good();
        answer.info = answer
            .info
            .replace("rsa-sha256", &format!("rsa-sha{bits}"))
            .replace("http://www.w3.org/2001/04/xmlenc#sha256", hash);
        let digest = STANDARD.encode(digest::digest(algorithm, answer.unsigned().as_bytes()));
        let signature = answer.signature_by(&TRUSTED, "_a1", &digest, encoding);
        take(&answer.around(&answer.assertion.replace("[signature]", &signature))).unwrap();
    }
    // As OpenSAML writes it: `xs` is only in values of attributes, and is kept by name.
    let declared = " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";
    let mut answer = Answer::good().with(
        "<saml:AttributeValue>ada@example.com",
        "<saml:AttributeValue xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xs:string\">ada@example.com",
    );
    answer.info = answer.info.replace(
        &format!("<ds:Transform Algorithm=\"{C14N}\"></ds:Transform>"),
        &format!(
            "<ds:Transform Algorithm=\"{C14N}\"><ec:InclusiveNamespaces xmlns:ec=\"{C14N}\" PrefixList=\"xs\"></ec:InclusiveNamespaces></ds:Transform>"
        ),
    );
    // What is signed has `xs` at the assertion, and `xsi` where it is used.
    let canonical = answer.unsigned().replace(
        &format!("xmlns:saml=\"{}\"", gate::ASSERTION),
        &format!("xmlns:saml=\"{}\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"", gate::ASSERTION),
    );
    let signature = answer.signature(&TRUSTED, "_a1", &canonical);
    let signed = answer.assertion.replace("[signature]", &signature);
    let sent = signed.replacen("<saml:Assertion", &format!("<saml:Assertion{declared}"), 1);
    assert_eq!(
        take(&answer.around(&sent)).unwrap().identity.email.as_deref(),
        Some("ada@example.com")
    );
}

#[test]
fn a_response_that_is_signed_as_well_must_be_signed_well() {
    let answer = Answer::good();
    let unsigned = answer.message();
    let canonical = canonical_response(&unsigned);
    let signature = answer.signature(&TRUSTED, "_r1", &canonical);
    let signed = unsigned.replacen("<samlp:Status>", &format!("{signature}<samlp:Status>"), 1);
    take(&signed).unwrap();
    let forged = answer.signature(&FOREIGN, "_r1", &canonical);
    let forged = unsigned.replacen("<samlp:Status>", &format!("{forged}<samlp:Status>"), 1);
    assert!(matches!(take(&forged).unwrap_err(), SamlError::Signature(_)));
}

/// A response is written here as it is canonical, but for one empty element, and for a namespace that a signature in it declares twice.
fn canonical_response(message: &str) -> String {
    let twice = format!("<ds:SignedInfo xmlns:ds=\"{}\">", gate::SIGNATURE);
    message
        .replace("status:Success\"/>", "status:Success\"></samlp:StatusCode>")
        .replace(&twice, "<ds:SignedInfo>")
}

#[test]
fn keys_that_are_too_small_or_of_another_kind_are_not_taken() {
    assert!(SigningKey::of_certificate(b"nonsense").is_err());
    let small = SigningKey::of_certificate(&made(&["-newkey", "rsa:1024"]).1).unwrap_err();
    assert!(small.contains("2048"), "{small}");
    let elliptic = SigningKey::of_certificate(&made(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]).1).unwrap_err();
    assert!(elliptic.contains("RSA"), "{elliptic}");
}
