//! Reading the evidence: search, single entries, sessions, receipts, exports, tree.
//!
//! Reading records is privileged too: what shows other people's entries needs `audit_read` or `audit_export`, and is an entry
//! itself, recorded before anything is returned.

use chunk_evidence::body::Group;
use chunk_log::journal::Urgency;
use chunk_wire::audit::{EntryPage, EntryQuery, EntryView, ExportRequest};
use chunk_wire::id::{RequestId, SessionId};
use chunk_wire::problem::Code;
use chunk_wire::session::{SessionView, TimelineEntry};
use serde_json::{Map, Value};

use crate::approval::{not_found, session_open};
use crate::authorize::{self, demand};
use crate::broker::Broker;
use crate::context::Context;
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::evidence::log::Opened;
use crate::evidence::narrate::narrate;
use crate::evidence::proofs;
use crate::identity::Caller;
use crate::policy::{Action, Resource};
use crate::state::{Session, State};

/// Searches entries, newest first.
///
/// # Errors
/// When policy does not let the caller read the evidence, or the log cannot be read or written.
pub async fn search(broker: &Broker, cx: &Context, caller: &Caller, query: EntryQuery) -> Result<EntryPage, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let published = broker.log.published();
    let limit = usize::try_from(query.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)).unwrap_or(1);
    let filter = Filter::new(
        &published.state,
        query.user.as_deref(),
        query.dataset.as_deref(),
        query.request.as_deref(),
        query.kind.as_deref(),
    );
    let mut found = Vec::new();
    let mut end = query.before.unwrap_or(published.state.size).min(published.state.size);
    let mut next_before = None;
    'pages: while end > 0 {
        let from = end.saturating_sub(READ_PAGE);
        let page = broker.log.read(from, usize::try_from(end - from).unwrap_or(0)).await?;
        for entry in page.into_iter().rev() {
            let time = entry.leaf.header.t;
            if query.to_ms.is_some_and(|to| time >= to) {
                continue;
            }
            if query.from_ms.is_some_and(|from| time < from) {
                break 'pages;
            }
            if filter.matches(&entry) {
                if found.len() == limit {
                    next_before = found.last().map(|e: &EntryView| e.index);
                    break 'pages;
                }
                found.push(entry_view(&entry));
            }
        }
        end = from;
    }
    record_read(broker, caller, query_value(&query)?, found.len()).await?;
    Ok(EntryPage {
        entries: found,
        next_before,
    })
}

/// One entry, opened.
///
/// # Errors
/// As [`search`], and `not_found`.
pub async fn entry(broker: &Broker, cx: &Context, caller: &Caller, index: u64) -> Result<EntryView, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let opened = broker.log.read_one(index).await?;
    record_read(broker, caller, serde_json::json!({ "index": index }), 1).await?;
    Ok(entry_view(&opened))
}

/// Makes a bundle that verifies offline. The export is recorded first; its own entry stands outside of the bundle.
///
/// # Errors
/// When policy does not let the caller export, or the log cannot be read or written.
pub async fn export(broker: &Broker, cx: &Context, caller: &Caller, request: ExportRequest) -> Result<Vec<u8>, Error> {
    demand(broker, cx, caller, Action::AuditExport, "exporting the evidence")?;
    let level = request.level.unwrap_or(LEVEL_MAX);
    if level > LEVEL_MAX {
        return Err(Error::new(Code::InvalidRequest, format!("Disclosure levels are 0 to {LEVEL_MAX}.")));
    }
    let head = broker.log.published();
    let (from, to) = time_range(broker, head.state.size, request.from_ms, request.to_ms).await?;
    let event = Event::AuditExport {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        query: query_value(&request)?,
        from,
        to,
        level,
    };
    let session = caller.session().clone();
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            session_open(state, &session, now_ms)?;
            Ok(vec![event.clone()])
        })
        .await?;
    let filter = Filter::new(
        &head.state,
        request.user.as_deref(),
        request.dataset.as_deref(),
        request.request.as_deref(),
        None,
    );
    let described = filter.described();
    proofs::bundle(broker, &head, from, to, level, described.as_ref(), |entry| filter.matches(entry)).await
}

/// The receipt of a completed delivery: canonical JSON.
///
/// # Errors
/// When the request is not the caller's to see, or nothing was delivered.
pub async fn receipt(broker: &Broker, cx: &Context, caller: &Caller, id: &RequestId, chunk: u32) -> Result<String, Error> {
    let head = broker.log.published();
    let request = head.state.requests.get(id).ok_or_else(|| not_found(id))?;
    let own = request.actor == *caller.actor();
    if !own && !authorize::ask(broker, cx, caller, Action::AuditRead, &Resource::Broker).allowed {
        return Err(not_found(id));
    }
    if !own {
        record_read(broker, caller, serde_json::json!({ "receipt": id }), 1).await?;
    }
    proofs::receipt(broker, &head, request, chunk).await
}

/// Sessions: the caller's own, or everybody's for those who may read the evidence. Newest first, without timelines.
///
/// # Errors
/// When all are asked for and policy does not permit it.
pub async fn sessions(broker: &Broker, cx: &Context, caller: &Caller, all: bool) -> Result<Vec<SessionView>, Error> {
    if all {
        demand(broker, cx, caller, Action::AuditRead, "reading other people's sessions")?;
        record_read(broker, caller, serde_json::json!({ "sessions": "all" }), 0).await?;
    }
    let published = broker.log.published();
    let now_ms = broker.clock.now_ms();
    let mut sessions: Vec<_> = published
        .state
        .sessions
        .values()
        .filter(|s| all || s.open.actor == *caller.actor())
        .collect();
    sessions.sort_by_key(|s| std::cmp::Reverse(s.index));
    sessions.truncate(LISTED_MAX);
    Ok(sessions.into_iter().map(|s| session_view(s, now_ms)).collect())
}

/// One session with everything recorded under it.
///
/// # Errors
/// `not_found` unless it is the caller's own or they may read the evidence.
pub async fn session(broker: &Broker, cx: &Context, caller: &Caller, id: &SessionId) -> Result<SessionView, Error> {
    let published = broker.log.published();
    let missing =
        || Error::new(Code::NotFound, format!("There is no session `{id}` that you may see.")).hint("run `chunkctl sessions list`");
    let session = published.state.sessions.get(id).ok_or_else(missing)?;
    let own = session.open.actor == *caller.actor();
    if !own {
        if !authorize::ask(broker, cx, caller, Action::AuditRead, &Resource::Broker).allowed {
            return Err(missing());
        }
        record_read(broker, caller, serde_json::json!({ "session": id }), 1).await?;
    }
    let mut view = session_view(session, broker.clock.now_ms());
    let mut at = session.index;
    let mut intents = Vec::new();
    while at < published.state.size {
        let page = broker.log.read(at, usize::try_from(READ_PAGE).unwrap_or(usize::MAX)).await?;
        if page.is_empty() {
            break;
        }
        at += page.len() as u64;
        for entry in page {
            let header = &entry.leaf.header;
            let under = header.sid.as_deref() == Some(id.as_str());
            let outcome_of_ours = header.sid.is_none() && header.refs.first().is_some_and(|intent| intents.contains(intent));
            if !under && !outcome_of_ours {
                continue;
            }
            if under && header.kind == chunk_evidence::leaf::Kind::FetchIntent {
                intents.push(entry.index);
            }
            view.timeline.push(TimelineEntry {
                index: entry.index,
                time_ms: header.t,
                kind: header.kind.as_str().to_owned(),
                summary: summary(&entry),
            });
        }
    }
    Ok(view)
}

/// The newest signed checkpoint (C2SP).
#[must_use]
pub fn checkpoint(broker: &Broker) -> String {
    broker.log.published().checkpoint.text().to_owned()
}

/// A hash tile (C2SP tlog-tiles); `None` when the tree is not that large.
#[must_use]
pub fn tile(broker: &Broker, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
    broker.log.with_tree(|tree| tree.tile(level, index, width))
}

/// Proof that the tree of size `to` extends the one of size `from`.
#[must_use]
pub fn consistency(broker: &Broker, from: u64, to: u64) -> Option<Vec<[u8; 32]>> {
    broker.log.with_tree(|tree| {
        if from <= to && to <= tree.size() {
            tree.consistency(from, to)
        } else {
            None
        }
    })
}

/// A bundle of leaves (C2SP tlog-tiles entry bundle): each as a big-endian u16 length and the leaf's bytes.
///
/// # Errors
/// As [`search`], and `not_found` when the tree is not that large.
pub async fn entries_tile(broker: &Broker, cx: &Context, caller: &Caller, index: u64, width: u16) -> Result<Vec<u8>, Error> {
    demand(broker, cx, caller, Action::AuditRead, "reading the evidence")?;
    let from = index
        .checked_mul(TILE_WIDTH)
        .ok_or_else(|| Error::new(Code::NotFound, "There is no such tile."))?;
    let entries = broker.log.read(from, usize::from(width)).await?;
    if entries.len() < usize::from(width) || width == 0 {
        return Err(Error::new(Code::NotFound, "There is no such tile."));
    }
    record_read(broker, caller, serde_json::json!({ "tile": index }), entries.len()).await?;
    let mut bytes = Vec::new();
    for entry in entries {
        let leaf = entry.leaf.to_bytes();
        let length = u16::try_from(leaf.len()).map_err(|_| Error::new(Code::Internal, "A leaf is longer than 64 KiB."))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&leaf);
    }
    Ok(bytes)
}

/// Which entries a reader asked for.
struct Filter {
    actors: Option<Vec<String>>,
    dataset: Option<String>,
    request: Option<String>,
    kind: Option<String>,
}

impl Filter {
    fn new(state: &State, user: Option<&str>, dataset: Option<&str>, request: Option<&str>, kind: Option<&str>) -> Self {
        let actors = user.map(|user| {
            let is = |s: &&std::sync::Arc<Session>| {
                let person = &s.open.person;
                person.subject == user || person.name == user || person.email.as_deref() == Some(user) || s.open.actor.as_str() == user
            };
            state.sessions.values().filter(is).map(|s| s.open.actor.to_string()).collect()
        });
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        Self {
            actors,
            dataset: own(dataset),
            request: own(request),
            kind: own(kind),
        }
    }

    /// What was asked for, as the bundle states it; `None` when everything was.
    fn described(&self) -> Option<Value> {
        let mut asked = Map::new();
        let members = [("dataset", &self.dataset), ("request", &self.request), ("kind", &self.kind)];
        for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))) {
            asked.insert(name.to_owned(), value.into());
        }
        if let Some(actors) = &self.actors {
            asked.insert("actors".to_owned(), actors.clone().into());
        }
        (!asked.is_empty()).then_some(Value::Object(asked))
    }

    fn matches(&self, entry: &Opened) -> bool {
        let header = &entry.leaf.header;
        let actor = self
            .actors
            .as_ref()
            .is_none_or(|a| header.act.as_ref().is_some_and(|act| a.contains(act)));
        let dataset = self
            .dataset
            .as_ref()
            .is_none_or(|d| header.ds.as_deref().is_some_and(|ds| ds.split(',').any(|name| name == d)));
        let kind = self
            .kind
            .as_ref()
            .is_none_or(|k| header.kind.as_str() == k || header.kind.family() == k);
        actor && dataset && kind && self.request.as_ref().is_none_or(|r| names_request(entry, r))
    }
}

fn names_request(entry: &Opened, request: &str) -> bool {
    let Some((_, body)) = &entry.body else { return false };
    ["id", "request"]
        .iter()
        .any(|member| body.text(Group::What, member) == Some(request))
}

async fn time_range(broker: &Broker, size: u64, from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(u64, u64), Error> {
    let from = match from_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => 0,
    };
    let to = match to_ms {
        Some(ms) => first_at_or_after(broker, size, ms).await?,
        None => size,
    };
    if from >= to {
        return Err(Error::new(Code::InvalidRequest, "There is no entry in that time.").hint("run `chunkctl audit search`"));
    }
    Ok((from, to))
}

/// Times never go back in the log, so a binary search finds the place.
async fn first_at_or_after(broker: &Broker, size: u64, ms: i64) -> Result<u64, Error> {
    let (mut low, mut high) = (0, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if broker.log.read_one(middle).await?.leaf.header.t < ms {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

async fn record_read(broker: &Broker, caller: &Caller, query: Value, entries: usize) -> Result<(), Error> {
    let event = Event::AuditRead {
        actor: caller.actor().clone(),
        session: caller.session().clone(),
        open: caller.open_index(),
        query,
        entries: entries as u64,
    };
    let session = caller.session().clone();
    broker
        .log
        .commit(Urgency::Normal, move |state, now_ms| {
            session_open(state, &session, now_ms)?;
            Ok(vec![event.clone()])
        })
        .await?;
    Ok(())
}

fn query_value(query: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(query).map_err(|fault| Error::new(Code::Internal, "The query does not serialise.").operator(fault))
}

fn entry_view(entry: &Opened) -> EntryView {
    let header = entry.leaf.header_text.parse().unwrap_or(Value::Null);
    let mut body = Map::new();
    if let Some((_, opened)) = &entry.body {
        body = opened.present();
    }
    EntryView {
        index: entry.index,
        header,
        body: Value::Object(body),
        summary: summary(entry),
    }
}

fn summary(entry: &Opened) -> String {
    let event = entry
        .body
        .as_ref()
        .and_then(|(_, body)| Event::read(entry.index, &entry.leaf.header, body).ok());
    event.map_or_else(|| "erased".to_owned(), |event| narrate(&event))
}

fn session_view(session: &Session, now_ms: i64) -> SessionView {
    let open = &session.open;
    let state = match session.closed.as_deref() {
        Some("revoked") => "revoked",
        Some("expired") => "expired",
        Some(_) => "closed",
        None if now_ms >= open.expires_ms => "expired",
        None => "open",
    };
    SessionView {
        session: open.session.clone(),
        person: open.person.clone(),
        key: open.key.clone(),
        client: open.client.clone(),
        ip: open.ip.clone(),
        opened_ms: session.opened_ms,
        expires_ms: open.expires_ms,
        state: state.to_owned(),
        timeline: Vec::new(),
    }
}

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;
const READ_PAGE: u64 = 1024;
const LISTED_MAX: usize = 1000;
const LEVEL_MAX: u8 = 4;
const TILE_WIDTH: u64 = 256;
