//! What is made of a bundle: every format is derived from one that verified, and foreign programs accept it.

use std::path::{Path, PathBuf};
use std::process::Command;

use chunk_wire::fetch::Format;
use chunk_wire::review::{Verdict, Withdraw};

use crate::support::api::{select, slice};
use crate::support::bundle::take_apart;
use crate::support::world::repository;
use crate::support::{Person, World, servers};

/// A log in which much happened, an auditor, and what they exported.
struct Scene {
    auditor: Person,
    _world: World,
}

/// The formats, and the file or folder each makes.
const FORMATS: [(&str, &str); 6] = [
    ("jsonl", "audit.jsonl"),
    ("csv", "audit-csv"),
    ("parquet", "audit-parquet"),
    ("ocsf", "audit.ocsf.jsonl"),
    ("oscal", "audit.oscal.json"),
    ("html", "audit.html"),
];

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let (dana, rita) = (world.api("dana"), world.api("rita"));
        for query in [
            slice("people", None, Some(10)),
            select("select id, email from people where city = 'Oslo' limit 7"),
        ] {
            let request = dana.request(&query, Format::Csv);
            rita.approve(&request);
            assert!(dana.fetch(&request).complete);
        }
        let small = dana.request(&slice("small", None, Some(3)), Format::Csv);
        assert!(dana.fetch(&small).complete);
        let rejected = dana.request(&slice("people", None, Some(5)), Format::Csv);
        rita.review(&rejected, Verdict::Reject);
        let revoked = dana.request(&slice("people", None, Some(6)), Format::Csv);
        rita.approve(&revoked);
        let reason = Withdraw {
            reason: "<b>no</b> longer \u{202e} due".into(),
        };
        assert_eq!(rita.post(&format!("/v1/requests/{}/revoke", revoked.id), &reason).status, 200);
        assert_ne!(
            world
                .api("drew")
                .plan(&slice("strict", None, Some(1)), Format::Csv, "=cmd|'/c calc'!A1")
                .status,
            500
        );
        assert_ne!(dana.plan(&slice("no_such_dataset", None, None), Format::Csv, "curious").status, 200);
        world.stop();
        world.start();
        let auditor = world.signed_in("anna");
        auditor.run(&["audit", "search", "--limit", "3"]).exits(0);
        auditor.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
        for level in ["1", "2", "3", "4"] {
            let name = format!("level-{level}.bundle");
            auditor.run(&["audit", "export", "--level", level, "-o", &name]).exits(0);
        }
        Self { auditor, _world: world }
    }

    fn convert(&self, bundle: &str, format: &str, output: &str) -> PathBuf {
        let typed = [
            "audit",
            "convert",
            bundle,
            "--format",
            format,
            "--trust",
            "trust.toml",
            "-o",
            output,
        ];
        self.auditor.run(&typed).exits(0);
        self.auditor.dir().join(output)
    }
}

/// Runs a program of the checks' own environment; what it said.
#[track_caller]
pub(crate) fn check(program: &str, arguments: &[&Path], folder: &Path) -> String {
    let checks = PathBuf::from(servers::required(
        "CHUNK_TEST_EXPORTS_CHECKS",
        "a folder with the schemas of export formats",
    ));
    let output = Command::new(checks.join("bin").join(program))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}:\n{said}");
    said
}

pub(crate) fn script(name: &str) -> PathBuf {
    repository().join("tests/exports").join(name)
}

fn snapshots() -> PathBuf {
    repository().join("shared/evidence/src/views/tests/snapshots")
}

#[test]
fn events_of_every_kind_and_level_are_what_the_ocsf_schema_allows() {
    let said = check("python", &[&script("events.py"), &snapshots()], &repository());
    assert!(said.contains(" of 38 kinds, 0 faults"), "{said}");
    let scene = Scene::new();
    for level in 1..=4 {
        let events = scene.convert(&format!("level-{level}.bundle"), "ocsf", &format!("{level}.jsonl"));
        check("python", &[&script("events.py"), &events], scene.auditor.dir().as_path());
        let lines = std::fs::read_to_string(&events).unwrap();
        assert_eq!(lines.contains("dana@people.example"), level >= 3, "level {level}");
    }
}

#[test]
fn every_query_of_a_report_gives_the_number_beside_it() {
    check("python", &[&script("queries.py"), &snapshots()], &repository());
    let scene = Scene::new();
    for level in 1..=4 {
        let bundle = format!("level-{level}.bundle");
        let report = scene.convert(&bundle, "html", &format!("{level}.html"));
        let entries = scene.convert(&bundle, "jsonl", &format!("{level}.jsonl"));
        check("python", &[&script("report.py"), &report, &entries], scene.auditor.dir().as_path());
        let html = std::fs::read_to_string(&report).unwrap();
        assert!(html.contains("Verified: every claim holds"));
        assert!(!html.contains("<b>no</b>") && !html.contains('\u{202e}'));
        assert_eq!(html.contains("not judged"), level < 4, "level {level}");
    }
}

#[test]
fn assessment_results_are_oscal_to_the_tools_that_read_it() {
    let scene = Scene::new();
    let folder = scene.auditor.dir().join("trestle");
    std::fs::create_dir(&folder).unwrap();
    check("trestle", &[Path::new("init"), Path::new("--full")], &folder);
    for level in ["1", "4"] {
        let results = scene.convert(&format!("level-{level}.bundle"), "oscal", &format!("{level}.json"));
        let name = PathBuf::from(format!("results-{level}"));
        check(
            "trestle",
            &[Path::new("import"), Path::new("-f"), &results, Path::new("-o"), &name],
            &folder,
        );
        let said = check(
            "trestle",
            &[
                Path::new("validate"),
                Path::new("-t"),
                Path::new("assessment-results"),
                Path::new("-n"),
                &name,
            ],
            &folder,
        );
        assert!(said.contains("VALID") && !said.contains("INVALID"), "{said}");
    }
}

#[test]
fn tables_and_lines_are_those_that_the_verifier_derives() {
    let scene = Scene::new();
    let lines = std::fs::read_to_string(scene.convert("level-4.bundle", "jsonl", "entries.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let indices: Vec<u64> = entries.iter().map(|entry| entry["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..entries.len() as u64).collect::<Vec<_>>());
    let folder = scene.convert("level-4.bundle", "csv", "tables");
    let population = std::fs::read_to_string(folder.join("population.csv")).unwrap();
    assert_eq!(population.matches("\r\n").count(), entries.len() + 1);
    for entry in &entries {
        let family = entry["kind"].as_str().unwrap().split('.').next().unwrap();
        let table = std::fs::read_to_string(folder.join(format!("{family}.csv"))).unwrap();
        assert!(table.contains(&format!("\r\n{},", entry["index"])), "{entry}");
        // A reason that begins like a formula is none in a table.
        assert!(!table.contains(",=cmd") && !table.contains("\"=cmd"));
    }
}

#[test]
fn the_same_bundle_gives_the_same_bytes_and_nothing_is_overwritten_unasked() {
    let scene = Scene::new();
    for (format, _) in FORMATS.iter().filter(|(format, _)| !["csv", "parquet"].contains(format)) {
        let (first, second) = (
            scene.convert("level-4.bundle", format, "first"),
            scene.convert("level-4.bundle", format, "second"),
        );
        assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap(), "{format}");
        let again = [
            "audit",
            "convert",
            "level-4.bundle",
            "--format",
            format,
            "--trust",
            "trust.toml",
            "-o",
            "first",
        ];
        scene.auditor.run(&again).exits(3);
        scene.auditor.run(&[&again[..], &["--force"]].concat()).exits(0);
        std::fs::remove_file(first).unwrap();
        std::fs::remove_file(second).unwrap();
    }
    scene.convert("level-4.bundle", "csv", "tables");
    let again = [
        "audit",
        "convert",
        "level-4.bundle",
        "--format",
        "csv",
        "--trust",
        "trust.toml",
        "-o",
        "tables",
    ];
    scene.auditor.run(&again).exits(3);
    scene.auditor.run(&[&again[..], &["--force"]].concat()).exits(3);
}

#[test]
fn an_export_in_any_format_is_verified_before_anything_is_made_of_it() {
    let scene = Scene::new();
    let auditor = &scene.auditor;
    for (format, name) in FORMATS {
        auditor.run(&["audit", "export", "--format", format]).exits(0);
        assert!(auditor.dir().join(name).exists(), "{name}");
    }
    // Another log's trust file; and one by which nobody vouches for the reviewers' keys.
    let elsewhere = World::new();
    let stranger = elsewhere.signed_in("anna");
    stranger.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    std::fs::copy(stranger.dir().join("trust.toml"), auditor.dir().join("foreign.toml")).unwrap();
    let trust = std::fs::read_to_string(auditor.dir().join("trust.toml")).unwrap();
    std::fs::write(auditor.dir().join("pinned.toml"), trust.replace("\"session\"", "\"pinned\"")).unwrap();
    for (format, _) in FORMATS {
        for (file, code) in [("foreign.toml", 1), ("pinned.toml", 2)] {
            let output = auditor.run(&["audit", "export", "--format", format, "--trust", file, "-o", "never"]);
            assert_eq!(output.code, code, "{format} {file}: {}", output.all());
            assert!(!auditor.dir().join("never").exists(), "{format} {file}");
        }
    }
}

#[test]
fn nothing_is_made_of_a_false_bundle() {
    let scene = Scene::new();
    let (auditor, good) = (&scene.auditor, std::fs::read(scene.auditor.dir().join("level-4.bundle")).unwrap());
    let members = take_apart(&good);
    assert!(members.len() > 8);
    for position in [600, good.len() / 3, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[position] ^= 1;
        std::fs::write(auditor.dir().join("changed.bundle"), &bytes).unwrap();
        let mut refused = vec![vec!["audit", "sample", "changed.bundle", "--population", "fetches", "--seed", "s"]];
        refused.extend(
            FORMATS
                .iter()
                .map(|(format, _)| vec!["audit", "convert", "changed.bundle", "--format", format]),
        );
        for typed in refused {
            let output = auditor.run(&[&typed[..], &["--trust", "trust.toml", "-o", "never"]].concat());
            assert_eq!(output.code, 1, "{typed:?} at byte {position}: {}", output.all());
            assert!(output.stderr.contains("nothing is made of it"), "{}", output.all());
            let left: Vec<_> = std::fs::read_dir(auditor.dir())
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            let rests = |name: &std::ffi::OsString| name == "never" || name.to_string_lossy().ends_with(".part");
            assert!(!left.iter().any(rests), "{typed:?}: {left:?}");
        }
    }
}

#[test]
fn a_sample_is_drawn_again_by_a_program_that_shares_no_code() {
    let scene = Scene::new();
    let guide = std::fs::read_to_string(repository().join("docs/guides/audit.md")).unwrap();
    let code = guide.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let again = scene.auditor.dir().join("again.py");
    std::fs::write(&again, code).unwrap();
    for level in ["1", "3", "4"] {
        let bundle = format!("level-{level}.bundle");
        for (population, kinds) in [
            ("fetches", "fetch.intent"),
            ("sessions", "session.open"),
            ("requests", "request.create,request.deny"),
            ("reviews", "review.approve,review.reject"),
        ] {
            let typed = [
                "audit",
                "sample",
                &bundle,
                "--population",
                population,
                "--sample",
                "2",
                "--seed",
                "Q4 2026 äöü",
            ];
            let output = scene
                .auditor
                .json(&[&typed[..], &["--trust", "trust.toml", "-o", "sheet.csv", "--force"]].concat())
                .exits(0);
            let drawn = output.event("audit.sampled");
            let said = Command::new(servers::required("CHUNK_TEST_PYTHON", "a Python"))
                .arg(&again)
                .args([bundle.as_str(), kinds, "Q4 2026 äöü", "2"])
                .current_dir(scene.auditor.dir())
                .output()
                .unwrap();
            let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
            let expected = format!("{} {} {}\n", drawn["count"], drawn["digest"].as_str().unwrap(), drawn["indices"]);
            assert_eq!(said.replace(", ", ","), expected, "level {level}, {population}");
            let sheet = std::fs::read_to_string(scene.auditor.dir().join("sheet.csv")).unwrap();
            assert_eq!(sheet.matches("\r\n").count(), drawn["indices"].as_array().unwrap().len() + 1);
        }
    }
}

#[test]
fn duckdb_and_pyarrow_read_the_same_out_of_every_format() {
    let scene = Scene::new();
    for level in ["1", "3", "4"] {
        let bundle = format!("level-{level}.bundle");
        let typed = ["audit", "convert", &bundle, "--trust", "trust.toml"];
        let mut entries = Vec::new();
        for format in ["csv", "jsonl", "parquet"] {
            let output = format!("{level}-{format}");
            let made = scene
                .auditor
                .json(&[&typed[..], &["--format", format, "-o", &output]].concat())
                .exits(0);
            entries.push(made.event("audit.converted")["entries"].as_u64().unwrap());
        }
        let made = ["csv", "jsonl", "parquet"].map(|format| PathBuf::from(format!("{level}-{format}")));
        let [csv, jsonl, parquet] = &made;
        let said = check(
            "python",
            &[&script("tables.py"), csv, jsonl, parquet],
            scene.auditor.dir().as_path(),
        );
        let read: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        let counted: u64 = read["kinds"]
            .as_object()
            .unwrap()
            .values()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(entries, [counted; 3], "level {level}");
        assert_eq!(read["kinds"]["fetch.outcome"], 3);
        assert_eq!(read["kinds"]["review.reject"], 1);
        if level != "1" {
            assert_eq!(read["rows"], 10 + 7 + 3, "level {level}");
        }
        // The same bundle gives the same bytes, and a folder that is there is not written into.
        let again = format!("{level}-again");
        let typed = [&typed[..], &["--format", "parquet", "-o", &again]].concat();
        scene.auditor.run(&typed).exits(0);
        for file in std::fs::read_dir(scene.auditor.dir().join(parquet)).unwrap() {
            let file = file.unwrap();
            let other = scene.auditor.dir().join(&again).join(file.file_name());
            assert!(std::fs::read(file.path()).unwrap() == std::fs::read(other).unwrap(), "{file:?}");
        }
        scene.auditor.run(&typed).exits(3);
    }
    // At once, from the broker.
    scene.auditor.run(&["audit", "export", "--format", "parquet", "-o", "now"]).exits(0);
    assert!(scene.auditor.dir().join("now/fetch.parquet").is_file());
}

#[test]
fn a_bundles_statement_is_checked_with_tar_jq_and_sha256sum() {
    let scene = Scene::new();
    let checked = |script: &str| {
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(scene.auditor.dir())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    };
    let list = "mkdir members && tar -xf level-4.bundle -C members && cd members && \
        jq -r .payload statement.dsse | base64 -d | jq -r '.members | to_entries[] | \"\\(.value)  \\(.key)\"' > ../sums && \
        sha256sum --strict -c ../sums && find . -type f ! -name statement.dsse | wc -l && wc -l < ../sums";
    let (good, said) = checked(list);
    assert!(good, "{said}");
    let counts: Vec<&str> = said.lines().rev().take(2).collect();
    assert_eq!(
        counts[0].trim(),
        counts[1].trim(),
        "every member is in the statement, and no other: {said}"
    );
    let (good, said) = checked("cd members && printf x >> format.txt && sha256sum --strict -c ../sums");
    assert!(!good && said.contains("format.txt: FAILED"), "{said}");
}
