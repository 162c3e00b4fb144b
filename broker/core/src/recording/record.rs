//! Recording one delivery while it runs: each byte is handed to the file before it leaves.

use std::sync::Arc;

use bytes::Bytes;
use chunk_log::data_keys::DataKeys;

use super::sealed::{BLOCK_BYTES_MAX, Sealer};
use super::{Recording, RecordingError, RecordingFile, RecordingName, Store, off_thread};
use crate::evidence::log::Log;

/// The recording of a delivery that runs.
pub(crate) struct Recorder {
    store: Store,
    data_keys: Arc<DataKeys>,
    name: RecordingName,
    /// Pseudonym of the person under whose data key it is sealed.
    subject: String,
    /// Absent before it has begun, and once it has ended or failed.
    open: Option<Open>,
}

/// A file that is being written, and what seals what goes in.
struct Open {
    file: Box<dyn RecordingFile>,
    sealer: Sealer,
}

impl Recorder {
    /// A recording of the intent of this name, by this person; nothing is written yet.
    pub(crate) fn new(store: Store, log: &Log, name: RecordingName, subject: String) -> Self {
        Self {
            store,
            data_keys: log.data_keys(),
            name,
            subject,
            open: None,
        }
    }

    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be written, or there is no data key to seal it under.
    pub(crate) async fn begin(&mut self) -> Result<(), RecordingError> {
        let (store, data_keys) = (Arc::clone(&self.store), Arc::clone(&self.data_keys));
        let (name, subject) = (self.name.clone(), self.subject.clone());
        let begin = move || {
            // The key of the intent's own month: what erases the one erases the other.
            let data_key = data_keys.key_for(&subject, &name.month)?;
            let (sealer, head) = Sealer::begin(&data_keys, &data_key, name.intent)?;
            let mut file = store.create(&name)?;
            file.append(&head)?;
            Ok(Open { file, sealer })
        };
        self.open = Some(off_thread(begin).await?);
        Ok(())
    }

    /// Adds bytes that are about to leave.
    ///
    /// # Errors
    /// When they could not be written; the recording is lost then.
    pub(crate) async fn add(&mut self, bytes: Bytes) -> Result<(), RecordingError> {
        self.with(move |mut open| {
            for part in bytes.chunks(BLOCK_BYTES_MAX) {
                let block = open.sealer.block(part)?;
                open.file.append(&block)?;
            }
            Ok(Some(open))
        })
        .await
    }

    /// Makes durable what was added.
    ///
    /// # Errors
    /// When that is not certain; the recording is lost then.
    pub(crate) async fn sync(&mut self) -> Result<(), RecordingError> {
        self.with(|mut open| {
            open.file.sync()?;
            Ok(Some(open))
        })
        .await
    }

    /// Ends the recording, durably. What could not be kept whole is removed, so that nobody takes it for something.
    pub(crate) async fn finish(mut self) -> Recording {
        let finished = self
            .with(|mut open| {
                open.file.append(&open.sealer.end()?)?;
                open.file.sync()?;
                Ok(None)
            })
            .await;
        let Err(fault) = finished else { return Recording::Kept };
        tracing::error!(intent = self.name.intent, error = %crate::error::chain(&fault), "what was delivered could not be recorded");
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        if let Err(fault) = off_thread(move || Ok(store.remove(&name)?)).await {
            tracing::error!(intent = self.name.intent, error = %crate::error::chain(&fault), "what is left of a recording could not be removed; the next start removes it");
        }
        Recording::Failed
    }

    async fn with(
        &mut self,
        work: impl FnOnce(Open) -> Result<Option<Open>, RecordingError> + Send + 'static,
    ) -> Result<(), RecordingError> {
        let open = self.open.take().ok_or(RecordingError::Damaged("an earlier write of it failed"))?;
        self.open = off_thread(move || work(open)).await?;
        Ok(())
    }
}
