//! Measures the two programs beside their yardsticks. `tests/bench/run` starts what this needs.
//!
//! The two sides of a comparison take turns, because a machine is never the same for long; medians and ratios are reported,
//! and nothing is asserted.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement that cannot go on must end and say where"
)]

mod fetch;
mod people;
mod recorded;
mod small;
mod startup;
#[expect(dead_code, unused_imports, reason = "the stories use all of it, the measurements a part")]
#[path = "../it/support/mod.rs"]
mod support;
mod waiters;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let number = |name: &str, default: u64| -> u64 {
        let at = arguments.iter().position(|argument| argument == name);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let size = |name: &str, default: u64| usize::try_from(number(name, default)).expect("a size");
    match arguments.first().map(String::as_str) {
        Some("fetch") => fetch::measure(json, number("--rows", 5_000_000), number("--rounds", 5)),
        Some("people") => people::measure(json, size("--people", 100), number("--rounds", 3)),
        Some("recorded") => recorded::measure(json, number("--seconds", 10)),
        Some("small") => small::measure(json),
        Some("startup") => startup::measure(json, number("--rounds", 200)),
        Some("waiters") => waiters::measure(json, size("--people", 1000)),
        other => panic!("no measurement {other:?}"),
    }
}

/// What the system says of a process's memory, KiB; nothing once it has ended.
fn memory_kib(pid: u32, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(what))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The middle of what was measured.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The value below which this many of a hundred lie.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}
