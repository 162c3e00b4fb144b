//! The broker as one value: what every call is made against.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use chunk_evidence::note::VerifierKey;
use chunk_log::data_keys::DataKeys;
use chunk_log::journal::{Journal, Urgency};
use chunk_log::signer::LogSigner;
use chunk_wire::problem::Code;
use chunk_wire::session::{BrokerInfo, IssuerInfo, SignIn};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::anchor;
use crate::approval;
use crate::audit;
use crate::catalog::Schemas;
use crate::clock::Clock;
use crate::delivery::{self, Cuts};
use crate::error::Error;
use crate::evidence::entries::Event;
use crate::evidence::log::Log;
use crate::identity::directory::DirectoryTokens;
use crate::identity::dpop::ProofGate;
use crate::identity::oidc::Issuers;
use crate::identity::saml::Saml;
use crate::identity::tokens::TokenSigner;
use crate::identity::workload::Workloads;
use crate::identity::{Failures, HttpGet};
use crate::limits::{DELIVERIES_RUNNING_MAX, REPLAYS_RUNNING_MAX};
use crate::notify::Notifying;
use crate::policy::{PolicySet, SCHEMA};
use crate::rates::Rates;
use crate::recording::{self, Recordings};
use crate::retention;
use crate::settings::{GroupsFrom, Settings};
use crate::sinks::{self, Receiver, Role, SinkMetrics, Sinking};
use crate::state::State;
use crate::timestamp::{self, TimestampMetrics, Timestamping, Timestamps};
use crate::witness::{self, WitnessMetrics, Witnesses, Witnessing};
use chunk_port::Scanner;

/// What a broker is made of. Everything that touches the world comes in here.
pub struct Parts {
    /// Checked configuration.
    pub settings: Settings,
    /// Loaded policies.
    pub policies: PolicySet,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Journal, opened, held by this process alone.
    pub journal: Box<dyn Journal>,
    /// Keys under which bodies are sealed.
    pub data_keys: DataKeys,
    /// Signer of checkpoints.
    pub signer: LogSigner,
    /// The key that was prepared to take the signer's place. It has, where the log says so and nothing else was done yet.
    pub successor: Option<LogSigner>,
    /// Reader of data.
    pub scanner: Arc<dyn Scanner>,
    /// Fetcher of discovery documents and keys.
    pub http: Arc<dyn HttpGet>,
    /// Secrets of the directories that may tell of people.
    pub directory_tokens: Arc<dyn DirectoryTokens>,
    /// Keeper of recordings.
    pub recordings: Arc<dyn Recordings>,
    /// Witnesses of the log, where some are configured.
    pub witness: Option<Witnessing>,
    /// Where entries are sent to as events.
    pub sinks: Vec<Sinking>,
    /// Who is told what is theirs to act on.
    pub notifiers: Vec<Notifying>,
    /// Authority that stamps the log, where one is configured.
    pub timestamps: Option<Timestamping>,
    /// Ed25519 seed that signs the broker's own tokens.
    pub token_seed: [u8; 32],
    /// Key of DPoP nonces.
    pub nonce_key: [u8; 32],
}

/// A running broker.
pub struct Broker {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) log: Log,
    pub(crate) signer: Arc<LogSigner>,
    pub(crate) policy: ArcSwap<PolicySet>,
    /// Held for writing between the entry of a reload and the moment at which everybody asks the new policies.
    reloading: RwLock<()>,
    pub(crate) scanner: Arc<dyn Scanner>,
    pub(crate) recordings: Arc<dyn Recordings>,
    pub(crate) schemas: Schemas,
    pub(crate) issuers: Issuers,
    pub(crate) saml: Saml,
    pub(crate) workloads: Workloads,
    pub(crate) directory_tokens: Arc<dyn DirectoryTokens>,
    pub(crate) proofs: ProofGate,
    pub(crate) tokens: TokenSigner,
    pub(crate) failures: Failures,
    pub(crate) rates: Rates,
    pub(crate) witness: Arc<Witnesses>,
    /// Sinks, and after them notifiers.
    pub(crate) sinks: Vec<Arc<sinks::Status>>,
    /// Stopped and awaited last, when the stop itself is recorded.
    sink_jobs: TaskTracker,
    pub(crate) sinks_ending: CancellationToken,
    pub(crate) timestamps: Arc<Timestamps>,
    /// Deliveries and other named jobs; stopped and awaited by [`Broker::stop`].
    pub(crate) jobs: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) delivery_slots: Arc<Semaphore>,
    pub(crate) cuts: Cuts,
    pub(crate) replay_slots: Arc<Semaphore>,
    pub(crate) totals: Totals,
    random: SystemRandom,
}

/// Counted since this process started.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) deliveries: AtomicU64,
}

/// Counters for the operator; no names, no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Entries in the log, which is also the size of the newest checkpoint.
    pub entries: u64,
    /// Commits since start.
    pub commits_total: u64,
    /// Sessions that are open now.
    pub sessions_open: u64,
    /// Requests that wait for reviewers.
    pub requests_pending: u64,
    /// Deliveries running now.
    pub deliveries_running: u64,
    /// Deliveries started since start.
    pub deliveries_total: u64,
    /// Rows that left since start.
    pub rows_total: u64,
    /// Bytes that left since start.
    pub bytes_total: u64,
    /// 1 while the log can grow, else 0.
    pub log_writable: u64,
}

impl Broker {
    /// Replays the log, closes what a crash left open, records the start with the configuration and policies in force.
    ///
    /// # Errors
    /// When the log cannot be read or written, or belongs to another origin.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, Error> {
        let (first, successor) = (Arc::new(parts.signer), parts.successor.map(Arc::new));
        let mut signer = Arc::clone(&first);
        // The log says which of the two is its key; whatever is in the folder is at most one step behind.
        let choose = |state: &State| {
            let in_force = state.log_key();
            let successor = successor.filter(|successor| in_force.as_deref() == Some(successor.vkey().as_str()));
            signer = successor.unwrap_or(first);
            Arc::clone(&signer)
        };
        let (log, left) = Log::open(parts.journal, parts.data_keys, choose, Arc::clone(&parts.clock))
            .map_err(|fault| Error::new(Code::EvidenceUnavailable, "The evidence log cannot be opened.").operator(fault))?;
        let (witness, witnessing) = (
            Arc::new(Witnesses::new(parts.witness.as_ref(), parts.clock.now_ms())),
            parts.witness,
        );
        let sinks = parts.sinks.into_iter().map(Receiver::from);
        let receivers: Vec<Receiver> = sinks.chain(parts.notifiers.into_iter().map(Receiver::from)).collect();
        let statuses = receivers.iter().map(|receiver| sinks::Status::new(receiver, parts.clock.now_ms()));
        let statuses = statuses.collect();
        let timestamps = Timestamps::new(parts.timestamps.as_ref(), parts.clock.now_ms());
        let stamped = parts.timestamps.map(|with| with.memory).unwrap_or_default();
        let broker = Arc::new(Self {
            workloads: Workloads::new(parts.settings.workloads.clone(), &parts.http),
            issuers: Issuers::new(parts.settings.issuers.clone(), parts.http),
            saml: Saml::new(&parts.settings.public_url, parts.settings.saml.clone()),
            directory_tokens: parts.directory_tokens,
            proofs: ProofGate::new(parts.nonce_key),
            tokens: TokenSigner::new(
                &parts.token_seed,
                parts.settings.public_url.as_str().trim_end_matches('/').to_owned(),
            ),
            settings: parts.settings,
            clock: parts.clock,
            log,
            signer,
            policy: ArcSwap::from_pointee(parts.policies),
            reloading: RwLock::new(()),
            scanner: parts.scanner,
            recordings: parts.recordings,
            schemas: Schemas::default(),
            failures: Failures::default(),
            rates: Rates::default(),
            witness,
            sinks: statuses,
            sink_jobs: TaskTracker::new(),
            sinks_ending: CancellationToken::new(),
            timestamps: Arc::new(timestamps),
            jobs: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cuts: Cuts::default(),
            delivery_slots: Arc::new(Semaphore::new(DELIVERIES_RUNNING_MAX)),
            replay_slots: Arc::new(Semaphore::new(REPLAYS_RUNNING_MAX)),
            totals: Totals::default(),
            random: SystemRandom::new(),
        });
        broker.check_genesis()?;
        let witnesses = match witnessing {
            Some(Witnessing { port, memory, .. }) => witness::meet(&broker, port.as_ref(), memory).await.map(|()| Some(port))?,
            None => None,
        };
        let met = sinks::meet(&broker, receivers).await?;
        timestamp::recall(&broker, stamped)?;
        audit::finish_erasing(&broker).await?;
        broker.record_start().await?;
        recording::sweep(&broker).await?;
        let disposing = retention::finish(&broker, left).await?;
        if let Some(port) = witnesses {
            broker.jobs.spawn(witness::attend(Arc::clone(&broker), port));
        }
        broker.jobs.spawn(retention::mind(Arc::clone(&broker), disposing));
        for sink in met {
            broker.sink_jobs.spawn(sinks::keep(Arc::clone(&broker), sink));
        }
        if broker.timestamps.asks() {
            broker.jobs.spawn(timestamp::attend(Arc::clone(&broker)));
        }
        if broker.timestamps.asks() || broker.witness.asks() {
            broker.jobs.spawn(anchor::attend(Arc::clone(&broker)));
        }
        let minder = Arc::clone(&broker);
        broker.jobs.spawn(async move { minder.mind_time().await });
        Ok(broker)
    }

    /// Stops: running deliveries are cut and their outcomes recorded, then the stop itself. Call it before the program ends.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.jobs.close();
        self.jobs.wait().await;
        self.report(self.failures.record(self, true).await);
        let instance = self.settings.instance.clone();
        let stop = self
            .log
            .commit(Urgency::Closing, move |_, _| Ok(vec![Event::Stop { instance }]))
            .await;
        if let Err(fault) = stop {
            tracing::error!(error = %fault, "the stop could not be recorded");
        }
        self.sinks_ending.cancel();
        self.sink_jobs.close();
        self.sink_jobs.wait().await;
    }

    /// Lets go of the sinks, and of what they hold of the broker.
    #[cfg(test)]
    pub(crate) async fn forget_sinks(&self) {
        self.sinks_ending.cancel();
        self.sink_jobs.close();
        self.sink_jobs.wait().await;
    }

    /// What a client must know before it signs in.
    #[must_use]
    pub fn info(&self) -> BrokerInfo {
        BrokerInfo {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            public_url: self.settings.public_url.as_str().trim_end_matches('/').to_owned(),
            origin: self.settings.origin.clone(),
            log_key: self.signer.vkey(),
            issuers: self.issuer_infos(),
            time_ms: self.clock.now_ms(),
        }
    }

    fn issuer_infos(&self) -> Vec<IssuerInfo> {
        let issuers = self.settings.issuers.iter().map(|i| IssuerInfo {
            issuer: i.issuer.clone(),
            client_id: i.client_id.clone(),
            scopes: i.scopes.clone(),
            insecure_development: i.insecure_development,
            sign_in: i.sign_in,
            max_age_s: i.max_age_s,
            acr_values: i.acr_values.clone(),
            userinfo: i.groups_from == GroupsFrom::Userinfo,
        });
        // The broker itself asks these, so clients need to know no more of them.
        let saml = self.settings.saml.iter().map(|i| IssuerInfo {
            issuer: i.issuer.clone(),
            client_id: String::new(),
            scopes: Vec::new(),
            insecure_development: false,
            sign_in: SignIn::Saml,
            max_age_s: None,
            acr_values: Vec::new(),
            userinfo: false,
        });
        issuers.chain(saml).collect()
    }

    /// Whether requests can be served.
    ///
    /// # Errors
    /// When the broker stops, its log cannot grow, or nobody else has seen the log for too long.
    pub fn ready(&self) -> Result<(), Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::new(Code::Unavailable, "The broker is stopping."));
        }
        match &self.log.published().broken {
            Some(why) => Err(Error::new(Code::EvidenceUnavailable, "The evidence log cannot be written.").operator(why.clone())),
            None => self.witness.may_release(self.clock.now_ms()),
        }
    }

    /// How the witnesses are, where there are some.
    #[must_use]
    pub fn witness_metrics(&self) -> Option<WitnessMetrics> {
        self.witness.metrics(self.clock.now_ms())
    }

    /// How each sink does, in the order of configuration.
    #[must_use]
    pub fn sink_metrics(&self) -> Vec<SinkMetrics> {
        self.receiver_metrics(Role::Sink)
    }

    /// How each notifier does, in the order of configuration.
    #[must_use]
    pub fn notifier_metrics(&self) -> Vec<SinkMetrics> {
        self.receiver_metrics(Role::Notifier)
    }

    fn receiver_metrics(&self, role: Role) -> Vec<SinkMetrics> {
        let (size, now_ms) = (self.log.published().state.size, self.clock.now_ms());
        let of_role = self.sinks.iter().filter(|receiver| receiver.role() == role);
        of_role.map(|receiver| receiver.metrics(size, now_ms)).collect()
    }

    /// How the time stamps are, where an authority gives some.
    #[must_use]
    pub fn timestamp_metrics(&self) -> Option<TimestampMetrics> {
        self.timestamps.metrics(self.clock.now_ms())
    }

    /// A fresh DPoP nonce.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.proofs.nonce(self.clock.now_ms())
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let published = self.log.published();
        let now_ms = self.clock.now_ms();
        let state = &published.state;
        Metrics {
            entries: state.size,
            commits_total: published.commits,
            sessions_open: count(
                state.sessions_open.len() - state.sessions_open.iter().take_while(|(end_ms, _)| *end_ms <= now_ms).count(),
            ),
            requests_pending: count(state.pending.len()),
            deliveries_running: count(state.open_intents.len()),
            deliveries_total: self.totals.deliveries.load(Ordering::Relaxed),
            rows_total: self.totals.rows.load(Ordering::Relaxed),
            bytes_total: self.totals.bytes.load(Ordering::Relaxed),
            log_writable: u64::from(published.broken.is_none()),
        }
    }

    /// Puts other policies in force, recorded first.
    ///
    /// # Errors
    /// When the log cannot be written; the old policies stay.
    pub async fn reload_policies(&self, policies: PolicySet) -> Result<(), Error> {
        let _reloading = self.reloading.write().await;
        self.record_policies(&policies, Urgency::Normal).await?;
        self.policy.store(Arc::new(policies));
        Ok(())
    }

    /// Waits until the policies that the log says are in force are those that are asked.
    pub(crate) async fn reloaded(&self) {
        drop(self.reloading.read().await);
    }

    /// Random bits for ids and nonces.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bits = [0; N];
        self.random
            .fill(&mut bits)
            .map_err(|_| Error::new(Code::Internal, "The random generator failed."))?;
        Ok(bits)
    }

    async fn record_start(&self) -> Result<(), Error> {
        let settings = self.settings.clone();
        let log_key = self.signer.vkey();
        let cut = recording::cut_to_progress(self).await?;
        let sinks: Vec<_> = self.sinks.iter().map(|sink| sink.entry()).collect();
        let decide = move |state: &State, now_ms: i64| {
            let mut events = Vec::new();
            if state.size == 0 {
                events.push(Event::Genesis {
                    origin: settings.origin.clone(),
                    version: settings.version.clone(),
                    log_key: log_key.clone(),
                });
            }
            events.extend(delivery::close_interrupted(state, &cut, now_ms));
            events.push(Event::Start {
                version: settings.version.clone(),
                instance: settings.instance.clone(),
            });
            if state.config.as_deref() != Some(&settings.config_digest) {
                events.push(Event::ConfigLoad {
                    digest: settings.config_digest.clone(),
                    datasets: settings.catalog.datasets.keys().cloned().collect(),
                    sinks: sinks.clone(),
                });
            }
            Ok(events)
        };
        self.log.commit(Urgency::Closing, decide).await?;
        let policies = self.policy.load_full();
        match self.record_policies(&policies, Urgency::Normal).await {
            // Policies are long and the space kept back is for endings; but without them in force nothing at all could be
            // decided, and the broker could not start.
            Err(fault) if fault.code == Code::EvidenceUnavailable => self.record_policies(&policies, Urgency::Closing).await,
            recorded => recorded,
        }
    }

    /// Records policies, unless they are the ones in force.
    async fn record_policies(&self, policies: &PolicySet, weight: Urgency) -> Result<(), Error> {
        let load = Event::PolicyLoad {
            digest: policies.digest().to_owned(),
            text: policies.text().to_owned(),
            schema: SCHEMA.to_owned(),
        };
        let digest = policies.digest().to_owned();
        let decide = move |state: &State, _: i64| {
            let in_force = state.policy.as_ref().is_some_and(|(_, known)| *known == digest);
            Ok(if in_force { Vec::new() } else { vec![load] })
        };
        self.log.commit(weight, decide).await.map(drop)
    }

    /// The log must be the one that has this broker's origin and key: under others, nobody's checkpoints would fit it.
    fn check_genesis(&self) -> Result<(), Error> {
        let published = self.log.published();
        let Some(begun) = &published.state.genesis else { return Ok(()) };
        let (origin, log_key) = (&self.settings.origin, self.signer.vkey());
        let in_force = published.state.log_key().unwrap_or_default();
        if begun.origin == *origin && in_force == log_key {
            return Ok(());
        }
        Err(Error::new(
            Code::Unavailable,
            format!(
                "The evidence log is `{}` with the key `{in_force}`, and this broker is `{origin}` with the key `{log_key}`.",
                begun.origin
            ),
        )
        .hint("start the broker with the data directory, origin and log key that belong together"))
    }

    /// Every key of the log: those that its entries name, and the one that signs, which may still have to begin it.
    pub(crate) fn log_keys(&self) -> Vec<VerifierKey> {
        let mut keys = self.log.published().state.log_keys();
        if !keys.contains(self.signer.verifier()) {
            keys.push(self.signer.verifier().clone());
        }
        keys
    }

    /// Ends what time ends: pending requests, unused grants, sessions; and records failed sign-ins in bulk.
    async fn mind_time(self: Arc<Self>) {
        let mut tick = tokio::time::interval(MIND_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = tick.tick() => {}
            }
            let now_ms = self.clock.now_ms();
            if approval::any_expired(&self.log.published().state, now_ms) {
                self.report(
                    self.log
                        .commit(Urgency::Closing, |state, now_ms| Ok(approval::expire(state, now_ms)))
                        .await
                        .map(|_| ()),
                );
            }
            self.rates.forget(now_ms);
            self.report(self.failures.record(&self, false).await);
        }
    }

    fn report(&self, result: Result<(), Error>) {
        if let Err(fault) = result {
            tracing::error!(error = %fault, "a change that time brought could not be recorded; it is tried again");
        }
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

/// How often time is looked at.
const MIND_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
