//! SSH keys of people in tests.

use chunk_evidence::encode::canonical_of;
use chunk_evidence::enrolled::Enrolment;
use chunk_evidence::sshsig::{ENROLL_NAMESPACE, SshKey, SshSignature, signed_bytes};
use chunk_wire::keys::{EnrollKey, KeyView};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::{Someone, World, cx};
use crate::error::Error;
use crate::identity::keys;

pub(crate) const MAY_ENROLL: &str = "@id(\"enrol\") permit(principal, action == Action::\"enroll_key\", resource);";

/// Somebody's SSH key, in a file or on a token.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    pub(crate) key: SshKey,
    /// What the token says of who touched it.
    flags: Option<u8>,
}

fn wire(parts: &[&[u8]]) -> Vec<u8> {
    let with_length = |part: &&[u8]| [&u32::try_from(part.len()).unwrap().to_be_bytes(), *part].concat();
    parts.iter().flat_map(with_length).collect()
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = SshKey::from_blob(&wire(&[b"ssh-ed25519", pair.public_key().as_ref()])).unwrap();
        Self { pair, key, flags: None }
    }

    pub(crate) fn on_token(seed: u8, flags: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = SshKey::from_blob(&wire(&[b"sk-ssh-ed25519@openssh.com", pair.public_key().as_ref(), b"ssh:"])).unwrap();
        Self {
            pair,
            key,
            flags: Some(flags),
        }
    }

    pub(crate) fn sign(&self, namespace: &str, message: &str) -> String {
        let mut signed = signed_bytes(namespace, message.as_bytes());
        let mut behind = Vec::new();
        if let Some(flags) = self.flags {
            behind = vec![flags, 0, 0, 0, 1];
            let (application, inner) = (digest(&SHA256, b"ssh:"), digest(&SHA256, &signed));
            signed = [application.as_ref(), &behind, inner.as_ref()].concat();
        }
        let raw = wire(&[self.key.type_name().as_bytes(), self.pair.sign(&signed).as_ref()]);
        SshSignature::of_agent(self.key.clone(), namespace, [raw, behind].concat()).to_text()
    }
}

/// What this person's client sends to enrol a key, where somebody has a hand in what is signed.
pub(crate) async fn enrolling(world: &World, who: &Someone, signer: &Signer, change: impl FnOnce(&mut Enrolment)) -> EnrollKey {
    let caller = who.caller(world).await.unwrap();
    let challenge = keys::challenge(&world.broker, &cx(), &caller).unwrap();
    let mut statement = Enrolment {
        v: 1,
        origin: challenge.origin,
        issuer: caller.person().issuer.clone(),
        subject: caller.person().subject.clone(),
        key: caller.key().to_owned(),
        ssh_key: signer.key.fingerprint(),
        nonce: challenge.nonce.clone(),
    };
    change(&mut statement);
    EnrollKey {
        nonce: challenge.nonce,
        signature: signer.sign(ENROLL_NAMESPACE, &canonical_of(&statement).unwrap()),
    }
}

pub(crate) async fn send(world: &World, who: &Someone, enroll: EnrollKey) -> Result<KeyView, Error> {
    keys::enroll(&world.broker, &cx(), &who.caller(world).await?, enroll).await
}

pub(crate) async fn enroll(world: &World, who: &Someone, signer: &Signer) -> Result<KeyView, Error> {
    send(world, who, enrolling(world, who, signer, |_| {}).await).await
}
