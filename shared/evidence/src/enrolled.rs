//! What a person signs with an SSH key when they enrol it, and what they sign with an enrolled one: held against what the log says.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::body::Group;
use crate::disclosed::Disclosed;
use crate::scan::Raw;
use crate::signed::{Holder, Misfit};
use crate::sshsig::{ENROLL_NAMESPACE, REVIEW_NAMESPACE, SshKey, SshSignature};

/// What a key signs to show that whoever enrols it holds it, serialised canonically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Version of this document, 1.
    pub v: u32,
    /// Origin of the log it is for.
    pub origin: String,
    /// Issuer of the person.
    pub issuer: String,
    /// Subject of the person.
    pub subject: String,
    /// RFC 7638 thumbprint of the session's key.
    pub key: String,
    /// Fingerprint of the SSH key.
    pub ssh_key: String,
    /// What the broker gave out for this a moment ago.
    pub nonce: String,
}

/// Checks a `key.enroll` whose `who` and `why` are opened against the signature of the key, and the person whose session it was.
pub(crate) fn check_enrolment(entry: &Disclosed<'_>, holder: &Holder, origin: &str) -> Result<(), Misfit> {
    let signed = entry.text(Group::Why, "statement").ok_or("an enrolment has no statement")?;
    let signature = entry.text(Group::Why, "ssh").and_then(|text| SshSignature::parse(&text).ok());
    let signature = signature.ok_or("an enrolment has no signature by the key")?;
    if signature.verify(ENROLL_NAMESPACE, signed.as_bytes()).is_err() {
        return Err("the signature of the key that is enrolled does not verify");
    }
    let statement = Raw::parse(&signed).map_err(|_| "the statement of an enrolment is not canonical JSON")?;
    let says = |name: &str, text: &str| statement.get(name).and_then(Raw::as_str).as_deref() == Some(text);
    let fingerprint = signature.key().fingerprint();
    let fits = statement.get("v").and_then(Raw::as_u64) == Some(1)
        && says("origin", origin)
        && says("issuer", &holder.issuer)
        && says("subject", &holder.subject)
        && says("key", &holder.key)
        && says("ssh_key", &fingerprint);
    if !fits {
        return Err("what the enrolled key signed is about another log, person, session or key");
    }
    let on_record = entry.says(Group::Who, "ssh_key", &fingerprint)
        && entry.says(Group::Who, "ssh_public_key", &signature.key().to_line())
        && entry.says(Group::Who, "issuer", &holder.issuer)
        && entry.says(Group::Who, "subject", &holder.subject);
    if on_record {
        Ok(())
    } else {
        Err("the key or person on record is not the one that the enrolled key signed")
    }
}

/// The fingerprint that an entry's opened `who` gives for the key it names; nothing where the two do not fit.
pub(crate) fn enrolled_key<'a>(entry: &Disclosed<'a>) -> Option<Cow<'a, str>> {
    let fingerprint = entry.text(Group::Who, "ssh_key")?;
    let key = SshKey::from_line(&entry.text(Group::Who, "ssh_public_key")?).ok()?;
    (key.fingerprint() == fingerprint && entry.says(Group::Who, "ssh_public_key", &key.to_line())).then_some(fingerprint)
}

/// Checks the SSH signature on a verdict whose `what` is opened, where it has one: it is over the very payload of the envelope.
pub(crate) fn check_ssh(entry: &Disclosed<'_>, payload: &str) -> Result<(), Misfit> {
    let Some(text) = entry.member(Group::What, "ssh") else {
        let named = entry.member(Group::Who, "ssh_key").is_some();
        return if named {
            Err("a verdict names an SSH key, and holds no signature by one")
        } else {
            Ok(())
        };
    };
    let signature = text.as_str().and_then(|text| SshSignature::parse(&text).ok());
    let signature = signature.ok_or("the SSH signature on a verdict is none")?;
    if signature.verify(REVIEW_NAMESPACE, payload.as_bytes()).is_err() {
        return Err("the SSH signature on a verdict does not verify");
    }
    if entry.shows(Group::Who) && !entry.says(Group::Who, "ssh_key", &signature.key().fingerprint()) {
        return Err("the SSH key on record is not the one that signed the verdict");
    }
    Ok(())
}
