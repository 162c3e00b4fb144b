//! The log as the broker has it: recording, reading, and the state that its entries fold into.
//!
//! Everything is recorded through one thread, the [`super::writer`]; an acknowledgement is a checkpoint that already contains the entry.

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};

use arc_swap::ArcSwap;
use chunk_evidence::body::{Body, EntryKey, Group};
use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::leaf::{Header, Leaf};
use chunk_log::data_keys::{DataKeyId, DataKeys};
use chunk_log::index::Index;
use chunk_log::journal::{Journal, JournalReader, Record, Urgency};
use chunk_log::signer::LogSigner;
use chunk_log::tree::Tree;
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;
use std::ops::Range;
use tokio::sync::{oneshot, watch};

use super::entries::Event;
use super::replay::{Replayed, open_all, replay};
use super::writer::{Command, Order, Writer, root_of};
use crate::clock::Clock;
use crate::error::Error;
use crate::limits::COMMANDS_QUEUED_MAX;
use crate::state::State;

/// A handle to the log; cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    orders: mpsc::SyncSender<Order>,
    shared: Arc<Shared>,
}

/// What the writer publishes and readers use.
pub(super) struct Shared {
    pub(super) published: ArcSwap<Published>,
    pub(super) tree: RwLock<Tree>,
    pub(super) index: RwLock<Index>,
    pub(super) reader: Mutex<Box<dyn JournalReader>>,
    pub(super) data_keys: Arc<DataKeys>,
    pub(super) size: watch::Sender<u64>,
}

/// State and checkpoint after a commit; they always belong together.
pub(crate) struct Published {
    /// The state.
    pub(crate) state: State,
    /// Signed tree head over exactly the entries folded into `state`.
    pub(crate) checkpoint: SignedCheckpoint,
    /// Commits so far in this process.
    pub(crate) commits: u64,
    /// Why the log can no longer grow, once it cannot.
    pub(crate) broken: Option<String>,
}

/// A committed command.
pub(crate) struct Committed {
    /// Indices of its events.
    pub(crate) events: Range<u64>,
    /// State with these events, and a checkpoint that contains them.
    pub(crate) published: Arc<Published>,
}

/// A stored entry, opened.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    /// Index.
    pub(crate) index: u64,
    /// Leaf as stored.
    pub(crate) leaf: Leaf,
    /// Per-entry key and groups; absent once erased or disposed of.
    pub(crate) body: Option<(EntryKey, Body)>,
    /// The data key that is gone, where the body is; absent where the body itself was disposed of.
    pub(crate) erased_key: Option<String>,
    /// Bytes as stored, leaf and body.
    pub(crate) bytes: usize,
}

impl Opened {
    /// What it says; nothing once it is erased.
    pub(crate) fn event(&self) -> Option<Event> {
        let (_, body) = self.body.as_ref()?;
        Event::read(self.index, &self.leaf.header, body).ok()
    }
}

/// Whether a command opens something or closes something already begun; closing ones may use the space reserve.
pub(crate) type Weight = Urgency;

/// A stored entry without its body.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Index.
    pub(crate) index: u64,
    /// Header.
    pub(crate) header: Header,
    /// The data key that its body is sealed under; none once the body was disposed of.
    pub(crate) data_key: Option<String>,
}

impl Log {
    /// Replays the journal and starts the writer.
    ///
    /// Beside the log, it gives the entries whose bodies should be gone and are not, because a broker died before it was through.
    ///
    /// # Errors
    /// When the journal cannot be read, an entry does not read back, or the thread cannot start.
    pub(crate) fn open(
        journal: Box<dyn Journal>,
        data_keys: DataKeys,
        signer: Arc<LogSigner>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<u64>), Box<dyn std::error::Error + Send + Sync>> {
        let data_keys = Arc::new(data_keys);
        let reader = journal.reader()?;
        let Replayed { state, tree, index, left } = replay(reader.as_ref(), &data_keys)?;
        let checkpoint = signer.sign(tree.size(), root_of(&tree)?)?;
        let (size, _) = watch::channel(state.size);
        let shared = Arc::new(Shared {
            published: ArcSwap::from_pointee(Published {
                state,
                checkpoint,
                commits: 0,
                broken: None,
            }),
            tree: RwLock::new(tree),
            index: RwLock::new(index),
            reader: Mutex::new(reader),
            data_keys,
            size,
        });
        let (orders, queue) = mpsc::sync_channel(COMMANDS_QUEUED_MAX);
        let writer = Writer::new(journal, signer, clock, Arc::clone(&shared));
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&queue))?;
        Ok((Self { orders, shared }, left))
    }

    /// Decides a command against the newest state, records its events durably, and gives the state that contains them.
    /// `decide` runs once, in the order of the log; what it does beside giving events would not be undone by a failed append.
    pub(crate) async fn commit(
        &self,
        weight: Weight,
        decide: impl FnOnce(&State, i64) -> Result<Vec<Event>, Error> + Send + 'static,
    ) -> Result<Committed, Error> {
        let (reply, answer) = oneshot::channel();
        let command = Command {
            decide: Box::new(decide),
            weight,
            reply,
        };
        match self.orders.try_send(Order::Commit(command)) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                return Err(Error::new(
                    Code::RateLimited,
                    "The broker's log has more to record than it can take now.",
                ));
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(unavailable("the log's writer has stopped")),
        }
        answer.await.unwrap_or_else(|_| Err(unavailable("the log's writer has stopped")))
    }

    /// Takes away the bodies of these entries for good. Whatever says that they may be gone must be durable before.
    ///
    /// False when somebody reads older pages of the journal, which hold them still: asking again, for nothing more, finishes it.
    ///
    /// # Errors
    /// When the journal cannot be written, or its writer has too much to do.
    pub(crate) async fn forget(&self, indices: Vec<u64>) -> Result<bool, Error> {
        let (reply, answer) = oneshot::channel();
        self.orders
            .try_send(Order::Forget { indices, reply })
            .map_err(|_| unavailable("the log's writer has more to do than it can take now"))?;
        answer.await.unwrap_or_else(|_| Err(unavailable("the log's writer has stopped")))
    }

    /// Reads entries `[from, from + max)` without opening them.
    pub(crate) async fn stored(&self, from: u64, max: usize) -> Result<Vec<Stored>, Error> {
        let shared = Arc::clone(&self.shared);
        let limit = self.published().state.size;
        let read = move || {
            let max = usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX).min(max);
            let records = shared.reader.lock().unwrap_or_else(PoisonError::into_inner).read(from, max)?;
            let read = (from..).zip(records).map(|(index, record)| {
                let leaf = Leaf::parse(&record.leaf).map_err(|fault| format!("entry {index}: {fault}"))?;
                Ok(Stored {
                    index,
                    header: leaf.header,
                    data_key: record.data_key,
                })
            });
            read.collect()
        };
        settled(tokio::task::spawn_blocking(read).await)
    }

    /// Ids of the data keys of this subject between these times.
    pub(crate) async fn keys_of(&self, subject: &ActorId, from_ms: i64, to_ms: i64) -> Result<Vec<String>, Error> {
        let (shared, subject) = (Arc::clone(&self.shared), subject.to_string());
        let find = move || {
            let keys = months(from_ms, to_ms).map(|month| Ok(shared.data_keys.existing(&subject, &month)?.map(|id| id.to_string())));
            keys.filter_map(Result::transpose).collect()
        };
        settled(tokio::task::spawn_blocking(find).await)
    }

    /// Destroys data keys, durably: what was sealed under them can be read no more.
    pub(crate) async fn destroy(&self, keys: Vec<String>) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let destroy = move || {
            for key in keys {
                shared.data_keys.destroy(&DataKeyId::from_stored(key))?;
            }
            Ok(())
        };
        settled(tokio::task::spawn_blocking(destroy).await)
    }

    /// The keys under which bodies and recordings are sealed.
    pub(crate) fn data_keys(&self) -> Arc<DataKeys> {
        Arc::clone(&self.shared.data_keys)
    }

    /// The newest published state and checkpoint.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.shared.published.load_full()
    }

    /// Tells of every commit.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.size.subscribe()
    }

    /// Looks at the tree.
    pub(crate) fn with_tree<T>(&self, look: impl FnOnce(&Tree) -> T) -> T {
        look(&self.shared.tree.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the index.
    pub(crate) fn with_index<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.shared.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads and opens entries `[from, from + max)`, as many as there are.
    pub(crate) async fn read(&self, from: u64, max: usize) -> Result<Vec<Opened>, Error> {
        let shared = Arc::clone(&self.shared);
        let limit = self.published().state.size;
        let read = move || {
            let max = usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX).min(max);
            let records = shared.reader.lock().unwrap_or_else(PoisonError::into_inner).read(from, max)?;
            open_all(from, &records, &shared.data_keys)
        };
        settled(tokio::task::spawn_blocking(read).await)
    }

    /// Reads and opens entries from this one on, at most so many, and as many as have so many bytes; but one at least.
    pub(crate) async fn read_within(&self, from: u64, max: usize, bytes_max: usize) -> Result<Vec<Opened>, Error> {
        let shared = Arc::clone(&self.shared);
        let limit = self.published().state.size;
        let read = move || {
            let max = usize::try_from(limit.saturating_sub(from)).unwrap_or(usize::MAX).min(max);
            let (mut records, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
            'pages: while records.len() < max {
                let wanted = READ_STEP.min(max - records.len());
                let reader = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
                let page = reader.read(from + records.len() as u64, wanted)?;
                if page.is_empty() {
                    break;
                }
                for record in page {
                    bytes += record.bytes();
                    if bytes > bytes_max && !records.is_empty() {
                        break 'pages;
                    }
                    records.push(record);
                }
            }
            open_all(from, &records, &shared.data_keys)
        };
        settled(tokio::task::spawn_blocking(read).await)
    }

    /// Reads and opens these entries, in the order given.
    pub(crate) async fn read_at(&self, indices: Vec<u64>) -> Result<Vec<Opened>, Error> {
        let shared = Arc::clone(&self.shared);
        let read = move || {
            let reader = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
            let mut entries = Vec::with_capacity(indices.len());
            for index in indices {
                entries.append(&mut open_all(index, &reader.read(index, 1)?, &shared.data_keys)?);
            }
            Ok(entries)
        };
        settled(tokio::task::spawn_blocking(read).await)
    }

    /// Reads and opens one entry.
    pub(crate) async fn read_one(&self, index: u64) -> Result<Opened, Error> {
        self.read(index, 1)
            .await?
            .pop()
            .ok_or_else(|| Error::new(Code::NotFound, format!("There is no entry {index} in the log.")))
    }
}

/// The month (UTC) of a time, `2026-01`: data keys and recordings go by it.
pub(crate) fn month(time_ms: i64) -> String {
    let date = jiff::Timestamp::from_millisecond(time_ms)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    format!("{:04}-{:02}", date.year(), date.month())
}

/// The months, as [`month`] writes them, that two times and all between them lie in.
fn months(from_ms: i64, to_ms: i64) -> impl Iterator<Item = String> {
    let date = |ms| {
        jiff::Timestamp::from_millisecond(ms)
            .unwrap_or_default()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date()
    };
    let (first, last) = (date(from_ms), date(to_ms));
    let number = |date: jiff::civil::Date| i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
    (number(first)..=number(last)).map(|n| format!("{:04}-{:02}", n.div_euclid(12), n.rem_euclid(12) + 1))
}

/// Requests that a body names, or is of.
pub(crate) fn requests_named(body: &Body) -> impl Iterator<Item = &str> {
    ["id", "request"].into_iter().filter_map(|member| body.text(Group::What, member))
}

pub(crate) fn unavailable(why: &str) -> Error {
    Error::new(
        Code::EvidenceUnavailable,
        "The evidence log cannot be written, so nothing is read or changed.",
    )
    .hint("ask the operator to look at the broker's log: disk space and the journal's health come first")
    .operator(why.to_owned())
}

/// What was read by a thread for blocking work.
fn settled<T>(read: Result<Result<T, Box<dyn std::error::Error + Send + Sync>>, tokio::task::JoinError>) -> Result<T, Error> {
    match read {
        Ok(Ok(entries)) => Ok(entries),
        Ok(Err(fault)) => Err(unreadable(fault)),
        Err(fault) => Err(unreadable(fault.into())),
    }
}

fn unreadable(fault: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Code::EvidenceUnavailable, "The evidence log cannot be read.").operator(fault)
}

/// Entries read at a time where their bytes are counted.
const READ_STEP: usize = 16;
