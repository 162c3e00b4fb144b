//! `chunk-broker dev`: a broker, an identity provider and data, from nothing, on this machine only.
//!
//! It is the product with three things supplied: made-up data, a development issuer that authenticates nobody, and a folder
//! with configuration, keys and policies as `init` would make them. The broker in it is the one that `serve` runs, by the same
//! code, so what works here works there. Everything binds loopback addresses.

mod folder;
mod issuer;
mod people;
mod sample;

use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use chunk_core::clock::Clock;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::issuer::{DevIssuer, IssuerError, WARNING, people_line};
use crate::config::{self, Config, Faults};

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

/// Runs a broker until the token is cancelled; `ready` is called once it answers. What `serve` runs, handed in by the program.
pub type Serve = Box<dyn FnOnce(Config, CancellationToken, Ready) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send>;
/// Called once the broker answers.
pub type Ready = Box<dyn FnOnce() + Send>;

/// Proof that the `dev` command runs: the issuer cannot be made without it, and nothing else can make it.
pub(crate) struct StartedByDev(());

/// Why `dev` does not run.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A file or folder could not be used.
    #[error("cannot {what} {}: {}", path.display(), source.kind())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the folder.
    #[error("another `chunk-broker dev` runs in {}", .0.display())]
    InUse(PathBuf),
    /// The folder holds a sample of another size.
    #[error("{} holds a sample of {found} orders, not {wanted}; run with `--orders {found}` or with another `--data`", data.display())]
    OtherSample {
        /// Where.
        data: PathBuf,
        /// Orders there.
        found: u64,
        /// Orders asked for.
        wanted: u64,
    },
    /// The generator failed.
    #[error("the sample data could not be made: {0}")]
    Sample(String),
    /// A path without a parent.
    #[error("the folder must have a name")]
    NoFolder,
    /// The configuration has faults.
    #[error("{0}")]
    Config(Faults),
    /// The configuration is not one that `dev` made.
    #[error("{} names no development issuer on 127.0.0.1: `dev` serves only what it made; run `chunk-broker serve` instead", .0.display())]
    NotOurs(PathBuf),
    /// The issuer does not start.
    #[error("{0}")]
    Issuer(String),
    /// Keys or journal could not be made.
    #[error("{0}")]
    Init(String),
    /// The broker ended by itself.
    #[error("the broker ended: {0}")]
    Broker(String),
}

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
pub async fn run(args: DevArgs, clock: Arc<dyn Clock>, write_sample: WriteSample, serve: Serve) -> Result<(), DevError> {
    let started = StartedByDev(());
    let dir = std::path::absolute(&args.dir).map_err(|source| DevError::File {
        what: "find",
        path: args.dir.clone(),
        source,
    })?;
    let data = match &args.data {
        Some(data) => std::path::absolute(data).map_err(|source| DevError::File {
            what: "find",
            path: data.clone(),
            source,
        })?,
        None => dir.join("sample"),
    };
    let _lock = folder::claim(&dir)?;
    event(args.json, "dev.sample");
    let (at, orders) = (data.clone(), args.orders);
    let made = tokio::task::spawn_blocking(move || sample::provide(&at, orders, write_sample)).await;
    if made.map_err(|_| DevError::Sample("the generator panicked".into()))?? {
        tracing::info!(orders = args.orders, data = %data.display(), "sample data made");
    }

    let file = dir.join(folder::CONFIG);
    let issuer = if file.exists() {
        let known = config::load(&file).map_err(DevError::Config)?;
        bind_issuer(
            &started,
            issuer_port(&known).ok_or_else(|| DevError::NotOurs(file.clone()))?,
            &clock,
        )
        .await?
    } else {
        let issuer = bind_issuer(&started, args.issuer_port, &clock).await?;
        folder::make(&dir, &data, free_port(args.port)?, issuer.url())?;
        issuer
    };
    let config = config::load(&file).map_err(DevError::Config)?;
    let (broker_url, issuer_url) = (
        config.broker.public_url.as_str().trim_end_matches('/').to_owned(),
        issuer.url().to_owned(),
    );

    let stop = CancellationToken::new();
    let (answers, is_ready) = tokio::sync::oneshot::channel();
    let mut issuer = std::pin::pin!(issuer.serve(stop.clone().cancelled_owned()));
    let mut broker = serve(
        config,
        stop.clone(),
        Box::new(move || {
            answers.send(()).ok();
        }),
    );
    let mut announced = std::pin::pin!(async {
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
        asked_to_stop(args.until_stdin_closes).await;
        Ok::<(), DevError>(())
    });
    tokio::select! {
        ended = &mut broker => {
            stop.cancel();
            issuer.await.map_err(|e| told(&e))?;
            return Err(DevError::Broker(ended.err().unwrap_or_else(|| "nobody asked it to".into())));
        }
        ended = &mut issuer => {
            stop.cancel();
            broker.await.map_err(DevError::Broker)?;
            return Err(ended.err().map_or_else(|| DevError::Issuer("the issuer ended by itself".into()), |e| told(&e)));
        }
        asked = &mut announced => {
            stop.cancel();
            let (issuer, broker) = tokio::join!(issuer, broker);
            asked?;
            issuer.map_err(|e| told(&e))?;
            broker.map_err(DevError::Broker)?;
        }
    }
    event(args.json, "dev.stopped");
    Ok(())
}

async fn bind_issuer(started: &StartedByDev, port: u16, clock: &Arc<dyn Clock>) -> Result<DevIssuer, DevError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    DevIssuer::bind(started, address, Arc::clone(clock)).await.map_err(|e| told(&e))
}

/// The port at which the folder's configuration expects the development issuer.
fn issuer_port(config: &Config) -> Option<u16> {
    let issuer = config.issuers.iter().find(|issuer| issuer.settings.insecure_development)?;
    issuer.settings.issuer.strip_prefix("http://127.0.0.1:")?.parse().ok()
}

/// A port that nothing listens at now. The broker binds it a moment later and says so if somebody was quicker.
fn free_port(wanted: u16) -> Result<u16, DevError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted));
    let bound = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|source| DevError::File {
        what: "listen at",
        path: PathBuf::from(address.to_string()),
        source,
    })
}

fn announce(args: &DevArgs, line: &ReadyLine<'_>) -> Result<(), DevError> {
    let text = serde_json::to_string(line).map_err(|_| DevError::NoFolder)?;
    if let Some(file) = &args.ready_file {
        let failed = |source| DevError::File {
            what: "write",
            path: file.clone(),
            source,
        };
        let mut scratch = tempfile::NamedTempFile::new_in(file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
            .map_err(failed)?;
        writeln!(scratch, "{text}").map_err(failed)?;
        scratch.persist(file).map_err(|e| failed(e.error))?;
    }
    if args.json {
        print_line(&text);
    }
    let mut words = std::io::stderr().lock();
    let banner = format!(
        "\n  *** {WARNING} ***\n\n  broker  {}\n  issuer  {}   (sign-in page: {}/device)\n  people  {}\n  folder  {}\n\n  next: run `chunkctl login --broker {}`\n\n",
        line.broker,
        line.issuer,
        line.issuer,
        people_line(),
        line.dir.display(),
        line.broker
    );
    // A closed standard error leaves nobody to tell.
    words.write_all(banner.as_bytes()).ok();
    tracing::warn!(
        broker = line.broker,
        issuer = line.issuer,
        warning = WARNING,
        "development broker ready"
    );
    Ok(())
}

fn event(json: bool, name: &str) {
    if json {
        print_line(&format!("{{\"event\":\"{name}\"}}"));
    }
}

fn print_line(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

/// Ready at SIGINT, SIGTERM, or, where asked for, the end of standard input.
async fn asked_to_stop(until_stdin_closes: bool) {
    let stdin = async {
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
    tokio::select! {
        () = stdin => tracing::info!("standard input ended: stopping"),
        () = signalled() => tracing::info!("signal: stopping"),
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

fn told(error: &IssuerError) -> DevError {
    use std::error::Error as _;
    DevError::Issuer(match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

#[cfg(test)]
impl StartedByDev {
    pub(crate) fn for_tests() -> Self {
        Self(())
    }
}
