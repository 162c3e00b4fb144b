#![expect(clippy::unwrap_used, reason = "tests")]
use std::os::unix::net::UnixListener;

use chunk_evidence::sshsig::REVIEW_NAMESPACE;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

fn parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&length(part).unwrap());
        bytes.extend_from_slice(part);
    }
    bytes
}

type Answer = Box<dyn Fn(&[u8]) -> Vec<u8> + Send>;

fn says(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Answer {
    Box::new(answer)
}

/// An agent that answers each question with what it is told, and the folder of its socket.
fn agent(answers: Vec<Answer>) -> (tempfile::TempDir, PathBuf, std::thread::JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let serve = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            let mut question = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question);
            stream.write_all(&[&length(&answer).unwrap(), answer.as_slice()].concat()).unwrap();
        }
    });
    (folder, socket, serve)
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[51; 32]).unwrap()
}

fn blob() -> Vec<u8> {
    parts(&[b"ssh-ed25519", pair().public_key().as_ref()])
}

fn identities(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut answer = vec![IDENTITIES_ANSWER];
    answer.extend_from_slice(&u32::try_from(blobs.len()).unwrap().to_be_bytes());
    for blob in blobs {
        answer.extend(parts(&[blob, b"bob@laptop"]));
    }
    answer
}

fn signed(question: &[u8]) -> Vec<u8> {
    let mut read = question.strip_prefix(&[SIGN_REQUEST]).unwrap();
    assert_eq!(string(&mut read).unwrap(), blob());
    let data = string(&mut read).unwrap();
    let raw = parts(&[b"ssh-ed25519", pair().sign(data).as_ref()]);
    [vec![SIGN_RESPONSE], parts(&[&raw])].concat()
}

#[test]
fn a_key_is_found_by_fingerprint_and_by_file_and_signs_for_a_purpose() {
    let known = || says(|_: &[u8]| identities(&[b"other".to_vec(), blob()]));
    let (folder, socket, serve) = agent(vec![known(), known(), says(signed)]);
    let key = SshKey::from_blob(&blob()).unwrap();
    let file = folder.path().join("id.pub");
    std::fs::write(&file, format!("{} bob@laptop\n", key.to_line())).unwrap();
    let by_file = SshSigner::find(file.to_str().unwrap(), Some(socket.clone())).unwrap();
    let signer = SshSigner::find(&key.fingerprint(), Some(socket)).unwrap();
    assert_eq!(by_file.key(), signer.key());
    let text = signer.sign_now(REVIEW_NAMESPACE, b"message").unwrap();
    let signature = SshSignature::parse(&text).unwrap();
    assert_eq!(signature.verify(REVIEW_NAMESPACE, b"message"), Ok(()));
    assert_eq!(signature.key(), &key);
    serve.join().unwrap();
}

#[test]
fn what_no_agent_says_is_an_error_and_what_it_refuses_too() {
    let refuse = || says(|_: &[u8]| vec![FAILURE]);
    let key = SshKey::from_blob(&blob()).unwrap();
    let other = |_: &[u8]| [vec![SIGN_RESPONSE], parts(&[&parts(&[b"ssh-ed25519", &[1; 64]])])].concat();
    let (_folder, socket, serve) = agent(vec![
        refuse(),
        says(|_: &[u8]| identities(&[])),
        says(|_: &[u8]| vec![IDENTITIES_ANSWER, 0, 0, 0, 9, 1]),
        says(|_: &[u8]| identities(&[blob()])),
        refuse(),
        says(other),
    ]);
    let find = || SshSigner::find(&key.fingerprint(), Some(socket.clone()));
    let codes = [find(), find(), find()].map(|found| found.unwrap_err().code);
    assert_eq!(codes, ["no_ssh_agent", "no_such_ssh_key", "no_ssh_agent"]);
    let signer = find().unwrap();
    assert_eq!(signer.sign_now(REVIEW_NAMESPACE, b"m").unwrap_err().code, "ssh_agent_refused");
    assert_eq!(signer.sign_now(REVIEW_NAMESPACE, b"m").unwrap_err().code, "bad_ssh_signature");
    serve.join().unwrap();
    assert_eq!(SshSigner::find(&key.fingerprint(), None).unwrap_err().code, "no_ssh_agent");
}
