//! Receiving a result in chunks: several at once, each checked against its own receipt, and all of them kept until the last is there.
//!
//! Whatever ends this, the chunks that are here stay, and the same command goes on with those that are missing. If the source is no longer
//! held at the moment that they are of, everything is fetched anew: two moments never become one result.

use chunk_evidence::receipt::{ReceiptStory, StoryCut};
use chunk_wire::fetch::{ChunkQuery, RequestState};
use chunk_wire::problem::Code;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use indicatif::ProgressBar;
use reqwest::Response;
use serde::Serialize;

use super::delivery::{Delivery, Started, intent_of};
use crate::client::connection;
use crate::commands::approval_wait;
use crate::error::{Exit, Failure, Result};
use crate::sink::{Sink, Target, sha256_of_file};
use crate::staging::{Moment, Staging};
use crate::{config, figures, progress, receipts, text};

#[derive(Serialize)]
struct Chunk<'a> {
    request: &'a str,
    chunk: u32,
    of: u32,
    rows: u64,
    bytes: u64,
    sha256: &'a str,
    intent: u64,
    outcome: u64,
}

#[derive(Serialize)]
struct Done<'a> {
    request: &'a str,
    digest: &'a str,
    path: String,
    receipts: String,
    format: &'a str,
    chunks: u32,
    rows: u64,
    bytes: u64,
}

/// What is here by now.
#[derive(Default)]
struct Sum {
    chunks: u32,
    rows: u64,
    bytes: u64,
}

/// A result on its way.
struct Chunks<'a> {
    delivery: &'a Delivery<'a>,
    staging: &'a Staging,
    moment: Moment,
    bar: ProgressBar,
}

/// Receives what is missing of a result. `first`: chunk 0, if it is on its way already.
pub(super) async fn receive(delivery: &Delivery<'_>, staging: &Staging, moment: Moment, first: Option<Response>) -> Result<()> {
    let mut chunks = Chunks {
        delivery,
        staging,
        bar: progress::chunks(delivery.cx.ui, moment.chunks),
        moment,
    };
    let mut received = chunks.all(first).await;
    if let Err(failure) = &received
        && failure.is(Code::SnapshotGone)
    {
        delivery
            .cx
            .ui
            .warn("the source is no longer held at the moment that the chunks here are of; everything is fetched anew");
        received = match delivery.begin().await {
            Ok((Some(moment), response)) => {
                staging.begin(&moment)?;
                chunks.bar.finish_and_clear();
                chunks.bar = progress::chunks(delivery.cx.ui, moment.chunks);
                chunks.moment = moment;
                chunks.all(Some(response)).await
            }
            Ok((None, _)) => {
                // The next run finds no chunks, and takes it as it comes.
                staging.discard()?;
                chunks.bar.finish_and_clear();
                let failure = Failure::cannot_tell("snapshot_gone", "the source has changed, and the result now comes in one piece");
                return Err(delivery.to_go_on(failure.why("the chunks of the earlier moment were removed, and nothing else came yet")));
            }
            Err(failure) => Err(failure),
        };
    }
    chunks.bar.finish_and_clear();
    match received {
        Ok(sum) => chunks.done(&sum),
        Err(failure) => Err(chunks.stopped(failure).await),
    }
}

impl Chunks<'_> {
    /// Receives what is missing, a few at once, and gives what is there.
    async fn all(&self, mut first: Option<Response>) -> Result<Sum> {
        let mut sum = Sum::default();
        let mut missing = Vec::new();
        for chunk in 0..self.moment.chunks {
            if self.staging.has(chunk) {
                sum.add(&self.known(chunk)?);
            } else {
                missing.push(chunk);
            }
        }
        self.bar.inc(sum.chunks.into());
        let mut missing = missing.into_iter();
        let mut running = FuturesUnordered::new();
        let all = async {
            loop {
                while running.len() < self.delivery.parallel
                    && let Some(chunk) = missing.next()
                {
                    let response = if chunk == 0 { first.take() } else { None };
                    running.push(self.chunk(chunk, response));
                }
                match running.next().await {
                    Some(story) => sum.add(&story?),
                    None => return Ok::<(), Failure>(()),
                }
            }
        };
        tokio::select! {
            all = all => all?,
            () = approval_wait::interrupted() => return Err(Failure::cannot_tell("interrupted", "the delivery was interrupted")),
        }
        Ok(sum)
    }

    /// A chunk that an earlier run has received and checked. Its file may have been changed since.
    fn known(&self, chunk: u32) -> Result<ReceiptStory> {
        let (file, receipt) = (self.staging.file(chunk), self.staging.receipt(chunk));
        let (sha256, bytes) = sha256_of_file(&file).map_err(|error| Failure::file("read", &file, &error))?;
        let text = std::fs::read(&receipt).map_err(|error| Failure::file("read", &receipt, &error))?;
        let story = self.delivery.proven(&sha256, bytes, &crate::proof::receipt_text(text)?)?;
        self.belongs(chunk, &story)?;
        Ok(story)
    }

    async fn chunk(&self, chunk: u32, response: Option<Response>) -> Result<ReceiptStory> {
        let unconfirmed = self.staging.unconfirmed(chunk);
        let (sha256, bytes) = if response.is_none() && unconfirmed.is_file() {
            // It came whole in an earlier run, which could not get its receipt.
            sha256_of_file(&unconfirmed).map_err(|error| Failure::file("read", &unconfirmed, &error))?
        } else {
            self.bytes_of(chunk, response).await?
        };
        let text = receipts::ask(self.delivery.session, self.delivery.view.id.as_str(), chunk.into()).await?;
        let story = self.delivery.check(&sha256, bytes, &text).await?;
        self.belongs(chunk, &story)?;
        config::write_private(&self.staging.receipt(chunk), text.as_bytes())?;
        self.staging.confirm(chunk)?;
        self.delivery.acknowledge(&story).await;
        self.bar.inc(1);
        self.delivery.cx.ui.event(
            "fetch.chunk",
            &Chunk {
                request: self.delivery.view.id.as_str(),
                chunk,
                of: self.moment.chunks,
                rows: story.rows,
                bytes: story.bytes,
                sha256: &story.sha256,
                intent: story.intent,
                outcome: story.outcome,
            },
        )?;
        Ok(story)
    }

    /// Receives a chunk's bytes, and gives their digest and number.
    async fn bytes_of(&self, chunk: u32, response: Option<Response>) -> Result<(String, u64)> {
        let mut response = match response {
            Some(response) => response,
            None => {
                let asked = ChunkQuery {
                    cut: true,
                    snapshot: Some(self.moment.snapshot.clone()),
                };
                self.delivery.ask(chunk, &asked).await?
            }
        };
        if Moment::of(response.headers())?.as_ref() != Some(&self.moment) {
            return Err(Failure::cannot_tell(
                "unexpected_answer",
                "the broker delivers a chunk of another result",
            ));
        }
        self.delivery.cx.ui.event(
            "fetch.started",
            &Started {
                request: self.delivery.view.id.as_str(),
                intent: intent_of(&response),
                chunk: Some(chunk),
            },
        )?;
        let mut sink = Sink::open(&Target::File(self.staging.unconfirmed(chunk)))?;
        while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
            sink.write(&part)?;
        }
        let arrived = sink.finish()?;
        let came = (arrived.sha256.clone(), arrived.bytes);
        arrived.place(true)?;
        Ok(came)
    }

    /// A genuine receipt of another chunk, or of another moment, is not this chunk's.
    fn belongs(&self, chunk: u32, story: &ReceiptStory) -> Result<()> {
        let cut = StoryCut {
            chunks: self.moment.chunks.into(),
            snapshot: self.moment.snapshot.clone(),
        };
        if story.chunk == u64::from(chunk) && story.cut.as_ref() == Some(&cut) {
            return Ok(());
        }
        Err(
            Failure::no("evidence_false", format!("the receipt of chunk {chunk} is of another chunk"))
                .why(format!("remove `{}` to fetch it again", self.staging.file(chunk).display())),
        )
    }

    fn done(&self, sum: &Sum) -> Result<()> {
        let Target::File(path) = &self.delivery.target else {
            return Err(Failure::bug("chunks need a folder"));
        };
        self.staging
            .finish(self.delivery.force)
            .map_err(|failure| failure.hint(&self.delivery.pick_up))?;
        let (id, digest) = (self.delivery.view.id.as_str(), &self.delivery.view.digest);
        let ui = self.delivery.cx.ui;
        ui.event(
            "fetch.done",
            &Done {
                request: id,
                digest,
                path: path.display().to_string(),
                receipts: self.staging.receipts().display().to_string(),
                format: self.delivery.format.as_str(),
                chunks: sum.chunks,
                rows: sum.rows,
                bytes: sum.bytes,
            },
        )?;
        ui.say(&format!(
            "Fetched {} ({}) to the folder `{}`, in {}.",
            figures::plural(sum.rows, "row"),
            figures::bytes(sum.bytes),
            path.display(),
            figures::plural(sum.chunks.into(), "chunk")
        ));
        ui.say(&format!(
            "Their receipts hold, and are kept in `{}`.",
            self.staging.receipts().display()
        ));
        ui.next(&format!("chunkctl verify {}", text::shell(&path.display().to_string())));
        Ok(())
    }

    /// What to say of a delivery that has stopped before its end.
    async fn stopped(&self, failure: Failure) -> Failure {
        let here = (0..self.moment.chunks).filter(|chunk| self.staging.has(*chunk)).count();
        let failure = failure.why(format!("{here} of {} chunks are here and are kept", self.moment.chunks));
        let now = self.delivery.now().await.map(|view| view.state);
        match now {
            Some(RequestState::Revoked) => Failure::no("revoked", format!("request {} was revoked", self.delivery.view.id))
                .why(format!("{here} of {} chunks had come by then", self.moment.chunks))
                .instead(format!("chunkctl request show {}", self.delivery.view.id)),
            Some(state) if state.is_final() && state != RequestState::Completed => failure
                .why(format!("the request is now {}", state.as_str()))
                .instead(format!("chunkctl request show {}", self.delivery.view.id)),
            _ if failure.exit == Exit::No => failure.why(format!("to begin anew, remove `{}`", self.staging.folder().display())),
            _ => self.delivery.to_go_on(Failure {
                exit: Exit::CannotTell,
                ..failure
            }),
        }
    }
}

impl Sum {
    fn add(&mut self, story: &ReceiptStory) {
        self.chunks += 1;
        self.rows = self.rows.saturating_add(story.rows);
        self.bytes = self.bytes.saturating_add(story.bytes);
    }
}
