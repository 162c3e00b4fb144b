//! Asks the running ssh-agent for a signature: the key stays where it is, in the agent or on a token that wants to be touched.
//!
//! Of the agent's protocol (draft-ietf-sshm-ssh-agent) two questions are asked: which keys it has, and to sign. What is signed is
//! always in OpenSSH's form for signatures over messages, so that no agent signs a sign-in to some machine here.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chunk_evidence::sshsig::{SshError, SshKey, SshSignature, fingerprint_of, signed_bytes};

use crate::error::{Failure, Result};

/// A key that the agent can sign with.
#[derive(Debug, Clone)]
pub(crate) struct SshSigner {
    key: SshKey,
    socket: PathBuf,
}

impl SshSigner {
    /// Finds a key in the agent, named by its fingerprint or by its `.pub` file.
    ///
    /// # Errors
    /// When there is no agent, it has no such key, or keys of this type are not taken.
    pub(crate) fn find(named: &str, socket: Option<PathBuf>) -> Result<Self> {
        let wanted = if named.starts_with("SHA256:") {
            named.to_owned()
        } else {
            key_file(Path::new(named))?.fingerprint()
        };
        let socket = socket.filter(|socket| !socket.as_os_str().is_empty()).ok_or_else(|| {
            Failure::cannot_tell("no_ssh_agent", "there is no ssh-agent to ask for a signature")
                .why("SSH_AUTH_SOCK is not set")
                .hint("eval $(ssh-agent) && ssh-add")
        })?;
        let keys = Agent::connect(&socket)?.identities()?;
        let Some(blob) = keys.iter().find(|blob| fingerprint_of(blob) == wanted) else {
            let have: Vec<String> = keys.iter().map(|blob| fingerprint_of(blob)).collect();
            return Err(
                Failure::no("no_such_ssh_key", format!("the ssh-agent does not have the key {wanted}"))
                    .why(if have.is_empty() {
                        "it has none".to_owned()
                    } else {
                        format!("it has {}", have.join(", "))
                    })
                    .hint(format!("ssh-add {}", private_of(named))),
            );
        };
        let key = SshKey::from_blob(blob).map_err(|fault| unusable(&wanted, fault))?;
        Ok(Self { key, socket })
    }

    /// The key.
    pub(crate) fn key(&self) -> &SshKey {
        &self.key
    }

    /// Signs a message, away from whatever else goes on: a token may wait for a touch.
    ///
    /// # Errors
    /// When the agent refuses, nobody touches the token, or what comes back is no signature of the key.
    pub(crate) async fn sign(&self, namespace: &'static str, message: Vec<u8>) -> Result<String> {
        let signer = self.clone();
        let signed = tokio::task::spawn_blocking(move || signer.sign_now(namespace, &message)).await;
        signed.map_err(|_| Failure::bug("the signature was given up"))?
    }

    fn sign_now(&self, namespace: &str, message: &[u8]) -> Result<String> {
        let raw = Agent::connect(&self.socket)?.sign(self.key.blob(), &signed_bytes(namespace, message))?;
        let signature = SshSignature::of_agent(self.key.clone(), namespace, raw);
        signature.verify(namespace, message).map_err(|fault| {
            Failure::no("bad_ssh_signature", "the ssh-agent's signature is not one that counts")
                .why(fault.to_string())
                .hint("ssh-add -l")
        })?;
        Ok(signature.to_text())
    }
}

/// Reads a `.pub` file.
fn key_file(path: &Path) -> Result<SshKey> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    SshKey::from_line(line).map_err(|fault| unusable(&path.display().to_string(), fault))
}

/// The file beside a `.pub` file that `ssh-add` wants.
fn private_of(named: &str) -> &str {
    match named.strip_suffix(".pub") {
        Some(private) => private,
        None => "FILE",
    }
}

fn unusable(named: &str, fault: SshError) -> Failure {
    Failure::usage(format!("`{named}` is no SSH key that can sign here"))
        .why(fault.to_string())
        .hint("ssh-keygen -t ed25519-sk")
}

/// A connection to the agent.
struct Agent(UnixStream);

impl Agent {
    fn connect(socket: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| away("the ssh-agent cannot be reached", &error);
        let stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWER_MAX)).map_err(failed)?;
        Ok(Self(stream))
    }

    /// The keys it has, in its own form.
    fn identities(&mut self) -> Result<Vec<Vec<u8>>> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let mut read = answer.strip_prefix(&[IDENTITIES_ANSWER]).ok_or_else(odd)?;
        let count = number(&mut read)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(string(&mut read)?.to_vec());
            string(&mut read)?; // what its owner calls it
        }
        Ok(keys)
    }

    fn sign(&mut self, key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
        let mut question = vec![SIGN_REQUEST];
        for part in [key, data] {
            question.extend_from_slice(&length(part)?);
            question.extend_from_slice(part);
        }
        question.extend_from_slice(&[0; 4]);
        let answer = self.ask(&question)?;
        if answer.first() == Some(&FAILURE) {
            return Err(Failure::no("ssh_agent_refused", "the ssh-agent did not sign")
                .why("it asks before it signs and was told no, nobody touched the token in time, or the token is not plugged in")
                .hint("ssh-add -l"));
        }
        let mut read = answer.strip_prefix(&[SIGN_RESPONSE]).ok_or_else(odd)?;
        Ok(string(&mut read)?.to_vec())
    }

    fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| away("the ssh-agent does not answer", &error);
        self.0.write_all(&[&length(question)?, question].concat()).map_err(failed)?;
        let mut head = [0; 4];
        self.0.read_exact(&mut head).map_err(failed)?;
        let bytes = u32::from_be_bytes(head) as usize;
        if bytes == 0 || bytes > ANSWER_BYTES_MAX {
            return Err(odd());
        }
        let mut answer = vec![0; bytes];
        self.0.read_exact(&mut answer).map_err(failed)?;
        Ok(answer)
    }
}

fn away(what: &str, error: &std::io::Error) -> Failure {
    Failure::cannot_tell("no_ssh_agent", what)
        .why(crate::error::io_words(error))
        .hint("ssh-add -l")
}

fn odd() -> Failure {
    Failure::cannot_tell("no_ssh_agent", "what answers at SSH_AUTH_SOCK is no ssh-agent").hint("ssh-add -l")
}

fn length(part: &[u8]) -> Result<[u8; 4]> {
    let length = u32::try_from(part.len()).map_err(|_| Failure::bug("too much to sign"))?;
    Ok(length.to_be_bytes())
}

fn number(read: &mut &[u8]) -> Result<u32> {
    let (head, rest) = read.split_first_chunk::<4>().ok_or_else(odd)?;
    *read = rest;
    Ok(u32::from_be_bytes(*head))
}

fn string<'a>(read: &mut &'a [u8]) -> Result<&'a [u8]> {
    let length = number(read)? as usize;
    let (found, rest) = read.split_at_checked(length).ok_or_else(odd)?;
    *read = rest;
    Ok(found)
}

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// What OpenSSH's agent takes and gives at most.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Somebody may have to find their token.
const ANSWER_MAX: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests;
