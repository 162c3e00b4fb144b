//! `chunkctl witness`: vouches for logs, on a machine of somebody else than the broker's operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chunk_evidence::note::VerifierKey;
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::context::block_on;
use crate::error::{Failure, Result, io_words};
use crate::figures;
use crate::output::Ui;
use crate::text;
use crate::witness::key::WitnessSigner;
use crate::witness::server::{self, Event};
use crate::witness::state::{self, KnownLog, Store};
use crate::witness::tls;

/// Arguments of `witness`.
#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: WitnessCommand,
}

#[derive(Debug, Subcommand)]
enum WitnessCommand {
    /// Make a witness: its key, and its memory, which is empty.
    Keygen(KeygenArgs),
    /// Cosign checkpoints of logs that only grow (C2SP tlog-witness), until SIGTERM.
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
struct KeygenArgs {
    /// Name under which it cosigns: a URL without its scheme, such as `witness.example.com/security`.
    name: String,
    /// File for the private key. It must not exist.
    #[arg(long, value_name = "FILE", default_value = "witness.key")]
    key: PathBuf,
    /// File for what it remembers. It must not exist.
    #[arg(long, value_name = "FILE", default_value = "witness.state")]
    state: PathBuf,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// File with what it remembers, made by `keygen`. Never put an older copy in its place.
    #[arg(long, value_name = "FILE", default_value = "witness.state")]
    state: PathBuf,
    /// File with the private key, made by `keygen`.
    #[arg(long, value_name = "FILE", default_value = "witness.key")]
    key: PathBuf,
    /// Where to listen; port 0 takes any.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Verifier key of a log to vouch for, as the log's operator published it. Again for each log, and for each key of one.
    #[arg(long, value_name = "VKEY", required = true, value_parser = log_key)]
    log: Vec<VerifierKey>,
    /// Certificate chain (PEM), to speak TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn log_key(text: &str) -> std::result::Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|_| "it is not a log's verifier key, `origin+id+key` (Ed25519)".to_owned())
}

#[derive(Serialize)]
struct Made {
    key: String,
    state: String,
    witness: String,
}

#[derive(Serialize)]
struct Ready<'a> {
    url: &'a str,
    witness: &'a str,
    logs: &'a [KnownLog],
}

#[derive(Serialize)]
struct CosignedEvent<'a> {
    origin: &'a str,
    size: u64,
    time_ms: u64,
}

#[derive(Serialize)]
struct RefusedEvent<'a> {
    origin: &'a str,
    size: u64,
    status: u16,
    why: &'a str,
}

/// What is told and not waited for; what does not fit is not told.
const EVENTS_MAX: usize = 1024;
/// Refusals are told people this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn run(ui: &Ui, args: &WitnessArgs) -> Result<()> {
    match &args.command {
        WitnessCommand::Keygen(args) => keygen(ui, args),
        WitnessCommand::Serve(args) => serve(ui, args),
    }
}

fn keygen(ui: &Ui, args: &KeygenArgs) -> Result<()> {
    let signer = WitnessSigner::make(&args.name, &args.key)?;
    if let Err(failure) = state::make(&args.state, &signer) {
        // A key without its memory is of no use, and would be in the way of the next try.
        std::fs::remove_file(&args.key).ok();
        return Err(failure);
    }
    let vkey = signer.verifier().to_text();
    let (key, state) = (args.key.display().to_string(), args.state.display().to_string());
    if ui.is_json() {
        return ui.event("witness.made", &Made { key, state, witness: vkey });
    }
    ui.say(&format!(
        "Made the key `{key}` and the empty memory `{state}`. The witness's verifier key:"
    ));
    ui.answer(&vkey)?;
    ui.say("Give it to the broker's operator (`[witness]` in broker.toml) and to every auditor (`witnesses` in the trust file).");
    ui.next(&format!(
        "chunkctl witness serve --key {} --state {} --listen 127.0.0.1:7380 --log LOG-KEY",
        text::shell(&key),
        text::shell(&state)
    ));
    Ok(())
}

fn serve(ui: &Ui, args: &ServeArgs) -> Result<()> {
    let signer = WitnessSigner::read(&args.key)?;
    let acceptor = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
        _ => None,
    };
    let store = Store::open(&args.state, signer, args.log.clone())?;
    block_on(async {
        let cannot = |error: &std::io::Error| {
            Failure::cannot_tell("listen", format!("cannot listen on {}", args.listen))
                .why(io_words(error))
                .hint("chunkctl witness serve --help")
        };
        let listener = TcpListener::bind(args.listen).await.map_err(|error| cannot(&error))?;
        let address = listener.local_addr().map_err(|error| cannot(&error))?;
        let (mut terminate, mut interrupt) = (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?);
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        tell_ready(ui, &format!("{scheme}://{address}"), &store)?;
        if acceptor.is_none() && !address.ip().is_loopback() {
            ui.warn("it speaks plain HTTP to the network: cosignatures cannot be forged that way, but they can be kept from the log");
        }

        let (tell, mut events) = mpsc::channel(EVENTS_MAX);
        let (stop, stopping) = watch::channel(false);
        let mut serving = tokio::spawn(server::serve(listener, acceptor, store, tell, stopping));
        let mut told = Told::default();
        let broken = loop {
            tokio::select! {
                _ = terminate.recv() => break None,
                _ = interrupt.recv() => break None,
                event = events.recv() => match event {
                    Some(Event::Broken(why)) => break Some(why),
                    Some(event) => tell_event(ui, &event, &mut told)?,
                    None => break Some("the server ended by itself".to_owned()),
                },
            }
        };
        stop.send(true).ok();
        (&mut serving).await.ok();
        match broken {
            None => {
                ui.say("Stopped.");
                Ok(())
            }
            Some(why) => Err(
                Failure::cannot_tell("state", "the witness has stopped: it cannot be sure of what it remembers")
                    .why(why)
                    .why("look at the disk, then start it again: it reads what is there, and nothing was cosigned that is not")
                    .hint("chunkctl witness serve --help"),
            ),
        }
    })
}

fn caught(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Failure::cannot_tell("system", "cannot start").why(io_words(&error)))
}

fn tell_ready(ui: &Ui, url: &str, store: &Store) -> Result<()> {
    let (witness, logs) = (store.verifier(), store.known());
    ui.event(
        "witness.ready",
        &Ready {
            url,
            witness: &witness,
            logs: &logs,
        },
    )?;
    ui.say(&format!("Listening on {url} as"));
    ui.say(&format!("    {witness}"));
    for log in &logs {
        ui.say(&match log.size {
            0 => format!("Knows the log `{}`; nothing of it was cosigned so far.", log.origin),
            size => format!(
                "Knows the log `{}`; cosigned it last at {} entries.",
                log.origin,
                figures::count(size)
            ),
        });
    }
    Ok(())
}

/// When a refusal was told last. Anybody can have a checkpoint refused again that the log signed once, as often as they like.
#[derive(Default)]
struct Told(Option<Instant>);

impl Told {
    fn is_new(&mut self) -> bool {
        let new = self.0.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if new {
            self.0 = Some(Instant::now());
        }
        new
    }
}

fn tell_event(ui: &Ui, event: &Event, told: &mut Told) -> Result<()> {
    match event {
        Event::Cosigned(cosigned) => ui.event(
            "witness.cosigned",
            &CosignedEvent {
                origin: &cosigned.origin,
                size: cosigned.size,
                time_ms: cosigned.time_s.saturating_mul(1000),
            },
        ),
        Event::Refused {
            origin,
            size,
            refusal,
            contradiction,
        } => {
            let why = refusal.body();
            ui.event(
                "witness.refused",
                &RefusedEvent {
                    origin,
                    size: *size,
                    status: refusal.status(),
                    why: why.trim_end(),
                },
            )?;
            if *contradiction {
                ui.warn(&format!(
                    "the log `{origin}` signed two different trees of {size} entries: it was forked or rewritten. Both checkpoints are kept in the state file"
                ));
            } else if refusal.status() == 422 && told.is_new() {
                ui.warn(&format!(
                    "refused a checkpoint of {size} entries of the log `{origin}`: {}",
                    why.trim_end()
                ));
            }
            Ok(())
        }
        Event::Unwritten(why) => {
            ui.warn(&format!("nothing was cosigned: {why}"));
            Ok(())
        }
        Event::Broken(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::Exit;

    fn ui() -> Ui {
        Ui::new(false, true, true)
    }

    #[test]
    fn a_witness_is_made_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let args = |key: &str, state: &str| KeygenArgs {
            name: "witness.example/w1".into(),
            key: folder.path().join(key),
            state: folder.path().join(state),
        };
        keygen(&ui(), &args("key", "state")).unwrap();
        let again = keygen(&ui(), &args("key", "other")).unwrap_err();
        assert_eq!(again.exit, Exit::Usage);
        keygen(&ui(), &args("other", "state")).unwrap_err();
        assert!(!folder.path().join("other").exists());
        let signer = WitnessSigner::read(&folder.path().join("key")).unwrap();
        assert!(Store::open(&folder.path().join("state"), signer, Vec::new()).is_ok());
    }

    #[test]
    fn a_log_is_named_by_its_key_and_nothing_else() {
        assert!(log_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").is_ok());
        for bad in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(log_key(bad).is_err(), "{bad}");
        }
        // A witness's own key is not a log's.
        assert!(log_key("witness.example.com/w1+8122a5ab+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs").is_err());
    }
}
