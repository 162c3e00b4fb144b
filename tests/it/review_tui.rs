//! The reviewer's inbox at a real terminal, with a real broker behind it.

use std::process::Stdio;
use std::time::Duration;

use chunk_wire::fetch::{Format, RequestState, RequestView};

use crate::support::api::slice;
use crate::support::process::{code, signal};
use crate::support::terminal::Terminal;
use crate::support::{Person, World, poll};

const ENTER: &str = "\r";
const ESC: &str = "\u{1b}";

fn review(person: &Person, arguments: &[&str]) -> Terminal {
    let mut command = person.command();
    command.arg("review").args(arguments);
    Terminal::run(&command, 80, 24)
}

#[test]
fn a_request_appears_is_approved_by_keys_and_the_waiting_fetch_goes_through() {
    let world = World::new();
    let (dana, rita) = (world.signed_in("dana"), world.signed_in("rita"));
    let mut terminal = review(&rita, &["--undo", "2"]);
    terminal.shows("● live");
    terminal.shows("Nothing waits for you.");

    let fetch = dana
        .command()
        .args([
            "fetch",
            "people",
            "--limit",
            "10",
            "--reason",
            "churn model",
            "--ticket",
            "T-7",
            "-o",
            "people.csv",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody pressed a key: it came by itself, and one screen says who, what and why.
    let screen = terminal.shows("churn model");
    for words in ["Inbox 1", "dana", "all columns of people", "T-7", "limit 10"] {
        assert!(screen.contains(words), "{words}:\n{screen}");
    }
    terminal.types("a");
    terminal.shows("Why? The requester and auditors read it.");
    terminal.types("the ticket says so");
    terminal.shows("the ticket says so");
    terminal.types(ENTER);
    terminal.shows("u takes it back");
    terminal.shows("it is now approved");
    let output = fetch.wait_with_output().unwrap();
    assert_eq!(code(output.status), 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_to_string(dana.dir().join("people.csv")).unwrap().lines().count(), 11);

    // What was decided stands in the history, and becomes what it becomes there.
    terminal.shows("Inbox 0");
    terminal.types("\t");
    terminal.shows("completed");
    terminal.types("q");
    let (exit, screen, given_back) = terminal.ends();
    assert_eq!(exit, 0, "{screen}");
    assert!(given_back, "the terminal was not given back");
    assert!(screen.contains("Approved req_"), "{screen}");

    // The log has the verdict with its reason, under the reviewer's own signature.
    let entries = world.api("anna").entries();
    let review = entries.iter().find(|entry| entry.header["k"] == "review.approve").unwrap();
    assert_eq!(review.body["why"]["reason"], "the ticket says so");
}

#[test]
fn what_is_taken_back_or_left_counting_is_never_sent() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.signed_in("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    let mut terminal = review(&rita, &["--undo", "60"]);
    terminal.shows("Inbox 1");
    terminal.types(&format!("rno{ENTER}"));
    terminal.shows("u takes it back");
    terminal.types("u");
    terminal.shows("Nothing was signed.");
    terminal.types(&format!("ayes{ENTER}"));
    terminal.shows("u takes it back");
    terminal.types("q");
    let (exit, screen, given_back) = terminal.ends();
    assert_eq!((exit, given_back), (0, true), "{screen}");
    assert!(screen.contains("was not sent"), "{screen}");
    let after = dana.show(&request);
    assert_eq!((after.state, after.reviews.len()), (RequestState::Pending, 0));
}

#[test]
fn the_terminal_is_given_back_however_the_review_ends() {
    let world = World::new();
    let rita = world.signed_in("rita");
    for (how, exit) in [("TERM", 2), ("INT", 2), ("HUP", 2)] {
        let terminal = review(&rita, &[]);
        terminal.shows("● live");
        signal(terminal.pid(), how);
        let (ended, screen, given_back) = terminal.ends();
        assert_eq!(ended, exit, "SIG{how}: {screen}");
        assert!(given_back, "SIG{how}: the terminal was not given back");
        assert!(screen.contains("ended from outside"), "SIG{how}: {screen}");
    }
    // Stopped and brought back.
    let mut terminal = review(&rita, &[]);
    terminal.shows("● live");
    signal(terminal.pid(), "TSTP");
    terminal.hides("● live");
    assert!(terminal.is_given_back(), "the shell gets the terminal as it was");
    signal(terminal.pid(), "CONT");
    terminal.shows("● live");
    terminal.types("q");
    assert_eq!(terminal.ends().0, 0);
    // A session that ends takes the review with it.
    let terminal = review(&rita, &[]);
    terminal.shows("● live");
    rita.run(&["logout"]).exits(0);
    let (ended, screen, given_back) = terminal.ends();
    assert_eq!((ended, given_back), (4, true), "{screen}");
    assert!(screen.contains("chunkctl login"), "{screen}");
}

#[test]
fn a_broker_that_restarts_is_joined_again() {
    let mut world = World::new();
    let rita = world.signed_in("rita");
    let mut terminal = review(&rita, &[]);
    terminal.shows("● live");
    assert_eq!(world.stop(), 0);
    terminal.shows("not connected");
    world.start();
    terminal.shows("● live");
    world.api("dana").request(&slice("people", None, Some(10)), Format::Csv);
    terminal.shows("Inbox 1");
    terminal.types("q");
    assert_eq!(terminal.ends().0, 0);
}

#[test]
fn nobody_is_shown_what_they_may_not_review() {
    let world = World::new();
    let sam = world.signed_in("sam");
    // Sam may review, but not this: it is Sam's own.
    sam.run(&["fetch", "people", "--limit", "5", "--reason", "mine", "--no-wait"])
        .exits(5);
    let mut terminal = review(&sam, &[]);
    terminal.shows("● live");
    terminal.shows("Nothing waits for you.");
    // Drew may not review anything.
    let drew = world.signed_in("drew");
    let other = review(&drew, &[]);
    other.shows("Nothing waits for you.");
    let request = world.api("dana").request(&slice("people", None, Some(10)), Format::Csv);
    terminal.shows("Inbox 1");
    assert!(other.screen().contains("Inbox 0"), "{}", other.screen());
    // An empty filter and back, to see that keys arrive.
    terminal.types(&format!("/nothing{ENTER}"));
    terminal.shows("Nothing matches the filter");
    terminal.types(ESC);
    terminal.shows(request.id.as_str());
    for mut terminal in [terminal, other] {
        terminal.types("q");
        assert_eq!(terminal.ends().0, 0);
    }
}

#[test]
fn without_a_terminal_it_says_which_commands_do_the_same() {
    let world = World::new();
    let rita = world.signed_in("rita");
    let refused = rita.run(&["review"]).exits(3);
    for command in [
        "chunkctl requests --pending",
        "chunkctl approve ID --reason TEXT",
        "chunkctl review --plain",
    ] {
        assert!(refused.stderr.contains(command), "{command}: {}", refused.stderr);
    }
    assert_eq!(refused.stdout, "");
    rita.json(&["review"]).exits(3);
}

#[test]
fn line_by_line_a_request_is_read_and_rejected() {
    use std::io::Write as _;
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.signed_in("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    let out = rita.dir().join("said");
    let mut child = rita
        .command()
        .args(["review", "--plain", "--undo", "1"])
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&out).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = |words: &str| {
        poll(words, Duration::from_secs(30), || {
            let said = std::fs::read_to_string(&out).unwrap();
            said.contains(words).then_some(said)
        })
    };
    let mut stdin = child.stdin.take().unwrap();
    said("1 request waiting for you.");
    stdin.write_all(b"show 1\n").unwrap();
    said(&request.digest);
    stdin.write_all(b"reject 1\n").unwrap();
    said("Why?");
    stdin.write_all(b"not in November\n").unwrap();
    let said = said("it is now rejected");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    stdin.write_all(b"quit\n").unwrap();
    assert_eq!(code(child.wait().unwrap()), 0);
    let after: RequestView = dana.show(&request);
    assert_eq!(
        (after.state, after.reviews[0].reason.as_str()),
        (RequestState::Rejected, "not in November")
    );
}
