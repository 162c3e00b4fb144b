//! The documents' own commands, typed as they stand there, one after another, in a shell with an empty home.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::world::repository;
use crate::support::{process, servers, wait};

/// The lines of a document's code blocks, in order; blocks that install or test the product itself, or name a language of their own, are
/// left out.
fn typed(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for (n, part) in text.split("```").enumerate() {
        let (language, block) = part.split_once('\n').unwrap_or_default();
        if n % 2 == 1 && language.is_empty() && !block.contains("./install.sh") && !block.contains("./tests/run") {
            lines.extend(block.lines().filter(|line| !line.trim().is_empty()));
        }
    }
    lines
}

/// A script that types the lines and stops at the first whose exit code is not the one the document leads to expect.
fn script(lines: &[&str]) -> String {
    let mut script = String::from(
        "set -u\ncheck() { code=$1; shift; case $code:$* in 0:* | 5:*--no-wait*) ;; *) echo \"exit code $code: $*\" >&2; exit 99 ;; esac; }\n",
    );
    for line in lines {
        let quoted = line.replace('\'', r"'\''");
        script.push_str(&format!("printf '%s\\n' '$ {quoted}'\n"));
        if line.starts_with("chunkctl login") {
            // The test is the browser: it reads the code from here.
            script.push_str(&format!("{{ {line}\n}} >\"$HOME/login\" 2>&1\ncheck $? '{quoted}'\n"));
        } else if line.starts_with("chunk-broker dev") {
            // It stays until it is stopped.
            script.push_str(&format!(
                "{{ exec {line}\n}} >\"$HOME/dev\" 2>&1 &\nuntil grep -q 'next: run' \"$HOME/dev\"; do kill -0 $! || {{ cat \"$HOME/dev\" >&2; exit 99; }}; sleep 0.1; done\nkill $!\nwait $!\ncheck $? '{quoted}'\n"
            ));
        } else if let Some(pid) = line.strip_prefix("kill ") {
            // A person does not type the next line before the program has ended.
            script.push_str(&format!(
                "pid={pid}\n{line}\ncheck $? '{quoted}'\nwhile kill -0 \"$pid\" 2>/dev/null; do sleep 0.05; done\n"
            ));
        } else {
            script.push_str(&format!("{line}\ncheck $? '{quoted}'\n"));
        }
    }
    script
}

/// Picks Dana at the development issuer's page, as the document tells.
fn pick_dana(shown: &str) {
    let address = shown.split_whitespace().find(|word| word.contains("/device?user_code=")).unwrap();
    let (page, code) = address.split_once("?user_code=").unwrap();
    let form = [("user_code", code), ("person", "dana"), ("decision", "allow")];
    let answer = wait(async { reqwest::Client::new().post(page).form(&form).send().await.unwrap() });
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// Stops whatever broker a document left running below this folder, however the test ends.
struct Kept<'a>(&'a Path);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.0).into_iter().flatten().flatten() {
            let pid = std::fs::read_to_string(entry.path().join("broker.pid")).ok();
            if let Some(pid) = pid.and_then(|pid| pid.trim().parse::<u32>().ok())
                && std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                    let mut words = line.split(|byte| *byte == 0);
                    words.any(|word| word == b"dev" || word == b"serve")
                })
            {
                process::signal(pid, "TERM");
            }
        }
    }
}

/// Types a document's commands; what they printed.
fn follow(document: &str, first: impl Fn(&str) -> bool) -> String {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let lines: Vec<&str> = typed(&text).into_iter().skip_while(|line| !first(line)).collect();
    assert!(lines.len() > 8, "{document} hardly has commands any more");
    let home = tempfile::Builder::new().prefix("chunkctl-it-guide.").tempdir().unwrap();
    let path = format!(
        "{}:{}",
        servers::program("chunkctl").parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let out = home.path().join("out");
    let file = std::fs::File::create(&out).unwrap();
    let typed = home.path().join("typed.sh");
    std::fs::write(&typed, script(&lines)).unwrap();
    let _kept = Kept(home.path());
    let mut shell = Command::new("bash")
        .arg(&typed)
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut picked = false;
    let started = Instant::now();
    let status = loop {
        let login = read(&home.path().join("login"));
        if !picked && login.contains("Waiting") {
            picked = true;
            pick_dana(&login);
        }
        if let Some(status) = shell.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > Duration::from_secs(180) {
            shell.kill().ok();
            panic!("{document} is not through after 3 minutes:\n{}{login}", read(&out));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = read(&out);
    assert_eq!(process::code(status), 0, "{document}:\n{said}");
    said
}

#[test]
fn the_readme_s_fetch_works_as_typed() {
    let said = follow("README.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("waits for the approval") && said.contains("big.parquet: genuine"),
        "{said}"
    );
}

#[test]
fn the_first_fetch_works_as_typed() {
    let said = follow("docs/guides/first-fetch.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("big.parquet: genuine") && said.contains("true: every claim holds"),
        "{said}"
    );
}

#[test]
fn the_guide_to_recordings_works_as_typed() {
    let said = follow("docs/guides/replay.md", |line| line.starts_with("chunkctl demo"));
    assert!(said.contains("its proof holds") && said.contains("seen.csv"), "{said}");
}

#[test]
fn the_auditor_s_guide_works_as_typed() {
    let said = follow("docs/guides/audit.md", |line| line.starts_with("chunkctl demo"));
    assert!(said.contains("true: every claim holds") && said.contains("its digest"), "{said}");
}

#[test]
fn the_guide_to_sinks_works_as_typed() {
    let said = follow("docs/guides/siem.md", |line| line.starts_with("chunkctl demo"));
    let missing = said.lines().find(|line| line.starts_with("missing:"));
    assert!(said.contains("The evidence log began") && missing.is_none(), "{said}");
}

#[test]
fn the_guide_to_emergencies_works_as_typed() {
    let said = follow("docs/guides/break-glass.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("nobody beforehand: it was an emergency") && said.contains("breakglass.review"),
        "{said}"
    );
}

#[test]
fn the_guide_to_large_results_works_as_typed() {
    let said = follow("docs/guides/large-results.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("part-00000.parquet\n") && said.contains("part-00002.parquet.receipt\n"),
        "{said}"
    );
    assert!(
        said.contains("files: ") && said.contains(" genuine, 0 not, 0 that nobody can tell"),
        "{said}"
    );
}

#[test]
fn the_guide_to_leavers_works_as_typed() {
    let said = follow("docs/guides/leavers.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("\"active\":false")
            && said.contains("signed out, as it should be")
            && said.contains("is suspended by their directory"),
        "{said}"
    );
    assert!(said.contains("true: every claim holds"), "{said}");
}

#[test]
fn the_guide_to_standing_grants_works_as_typed() {
    let said = follow("docs/guides/standing-grants.md", |line| line.starts_with("chunkctl demo"));
    assert!(
        said.contains("asks for a standing grant: 1,000 rows") && said.contains("later.parquet: genuine") && said.contains("200 rows"),
        "{said}"
    );
}
