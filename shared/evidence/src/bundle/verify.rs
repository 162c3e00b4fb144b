//! Verifies a bundle. Trust comes from the auditor's policy alone; the bundle can only fail it.

use std::io::{self, Cursor, Read, Seek};

use super::archive::{Archive, SMALL_BYTES_MAX, Stop};
use super::format::Format;
use super::stamps::{Brackets, Stamped, Stamps};
use super::verdict::{APPEND_ONLY, Answer, CLAIMS, Claim, Counts, FORMAT, Findings, HEAD, STAMPED, Verification, WITNESSED};
use super::views::View;
use super::write::ROTATIONS;
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::cosignature::Witnessed;
use crate::dsse::{EXPORT_PAYLOAD_TYPE, Envelope};
use crate::encode::{canonical_of, from_hex_32, unb64_32};
use crate::merkle::{Hash, verify_consistency};
use crate::note::{NoteError, VerifierKey};
use crate::receipt::ReceiptEntry;
use crate::rotation::Rotations;
use crate::scan::Raw;
use crate::trust::{Trust, TrustPolicy};

/// Verifies a bundle that stands in memory under an auditor's trust policy.
#[must_use]
pub fn verify_bundle(bundle: &[u8], policy: &TrustPolicy) -> Verification {
    let mut job = Job::new();
    job.judge(Cursor::new(bundle), policy, None).unwrap_or_default();
    job.finish()
}

/// Verifies a bundle of any length in bounded memory under an auditor's trust policy.
///
/// # Errors
/// When it cannot be read.
pub fn verify_file(bundle: impl Read + Seek + Send, policy: &TrustPolicy) -> io::Result<Verification> {
    let mut job = Job::new();
    job.judge(bundle, policy, None)?;
    Ok(job.finish())
}

/// Verifies a bundle, and passes on the views that its rows give, name and part of the text, whether it carries them or not.
/// Only when the answer is true are they worth anything.
///
/// # Errors
/// When it cannot be read.
pub fn verify_views(bundle: impl Read + Seek + Send, policy: &TrustPolicy, sink: ViewSink<'_>) -> io::Result<Verification> {
    let mut job = Job::new();
    job.judge(bundle, policy, Some(sink))?;
    Ok(job.finish())
}

/// The rows of a bundle as `views/entries.jsonl` gives them, level 2 and up, if it verifies with whatever keys it names itself.
/// Verify it under a trust policy first.
///
/// # Errors
/// When the bundle opens nothing, or its form is wrong.
pub fn entries_view(bundle: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut job, mut view) = (Job::new(), Vec::new());
    let mut sink = |name: &str, text: &str| {
        if name == View::Entries.name() {
            view.extend_from_slice(text.as_bytes());
        }
    };
    match job.run(Cursor::new(bundle), None, Some(&mut sink)) {
        Err(Stop::Form(what)) => Err(what),
        Err(Stop::Read(_)) => Err("the bundle cannot be read"),
        Ok(()) if job.format.level < 2 => Err("the bundle opens nothing"),
        Ok(()) => Ok(view),
    }
}

/// Takes views as they are made: name, and the next part of the text.
pub type ViewSink<'s> = &'s mut dyn FnMut(&str, &str);

pub(super) struct Job {
    pub(super) findings: Findings,
    pub(super) counts: Counts,
    pub(super) format: Format,
    head: u64,
    asks_witnesses: bool,
    asks_authorities: bool,
    stamps: Stamps,
    /// How the log's key was replaced below the head.
    pub(super) rotations: Rotations,
    pub(super) origin: String,
    pub(super) threads: usize,
}

/// Small members are no longer than this.
pub(super) const SMALL: u64 = SMALL_BYTES_MAX;
/// A statement names every member; one of this length covers more rows than any log has.
const STATEMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Job {
    fn new() -> Self {
        Self {
            findings: Findings::default(),
            counts: Counts::default(),
            format: Format::default(),
            head: 0,
            asks_witnesses: false,
            asks_authorities: false,
            stamps: Stamps::default(),
            rotations: Rotations::default(),
            origin: String::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn judge(&mut self, bundle: impl Read + Seek + Send, policy: &TrustPolicy, sink: Option<ViewSink<'_>>) -> io::Result<()> {
        let trust = match policy.check() {
            Ok(trust) => Some(trust),
            Err(error) => {
                self.findings.unknown(HEAD, error.to_string());
                None
            }
        };
        match self.run(bundle, trust.as_ref(), sink) {
            Err(Stop::Form(what)) => self.findings.fault(FORMAT, None, what),
            Err(Stop::Read(error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(())
    }

    fn run(&mut self, bundle: impl Read + Seek + Send, trust: Option<&Trust>, sink: Option<ViewSink<'_>>) -> Result<(), Stop> {
        let mut archive = Archive::open(bundle)?;
        let statement = archive.take_text("statement.dsse", STATEMENT_BYTES_MAX)?;
        let statement: Envelope = json(&statement)
            .and_then(|raw| serde_json::from_str(raw.text()).ok())
            .ok_or("the statement is malformed")?;
        self.covered(&archive, &statement)?;
        let format = archive.take_text("format.txt", SMALL)?;
        self.format = Format::parse(&format).ok_or("`format.txt` is malformed or of another version")?;

        let (start, head) = (
            archive.take_text("start.checkpoint", SMALL)?,
            archive.take_text("head.checkpoint", SMALL)?,
        );
        let start = SignedCheckpoint::parse(&start).map_err(|_| "the start checkpoint is malformed")?;
        let head = SignedCheckpoint::parse(&head).map_err(|_| "the head checkpoint is malformed")?;
        let (start_says, head_says) = (start.unverified(), head.unverified());
        self.head = head_says.size;
        if start_says.origin != head_says.origin || self.origin != head_says.origin {
            return Err("checkpoints and statement are of different logs".into());
        }
        if start_says.size != self.format.from || self.format.from > self.format.to || self.format.to > head_says.size {
            return Err("the range does not lie between the checkpoints".into());
        }

        let own_key = archive.take_text("keys/log.txt", SMALL)?;
        let own_key = own_key.strip_suffix('\n').and_then(|key| VerifierKey::parse(key).ok());
        let own_key = own_key
            .filter(|key| key.name() == head_says.origin)
            .ok_or("the bundle's own log key is malformed")?;
        self.rotations(&mut archive, head_says, &own_key)?;
        let stamped = Stamped::take_all(&mut archive)?;
        self.signatures(&start, &head, &stamped, &statement, &own_key, trust);
        self.witnessed(&head, trust);
        let last_seen = trust.and_then(|trust| trust.last.as_ref());
        let shown = self.consistency(&archive.take_text("proof/consistency", SMALL)?, start_says, head_says, last_seen)?;
        let stamped = self.stamped(stamped, &shown, trust)?;
        let folded = if self.format.level > 0 {
            self.rows(&mut archive, start_says, head_says, trust, Brackets::new(stamped), sink)?
        } else {
            None
        };
        self.extends_last_seen(last_seen, &shown, folded);
        if archive.is_empty() {
            Ok(())
        } else {
            Err("the bundle holds a member that does not belong in it".into())
        }
    }

    /// The statement names exactly the other members, each with its hash.
    fn covered<S: Read + Seek>(&mut self, archive: &Archive<S>, statement: &Envelope) -> Result<(), Stop> {
        const MALFORMED: Stop = Stop::Form("the statement is malformed");
        let payload = statement.payload_bytes().ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let payload = payload.ok_or(MALFORMED)?;
        let payload = json(&payload).ok_or(MALFORMED)?;
        let version = payload.get("v").and_then(Raw::as_u64);
        let (members, origin) = (payload.get("members"), payload.get("origin").and_then(Raw::as_str));
        let (Some(members), Some(origin), Some(1), 3) = (members, origin, version, payload.members().count()) else {
            return Err(MALFORMED);
        };
        if !members.is_object() {
            return Err(MALFORMED);
        }
        // Both are in order of the names.
        let mut stated = members.members();
        for member in archive.members().iter().filter(|member| &*member.name != "statement.dsse") {
            let (name, digest) = stated
                .next()
                .ok_or("the statement does not cover exactly the members of the bundle")?;
            if *name != *member.name {
                return Err("the statement does not cover exactly the members of the bundle".into());
            }
            if digest.as_str().and_then(|hex| from_hex_32(&hex).ok()) != Some(member.digest) {
                return Err("a member is not the one the statement covers".into());
            }
        }
        if stated.next().is_some() {
            return Err("the statement does not cover exactly the members of the bundle".into());
        }
        self.origin = origin.into_owned();
        Ok(())
    }

    /// Head, start and statement are signed by a key the auditor trusts. Under a key that is not trusted they are still held
    /// against the bundle's own key, which can prove a forgery and nothing else.
    fn signatures(
        &mut self,
        start: &SignedCheckpoint,
        head: &SignedCheckpoint,
        stamped: &[Stamped],
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
        let stamped = stamped.iter().map(|stamped| ("stamped", &stamped.checkpoint));
        let mut trusted = self.rotations.follow(trust.map_or(&[], |trust| &trust.keys));
        let named: Vec<VerifierKey> = own.iter().chain(self.rotations.keys()).cloned().collect();
        if head.verify(&trusted).is_ok() {
            // Whoever signed the head vouches for what stands below it: which keys came before.
            trusted.extend(named.iter().filter(|key| !trusted.contains(key)).cloned().collect::<Vec<_>>());
        }
        for (name, signed) in [("head", head), ("start", start)].into_iter().chain(stamped) {
            let early = |key| self.rotations.retired(key).is_none_or(|at| signed.unverified().size <= at);
            match signed.verify(&trusted) {
                // The statement is held against the bundle's own key below, so that must be the trusted one.
                Ok((_, key)) if name == "head" && key != own_key => {
                    self.findings.fault(
                        HEAD,
                        None,
                        "the bundle names another log key than the trusted one that signed its head",
                    );
                }
                Ok((_, key)) if !early(key) => {
                    let what = format!("the {name} is signed by a key of the log that had been replaced before");
                    self.findings.fault(HEAD, None, what);
                }
                Ok(_) => {}
                Err(NoteError::UnknownKey) if signed.verify(&named).is_ok() => {
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

    /// Reads how the log's key was replaced: the head is signed by the key that was in force last.
    fn rotations<S: Read + Seek>(&mut self, archive: &mut Archive<S>, head: &Checkpoint, own_key: &VerifierKey) -> Result<(), Stop> {
        if !archive.members().iter().any(|member| &*member.name == ROTATIONS) {
            return Ok(());
        }
        let text = archive.take_text(ROTATIONS, SMALL)?;
        let lines = text.strip_suffix('\n').ok_or("`keys/rotations.jsonl` is malformed")?.split('\n');
        let entry = |line| {
            let entry: ReceiptEntry = serde_json::from_str(line).ok()?;
            canonical_of(&entry).ok().filter(|text| text == line).map(|_| entry)
        };
        let entries: Option<Vec<ReceiptEntry>> = lines.map(entry).collect();
        let rotations = match Rotations::read(&entries.ok_or("`keys/rotations.jsonl` is malformed")?) {
            Ok(rotations) => rotations,
            Err(what) => {
                self.findings.fault(HEAD, None, what);
                return Ok(());
            }
        };
        if let Err(index) = rotations.are_under(head) {
            self.findings.fault(
                HEAD,
                Some(index),
                "it is said to replace the log's key, and is not under the signed head",
            );
            return Ok(());
        }
        if rotations.last() != Some(own_key) {
            self.findings
                .fault(HEAD, None, "the head is not signed by the key that the log had by then");
        }
        self.rotations = rotations;
        Ok(())
    }

    /// The head carries the cosignatures that the auditor asks for.
    fn witnessed(&mut self, head: &SignedCheckpoint, trust: Option<&Trust>) {
        let Some(witnesses) = trust.map(|trust| &trust.witnesses).filter(|witnesses| !witnesses.is_empty()) else {
            return;
        };
        self.asks_witnesses = true;
        match witnesses.judge(head) {
            Witnessed::Yes => {}
            Witnessed::TooFew { cosigned, quorum } => {
                let what = format!("{cosigned} of the witnesses that the auditor believes vouch for the head, and {quorum} must");
                self.findings.unknown(WITNESSED, what);
            }
            Witnessed::False { witness } => {
                let what = format!("the cosignature of witness `{witness}` on the head does not verify");
                self.findings.fault(WITNESSED, None, what);
            }
        }
    }

    /// Judges the time stamps, as far as the auditor knows their authorities, and holds their checkpoints against the head.
    fn stamped(&mut self, mut stamped: Vec<Stamped>, shown: &[(u64, Hash)], trust: Option<&Trust>) -> Result<Vec<Stamped>, Stop> {
        let authorities = trust.map(|trust| trust.authorities.as_slice()).unwrap_or_default();
        self.asks_authorities = !authorities.is_empty();
        for stamp in &mut stamped {
            let says = stamp.checkpoint.unverified();
            if says.origin != self.origin || says.size > self.head {
                return Err("a stamped checkpoint is not of this log, or beyond the head".into());
            }
            let mut roots = shown
                .iter()
                .filter(|(size, _)| *size == says.size)
                .map(|(_, root)| *root)
                .peekable();
            if roots.peek().is_none() && self.findings.faults_total == 0 {
                return Err("nothing shows the log at the size of a stamped checkpoint".into());
            }
            if roots.any(|root| root != says.root) {
                let what = format!(
                    "the stamped checkpoint of size {} is of another tree than the head extends",
                    says.size
                );
                self.findings.fault(APPEND_ONLY, None, what);
            }
            match stamp.judge(authorities) {
                Ok(()) => {}
                Err(what) => self
                    .findings
                    .fault(STAMPED, None, format!("the time stamp of size {}: {what}", stamp.size())),
            }
        }
        let (from, to) = (self.format.from, self.format.to);
        self.stamps = Stamps::of(&stamped, from..to);
        if self.asks_authorities {
            let most = trust.and_then(|trust| trust.unstamped_entries_max).unwrap_or(u64::MAX);
            let uncovered = to.saturating_sub(from).saturating_sub(self.stamps.covered);
            let what = match self.stamps.newest {
                None => Some(format!(
                    "{} time stamps, none of them good and by an authority that the trust policy names",
                    self.stamps.carried
                )),
                Some((size, _)) if from < to && size <= from => Some(format!(
                    "the newest time stamp covers the entries below {size}, and none of the range from {from} on: export again later"
                )),
                Some((size, _)) if uncovered > most => Some(format!(
                    "the newest time stamp covers the entries below {size}, {uncovered} of the range came after, and the trust policy accepts {most}: export again later"
                )),
                Some(_) => None,
            };
            if let Some(what) = what {
                self.findings.unknown(STAMPED, what);
            }
        }
        Ok(stamped)
    }

    /// Checks the proofs to the head; gives the older sizes and roots they show.
    fn consistency(
        &mut self,
        text: &str,
        start: &Checkpoint,
        head: &Checkpoint,
        last_seen: Option<&Checkpoint>,
    ) -> Result<Vec<(u64, Hash)>, Stop> {
        const MALFORMED: Stop = Stop::Form("`proof/consistency` is malformed");
        let object = json(text).filter(|object| object.members().count() == 1).ok_or(MALFORMED)?;
        let proofs = object.get("proofs").and_then(Raw::items).ok_or(MALFORMED)?;
        let mut shown = vec![(0, crate::merkle::empty_root()), (head.size, head.root)];
        for (number, proof) in proofs.enumerate() {
            let (from, to) = (number_of(proof, "from").ok_or(MALFORMED)?, number_of(proof, "to").ok_or(MALFORMED)?);
            let root = proof
                .get("root")
                .and_then(Raw::as_str)
                .and_then(|text| unb64_32(&text).ok())
                .ok_or(MALFORMED)?;
            let hashes = hashes_of(proof, "hashes").ok_or(MALFORMED)?;
            if proof.members().count() != 4 || to != head.size {
                return Err(MALFORMED);
            }
            if number == 0 && (from, root) != (start.size, start.root) {
                return Err("the first proof is not from the start to the head".into());
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
            .filter(|(id, _, _)| *id != WITNESSED || self.asks_witnesses)
            .filter(|(id, _, _)| *id != STAMPED || self.asks_authorities)
            .map(claim)
            .collect();
        Verification {
            answer: self.findings.answer(),
            origin: self.origin,
            level,
            from: self.format.from,
            to: self.format.to,
            head: self.head,
            filter: self.format.filter.as_ref().and_then(|filter| filter.to_text().ok()),
            views: self.format.views,
            claims,
            faults_total: self.findings.faults_total,
            faults: self.findings.faults,
            unknowns: self.findings.unknowns,
            counts: self.counts,
            stamps: self.stamps,
        }
    }
}

/// A text that is canonical JSON.
pub(super) fn json(text: &str) -> Option<Raw<'_>> {
    Raw::parse(text).ok()
}

pub(super) fn number_of(object: Raw<'_>, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

pub(super) fn hashes_of(object: Raw<'_>, name: &str) -> Option<Vec<Hash>> {
    let hashes = object.get(name)?.items()?;
    hashes.map(|hash| unb64_32(&hash.as_str()?).ok()).collect()
}
