//! Which event each kind of entry is.

use serde_json::{Value, json};

use super::{
    ACCOUNT_CHANGE, APPLICATION_LIFECYCLE, AUTHENTICATION, AUTHORIZE_SESSION, DATASTORE, Draft, ENTITY_MANAGEMENT, EVENT_LOG, Severity,
    USER_ACCESS, WITHHELD, actor, endpoint, joined, session, user,
};
use crate::body::Group;
use crate::leaf::Kind;
use crate::rotation::Rotation;
use crate::views::known::{Known, Person, query_text};
use crate::views::row::Row;
use crate::views::text::object;

const ALLOWED: (u32, &str) = (1, "Allowed");
const DENIED: (u32, &str) = (2, "Denied");
const MODIFIED: (u32, &str) = (4, "Modified");

/// The event of an entry.
pub(super) fn event(known: &Known, origin: &str, row: &Row) -> Draft {
    let scene = Scene::of(known, row);
    let request = row.text(Group::What, "id");
    match row.header.kind {
        Kind::SessionOpen | Kind::SessionClose | Kind::SessionFail => sign_in(&scene, origin, row),
        Kind::SubjectBind => Draft::new(ACCOUNT_CHANGE, (1, "Create"), "A pseudonym was bound to a person").with("user", scene.user()),
        Kind::PersonSuspend => Draft::new(ACCOUNT_CHANGE, (5, "Disable"), "A directory suspended a person")
            .severity(Severity::Low)
            .with("status_detail", row.get(Group::Why, "cause").clone())
            .with("user", scene.user()),
        Kind::PersonRestore => Draft::new(ACCOUNT_CHANGE, (2, "Enable"), "A directory restored a person").with("user", scene.user()),
        Kind::RequestCreate => {
            about_request(&scene, row, (1, "Create"), "Chunks were asked for").with("comment", row.get(Group::Why, "reason").clone())
        }
        Kind::RequestDeny => denied(&scene, row),
        Kind::RequestCancel => about_request(&scene, row, (11, "Deactivate"), "A request was withdrawn"),
        Kind::RequestExpire => about_request(&scene, row, (11, "Deactivate"), "A request expired unanswered"),
        Kind::RequestEscalate => about_request(&scene, row, (3, "Update"), "A request was escalated: nobody had decided"),
        Kind::ReviewApprove => about_request(&scene, row, (3, "Update"), "A reviewer approved a request")
            .with("comment", row.get(Group::Why, "reason").clone())
            .control(ALLOWED, (8, "Approved")),
        Kind::ReviewReject => about_request(&scene, row, (3, "Update"), "A reviewer rejected a request")
            .with("comment", row.get(Group::Why, "reason").clone())
            .severity(Severity::Low)
            .control(DENIED, (25, "Rejected")),
        Kind::GrantIssue => access(&scene, known, row, (1, "Assign Privileges"), "A grant was issued"),
        Kind::GrantTake => Draft::new(AUTHORIZE_SESSION, (1, "Assign Privileges"), "A grant was taken into use")
            .with("user", scene.user())
            .with("privileges", vec![privilege(known, row)])
            .with("session", scene.session())
            .with("src_endpoint", endpoint(scene.person))
            .of_request(request),
        Kind::GrantRevoke => access(&scene, known, row, (2, "Revoke Privileges"), "A grant was revoked").severity(Severity::Low),
        Kind::GrantExpire => access(&scene, known, row, (2, "Revoke Privileges"), "A grant expired"),
        Kind::FetchIntent => reading(&scene, row, (1, "Read"), "Data is about to be read"),
        Kind::FetchProgress => reading(&scene, row, (1, "Read"), "Data is being read"),
        Kind::FetchOutcome => outcome(&scene, row),
        Kind::DeliveryAck => reading(&scene, row, (99, "Acknowledge"), "The client holds the delivered bytes").of_request(request),
        Kind::PolicyLoad => {
            let digest = row.text(Group::What, "digest").unwrap_or(WITHHELD);
            let policy = json!({ "is_applied": true, "name": "policy set", "uid": digest });
            managed(
                &scene,
                (10, "Activate"),
                "A policy set took effect",
                json!({ "policy": policy, "type": "Policy", "type_id": 5 }),
            )
        }
        Kind::ConfigLoad => {
            let uid = row.text(Group::What, "digest").unwrap_or(WITHHELD);
            entity(&scene, (10, "Activate"), "A configuration took effect", "Configuration", uid)
        }
        Kind::KeyEnroll => entity(&scene, (6, "Enroll"), "A key was enrolled", "Key", key(row)),
        Kind::KeyRevoke => entity(&scene, (11, "Deactivate"), "A key was taken back", "Key", key(row)),
        Kind::KeyRotate => {
            let rotation = row.text(Group::What, "rotation").and_then(|text| Rotation::parse(text).ok());
            let now = rotation.map_or_else(|| WITHHELD.to_owned(), |rotation| rotation.to().to_text());
            entity(&scene, (3, "Update"), "The log's key was replaced", "Key", &now)
        }
        Kind::BreakglassOpen => access(&scene, known, row, (1, "Assign Privileges"), "An emergency grant was opened")
            .severity(Severity::High)
            .with("is_alert", true)
            .control(ALLOWED, (19, "Alert")),
        Kind::BreakglassReview => about_request(&scene, row, (3, "Update"), "An emergency grant was reviewed")
            .with("comment", row.get(Group::Why, "reason").clone()),
        Kind::BrokerStart => lifecycle(row, (3, "Start"), "A broker started"),
        Kind::BrokerStop => lifecycle(row, (4, "Stop"), "A broker stopped"),
        kind => log_event(&scene, origin, kind),
    }
}

/// Who and where an entry is about, from itself or from the entries it rests on.
struct Scene<'a> {
    known: &'a Known,
    person: Option<&'a Person>,
    act: Option<&'a str>,
    sid: Option<&'a str>,
    datasets: Option<String>,
    connections: Option<String>,
    request: Option<&'a str>,
}

impl<'a> Scene<'a> {
    fn of(known: &'a Known, row: &'a Row) -> Self {
        let header = &row.header;
        let intent = header.refs.first().and_then(|index| known.intent(*index));
        let sid = header.sid.as_deref().or(intent.and_then(|intent| intent.sid.as_deref()));
        let act = header.act.as_deref().or(intent.and_then(|intent| intent.act.as_deref()));
        let person = match sid {
            Some(sid) => known.person(sid),
            None => act.and_then(|act| known.person_of_act(act)),
        };
        let of_intent = |value: Option<&'a String>| value.cloned();
        let request = row
            .text(Group::What, "request")
            .or(intent.and_then(|intent| intent.request.as_deref()));
        Self {
            known,
            person,
            act,
            sid,
            datasets: header.ds.clone().or(of_intent(intent.and_then(|intent| intent.datasets.as_ref()))),
            connections: joined(row, Group::Obj, "connections").or(of_intent(intent.and_then(|intent| intent.connections.as_ref()))),
            request: request.or(row.text(Group::What, "id")),
        }
    }

    fn user(&self) -> Value {
        user(self.person, self.act)
    }

    fn session(&self) -> Value {
        self.sid.map_or(Value::Null, |sid| session(self.person, sid))
    }

    fn actor(&self) -> Value {
        actor(self.person, self.act, self.sid)
    }
}

fn sign_in(scene: &Scene<'_>, origin: &str, row: &Row) -> Draft {
    let service = json!({ "name": "chunk-broker", "uid": origin });
    let event = match row.header.kind {
        Kind::SessionOpen => {
            let several = scene.person.and_then(Person::is_mfa);
            let (id, protocol) = protocol(row);
            Draft::new(AUTHENTICATION, (1, "Logon"), "A person or workload signed in")
                .with("auth_protocol_id", id)
                .with("auth_protocol", protocol)
                .with("is_mfa", several)
                .with("is_new_logon", true)
        }
        Kind::SessionClose => {
            Draft::new(AUTHENTICATION, (2, "Logoff"), "A session ended").with("status_detail", row.get(Group::Why, "cause").clone())
        }
        _ => {
            let ip = row.text(Group::Net, "ip").filter(|ip| ip.parse::<std::net::IpAddr>().is_ok());
            return Draft::new(AUTHENTICATION, (1, "Logon"), "Sign-ins failed")
                .severity(Severity::Low)
                .failed(row.text(Group::Out, "code"))
                .with("count", row.get(Group::Out, "count").clone())
                .with("is_remote", true)
                .with("service", service)
                .with("src_endpoint", ip.map_or(json!({ "name": WITHHELD }), |ip| json!({ "ip": ip })))
                .with("user", json!({ "name": "unknown", "type": "Unknown", "type_id": 0 }));
        }
    };
    event
        .with("is_remote", true)
        .with("service", service)
        .with("session", scene.session())
        .with("src_endpoint", endpoint(scene.person))
        .with("user", scene.user())
}

/// What the identity provider spoke, where it is told who signed in.
fn protocol(row: &Row) -> (u32, &'static str) {
    match (row.text(Group::Who, "issuer"), row.text(Group::Who, "flow")) {
        (None, _) => (0, "Unknown"),
        (Some(_), Some("saml")) => (5, "SAML"),
        (Some(_), _) => (4, "OpenID"),
    }
}

/// Something that is managed, by whom, from where.
fn managed(scene: &Scene<'_>, activity: (u32, &'static str), message: &str, entity: Value) -> Draft {
    let event = Draft::new(ENTITY_MANAGEMENT, activity, message)
        .with("actor", scene.actor())
        .with("entity", entity);
    match scene.sid {
        Some(_) => event.with("src_endpoint", endpoint(scene.person)),
        None => event,
    }
}

fn entity(scene: &Scene<'_>, activity: (u32, &'static str), message: &str, what: &str, uid: &str) -> Draft {
    managed(
        scene,
        activity,
        message,
        json!({ "name": what, "type": what, "type_id": 99, "uid": uid }),
    )
}

fn about_request(scene: &Scene<'_>, row: &Row, activity: (u32, &'static str), message: &str) -> Draft {
    let id = row.text(Group::What, "id");
    entity(scene, activity, message, "Data access request", id.unwrap_or(WITHHELD)).of_request(id)
}

/// A right that is given or taken away; the person concerned is the one the grant belongs to, whoever acts.
fn access(scene: &Scene<'_>, known: &Known, row: &Row, activity: (u32, &'static str), message: &str) -> Draft {
    let grant = row.header.refs.first().and_then(|index| known.grant(*index));
    let owner = match grant {
        Some(grant) => grant.act.as_deref(),
        None => row.header.act.as_deref(),
    };
    let person = owner.and_then(|act| known.person_of_act(act));
    let by = match row.header.kind {
        // A grant names whom it is for; it is the broker that gives it.
        Kind::GrantIssue => actor(None, None, None),
        _ => scene.actor(),
    };
    Draft::new(USER_ACCESS, activity, message)
        .with("actor", by)
        .with("privileges", vec![privilege(known, row)])
        .with("user", user(person, owner))
        .of_request(row.text(Group::What, "id"))
}

/// The right itself, in words.
fn privilege(known: &Known, row: &Row) -> String {
    let grant = row.header.refs.first().and_then(|index| known.grant(*index));
    let datasets = known.dataset(row);
    let id = row.text(Group::What, "id").or(grant.and_then(|grant| grant.request.as_deref()));
    match (datasets, id) {
        (Some(datasets), _) => format!("fetch {datasets}"),
        (None, Some(id)) => format!("fetch what {id} asks for"),
        (None, None) => "fetch".to_owned(),
    }
}

/// Data is read: by whom, from where, out of what, asked how.
fn reading(scene: &Scene<'_>, row: &Row, activity: (u32, &'static str), message: &str) -> Draft {
    let mut event = Draft::new(DATASTORE, activity, message)
        .with("actor", scene.actor())
        .with("src_endpoint", endpoint(scene.person))
        .with("type_id", 3)
        .with("type", "Table")
        .with("table", json!({ "name": scene.datasets.as_deref().unwrap_or(WITHHELD) }))
        .of_request(scene.request);
    if let Some(connections) = &scene.connections {
        event = event.with("database", json!({ "name": connections, "type": "Unknown", "type_id": 0 }));
    }
    let asked = scene.request.and_then(|id| Some((id, scene.known.request(id)?)));
    if let Some((id, text)) = asked.and_then(|(id, request)| Some((id, request.query.as_ref()?))) {
        let bytes = row.number(Group::Out, "bytes").map(Value::from);
        let query = object([
            ("bytes", bytes),
            ("query_string", Some(text.clone().into())),
            ("uid", Some(id.into())),
        ]);
        event = event.with("query_info", query);
    }
    event
}

/// How a delivery ended, and what the masks did to it.
fn outcome(scene: &Scene<'_>, row: &Row) -> Draft {
    let end = row.text(Group::Out, "end");
    let masked = row.columns().any(|column| column.altered > 0);
    let (message, action) = if masked {
        ("Data was delivered, masked", MODIFIED)
    } else {
        ("Data was delivered", ALLOWED)
    };
    let event = reading(scene, row, (1, "Read"), message).with("duration", row.get(Group::Out, "ms").clone());
    match end {
        Some("done") => event.control(action, (1, "Allowed")),
        None => event.with("status_id", 0).with("status", "Unknown"),
        Some("revoked") => event.severity(Severity::Medium).failed(end).control(DENIED, (24, "Access Revoked")),
        Some(_) => event.severity(Severity::Low).failed(end).control(action, (27, "Error")),
    }
}

fn denied(scene: &Scene<'_>, row: &Row) -> Draft {
    let query = row.get(Group::What, "query");
    let dataset = query.get("dataset").and_then(Value::as_str);
    let scene = Scene {
        datasets: scene.datasets.clone().or(dataset.map(str::to_owned)),
        connections: scene.connections.clone(),
        ..*scene
    };
    let mut event = reading(&scene, row, (4, "Query"), "A request was denied")
        .severity(Severity::Low)
        .failed(row.text(Group::Out, "code"))
        .control(DENIED, (26, "Unauthorized"));
    if let Some(text) = query_text(query) {
        event = event.with("query_info", json!({ "name": "denied request", "query_string": text }));
    }
    if let Some(policies) = joined(row, Group::Out, "policies") {
        event = event.with("policy", json!({ "name": policies }));
    }
    event
}

fn lifecycle(row: &Row, activity: (u32, &'static str), message: &str) -> Draft {
    let own = |member| row.text(Group::Env, member).map(Value::from);
    let app = object([
        ("name", Some("chunk-broker".into())),
        ("uid", own("instance")),
        ("vendor_name", Some("chunkctl".into())),
        ("version", own("version")),
    ]);
    Draft::new(APPLICATION_LIFECYCLE, activity, message).with("app", app)
}

/// The life of the log itself.
fn log_event(scene: &Scene<'_>, origin: &str, kind: Kind) -> Draft {
    let (activity, message) = match kind {
        Kind::LogGenesis => ((6, "Start"), "The evidence log began"),
        Kind::LogSeal => ((7, "Stop"), "The evidence log was sealed"),
        Kind::AuditExport => ((3, "Export"), "Evidence was exported"),
        Kind::AuditRead => ((99, "Read"), "Evidence was read"),
        Kind::Erase => ((2, "Delete"), "Bodies of entries were erased"),
        Kind::RetentionDispose => ((2, "Delete"), "Bodies of entries reached the end of their retention"),
        Kind::ClockStatus => ((99, "Clock Status"), "The state of the clock was recorded"),
        Kind::AnchorObserve => ((99, "Anchor"), "An outside witness of the log was recorded"),
        other => ((99, "Other"), other.as_str()),
    };
    let event = Draft::new(EVENT_LOG, activity, message)
        .with("log_name", origin)
        .with("log_type_id", 2)
        .with("log_type", "Application")
        .with("log_provider", "chunk-broker")
        .with("actor", scene.actor());
    let event = match kind {
        Kind::Erase | Kind::RetentionDispose => event.severity(Severity::Medium),
        _ => event,
    };
    match scene.sid {
        Some(_) => event.with("src_endpoint", endpoint(scene.person)),
        None => event,
    }
}

fn key(row: &Row) -> &str {
    let named = ["ssh_key", "key", "thumbprint", "log_key"].into_iter();
    let mut found = named.filter_map(|name| row.text(Group::What, name).or(row.text(Group::Who, name)));
    found.next().unwrap_or(WITHHELD)
}
