//! `chunkctl fetch`: the main job, from a question to a file with its receipt.
//!
//! Ask, sign, wait, receive, verify, and only then name the file. A file that has its name has been checked.

mod chunks;
mod delivery;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_wire::fetch::{
    PlanAnswer, PlanRequest, Query, REQUEST_HEADER, REQUEST_PAYLOAD_TYPE, RequestDocument, RequestState, RequestView, SubmitQuery,
    SubmitRequest,
};
use chunk_wire::id::RequestId;
use clap::{ArgGroup, Args};
use reqwest::Response;

use crate::args::words;
use crate::client::read_json;
use crate::client::session::Session;
use crate::commands::approval_wait::{self, Patience};
use crate::commands::query::{self, FormatArg, SliceArgs, StandingArgs, WindowArgs};
use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::proof::Believed;
use crate::sink::Target;
use crate::staging::Staging;
use crate::{document, figures, text};

use self::delivery::Delivery;

/// Arguments of `fetch`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dataset", "sql", "request", "resume"])))]
pub(crate) struct FetchArgs {
    /// Dataset to slice.
    pub(crate) dataset: Option<String>,
    /// One SELECT over datasets, instead of a slice; it sees masked values only.
    #[arg(long, value_name = "SQL")]
    pub(crate) sql: Option<String>,
    #[command(flatten)]
    pub(crate) query: SliceArgs,
    /// Why you need it. Reviewers and auditors read it.
    #[arg(long, value_name = "TEXT", value_parser = words, required_unless_present_any = ["request", "resume"], conflicts_with_all = ["request", "resume"])]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) standing: StandingArgs,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    /// Ticket this belongs to.
    #[arg(long, conflicts_with = "request")]
    pub(crate) ticket: Option<String>,
    /// Encoding; without it, what the file's name says, or Parquet.
    #[arg(long, value_enum, conflicts_with = "request")]
    pub(crate) format: Option<FormatArg>,
    /// File to write, or `-` for standard output. ./DATASET.parquet without it.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Wait for approval at most this long (`90s`, `10m`, `1h30m`).
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub(crate) wait: Option<Duration>,
    /// Do not wait for approval.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// Go on with a request that was made before.
    #[arg(long, value_name = "ID")]
    pub(crate) request: Option<RequestId>,
    /// Go on with the chunks of a large result that are here, beside what `--output` names.
    #[arg(long, requires = "output")]
    pub(crate) resume: bool,
    /// Chunks of a large result to receive at once. Parquet and Arrow of many chunks come as a folder with a file each.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) parallel: u8,
    /// Overwrite the file.
    #[arg(long)]
    pub(crate) force: bool,
    /// In an emergency: what `break-glass` sets, and nothing that can be typed.
    #[arg(skip)]
    pub(crate) break_glass: bool,
}

pub(crate) fn run(cx: &Context<'_>, args: &FetchArgs) -> Result<()> {
    if args.output.as_deref() == Some(Path::new("-")) {
        cx.ui.give_stdout_to_data();
    }
    let patience = match (args.wait, args.no_wait) {
        (_, true) => Patience::None,
        (Some(limit), false) => Patience::Limited(limit),
        (None, false) => Patience::Unlimited,
    };
    if patience == Patience::None && cx.keeps_nothing() {
        return Err(Failure::usage("`--no-wait` needs a session that is kept")
            .why("the session is in memory only: the key that signs the request ends with this command")
            .why("only that key may fetch what is approved, so nobody could pick the request up")
            .hint(cx.login_to_keep()));
    }
    match (&args.request, &args.output) {
        (Some(id), _) => go_on(cx, args, id, patience),
        (None, Some(path)) if args.resume => match Staging::waiting_for(path)? {
            Some(id) => go_on(cx, args, &id, patience),
            None => Err(Failure::usage(format!("there are no chunks of `{}` to go on with", path.display()))
                .why("a result that came in one piece, or of which nothing came, is fetched with `--request`")
                .hint("chunkctl requests --mine")),
        },
        _ => ask(cx, args, patience),
    }
}

/// A new request.
fn ask(cx: &Context<'_>, args: &FetchArgs, patience: Patience) -> Result<()> {
    let format = query::format(args.format, args.output.as_deref());
    let asked = PlanRequest {
        query: args.query.query(args.dataset.as_deref(), args.sql.as_deref())?,
        format,
        reason: args.reason.clone().unwrap_or_default(),
        ticket: args.ticket.clone(),
        break_glass: args.break_glass,
        standing: args.standing.asked()?,
        window: args.window.asked(figures::now_ms())?,
    };
    let target = Target::choose(args.output.as_deref(), name_of(&asked.query), format);
    target.check_with_receipt(args.force, format)?;
    cx.with_session(async |session| {
        let believed = Believed::pinned(cx)?;
        let (view, first) = submit(cx, session, &asked).await?;
        let (view, pick_up, first) = match first {
            Some(first) => {
                let pick_up = pick_up(&view.id, &target);
                (view, pick_up, Some(first))
            }
            None => until_deliverable(cx, session, view, asked, &target, patience).await?,
        };
        Delivery {
            cx,
            session,
            view,
            target,
            force: args.force,
            believed,
            pick_up,
            format,
            parallel: args.parallel.into(),
        }
        .receive(first)
        .await
    })
}

/// Plans, checks that the document is what was asked for, signs it and submits it. What needs nobody's approval and is not large begins to be
/// delivered at once.
async fn submit(cx: &Context<'_>, session: &Session<'_>, asked: &PlanRequest) -> Result<(RequestView, Option<Response>)> {
    let dataset = name_of(&asked.query);
    let answer: PlanAnswer = session
        .post(&["v1", "plans"], asked)
        .await
        .map_err(|failure| plan_hint(failure, dataset))?;
    if answer.decision == "denied" || (answer.document.is_none() && !answer.reasons.is_empty()) {
        return Err(super::plan::denied(&answer, dataset));
    }
    let me = session.person();
    let (text, document) = document::check_planned(&answer, asked, &me, session.key().thumbprint(), figures::now_ms())?;
    if let Some(standing) = &answer.standing {
        let left = query::left(standing, figures::now_ms());
        cx.ui.say(&match document.under {
            Some(_) => format!("Standing grant {} is used: {left}.", standing.request),
            None => format!("Standing grant {} has carried all it may, so this is asked anew.", standing.request),
        });
    }
    let body = SubmitRequest {
        envelope: session.key().sign(REQUEST_PAYLOAD_TYPE, text.as_bytes()),
    };
    let at_once = SubmitQuery {
        deliver: answer.decision == "allowed"
            && !asked.break_glass
            && asked.window.is_none()
            && answer.rows_estimated.is_some_and(|rows| rows <= AT_ONCE_ROWS_MAX),
    };
    let call = session.broker.post(&["v1", "requests"]).query_of(&at_once)?.body(&body)?;
    let call = if at_once.deliver { call.stream("*/*") } else { call };
    let response = session.send(&call).await?;
    let request = response
        .headers()
        .get(REQUEST_HEADER)
        .map(|value| value.to_str().unwrap_or_default().parse::<RequestId>());
    let (view, first): (RequestView, _) = match request {
        Some(Ok(id)) => (session.get(&["v1", "requests", id.as_str()]).await?, Some(response)),
        Some(Err(_)) => {
            return Err(Failure::cannot_tell(
                "unexpected_answer",
                "the broker delivers for a request without a name",
            ));
        }
        None => (read_json(response).await?, None),
    };
    if view.document != text {
        return Err(
            Failure::no("document_mismatch", "the broker took another document than the one that was signed")
                .hint(format!("chunkctl request cancel {}", view.id)),
        );
    }
    cx.ui.event("request", &view)?;
    Ok((view, first))
}

/// Whatever is larger may come in chunks, which one answer cannot hold.
const AT_ONCE_ROWS_MAX: u64 = 100_000;

/// Waits until a request may be delivered, and gives it with the command that picks it up; where what was approved is a standing grant,
/// its first use.
async fn until_deliverable(
    cx: &Context<'_>,
    session: &Session<'_>,
    view: RequestView,
    asked: PlanRequest,
    target: &Target,
    patience: Patience,
) -> Result<(RequestView, String, Option<Response>)> {
    let pick_up = pick_up(&view.id, target);
    let view = approval_wait::until_deliverable(cx.ui, session, view, patience, &pick_up).await?;
    approval_wait::until_its_time(cx.ui, &view, patience, &pick_up).await?;
    match view.standing {
        Some(_) => first_use(cx, session, &view, asked, target).await,
        None => Ok((view, pick_up, None)),
    }
}

/// The first delivery under a standing grant that was just given.
async fn first_use(
    cx: &Context<'_>,
    session: &Session<'_>,
    grant: &RequestView,
    asked: PlanRequest,
    target: &Target,
) -> Result<(RequestView, String, Option<Response>)> {
    if grant.state != RequestState::Approved {
        return Err(
            Failure::no("wrong_state", format!("standing grant {} is {}", grant.id, grant.state.as_str()))
                .hint(format!("chunkctl request show {}", grant.id)),
        );
    }
    let once = PlanRequest { standing: None, ..asked };
    let (view, first) = submit(cx, session, &once).await?;
    let pick_up = pick_up(&view.id, target);
    if first.is_none() && view.state == RequestState::Pending {
        return Err(Failure::new(
            Exit::Pending,
            "approval_pending",
            format!(
                "standing grant {} cannot be used for this, so request {} waits for approval",
                grant.id, view.id
            ),
        )
        .hint(pick_up));
    }
    Ok((view, pick_up, first))
}

/// A request that was made before.
fn go_on(cx: &Context<'_>, args: &FetchArgs, id: &RequestId, patience: Patience) -> Result<()> {
    if !args.query.is_empty() {
        return Err(Failure::usage("a request that was made before cannot be changed")
            .why("`--columns`, `--where`, `--order-by` and `--limit` are for a new one")
            .hint(format!("chunkctl request show {id}")));
    }
    cx.with_session(async |session| {
        let believed = Believed::pinned(cx)?;
        let view: RequestView = session
            .get(&["v1", "requests", id.as_str()])
            .await
            .map_err(|failure| failure.hint("chunkctl requests --mine"))?;
        if view.id != *id {
            return Err(Failure::no(
                "document_mismatch",
                "the broker showed another request than the one that was named",
            ));
        }
        let document: RequestDocument = document::check_shown(&view)?;
        let target = Target::choose(args.output.as_deref(), name_of(&document.query), document.format);
        target.check_with_receipt(args.force, document.format)?;
        cx.ui.event("request", &view)?;
        let (view, pick_up, first) = until_deliverable(cx, session, view, document.asked(), &target, patience).await?;
        let delivery = Delivery {
            cx,
            session,
            view,
            target,
            force: args.force,
            believed,
            pick_up,
            format: document.format,
            parallel: args.parallel.into(),
        };
        if delivery.view.state == RequestState::Completed && !delivery.has_begun()? {
            delivery.confirm_aside().await
        } else {
            delivery.receive(first).await
        }
    })
}

fn name_of(query: &Query) -> Option<&str> {
    match query {
        Query::Slice { dataset, .. } => Some(dataset),
        Query::Sql { .. } => None,
    }
}

fn pick_up(id: &RequestId, target: &Target) -> String {
    format!("chunkctl fetch --request {id} -o {}", text::shell(&target.typed()))
}

fn plan_hint(failure: Failure, dataset: Option<&str>) -> Failure {
    match dataset {
        Some(dataset) if failure.exit == Exit::Usage => failure.hint(format!("chunkctl describe {dataset}")),
        _ => failure.hint("chunkctl datasets"),
    }
}

#[cfg(test)]
mod tests {
    use chunk_wire::fetch::Format;

    use super::*;

    #[test]
    fn a_fetch_can_always_be_picked_up_where_it_was_left() {
        let id = RequestId::from_random([0; 10]);
        assert_eq!(pick_up(&id, &Target::Stdout), "chunkctl fetch --request req_0000000000000000 -o -");
        let target = Target::choose(None, Some("orders"), Format::Csv);
        assert_eq!(pick_up(&id, &target), "chunkctl fetch --request req_0000000000000000 -o orders.csv");
    }
}
