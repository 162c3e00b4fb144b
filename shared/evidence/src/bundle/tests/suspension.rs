//! People whom their directory suspended: what an operator could write of them, and that both verifiers refuse it.

use super::agreement::{Case, Twist, judged_alike};
use super::{Export, failed, trust};
use crate::bundle::verify_bundle;
use crate::leaf::{Header, Kind};
use crate::testing::Log;

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut case = |what, claims, twist: Twist| cases.push((what, claims, twist));
    case(
        "suspended, signed out, restored, and back",
        &[],
        Box::new(|log, ada, bob| {
            let bind = log.bind("act_ada");
            let suspend = log.suspend("act_ada", bind);
            log.close(ada);
            log.restore("act_ada", suspend);
            let ada = log.sign_in("ada", 1);
            log.deliver(&ada, &[bob]);
        }),
    );
    case(
        "suspended twice, and restored from the second",
        &[],
        Box::new(|log, ada, _| {
            let bind = log.bind("act_ada");
            log.suspend("act_ada", bind);
            let gone = log.suspend("act_ada", bind);
            log.close(ada);
            log.restore("act_ada", gone);
            log.sign_in("ada", 1);
        }),
    );
    case(
        "signs in while suspended",
        &["closure"],
        Box::new(|log, ada, _| {
            let bind = log.bind("act_ada");
            log.suspend("act_ada", bind);
            log.close(ada);
            log.sign_in("ada", 1);
        }),
    );
    case(
        "goes on asking under a session that was not closed",
        &["closure"],
        Box::new(|log, ada, _| {
            let bind = log.bind("act_ada");
            log.suspend("act_ada", bind);
            log.deny(ada);
        }),
    );
    case(
        "approves while suspended",
        &["closure"],
        Box::new(|log, ada, bob| {
            let (request, document) = log.request(ada, 1);
            let bind = log.bind("act_bob");
            log.suspend("act_bob", bind);
            log.review(bob, request, &document, "approve");
        }),
    );
    case(
        "is given a grant while suspended",
        &["closure"],
        Box::new(|log, ada, bob| {
            let (request, document) = log.request(ada, 1);
            let vote = log.review(bob, request, &document, "approve");
            let bind = log.bind("act_ada");
            log.suspend("act_ada", bind);
            log.grant(ada, request, &document, &[vote]);
        }),
    );
    case(
        "somebody else is restored in their place",
        &["closure"],
        Box::new(|log, _, _| {
            let bind = log.bind("act_ada");
            let suspend = log.suspend("act_ada", bind);
            log.restore("act_bob", suspend);
        }),
    );
    case(
        "restored from a suspension that does not hold any more",
        &["closure"],
        Box::new(|log, ada, _| {
            let bind = log.bind("act_ada");
            let first = log.suspend("act_ada", bind);
            log.close(ada);
            log.restore("act_ada", first);
            log.suspend("act_ada", bind);
            log.restore("act_ada", first);
        }),
    );
    case(
        "suspended by nobody's record",
        &["order"],
        Box::new(|log, ada, _| _ = log.suspend("act_ada", ada.open)),
    );
    case(
        "nobody is suspended",
        &["closure"],
        Box::new(|log, _, _| {
            let bind = log.bind("act_ada");
            let header = Header {
                refs: vec![bind],
                ..Header::new(Kind::PersonSuspend)
            };
            log.append(header, &crate::body::Body::new());
        }),
    );
    cases
}

#[test]
fn whoever_is_suspended_does_nothing_or_both_verifiers_refuse() {
    judged_alike("suspension", cases());
}

/// Headers tell that somebody was suspended, and what they did all the same.
#[test]
fn what_is_shown_of_a_suspension_is_enough_at_each_level() {
    let mut log = Log::new();
    log.begin();
    let ada = log.sign_in("ada", 1);
    let bind = log.bind("act_ada");
    log.suspend("act_ada", bind);
    let sound = log.size();
    log.deny(&ada);
    for level in 1..=4 {
        let judge = |to| {
            let export = Export {
                level,
                to,
                ..Export::all(&log)
            };
            failed(&verify_bundle(&export.write(&log), &trust(&log)))
        };
        assert_eq!(judge(sound), [""; 0], "level {level}");
        assert_eq!(judge(log.size()), ["closure"], "level {level}");
    }
}
