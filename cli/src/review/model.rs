//! What the reviewer sees and has begun: everything that decides what is drawn, and nothing of how.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use chunk_wire::fetch::RequestState;
use chunk_wire::id::RequestId;
use chunk_wire::review::Verdict;
use chunk_wire::session::Person;

use super::editor::Editor;
use super::item::{Filter, Item};
use super::keys::Place;
use crate::document::Checked;

/// Decided requests that are kept; the oldest are let go of.
const HISTORY_ITEMS_MAX: usize = 5_000;
/// Requests that wait; the broker tells of no more at once.
const ITEMS_MAX: usize = 50_000;
/// A message is shown for this long.
const NOTICE_MS: i64 = 12_000;
const NOTICES_MAX: usize = 64;
/// A reason holds no more; the broker refuses a longer one.
pub(crate) const REASON_BYTES_MAX: usize = 2000;
const FILTER_BYTES_MAX: usize = 200;

/// Everything.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) me: Person,
    pub(crate) now_ms: i64,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) undo_ms: i64,
    pub(crate) link: Link,
    /// Requests by index; the newest has the largest.
    items: BTreeMap<u64, Item>,
    indices: BTreeMap<RequestId, u64>,
    /// While the list is told: what it named.
    told: Option<BTreeSet<u64>>,
    /// Older pending requests that the broker left out.
    pub(crate) left_out: usize,
    pub(crate) tab: Tab,
    panes: [Pane; 2],
    pub(crate) marked: BTreeSet<u64>,
    pub(crate) filter_text: Editor,
    pub(crate) mode: Mode,
    /// Lines of the request that are above the screen.
    pub(crate) detail_top: usize,
    pub(crate) help_top: usize,
    /// Verdicts that can still be taken back, in the order in which they were given.
    pub(crate) scheduled: Vec<Scheduled>,
    /// Verdicts on their way.
    pub(crate) sending: BTreeMap<RequestId, Verdict>,
    notices: VecDeque<Notice>,
    notices_said: u64,
    /// What was done and what was left undone, to be told when the screen is gone.
    pub(crate) deeds: Vec<String>,
    /// Quits as soon as nothing is on its way any more, and at this time at the latest.
    pub(crate) leaving: Option<i64>,
    stale: bool,
}

/// The way to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not heard yet.
    Joining,
    /// What is shown is what there is.
    Live,
    /// Not heard any more, and why.
    Lost(String),
}

/// Which requests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    /// Those that wait for this reviewer.
    Inbox,
    /// All others.
    History,
}

/// What the keys go to.
#[derive(Debug)]
pub(crate) enum Mode {
    /// The list.
    Listing,
    /// The request that is selected.
    Reading,
    /// The filter.
    Filtering,
    /// The reason for a verdict.
    Judging(Judgement),
    /// The list of keys.
    Helping,
}

/// A verdict that lacks its reason.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// The documents as they were shown: the verdict is over these.
    pub(crate) on: Vec<Rc<Checked>>,
    pub(crate) reason: Editor,
    /// Why it cannot be taken as it is.
    pub(crate) fault: Option<&'static str>,
    /// Go back to reading afterwards.
    pub(crate) was_reading: bool,
}

/// A verdict that counts down.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) verdict: Verdict,
    pub(crate) on: Vec<Rc<Checked>>,
    pub(crate) reason: Rc<str>,
    pub(crate) due_ms: i64,
}

/// Something to be said.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) tone: Tone,
    pub(crate) words: String,
    at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

/// A list on the screen.
#[derive(Debug, Default)]
pub(crate) struct Pane {
    /// Indices of what the filter lets through: emergencies, then the others, newest first.
    pub(crate) shown: Vec<u64>,
    /// Without the filter there would be this many.
    pub(crate) all: usize,
    pub(crate) selected: Option<u64>,
    /// The first that is on the screen.
    pub(crate) top: usize,
}

impl Model {
    pub(crate) fn new(me: Person, now_ms: i64, size: (u16, u16), undo_ms: i64) -> Self {
        Self {
            me,
            now_ms,
            size,
            undo_ms,
            link: Link::Joining,
            items: BTreeMap::new(),
            indices: BTreeMap::new(),
            told: None,
            left_out: 0,
            tab: Tab::Inbox,
            panes: [Pane::default(), Pane::default()],
            marked: BTreeSet::new(),
            filter_text: Editor::new(FILTER_BYTES_MAX),
            mode: Mode::Listing,
            detail_top: 0,
            help_top: 0,
            scheduled: Vec::new(),
            sending: BTreeMap::new(),
            notices: VecDeque::new(),
            notices_said: 0,
            deeds: Vec::new(),
            leaving: None,
            stale: true,
        }
    }

    pub(crate) fn place(&self) -> Place {
        match self.mode {
            Mode::Listing => Place::List,
            Mode::Reading => Place::Detail,
            Mode::Filtering => Place::Filter,
            Mode::Judging(_) => Place::Reason,
            Mode::Helping => Place::Help,
        }
    }

    pub(crate) fn pane(&self, tab: Tab) -> &Pane {
        let [inbox, history] = &self.panes;
        match tab {
            Tab::Inbox => inbox,
            Tab::History => history,
        }
    }

    pub(crate) fn open_pane(&mut self) -> &mut Pane {
        let [inbox, history] = &mut self.panes;
        match self.tab {
            Tab::Inbox => inbox,
            Tab::History => history,
        }
    }

    pub(crate) fn item(&self, index: u64) -> Option<&Item> {
        self.items.get(&index)
    }

    pub(crate) fn by_id(&self, id: &RequestId) -> Option<&Item> {
        self.items.get(self.indices.get(id)?)
    }

    /// The request that is shown whole.
    pub(crate) fn selected(&self) -> Option<&Item> {
        self.item(self.pane(self.tab).selected?)
    }

    /// Other requests of the same person for the same data, newest first.
    pub(crate) fn before(&self, item: &Item) -> impl Iterator<Item = &Item> {
        let (requester, datasets, index) = (item.view().requester.clone(), datasets(item), item.view().index);
        let earlier = self.items.range(..index).rev().map(|(_, other)| other);
        earlier.filter(move |other| !datasets.is_empty() && other.is_by(&requester) && self::datasets(other) == datasets)
    }

    /// The verdict that counts down or is on its way for a request.
    pub(crate) fn begun(&self, id: &RequestId) -> Option<Verdict> {
        let scheduled = self
            .scheduled
            .iter()
            .find(|scheduled| scheduled.on.iter().any(|checked| checked.view().id == *id));
        scheduled
            .map(|scheduled| scheduled.verdict)
            .or_else(|| self.sending.get(id).copied())
    }

    /// Begins to be told what is pending.
    pub(crate) fn begin_list(&mut self) {
        self.told = Some(BTreeSet::new());
    }

    /// Everything pending was told: what was not named does not wait any more.
    pub(crate) fn end_list(&mut self, left_out: usize) {
        let told = self.told.take().unwrap_or_default();
        self.left_out = left_out;
        self.link = Link::Live;
        let pending = |index: &&u64| self.items.get(*index).is_some_and(|item| !item.view().review_due);
        let oldest_told = told.iter().find(pending).copied().unwrap_or(0);
        let me = self.me.clone();
        // Older ones than the oldest that was named may just have been left out.
        let gone = |(index, item): (&u64, &Item)| {
            let named = told.contains(index) || (left_out > 0 && *index < oldest_told);
            (item.waits_for(&me) && !named).then_some(*index)
        };
        let gone: Vec<u64> = self.items.iter().filter_map(gone).collect();
        for index in gone {
            self.forget(index);
        }
        self.stale = true;
    }

    /// Takes a request as it stands now.
    pub(crate) fn learn(&mut self, item: Item) {
        let (index, id) = (item.view().index, item.view().id.clone());
        if let Some(told) = &mut self.told {
            told.insert(index);
        }
        self.indices.insert(id, index);
        self.items.insert(index, item);
        while self.items.len() > ITEMS_MAX {
            if let Some((_, oldest)) = self.items.pop_first() {
                self.indices.remove(&oldest.view().id);
            }
        }
        self.stale = true;
    }

    fn forget(&mut self, index: u64) {
        if let Some(item) = self.items.remove(&index) {
            self.indices.remove(&item.view().id);
        }
        self.marked.remove(&index);
    }

    /// What is listed has to be looked up again.
    pub(crate) fn is_stale(&mut self) {
        self.stale = true;
    }

    /// Brings the lists in line with what is known. Costs something, so it is done once before a key or a drawing.
    pub(crate) fn settle(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let filter = Filter::parse(self.filter_text.text());
        let (mut inbox, mut history) = (Vec::new(), Vec::new());
        let (mut waiting, mut decided) = (0, 0);
        let mut too_old = Vec::new();
        for (index, item) in self.items.iter().rev() {
            let waits = item.waits_for(&self.me);
            let (all, shown) = if waits {
                (&mut waiting, &mut inbox)
            } else {
                (&mut decided, &mut history)
            };
            *all += 1;
            if !waits && *all > HISTORY_ITEMS_MAX {
                too_old.push(*index);
            } else if filter.matches(item) {
                shown.push(*index);
            }
            if !waits {
                self.marked.remove(index);
            }
        }
        inbox.sort_by_key(|index| !self.item(*index).is_some_and(|item| item.view().review_due));
        too_old.into_iter().for_each(|index| self.forget(index));
        let selected = self.pane(self.tab).selected;
        let [inbox_pane, history_pane] = &mut self.panes;
        inbox_pane.settle(inbox, waiting);
        history_pane.settle(history, decided.min(HISTORY_ITEMS_MAX));
        if self.pane(self.tab).selected != selected {
            self.detail_top = 0;
        }
    }

    /// Says something, in the line for it.
    pub(crate) fn say(&mut self, tone: Tone, words: impl Into<String>) {
        self.notices_said += 1;
        self.notices.push_back(Notice {
            tone,
            words: words.into(),
            at_ms: self.now_ms,
        });
        if self.notices.len() > NOTICES_MAX {
            self.notices.pop_front();
        }
    }

    /// What was said last, while it is news.
    pub(crate) fn notice(&self) -> Option<&Notice> {
        self.notices.back().filter(|notice| self.now_ms - notice.at_ms < NOTICE_MS)
    }

    /// What was said since that many things had been said, and how many have been now.
    pub(crate) fn said_since(&self, said: u64) -> (u64, impl Iterator<Item = &Notice>) {
        let new = usize::try_from(self.notices_said - said).unwrap_or(usize::MAX);
        (self.notices_said, self.notices.iter().skip(self.notices.len().saturating_sub(new)))
    }

    /// Verdicts that were begun and are not sent: they are dropped, and it is said.
    pub(crate) fn drop_scheduled(&mut self) {
        for scheduled in std::mem::take(&mut self.scheduled) {
            for checked in scheduled.on {
                let id = &checked.view().id;
                self.deeds.push(format!(
                    "The {} of {id} was not sent: it still counted down. Nothing was signed.",
                    noun(scheduled.verdict)
                ));
            }
        }
    }
}

impl Model {
    /// Verdicts that were sent and not answered: what became of them is not known, and it is said.
    pub(crate) fn drop_sending(&mut self) {
        for (id, verdict) in std::mem::take(&mut self.sending) {
            let noun = noun(verdict);
            self.deeds.push(format!(
                "The {noun} of {id} was signed, and its answer not waited for: see `chunkctl request show {id}`."
            ));
        }
    }
}

impl Pane {
    /// Takes what is listed now. The cursor stays on its request; where that is gone, on the one in its place.
    fn settle(&mut self, shown: Vec<u64>, all: usize) {
        let before = self.position();
        self.shown = shown;
        self.all = all;
        let after = self.selected.and_then(|selected| self.find(selected));
        match (before, after) {
            (Some(before), Some(after)) if self.top > 0 => self.top = (self.top + after).saturating_sub(before),
            (_, None) => {
                let place = before.unwrap_or(0).min(self.shown.len().saturating_sub(1));
                self.selected = self.shown.get(place).copied();
            }
            _ => {}
        }
        self.top = self.top.min(self.shown.len().saturating_sub(1));
    }

    fn find(&self, index: u64) -> Option<usize> {
        self.shown.iter().position(|shown| *shown == index)
    }

    /// Where the cursor is.
    pub(crate) fn position(&self) -> Option<usize> {
        self.find(self.selected?)
    }

    /// Puts the cursor on a row, and moves what is on the screen so that it is among it.
    pub(crate) fn select(&mut self, row: usize, rows_on_screen: usize) {
        let row = row.min(self.shown.len().saturating_sub(1));
        self.selected = self.shown.get(row).copied();
        self.top = self.top_on(rows_on_screen);
    }

    /// The first row on a screen of so many rows: the cursor is among them, and no row is left empty without need.
    pub(crate) fn top_on(&self, rows_on_screen: usize) -> usize {
        let row = self.position().unwrap_or(0);
        let top = self.top.min(self.shown.len().saturating_sub(rows_on_screen));
        top.min(row).max((row + 1).saturating_sub(rows_on_screen.max(1)))
    }
}

/// Datasets of a request; none where its document is refused.
pub(crate) fn datasets(item: &Item) -> &[String] {
    item.checked().map_or(&[], |checked| &checked.document().datasets)
}

pub(crate) fn noun(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approval",
        Verdict::Reject => "rejection",
    }
}

/// A state that is a yes, a no, or neither.
pub(crate) fn tone(state: RequestState) -> Tone {
    match state {
        RequestState::Approved | RequestState::Running | RequestState::Completed => Tone::Good,
        RequestState::Rejected | RequestState::Revoked | RequestState::Failed => Tone::Bad,
        RequestState::Pending | RequestState::Expired | RequestState::Cancelled | RequestState::Paused => Tone::Plain,
    }
}
