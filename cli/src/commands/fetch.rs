//! `chunkctl fetch`: the main job, from a question to a file with its receipt.
//!
//! Ask, sign, wait, receive, verify, and only then name the file. A file that has its name has been checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::receipt::ReceiptStory;
use chunk_wire::fetch::{
    Acknowledge, INTENT_HEADER, PlanAnswer, PlanRequest, Query, REQUEST_PAYLOAD_TYPE, RequestDocument, RequestState, RequestView,
    SubmitRequest,
};
use chunk_wire::id::RequestId;
use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::args::words;
use crate::client::session::Session;
use crate::client::{connection, read_bytes};
use crate::commands::approval_wait::{self, Patience};
use crate::commands::query::{self, FormatArg, SliceArgs};
use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::memory::Memory;
use crate::proof::{self, Believed};
use crate::sink::{Arrived, Sink, Target, receipt_path};
use crate::{document, figures, progress, text};

/// Arguments of `fetch`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dataset", "sql", "request"])))]
pub(crate) struct FetchArgs {
    /// Dataset to slice.
    pub(crate) dataset: Option<String>,
    /// One SELECT over datasets, instead of a slice; it sees masked values only.
    #[arg(long, value_name = "SQL")]
    pub(crate) sql: Option<String>,
    #[command(flatten)]
    pub(crate) query: SliceArgs,
    /// Why you need it. Reviewers and auditors read it.
    #[arg(long, value_name = "TEXT", value_parser = words, required_unless_present = "request", conflicts_with = "request")]
    reason: Option<String>,
    /// Ticket this belongs to.
    #[arg(long, conflicts_with = "request")]
    ticket: Option<String>,
    /// Encoding; without it, what the file's name says, or Parquet.
    #[arg(long, value_enum, conflicts_with = "request")]
    format: Option<FormatArg>,
    /// File to write, or `-` for standard output. ./DATASET.parquet without it.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Wait for approval at most this long (`90s`, `10m`, `1h30m`).
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    wait: Option<Duration>,
    /// Do not wait for approval.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// Go on with a request that was made before.
    #[arg(long, value_name = "ID")]
    request: Option<RequestId>,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

/// One delivery to be received.
struct Delivery<'a> {
    cx: &'a Context<'a>,
    session: &'a Session<'a>,
    view: RequestView,
    target: Target,
    force: bool,
    believed: Believed,
    /// The command that goes on after a cut.
    pick_up: String,
}

#[derive(Serialize)]
struct Started<'a> {
    request: &'a str,
    intent: Option<u64>,
}

#[derive(Serialize)]
struct Done<'a> {
    request: &'a str,
    digest: &'a str,
    path: Option<String>,
    receipt: String,
    format: &'a str,
    rows: u64,
    bytes: u64,
    sha256: &'a str,
    intent: u64,
    outcome: u64,
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
    match &args.request {
        Some(id) => go_on(cx, args, id, patience),
        None => ask(cx, args, patience),
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
    };
    let target = Target::choose(args.output.as_deref(), name_of(&asked.query), format);
    target.check(args.force, format)?;
    cx.with_session(async |session| {
        let believed = Believed::pinned(cx)?;
        let answer: PlanAnswer = session
            .post(&["v1", "plans"], &asked)
            .await
            .map_err(|failure| plan_hint(failure, args))?;
        if answer.decision == "denied" || (answer.document.is_none() && !answer.reasons.is_empty()) {
            return Err(super::plan::denied(&answer, args.dataset.as_deref()));
        }
        let me = session.person();
        let (text, _) = document::check_planned(&answer, &asked, &me, session.key().thumbprint(), figures::now_ms())?;
        let body = SubmitRequest {
            envelope: session.key().sign(REQUEST_PAYLOAD_TYPE, text.as_bytes()),
        };
        let view: RequestView = session.post(&["v1", "requests"], &body).await?;
        if view.document != text {
            return Err(
                Failure::no("document_mismatch", "the broker took another document than the one that was signed")
                    .hint(format!("chunkctl request cancel {}", view.id)),
            );
        }
        cx.ui.event("request", &view)?;
        let pick_up = pick_up(&view.id, &target);
        let view = approval_wait::until_deliverable(cx.ui, session, view, patience, &pick_up).await?;
        Delivery {
            cx,
            session,
            view,
            target,
            force: args.force,
            believed,
            pick_up,
        }
        .receive()
        .await
    })
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
        target.check(args.force, document.format)?;
        cx.ui.event("request", &view)?;
        let pick_up = pick_up(id, &target);
        let view = approval_wait::until_deliverable(cx.ui, session, view, patience, &pick_up).await?;
        let delivery = Delivery {
            cx,
            session,
            view,
            target,
            force: args.force,
            believed,
            pick_up,
        };
        if delivery.view.state == RequestState::Completed {
            delivery.confirm_aside().await
        } else {
            delivery.receive().await
        }
    })
}

impl Delivery<'_> {
    /// Receives the bytes, checks them against their receipt, and names the file.
    async fn receive(self) -> Result<()> {
        let id = self.view.id.as_str();
        let call = self.session.broker.post(&["v1", "requests", id, "chunks", "0"]).stream("*/*");
        let mut sink = Sink::open(&self.target)?;
        let bar = progress::delivery(self.cx.ui);
        let mut started = false;
        let body = async {
            let mut response = self.session.send(&call).await?;
            started = true;
            let intent = response
                .headers()
                .get(INTENT_HEADER)
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.parse().ok());
            self.cx.ui.event("fetch.started", &Started { request: id, intent })?;
            while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
                sink.write(&part)?;
                bar.inc(part.len() as u64);
            }
            Ok(())
        };
        let ended = tokio::select! {
            ended = body => ended,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the delivery was interrupted")),
        };
        bar.finish_and_clear();
        if let Err(failure) = ended {
            // Dropping the sink removes the temporary file: half a delivery is none.
            return Err(if started {
                self.was_cut(failure).await
            } else {
                self.not_begun(failure)
            });
        }
        let arrived = sink.finish()?;
        match self.receipt().await {
            Ok(text) => self.conclude(arrived, &text).await,
            Err(failure) => Err(self.keep_unverified(arrived, failure)?),
        }
    }

    /// What to say when no byte came: the broker's answer stands, and what could not be told can be asked again.
    fn not_begun(&self, failure: Failure) -> Failure {
        let may_go_on = failure.exit == Exit::CannotTell;
        failure.hint(if may_go_on {
            self.pick_up.clone()
        } else {
            format!("chunkctl request show {}", self.view.id)
        })
    }

    /// What to say of a stream that was cut: the broker's own record of it, if it still tells.
    async fn was_cut(&self, failure: Failure) -> Failure {
        let id = self.view.id.as_str();
        let now: Result<RequestView> = self.session.get(&["v1", "requests", id]).await;
        let failure = Failure {
            exit: Exit::CannotTell,
            ..failure
        };
        match now {
            Ok(now) if now.state == RequestState::Revoked => {
                Failure::no("revoked", format!("request {id} was revoked while it was delivered"))
                    .why("nothing of it was kept")
                    .hint(format!("chunkctl request show {id}"))
            }
            Ok(now) => {
                let end = now.deliveries.last().and_then(|delivery| delivery.end.as_deref());
                let failure = match end {
                    Some(end) => failure.why(format!("the broker recorded `{end}`; the request is now {}", now.state.as_str())),
                    None => failure.why("nothing of it was kept"),
                };
                if now.state.is_final() {
                    failure.hint(format!("chunkctl request show {id}"))
                } else {
                    failure.hint(&self.pick_up)
                }
            }
            Err(_) => failure.why("nothing of it was kept").hint(&self.pick_up),
        }
    }

    /// The receipt of the completed delivery. The bytes are here already, so a short outage is worth waiting out.
    async fn receipt(&self) -> Result<String> {
        const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];
        let call = self
            .session
            .broker
            .get(&["v1", "requests", self.view.id.as_str(), "receipt"])
            .query("chunk", "0");
        let mut pauses = PAUSES.iter();
        let bytes = loop {
            let answer = match self.session.send(&call).await {
                Ok(response) => read_bytes(response).await,
                Err(failure) => Err(failure),
            };
            match (answer, pauses.next()) {
                (Ok(bytes), _) => break bytes,
                (Err(failure), Some(pause)) if failure.exit == Exit::CannotTell => {
                    drop(failure);
                    tokio::time::sleep(*pause).await;
                }
                (Err(failure), _) => return Err(failure),
            }
        };
        String::from_utf8(bytes).map_err(|_| Failure::no("evidence_false", "this is not a receipt"))
    }

    /// Checks everything that can be checked, then names the file.
    async fn conclude(self, arrived: Arrived, text: &str) -> Result<()> {
        let story = match self.check(&arrived.sha256, arrived.bytes, text).await {
            Ok(story) => story,
            Err(failure) if failure.exit == Exit::CannotTell => return Err(self.keep_unverified(arrived, failure)?),
            Err(failure) => return Err(failure.why("the bytes were not kept")),
        };
        let receipt = self.store_receipt(text)?;
        arrived.place(self.force)?;
        self.done(&story, &receipt).await
    }

    /// Names a file that an earlier run could not confirm.
    async fn confirm_aside(self) -> Result<()> {
        let aside = match &self.target {
            Target::File(path) => Arrived::from_aside(path)?.map(|found| (found, path.clone())),
            Target::Stdout => None,
        };
        let id = &self.view.id;
        let Some(((aside, sha256, bytes), path)) = aside else {
            return Err(Failure::no("wrong_state", format!("request {id} was delivered already"))
                .why("a request is good for one delivery; ask anew for another")
                .hint(format!("chunkctl request show {id}")));
        };
        let text = self.receipt().await?;
        let story = self.check(&sha256, bytes, &text).await?;
        let receipt = self.store_receipt(&text)?;
        std::fs::rename(&aside, &path).map_err(|error| Failure::file("name the file", &path, &error))?;
        self.done(&story, &receipt).await
    }

    /// The receipt must hold, be about this very request, and lead to a log that continues the one seen before.
    async fn check(&self, sha256: &str, bytes: u64, text: &str) -> Result<ReceiptStory> {
        let receipt = proof::read_receipt(text)?;
        let story = self.believed.verify(&receipt, sha256, bytes)?;
        if story.request != self.view.id.as_str() || story.digest != self.view.digest {
            return Err(Failure::no("evidence_false", "the receipt is of another request").why(format!("it is of {}", story.request)));
        }
        let signed =
            SignedCheckpoint::parse(&receipt.checkpoint).map_err(|_| Failure::no("evidence_false", "the receipt holds no checkpoint"))?;
        let key = self.believed.keys.iter().find(|key| key.to_text() == story.log_key);
        let key = key.ok_or_else(|| Failure::bug("a verified receipt names an unknown key"))?;
        Memory::new(&self.cx.paths.state, key)
            .observe(&self.session.broker, &signed)
            .await?;
        Ok(story)
    }

    /// Bytes that came whole but could not be confirmed are not thrown away: the grant is spent.
    fn keep_unverified(&self, arrived: Arrived, failure: Failure) -> Result<Failure> {
        let failure = Failure {
            exit: Exit::CannotTell,
            ..failure
        };
        Ok(match arrived.set_aside()? {
            Some(path) => failure
                .why(format!(
                    "all bytes came, but no receipt could be checked; they are kept as `{}`",
                    path.display()
                ))
                .hint(&self.pick_up),
            None => failure.why("all bytes came, but no receipt could be checked"),
        })
    }

    fn store_receipt(&self, text: &str) -> Result<PathBuf> {
        let path = match &self.target {
            Target::File(path) => receipt_path(path),
            Target::Stdout => self.cx.paths.state.join("receipts").join(format!("{}.0.receipt", self.view.id)),
        };
        match &self.target {
            Target::File(_) => {
                let mut sink = Sink::open(&Target::File(path.clone()))?;
                sink.write(text.as_bytes())?;
                sink.finish()?.place(true)?;
            }
            Target::Stdout => crate::config::write_private(&path, text.as_bytes())?,
        }
        Ok(path)
    }

    async fn done(&self, story: &ReceiptStory, receipt: &Path) -> Result<()> {
        let id = self.view.id.as_str();
        let call = self.session.broker.post(&["v1", "requests", id, "ack"]).body(&Acknowledge {
            sha256: story.sha256.clone(),
        })?;
        if let Err(failure) = self.session.send(&call).await {
            // The file is here and proven; that the broker does not know of its arrival takes nothing from it.
            self.cx
                .ui
                .warn(&format!("the broker could not be told that the file arrived: {}", failure.what));
        }
        let path = match &self.target {
            Target::File(path) => Some(path.display().to_string()),
            Target::Stdout => None,
        };
        self.cx.ui.event(
            "fetch.done",
            &Done {
                request: id,
                digest: &story.digest,
                path: path.clone(),
                receipt: receipt.display().to_string(),
                format: &story.format,
                rows: story.rows,
                bytes: story.bytes,
                sha256: &story.sha256,
                intent: story.intent,
                outcome: story.outcome,
            },
        )?;
        let to = path
            .as_ref()
            .map_or_else(|| "standard output".to_owned(), |path| format!("`{path}`"));
        self.cx.ui.say(&format!(
            "Fetched {} ({}) to {to}.",
            figures::plural(story.rows, "row"),
            figures::bytes(story.bytes)
        ));
        self.cx
            .ui
            .say(&format!("The receipt holds, and is kept in `{}`.", receipt.display()));
        if let Some(path) = path {
            self.cx.ui.next(&format!("chunkctl verify {}", text::shell(&path)));
        }
        Ok(())
    }
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

fn plan_hint(failure: Failure, args: &FetchArgs) -> Failure {
    match &args.dataset {
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
