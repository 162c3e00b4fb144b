//! SIGHUP reads policies and certificate again. Whatever cannot be used leaves the old in force.

use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use chunk_core::broker::Broker;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{PolicyFolder, TlsFiles};
use crate::error::{CommandError, chain};

/// Reloads at every SIGHUP until `ending` is cancelled.
pub(crate) async fn on_hangup(
    broker: Arc<Broker>,
    folder: PolicyFolder,
    tls: Option<(TlsFiles, RustlsConfig)>,
    ending: CancellationToken,
) -> Result<(), CommandError> {
    let mut hangup = signal(SignalKind::hangup()).map_err(|e| CommandError::unavailable("Signals cannot be caught.").because(e))?;
    loop {
        tokio::select! {
            () = ending.cancelled() => return Ok(()),
            _ = hangup.recv() => {}
        }
        match policies(&broker, &folder).await {
            Ok(digest) => tracing::info!(digest, "policies reloaded"),
            Err(why) => tracing::error!(error = why, "policies were not reloaded; the old ones stay in force"),
        }
        if let Some((files, tls)) = &tls {
            match tls.reload_from_pem_file(&files.cert_file, &files.key_file).await {
                Ok(()) => tracing::info!("certificate reloaded"),
                Err(fault) => tracing::error!(error = %fault, "the certificate could not be read; the old one stays in use"),
            }
        }
    }
}

/// Puts the folder's policies in force, if they pass every check that a start makes; their digest.
async fn policies(broker: &Broker, folder: &PolicyFolder) -> Result<String, String> {
    let folder = folder.clone();
    let loaded = tokio::task::spawn_blocking(move || folder.load())
        .await
        .map_err(|_| "the policies could not be read".to_owned())?
        .map_err(|faults| faults.to_string())?;
    let digest = loaded.digest().to_owned();
    broker
        .reload_policies(loaded)
        .await
        .map_err(|fault| format!("they could not be recorded: {}", chain(&fault)))?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::config::Env;
    use crate::serve::tests::{installation, ports};

    #[tokio::test]
    async fn a_reload_makes_the_same_checks_as_a_start_and_keeps_the_old_policies_when_one_fails() {
        let home = tempfile::tempdir().unwrap();
        let config = installation(&home.path().join("b"), false);
        let (folder, dir) = (config.policy_folder(), config.broker.policies.clone());
        let broker = crate::serve::start(config, &ports(), Env::of(&[])).await.unwrap();
        let before = broker.metrics().entries;
        // In the same file a permit that is good, so that it would be seen if half of a set were taken.
        let write = |forbidden: &str| {
            let text = format!(
                "@id(\"more\") permit (principal, action == Action::\"describe\", resource);\n\
                 @id(\"stop\") forbid (principal, action == Action::\"reveal\", resource == Class::\"{forbidden}\");\n"
            );
            std::fs::write(dir.join("30-more.cedar"), text).unwrap();
        };
        write("pii.emial");
        let why = policies(&broker, &folder).await.unwrap_err();
        assert!(
            why.contains("30-more.cedar:2: ") && why.contains("did you mean `pii.email`?"),
            "{why}"
        );
        assert_eq!(broker.metrics().entries, before, "nothing was put in force, so nothing is recorded");
        std::fs::write(dir.join("30-more.cedar"), "permit (").unwrap();
        policies(&broker, &folder).await.unwrap_err();
        assert_eq!(broker.metrics().entries, before);

        write("pii.email");
        let digest = policies(&broker, &folder).await.unwrap();
        assert_eq!(broker.metrics().entries, before + 1, "the new set is recorded");
        assert_eq!(policies(&broker, &folder).await.unwrap(), digest);
        assert_eq!(broker.metrics().entries, before + 1, "the same set again is not");
        broker.stop().await;
    }
}
