//! A small log for tests: three people, one approved delivery, and as much of everything else as a real log holds.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

pub(crate) mod ssh;

use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use crate::attestation::IdToken;
use crate::attestation::tests as attestation;
use crate::body::{Body, EntryKey, Group};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::dsse::{self, REQUEST_PAYLOAD_TYPE, REVIEW_PAYLOAD_TYPE};
use crate::encode::{b64, canonical, canonical_of, sha256_hex};
use crate::leaf::{Decision, Header, Kind, Leaf};
use crate::merkle::tests::{mth, path, subproof};
use crate::merkle::{Frontier, Hash};
use crate::note::VerifierKey;
use crate::receipt::{Receipt, ReceiptEntry, ReceiptFile, entries_needed};
use crate::rotation::Rotation;

pub(crate) const ORIGIN: &str = "example.org/prod/7f3a";
pub(crate) const FILE: &[u8] = b"email,total\n***,12\n";

/// Somebody who signs.
pub(crate) struct Actor {
    pub(crate) key: Ed25519KeyPair,
    pub(crate) act: String,
    pub(crate) sid: String,
    pub(crate) name: &'static str,
    pub(crate) open: u64,
}

impl Actor {
    pub(crate) fn thumbprint(&self) -> String {
        dsse::thumbprint(&dsse::public_key(&self.key))
    }

    pub(crate) fn sign(&self, payload_type: &str, payload: &str) -> Value {
        let keyid = dsse::key_id(&dsse::public_key(&self.key));
        serde_json::to_value(dsse::sign(&self.key, payload_type, payload.as_bytes(), &keyid)).unwrap()
    }
}

/// A log in memory.
pub(crate) struct Log {
    pub(crate) key: Ed25519KeyPair,
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) documents: Vec<String>,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) t: i64,
    /// Entries that replaced the key.
    pub(crate) rotated: Vec<u64>,
    /// Index of the policy in force.
    policy: u64,
}

/// The indices and texts of one delivery.
pub(crate) struct Delivery {
    pub(crate) reviews: Vec<u64>,
    pub(crate) intent: u64,
    pub(crate) outcome: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            key: Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap(),
            leaves: Vec::new(),
            documents: Vec::new(),
            hashes: Vec::new(),
            t: 1_764_000_000_000,
            rotated: Vec::new(),
            policy: 0,
        }
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        VerifierKey::new(ORIGIN, dsse::public_key(&self.key)).unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    pub(crate) fn header(&self, index: u64) -> Header {
        Leaf::parse(&self.leaves[index as usize]).unwrap().header
    }

    /// The first entry of a kind.
    pub(crate) fn first(&self, kind: Kind) -> u64 {
        (0..self.size()).find(|index| self.header(*index).kind == kind).unwrap()
    }

    pub(crate) fn append(&mut self, mut header: Header, body: &Body) -> u64 {
        self.t += 1000;
        header.t = self.t;
        self.append_as_is(header, body)
    }

    pub(crate) fn append_as_is(&mut self, header: Header, body: &Body) -> u64 {
        let index = self.size();
        let mut random = [0; 16];
        random[..8].copy_from_slice(&index.to_be_bytes());
        let rk = EntryKey::from_random(random);
        let leaf = Leaf::new(header, body.root(&rk).unwrap()).unwrap();
        self.hashes.push(leaf.hash());
        self.leaves.push(leaf.to_bytes());
        self.documents.push(body.to_document(&rk).unwrap());
        index
    }

    pub(crate) fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let root = mth(&self.hashes[..size as usize]);
        SignedCheckpoint::sign(
            &Checkpoint {
                origin: ORIGIN.into(),
                size,
                root,
            },
            &self.key,
        )
        .unwrap()
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        path(index as usize, &self.hashes[..size as usize])
    }

    pub(crate) fn consistency(&self, from: u64, to: u64) -> Vec<Hash> {
        if from == 0 {
            Vec::new()
        } else {
            subproof(from as usize, &self.hashes[..to as usize], true)
        }
    }

    pub(crate) fn frontier(&self, size: u64) -> Frontier {
        let mut frontier = Frontier::default();
        self.hashes[..size as usize].iter().for_each(|hash| frontier.push(*hash));
        frontier
    }

    /// Genesis, start, configuration and policy.
    pub(crate) fn begin(&mut self) {
        let env = json!({"origin": ORIGIN, "version": "0.1.0"});
        let key = json!({"log_key": self.verifier().to_text()});
        self.append(
            Header::new(Kind::LogGenesis),
            &Body::new().with(Group::Env, env).with(Group::What, key),
        );
        let env = json!({"instance": "i_1", "version": "0.1.0"});
        self.append(Header::new(Kind::BrokerStart), &Body::new().with(Group::Env, env));
        let what = json!({"datasets": ["orders"], "digest": sha256_hex(b"config")});
        self.append(Header::new(Kind::ConfigLoad), &Body::new().with(Group::What, what));
        self.load("permit(principal, action, resource);");
    }

    /// Puts the key of this seed in the place of the log's, and gives the old one.
    pub(crate) fn rotate(&mut self, seed: u8) -> Ed25519KeyPair {
        let new = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let statement = Rotation::sign(ORIGIN, &self.key, &new).unwrap();
        self.rotate_saying(&statement);
        std::mem::replace(&mut self.key, new)
    }

    /// Appends an entry that replaces the key by whatever it says.
    pub(crate) fn rotate_saying(&mut self, statement: &str) -> u64 {
        let what = json!({"rotation": statement});
        let index = self.append(Header::new(Kind::KeyRotate), &Body::new().with(Group::What, what));
        self.rotated.push(index);
        index
    }

    /// The entries that replaced the key, proven under the tree of this size.
    pub(crate) fn rotations(&self, size: u64) -> Vec<ReceiptEntry> {
        let below = self.rotated.iter().filter(|index| **index < size);
        below.map(|index| self.receipt_entry(*index, size)).collect()
    }

    /// Loads a policy.
    pub(crate) fn load(&mut self, text: &str) -> u64 {
        let what = json!({"digest": sha256_hex(b"p"), "schema": "entity User;", "text": text});
        self.policy = self.append(Header::new(Kind::PolicyLoad), &Body::new().with(Group::What, what));
        self.policy
    }

    /// Index of the policy that new entries name.
    pub(crate) fn policy(&self) -> u64 {
        self.policy
    }

    /// New entries name another policy from here on.
    pub(crate) fn pretend_policy(&mut self, policy: u64) {
        self.policy = policy;
    }

    /// Erases what came before.
    pub(crate) fn erase(&mut self, by_whom: &Actor) -> u64 {
        let body = Body::new()
            .with(Group::What, json!({"keys": ["dk_1"], "subject": "act_ada"}))
            .with(Group::Why, json!({"reason": "asked to be forgotten"}));
        self.append(
            Header {
                refs: vec![by_whom.open],
                ..by(Kind::Erase, by_whom)
            },
            &body,
        )
    }

    /// Bodies of these kinds, below these indices, have been kept long enough.
    pub(crate) fn dispose(&mut self, bodies: &[(&str, u64)]) -> u64 {
        let bodies: Vec<_> = bodies
            .iter()
            .map(|(kind, before)| json!({"before": before, "kind": kind}))
            .collect();
        let body = Body::new()
            .with(Group::What, json!({"bodies": bodies}))
            .with(Group::Out, json!({"bodies": 1, "recordings": 0}));
        self.append(Header::new(Kind::RetentionDispose), &body)
    }

    pub(crate) fn sign_in(&mut self, name: &'static str, seed: u8) -> Actor {
        self.sign_in_as(name, seed, |_, _| {})
    }

    /// A sign-in with the browser: the identity provider's token, which names person and key, is kept.
    pub(crate) fn sign_in_attested(&mut self, name: &'static str, seed: u8) -> Actor {
        self.sign_in_as(name, seed, |key, body| {
            let token = attestation::token(attestation::HEADER, &attestation::claims(name, key));
            attest(body, &token);
        })
    }

    /// A sign-in of somebody of these groups.
    pub(crate) fn sign_in_of(&mut self, name: &'static str, seed: u8, groups: &[&str]) -> Actor {
        self.sign_in_as(name, seed, |_, body| set(body, Group::Who, "groups", json!(groups)))
    }

    /// A sign-in whose entry somebody has a hand in.
    pub(crate) fn sign_in_as(&mut self, name: &'static str, seed: u8, change: impl FnOnce(&str, &mut Body)) -> Actor {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut actor = Actor {
            key,
            act: format!("act_{name}"),
            sid: format!("ses_{name}{}", self.size()),
            name,
            open: self.size(),
        };
        let who = json!({
            "amr": ["pwd"], "groups": ["data"], "issuer": "https://idp.example", "key": actor.thumbprint(), "name": name,
            "public_key": b64(&dsse::public_key(&actor.key)), "subject": name,
        });
        let mut body = Body::new()
            .with(Group::Who, who)
            .with(Group::Net, json!({"client": "chunkctl/0.1.0", "host": "laptop", "ip": "127.0.0.1"}))
            .with(
                Group::Out,
                json!({"expires_ms": self.t + 1_000_000, "id_token": sha256_hex(name.as_bytes())}),
            );
        change(&actor.thumbprint(), &mut body);
        actor.open = self.append(by(Kind::SessionOpen, &actor), &body);
        actor
    }

    pub(crate) fn request(&mut self, by_whom: &Actor, quorum: u64) -> (u64, String) {
        self.request_of(by_whom, quorum, false, false)
    }

    /// A request that says that it is an emergency, in what is signed and in what is recorded.
    pub(crate) fn request_of(&mut self, by_whom: &Actor, quorum: u64, signed: bool, recorded: bool) -> (u64, String) {
        self.request_with(by_whom, quorum, |document, out| {
            if signed {
                document["break_glass"] = true.into();
            }
            if recorded {
                out["break_glass"] = true.into();
            }
        })
    }

    /// A request for a standing grant.
    pub(crate) fn request_standing(&mut self, by_whom: &Actor, quorum: u64, rows: u64, bytes: u64) -> (u64, String) {
        self.request_with(by_whom, quorum, |document, out| {
            let terms = json!({"bytes": bytes, "duration_s": 3600, "rows": rows});
            document["standing"] = terms.clone();
            out["standing"] = terms;
        })
    }

    /// A request that is reviewed in stages: of each group so many.
    pub(crate) fn request_staged(&mut self, by_whom: &Actor, quorum: u64, stages: &[(&str, u64)]) -> (u64, String) {
        let stages: Vec<_> = stages
            .iter()
            .map(|(group, quorum)| json!({"groups": [group], "quorum": quorum}))
            .collect();
        self.request_with(by_whom, quorum, |document, out| {
            document["stages"] = stages.clone().into();
            out["stages"] = stages.into();
        })
    }

    /// A request that goes to others of these groups after so many seconds.
    pub(crate) fn request_escalating(&mut self, by_whom: &Actor, stages: &[(&str, u64)], after_s: u64, groups: &[&str]) -> (u64, String) {
        let escalation = json!({"after_s": after_s, "groups": groups});
        let quorum = stages.iter().map(|(_, quorum)| quorum).sum();
        let stages: Vec<_> = stages
            .iter()
            .map(|(group, quorum)| json!({"groups": [group], "quorum": quorum}))
            .collect();
        self.request_with(by_whom, quorum, |document, out| {
            for at in [document, out] {
                at["stages"] = stages.clone().into();
                at["escalation"] = escalation.clone();
            }
        })
    }

    /// A pending request goes to others.
    pub(crate) fn escalate(&mut self, request: u64) -> u64 {
        let body = Body::new().with(Group::What, json!({"id": self.request_id(request)}));
        let header = Header {
            refs: vec![request],
            ..Header::new(Kind::RequestEscalate)
        };
        self.append(header, &body)
    }

    /// An approval that counts because the request was escalated.
    pub(crate) fn approve_escalated(&mut self, by_whom: &Actor, request: u64, document: &str, escalation: u64) -> u64 {
        self.judge(
            by_whom,
            (Kind::ReviewApprove, request),
            request,
            document,
            "approve",
            Some(escalation),
        )
    }

    /// A use of what was approved as that request.
    pub(crate) fn request_under(
        &mut self,
        by_whom: &Actor,
        standing: u64,
        approved: &str,
        more: impl FnOnce(&mut Value, &mut Value),
    ) -> (u64, String) {
        let under = self.request_id(standing);
        self.request_with(by_whom, 1, |document, out| {
            document["under"] = json!({"digest": sha256_hex(approved.as_bytes()), "request": under});
            out["under"] = under.into();
            more(document, out);
        })
    }

    /// A request with something more in what is signed and in what is recorded.
    pub(crate) fn request_with(&mut self, by_whom: &Actor, quorum: u64, more: impl FnOnce(&mut Value, &mut Value)) -> (u64, String) {
        let columns = json!([
            {"class": "pii.email", "dataset": "orders", "mask": "redact", "name": "email"},
            {"dataset": "orders", "mask": "open", "name": "total"},
        ]);
        let mut document = json!({
            "budget": {"bytes": 1000, "duration_s": 60, "rows": 100}, "columns": columns, "connections": ["shop"], "datasets": ["orders"],
            "filtered": [], "format": "csv", "nonce": format!("n{}", self.size()), "not_after_ms": self.t + 600_000,
            "policy": sha256_hex(b"p"), "query": {"dataset": "orders", "kind": "slice"}, "quorum": quorum, "reason": "churn, study",
            "requester": {"issuer": "https://idp.example", "key": by_whom.thumbprint(), "subject": by_whom.name}, "v": 1,
        });
        let mut out = json!({"expires_ms": self.t + 600_000, "quorum": quorum, "state": "pending"});
        more(&mut document, &mut out);
        let columns = document["columns"].clone();
        let document = canonical(&document).unwrap();
        let body = Body::new()
            .with(
                Group::What,
                json!({
                    "digest": sha256_hex(document.as_bytes()), "envelope": by_whom.sign(REQUEST_PAYLOAD_TYPE, &document),
                    "id": format!("req_{}", self.size()),
                }),
            )
            .with(
                Group::Obj,
                json!({"columns": columns, "connections": ["shop"], "datasets": ["orders"]}),
            )
            .with(Group::Why, json!({"reason": "churn, study"}))
            .with(Group::Out, out);
        (self.append(request_header(by_whom, self.policy), &body), document)
    }

    pub(crate) fn request_id(&self, request: u64) -> String {
        format!("req_{request}")
    }

    pub(crate) fn review(&mut self, by_whom: &Actor, request: u64, document: &str, verdict: &str) -> u64 {
        let kind = match verdict {
            "approve" => Kind::ReviewApprove,
            _ => Kind::ReviewReject,
        };
        self.judge(by_whom, (kind, request), request, document, verdict, None)
    }

    /// The request before is an emergency.
    pub(crate) fn break_glass(&mut self, by_whom: &Actor, request: u64, document: &str) -> u64 {
        let body = Body::new()
            .with(
                Group::What,
                json!({"digest": sha256_hex(document.as_bytes()), "id": self.request_id(request)}),
            )
            .with(Group::Why, json!({"reason": "churn, study", "ticket": "INC-1"}));
        self.append(
            Header {
                dec: Some(Decision::Allow),
                ds: Some("orders".into()),
                pol: Some(self.policy),
                refs: vec![request, by_whom.open],
                ..by(Kind::BreakglassOpen, by_whom)
            },
            &body,
        )
    }

    /// A verdict on an emergency, afterwards.
    pub(crate) fn review_afterwards(&mut self, by_whom: &Actor, open: u64, request: u64, document: &str, verdict: &str) -> u64 {
        self.judge(by_whom, (Kind::BreakglassReview, open), request, document, verdict, None)
    }

    /// A verdict whose entry somebody has a hand in, who knows what was signed.
    pub(crate) fn review_as(
        &mut self,
        by_whom: &Actor,
        request: u64,
        document: &str,
        verdict: &str,
        change: impl FnOnce(&str, &mut Header, &mut Body),
    ) -> u64 {
        self.judge_as(by_whom, (Kind::ReviewApprove, request), request, (document, verdict), change)
    }

    fn judge(&mut self, by_whom: &Actor, about: (Kind, u64), request: u64, document: &str, verdict: &str, escalation: Option<u64>) -> u64 {
        self.judge_as(by_whom, about, request, (document, verdict), |_, header, _| {
            header.refs.extend(escalation)
        })
    }

    fn judge_as(
        &mut self,
        by_whom: &Actor,
        (kind, about): (Kind, u64),
        request: u64,
        (document, verdict): (&str, &str),
        change: impl FnOnce(&str, &mut Header, &mut Body),
    ) -> u64 {
        let (id, digest) = (self.request_id(request), sha256_hex(document.as_bytes()));
        let signed = canonical(&json!({
            "digest": digest, "issuer": "https://idp.example", "key": by_whom.thumbprint(), "reason": "fine by me", "request": id,
            "signed_ms": self.t, "subject": by_whom.name, "v": 1, "verdict": verdict,
        }))
        .unwrap();
        let mut body = Body::new()
            .with(
                Group::Who,
                json!({"issuer": "https://idp.example", "key": by_whom.thumbprint(), "subject": by_whom.name}),
            )
            .with(
                Group::What,
                json!({"digest": digest, "envelope": by_whom.sign(REVIEW_PAYLOAD_TYPE, &signed), "id": id}),
            )
            .with(Group::Why, json!({"reason": "fine by me"}));
        let dec = match verdict {
            "approve" => Decision::Allow,
            _ => Decision::Deny,
        };
        let mut header = Header {
            dec: Some(dec),
            pol: Some(self.policy),
            refs: vec![about, by_whom.open],
            ..by(kind, by_whom)
        };
        change(&signed, &mut header, &mut body);
        self.append(header, &body)
    }

    pub(crate) fn grant(&mut self, to: &Actor, request: u64, document: &str, reviews: &[u64]) -> u64 {
        self.grant_until(to, request, document, reviews, 600_000)
    }

    /// A grant that lasts so many milliseconds from now.
    pub(crate) fn grant_until(&mut self, to: &Actor, request: u64, document: &str, reviews: &[u64], ms: i64) -> u64 {
        let body = Body::new()
            .with(
                Group::What,
                json!({"digest": sha256_hex(document.as_bytes()), "id": self.request_id(request)}),
            )
            .with(Group::Out, json!({"expires_ms": self.t + ms, "uses": 1}));
        let refs = [&[request], reviews].concat();
        self.append(
            Header {
                act: Some(to.act.clone()),
                dec: Some(Decision::Allow),
                refs,
                ..Header::new(Kind::GrantIssue)
            },
            &body,
        )
    }

    pub(crate) fn take(&mut self, by_whom: &Actor, grant: u64, request: u64) -> u64 {
        let body = Body::new().with(Group::What, json!({"id": self.request_id(request)}));
        self.append(
            Header {
                refs: vec![grant, by_whom.open],
                ..by(Kind::GrantTake, by_whom)
            },
            &body,
        )
    }

    /// A standing grant is taken for a request.
    pub(crate) fn take_for(&mut self, by_whom: &Actor, grant: u64, standing: u64, request: u64) -> u64 {
        let what = json!({"id": self.request_id(standing), "request": self.request_id(request)});
        self.append(
            Header {
                refs: vec![grant, by_whom.open, request],
                ..by(Kind::GrantTake, by_whom)
            },
            &Body::new().with(Group::What, what),
        )
    }

    /// One delivery under a standing grant, from its request to its outcome.
    pub(crate) fn deliver_under(&mut self, by_whom: &Actor, grant: u64, standing: u64, approved: &str) -> Delivery {
        let (request, document) = self.request_under(by_whom, standing, approved, |_, _| ());
        let take = self.take_for(by_whom, grant, standing, request);
        let own = self.grant(by_whom, request, &document, &[take]);
        self.take(by_whom, own, request);
        let intent = self.intent(by_whom, own, request, "redact");
        let outcome = self.outcome(intent, "done");
        Delivery {
            reviews: Vec::new(),
            intent,
            outcome,
        }
    }

    pub(crate) fn revoke(&mut self, by_whom: &Actor, grant: u64) -> u64 {
        self.append(
            Header {
                refs: vec![grant],
                ..by(Kind::GrantRevoke, by_whom)
            },
            &Body::new(),
        )
    }

    pub(crate) fn intent(&mut self, by_whom: &Actor, grant: u64, request: u64, mask: &str) -> u64 {
        let body = Body::new()
            .with(
                Group::What,
                json!({"chunk": 0, "fetch": format!("fet_{}", self.size()), "request": self.request_id(request)}),
            )
            .with(Group::Obj, json!({"connections": ["shop"], "datasets": ["orders"]}))
            .with(Group::Mask, json!({"columns": mask_columns(mask, None)}))
            .with(Group::Env, json!({"instance": "i_1"}));
        let header = Header {
            ds: Some("orders".into()),
            pol: Some(self.policy),
            refs: vec![grant, by_whom.open],
            ..by(Kind::FetchIntent, by_whom)
        };
        self.append(header, &body)
    }

    /// The `what` of what follows an intent.
    fn of_request(&self, intent: u64) -> Value {
        let (_, body) = Body::parse_document(&self.documents[intent as usize]).unwrap();
        json!({"request": body.text(Group::What, "request")})
    }

    pub(crate) fn outcome(&mut self, intent: u64, end: &str) -> u64 {
        let mut out = json!({"bytes": FILE.len(), "end": end, "ms": 12, "rows": 1});
        if end == "done" {
            out["sha256"] = sha256_hex(FILE).into();
        }
        let body = Body::new()
            .with(Group::What, self.of_request(intent))
            .with(Group::Out, out)
            .with(Group::Mask, json!({"columns": mask_columns("redact", Some(1))}));
        self.append(
            Header {
                refs: vec![intent],
                ..Header::new(Kind::FetchOutcome)
            },
            &body,
        )
    }

    /// A request of one person, approved by others, delivered whole.
    pub(crate) fn deliver(&mut self, requester: &Actor, reviewers: &[&Actor]) -> Delivery {
        let (request, document) = self.request(requester, reviewers.len() as u64);
        let reviews: Vec<u64> = reviewers
            .iter()
            .map(|reviewer| self.review(reviewer, request, &document, "approve"))
            .collect();
        let grant = self.grant(requester, request, &document, &reviews);
        self.take(requester, grant, request);
        let intent = self.intent(requester, grant, request, "redact");
        let body = Body::new()
            .with(Group::What, self.of_request(intent))
            .with(Group::Out, json!({"bytes": 5, "rows": 0, "sha256": sha256_hex(&FILE[..5])}));
        self.append(
            Header {
                refs: vec![intent],
                ..Header::new(Kind::FetchProgress)
            },
            &body,
        );
        let outcome = self.outcome(intent, "done");
        let body = Body::new()
            .with(Group::What, json!({"id": self.request_id(request)}))
            .with(Group::Out, json!({"sha256": sha256_hex(FILE)}));
        self.append(
            Header {
                refs: vec![outcome],
                ..by(Kind::DeliveryAck, requester)
            },
            &body,
        );
        Delivery { reviews, intent, outcome }
    }

    pub(crate) fn deny(&mut self, by_whom: &Actor) -> u64 {
        let body = Body::new()
            .with(Group::What, json!({"query": {"dataset": "salaries", "kind": "slice"}}))
            .with(Group::Why, json!({"reason": "=cmd|'/c calc'!A1"}))
            .with(Group::Out, json!({"code": "denied", "policies": ["no-salaries"]}));
        let header = Header {
            dec: Some(Decision::Deny),
            pol: Some(self.policy),
            refs: vec![by_whom.open],
            ..by(Kind::RequestDeny, by_whom)
        };
        self.append(header, &body)
    }

    /// A directory names a person.
    pub(crate) fn bind(&mut self, act: &str) -> u64 {
        let who = json!({"external_id": act, "issuer": "https://idp.example", "known_by": "external_id", "user_name": act});
        let body = Body::new().with(Group::Who, who).with(Group::Net, json!({"ip": "192.0.2.9"}));
        let header = Header {
            act: Some(act.to_owned()),
            ..Header::new(Kind::SubjectBind)
        };
        self.append(header, &body)
    }

    /// It suspends them.
    pub(crate) fn suspend(&mut self, act: &str, bind: u64) -> u64 {
        let body = Body::new()
            .with(Group::Net, json!({"ip": "192.0.2.9"}))
            .with(Group::Why, json!({"cause": "inactive"}));
        let header = Header {
            act: Some(act.to_owned()),
            refs: vec![bind],
            ..Header::new(Kind::PersonSuspend)
        };
        self.append(header, &body)
    }

    /// It restores them.
    pub(crate) fn restore(&mut self, act: &str, suspend: u64) -> u64 {
        let header = Header {
            act: Some(act.to_owned()),
            refs: vec![suspend],
            ..Header::new(Kind::PersonRestore)
        };
        self.append(header, &Body::new().with(Group::Net, json!({"ip": "192.0.2.9"})))
    }

    pub(crate) fn close(&mut self, actor: &Actor) -> u64 {
        let body = Body::new().with(Group::Why, json!({"cause": "logout"}));
        self.append(
            Header {
                refs: vec![actor.open],
                ..by(Kind::SessionClose, actor)
            },
            &body,
        )
    }

    /// A whole small log; the delivery in it.
    pub(crate) fn story() -> (Self, Delivery) {
        let mut log = Self::new();
        log.begin();
        let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
        log.deny(&ada);
        let delivery = log.deliver(&ada, &[&bob]);
        let body = Body::new()
            .with(Group::What, json!({"query": {"user": "ada"}}))
            .with(Group::Out, json!({"entries": 3}));
        log.append(
            Header {
                refs: vec![bob.open],
                ..by(Kind::AuditRead, &bob)
            },
            &body,
        );
        log.close(&ada);
        (log, delivery)
    }

    pub(crate) fn receipt(&self, delivery: &Delivery, size: u64) -> Receipt {
        let header = |index: u64| Ok::<_, ()>(Leaf::parse(&self.leaves[index as usize]).unwrap().header);
        let indices = entries_needed(delivery.outcome, header).unwrap();
        let file = ReceiptFile {
            bytes: FILE.len() as u64,
            format: "csv".into(),
            name: None,
            sha256: sha256_hex(FILE),
        };
        Receipt::new(
            &self.checkpoint(size),
            file,
            indices.into_iter().map(|index| self.receipt_entry(index, size)).collect(),
        )
        .with_rotations(self.rotations(size))
    }

    pub(crate) fn receipt_entry(&self, index: u64, size: u64) -> ReceiptEntry {
        let (leaf, document) = (&self.leaves[index as usize], &self.documents[index as usize]);
        ReceiptEntry::new(index, leaf, document, &self.inclusion(index, size)).unwrap()
    }
}

/// Keeps a token in a `session.open`, as a broker does.
pub(crate) fn attest(body: &mut Body, token: &str) {
    let digest = IdToken::parse(token).map_or_else(String::new, |token| token.digest());
    set(body, Group::Who, "key_attested", true.into());
    set(body, Group::Out, "id_token", digest.into());
    body.set(Group::Why, json!({ "attestation": token }));
}

/// Sets a member of a group that is there.
pub(crate) fn set(body: &mut Body, group: Group, name: &str, value: Value) {
    let mut members = body.get(group).clone();
    members[name] = value;
    body.set(group, members);
}

/// A header of this kind by this person under their session.
pub(crate) fn by(kind: Kind, actor: &Actor) -> Header {
    Header {
        act: Some(actor.act.clone()),
        sid: Some(actor.sid.clone()),
        ..Header::new(kind)
    }
}

fn request_header(by_whom: &Actor, policy: u64) -> Header {
    Header {
        dec: Some(Decision::Allow),
        ds: Some("orders".into()),
        pol: Some(policy),
        refs: vec![by_whom.open],
        ..by(Kind::RequestCreate, by_whom)
    }
}

fn mask_columns(email: &str, count: Option<u64>) -> Value {
    let mut columns = json!([
        {"class": "pii.email", "column": "email", "dataset": "orders", "mask": email},
        {"column": "total", "dataset": "orders", "mask": "open"},
    ]);
    if let (Some(count), Some(columns)) = (count, columns.as_array_mut()) {
        for column in columns {
            column["values"] = count.into();
            column["altered"] = count.into();
        }
    }
    columns
}
