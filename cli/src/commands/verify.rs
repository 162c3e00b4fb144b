//! `chunkctl verify FILE…`: is this what the broker released, to whom, under which approval, masked how? Offline.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Failure, Result};
use crate::proof::{self, Believed};
use crate::sink::{receipt_path, sha256_of_file};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Files to check.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Receipt, where it is not FILE.receipt (one file only).
    #[arg(long, value_name = "PATH")]
    receipt: Option<PathBuf>,
    /// Trust file to believe, instead of the log key pinned at sign-in.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<Story<'a>>,
}

#[derive(Serialize)]
struct Story<'a> {
    request: &'a str,
    digest: &'a str,
    requester: Who<'a>,
    query: &'a serde_json::Value,
    datasets: &'a [String],
    reason: &'a str,
    ticket: Option<&'a str>,
    requested_ms: i64,
    quorum: u64,
    approvals: Vec<Approval<'a>>,
    intent: u64,
    outcome: u64,
    outcome_ms: i64,
    rows: u64,
    bytes: u64,
    sha256: &'a str,
    columns: Vec<Column<'a>>,
    origin: &'a str,
    log_key: &'a str,
}

#[derive(Serialize)]
struct Who<'a> {
    issuer: &'a str,
    subject: &'a str,
    name: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct Approval<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    reason: &'a str,
    time_ms: i64,
    index: u64,
}

#[derive(Serialize)]
struct Column<'a> {
    dataset: &'a str,
    column: &'a str,
    class: Option<&'a str>,
    mask: &'a str,
    values: Option<u64>,
    altered: Option<u64>,
}

pub(crate) fn run(cx: &Context<'_>, args: &VerifyArgs) -> Result<()> {
    if args.receipt.is_some() && args.files.len() > 1 {
        return Err(Failure::usage("`--receipt` is for one file")
            .why("the receipts of several files are found beside them")
            .hint("chunkctl verify --help"));
    }
    let believed = match &args.trust {
        Some(path) => Believed::file(path)?,
        None => Believed::pinned(cx)?,
    };
    let mut worst: Option<Failure> = None;
    for file in &args.files {
        let receipt = args.receipt.clone().unwrap_or_else(|| receipt_path(file));
        if let Err(failure) = one(cx, &believed, file, &receipt) {
            let answer = if failure.exit == Exit::No { "false" } else { "cannot_tell" };
            cx.ui.event(
                "verify",
                &Answer {
                    file: file.display().to_string(),
                    answer,
                    reason: Some(failure.why.first().unwrap_or(&failure.what)),
                    story: None,
                },
            )?;
            // A clear no weighs more than not knowing.
            let failure = Failure {
                what: format!("`{}`: {}", file.display(), failure.what),
                ..failure
            };
            if args.files.len() > 1 {
                cx.ui.failure(&failure);
            }
            if worst.as_ref().is_none_or(|worst| worst.exit != Exit::No) {
                worst = Some(failure);
            }
        }
    }
    match worst {
        Some(failure) if args.files.len() > 1 => Err(Failure::new(
            failure.exit,
            &failure.code,
            "not every file is proven to be what the broker released",
        )),
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn one(cx: &Context<'_>, believed: &Believed, file: &std::path::Path, receipt: &std::path::Path) -> Result<()> {
    let (sha256, bytes) = sha256_of_file(file).map_err(|error| Failure::file("read", file, &error))?;
    let text = match std::fs::read_to_string(receipt) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::cannot_tell("no_receipt", "there is no receipt")
                .why(format!("looked for `{}`", receipt.display()))
                .hint(format!(
                    "chunkctl verify {} --receipt PATH",
                    crate::text::shell(&file.display().to_string())
                )));
        }
        Err(error) => return Err(Failure::file("read", receipt, &error)),
    };
    let story = believed.verify(&proof::read_receipt(&text)?, &sha256, bytes)?;
    cx.ui.event(
        "verify",
        &Answer {
            file: file.display().to_string(),
            answer: "true",
            reason: None,
            story: Some(Story::of(&story)),
        },
    )?;
    if !cx.ui.is_json() {
        cx.ui.answer(&format!(
            "{}: genuine\n\n{}",
            crate::text::line(&file.display().to_string()),
            proof::tell(&story)
        ))?;
    }
    Ok(())
}

impl<'a> Story<'a> {
    fn of(story: &'a chunk_evidence::receipt::ReceiptStory) -> Self {
        let who = |person: &'a chunk_evidence::receipt::StoryPerson| Who {
            issuer: &person.issuer,
            subject: &person.subject,
            name: &person.name,
            key: &person.key,
        };
        Self {
            request: &story.request,
            digest: &story.digest,
            requester: who(&story.requester),
            query: &story.query,
            datasets: &story.datasets,
            reason: &story.reason,
            ticket: story.ticket.as_deref(),
            requested_ms: story.requested_ms,
            quorum: story.quorum,
            approvals: story
                .approvals
                .iter()
                .map(|approval| Approval {
                    who: who(&approval.person),
                    reason: &approval.reason,
                    time_ms: approval.time_ms,
                    index: approval.index,
                })
                .collect(),
            intent: story.intent,
            outcome: story.outcome,
            outcome_ms: story.outcome_ms,
            rows: story.rows,
            bytes: story.bytes,
            sha256: &story.sha256,
            columns: story
                .columns
                .iter()
                .map(|column| Column {
                    dataset: &column.dataset,
                    column: &column.column,
                    class: column.class.as_deref(),
                    mask: &column.mask,
                    values: column.values,
                    altered: column.altered,
                })
                .collect(),
            origin: &story.origin,
            log_key: &story.log_key,
        }
    }
}
