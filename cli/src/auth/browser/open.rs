//! Opens a browser, where there is one to be seen. The address is shown in any case, so nothing depends on it.

use std::process::{Command, Stdio};

/// Whether a program was started for the address.
pub(super) fn open(address: &url::Url) -> bool {
    programs(|name| std::env::var(name).ok(), address.as_str())
        .iter()
        .any(|words| start(words))
}

/// Commands to try, one after another: those of `BROWSER` (separated by colons, `%s` for the address), else the desktop's own. Without a
/// desktop nothing is started: it could only be a browser that takes this terminal.
fn programs(environment: impl Fn(&str) -> Option<String>, address: &str) -> Vec<Vec<String>> {
    let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    if let Some(browsers) = set("BROWSER") {
        return browsers.split(':').filter_map(|command| words(command, address)).collect();
    }
    if cfg!(target_os = "macos") {
        return words("open", address).into_iter().collect();
    }
    if set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some() {
        return words("xdg-open", address).into_iter().collect();
    }
    Vec::new()
}

/// The words of a command with the address among them. No shell has a part in it.
fn words(command: &str, address: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = command.split_whitespace().map(|word| word.replace("%s", address)).collect();
    if words.is_empty() {
        return None;
    }
    if !command.contains("%s") {
        words.push(address.to_owned());
    }
    Some(words)
}

fn start(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C here ends this program and leaves the browser alone.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let Ok(mut child) = command.spawn() else { return false };
    // Waited for by a thread that nobody waits for: a browser may stay open for days.
    std::thread::spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ADDRESS: &str = "https://id.example/auth?a=%41&b=$(id)";

    fn of(pairs: &[(&str, &str)]) -> Vec<Vec<String>> {
        programs(
            |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
            ADDRESS,
        )
    }

    #[test]
    fn what_browser_names_is_tried_in_its_order_and_the_address_stays_one_word() {
        assert_eq!(
            of(&[("BROWSER", "firefox:w3m -o x %s:"), ("DISPLAY", ":0")]),
            [vec!["firefox", ADDRESS], vec!["w3m", "-o", "x", ADDRESS]]
        );
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn without_a_desktop_nothing_is_opened() {
        assert_eq!(of(&[]), Vec::<Vec<String>>::new());
        assert_eq!(of(&[("BROWSER", " "), ("DISPLAY", "")]), Vec::<Vec<String>>::new());
        assert_eq!(of(&[("DISPLAY", ":0")]), [vec!["xdg-open", ADDRESS]]);
        assert_eq!(of(&[("WAYLAND_DISPLAY", "wayland-0")]), [vec!["xdg-open", ADDRESS]]);
    }

    #[test]
    fn a_program_that_is_not_there_opens_nothing() {
        assert!(!start(&["/nonexistent/browser".to_owned(), ADDRESS.to_owned()]));
        let found = tempfile::NamedTempFile::new().unwrap();
        assert!(!start(&[found.path().display().to_string()]), "no program either");
    }
}
