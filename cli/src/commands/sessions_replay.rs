//! `chunkctl sessions replay`: what was returned, and where it was kept, byte for byte.
//!
//! The bytes are believed because of the log and not because of who sends them: those of a completed delivery get their name only
//! when their digest is the one in the outcome, and the outcome is proven to be in the log that was pinned at sign-in. Where no proof
//! can be made any more they are given all the same, and it is said that there is none.

use std::path::PathBuf;
use std::str::FromStr;

use chunk_wire::audit::{EntryPage, EntryQuery, EntryView};
use chunk_wire::fetch::Format;
use chunk_wire::id::{RequestId, SessionId};
use chunk_wire::problem::Code;
use chunk_wire::session::{Returned, SessionView};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::client::session::Session;
use crate::client::{connection, read_bytes};
use crate::commands::{approval_wait, sessions};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::output::Table;
use crate::proof::{self, Believed};
use crate::sink::{Arrived, Sink, Target};
use crate::{figures, progress, receipts, text};

/// Arguments of `sessions replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Session, request, or index of a delivery's intent.
    #[arg(value_name = "ID")]
    of: Of,
    /// Write what was returned to this file, or `-` for standard output (needs `audit_read`; reading is recorded).
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// The delivery of this chunk, where there are several.
    #[arg(long, value_name = "N", requires = "output")]
    chunk: Option<u32>,
    /// Overwrite the file.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What is replayed.
#[derive(Debug, Clone)]
enum Of {
    Session(SessionId),
    Request(RequestId),
    Intent(u64),
}

impl FromStr for Of {
    type Err = String;

    fn from_str(typed: &str) -> std::result::Result<Self, String> {
        if let Ok(session) = typed.parse() {
            return Ok(Of::Session(session));
        }
        if let Ok(request) = typed.parse() {
            return Ok(Of::Request(request));
        }
        typed
            .trim_start_matches('#')
            .parse()
            .map(Of::Intent)
            .map_err(|_| "expected a session (`ses_…`), a request (`req_…`), or the index of an intent".to_owned())
    }
}

#[derive(Serialize)]
struct Replayed<'a> {
    request: &'a str,
    intent: u64,
    path: Option<String>,
    bytes: u64,
    sha256: &'a str,
    end: &'a str,
    proven: bool,
    /// Why not, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    unproven: Option<String>,
}

/// How far what came can be believed.
enum Standing {
    /// A proof that needs no trust in the broker says that this was delivered.
    Proven,
    /// Why there is none, in a sentence.
    Unproven(String),
}

pub(crate) fn run(cx: &Context<'_>, args: &ReplayArgs) -> Result<()> {
    cx.with_session(async |session| {
        let deliveries = match &args.of {
            Of::Session(id) => {
                let view: SessionView = session
                    .get(&["v1", "sessions", id.as_str()])
                    .await
                    .map_err(|failure| failure.hint("chunkctl sessions list"))?;
                let returned = view.timeline.iter().filter_map(|entry| entry.returned.clone()).collect();
                if args.output.is_none() && !cx.ui.is_json() {
                    cx.ui.answer(&sessions::show(&view))?;
                }
                returned
            }
            Of::Request(id) => of_request(session, id).await?,
            Of::Intent(index) => of_intent(session, *index).await?,
        };
        match &args.output {
            None => list(cx, &deliveries),
            Some(path) => {
                let target = Target::choose(Some(path), None, Format::Csv);
                write(cx, session, choose(args, &deliveries)?, &target, args.force).await
            }
        }
    })
}

/// The deliveries of a request, as the log tells them.
async fn of_request(session: &Session<'_>, id: &RequestId) -> Result<Vec<Returned>> {
    let mut query = EntryQuery {
        request: Some(id.to_string()),
        kind: Some("fetch".to_owned()),
        limit: Some(1000),
        ..EntryQuery::default()
    };
    let mut entries: Vec<EntryView> = Vec::new();
    loop {
        let page: EntryPage = session
            .json(&session.broker.get(&["v1", "audit", "entries"]).query_of(&query)?)
            .await?;
        let came = page.entries.len();
        entries.extend(page.entries);
        match page.next_before.filter(|next| query.before.is_none_or(|last| *next < last)) {
            Some(next) if came > 0 => query.before = Some(next),
            _ => break,
        }
    }
    entries.reverse();
    let kind = |entry: &EntryView, kind: &str| entry.header.get("k").and_then(Value::as_str) == Some(kind);
    if entries.is_empty() {
        return Err(Failure::no("not_found", format!("nothing was delivered under {id}")).hint("chunkctl sessions list --all"));
    }
    Ok(entries
        .iter()
        .filter(|entry| kind(entry, "fetch.outcome"))
        .filter_map(|outcome| {
            let intent = outcome.header.get("refs")?.get(0)?.as_u64()?;
            let chunk = entries.iter().find(|entry| entry.index == intent)?.body.get("what")?.get("chunk")?;
            let out = outcome.body.get("out")?;
            let word = |name: &str| out.get(name).and_then(Value::as_str).map(str::to_owned);
            Some(Returned {
                request: id.clone(),
                chunk: u32::try_from(chunk.as_u64()?).ok()?,
                intent,
                end: word("end")?,
                rows: out.get("rows")?.as_u64()?,
                bytes: out.get("bytes")?.as_u64()?,
                sha256: word("sha256"),
                recording: word("recording"),
            })
        })
        .collect())
}

/// The delivery under an intent.
async fn of_intent(session: &Session<'_>, index: u64) -> Result<Vec<Returned>> {
    let entry: EntryView = session
        .get(&["v1", "audit", "entries", &index.to_string()])
        .await
        .map_err(|failure| failure.hint("chunkctl audit search --kind fetch.intent"))?;
    let none = |why: &str| {
        Failure::no("not_found", format!("entry #{index} is no delivery that can be shown"))
            .why(why.to_owned())
            .hint("chunkctl audit search --kind fetch.intent")
    };
    if entry.header.get("k").and_then(Value::as_str) != Some("fetch.intent") {
        return Err(none("a delivery is named by the index of its `fetch.intent`"));
    }
    let request = entry.body.get("what").and_then(|what| what.get("request")).and_then(Value::as_str);
    let request = request
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| none(&format!("what it said is gone: {}", entry.summary)))?;
    let mut deliveries = of_request(session, &request).await?;
    deliveries.retain(|delivery| delivery.intent == index);
    Ok(deliveries)
}

fn list(cx: &Context<'_>, deliveries: &[Returned]) -> Result<()> {
    if cx.ui.is_json() {
        return deliveries.iter().try_for_each(|delivery| cx.ui.event("delivery", delivery));
    }
    if deliveries.is_empty() {
        cx.ui.say("Nothing was returned.");
        return Ok(());
    }
    let mut table = Table::new(&["delivery", "request", "chunk", "ended", "rows", "bytes", "content", "sha-256"]);
    for delivery in deliveries {
        table.row([
            &format!("#{}", delivery.intent),
            delivery.request.as_str(),
            &delivery.chunk.to_string(),
            &delivery.end,
            &figures::count(delivery.rows),
            &figures::bytes(delivery.bytes),
            content(delivery),
            delivery.sha256.as_deref().unwrap_or("-"),
        ]);
    }
    cx.ui.answer(&table.render())?;
    if let Some(delivery) = deliveries.iter().find(|delivery| is_kept(delivery)) {
        cx.ui.next(&format!("chunkctl sessions replay {} -o PATH", delivery.intent));
    }
    Ok(())
}

fn is_kept(delivery: &Returned) -> bool {
    delivery.recording.as_deref() == Some("kept")
}

/// What became of the content, in words.
fn content(delivery: &Returned) -> &str {
    delivery.recording.as_deref().unwrap_or("digest only")
}

/// The one delivery that is meant.
fn choose<'a>(args: &ReplayArgs, deliveries: &'a [Returned]) -> Result<&'a Returned> {
    let meant: Vec<&Returned> = deliveries
        .iter()
        .filter(|delivery| args.chunk.is_none_or(|chunk| delivery.chunk == chunk))
        .collect();
    let kept: Vec<&Returned> = meant.iter().copied().filter(|delivery| is_kept(delivery)).collect();
    match (kept.as_slice(), meant.as_slice()) {
        ([one], _) => Ok(one),
        ([], []) => Err(Failure::no("not_found", "there is no such delivery")
            .why("nothing was returned")
            .hint("chunkctl audit search --kind fetch.outcome")),
        ([], [first, ..]) => Err(Failure::no("not_recorded", "the content of this delivery was not recorded").why(
            match first.recording.as_deref() {
                Some(_) => "it could not be written, and the delivery was ended",
                None => "of its dataset the log keeps sizes and the digest only",
            },
        )),
        (several, _) => {
            let indices: Vec<String> = several.iter().map(|delivery| delivery.intent.to_string()).collect();
            Err(Failure::usage("there are several recordings")
                .why(format!(
                    "they are those of the intents {}; name one by its index",
                    indices.join(", ")
                ))
                .hint(format!(
                    "chunkctl sessions replay {} -o PATH",
                    indices.last().map_or("INDEX", String::as_str)
                )))
        }
    }
}

async fn write(cx: &Context<'_>, session: &Session<'_>, delivery: &Returned, target: &Target, force: bool) -> Result<()> {
    if *target == Target::Stdout {
        cx.ui.give_stdout_to_data();
    }
    target.check(force, Format::Csv)?;
    let believed = Believed::pinned(cx)?;
    let mut sink = Sink::open(target)?;
    let bar = progress::delivery(cx.ui, target);
    let call = session
        .broker
        .get(&["v1", "audit", "recordings", &delivery.intent.to_string()])
        .stream("*/*");
    let received = async {
        let mut response = session.send(&call).await?;
        while let Some(part) = response.chunk().await.map_err(|error| connection::cut(&error))? {
            sink.write(&part)?;
            bar.inc(part.len() as u64);
        }
        Ok(())
    };
    let ended = tokio::select! {
        ended = received => ended,
        () = approval_wait::interrupted() => Err(Failure::cannot_tell("interrupted", "the replay was interrupted")),
    };
    bar.finish_and_clear();
    ended?;
    let arrived = sink.finish()?;
    let standing = check(cx, session, &believed, delivery, &arrived).await?;
    let (sha256, bytes) = (arrived.sha256.clone(), arrived.bytes);
    arrived.place(force)?;
    tell(cx, delivery, target, &sha256, bytes, standing)
}

/// Holds what came against the log.
async fn check(cx: &Context<'_>, session: &Session<'_>, believed: &Believed, delivery: &Returned, arrived: &Arrived) -> Result<Standing> {
    let other = |why: String| {
        Failure::no("evidence_false", "what came is not what the log says was delivered")
            .why(why)
            .why("nothing was kept of it")
    };
    let Some(digest) = &delivery.sha256 else {
        return if arrived.bytes == delivery.bytes {
            Ok(Standing::Unproven(format!(
                "The delivery ended `{}`, so the log has its size and no digest; these are the bytes that were kept of it.",
                text::line(&delivery.end)
            )))
        } else {
            Err(other(format!(
                "the log tells of {} bytes, and {} came",
                delivery.bytes, arrived.bytes
            )))
        };
    };
    if *digest != arrived.sha256 {
        return Err(other(format!(
            "the log has the digest {digest}, and what came has {}",
            arrived.sha256
        )));
    }
    let call = session
        .broker
        .get(&["v1", "requests", delivery.request.as_str(), "receipt"])
        .query("chunk", &delivery.chunk.to_string());
    let response = match session.send(&call).await {
        Err(refused) if refused.is(Code::NotFound) || refused.is(Code::WrongState) => {
            return Ok(Standing::Unproven(
                "The digest is the one that the broker tells of, and nothing proves it any more: what a receipt rests on (the request, its approvals) was disposed of or erased.".to_owned(),
            ));
        }
        answered => answered?,
    };
    let text = proof::receipt_text(read_bytes(response).await?)?;
    let receipt = proof::read_receipt(&text)?;
    let story = believed.verify(&receipt, &arrived.sha256, arrived.bytes)?;
    if story.intent != delivery.intent || story.request != delivery.request.as_str() {
        return Err(other(format!("the proof is of the delivery #{}", story.intent)));
    }
    receipts::meet(cx, session, &receipt, &story).await?;
    Ok(Standing::Proven)
}

fn tell(cx: &Context<'_>, delivery: &Returned, target: &Target, sha256: &str, bytes: u64, standing: Standing) -> Result<()> {
    let unproven = match standing {
        Standing::Proven => None,
        Standing::Unproven(why) => Some(why),
    };
    let path = match target {
        Target::File(path) => Some(path.display().to_string()),
        Target::Stdout => None,
    };
    cx.ui.event(
        "session.replayed",
        &Replayed {
            request: delivery.request.as_str(),
            intent: delivery.intent,
            path: path.clone(),
            bytes,
            sha256,
            end: &delivery.end,
            proven: unproven.is_none(),
            unproven: unproven.clone(),
        },
    )?;
    let to = path.map_or_else(|| "standard output".to_owned(), |path| format!("`{}`", text::line(&path)));
    cx.ui.say(&format!(
        "Replayed delivery #{} of {} ({}) to {to}.",
        delivery.intent,
        delivery.request,
        figures::bytes(bytes)
    ));
    cx.ui.say(&format!("sha-256  {sha256}"));
    cx.ui.say(
        unproven
            .as_deref()
            .unwrap_or("It is what was delivered: the digest is the one in the log, and its proof holds."),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn delivery(intent: u64, chunk: u32, recording: Option<&str>) -> Returned {
        Returned {
            request: "req_0123456789abcdef".parse().unwrap(),
            chunk,
            intent,
            end: "done".to_owned(),
            rows: 1,
            bytes: 2,
            sha256: None,
            recording: recording.map(str::to_owned),
        }
    }

    fn chosen(chunk: Option<u32>, deliveries: &[Returned]) -> std::result::Result<u64, String> {
        let args = ReplayArgs {
            of: Of::Intent(0),
            output: None,
            chunk,
            force: false,
        };
        choose(&args, deliveries)
            .map(|delivery| delivery.intent)
            .map_err(|failure| failure.code)
    }

    #[test]
    fn an_id_is_read_as_what_it_names() {
        assert!(matches!("ses_0123456789abcdef".parse(), Ok(Of::Session(_))));
        assert!(matches!("req_0123456789abcdef".parse(), Ok(Of::Request(_))));
        assert!(matches!("#17".parse(), Ok(Of::Intent(17))));
        assert!(matches!("17".parse(), Ok(Of::Intent(17))));
        assert!("yesterday".parse::<Of>().is_err());
    }

    #[test]
    fn one_recording_is_chosen_and_several_are_not_guessed_between() {
        let kept = |intent, chunk| delivery(intent, chunk, Some("kept"));
        assert_eq!(chosen(None, &[delivery(3, 0, None), kept(5, 0)]), Ok(5));
        assert_eq!(chosen(None, &[kept(5, 0), kept(7, 1)]), Err("usage".to_owned()));
        assert_eq!(chosen(Some(1), &[kept(5, 0), kept(7, 1)]), Ok(7));
        assert_eq!(chosen(None, &[delivery(3, 0, None)]), Err("not_recorded".to_owned()));
        assert_eq!(chosen(None, &[delivery(3, 0, Some("failed"))]), Err("not_recorded".to_owned()));
        assert_eq!(chosen(Some(2), &[kept(5, 0)]), Err("not_found".to_owned()));
    }
}
