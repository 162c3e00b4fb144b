//! `chunkctl demo`: the whole road on made-up data, each step a real command.

use std::path::PathBuf;

use clap::Args;

use crate::context::Context;
use crate::demo::{self, ORDERS_DEFAULT, Wishes};
use crate::error::Result;

/// What `--json` prints.
const EVENTS: &str = "With --json, one event a line:\n\
  demo.step  step, person, command, exit, events (those that the command printed)\n\
  demo.done  rows, bytes, masked_fields (columns), masked_values, receipt_index, sha256, request, file, bundle,\n\
             audit_verify (\"true\"), broker_runs, dir";

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = EVENTS)]
pub(crate) struct DemoArgs {
    /// Leave the broker running and say how to reach and stop it.
    #[arg(long)]
    keep: bool,
    /// Folder to use; new, or that of an earlier demo, which is replaced. Below the state folder by default.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Rows of the sample table `orders`.
    #[arg(long, value_name = "N", default_value_t = ORDERS_DEFAULT)]
    orders: u64,
}

pub(crate) fn run(cx: &Context<'_>, args: &DemoArgs) -> Result<()> {
    demo::run(
        cx.ui,
        &cx.paths,
        &Wishes {
            dir: args.dir.clone(),
            orders: args.orders,
            keep: args.keep,
        },
    )
}
