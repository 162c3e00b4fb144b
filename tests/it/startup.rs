//! The program that people type is small and links no query engine. How fast it starts is measured by `tests/bench/run`.

use std::process::Command;

use crate::support::servers;

/// Words that the engine leaves in every program that links it, in the paths of its panics if nowhere else. Of the Parquet library, which
/// `chunkctl` writes tables with, it is the part that works with arrow.
const ENGINE: [&str; 4] = ["datafusion", "arrow-array", "sqlparser", "src/arrow/record_reader"];

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[test]
fn chunkctl_links_no_query_engine() {
    let program = std::fs::read(servers::program("chunkctl")).unwrap();
    for word in ENGINE {
        assert!(!contains(&program, word), "chunkctl holds `{word}`");
    }
    // The same search finds the engine where it is, so it would find it here.
    let broker = std::fs::read(servers::program("chunk-broker")).unwrap();
    for word in ENGINE {
        assert!(
            contains(&broker, word),
            "the broker does not hold `{word}`, so this test shows nothing"
        );
    }
    assert!(program.len() < 40 << 20, "chunkctl has {} MiB", program.len() >> 20);
    assert!(
        program.len() * 3 < broker.len(),
        "chunkctl has {} MiB, the broker {}",
        program.len() >> 20,
        broker.len() >> 20
    );
}

#[test]
fn both_programs_say_their_version_and_touch_nothing() {
    let home = tempfile::tempdir().unwrap();
    for name in ["chunkctl", "chunk-broker"] {
        let output = Command::new(servers::program(name))
            .arg("--version")
            .env_clear()
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(name) && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
    assert_eq!(
        std::fs::read_dir(home.path()).unwrap().count(),
        0,
        "`--version` left something behind"
    );
}
