#![expect(clippy::unwrap_used, reason = "tests")]
use chunk_evidence::leaf::Kind;

use super::*;
use crate::testing::World;

fn observed(kind: AnchorKind, size: u64, time_ms: i64) -> Observed {
    Observed {
        kind,
        size,
        root: [7; 32],
        sha256: "ab".repeat(32),
        time_ms,
    }
}

const NOW_MS: i64 = 1_790_000_000_000;

/// A state in which something other than anchors was recorded up to this index.
fn state(others: u64) -> State {
    let mut state = State::default();
    for _ in 0..others {
        state.apply(&other(), NOW_MS);
    }
    state
}

fn other() -> Event {
    Event::Stop { instance: "i".into() }
}

#[test]
fn a_stamp_is_told_of_once_and_the_log_never_grows_by_itself() {
    let mut state = state(5);
    let stamp = observed(AnchorKind::Rfc3161, 5, NOW_MS);
    assert_eq!(decide(&state, NOW_MS, std::slice::from_ref(&stamp)), [Event::Anchor(stamp.clone())]);
    state.apply(&Event::Anchor(stamp.clone()), NOW_MS);
    let hour_ms = 60 * 60 * 1000;
    assert_eq!(decide(&state, NOW_MS + hour_ms, &[stamp]), []);
    // Nothing but the anchor is new: however much others say of it, nothing is added.
    let of_the_anchor = observed(AnchorKind::Rfc3161, 6, NOW_MS + hour_ms);
    let cosigned = observed(AnchorKind::Witness, 6, NOW_MS + hour_ms);
    assert_eq!(decide(&state, NOW_MS + hour_ms, &[of_the_anchor.clone(), cosigned.clone()]), []);
    state.apply(&other(), NOW_MS + hour_ms);
    let both = decide(&state, NOW_MS + hour_ms, &[of_the_anchor.clone(), cosigned.clone()]);
    assert_eq!(both, [Event::Anchor(of_the_anchor), Event::Anchor(cosigned)]);
}

#[test]
fn between_one_and_the_next_are_five_minutes() {
    let mut state = state(5);
    state.apply(&Event::Anchor(observed(AnchorKind::Rfc3161, 5, NOW_MS)), NOW_MS);
    state.apply(&other(), NOW_MS + 1);
    let next = observed(AnchorKind::Rfc3161, 7, NOW_MS + 10);
    assert_eq!(decide(&state, NOW_MS + BETWEEN_MS - 1, std::slice::from_ref(&next)), []);
    assert_eq!(decide(&state, NOW_MS + BETWEEN_MS, std::slice::from_ref(&next)).len(), 1);
}

#[test]
fn what_is_dated_in_the_future_is_not_told_of_yet() {
    let state = state(5);
    let ahead = observed(AnchorKind::Witness, 5, NOW_MS + TOLERANCE_MS + 1);
    assert_eq!(decide(&state, NOW_MS, std::slice::from_ref(&ahead)), []);
    assert_eq!(decide(&state, NOW_MS + 1, &[ahead]).len(), 1);
}

#[tokio::test]
async fn an_entry_that_tells_of_a_stamp_reads_back() {
    let world = World::new().await;
    let stamp = observed(AnchorKind::Rfc3161, 2, NOW_MS);
    let event = Event::Anchor(stamp.clone());
    let recorded = world.broker.log.commit(Urgency::Normal, {
        let event = event.clone();
        move |_, _| Ok(vec![event])
    });
    let index = recorded.await.unwrap().events.start;
    let entry = world.broker.log.read_one(index).await.unwrap();
    assert_eq!((entry.leaf.header.kind, entry.event()), (Kind::AnchorObserve, Some(event)));
    assert_eq!(world.broker.log.published().state.anchors.stamped, 2);
    let world = world.crash_and_restart().await;
    assert_eq!(world.broker.log.published().state.anchors.stamped, 2);
}
