//! `chunkctl requests`: mine, and those that wait for me.

use chunk_wire::fetch::RequestView;
use clap::Args;

use crate::commands::query;
use crate::context::Context;
use crate::document;
use crate::error::Result;
use crate::figures;
use crate::output::Table;

/// Arguments of `requests`.
#[derive(Debug, Args)]
pub(crate) struct RequestsArgs {
    /// Those that wait for a reviewer (the default).
    #[arg(long, conflicts_with = "all")]
    pending: bool,
    /// Only your own, in any state.
    #[arg(long, conflicts_with = "all")]
    mine: bool,
    /// All that you may see, in any state.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(cx: &Context<'_>, args: &RequestsArgs) -> Result<()> {
    cx.with_session(async |session| {
        let mut call = session.broker.get(&["v1", "requests"]);
        if args.pending || !(args.mine || args.all) {
            call = call.query("state", "pending");
        }
        if args.mine {
            call = call.query("mine", "true");
        }
        let views: Vec<RequestView> = session.json(&call).await?;
        if cx.ui.is_json() {
            return views.iter().try_for_each(|view| cx.ui.event("request", view));
        }
        if views.is_empty() {
            cx.ui.say("There is no such request.");
            return Ok(());
        }
        let now_ms = figures::now_ms();
        let mut table = Table::new(&["request", "state", "asked by", "when", "rows", "what", "why"]);
        for view in &views {
            // A document that is not what its digest says is shown as such, and the others still are.
            let (what, why) = match document::check_shown(view) {
                Ok(document) => (query::words(&document.query), document.reason),
                Err(_) => ("(refused: not what was signed)".to_owned(), String::new()),
            };
            let rows = view.rows_estimated.map_or_else(|| "?".into(), figures::count);
            let state = if view.review_due {
                format!("{}, emergency: review it", view.state.as_str())
            } else if view.standing.is_some() {
                format!("{}, standing", view.state.as_str())
            } else if let Some(turn) = view.stages.iter().find(|stage| stage.turn) {
                format!("{}, for {}", view.state.as_str(), query::reviewers(&turn.stage))
            } else {
                view.state.as_str().to_owned()
            };
            table.row([
                view.id.as_str(),
                &state,
                &view.requester.name,
                &figures::from_now(view.created_ms, now_ms),
                &rows,
                &short(&what),
                &short(&why),
            ]);
        }
        cx.ui.answer(&table.render())?;
        cx.ui.next("chunkctl request show ID");
        Ok(())
    })
}

/// A cell that leaves room for the others.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX - 1).chain(['…']).collect()
}
