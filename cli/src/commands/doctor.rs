//! `chunkctl doctor`: why does it not work? Each part is looked at by itself, and the first broken one decides the exit code.

use chunk_wire::session::{BrokerInfo, WhoAmI};
use serde::Serialize;

use crate::auth::credentials::Credentials;
use crate::auth::keyring::{self, Store};
use crate::auth::vault::Storage;
use crate::client::session::Session;
use crate::client::{Broker, Proof};
use crate::context::{Context, block_on};
use crate::error::{Failure, Result};
use crate::{figures, text};

#[derive(Serialize)]
struct Check<'a> {
    check: &'a str,
    ok: bool,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// The checks so far.
struct Report<'a> {
    cx: &'a Context<'a>,
    first: Option<Failure>,
}

impl Report<'_> {
    /// Tells the outcome of one check; gives what it found.
    fn tell<T>(&mut self, check: &str, outcome: Result<(T, String)>) -> Result<Option<T>> {
        let ui = self.cx.ui;
        match outcome {
            Ok((found, message)) => {
                ui.event(
                    "doctor",
                    &Check {
                        check,
                        ok: true,
                        message: &message,
                        hint: None,
                    },
                )?;
                if !ui.is_json() {
                    ui.answer(&format!("ok    {check:<11} {}", text::line(&message)))?;
                }
                Ok(Some(found))
            }
            Err(failure) => {
                let message = std::iter::once(failure.what.as_str())
                    .chain(failure.why.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join("; ");
                ui.event(
                    "doctor",
                    &Check {
                        check,
                        ok: false,
                        message: &message,
                        hint: failure.hint.as_deref(),
                    },
                )?;
                if !ui.is_json() {
                    ui.answer(&format!("FAIL  {check:<11} {}", text::line(&message)))?;
                    if let Some(hint) = failure.hint.as_deref().filter(|hint| *hint != "chunkctl doctor") {
                        ui.answer(&format!("      {:<11} run `{}`", "", text::line(hint)))?;
                    }
                }
                self.first.get_or_insert(failure);
                Ok(None)
            }
        }
    }
}

pub(crate) fn run(cx: &Context<'_>) -> Result<()> {
    let mut report = Report { cx, first: None };
    report.tell(
        "program",
        Ok(((), format!("chunkctl {} for {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS))),
    )?;
    report.tell(
        "config",
        Ok(((), format!("profile `{}` in {}", cx.profile_name, cx.paths.config.display()))),
    )?;
    let kept = report.tell("storage", storage(cx))?.flatten();
    let broker = report.tell(
        "broker",
        cx.broker().map(|broker| {
            let url = broker.url.as_str().to_owned();
            (broker, url)
        }),
    )?;
    if let Some(broker) = broker {
        block_on(reach(cx, &mut report, broker, kept))?;
    }
    match report.first {
        None => {
            cx.ui.say("Everything works.");
            Ok(())
        }
        Some(first) => {
            let mut failure = Failure::new(first.exit, "doctor", format!("the first thing to mend: {}", first.what));
            failure.hint = first
                .hint
                .filter(|hint| hint != "chunkctl doctor")
                .or_else(|| Some("chunkctl config".to_owned()));
            Err(failure)
        }
    }
}

/// Whether the place of the session works, and what it holds.
fn storage(cx: &Context<'_>) -> Result<(Option<Credentials>, String)> {
    let Some(storage) = cx.profile.storage else {
        let keyring = match keyring::probe(Store::Keyring) {
            Ok(()) => "the system's keyring works".to_owned(),
            Err(why) => format!("the system's keyring cannot be used ({why}); an encrypted file would be"),
        };
        return Ok((None, format!("nobody has signed in with this profile; {keyring}")));
    };
    let vault = cx.vault(storage)?;
    match storage {
        Storage::Keyring | Storage::Keyutils | Storage::Tmpfs => vault.probe()?,
        Storage::File | Storage::Plaintext | Storage::Memory => {}
    }
    let kept = vault.load()?;
    let holds = if kept.is_some() {
        "a session is kept"
    } else {
        "no session is kept"
    };
    Ok((kept, format!("{}: works; {holds}", storage.words())))
}

async fn reach(cx: &Context<'_>, report: &mut Report<'_>, broker: Broker, kept: Option<Credentials>) -> Result<()> {
    let info: Result<BrokerInfo> = broker.json(&broker.get(&["v1", "info"]), Proof::None).await;
    let here_ms = figures::now_ms();
    let info = info.and_then(|info| super::login::check_address(&broker.url, &info).map(|()| info));
    let info = report.tell(
        "reachable",
        info.map(|info| {
            let words = format!("{}, version {}", info.name, info.version);
            (info, words)
        }),
    )?;
    let Some(info) = info else { return Ok(()) };
    report.tell("clock", clock(info.time_ms, here_ms))?;
    let log = log(cx, &broker, &info).await;
    report.tell("log", log)?;
    let session = match kept {
        Some(kept) => {
            let session = Session::new(broker, cx.vault(cx.profile.storage.unwrap_or(Storage::Memory))?, kept)?;
            let me: Result<WhoAmI> = session.get(&["v1", "whoami"]).await;
            me.map(|me| {
                (
                    (),
                    format!(
                        "signed in as {}; ends {}",
                        me.person.name,
                        figures::from_now(me.session_expires_ms, figures::now_ms())
                    ),
                )
            })
        }
        None if cx.profile.storage == Some(Storage::Memory) => Ok(((), "none is kept; every command signs in for itself".into())),
        None => Err(Failure::sign_in("you are not signed in")),
    };
    report.tell("session", session)?;
    Ok(())
}

fn clock(there_ms: i64, here_ms: i64) -> Result<((), String)> {
    const APART_MS_MAX: u64 = 30_000;
    let apart = there_ms.abs_diff(here_ms);
    let words = format!(
        "{} apart from the broker's",
        figures::duration(std::time::Duration::from_millis(apart))
    );
    if apart <= APART_MS_MAX {
        return Ok(((), words));
    }
    Err(Failure::usage(format!("this machine's clock is {words}"))
        .why("signatures and proofs carry the time; set the clock by the network"))
}

/// Whether the broker's log is the pinned one, and continues what was seen before.
async fn log(cx: &Context<'_>, broker: &Broker, info: &BrokerInfo) -> Result<((), String)> {
    let Some(pinned) = cx.pinned_log() else {
        return Ok(((), format!("{} (not pinned yet: that happens at the first sign-in)", info.origin)));
    };
    if pinned.origin != info.origin {
        return Err(Failure::no("log_key", "the broker shows another evidence log than the pinned one")
            .why("ask its operator, by another way than this broker, whether the log was replaced")
            .hint("chunkctl config unpin"));
    }
    let signed = cx.meet(broker).await?;
    if cx.pinned_log().is_some_and(|pinned| pinned.key != info.log_key) {
        return Err(Failure::no(
            "log_key",
            "the broker names another log key than the one that signs its checkpoints",
        )
        .hint("chunkctl config"));
    }
    Ok((
        (),
        format!(
            "{}, {} entries, consistent with what was seen before",
            info.origin,
            figures::count(signed.map_or(0, |signed| signed.unverified().size))
        ),
    ))
}
