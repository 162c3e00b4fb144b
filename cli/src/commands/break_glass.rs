//! `chunkctl break-glass`: data in an emergency, without waiting for a second person; loud, and reviewed afterwards.
//!
//! It is a fetch like any other: policy decides (a permit of its own), masks apply, everything is recorded. Only the approval
//! comes after instead of before, and the log says so until it is there.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::args::words;
use crate::commands::fetch::{self, FetchArgs};
use crate::commands::query::{FormatArg, SliceArgs, StandingArgs, WindowArgs};
use crate::context::Context;
use crate::error::Result;

/// Arguments of `break-glass`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["dataset", "sql"])))]
pub(crate) struct BreakGlassArgs {
    /// Dataset to slice.
    dataset: Option<String>,
    /// One SELECT over datasets, instead of a slice; it sees masked values only.
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    #[command(flatten)]
    query: SliceArgs,
    /// What the emergency is. Reviewers and auditors read it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Ticket of the incident.
    #[arg(long, value_parser = words)]
    ticket: String,
    /// Encoding; without it, what the file's name says, or Parquet.
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// File to write, or `-` for standard output. ./DATASET.parquet without it.
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(cx: &Context<'_>, args: &BreakGlassArgs) -> Result<()> {
    cx.ui
        .warn("breaking the glass: this is recorded as an emergency under your name, and somebody else reviews it afterwards");
    let fetch = FetchArgs {
        dataset: args.dataset.clone(),
        sql: args.sql.clone(),
        query: args.query.clone(),
        reason: Some(args.reason.clone()),
        ticket: Some(args.ticket.clone()),
        format: args.format,
        output: args.output.clone(),
        wait: None,
        no_wait: false,
        request: None,
        resume: false,
        parallel: 2,
        force: args.force,
        break_glass: true,
        standing: StandingArgs::default(),
        window: WindowArgs::default(),
    };
    fetch::run(cx, &fetch)
}
