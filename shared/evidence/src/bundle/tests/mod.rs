#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod agreement;
mod attested;
mod forged;
mod mutants;
mod rotated;
mod ssh;
mod staged;
mod stamped;
mod standing;
mod suspension;
mod vectors;
mod witnessed;

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::json;

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::dsse::{self, EXPORT_PAYLOAD_TYPE};
use crate::encode::{canonical, canonical_of, sha256_hex};
use crate::leaf::{Header, Kind, Leaf};
use crate::testing::Log;
use crate::trust::{PinnedKey, ReviewerKeys, TrustPolicy};

/// What to export of a log.
#[derive(Clone)]
struct Export {
    level: u8,
    from: u64,
    to: u64,
    head: u64,
    filter: Filter,
    views: bool,
    matches: fn(&Header) -> bool,
    erased: BTreeMap<u64, u64>,
    /// Entries that are shown by their headers although something that is opened needs them: no exporter of ours does that.
    shut: Vec<u64>,
    older: Vec<u64>,
    /// Cosignatures on the head.
    cosigned: String,
    stamped: Vec<StampedCheckpoint>,
}

impl Export {
    fn all(log: &Log) -> Self {
        Self {
            level: 4,
            from: 0,
            to: log.size(),
            head: log.size(),
            filter: Filter::default(),
            views: true,
            matches: |_| true,
            erased: BTreeMap::new(),
            shut: Vec::new(),
            older: vec![],
            cosigned: String::new(),
            stamped: vec![],
        }
    }

    fn write(&self, log: &Log) -> Vec<u8> {
        self.try_write(log).unwrap()
    }

    fn try_write(&self, log: &Log) -> Result<Vec<u8>, BundleError> {
        let (range, rows) = (self.from..self.to, self.level > 0);
        let header = |index: u64| log.header(index);
        let erased = |index: u64| self.erased.get(&index).copied();
        let mut reach = Reach::new(range.clone(), !self.filter.is_empty());
        let mut look = rows;
        while look {
            for index in range.clone().rev() {
                reach.look(index, &header(index), erased(index), (self.matches)(&header(index)));
            }
            while let Some(index) = reach.next_outside() {
                reach.look(index, &header(index), erased(index), false);
            }
            look = reach.again();
        }
        let entry = |index: u64| BundleEntry {
            index,
            leaf: &log.leaves[index as usize],
            body: match erased(index) {
                None => EntryBody::Document(&log.documents[index as usize]),
                Some(by) if header(by).kind == Kind::RetentionDispose => EntryBody::Disposed(by),
                Some(by) => EntryBody::Erased(by),
            },
            opened: reach.opens(index) && !self.shut.contains(&index),
        };
        let consistency = std::iter::once(&self.from).chain(&self.older).map(|from| Consistency {
            from: *from,
            root: log.checkpoint(*from).unverified().root,
            proof: log.consistency(*from, self.head),
        });
        let plan = BundlePlan {
            level: self.level,
            range: range.clone(),
            filter: self.filter.clone(),
            views: self.views,
            start: &log.checkpoint(self.from),
            frontier: &log.frontier(self.from),
            log_key: &log.verifier(),
        };
        let mut writer = BundleWriter::begin(plan, Vec::new())?;
        for index in range.filter(|_| rows) {
            writer.row(&entry(index))?;
        }
        for index in reach.outside() {
            writer.context(&entry(index), &log.inclusion(index, self.head))?;
        }
        let head = BundleHead {
            checkpoint: &log.checkpoint(self.head).with_lines(&self.cosigned).unwrap(),
            consistency: consistency.collect(),
            tail: &log.consistency(self.to, self.head),
            stamped: &self.stamped,
            rotations: &log.rotations(self.head),
        };
        let mut bundle = writer.finish(&head, |payload_type, payload| sign(log, payload_type, payload))?;
        let (length, mut bytes) = (bundle.length(), Vec::new());
        bundle.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        Ok(bytes)
    }
}

/// The members of an archive by name.
pub(super) fn take_apart(bundle: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let (mut members, mut rest) = (BTreeMap::new(), bundle);
    while let Some((name, size)) = tar::parse_header(&rest[..tar::BLOCK]) {
        let contents = &rest[tar::BLOCK..];
        members.insert(name.to_owned(), contents[..size as usize].to_vec());
        rest = &contents[size as usize + tar::padding(size)..];
    }
    members
}

/// An archive of these members.
pub(super) fn put_together(members: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in members {
        archive.extend_from_slice(&tar::header(name, bytes.len() as u64).unwrap());
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(tar::BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * tar::BLOCK, 0);
    archive
}

fn sign(log: &Log, payload_type: &str, payload: &[u8]) -> dsse::Envelope {
    dsse::sign(&log.key, payload_type, payload, &dsse::key_id(&dsse::public_key(&log.key)))
}

fn trust(log: &Log) -> TrustPolicy {
    TrustPolicy::of_key(&log.verifier())
}

/// The claims that fail, without doubles.
fn failed(verification: &Verification) -> Vec<&'static str> {
    let mut failed: Vec<_> = verification.faults.iter().map(|fault| fault.claim).collect();
    failed.sort_unstable();
    failed.dedup();
    failed
}

/// Signs the statement again, as an operator could, after `change`.
fn rewrite(bundle: &[u8], log: &Log, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<u8> {
    let mut members = take_apart(bundle);
    members.remove("statement.dsse");
    change(&mut members);
    let digests: BTreeMap<_, _> = members.iter().map(|(name, bytes)| (name, sha256_hex(bytes))).collect();
    let payload = canonical(&json!({"members": digests, "origin": crate::testing::ORIGIN, "v": 1})).unwrap();
    let statement = canonical_of(&sign(log, EXPORT_PAYLOAD_TYPE, payload.as_bytes())).unwrap();
    members.insert("statement.dsse".into(), statement.into_bytes());
    put_together(&members)
}

#[test]
fn every_level_of_a_good_log_is_true_and_writing_again_gives_the_same_bytes() {
    let (log, _) = Log::story();
    for level in 0..=LEVEL_MAX {
        let export = Export {
            level,
            ..Export::all(&log)
        };
        let bundle = export.write(&log);
        assert_eq!(bundle, export.write(&log));
        let verification = verify_bundle(&bundle, &trust(&log));
        assert_eq!(
            verification.answer,
            Answer::True,
            "level {level}: {:?} {:?}",
            verification.faults,
            verification.unknowns
        );
        assert!(verification.claims.iter().all(|claim| claim.answer == Answer::True));
        assert_eq!(verification.claims.len(), [3, 7, 8, 9, 10][usize::from(level)]);
    }
    let verification = verify_bundle(&Export::all(&log).write(&log), &trust(&log));
    assert_eq!(
        (
            verification.counts.entries,
            verification.counts.deliveries_done,
            verification.counts.signatures
        ),
        (log.size(), 1, 2)
    );
}

#[test]
fn a_range_with_context_and_a_later_head_is_true() {
    let (mut log, delivery) = Log::story();
    let carol = log.sign_in("carol", 5);
    log.deny(&carol);
    for from in 0..log.size() {
        for to in from..=log.size() {
            let export = Export {
                from,
                to,
                ..Export::all(&log)
            };
            let verification = verify_bundle(&export.write(&log), &trust(&log));
            assert_eq!(verification.answer, Answer::True, "{from}..{to}: {:?}", verification.faults);
        }
    }
    let export = Export {
        from: delivery.outcome,
        to: delivery.outcome + 1,
        ..Export::all(&log)
    };
    // Intent, grant, request, approval, two sessions, the policy.
    assert_eq!(verify_bundle(&export.write(&log), &trust(&log)).counts.context, 7);
}

/// Opens the entries of a kind.
fn of_kind(kind: &str) -> Filter {
    Filter {
        kind: Some(kind.into()),
        ..Filter::default()
    }
}

#[test]
fn a_filtered_export_shows_every_row_and_opens_what_its_rows_need() {
    let (log, delivery) = Log::story();
    for range in [0..log.size(), delivery.outcome..delivery.outcome + 1, delivery.intent..log.size()] {
        let export = Export {
            from: range.start,
            to: range.end,
            filter: of_kind("fetch.outcome"),
            matches: |header| header.kind == Kind::FetchOutcome,
            ..Export::all(&log)
        };
        let bundle = export.write(&log);
        let verification = verify_bundle(&bundle, &trust(&log));
        assert_eq!(verification.answer, Answer::True, "{range:?}: {:?}", verification.faults);
        assert_eq!(verification.counts.entries, range.end - range.start);
        assert_eq!(verification.filter.as_deref(), Some("{\"kind\":\"fetch.outcome\"}"));
        if range.start > 0 {
            continue;
        }
        assert_eq!(verification.counts.opened, 8);
        // The operator withholds the approval that the delivery rests on.
        let changed = replace_row(&bundle, &log, delivery.reviews[0], |_| header_only(&log, delivery.reviews[0]));
        assert!(failed(&verify_bundle(&changed, &trust(&log))).contains(&"closure"));
    }
}

#[test]
fn an_entry_that_the_filter_asks_for_cannot_be_withheld() {
    let (log, delivery) = Log::story();
    let denial = 6;
    let filters = [
        of_kind("request.deny"),
        of_kind("request"),
        Filter {
            actors: Some(vec!["act_nobody".into(), "act_ada".into()]),
            ..of_kind("request.deny")
        },
        Filter {
            dataset: Some("orders".into()),
            ..Filter::default()
        },
    ];
    for (filter, hidden) in filters.into_iter().zip([denial, denial, denial, delivery.intent]) {
        let export = Export {
            filter: filter.clone(),
            matches: |header| header.kind == Kind::RequestDeny || header.ds.is_some(),
            ..Export::all(&log)
        };
        assert_eq!(verify_bundle(&export.write(&log), &trust(&log)).answer, Answer::True, "{filter:?}");
        let export = Export {
            matches: |header| !matches!(header.kind, Kind::RequestDeny | Kind::FetchIntent),
            ..export
        };
        // What hangs on the intent needs it, so that is withheld together with it.
        let export = Export {
            matches: |header| header.kind == Kind::RequestCreate,
            ..export
        };
        let verification = verify_bundle(&export.write(&log), &trust(&log));
        assert_eq!(failed(&verification), ["complete"], "{filter:?}");
        assert_eq!(verification.faults[0].index, Some(hidden), "{filter:?}");
        // Which entries name a request, headers do not say.
        let undecided = Export {
            filter: Filter {
                request: Some("req_7".into()),
                ..filter
            },
            ..export
        };
        assert_eq!(verify_bundle(&undecided.write(&log), &trust(&log)).answer, Answer::True);
    }
}

#[test]
fn levels_open_no_more_than_they_say() {
    let (log, _) = Log::story();
    let text = |level| {
        String::from_utf8_lossy(
            &Export {
                level,
                ..Export::all(&log)
            }
            .write(&log),
        )
        .into_owned()
    };
    let hidden = ["https://idp.example", "churn", "fine by me", "laptop"];
    for level in 0..=2 {
        // Disclosures are base64, so look into the views, which show what is opened in clear.
        assert!(hidden.iter().all(|word| !text(level).contains(word)), "level {level}");
    }
    assert!(!text(1).contains("redact") && text(2).contains("redact"));
    assert!(text(3).contains("https://idp.example") && text(3).contains("laptop"));
    assert!(!text(3).contains("churn") && !text(3).contains("fine by me"));
    assert!(hidden.iter().all(|word| text(4).contains(word)));
}

#[test]
fn every_changed_byte_is_false() {
    let (log, _) = Log::story();
    let (trust, bundle) = (trust(&log), Export::all(&log).write(&log));
    for at in 0..bundle.len() {
        let mut changed = bundle.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(verify_bundle(&changed, &trust).answer, Answer::False, "byte {at}");
    }
    for length in (0..bundle.len()).step_by(61) {
        assert_eq!(verify_bundle(&bundle[..length], &trust).answer, Answer::False, "{length} bytes");
    }
}

#[test]
fn no_byte_is_free_even_to_whoever_holds_the_log_key() {
    let (log, _) = Log::story();
    for level in [1, 3, 4] {
        let (trust, bundle) = (
            trust(&log),
            Export {
                level,
                from: 6,
                ..Export::all(&log)
            }
            .write(&log),
        );
        let names: Vec<String> = take_apart(&bundle).into_keys().collect();
        for name in names.iter().filter(|name| *name != "statement.dsse") {
            let length = take_apart(&bundle)[name.as_str()].len();
            for at in (0..length).step_by(3) {
                let changed = rewrite(&bundle, &log, |members| members.get_mut(name).unwrap()[at] ^= 1 << (at % 8));
                assert_ne!(
                    verify_bundle(&changed, &trust).answer,
                    Answer::True,
                    "level {level}: `{name}` byte {at}"
                );
            }
            let removed = rewrite(&bundle, &log, |members| drop(members.remove(name)));
            assert_eq!(
                verify_bundle(&removed, &trust).answer,
                Answer::False,
                "level {level}: without `{name}`"
            );
        }
        let extra = rewrite(&bundle, &log, |members| {
            drop(members.insert("views/extra.csv".into(), b"x".to_vec()))
        });
        assert_eq!(verify_bundle(&extra, &trust).answer, Answer::False);
    }
}

#[test]
fn rows_cannot_be_dropped_swapped_or_doubled() {
    let (log, _) = Log::story();
    let (trust, bundle) = (trust(&log), Export::all(&log).write(&log));
    let lines = |members: &mut BTreeMap<String, Vec<u8>>, change: &dyn Fn(&mut Vec<String>)| {
        let rows = members.get_mut("rows/000000000000.jsonl.gz");
        assert!(rows.is_none(), "the small log is not compressed");
        let rows = members.get_mut("rows/000000000000.jsonl").unwrap();
        let mut lines: Vec<String> = String::from_utf8(rows.clone()).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        *rows = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    };
    for at in 0..log.size() as usize - 1 {
        for change in [
            &(move |lines: &mut Vec<String>| drop(lines.remove(at))) as &dyn Fn(&mut Vec<String>),
            &move |lines: &mut Vec<String>| lines.swap(at, at + 1),
            &move |lines: &mut Vec<String>| lines.insert(at, lines[at].clone()),
        ] {
            let changed = rewrite(&bundle, &log, |members| lines(members, change));
            assert_eq!(verify_bundle(&changed, &trust).answer, Answer::False, "row {at}");
        }
    }
}

#[test]
fn an_unknown_log_key_is_cannot_tell_and_tampering_under_it_is_false() {
    let (log, _) = Log::story();
    let bundle = Export::all(&log).write(&log);
    let mut policy = trust(&log);
    policy.log_keys = vec![crate::note::VerifierKey::new(crate::testing::ORIGIN, [9; 32]).unwrap().to_text()];
    let verification = verify_bundle(&bundle, &policy);
    assert_eq!(verification.answer, Answer::CannotTell);
    assert!(
        verification
            .claims
            .iter()
            .all(|claim| claim.answer == Answer::CannotTell || claim.id == "format")
    );
    let mut changed = bundle.clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    assert_eq!(verify_bundle(&changed, &policy).answer, Answer::False);
    let mut other = trust(&log);
    other.log_keys.clear();
    assert_eq!(verify_bundle(&bundle, &other).answer, Answer::CannotTell);
    let elsewhere = crate::note::VerifierKey::new("elsewhere", *log.verifier().public_key()).unwrap();
    assert_eq!(failed(&verify_bundle(&bundle, &TrustPolicy::of_key(&elsewhere))), ["head"]);
}

#[test]
fn history_that_differs_from_the_last_checkpoint_seen_is_false() {
    let (log, _) = Log::story();
    // The same log with one entry rewritten, signed by the same key.
    let mut forged = Log::new();
    forged.t += 5;
    forged.begin();
    let (ada, bob) = (forged.sign_in("ada", 1), forged.sign_in("bob", 2));
    forged.deliver(&ada, &[&bob]);
    let bundle = Export {
        older: vec![2],
        ..Export::all(&forged)
    };
    for size in 1..forged.size() {
        let policy = TrustPolicy {
            last_checkpoint: Some(log.checkpoint(size).text().to_owned()),
            ..trust(&log)
        };
        assert_eq!(
            failed(&verify_bundle(&bundle.write(&forged), &policy)),
            ["append_only"],
            "size {size}"
        );
        assert_eq!(
            verify_bundle(&Export::all(&log).write(&log), &policy).answer,
            Answer::True,
            "size {size}"
        );
    }
    let later = TrustPolicy {
        last_checkpoint: Some(log.checkpoint(log.size()).text().to_owned()),
        ..trust(&log)
    };
    let short = Export {
        to: 9,
        head: 9,
        ..Export::all(&log)
    }
    .write(&log);
    assert_eq!(verify_bundle(&short, &later).answer, Answer::CannotTell);
    let before = TrustPolicy {
        last_checkpoint: Some(log.checkpoint(4).text().to_owned()),
        ..trust(&log)
    };
    let late = Export {
        from: 8,
        ..Export::all(&log)
    };
    assert_eq!(verify_bundle(&late.write(&log), &before).answer, Answer::CannotTell);
    let with_proof = Export { older: vec![4], ..late };
    assert_eq!(verify_bundle(&with_proof.write(&log), &before).answer, Answer::True);
}

#[test]
fn a_verdict_by_a_key_nobody_but_the_operator_vouches_for_cannot_be_judged() {
    let (log, _) = Log::story();
    let bundle = Export::all(&log).write(&log);
    let pin = |thumbprint: String| PinnedKey::of_session("https://idp.example", "bob", &thumbprint);
    let policy = |pinned| TrustPolicy {
        reviewer_keys: ReviewerKeys::Pinned,
        pinned,
        ..trust(&log)
    };
    let verification = verify_bundle(&bundle, &policy(Vec::new()));
    assert_eq!(verification.answer, Answer::CannotTell);
    assert_eq!(verification.unknowns[0].claim, "signatures");
    let bob = Log::new().sign_in("bob", 2).thumbprint();
    assert_eq!(verify_bundle(&bundle, &policy(vec![pin(bob)])).answer, Answer::True);
    assert_eq!(failed(&verify_bundle(&bundle, &policy(vec![pin("other".into())]))), ["signatures"]);
}

#[test]
fn what_was_erased_needs_the_entry_that_erased_it() {
    let (mut log, _) = Log::story();
    log.t += 1;
    let admin = log.sign_in("admin", 8);
    let eraser = log.erase(&admin);
    let verify = |erased: &[(u64, u64)], to: u64| {
        let export = Export {
            erased: erased.iter().copied().collect(),
            to,
            ..Export::all(&log)
        };
        verify_bundle(&export.write(&log), &trust(&log))
    };
    let good = verify(&[(4, eraser), (6, eraser)], log.size());
    assert_eq!((good.answer, good.counts.erased), (Answer::True, 2), "{:?}", good.faults);
    // The eraser lies beyond the range: it comes along as context.
    let good = verify(&[(6, eraser)], eraser);
    assert_eq!((good.answer, good.counts.context), (Answer::True, 1), "{:?}", good.faults);
    assert_eq!(failed(&verify(&[(4, eraser - 1)], log.size())), ["closure"]);
    assert_eq!(failed(&verify(&[(6, 5)], log.size())), ["closure"]);
    // One person's erasing takes nothing away from another, nor what nobody did: that is sealed under no person's key.
    let bobs = log.first(Kind::ReviewApprove);
    assert_eq!(failed(&verify(&[(bobs, eraser)], log.size())), ["closure"]);
    assert_eq!(failed(&verify(&[(1, eraser)], log.size()))[0], "closure");
}

#[test]
fn what_opened_entries_rest_on_is_not_hidden_as_gone() {
    let (mut log, _) = Log::story();
    log.t += 1;
    let admin = log.sign_in("admin", 8);
    let gone = [log.erase(&admin), log.dispose(&[("audit.read", 1)])];
    let export = || Export {
        filter: of_kind("fetch.intent"),
        matches: |header| header.kind == Kind::FetchIntent,
        ..Export::all(&log)
    };
    assert_eq!(verify_bundle(&export().write(&log), &trust(&log)).answer, Answer::True);
    // Under an entry that took something else away, and which is not shown.
    for kind in [Kind::RequestCreate, Kind::ReviewApprove, Kind::GrantIssue, Kind::SessionOpen] {
        for by in gone {
            let hidden = Export {
                erased: BTreeMap::from([(log.first(kind), by)]),
                shut: vec![by],
                ..export()
            };
            let verification = verify_bundle(&hidden.write(&log), &trust(&log));
            assert_eq!(failed(&verification), ["closure"], "{kind:?} by {by}");
        }
    }
    // Something that is gone for good does not stand between what is opened and what is withheld.
    let grants = log.dispose(&[("grant.issue", log.size())]);
    let grant = log.first(Kind::GrantIssue);
    let gone = |shut: Vec<u64>| Export {
        erased: BTreeMap::from([(grant, grants)]),
        shut,
        ..Export {
            filter: of_kind("fetch.intent"),
            matches: |header| header.kind == Kind::FetchIntent,
            ..Export::all(&log)
        }
    };
    let verification = verify_bundle(&gone(vec![]).write(&log), &trust(&log));
    assert_eq!(verification.answer, Answer::True, "{:?}", verification.faults);
    for kind in [Kind::RequestCreate, Kind::ReviewApprove] {
        let verification = verify_bundle(&gone(vec![log.first(kind)]).write(&log), &trust(&log));
        assert_eq!(failed(&verification), ["closure"], "{kind:?}");
    }
}

#[test]
fn what_was_disposed_of_is_what_an_entry_says_and_nothing_more() {
    let (mut log, _) = Log::story();
    let dan = log.sign_in("dan", 7);
    let denied = [log.deny(&dan), log.deny(&dan)];
    let disposer = log.dispose(&[("request.deny", denied[1]), ("session.open", 2)]);
    let verify = |log: &Log, gone: &[(u64, u64)], export: Export| {
        let export = Export {
            erased: gone.iter().copied().collect(),
            ..export
        };
        verify_bundle(&export.write(log), &trust(log))
    };
    let good = verify(&log, &[(denied[0], disposer)], Export::all(&log));
    assert_eq!((good.answer, good.counts.disposed), (Answer::True, 1), "{:?}", good.faults);
    let shown = view_of(&log, denied[0], disposer);
    assert!(shown.contains("\"disclosed\":\"disposed\""), "{shown}");
    for level in 1..4 {
        let export = Export {
            level,
            ..Export::all(&log)
        };
        let good = verify(&log, &[(denied[0], disposer)], export);
        assert_eq!(good.answer, Answer::True, "level {level}: {:?}", good.faults);
    }
    // Beyond the index, of another kind, under an entry that disposes of nothing or stands before: false.
    for (index, by) in [
        (denied[1], disposer),
        (denied[0] - 1, disposer),
        (denied[0], denied[1]),
        (disposer, disposer),
    ] {
        assert_eq!(
            failed(&verify(&log, &[(index, by)], Export::all(&log))),
            ["closure"],
            "{index} by {by}"
        );
    }
    // An export that leaves out what was not asked for still shows what disposed of what was.
    let filter = Filter {
        kind: Some("request.deny".to_owned()),
        ..Filter::default()
    };
    let filtered = Export {
        filter,
        matches: |header| header.kind == Kind::RequestDeny,
        ..Export::all(&log)
    };
    assert_eq!(verify(&log, &[(denied[0], disposer)], filtered.clone()).answer, Answer::True);
    assert_eq!(failed(&verify(&log, &[(denied[1], disposer)], filtered)), ["closure"]);

    // What is the log's own is not disposed of, nor what is yet to come, nor a kind twice.
    for bodies in [
        &[("policy.load", 1)][..],
        &[("request.deny", 999)],
        &[("request.deny", 1), ("request.deny", 2)],
        &[("x", 1)],
    ] {
        let mut log = Log::story().0;
        log.dispose(bodies);
        assert_eq!(failed(&verify(&log, &[], Export::all(&log))), ["terms"], "{bodies:?}");
    }
}

/// The line of an entry in the view of all entries, its body disposed of.
fn view_of(log: &Log, index: u64, by: u64) -> String {
    let export = Export {
        erased: BTreeMap::from([(index, by)]),
        ..Export::all(log)
    };
    let bundle = export.write(log);
    let text = String::from_utf8(take_apart(&bundle)["views/entries.jsonl"].to_vec()).unwrap();
    text.lines().nth(index as usize).unwrap().to_owned()
}

#[test]
fn long_exports_are_compressed_and_hold_many_members() {
    let (mut log, _) = Log::story();
    let dan = log.sign_in("dan", 7);
    for _ in 0..(rows::ROWS_MAX + 10) {
        log.deny(&dan);
    }
    // The slow tree of the tests takes its time over long proofs; one checkpoint is enough.
    let export = Export::all(&log);
    let bundle = export.write(&log);
    let names: Vec<String> = take_apart(&bundle).into_keys().collect();
    assert!(
        names.contains(&"rows/000000000000.jsonl.gz".to_owned()) && names.contains(&"rows/000000003241.jsonl.gz".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&"views/request.csv.gz".to_owned()));
    let verification = verify_bundle(&bundle, &trust(&log));
    assert_eq!(verification.answer, Answer::True, "{:?}", verification.faults);
    assert!(
        bundle.len() as u64 / log.size() < 300,
        "{} bytes an entry",
        bundle.len() as u64 / log.size()
    );
}

#[test]
fn cells_of_a_view_start_no_formula() {
    let (log, _) = Log::story();
    let bundle = Export::all(&log).write(&log);
    let requests = String::from_utf8(take_apart(&bundle)["views/request.csv"].to_vec()).unwrap();
    assert!(requests.contains("\"'=cmd|'/c calc'!A1\""), "{requests}");
}

/// The line of a row of which only the header is shown.
fn header_only(log: &Log, index: u64) -> String {
    let leaf = Leaf::parse(&log.leaves[index as usize]).unwrap();
    canonical(&json!({"h": leaf.header_text, "r": crate::encode::b64(&leaf.body_root)})).unwrap()
}

fn replace_row(bundle: &[u8], log: &Log, index: u64, change: impl Fn(&str) -> String) -> Vec<u8> {
    rewrite(bundle, log, |members| {
        let rows = members.get_mut("rows/000000000000.jsonl").unwrap();
        let text = String::from_utf8(rows.clone()).unwrap();
        let lines = text
            .lines()
            .enumerate()
            .map(|(at, line)| if at as u64 == index { change(line) } else { line.to_owned() });
        *rows = lines.map(|line| line + "\n").collect::<String>().into_bytes();
    })
}
