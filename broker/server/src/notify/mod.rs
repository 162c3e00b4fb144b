//! The ways to whoever is told: signed webhooks, Slack, Microsoft Teams, e-mail; and where it is noted how far each has come.
//!
//! What is told, to whom and when, and what happens after a failure, is [`chunk_core::notify`]'s to say. A way says how, and
//! whether its receiver has accepted what it was given. Nothing that is sent decides anything: a link leads to a page that says
//! what to type, and a verdict is signed by the reviewer's own key.

mod email;
mod http;
mod message;
mod signature;
mod slack;
mod smtp;
mod teams;
mod webhook;
mod words;

use std::sync::Arc;
use std::time::Duration;

use chunk_core::clock::Clock;
use chunk_core::notify::{NotifyPort, Notifying};
use chunk_core::sinks::Pace;

use self::email::EmailNotifier;
use self::http::HttpNotifier;
use self::words::Speaker;
use crate::config::{Config, NotifyConfig, NotifyTarget};
use crate::error::CommandError;
use crate::secrets::SecretReader;
use crate::sinks::cursor::CursorFile;

pub(crate) use message::is_mailbox;

/// A server of mail takes its time, and one notification may go to many.
const DELIVER_MAX: Duration = Duration::from_secs(5 * 60);
/// People wait, but not for seconds: a receiver that is away is not asked every minute for days.
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// The configured notifiers, with what earlier runs noted of them.
///
/// # Errors
/// When a secret, a file of authorities or a note cannot be read.
pub(crate) fn notifyings(config: &Config, reader: &SecretReader, clock: &Arc<dyn Clock>) -> Result<Vec<Notifying>, CommandError> {
    config
        .notifiers
        .iter()
        .map(|notifier| notifying(config, notifier, reader, clock))
        .collect()
}

fn notifying(config: &Config, notifier: &NotifyConfig, reader: &SecretReader, clock: &Arc<dyn Clock>) -> Result<Notifying, CommandError> {
    let name = &notifier.settings.name;
    let port = port(config, notifier, reader, clock).map_err(|why| {
        CommandError::config(format!("Notifier `{name}` cannot be used."))
            .because(why)
            .next("chunk-broker check")
    })?;
    let cursor = CursorFile::of(&config.broker.data_dir, "notify", name);
    let noted = cursor.read().map_err(|why| {
        CommandError::unavailable(format!("It cannot be read how far notifier `{name}` has come."))
            .because(why)
            .next("put the file back from a backup; without it the notifier begins with what happens from now on")
    })?;
    Ok(Notifying {
        settings: notifier.settings.clone(),
        port,
        cursor: Arc::new(cursor),
        noted,
        pace: Pace {
            deliver_max: DELIVER_MAX,
            pause_max: PAUSE_MAX,
            ..Pace::default()
        },
    })
}

fn port(config: &Config, notifier: &NotifyConfig, reader: &SecretReader, clock: &Arc<dyn Clock>) -> Result<Box<dyn NotifyPort>, String> {
    let speaker = Speaker::new(&config.broker.name, &config.broker.public_url);
    Ok(match &notifier.target {
        NotifyTarget::Http { format, place, ca_file } => Box::new(HttpNotifier::new(
            speaker,
            format.clone(),
            place.clone(),
            ca_file.clone(),
            reader.clone(),
            Arc::clone(clock),
        )?),
        NotifyTarget::Email { server, from } => Box::new(EmailNotifier::new(
            speaker,
            server.clone(),
            from.clone(),
            reader.clone(),
            Arc::clone(clock),
        )?),
    })
}

/// What is wrong with the configured notifiers, as far as can be told without sending anything.
pub(crate) fn faults(config: &Config, reader: &SecretReader, clock: &Arc<dyn Clock>) -> Vec<String> {
    crate::serve::install_crypto();
    let faults = config.notifiers.iter().filter_map(|notifier| {
        let why = port(config, notifier, reader, clock).err()?;
        Some(format!("notifier `{}`: {why}", notifier.settings.name))
    });
    faults.collect()
}
