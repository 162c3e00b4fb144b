//! From a checked configuration to a broker that answers, and from a signal to a broker that has stopped with nothing open.
//!
//! Order of stopping: no new connections; streams of events end; deliveries are cut and their outcomes recorded; the stop is
//! recorded; then the connections that are left are closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use chunk_core::broker::{Broker, Parts};
use chunk_core::settings::Settings;
use chunk_log::LogSigner;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{BrokerConfig, Config, Env};
use crate::error::{CommandError, chain};
use crate::http::limits::Limits;
use crate::http::{Gateway, router};
use crate::outbound::IssuerHttp;
use crate::ports::Ports;
use crate::secrets::directories::DirectorySecrets;
use crate::secrets::master::MasterKey;
use crate::secrets::{Credentials, SecretReader};
use crate::{data_dir, listener, mirror, notify, process, reload, sinks, timestamps, witness};

/// Deliveries are cut and the stop is recorded within this time, or not at all: the next start records what is missing.
const STOP_MAX: Duration = Duration::from_secs(20);
/// Files that are not connections of clients: the journal, what sources are read through, standard streams.
const OTHER_FILES_MAX: u64 = 512;
/// Connections of the listener for metrics: a few collectors.
const OPERATIONS_CONNECTIONS_MAX: usize = 64;

/// Runs a broker until `stop` is cancelled; `ready` is called once it answers.
///
/// # Errors
/// When it cannot start, or ends by itself.
pub async fn serve(
    config: Config,
    ports: Ports,
    env: Env,
    stop: CancellationToken,
    ready: impl FnOnce() + Send,
) -> Result<(), CommandError> {
    serve_within(Limits::default(), config, ports, env, stop, ready).await
}

async fn serve_within(
    limits: Limits,
    config: Config,
    ports: Ports,
    env: Env,
    stop: CancellationToken,
    ready: impl FnOnce() + Send,
) -> Result<(), CommandError> {
    install_crypto();
    let limits = within_open_files(limits, process::open_files_max());
    let tls = match &config.broker.tls {
        Some(files) => Some((files.clone(), listener::tls_config(files).await?)),
        None => None,
    };
    let api = listener::bind(config.broker.listen)?;
    let operations = config.broker.metrics_listen.map(listener::bind).transpose()?;
    let (settings, folder, policies) = (config.broker.clone(), config.policy_folder(), config.policies.digest().to_owned());
    let mirror = match &config.mirror {
        Some(asked) => Some((asked.clone(), SecretReader::new(env.clone(), master_key(&config, &env)?))),
        None => None,
    };
    let broker = start(config, &ports, env).await?;
    let mirror = match mirror {
        Some((asked, secrets)) => Some(mirror::Mirror::meet(&broker, &settings.data_dir, &asked, secrets).await?),
        None => None,
    };

    let (ending, stopped) = (CancellationToken::new(), CancellationToken::new());
    let public_url = settings.public_url.clone();
    let standing = mirror.as_ref().map(mirror::Mirror::standing);
    let gateway = Gateway::new(
        Arc::clone(&broker),
        public_url,
        operations.is_some(),
        ending.clone(),
        standing,
        &limits,
    );
    let mirror = mirror.map(|mirror| tokio::spawn(mirror.keep(Arc::clone(&broker), stopped.clone())));
    let handle = Handle::new();
    let mut servers = JoinSet::new();
    let end_max = limits.connections_end_max;
    if let Some(operations) = operations {
        let limits = Limits {
            connections_max: OPERATIONS_CONNECTIONS_MAX,
            ..limits.clone()
        };
        let router = router::operations(Arc::clone(&gateway));
        servers.spawn(listener::serve(operations, None, router, handle.clone(), limits));
    }
    let certificate = tls.as_ref().map(|(_, tls)| tls.clone());
    servers.spawn(listener::serve(api, certificate, router::api(gateway), handle.clone(), limits));
    servers.spawn(reload::on_hangup(Arc::clone(&broker), folder, tls, ending.clone()));
    tell_ready(&settings, &broker, &policies);
    ready();

    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = servers.join_next() => Err(CommandError::unavailable("A listener ended by itself.").because(match ended {
            Some(Ok(Err(fault))) => fault.to_string(),
            _ => "no error was given".to_owned(),
        })),
    };
    tracing::info!("stopping");
    ending.cancel();
    handle.graceful_shutdown(None);
    stop_broker(&broker, &handle).await;
    stopped.cancel();
    if let Some(mirror) = mirror {
        // What was recorded while stopping belongs into it too.
        drop(tokio::time::timeout(end_max, mirror).await);
    }
    if tokio::time::timeout(end_max, async { while servers.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        handle.shutdown();
    }
    tracing::info!("stopped");
    ended
}

/// What an operator looks for first, in one line.
fn tell_ready(settings: &BrokerConfig, broker: &Broker, policies: &str) {
    let info = broker.info();
    tracing::info!(
        url = %settings.public_url,
        listen = %settings.listen,
        metrics_listen = settings.metrics_listen.map(tracing::field::display),
        origin = info.origin,
        log_key = info.log_key,
        policies,
        version = info.version,
        "ready"
    );
}

/// Every connection is an open file: where few may be open, few connections are taken, so that the log can always be written.
fn within_open_files(mut limits: Limits, files_max: u64) -> Limits {
    let allowed = usize::try_from(files_max.saturating_sub(OTHER_FILES_MAX))
        .unwrap_or(usize::MAX)
        .max(1);
    if allowed < limits.connections_max {
        tracing::warn!(
            files_max,
            connections_max = allowed,
            connections_wanted = limits.connections_max,
            "the limit of open files is low: fewer connections are taken; raise LimitNOFILE (`ulimit -Hn`)"
        );
        limits.connections_max = allowed;
        limits.connections_of_one_max = limits.connections_of_one_max.min(allowed.div_ceil(8));
    }
    limits
}

/// Cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be caught.
pub fn stop_on_signal() -> Result<CancellationToken, CommandError> {
    let failed = |e: std::io::Error| CommandError::unavailable("Signals cannot be caught.").because(e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        token.cancel();
    });
    Ok(stop)
}

/// Makes ring the process's provider of TLS cryptography. Harmless when called again.
pub(crate) fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A client that does not read holds its delivery up; after half of the time its connection is closed, which lets go of it.
async fn stop_broker(broker: &Broker, handle: &Handle<SocketAddr>) {
    let mut stopped = std::pin::pin!(broker.stop());
    if tokio::time::timeout(STOP_MAX / 2, &mut stopped).await.is_ok() {
        return;
    }
    handle.shutdown();
    if tokio::time::timeout(STOP_MAX / 2, &mut stopped).await.is_err() {
        tracing::error!("stopping took too long; the next start records how the running deliveries ended");
    }
}

fn master_key(config: &Config, env: &Env) -> Result<MasterKey, CommandError> {
    MasterKey::load(env, config.broker.master_key_file.as_deref()).map_err(|why| {
        CommandError::config("The master key cannot be read.")
            .because(why)
            .next("chunk-broker check")
    })
}

/// What is wrong with the secrets that the broker and identity providers share.
pub(crate) fn issuer_secret_faults(config: &Config, reader: &SecretReader) -> Vec<String> {
    let secrets = config.client_secrets();
    let faults = secrets
        .iter()
        .filter_map(|(issuer, place)| Some(format!("`client_secret` of {issuer}: {}", reader.read(place).err()?)));
    let directories = DirectorySecrets::new(config.directory_tokens(), reader.clone());
    faults.chain(directories.faults()).collect()
}

/// Opens everything a broker is made of and starts it.
pub(crate) async fn start(config: Config, ports: &Ports, env: Env) -> Result<Arc<Broker>, CommandError> {
    let master = master_key(&config, &env)?;
    let reader = SecretReader::new(env.clone(), master.clone());
    let credentials = Credentials::new(&config.connections, env, master.clone());
    if let Some((_, why)) = credentials.faults().into_iter().next() {
        return Err(CommandError::config("A credential cannot be read.")
            .because(why)
            .next("chunk-broker check"));
    }
    let data = data_dir::open(&config.broker.data_dir, &master)?;
    let (data_folder, prepared) = (config.broker.data_dir.clone(), data.successor.as_ref().map(LogSigner::vkey));
    let scanner =
        (ports.scanner)(Arc::new(credentials)).map_err(|why| CommandError::unavailable("The scanner cannot start.").because(why))?;
    let http = IssuerHttp::new(config.token_issuers())
        .map_err(|why| CommandError::config("The client for identity providers cannot be made.").because(why))?
        .with_secrets(config.client_secrets(), reader.clone());
    if let Some(why) = issuer_secret_faults(&config, &reader).into_iter().next() {
        return Err(CommandError::config("A credential cannot be read.")
            .because(why)
            .next("chunk-broker check"));
    }
    let witness = config.witness.as_ref();
    let witness = witness
        .map(|asked| witness::witnessing(asked, &config.broker.data_dir))
        .transpose()?;
    let sinks = sinks::sinkings(&config, &reader)?;
    let notifiers = notify::notifyings(&config, &reader, &ports.clock)?;
    let timestamps = config.timestamps.as_ref();
    let timestamps = timestamps
        .map(|asked| timestamps::timestamping(asked, &config.broker.data_dir))
        .transpose()?;
    let directory_tokens = DirectorySecrets::new(config.directory_tokens(), reader);
    let settings = Settings {
        name: config.broker.name.clone(),
        public_url: config.broker.public_url.clone(),
        origin: data.origin,
        instance: data.instance,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        issuers: config.issuers.iter().map(|issuer| issuer.settings.clone()).collect(),
        saml: config.saml.clone(),
        workloads: config.workloads.iter().map(|workload| workload.rule.clone()).collect(),
        session_s: config.broker.session_s,
        chunk_rows: config.broker.chunk_rows,
        claims_age_max_s: config.broker.session_s,
        catalog: config.catalog(&master),
        retention: config.retention,
        config_digest: config.digest,
    };
    let parts = Parts {
        settings,
        policies: config.policies,
        clock: Arc::clone(&ports.clock),
        journal: Box::new(data.journal),
        data_keys: data.data_keys,
        signer: data.signer,
        successor: data.successor,
        scanner,
        http: Arc::new(http),
        directory_tokens: Arc::new(directory_tokens),
        recordings: Arc::new(data.recordings),
        witness,
        sinks,
        notifiers,
        timestamps,
        token_seed: *master.derive(&[b"tokens/v1"]),
        nonce_key: *master.derive(&[b"nonces/v1"]),
    };
    let broker = Broker::start(parts).await.map_err(|fault| {
        let failed = CommandError::unavailable("The broker cannot start.").because(chain(&fault));
        match fault.hint {
            Some(next) => failed.next(next),
            None => failed,
        }
    })?;
    if prepared.is_some_and(|prepared| prepared == broker.info().log_key) {
        // The log said that its key was replaced, and whoever wrote that did not live to do the rest.
        data_dir::settle_key(&data_folder)?;
    }
    Ok(broker)
}

#[cfg(test)]
pub(crate) mod tests;
