//! The only writer of the log: orders commands, commits their entries, publishes the state.
//!
//! One thread owns the journal. Whatever queued while it was syncing is the next batch (adaptive group commit, no timer). Each
//! command is *decided* against a speculative state that holds the batch so far; its events are drafted and folded in. Then the
//! batch is sealed, by every processor there is when it is large, and appended with one durable sync. Only after that is the state
//! published and anybody told. If that fails, the speculative state is forgotten and every command of the batch is refused;
//! nothing happened that the log does not show.

use std::ops::Range;
use std::sync::{Arc, PoisonError, mpsc};

use chunk_evidence::draft;
use chunk_evidence::leaf::{Header, Kind};
use chunk_evidence::merkle::Hash;
use chunk_log::journal::{AppendError, Journal, Urgency};
use chunk_log::seal::{Drawn, Sealed, Unsealed, seal_all};
use chunk_log::signer::LogSigner;
use chunk_log::tree::Tree;
use chunk_wire::problem::Code;
use ring::rand::SystemRandom;
use tokio::sync::oneshot;

use super::entries::Event;
use super::log::{Committed, Published, Shared, month, requests_named, unavailable};
use crate::clock::Clock;
use crate::error::Error;
use crate::limits::COMMIT_COMMANDS_MAX;
use crate::state::State;

type Decide = Box<dyn FnOnce(&State, i64) -> Result<Vec<Event>, Error> + Send>;
type Reply = oneshot::Sender<Result<Committed, Error>>;

/// What the writer is asked to do.
pub(super) enum Order {
    /// Record something.
    Commit(Command),
    /// Take bodies away.
    Forget {
        indices: Vec<u64>,
        reply: oneshot::Sender<Result<bool, Error>>,
    },
}

/// Something to decide and record.
pub(super) struct Command {
    pub(super) decide: Decide,
    pub(super) weight: Urgency,
    pub(super) reply: Reply,
}

/// Owned by the log's thread.
pub(super) struct Writer {
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
    /// The writer of this journal, to be run on a thread of its own.
    pub(super) fn new(journal: Box<dyn Journal>, signer: Arc<LogSigner>, clock: Arc<dyn Clock>, shared: Arc<Shared>) -> Self {
        Self {
            journal,
            signer,
            clock,
            shared,
            random: SystemRandom::new(),
        }
    }

    /// Records until nobody can ask for more.
    pub(super) fn run(mut self, queue: &mpsc::Receiver<Order>) {
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
        let (entries, terms): (Vec<_>, Vec<_>) = drafts.into_iter().map(|draft| (draft.entry, draft.terms)).unzip();
        // Whatever an entry can lack it lacked as a draft. Should one still not be sealed, then what was decided after it rests on
        // something that will never be: nothing of the batch is written, and the log goes on from where it was.
        let sealed = match seal_all(entries) {
            Ok(sealed) => sealed,
            Err(fault) => {
                tracing::error!(error = %fault, "a commit could not be sealed");
                return answer_unwritten(decided, &fault);
            }
        };
        match self.append(&before, state, sealed, &terms, weight) {
            Ok(published) => answer(decided, &published),
            Err(fault) => {
                self.broke(&before, &fault);
                answer_unwritten(decided, &fault);
            }
        }
    }

    fn append(
        &mut self,
        before: &Published,
        state: State,
        sealed: Vec<Sealed>,
        terms: &[Terms],
        weight: Urgency,
    ) -> Result<Arc<Published>, AppendError> {
        let (records, hashes): (Vec<_>, Vec<_>) = sealed.into_iter().map(|Sealed { record, hash }| (record, hash)).unzip();
        let size = self.journal.append(before.state.size, &records, weight)?;
        if size != state.size {
            return Err(AppendError::Conflict {
                expected: state.size,
                found: size,
            });
        }
        let root = {
            let mut tree = self.shared.tree.write().unwrap_or_else(PoisonError::into_inner);
            for hash in hashes {
                tree.push(hash);
            }
            root_of(&tree).map_err(AppendError::Failed)?
        };
        {
            let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            for Terms { header, requests } in terms {
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

    /// Writes one event down: header with its time, body, and what it will be sealed with.
    fn draft(&self, event: &Event, now_ms: i64) -> Result<Draft, Error> {
        let (mut header, body) = event.draft();
        #[cfg(test)]
        super::inventory::check(&header, &body);
        header.t = now_ms;
        let drawn = Drawn::from(&self.random).map_err(|fault| unavailable(&fault.to_string()))?;
        // It has no text e.g. for a number beyond 2^53: a bug, and no fault of the log's.
        let entry = draft::Draft::new(&header, &body, drawn.rk())
            .map_err(|fault| Error::new(Code::Internal, "What happened cannot be written down as an entry.").operator(fault))?;
        // What says that somebody was erased must not go when whoever did it is erased in turn.
        let own = header.kind == Kind::Erase;
        let subject = header.act.as_deref().filter(|_| !own).unwrap_or("broker");
        let key = self.shared.data_keys.data_key(subject, &month(header.t));
        let key = key.map_err(|fault| unavailable(&fault.to_string()))?;
        let requests = requests_named(&body).map(ToOwned::to_owned).collect();
        let terms = Terms { header, requests };
        let entry = Unsealed::new(entry, key, drawn);
        Ok(Draft { entry, terms })
    }
}

/// An entry that is to be sealed, and what it will be found by.
struct Draft {
    entry: Unsealed,
    terms: Terms,
}

struct Terms {
    header: Header,
    requests: Vec<String>,
}

pub(super) fn root_of(tree: &Tree) -> Result<Hash, Box<dyn std::error::Error + Send + Sync>> {
    tree.root(tree.size()).ok_or_else(|| "the tree does not hold its own size".into())
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
fn answer_unwritten(decided: Vec<Decided>, fault: &dyn std::error::Error) {
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
