//! Receipts as the broker gives them: with the bytes, and again later, under a checkpoint that more people have seen.

use std::path::Path;
use std::time::Duration;

use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::note::VerifierKey;
use chunk_evidence::receipt::{Receipt, ReceiptStory};

use crate::client::read_bytes;
use crate::client::session::Session;
use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::memory::Memory;
use crate::proof::{self, Believed};
use crate::sink::{Sink, Target, sha256_of_file};

/// The text of the receipt of a completed delivery. Whoever asks has the bytes already, so a short outage is worth waiting out.
///
/// # Errors
/// When the broker does not give one, or what answers is no receipt (exit 2: that says nothing about the bytes).
pub(crate) async fn ask(session: &Session<'_>, request: &str, chunk: u64) -> Result<String> {
    const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];
    let call = session
        .broker
        .get(&["v1", "requests", request, "receipt"])
        .query("chunk", &chunk.to_string());
    let mut pauses = PAUSES.iter();
    let bytes = loop {
        let answer = match session.send(&call).await {
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
    let text = proof::receipt_text(bytes).and_then(|text| proof::read_receipt(&text).map(|_| text));
    text.map_err(|failure| Failure {
        exit: Exit::CannotTell,
        code: "unexpected_answer".to_owned(),
        what: "the broker's answer is not a receipt".to_owned(),
        ..failure
    })
}

/// The checkpoint of a verified receipt must continue the history of the log that was seen before.
///
/// # Errors
/// As [`Memory::observe`].
pub(crate) async fn meet(cx: &Context<'_>, session: &Session<'_>, receipt: &Receipt, story: &ReceiptStory) -> Result<()> {
    let signed =
        SignedCheckpoint::parse(&receipt.checkpoint).map_err(|_| Failure::no("evidence_false", "the receipt holds no checkpoint"))?;
    let key = VerifierKey::parse(&story.log_key).map_err(|_| Failure::bug("a verified receipt names no key"))?;
    Memory::new(&cx.paths.state, &key).observe(&session.broker, &signed).await
}

/// Puts a receipt under the log's newest checkpoint in the place of the one beside a file. The old one goes only when the new one holds and
/// proves the same release.
///
/// # Errors
/// When the old one cannot be read, the broker gives no other, or that does not hold.
pub(crate) async fn renew(cx: &Context<'_>, session: &Session<'_>, believed: &Believed, file: &Path, place: &Path) -> Result<()> {
    let (sha256, bytes) = sha256_of_file(file).map_err(|error| Failure::file("read", file, &error))?;
    let old = std::fs::read(place).map_err(|error| Failure::file("read", place, &error))?;
    let old = proof::read_receipt(&proof::receipt_text(old)?)?;
    let before = believed.proven(&old, &sha256, bytes)?;
    let text = ask(session, &before.request, before.chunk).await?;
    let new = proof::read_receipt(&text)?;
    let story = believed.verify(&new, &sha256, bytes)?;
    if (&story.request, story.outcome) != (&before.request, before.outcome) {
        return Err(Failure::no("evidence_false", "the new receipt is of another release").why(format!(
            "it is of request {}, entry #{}; the file's is of {}, entry #{}",
            story.request, story.outcome, before.request, before.outcome
        )));
    }
    meet(cx, session, &new, &story).await?;
    let mut sink = Sink::open(&Target::File(place.to_owned()))?;
    sink.write(text.as_bytes())?;
    sink.finish()?.place(true).map_err(|unplaced| unplaced.failure)
}
