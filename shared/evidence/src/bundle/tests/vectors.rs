//! `tests/vectors`: examples for whoever writes a third implementation. This test makes them again and fails where they differ;
//! with `CHUNK_VECTORS=write` it writes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::attested::{approved_by, believing as believing_issuer};
use super::forged::copy;
use super::ssh::{approved as approved_by_ssh, pinning, ssh_pin};
use super::stamped::{believing as stamped_trust, observe, stamp};
use super::*;
use crate::attestation::tests::{CLIENT, HEADER, ISSUER, claims, jwks, token};
use crate::body::{Body, EntryKey, Group};
use crate::commit::Committer;
use crate::dsse::{REVIEW_PAYLOAD_TYPE, public_key, thumbprint};
use crate::encode::{b64, parse_canonical, to_hex, unb64};
use crate::merkle::leaf_hash;
use crate::merkle::tests::{mth, path, subproof};
use crate::receipt::{Receipt, verify};
use crate::rotation::Rotation;
use crate::sshsig::tests::Signer;
use crate::testing::{FILE, ORIGIN, attest};
use crate::timestamp::tests::authority::Authority;
use crate::timestamp::{Certificate, Token};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors"))
}

/// Every file of the folder but the one that tells people about it.
fn made() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let parts = json!({
        "attestations": crate::attestation::tests::vectors(), "bodies": bodies(), "canonical_json": canonical_json(), "base64url": base64url(), "checkpoints": checkpoints(), "envelopes": envelopes(), "ssh_signatures": crate::sshsig::tests::vectors(),
        "leaves": leaves(), "trees": trees(),
    });
    files.insert("parts.json".to_owned(), lines_of(&parts).into_bytes());
    let mut expected = Vec::new();
    receipts(&mut files, &mut expected);
    bundles(&mut files, &mut expected);
    files.insert("expected.json".to_owned(), lines_of(&json!({ "cases": expected })).into_bytes());
    files
}

/// A line for each member, so that changes can be read.
fn lines_of(value: &Value) -> String {
    // In order of the names, whether or not another package of the build asked `serde_json` to keep another.
    let members: BTreeMap<&String, &Value> = value.as_object().unwrap().iter().collect();
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| match value.as_array() {
            None => format!("{}: {}", json!(name), canonical(value).unwrap()),
            Some(items) => {
                let items: Vec<String> = items.iter().map(|item| format!("  {}", canonical(item).unwrap())).collect();
                format!("{}: [\n{}\n]", json!(name), items.join(",\n"))
            }
        })
        .collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

/// Bodies, their disclosures, digests and roots.
fn bodies() -> Value {
    let bodies = [
        Body::new(),
        Body::new()
            .with(Group::What, json!({"id": "req_1"}))
            .with(Group::Out, json!({"rows": 7})),
        Body::new().with(
            Group::Who,
            json!({"name": "Ada Löwe \"\\\u{7f}\u{1}\n", "n": [-1, 0, 9_007_199_254_740_991_i64, null, true, {}]}),
        ),
    ];
    let of = |body: &Body| {
        let rk = EntryKey::from_random(*b"0123456789abcdef");
        let document = body.to_document(&rk).unwrap();
        let (rk, groups) = crate::body::read_document(&document).unwrap();
        let disclosures: Map<String, Value> = Group::ALL
            .into_iter()
            .zip(groups)
            .map(|(group, value)| (group.as_str().to_owned(), Committer::default().disclosure(&rk, group, value).into()))
            .collect();
        let digests: Vec<String> = body.digests(&rk).unwrap().iter().map(|digest| b64(digest)).collect();
        json!({ "digests": digests, "disclosures": disclosures, "document": document, "root": b64(&body.root(&rk).unwrap()) })
    };
    bodies.iter().map(of).collect()
}

/// Texts, and whether each is the canonical text of its value.
fn canonical_json() -> Value {
    let deep = |levels: usize| format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
    let texts = [
        "null",
        "true",
        "0",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "\"\"",
        "[]",
        "{}",
        "[1,\"a\",[{}]]",
        "{\"A\":1,\"a\":2}",
        "{\"\":0,\" \":1,\"~\":2}",
        "\"\u{e9}\u{7f}\u{2028}\u{1f600}/\"",
        "\"\\\"\\\\\\b\\t\\n\\f\\r\\u0000\\u001f\"",
        "",
        " ",
        "nul",
        "-0",
        "00",
        "1.0",
        "1e2",
        "9007199254740992",
        "[1,]",
        "[1, 2]",
        "{\"a\":1,\"a\":1}",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,}",
        "{\"\u{e9}\":1}",
        "{\"\u{7f}\":1}",
        "{\"$serde_json::x\":1}",
        "{\"#\":1,\"\\\"\":2}",
        "{\"\\\"\":1,\"#\":2}",
        "\"\\/\"",
        "\"\\u0041\"",
        "\"\\u000A\"",
        "\"\\u001F\"",
        "\"\\u0009\"",
        "\"\t\"",
        "\"\\ud83d\\ude00\"",
        "\"",
        "[1]]",
        "1 ",
    ];
    let texts = texts.map(str::to_owned).into_iter().chain([deep(31), deep(32)]);
    texts
        .map(|text| json!({ "accepted": parse_canonical(&text).is_ok(), "text": text }))
        .collect()
}

fn base64url() -> Value {
    let texts = ["", "AA", "-_8", "AAAA", "A", "AB", "-_9", "AA==", "+/8", "AA A", "AAA\n", "éAAA"];
    let of = |text: &&str| json!({ "hex": unb64(text).ok().map(|bytes| to_hex(&bytes)), "text": text });
    texts.iter().map(of).collect()
}

/// Leaves of one log, with headers that are none.
fn leaves() -> Value {
    let (log, _) = Log::story();
    let good = log.leaves.iter().step_by(3).map(|leaf| {
        let parsed = Leaf::parse(leaf).unwrap();
        json!({ "body_root": b64(&parsed.body_root), "hash": b64(&parsed.hash()), "header": parsed.header_text, "leaf": String::from_utf8(leaf.clone()).unwrap() })
    });
    let bad = [
        "{\"k\":\"fetch.intent\",\"t\":1}",
        "{\"k\":\"fetch.intent\",\"t\":1,\"v\":2}",
        "{\"k\":\"fetch.intent\",\"t\":1,\"v\":true}",
        "{\"k\":\"fetch.peek\",\"t\":1,\"v\":1}",
        "{\"k\":\"fetch.intent\",\"t\":-1,\"v\":1}",
        "{\"k\":\"fetch.intent\",\"t\":253402300800000,\"v\":1}",
        "{\"k\":\"fetch.intent\",\"refs\":[],\"t\":1,\"v\":1}",
        "{\"act\":\"\",\"k\":\"fetch.intent\",\"t\":1,\"v\":1}",
        "{\"dec\":\"maybe\",\"k\":\"fetch.intent\",\"t\":1,\"v\":1}",
        "{\"k\":\"fetch.intent\",\"t\":1,\"v\":1,\"x\":1}",
    ];
    good.chain(bad.iter().map(|header| json!({ "hash": null, "header": header })))
        .collect()
}

/// Trees over the hashes of one-byte leaves 0, 1, 2, …: roots and proofs.
fn trees() -> Value {
    let leaves: Vec<_> = (0..21_u8).map(|n| leaf_hash(&[n])).collect();
    let texts = |hashes: Vec<[u8; 32]>| -> Vec<String> { hashes.iter().map(|hash| b64(hash)).collect() };
    let of = |size: usize| {
        let tree = &leaves[..size];
        let inclusion: Vec<_> = (0..size)
            .step_by(3)
            .map(|index| json!({ "index": index, "proof": texts(path(index, tree)) }))
            .collect();
        let consistency = (0..=size).step_by(4).map(|from| {
            let proof = if from == 0 { Vec::new() } else { subproof(from, tree, true) };
            json!({ "from": from, "proof": texts(proof), "root": b64(&mth(&leaves[..from])) })
        });
        json!({ "consistency": consistency.collect::<Vec<_>>(), "inclusion": inclusion, "root": b64(&mth(tree)), "size": size })
    };
    [0, 1, 2, 3, 7, 8, 13, 21].map(of).to_vec().into()
}

fn checkpoints() -> Value {
    let (log, _) = Log::story();
    let key = log.verifier().to_text();
    let good = log.checkpoint(9).text().to_owned();
    let of = |note: String, holds: bool| {
        let read = SignedCheckpoint::parse(&note).is_ok_and(|signed| signed.verify(&[log.verifier()]).is_ok());
        assert_eq!(read, holds, "{note}");
        json!({ "holds": holds, "key": key, "note": note })
    };
    let line = good.rsplit_once("\n\n").unwrap().1.to_owned();
    json!([
        of(good.clone(), true),
        of(log.checkpoint(0).text().to_owned(), true),
        of(format!("{good}\u{2014} witness.example/w AAAAAQID\n"), true),
        of(good.replacen("\n9\n", "\n8\n", 1), false),
        of(good.replacen("\n9\n", "\n09\n", 1), false),
        of(format!("{good}{line}"), false),
        of(good.replacen("\n\n", "\nextension\n\n", 1), false),
        of(good.trim_end().to_owned(), false),
    ])
}

fn envelopes() -> Value {
    let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let public = public_key(&key);
    let good = serde_json::to_value(dsse::sign(&key, REVIEW_PAYLOAD_TYPE, b"{\"v\":1}", &dsse::key_id(&public))).unwrap();
    let of = |envelope: &Value, holds: bool| {
        let parsed = serde_json::from_value::<dsse::Envelope>(envelope.clone());
        assert_eq!(
            parsed.is_ok_and(|parsed| parsed.verify(&public, REVIEW_PAYLOAD_TYPE).is_ok()),
            holds,
            "{envelope}"
        );
        json!({ "envelope": envelope, "holds": holds, "public_key": b64(&public), "thumbprint": thumbprint(&public), "type": REVIEW_PAYLOAD_TYPE })
    };
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let signature = good["signatures"][0].clone();
    json!([
        of(&good, true),
        of(&with("/payload", json!("eyJ2IjoyfQ==")), false),
        of(&with("/payload", json!("eyJ2IjoxfQ")), false),
        of(&with("/payloadType", json!("application/vnd.chunkctl.request.v1+json")), false),
        of(&with("/signatures", json!([])), false),
        of(&with("/signatures", json!([signature, signature])), false),
        of(&with("/signatures/0/keyid", json!("ed25519:other")), false),
    ])
}

fn receipts(files: &mut BTreeMap<String, Vec<u8>>, expected: &mut Vec<Value>) {
    let (log, delivery) = Log::story();
    let receipt = log.receipt(&delivery, log.size());
    files.insert("trust.toml".into(), toml(&log, "session", None));
    let mut put = |name: &str, file: &[u8], receipt: &Receipt, answer: u8| {
        let judged = verify(receipt, &crate::encode::sha256(file), file.len() as u64, &[log.verifier()]);
        let found = judged.map_or_else(|error| if error.cannot_tell() { 2 } else { 1 }, |_| 0);
        assert_eq!(found, answer, "{name}");
        files.insert(name.to_owned(), file.to_vec());
        files.insert(format!("{name}.receipt"), receipt.to_text().unwrap().into_bytes());
        expected.push(json!({ "answer": answer, "file": format!("{name}.receipt"), "trust": "trust.toml" }));
    };
    put("orders.csv", FILE, &receipt, 0);
    put("edited.csv", b"email,total\na@example.org,12\n", &receipt, 1);
    let mut other = receipt;
    other.checkpoint = other.checkpoint.replace(ORIGIN, "example.org/other");
    put("other-log.csv", FILE, &other, 2);

    // The log's key was replaced: the reader knows the first one, and somebody has it still.
    let (mut rotated, delivery) = Log::story();
    let old = rotated.rotate(NEW_KEY);
    rotated.sign_in("ada", 1);
    let receipt = rotated.receipt(&delivery, rotated.size());
    put("rotated.csv", FILE, &receipt, 0);
    let mut retired = receipt;
    retired.checkpoint = SignedCheckpoint::sign(rotated.checkpoint(rotated.size()).unverified(), &old)
        .unwrap()
        .text()
        .to_owned();
    put("retired-key.csv", FILE, &retired, 1);
}

fn toml(log: &Log, reviewer_keys: &str, last: Option<u64>) -> Vec<u8> {
    let last = last.map(|size| format!("last_checkpoint = \"\"\"\n{}\"\"\"\n", log.checkpoint(size).text()));
    let key = log.verifier().to_text();
    format!(
        "origin = \"{ORIGIN}\"\nlog_keys = [\"{key}\"]\nreviewer_keys = \"{reviewer_keys}\"\n{}",
        last.unwrap_or_default()
    )
    .into_bytes()
}

fn bundles(files: &mut BTreeMap<String, Vec<u8>>, expected: &mut Vec<Value>) {
    let (log, delivery) = Log::story();
    let mut put = |name: &str, bundle: Vec<u8>, trust: (&str, &TrustPolicy), failing: &[&str], answer: Answer| {
        let found = verify_bundle(&bundle, trust.1);
        assert_eq!(
            (failed(&found), found.answer),
            (failing.to_vec(), answer),
            "{name}: {:?}",
            found.faults
        );
        files.insert(name.to_owned(), bundle);
        expected.push(json!({ "answer": answer.exit(), "failing": failing, "file": name, "trust": trust.0 }));
    };
    let believing = trust(&log);
    let trusted = ("trust.toml", &believing);
    let all = Export {
        views: false,
        ..Export::all(&log)
    };
    for level in 0..=LEVEL_MAX {
        put(
            &format!("level-{level}.bundle"),
            Export { level, ..all.clone() }.write(&log),
            trusted,
            &[],
            Answer::True,
        );
    }
    let context = Export {
        from: delivery.outcome,
        to: delivery.outcome + 2,
        level: 4,
        ..all.clone()
    };
    put("context.bundle", context.write(&log), trusted, &[], Answer::True);
    let filtered = Export {
        filter: of_kind("request"),
        matches: |header| header.kind.family() == "request",
        level: 2,
        ..all.clone()
    };
    put("filtered.bundle", filtered.write(&log), trusted, &[], Answer::True);
    put(
        "views.bundle",
        Export {
            views: true,
            level: 1,
            ..all.clone()
        }
        .write(&log),
        trusted,
        &[],
        Answer::True,
    );

    let pinned = TrustPolicy {
        reviewer_keys: ReviewerKeys::Pinned,
        ..believing.clone()
    };
    put(
        "context.bundle",
        context.write(&log),
        ("pinned.toml", &pinned),
        &[],
        Answer::CannotTell,
    );
    let later = TrustPolicy {
        last_checkpoint: Some(log.checkpoint(log.size()).text().to_owned()),
        ..believing.clone()
    };
    let short = Export {
        to: 6,
        head: 6,
        level: 1,
        ..all.clone()
    };
    put(
        "older-than-seen.bundle",
        short.write(&log),
        ("seen.toml", &later),
        &[],
        Answer::CannotTell,
    );

    let attested = approved_by(|key, body| attest(body, &token(HEADER, &claims("bob", key))));
    let forged = approved_by(|_, body| attest(body, &token(HEADER, &claims("bob", "of somebody else"))));
    let issuer = believing_issuer(&log, CLIENT, &jwks());
    let whole = |log: &Log| {
        let export = Export {
            views: false,
            ..Export::all(log)
        };
        export.write(log)
    };
    put("attested.bundle", whole(&attested), ("attested.toml", &issuer), &[], Answer::True);
    put(
        "attested.bundle",
        whole(&attested),
        ("pinned.toml", &pinned),
        &[],
        Answer::CannotTell,
    );
    put(
        "attested-for-another.bundle",
        whole(&forged),
        ("attested.toml", &issuer),
        &["signatures"],
        Answer::False,
    );

    let token = Signer::on_token(52);
    let (known, other) = (pinning(&log, vec![ssh_pin(&token)]), pinning(&log, vec![ssh_pin(&Signer::new(53))]));
    let by_ssh = whole(&approved_by_ssh(&token));
    put("ssh.bundle", by_ssh.clone(), ("ssh.toml", &known), &[], Answer::True);
    put("ssh.bundle", by_ssh.clone(), ("pinned.toml", &pinned), &[], Answer::CannotTell);
    put("ssh.bundle", by_ssh, ("other-ssh.toml", &other), &["signatures"], Answer::False);

    // What somebody who holds the log's key might write.
    let withheld = Export {
        matches: |_| false,
        ..filtered.clone()
    };
    put("withheld.bundle", withheld.write(&log), trusted, &["complete"], Answer::False);
    let mut other = Log::new();
    other.t += 5;
    other.begin();
    let (ada, bob) = (other.sign_in("ada", 1), other.sign_in("bob", 2));
    other.deliver(&ada, &[&bob]);
    let rewritten = Export {
        level: 1,
        older: vec![2],
        ..Export {
            views: false,
            ..Export::all(&other)
        }
    };
    let seen = TrustPolicy {
        last_checkpoint: Some(log.checkpoint(2).text().to_owned()),
        ..believing.clone()
    };
    put(
        "rewritten.bundle",
        rewritten.write(&other),
        ("before.toml", &seen),
        &["append_only"],
        Answer::False,
    );
    let mut twisted = |name: &str, level: u8, twist: &dyn Fn(&mut Log), failing: &[&str]| {
        let mut log = Log::new();
        log.begin();
        twist(&mut log);
        let export = Export {
            level,
            views: false,
            ..Export::all(&log)
        };
        put(name, export.write(&log), trusted, failing, Answer::False);
    };
    twisted(
        "own-approval.bundle",
        3,
        &|log| {
            let ada = log.sign_in("ada", 1);
            log.deliver(&ada, &[&ada]);
        },
        &["closure", "people"],
    );
    twisted(
        "too-few.bundle",
        2,
        &|log| {
            let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
            let (request, document) = log.request(&ada, 2);
            let review = log.review(&bob, request, &document, "approve");
            log.grant(&ada, request, &document, &[review]);
        },
        &["terms"],
    );
    twisted(
        "wrong-stage.bundle",
        4,
        &|log| {
            let ada = log.sign_in("ada", 1);
            let (owner, guard) = (log.sign_in_of("olga", 7, &["owners"]), log.sign_in_of("gus", 8, &["security"]));
            let (request, document) = log.request_staged(&ada, 2, &[("owners", 1), ("security", 1)]);
            let reviews = [&guard, &owner].map(|who| log.review(who, request, &document, "approve"));
            log.grant(&ada, request, &document, &reviews);
        },
        &["people"],
    );
    twisted(
        "forged-signature.bundle",
        4,
        &|log| {
            let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
            log.deliver(&ada, &[&copy(&bob, 9)]);
        },
        &["signatures"],
    );
    twisted(
        "old-policy.bundle",
        1,
        &|log| {
            let (ada, bob) = (log.sign_in("ada", 1), log.sign_in("bob", 2));
            let old = log.policy();
            log.load("forbid(principal, action, resource);");
            log.pretend_policy(old);
            log.deliver(&ada, &[&bob]);
        },
        &["closure"],
    );

    // An emergency, granted before anybody approved it, and judged afterwards.
    let mut urgent = Log::new();
    urgent.begin();
    let (ada, bob) = (urgent.sign_in("ada", 1), urgent.sign_in("bob", 2));
    let (request, document) = urgent.request_of(&ada, 0, true, true);
    let open = urgent.break_glass(&ada, request, &document);
    let grant = urgent.grant(&ada, request, &document, &[]);
    urgent.take(&ada, grant, request);
    let intent = urgent.intent(&ada, grant, request, "redact");
    urgent.outcome(intent, "done");
    urgent.review_afterwards(&bob, open, request, &document, "reject");
    let urgent_export = Export {
        views: false,
        ..Export::all(&urgent)
    };
    put("emergency.bundle", urgent_export.write(&urgent), trusted, &[], Answer::True);

    // Somebody leaves; and somebody who left goes on.
    let left = |comes_back: bool| {
        let mut log = Log::new();
        log.begin();
        let ada = log.sign_in("ada", 1);
        let bind = log.bind("act_ada");
        let suspend = log.suspend("act_ada", bind);
        log.close(&ada);
        if comes_back {
            log.restore("act_ada", suspend);
        }
        log.sign_in("ada", 1);
        let export = Export {
            views: false,
            ..Export::all(&log)
        };
        export.write(&log)
    };
    put("restored.bundle", left(true), trusted, &[], Answer::True);
    put("suspended.bundle", left(false), trusted, &["closure"], Answer::False);

    rotations(&mut put, trusted);
    let authority = Authority::new(1);
    let (mut observed, _) = Log::story();
    let mut tokens = Vec::new();
    let first = stamp(&observed, &authority, observed.size(), observed.t);
    let first = kept(&mut tokens, "stamped.tsr", &authority, first);
    observe(&mut observed, &first);
    let asks = stamped_trust(&observed, &authority);
    let asked = ("stamped.toml", &asks);
    let stamped = |stamps: &[StampedCheckpoint]| {
        let export = Export {
            level: 2,
            from: observed.size() - 2,
            stamped: stamps.to_vec(),
            older: stamps.iter().map(|stamp| stamp.checkpoint.unverified().size).collect(),
            views: false,
            ..Export::all(&observed)
        };
        export.write(&observed)
    };
    put("stamped.bundle", stamped(std::slice::from_ref(&first)), asked, &[], Answer::True);
    put("stamped.bundle", stamped(std::slice::from_ref(&first)), trusted, &[], Answer::True);
    // The entry that tells of the stamp is not under it.
    let bound = |most| TrustPolicy {
        unstamped_entries_max: Some(most),
        ..asks.clone()
    };
    let (all, but_one) = (bound(0), bound(1));
    put(
        "stamped.bundle",
        stamped(std::slice::from_ref(&first)),
        ("stamped-all.toml", &all),
        &[],
        Answer::CannotTell,
    );
    put(
        "stamped.bundle",
        stamped(std::slice::from_ref(&first)),
        ("stamped-but-one.toml", &but_one),
        &[],
        Answer::True,
    );
    let stranger = Authority::new(2);
    let strangers = stamp(&observed, &stranger, observed.size() - 2, observed.t);
    let strangers = [kept(&mut tokens, "other-authority.tsr", &stranger, strangers)];
    put("other-authority.bundle", stamped(&strangers), asked, &[], Answer::CannotTell);
    let early = stamp(&observed, &authority, observed.size() - 2, observed.t - 100_000);
    let early = [kept(&mut tokens, "dated-later.tsr", &authority, early)];
    put("dated-later.bundle", stamped(&early), asked, &["stamped"], Answer::False);
    let mut changed = first;
    *changed.token.last_mut().unwrap() ^= 1;
    put(
        "changed-stamp.bundle",
        stamped(&[changed]),
        asked,
        &["stamped", "terms"],
        Answer::False,
    );

    let mut toml_of = toml(&log, "session", None);
    toml_of.extend(format!("timestamp_authorities = [\"{}\"]\n", asks.timestamp_authorities[0]).bytes());
    for (name, most) in [("stamped-all.toml", 0), ("stamped-but-one.toml", 1)] {
        let bound = format!("unstamped_entries_max = {most}\n");
        files.insert(name.into(), [toml_of.as_slice(), bound.as_bytes()].concat());
    }
    files.insert("stamped.toml".into(), toml_of);
    files.extend(tokens);
    files.insert("pinned.toml".into(), toml(&log, "pinned", None));
    let mut attested = toml(&log, "pinned", None);
    attested.extend(
        format!(
            "\n[[issuer]]\nissuer = \"{ISSUER}\"\nclients = [\"{CLIENT}\"]\njwks = '{}'\n",
            jwks()
        )
        .bytes(),
    );
    files.insert("attested.toml".into(), attested);
    for (name, signer) in [("ssh.toml", token), ("other-ssh.toml", Signer::new(53))] {
        let pin = format!(
            "\n[[pinned]]\nissuer = \"https://idp.example\"\nsubject = \"bob\"\nssh_key = \"{}\"\n",
            signer.key.fingerprint()
        );
        files.insert(name.into(), [toml(&log, "pinned", None), pin.into_bytes()].concat());
    }
    files.insert("seen.toml".into(), toml(&log, "session", Some(log.size())));
    files.insert("before.toml".into(), toml(&log, "session", Some(2)));
    let mut rotated = Log::new();
    rotated.rotate(NEW_KEY);
    files.insert("new-key.toml".into(), toml(&rotated, "session", None));
}

/// Adds a bundle, the trust it is judged with, the claims that fail, and the answer.
type Put<'p> = &'p mut dyn FnMut(&str, Vec<u8>, (&str, &TrustPolicy), &[&str], Answer);

/// Bundles of a log whose key was replaced, for auditors who know the first key, or the second.
fn rotations(put: Put<'_>, first: (&str, &TrustPolicy)) {
    let begun = || {
        let mut log = Log::new();
        log.begin();
        log
    };
    let mut log = begun();
    let old = log.rotate(NEW_KEY);
    log.sign_in("ada", 1);
    let second_trust = trust(&log);
    let second = ("new-key.toml", &second_trust);
    let all = Export {
        level: 1,
        views: false,
        ..Export::all(&log)
    };
    let bundle = all.write(&log);
    put("rotated.bundle", bundle.clone(), first, &[], Answer::True);
    put("rotated.bundle", bundle, second, &[], Answer::True);
    let before = begun();
    let export = Export {
        level: 1,
        views: false,
        ..Export::all(&before)
    };
    put("before-rotation.bundle", export.write(&before), second, &[], Answer::CannotTell);

    // Somebody who has the old key goes on signing with it, and tells of the new one, or does not.
    let new = std::mem::replace(&mut log.key, old);
    put("retired-key.bundle", all.write(&log), first, &["head"], Answer::False);
    let rotated = std::mem::take(&mut log.rotated);
    put("untold-rotation.bundle", all.write(&log), first, &["head"], Answer::False);
    (log.key, log.rotated) = (new, rotated);

    // Somebody who has the new key, and no word of the old one.
    let mut forged = begun();
    let stranger = ring::signature::Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let statement = Rotation::sign(ORIGIN, &forged.key, &log.key).unwrap();
    let others = Rotation::sign(ORIGIN, &forged.key, &stranger).unwrap();
    let line = |text: &str| text.rsplit_once("\n\n").unwrap().1.lines().next().unwrap().to_owned();
    forged.rotate_saying(&statement.replacen(&line(&statement), &line(&others), 1));
    forged.key = log.key;
    let export = Export {
        level: 1,
        views: false,
        ..Export::all(&forged)
    };
    put("forged-rotation.bundle", export.write(&forged), first, &["head"], Answer::False);
}

/// Seed of the key that takes the place of the log's, 32 times.
const NEW_KEY: u8 = 43;

/// A signature by ECDSA is another each time, so the token of a vector is the one that lies there, as long as it says what it should.
fn kept(tokens: &mut Vec<(String, Vec<u8>)>, name: &str, authority: &Authority, made: StampedCheckpoint) -> StampedCheckpoint {
    let certificate = Certificate::from_der(authority.certificate()).unwrap();
    let text = made.checkpoint.unverified().to_text();
    let time_ms = Token::parse_stored(&made.token).unwrap().time_ms();
    let is_same = |old: &Token<'_>| old.is_over(text.as_bytes()) && old.time_ms() == time_ms && old.verify(&certificate).is_ok();
    let old = std::fs::read(folder().join(name)).ok();
    let old = old.filter(|old| Token::parse_stored(old).is_ok_and(|old| is_same(&old)));
    let token = old.unwrap_or(made.token);
    tokens.push((name.to_owned(), token.clone()));
    StampedCheckpoint { token, ..made }
}

#[test]
fn the_vectors_are_those_that_this_program_makes() {
    let made = made();
    if std::env::var("CHUNK_VECTORS").is_ok_and(|what| what == "write") {
        for (name, bytes) in &made {
            std::fs::write(folder().join(name), bytes).unwrap();
        }
    }
    let total: usize = made.values().map(Vec::len).sum();
    assert!(total < 640 * 1024, "{total} bytes of vectors");
    let found: BTreeMap<String, Vec<u8>> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "README.md")
        .collect();
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&made), "run this test with CHUNK_VECTORS=write");
    for (name, bytes) in &made {
        assert!(
            found[name] == *bytes,
            "tests/vectors/{name} is stale: run this test with CHUNK_VECTORS=write"
        );
    }
}

#[test]
fn the_second_verifier_answers_as_the_vectors_say() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors.py");
    let python = std::env::var("CHUNK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = std::process::Command::new(python).arg(script).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
