//! Verifies a bundle. Trust comes from the auditor's policy alone; the bundle can only fail it.

use serde_json::Value;

use super::format::Format;
use super::member::Stored;
use super::tar;
use super::verdict::{APPEND_ONLY, Answer, CLAIMS, Claim, Counts, FORMAT, Findings, HEAD, Verification};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::dsse::{EXPORT_PAYLOAD_TYPE, Envelope};
use crate::encode::{from_hex_32, parse_canonical, sha256, unb64_32};
use crate::merkle::{Hash, verify_consistency};
use crate::note::{NoteError, VerifierKey};
use crate::trust::{Trust, TrustPolicy};

/// Verifies a bundle under an auditor's trust policy.
#[must_use]
pub fn verify_bundle(bundle: &[u8], policy: &TrustPolicy) -> Verification {
    let mut job = Job {
        bundle,
        findings: Findings::default(),
        counts: Counts::default(),
        format: Format::default(),
        head: 0,
        origin: String::new(),
    };
    let trust = match policy.check() {
        Ok(trust) => Some(trust),
        Err(error) => {
            job.findings.unknown(HEAD, error.to_string());
            None
        }
    };
    if let Err(stop) = job.run(trust.as_ref()) {
        job.findings.fault(FORMAT, None, stop);
    }
    job.finish()
}

pub(super) struct Job<'b> {
    bundle: &'b [u8],
    pub(super) findings: Findings,
    pub(super) counts: Counts,
    pub(super) format: Format,
    head: u64,
    pub(super) origin: String,
}

/// A fault of form: nothing after it can be judged.
pub(super) type Stop = &'static str;

impl Job<'_> {
    fn run(&mut self, trust: Option<&Trust>) -> Result<(), Stop> {
        let mut stored = Stored(tar::read(self.bundle)?);
        let statement = stored.take_plain("statement.dsse").ok_or("the statement is missing")?;
        let statement: Envelope = canonical_json(statement)
            .and_then(|v| serde_json::from_value(v).ok())
            .ok_or("the statement is malformed")?;
        self.covered(&stored, &statement)?;
        self.format = Format::parse(text(stored.take_plain("format.txt"))?).ok_or("`format.txt` is malformed or of another version")?;

        let start =
            SignedCheckpoint::parse(text(stored.take_plain("start.checkpoint"))?).map_err(|_| "the start checkpoint is malformed")?;
        let head = SignedCheckpoint::parse(text(stored.take_plain("head.checkpoint"))?).map_err(|_| "the head checkpoint is malformed")?;
        let (start_says, head_says) = (start.unverified(), head.unverified());
        self.head = head_says.size;
        if start_says.origin != head_says.origin || self.origin != head_says.origin {
            return Err("checkpoints and statement are of different logs");
        }
        if start_says.size != self.format.from || self.format.from > self.format.to || self.format.to > head_says.size {
            return Err("the range does not lie between the checkpoints");
        }

        let own_key = text(stored.take_plain("keys/log.txt"))?
            .strip_suffix('\n')
            .and_then(|key| VerifierKey::parse(key).ok());
        let own_key = own_key
            .filter(|key| key.name() == head_says.origin)
            .ok_or("the bundle's own log key is malformed")?;
        self.signatures(&start, &head, &statement, &own_key, trust);
        let last_seen = trust.and_then(|trust| trust.last.as_ref());
        let shown = self.consistency(text(stored.take_plain("proof/consistency"))?, start_says, head_says, last_seen)?;
        let folded = if self.format.level > 0 {
            self.rows(&mut stored, start_says, head_says, trust)?
        } else {
            None
        };
        self.extends_last_seen(last_seen, &shown, folded);
        if stored.0.is_empty() {
            Ok(())
        } else {
            Err("the bundle holds a member that does not belong in it")
        }
    }

    /// The statement names exactly the other members, each with its hash.
    fn covered(&mut self, stored: &Stored<'_>, statement: &Envelope) -> Result<(), Stop> {
        const MALFORMED: Stop = "the statement is malformed";
        let payload = statement
            .payload_bytes()
            .ok()
            .and_then(|bytes| canonical_json(&bytes))
            .ok_or(MALFORMED)?;
        let Value::Object(mut payload) = payload else {
            return Err(MALFORMED);
        };
        let (members, origin, version) = (payload.remove("members"), payload.remove("origin"), payload.remove("v"));
        let (Some(Value::Object(members)), Some(Value::String(origin)), Some(1)) = (members, origin, version.and_then(|v| v.as_u64()))
        else {
            return Err(MALFORMED);
        };
        if !payload.is_empty() || members.len() != stored.0.len() {
            return Err("the statement does not cover exactly the members of the bundle");
        }
        for (name, bytes) in &stored.0 {
            let stated = members.get(*name).and_then(Value::as_str).and_then(|hex| from_hex_32(hex).ok());
            if stated != Some(sha256(bytes)) {
                return Err("a member is not the one the statement covers");
            }
        }
        self.origin = origin;
        Ok(())
    }

    /// Head, start and statement are signed by a key the auditor trusts. Under a key that is not trusted they are still held
    /// against the bundle's own key, which can prove a forgery and nothing else.
    fn signatures(
        &mut self,
        start: &SignedCheckpoint,
        head: &SignedCheckpoint,
        statement: &Envelope,
        own_key: &VerifierKey,
        trust: Option<&Trust>,
    ) {
        if let Some(trust) = trust.filter(|trust| trust.origin != self.origin) {
            self.findings.fault(
                HEAD,
                None,
                format!("the bundle is of log `{}`, the trust policy is for `{}`", self.origin, trust.origin),
            );
        }
        let own = std::slice::from_ref(own_key);
        for (name, signed) in [("head", head), ("start", start)] {
            match signed.verify(trust.map_or(&[], |trust| &trust.keys)) {
                // The statement is held against the bundle's own key below, so that must be the trusted one.
                Ok((_, key)) if name == "head" && key != own_key => {
                    self.findings.fault(
                        HEAD,
                        None,
                        "the bundle names another log key than the trusted one that signed its head",
                    );
                }
                Ok(_) => {}
                Err(NoteError::UnknownKey) if signed.verify(own).is_ok() => {
                    self.findings.unknown(
                        HEAD,
                        format!(
                            "the {name} is signed by log key `{}`, which the trust policy does not name",
                            own_key.to_text()
                        ),
                    );
                }
                Err(error) => self.findings.fault(HEAD, None, format!("the {name} checkpoint: {error}")),
            }
        }
        if head.verify(own).is_err() {
            self.findings
                .fault(HEAD, None, "the head is not signed by the key the bundle names as the log's");
        }
        if let Err(error) = statement.verify(own_key.public_key(), EXPORT_PAYLOAD_TYPE) {
            self.findings
                .fault(FORMAT, None, format!("the statement is not signed by the log's key: {error}"));
        }
    }

    /// Checks the proofs to the head; gives the older sizes and roots they show.
    fn consistency(
        &mut self,
        text: &str,
        start: &Checkpoint,
        head: &Checkpoint,
        last_seen: Option<&Checkpoint>,
    ) -> Result<Vec<(u64, Hash)>, Stop> {
        const MALFORMED: Stop = "`proof/consistency` is malformed";
        let Some(Value::Object(mut object)) = canonical_json(text.as_bytes()) else {
            return Err(MALFORMED);
        };
        let Some(Value::Array(proofs)) = object.remove("proofs").filter(|_| object.is_empty()) else {
            return Err(MALFORMED);
        };
        let mut shown = vec![(0, crate::merkle::empty_root()), (head.size, head.root)];
        for (number, proof) in proofs.into_iter().enumerate() {
            let (from, to) = (
                number_of(&proof, "from").ok_or(MALFORMED)?,
                number_of(&proof, "to").ok_or(MALFORMED)?,
            );
            let root = proof
                .get("root")
                .and_then(Value::as_str)
                .and_then(|text| unb64_32(text).ok())
                .ok_or(MALFORMED)?;
            let hashes = hashes_of(&proof, "hashes").ok_or(MALFORMED)?;
            if proof.as_object().is_none_or(|object| object.len() != 4) || to != head.size {
                return Err(MALFORMED);
            }
            if number == 0 && (from, root) != (start.size, start.root) {
                return Err("the first proof is not from the start to the head");
            }
            match verify_consistency(from, to, &hashes, &root, &head.root) {
                Ok(()) => shown.push((from, root)),
                Err(error) => self
                    .findings
                    .fault(APPEND_ONLY, None, format!("the head does not extend size {from}: {error}")),
            }
        }
        if shown.len() < 3 && self.findings.faults_total == 0 {
            return Err(MALFORMED);
        }
        if let Some(last) = last_seen.filter(|last| last.size > head.size) {
            let what = format!(
                "the auditor has seen size {} of this log, beyond the head at {}: export again",
                last.size, head.size
            );
            self.findings.unknown(APPEND_ONLY, what);
        }
        Ok(shown)
    }

    fn extends_last_seen(&mut self, last_seen: Option<&Checkpoint>, shown: &[(u64, Hash)], folded: Option<Hash>) {
        let Some(last) = last_seen.filter(|last| last.size <= self.head) else {
            return;
        };
        let root = shown.iter().find(|(size, _)| *size == last.size).map(|(_, root)| *root).or(folded);
        match root {
            Some(root) if root == last.root => {}
            Some(_) => {
                let what = format!(
                    "at size {} the log was another when the auditor saw it: history was rewritten",
                    last.size
                );
                self.findings.fault(APPEND_ONLY, None, what);
            }
            None => {
                let what = format!(
                    "nothing in the bundle shows the log at size {}, the auditor's last checkpoint",
                    last.size
                );
                self.findings.unknown(APPEND_ONLY, what);
            }
        }
    }

    fn finish(self) -> Verification {
        let level = self.format.level;
        // Every claim rests on the head: under a head that cannot be judged, none can.
        let bound = self.findings.answer_of(HEAD);
        let claim = |(id, _, text): &(&'static str, u8, &'static str)| {
            let answer = match self.findings.answer_of(id) {
                Answer::True if bound != Answer::True => Answer::CannotTell,
                answer => answer,
            };
            Claim { id, text, answer }
        };
        // A bundle that could not be read to its end claims nothing but its form.
        let formless = self.findings.answer_of(FORMAT) == Answer::False;
        let claims = CLAIMS
            .iter()
            .filter(|(id, from, _)| *id == FORMAT || (!formless && *from <= level))
            .map(claim)
            .collect();
        Verification {
            answer: self.findings.answer(),
            origin: self.origin,
            level,
            from: self.format.from,
            to: self.format.to,
            head: self.head,
            filter: self.format.filter,
            claims,
            faults_total: self.findings.faults_total,
            faults: self.findings.faults,
            unknowns: self.findings.unknowns,
            counts: self.counts,
        }
    }
}

pub(super) fn text(member: Option<&[u8]>) -> Result<&str, Stop> {
    std::str::from_utf8(member.ok_or("a member is missing")?).map_err(|_| "a member is not text")
}

pub(super) fn canonical_json(bytes: &[u8]) -> Option<Value> {
    parse_canonical(std::str::from_utf8(bytes).ok()?).ok()
}

pub(super) fn number_of(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

pub(super) fn hashes_of(object: &Value, name: &str) -> Option<Vec<Hash>> {
    object
        .get(name)?
        .as_array()?
        .iter()
        .map(|hash| unb64_32(hash.as_str()?).ok())
        .collect()
}
