//! A bundle that was changed anywhere is not true: one byte, one member, one row, one order of things.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use chunk_wire::fetch::Format;

use crate::support::api::slice;
use crate::support::bundle::{Member, put_together, take_apart};
use crate::support::{Person, World};

/// A bundle with a whole fetch in it, the auditor's trust file, and the auditor.
struct Scene {
    auditor: Person,
    bytes: Vec<u8>,
    world: World,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let (dana, rita) = (world.api("dana"), world.api("rita"));
        for _ in 0..3 {
            let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
            rita.approve(&request);
            assert!(dana.fetch(&request).complete);
        }
        let auditor = world.signed_in("anna");
        auditor.run(&["audit", "export", "-o", "good.bundle"]).exits(0);
        auditor.run(&["audit", "trust", "init", "-o", "trust.toml"]).exits(0);
        let bytes = std::fs::read(auditor.dir().join("good.bundle")).unwrap();
        let scene = Self { auditor, bytes, world };
        assert_eq!(scene.verify(&scene.bytes), 0, "the bundle does not verify unchanged");
        assert_eq!(
            put_together(&take_apart(&scene.bytes)),
            scene.bytes,
            "the bundle is not the tar file this test understands"
        );
        scene
    }

    fn file(&self) -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        self.auditor
            .dir()
            .join(format!("changed-{}.bundle", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Exit code of `audit verify` for these bytes.
    fn verify(&self, bytes: &[u8]) -> i32 {
        let file = self.file();
        std::fs::write(&file, bytes).unwrap();
        let code = self.verify_file(&file);
        std::fs::remove_file(&file).unwrap();
        code
    }

    fn verify_file(&self, file: &Path) -> i32 {
        self.auditor
            .run(&["audit", "verify", file.to_str().unwrap(), "--trust", "trust.toml"])
            .code
    }

    /// Checks many changed bundles, on all cores.
    fn assert_all_false(&self, changed: Vec<(String, Vec<u8>)>) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((what, bytes)) = changed.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let code = self.verify(bytes);
                        assert_eq!(code, 1, "{what}: audit verify exits {code}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_changed_byte_at_any_sampled_position_is_found() {
    let scene = Scene::new();
    let length = scene.bytes.len();
    // Every byte of the headers' first block and of the end, and positions spread over everything between.
    let step = (length / 1200).max(1);
    let mut positions: Vec<usize> = (0..length).step_by(step).collect();
    positions.extend(0..64);
    positions.extend(length - 64..length);
    let changed = |position: usize, change: fn(u8) -> u8| {
        let mut bytes = scene.bytes.clone();
        bytes[position] = change(bytes[position]);
        (format!("byte {position} of {length}"), bytes)
    };
    let flips: [fn(u8) -> u8; 3] = [|byte| byte ^ 1, |byte| byte ^ 0x80, |byte| byte.wrapping_add(1)];
    for (flip, positions) in flips.iter().zip([
        positions.clone(),
        positions.iter().copied().step_by(7).collect(),
        positions.iter().copied().skip(3).step_by(7).collect(),
    ]) {
        scene.assert_all_false(positions.into_iter().map(|position| changed(position, *flip)).collect());
    }
}

#[test]
fn a_changed_byte_of_every_member_is_found() {
    let scene = Scene::new();
    let members = take_apart(&scene.bytes);
    let mut changed = Vec::new();
    for (index, member) in members.iter().enumerate() {
        for position in [0, member.bytes.len() / 2, member.bytes.len().saturating_sub(1)] {
            let mut other = members.clone();
            if let Some(byte) = other[index].bytes.get_mut(position) {
                *byte ^= 1;
                changed.push((format!("byte {position} of {}", member.name()), put_together(&other)));
            }
        }
    }
    scene.assert_all_false(changed);
}

#[test]
fn members_cannot_be_dropped_added_doubled_swapped_renamed_or_cut() {
    let scene = Scene::new();
    let members = take_apart(&scene.bytes);
    let mut changed: Vec<(String, Vec<u8>)> = Vec::new();
    let mut with = |what: String, members: &[Member]| changed.push((what, put_together(members)));
    for (index, member) in members.iter().enumerate() {
        let name = member.name();
        let mut other = members.clone();
        other.remove(index);
        with(format!("without {name}"), &other);

        let mut other = members.clone();
        other.insert(index, member.clone());
        with(format!("{name} twice"), &other);

        let mut other = members.clone();
        other[index].rename(&format!("{name}x"));
        with(format!("{name} renamed"), &other);

        let mut other = members.clone();
        other[index].bytes.push(b'\n');
        other[index].seal();
        with(format!("{name} with a byte more"), &other);

        if !member.bytes.is_empty() {
            let mut other = members.clone();
            other[index].bytes.pop();
            other[index].seal();
            with(format!("{name} with a byte less"), &other);
        }
        if index > 0 {
            let mut other = members.clone();
            other.swap(index - 1, index);
            with(format!("{name} before its neighbour"), &other);
            let mut other = members.clone();
            let (a, b) = (other[index - 1].bytes.clone(), other[index].bytes.clone());
            if a != b {
                other[index - 1].bytes = b;
                other[index].bytes = a;
                other[index - 1].seal();
                other[index].seal();
                with(format!("{name} with its neighbour's bytes"), &other);
            }
        }
    }
    for name in ["zzz.txt", "../evil", "/etc/passwd", "rows/9999.jsonl.gz", "aaa"] {
        let mut stranger = members[0].clone();
        stranger.bytes = b"x".to_vec();
        stranger.rename(name);
        let mut other = members.clone();
        let at = other.iter().position(|member| member.name().as_str() > name).unwrap_or(other.len());
        other.insert(at, stranger);
        with(format!("with {name}"), &other);
    }
    let bytes = &scene.bytes;
    for (what, end) in [
        ("nothing", 0),
        ("one block", 512),
        ("half", bytes.len() / 2),
        ("all but a block", bytes.len() - 512),
        ("all but a byte", bytes.len() - 1),
    ] {
        changed.push((format!("cut to {what}"), bytes[..end].to_vec()));
    }
    changed.push(("with a byte after the end".into(), [bytes.as_slice(), b"\0"].concat()));
    changed.push(("with a block after the end".into(), [bytes.as_slice(), &[0; 512]].concat()));
    changed.push(("with itself after the end".into(), [bytes.as_slice(), bytes].concat()));
    scene.assert_all_false(changed);
}

#[test]
fn a_bundle_of_another_log_or_mixed_with_one_is_false() {
    let (scene, other) = (Scene::new(), Scene::new());
    assert_eq!(scene.verify(&other.bytes), 1, "another broker's bundle under this trust file");
    // Members of two bundles mixed.
    let (ours, theirs) = (take_apart(&scene.bytes), take_apart(&other.bytes));
    let mut changed = Vec::new();
    for (index, member) in ours.iter().enumerate() {
        let Some(foreign) = theirs
            .iter()
            .find(|foreign| foreign.name() == member.name() && foreign.bytes != member.bytes)
        else {
            continue;
        };
        let mut mixed = ours.clone();
        mixed[index] = foreign.clone();
        changed.push((format!("{} of another bundle", member.name()), put_together(&mixed)));
    }
    assert!(!changed.is_empty());
    scene.assert_all_false(changed);
}

#[test]
fn the_same_range_exports_to_the_same_bytes_and_every_level_verifies() {
    let scene = Scene::new();
    for level in ["0", "1", "2", "3", "4"] {
        let (first, second) = (format!("first-{level}.bundle"), format!("second-{level}.bundle"));
        scene.auditor.run(&["audit", "export", "--level", level, "-o", &first]).exits(0);
        assert_eq!(scene.verify_file(&scene.auditor.dir().join(&first)), 0, "level {level}");
        scene.auditor.run(&["audit", "export", "--level", level, "-o", &second]).exits(0);
        assert_eq!(scene.verify_file(&scene.auditor.dir().join(&second)), 0, "level {level}");
    }
    // The exports themselves are entries; a range that ends before them stays the same, byte for byte.
    let now = jiff::Timestamp::now().to_string();
    for level in ["0", "1", "2", "3", "4"] {
        let files = [format!("a-{level}.bundle"), format!("b-{level}.bundle")].map(|name| {
            scene
                .auditor
                .run(&["audit", "export", "--to", &now, "--level", level, "-o", &name])
                .exits(0);
            scene.auditor.dir().join(name)
        });
        let [a, b] = files.each_ref().map(|file| std::fs::read(file).unwrap());
        assert!(a == b, "level {level}: the same question had two answers");
        assert_eq!(scene.verify_file(&files[1]), 0, "level {level}");
    }
    let personal = std::fs::read(scene.auditor.dir().join("first-1.bundle")).unwrap();
    for word in [&b"dana@people.example"[..], b"a test asks", b"looked at it"] {
        assert!(
            !personal.windows(word.len()).any(|window| window == word),
            "level 1 discloses {}",
            String::from_utf8_lossy(word)
        );
    }
}

#[test]
fn next_month_s_bundle_meets_the_checkpoint_that_the_auditor_kept() {
    let scene = Scene::new();
    // The trust file of the scene holds the checkpoint of its time; the log has grown, and the bundle begins after it.
    let kept = std::fs::read_to_string(scene.auditor.dir().join("trust.toml")).unwrap();
    assert!(kept.contains("last_checkpoint"), "{kept}");
    crate::support::poll("a second to pass", std::time::Duration::from_secs(10), || {
        scene
            .auditor
            .run(&["audit", "export", "--from", "1s", "--level", "1", "-o", "late.bundle", "--force"]);
        let late = scene.auditor.dir().join("late.bundle");
        let format = late.exists().then(|| take_apart(&std::fs::read(&late).unwrap()))?;
        let format = format
            .iter()
            .find(|member| member.name() == "format.txt")
            .map(|member| member.bytes.clone())?;
        (!String::from_utf8_lossy(&format).contains("range 0 ")).then_some(())
    });
    assert_eq!(scene.verify_file(&scene.auditor.dir().join("late.bundle")), 0);
}

#[test]
fn whom_the_auditor_does_not_know_is_cannot_tell_and_never_true() {
    let scene = Scene::new();
    let verify = |trust: &str| {
        std::fs::write(scene.auditor.dir().join("other.toml"), trust).unwrap();
        scene.auditor.run(&["audit", "verify", "good.bundle", "--trust", "other.toml"])
    };
    let trust = std::fs::read_to_string(scene.auditor.dir().join("trust.toml")).unwrap();
    let pinned = trust.replace("reviewer_keys = \"session\"", "reviewer_keys = \"pinned\"");
    assert_ne!(pinned, trust);
    // Nobody but the operator says that the keys that signed the verdicts are the reviewers'.
    let output = verify(&pinned);
    assert_eq!(output.code, 2, "{}", output.all());
    assert!(output.all().contains("only the log itself says"), "{}", output.all());
    // The same keys, pinned: now it is known.
    let sessions = scene
        .world
        .api("anna")
        .entries()
        .into_iter()
        .filter(|entry| entry.header["k"] == "session.open");
    let mut keys: Vec<String> = sessions
        .map(|entry| {
            let who = &entry.body["who"];
            format!(
                "\n[[pinned]]\nissuer = {}\nsubject = {}\nthumbprint = {}\n",
                who["issuer"], who["subject"], who["key"]
            )
        })
        .collect();
    keys.sort();
    keys.dedup();
    let output = verify(&(pinned.clone() + &keys.concat()));
    assert_eq!(output.code, 0, "{}", output.all());
    // Another log key than the one that signed.
    let key = chunk_evidence::note::VerifierKey::new(&origin(&trust), [9; 32]).unwrap().to_text();
    let lines = trust.lines().filter(|line| !line.starts_with("log_keys"));
    let without_last: Vec<&str> = lines.take_while(|line| !line.starts_with("last_checkpoint")).collect();
    let output = verify(&format!("{}\nlog_keys = [\"{key}\"]\n", without_last.join("\n")));
    assert_eq!(output.code, 2, "{}", output.all());
}

fn origin(trust: &str) -> String {
    let line = trust.lines().find_map(|line| line.strip_prefix("origin = "));
    line.unwrap().trim_matches('"').to_owned()
}

#[test]
fn an_export_for_one_person_verifies_and_keeps_every_row() {
    let scene = Scene::new();
    scene
        .auditor
        .run(&["audit", "export", "--user", "dana", "-o", "dana.bundle"])
        .exits(0);
    assert_eq!(scene.verify_file(&scene.auditor.dir().join("dana.bundle")), 0);
}
