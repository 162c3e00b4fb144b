//! What an operator can do to the past who has the database, the master key and with it the log's own key, and who notices. The table
//! in docs/threats.md names these tests.
//!
//! Each lie is told as well as it can be: hashes, proofs, references and the log's signatures are all right. So the first answer,
//! of an auditor who remembers nothing, is often "true"; it stands here because it says what memory is for.

use std::path::Path;
use std::process::Command;

use chunk_evidence::body::{Body, Group};
use chunk_evidence::dsse::{self, Envelope, REVIEW_PAYLOAD_TYPE};
use chunk_evidence::leaf::{Header, Kind};
use chunk_wire::fetch::Format;
use chunk_wire::review::Verdict;
use chunk_wire::session::BrokerInfo;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use crate::support::api::slice;
use crate::support::forger::{History, log_key, own_key};
use crate::support::oracle::Checkpoint;
use crate::support::{Person, World, foreign, poll, servers};

/// A log that a witness vouches for, the operator's keys, and an auditor with several minds.
struct Scene {
    auditor: Person,
    truth: History,
    key: Ed25519KeyPair,
    _world: World,
}

/// What each auditor answers: 0 true, 1 false, 2 cannot tell.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    /// Knows the log's key, and nothing else.
    without_memory: i32,
    /// Has kept a checkpoint of last time.
    kept_checkpoint: i32,
    /// Asks for the cosignature of a witness.
    witness: i32,
    /// Was told the reviewers' keys by the reviewers.
    pinned_reviewers: i32,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let info: BrokerInfo = world.anonymous().raw("GET", "/v1/info", None, &[]).json();
        world.stop();
        let witness = foreign::Witness::new("witness.example/w", &info.log_key);
        world.setup_mut().more = format!(
            "\n[witness]\nquorum = 1\nwitnesses = [{{ name = \"w\", url = {:?}, key = {:?} }}]\n",
            witness.url, witness.vkey
        );
        world.write_config();
        world.start();
        let (dana, rita, anna) = (world.api("dana"), world.api("rita"), world.signed_in("anna"));
        let rejected = dana.request(&slice("people", None, Some(5)), Format::Csv);
        assert_eq!(rita.review(&rejected, Verdict::Reject).status, 200);
        let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
        rita.approve(&request);
        assert!(dana.fetch(&request).complete);
        let size = Checkpoint::of(&world.anonymous()).size;
        let head = poll("the witness to vouch for all of it", std::time::Duration::from_secs(30), || {
            let note = world.anonymous().raw("GET", "/checkpoint", None, &[]).text();
            let seen = foreign::signed(&note, &witness.vkey).is_some() && Checkpoint::parse(&note).size >= size;
            seen.then_some(note)
        });
        // The history goes on past the checkpoint that is kept, so that without one of its entries it is not the shorter of the two.
        world.api("drew");
        anna.run(&["audit", "export", "-o", "true.bundle"]).exits(0);
        // The head of a bundle is one that covers its rows; every mind of the auditor believes the same log.
        let common = format!("origin = {:?}\nlog_keys = [{:?}]\n", info.origin, info.log_key);
        let session = format!("{common}reviewer_keys = \"session\"\n");
        let write = |name: &str, text: String| std::fs::write(anna.dir().join(name), text).unwrap();
        write("without_memory.toml", session.clone());
        write("kept_checkpoint.toml", format!("{session}last_checkpoint = \"\"\"\n{head}\"\"\"\n"));
        write("witness.toml", format!("{session}witnesses = [{:?}]\n", witness.vkey));
        let who = world.api("anna").entries();
        let who = who.iter().find(|entry| entry.body["who"]["key"] == rita.thumbprint()).unwrap();
        let who = &who.body["who"];
        write(
            "pinned_reviewers.toml",
            format!(
                "{common}reviewer_keys = \"pinned\"\n[[pinned]]\nissuer = {}\nsubject = {}\nthumbprint = {}\n",
                who["issuer"], who["subject"], who["key"]
            ),
        );
        let scene = Self {
            truth: History::of(&std::fs::read(anna.dir().join("true.bundle")).unwrap()),
            key: log_key(&world.broker_dir()),
            auditor: anna,
            _world: world,
        };
        let honest = Answers {
            without_memory: 0,
            kept_checkpoint: 0,
            witness: 0,
            pinned_reviewers: 0,
        };
        assert_eq!(scene.ask("true.bundle"), honest);
        scene
    }

    /// What each mind says to a bundle; the second verifier says the same.
    fn ask(&self, bundle: &str) -> Answers {
        let dir = self.auditor.dir();
        let [without_memory, kept_checkpoint, witness, pinned_reviewers] =
            ["without_memory", "kept_checkpoint", "witness", "pinned_reviewers"].map(|mind| {
                let trust = format!("{mind}.toml");
                let code = self.auditor.run(&["audit", "verify", bundle, "--trust", &trust]).code;
                assert_eq!(code, second(&dir.join(bundle), &dir.join(trust)), "{bundle}, {mind}");
                code
            });
        Answers {
            without_memory,
            kept_checkpoint,
            witness,
            pinned_reviewers,
        }
    }

    /// What each mind says to a history that the operator made up.
    fn tell(&self, name: &str, history: &History) -> Answers {
        std::fs::write(self.auditor.dir().join(name), history.bundle(&self.key)).unwrap();
        self.ask(name)
    }

    /// The claims that the auditor without memory calls false.
    fn false_claims(&self, bundle: &str) -> Vec<String> {
        let told = self.auditor.json(&["audit", "verify", bundle, "--trust", "without_memory.toml"]);
        let claims = told.event("audit.verify")["claims"].clone();
        let claims = claims.as_array().unwrap().iter().filter(|claim| claim["answer"] == "false");
        claims.map(|claim| claim["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The second verifier's answer.
fn second(bundle: &Path, trust: &Path) -> i32 {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify.py");
    let python = servers::required("CHUNK_TEST_PYTHON", "a Python");
    let output = Command::new(python).arg(script).arg(bundle).arg(trust).output().unwrap();
    output.status.code().unwrap()
}

/// Seen by nobody who does not remember; by whoever does.
const REWRITTEN: Answers = Answers {
    without_memory: 0,
    kept_checkpoint: 1,
    witness: 2,
    pinned_reviewers: 0,
};

#[test]
fn a_dropped_entry_is_noticed_by_whoever_remembers_a_checkpoint() {
    let scene = Scene::new();
    let mut dropped = scene.truth.clone();
    let outcome = dropped.last("fetch.outcome");
    assert!(outcome < dropped.entries.len());
    dropped.drop_entry(dropped.last("review.reject"));
    assert_eq!(scene.tell("dropped.bundle", &dropped), REWRITTEN);

    // The last ones: a shorter history, as from an old copy.
    let mut cut = scene.truth.clone();
    cut.entries.truncate(outcome);
    let answers = scene.tell("cut.bundle", &cut);
    assert_eq!((answers.without_memory, answers.witness), (0, 2));
    assert_ne!(
        answers.kept_checkpoint, 0,
        "a history that ends before the kept checkpoint was called true"
    );
}

#[test]
fn a_changed_entry_is_noticed_by_whoever_remembers_a_checkpoint() {
    let scene = Scene::new();
    let mut changed = scene.truth.clone();
    let create = changed.last("request.create");
    let session = changed.entries[create].0.refs[0];
    changed.set(usize::try_from(session).unwrap(), Group::Net, "ip", "192.0.2.7");
    assert_eq!(scene.tell("changed.bundle", &changed), REWRITTEN);
}

#[test]
fn entries_in_another_order_are_noticed_by_whoever_remembers_a_checkpoint() {
    let scene = Scene::new();
    let mut swapped = scene.truth.clone();
    // Two sign-ins, one after the other.
    let is_open = |index: &usize| swapped.entries[*index].0.kind == Kind::SessionOpen;
    let first = (0..swapped.entries.len() - 1)
        .find(|index| is_open(index) && is_open(&(index + 1)))
        .unwrap();
    swapped.swap(first);
    assert_eq!(scene.tell("swapped.bundle", &swapped), REWRITTEN);
}

#[test]
fn an_entry_dated_back_is_false_behind_and_noticed_before_what_was_cosigned() {
    let scene = Scene::new();
    // Behind everything, with a time before what stands before it: times never go back.
    let stop = Header::new(Kind::BrokerStop);
    let body = Body::new().with(Group::Env, json!({ "instance": "i" }));
    let mut behind = scene.truth.clone();
    let t = behind.entries[behind.last("fetch.outcome")].0.t;
    behind.entries.push((stop.clone().at(t - 1), body.clone()));
    let everybody = Answers {
        without_memory: 1,
        kept_checkpoint: 1,
        witness: 1,
        pinned_reviewers: 1,
    };
    assert_eq!(scene.tell("behind.bundle", &behind), everybody);
    assert_eq!(scene.false_claims("behind.bundle"), ["order"]);

    // Where that time belongs: before the checkpoint that a witness had cosigned by then.
    let mut before = scene.truth.clone();
    let outcome = before.last("fetch.outcome");
    before.insert(outcome, stop.at(t), body);
    assert_eq!(scene.tell("before.bundle", &before), REWRITTEN);
}

/// The envelope of an entry's document.
fn envelope(history: &History, index: usize) -> Envelope {
    serde_json::from_value(history.entries[index].1.get(Group::What)["envelope"].clone()).unwrap()
}

/// A verdict turned round: the same document with another verdict, signed by this key.
fn turned(history: &History, index: usize, key: &Ed25519KeyPair, thumbprint: &str) -> Envelope {
    let mut document: Value = serde_json::from_slice(&envelope(history, index).payload_bytes().unwrap()).unwrap();
    document["verdict"] = "approve".into();
    document["key"] = thumbprint.into();
    let text = chunk_evidence::encode::canonical(&document).unwrap();
    dsse::sign(key, REVIEW_PAYLOAD_TYPE, text.as_bytes(), &format!("ed25519:{thumbprint}"))
}

#[test]
fn a_review_that_nobody_gave_is_false_or_rests_on_the_operators_word_alone() {
    let scene = Scene::new();
    let reject = scene.truth.last("review.reject");
    let thumbprint = scene.truth.entries[reject].1.get(Group::Who)["key"].as_str().unwrap().to_owned();
    let own = own_key();

    // The rejection becomes an approval, under the reviewer's name and key, which the operator does not have.
    let mut forged = scene.truth.clone();
    forged.entries[reject].0.kind = Kind::ReviewApprove;
    forged.entries[reject].0.dec = Some(chunk_evidence::leaf::Decision::Allow);
    let signed = turned(&forged, reject, &own, &thumbprint);
    forged.set(reject, Group::What, "envelope", serde_json::to_value(signed).unwrap());
    let everybody = Answers {
        without_memory: 1,
        kept_checkpoint: 1,
        witness: 1,
        pinned_reviewers: 1,
    };
    assert_eq!(scene.tell("forged.bundle", &forged), everybody);
    assert_eq!(scene.false_claims("forged.bundle"), ["signatures"]);

    // The operator signs the reviewer in, with a key of the operator's own. Whose key it is, only the log says.
    let mine = dsse::thumbprint(&dsse::public_key(&own));
    let open = usize::try_from(*forged.entries[reject].0.refs.last().unwrap()).unwrap();
    forged.set(open, Group::Who, "key", mine.as_str());
    forged.set(open, Group::Who, "public_key", chunk_evidence::encode::b64(&dsse::public_key(&own)));
    for index in 0..forged.entries.len() {
        let review = forged.entries[index].0.kind == Kind::ReviewApprove && forged.entries[index].0.refs.last() == Some(&(open as u64));
        if review {
            let signed = turned(&forged, index, &own, &mine);
            forged.set(index, Group::What, "envelope", serde_json::to_value(signed).unwrap());
            forged.set(index, Group::Who, "key", mine.as_str());
        }
    }
    let believing = Answers {
        pinned_reviewers: 1,
        ..REWRITTEN
    };
    assert_eq!(scene.tell("impersonated.bundle", &forged), believing);
}

#[test]
fn two_auditors_who_were_shown_two_histories_find_it_when_they_compare_heads() {
    let scene = Scene::new();
    let mut other = scene.truth.clone();
    other.drop_entry(other.last("review.reject"));
    assert_eq!(scene.tell("other.bundle", &other), REWRITTEN);
    // The second auditor keeps the head of what they were shown; next time the first one's history contradicts it.
    let head = other.checkpoint(other.entries.len(), &scene.key);
    let common = std::fs::read_to_string(scene.auditor.dir().join("without_memory.toml")).unwrap();
    let trust = format!("{common}last_checkpoint = \"\"\"\n{}\"\"\"\n", head.text());
    std::fs::write(scene.auditor.dir().join("second.toml"), trust).unwrap();
    scene
        .auditor
        .run(&["audit", "verify", "true.bundle", "--trust", "second.toml"])
        .exits(1);
    scene
        .auditor
        .run(&["audit", "verify", "other.bundle", "--trust", "second.toml"])
        .exits(0);
}
