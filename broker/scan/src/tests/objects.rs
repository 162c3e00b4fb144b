//! Object stores that answer well, and some that do not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use chunk_port::{ObjectNames, ObjectPlace, ObjectTarget, ScanErrorKind};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const BUCKET: &str = "acme-lake";

struct Keys;

impl Secrets for Keys {
    fn password(&self, _: &str) -> Result<Zeroizing<String>, String> {
        Err("there is none".to_owned())
    }

    fn key(&self, connection: &str, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        assert_eq!(connection, "store");
        let known = ["access_key", "secret_key", "token"].contains(&name);
        Ok(known.then(|| Zeroizing::new(format!("the-{name}"))))
    }
}

/// How a server answers for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Well,
    WholeForRange,
    OtherRange,
    OtherTotal,
    Short,
    Long,
    OtherTag,
    NoTag,
    Compressed,
    Redirects,
    Denies,
    /// So many errors before it answers well.
    Fails(usize),
    /// Hangs up so many times in the middle of a body.
    HangsUp(usize),
}

/// A server of objects, over TLS or not; keys are whole paths.
struct Fake {
    port: u16,
    certificate: Option<String>,
    objects: Mutex<BTreeMap<String, (Vec<u8>, String)>>,
    manner: Mutex<Manner>,
    /// Heads of requests.
    asked: Mutex<Vec<String>>,
    /// Bytes of bodies sent.
    sent: Mutex<usize>,
    page: usize,
    tags: bool,
}

impl Fake {
    async fn start(tls: bool, tags: bool) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let fake = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            certificate: tls.then(|| made.cert.pem()),
            objects: Mutex::default(),
            manner: Mutex::new(Manner::Well),
            asked: Mutex::default(),
            sent: Mutex::default(),
            page: 2,
            tags,
        });
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let serving = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fake, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    if fake.certificate.is_some() {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            fake.serve(stream).await;
                        }
                    } else {
                        fake.serve(stream).await;
                    }
                });
            }
        });
        fake
    }

    fn put(&self, key: &str, bytes: Vec<u8>) {
        let tag = format!(
            "\"{:x}\"",
            bytes.iter().fold(7_u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(*b)))
        );
        self.objects.lock().unwrap().insert(key.to_owned(), (bytes, tag));
    }

    fn behaves(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).await.is_err() {
                    return;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            self.asked.lock().unwrap().push(head.clone());
            let (answer, hang_up) = self.answer(&head);
            if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() || hang_up {
                return;
            }
        }
    }

    fn answer(&self, head: &str) -> (Vec<u8>, bool) {
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let field = |name: &str| {
            let line = head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}:")));
            line.map(|l| l.split_once(':').unwrap().1.trim().to_owned())
        };
        let plain = |status: &str| (format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes(), false);
        if query.contains("list-type=2") {
            return (self.listing(query), false);
        }
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Redirects => return plain("302 Found\r\nlocation: http://127.0.0.1:1/"),
            Manner::Denies => return plain("403 Forbidden"),
            Manner::Fails(n) if n > 0 => {
                self.behaves(Manner::Fails(n - 1));
                return plain("503 Slow Down");
            }
            _ => {}
        }
        let objects = self.objects.lock().unwrap();
        let Some((bytes, tag)) = objects.get(path) else {
            return plain("404 Not Found");
        };
        let at = "Mon, 30 Nov 2026 10:00:00 GMT";
        if field("if-match").is_some_and(|t| t != *tag) {
            return plain("412 Precondition Failed");
        }
        let version = match (manner, self.tags) {
            (Manner::NoTag, _) => String::new(),
            (Manner::OtherTag, _) => "etag: \"other\"\r\n".to_owned(),
            (_, true) => format!("etag: {tag}\r\n"),
            (_, false) => format!("etag: W/{tag}\r\nlast-modified: {at}\r\n"),
        };
        if method == "HEAD" {
            let tag = if self.tags { format!("etag: {tag}\r\n") } else { version };
            return (
                format!("HTTP/1.1 200 OK\r\n{tag}content-length: {}\r\n\r\n", bytes.len()).into_bytes(),
                false,
            );
        }
        let range = field("range").unwrap();
        let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let mut body = bytes[from..=to].to_vec();
        let (mut status, mut said, mut total) = ("206 Partial Content", (from, to), bytes.len());
        let mut more = String::new();
        match manner {
            Manner::WholeForRange => (status, body) = ("200 OK", bytes.clone()),
            Manner::OtherRange => said = (from + 1, to + 1),
            Manner::OtherTotal => total += 1,
            Manner::Short => body.truncate(body.len() / 2),
            Manner::Long => body.push(0),
            Manner::Compressed => more.push_str("content-encoding: gzip\r\n"),
            _ => {}
        }
        let length = body.len();
        let hang_up = match manner {
            Manner::HangsUp(n) if n > 0 => {
                drop(objects);
                self.behaves(Manner::HangsUp(n - 1));
                body.truncate(length / 2);
                true
            }
            _ => false,
        };
        *self.sent.lock().unwrap() += body.len();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\n{version}{more}content-range: bytes {}-{}/{total}\r\ncontent-length: {length}\r\n\r\n",
            said.0, said.1
        )
        .into_bytes();
        answer.extend(body);
        (answer, hang_up)
    }

    /// Pages of a few keys, with a token.
    fn listing(&self, query: &str) -> Vec<u8> {
        let value = |name: &str| {
            let found = query.split('&').find_map(|p| p.strip_prefix(&format!("{name}=")));
            found.map(|v| v.replace("%2F", "/"))
        };
        let objects = self.objects.lock().unwrap();
        let prefix = format!("/{BUCKET}/{}", value("prefix").unwrap_or_default());
        let after: usize = value("continuation-token").map_or(0, |t| t.parse().unwrap());
        let found: Vec<_> = objects.iter().filter(|(k, _)| k.starts_with(&prefix)).collect();
        let page: String = found
            .iter()
            .skip(after)
            .take(self.page)
            .map(|(key, (bytes, tag))| {
                let key = key.strip_prefix(&format!("/{BUCKET}/")).unwrap();
                format!(
                    "<Contents><Key>{key}</Key><ETag>{}</ETag><Size>{}</Size></Contents>",
                    tag.replace('"', "&quot;"),
                    bytes.len()
                )
            })
            .collect();
        let more = after + self.page < found.len();
        let next = if more {
            format!("<NextContinuationToken>{}</NextContinuationToken>", after + self.page)
        } else {
            String::new()
        };
        let body = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{more}</IsTruncated>{next}{page}</ListBucketResult>"
        );
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn s3(&self, ca: Option<PathBuf>) -> ObjectTarget {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        ObjectTarget {
            connection: "store".to_owned(),
            place: ObjectPlace::S3 {
                endpoint: format!("{scheme}://127.0.0.1:{}", self.port),
                bucket: BUCKET.to_owned(),
                prefix: "prod/".to_owned(),
                region: "eu-central-1".to_owned(),
                path_style: true,
            },
            ca_file: ca,
        }
    }

    fn http(&self) -> ObjectTarget {
        ObjectTarget {
            connection: "store".to_owned(),
            place: ObjectPlace::Http {
                base: format!("http://127.0.0.1:{}/open", self.port),
            },
            ca_file: None,
        }
    }
}

fn table(target: ObjectTarget, names: ObjectNames, format: FileFormat) -> Table {
    Table {
        dataset: "people".to_owned(),
        connection: "store".to_owned(),
        source: Source::Objects {
            target: Arc::new(target),
            names,
            format,
        },
    }
}

fn below(name: &str) -> ObjectNames {
    ObjectNames::Below(name.to_owned())
}

fn engine() -> Arc<Engine> {
    let settings = Settings {
        threads: 2,
        ..Settings::default()
    };
    Engine::new(Arc::new(Keys), &settings).unwrap()
}

fn everything() -> Query {
    slice("people", None, None, None, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_gives_the_rows_that_it_gives_from_a_folder() {
    let (house, engine) = (house(), engine());
    let fake = Fake::start(false, true).await;
    let people = house.governed("people", &[]).await;
    for (delivered, format, name) in [
        (Format::Parquet, FileFormat::Parquet, "p/people.parquet"),
        (Format::Csv, FileFormat::Csv, "p/people.csv"),
        (Format::Ndjson, FileFormat::Ndjson, "p/people.jsonl"),
        (Format::Arrow, FileFormat::Arrow, "p/people.arrow"),
    ] {
        let (bytes, _, _) = house.fetch(order(everything(), vec![people.clone()], delivered)).await.unwrap();
        std::fs::write(house.path("copy"), &bytes).unwrap();
        let mut local = house.table("people");
        local.source = Source::Files {
            root: house.folder.path().to_owned(),
            path: house.path("copy"),
            format,
        };
        let expected = csv(&engine, everything(), vec![govern(&engine, local, &[]).await.unwrap()])
            .await
            .unwrap();
        fake.put(&format!("/{BUCKET}/prod/{name}"), bytes.clone());
        fake.put(&format!("/open/{name}"), bytes);
        for (target, names) in [
            (fake.s3(None), below(name)),
            (fake.s3(None), below("p")),
            (fake.http(), ObjectNames::Listed(vec![name.to_owned()])),
        ] {
            let table = govern(&engine, table(target, names, format), &[]).await.unwrap();
            assert_eq!(csv(&engine, everything(), vec![table]).await.unwrap(), expected, "{format:?}");
        }
    }
    attacks::withstands(&engine, table(fake.s3(None), below("p/people.parquet"), FileFormat::Parquet)).await;
}

/// Objects in pages of two: those of another extension, hidden ones and neighbours are not the table's.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_a_folder() {
    let (fake, engine) = (Fake::start(false, true).await, engine());
    for (key, text) in [
        ("prod/days/1.csv", "id\n1\n"),
        ("prod/days/a/2.csv", "id\n2\n"),
        ("prod/days/b/3.CSV", "id\n3\n"),
        ("prod/days/_tmp/4.csv", "id\n4\n"),
        ("prod/days/.5.csv", "id\n5\n"),
        ("prod/days/6.txt", "id\n6\n"),
        ("prod/days.csv", "id\n7\n"),
        ("prod/days2/8.csv", "id\n8\n"),
        ("other/days/9.csv", "id\n9\n"),
    ] {
        fake.put(&format!("/{BUCKET}/{key}"), text.as_bytes().to_vec());
    }
    let folder = govern(&engine, table(fake.s3(None), below("days"), FileFormat::Csv), &[])
        .await
        .unwrap();
    assert_eq!(csv(&engine, everything(), vec![folder]).await.unwrap(), "id\n1\n2\n3\n");
    let empty = engine
        .describe(&table(fake.s3(None), below("nowhere"), FileFormat::Csv))
        .await
        .unwrap_err();
    assert!(empty.operator.unwrap().contains("no .csv object"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_was_asked_for_is_not_read() {
    let (house, engine) = (house(), engine());
    let fake = Fake::start(false, true).await;
    fake.put(
        &format!("/{BUCKET}/prod/people.parquet"),
        std::fs::read(house.path("people.parquet")).unwrap(),
    );
    let lines: String = (0..200_000).map(|n| format!("{n},x{n}\n")).collect();
    fake.put(&format!("/{BUCKET}/prod/lines.csv"), format!("id,text\n{lines}").into_bytes());
    for (name, format) in [("people.parquet", FileFormat::Parquet), ("lines.csv", FileFormat::Csv)] {
        fake.behaves(Manner::Well);
        let table = govern(&engine, table(fake.s3(None), below(name), format), &[]).await.unwrap();
        let expected = csv(&engine, everything(), vec![table.clone()]).await.unwrap();
        for (manner, why) in [
            (Manner::WholeForRange, "whole object"),
            (Manner::OtherRange, "another range"),
            (Manner::OtherTotal, "another range"),
            (Manner::Short, "another length"),
            (Manner::Long, "another length"),
            (Manner::OtherTag, "another version"),
            (Manner::NoTag, "another version"),
            (Manner::Compressed, "another encoding"),
            (Manner::Redirects, "redirects are not followed"),
            (Manner::Denies, "credential was refused"),
            (Manner::Fails(1000), "answered 503"),
            (Manner::HangsUp(1000), "error"),
        ] {
            fake.behaves(manner);
            let error = csv(&engine, everything(), vec![table.clone()]).await.unwrap_err();
            assert_eq!(error.kind, ScanErrorKind::Source, "{manner:?}: {error:?}");
            let operator = error.operator.unwrap();
            assert!(operator.contains(why), "{name} {manner:?}: {operator}");
            assert!(!operator.contains("Signature") && !error.public.contains("127.0.0.1"), "{operator}");
        }
        // What passes is waited for.
        for manner in [Manner::Fails(2), Manner::HangsUp(2)] {
            fake.behaves(manner);
            assert_eq!(
                csv(&engine, everything(), vec![table.clone()]).await.unwrap(),
                expected,
                "{manner:?}"
            );
        }
    }
}

/// Replaced after it was listed: of the new one nothing is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_reads_the_version_that_it_listed() {
    let engine = engine();
    let lines = |word: &str| {
        let rows: String = (0..400_000).map(|n| format!("{n},{word}{n}\n")).collect();
        format!("id,text\n{rows}").into_bytes()
    };
    for tags in [true, false] {
        let fake = Fake::start(false, tags).await;
        fake.put("/open/a.csv", lines("old"));
        let table = govern(
            &engine,
            table(fake.http(), ObjectNames::Listed(vec!["a.csv".to_owned()]), FileFormat::Csv),
            &[],
        )
        .await
        .unwrap();
        let mut frames = engine.open(order(everything(), vec![table.clone()], Format::Csv)).await.unwrap();
        frames.stream.next().await.unwrap().unwrap();
        if !tags {
            // Held to its time alone; a server that compares it answers 412 as well.
            assert!(
                fake.asked()
                    .iter()
                    .any(|head| head.contains("if-unmodified-since: Mon, 30 Nov 2026"))
            );
            continue;
        }
        fake.put("/open/a.csv", lines("new"));
        let mut failed = None;
        while let Some(frame) = frames.stream.next().await {
            match frame {
                Ok(frame) => assert!(!String::from_utf8_lossy(&frame.bytes).contains("new")),
                Err(error) => failed = error.operator,
            }
        }
        assert!(failed.unwrap().contains("it has changed since the request began"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_and_name_the_fetch() {
    let (house, engine) = (house(), engine());
    let fake = Fake::start(false, true).await;
    let bytes = std::fs::read(house.path("people.parquet")).unwrap();
    fake.put(&format!("/{BUCKET}/prod/people.parquet"), bytes.clone());
    fake.put("/open/people.parquet", bytes);
    let signed = govern(&engine, table(fake.s3(None), below("people.parquet"), FileFormat::Parquet), &[])
        .await
        .unwrap();
    fake.asked();
    csv(&engine, slice("people", Some(&["id"]), None, None, None), vec![signed])
        .await
        .unwrap();
    let asked = fake.asked();
    assert!(asked.len() >= 2, "{asked:?}");
    for head in &asked {
        assert!(head.contains("X-Amz-Signature=") && head.contains("the-access_key"), "{head}");
        assert!(!head.contains("the-secret_key"), "{head}");
        assert!(head.contains("(test)") || head.contains("(test-plan)"), "{head}");
        if !head.contains("list-type=2") {
            assert!(head.contains("X-Amz-SignedHeaders=host%3Bif-match%3Brange"), "{head}");
        }
    }
    assert!(
        asked.iter().any(|head| head.contains("(test)")),
        "what is read is read under the order's tag: {asked:?}"
    );
    let open = table(
        fake.http(),
        ObjectNames::Listed(vec!["people.parquet".to_owned()]),
        FileFormat::Parquet,
    );
    engine.describe(&open).await.unwrap();
    let asked = fake.asked();
    assert!(
        asked.iter().all(|head| head.contains("authorization: Bearer the-token")),
        "{asked:?}"
    );
    let missing = table(
        fake.http(),
        ObjectNames::Listed(vec!["none.parquet".to_owned()]),
        FileFormat::Parquet,
    );
    assert!(
        engine
            .describe(&missing)
            .await
            .unwrap_err()
            .operator
            .unwrap()
            .contains("`none.parquet`: it is not there")
    );
}

/// Of a large object, a narrow question asks for little.
#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_read_by_the_ranges_that_are_needed() {
    let (house, engine) = (house(), engine());
    let fake = Fake::start(false, true).await;
    let batches: Vec<RecordBatch> = (0..20)
        .map(|b| {
            let ids: Vec<i64> = (b * 5000..(b + 1) * 5000).collect();
            let texts: Vec<String> = ids
                .iter()
                .map(|i| format!("{:032x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed())))
                .collect();
            RecordBatch::try_from_iter([
                ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
                ("text", Arc::new(StringArray::from(texts)) as ArrayRef),
            ])
            .unwrap()
        })
        .collect();
    parquet(&house.path("big.parquet"), &batches);
    let bytes = std::fs::read(house.path("big.parquet")).unwrap();
    let size = bytes.len();
    fake.put(&format!("/{BUCKET}/prod/big.parquet"), bytes);
    let big = govern(&engine, table(fake.s3(None), below("big.parquet"), FileFormat::Parquet), &[])
        .await
        .unwrap();
    let planned = engine.plan(&order(everything(), vec![big.clone()], Format::Csv)).await.unwrap();
    assert_eq!(planned.rows_estimated, Some(100_000));
    *fake.sent.lock().unwrap() = 0;
    let query = slice("people", None, Some("id >= 99990"), None, None);
    let shown = csv(&engine, query, vec![big]).await.unwrap();
    assert_eq!(shown.lines().count(), 11);
    let sent = *fake.sent.lock().unwrap();
    assert!(sent < size / 3, "{sent} of {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_the_server_is_is_verified() {
    let (house, engine) = (house(), engine());
    let fake = Fake::start(true, true).await;
    fake.put(
        &format!("/{BUCKET}/prod/people.parquet"),
        std::fs::read(house.path("people.parquet")).unwrap(),
    );
    std::fs::write(house.path("ca.pem"), fake.certificate.as_ref().unwrap()).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(house.path("other.pem"), other.cert.pem()).unwrap();
    let of = |ca: Option<&str>| table(fake.s3(ca.map(|f| house.path(f))), below("people.parquet"), FileFormat::Parquet);
    assert_eq!(engine.describe(&of(Some("ca.pem"))).await.unwrap().len(), 9);
    fake.asked();
    for ca in [Some("other.pem"), None] {
        let error = tokio::time::timeout(Duration::from_secs(20), engine.describe(&of(ca)))
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source);
    }
    assert!(fake.asked().is_empty());
}
