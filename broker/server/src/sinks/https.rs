//! Events as bodies of HTTP requests: `application/x-ndjson`, one POST a batch, accepted by any 2xx.
//!
//! No redirect is followed, because the token would go where nobody configured it to go.

use std::path::Path;

use async_trait::async_trait;
use chunk_core::sinks::{SinkEvent, SinkFault, SinkPort, Takes};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response};
use url::Url;
use zeroize::Zeroizing;

use super::answer::{accepted, read_past};
use crate::config::SecretRef;
use crate::error::chain;
use crate::outbound;
use crate::secrets::SecretReader;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// An HTTP collector.
pub(super) struct HttpsSink {
    client: Client,
    url: Url,
    token: Option<(SecretRef, SecretReader)>,
    configured: Takes,
    /// Fewer events at once than configured, after an answer that they were too large together.
    events_max: usize,
}

impl HttpsSink {
    /// A collector at this address. The text of an error is the operator's, and shows neither address nor token.
    pub(super) fn new(url: Url, ca_file: Option<&Path>, token: Option<(SecretRef, SecretReader)>, takes: Takes) -> Result<Self, String> {
        let sink = Self {
            client: outbound::sending_client(&url, ca_file)?,
            url,
            token,
            configured: takes,
            events_max: takes.events,
        };
        sink.authorization().map(|_| sink)
    }

    /// Read each time, so that a rotated token is used with the next batch.
    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some((place, reader)) = &self.token else { return Ok(None) };
        let token = reader.read(place).map_err(|why| format!("the token: {why}"))?;
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = HeaderValue::from_str(&bearer).map_err(|_| "the token holds what no header can hold".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn post<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Result<Response, String> {
        let mut body = String::new();
        for line in lines {
            body.push_str(line);
            body.push('\n');
        }
        let mut post = self.client.post(self.url.clone()).header(CONTENT_TYPE, NDJSON).body(body);
        if let Some(bearer) = self.authorization()? {
            post = post.header(AUTHORIZATION, bearer);
        }
        post.send().await.map_err(|error| chain(&error.without_url()))
    }
}

#[async_trait]
impl SinkPort for HttpsSink {
    fn takes(&self) -> Takes {
        Takes {
            events: self.events_max,
            ..self.configured
        }
    }

    async fn deliver(&mut self, events: &[SinkEvent]) -> Result<(), SinkFault> {
        let sent = self.post(events.iter().map(|event| event.text.as_str())).await;
        let mut answer = sent.map_err(SinkFault::unavailable)?;
        if let (StatusCode::PAYLOAD_TOO_LARGE, [alone]) = (answer.status(), events) {
            // Nothing that somebody can write may hold up what others did: an event that names the entry goes in its place.
            read_past(&mut answer).await;
            let sent = self.post(std::iter::once(alone.short.as_str())).await;
            answer = sent.map_err(SinkFault::unavailable)?;
        }
        let status = answer.status();
        if status == StatusCode::PAYLOAD_TOO_LARGE && events.len() > 1 {
            self.events_max = (events.len() / 2).max(1);
        }
        accepted(answer, &format!("{} events", events.len()), "token").await?;
        self.events_max = self.events_max.saturating_mul(2).min(self.configured.events);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::super::rfc5424::tests::event;
    use super::*;
    use crate::config::Env;
    use crate::secrets::master::MasterKey;

    /// A server that gives these answers, one a connection, and keeps what it was sent.
    fn server(answers: Vec<&'static str>) -> (Url, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in?key=k3y", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&got);
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while !request.ends_with(b"}\n") {
                    let read = stream.read(&mut part).unwrap();
                    request.extend_from_slice(part.get(..read).unwrap());
                }
                keep.lock().unwrap().push(String::from_utf8(request).unwrap());
                write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            }
        });
        (url.parse().unwrap(), got)
    }

    fn sink(url: Url) -> HttpsSink {
        crate::serve::install_crypto();
        let reader = SecretReader::new(Env::of(&[("SIEM_TOKEN", "hunter2")]), MasterKey::generate().unwrap());
        let token = Some((SecretRef::Env("SIEM_TOKEN".into()), reader));
        HttpsSink::new(url, None, token, Takes { events: 8, bytes: 9000 }).unwrap()
    }

    #[tokio::test]
    async fn a_batch_is_one_request_with_the_token_and_a_line_for_each_event() {
        let (url, got) = server(vec!["204 No Content"]);
        sink(url).deliver(&[event(0), event(1)]).await.unwrap();
        let request = got.lock().unwrap().pop().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("post /in?key=k3y http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: bearer hunter2") && head.contains("\r\ncontent-type: application/x-ndjson"));
        assert_eq!(body, format!("{}\n{}\n", event(0).text, event(1).text));
    }

    #[tokio::test]
    async fn only_2xx_accepts_and_no_answer_is_skipped_followed_or_told_with_its_secrets() {
        for (answer, refused, why) in [
            ("400 Bad Request", true, "400"),
            ("401 Unauthorized", true, "look at the token"),
            ("404 Not Found", true, "404"),
            ("408 Request Timeout", false, "408"),
            ("429 Too Many Requests", false, "429"),
            ("500 Internal Server Error", false, "500"),
            ("302 Found\r\nlocation: http://127.0.0.1:1/", true, "redirects are not followed"),
            ("304 Not Modified", true, "304"),
        ] {
            let (url, got) = server(vec![answer]);
            let fault = sink(url).deliver(&[event(0)]).await.unwrap_err();
            assert_eq!(fault.refused, refused, "{answer}");
            assert!(
                fault.why.contains(why) && !fault.why.contains("k3y") && !fault.why.contains("hunter2"),
                "{fault:?}"
            );
            assert_eq!(got.lock().unwrap().len(), 1);
        }
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fault = sink(format!("http://{gone}/?key=k3y").parse().unwrap())
            .deliver(&[event(0)])
            .await
            .unwrap_err();
        assert!(
            !fault.refused && !fault.why.contains("k3y") && !fault.why.contains("hunter2"),
            "{fault:?}"
        );
    }

    #[tokio::test]
    async fn what_is_too_large_together_is_sent_in_smaller_parts() {
        let (url, _) = server(vec!["413 Payload Too Large", "200 OK", "200 OK"]);
        let mut sink = sink(url);
        let batch: Vec<SinkEvent> = (0..6).map(event).collect();
        assert!(sink.deliver(&batch).await.unwrap_err().refused);
        assert_eq!(sink.takes().events, 3);
        sink.deliver(batch.get(..3).unwrap()).await.unwrap();
        assert_eq!(sink.takes().events, 6);
        sink.deliver(&batch).await.unwrap();
        assert_eq!(sink.takes().events, 8);
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_alone_goes_as_its_stand_in() {
        let (url, got) = server(vec!["413 Payload Too Large", "200 OK"]);
        let long = SinkEvent {
            text: format!("{{\"long\":\"{}\"}}", "x".repeat(1000)),
            ..event(7)
        };
        sink(url).deliver(std::slice::from_ref(&long)).await.unwrap();
        let got = got.lock().unwrap();
        let bodies: Vec<&str> = got
            .iter()
            .filter_map(|request| Some(request.split_once("\r\n\r\n")?.1.trim_end()))
            .collect();
        assert_eq!(bodies, [&long.text, &long.short]);
    }

    #[test]
    fn a_token_that_cannot_be_read_or_sent_is_told_and_not_shown() {
        let sink = |value: &str| {
            crate::serve::install_crypto();
            let reader = SecretReader::new(Env::of(&[("SIEM_TOKEN", value)]), MasterKey::generate().unwrap());
            let place = SecretRef::Env("SIEM_TOKEN".into());
            let takes = Takes { events: 1, bytes: 1 };
            HttpsSink::new("https://siem.example".parse().unwrap(), None, Some((place, reader)), takes)
                .err()
                .unwrap()
        };
        assert!(sink("").contains("SIEM_TOKEN"));
        let why = sink("hunter\n2");
        assert!(why.contains("no header can hold") && !why.contains("hunter"), "{why}");
    }
}
