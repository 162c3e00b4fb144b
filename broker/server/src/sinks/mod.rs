//! The ways to the receivers of events: a file, syslog, HTTPS; and where it is noted how far each has come.
//!
//! What is sent, when, and what happens after a failure is [`chunk_core::sinks`]'s to say. A way says only whether its receiver
//! has accepted what it was given.

pub(crate) mod answer;
pub(crate) mod cursor;
mod file;
mod https;
mod rfc5424;
mod syslog;
pub(crate) mod tls;

use std::sync::Arc;

use chunk_core::sinks::{Pace, SinkPort, Sinking};

use self::cursor::CursorFile;
use self::file::FileSink;
use self::https::HttpsSink;
use self::syslog::SyslogSink;
use crate::config::{Config, SinkConfig, SinkTarget};
use crate::error::CommandError;
use crate::secrets::SecretReader;

/// The configured sinks, with what earlier runs noted of them.
///
/// # Errors
/// When a token, a file of authorities or a note cannot be read.
pub(crate) fn sinkings(config: &Config, reader: &SecretReader) -> Result<Vec<Sinking>, CommandError> {
    config.sinks.iter().map(|sink| sinking(config, sink, reader)).collect()
}

fn sinking(config: &Config, sink: &SinkConfig, reader: &SecretReader) -> Result<Sinking, CommandError> {
    let name = &sink.settings.name;
    let port = port(config, sink, reader).map_err(|why| {
        CommandError::config(format!("Sink `{name}` cannot be used."))
            .because(why)
            .next("chunk-broker check")
    })?;
    let cursor = CursorFile::of(&config.broker.data_dir, "sink", name);
    let noted = cursor.read().map_err(|why| {
        CommandError::unavailable(format!("It cannot be read how far sink `{name}` has come."))
            .because(why)
            .next("put the file back from a backup; without it the sink begins as if it were seen for the first time")
    })?;
    Ok(Sinking {
        settings: sink.settings.clone(),
        port,
        cursor: Arc::new(cursor),
        noted,
        pace: Pace::default(),
    })
}

fn port(config: &Config, sink: &SinkConfig, reader: &SecretReader) -> Result<Box<dyn SinkPort>, String> {
    let port: Box<dyn SinkPort> = match &sink.target {
        SinkTarget::File { path } => Box::new(FileSink::new(path.clone())),
        SinkTarget::Syslog { target, message_bytes_max } => {
            // The name under which people know this broker, which is also that of its machine where it stands alone.
            let host = config.broker.public_url.host_str().unwrap_or_default();
            Box::new(SyslogSink::new(target.clone(), host, *message_bytes_max)?)
        }
        SinkTarget::Https {
            url,
            token,
            ca_file,
            takes,
        } => {
            let token = token.clone().map(|place| (place, reader.clone()));
            Box::new(HttpsSink::new(url.clone(), ca_file.as_deref(), token, *takes)?)
        }
    };
    Ok(port)
}

/// What is wrong with the configured sinks, as far as can be told without sending anything.
pub(crate) fn faults(config: &Config, reader: &SecretReader) -> Vec<String> {
    let mut faults = Vec::new();
    for sink in &config.sinks {
        let name = &sink.settings.name;
        crate::serve::install_crypto();
        if let Err(why) = port(config, sink, reader) {
            faults.push(format!("sink `{name}`: {why}"));
        }
        if let SinkTarget::File { path } = &sink.target
            && let Some(folder) = path.parent().filter(|folder| !folder.is_dir())
        {
            faults.push(format!("sink `{name}`: the folder {} is not there", folder.display()));
        }
    }
    faults
}
