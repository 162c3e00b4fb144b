//! `chunkctl approve`, `reject` and `review`: a reviewer's verdict, signed with the reviewer's own key.
//!
//! What is signed is the digest of the document that was checked and shown here. The broker can refuse the verdict; it cannot
//! make another one of it.

use chunk_evidence::encode;
use chunk_evidence::sshsig::REVIEW_NAMESPACE;
use chunk_wire::fetch::RequestView;
use chunk_wire::id::RequestId;
use chunk_wire::review::{REVIEW_PAYLOAD_TYPE, ReviewDocument, SubmitReview, Verdict};
use clap::Args;

use crate::args::words;
use crate::auth::agent::SshSigner;
use crate::client::session::Session;
use crate::commands::query;
use crate::context::Context;
use crate::document::Checked;
use crate::error::{Failure, Result};
use crate::review::{self, Terms};
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
    /// Sign with this key of your ssh-agent as well; without it, with the profile's.
    #[arg(long, value_name = "SHA256:…|FILE.pub")]
    ssh_key: Option<String>,
}

/// Arguments of `review`.
#[derive(Debug, Args)]
pub(crate) struct InboxArgs {
    /// Ask and answer line by line, for screen readers and simple terminals.
    #[arg(long)]
    plain: bool,
    /// How long a verdict can be taken back before it is signed.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=60))]
    undo: u16,
    /// Sign with this key of your ssh-agent as well; without it, with the profile's.
    #[arg(long, value_name = "SHA256:…|FILE.pub")]
    ssh_key: Option<String>,
}

pub(crate) fn inbox(cx: &Context<'_>, args: &InboxArgs) -> Result<()> {
    let terms = Terms {
        plain: args.plain,
        undo_ms: i64::from(args.undo) * 1000,
    };
    review::run(cx, terms, cx.ssh_signer(args.ssh_key.as_deref())?)
}

pub(crate) fn approve(cx: &Context<'_>, args: &ReviewArgs) -> Result<()> {
    verdict_of(cx, args, Verdict::Approve)
}

pub(crate) fn reject(cx: &Context<'_>, args: &ReviewArgs) -> Result<()> {
    verdict_of(cx, args, Verdict::Reject)
}

fn verdict_of(cx: &Context<'_>, args: &ReviewArgs, verdict: Verdict) -> Result<()> {
    let ssh = cx.ssh_signer(args.ssh_key.as_deref())?;
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
        let checked = Checked::new(view).map_err(|refused| refused.1)?;
        let view = checked.view();
        if let Some(read) = &args.digest
            && !read.eq_ignore_ascii_case(&view.digest)
        {
            return Err(
                Failure::no("document_mismatch", "this is not the document you have read; nothing was signed")
                    .why(format!("its digest is {}", view.digest))
                    .hint(format!("chunkctl request show {id}")),
            );
        }
        cx.ui.say(&super::request::show(view, checked.document(), figures::now_ms()));
        if let Some(touched) = ssh.as_ref().filter(|ssh| ssh.key().is_hardware()) {
            cx.ui
                .say(&format!("Touch your security key to sign with {}.", touched.key().fingerprint()));
        }
        let after = judge(session, &checked, verdict, &args.reason, ssh.as_ref()).await?;
        cx.ui.event("request", &after)?;
        cx.ui.say(&told(verdict, &after));
        Ok(())
    })
}

/// Signs a verdict with this session's key, and with an SSH key where there is one, over the digest of the document that was checked,
/// and hands it in.
///
/// # Errors
/// When the broker cannot be reached, or refuses it.
pub(crate) async fn judge(
    session: &Session<'_>,
    checked: &Checked,
    verdict: Verdict,
    reason: &str,
    ssh: Option<&SshSigner>,
) -> Result<RequestView> {
    let view = checked.view();
    let me = session.person();
    let document = ReviewDocument {
        v: 1,
        request: view.id.clone(),
        digest: view.digest.clone(),
        verdict,
        reason: reason.to_owned(),
        issuer: me.issuer,
        subject: me.subject,
        key: session.key().thumbprint().to_owned(),
        signed_ms: figures::now_ms(),
    };
    let signed = encode::canonical_of(&document).map_err(|_| Failure::bug("a verdict could not be written"))?;
    let envelope = session.key().sign(REVIEW_PAYLOAD_TYPE, signed.as_bytes());
    let ssh = match ssh {
        Some(signer) => Some(signer.sign(REVIEW_NAMESPACE, signed.into_bytes()).await?),
        None => None,
    };
    let body = SubmitReview { envelope, ssh };
    session
        .post(&["v1", "requests", view.id.as_str(), "reviews"], &body)
        .await
        .map_err(|failure| failure.hint(format!("chunkctl request show {}", view.id)))
}

/// What a verdict has done, in a sentence.
pub(crate) fn told(verdict: Verdict, after: &RequestView) -> String {
    let done = if verdict == Verdict::Approve { "Approved" } else { "Rejected" };
    let then = match after.approvals_missing {
        _ if after.break_glass => format!("it was an emergency, and is {}", after.state.as_str()),
        n if n > 0 && verdict == Verdict::Approve => {
            let turn = after.stages.iter().find(|stage| stage.turn);
            let next = turn.map(|turn| format!(", the next of {}", text::line(&query::reviewers(&turn.stage))));
            format!(
                "it needs {n} more approval{}{}",
                if n == 1 { "" } else { "s" },
                next.unwrap_or_default()
            )
        }
        _ => format!("it is now {}", after.state.as_str()),
    };
    format!("{done} {}, asked by {}; {then}.", after.id, text::line(&after.requester.name))
}
