//! A log and a witness of C2SP's kind that share nothing with the product: what another implementation would do, in the fewest
//! lines. Signing is ring's; notes, trees and proofs are worked out here.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::oracle::{Checkpoint, consistent};
use super::{now_ms, random};

pub(crate) type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    ring::digest::digest(&ring::digest::SHA256, &parts.concat())
        .as_ref()
        .try_into()
        .unwrap()
}

/// A named key of signed notes, of one algorithm.
pub(crate) struct NoteKey {
    pub(crate) name: String,
    algorithm: u8,
    pair: Ed25519KeyPair,
}

impl NoteKey {
    pub(crate) fn log(name: &str) -> Self {
        Self::new(name, 1)
    }

    pub(crate) fn witness(name: &str) -> Self {
        Self::new(name, 4)
    }

    fn new(name: &str, algorithm: u8) -> Self {
        Self {
            name: name.to_owned(),
            algorithm,
            pair: Ed25519KeyPair::from_seed_unchecked(&random::<32>()).unwrap(),
        }
    }

    pub(crate) fn vkey(&self) -> String {
        let public = self.pair.public_key().as_ref();
        let id = hex::encode(key_id(&self.name, self.algorithm, public));
        format!("{}+{id}+{}", self.name, STANDARD.encode([&[self.algorithm], public].concat()))
    }

    fn line(&self, signature: &[u8]) -> String {
        let id = key_id(&self.name, self.algorithm, self.pair.public_key().as_ref());
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode([&id, signature].concat()))
    }

    /// A signed note of this text.
    pub(crate) fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(self.pair.sign(text.as_bytes()).as_ref()))
    }

    /// A cosignature of this text.
    pub(crate) fn cosign(&self, text: &str, time_s: u64) -> String {
        let signature = self.pair.sign(format!("cosignature/v1\ntime {time_s}\n{text}").as_bytes());
        self.line(&[&time_s.to_be_bytes(), signature.as_ref()].concat())
    }
}

fn key_id(name: &str, algorithm: u8, public: &[u8]) -> [u8; 4] {
    sha256(&[name.as_bytes(), b"\n", &[algorithm], public])[..4].try_into().unwrap()
}

/// Text and signature lines of a note.
pub(crate) fn split(note: &str) -> (String, Vec<&str>) {
    let at = note.rfind("\n\n").unwrap_or_else(|| panic!("no signed note: {note}"));
    (note[..=at].to_owned(), note[at + 2..].lines().collect())
}

/// Checks a note under a verifier key: the time of a cosignature, 0 for a log's own signature, and nothing where the key did not sign.
pub(crate) fn signed(note: &str, vkey: &str) -> Option<u64> {
    let mut parts = vkey.splitn(3, '+');
    let (name, id) = (parts.next().unwrap(), hex::decode(parts.next().unwrap()).unwrap());
    let key = STANDARD.decode(parts.next().unwrap()).unwrap();
    let (text, lines) = split(note);
    let bytes = lines.iter().find_map(|line| {
        let (signer, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(bytes).ok()?;
        (signer == name && bytes.starts_with(&id)).then_some(bytes)
    })?;
    let (time_s, message, signature) = match key[0] {
        1 => (0, text, &bytes[4..]),
        4 => {
            let time_s = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
            (time_s, format!("cosignature/v1\ntime {time_s}\n{text}"), &bytes[12..])
        }
        other => panic!("algorithm {other}"),
    };
    let verified = UnparsedPublicKey::new(&ED25519, &key[1..]).verify(message.as_bytes(), signature);
    assert!(verified.is_ok(), "the signature of {name} is wrong: {note}");
    Some(time_s)
}

/// A log whose operator does as they please.
pub(crate) struct Log {
    pub(crate) key: NoteKey,
}

impl Log {
    pub(crate) fn new(origin: &str) -> Self {
        Self { key: NoteKey::log(origin) }
    }

    /// The body of `add-checkpoint` for a tree of these leaves.
    pub(crate) fn asks(&self, old: usize, leaves: &[Hash]) -> String {
        let proof = if old == 0 || old > leaves.len() {
            Vec::new()
        } else {
            proof(old, leaves, true)
        };
        let proof: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        let text = format!("{}\n{}\n{}\n", self.key.name, leaves.len(), STANDARD.encode(root(leaves)));
        format!("old {old}\n{proof}\n{}", self.key.sign(&text))
    }
}

pub(crate) fn leaf(story: &str, index: usize) -> Hash {
    sha256(&[&[0], story.as_bytes(), &index.to_be_bytes()])
}

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            sha256(&[&[1], &root(left), &root(right)])
        }
    }
}

/// RFC 6962, section 2.1.2.
fn proof(first: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if first == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, other) = if first <= left.len() {
        (proof(first, left, whole), root(right))
    } else {
        (proof(first - left.len(), right, false), root(left))
    };
    path.push(other);
    path
}

/// Sends a POST on a connection of its own: status, content type and body; nothing when the answer is not whole.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
        Some(line.split_once(": ")?.1.to_owned())
    };
    let whole = header("content-length")?.parse() == Ok(body.len());
    let status = head.split(' ').nth(1)?.parse().ok()?;
    whole.then(|| (status, header("content-type").unwrap_or_default(), body.to_owned()))
}

/// A witness that answers one question after another, and does as it is told.
pub(crate) struct Witness {
    pub(crate) vkey: String,
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    key: NoteKey,
    log: String,
    seen: Option<Checkpoint>,
    /// Cosignatures are dated so many seconds back.
    back_s: u64,
    away: bool,
    /// Statuses of its answers.
    answers: Vec<u16>,
}

impl Witness {
    /// A witness of the log with this verifier key.
    pub(crate) fn new(name: &str, log: &str) -> Self {
        let key = NoteKey::witness(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let vkey = key.vkey();
        let inner = Arc::new(Mutex::new(Inner {
            key,
            log: log.to_owned(),
            seen: None,
            back_s: 0,
            away: false,
            answers: Vec::new(),
        }));
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared);
            }
        });
        Self { vkey, url, inner }
    }

    pub(crate) fn go_away(&self, away: bool) {
        self.inner.lock().unwrap().away = away;
    }

    pub(crate) fn date_back(&self, seconds: u64) {
        self.inner.lock().unwrap().back_s = seconds;
    }

    /// Statuses of its answers so far.
    pub(crate) fn answers(&self) -> Vec<u16> {
        self.inner.lock().unwrap().answers.clone()
    }
}

fn serve(mut stream: TcpStream, inner: &Mutex<Inner>) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut asked = Vec::new();
    let body = loop {
        let mut buffer = [0; 4096];
        let Ok(read @ 1..) = stream.read(&mut buffer) else { return };
        asked.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&asked).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.expect("a length") {
            assert!(head.starts_with("POST /add-checkpoint HTTP/1.1"), "{head}");
            break body.to_owned();
        }
    };
    let mut inner = inner.lock().unwrap();
    if inner.away {
        return;
    }
    let (status, body) = inner.answer(&body);
    inner.answers.push(status);
    let answer = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).ok();
}

impl Inner {
    fn answer(&mut self, body: &str) -> (u16, String) {
        let (lines, note) = body.split_once("\n\n").unwrap();
        let mut lines = lines.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let proof: Vec<Hash> = lines.map(|line| STANDARD.decode(line).unwrap().try_into().unwrap()).collect();
        if signed(note, &self.log) != Some(0) {
            return (403, String::new());
        }
        let new = Checkpoint::parse(note);
        let (size, first) = self.seen.as_ref().map_or((0, root(&[])), |seen| (seen.size, seen.root));
        if old != size {
            return (409, format!("{size}\n"));
        }
        let good = if old == 0 {
            proof.is_empty()
        } else {
            consistent(old, &first, new.size, &new.root, &proof)
        };
        if !good {
            return (422, String::new());
        }
        self.seen = Some(new);
        let now_s = u64::try_from(now_ms() / 1000).unwrap();
        (200, self.key.cosign(&split(note).0, now_s - self.back_s))
    }
}
