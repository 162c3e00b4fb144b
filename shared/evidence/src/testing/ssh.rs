//! SSH keys in a log for tests.
use super::*;
use crate::enrolled::Enrolment;
use crate::sshsig::tests::Signer;
use crate::sshsig::{ENROLL_NAMESPACE, REVIEW_NAMESPACE, SshSignature};

/// What a verdict's entry says of the SSH key that signed it.
pub(crate) fn signed_with(header: &mut Header, body: &mut Body, signature: &SshSignature, enrolled: u64) {
    header.refs.push(enrolled);
    set(body, Group::Who, "ssh_key", signature.key().fingerprint().into());
    set(body, Group::What, "ssh", signature.to_text().into());
}

impl Log {
    /// Somebody enrols a key.
    pub(crate) fn enroll(&mut self, actor: &Actor, signer: &Signer) -> u64 {
        self.enroll_as(actor, signer, |_, _| {})
    }

    /// The same, where somebody has a hand in what is signed, or in what is recorded of it.
    pub(crate) fn enroll_as(&mut self, actor: &Actor, signer: &Signer, change: impl FnOnce(&mut Enrolment, &mut Body)) -> u64 {
        let mut statement = Enrolment {
            v: 1,
            origin: ORIGIN.to_owned(),
            issuer: "https://idp.example".to_owned(),
            subject: actor.name.to_owned(),
            key: actor.thumbprint(),
            ssh_key: signer.key.fingerprint(),
            nonce: "n".to_owned(),
        };
        let who = json!({
            "issuer": "https://idp.example", "ssh_key": signer.key.fingerprint(), "ssh_public_key": signer.key.to_line(), "subject": actor.name,
        });
        let mut body = Body::new()
            .with(Group::Who, who)
            .with(Group::Net, json!({"host": "laptop", "ip": "127.0.0.1"}));
        change(&mut statement, &mut body);
        let signed = canonical_of(&statement).unwrap();
        if body.get(Group::Why).is_null() {
            let signature = signer.sign(ENROLL_NAMESPACE, signed.as_bytes());
            body.set(Group::Why, json!({"ssh": signature.to_text(), "statement": signed}));
        }
        let header = Header {
            refs: vec![actor.open],
            ..by(Kind::KeyEnroll, actor)
        };
        self.append(header, &body)
    }

    /// Somebody takes a key back.
    pub(crate) fn revoke_key(&mut self, actor: &Actor, enrolled: u64) -> u64 {
        let header = Header {
            refs: vec![enrolled, actor.open],
            ..by(Kind::KeyRevoke, actor)
        };
        self.append(header, &Body::new().with(Group::Net, json!({"ip": "127.0.0.1"})))
    }

    /// A verdict that an SSH key signed as well.
    pub(crate) fn review_ssh(&mut self, actor: &Actor, request: u64, document: &str, signer: &Signer, enrolled: u64) -> u64 {
        self.review_as(actor, request, document, "approve", |signed, header, body| {
            signed_with(header, body, &signer.sign(REVIEW_NAMESPACE, signed.as_bytes()), enrolled);
        })
    }
}
