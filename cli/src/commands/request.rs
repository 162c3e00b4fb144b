//! `chunkctl request show|cancel`: one request, whole, as a reviewer must be able to read it.

use chunk_wire::fetch::{RequestDocument, RequestView};
use chunk_wire::id::RequestId;
use chunk_wire::review::{Verdict, Withdraw};
use clap::{Args, Subcommand};

use crate::commands::query;
use crate::context::Context;
use crate::document;
use crate::error::Result;
use crate::figures;
use crate::output::{Facts, Table};

/// Arguments of `request`.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(subcommand)]
    command: RequestCommand,
}

#[derive(Debug, Subcommand)]
enum RequestCommand {
    /// Show one request whole.
    Show {
        /// Request.
        id: RequestId,
    },
    /// Withdraw your own request.
    Cancel {
        /// Request.
        id: RequestId,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
    },
}

pub(crate) fn run(cx: &Context<'_>, args: &RequestArgs) -> Result<()> {
    cx.with_session(async |session| match &args.command {
        RequestCommand::Show { id } => {
            let view: RequestView = session
                .get(&["v1", "requests", id.as_str()])
                .await
                .map_err(|failure| failure.hint("chunkctl requests --all"))?;
            let document = document::check_shown(&view)?;
            if cx.ui.is_json() {
                return cx.ui.event("request", &view);
            }
            cx.ui.answer(&show(&view, &document, figures::now_ms()))
        }
        RequestCommand::Cancel { id, reason } => {
            let view: RequestView = session
                .post(&["v1", "requests", id.as_str(), "cancel"], &Withdraw { reason: reason.clone() })
                .await?;
            cx.ui.event("request", &view)?;
            cx.ui.say(&format!("Request {id} is {}.", view.state.as_str()));
            Ok(())
        }
    })
}

/// Who, what exactly, how much, what is masked, why, and what others said: on one screen.
pub(crate) fn show(view: &RequestView, document: &RequestDocument, now_ms: i64) -> String {
    let mut out = facts(view, document, now_ms).render();
    for table in [columns(document), reviews(view), deliveries(view)] {
        if !table.is_empty() {
            out.push('\n');
            out.push_str(&table.render());
        }
    }
    out
}

/// Who, what exactly, how much, and why.
pub(crate) fn facts(view: &RequestView, document: &RequestDocument, now_ms: i64) -> Facts {
    let mut facts = Facts::new();
    facts.add("request", view.id.as_str());
    let expires = if view.state.is_final() {
        String::new()
    } else {
        format!(", expires {}", figures::from_now(view.expires_ms, now_ms))
    };
    let missing = if view.approvals_missing > 0 && !view.state.is_final() {
        format!(", {} more to approve", view.approvals_missing)
    } else {
        String::new()
    };
    facts.add("state", format!("{}{missing}{expires}", view.state.as_str()));
    let mail = view.requester.email.as_ref().map(|mail| format!(" <{mail}>")).unwrap_or_default();
    facts.add("asked by", format!("{}{mail}", view.requester.name));
    facts.add("", format!("{} at {}", view.requester.subject, view.requester.issuer));
    super::whoami::add_workload(&mut facts, &view.requester);
    if !view.requester.groups.is_empty() {
        facts.add("groups", view.requester.groups.join(", "));
    }
    facts.add("from", format!("{} ({})", view.host, view.ip));
    facts.add("key", &document.requester.key);
    facts.add("at", figures::time(view.created_ms));
    facts.add("why", &document.reason);
    if let Some(ticket) = &document.ticket {
        facts.add("ticket", ticket);
    }
    if document.break_glass {
        let review = if view.review_due { "not reviewed yet" } else { "reviewed" };
        facts.add("emergency", format!("nobody approved beforehand; {review}"));
    }
    if let Some(terms) = &document.standing {
        facts.add("standing", format!("asks for a standing grant: {}", query::terms(terms)));
        if let Some(left) = view.standing.as_ref().filter(|left| left.expires_ms.is_some()) {
            facts.add("", query::left(left, now_ms));
        }
    }
    if let Some(window) = &document.window {
        facts.add("when", format!("to be fetched {}", query::window(window)));
    }
    if let Some(under) = &document.under {
        facts.add("under", format!("standing grant {}", under.request));
    }
    facts.add("what", query::words(&document.query));
    facts.add(
        "reads",
        format!("{} through {}", document.datasets.join(", "), document.connections.join(", ")),
    );
    if !document.filtered.is_empty() {
        facts.add("row filter", format!("applies to {}", document.filtered.join(", ")));
    }
    facts.add(
        "rows",
        view.rows_estimated
            .map_or_else(|| "not known beforehand".into(), |n| format!("about {}", figures::count(n))),
    );
    facts.add(
        "at most",
        format!(
            "{}, {}, {}, as {}",
            figures::plural(document.budget.rows, "row"),
            figures::bytes(document.budget.bytes),
            figures::duration(std::time::Duration::from_secs(u64::from(document.budget.duration_s))),
            document.format.as_str()
        ),
    );
    facts.add(
        "quorum",
        if document.quorum == 0 {
            "nobody".into()
        } else if document.quorum == 1 {
            "1 person".into()
        } else {
            format!("{} people", document.quorum)
        },
    );
    // Whose approvals it takes is as signed; how many there are is the broker's to tell.
    for (number, stage) in document.stages.iter().enumerate() {
        let told = view.stages.get(number);
        let given = told.map_or(0, |told| told.approvals);
        let turn = if told.is_some_and(|told| told.turn) {
            ", whose turn it is"
        } else {
            ""
        };
        let name = if number == 0 { "stages" } else { "" };
        facts.add(name, format!("{given} of {} of {}{turn}", stage.quorum, query::reviewers(stage)));
    }
    if let Some(escalation) = &document.escalation {
        let told = match view.escalated_ms {
            Some(at_ms) => format!("since {} also to {}", figures::time(at_ms), escalation.groups.join(" or ")),
            None => query::escalation(escalation),
        };
        facts.add("escalated", told);
    }
    facts.add("policy", &document.policy);
    facts.add("digest", &view.digest);
    facts
}

/// Every column read, and what is done to its values.
pub(crate) fn columns(document: &RequestDocument) -> Table {
    let mut columns = Table::new(&["column", "class", "they see"]);
    for column in &document.columns {
        let name = if document.datasets.len() > 1 {
            format!("{}.{}", column.dataset, column.name)
        } else {
            column.name.clone()
        };
        columns.row([
            &name,
            column.class.as_deref().unwrap_or("-"),
            if column.mask == "open" { "as it is" } else { &column.mask },
        ]);
    }
    columns
}

/// What others said.
pub(crate) fn reviews(view: &RequestView) -> Table {
    let mut reviews = Table::new(&["verdict", "by", "at", "why"]);
    for review in &view.reviews {
        let verdict = if review.verdict == Verdict::Approve {
            "approved"
        } else {
            "rejected"
        };
        reviews.row([verdict, &review.reviewer.name, &figures::time(review.time_ms), &review.reason]);
    }
    reviews
}

/// What left under it.
pub(crate) fn deliveries(view: &RequestView) -> Table {
    let mut deliveries = Table::new(&["delivery", "ended", "rows", "bytes", "sha-256"]);
    for delivery in &view.deliveries {
        deliveries.row([
            &format!("#{}", delivery.intent),
            delivery.end.as_deref().unwrap_or("not yet"),
            &figures::count(delivery.rows),
            &figures::bytes(delivery.bytes),
            delivery.sha256.as_deref().unwrap_or("-"),
        ]);
    }
    deliveries
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_screen_answers_a_reviewer_and_obeys_nobody() {
        let view: RequestView = serde_json::from_value(serde_json::json!({
            "id": "req_0123456789abcdef", "state": "pending", "digest": "d1", "document": "", "host": "laptop", "ip": "10.0.0.1",
            "requester": {"issuer": "https://i", "subject": "ada", "name": "Ada \u{1b}[31mL\u{202e}", "groups": []},
            "created_ms": 0, "expires_ms": 3_600_000, "index": 7, "rows_estimated": 1234, "approvals_missing": 1,
            "reviews": [{"verdict": "approve", "reason": "fine\nDENIED", "time_ms": 1000, "index": 8,
                "reviewer": {"issuer": "https://i", "subject": "bob", "name": "Bob", "groups": []}}],
            "deliveries": []
        }))
        .unwrap();
        let document: RequestDocument = serde_json::from_value(serde_json::json!({
            "v": 1, "query": {"kind": "slice", "dataset": "orders", "filter": "total > 1"}, "datasets": ["orders"], "connections": ["shop"],
            "columns": [{"dataset": "orders", "name": "email", "class": "pii.email", "mask": "tokenize"}, {"dataset": "orders", "name": "total", "mask": "open"}],
            "filtered": [], "row_filters": {}, "grant_s": 3600, "format": "parquet", "reason": "incident 7", "ticket": "INC-7", "policy": "00", "quorum": 2,
            "budget": {"rows": 1000, "bytes": 1048576, "duration_s": 600}, "requester": {"issuer": "https://i", "subject": "ada", "key": "k"},
            "not_after_ms": 0, "nonce": "n"
        }))
        .unwrap();
        insta::assert_snapshot!(show(&view, &document, 0), @r"
        request   req_0123456789abcdef
        state     pending, 1 more to approve, expires in 1 h
        asked by  Ada �L�
                  ada at https://i
        from      laptop (10.0.0.1)
        key       k
        at        1970-01-01 00:00:00 UTC
        why       incident 7
        ticket    INC-7
        what      all columns of orders
                  where total > 1
        reads     orders through shop
        rows      about 1,234
        at most   1,000 rows, 1.0 MiB, 10 min, as parquet
        quorum    2 people
        policy    00
        digest    d1

        COLUMN  CLASS      THEY SEE
        email   pii.email  tokenize
        total   -          as it is

        VERDICT   BY   AT                       WHY
        approved  Bob  1970-01-01 00:00:01 UTC  fine DENIED
        ");
    }
}
