//! Two verifiers, one answer: logs that somebody with the log's key has twisted at random, judged by this crate and by
//! `tests/verify.py`, which was written from `docs/evidence.md` alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::attestation::tests::{CLIENT, ISSUER, jwks};
use crate::body::{Body, EntryKey, Group};
use crate::leaf::Decision;
use crate::testing::Actor;
use crate::timestamp::tests::authority::Authority;

/// Twisted logs tried; `CHUNK_TEST_TWISTED` tries more.
const TRIED: usize = 250;

/// Numbers that look random and come again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A log with a little of everything.
fn log_of_everything() -> Log {
    let (mut log, _) = Log::story();
    let (carol, dan, bob) = (
        log.sign_in("carol", 4),
        log.sign_in_attested("dan", 5),
        log.sign_in_attested("bob", 2),
    );
    log.load("forbid(principal, action, resource);");
    let (request, document) = log.request(&carol, 2);
    let votes = [&dan, &bob].map(|who| log.review(who, request, &document, "approve"));
    let grant = log.grant(&carol, request, &document, &votes);
    log.take(&carol, grant, request);
    let key = crate::sshsig::tests::Signer::on_token(52);
    let enrolled = log.enroll(&bob, &key);
    let (signed, document) = log.request(&carol, 1);
    let vote = log.review_ssh(&bob, signed, &document, &key, enrolled);
    log.grant(&carol, signed, &document, &[vote]);
    log.revoke_key(&bob, enrolled);
    for end in ["cut", "done"] {
        let intent = log.intent(&carol, grant, request, "redact");
        log.outcome(intent, end);
    }
    let (refused, document) = log.request(&dan, 1);
    log.review(&bob, refused, &document, "reject");
    let (urgent, document) = log.request_of(&dan, 0, true, true);
    let opened = log.break_glass(&dan, urgent, &document);
    let grant = log.grant(&dan, urgent, &document, &[]);
    log.take(&dan, grant, urgent);
    let intent = log.intent(&dan, grant, urgent, "redact");
    log.outcome(intent, "done");
    log.review_afterwards(&carol, opened, urgent, &document, "reject");
    let (standing, document) = log.request_standing(&carol, 1, 3, 1000);
    let vote = log.review(&bob, standing, &document, "approve");
    let grant = log.grant_until(&carol, standing, &document, &[vote], 3_600_000);
    let carol_again = log.sign_in("carol", 6);
    for who in [&carol, &carol_again] {
        log.deliver_under(who, grant, standing, &document);
    }
    log.revoke(&bob, grant);
    let bind = log.bind("act_dan");
    let suspend = log.suspend("act_dan", bind);
    log.close(&dan);
    log.restore("act_dan", suspend);
    let dan = log.sign_in("dan", 5);
    log.deny(&dan);
    let (owner, guard) = (log.sign_in_of("olga", 7, &["owners"]), log.sign_in_of("gus", 8, &["x", "security"]));
    let (staged, document) = log.request_staged(&dan, 2, &[("owners", 1), ("security", 1)]);
    let votes = [&owner, &guard].map(|who| log.review(who, staged, &document, "approve"));
    log.grant(&dan, staged, &document, &votes);
    let (waiting, document) = log.request_escalating(&dan, &[("security", 1)], 60, &["owners"]);
    log.t += 60_000;
    let escalation = log.escalate(waiting);
    let vote = log.approve_escalated(&owner, waiting, &document, escalation);
    log.grant(&dan, waiting, &document, &[vote]);
    let stamp = super::stamped::stamp(&log, &Authority::new(1), log.size(), log.t);
    super::stamped::observe(&mut log, &stamp);
    log.erase(&bob);
    log.dispose(&[("request.deny", 3), ("audit.read", 0)]);
    log.close(&carol);
    log
}

/// What an authority said of the log before it was twisted, or of what came of that; dated around the entries.
fn stamps(log: &Log, twisted: &Log, dice: &mut Dice, head: u64) -> Vec<StampedCheckpoint> {
    let mut sizes: Vec<u64> = (0..dice.below(4)).map(|_| 1 + dice.below(head as usize) as u64).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let stamp = |size: u64| {
        let of = if dice.below(8) == 0 { log } else { twisted };
        let covered = Leaf::parse(&twisted.leaves[size as usize - 1]).unwrap().header.t;
        let time_ms = covered.clamp(0, 4_000_000_000_000) + [0, 0, 0, 5000, -5000, -60_000, -61_500, -61_501][dice.below(8)];
        let mut stamp = super::stamped::stamp(of, &Authority::new(1 + dice.below(6) as u8 / 5), size, time_ms.max(0));
        if dice.below(6) == 0 {
            let at = dice.below(stamp.token.len());
            stamp.token[at] ^= 1 << dice.below(8);
        }
        stamp
    };
    sizes.into_iter().map(stamp).collect()
}

/// Entries whose bodies somebody leaves out, each under an entry that may say so: of the person, or of the kind, or of something else.
fn gone(log: &Log, dice: &mut Dice) -> BTreeMap<u64, u64> {
    if dice.below(4) > 0 {
        return BTreeMap::new();
    }
    let kind = |index: usize| Leaf::parse(&log.leaves[index]).unwrap().header.kind;
    let says: Vec<usize> = (0..log.leaves.len())
        .filter(|index| matches!(kind(*index), Kind::Erase | Kind::RetentionDispose))
        .collect();
    let left_out = (0..1 + dice.below(2)).map(|_| {
        let by = if dice.below(6) == 0 {
            dice.below(log.leaves.len())
        } else {
            says[dice.below(says.len())]
        };
        (dice.below(log.leaves.len()) as u64, by as u64)
    });
    left_out.collect()
}

/// The same log with something in it changed, and signed again by whoever holds the log's key.
fn twist(log: &Log, dice: &mut Dice) -> Option<Log> {
    let mut twisted = Log::new();
    let at = dice.below(log.leaves.len());
    for index in 0..log.leaves.len() {
        let mut header = Leaf::parse(&log.leaves[index]).unwrap().header;
        let (_, mut body) = Body::parse_document(&log.documents[index]).unwrap();
        if index == at {
            match dice.below(3) {
                0 => twist_header(&mut header, log, dice),
                _ => twist_body(&mut body, log, dice),
            }
        }
        // What has no text cannot be in a log.
        let random = EntryKey::from_random([index as u8; 16]);
        header.to_text().ok()?;
        Body::parse_document(&body.to_document(&random).ok()?).ok()?;
        twisted.append_as_is(header, &body);
    }
    Some(twisted)
}

fn twist_header(header: &mut Header, log: &Log, dice: &mut Dice) {
    let other = Leaf::parse(&log.leaves[dice.below(log.leaves.len())]).unwrap().header;
    match dice.below(9) {
        0 => header.act = other.act,
        1 => header.sid = other.sid,
        2 => header.ds = other.ds,
        3 => header.dec = [None, Some(Decision::Allow), Some(Decision::Deny)][dice.below(3)],
        4 => header.kind = Kind::ALL[dice.below(Kind::ALL.len())],
        5 => header.pol = other.pol,
        6 => header.t = other.t,
        7 => header.refs = other.refs,
        _ => {
            if let Some(reference) = header.refs.first_mut() {
                *reference = dice.below(log.leaves.len()) as u64;
            }
        }
    }
}

fn twist_body(body: &mut Body, log: &Log, dice: &mut Dice) {
    let group = Group::ALL[dice.below(Group::ALL.len())];
    let (_, other) = Body::parse_document(&log.documents[dice.below(log.documents.len())]).unwrap();
    let mut value = body.get(group).clone();
    if value.is_null() || dice.below(6) == 0 {
        value = other.get(group).clone();
    } else {
        let scraps = [
            Value::Null,
            json!(true),
            json!(0),
            json!(1),
            json!(-1),
            json!(2),
            json!(""),
            json!(" \u{85}\u{1c}"),
            json!("done"),
            json!("redact"),
            json!([]),
            json!({}),
            json!(crate::encode::sha256_hex(b"x")),
            other.get(group).clone(),
        ];
        let scrap = scraps[dice.below(scraps.len())].clone();
        replace(&mut value, scrap, dice);
    }
    body.set(group, value);
}

/// Puts something else where a member or an item is, or takes it away.
fn replace(value: &mut Value, scrap: Value, dice: &mut Dice) {
    let deeper = dice.below(3) > 0;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(dice.below(map.len())).unwrap().clone();
            if deeper && map[&key].is_object() || map[&key].is_array() {
                replace(&mut map[&key], scrap, dice);
            } else if dice.below(3) == 0 {
                map.remove(&key);
            } else {
                map.insert(key, scrap);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = dice.below(items.len());
            if deeper {
                replace(&mut items[at], scrap, dice);
            } else {
                items[at] = scrap;
            }
        }
        other => *other = scrap,
    }
}

/// What the second verifier says of each of these bundles.
fn second_opinion(folder: &Path, count: usize) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/many.py");
    let python = std::env::var("CHUNK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python).arg(script).arg(folder).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<u8> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(answers.len(), count);
    answers
}

/// What an operator, who has the log's key, does to a log of Ada and Bob.
pub(super) type Twist = Box<dyn FnOnce(&mut Log, &Actor, &Actor)>;
/// What it is, the claims that fail of it, and the deed.
pub(super) type Case = (&'static str, &'static [&'static str], Twist);

/// Both verifiers say of each case what it says.
pub(super) fn judged_alike(name: &str, cases: Vec<Case>) {
    let folder = std::env::temp_dir().join(format!("chunk-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let mut told = Vec::new();
    for (what, claims, twist) in cases {
        let mut log = Log::new();
        log.begin();
        let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
        twist(&mut log, &ada, &bob);
        let bundle = Export::all(&log).write(&log);
        let verification = verify_bundle(&bundle, &trust(&log));
        assert_eq!(failed(&verification), claims, "{what}: {:?}", verification.faults);
        std::fs::write(folder.join(format!("{:06}.bundle", told.len())), &bundle).unwrap();
        if told.is_empty() {
            let toml = format!(
                "origin = \"{}\"\nlog_keys = [\"{}\"]\nreviewer_keys = \"session\"\n",
                crate::testing::ORIGIN,
                log.verifier().to_text()
            );
            std::fs::write(folder.join("trust.toml"), toml).unwrap();
        }
        told.push((what, u8::from(!claims.is_empty())));
    }
    let theirs = second_opinion(&folder, told.len());
    for ((what, expected), theirs) in told.iter().zip(&theirs) {
        assert_eq!(theirs, expected, "{what}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn both_verifiers_judge_twisted_logs_alike() {
    let (log, mut dice) = (log_of_everything(), Dice(7));
    let tried = std::env::var("CHUNK_TEST_TWISTED").map_or(TRIED, |count| count.parse().unwrap());
    let folder = std::env::temp_dir().join(format!("chunk-twisted-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let key = log.verifier().to_text();
    let policy = TrustPolicy {
        issuers: super::attested::believing(&log, CLIENT, &jwks()).issuers,
        ..super::stamped::believing(&log, &Authority::new(1))
    };
    let toml = format!(
        "origin = \"{}\"\nlog_keys = [\"{key}\"]\nreviewer_keys = \"session\"\ntimestamp_authorities = [\"{}\"]\n\n\
         [[issuer]]\nissuer = \"{ISSUER}\"\nclients = [\"{CLIENT}\"]\njwks = '{}'\n",
        crate::testing::ORIGIN,
        policy.timestamp_authorities[0],
        jwks(),
    );
    std::fs::write(folder.join("trust.toml"), toml).unwrap();
    let mut ours = Vec::new();
    let mut told = Vec::new();
    while ours.len() < tried {
        let Some(twisted) = twist(&log, &mut dice) else { continue };
        let (one, other) = (dice.below(log.leaves.len()), dice.below(log.leaves.len() + 1));
        let whole = dice.below(2) == 0;
        let stamped = stamps(&log, &twisted, &mut dice, log.size());
        let export = Export {
            older: stamped.iter().map(|stamp| stamp.checkpoint.unverified().size).collect(),
            stamped,
            level: [4, 4, 4, 3, 2, 1][dice.below(6)],
            from: if whole { 0 } else { one.min(other) as u64 },
            to: if whole { log.size() } else { one.max(other) as u64 },
            views: dice.below(4) == 0,
            filter: if dice.below(4) == 0 { of_kind("fetch") } else { Filter::default() },
            matches: |header| header.kind.family() == "fetch",
            erased: gone(&twisted, &mut dice),
            ..Export::all(&log)
        };
        let Ok(bundle) = export.try_write(&twisted) else { continue };
        let verification = verify_bundle(&bundle, &policy);
        std::fs::write(folder.join(format!("{:06}.bundle", ours.len())), &bundle).unwrap();
        ours.push(verification.answer.exit());
        told.push((export.level, export.from, export.to, verification.faults));
    }
    let theirs = second_opinion(&folder, ours.len());
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "bundle {number} in {}: {:?}", folder.display(), told[number]);
    }
    let good = ours.iter().filter(|answer| **answer == 0).count();
    assert!(
        good > tried / 20 && good < tried * 9 / 10,
        "{good} of {tried} are true: nothing is learned from that"
    );
    std::fs::remove_dir_all(folder).unwrap();
}
