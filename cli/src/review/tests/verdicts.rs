use chunk_wire::fetch::RequestState;
use chunk_wire::review::Verdict;

use super::Desk;
use crate::error::Failure;
use crate::review::model::{Mode, Tab};
use crate::review::samples::{Sample, me, person};
use crate::review::update::{Effect, Event};

/// Requests and verdicts that are sent, with the digest that each is over.
fn sent(effects: &[Effect]) -> Vec<(u64, Verdict, String, String)> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send { on, verdict, reason } => Some((on.view().index, *verdict, on.view().digest.clone(), reason.to_string())),
        _ => None,
    });
    sent.collect()
}

fn quits(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Quit))
}

fn two() -> Desk {
    Desk::with(80, 24, vec![Sample::new(2).view(), Sample::new(1).view()])
}

#[test]
fn a_verdict_is_sent_only_after_it_could_be_taken_back() {
    let mut desk = two();
    desk.press("a");
    desk.types("  looked at it  ");
    assert!(desk.press("Enter").is_empty());
    assert!(sent(&desk.later(4_999)).is_empty());
    let sent = sent(&desk.later(1));
    assert_eq!(
        sent,
        [(2, Verdict::Approve, Sample::new(2).view().digest, "looked at it".to_owned())],
        "over the digest that was shown"
    );
    assert!(desk.later(60_000).is_empty(), "once");
}

#[test]
fn undo_takes_back_the_newest_and_says_that_nothing_was_signed() {
    let mut desk = two();
    desk.press("a");
    desk.types("yes");
    desk.press("Enter Down r");
    desk.types("no");
    desk.press("Enter u");
    assert!(
        desk.screen().contains("approval of req_0000000000000002 is signed in 5 s"),
        "{}",
        desk.screen()
    );
    desk.press("u");
    assert!(desk.screen().contains("Nothing was signed."), "{}", desk.screen());
    assert!(desk.later(60_000).is_empty());
    desk.press("u");
    assert!(desk.screen().contains("nothing to take back"), "{}", desk.screen());
}

#[test]
fn a_verdict_needs_a_reason() {
    let mut desk = two();
    desk.press("r Enter");
    desk.types("   ");
    desk.press("Enter");
    assert!(desk.screen().contains("A verdict needs a reason."), "{}", desk.screen());
    assert!(matches!(desk.model.mode, Mode::Judging(_)));
    desk.press("Esc");
    assert!(desk.later(60_000).is_empty());
}

#[test]
fn letters_of_a_reason_are_no_commands() {
    let mut desk = two();
    desk.press("r");
    desk.types("quarrel ?/*Ru");
    desk.press("Enter");
    assert_eq!(sent(&desk.later(5_000))[0].3, "quarrel ?/*Ru");
}

#[test]
fn marked_ones_are_rejected_together_for_one_reason() {
    let mut desk = Desk::with(80, 24, (1..=5).rev().map(|index| Sample::new(index).view()).collect());
    desk.press("Space Down Space R");
    assert!(desk.screen().contains("Reject 2 requests"), "{}", desk.screen());
    desk.types("not in November");
    desk.press("Enter");
    let mut rejected: Vec<_> = sent(&desk.later(5_000))
        .into_iter()
        .map(|(index, verdict, ..)| (index, verdict))
        .collect();
    rejected.sort_unstable_by_key(|(index, _)| *index);
    assert_eq!(rejected, [(3, Verdict::Reject), (5, Verdict::Reject)]);
    assert!(desk.model.marked.is_empty());
    desk.press("*");
    assert_eq!(desk.model.marked.len(), 5);
    desk.press("*");
    assert!(desk.model.marked.is_empty());
    desk.press("R");
    assert!(desk.screen().contains("Nothing is marked"), "{}", desk.screen());
}

#[test]
fn quitting_drops_what_counts_down_with_a_word() {
    for key in ["q", "Ctrl-C"] {
        let mut desk = two();
        desk.press("a");
        desk.types("yes");
        desk.press("Enter");
        let effects = desk.press(key);
        assert!(quits(&effects) && sent(&effects).is_empty(), "{key}: {effects:?}");
        assert_eq!(
            desk.model.deeds,
            ["The approval of req_0000000000000002 was not sent: it still counted down. Nothing was signed."]
        );
        assert!(sent(&desk.later(60_000)).is_empty());
    }
}

#[test]
fn quitting_waits_for_the_answer_to_what_is_signed_but_not_for_ever() {
    let begun = || {
        let mut desk = two();
        desk.press("a");
        desk.types("yes");
        desk.press("Enter");
        assert_eq!(sent(&desk.later(5_000)).len(), 1);
        assert!(!quits(&desk.press("q")));
        desk
    };
    let mut answered = begun();
    let after = Sample::new(2).reviewed_by(&me()).in_state(RequestState::Approved).view();
    let effects = answered.happens(Event::Answered {
        id: after.id.clone(),
        verdict: Verdict::Approve,
        answer: Box::new(Ok(after)),
    });
    assert!(quits(&effects));
    assert_eq!(answered.model.deeds.len(), 1);
    assert!(quits(&begun().press("q")), "asked twice");
    let mut silent = begun();
    assert!(!quits(&silent.later(4_000)));
    assert!(quits(&silent.later(1_000)));
    silent.model.drop_sending();
    assert!(silent.model.deeds[0].contains("chunkctl request show"), "{:?}", silent.model.deeds);
}

#[test]
fn a_refused_verdict_says_why_and_the_request_still_waits() {
    let mut desk = two();
    desk.press("a");
    desk.types("yes");
    desk.press("Enter");
    desk.later(5_000);
    let id = Sample::new(2).view().id;
    desk.happens(Event::Answered {
        id,
        verdict: Verdict::Approve,
        answer: Box::new(Err(
            Failure::no("review_refused", "the review was refused").why("No policy permits you.")
        )),
    });
    assert!(desk.screen().contains("did not count"), "{}", desk.screen());
    assert_eq!(desk.model.pane(Tab::Inbox).shown, [2, 1]);
    assert!(desk.model.begun(&Sample::new(2).view().id).is_none());
}

#[test]
fn what_somebody_else_decides_meanwhile_is_not_signed() {
    let mut desk = two();
    desk.press("a");
    desk.types("yes");
    desk.press("Enter");
    let other = person("sam", "Sam Second");
    desk.happens(Event::Request(Box::new(
        Sample::new(2).reviewed_by(&other).in_state(RequestState::Rejected).view(),
    )));
    assert!(sent(&desk.later(60_000)).is_empty());
    assert!(
        desk.model.deeds[0].contains("rejected by Sam Second meanwhile"),
        "{:?}",
        desk.model.deeds
    );
}

#[test]
fn another_document_under_the_same_id_is_never_taken() {
    let mut desk = two();
    desk.press("a");
    desk.types("yes");
    desk.press("Enter");
    let mut swapped = Sample::new(2).because("something else").view();
    desk.happens(Event::Request(Box::new(swapped.clone())));
    assert!(desk.screen().contains("churn model"), "{}", desk.screen());
    assert_eq!(sent(&desk.later(5_000))[0].2, Sample::new(2).view().digest);
    // Nor one that is not what its digest says.
    swapped = Sample::new(9).view();
    swapped.document = swapped.document.replace("churn", "other");
    desk.happens(Event::Request(Box::new(swapped)));
    desk.press("Home a");
    assert!(desk.screen().contains("cannot be judged"), "{}", desk.screen());
    assert!(matches!(desk.model.mode, Mode::Listing));
}

#[test]
fn an_emergency_stands_first_until_it_is_judged() {
    let done = || Sample::new(1).in_state(RequestState::Completed);
    let mut desk = Desk::with(80, 24, vec![done().in_an_emergency(true).view(), Sample::new(2).view()]);
    assert!(desk.screen().contains("emergency: "), "{}", desk.screen());
    assert_eq!(desk.model.pane(Tab::Inbox).shown, [1, 2]);
    assert!(
        desk.screen().contains("nobody approved beforehand; not reviewed yet"),
        "{}",
        desk.screen()
    );
    desk.press("Home a");
    desk.types("the incident was real");
    desk.press("Enter");
    assert_eq!(sent(&desk.later(5_000))[0].0, 1);
    let after = done().in_an_emergency(false).reviewed_by(&me()).view();
    let id = after.id.clone();
    let answer = Box::new(Ok(after));
    desk.happens(Event::Answered {
        id,
        verdict: Verdict::Approve,
        answer,
    });
    assert!(desk.screen().contains("it was an emergency"), "{}", desk.screen());
    assert_eq!(desk.model.pane(Tab::Inbox).shown, [2]);
    assert_eq!(desk.model.pane(Tab::History).shown, [1]);
}

#[test]
fn ones_own_and_decided_ones_cannot_be_judged() {
    let mut desk = two();
    desk.happens(Event::History(Ok(vec![Sample::new(8).by(&me()).view()])));
    desk.press("Tab a");
    assert!(desk.screen().contains("your own"), "{}", desk.screen());
    desk.press("Tab a");
    desk.types("yes");
    desk.press("Enter r");
    assert!(desk.screen().contains("has your verdict already"), "{}", desk.screen());
}
