//! Receiving one delivery: bytes into the sink, the receipt checked, the log's history compared, and only then a name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_evidence::receipt::ReceiptStory;
use chunk_wire::fetch::{Acknowledge, ChunkQuery, Format, INTENT_HEADER, RequestState, RequestView};
use reqwest::Response;
use serde::Serialize;

use super::chunks;
use crate::auth::vault::Storage;
use crate::client::connection;
use crate::client::session::Session;
use crate::commands::approval_wait;
use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::proof::{self, Believed};
use crate::sink::{Arrived, Aside, Sink, Target, receipt_path};
use crate::staging::{Moment, Staging};
use crate::{figures, progress, receipts, text};

/// One delivery to be received.
pub(super) struct Delivery<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) session: &'a Session<'a>,
    pub(super) view: RequestView,
    pub(super) target: Target,
    pub(super) force: bool,
    pub(super) believed: Believed,
    /// The command that goes on after a cut.
    pub(super) pick_up: String,
    pub(super) format: Format,
    /// Chunks received at once.
    pub(super) parallel: usize,
}

#[derive(Serialize)]
pub(super) struct Started<'a> {
    pub(super) request: &'a str,
    pub(super) intent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk: Option<u32>,
}

/// What came of asking for everything.
enum Came {
    /// All bytes.
    Whole,
    /// The first of several chunks begins.
    Cut(Box<(Staging, Moment, Response)>),
}

/// Index of the intent under which a delivery's bytes leave.
pub(super) fn intent_of(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(INTENT_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
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

impl Delivery<'_> {
    /// Receives the bytes, checks them against their receipt, and names the file. `first`: all of them, if they are on their way already.
    pub(super) async fn receive(self, first: Option<Response>) -> Result<()> {
        let id = self.view.id.as_str();
        if let Some(staging) = self.staging()
            && let Some(moment) = staging.moment()?
        {
            return chunks::receive(&self, &staging, moment, None).await;
        }
        let mut sink = Sink::open(&self.target)?;
        let bar = progress::delivery(self.cx.ui, &self.target);
        let mut started = false;
        let body = async {
            let (moment, mut response) = match first {
                Some(response) => (None, response),
                None => self.begin().await?,
            };
            started = true;
            if let (Some(moment), Some(staging)) = (moment, self.staging()) {
                return Ok(Came::Cut(Box::new((staging, moment, response))));
            }
            self.cx.ui.event(
                "fetch.started",
                &Started {
                    request: id,
                    intent: intent_of(&response),
                    chunk: None,
                },
            )?;
            while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
                sink.write(&part)?;
                bar.inc(part.len() as u64);
            }
            Ok(Came::Whole)
        };
        let ended = tokio::select! {
            ended = body => ended,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the delivery was interrupted")),
        };
        bar.finish_and_clear();
        match ended {
            Ok(Came::Whole) => {}
            Ok(Came::Cut(begun)) => {
                let (staging, moment, response) = *begun;
                drop(sink);
                staging.begin(&moment)?;
                return chunks::receive(&self, &staging, moment, Some(response)).await;
            }
            // Dropping the sink removes the temporary file: half a delivery is none.
            Err(failure) if started => return Err(self.was_cut(failure).await),
            Err(failure) => return Err(self.not_begun(failure)),
        }
        let arrived = sink.finish().map_err(|failure| {
            failure
                .why("the request is spent, because all bytes left the broker; ask anew for another delivery")
                .hint(format!("chunkctl request show {id}"))
        })?;
        let receipt = tokio::select! {
            receipt = self.receipt() => receipt,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the receipt was not waited for")),
        };
        match receipt {
            Ok(text) => self.conclude(arrived, &text).await,
            Err(failure) => Err(self.keep(arrived, failure)),
        }
    }

    /// Where the chunks of this request are, of a format of which each chunk is a file of its own.
    fn staging(&self) -> Option<Staging> {
        match (&self.target, self.format) {
            (Target::File(path), Format::Parquet | Format::Arrow) => Some(Staging::of(path, &self.view.id, self.format)),
            _ => None,
        }
    }

    /// Whether some of it is here already.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn has_begun(&self) -> Result<bool> {
        match self.staging() {
            Some(staging) => Ok(staging.moment()?.is_some()),
            None => Ok(false),
        }
    }

    /// Asks for everything, in chunks where there is a place for them.
    pub(super) async fn begin(&self) -> Result<(Option<Moment>, Response)> {
        let asked = ChunkQuery {
            cut: self.staging().is_some(),
            snapshot: None,
        };
        let response = self.ask(0, &asked).await?;
        Ok((Moment::of(response.headers())?, response))
    }

    /// Asks for a chunk.
    pub(super) async fn ask(&self, chunk: u32, asked: &ChunkQuery) -> Result<Response> {
        let segments = ["v1", "requests", self.view.id.as_str(), "chunks", &chunk.to_string()];
        let call = self.session.broker.post(&segments).query_of(asked)?.stream("*/*");
        self.session.send(&call).await
    }

    /// The request's state as the broker tells it, if it does soon. Nobody waits long for an explanation, least of all after Ctrl-C.
    pub(super) async fn now(&self) -> Option<RequestView> {
        let segments = ["v1", "requests", self.view.id.as_str()];
        let asked = self.session.get::<RequestView>(&segments);
        tokio::time::timeout(EXPLANATION_MAX, asked).await.ok()?.ok()
    }

    /// What to say when no byte came: the broker's answer stands, and what could not be told can be asked again.
    fn not_begun(&self, failure: Failure) -> Failure {
        if failure.exit == Exit::CannotTell {
            self.to_go_on(failure)
        } else {
            failure.hint(format!("chunkctl request show {}", self.view.id))
        }
    }

    /// How to go on with a request whose grant is not spent. Only the key that signed it may fetch it.
    pub(super) fn to_go_on(&self, failure: Failure) -> Failure {
        if self.session.vault().storage == Storage::Memory {
            return failure
                .why("the key that may fetch this request was kept in memory only and ends with this command; ask anew")
                .instead(self.cx.login_to_keep());
        }
        failure.instead(&self.pick_up)
    }

    /// What to say of a stream that was cut: the broker's own record of it, if it still tells.
    async fn was_cut(&self, failure: Failure) -> Failure {
        let id = self.view.id.as_str();
        let failure = Failure {
            exit: Exit::CannotTell,
            ..failure
        };
        match self.now().await {
            Some(now) if now.state == RequestState::Revoked => {
                Failure::no("revoked", format!("request {id} was revoked while it was delivered"))
                    .why("nothing of it was kept")
                    .instead(format!("chunkctl request show {id}"))
            }
            Some(now) => {
                let end = now.deliveries.last().and_then(|delivery| delivery.end.as_deref());
                let failure = match end {
                    Some(end) => failure.why(format!("the broker recorded `{end}`; the request is now {}", now.state.as_str())),
                    None => failure.why("nothing of it was kept"),
                };
                if now.state.is_final() {
                    failure.instead(format!("chunkctl request show {id}"))
                } else {
                    self.to_go_on(failure)
                }
            }
            None => self.to_go_on(failure.why("nothing of it was kept")),
        }
    }

    async fn receipt(&self) -> Result<String> {
        receipts::ask(self.session, self.view.id.as_str(), 0).await
    }

    /// Checks everything that can be checked, then names the file. The receipt gets its name first, so that no named file
    /// lacks one.
    async fn conclude(self, arrived: Arrived, text: &str) -> Result<()> {
        let checked = tokio::select! {
            checked = self.check(&arrived.sha256, arrived.bytes, text) => checked,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the receipt was not checked to the end")),
        };
        let story = match checked {
            Ok(story) => story,
            Err(failure) => return Err(self.keep(arrived, failure)),
        };
        let receipt = match self.store_receipt(text) {
            Ok(receipt) => receipt,
            Err(failure) => return Err(self.keep(arrived, failure)),
        };
        if let Err(unplaced) = arrived.place(self.force) {
            self.take_back(&receipt);
            return Err(self.keep(unplaced.arrived, unplaced.failure));
        }
        self.done(&story, &receipt).await
    }

    /// Names a file that an earlier run could not confirm.
    pub(super) async fn confirm_aside(self) -> Result<()> {
        let id = self.view.id.as_str();
        let found = match &self.target {
            Target::File(path) => Aside::find(path, id)?.map(|aside| (aside, path.clone())),
            Target::Stdout => None,
        };
        let Some((aside, path)) = found else {
            return Err(Failure::no("wrong_state", format!("request {id} was delivered already"))
                .why("a request is good for one delivery; ask anew for another")
                .hint(format!("chunkctl request show {id}")));
        };
        let still = |failure: Failure| {
            let failure = failure.why(format!("the bytes of the earlier delivery stay kept as `{}`", aside.path.display()));
            if is_false(&failure) {
                return failure;
            }
            Failure {
                exit: Exit::CannotTell,
                ..failure.instead(&self.pick_up)
            }
        };
        let text = self.receipt().await.map_err(still)?;
        let story = self.check(&aside.sha256, aside.bytes, &text).await.map_err(still)?;
        let receipt = self.store_receipt(&text).map_err(still)?;
        aside.place(&path, self.force).map_err(|failure| {
            self.take_back(&receipt);
            still(failure)
        })?;
        self.done(&story, &receipt).await
    }

    /// The receipt must hold, be about this very request, and lead to a log that continues the one seen before.
    pub(super) async fn check(&self, sha256: &str, bytes: u64, text: &str) -> Result<ReceiptStory> {
        let story = self.proven(sha256, bytes, text)?;
        receipts::meet(self.cx, self.session, &proof::read_receipt(text)?, &story).await?;
        Ok(story)
    }

    /// What a receipt says of these bytes, if it holds and is about this very request.
    pub(super) fn proven(&self, sha256: &str, bytes: u64, text: &str) -> Result<ReceiptStory> {
        let story = self.believed.verify(&proof::read_receipt(text)?, sha256, bytes)?;
        if story.request != self.view.id.as_str() || story.digest != self.view.digest {
            return Err(Failure::no("evidence_false", "the receipt is of another request").why(format!("it is of {}", story.request)));
        }
        Ok(story)
    }

    /// Tells the broker that the bytes arrived.
    pub(super) async fn acknowledge(&self, story: &ReceiptStory) {
        let body = Acknowledge {
            sha256: story.sha256.clone(),
        };
        let told = async {
            let call = self
                .session
                .broker
                .post(&["v1", "requests", self.view.id.as_str(), "ack"])
                .body(&body)?;
            self.session.send(&call).await.map(drop)
        };
        let told = tokio::select! {
            told = told => told,
            () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "it was not waited for")),
        };
        if let Err(failure) = told {
            // The file is here and proven; that the broker does not know of its arrival takes nothing from it.
            self.cx
                .ui
                .warn(&format!("the broker could not be told that the file arrived: {}", failure.what));
        }
    }

    /// Bytes that came whole are not thrown away, because the grant is spent: only those that are proven to be wrong.
    fn keep(&self, arrived: Arrived, failure: Failure) -> Failure {
        if is_false(&failure) {
            return failure.why("the bytes were not kept");
        }
        let failure = Failure {
            exit: Exit::CannotTell,
            ..failure
        };
        match arrived.set_aside(self.view.id.as_str()) {
            Ok(Some(path)) => failure
                .why(format!(
                    "all bytes came, and are kept as `{}` until they can get their name and their receipt",
                    path.display()
                ))
                .instead(&self.pick_up),
            Ok(None) => failure.why("all bytes came, but they have no receipt here"),
            Err(lost) => failure.why(format!("all bytes came, but {}", lost.what)),
        }
    }

    /// A receipt whose file did not get its name would be taken for the receipt of whatever has it.
    fn take_back(&self, receipt: &Path) {
        if matches!(self.target, Target::File(_)) {
            std::fs::remove_file(receipt).ok();
        }
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
                sink.finish()?.place(self.force)?;
            }
            Target::Stdout => crate::config::write_private(&path, text.as_bytes())?,
        }
        Ok(path)
    }

    async fn done(&self, story: &ReceiptStory, receipt: &Path) -> Result<()> {
        let id = self.view.id.as_str();
        self.acknowledge(story).await;
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

const EXPLANATION_MAX: Duration = Duration::from_secs(5);

/// Whether what came is proven to be wrong. Anything else may be mended, and the bytes be good.
fn is_false(failure: &Failure) -> bool {
    ["evidence_false", "log_forked", "document_mismatch"].contains(&failure.code.as_str())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
