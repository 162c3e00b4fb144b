//! `chunkctl demo`: the whole story on one machine, from nothing.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::servers;

#[test]
fn the_demo_ends_with_an_event_that_says_it_all() {
    let home = tempfile::Builder::new().prefix("chunkctl-it-demo.").tempdir().unwrap();
    let path = format!(
        "{}:{}",
        servers::program("chunkctl").parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new(servers::program("chunkctl"))
        .args(["demo", "--json"])
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "--- stdout\n{stdout}\n--- stderr\n{stderr}");
    let events: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(events.iter().all(|event| event["event"].is_string()), "every line is an event");
    let done = events.last().unwrap();
    assert_eq!(done["event"], "demo.done");
    assert_eq!(done["audit_verify"], "true");
    assert!(done["rows"].as_u64().unwrap() >= 1_000_000, "{done}");
    assert!(done["masked_fields"].as_u64().unwrap() >= 1, "{done}");
    assert!(done["receipt_index"].as_u64().is_some(), "{done}");
    assert!(done["bundle"].as_str().is_some_and(|bundle| !bundle.is_empty()), "{done}");
    // Nothing of it runs on.
    let ours = home.path().to_str().unwrap().as_bytes().to_vec();
    let command_lines = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    let left = command_lines
        .filter(|line| line.windows(ours.len()).any(|window| window == ours))
        .count();
    assert_eq!(left, 0, "the demo left a process behind");
}
