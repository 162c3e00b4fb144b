//! Verifies a bundle. Trust comes from the auditor's policy alone; the bundle can only fail it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::compare::{Digest, attach};
use super::ledger::Ledger;
use super::level::{LEVEL_MAX, open_set};
use super::member::Stored;
use super::verdict::{APPEND_ONLY, Answer, CLAIMS, CLOSURE, COMPLETE, Claim, Counts, FORMAT, Findings, HEAD, VIEWS, Verification};
use super::views::Views;
use super::write::rows_name;
use super::{BUNDLE_FORMAT, EXPORT_PAYLOAD_TYPE, ROWS_PER_MEMBER, row, tar};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::disclosed::{Disclosed, GroupSet, Opened};
use crate::dsse::Envelope;
use crate::encode::{from_hex_32, parse_canonical, sha256, unb64_32};
use crate::leaf::Kind;
use crate::merkle::{Frontier, Hash, verify_consistency, verify_inclusion};
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

/// What `format.txt` says.
#[derive(Debug, Clone, Default)]
struct Format {
    level: u8,
    from: u64,
    to: u64,
    filter: Option<String>,
    head: u64,
}

struct Job<'b> {
    bundle: &'b [u8],
    findings: Findings,
    counts: Counts,
    format: Format,
    origin: String,
}

/// A fault of form: nothing after it can be judged.
type Stop = &'static str;

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
        self.format.head = head_says.size;
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
        let Some(last) = last_seen.filter(|last| last.size <= self.format.head) else {
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

    /// Folds the rows into the head and follows them. Gives the root at the auditor's last size, if it lies in the range.
    fn rows(
        &mut self,
        stored: &mut Stored<'_>,
        start: &Checkpoint,
        head: &Checkpoint,
        trust: Option<&Trust>,
    ) -> Result<Option<Hash>, Stop> {
        const MALFORMED: Stop = "`proof/range` is malformed";
        let range = text(stored.take_plain("proof/range"))
            .ok()
            .and_then(|text| canonical_json(text.as_bytes()))
            .ok_or(MALFORMED)?;
        let (frontier, tail) = (
            hashes_of(&range, "frontier").ok_or(MALFORMED)?,
            hashes_of(&range, "tail").ok_or(MALFORMED)?,
        );
        let ends = (number_of(&range, "from"), number_of(&range, "to"));
        if ends != (Some(self.format.from), Some(self.format.to)) || range.as_object().is_none_or(|object| object.len() != 4) {
            return Err(MALFORMED);
        }
        let mut frontier = Frontier::from_parts(self.format.from, frontier).map_err(|_| MALFORMED)?;
        if frontier.root() != start.root {
            self.findings
                .fault(COMPLETE, None, "the fold does not begin at the start checkpoint");
        }

        let origin = self.origin.clone();
        let mut walk = Walk {
            ledger: Ledger::new(self.format.from, &origin, trust),
            views: Views::new(),
            attached: BTreeMap::new(),
            needed: BTreeSet::new(),
            erased: Vec::new(),
            erasers: HashSet::new(),
        };
        let context = self.context(stored, head)?;
        let split = context.partition_point(|entry| entry.index < self.format.from);
        let (before, after) = context.split_at(split);
        for entry in before {
            self.step(&mut walk, entry, false)?;
        }

        let seen = trust.and_then(|trust| trust.last.as_ref()).map(|last| last.size);
        let mut root_seen = None;
        let count = usize::try_from(self.format.to - self.format.from).map_err(|_| "the range is too long")?;
        for number in 0..count.div_ceil(ROWS_PER_MEMBER) {
            let bytes = stored.take(&rows_name(number))?;
            let lines = lines(&bytes)?;
            let mut rows_here = 0;
            for line in lines {
                let (entry, _) = row::read(line, false)?;
                if entry.index != frontier.size() || entry.index >= self.format.to {
                    return Err("rows are not numbered without gaps");
                }
                frontier.push(entry.leaf.hash());
                if Some(frontier.size()) == seen {
                    root_seen = Some(frontier.root());
                }
                rows_here += 1;
                self.step(&mut walk, &entry, true)?;
            }
            if rows_here != ROWS_PER_MEMBER.min(count - number * ROWS_PER_MEMBER) {
                return Err("a member holds too few or too many rows");
            }
        }
        if let Err(error) = verify_consistency(self.format.to, head.size, &tail, &frontier.root(), &head.root) {
            self.findings
                .fault(COMPLETE, None, format!("the rows do not fold into the signed head: {error}"));
        }
        for entry in after {
            self.step(&mut walk, entry, false)?;
        }

        if !walk.needed.iter().eq(context.iter().map(|entry| &entry.index)) {
            return Err("the context is not exactly what the rows rest on");
        }
        for (index, by) in &walk.erased {
            if by <= index || !walk.erasers.contains(by) {
                self.findings
                    .fault(CLOSURE, Some(*index), "its body is gone, and the entry it names erased nothing");
            }
        }
        self.counts.intents_open = walk.ledger.intents_open();
        self.beside(stored, walk)?;
        Ok(root_seen)
    }

    /// Reads the context, each entry proven to be under the head.
    fn context(&mut self, stored: &mut Stored<'_>, head: &Checkpoint) -> Result<Vec<Disclosed>, Stop> {
        let bytes = stored.take("rows/context.jsonl")?;
        let mut context: Vec<Disclosed> = Vec::new();
        for line in lines(&bytes)? {
            let (entry, proof) = row::read(line, true)?;
            let outside = entry.index < self.format.from || entry.index >= self.format.to;
            if !outside || context.last().is_some_and(|last| last.index >= entry.index) {
                return Err("the context is out of order");
            }
            if let Err(error) = verify_inclusion(&entry.leaf.hash(), entry.index, head.size, &proof, &head.root) {
                self.findings
                    .fault(COMPLETE, Some(entry.index), format!("it is not under the signed head: {error}"));
            }
            context.push(entry);
        }
        self.counts.context = context.len() as u64;
        Ok(context)
    }

    fn step(&mut self, walk: &mut Walk<'_>, entry: &Disclosed, in_range: bool) -> Result<(), Stop> {
        let header = &entry.leaf.header;
        let open = open_set(self.format.level, header.kind);
        match entry.opened() {
            Opened::Erased(by) => {
                walk.erased.push((entry.index, by));
                walk.need(by, &self.format);
            }
            Opened::Header if self.format.level < 2 || self.format.filter.is_some() => {}
            Opened::Full if self.format.level >= 2 && open == GroupSet::ALL => {}
            Opened::Partly(set) if self.format.level >= 2 && set == open && open != GroupSet::ALL => {}
            Opened::Header => {
                self.findings
                    .fault(COMPLETE, Some(entry.index), "its body is missing and nobody erased it");
            }
            Opened::Full | Opened::Partly(_) => return Err("a row opens other groups than its level says"),
        }
        if matches!(header.kind, Kind::Erase | Kind::RetentionDispose) {
            walk.erasers.insert(entry.index);
        }
        for index in header.refs.iter().copied().chain(header.pol) {
            walk.need(index, &self.format);
        }
        walk.ledger.admit(entry, &mut self.findings, &mut self.counts);
        attach(entry, &mut walk.attached);
        if in_range {
            self.counts.entries += 1;
            *self.counts.by_kind.entry(header.kind.as_str()).or_default() += 1;
            match entry.opened() {
                Opened::Full | Opened::Partly(_) => self.counts.opened += 1,
                Opened::Header => self.counts.header_only += 1,
                Opened::Erased(_) => self.counts.erased += 1,
            }
            walk.views.add(entry).map_err(|_| "a row has no canonical view")?;
        }
        Ok(())
    }

    /// Compares what stands beside the rows with what the rows give.
    fn beside(&mut self, stored: &mut Stored<'_>, walk: Walk<'_>) -> Result<(), Stop> {
        for (name, expected) in walk.attached {
            if stored.take(&name)? != expected {
                self.findings.fault(VIEWS, None, format!("`{name}` is not what the rows give"));
            }
        }
        for (name, expected) in walk.views.finish() {
            // A view that is longer than it should be is as wrong as one that differs; a missing one is a fault of form.
            match expected.equals_stored(&name, stored) {
                Ok(true) => {}
                Ok(false) | Err("a member is too long") => self.findings.fault(VIEWS, None, format!("`{name}` is not what the rows give")),
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
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
            head: self.format.head,
            filter: self.format.filter,
            claims,
            faults_total: self.findings.faults_total,
            faults: self.findings.faults,
            unknowns: self.findings.unknowns,
            counts: self.counts,
        }
    }
}

/// What is gathered while the rows go by.
struct Walk<'a> {
    ledger: Ledger<'a>,
    views: Views<Digest>,
    attached: BTreeMap<String, Vec<u8>>,
    /// Entries outside the range that something rests on.
    needed: BTreeSet<u64>,
    /// Erased entries, each with the entry that is said to have erased it.
    erased: Vec<(u64, u64)>,
    erasers: HashSet<u64>,
}

impl Walk<'_> {
    fn need(&mut self, index: u64, format: &Format) {
        if index < format.from || index >= format.to {
            self.needed.insert(index);
        }
    }
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != BUNDLE_FORMAT {
            return None;
        }
        let level: u8 = lines
            .next()?
            .strip_prefix("level ")?
            .parse()
            .ok()
            .filter(|level| *level <= LEVEL_MAX)?;
        let (from, to) = lines.next()?.strip_prefix("range ")?.split_once(' ')?;
        let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        let filter = match lines.next()?.strip_prefix("filter ")? {
            "none" => None,
            json => parse_canonical(json).ok().filter(Value::is_object).map(|_| Some(json.to_owned()))?,
        };
        let again = format!(
            "{BUNDLE_FORMAT}\nlevel {level}\nrange {from} {to}\nfilter {}\n",
            filter.as_deref().unwrap_or("none")
        );
        (again == text).then_some(Self {
            level,
            from,
            to,
            filter,
            head: 0,
        })
    }
}

fn text(member: Option<&[u8]>) -> Result<&str, Stop> {
    std::str::from_utf8(member.ok_or("a member is missing")?).map_err(|_| "a member is not text")
}

fn canonical_json(bytes: &[u8]) -> Option<Value> {
    parse_canonical(std::str::from_utf8(bytes).ok()?).ok()
}

/// Lines, each ended by a line break.
fn lines(bytes: &[u8]) -> Result<impl Iterator<Item = &str>, Stop> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a row is not text")?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("a row is cut short");
    }
    Ok(text.split_terminator('\n'))
}

fn number_of(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

fn hashes_of(object: &Value, name: &str) -> Option<Vec<Hash>> {
    object
        .get(name)?
        .as_array()?
        .iter()
        .map(|hash| unb64_32(hash.as_str()?).ok())
        .collect()
}
