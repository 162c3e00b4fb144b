//! `chunkctl audit erase`: the records of a person can be read no more; what the log proves stays proven.

use chunk_wire::audit::{EraseRequest, Erased};
use clap::Args;

use crate::args::words;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;

/// Arguments of `audit erase`.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// Person: subject, name, e-mail or pseudonym, exactly.
    #[arg(value_name = "PERSON", value_parser = words)]
    person: String,
    /// Why; it stands in the log.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Do it: nothing brings the records back.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(cx: &Context<'_>, args: &EraseArgs) -> Result<()> {
    if !args.yes {
        return Err(Failure::usage("erasing cannot be undone, so it wants `--yes`")
            .why("the person's sessions, requests and words can be read by nobody afterwards, auditors included")
            .why("entries, times and proofs stay; receipts of what this person fetched can no longer be made anew"));
    }
    cx.with_session(async |session| {
        let request = EraseRequest {
            person: args.person.clone(),
            reason: args.reason.clone(),
        };
        let erased: Erased = session.post(&["v1", "audit", "erasures"], &request).await?;
        cx.ui.event("audit.erased", &erased)?;
        let entries: Vec<String> = erased.entries.iter().map(|index| format!("#{index}")).collect();
        cx.ui.say(&format!(
            "Erased {}: {} destroyed; recorded as {}.",
            erased.subject,
            figures::plural(erased.keys, "data key"),
            entries.join(", ")
        ));
        Ok(())
    })
}
