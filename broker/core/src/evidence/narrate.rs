//! One line a log entry, for people: what happened, without the person's name unless it is opened.

use chunk_wire::review::Verdict;

use super::entries::Event;
use crate::anchor::AnchorKind;

/// The line.
pub(crate) fn narrate(event: &Event) -> String {
    match event {
        Event::Genesis { origin, .. } => format!("log `{origin}` begins"),
        Event::Start { version, .. } => format!("broker {version} starts"),
        Event::Stop { .. } => "broker stops".to_owned(),
        Event::ConfigLoad { digest, .. } => format!("configuration {} in force", head(digest)),
        Event::PolicyLoad { digest, .. } => format!("policies {} in force", head(digest)),
        Event::SessionOpen(open) if open.person.workload.is_some() => {
            format!(
                "workload {} ({}) signs in from {} ({})",
                open.person.name, open.person.subject, open.ip, open.client.host
            )
        }
        Event::SessionOpen(open) => {
            let way = if open.is_key_attested() { " with the browser" } else { "" };
            format!("{} signs in{way} from {} ({})", open.person.name, open.ip, open.client.host)
        }
        Event::SessionClose { session, cause, .. } => format!("session {session} ends: {cause}"),
        Event::SessionFail { ip, code, count } => format!("{count} failed sign-ins from {ip}: {code}"),
        Event::SubjectBind(bind) => format!("the directory of {} names {} as {}", bind.issuer, bind.user_name, bind.actor),
        Event::PersonSuspend(suspend) => format!("{} is suspended by their directory: {}", suspend.actor, suspend.cause),
        Event::PersonRestore(restore) => format!("{} is restored by their directory", restore.actor),
        Event::KeyEnroll(enroll) => format!(
            "{} enrols the SSH key {} from {} ({})",
            enroll.subject, enroll.key, enroll.ip, enroll.host
        ),
        Event::KeyRevoke(revoke) => format!("the SSH key of entry {} is taken back", revoke.enrolled),
        Event::RequestCreate(create) => format!(
            "request {} for {}: {}",
            create.id,
            create.document.datasets.join(", "),
            create.document.reason
        ),
        Event::RequestDeny(deny) if deny.policies.is_empty() => format!("request refused: {}", deny.code),
        Event::RequestDeny(deny) => format!("request refused: {} by {}", deny.code, deny.policies.join(", ")),
        Event::RequestEnd { id, cancelled: true, .. } => format!("request {id} cancelled"),
        Event::RequestEnd { id, .. } => format!("request {id} expired"),
        Event::RequestEscalate { id, .. } => format!("request {id} escalated: nobody has decided"),
        Event::BreakglassOpen(open) => match &open.ticket {
            Some(ticket) => format!("the glass is broken for request {} ({ticket}): {}", open.id, open.reason),
            None => format!("the glass is broken for request {}: {}", open.id, open.reason),
        },
        Event::Review(review) if review.afterwards => {
            let verdict = if review.verdict == Verdict::Approve {
                "accepted"
            } else {
                "rejected"
            };
            format!(
                "request {}, an emergency, {verdict} afterwards by {}: {}",
                review.id, review.subject, review.reason
            )
        }
        Event::Review(review) => match review.verdict {
            Verdict::Approve => format!("request {} approved by {}: {}", review.id, review.subject, review.reason),
            Verdict::Reject => format!("request {} rejected by {}: {}", review.id, review.subject, review.reason),
        },
        Event::GrantIssue { id, standing: true, .. } => format!("request {id} is a standing grant from here on"),
        Event::GrantIssue { id, .. } => format!("request {id} may be fetched, once"),
        Event::GrantTake {
            id,
            used_for: Some(used_for),
            ..
        } => format!("standing grant {id} used for request {used_for}"),
        Event::GrantTake { id, .. } => format!("grant of request {id} taken"),
        Event::GrantEnd {
            id, revoked: true, reason, ..
        } => format!("grant of request {id} revoked: {reason}"),
        Event::GrantEnd { id, .. } => format!("grant of request {id} expired"),
        Event::Intent(intent) => format!(
            "fetch {} reads {} for request {}",
            intent.fetch,
            intent.datasets.join(", "),
            intent.request
        ),
        Event::Progress { rows, bytes, .. } => format!("{rows} rows, {bytes} bytes have left"),
        Event::Outcome(outcome) => format!("delivery {}: {} rows, {} bytes", outcome.end, outcome.rows, outcome.bytes),
        Event::Ack { id, .. } => format!("client holds the bytes of request {id}"),
        Event::Erase(erase) => format!("the records of {} are erased: {}", erase.subject, erase.reason),
        Event::Dispose(dispose) => format!(
            "{} bodies and {} recordings have been kept long enough and are disposed of",
            dispose.bodies_count, dispose.recordings_count
        ),
        Event::AuditRead { entries, .. } => format!("{entries} entries read"),
        Event::AuditExport { from, to, level, .. } => format!("entries {from} to {to} exported at level {level}"),
        Event::KeyRotate(rotation) => format!("the log's key is `{}` from here on", rotation.to().to_text()),
        Event::Anchor(observed) => match observed.kind {
            AnchorKind::Rfc3161 => format!("entries before {} have a time stamp", observed.size),
            AnchorKind::Witness => format!("witnesses vouch for the entries before {}", observed.size),
        },
    }
}

fn head(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
