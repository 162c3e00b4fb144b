//! Standard Webhooks: the body, in the shape that its specification recommends.

use chunk_core::notify::{Notice, Who};
use chunk_wire::stages::Stage;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::words::Speaker;

/// The body.
pub(super) fn body(speaker: &Speaker, notice: &Notice) -> Value {
    let mut data = Map::new();
    let mut put = |name: &str, value: Option<Value>| data.extend(value.map(|value| (name.to_owned(), value)));
    put("entry", Some(notice.index.into()));
    put("broker", Some(speaker.name.as_str().into()));
    put("request", notice.request.as_ref().map(|request| request.to_string().into()));
    put("datasets", Some(json!(notice.datasets)).filter(|_| notice.request.is_some()));
    put("quorum", notice.quorum.map(Value::from));
    put("stage", notice.stage.as_ref().map(stage));
    put(
        "escalated_to",
        Some(json!(notice.escalated_to)).filter(|_| !notice.escalated_to.is_empty()),
    );
    put("decision", notice.decision.map(|decision| decision.as_str().into()));
    put("expires", notice.expires_ms.map(time));
    put("command", Some(Speaker::command(notice).into()));
    put("link", speaker.link(notice).map(Value::from));
    if let Some(details) = &notice.details {
        put("person", details.person.as_ref().map(who));
        put("reason", details.reason.clone().map(Value::from));
        put("ticket", details.ticket.clone().map(Value::from));
        put("query", details.query.clone().map(Value::from));
        put("rows_estimated", details.rows_estimated.map(Value::from));
        let by: Vec<Value> = details.by.iter().map(who).collect();
        put("by", (!by.is_empty()).then(|| by.into()));
        put("justification", details.words.clone().map(Value::from));
        put("host", details.host.clone().map(Value::from));
        put("ip", details.ip.clone().map(Value::from));
    }
    json!({ "type": notice.occasion.as_str(), "timestamp": time(notice.time_ms), "data": data })
}

/// Whose turn it is; a manager is not named.
fn stage(stage: &Stage) -> Value {
    match stage.manager {
        Some(_) => json!({ "manager": true, "quorum": stage.quorum }),
        None => json!({ "groups": stage.groups, "quorum": stage.quorum }),
    }
}

fn who(who: &Who) -> Value {
    match &who.email {
        Some(email) => json!({ "email": email, "name": who.name }),
        None => json!({ "name": who.name }),
    }
}

/// RFC 3339, with milliseconds.
fn time(time_ms: i64) -> Value {
    format!("{:.3}", Timestamp::from_millisecond(time_ms).unwrap_or_default()).into()
}
