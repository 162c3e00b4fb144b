//! Notifications as bodies of HTTP requests, one POST each, accepted by any 2xx.
//!
//! Address and secrets are read for each try, so that a rotated one is used with the next. No redirect is followed, and of an
//! answer only the status counts. What a receiver refuses for what stands in it goes once more without what others wrote: nothing
//! that somebody can write may hold up what others are to be told.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chunk_core::clock::Clock;
use chunk_core::notify::{Notice, NotifyPort};
use chunk_core::sinks::SinkFault;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Response};
use ring::hmac;
use url::Url;

use super::words::Speaker;
use super::{signature, slack, teams, webhook};
use crate::config::{NotifyFormat, NotifyPlace, SecretRef, is_secure};
use crate::error::chain;
use crate::outbound;
use crate::secrets::SecretReader;
use crate::sinks::answer::{accepted, read_past};

/// A receiver of HTTP requests.
pub(super) struct HttpNotifier {
    speaker: Speaker,
    format: NotifyFormat,
    place: NotifyPlace,
    ca_file: Option<PathBuf>,
    reader: SecretReader,
    clock: Arc<dyn Clock>,
    /// For the address that was read last.
    client: Option<(Url, Client)>,
}

impl HttpNotifier {
    /// A receiver at this place. The text of an error is the operator's, and shows neither address nor secret.
    pub(super) fn new(
        speaker: Speaker,
        format: NotifyFormat,
        place: NotifyPlace,
        ca_file: Option<PathBuf>,
        reader: SecretReader,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let mut notifier = Self {
            speaker,
            format,
            place,
            ca_file,
            reader,
            clock,
            client: None,
        };
        notifier.client()?;
        notifier.keys()?;
        Ok(notifier)
    }

    /// The address as it is now, with a client for it.
    fn client(&mut self) -> Result<(Url, Client), String> {
        let url = match &self.place {
            NotifyPlace::Url(url) => url.clone(),
            NotifyPlace::Secret(place) => {
                let text = self.reader.read(place).map_err(|why| format!("the address: {why}"))?;
                let url = Url::parse(text.trim()).ok().filter(is_secure);
                url.ok_or("the secret address must be https:// (http:// only on loopback), without a user, a password or a fragment")?
            }
        };
        if let Some((held, client)) = &self.client
            && *held == url
        {
            return Ok((url, client.clone()));
        }
        let client = outbound::sending_client(&url, self.ca_file.as_deref())?;
        self.client = Some((url.clone(), client.clone()));
        Ok((url, client))
    }

    /// The keys that it is signed under, where it is.
    fn keys(&self) -> Result<Vec<hmac::Key>, String> {
        let NotifyFormat::Webhook(secrets) = &self.format else {
            return Ok(Vec::new());
        };
        let key = |place: &SecretRef| signature::key(&self.reader.read(place)?);
        secrets
            .iter()
            .map(key)
            .collect::<Result<_, _>>()
            .map_err(|why: String| format!("the secret: {why}"))
    }

    async fn post(&mut self, notice: &Notice) -> Result<Response, String> {
        let (url, client) = self.client()?;
        let body = match &self.format {
            NotifyFormat::Webhook(_) => webhook::body(&self.speaker, notice),
            NotifyFormat::Slack => slack::body(&self.speaker.name, &self.speaker.words(notice)),
            NotifyFormat::Teams => teams::body(&self.speaker.name, &self.speaker.words(notice)),
        };
        let body = body.to_string();
        let mut post = client.post(url).header(CONTENT_TYPE, "application/json");
        if let NotifyFormat::Webhook(_) = &self.format {
            // Of the try, not of what happened: a receiver holds it against its own clock.
            let time_s = self.clock.now_ms() / 1000;
            post = post
                .header("webhook-id", &notice.id)
                .header("webhook-timestamp", time_s)
                .header("webhook-signature", signature::header(&self.keys()?, &notice.id, time_s, &body));
        }
        post.body(body).send().await.map_err(|error| chain(&error.without_url()))
    }
}

#[async_trait]
impl NotifyPort for HttpNotifier {
    async fn deliver(&mut self, notice: &Notice) -> Result<(), SinkFault> {
        let mut answer = self.post(notice).await.map_err(SinkFault::unavailable)?;
        let for_its_content = matches!(
            answer.status(),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
        );
        if for_its_content && notice.details.is_some() {
            read_past(&mut answer).await;
            answer = self.post(&notice.without_details()).await.map_err(SinkFault::unavailable)?;
        }
        accepted(answer, "a notification", "address or the secret").await
    }
}

#[cfg(test)]
mod tests;
