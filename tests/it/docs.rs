//! What README and docs tell people to type exists.

use std::process::Command;

use crate::support::servers;
use crate::support::world::repository;

/// Lines of a document that tell to run one of the two programs: in code blocks and between backticks.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        let spans: Vec<&str> = if in_block {
            vec![line]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for span in spans {
            let span = span.trim().trim_start_matches("$ ");
            let span = without_substitutions(span.split(" # ").next().unwrap_or_default());
            if span.starts_with("chunkctl ") || span.starts_with("chunk-broker ") {
                found.push(span);
            }
        }
    }
    found
}

/// A command line with what the shell fills in (`$(…)`) taken out; it has commands and options of its own.
fn without_substitutions(line: &str) -> String {
    let mut rest = line;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("$(") {
        kept.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// Program and subcommands of a line, and the long options it shows.
fn parts(command: &str) -> (Vec<&str>, Vec<&str>) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let verbs = words
        .iter()
        .copied()
        .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-'))
        .collect();
    let options = words
        .iter()
        .filter(|word| word.starts_with("--"))
        .map(|word| word.split(['=', '|', ']', ',']).next().unwrap())
        .collect();
    (verbs, options)
}

fn help(verbs: &[&str]) -> Option<String> {
    let (program, verbs) = verbs.split_first()?;
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(servers::program(program))
        .args(verbs)
        .arg("--help")
        .env_clear()
        .env("HOME", home.path())
        .output()
        .unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for command in commands(text) {
        let (mut verbs, options) = parts(&command);
        // The last word may be an argument (`describe orders`): then the command before it must exist.
        let mut shown = help(&verbs);
        while shown.is_none() && verbs.len() > 2 {
            verbs.pop();
            shown = help(&verbs);
        }
        let Some(shown) = shown else {
            wrong.push(format!("{file}: `{command}`: no such command"));
            continue;
        };
        for option in options.into_iter().filter(|option| option.len() > 2 && !shown.contains(*option)) {
            wrong.push(format!("{file}: `{command}`: {} has no {option}", verbs.join(" ")));
        }
    }
    wrong
}

#[test]
fn commands_in_readme_and_docs_exist() {
    let root = repository();
    let mut files = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                files.push(path);
            }
        }
    }
    let mut wrong = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        wrong.extend(check(&path.strip_prefix(&root).unwrap().display().to_string(), &text));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_begins_with_what_it_is_and_the_two_commands() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let first_screen: String = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    for command in ["./install.sh --demo", "./tests/run"] {
        assert!(
            first_screen.contains(command),
            "the first screen of the README does not show {command}"
        );
    }
    for script in ["install.sh", "tests/run", ".ci/run"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(repository().join(script))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
    }
}

/// Files of the sources whose names end like this.
fn sources(folder: &std::path::Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(sources(&path, end));
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_attack_of_the_page_of_threats_is_played_by_the_test_it_names() {
    let root = repository();
    let page = std::fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let code: String = sources(&root, ".rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let names = page
        .split('`')
        .filter_map(|span| span.split_once("::").filter(|(module, _)| !module.contains(' ')));
    let names: Vec<&str> = names.map(|(_, test)| test).collect();
    assert!(names.len() > 15, "{names:?}");
    for test in names {
        assert!(
            code.contains(&format!("#[test]\nfn {test}()")),
            "docs/threats.md names `{test}`, and there is no such test"
        );
    }
}
