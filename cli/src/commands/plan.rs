//! `chunkctl plan`: what would a fetch do? Nothing is released, nothing is asked of anybody.

use chunk_wire::fetch::{PlanAnswer, PlanRequest, RequestDocument};
use clap::{ArgGroup, Args};

use crate::commands::query::{self, FormatArg, SliceArgs, StandingArgs, WindowArgs};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Facts;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dataset", "sql"])))]
pub(crate) struct PlanArgs {
    /// Dataset to slice.
    dataset: Option<String>,
    /// One SELECT over datasets, instead of a slice; it sees masked values only.
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    #[command(flatten)]
    query: SliceArgs,
    /// Encoding of the result.
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Why you would ask; policy may decide by it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Ticket this belongs to.
    #[arg(long)]
    ticket: Option<String>,
    /// As `break-glass` would ask: in an emergency, without approval beforehand.
    #[arg(long)]
    break_glass: bool,
    #[command(flatten)]
    standing: StandingArgs,
    #[command(flatten)]
    window: WindowArgs,
    /// Also say what would run where.
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(cx: &Context<'_>, args: &PlanArgs) -> Result<()> {
    let asked = PlanRequest {
        query: args.query.query(args.dataset.as_deref(), args.sql.as_deref())?,
        format: query::format(args.format, None),
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        break_glass: args.break_glass,
        standing: args.standing.asked()?,
        window: args.window.asked(figures::now_ms())?,
    };
    cx.with_session(async |session| {
        let answer: PlanAnswer = session
            .post(&["v1", "plans"], &asked)
            .await
            .map_err(|failure| hint(failure, args))?;
        cx.ui.event("plan", &answer)?;
        if answer.decision == "denied" {
            return Err(denied(&answer, args.dataset.as_deref()));
        }
        if !cx.ui.is_json() {
            cx.ui.answer(&show(&answer, args.verbose, figures::now_ms()))?;
        }
        let what = args.dataset.clone().unwrap_or_else(|| "--sql …".into());
        cx.ui.next(&format!("chunkctl fetch {what} --reason …"));
        Ok(())
    })
}

/// A denial, with what determined it.
pub(crate) fn denied(answer: &PlanAnswer, dataset: Option<&str>) -> Failure {
    let mut failure = Failure::no("denied", "policy denies this");
    failure.why.extend(answer.reasons.iter().cloned());
    if !answer.policies.is_empty() {
        failure.why.push(format!("determined by policy {}", answer.policies.join(", ")));
    }
    failure.hint(dataset.map_or_else(|| "chunkctl datasets".to_owned(), |dataset| format!("chunkctl describe {dataset}")))
}

fn hint(failure: Failure, args: &PlanArgs) -> Failure {
    match &args.dataset {
        Some(dataset) if failure.code == "invalid_sql" => failure.hint(format!("chunkctl describe {dataset}")),
        _ => failure.hint("chunkctl datasets"),
    }
}

fn show(answer: &PlanAnswer, verbose: bool, now_ms: i64) -> String {
    let mut facts = Facts::new();
    let decision = match (answer.decision.as_str(), answer.quorum) {
        ("allowed", 0) => "allowed: no approval is needed".to_owned(),
        ("allowed", _) => "allowed: approved before, with the standing grant".to_owned(),
        ("needs_approval", 1) => "needs the approval of 1 person".to_owned(),
        ("needs_approval", n) => format!("needs the approval of {n} people"),
        (other, _) => other.to_owned(),
    };
    facts.add("decision", decision);
    facts.add(
        "by policy",
        if answer.policies.is_empty() {
            "-".into()
        } else {
            answer.policies.join(", ")
        },
    );
    if !answer.stages.is_empty() {
        facts.add("in stages", query::stages(&answer.stages));
    }
    if let Some(escalation) = &answer.escalation {
        facts.add("escalated", query::escalation(escalation));
    }
    if let Some(standing) = &answer.standing {
        facts.add("standing grant", format!("{}: {}", standing.request, query::left(standing, now_ms)));
    }
    let document = answer
        .document
        .as_deref()
        .and_then(|text| serde_json::from_str::<RequestDocument>(text).ok());
    if let Some(terms) = document.as_ref().and_then(|document| document.standing) {
        facts.add("asks for", format!("a standing grant: {}", query::terms(&terms)));
    }
    if let Some(window) = document.and_then(|document| document.window) {
        facts.add("to be fetched", query::window(&window));
    }
    facts.add(
        "rows",
        answer
            .rows_estimated
            .map_or_else(|| "not known beforehand".into(), |n| format!("about {}", figures::count(n))),
    );
    facts.add(
        "read at source",
        answer
            .bytes_estimated
            .map_or_else(|| "not known beforehand".into(), |n| format!("about {}", figures::bytes(n))),
    );
    if verbose && let Some(digest) = &answer.digest {
        facts.add("digest", digest);
    }
    let mut out = format!("{}\n{}", facts.render(), super::describe::columns(&answer.columns));
    if verbose && !answer.explain.is_empty() {
        out.push('\n');
        for line in &answer.explain {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use chunk_wire::catalog::ColumnView;

    use super::*;

    #[test]
    fn a_plan_answers_what_who_and_how_much() {
        let column = |name: &str, class: Option<&str>, mask: &str| ColumnView {
            name: name.into(),
            data_type: "Utf8".into(),
            nullable: class.is_some(),
            class: class.map(Into::into),
            mask: mask.into(),
        };
        let answer = PlanAnswer {
            decision: "needs_approval".into(),
            policies: vec!["analysts".into()],
            reasons: vec![],
            columns: vec![column("order_id", None, "open"), column("email", Some("pii.email"), "tokenize")],
            rows_estimated: Some(12_345),
            bytes_estimated: None,
            quorum: 2,
            stages: vec![],
            escalation: None,
            explain: vec!["source: SELECT order_id, email FROM orders".into()],
            document: None,
            digest: None,
            standing: None,
        };
        insta::assert_snapshot!(show(&answer, true, 0), @r"
        decision        needs the approval of 2 people
        by policy       analysts
        rows            about 12,345
        read at source  not known beforehand

        COLUMN    TYPE   CLASS      YOU SEE
        order_id  Utf8   -          as it is
        email     Utf8?  pii.email  tokenize

        source: SELECT order_id, email FROM orders
        ");
    }
}
