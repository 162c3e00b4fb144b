//! Entries as OCSF 1.8 events, one line each, for a SIEM.
//!
//! One entry is one event, never more or fewer: `metadata.uid` is `origin#index` and `metadata.sequence` the index, so that whoever
//! receives them can prove that none is missing, and find the proof of each in the bundle. What OCSF has no place for stands
//! under `unmapped`. Where a bundle withholds who did something, the event says so instead of leaving it open.
//!
//! There is this one mapping: what is made of a bundle, and what a broker sends to its sinks, are the same bytes.

mod kinds;

use std::io::Write;

use serde_json::{Map, Value, json};

use super::known::{Known, Person};
use super::row::Row;
use super::text::{self, object};
use crate::body::Group;
use crate::encode::{EncodeError, canonical, to_hex};
use crate::leaf::Kind;

/// Version of the schema.
pub(super) const VERSION: &str = "1.8.0";
/// What stands where a bundle does not say.
const WITHHELD: &str = "withheld";

/// Writes events.
#[derive(Debug)]
pub struct Events {
    origin: String,
    known: Known,
}

impl Events {
    /// Events of this log.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            known: Known::default(),
        }
    }

    /// Remembers an entry outside the range.
    pub fn context(&mut self, row: &Row) {
        self.known.remember(row);
    }

    /// Writes the event of an entry of the range.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, row: &Row, out: &mut impl Write) -> std::io::Result<()> {
        self.known.remember(row);
        let event = kinds::event(&self.known, &self.origin, row).finish(&self.origin, row, unmapped(row));
        writeln!(out, "{}", line(&event).map_err(std::io::Error::other)?)
    }

    /// The event of an entry of the range, for whoever sends it on.
    ///
    /// # Errors
    /// When it has no canonical text.
    pub fn event(&mut self, row: &Row) -> Result<Event, EncodeError> {
        self.known.remember(row);
        let draft = kinds::event(&self.known, &self.origin, row);
        let severity = draft.severity;
        let text = line(&draft.finish(&self.origin, row, unmapped(row)))?;
        Ok(Event {
            index: row.index,
            time_ms: row.header.t,
            kind: row.header.kind,
            severity,
            short: line(&stand_in(&self.origin, row, text.len(), severity))?,
            text,
        })
    }
}

/// An event on its way to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Index of the entry.
    pub index: u64,
    /// When it was recorded, ms since 1970.
    pub time_ms: i64,
    /// What happened.
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// The event: one line of JSON, without its end.
    pub text: String,
    /// What goes to somebody for whom the event is too long: an event of a few hundred bytes that names the entry and says so.
    pub short: String,
}

fn line(event: &Value) -> Result<String, EncodeError> {
    canonical(event).map(|line| text::json(&line))
}

/// The event that stands for one of so many bytes.
fn stand_in(origin: &str, row: &Row, bytes: usize, severity: Severity) -> Value {
    let index = row.index;
    let message = format!("An event of {bytes} bytes is longer than is taken here: `chunkctl audit show {index}` shows the entry");
    let unmapped = object([
        ("bytes", Some(bytes.into())),
        ("disclosed", Some("shortened".into())),
        ("leaf_hash", Some(to_hex(&row.hash).into())),
    ]);
    Draft::new(BASE, (99, "Shortened"), message)
        .severity(severity)
        .with("status_id", 0)
        .with("status", "Unknown")
        .finish(origin, row, unmapped.into())
}

/// A class of events: number, name, category.
#[derive(Debug, Clone, Copy)]
struct Class {
    uid: u32,
    name: &'static str,
    category: (u32, &'static str),
}

const IAM: (u32, &str) = (3, "Identity & Access Management");
const APPLICATION: (u32, &str) = (6, "Application Activity");

const fn class(uid: u32, name: &'static str, category: (u32, &'static str)) -> Class {
    Class { uid, name, category }
}

const BASE: Class = class(0, "Base Event", (0, "Uncategorized"));
const EVENT_LOG: Class = class(1008, "Event Log Activity", (1, "System Activity"));
const ACCOUNT_CHANGE: Class = class(3001, "Account Change", IAM);
const AUTHENTICATION: Class = class(3002, "Authentication", IAM);
const AUTHORIZE_SESSION: Class = class(3003, "Authorize Session", IAM);
const ENTITY_MANAGEMENT: Class = class(3004, "Entity Management", IAM);
const USER_ACCESS: Class = class(3005, "User Access Management", IAM);
const APPLICATION_LIFECYCLE: Class = class(6002, "Application Lifecycle", APPLICATION);
const DATASTORE: Class = class(6005, "Datastore Activity", APPLICATION);

/// How grave: OCSF's own scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing to do.
    Informational = 1,
    /// Worth a look.
    Low = 2,
    /// Somebody should know.
    Medium = 3,
    /// Somebody should look now.
    High = 4,
}

/// An event while it is made.
#[derive(Debug)]
struct Draft {
    class: Class,
    activity: (u32, &'static str),
    severity: Severity,
    message: String,
    /// The request that it belongs to.
    correlation: Option<String>,
    members: Map<String, Value>,
    profiles: Vec<&'static str>,
}

impl Draft {
    /// An event that succeeded; `activity` is one of the class's own, 99 with our own word for others.
    fn new(class: Class, activity: (u32, &'static str), message: impl Into<String>) -> Self {
        let mut members = Map::new();
        members.insert("status_id".into(), 1.into());
        members.insert("status".into(), "Success".into());
        Self {
            class,
            activity,
            severity: Severity::Informational,
            message: message.into(),
            correlation: None,
            members,
            profiles: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.members.insert(name.to_owned(), value);
        }
        self
    }

    fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Belongs to this request.
    fn of_request(mut self, id: Option<&str>) -> Self {
        self.correlation = id.map(str::to_owned);
        self
    }

    fn failed(self, code: Option<&str>) -> Self {
        let code = code.unwrap_or(WITHHELD);
        self.with("status_id", 2)
            .with("status", "Failure")
            .with("status_code", code)
            .with("status_detail", code)
    }

    /// What a control did, in the words of the profile `security_control`.
    fn control(mut self, action: (u32, &str), disposition: (u32, &str)) -> Self {
        self.profiles.push("security_control");
        self.with("action_id", action.0)
            .with("action", action.1)
            .with("disposition_id", disposition.0)
            .with("disposition", disposition.1)
    }

    fn finish(self, origin: &str, row: &Row, unmapped: Value) -> Value {
        let Draft {
            class,
            activity,
            severity,
            message,
            correlation,
            mut members,
            profiles,
        } = self;
        let metadata = object([
            ("correlation_uid", correlation.map(Value::from)),
            ("event_code", Some(row.header.kind.as_str().into())),
            ("log_name", Some(origin.into())),
            ("product", Some(json!({ "name": "chunkctl", "vendor_name": "chunkctl" }))),
            ("profiles", (!profiles.is_empty()).then(|| profiles.into())),
            ("sequence", Some(row.index.into())),
            ("uid", Some(format!("{origin}#{}", row.index).into())),
            ("version", Some(VERSION.into())),
        ]);
        let severity_word = match severity {
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
        };
        for (name, value) in [
            ("activity_id", activity.0.into()),
            ("activity_name", activity.1.into()),
            ("category_name", class.category.1.into()),
            ("category_uid", class.category.0.into()),
            ("class_name", class.name.into()),
            ("class_uid", class.uid.into()),
            ("message", message.into()),
            ("metadata", metadata.into()),
            ("severity", severity_word.into()),
            ("severity_id", (severity as u32).into()),
            ("time", row.header.t.into()),
            ("type_name", format!("{}: {}", class.name, activity.1).into()),
            ("type_uid", (class.uid * 100 + activity.0).into()),
            ("unmapped", unmapped),
        ] {
            members.insert(name.to_owned(), value);
        }
        Value::Object(members)
    }
}

/// The entry itself, for what the schema has no place for. Long texts and signatures stay in the bundle.
fn unmapped(row: &Row) -> Value {
    const LEFT_OUT: &[&str] = &["attestation", "envelope", "public_key", "schema", "text"];
    let mut groups = Map::new();
    for (name, value) in row.body.present() {
        let members = value.as_object().into_iter().flatten();
        let members: Map<String, Value> = members
            .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        groups.insert(name, members.into());
    }
    let header = &row.header;
    let unmapped = object([
        ("actor", header.act.clone().map(Value::from)),
        ("dataset", header.ds.clone().map(Value::from)),
        ("decision", header.dec.map(|dec| dec.as_str().into())),
        ("disclosed", Some(row.shown.as_str().into())),
        ("groups", Some(groups.into())),
        ("leaf_hash", Some(to_hex(&row.hash).into())),
        ("policy", header.pol.map(Value::from)),
        ("refs", (!header.refs.is_empty()).then(|| header.refs.clone().into())),
    ]);
    unmapped.into()
}

/// A person as OCSF's `user`.
fn user(person: Option<&Person>, act: Option<&str>) -> Value {
    let mut user = Map::new();
    if let Some(person) = person {
        let groups: Vec<Value> = person.groups.iter().map(|group| json!({ "name": group })).collect();
        user = object([
            ("uid", person.subject.clone().map(Value::from)),
            ("name", person.name.clone().map(Value::from)),
            ("domain", person.issuer.clone().map(Value::from)),
            ("email_addr", person.email.clone().filter(|email| is_email(email)).map(Value::from)),
            ("groups", (!groups.is_empty()).then(|| groups.into())),
        ]);
    }
    match act {
        Some(act) if user.contains_key("uid") => {
            user.insert("uid_alt".into(), act.into());
        }
        Some(act) => {
            user.insert("uid".into(), act.into());
        }
        None if user.is_empty() => {
            user.insert("name".into(), WITHHELD.into());
        }
        None => {}
    }
    user.insert("type_id".into(), 1.into());
    user.insert("type".into(), "User".into());
    Value::Object(user)
}

/// The session as OCSF's object of that name.
fn session(person: Option<&Person>, sid: &str) -> Value {
    let session = object([
        ("created_time", person.map(|person| person.opened_ms.into())),
        ("expiration_time", person.and_then(|person| person.expires_ms).map(Value::from)),
        ("is_mfa", person.and_then(Person::is_mfa).map(Value::from)),
        ("is_remote", Some(true.into())),
        ("issuer", person.and_then(|person| person.issuer.clone()).map(Value::from)),
        ("uid", Some(sid.into())),
    ]);
    session.into()
}

/// Who did it and under which session; the broker itself where no person did.
fn actor(person: Option<&Person>, act: Option<&str>, sid: Option<&str>) -> Value {
    match (act, sid) {
        (None, None) => json!({ "app_name": "chunk-broker" }),
        (act, None) => json!({ "user": user(person, act) }),
        (act, Some(sid)) => json!({ "session": session(person, sid), "user": user(person, act) }),
    }
}

/// Where a session came from.
fn endpoint(person: Option<&Person>) -> Value {
    let mut out = Map::new();
    if let Some(person) = person {
        let ip = person.ip.as_ref().filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
        let own = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned().map(Value::from);
        out = object([
            ("ip", own(ip)),
            ("name", own(person.host.as_ref())),
            ("svc_name", own(person.client.as_ref())),
        ]);
    }
    if out.is_empty() {
        out.insert("name".into(), WITHHELD.into());
    }
    Value::Object(out)
}

/// The schema's own idea of an address is narrow; others stay under `unmapped`.
fn is_email(text: &str) -> bool {
    let local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let domain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match text.split_once('@') {
        Some((name, host)) => {
            let (first, rest) = host.split_once('.').unwrap_or((host, ""));
            let ends = !name.is_empty() && !first.is_empty() && !rest.is_empty();
            ends && name.chars().all(local) && first.chars().all(domain) && rest.chars().all(|c| domain(c) || c == '.')
        }
        None => false,
    }
}

/// The texts of a list in one text, where there are any.
fn joined(row: &Row, group: Group, member: &str) -> Option<String> {
    let texts: Vec<&str> = row.texts(group, member).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
