//! `chunkctl logout`: ends the session at the broker, and forgets it here whatever the broker says.
//!
//! What is kept is removed also when it cannot be read: a damaged file, or a passphrase nobody remembers, must not keep a
//! session on this machine.

use serde::Serialize;

use crate::auth::vault::{Storage, Vault};
use crate::client::session::Session;
use crate::context::{Context, block_on};
use crate::error::{Exit, Failure, Result};

#[derive(Serialize)]
struct Done<'a> {
    broker: &'a str,
    ended_at_broker: bool,
}

pub(crate) fn run(cx: &Context<'_>) -> Result<()> {
    let storage = cx.profile.storage.ok_or_else(|| Failure::sign_in("you are not signed in"))?;
    let url = cx.broker_url()?;
    let vault = cx.vault(storage)?;
    let credentials = match vault.load() {
        Ok(Some(credentials)) => credentials,
        // A job signs out at its end, however it ended; that its minutes were over before is no failure of it.
        Ok(None) if storage == Storage::Tmpfs => {
            vault.delete()?;
            cx.ui.say("No session of this job is left.");
            return tell(cx, true);
        }
        Ok(None) => return Err(Failure::sign_in(format!("you are not signed in to {}", url.as_str()))),
        Err(unread) => return Err(forget_unread(cx, &vault, unread)),
    };
    let told = block_on(async {
        let session = Session::new(cx.broker()?, cx.vault(storage)?, credentials)?;
        session
            .send(&session.broker.delete(&["v1", "sessions", "current"]))
            .await
            .map(|_| ())
    });
    vault.delete()?;
    // A session that had ended already is what was wanted.
    let ended = match &told {
        Ok(()) => true,
        Err(failure) => failure.exit == Exit::SignIn,
    };
    tell(cx, ended)?;
    match told {
        Err(failure) if !ended => {
            let mut unknown = Failure::cannot_tell("unreachable", "the session is forgotten here, but the broker could not be told")
                .why("its key is destroyed, so nobody can use it; at the broker it stays listed until it expires");
            unknown.why.extend(failure.why);
            Err(unknown.hint("chunkctl doctor"))
        }
        _ => {
            cx.ui.say(&format!("Signed out of {}.", url.as_str()));
            Ok(())
        }
    }
}

/// Removes a session that cannot be read, and says what that leaves open.
fn forget_unread(cx: &Context<'_>, vault: &Vault<'_>, unread: Failure) -> Failure {
    let because = |failure: Failure| unread.why.iter().cloned().fold(failure.why(unread.what.clone()), Failure::why);
    if let Err(failure) = vault.delete() {
        return because(failure);
    }
    if let Err(failure) = tell(cx, false) {
        return failure;
    }
    because(Failure::cannot_tell(
        "not_told",
        "the session is forgotten here, but it could not be read, so the broker was not told",
    ))
    .why("at the broker it stays open until it expires; sign in again to end it there: `chunkctl sessions list`, `chunkctl sessions revoke ID`")
    .hint("chunkctl login")
}

fn tell(cx: &Context<'_>, ended_at_broker: bool) -> Result<()> {
    let url = cx.broker_url()?;
    let done = Done {
        broker: url.as_str(),
        ended_at_broker,
    };
    cx.ui.event("logout.done", &done)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::client::scripted::{Scripted, answer};
    use crate::output::Ui;
    use crate::testing::{credentials, release};

    /// Signs out of a session that was spoilt; gives the answer, the files that are left, and what the broker was asked.
    fn logout(storage: Storage, spoil: impl FnOnce(&std::path::Path)) -> (Result<()>, usize, usize) {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(vec![answer(200, "", "{}")]);
        let ui = Ui::new(false, true, true);
        let log = release(b"").log_key;
        let cx = Context::for_tests(&ui, folder.path(), &server.url, storage, &log);
        cx.vault(Storage::Plaintext).unwrap().save(&credentials(&server.url)).unwrap();
        let kept = folder.path().join("state/credentials");
        let file = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
        if storage == Storage::File {
            std::fs::rename(&file, file.with_extension("age")).unwrap();
            std::fs::write(folder.path().join("passphrase"), "not this one").unwrap();
        } else {
            spoil(&file);
        }
        let outcome = run(&cx);
        (outcome, std::fs::read_dir(&kept).unwrap().count(), server.asked().len())
    }

    #[test]
    fn a_session_is_ended_at_the_broker_and_here() {
        let (outcome, left, asked) = logout(Storage::Plaintext, |_| ());
        outcome.unwrap();
        assert_eq!((left, asked), (0, 1));
    }

    #[test]
    fn a_damaged_session_is_forgotten_all_the_same() {
        let (outcome, left, asked) = logout(Storage::Plaintext, |file| std::fs::write(file, "junk").unwrap());
        let failure = outcome.unwrap_err();
        assert_eq!((failure.exit, left, asked), (Exit::CannotTell, 0, 0));
        assert!(failure.what.contains("the broker was not told"), "{}", failure.what);
    }

    #[cfg(unix)]
    #[test]
    fn a_session_that_others_could_read_is_forgotten_all_the_same() {
        use std::os::unix::fs::PermissionsExt as _;
        let (outcome, left, _) = logout(Storage::Plaintext, |file| {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
        });
        let failure = outcome.unwrap_err();
        assert_eq!((failure.exit, left), (Exit::CannotTell, 0));
        assert!(
            failure.why.iter().any(|why| why.contains("may have been copied")),
            "{:?}",
            failure.why
        );
    }

    #[test]
    fn a_session_whose_passphrase_is_lost_is_forgotten_all_the_same() {
        let (outcome, left, _) = logout(Storage::File, |_| ());
        assert_eq!((outcome.unwrap_err().exit, left), (Exit::CannotTell, 0));
    }
}
