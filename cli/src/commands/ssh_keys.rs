//! SSH keys that people enrol at the broker: they sign verdicts beside the session's key, and act in nobody's name by themselves.

use chunk_evidence::encode::canonical_of;
use chunk_evidence::enrolled::Enrolment;
use chunk_evidence::sshsig::ENROLL_NAMESPACE;
use chunk_wire::keys::{EnrollKey, KeyChallenge, KeyView};
use chunk_wire::problem::Code;

use crate::client::session::Session;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::figures;
use crate::output::Table;

/// Enrols a key of the ssh-agent.
pub(crate) fn enroll(cx: &Context<'_>, named: &str) -> Result<()> {
    let signer = cx
        .ssh_signer(Some(named))?
        .ok_or_else(|| Failure::bug("a key that was named is not there"))?;
    cx.with_session(async |session| {
        let challenge: KeyChallenge = session.post(&["v1", "keys", "challenge"], &serde_json::json!({})).await?;
        // What the broker says of its log is held against what was pinned: the signature is for that log and no other.
        if let Some(pinned) = cx.pinned_log()
            && pinned.origin != challenge.origin
        {
            return Err(Failure::no(
                "document_mismatch",
                "the broker asks for a signature for another log than the pinned one",
            )
            .why(format!("pinned: {}", pinned.origin))
            .hint("chunkctl doctor"));
        }
        let me = session.person();
        let statement = Enrolment {
            v: 1,
            origin: challenge.origin,
            issuer: me.issuer,
            subject: me.subject,
            key: session.key().thumbprint().to_owned(),
            ssh_key: signer.key().fingerprint(),
            nonce: challenge.nonce.clone(),
        };
        let statement = canonical_of(&statement).map_err(|_| Failure::bug("a statement could not be written"))?;
        if signer.key().is_hardware() {
            cx.ui.say("Touch your security key to show that it is yours.");
        }
        let body = EnrollKey {
            nonce: challenge.nonce,
            signature: signer.sign(ENROLL_NAMESPACE, statement.into_bytes()).await?,
        };
        let enrolled: KeyView = session.post(&["v1", "keys"], &body).await?;
        cx.ui.event("ssh_key", &enrolled)?;
        cx.ui.say(&format!(
            "Enrolled {}; verdicts can be signed with it from now on.",
            enrolled.ssh_key
        ));
        cx.ui.next(&format!("chunkctl config set ssh-key {}", enrolled.ssh_key));
        Ok(())
    })
}

/// Takes a key back.
pub(crate) fn revoke(cx: &Context<'_>, fingerprint: &str) -> Result<()> {
    cx.with_session(async |session| {
        let keys = listed(session, false).await?;
        let found = keys.iter().find(|key| key.ssh_key == fingerprint).ok_or_else(|| {
            Failure::no("not_found", format!("you have not enrolled the SSH key {fingerprint}")).hint("chunkctl keys list")
        })?;
        session
            .send(&session.broker.delete(&["v1", "keys", &found.index.to_string()]))
            .await?;
        cx.ui.event("ssh_key.revoked", found)?;
        cx.ui.say(&format!(
            "The SSH key {fingerprint} signs nothing here any more, and cannot be enrolled again."
        ));
        Ok(())
    })
}

/// The enrolled keys, the newest first; none at a broker that knows none.
///
/// # Errors
/// When the broker cannot be reached or says no.
pub(crate) async fn listed(session: &Session<'_>, all: bool) -> Result<Vec<KeyView>> {
    let mut call = session.broker.get(&["v1", "keys"]);
    if all {
        call = call.query("all", "true");
    }
    match session.json(&call).await {
        Err(failure) if failure.is(Code::NotFound) => Ok(Vec::new()),
        listed => listed,
    }
}

/// The keys as people read them.
pub(crate) fn table(keys: &[KeyView], now_ms: i64) -> String {
    let mut table = Table::new(&["ssh key", "state", "person", "since", "host", "address"]);
    for key in keys {
        let state = if key.revoked_ms.is_some() { "taken back" } else { "enrolled" };
        let since = figures::from_now(key.enrolled_ms, now_ms);
        table.row([&key.ssh_key, state, &key.name, &since, &key.host, &key.ip]);
    }
    table.render()
}
