//! `check`: everything that would stop `serve`, at once, without stopping or starting anything.

use std::path::Path;
use std::sync::Arc;

use chunk_core::catalog::Dataset;
use chunk_port::Scanner;

use super::{print, tell};
use crate::config::{self, Config, Env, Faults, MirrorPlace};
use crate::data_dir;
use crate::error::CommandError;
use crate::listener::check_certificate;
use crate::notify;
use crate::ports::Ports;
use crate::secrets::master::MasterKey;
use crate::secrets::{Credentials, SecretReader};
use crate::sinks;

/// Checks configuration, policies, keys and credentials; with `connections`, also asks every source for its columns.
///
/// # Errors
/// When anything is wrong; all of it has been told by then.
pub async fn check(file: &Path, connections: bool, ports: &Ports, env: &Env) -> Result<(), CommandError> {
    let config = match config::load(file) {
        Ok(config) => config,
        Err(faults) => return Err(report(&faults)),
    };
    let faults = examine(&config, connections, ports, env).await?;
    if !faults.is_empty() {
        return Err(report(&faults));
    }
    print(&summary(&config, connections))
}

/// Everything that is wrong around a configuration that is good in itself.
async fn examine(config: &Config, connections: bool, ports: &Ports, env: &Env) -> Result<Faults, CommandError> {
    let mut faults = Faults::default();
    let mut add = |message: String| faults.extend(Faults::of_file(&config.file, message));
    if let Some(Err(why)) = config.broker.tls.as_ref().map(check_certificate) {
        add(format!("`broker.tls`: {why}"));
    }
    let master = match MasterKey::load(env, config.broker.master_key_file.as_deref()) {
        Ok(master) => master,
        Err(why) => {
            add(why);
            return Ok(faults);
        }
    };
    if let Err(fault) = data_dir::check(&config.broker.data_dir, &master) {
        add(fault.to_string());
    }
    let reader = SecretReader::new(env.clone(), master.clone());
    let receivers = sinks::faults(config, &reader)
        .into_iter()
        .chain(notify::faults(config, &reader, &ports.clock));
    let others = mirror_faults(config, &reader)
        .into_iter()
        .chain(crate::serve::issuer_secret_faults(config, &reader));
    for why in receivers.chain(others) {
        add(why);
    }
    let credentials = Credentials::new(&config.connections, env.clone(), master);
    let unreadable = credentials.faults();
    for (_, why) in &unreadable {
        add(why.clone());
    }
    if connections && unreadable.is_empty() {
        crate::serve::install_crypto();
        let scanner =
            (ports.scanner)(Arc::new(credentials)).map_err(|why| CommandError::unavailable("The scanner cannot start.").because(why))?;
        for dataset in config.datasets.values() {
            for why in ask(scanner.as_ref(), dataset).await {
                add(why);
            }
        }
    }
    Ok(faults)
}

/// What of a mirror can be told without asking for it.
fn mirror_faults(config: &Config, secrets: &SecretReader) -> Vec<String> {
    match config.mirror.as_ref().map(|mirror| &mirror.place) {
        None => Vec::new(),
        Some(MirrorPlace::Folder(folder)) if folder.is_dir() => Vec::new(),
        Some(MirrorPlace::Folder(folder)) => vec![format!("`mirror.directory`: {} is not a folder", folder.display())],
        Some(MirrorPlace::Bucket(bucket)) => {
            let places = [
                ("access_key", Some(&bucket.access_key)),
                ("secret_key", Some(&bucket.secret_key)),
                ("session_token", bucket.session_token.as_ref()),
            ];
            let faults = places.into_iter().filter_map(|(key, place)| {
                let why = secrets.read(place?).err()?;
                Some(format!("`mirror.{key}`: {why}"))
            });
            faults.collect()
        }
    }
}

/// What is wrong with a dataset at its source.
async fn ask(scanner: &dyn Scanner, dataset: &Dataset) -> Vec<String> {
    let columns = match scanner.describe(&dataset.table()).await {
        Ok(columns) => columns,
        // The operator's text is for the operator, who is the one who runs this.
        Err(fault) => return vec![format!("dataset `{}`: {}", dataset.name, fault.operator.unwrap_or(fault.public))],
    };
    let unknown = dataset
        .classes
        .keys()
        .filter(|name| !columns.iter().any(|column| column.name == **name));
    unknown
        .map(|name| format!("`datasets.{}.columns.{name}`: the source has no such column", dataset.name))
        .collect()
}

fn report(faults: &Faults) -> CommandError {
    for fault in faults.iter() {
        tell(&fault.to_string());
    }
    let count = faults.iter().count();
    CommandError::config(format!(
        "{count} fault{} found; nothing was started.",
        if count == 1 { "" } else { "s" }
    ))
}

fn summary(config: &Config, connections: bool) -> String {
    format!(
        "{} is good: {} connection(s), {} class(es), {} dataset(s), {} issuer(s), policy {}.{}\n",
        config.file.display(),
        config.connections.len(),
        config.classes.len(),
        config.datasets.len(),
        config.issuers.len() + config.saml.len(),
        config.policies.digest().get(..12).unwrap_or_default(),
        if connections {
            " Every source answered."
        } else {
            " Sources were not asked; add `--connections`."
        }
    )
}

#[cfg(test)]
mod tests;
