//! From an entry to what people are told of it, read along its references: the request it is about, who asked, who decided.
//!
//! Nothing is made of an entry whose body is gone, or whose request's is: what was erased is not told.

use std::sync::Arc;

use chunk_evidence::leaf::Kind;
use chunk_evidence::views::short;
use chunk_wire::fetch::{Params, Query, RequestState};
use chunk_wire::id::SessionId;
use chunk_wire::review::Verdict;
use chunk_wire::session::Person;
use chunk_wire::stages::{Escalation, Stage};

use super::{Decision, Detail, Details, Notice, NotifySettings, Occasion, Who, notice_id, people};
use crate::approval::Progress;
use crate::broker::Broker;
use crate::error::Error;
use crate::evidence::entries::{Event, KeyEnroll, RequestCreate, ReviewEntry, SessionOpen};

/// The notification of an entry; nothing where it is none of this notifier's.
///
/// # Errors
/// When the log cannot be read.
pub(super) async fn notice(broker: &Broker, settings: &NotifySettings, index: u64) -> Result<Option<Notice>, Error> {
    let entry = broker.log.read_one(index).await?;
    let time_ms = entry.leaf.header.t;
    let made = match entry.event() {
        Some(Event::SessionOpen(open)) => of_session(broker, settings, index, &open).await,
        Some(Event::KeyEnroll(enroll)) => of_key(broker, settings, &enroll).await?,
        Some(event) => match happened(broker, index, event).await? {
            Some(happened) => of_request(broker, settings, happened).await?,
            None => None,
        },
        None => None,
    };
    let identified = made.map(|notice| Notice {
        id: notice_id(&broker.settings.origin, index),
        index,
        time_ms,
        ..notice
    });
    Ok(identified.filter(|notice| settings.occasions.contains(&notice.occasion)))
}

/// What an entry says of a request.
struct Happened {
    occasion: Occasion,
    /// Index of `request.create`.
    request: u64,
    decision: Option<Decision>,
    /// The stage that it waits for from here on.
    stage: Option<Stage>,
    /// Those who may review it too from here on.
    escalation: Option<Arc<Escalation>>,
    expires_ms: Option<i64>,
    /// Indices of the verdicts that brought it.
    reviews: Vec<u64>,
    /// The session under which it was done.
    by: Option<SessionId>,
    words: Option<String>,
}

impl Happened {
    fn of(occasion: Occasion, request: u64) -> Self {
        Self {
            occasion,
            request,
            decision: None,
            stage: None,
            escalation: None,
            expires_ms: None,
            reviews: Vec::new(),
            by: None,
            words: None,
        }
    }
}

async fn happened(broker: &Broker, index: u64, event: Event) -> Result<Option<Happened>, Error> {
    Ok(match event {
        Event::RequestCreate(create) if create.state == RequestState::Pending.as_str() => Some(Happened {
            stage: create.document.stages.first().cloned(),
            ..Happened::of(Occasion::RequestPending, index)
        }),
        Event::Review(review) if review.verdict == Verdict::Approve && !review.afterwards => next_stage(broker, index, &review),
        Event::RequestEscalate { id, request } => {
            let published = broker.log.published();
            published.state.requests.get(&id).map(|waiting| Happened {
                stage: Progress::before(waiting, index).turn().cloned(),
                escalation: waiting.escalation.clone(),
                ..Happened::of(Occasion::RequestEscalated, request)
            })
        }
        Event::BreakglassOpen(open) => Some(Happened::of(Occasion::RequestBreakGlass, open.request)),
        // A grant that rests on nothing but its request was given by policy alone, and one that rests on the use of a standing
        // grant by that: nobody decided.
        Event::GrantIssue { refs, expires_ms, .. } => {
            if let Some(first) = refs.get(1)
                && broker.log.read_one(*first).await?.leaf.header.kind == Kind::GrantTake
            {
                return Ok(None);
            }
            refs.split_first()
                .filter(|(_, reviews)| !reviews.is_empty())
                .map(|(request, reviews)| Happened {
                    decision: Some(Decision::Approved),
                    expires_ms: Some(expires_ms),
                    reviews: reviews.to_vec(),
                    ..Happened::of(Occasion::RequestDecided, *request)
                })
        }
        Event::Review(review) if review.verdict == Verdict::Reject && !review.afterwards => Some(Happened {
            decision: Some(Decision::Rejected),
            reviews: vec![index],
            ..Happened::of(Occasion::RequestDecided, review.request)
        }),
        Event::RequestEnd {
            request, cancelled: false, ..
        } => Some(Happened::of(Occasion::RequestExpired, request)),
        Event::RequestEnd {
            request, session, reason, ..
        } => Some(Happened {
            by: session,
            words: Some(reason),
            ..Happened::of(Occasion::RequestCancelled, request)
        }),
        Event::GrantEnd {
            grant,
            revoked,
            session,
            reason,
            ..
        } => {
            let Some(Event::GrantIssue { refs, .. }) = broker.log.read_one(grant).await?.event() else {
                return Ok(None);
            };
            let occasion = if revoked { Occasion::GrantRevoked } else { Occasion::GrantExpired };
            refs.first().map(|request| Happened {
                by: session,
                words: revoked.then_some(reason),
                ..Happened::of(occasion, *request)
            })
        }
        _ => None,
    })
}

/// An approval that completes a stage, but not the review: it is the next one's turn.
fn next_stage(broker: &Broker, index: u64, review: &ReviewEntry) -> Option<Happened> {
    let published = broker.log.published();
    let request = published.state.requests.get(&review.id)?;
    let turn = |before| Progress::before(request, before).turn();
    let (was, is) = (turn(index)?, turn(index + 1)?);
    (was != is).then(|| Happened {
        stage: Some(is.clone()),
        ..Happened::of(Occasion::RequestPending, review.request)
    })
}

async fn of_request(broker: &Broker, settings: &NotifySettings, happened: Happened) -> Result<Option<Notice>, Error> {
    let Some(Event::RequestCreate(create)) = broker.log.read_one(happened.request).await?.event() else {
        return Ok(None);
    };
    let datasets = create.document.datasets.clone();
    if !settings.datasets.is_empty() && !datasets.iter().any(|dataset| settings.datasets.contains(dataset)) {
        return Ok(None);
    }
    let requester = opened(broker, create.open).await?.map(|open| open.person);
    let to = match &settings.audience {
        Some(audience) => {
            let turn = people::Turn {
                request: &create,
                stage: happened.stage.as_ref(),
                escalation: happened.escalation.as_deref(),
            };
            people::addresses(broker, audience, Some(turn), requester.as_ref()).await
        }
        None => Vec::new(),
    };
    let waits = matches!(happened.occasion, Occasion::RequestPending | Occasion::RequestEscalated);
    let details = match settings.detail {
        Detail::Minimal => None,
        Detail::Full => Some(details(broker, &create, requester.as_ref(), &happened).await?),
    };
    Ok(Some(Notice {
        request: Some(create.id.clone()),
        datasets,
        quorum: waits.then_some(create.document.quorum),
        stage: happened.stage,
        escalated_to: happened.escalation.map(|to| to.groups.clone()).unwrap_or_default(),
        decision: happened.decision,
        // By the time that this is told, the request may have a grant, with an end of its own.
        expires_ms: if waits { Some(create.expires_ms) } else { happened.expires_ms },
        details,
        to,
        ..blank(happened.occasion)
    }))
}

async fn details(broker: &Broker, create: &RequestCreate, requester: Option<&Person>, happened: &Happened) -> Result<Details, Error> {
    let mut by = Vec::new();
    let mut words = happened.words.clone();
    for entry in broker.log.read_at(happened.reviews.clone()).await? {
        let Some(Event::Review(review)) = entry.event() else { continue };
        by.extend(opened(broker, review.open).await?.map(|open| who(&open.person)));
        words = Some(review.reason);
    }
    if let Some(session) = &happened.by {
        let sessions = &broker.log.published().state.sessions;
        by.extend(sessions.get(session).map(|session| who(&session.open.person)));
    }
    let said = |text: &str| Some(short(text, WORDS_MAX)).filter(|text| !text.trim().is_empty());
    Ok(Details {
        person: requester.map(who),
        reason: said(&create.document.reason),
        ticket: create.document.ticket.as_deref().map(|ticket| short(ticket, NAME_MAX)),
        query: Some(short(&query(&create.document.query), QUERY_MAX)),
        rows_estimated: create.rows_estimated,
        by,
        words: words.as_deref().and_then(said),
        host: None,
        ip: None,
        ssh_key: None,
    })
}

/// A sign-in, where it was with a key that this person had not used before.
async fn of_session(broker: &Broker, settings: &NotifySettings, index: u64, open: &SessionOpen) -> Option<Notice> {
    let published = broker.log.published();
    let theirs = published
        .state
        .people
        .get(&open.actor)
        .into_iter()
        .flat_map(|theirs| &theirs.sessions);
    let mut earlier = theirs.take_while(|earlier| **earlier < index);
    if earlier.any(|earlier| {
        published
            .state
            .session_at(*earlier)
            .is_some_and(|session| session.open.key == open.key)
    }) {
        return None;
    }
    let to = match &settings.audience {
        Some(audience) => people::addresses(broker, audience, None, Some(&open.person)).await,
        None => Vec::new(),
    };
    let details = Details {
        person: Some(who(&open.person)),
        host: Some(short(&open.client.host, NAME_MAX)),
        ip: Some(short(&open.ip, NAME_MAX)),
        ..Details::default()
    };
    Some(Notice {
        details: (settings.detail == Detail::Full).then_some(details),
        to,
        ..blank(Occasion::SessionOpenedNewKey)
    })
}

/// A key that somebody enrolled.
async fn of_key(broker: &Broker, settings: &NotifySettings, enroll: &KeyEnroll) -> Result<Option<Notice>, Error> {
    let Some(open) = opened(broker, enroll.open).await? else {
        return Ok(None);
    };
    let to = match &settings.audience {
        Some(audience) => people::addresses(broker, audience, None, Some(&open.person)).await,
        None => Vec::new(),
    };
    let details = Details {
        person: Some(who(&open.person)),
        host: Some(short(&enroll.host, NAME_MAX)),
        ip: Some(short(&enroll.ip, NAME_MAX)),
        ssh_key: Some(short(&enroll.key, NAME_MAX)),
        ..Details::default()
    };
    Ok(Some(Notice {
        details: (settings.detail == Detail::Full).then_some(details),
        to,
        ..blank(Occasion::KeyEnrolled)
    }))
}

fn blank(occasion: Occasion) -> Notice {
    Notice {
        id: String::new(),
        occasion,
        index: 0,
        time_ms: 0,
        request: None,
        datasets: Vec::new(),
        quorum: None,
        stage: None,
        escalated_to: Vec::new(),
        decision: None,
        expires_ms: None,
        details: None,
        to: Vec::new(),
    }
}

/// The `session.open` of this index.
async fn opened(broker: &Broker, index: u64) -> Result<Option<SessionOpen>, Error> {
    Ok(match broker.log.read_one(index).await?.event() {
        Some(Event::SessionOpen(open)) => Some(open),
        _ => None,
    })
}

fn who(person: &Person) -> Who {
    Who {
        name: short(&person.name, NAME_MAX),
        email: person.email.as_deref().map(|email| short(email, NAME_MAX)),
    }
}

/// The values of parameters.
fn given(params: &Params) -> String {
    let given: Vec<String> = params.iter().map(|(name, value)| format!("${name} = {value}")).collect();
    if given.is_empty() {
        return String::new();
    }
    format!(" with {}", given.join(", "))
}

/// What is asked for, in one line.
fn query(query: &Query) -> String {
    match query {
        Query::Sql { text, .. } => format!("{text}{}", given(query.params())),
        Query::Slice {
            dataset,
            columns,
            filter,
            order_by,
            limit,
            params,
        } => {
            let columns = columns
                .as_ref()
                .map_or_else(|| "every column".to_owned(), |columns| columns.join(", "));
            let mut text = format!("{columns} of {dataset}");
            for (word, part) in [("where", filter), ("order by", order_by)] {
                if let Some(part) = part {
                    text.push_str(&format!(" {word} {part}"));
                }
            }
            if let Some(limit) = limit {
                text.push_str(&format!(" limit {limit}"));
            }
            text + &given(params)
        }
    }
}

/// Characters of a name, a ticket or a host.
const NAME_MAX: usize = 120;
/// Characters of somebody's words.
const WORDS_MAX: usize = 400;
/// Characters of a query.
const QUERY_MAX: usize = 800;
