//! Who may import whom. The rule that is broken is what the failure says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::world::repository;

/// Package → the packages of this workspace that it may import.
const MAY_IMPORT: &[(&str, &[&str], &str)] = &[
    ("chunk-evidence", &[], "says what a proof is; auditors build it alone"),
    ("chunk-wire", &["chunk-evidence"], "says what the two programs send each other"),
    (
        "chunk-log",
        &["chunk-evidence"],
        "keeps evidence and knows nothing of requests or data",
    ),
    (
        "chunk-core",
        &["chunk-evidence", "chunk-wire", "chunk-log", "chunk-port"],
        "decides; reads data only through the port",
    ),
    ("chunk-port", &["chunk-wire"], "the port between core and scan: plain data"),
    ("chunk-scan", &["chunk-port", "chunk-wire"], "reads; is handed what to read"),
    (
        "chunk-broker",
        &[
            "chunk-core",
            "chunk-port",
            "chunk-wire",
            "chunk-log",
            "chunk-scan",
            "chunk-evidence",
        ],
        "speaks, and is where the parts are put together",
    ),
    (
        "chunkctl",
        &["chunk-evidence", "chunk-wire"],
        "asks; links neither engine nor journal",
    ),
    (
        "chunk-tests",
        &["chunk-evidence", "chunk-wire"],
        "checks the two programs from outside",
    ),
];

/// Crate → the only packages that may name it.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("datafusion", &["chunk-scan"], "only chunk-scan names the engine"),
    ("arrow", &["chunk-scan"], "only chunk-scan names the engine"),
    (
        "parquet",
        &["chunk-scan", "chunkctl"],
        "only chunk-scan names the engine; chunkctl writes tables with the format's own library",
    ),
    ("object_store", &["chunk-scan"], "only chunk-scan names the engine"),
    ("tokio-postgres", &["chunk-scan"], "only chunk-scan talks to sources"),
    (
        "rusqlite",
        &["chunk-log", "chunk-scan"],
        "only chunk-log names the journal's database, and chunk-scan SQLite as a source",
    ),
    ("cedar-policy", &["chunk-core"], "only chunk-core asks Cedar"),
    ("roxmltree", &["chunk-core"], "only chunk-core reads what SAML providers say"),
    ("axum", &["chunk-broker"], "only chunk-broker speaks HTTP to callers"),
    ("axum-server", &["chunk-broker"], "only chunk-broker speaks HTTP to callers"),
    (
        "rusty-s3",
        &["chunk-broker", "chunk-scan"],
        "chunk-broker keeps a mirror in S3, and chunk-scan reads objects of it",
    ),
    ("keyring-core", &["chunkctl"], "only chunkctl keeps people's keys"),
    ("indicatif", &["chunkctl"], "only chunkctl draws on terminals"),
    ("ratatui", &["chunkctl"], "only chunkctl draws on terminals"),
];

/// Package → crates that it must not reach, however far down.
const MUST_NOT_REACH: &[(&str, &[&str], &str)] = &[
    (
        "chunk-evidence",
        &["tokio", "reqwest", "hyper", "rusqlite", "datafusion", "chrono", "jiff"],
        "no I/O, no clock, no async",
    ),
    (
        "chunkctl",
        &["datafusion", "arrow", "cedar-policy", "rusqlite", "axum", "tokio-postgres"],
        "starts in milliseconds and links no engine",
    ),
    (
        "chunk-core",
        &["datafusion", "arrow", "parquet", "axum", "tokio-postgres"],
        "is tested in milliseconds",
    ),
    (
        "chunk-tests",
        &["datafusion", "arrow", "parquet"],
        "its features would rebuild the engine",
    ),
    (
        "chunk-broker",
        &["openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"],
        "one TLS stack (rustls) and one crypto provider (ring)",
    ),
];

struct Graph {
    /// Package name → names of what it imports, without what only its tests need.
    normal: BTreeMap<String, BTreeSet<String>>,
    /// The same with what its tests and build scripts need.
    all: BTreeMap<String, BTreeSet<String>>,
}

fn graph() -> Graph {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut graph = Graph {
        normal: BTreeMap::new(),
        all: BTreeMap::new(),
    };
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let name = names[node["id"].as_str().unwrap()].to_owned();
        for dependency in node["deps"].as_array().unwrap() {
            let imported = names[dependency["pkg"].as_str().unwrap()].to_owned();
            let is_normal = dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"].is_null());
            graph.all.entry(name.clone()).or_default().insert(imported.clone());
            if is_normal {
                graph.normal.entry(name.clone()).or_default().insert(imported);
            }
        }
    }
    graph
}

#[test]
fn packages_import_only_whom_they_may() {
    let graph = graph();
    for (package, allowed, why) in MAY_IMPORT {
        let imported = graph.all.get(*package).unwrap_or_else(|| panic!("there is no package {package}"));
        for other in MAY_IMPORT
            .iter()
            .map(|(other, _, _)| *other)
            .filter(|other| imported.contains(*other))
        {
            assert!(
                allowed.contains(&other),
                "{package} imports {other}, but it {why}; it may import only {allowed:?}"
            );
        }
    }
    for name in graph.all.keys().filter(|name| name.starts_with("chunk")) {
        assert!(
            MAY_IMPORT.iter().any(|(package, _, _)| package == name) || name.starts_with("chunk_"),
            "{name} stands in no rule of this test"
        );
    }
}

#[test]
fn heavy_crates_are_named_in_one_place() {
    let graph = graph();
    for (package, _, _) in MAY_IMPORT {
        for (heavy, only, why) in ONLY_IN {
            let named = graph.all[*package].contains(*heavy);
            assert!(!named || only.contains(package), "{package} names {heavy}, but {why}");
        }
    }
}

#[test]
fn nothing_reaches_what_it_must_not() {
    let graph = graph();
    for (package, forbidden, why) in MUST_NOT_REACH {
        let mut reached = BTreeSet::new();
        let mut next = vec![(*package).to_owned()];
        while let Some(name) = next.pop() {
            for imported in graph.normal.get(&name).into_iter().flatten() {
                if reached.insert(imported.clone()) {
                    next.push(imported.clone());
                }
            }
        }
        for crate_name in *forbidden {
            assert!(!reached.contains(*crate_name), "{package} reaches {crate_name}, but it {why}");
        }
    }
}

#[test]
fn only_the_composition_root_names_the_engines_package() {
    let sources = repository().join("broker/server/src");
    let mut folders = vec![sources.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let names = std::fs::read_to_string(&path)
                .unwrap()
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains("chunk_scan"));
            let root = path == sources.join("main.rs");
            assert!(
                !names || root,
                "{} names chunk_scan; only main.rs puts the parts together",
                path.display()
            );
        }
    }
}

#[test]
fn the_tests_need_no_other_features_than_the_programs() {
    // Cargo unites features over what it builds together. If the tests asked for one more, `tests/run` would build the engine
    // a second time.
    let features = |arguments: &[&str]| -> BTreeSet<String> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["tree", "--locked", "--offline", "--prefix", "none", "-f", "{p} {f}"])
            .args(arguments)
            .current_dir(repository())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| line.trim_end_matches(" (*)").to_owned())
            .collect()
    };
    let programs = features(&["-p", "chunkctl", "-p", "chunk-broker", "-e", "normal,build"]);
    let tests = features(&["--workspace", "-e", "normal,build,dev"]);
    let crate_of = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let built: BTreeSet<String> = programs.iter().map(|line| crate_of(line)).collect();
    // The product's own packages are small; what may not be built twice is everything below them.
    let twice: Vec<&String> = tests
        .difference(&programs)
        .filter(|line| built.contains(&crate_of(line)) && !line.starts_with("chunk"))
        .collect();
    assert!(twice.is_empty(), "the tests ask for more features of: {twice:#?}");
}
