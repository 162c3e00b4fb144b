//! `chunkctl revoke`: takes an approval back; a running delivery is cut.

use chunk_wire::fetch::RequestView;
use chunk_wire::id::RequestId;
use chunk_wire::review::Withdraw;
use clap::Args;

use crate::args::words;
use crate::context::Context;
use crate::error::Result;

/// Arguments of `revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Request.
    id: RequestId,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
}

pub(crate) fn run(cx: &Context<'_>, args: &RevokeArgs) -> Result<()> {
    cx.with_session(async |session| {
        let id = args.id.as_str();
        let view: RequestView = session
            .post(
                &["v1", "requests", id, "revoke"],
                &Withdraw {
                    reason: args.reason.clone(),
                },
            )
            .await
            .map_err(|failure| failure.hint(format!("chunkctl request show {id}")))?;
        cx.ui.event("request", &view)?;
        cx.ui.say(&format!("Request {id} is {}.", view.state.as_str()));
        Ok(())
    })
}
