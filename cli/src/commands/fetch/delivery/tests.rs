//! Deliveries by a broker that answers from a script, at a desk where something is wrong.

use std::path::{Path, PathBuf};

use chunk_wire::fetch::Format;
use chunk_wire::problem::Code;

use super::Delivery;
use crate::auth::vault::Storage;
use crate::client::scripted::{Scripted, answer, problem};
use crate::client::session::Session;
use crate::context::{Context, block_on};
use crate::error::{Exit, Failure, Result};
use crate::output::Ui;
use crate::proof::Believed;
use crate::sink::{Target, receipt_path};
use crate::testing::{REQUEST, Released, credentials, release};

const FILE: &[u8] = b"a\n1\n";
const PICK_UP: &str = "chunkctl fetch --request …";

/// A desk: files in `files`, memory in `state`.
struct Desk {
    folder: tempfile::TempDir,
    released: Released,
    storage: Storage,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        Self {
            folder,
            released: release(FILE),
            storage: Storage::Plaintext,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("files/orders.csv")
    }

    fn aside(&self) -> PathBuf {
        self.folder.path().join(format!("files/orders.csv.{REQUEST}.unverified"))
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The bytes, the receipt, and the answer to the acknowledgement.
    fn answers(&self) -> Vec<String> {
        let bytes = answer(200, "", std::str::from_utf8(FILE).unwrap());
        vec![bytes, self.receipt(), answer(200, "", "{}")]
    }

    fn receipt(&self) -> String {
        answer(200, "", &self.released.receipt)
    }

    /// Fetches, or picks up a request that is `completed`, into this file.
    fn fetch(&self, state: &str, target: &Path, answers: Vec<String>) -> Result<()> {
        let server = Scripted::start(answers);
        let ui = Ui::new(false, true, true);
        let cx = Context::for_tests(&ui, self.folder.path(), &server.url, self.storage, &self.released.log_key);
        let session = Session::new(cx.broker()?, cx.vault(self.storage)?, credentials(&server.url))?;
        block_on(async {
            let delivery = Delivery {
                cx: &cx,
                session: &session,
                view: self.released.view(state),
                target: Target::File(target.to_owned()),
                force: false,
                believed: Believed::pinned(&cx)?,
                pick_up: PICK_UP.to_owned(),
                format: Format::Csv,
                parallel: 2,
            };
            if state == "completed" {
                delivery.confirm_aside().await
            } else {
                delivery.receive(None).await
            }
        })
    }

    fn pick_up(&self, target: &Path) -> Result<()> {
        self.fetch("completed", target, vec![self.receipt(), answer(200, "", "{}")])
    }

    /// The bytes are all there, and the failure says how to go on.
    fn kept(&self, failure: &Failure) {
        assert_eq!(
            (failure.exit, failure.hint.as_deref()),
            (Exit::CannotTell, Some(PICK_UP)),
            "{failure:?}"
        );
        assert_eq!(std::fs::read(self.aside()).unwrap(), FILE, "{failure:?}");
    }

    fn is_complete(&self, target: &Path) {
        assert_eq!(std::fs::read(target).unwrap(), FILE);
        assert_eq!(std::fs::read_to_string(receipt_path(target)).unwrap(), self.released.receipt);
        assert!(!self.aside().exists());
    }
}

#[test]
fn a_delivery_ends_with_a_file_and_its_receipt() {
    let desk = Desk::new();
    desk.fetch("approved", &desk.file(), desk.answers()).unwrap();
    desk.is_complete(&desk.file());
}

#[test]
fn bytes_are_kept_when_the_memory_cannot_be_written() {
    let desk = Desk::new();
    std::fs::create_dir(desk.state()).unwrap();
    std::fs::write(desk.state().join("checkpoints"), "a file where a folder has to be").unwrap();
    desk.kept(&desk.fetch("approved", &desk.file(), desk.answers()).unwrap_err());
    desk.kept(&desk.pick_up(&desk.file()).unwrap_err()); // not mended yet
    std::fs::remove_file(desk.state().join("checkpoints")).unwrap();
    desk.pick_up(&desk.file()).unwrap();
    desk.is_complete(&desk.file());
}

#[test]
fn bytes_are_kept_when_the_receipt_cannot_be_stored() {
    let desk = Desk::new();
    std::fs::create_dir(receipt_path(&desk.file())).unwrap();
    desk.kept(&desk.fetch("approved", &desk.file(), desk.answers()).unwrap_err());
    assert!(!desk.file().exists(), "no file has its name without its receipt");
    std::fs::remove_dir(receipt_path(&desk.file())).unwrap();
    desk.pick_up(&desk.file()).unwrap();
    desk.is_complete(&desk.file());
}

#[test]
fn bytes_are_kept_when_somebody_else_took_their_name() {
    let desk = Desk::new();
    std::fs::write(desk.file(), "made meanwhile").unwrap();
    desk.kept(&desk.fetch("approved", &desk.file(), desk.answers()).unwrap_err());
    desk.kept(&desk.pick_up(&desk.file()).unwrap_err());
    assert_eq!(std::fs::read(desk.file()).unwrap(), b"made meanwhile");
    assert!(!receipt_path(&desk.file()).exists(), "the receipt is not that file's");
    let other = desk.folder.path().join("files/other.csv");
    desk.pick_up(&other).unwrap();
    desk.is_complete(&other);
}

#[test]
fn bytes_are_kept_when_no_receipt_comes() {
    let desk = Desk::new();
    let bytes = || answer(200, "", std::str::from_utf8(FILE).unwrap());
    for other in [problem(Code::SessionEnded, ""), answer(200, "", "<html>welcome</html>")] {
        // An ended session is renewed once, which the same answer refuses.
        let answers = vec![bytes(), other.clone(), other];
        desk.kept(&desk.fetch("approved", &desk.file(), answers).unwrap_err());
    }
    desk.pick_up(&desk.file()).unwrap();
    desk.is_complete(&desk.file());
}

#[test]
fn bytes_that_are_proven_wrong_are_not_kept() {
    let desk = Desk::new();
    let answers = vec![answer(200, "", "a\n2\n"), desk.receipt()];
    let failure = desk.fetch("approved", &desk.file(), answers).unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "evidence_false"));
    assert_eq!(std::fs::read_dir(desk.folder.path().join("files")).unwrap().count(), 0);
}

#[test]
fn bytes_set_aside_that_were_changed_do_not_get_the_name() {
    let desk = Desk::new();
    std::fs::write(desk.aside(), "a\n2\n").unwrap();
    let failure = desk.pick_up(&desk.file()).unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "evidence_false"));
    assert!(desk.aside().exists() && !desk.file().exists());
}

#[test]
fn a_request_is_delivered_once() {
    let desk = Desk::new();
    let failure = desk.pick_up(&desk.file()).unwrap_err();
    assert_eq!((failure.exit, failure.code.as_str()), (Exit::No, "wrong_state"));
}

#[test]
fn what_only_a_lost_key_could_go_on_with_is_not_offered() {
    let mut desk = Desk::new();
    for storage in [Storage::Plaintext, Storage::Memory] {
        desk.storage = storage;
        let paused = serde_json::to_string(&desk.released.view("paused")).unwrap();
        let cut = "HTTP/1.1 200 X\r\ncontent-length: 100\r\nconnection: close\r\n\r\na\n".to_owned();
        let failure = desk
            .fetch("approved", &desk.file(), vec![cut, answer(200, "", &paused)])
            .unwrap_err();
        let expected = if storage == Storage::Memory {
            "chunkctl login --storage file"
        } else {
            PICK_UP
        };
        assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::CannotTell, Some(expected)));
    }
}
