//! `chunkctl approve` and `reject`: a reviewer's verdict, signed with the reviewer's own key.
//!
//! What is signed is the digest of the document that was checked and shown here. The broker can refuse the verdict; it cannot
//! make another one of it.

use chunk_evidence::encode;
use chunk_wire::fetch::RequestView;
use chunk_wire::id::RequestId;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict};
use clap::Args;

use crate::args::words;
use crate::context::Context;
use crate::document;
use crate::error::{Failure, Result};
use crate::{figures, text};

/// Arguments of `approve` and `reject`.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// Request.
    id: RequestId,
    /// Why you decide so. The requester and auditors read it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Judge only the document with this digest, the one you have read.
    #[arg(long, value_name = "SHA-256")]
    digest: Option<String>,
}

pub(crate) fn approve(cx: &Context<'_>, args: &ReviewArgs) -> Result<()> {
    review(cx, args, Verdict::Approve)
}

pub(crate) fn reject(cx: &Context<'_>, args: &ReviewArgs) -> Result<()> {
    review(cx, args, Verdict::Reject)
}

fn review(cx: &Context<'_>, args: &ReviewArgs, verdict: Verdict) -> Result<()> {
    cx.with_session(async |session| {
        let id = args.id.as_str();
        let view: RequestView = session
            .get(&["v1", "requests", id])
            .await
            .map_err(|failure| failure.hint("chunkctl requests"))?;
        if view.id != args.id {
            return Err(Failure::no(
                "document_mismatch",
                "the broker showed another request than the one that was named",
            ));
        }
        let shown = document::check_shown(&view)?;
        if let Some(read) = &args.digest
            && !read.eq_ignore_ascii_case(&view.digest)
        {
            return Err(
                Failure::no("document_mismatch", "this is not the document you have read; nothing was signed")
                    .why(format!("its digest is {}", view.digest))
                    .hint(format!("chunkctl request show {id}")),
            );
        }
        cx.ui.say(&super::request::show(&view, &shown, figures::now_ms()));
        let me = session.person();
        let verdict_document = ReviewDocument {
            v: 1,
            request: args.id.clone(),
            digest: view.digest.clone(),
            verdict,
            reason: args.reason.clone(),
            issuer: me.issuer,
            subject: me.subject,
            key: session.key().thumbprint().to_owned(),
            signed_ms: figures::now_ms(),
        };
        let signed = encode::canonical_of(&verdict_document).map_err(|_| Failure::bug("a verdict could not be written"))?;
        let body = SubmitReview {
            envelope: session.key().sign(REVIEW_PAYLOAD_TYPE, signed.as_bytes()),
        };
        let after: RequestView = session
            .post(&["v1", "requests", id, "reviews"], &body)
            .await
            .map_err(|failure| failure.hint(format!("chunkctl request show {id}")))?;
        cx.ui.event("request", &after)?;
        let done = if verdict == Verdict::Approve { "Approved" } else { "Rejected" };
        let then = match after.approvals_missing {
            _ if after.break_glass => format!("it was an emergency, and is {}", after.state.as_str()),
            0 => format!("it is now {}", after.state.as_str()),
            1 if verdict == Verdict::Approve => "it needs 1 more approval".to_owned(),
            n if verdict == Verdict::Approve => format!("it needs {n} more approvals"),
            _ => format!("it is now {}", after.state.as_str()),
        };
        cx.ui
            .say(&format!("{done} {id}, asked by {}; {then}.", text::line(&after.requester.name)));
        Ok(())
    })
}
