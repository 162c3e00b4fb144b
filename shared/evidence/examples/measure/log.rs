//! A log as a busy deployment writes it: people sign in, ask for slices, others approve, chunks are delivered. Every value that
//! is random in a real log is random here, because what cannot be compressed decides how large a bundle is.

use chunk_evidence::body::{Body, EntryKey, Group};
use chunk_evidence::dsse;
use chunk_evidence::encode::{b64, canonical, sha256, sha256_hex, to_hex};
use chunk_evidence::leaf::{Decision, Header, Kind, Leaf};
use chunk_evidence::note::VerifierKey;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

pub(crate) const ORIGIN: &str = "example.org/prod/7f3a";
const ISSUER: &str = "https://login.example.org/realms/staff";
const PEOPLE: usize = 120;
const DATASETS: usize = 12;

/// Someone signed in.
struct Session {
    person: usize,
    key: Ed25519KeyPair,
    sid: String,
    open: u64,
    left: u32,
}

pub(crate) struct Log {
    pub(crate) key: Ed25519KeyPair,
    leaves: Vec<Vec<u8>>,
    documents: Vec<String>,
    /// Entries that carry a person's signature.
    pub(crate) signatures: u64,
    random: u64,
    t: i64,
    sessions: Vec<Session>,
    policy: u64,
    policy_digest: String,
}

impl Log {
    /// So many entries.
    pub(crate) fn new(entries: u64) -> Self {
        let entries = usize::try_from(entries).unwrap();
        let mut log = Self {
            key: Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap(),
            leaves: Vec::new(),
            documents: Vec::new(),
            signatures: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            t: 1_764_000_000_000,
            sessions: Vec::new(),
            policy: 0,
            policy_digest: String::new(),
        };
        log.begin();
        while log.leaves.len() < entries {
            log.visit();
        }
        log.leaves.truncate(entries);
        log.documents.truncate(entries);
        log
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        VerifierKey::new(ORIGIN, dsse::public_key(&self.key)).unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Index, leaf and body document of every entry.
    pub(crate) fn each(&self, mut see: impl FnMut(u64, &[u8], &str)) {
        for (index, (leaf, document)) in (0..).zip(self.leaves.iter().zip(&self.documents)) {
            see(index, leaf, document);
        }
    }

    fn begin(&mut self) {
        let what = json!({"log_key": self.verifier().to_text()});
        self.append(
            Header::new(Kind::LogGenesis),
            Body::new()
                .with(Group::Env, json!({"origin": ORIGIN, "version": "0.1.0"}))
                .with(Group::What, what),
        );
        let env = json!({"instance": "i_4k2v", "version": "0.1.0"});
        self.append(Header::new(Kind::BrokerStart), Body::new().with(Group::Env, env));
        let datasets: Vec<String> = (0..DATASETS).map(dataset).collect();
        self.append(
            Header::new(Kind::ConfigLoad),
            Body::new().with(Group::What, json!({"datasets": datasets, "digest": sha256_hex(b"config")})),
        );
        let text = "@id(\"read\") permit (principal in Group::\"data\", action == Action::\"fetch\", resource);\n".repeat(20);
        self.policy_digest = sha256_hex(text.as_bytes());
        let what = json!({"digest": self.policy_digest, "schema": "entity User, Group;\n".repeat(40), "text": text});
        self.policy = self.append(Header::new(Kind::PolicyLoad), Body::new().with(Group::What, what));
    }

    /// One person does one thing.
    fn visit(&mut self) {
        let me = self.session(false);
        match self.below(20) {
            0 => self.deny(me),
            1 => {
                let (out, what) = (
                    json!({"entries": self.below(100)}),
                    json!({"query": {"user": subject(self.below(PEOPLE as u64) as usize)}}),
                );
                let header = Header {
                    refs: vec![self.sessions[me].open],
                    ..self.by(Kind::AuditRead, me)
                };
                self.append(header, Body::new().with(Group::What, what).with(Group::Out, out));
            }
            _ => self.request(me),
        }
        self.sessions[me].left -= 1;
        if self.sessions[me].left == 0 {
            let header = Header {
                refs: vec![self.sessions[me].open],
                ..self.by(Kind::SessionClose, me)
            };
            self.append(header, Body::new().with(Group::Why, json!({"cause": "logout"})));
            self.sessions.swap_remove(me);
        }
    }

    fn request(&mut self, me: usize) {
        let dataset_no = self.below(DATASETS as u64) as usize;
        let (name, open) = (dataset(dataset_no), self.sessions[me].open);
        let columns = columns(dataset_no);
        let quorum = u64::from(self.below(4) > 0);
        let reason = format!(
            "{} for {}",
            REASONS[self.below(REASONS.len() as u64) as usize],
            dataset(self.below(DATASETS as u64) as usize)
        );
        let ticket = format!("DATA-{}", 1000 + self.below(9000));
        let nonce = to_hex(&self.bytes::<16>());
        let person = self.sessions[me].person;
        let document = canonical(&json!({
            "budget": {"bytes": 68_719_476_736_u64, "duration_s": 3600, "rows": 50_000_000}, "columns": columns, "connections": ["warehouse"],
            "datasets": [name], "filtered": [], "format": "parquet", "nonce": nonce, "not_after_ms": self.t + 600_000,
            "policy": self.policy_digest, "query": {"dataset": name, "filter": format!("region = 'r{}'", self.below(40)), "kind": "slice"}, "quorum": quorum, "reason": reason,
            "requester": {"issuer": ISSUER, "key": self.thumbprint(me), "subject": subject(person)}, "ticket": ticket, "v": 1,
        })).unwrap();
        let (id, digest) = (self.id("req"), sha256_hex(document.as_bytes()));
        let envelope = self.sign(me, "application/vnd.chunkctl.request.v1+json", &document);
        let body = Body::new()
            .with(Group::What, json!({"digest": digest, "envelope": envelope, "id": id}))
            .with(Group::Obj, json!({"columns": columns, "connections": ["warehouse"], "datasets": [name]}))
            .with(Group::Why, json!({"reason": reason, "ticket": ticket}))
            .with(Group::Out, json!({"expires_ms": self.t + 86_400_000, "quorum": quorum, "rows_estimated": self.below(5_000_000), "state": if quorum == 0 { "approved" } else { "pending" }}));
        let header = Header {
            dec: Some(Decision::Allow),
            ds: Some(name.clone()),
            pol: Some(self.policy),
            refs: vec![open],
            ..self.by(Kind::RequestCreate, me)
        };
        let request = self.append(header, body);
        let act = actor(person);
        let mut reviews = Vec::new();
        if quorum > 0 {
            let reviewer = self.session(true);
            if self.sessions[reviewer].person == person {
                return;
            }
            reviews.push(self.review(reviewer, request, &id, &digest));
        }
        let me = self.sessions.iter().position(|s| s.open == open).unwrap();
        let header = Header {
            act: Some(act),
            dec: Some(Decision::Allow),
            refs: [&[request], reviews.as_slice()].concat(),
            ..Header::new(Kind::GrantIssue)
        };
        let body = Body::new()
            .with(Group::What, json!({"digest": digest, "id": id}))
            .with(Group::Out, json!({"expires_ms": self.t + 3_600_000, "uses": 1}));
        let grant = self.append(header, body);
        let header = Header {
            refs: vec![grant, open],
            ..self.by(Kind::GrantTake, me)
        };
        self.append(header, Body::new().with(Group::What, json!({"id": id})));
        for chunk in 0..1 + self.below(5) {
            self.deliver(me, grant, &id, &name, dataset_no, chunk);
        }
    }

    fn review(&mut self, who: usize, request: u64, id: &str, digest: &str) -> u64 {
        let subject = subject(self.sessions[who].person);
        let reason = REVIEWS[self.below(REVIEWS.len() as u64) as usize];
        let key = self.thumbprint(who);
        let signed = canonical(&json!({"digest": digest, "issuer": ISSUER, "key": key, "reason": reason, "request": id, "signed_ms": self.t, "subject": subject, "v": 1, "verdict": "approve"})).unwrap();
        let envelope = self.sign(who, "application/vnd.chunkctl.review.v1+json", &signed);
        let body = Body::new()
            .with(Group::Who, json!({"issuer": ISSUER, "key": key, "subject": subject}))
            .with(Group::What, json!({"digest": digest, "envelope": envelope, "id": id}))
            .with(Group::Why, json!({"reason": reason}));
        let header = Header {
            dec: Some(Decision::Allow),
            pol: Some(self.policy),
            refs: vec![request, self.sessions[who].open],
            ..self.by(Kind::ReviewApprove, who)
        };
        self.append(header, body)
    }

    fn deliver(&mut self, me: usize, grant: u64, id: &str, name: &str, dataset_no: usize, chunk: u64) {
        let masks = |count: Option<u64>| -> Value {
            let columns = columns(dataset_no);
            let masks = columns.as_array().unwrap().iter().map(|c| {
                let mut mask = json!({"column": c["name"], "dataset": c["dataset"], "mask": c["mask"]});
                if !c["class"].is_null() {
                    mask["class"] = c["class"].clone();
                }
                if let Some(count) = count {
                    mask["values"] = count.into();
                    mask["altered"] = if c["mask"] == "open" { 0.into() } else { count.into() };
                }
                mask
            });
            json!({"columns": masks.collect::<Vec<_>>()})
        };
        let fetch = self.id("fet");
        let body = Body::new()
            .with(Group::What, json!({"chunk": chunk, "fetch": fetch, "request": id}))
            .with(Group::Obj, json!({"connections": ["warehouse"], "datasets": [name]}))
            .with(Group::Mask, masks(None))
            .with(Group::Env, json!({"instance": "i_4k2v"}));
        let header = Header {
            ds: Some(name.to_owned()),
            pol: Some(self.policy),
            refs: vec![grant, self.sessions[me].open],
            ..self.by(Kind::FetchIntent, me)
        };
        let intent = self.append(header, body);
        let mut rows = 0;
        for _ in 0..self.below(2) {
            rows += self.below(1_000_000);
            let out = json!({"bytes": rows * 61, "rows": rows, "sha256": to_hex(&self.bytes::<32>())});
            let header = Header {
                refs: vec![intent],
                ..Header::new(Kind::FetchProgress)
            };
            self.append(header, Body::new().with(Group::What, json!({"request": id})).with(Group::Out, out));
        }
        rows += self.below(1_000_000);
        let sha256 = to_hex(&self.bytes::<32>());
        let out = json!({"bytes": rows * 61 + self.below(61), "end": "done", "ms": self.below(100_000), "rows": rows, "sha256": sha256});
        let header = Header {
            refs: vec![intent],
            ..Header::new(Kind::FetchOutcome)
        };
        let outcome = self.append(
            header,
            Body::new()
                .with(Group::What, json!({"request": id}))
                .with(Group::Out, out)
                .with(Group::Mask, masks(Some(rows))),
        );
        let header = Header {
            refs: vec![outcome],
            ..self.by(Kind::DeliveryAck, me)
        };
        self.append(
            header,
            Body::new()
                .with(Group::What, json!({"id": id}))
                .with(Group::Out, json!({"sha256": sha256})),
        );
    }

    fn deny(&mut self, me: usize) {
        let header = Header {
            dec: Some(Decision::Deny),
            pol: Some(self.policy),
            refs: vec![self.sessions[me].open],
            ..self.by(Kind::RequestDeny, me)
        };
        let body = Body::new()
            .with(
                Group::What,
                json!({"query": {"dataset": dataset(self.below(DATASETS as u64) as usize), "kind": "slice"}}),
            )
            .with(Group::Why, json!({"reason": "looking around"}))
            .with(Group::Out, json!({"code": "denied", "policies": ["no-salaries"]}));
        self.append(header, body);
    }

    /// Somebody's open session; reviewers are the first twenty people.
    fn session(&mut self, reviewer: bool) -> usize {
        let (from, of) = if reviewer { (0, 20) } else { (20, PEOPLE - 20) };
        let person = from + self.below(of as u64) as usize;
        if let Some(at) = self.sessions.iter().position(|s| s.person == person) {
            return at;
        }
        let key = Ed25519KeyPair::from_seed_unchecked(&self.bytes::<32>()).unwrap();
        let (sid, left, open) = (self.id("ses"), 2 + self.below(6) as u32, self.leaves.len() as u64);
        self.sessions.push(Session {
            person,
            key,
            sid,
            open,
            left,
        });
        let at = self.sessions.len() - 1;
        let subject = subject(person);
        let who = json!({
            "amr": ["pwd", "otp"], "auth_time": self.t / 1000, "email": format!("{subject}@example.org"), "groups": ["data", "staff"], "issuer": ISSUER, "key": self.thumbprint(at),
            "name": format!("Person {person}"), "public_key": b64(&dsse::public_key(&self.sessions[at].key)), "subject": subject,
        });
        let body = Body::new()
            .with(Group::Who, who)
            .with(Group::Net, json!({"client": "chunkctl/0.1.0", "host": format!("laptop-{person}"), "ip": format!("10.1.{}.{}", person, self.below(255))}))
            .with(Group::Out, json!({"expires_ms": self.t + 43_200_000, "id_token": to_hex(&self.bytes::<32>())}));
        let header = self.by(Kind::SessionOpen, at);
        self.append(header, body);
        at
    }

    fn by(&self, kind: Kind, who: usize) -> Header {
        let session = &self.sessions[who];
        Header {
            act: Some(actor(session.person)),
            sid: Some(session.sid.clone()),
            ..Header::new(kind)
        }
    }

    fn thumbprint(&self, who: usize) -> String {
        dsse::thumbprint(&dsse::public_key(&self.sessions[who].key))
    }

    fn sign(&mut self, who: usize, payload_type: &str, payload: &str) -> Value {
        self.signatures += 1;
        let key = &self.sessions[who].key;
        serde_json::to_value(dsse::sign(
            key,
            payload_type,
            payload.as_bytes(),
            &dsse::key_id(&dsse::public_key(key)),
        ))
        .unwrap()
    }

    fn append(&mut self, mut header: Header, body: Body) -> u64 {
        self.t += 1 + self.below(900) as i64;
        header.t = self.t;
        let rk = EntryKey::from_random(self.bytes());
        let leaf = Leaf::new(header, body.root(&rk).unwrap()).unwrap();
        self.leaves.push(leaf.to_bytes());
        self.documents.push(body.to_document(&rk).unwrap());
        self.leaves.len() as u64 - 1
    }

    fn id(&mut self, prefix: &str) -> String {
        let bytes: [u8; 16] = self.bytes();
        let text: String = bytes
            .iter()
            .map(|b| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[usize::from(b % 32)]))
            .collect();
        format!("{prefix}_{text}")
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for part in out.chunks_mut(32) {
            self.random = self
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            part.copy_from_slice(&sha256(&self.random.to_be_bytes())[..part.len()]);
        }
        out
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % bound
    }
}

const REASONS: [&str; 6] = [
    "churn study",
    "quarterly report",
    "incident 4711",
    "model training",
    "customer complaint",
    "finance reconciliation",
];
const REVIEWS: [&str; 4] = ["fine by me", "discussed in stand-up", "as agreed with legal", "ok"];

fn actor(person: usize) -> String {
    format!("act_{}", &to_hex(&sha256(&[person as u8]))[..16])
}

fn subject(person: usize) -> String {
    format!("user{person:03}")
}

fn dataset(n: usize) -> String {
    [
        "orders",
        "customers",
        "payments",
        "tickets",
        "invoices",
        "shipments",
        "visits",
        "leads",
        "returns",
        "refunds",
        "products",
        "stores",
    ][n]
        .to_owned()
}

fn columns(n: usize) -> Value {
    let name = dataset(n);
    let columns = (0..6 + n % 7).map(|c| match c {
        0 => json!({"dataset": name, "mask": "open", "name": "id"}),
        1 => json!({"class": "pii.email", "dataset": name, "mask": "redact", "name": "email"}),
        2 => json!({"class": "pii.name", "dataset": name, "mask": "partial(1,0)", "name": "full_name"}),
        c => json!({"dataset": name, "mask": "scan", "name": format!("field_{c}")}),
    });
    columns.collect::<Vec<_>>().into()
}
