#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;

use serde_json::Value;

use super::super::words::tests::{HOSTILE, hostile, minimal, speaker};
use super::*;
use crate::config::Env;
use crate::secrets::master::MasterKey;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        1_790_000_100_000
    }

    fn reached(&self, _: i64) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A server that gives these answers, one a connection, and keeps what it was sent: head and body.
fn server(answers: Vec<&'static str>) -> (Url, Arc<Mutex<Vec<(String, Value)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?key=k3y", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&got);
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            let (head, body) = loop {
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n")
                    && let Ok(body) = serde_json::from_str(body)
                {
                    break (head.to_lowercase(), body);
                }
            };
            keep.lock().unwrap().push((head, body));
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    (url.parse().unwrap(), got)
}

fn reader(variables: &[(&str, &str)]) -> SecretReader {
    crate::serve::install_crypto();
    SecretReader::new(Env::of(variables), MasterKey::generate().unwrap())
}

fn notifier(format: NotifyFormat, place: NotifyPlace, variables: &[(&str, &str)]) -> Result<HttpNotifier, String> {
    HttpNotifier::new(speaker(), format, place, None, reader(variables), Arc::new(Still))
}

fn webhook(url: Url) -> HttpNotifier {
    let secrets = NotifyFormat::Webhook(vec![SecretRef::Env("SECRET".into())]);
    notifier(secrets, NotifyPlace::Url(url), &[("SECRET", SECRET)]).unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_default()
}

#[tokio::test]
async fn a_webhook_is_signed_over_the_id_the_time_of_the_try_and_the_body_that_is_sent() {
    let (url, got) = server(vec!["204 No Content"]);
    webhook(url).deliver(&minimal()).await.unwrap();
    let (head, body) = got.lock().unwrap().pop().unwrap();
    assert!(head.starts_with("post /hook?key=k3y http/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "webhook-id"), minimal().id);
    assert_eq!(header(&head, "webhook-timestamp"), "1790000100");
    let key = signature::key(SECRET).unwrap();
    let signed = signature::header(&[key], &minimal().id, 1_790_000_100, &body.to_string());
    assert_eq!(header(&head, "webhook-signature"), signed.to_lowercase());
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
}

#[tokio::test]
async fn only_2xx_accepts_and_no_answer_is_followed_or_told_with_its_secrets() {
    for (answer, refused, why) in [
        ("400 Bad Request", true, "400"),
        ("403 Forbidden", true, "look at the address or the secret"),
        ("410 Gone", true, "410"),
        ("429 Too Many Requests\r\nretry-after: 7", false, "429"),
        ("500 Internal Server Error", false, "500"),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", true, "redirects are not followed"),
    ] {
        let (url, got) = server(vec![answer]);
        let fault = webhook(url).deliver(&minimal()).await.unwrap_err();
        assert_eq!(fault.refused, refused, "{answer}");
        assert!(
            fault.why.contains(why) && !fault.why.contains("k3y") && !fault.why.contains("whsec"),
            "{fault:?}"
        );
        assert_eq!(fault.retry_after.is_some(), answer.contains("retry-after"));
        assert_eq!(got.lock().unwrap().len(), 1, "{answer}");
    }
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fault = webhook(format!("http://{gone}/?key=k3y").parse().unwrap())
        .deliver(&minimal())
        .await
        .unwrap_err();
    assert!(!fault.refused && !fault.why.contains("k3y"), "{fault:?}");
}

#[tokio::test]
async fn what_is_refused_for_what_somebody_wrote_goes_once_more_without_it() {
    let (url, got) = server(vec!["400 Bad Request", "200 OK", "422 Unprocessable Entity", "400 Bad Request"]);
    let slack = NotifyFormat::Slack;
    let mut slack = notifier(slack, NotifyPlace::Secret(SecretRef::Env("URL".into())), &[("URL", url.as_str())]).unwrap();
    slack.deliver(&hostile()).await.unwrap();
    assert!(slack.deliver(&hostile()).await.unwrap_err().refused);
    let got = got.lock().unwrap();
    let of_others = |body: &Value| body.to_string().contains("evil.example");
    assert!(HOSTILE.contains("evil.example"));
    assert_eq!(
        got.iter().map(|(_, body)| of_others(body)).collect::<Vec<_>>(),
        [true, false, true, false]
    );
}

#[test]
fn an_address_or_a_secret_that_cannot_be_used_is_told_and_not_shown() {
    let slack = |url: &str| {
        let place = NotifyPlace::Secret(SecretRef::Env("URL".into()));
        notifier(NotifyFormat::Slack, place, &[("URL", url)]).err().unwrap_or_default()
    };
    assert_eq!(slack("https://hooks.slack.example/services/T0/B0/hunter2"), "");
    for url in [
        "http://hooks.slack.example/hunter2",
        "hunter2",
        "https://me:hunter2@slack.example/",
        "ftp://hunter2.example",
    ] {
        let why = slack(url);
        assert!(why.contains("must be https://") && !why.contains("hunter2"), "{why}");
    }
    assert!(slack("").contains("URL"));
    let secrets = NotifyFormat::Webhook(vec![SecretRef::Env("SECRET".into())]);
    let place = NotifyPlace::Url("https://example.com/hook".parse().unwrap());
    let why = notifier(secrets, place, &[("SECRET", "hunter2")]).err().unwrap();
    assert!(why.contains("begins with `whsec_`") && !why.contains("hunter2"), "{why}");
}
