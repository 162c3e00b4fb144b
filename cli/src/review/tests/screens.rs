use chunk_wire::fetch::RequestState;
use ratatui::crossterm::event::{MouseButton, MouseEventKind};

use super::Desk;
use crate::error::Failure;
use crate::review::model::{Mode, Tab};
use crate::review::samples::{NOW_MS, Sample, me, person};
use crate::review::update::Event;

fn few() -> Vec<chunk_wire::fetch::RequestView> {
    vec![
        Sample::new(7)
            .sql("select o.order_id, o.total, c.email\nfrom orders o join customers c on c.id = o.customer_id\nwhere o.placed_at >= date '2026-11-01'\norder by o.total desc")
            .because("the invoice run of 23 November doubled some orders; finance needs the list before noon")
            .by(&person("eve", "Eve Engineer"))
            .view(),
        Sample::new(5).view(),
        Sample::new(3).by(&person("zoe", "Zoë Müller-Lüdenscheidt")).because("Ticket from support").view(),
    ]
}

fn decided() -> Event {
    Event::History(Ok(vec![
        Sample::new(2).reviewed_by(&me()).in_state(RequestState::Completed).view(),
        Sample::new(1).in_state(RequestState::Rejected).view(),
    ]))
}

#[test]
fn every_size_shows_who_what_how_much_and_why() {
    for (columns, rows) in [(80, 24), (120, 40), (60, 20)] {
        let mut desk = Desk::with(columns, rows, few());
        desk.happens(decided());
        insta::assert_snapshot!(format!("inbox_{columns}x{rows}"), desk.screen());
        desk.press("Down Enter");
        insta::assert_snapshot!(format!("reading_{columns}x{rows}"), desk.screen());
        desk.press("a");
        desk.types("the ticket says so, and the columns are masked");
        insta::assert_snapshot!(format!("reason_{columns}x{rows}"), desk.screen());
        desk.press("Enter");
        insta::assert_snapshot!(format!("counting_down_{columns}x{rows}"), desk.screen());
        desk.press("u Esc Tab");
        insta::assert_snapshot!(format!("history_{columns}x{rows}"), desk.screen());
        desk.press("?");
        insta::assert_snapshot!(format!("keys_{columns}x{rows}"), desk.screen());
    }
}

#[test]
fn an_empty_inbox_says_that_it_is_live() {
    let mut desk = Desk::new(60, 20);
    assert!(desk.screen().contains("Asking the broker"), "{}", desk.screen());
    desk.happens(Event::List);
    desk.happens(Event::Listed(0));
    insta::assert_snapshot!(desk.screen());
    desk.happens(Event::Lost(Failure::cannot_tell("unreachable", "x").why("connection refused")));
    assert!(desk.screen().contains("not connected"), "{}", desk.screen());
    assert!(desk.screen().contains("connection refused"), "{}", desk.screen());
}

#[test]
fn no_size_is_too_small_to_draw() {
    for columns in [0, 1, 2, 7, 20, 59, 69, 70, 99, 100, 300] {
        for rows in [0, 1, 2, 3, 4, 5, 10, 21, 22, 100] {
            let mut desk = Desk::with(columns, rows, few());
            for keys in ["Enter", "Down", "PgDn", "a", "Esc", "/", "Enter", "?", "Esc", "Tab", "End"] {
                desk.press(keys);
                desk.draw();
            }
        }
    }
}

#[test]
fn a_filter_narrows_as_it_is_typed_and_escape_drops_it() {
    let mut desk = Desk::with(80, 24, few());
    desk.press("/");
    desk.types("by:engineer");
    insta::assert_snapshot!(desk.screen());
    assert_eq!(desk.model.pane(Tab::Inbox).shown.len(), 1);
    desk.press("Enter");
    assert_eq!(desk.model.pane(Tab::Inbox).shown.len(), 1);
    desk.press("Esc");
    desk.draw();
    assert_eq!(desk.model.pane(Tab::Inbox).shown.len(), 3);
}

#[test]
fn the_cursor_stays_on_its_request_while_others_come_and_go() {
    let mut desk = Desk::with(80, 24, few());
    desk.press("Down");
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(5));
    for index in 8..40 {
        desk.happens(Event::Request(Box::new(Sample::new(index).view())));
    }
    desk.draw();
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(5));
    // Somebody else decides: the one in its place is next.
    desk.happens(Event::Request(Box::new(Sample::new(5).in_state(RequestState::Approved).view())));
    desk.draw();
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(3));
    assert_eq!(desk.model.pane(Tab::History).shown, [5]);
}

#[test]
fn what_is_not_told_again_after_a_break_waits_no_longer() {
    let mut desk = Desk::with(80, 24, few());
    desk.draw();
    desk.happens(Event::Lost(Failure::cannot_tell("cut", "the broker's answer was cut")));
    desk.happens(Event::List);
    desk.happens(Event::Request(Box::new(Sample::new(5).view())));
    assert_eq!(
        desk.model.pane(Tab::Inbox).shown.len(),
        3,
        "nothing vanishes while the list is told"
    );
    desk.happens(Event::Listed(0));
    desk.draw();
    assert_eq!(desk.model.pane(Tab::Inbox).shown, [5]);
    assert!(desk.screen().contains("The broker is heard again."), "{}", desk.screen());
}

#[test]
fn older_ones_that_the_broker_left_out_are_said_to_be() {
    let mut desk = Desk::with(80, 24, few());
    desk.happens(Event::List);
    desk.happens(Event::Request(Box::new(few().remove(0))));
    desk.happens(Event::Listed(2));
    desk.draw();
    assert_eq!(
        desk.model.pane(Tab::Inbox).shown,
        [7, 5, 3],
        "older than the oldest told may have been left out"
    );
    assert!(desk.screen().contains("2 older ones are not shown."), "{}", desk.screen());
}

#[test]
fn the_mouse_selects_opens_scrolls_and_changes_tabs() {
    let mut desk = Desk::with(80, 24, few());
    desk.draw();
    let click = MouseEventKind::Down(MouseButton::Left);
    desk.mouse(click, 10, 3);
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(5));
    assert!(matches!(desk.model.mode, Mode::Listing));
    desk.mouse(click, 10, 3);
    assert!(matches!(desk.model.mode, Mode::Reading));
    desk.mouse(MouseEventKind::ScrollDown, 10, 15);
    assert!(desk.model.detail_top > 0);
    desk.mouse(MouseEventKind::ScrollUp, 10, 3);
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(7));
    desk.mouse(click, 32, 0);
    assert_eq!(desk.model.tab, Tab::History);
    desk.mouse(click, 79, 23);
    assert_eq!(desk.model.tab, Tab::History);
}

#[test]
fn ten_thousand_requests_are_listed_walked_through_and_narrowed() {
    let views: Vec<_> = (1..=10_000).rev().map(|index| Sample::new(index).view()).collect();
    let mut desk = Desk::with(120, 40, views);
    assert!(desk.screen().contains("Inbox 10,000"), "{}", desk.screen());
    for _ in 0..100 {
        desk.press("Down");
        desk.draw();
    }
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(9_900));
    desk.press("End");
    desk.draw();
    assert_eq!(desk.model.pane(Tab::Inbox).selected, Some(1));
    desk.press("/");
    desk.types("req_0000000000004711");
    assert!(desk.screen().contains("1 of 10,000"), "{}", desk.screen());
}

#[test]
fn ages_follow_the_clock() {
    let mut desk = Desk::with(80, 24, vec![Sample::new(1).view()]);
    assert!(desk.screen().contains("3m"), "{}", desk.screen());
    desk.happens(Event::Tick(NOW_MS + 7_200_000));
    assert!(desk.screen().contains("2h"), "{}", desk.screen());
}
