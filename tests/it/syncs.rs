//! What a commit costs: one sync of the journal, however many entries it holds.

use std::process::Command;
use std::time::Duration;

use crate::support::process::Running;
use crate::support::{Api, Setup, World, poll};

/// A number of `/metrics`.
fn metric(api: &Api, name: &str) -> u64 {
    let text = api.raw("GET", "/metrics", None, &[]).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[test]
fn every_commit_is_exactly_one_sync_of_the_journal() {
    let mut setup = Setup::standard();
    setup.wrapper = super::disk::traceable();
    let world = World::with(setup);
    let readers: Vec<Api> = (0..8).map(|_| world.api("anna")).collect();
    let api = world.anonymous();
    let read = |api: &Api| assert_eq!(api.get("/v1/audit/entries?limit=1").status, 200);
    // What a reader's first entry of the month needs, e.g. a data key, is not the journal's.
    readers.iter().for_each(read);

    let pid = world.broker().pid().to_string();
    let mut strace = Running::start(
        Command::new("strace").args(["-f", "-y", "-p", &pid, "-e", "trace=fsync,fdatasync"]),
        &world.path().join("strace.log"),
    );
    poll("strace to attach", Duration::from_secs(20), || {
        assert!(strace.ended().is_none(), "{}", strace.log_text());
        strace.log_text().contains("attached").then_some(())
    });
    let before = (metric(&api, COMMITS), metric(&api, ENTRIES));
    // One after the other, each is a commit of its own; all at once, whoever waits for a sync shares the next.
    for _ in 0..20 {
        read(&readers[0]);
    }
    assert_eq!(metric(&api, COMMITS) - before.0, 20);
    std::thread::scope(|scope| {
        for reader in &readers {
            scope.spawn(move || (0..20).for_each(|_| read(reader)));
        }
    });
    let (commits, entries) = (metric(&api, COMMITS) - before.0, metric(&api, ENTRIES) - before.1);
    strace.terminate();
    let log = std::fs::read_to_string(world.path().join("strace.log")).unwrap();
    let syncs = log
        .lines()
        .filter(|line| (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains("-wal>"))
        .count();
    assert_eq!(entries, 20 + 8 * 20);
    assert!((21..=entries).contains(&commits), "{commits} commits of {entries} entries");
    assert_eq!(syncs as u64, commits, "{log}");
}

const COMMITS: &str = "chunk_broker_log_commits_total";
const ENTRIES: &str = "chunk_broker_log_entries";
