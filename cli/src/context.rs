//! What a command is given: the voice, the configuration, and the way to a session.
//!
//! Nothing slow happens before a command asks for it: no runtime, no TLS, no keyring.

use std::cell::OnceCell;
use std::path::PathBuf;

use chunk_evidence::checkpoint::SignedCheckpoint;

use crate::args::Global;
use crate::auth::agent::SshSigner;
use crate::auth::ci;
use crate::auth::credentials::Credentials;
use crate::auth::passphrase::Passphrase;
use crate::auth::vault::{Storage, Vault};
use crate::client::Broker;
use crate::client::session::Session;
use crate::config::{BrokerUrl, Config, Paths, PinnedLog, Profile};
use crate::error::{Failure, Result};
use crate::memory;
use crate::output::Ui;

/// A command's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) paths: Paths,
    pub(crate) config: Config,
    /// Name of the profile in use.
    pub(crate) profile_name: String,
    /// The profile as the file has it.
    pub(crate) profile: Profile,
    broker: Option<String>,
    ca_file: Option<PathBuf>,
    pub(crate) passphrase: Passphrase,
    /// The token of the CI job in which this runs, if it does in one.
    job: Option<ci::Source>,
    /// The log of a broker that is first met in this very run.
    met: OnceCell<PinnedLog>,
    /// The log as it is pinned since this run, which followed it to another key.
    followed: OnceCell<PinnedLog>,
}

impl<'a> Context<'a> {
    /// # Errors
    /// When the configuration cannot be read.
    pub(crate) fn new(ui: &'a Ui, global: &Global) -> Result<Self> {
        let environment = |name: &str| std::env::var(name).ok();
        let paths = Paths::find(environment)?;
        let config = Config::read(&paths.config)?;
        let profile = config.profile(&global.profile);
        let passphrase_file = environment("CHUNKCTL_PASSPHRASE_FILE")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        Ok(Self {
            ui,
            paths,
            profile_name: global.profile.clone(),
            broker: global
                .broker
                .clone()
                .filter(|broker| !broker.is_empty())
                .or_else(|| profile.broker.clone()),
            ca_file: global.ca_file.clone().or_else(|| profile.ca_file.clone()),
            passphrase: Passphrase::new(global.passphrase_fd, passphrase_file),
            job: ci::Source::find(),
            met: OnceCell::new(),
            followed: OnceCell::new(),
            profile,
            config,
        })
    }

    /// The surroundings of a test: files below `folder`, a broker, and its log pinned.
    #[cfg(test)]
    pub(crate) fn for_tests(
        ui: &'a Ui,
        folder: &std::path::Path,
        broker: &str,
        storage: Storage,
        log: &chunk_evidence::note::VerifierKey,
    ) -> Self {
        let mut config = Config::default();
        let pinned = PinnedLog {
            origin: log.name().to_owned(),
            key: log.to_text(),
            pinned_ms: 0,
            earlier: Vec::new(),
        };
        config.logs.insert(broker.to_owned(), pinned);
        Self {
            ui,
            paths: Paths {
                config: folder.join("config.toml"),
                state: folder.join("state"),
            },
            config,
            profile_name: "default".to_owned(),
            profile: Profile {
                broker: Some(broker.to_owned()),
                storage: Some(storage),
                ca_file: None,
                ssh_key: None,
            },
            broker: Some(broker.to_owned()),
            ca_file: None,
            passphrase: Passphrase::new(None, Some(folder.join("passphrase"))),
            job: None,
            met: OnceCell::new(),
            followed: OnceCell::new(),
        }
    }

    /// The broker in use.
    ///
    /// # Errors
    /// When none is configured, or its address is none.
    pub(crate) fn broker_url(&self) -> Result<BrokerUrl> {
        match &self.broker {
            Some(broker) => BrokerUrl::parse(broker),
            None => Err(Failure::usage("no broker is configured")
                .why("neither `--broker`, CHUNKCTL_BROKER nor the profile names one")
                .hint("chunkctl login --broker https://broker.example.com")),
        }
    }

    /// Further certificate authorities.
    pub(crate) fn ca_file(&self) -> Option<&std::path::Path> {
        self.ca_file.as_deref()
    }

    /// The SSH key that signs verdicts as well, where one is named here or in the profile.
    ///
    /// # Errors
    /// When the ssh-agent does not have it.
    pub(crate) fn ssh_signer(&self, named: Option<&str>) -> Result<Option<SshSigner>> {
        let named = named.or(self.profile.ssh_key.as_deref());
        named
            .map(|named| SshSigner::find(named, std::env::var_os("SSH_AUTH_SOCK").map(Into::into)))
            .transpose()
    }

    /// A connection to the broker, without a session.
    ///
    /// # Errors
    /// As [`Context::broker_url`].
    pub(crate) fn broker(&self) -> Result<Broker> {
        Broker::new(self.broker_url()?, self.ca_file())
    }

    /// The log that was pinned when this broker was first met.
    pub(crate) fn pinned_log(&self) -> Option<&PinnedLog> {
        let url = self.broker_url().ok()?;
        let pinned = || self.config.logs.get(url.as_str()).or_else(|| self.met.get());
        self.followed.get().or_else(pinned)
    }

    /// Looks at the broker's log, where it is pinned, before anything is asked of the broker. Where the log has replaced its key, it is
    /// pinned under the new one from now on.
    ///
    /// # Errors
    /// As [`memory::meet`], and when the pin cannot be written.
    pub(crate) async fn meet(&self, broker: &Broker) -> Result<Option<SignedCheckpoint>> {
        let Some(pinned) = self.pinned_log() else { return Ok(None) };
        let met = memory::meet(&self.paths.state, pinned, broker).await?;
        if let Some(followed) = met.followed {
            // The file is read again: another command may have changed it.
            let mut config = Config::read(&self.paths.config)?;
            if let Some(kept) = config.logs.get_mut(broker.url.as_str())
                && kept.key == pinned.key
            {
                kept.clone_from(&followed);
                config.write(&self.paths.config)?;
            }
            self.ui.say(&format!(
                "The log `{}` has replaced its key, and both keys have signed that. Pinned from now on: {}",
                followed.origin, followed.key
            ));
            self.followed.set(followed).ok(); // a key that is replaced again in this very run is followed by the next
        }
        Ok(Some(met.signed))
    }

    /// How to sign in so that the session is kept.
    pub(crate) fn login_to_keep(&self) -> &'static str {
        if self.job.is_some() {
            "chunkctl login --ci"
        } else {
            "chunkctl login --storage file"
        }
    }

    /// Whether a session of this run ends with it: none is kept, and the next command signs in for itself.
    pub(crate) fn keeps_nothing(&self) -> bool {
        match self.profile.storage {
            Some(storage) => storage == Storage::Memory,
            None => self.job.is_some(),
        }
    }

    /// The place of this broker's session.
    pub(crate) fn vault(&self, storage: Storage) -> Result<Vault<'_>> {
        Ok(Vault::new(
            storage,
            self.broker_url()?.as_str(),
            &self.profile_name,
            &self.paths.state,
            &self.passphrase,
        ))
    }

    /// Runs work under the session, signing in first where nothing is kept.
    ///
    /// # Errors
    /// When there is no session, or the work fails.
    pub(crate) fn with_session<T>(&self, work: impl AsyncFnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        // A job that has not signed in does so for this one command, in memory.
        let storage = self.profile.storage.or(self.job.as_ref().map(|_| Storage::Memory));
        let storage = storage.ok_or_else(|| Failure::sign_in("you are not signed in"))?;
        let vault = self.vault(storage)?;
        // The keyring and the passphrase come before the runtime: both may wait for a person.
        let kept = vault.load()?;
        block_on(async {
            let broker = self.broker()?;
            let (vault, credentials) = match (kept, &self.job) {
                (Some(kept), _) => (vault, kept),
                (None, Some(job)) => (self.vault(Storage::Memory)?, self.open_job_session(&broker, job).await?),
                (None, None) if storage == Storage::Memory => {
                    let (credentials, _) = crate::commands::login::open_session(self, &broker, None, None, true).await?;
                    (vault, credentials)
                }
                (None, None) => {
                    let failure = Failure::sign_in(format!("you are not signed in to {}", broker.url.as_str())).why(format!(
                        "{} holds no session of profile `{}`",
                        storage.words(),
                        self.profile_name
                    ));
                    return Err(if storage == Storage::Tmpfs {
                        failure.instead("chunkctl login --ci")
                    } else {
                        failure
                    });
                }
            };
            let ephemeral = vault.storage == Storage::Memory;
            // Before anything is asked of it, a broker shows that it is still the one with the history seen before.
            self.meet(&broker).await?;
            let session = Session::new(broker, vault, credentials)?;
            let outcome = work(&session).await;
            if ephemeral {
                // Nothing is kept, so nobody could use it again. That it could not be told changes nothing.
                session.send(&session.broker.delete(&["v1", "sessions", "current"])).await.ok();
            }
            outcome
        })
    }

    /// Signs the job in for this run, and pins the log it is shown if it is met for the first time.
    async fn open_job_session(&self, broker: &Broker, job: &ci::Source) -> Result<Credentials> {
        let (credentials, info) = ci::open_session(self, broker, job).await?;
        let pinned = crate::commands::login::pin(self, broker.url.as_str(), &info)?;
        self.met.set(pinned).ok(); // set once: a run has one session
        Ok(credentials)
    }
}

/// Runs a future on a runtime made for it.
///
/// # Errors
/// When the runtime cannot be made, or the future fails.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::cannot_tell("system", "cannot start").why(crate::error::io_words(&error)))?;
    let outcome = runtime.block_on(future);
    // A name lookup may still hang in a thread of the runtime; nobody waits for it.
    runtime.shutdown_background();
    outcome
}
