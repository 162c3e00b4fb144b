//! The rules of approval, as pure functions from a state and a command to the entries that follow, or a refusal.
//!
//! They run inside the log's writer, one after another, so each sees the effect of the one before.

use chunk_wire::fetch::{RequestDocument, RequestState};
use chunk_wire::id::{ActorId, RequestId, SessionId};
use chunk_wire::problem::Code;
use chunk_wire::session::Person;

use super::progress::counts_in;
use super::{Progress, approves, not_found, ssh, standing};
use crate::authorize::in_force;
use crate::error::Error;
use crate::evidence::entries::{BreakglassOpen, Event, RequestCreate, ReviewEntry};
use crate::identity::keys;
use crate::identity::workload::{TRIGGERED_BY_EMAIL, people_only};
use crate::limits::PENDING_PER_PERSON_MAX;
use crate::state::{Request, Session, State};

/// A request to be created. Index of the policy and expiry are filled in here.
pub(crate) struct Create {
    pub(crate) create: RequestCreate,
    pub(crate) pending_ms: i64,
}

/// A verdict to be recorded. Index of the policy is filled in here.
pub(crate) struct Judge {
    pub(crate) entry: ReviewEntry,
    /// Digest of the policies that let the reviewer review.
    pub(crate) policies: String,
    /// The reviewer's address.
    pub(crate) email: Option<String>,
    /// A dataset of the request asks for an SSH key's signature as well.
    pub(crate) ssh_demanded: bool,
}

/// Who does it, under which session.
#[derive(Clone)]
pub(crate) struct By {
    pub(crate) actor: ActorId,
    pub(crate) session: SessionId,
}

/// Creates a request; with no quorum its grant comes with it.
pub(crate) fn create(state: &State, order: Create, now_ms: i64) -> Result<Vec<Event>, Error> {
    let mut create = order.create;
    session_open(state, &create.session, now_ms)?;
    let Some((policy, digest)) = &state.policy else {
        return Err(Error::new(Code::Internal, "No policies are in force."));
    };
    if *digest != create.document.policy {
        return Err(
            Error::new(Code::DocumentMismatch, "The policies changed while the request was on its way.").hint("run the same command again"),
        );
    }
    if now_ms >= create.document.not_after_ms {
        return Err(Error::new(Code::DocumentMismatch, "The plan is too old to be submitted.").hint("run the same command again"));
    }
    if state.documents.contains(&create.digest) {
        return Err(Error::new(Code::WrongState, "This very document was submitted before.").hint("run `chunkctl requests --mine`"));
    }
    if state
        .people
        .get(&create.actor)
        .is_some_and(|theirs| theirs.pending >= PENDING_PER_PERSON_MAX)
    {
        return Err(Error::new(
            Code::RateLimited,
            format!("You have {PENDING_PER_PERSON_MAX} requests waiting already."),
        )
        .hint("run `chunkctl requests --mine` and cancel some"));
    }
    create.policy = *policy;
    if let Some(under) = &create.document.under {
        let grant = standing::usable(state, &under.request, &create.actor, now_ms)?;
        standing::fits(grant, &create.document)?;
        return Ok(use_standing(state, grant, create, now_ms));
    }
    if create.document.window.is_some_and(|window| now_ms >= window.until_ms) {
        return Err(Error::new(Code::InvalidRequest, "The window of time is over.").hint("choose a later `--not-before`"));
    }
    let quorum = create.document.quorum;
    create.expires_ms = match (quorum, create.document.window) {
        (0, _) => grant_ends(&create.document, now_ms),
        // Nobody needs to decide what cannot be fetched any more.
        (_, Some(window)) => (now_ms + order.pending_ms).min(window.until_ms),
        (_, None) => now_ms + order.pending_ms,
    };
    let grant = Event::GrantIssue {
        id: create.id.clone(),
        digest: create.digest.clone(),
        actor: create.actor.clone(),
        refs: vec![state.size],
        expires_ms: create.expires_ms,
        standing: false,
    };
    let emergency = create.document.break_glass.then(|| BreakglassOpen::of(&create, state.size));
    let mut events = vec![Event::RequestCreate(create)];
    events.extend(emergency.map(Event::BreakglassOpen));
    if quorum == 0 {
        events.push(grant);
    }
    Ok(events)
}

/// A use of a standing grant: the request, what it takes, and a grant for one delivery that does not outlast the other.
fn use_standing(state: &State, grant: &Request, mut create: RequestCreate, now_ms: i64) -> Vec<Event> {
    create.expires_ms = grant_ends(&create.document, now_ms).min(grant.expires_ms);
    let (request, take) = (state.size, state.size + 1);
    let take_it = Event::GrantTake {
        id: grant.id.clone(),
        used_for: Some(create.id.clone()),
        actor: create.actor.clone(),
        session: create.session.clone(),
        refs: grant.grant.into_iter().chain([create.open, request]).collect(),
    };
    let for_one = Event::GrantIssue {
        id: create.id.clone(),
        digest: create.digest.clone(),
        actor: create.actor.clone(),
        refs: vec![request, take],
        expires_ms: create.expires_ms,
        standing: false,
    };
    vec![Event::RequestCreate(create), take_it, for_one]
}

/// Records a verdict; the approval that completes the quorum brings the grant. One on an emergency comes afterwards and gives
/// nothing; a rejection takes what is left of the grant.
pub(crate) fn review(state: &State, order: Judge, now_ms: i64) -> Result<Vec<Event>, Error> {
    let Judge {
        mut entry,
        policies,
        email,
        ssh_demanded,
    } = order;
    entry.policy = in_force(state, &policies)?;
    session_open(state, &entry.session, now_ms)?;
    let reviewer = state.sessions.get(&entry.session).map(|session| &session.open.person);
    people_only(reviewer.and_then(|person| person.workload.as_ref()))?;
    match &mut entry.ssh {
        Some(ssh) => ssh.enrolled = keys::usable(state, &ssh.key, &entry.actor)?,
        None if ssh_demanded => return Err(ssh::missing()),
        None => {}
    }
    let request = state.requests.get(&entry.id).ok_or_else(|| not_found(&entry.id))?;
    let refuse = |why: &str| Err(Error::new(Code::ReviewRefused, why));
    if !entry.afterwards && (request.state != RequestState::Pending || now_ms >= request.expires_ms) {
        return Err(wrong_state(request, "be reviewed"));
    }
    if request.digest != entry.digest {
        return Err(Error::new(
            Code::DocumentMismatch,
            "The verdict is over another document than the request's.",
        ));
    }
    let requester = &request.requester.person;
    let same_person = request.actor == entry.actor || (requester.issuer == entry.issuer && requester.subject == entry.subject);
    if same_person {
        return refuse("A requester never reviews their own request; somebody else has to.");
    }
    // One person with two accounts is one person.
    let same_email = |person: &Person| matches!((&email, &person.email), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b));
    if same_email(requester) {
        return refuse("The reviewer's account has the requester's e-mail address; somebody else has to review.");
    }
    // Whoever started the job asked for what it asks for.
    let started_by = requester
        .workload
        .as_ref()
        .and_then(|workload| workload.claims.get(TRIGGERED_BY_EMAIL));
    if matches!((&email, started_by), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b)) {
        return refuse("The reviewer started the job that asks; somebody else has to review.");
    }
    let seen_before = request
        .reviews
        .iter()
        .any(|r| r.actor == entry.actor || same_email(&r.reviewer.person));
    if seen_before {
        return refuse("You have reviewed this request already; a quorum counts distinct people.");
    }
    if entry.afterwards {
        return Ok(judge_afterwards(request, entry));
    }
    let progress = Progress::of(state, request);
    if let (true, Some(stage), Some(person)) = (approves(entry.verdict), progress.turn(), reviewer)
        && !stage.takes(person, &requester.issuer)
    {
        entry.escalated = request.escalated.filter(|_| request.escalates_to(person)).map(|(index, _)| index);
    }
    if let (true, Some(stage)) = (approves(entry.verdict), progress.turn())
        && !reviewer.is_some_and(|person| counts_in(stage, request, person, entry.escalated.is_some()))
    {
        return refuse(&format!("The next approval of this request is for {} to give.", stage.whose()));
    }
    let mut approvals: Vec<u64> = progress.counted().iter().map(|review| review.index).collect();
    approvals.push(state.size);
    let enough = usize::try_from(request.quorum).is_ok_and(|quorum| approvals.len() >= quorum);
    let granted = approves(entry.verdict) && enough;
    let mut events = vec![Event::Review(entry)];
    if granted {
        let mut refs = vec![request.index];
        refs.append(&mut approvals);
        events.push(Event::GrantIssue {
            id: request.id.clone(),
            digest: request.digest.clone(),
            actor: request.actor.clone(),
            refs,
            expires_ms: request.document.as_ref().map_or(now_ms, |document| grant_ends(document, now_ms)),
            standing: request.standing.is_some(),
        });
    }
    Ok(events)
}

/// The verdict on an emergency. What has left has left; what has not does not leave after a "no".
fn judge_afterwards(request: &Request, entry: ReviewEntry) -> Vec<Event> {
    let live = matches!(request.state, RequestState::Approved | RequestState::Running | RequestState::Paused);
    let by = By {
        actor: entry.actor.clone(),
        session: entry.session.clone(),
    };
    let withdrawn = if live && !approves(entry.verdict) {
        end_grant(request, true, Some(&by), &entry.reason)
    } else {
        Vec::new()
    };
    std::iter::once(Event::Review(entry)).chain(withdrawn).collect()
}

/// Withdraws a request by its requester.
pub(crate) fn cancel(state: &State, id: &RequestId, by: &By, reason: &str, now_ms: i64) -> Result<Vec<Event>, Error> {
    session_open(state, &by.session, now_ms)?;
    let request = state
        .requests
        .get(id)
        .filter(|r| r.actor == by.actor)
        .ok_or_else(|| not_found(id))?;
    match request.state {
        RequestState::Pending => Ok(vec![Event::RequestEnd {
            id: id.clone(),
            request: request.index,
            cancelled: true,
            actor: Some(by.actor.clone()),
            session: Some(by.session.clone()),
            reason: reason.to_owned(),
        }]),
        RequestState::Approved | RequestState::Paused => Ok(end_grant(request, true, Some(by), reason)),
        _ => Err(wrong_state(request, "be cancelled")),
    }
}

/// Withdraws a grant.
pub(crate) fn revoke(state: &State, id: &RequestId, by: &By, reason: &str, now_ms: i64) -> Result<Vec<Event>, Error> {
    session_open(state, &by.session, now_ms)?;
    let request = state.requests.get(id).ok_or_else(|| not_found(id))?;
    match request.state {
        RequestState::Approved | RequestState::Running | RequestState::Paused => Ok(end_grant(request, true, Some(by), reason)),
        _ => Err(wrong_state(request, "be revoked")),
    }
}

/// Records the client's acknowledgement of a complete delivery, the newest of these bytes, once.
pub(crate) fn acknowledge(state: &State, id: &RequestId, by: &By, sha256: &str, now_ms: i64) -> Result<Vec<Event>, Error> {
    session_open(state, &by.session, now_ms)?;
    let request = state
        .requests
        .get(id)
        .filter(|r| r.actor == by.actor)
        .ok_or_else(|| not_found(id))?;
    let mut done = request.deliveries.iter().rev().filter_map(|d| {
        let (index, outcome) = d.outcome.as_ref()?;
        outcome.sha256.as_ref().map(|digest| (d, *index, digest))
    });
    if done.clone().next().is_none() {
        return Err(wrong_state(request, "be acknowledged"));
    }
    let Some((delivery, outcome, _)) = done.find(|(_, _, digest)| *digest == sha256) else {
        return Err(Error::new(
            Code::DocumentMismatch,
            "The acknowledged bytes are not the bytes that were delivered.",
        ));
    };
    if delivery.ack.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Ack {
        id: id.clone(),
        outcome,
        actor: by.actor.clone(),
        session: by.session.clone(),
        sha256: sha256.to_owned(),
    }])
}

/// Whether [`expire`] would do anything.
pub(crate) fn any_expired(state: &State, now_ms: i64) -> bool {
    expired(state, now_ms).next().is_some() || escalated(state, now_ms).next().is_some() || ended_sessions(state, now_ms).next().is_some()
}

/// Ends what has run out: pending requests, unused grants, sessions. What still waits after its time goes to others too.
pub(crate) fn expire(state: &State, now_ms: i64) -> Vec<Event> {
    let mut events = Vec::new();
    for request in expired(state, now_ms) {
        if request.state == RequestState::Pending {
            events.push(Event::RequestEnd {
                id: request.id.clone(),
                request: request.index,
                cancelled: false,
                actor: None,
                session: None,
                reason: "nobody answered in time".to_owned(),
            });
        } else {
            let why = match request.standing {
                Some(_) => "the standing grant's time is over",
                None => "the grant was not used up in time",
            };
            events.append(&mut end_grant(request, false, None, why));
        }
    }
    events.extend(escalated(state, now_ms).map(|request| Event::RequestEscalate {
        id: request.id.clone(),
        request: request.index,
    }));
    for session in ended_sessions(state, now_ms) {
        events.push(Event::SessionClose {
            session: session.open.session.clone(),
            actor: session.open.actor.clone(),
            open: session.index,
            cause: "expired".to_owned(),
        });
    }
    events
}

/// Refuses when the session has ended between the check at the door and this commit.
pub(crate) fn session_open(state: &State, session: &SessionId, now_ms: i64) -> Result<(), Error> {
    match state.open_session(session, now_ms) {
        Some(_) => Ok(()),
        None => Err(Error::new(Code::SessionEnded, "The session has ended or was revoked.").hint("run `chunkctl login`")),
    }
}

/// The answer when a request has gone too far, or not far enough.
pub(crate) fn wrong_state(request: &Request, what: &str) -> Error {
    let hint = format!("run `chunkctl request show {}`", request.id);
    Error::new(
        Code::WrongState,
        format!("Request `{}` is {} and cannot {what}.", request.id, request.state.as_str()),
    )
    .hint(hint)
}

/// Until when a grant under this document that is given now can be used.
fn grant_ends(document: &RequestDocument, now_ms: i64) -> i64 {
    match document.window {
        Some(window) => window.until_ms,
        None => now_ms + i64::from(document.grant_s) * 1000,
    }
}

fn expired(state: &State, now_ms: i64) -> impl Iterator<Item = &Request> {
    state
        .waiting
        .iter()
        .take_while(move |(end_ms, _)| *end_ms <= now_ms)
        .filter_map(|(_, id)| state.requests.get(id))
        .map(AsRef::as_ref)
        .filter(|r| matches!(r.state, RequestState::Pending | RequestState::Approved | RequestState::Paused))
}

/// What has waited so long that others may review it, and has not run out with that.
fn escalated(state: &State, now_ms: i64) -> impl Iterator<Item = &Request> {
    state
        .escalating
        .iter()
        .take_while(move |(due_ms, _)| *due_ms <= now_ms)
        .filter_map(|(_, id)| state.requests.get(id))
        .map(AsRef::as_ref)
        .filter(move |r| r.state == RequestState::Pending && now_ms < r.expires_ms)
}

fn ended_sessions(state: &State, now_ms: i64) -> impl Iterator<Item = &Session> {
    state
        .sessions_open
        .iter()
        .take_while(move |(end_ms, _)| *end_ms <= now_ms)
        .filter_map(|(_, id)| state.sessions.get(id))
        .map(AsRef::as_ref)
}

fn end_grant(request: &Request, revoked: bool, by: Option<&By>, reason: &str) -> Vec<Event> {
    request
        .grant
        .map(|grant| Event::GrantEnd {
            id: request.id.clone(),
            grant,
            revoked,
            actor: by.map(|b| b.actor.clone()),
            session: by.map(|b| b.session.clone()),
            reason: reason.to_owned(),
        })
        .into_iter()
        .collect()
}
