#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::*;
use crate::dsse::public_key;

/// Signatures of `ssh-keygen`, and of tokens as its `-Y verify` accepts them.
const FOREIGN: &str = include_str!("foreign.json");
const MESSAGE: &[u8] = b"{\"v\":1}";

/// Somebody's SSH key, in a file or on a token.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    pub(crate) key: SshKey,
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = SshKey::from_blob(&parts(&[b"ssh-ed25519", &public_key(&pair)])).unwrap();
        Self { pair, key }
    }

    pub(crate) fn on_token(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = SshKey::from_blob(&parts(&[b"sk-ssh-ed25519@openssh.com", &public_key(&pair), b"ssh:"])).unwrap();
        Self { pair, key }
    }

    pub(crate) fn sign(&self, namespace: &str, message: &[u8]) -> SshSignature {
        self.sign_with(namespace, message, USER_PRESENT)
    }

    /// With these flags, where it is a token.
    pub(crate) fn sign_with(&self, namespace: &str, message: &[u8], flags: u8) -> SshSignature {
        let mut signed = signed_bytes(namespace, message);
        let mut behind = Vec::new();
        if self.key.is_hardware() {
            behind = vec![flags, 0, 0, 0, 9];
            signed = [&sha256(b"ssh:"), behind.as_slice(), &sha256(&signed)].concat();
        }
        let raw = self.pair.sign(&signed);
        let signature = [parts(&[self.key.type_name().as_bytes(), raw.as_ref()]), behind].concat();
        SshSignature::of_agent(self.key.clone(), namespace, signature)
    }
}

fn parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        put(&mut bytes, part);
    }
    bytes
}

fn blob(text: &str) -> Vec<u8> {
    unb64_std(text).unwrap()
}

/// Texts, and whether each is a signature over the message in the namespace of verdicts.
fn cases() -> Vec<(String, bool)> {
    let foreign: Value = serde_json::from_str(FOREIGN).unwrap();
    let mut cases: Vec<(String, bool)> = Vec::new();
    for case in foreign["signatures"].as_array().unwrap() {
        cases.push((case["signature"].as_str().unwrap().to_owned(), case["holds"].as_bool().unwrap()));
    }
    let (file, token) = (Signer::new(51), Signer::on_token(52));
    for signer in [&file, &token] {
        cases.push((signer.sign(REVIEW_NAMESPACE, MESSAGE).to_text(), true));
        cases.push((signer.sign(ENROLL_NAMESPACE, MESSAGE).to_text(), false));
        cases.push((signer.sign(REVIEW_NAMESPACE, b"{\"v\":2}").to_text(), false));
    }
    // Another's key in front of it, and a type that is not the key's.
    let mut other = file.sign(REVIEW_NAMESPACE, MESSAGE);
    other.key = Signer::new(53).key;
    cases.push((other.to_text(), false));
    other.key = token.key.clone();
    cases.push((other.to_text(), false));
    for flags in [0, 2, 4, 0xfe] {
        cases.push((token.sign_with(REVIEW_NAMESPACE, MESSAGE, flags).to_text(), false));
    }
    // What was signed without a touch does not become touched.
    let mut untouched = token.sign_with(REVIEW_NAMESPACE, MESSAGE, 0);
    let flags = untouched.signature.len() - 5;
    untouched.signature[flags] = 1;
    cases.push((untouched.to_text(), false));
    let good = file.sign(REVIEW_NAMESPACE, MESSAGE).to_text();
    for odd in [
        String::new(),
        good.trim_end_matches('=').to_owned() + "\n",
        format!(" {good}"),
        b64_std(&blob(&good)[1..]),
        b64_std(&[blob(&good), vec![0]].concat()),
        b64_std(&blob(&good)[..blob(&good).len() - 1]),
        format!("-----BEGIN SSH SIGNATURE-----\n{good}\n-----END SSH SIGNATURE-----\n"),
    ] {
        cases.push((odd, false));
    }
    let mut behind = file.sign(REVIEW_NAMESPACE, MESSAGE);
    behind.signature.push(0);
    cases.push((behind.to_text(), false));
    cases
}

/// For `tests/vectors`.
pub(crate) fn vectors() -> Value {
    let of = |(text, holds): (String, bool)| {
        let message = std::str::from_utf8(MESSAGE).unwrap();
        json!({ "holds": holds, "message": message, "namespace": REVIEW_NAMESPACE, "signature": text })
    };
    cases().into_iter().map(of).collect()
}

fn holds(text: &str) -> bool {
    SshSignature::parse(text).is_ok_and(|signature| signature.verify(REVIEW_NAMESPACE, MESSAGE).is_ok())
}

#[test]
fn a_signature_counts_for_its_key_message_and_purpose_only() {
    for (text, expected) in cases() {
        assert_eq!(holds(&text), expected, "{text}");
    }
}

#[test]
fn a_signature_has_one_text_and_no_byte_that_could_be_another() {
    for signer in [Signer::new(51), Signer::on_token(52)] {
        let good = signer.sign(REVIEW_NAMESPACE, MESSAGE);
        let text = good.to_text();
        assert_eq!(SshSignature::parse(&text), Ok(good));
        let bytes = blob(&text);
        for at in 0..bytes.len() {
            for flip in [1_u8, 2, 4, 8, 16, 32, 64, 128] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                assert!(!holds(&b64_std(&changed)), "byte {at} xor {flip}");
            }
        }
    }
}

#[test]
fn a_token_that_nobody_touched_is_told_from_a_wrong_signature() {
    let token = Signer::on_token(52);
    let untouched = token.sign_with(REVIEW_NAMESPACE, MESSAGE, 4);
    assert_eq!(untouched.verify(REVIEW_NAMESPACE, MESSAGE), Err(SshError::Presence));
    assert_eq!(
        token.sign(REVIEW_NAMESPACE, MESSAGE).verify(ENROLL_NAMESPACE, MESSAGE),
        Err(SshError::Purpose)
    );
}

#[test]
fn a_key_reads_from_its_pub_file_and_has_the_fingerprint_that_ssh_keygen_shows() {
    let foreign: Value = serde_json::from_str(FOREIGN).unwrap();
    let mut taken = 0;
    for case in foreign["signatures"].as_array().unwrap() {
        let line = case["key"].as_str().unwrap();
        match SshKey::from_line(line) {
            Ok(key) => {
                assert!(line.starts_with(&key.to_line()));
                assert_eq!(SshKey::from_line(&key.to_line()), Ok(key.clone()));
                taken += 1;
            }
            Err(why) if line.starts_with("ssh-rsa") => assert_eq!(why, SshError::Type),
            // A web site's token.
            Err(why) => assert_eq!((why, &case["application"]), (SshError::Form, &json!("example.com"))),
        }
    }
    assert_eq!(taken, 12);
    // From `ssh-keygen -l` over the token's key of that file.
    let token = "sk-ssh-ed25519@openssh.com";
    let line = foreign["signatures"]
        .as_array()
        .unwrap()
        .iter()
        .find(|case| case["key"].as_str().unwrap().starts_with(token));
    let key = SshKey::from_line(line.unwrap()["key"].as_str().unwrap()).unwrap();
    assert_eq!(key.fingerprint(), "SHA256:5mL/rAcNxNg7incQubPuiukKbF3/+6hsW/S6MtyAlIE");
}

#[test]
fn what_is_no_key_is_refused() {
    let key = Signer::new(51).key;
    let mut point = public_key(&Ed25519KeyPair::from_seed_unchecked(&[51; 32]).unwrap()).to_vec();
    point.push(4);
    for odd in [
        Vec::new(),
        parts(&[b"ssh-ed25519"]),
        parts(&[b"ssh-ed25519", &point]),
        parts(&[b"ssh-ed25519", &point[..31]]),
        [key.blob(), b"\0"].concat(),
        parts(&[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 65]]),
        parts(&[b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]]),
        parts(&[b"sk-ssh-ed25519@openssh.com", &point[..32]]),
        parts(&[b"sk-ssh-ed25519@openssh.com", &point[..32], b"https://login.example"]),
    ] {
        assert_eq!(SshKey::from_blob(&odd), Err(SshError::Form), "{odd:?}");
    }
    assert_eq!(SshKey::from_blob(&parts(&[b"ssh-dss", b"x"])), Err(SshError::Type));
    let line = key.to_line();
    assert!(SshKey::from_line(&line.replacen("ssh-ed25519", "ecdsa-sha2-nistp256", 1)).is_err());
    assert!(SshKey::from_line("ssh-ed25519").is_err());
    assert_eq!(SshKey::from_line(&format!("{line} bob@laptop of his\n")), Ok(key));
}
