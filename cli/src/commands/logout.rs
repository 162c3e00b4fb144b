//! `chunkctl logout`: ends the session at the broker, and forgets it here whatever the broker says.

use serde::Serialize;

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
    let Some(credentials) = cx.vault(storage)?.load()? else {
        return Err(Failure::sign_in(format!("you are not signed in to {}", url.as_str())));
    };
    let told = block_on(async {
        let session = Session::new(cx.broker()?, cx.vault(storage)?, credentials)?;
        session
            .send(&session.broker.delete(&["v1", "sessions", "current"]))
            .await
            .map(|_| ())
    });
    cx.vault(storage)?.delete()?;
    // A session that had ended already is what was wanted.
    let ended = match &told {
        Ok(()) => true,
        Err(failure) => failure.exit == Exit::SignIn,
    };
    cx.ui.event(
        "logout.done",
        &Done {
            broker: url.as_str(),
            ended_at_broker: ended,
        },
    )?;
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
