//! `chunk-broker dev`: a broker, an identity provider and data, from nothing, on this machine only.
//!
//! It is the product with three things supplied: made-up data, a development issuer that authenticates nobody, and a folder
//! with configuration, keys and policies as `init` would make them. The broker in it is the one that `serve` runs, by the same
//! code, so what works here works there. Everything binds loopback addresses.

mod folder;
mod issuer;
mod people;
mod sample;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chunk_core::clock::Clock;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::issuer::{DevIssuer, IssuerError, WARNING, people_line};
use crate::commands::{print, tell};
use crate::config::{self, Config, Env};
use crate::error::{CommandError, chain};
use crate::ports::Ports;
use crate::serve::{serve, stop_on_signal};

pub use self::people::{DevPerson, PEOPLE, person};
pub use self::sample::WriteSample;

/// Rows of the larger sample table.
const ORDERS_DEFAULT: u64 = 1_000_000;

/// Options of `chunk-broker dev`.
#[derive(Debug, Clone, clap::Args)]
pub struct DevArgs {
    /// Folder for configuration, keys, policies and journal; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Folder with the sample data; made if it does not exist [default: DIR/sample]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Rows of the table `orders`
    #[arg(long, value_name = "N", default_value_t = ORDERS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub orders: u64,
    /// Port of the broker on 127.0.0.1 for a new folder; any free one by default
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Port of the development issuer on 127.0.0.1 for a new folder; any free one by default
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub issuer_port: u16,
    /// Also write the ready line to this file
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Print events on standard output, one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Stop when standard input ends
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Proof that the `dev` command runs: the issuer cannot be made without it, and nothing else can make it.
pub(crate) struct StartedByDev(());

/// What is printed when both answer.
#[derive(Debug, Serialize)]
struct ReadyLine<'a> {
    event: &'a str,
    broker: &'a str,
    issuer: &'a str,
    dir: &'a Path,
    data: &'a Path,
    pid: u32,
    insecure_development: bool,
}

/// Makes what is missing, runs issuer and broker, and stops both on SIGINT, SIGTERM, or the end of standard input.
///
/// # Errors
/// When something cannot be made, a port is taken, or either ends by itself.
pub async fn run(args: DevArgs, ports: Ports, env: Env, write_sample: WriteSample) -> Result<(), CommandError> {
    let stop = asked_to_stop(args.until_stdin_closes)?;
    run_until(args, ports, env, write_sample, stop).await
}

async fn run_until(
    args: DevArgs,
    ports: Ports,
    env: Env,
    write_sample: WriteSample,
    asked_to_stop: impl Future<Output = ()>,
) -> Result<(), CommandError> {
    // Watched from the first moment on: whoever changes their mind while the sample is made does not wait for it.
    let mut asked_to_stop = std::pin::pin!(asked_to_stop);
    let started = StartedByDev(());
    let dir = absolute(&args.dir)?;
    let data = args.data.as_deref().map_or_else(|| Ok(dir.join("sample")), absolute)?;
    let _lock = folder::claim(&dir)?;
    event(args.json, "dev.sample")?;
    match sample::provide(&data, args.orders, write_sample, asked_to_stop.as_mut()).await? {
        Some(true) => tracing::info!(orders = args.orders, data = %data.display(), "sample data made"),
        Some(false) => {}
        None => return event(args.json, "dev.stopped"),
    }

    let file = dir.join(folder::CONFIG);
    let issuer = if file.exists() {
        bind_issuer(&started, issuer_port(&load(&file)?, &file)?, &ports.clock).await?
    } else {
        let issuer = bind_issuer(&started, args.issuer_port, &ports.clock).await?;
        folder::make(&dir, &data, free_port(args.port)?, issuer.url())?;
        issuer
    };
    let config = load(&file)?;
    let (broker_url, issuer_url) = (
        config.broker.public_url.as_str().trim_end_matches('/').to_owned(),
        issuer.url().to_owned(),
    );

    let stop = CancellationToken::new();
    let (answers, is_ready) = tokio::sync::oneshot::channel();
    let ready = move || {
        answers.send(()).ok();
    };
    let mut broker = std::pin::pin!(serve(config, ports, env, stop.clone(), ready));
    let mut issuer = std::pin::pin!(issuer.serve(stop.clone().cancelled_owned()));
    let announced = async {
        if is_ready.await.is_ok() {
            announce(
                &args,
                &ReadyLine {
                    event: "dev.ready",
                    broker: &broker_url,
                    issuer: &issuer_url,
                    dir: &dir,
                    data: &data,
                    pid: std::process::id(),
                    insecure_development: true,
                },
            )?;
        }
        std::future::pending().await
    };
    let mut asked = std::pin::pin!(async {
        tokio::select! {
            () = asked_to_stop => Ok(()),
            unannounced = announced => unannounced,
        }
    });
    // Whichever ends first, the other two are brought to their end as well: a broker is never dropped half-way.
    let ended = tokio::select! {
        ended = &mut broker => {
            stop.cancel();
            issuer.await.map_err(|e| told(&e))?;
            return ended.and_then(|()| Err(CommandError::unavailable("The broker ended by itself.")));
        }
        ended = &mut issuer => ended.map_err(|e| told(&e)).and_then(|()| Err(CommandError::unavailable("The development issuer ended by itself."))),
        asked = &mut asked => {
            stop.cancel();
            let served = issuer.await.map_err(|e| told(&e));
            asked.and(served)
        }
    };
    stop.cancel();
    broker.await?;
    event(args.json, "dev.stopped")?;
    ended
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|e| cannot("find", path, &e))
}

fn load(file: &Path) -> Result<Config, CommandError> {
    config::load(file).map_err(|faults| {
        CommandError::config("The configuration has faults.")
            .because(faults)
            .next(format!("chunk-broker check --config {}", file.display()))
    })
}

async fn bind_issuer(started: &StartedByDev, port: u16, clock: &Arc<dyn Clock>) -> Result<DevIssuer, CommandError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    DevIssuer::bind(started, address, Arc::clone(clock)).await.map_err(|e| told(&e))
}

/// The port at which the folder's configuration expects the development issuer.
fn issuer_port(config: &Config, file: &Path) -> Result<u16, CommandError> {
    let issuer = config.issuers.iter().find(|issuer| issuer.settings.insecure_development);
    issuer
        .and_then(|issuer| issuer.settings.issuer.strip_prefix("http://127.0.0.1:")?.parse().ok())
        .ok_or_else(|| {
            CommandError::config(format!("{} names no development issuer on 127.0.0.1.", file.display()))
                .because("`dev` serves only what it made")
                .next(format!("chunk-broker serve --config {}", file.display()))
        })
}

/// A port that nothing listens at now. The broker binds it a moment later and says so if somebody was quicker.
fn free_port(wanted: u16) -> Result<u16, CommandError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted));
    let bound = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|e| CommandError::unavailable(format!("Cannot listen at {address}.")).because(e.kind()))
}

/// A file or folder that could not be used.
fn cannot(verb: &str, path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::config(format!("Cannot {verb} {}.", path.display())).because(error.kind())
}

fn announce(args: &DevArgs, line: &ReadyLine<'_>) -> Result<(), CommandError> {
    let text = serde_json::to_string(line).map_err(|_| CommandError::unavailable("The folder's name is not text."))?;
    if let Some(file) = &args.ready_file {
        let file = absolute(file)?;
        let mut scratch =
            tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new("/"))).map_err(|e| cannot("write", &file, &e))?;
        writeln!(scratch, "{text}").map_err(|e| cannot("write", &file, &e))?;
        scratch.persist(&file).map_err(|e| cannot("write", &file, &e.error))?;
    }
    if args.json {
        print(&format!("{text}\n"))?;
    }
    tell(&format!(
        "\n  *** {WARNING} ***\n\n  broker  {}\n  issuer  {}   (sign-in page: {}/device)\n  people  {}\n  folder  {}\n\n  next: run `chunkctl login --broker {}`\n",
        line.broker,
        line.issuer,
        line.issuer,
        people_line(),
        line.dir.display(),
        line.broker
    ));
    tracing::warn!(
        broker = line.broker,
        issuer = line.issuer,
        warning = WARNING,
        "development broker ready"
    );
    Ok(())
}

fn event(json: bool, name: &str) -> Result<(), CommandError> {
    if json {
        print(&format!("{{\"event\":\"{name}\"}}\n"))
    } else {
        Ok(())
    }
}

/// Ready at SIGINT, SIGTERM, or, where asked for, the end of standard input. Signals are caught from now on.
fn asked_to_stop(until_stdin_closes: bool) -> Result<impl Future<Output = ()>, CommandError> {
    let signalled = stop_on_signal()?;
    let stdin = async move {
        if !until_stdin_closes {
            return std::future::pending().await;
        }
        // A thread of its own, left behind when a signal is first: a blocked read cannot be cancelled, and the runtime would
        // wait for it.
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).ok();
            ended.send(()).ok();
        });
        end.await.ok();
    };
    Ok(async move {
        tokio::select! {
            () = stdin => tracing::info!("standard input ended: stopping"),
            () = signalled.cancelled() => tracing::info!("signal: stopping"),
        }
    })
}

fn told(error: &IssuerError) -> CommandError {
    CommandError::unavailable("The development issuer cannot run.").because(chain(error))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl StartedByDev {
    pub(crate) fn for_tests() -> Self {
        Self(())
    }
}
