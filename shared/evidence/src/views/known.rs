//! What is remembered of earlier entries, so that later ones can be told whole: who a session is, what a request asked for.
//!
//! An outcome names its intent, an intent its grant and session, and a person reading an event wants the name and the query in
//! it. Sessions are kept; requests, grants and intents up to a bound, the oldest forgotten first.

use std::collections::BTreeMap;

use serde_json::Value;

use super::row::Row;
use crate::body::Group;
use crate::dsse::Envelope;
use crate::encode::canonical;
use crate::leaf::Kind;

/// Requests, grants and intents kept at most, of each.
const KEPT_MAX: usize = 65_536;

/// Earlier entries by what later ones call them.
#[derive(Debug, Default)]
pub(super) struct Known {
    sessions: BTreeMap<String, Person>,
    /// The newest session of a pseudonym.
    session_of: BTreeMap<String, String>,
    /// By id; what is kept first is forgotten first, by index.
    requests: BTreeMap<String, Request>,
    requests_by_index: BTreeMap<u64, String>,
    grants: BTreeMap<u64, Grant>,
    intents: BTreeMap<u64, Intent>,
}

/// Whoever a session belongs to, as far as it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Person {
    pub(super) act: String,
    pub(super) opened_ms: i64,
    pub(super) expires_ms: Option<u64>,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) amr: Vec<String>,
    pub(super) ip: Option<String>,
    pub(super) host: Option<String>,
    pub(super) client: Option<String>,
}

/// What a request asked for, as far as it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) query: Option<String>,
    pub(super) datasets: Option<String>,
}

/// Whose a grant is, and for what.
#[derive(Debug, Clone, Default)]
pub(super) struct Grant {
    pub(super) request: Option<String>,
    pub(super) act: Option<String>,
    pub(super) datasets: Option<String>,
}

/// What a reading was for.
#[derive(Debug, Clone, Default)]
pub(super) struct Intent {
    pub(super) request: Option<String>,
    pub(super) act: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) datasets: Option<String>,
    pub(super) connections: Option<String>,
}

impl Person {
    fn of(row: &Row) -> Self {
        let own = |group, member| row.text(group, member).map(str::to_owned);
        let list = |group, member| row.texts(group, member).map(str::to_owned).collect();
        Self {
            act: row.header.act.clone().unwrap_or_default(),
            opened_ms: row.header.t,
            expires_ms: row.number(Group::Out, "expires_ms"),
            issuer: own(Group::Who, "issuer"),
            subject: own(Group::Who, "subject"),
            name: own(Group::Who, "name"),
            email: own(Group::Who, "email"),
            groups: list(Group::Who, "groups"),
            amr: list(Group::Who, "amr"),
            ip: own(Group::Net, "ip"),
            host: own(Group::Net, "host"),
            client: own(Group::Net, "client"),
        }
    }

    /// Name and subject, or the pseudonym where no more is shown.
    pub(super) fn words(&self) -> String {
        match (&self.name, &self.subject) {
            (Some(name), Some(subject)) if name != subject => format!("{name} ({subject})"),
            (Some(name), _) => name.clone(),
            (None, Some(subject)) => subject.clone(),
            (None, None) => self.act.clone(),
        }
    }

    /// Whether the methods of authentication amount to several factors, where the issuer named any.
    pub(super) fn is_mfa(&self) -> Option<bool> {
        (!self.amr.is_empty()).then(|| is_mfa(self.amr.iter().map(String::as_str)))
    }
}

/// Something known, something held, something one is (RFC 8176).
pub(super) const FACTORS: [&[&str]; 3] = [
    &["kba", "pin", "pwd"],
    &["fido", "hwk", "otp", "pop", "sc", "sms", "swk", "tel"],
    &["face", "fpt", "iris", "retina", "vbm"],
];

/// Several factors: the issuer says `mfa`, or names methods of at least two sorts.
pub(super) fn is_mfa<'a>(amr: impl Iterator<Item = &'a str> + Clone) -> bool {
    let sorts = FACTORS.iter().filter(|factor| amr.clone().any(|method| factor.contains(&method)));
    amr.clone().any(|method| method == "mfa") || sorts.count() >= 2
}

impl Known {
    /// Remembers an entry, of the context or of the range.
    pub(super) fn remember(&mut self, row: &Row) {
        let header = &row.header;
        let own = |group, member| row.text(group, member).map(str::to_owned);
        match header.kind {
            Kind::SessionOpen => {
                if let Some(sid) = &header.sid {
                    let person = Person::of(row);
                    self.session_of.insert(person.act.clone(), sid.clone());
                    self.sessions.insert(sid.clone(), person);
                }
            }
            Kind::RequestCreate => {
                let Some(id) = own(Group::What, "id") else { return };
                let request = Request {
                    query: query(row),
                    datasets: header.ds.clone(),
                };
                self.requests_by_index.insert(row.index, id.clone());
                self.requests.insert(id, request);
                if self.requests_by_index.len() > KEPT_MAX
                    && let Some((_, oldest)) = self.requests_by_index.pop_first()
                {
                    self.requests.remove(&oldest);
                }
            }
            Kind::GrantIssue => {
                let grant = Grant {
                    request: own(Group::What, "id"),
                    act: header.act.clone(),
                    datasets: self.request_at(header.refs.first()).and_then(|request| request.datasets.clone()),
                };
                keep(&mut self.grants, row.index, grant);
            }
            Kind::FetchIntent => {
                let connections: Vec<&str> = row.texts(Group::Obj, "connections").collect();
                let intent = Intent {
                    request: own(Group::What, "request"),
                    act: header.act.clone(),
                    sid: header.sid.clone(),
                    datasets: header.ds.clone(),
                    connections: (!connections.is_empty()).then(|| connections.join(",")),
                };
                keep(&mut self.intents, row.index, intent);
            }
            _ => {}
        }
    }

    /// The person of a session.
    pub(super) fn person(&self, sid: &str) -> Option<&Person> {
        self.sessions.get(sid)
    }

    /// The person behind a pseudonym, by their newest session.
    pub(super) fn person_of_act(&self, act: &str) -> Option<&Person> {
        self.person(self.session_of.get(act)?)
    }

    pub(super) fn request(&self, id: &str) -> Option<&Request> {
        self.requests.get(id)
    }

    fn request_at(&self, index: Option<&u64>) -> Option<&Request> {
        self.request(self.requests_by_index.get(index?)?)
    }

    pub(super) fn grant(&self, index: u64) -> Option<&Grant> {
        self.grants.get(&index)
    }

    pub(super) fn intent(&self, index: u64) -> Option<&Intent> {
        self.intents.get(&index)
    }

    /// Who did it, in words.
    pub(super) fn actor_words(&self, row: &Row) -> String {
        let intent = row.header.refs.first().and_then(|index| self.intent(*index));
        let sid = row.header.sid.as_deref().or(intent.and_then(|intent| intent.sid.as_deref()));
        let act = row.header.act.as_deref().or(intent.and_then(|intent| intent.act.as_deref()));
        match (sid.and_then(|sid| self.person(sid)), act) {
            (Some(person), _) => person.words(),
            (None, Some(act)) => self.person_of_act(act).map_or_else(|| act.to_owned(), Person::words),
            (None, None) => String::new(),
        }
    }

    /// The dataset it is about.
    pub(super) fn dataset<'a>(&'a self, row: &'a Row) -> Option<&'a str> {
        let first = row.header.refs.first();
        let of_intent = || first.and_then(|index| self.intent(*index)?.datasets.as_deref());
        let of_grant = || first.and_then(|index| self.grant(*index)?.datasets.as_deref());
        let of_request = || self.request_at(first)?.datasets.as_deref();
        row.header.ds.as_deref().or_else(of_intent).or_else(of_grant).or_else(of_request)
    }
}

fn keep<T>(kept: &mut BTreeMap<u64, T>, index: u64, value: T) {
    kept.insert(index, value);
    if kept.len() > KEPT_MAX {
        kept.pop_first();
    }
}

/// What a request asks for, from the document that its requester signed: the SQL, or the slice as canonical JSON.
fn query(row: &Row) -> Option<String> {
    let envelope = serde_json::from_value::<Envelope>(row.get(Group::What, "envelope").clone());
    let payload = envelope.ok().and_then(|envelope| envelope.payload_bytes().ok());
    let document = payload.and_then(|payload| serde_json::from_slice::<Value>(&payload).ok());
    query_text(document?.get("query")?)
}

/// A query as text: the SQL, or the slice as canonical JSON.
pub(super) fn query_text(query: &Value) -> Option<String> {
    match query.get("sql").and_then(Value::as_str) {
        Some(sql) => Some(sql.to_owned()),
        None if query.is_null() => None,
        None => canonical(query).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_factors_are_said_or_named() {
        for (amr, several) in [
            (&["pwd"][..], false),
            (&["pwd", "pin"], false),
            (&["pwd", "otp"], true),
            (&["mfa"], true),
            (&["hwk", "fpt"], true),
            (&["hwk", "otp"], false),
            (&[], false),
        ] {
            assert_eq!(is_mfa(amr.iter().copied()), several, "{amr:?}");
        }
    }
}
