//! What people signed, held against what the log says: a request and a verdict each carry the person's own signature inside
//! the committed body, so that neither the operator nor the log's key can invent one.
//!
//! Every function compares the signed document with the entry around it, member by member: an entry may not say anything the
//! person did not sign.

use std::borrow::Cow;

use crate::body::Group;
use crate::disclosed::Disclosed;
use crate::dsse::{REQUEST_PAYLOAD_TYPE, REVIEW_PAYLOAD_TYPE, Sealed, thumbprint};
use crate::encode::{DEPTH_MAX, EncodeError, from_hex_32, sha256, unb64_32};
use crate::enrolled::check_ssh;
use crate::leaf::{Decision, Kind};
use crate::merkle::Hash;
use crate::scan::{Raw, Scanner, unescape};

/// What does not fit, in a sentence.
pub(crate) type Misfit = &'static str;

/// A person as a `session.open` binds them to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// Thumbprint.
    pub(crate) key: String,
    pub(crate) public_key: [u8; 32],
}

impl Holder {
    /// Reads the binding of a `session.open` whose `who` is opened.
    pub(crate) fn of(session: &Disclosed<'_>) -> Result<Self, Misfit> {
        let member = |name| {
            session
                .text(Group::Who, name)
                .map(String::from)
                .ok_or("a session names no person and key")
        };
        let (issuer, subject, key) = (member("issuer")?, member("subject")?, member("key")?);
        let public_key = unb64_32(&member("public_key")?).map_err(|_| "a session's public key is malformed")?;
        if thumbprint(&public_key) != key {
            return Err("a session's public key is not the one its thumbprint names");
        }
        Ok(Self {
            issuer,
            subject,
            key,
            public_key,
        })
    }

    /// Whether this is the same person, by whatever key.
    pub(crate) fn is(&self, other: &Holder) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }
}

/// A request document that its requester signed.
#[derive(Debug, Clone)]
pub(crate) struct SignedRequest {
    pub(crate) id: String,
    pub(crate) digest: String,
    /// Canonical text.
    pub(crate) document: String,
    pub(crate) quorum: u64,
    /// In an emergency, without approval beforehand.
    pub(crate) break_glass: bool,
}

/// Terms of a standing grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StandingTerms {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl StandingTerms {
    /// Reads them from a document, or from what is recorded of one.
    pub(crate) fn of(terms: Raw<'_>) -> Option<Self> {
        let number = |name| terms.get(name)?.as_u64();
        number("duration_s")?;
        Some(Self {
            rows: number("rows")?,
            bytes: number("bytes")?,
        })
    }
}

/// One stage of a review: so many people of these groups, or of whoever may review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) groups: Vec<String>,
    /// Only the requester's manager; who that is, where a document says it.
    pub(crate) manager: Option<Manager>,
    pub(crate) quorum: u64,
}

/// The requester's manager, as a document names them, or as what is recorded of one tells that it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manager {
    Named(String),
    Unnamed,
}

impl Stage {
    /// Whether what is recorded of a stage tells of this one, as signed.
    fn is_told_as(&self, recorded: &Stage) -> bool {
        let manager = matches!(
            (&self.manager, &recorded.manager),
            (Some(Manager::Named(_)), Some(Manager::Unnamed)) | (None, None)
        );
        manager && self.groups == recorded.groups && self.quorum == recorded.quorum
    }
}

/// Who else may review a request, and after how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Escalation {
    pub(crate) after_s: u64,
    pub(crate) groups: Vec<String>,
}

impl Escalation {
    /// Reads it from a document, or from what is recorded of one.
    pub(crate) fn of(escalation: Raw<'_>) -> Option<Self> {
        let after_s = escalation
            .get("after_s")?
            .as_u64()
            .filter(|after_s| *after_s <= u64::from(u32::MAX))?;
        let groups = texts(escalation.get("groups")?)?;
        (!groups.is_empty()).then_some(Self { after_s, groups })
    }
}

fn texts(list: Raw<'_>) -> Option<Vec<String>> {
    list.items()?.map(|text| Some(text.as_str()?.into_owned())).collect()
}

/// The time in which a request may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    from_ms: u64,
    pub(crate) until_ms: u64,
}

impl Window {
    /// Reads it from a document, or from what is recorded of one.
    pub(crate) fn of(window: Raw<'_>) -> Option<Self> {
        let (from_ms, until_ms) = (window.get("from_ms")?.as_u64()?, window.get("until_ms")?.as_u64()?);
        (from_ms < until_ms).then_some(Self { from_ms, until_ms })
    }

    /// Whether it is in it at this time.
    pub(crate) fn holds(self, t: i64) -> bool {
        (self.from_ms..=self.until_ms).contains(&t.cast_unsigned())
    }
}

/// Who gave an approval, as far as their session shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Giver<'g> {
    pub(crate) issuer: &'g str,
    pub(crate) subject: &'g str,
    pub(crate) email: Option<Raw<'g>>,
    pub(crate) groups: Option<Raw<'g>>,
    /// Their verdict points to the entry by which the request was escalated.
    pub(crate) escalated: bool,
}

/// Whose request it is, as far as their session shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Managed<'m> {
    pub(crate) issuer: &'m str,
    /// How their identity provider names their manager.
    pub(crate) manager: Option<Raw<'m>>,
}

impl Giver<'_> {
    fn is_in(&self, groups: &[String]) -> bool {
        let is_one = |of: Raw<'_>| of.as_str().is_some_and(|of| groups.iter().any(|group| *group == of));
        self.groups.and_then(Raw::items).into_iter().flatten().any(is_one)
    }

    /// Whether this is how their identity provider names them in the claims of somebody of this issuer.
    fn is_named(&self, name: &str, issuer: &str) -> bool {
        let email = self.email.and_then(Raw::as_str);
        self.issuer == issuer && (self.subject == name || email.is_some_and(|email| email.eq_ignore_ascii_case(name)))
    }

    fn manages(&self, of: Managed<'_>, signed: &Manager) -> bool {
        let Some(manager) = of.manager.and_then(Raw::as_str) else {
            return false;
        };
        let signed = match signed {
            Manager::Named(name) => *name == manager,
            Manager::Unnamed => true,
        };
        signed && self.is_named(&manager, of.issuer)
    }
}

/// The stages of a document, or of what is recorded of one; they must add up to its quorum.
pub(crate) fn stages(stages: Raw<'_>, quorum: u64) -> Option<Vec<Stage>> {
    let stage = |stage: Raw<'_>| {
        let groups = match stage.get("groups") {
            Some(groups) => texts(groups)?,
            None => Vec::new(),
        };
        let manager = match stage.get("manager") {
            Some(manager) if manager.text() == "true" => Some(Manager::Unnamed),
            Some(manager) => Some(Manager::Named(manager.as_str()?.into_owned())),
            None => None,
        };
        let quorum = stage.get("quorum")?.as_u64().filter(|quorum| *quorum > 0)?;
        Some(Stage { groups, manager, quorum })
    };
    let stages: Vec<Stage> = stages.items()?.map(stage).collect::<Option<_>>()?;
    let sum = stages.iter().try_fold(0_u64, |sum, stage| sum.checked_add(stage.quorum));
    (!stages.is_empty() && sum == Some(quorum)).then_some(stages)
}

/// Whether approvals by these people, in log order, fill the stages of somebody's request one after the other. Who is not shown passes.
pub(crate) fn fills<'g>(
    stages: &[Stage],
    escalation: Option<&Escalation>,
    asker: Option<Managed<'_>>,
    givers: impl IntoIterator<Item = Option<Giver<'g>>>,
) -> bool {
    let turns = stages.iter().flat_map(|stage| (0..stage.quorum).map(move |_| stage));
    turns.zip(givers).all(|(stage, giver)| {
        let Some(giver) = giver else { return true };
        let in_group = stage.groups.is_empty() || giver.is_in(&stage.groups);
        let managed = stage.manager.as_ref().zip(asker);
        let own = in_group && managed.is_none_or(|(manager, asker)| giver.manages(asker, manager));
        own || (giver.escalated && escalation.is_some_and(|escalation| giver.is_in(&escalation.groups)))
    })
}

/// What makes two documents ask for the same: all that decides what is read and how it looks, apart from the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Of everything but the limit.
    rest: Hash,
    limit: Option<u64>,
}

impl Shape {
    pub(crate) fn of(document: Raw<'_>) -> Self {
        let query = document.get("query");
        let of_query =
            ["kind", "dataset", "columns", "filter", "order_by", "text", "params"].map(|name| query.and_then(|query| query.get(name)));
        let around = ["datasets", "connections", "columns", "filtered", "row_filters", "format"].map(|name| document.get(name));
        let mut bytes = Vec::new();
        for member in of_query.into_iter().chain(around) {
            // No canonical text is empty, so a member that is absent is like no other.
            let text = member.map_or("", Raw::text);
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Self {
            rest: sha256(&bytes),
            limit: query.and_then(|query| query.get("limit")).and_then(Raw::as_u64),
        }
    }

    /// Whether this asks for what `other` does, with a limit that is no larger.
    pub(crate) fn is_within(&self, other: &Shape) -> bool {
        let fewer = other.limit.is_none_or(|most| self.limit.is_some_and(|limit| limit <= most));
        self.rest == other.rest && fewer
    }
}

/// The standing grant that a document names: request id and digest of what was approved.
pub(crate) fn under(document: Raw<'_>) -> Option<(String, String)> {
    grant_named(document.get("under")?)
}

/// The same of the value of `under`.
fn grant_named(under: Raw<'_>) -> Option<(String, String)> {
    let text = |name| Some(under.get(name)?.as_str()?.into_owned());
    Some((text("request")?, text("digest")?))
}

/// (dataset, column, mask): what was planned for a column.
pub(crate) type PlannedMask<'a> = (Cow<'a, str>, Cow<'a, str>, Cow<'a, str>);

impl SignedRequest {
    /// Checks a `request.create` whose `what` is opened, and every other group that is, against the signature of its requester.
    pub(crate) fn of(entry: &Disclosed<'_>, requester: &Holder) -> Result<Self, Misfit> {
        let id = entry.text(Group::What, "id").ok_or("a request has no id")?.into_owned();
        let digest = entry.text(Group::What, "digest").ok_or("a request has no digest")?.into_owned();
        let payload = payload(entry, requester, REQUEST_PAYLOAD_TYPE).map_err(|()| "the requester's signature does not verify")?;
        if from_hex_32(&digest) != Ok(sha256(payload.as_bytes())) {
            return Err("a request's digest is not that of the signed document");
        }
        let document = Raw::parse(&payload).map_err(|_| "a signed request is not canonical JSON")?;
        let document = Members::of(document);
        if document.get("v").and_then(Raw::as_u64) != Some(1) {
            return Err("a signed request is of an unknown version");
        }
        let named = document.get("requester");
        let fits = |name: &str, expected: &str| named.and_then(|named| named.get(name)?.as_str()).as_deref() == Some(expected);
        if !fits("issuer", &requester.issuer) || !fits("subject", &requester.subject) || !fits("key", &requester.key) {
            return Err("a request was signed for another person or key than its session's");
        }
        let quorum = document
            .get("quorum")
            .and_then(Raw::as_u64)
            .ok_or("a signed request names no quorum")?;
        if entry.shows(Group::Out) && entry.number(Group::Out, "quorum") != Some(quorum) {
            return Err("the quorum on record is not the one in the signed request");
        }
        let emergency = document.get("break_glass");
        if emergency.is_some_and(|value| value.text() != "true") {
            return Err("a signed request says something else of an emergency than that it is one");
        }
        if entry.shows(Group::Out) && entry.member(Group::Out, "break_glass") != emergency {
            return Err("whether it is an emergency is on record otherwise than in the signed request");
        }
        let staged = document.get("stages");
        let signed = staged.and_then(|staged| stages(staged, quorum));
        let named = |stage: &Stage| stage.manager != Some(Manager::Unnamed);
        if staged.is_some() && !signed.as_ref().is_some_and(|signed| signed.iter().all(named)) {
            return Err("the stages of a signed request do not add up to its quorum");
        }
        let recorded = entry.member(Group::Out, "stages").map(|recorded| stages(recorded, quorum));
        let told = match (&signed, &recorded) {
            (None, None) => true,
            (Some(signed), Some(Some(recorded))) => {
                signed.len() == recorded.len() && signed.iter().zip(recorded).all(|(signed, told)| signed.is_told_as(told))
            }
            _ => false,
        };
        if entry.shows(Group::Out) && !told {
            return Err("the stages on record are not those in the signed request");
        }
        let escalation = document.get("escalation");
        if escalation.is_some_and(|told| Escalation::of(told).is_none()) {
            return Err("a signed request does not say to whom it is escalated, and when");
        }
        if entry.shows(Group::Out) && entry.member(Group::Out, "escalation") != escalation {
            return Err("to whom it is escalated is on record otherwise than in the signed request");
        }
        let window = document.get("window");
        if window.is_some_and(|window| Window::of(window).is_none()) {
            return Err("a signed request does not say when it may be fetched");
        }
        if entry.shows(Group::Out) && entry.member(Group::Out, "window") != window {
            return Err("when it may be fetched is on record otherwise than in the signed request");
        }
        let terms = document.get("standing");
        if terms.is_some_and(|terms| StandingTerms::of(terms).is_none()) {
            return Err("a signed request does not say on what terms it asks for a standing grant");
        }
        if entry.shows(Group::Out) && entry.member(Group::Out, "standing") != terms {
            return Err("the standing grant on record is not the one in the signed request");
        }
        let under = document.get("under");
        let used = under.and_then(grant_named).map(|(request, _)| request);
        if under.is_some() != used.is_some() {
            return Err("a signed request does not say which standing grant it is a use of");
        }
        if entry.shows(Group::Out) && entry.text(Group::Out, "under").as_deref() != used.as_deref() {
            return Err("the standing grant that is used is on record otherwise than in the signed request");
        }
        if used.is_some() && (terms.is_some() || emergency.is_some() || window.is_some()) {
            return Err("a use of a standing grant is neither an emergency nor another standing grant, and at once");
        }
        let differs = |group, name: &&str| entry.shows(group) && entry.member(group, name) != document.get(name);
        if ["columns", "connections", "datasets"].iter().any(|name| differs(Group::Obj, name)) {
            return Err("datasets or columns on record are not those of the signed request");
        }
        if ["reason", "ticket"].iter().any(|name| differs(Group::Why, name)) {
            return Err("the reason on record is not the one in the signed request");
        }
        Ok(Self {
            id,
            digest,
            quorum,
            break_glass: emergency.is_some(),
            document: payload,
        })
    }

    /// Whose approvals it needs, in order; empty where that does not matter.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        let staged = Raw::known(&self.document).get("stages");
        staged.and_then(|staged| stages(staged, self.quorum)).unwrap_or_default()
    }

    /// Who else may review it, and after how long.
    pub(crate) fn escalation(&self) -> Option<Escalation> {
        Raw::known(&self.document).get("escalation").and_then(Escalation::of)
    }

    /// When it may be fetched, where not at once.
    pub(crate) fn window(&self) -> Option<Window> {
        Raw::known(&self.document).get("window").and_then(Window::of)
    }

    /// What was approved for each column.
    pub(crate) fn masks(&self) -> Option<Vec<PlannedMask<'_>>> {
        masks(Raw::known(&self.document), "name")
    }
}

/// The masks that an object lists as its `columns`, sorted, each once; `name` is the member that names the column.
pub(crate) fn masks<'a>(object: Raw<'a>, name: &str) -> Option<Vec<PlannedMask<'a>>> {
    let mut masks = Vec::new();
    each_mask(object, name, |mask| masks.push(mask))?;
    Some(sorted(masks))
}

/// Masks in order, each once.
pub(crate) fn sorted(mut masks: Vec<PlannedMask<'_>>) -> Vec<PlannedMask<'_>> {
    masks.sort_unstable();
    masks.dedup();
    masks
}

/// Passes on the masks that an object lists as its `columns`, in their order. What was passed on counts only if there is an answer.
pub(crate) fn each_mask<'a>(object: Raw<'a>, name: &str, mut sink: impl FnMut(PlannedMask<'a>)) -> Option<()> {
    let mut listed = false;
    let mut scanner = Scanner::new(object.text());
    let read = scanner.object::<EncodeError>(DEPTH_MAX, |scanner, key| {
        match key {
            "columns" => {
                listed = true;
                masks_listed(scanner, name, &mut sink)?;
            }
            _ => drop(scanner.value(DEPTH_MAX)?),
        }
        Ok(())
    });
    (read.is_ok() && listed).then_some(())
}

fn masks_listed<'a>(scanner: &mut Scanner<'a>, name: &str, sink: &mut impl FnMut(PlannedMask<'a>)) -> Result<(), EncodeError> {
    scanner.list::<EncodeError>(DEPTH_MAX, |scanner| {
        let (mut dataset, mut of, mut mask) = (None, None, None);
        scanner.object::<EncodeError>(DEPTH_MAX, |scanner, key| {
            match key {
                "dataset" => dataset = Some(unescape(scanner.string()?)),
                "mask" => mask = Some(unescape(scanner.string()?)),
                key if key == name => of = Some(unescape(scanner.string()?)),
                _ => drop(scanner.value(DEPTH_MAX)?),
            }
            Ok(())
        })?;
        // Something that is not canonical cannot stand here; something that is missing is as bad.
        sink((
            dataset.ok_or(EncodeError::NotJson)?,
            of.ok_or(EncodeError::NotJson)?,
            mask.ok_or(EncodeError::NotJson)?,
        ));
        Ok(())
    })
}

/// Whether all of these masks are among those; both sorted.
pub(crate) fn is_subset(these: &[PlannedMask<'_>], those: &[PlannedMask<'_>]) -> bool {
    these.iter().all(|mask| those.binary_search(mask).is_ok())
}

/// Checks a `review.*` or `breakglass.review` entry whose `what` is opened, and every other group that is, against the signature of its reviewer and
/// the id and digest of the request it is about. Gives the reviewer's justification.
pub(crate) fn check_review(entry: &Disclosed<'_>, reviewer: &Holder, id: &str, digest: &str) -> Result<String, Misfit> {
    if !entry.says(Group::What, "id", id) || !entry.says(Group::What, "digest", digest) {
        return Err("a verdict is about another request than it points to");
    }
    let payload = payload(entry, reviewer, REVIEW_PAYLOAD_TYPE).map_err(|()| "the reviewer's signature does not verify")?;
    check_ssh(entry, &payload)?;
    let document = Raw::parse(&payload).map_err(|_| "a signed verdict is not canonical JSON")?;
    let document = Members::of(document);
    let says = |name: &str, text: &str| document.get(name).and_then(Raw::as_str).as_deref() == Some(text);
    let approves = match entry.kind {
        Kind::BreakglassReview => entry.dec == Some(Decision::Allow),
        kind => kind == Kind::ReviewApprove,
    };
    let verdict = if approves { "approve" } else { "reject" };
    if document.get("v").and_then(Raw::as_u64) != Some(1) || !says("verdict", verdict) {
        return Err("the signed verdict is another than the one on record");
    }
    if !says("request", id) || !says("digest", digest) {
        return Err("the signed verdict is about another request");
    }
    if !says("issuer", &reviewer.issuer) || !says("subject", &reviewer.subject) || !says("key", &reviewer.key) {
        return Err("a verdict was signed for another person or key than its session's");
    }
    if entry.shows(Group::Who)
        && ["issuer", "subject", "key"]
            .iter()
            .any(|name| entry.member(Group::Who, name) != document.get(name))
    {
        return Err("the reviewer on record is not the one in the signed verdict");
    }
    let reason = document
        .get("reason")
        .and_then(Raw::as_str)
        .filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or("a verdict has no reason")?;
    if entry.shows(Group::Why) && !entry.says(Group::Why, "reason", &reason) {
        return Err("the reviewer's reason on record is not the signed one");
    }
    Ok(reason.into_owned())
}

/// The members of an object that is asked for most of them: looking for each anew would walk over it each time.
struct Members<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Members<'a> {
    fn of(object: Raw<'a>) -> Self {
        Self(object.members().collect())
    }

    fn get(&self, name: &str) -> Option<Raw<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

fn payload(entry: &Disclosed<'_>, signer: &Holder, payload_type: &str) -> Result<String, ()> {
    let envelope = entry.member(Group::What, "envelope").ok_or(())?;
    let envelope = Sealed::read(envelope).ok_or(())?;
    // That the thumbprint is the key's was found when the holder was read.
    let payload = envelope.verify(&signer.public_key, &signer.key, payload_type);
    String::from_utf8(payload.map_err(|_| ())?).map_err(|_| ())
}
