//! What a receiver's answer to an HTTP request means, whatever was sent to it.
//!
//! Of an answer only its status counts; its text is read past and told to nobody, since it may quote what was sent.

use std::time::Duration;

use chunk_core::sinks::SinkFault;
use http::StatusCode;
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use reqwest::Response;

/// So much of an answer is read past, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Whether the receiver has accepted what it was sent; `sent` is that in words, `credential` what it knows us by.
///
/// # Errors
/// Unless the status is 2xx.
pub(crate) async fn accepted(mut answer: Response, sent: &str, credential: &str) -> Result<(), SinkFault> {
    let status = answer.status();
    let asked = retry_after(answer.headers());
    read_past(&mut answer).await;
    if status.is_success() {
        return Ok(());
    }
    let why = match status {
        _ if status.is_redirection() => format!("it answered {status}; redirects are not followed"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("it answered {status}; look at the {credential}"),
        StatusCode::PAYLOAD_TOO_LARGE => format!("it answered {status} to {sent}"),
        _ => format!("it answered {status}"),
    };
    let later = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    Err(SinkFault {
        why,
        refused: (status.is_client_error() && !later) || status.is_redirection(),
        retry_after: asked,
    })
}

pub(crate) async fn read_past(answer: &mut Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is held against the answer's own so that no two clocks are compared.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let (then, now): (Timestamp, Timestamp) = (date(asked)?, date(text(DATE)?)?);
    then.duration_since(now).try_into().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_receiver_may_say_when_to_come_again() {
        let asked = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
            retry_after(&pairs.collect())
        };
        let seconds = Duration::from_secs;
        assert_eq!(asked(&[(RETRY_AFTER, "120")]), Some(seconds(120)));
        let then = (RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(asked(&[then.clone(), (DATE, "Fri, 31 Dec 1999 23:59:29 GMT")]), Some(seconds(30)));
        // Without a date of its own, or in the past.
        assert_eq!(asked(std::slice::from_ref(&then)), None);
        assert_eq!(asked(&[then, (DATE, "Sat, 01 Jan 2000 00:00:00 GMT")]), None);
        assert_eq!(asked(&[(RETRY_AFTER, "soon")]), None);
        assert_eq!(asked(&[]), None);
    }
}
