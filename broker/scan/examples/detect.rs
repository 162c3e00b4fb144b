//! Finds what `scan` finds: reads a JSON string a line, writes a JSON list of `[start, end, label]` a line, in characters.
//!
//! `cargo run --release --locked -p chunk-scan --example detect < texts.ndjson`
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on must end and say where")]

use std::io::{BufRead as _, Write as _, stdin, stdout};

use chunk_scan::detect;

fn main() {
    let mut out = std::io::BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let text: String = serde_json::from_str(&line.unwrap()).unwrap();
        let place = |byte: usize| text.get(..byte).map_or(0, |before| before.chars().count());
        let hits: Vec<_> = detect::find(&text)
            .into_iter()
            .map(|hit| (place(hit.start), place(hit.end), hit.kind.label()))
            .collect();
        writeln!(out, "{}", serde_json::to_string(&hits).unwrap()).unwrap();
    }
}
