//! One request to an object store, and what its answer must be.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chunk_port::{ObjectPlace, ObjectTarget, ScanError};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use rusty_s3::actions::{GetObject, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tokio::time::sleep;

use crate::engine::fault;
use crate::source::connector::{self, Connector};

/// An object as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Key below the bucket, or name below the address.
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(super) version: Version,
}

/// What holds an object to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// A strong ETag.
    Tag(String),
    /// When it was last modified, where a server gives no strong ETag.
    Modified(String),
}

/// Asks an object store. The texts of its errors are the operator's; they hold no address, which is signed.
pub(super) struct Asker {
    connection: String,
    place: Place,
    client: Client,
    agent: String,
}

enum Place {
    S3 { bucket: Box<Bucket>, prefix: String },
    Http { base: Url },
}

/// How a signed address may be used after it was signed; clocks may be apart by as much.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
const CONNECT_MAX: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = if cfg!(test) {
    Duration::from_secs(2)
} else {
    Duration::from_secs(30)
};
const LISTING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Times that a request is sent, with a pause that grows between them.
const TRIES: u32 = 3;
const PAUSE: Duration = if cfg!(test) {
    Duration::from_millis(1)
} else {
    Duration::from_millis(200)
};

/// Why there is no answer to use.
enum Refusal {
    /// It may be otherwise in a moment.
    Again(String),
    /// It will not.
    Final(String),
}

impl Refusal {
    /// Waits before the next try, if there is to be one.
    async fn waited(self, tries: &mut u32) -> Result<(), String> {
        *tries += 1;
        match self {
            Refusal::Again(_) if *tries < TRIES => {
                sleep(PAUSE * 4_u32.pow(*tries)).await;
                Ok(())
            }
            Refusal::Again(why) | Refusal::Final(why) => Err(why),
        }
    }
}

impl Asker {
    /// Nothing is asked yet.
    pub(super) fn new(connector: &Connector, target: &ObjectTarget, tag: &str) -> Result<Self, ScanError> {
        let unusable = |e: String| fault::source(format!("the objects behind `{}` cannot be reached", target.connection), e);
        let address = match &target.place {
            ObjectPlace::S3 { endpoint, .. } => endpoint,
            ObjectPlace::Http { base } => base,
        };
        let address = Url::parse(address).map_err(|_| unusable("its address is none".to_owned()))?;
        let place = match &target.place {
            ObjectPlace::S3 {
                bucket,
                prefix,
                region,
                path_style,
                ..
            } => {
                let style = if *path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
                let bucket = Bucket::new(address.clone(), style, bucket.clone(), region.clone()).map_err(|e| unusable(e.to_string()))?;
                Place::S3 {
                    bucket: Box::new(bucket),
                    prefix: prefix.clone(),
                }
            }
            ObjectPlace::Http { .. } => Place::Http { base: address.clone() },
        };
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .http1_only();
        // Plain HTTP is taken from configuration, which accepts it for loopback alone; there nobody is trusted by TLS.
        let client = if address.scheme() == "http" {
            client.tls_backend_preconfigured(connector::trusting_nobody()?)
        } else {
            let tls = connector.tls(&target.connection, target.ca_file.as_deref())?;
            client.https_only(true).tls_backend_preconfigured(tls)
        };
        Ok(Self {
            connection: target.connection.clone(),
            place,
            client: client.build().map_err(|e| unusable(e.without_url().to_string()))?,
            agent: format!("chunk-broker/{} ({tag})", env!("CARGO_PKG_VERSION")),
        })
    }

    /// One page of the objects whose keys begin with `name`, and where the next begins.
    pub(super) async fn list(
        &self,
        connector: &Connector,
        name: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Object>, Option<String>), String> {
        let Place::S3 { bucket, prefix } = &self.place else {
            return Err("files behind an address cannot be listed".to_owned());
        };
        let mut tries = 0;
        let body = loop {
            match self.listing(connector, bucket, &format!("{prefix}{name}"), after).await {
                Ok(body) => break body,
                Err(refusal) => refusal.waited(&mut tries).await?,
            }
        };
        let text = std::str::from_utf8(&body).map_err(|_| "a listing that is not UTF-8".to_owned())?;
        let listed = ListObjectsV2::parse_response(text).map_err(|_| "a listing that cannot be read".to_owned())?;
        let mut objects = Vec::with_capacity(listed.contents.len());
        for found in listed.contents {
            let Some(key) = found.key.strip_prefix(prefix.as_str()) else {
                return Err("a listing of other keys than were asked for".to_owned());
            };
            let (Some(tag), Some(size)) = (found.etag.filter(|t| is_strong(t)), found.size) else {
                return Err("a listing without the ETag or size of an object".to_owned());
            };
            objects.push(Object {
                key: key.to_owned(),
                size,
                version: Version::Tag(tag),
            });
        }
        Ok((objects, listed.next_continuation_token))
    }

    async fn listing(&self, connector: &Connector, bucket: &Bucket, prefix: &str, after: Option<&str>) -> Result<Bytes, Refusal> {
        let credentials = self.credentials(connector)?;
        let mut action = ListObjectsV2::new(bucket, Some(&credentials));
        action.with_prefix(prefix);
        if let Some(after) = after {
            action.with_continuation_token(after);
        }
        let request = self.client.request(Method::GET, action.sign(SIGNED_FOR));
        let answer = self.sent(request, &[]).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer.status()));
        }
        body(answer, None, LISTING_BYTES_MAX).await
    }

    /// A file behind an address, as it is now.
    pub(super) async fn head(&self, connector: &Connector, name: &str) -> Result<Object, String> {
        let mut tries = 0;
        let headers = loop {
            let refusal = match self.asked(connector, Method::HEAD, name, &[]).await {
                Ok(answer) if answer.status() == StatusCode::OK => break answer.headers().clone(),
                Ok(answer) => refused(answer.status()),
                Err(refusal) => refusal,
            };
            refusal.waited(&mut tries).await?;
        };
        plain(&headers)?;
        let size = header(&headers, CONTENT_LENGTH.as_str())
            .and_then(|l| l.parse().ok())
            .ok_or("it does not say how long it is")?;
        let version = match header(&headers, ETAG.as_str()).filter(|t| is_strong(t)) {
            Some(tag) => Version::Tag(tag.to_owned()),
            None => header(&headers, LAST_MODIFIED.as_str())
                .map(|at| Version::Modified(at.to_owned()))
                .ok_or("it has neither a strong ETag nor a time, so it cannot be held to one state")?,
        };
        Ok(Object {
            key: name.to_owned(),
            size,
            version,
        })
    }

    /// A range of an object, all of it and nothing else.
    pub(super) async fn range(&self, connector: &Connector, object: &Object, range: Range<u64>) -> Result<Bytes, String> {
        if range.start >= range.end || range.end > object.size {
            return Err("a range that the object does not have".to_owned());
        }
        let length = usize::try_from(range.end - range.start).map_err(|_| "a range too long".to_owned())?;
        let condition = match &object.version {
            Version::Tag(tag) => ("if-match", tag.clone()),
            Version::Modified(at) => ("if-unmodified-since", at.clone()),
        };
        let wanted = [("range", format!("bytes={}-{}", range.start, range.end - 1)), condition];
        let mut tries = 0;
        loop {
            let read = async {
                let answer = self.asked(connector, Method::GET, &object.key, &wanted).await?;
                check(answer.status(), answer.headers(), object, &range)?;
                body(answer, Some(length), length).await
            };
            match read.await {
                Ok(bytes) => return Ok(bytes),
                Err(refusal) => refusal.waited(&mut tries).await.map_err(|why| format!("`{}`: {why}", object.key))?,
            }
        }
    }

    async fn asked(
        &self,
        connector: &Connector,
        method: Method,
        name: &str,
        headers: &[(&'static str, String)],
    ) -> Result<Response, Refusal> {
        let url = match &self.place {
            Place::S3 { bucket, prefix } => {
                let credentials = self.credentials(connector)?;
                let key = format!("{prefix}{name}");
                let mut action = GetObject::new(bucket, Some(&credentials), &key);
                for (name, value) in headers {
                    action.headers_mut().insert(*name, value.as_str());
                }
                action.sign(SIGNED_FOR)
            }
            Place::Http { base } => {
                let mut url = base.clone();
                url.path_segments_mut()
                    .map_err(|()| Refusal::Final("its address is none".to_owned()))?
                    .pop_if_empty()
                    .extend(name.split('/'));
                url
            }
        };
        let bearer = match &self.place {
            Place::Http { .. } => connector.key(&self.connection, "token").map_err(Refusal::Final)?,
            Place::S3 { .. } => None,
        };
        let mut request = self.client.request(method, url);
        if let Some(token) = bearer {
            request = request.bearer_auth(token.as_str());
        }
        self.sent(request, headers).await
    }

    async fn sent(&self, mut request: reqwest::RequestBuilder, headers: &[(&'static str, String)]) -> Result<Response, Refusal> {
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.header(USER_AGENT, &self.agent).header(ACCEPT_ENCODING, "identity");
        request.send().await.map_err(|e| Refusal::Again(chain(&e.without_url())))
    }

    /// Read each time, so that rotated ones are used.
    fn credentials(&self, connector: &Connector) -> Result<Credentials, Refusal> {
        let key = |name: &str| connector.key(&self.connection, name).map_err(Refusal::Final);
        let needed = |name: &str| key(name)?.ok_or_else(|| Refusal::Final(format!("no `{name}` is configured")));
        let (access, secret) = (needed("access_key")?, needed("secret_key")?);
        Ok(match key("session_token")? {
            Some(token) => Credentials::new_with_token(access.as_str(), secret.as_str(), token.as_str()),
            None => Credentials::new(access.as_str(), secret.as_str()),
        })
    }
}

/// Whether an answer is the range that was asked for, of the version that was listed.
fn check(status: StatusCode, headers: &HeaderMap, object: &Object, range: &Range<u64>) -> Result<(), Refusal> {
    let wrong = |why: String| Err(Refusal::Final(why));
    let whole = *range == (0..object.size);
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let expected = format!("bytes {}-{}/{}", range.start, range.end - 1, object.size);
            if header(headers, CONTENT_RANGE.as_str()) != Some(&expected) {
                return wrong("the answer is of another range, or of an object of another length".to_owned());
            }
        }
        // A server without ranges, and the range is everything.
        StatusCode::OK if whole => {}
        StatusCode::OK => return wrong("the answer is the whole object where a range was asked for".to_owned()),
        StatusCode::PRECONDITION_FAILED => return wrong("it has changed since the request began".to_owned()),
        other => return Err(refused(other)),
    }
    plain(headers).map_err(Refusal::Final)?;
    let length = header(headers, CONTENT_LENGTH.as_str()).and_then(|l| l.parse::<u64>().ok());
    if length != Some(range.end - range.start) {
        return wrong("the answer is of another length than was asked for".to_owned());
    }
    let same = match &object.version {
        Version::Tag(tag) => header(headers, ETAG.as_str()) == Some(tag),
        Version::Modified(at) => header(headers, LAST_MODIFIED.as_str()) == Some(at),
    };
    if !same {
        return wrong("the answer is of another version than was listed".to_owned());
    }
    Ok(())
}

/// What is compressed on its way is not what was listed.
fn plain(headers: &HeaderMap) -> Result<(), String> {
    match header(headers, CONTENT_ENCODING.as_str()) {
        None | Some("identity") => Ok(()),
        Some(_) => Err("the answer is in another encoding than was asked for".to_owned()),
    }
}

fn refused(status: StatusCode) -> Refusal {
    let why = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the credential was refused, or may not read this ({})", status.as_u16())
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => "it is not there (any more)".to_owned(),
        status if status.is_redirection() => format!("it answered {}; redirects are not followed", status.as_u16()),
        status => format!("it answered {}", status.as_u16()),
    };
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Refusal::Again(why)
    } else {
        Refusal::Final(why)
    }
}

/// The body, of exactly the length asked for, if one was.
async fn body(mut answer: Response, length: Option<usize>, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::with_capacity(length.unwrap_or(0));
    while let Some(piece) = answer.chunk().await.map_err(|e| Refusal::Again(chain(&e.without_url())))? {
        if body.len() + piece.len() > bytes_max {
            return Err(Refusal::Final("the answer is longer than was asked for".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    match length {
        Some(length) if body.len() != length => Err(Refusal::Again("the answer ended early".to_owned())),
        _ => Ok(body.freeze()),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A weak ETag may stand for other bytes.
fn is_strong(tag: &str) -> bool {
    tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
