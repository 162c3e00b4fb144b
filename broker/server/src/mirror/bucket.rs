//! A mirror that is an S3 bucket: each object is put on condition that none is there, and kept under Object Lock where that is asked.
//!
//! Addresses are signed (SigV4 in the query), and so is every header, with the SHA-256 of what is put among them: the service checks
//! that it got exactly those bytes.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _};
use reqwest::{Client, Response, StatusCode};
use rusty_s3::actions::{GetObject, PutObject};
use rusty_s3::{Credentials, S3Action as _, UrlStyle};

use super::{Fault, NEWEST, Newest, Place};
use crate::config::{BucketConfig, ObjectLock, RetentionMode};
use crate::error::{CommandError, chain};
use crate::outbound;
use crate::secrets::SecretReader;

/// How far the clocks of the service and of this machine may be apart; S3 allows the same for requests signed in a header.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// Tiles have 8 KiB, checkpoints less, errors a few lines.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The bucket.
pub(super) struct Bucket {
    client: Client,
    bucket: rusty_s3::Bucket,
    config: BucketConfig,
    secrets: SecretReader,
}

/// What a put demands of what is there.
#[derive(Clone, Copy)]
enum Condition<'a> {
    /// Nothing.
    Absent,
    /// This version, by its ETag.
    Is(&'a str),
}

impl Bucket {
    /// A client for the bucket. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When a key cannot be read, or the client cannot be made.
    pub(super) fn new(config: &BucketConfig, secrets: SecretReader) -> Result<Self, CommandError> {
        let failed = |why: String| {
            let failed = CommandError::config(format!("The client for the mirror `s3://{}` cannot be made.", config.name));
            failed.because(why).next("chunk-broker check")
        };
        let client = outbound::signing_client(&config.endpoint, config.ca_file.as_deref()).map_err(failed)?;
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = rusty_s3::Bucket::new(config.endpoint.clone(), style, config.name.clone(), config.region.clone());
        let bucket = Self {
            client,
            bucket: bucket.map_err(|error| failed(error.to_string()))?,
            config: config.clone(),
            secrets,
        };
        bucket.credentials().map_err(failed)?;
        Ok(bucket)
    }

    /// Read each time, so that rotated ones are used.
    fn credentials(&self) -> Result<Credentials, String> {
        let config = &self.config;
        let read = |key: &str, place| self.secrets.read(place).map_err(|why| format!("`mirror.{key}`: {why}"));
        let access = read("access_key", &config.access_key)?;
        let secret = read("secret_key", &config.secret_key)?;
        Ok(match &config.session_token {
            Some(place) => Credentials::new_with_token(access.as_str(), secret.as_str(), read("session_token", place)?.as_str()),
            None => Credentials::new(access.as_str(), secret.as_str()),
        })
    }

    fn fault(&self, path: &str, why: impl Into<String>) -> Fault {
        Fault::Medium {
            path: format!("{}/{path}", self.named()),
            why: why.into(),
        }
    }

    /// Puts an object under a condition; false when what is there does not meet it.
    async fn send(&self, path: &str, bytes: Vec<u8>, condition: Condition<'_>, kept: Option<ObjectLock>) -> Result<bool, Fault> {
        let credentials = self.credentials().map_err(|why| self.fault(path, why))?;
        let key = format!("{}{path}", self.config.prefix);
        let headers = headers(&bytes, condition, kept, Timestamp::now()).map_err(|why| self.fault(path, why))?;
        let mut action = PutObject::new(&self.bucket, Some(&credentials), &key);
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.as_str());
        }
        let mut request = self.client.put(action.sign(SIGNED_FOR));
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let sent = request.body(bytes).send().await;
        let answer = sent.map_err(|error| self.fault(path, chain(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED => Ok(false),
            _ => Err(self.refused(path, answer).await),
        }
    }

    /// An object and its ETag; nothing when there is none and none was deleted.
    async fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Option<String>)>, Fault> {
        let credentials = self.credentials().map_err(|why| self.fault(path, why))?;
        let key = format!("{}{path}", self.config.prefix);
        let url = GetObject::new(&self.bucket, Some(&credentials), &key).sign(SIGNED_FOR);
        let sent = self.client.get(url).send().await;
        let answer = sent.map_err(|error| self.fault(path, chain(&error.without_url())))?;
        if answer.status() == StatusCode::NOT_FOUND {
            if answer.headers().get("x-amz-delete-marker").is_some_and(|value| value == "true") {
                return Err(Fault::Deleted(format!("{}/{path}", self.named())));
            }
            let body = self.body(path, answer).await?;
            return match code(&body) {
                Some("NoSuchKey") => Ok(None),
                other => Err(self.fault(path, said(StatusCode::NOT_FOUND, other))),
            };
        }
        if answer.status() != StatusCode::OK {
            return Err(self.refused(path, answer).await);
        }
        let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Some((self.body(path, answer).await?, tag)))
    }

    async fn body(&self, path: &str, mut answer: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.fault(path, chain(&error.without_url())))?
        {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(self.fault(path, format!("it answered with more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn refused(&self, path: &str, answer: Response) -> Fault {
        let status = answer.status();
        let body = self.body(path, answer).await.unwrap_or_default();
        self.fault(path, said(status, code(&body)))
    }
}

#[async_trait]
impl Place for Bucket {
    fn named(&self) -> String {
        let (name, prefix) = (&self.config.name, &self.config.prefix);
        format!("s3://{name}/{prefix}").trim_end_matches('/').to_owned()
    }

    async fn newest(&self) -> Result<Option<Newest>, Fault> {
        let Some((bytes, version)) = self.get(NEWEST).await? else {
            return Ok(None);
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Newest { text, version })),
            Err(_) => Err(self.fault(NEWEST, "it is not UTF-8")),
        }
    }

    async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        let kept = self.config.retention;
        if self.send(path, bytes.clone(), Condition::Absent, kept).await? {
            return Ok(());
        }
        match self.get(path).await? {
            Some((found, _)) if found == bytes => Ok(()),
            Some(_) => Err(Fault::Contradicts(format!("{}/{path}", self.named()))),
            None => Err(self.fault(path, "it was there, and is not any more")),
        }
    }

    async fn replace_newest(&self, text: &str, version: Option<&str>) -> Result<(), Fault> {
        let condition = version.map_or(Condition::Absent, Condition::Is);
        // The same checkpoint stands locked under its date; this one says only which is the newest.
        if self.send(NEWEST, text.as_bytes().to_vec(), condition, None).await? {
            return Ok(());
        }
        Err(self.fault(NEWEST, "somebody else has replaced it meanwhile"))
    }
}

/// The headers of a put, all of which are signed.
fn headers(
    bytes: &[u8],
    condition: Condition<'_>,
    kept: Option<ObjectLock>,
    now: Timestamp,
) -> Result<Vec<(&'static str, String)>, String> {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut headers = vec![
        ("content-type", "application/octet-stream".to_owned()),
        // S3 demands a checksum of what it is to lock.
        ("x-amz-checksum-sha256", STANDARD.encode(digest)),
        ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        match condition {
            Condition::Absent => ("if-none-match", "*".to_owned()),
            Condition::Is(tag) => ("if-match", tag.to_owned()),
        },
    ];
    if let Some(ObjectLock { mode, days }) = kept {
        let mode = match mode {
            RetentionMode::Compliance => "COMPLIANCE",
            RetentionMode::Governance => "GOVERNANCE",
        };
        let until = now
            .checked_add((i64::from(days) * 24).hours())
            .map_err(|_| "the end of its retention is no time".to_owned())?;
        headers.push(("x-amz-object-lock-mode", mode.to_owned()));
        headers.push((
            "x-amz-object-lock-retain-until-date",
            until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ));
    }
    Ok(headers)
}

/// The word by which S3 names an error. Other text of an answer is not passed on.
fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    let good = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    good.then_some(code)
}

fn said(status: StatusCode, code: Option<&str>) -> String {
    match code {
        Some(code) => format!("it answered {} {code}", status.as_u16()),
        None => format!("it answered {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The example of a signed address in AWS's documentation, "Authenticating Requests: Using Query Parameters".
    #[test]
    fn addresses_are_signed_as_amazons_example_is() {
        let endpoint = "https://s3.amazonaws.com".parse().unwrap();
        let bucket = rusty_s3::Bucket::new(endpoint, UrlStyle::VirtualHost, "examplebucket", "us-east-1").unwrap();
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let at = "2013-05-24T00:00:00Z".parse().unwrap();
        let signed = GetObject::new(&bucket, Some(&credentials), "test.txt").sign_with_time(Duration::from_secs(86_400), &at);
        assert!(
            signed
                .as_str()
                .ends_with("&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
            "{signed}"
        );
    }

    #[test]
    fn a_put_says_what_may_be_there_what_it_puts_and_how_long_it_stays() {
        let now = "2026-11-30T10:00:00Z".parse().unwrap();
        let kept = ObjectLock {
            mode: RetentionMode::Compliance,
            days: 400,
        };
        let lines = |condition, kept| {
            let headers = headers(b"abc", condition, kept, now).unwrap();
            headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            lines(Condition::Absent, Some(kept)),
            [
                "content-type: application/octet-stream",
                "x-amz-checksum-sha256: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
                "x-amz-sdk-checksum-algorithm: SHA256",
                "if-none-match: *",
                "x-amz-object-lock-mode: COMPLIANCE",
                "x-amz-object-lock-retain-until-date: 2028-01-04T10:00:00Z",
            ]
        );
        assert_eq!(lines(Condition::Is("\"e1\""), None).last().unwrap(), "if-match: \"e1\"");
    }

    #[test]
    fn of_an_error_only_its_name_is_passed_on() {
        assert_eq!(
            code(b"<Error><Code>AccessDenied</Code><Message>x</Message></Error>"),
            Some("AccessDenied")
        );
        assert_eq!(code(b"<Code>a b\n</Code>"), None);
        assert_eq!(code(b"\xff<Code>x</Code>"), None);
        assert_eq!(said(StatusCode::FORBIDDEN, Some("AccessDenied")), "it answered 403 AccessDenied");
    }
}
