//! Orders commands, commits their entries, publishes the state: the only writer of the log.
//!
//! One thread owns the journal. Whatever queued while it was syncing is the next batch (adaptive group commit, no timer). Each
//! command is *decided* against a speculative state that holds the batch so far; its events are drafted, sealed and folded in;
//! then the batch is appended with one durable sync. Only after that is the state published and anybody told: an
//! acknowledgement is a checkpoint that already contains the entry. If the append fails, the speculative state is forgotten
//! and every command of the batch is refused; nothing happened that the log does not show.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};

use arc_swap::ArcSwap;
use chunk_evidence::body::{Body, EntryKey, Group};
use chunk_evidence::checkpoint::SignedCheckpoint;
use chunk_evidence::encode::sha256;
use chunk_evidence::leaf::{Header, Kind, Leaf};
use chunk_log::data_keys::{DataKeyId, DataKeys};
use chunk_log::index::Index;
use chunk_log::journal::{AppendError, Journal, JournalReader, Record, Urgency};
use chunk_log::signer::LogSigner;
use chunk_log::tree::Tree;
use chunk_wire::id::ActorId;
use chunk_wire::problem::Code;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{oneshot, watch};

use super::entries::Event;
use crate::clock::Clock;
use crate::error::Error;
use crate::limits::{COMMANDS_QUEUED_MAX, COMMIT_COMMANDS_MAX};
use crate::retention::is_disposable;
use crate::state::State;

/// A handle to the log; cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    orders: mpsc::SyncSender<Order>,
    shared: Arc<Shared>,
}

/// What the writer publishes and readers use.
struct Shared {
    published: ArcSwap<Published>,
    tree: RwLock<Tree>,
    index: RwLock<Index>,
    reader: Mutex<Box<dyn JournalReader>>,
    data_keys: Arc<DataKeys>,
    size: watch::Sender<u64>,
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

type Decide = Box<dyn FnOnce(&State, i64) -> Result<Vec<Event>, Error> + Send>;
type Reply = oneshot::Sender<Result<Committed, Error>>;

/// What the writer is asked to do.
enum Order {
    /// Record something.
    Commit(Command),
    /// Take bodies away.
    Forget {
        indices: Vec<u64>,
        reply: oneshot::Sender<Result<bool, Error>>,
    },
}

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

struct Command {
    decide: Decide,
    weight: Weight,
    reply: Reply,
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
        let writer = Writer {
            journal,
            signer,
            clock,
            shared: Arc::clone(&shared),
            random: SystemRandom::new(),
        };
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
    /// # Errors
    /// When the journal cannot be written, or somebody reads old pages of it for too long; calling it again finishes it.
    pub(crate) async fn forget(&self, indices: Vec<u64>) -> Result<(), Error> {
        let mut indices = indices;
        for _ in 0..FORGET_TRIES_MAX {
            let (reply, answer) = oneshot::channel();
            let order = Order::Forget {
                indices: std::mem::take(&mut indices),
                reply,
            };
            self.orders
                .try_send(order)
                .map_err(|_| unavailable("the log's writer has more to do than it can take now"))?;
            if answer.await.unwrap_or_else(|_| Err(unavailable("the log's writer has stopped")))? {
                return Ok(());
            }
            tokio::time::sleep(FORGET_PAUSE).await;
        }
        Err(unavailable(
            "old pages of the journal stay in use, so bodies that were disposed of are still on disk",
        ))
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

/// Owned by the log's thread.
struct Writer {
    journal: Box<dyn Journal>,
    signer: Arc<LogSigner>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    random: SystemRandom,
}

/// A command that was decided, while its batch is not yet durable.
struct Decided {
    reply: Reply,
    what: Result<Place, Refusal>,
}

/// Where a command's events will stand.
struct Place(Range<u64>);

/// A refusal, and whether it rests on events of its batch that may yet come to nothing.
struct Refusal {
    fault: Error,
    speculative: bool,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Order>) {
        while let Ok(order) = queue.recv() {
            let mut next = Some(order);
            while let Some(order) = next.take() {
                match order {
                    Order::Forget { indices, reply } => drop(reply.send(self.forget(&indices))),
                    Order::Commit(command) => {
                        let mut batch = vec![command];
                        while batch.len() < COMMIT_COMMANDS_MAX {
                            match queue.try_recv() {
                                Ok(Order::Commit(command)) => batch.push(command),
                                Ok(other) => {
                                    next = Some(other);
                                    break;
                                }
                                Err(_) => break,
                            }
                        }
                        self.commit(batch);
                    }
                }
            }
        }
    }

    fn forget(&mut self, indices: &[u64]) -> Result<bool, Error> {
        let before = self.shared.published.load_full();
        if let Some(broken) = &before.broken {
            return Err(unavailable(broken));
        }
        self.journal.forget(indices).map_err(|fault| {
            self.broke(&before, &fault);
            unavailable(&fault.to_string())
        })
    }

    /// Says that the log can no longer grow, unless it only lacks space.
    fn broke(&self, before: &Published, fault: &AppendError) {
        tracing::error!(error = %fault, "the evidence log cannot be written");
        if !matches!(fault, AppendError::NoSpace) {
            self.shared.published.store(Arc::new(Published {
                state: before.state.clone(),
                checkpoint: before.checkpoint.clone(),
                commits: before.commits,
                broken: Some(fault.to_string()),
            }));
            self.shared.size.send_modify(|_| {});
        }
    }

    fn commit(&mut self, batch: Vec<Command>) {
        if let Some(broken) = &self.shared.published.load().broken {
            return refuse(batch.into_iter().map(|command| command.reply), || unavailable(broken));
        }
        let weight = if batch.iter().any(|c| c.weight == Urgency::Closing) {
            Urgency::Closing
        } else {
            Urgency::Normal
        };
        let (mixed, normal): (Vec<_>, Vec<_>) = batch.into_iter().partition(|c| c.weight == weight);
        // Closing commands have a commit of their own ahead of the others, so that what opens something new can be refused for
        // lack of space without touching what ends something old.
        self.commit_alike(mixed, weight);
        if !normal.is_empty() {
            self.commit(normal);
        }
    }

    fn commit_alike(&mut self, batch: Vec<Command>, weight: Urgency) {
        let before = self.shared.published.load_full();
        let now_ms = self.clock.now_ms().max(before.state.last_ms);
        let mut state = before.state.clone();
        let mut drafts = Vec::new();
        let mut decided = Vec::new();
        for Command { decide, reply, .. } in batch {
            let first = state.size;
            let drafted = decide(&state, now_ms).and_then(|events| {
                let drafted: Result<Vec<Draft>, Error> = events.iter().map(|event| self.draft(event, now_ms)).collect();
                Ok((events, drafted?))
            });
            let what = match drafted {
                Ok((events, mut drafted)) => {
                    for event in &events {
                        state.apply(event, now_ms);
                    }
                    drafts.append(&mut drafted);
                    Ok(Place(first..state.size))
                }
                Err(fault) => Err(Refusal {
                    fault,
                    speculative: !drafts.is_empty(),
                }),
            };
            decided.push(Decided { reply, what });
        }
        if drafts.is_empty() {
            return answer(decided, &before);
        }
        match self.append(&before, state, drafts, weight) {
            Ok(published) => answer(decided, &published),
            Err(fault) => {
                self.broke(&before, &fault);
                answer_unwritten(decided, &fault);
            }
        }
    }

    fn append(&mut self, before: &Published, state: State, drafts: Vec<Draft>, weight: Urgency) -> Result<Arc<Published>, AppendError> {
        let (records, terms): (Vec<_>, Vec<_>) = drafts.into_iter().map(|draft| (draft.record, draft.terms)).unzip();
        let size = self.journal.append(before.state.size, &records, weight)?;
        if size != state.size {
            return Err(AppendError::Conflict {
                expected: state.size,
                found: size,
            });
        }
        let root = {
            let mut tree = self.shared.tree.write().unwrap_or_else(PoisonError::into_inner);
            for record in &records {
                tree.push(chunk_evidence::merkle::leaf_hash(&record.leaf));
            }
            root_of(&tree).map_err(AppendError::Failed)?
        };
        {
            let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            for Terms { header, requests } in &terms {
                index.push(header, requests.iter().map(String::as_str));
            }
        }
        let checkpoint = self.signer.sign(size, root).map_err(|fault| AppendError::Failed(fault.into()))?;
        let published = Arc::new(Published {
            state,
            checkpoint,
            commits: before.commits + 1,
            broken: None,
        });
        self.shared.published.store(Arc::clone(&published));
        self.shared.size.send_replace(size);
        Ok(published)
    }

    /// Makes the record of one event: header with its time, committed body, sealed body.
    fn draft(&self, event: &Event, now_ms: i64) -> Result<Draft, Error> {
        let (mut header, body) = event.draft();
        #[cfg(test)]
        super::inventory::check(&header, &body);
        header.t = now_ms;
        let record = seal(&header, &body, &self.shared.data_keys, &self.random).map_err(|fault| match fault {
            SealError::Form(fault) => Error::new(Code::Internal, "What happened cannot be written down as an entry.").operator(fault),
            SealError::Keys(fault) => unavailable(&fault.to_string()),
        })?;
        let requests = requests_named(&body).map(ToOwned::to_owned).collect();
        let terms = Terms { header, requests };
        Ok(Draft { record, terms })
    }
}

/// An entry as it will be stored, and what it will be found by.
struct Draft {
    record: Record,
    terms: Terms,
}

struct Terms {
    header: Header,
    requests: Vec<String>,
}

/// Requests that a body names, or is of.
pub(crate) fn requests_named(body: &Body) -> impl Iterator<Item = &str> {
    ["id", "request"].into_iter().filter_map(|member| body.text(Group::What, member))
}

/// Why an entry has no record.
enum SealError {
    /// It has no text, e.g. for a number beyond 2^53: a bug, and no fault of the log's.
    Form(Box<dyn std::error::Error + Send + Sync>),
    /// Random bits or data keys cannot be had.
    Keys(Box<dyn std::error::Error + Send + Sync>),
}

fn seal(header: &Header, body: &Body, data_keys: &DataKeys, random: &SystemRandom) -> Result<Record, SealError> {
    fn form(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SealError {
        SealError::Form(fault.into())
    }
    fn keys(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SealError {
        SealError::Keys(fault.into())
    }
    let mut bits = [0_u8; 16];
    random.fill(&mut bits).map_err(|_| keys("the random generator failed"))?;
    let key = EntryKey::from_random(bits);
    let leaf = Leaf::new(header.clone(), body.root(&key).map_err(form)?).map_err(form)?.to_bytes();
    let document = body.to_document(&key).map_err(form)?;
    // What says that somebody was erased must not go when whoever did it is erased in turn.
    let own = header.kind == Kind::Erase;
    let subject = header.act.as_deref().filter(|_| !own).unwrap_or("broker");
    let data_key = data_keys.key_for(subject, &month(header.t)).map_err(keys)?;
    let sealed = data_keys.seal(&data_key, &sha256(&leaf), document.as_bytes()).map_err(keys)?;
    Ok(Record {
        leaf,
        sealed,
        data_key: Some(data_key.to_string()),
    })
}

fn root_of(tree: &Tree) -> Result<chunk_evidence::merkle::Hash, Box<dyn std::error::Error + Send + Sync>> {
    tree.root(tree.size()).ok_or_else(|| "the tree does not hold its own size".into())
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

/// Tells everybody in the batch, now that what was decided is durable.
fn answer(decided: Vec<Decided>, published: &Arc<Published>) {
    for Decided { reply, what } in decided {
        let published = Arc::clone(published);
        drop(reply.send(match what {
            Ok(Place(events)) => Ok(Committed { events, published }),
            Err(refusal) => Err(refusal.fault),
        }));
    }
}

/// Tells everybody that nothing was written. A refusal stands if it rests on nothing that was lost with the batch.
fn answer_unwritten(decided: Vec<Decided>, fault: &AppendError) {
    for Decided { reply, what } in decided {
        drop(reply.send(Err(match what {
            Err(Refusal { fault, speculative: false }) => fault,
            _ => unavailable(&fault.to_string()),
        })));
    }
}

fn refuse(replies: impl IntoIterator<Item = Reply>, why: impl Fn() -> Error) {
    for reply in replies {
        drop(reply.send(Err(why())));
    }
}

/// What a journal holds.
struct Replayed {
    state: State,
    tree: Tree,
    index: Index,
    /// Entries whose bodies are there although an entry says that they were disposed of.
    left: Vec<u64>,
}

fn replay(reader: &dyn JournalReader, data_keys: &DataKeys) -> Result<Replayed, Box<dyn std::error::Error + Send + Sync>> {
    let mut state = State::default();
    let (mut tree, mut index) = (Tree::new(), Index::default());
    // Data keys that are gone, each with the first entry that misses it.
    let mut missing = BTreeMap::<String, u64>::new();
    let mut kept = KeptBodies::default();
    loop {
        let records = reader.read(state.size, REPLAY_PAGE)?;
        if records.is_empty() {
            let unsaid = missing.into_iter().find(|(key, _)| !state.erased_keys.contains_key(key));
            if let Some((_, index)) = unsaid {
                return Err(format!("entry {index} cannot be opened: its data key is gone, and no entry says that it was erased").into());
            }
            let left = kept.left(&state)?;
            return Ok(Replayed { state, tree, index, left });
        }
        for entry in open_all(state.size, &records, data_keys)? {
            tree.push(entry.leaf.hash());
            index.push(&entry.leaf.header, entry.body.iter().flat_map(|(_, body)| requests_named(body)));
            match &entry.body {
                Some((_, body)) => {
                    kept.there(entry.leaf.header.kind, entry.index);
                    state.apply(&Event::read(entry.index, &entry.leaf.header, body)?, entry.leaf.header.t);
                }
                None => {
                    match entry.erased_key {
                        Some(key) => {
                            missing.entry(key).or_insert(entry.index);
                        }
                        None => kept.gone(entry.leaf.header.kind, entry.index),
                    }
                    state.apply_erased(&entry.leaf.header);
                }
            }
        }
    }
}

/// Which bodies of kinds that may be disposed of are there, and which are not, while a journal is replayed.
#[derive(Default)]
struct KeptBodies {
    there: BTreeMap<Kind, Vec<u64>>,
    /// The last that is gone, of each kind.
    gone: BTreeMap<Kind, u64>,
}

impl KeptBodies {
    fn there(&mut self, kind: Kind, index: u64) {
        if is_disposable(kind) {
            self.there.entry(kind).or_default().push(index);
        }
    }

    fn gone(&mut self, kind: Kind, index: u64) {
        self.gone.insert(kind, index);
    }

    /// The entries whose bodies should be gone. Disposing goes from the first of a kind onwards, so the last one tells for all.
    fn left(self, state: &State) -> Result<Vec<u64>, String> {
        for (kind, index) in self.gone {
            if index >= state.disposed_before(kind) {
                return Err(format!("entry {index} has no body, and no entry says that it was disposed of"));
            }
        }
        let due = self.there.into_iter().flat_map(|(kind, indices)| {
            let before = state.disposed_before(kind);
            indices.into_iter().take_while(move |index| *index < before)
        });
        Ok(due.collect())
    }
}

/// Opens records; where there are many, on every core.
fn open_all(from: u64, records: &[Record], data_keys: &DataKeys) -> Result<Vec<Opened>, Box<dyn std::error::Error + Send + Sync>> {
    let open_part = |from: u64, records: &[Record]| -> Result<Vec<Opened>, _> {
        let opened = (from..).zip(records).map(|(index, record)| open(index, record, data_keys));
        opened.collect()
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = records.len().div_ceil(threads).max(SHARE_MIN);
    if records.len() <= share {
        return open_part(from, records);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = (from..)
            .step_by(share)
            .zip(records.chunks(share))
            .map(|(from, part)| scope.spawn(move || open_part(from, part)))
            .collect();
        let mut opened = Vec::with_capacity(records.len());
        for part in parts {
            opened.append(&mut part.join().map_err(|_| "entries could not be opened: a thread panicked")??);
        }
        Ok(opened)
    })
}

/// Opens a record and checks that the body is the one its leaf commits to.
fn open(index: u64, record: &Record, data_keys: &DataKeys) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
    let leaf = Leaf::parse(&record.leaf).map_err(|fault| format!("entry {index}: {fault}"))?;
    let erased = |leaf| Opened {
        index,
        leaf,
        body: None,
        erased_key: record.data_key.clone(),
    };
    let Some(data_key) = &record.data_key else {
        return Ok(erased(leaf));
    };
    let Some(document) = data_keys.unseal(&DataKeyId::from_stored(data_key.clone()), &sha256(&record.leaf), &record.sealed)? else {
        return Ok(erased(leaf));
    };
    let (key, body) = Body::parse_document(std::str::from_utf8(&document)?)?;
    if body.root(&key)? != leaf.body_root {
        return Err(format!("entry {index}: the stored body is not the one its leaf commits to").into());
    }
    Ok(Opened {
        index,
        leaf,
        body: Some((key, body)),
        erased_key: None,
    })
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

/// How often older pages of the journal are waited for, and how long each time.
const FORGET_TRIES_MAX: u32 = 100;
const FORGET_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// Entries opened at a time while replaying.
const REPLAY_PAGE: usize = 4096;
/// Entries for which a thread is worth its while.
const SHARE_MIN: usize = 512;
