//! A verifier that shares no code with the product (`tests/verify.py`, Python's standard library, written from
//! `docs/evidence.md`) gives the same answer as `chunkctl audit verify`, on good bundles and on changed ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use chunk_wire::fetch::Format;

use crate::support::api::slice;
use crate::support::{Person, Setup, World};

/// What the Python verifier says: 0 true, 1 false, 2 cannot tell.
pub(crate) fn python(bundle: &Path, trust: &Path) -> i32 {
    let output = script("verify.py").arg(bundle).arg(trust).output().expect("python3 runs");
    let code = output.status.code().expect("verify.py ends by itself");
    assert!(
        code <= 2 && !String::from_utf8_lossy(&output.stderr).contains("Traceback"),
        "verify.py broke down:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    code
}

#[test]
fn two_verifiers_agree_on_good_and_on_changed_bundles() {
    let world = World::with(Setup::standard().policy(
        r#"@id("emergencies") permit (principal in Group::"developers", action == Action::"break_glass", resource == Dataset::"people");"#,
    ));
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
    rita.approve(&request);
    assert!(dana.fetch(&request).complete);
    let urgent = dana.break_glass(&slice("people", None, Some(10)), Format::Csv);
    assert!(dana.fetch(&urgent).complete);
    assert!(!rita.approve(&urgent).review_due);
    dana.break_glass(&slice("people", None, Some(5)), Format::Csv);
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    let trust = anna.dir().join("trust.toml");
    let rust = |name: &str| anna.run(&["audit", "verify", name, "--trust", "trust.toml"]).code;

    for level in ["0", "1", "2", "3", "4"] {
        let name = format!("level-{level}.bundle");
        anna.run(&["audit", "export", "--level", level, "-o", &name]).exits(0);
        assert_eq!((rust(&name), python(&anna.dir().join(&name), &trust)), (0, 0), "level {level}");
        for (filter, value) in [("--user", "dana"), ("--dataset", "people"), ("--request", request.id.as_str())] {
            let name = format!("chosen-{level}{filter}.bundle");
            anna.run(&["audit", "export", "--level", level, filter, value, "--views", "-o", &name])
                .exits(0);
            let both = (rust(&name), python(&anna.dir().join(&name), &trust));
            assert_eq!(both, (0, 0), "level {level} {filter}");
        }
        same_views(&anna, &name);
    }

    let good = std::fs::read(anna.dir().join("level-4.bundle")).unwrap();
    let changed = anna.dir().join("changed.bundle");
    for n in 0..60_usize {
        let mut bytes = good.clone();
        let at = (n * 7919 + n * n * 31) % bytes.len();
        match n % 3 {
            0 => bytes[at] ^= 1 << (n % 8),
            1 => bytes.truncate(at),
            _ => drop(bytes.drain(at..(at + 512).min(good.len()))),
        }
        std::fs::write(&changed, &bytes).unwrap();
        assert_eq!(
            (rust("changed.bundle"), python(&changed, &trust)),
            (1, 1),
            "change {n} at byte {at}"
        );
    }
}

/// Both verifiers make the same views of a bundle.
fn same_views(anna: &Person, bundle: &str) {
    let (ours, theirs) = (format!("{bundle}.ours"), format!("{bundle}.theirs"));
    anna.run(&["audit", "verify", bundle, "--trust", "trust.toml", "--views", &ours])
        .exits(0);
    let paths = [bundle, "trust.toml", &theirs].map(|name| anna.dir().join(name));
    let output = script("verify.py").args(paths).output().expect("python3 runs");
    assert!(output.status.success());
    let files = |folder: PathBuf| -> BTreeMap<OsString, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .collect()
    };
    let (ours, theirs) = (files(anna.dir().join(ours)), files(anna.dir().join(theirs).join("views")));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{bundle}");
    for (name, text) in &ours {
        assert!(*text == theirs[name], "{bundle}: {name:?} differs");
    }
}

/// A Python script of this folder.
fn script(name: &str) -> Command {
    let mut python = Command::new(std::env::var("CHUNK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned()));
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    python
}

/// A tenth of the 600,000 single changes that the product's own tests try on a bundle of this size.
const MUTANTS: &str = "60000";

#[test]
fn the_second_verifier_calls_every_mutant_false_too() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    for _ in 0..4 {
        let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
        rita.approve(&request);
        assert!(dana.fetch(&request).complete);
    }
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    anna.run(&["audit", "export", "-o", "whole.bundle"]).exits(0);
    let seed = hex::encode(crate::support::random::<8>());
    let output = script("mutants.py")
        .args([anna.dir().join("whole.bundle"), anna.dir().join("trust.toml")])
        .args([MUTANTS, &seed])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains(&format!("{MUTANTS} mutants, all false")),
        "seed {seed}: {said}"
    );
}

/// Both verifiers say true of the whole log, at every level.
pub(crate) fn both_verifiers_agree(world: &World) {
    let anna = world.signed_in("anna");
    anna.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
    for level in ["1", "2", "3", "4"] {
        let name = format!("level-{level}.bundle");
        anna.run(&["audit", "export", "--level", level, "-o", &name]).exits(0);
        let ours = anna.run(&["audit", "verify", &name, "--trust", "trust.toml"]).code;
        let theirs = python(&anna.dir().join(&name), &anna.dir().join("trust.toml"));
        assert_eq!((ours, theirs), (0, 0), "level {level}");
    }
}
