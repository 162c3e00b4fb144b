//! A sample that nobody chose: which entries, out of how many, so that a third party draws the same ones.
//!
//! Each entry of the population gets a number, HMAC-SHA-256 under the seed over its index in decimal digits; the smallest
//! numbers are the sample. The digest of the population binds the draw to exactly these entries: SHA-256 over one line an entry,
//! its index, a space, its leaf hash in hex, and a line break. `docs/guides/audit.md` draws again in Python.

use std::collections::BTreeMap;
use std::io::Write;

use ring::{digest, hmac};

use super::assess::words;
use super::known::Known;
use super::row::Row;
use super::text::cell;
use crate::body::Group;
use crate::civil::rfc3339;
use crate::encode::to_hex;
use crate::leaf::Kind;

/// What is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// Every time data was read: `fetch.intent`.
    Fetches,
    /// Sign-ins: `session.open`.
    Sessions,
    /// Requests, allowed and denied: `request.create`, `request.deny`.
    Requests,
    /// Verdicts: `review.approve`, `review.reject`.
    Reviews,
}

impl Population {
    /// The kinds of entries in it.
    #[must_use]
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            Population::Fetches => &[Kind::FetchIntent],
            Population::Sessions => &[Kind::SessionOpen],
            Population::Requests => &[Kind::RequestCreate, Kind::RequestDeny],
            Population::Reviews => &[Kind::ReviewApprove, Kind::ReviewReject],
        }
    }
}

/// Draws a sample while the rows go by.
pub struct Sampler {
    population: Population,
    size: usize,
    key: hmac::Key,
    known: Known,
    digest: digest::Context,
    count: u64,
    /// The smallest numbers so far, and their entries.
    drawn: BTreeMap<(Vec<u8>, u64), Item>,
    /// The number of each entry in `drawn`, for what points to it later.
    numbers: BTreeMap<u64, Vec<u8>>,
}

/// One entry of a sample.
#[derive(Debug)]
struct Item {
    row: Row,
    who: String,
    dataset: String,
    /// The outcome of a reading, once it has come.
    outcome: Option<(u64, String)>,
}

/// A sample.
#[derive(Debug)]
pub struct Sample {
    /// Entries in the population.
    pub population: u64,
    /// SHA-256 over the population, hex.
    pub digest: String,
    /// The indices that were drawn, ascending.
    pub indices: Vec<u64>,
    /// The sheet, CSV.
    pub sheet: Vec<u8>,
}

impl Sampler {
    /// Draws `size` entries under this seed.
    #[must_use]
    pub fn new(population: Population, size: usize, seed: &str) -> Self {
        Self {
            population,
            size,
            key: hmac::Key::new(hmac::HMAC_SHA256, seed.as_bytes()),
            known: Known::default(),
            digest: digest::Context::new(&digest::SHA256),
            count: 0,
            drawn: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Remembers an entry outside the range.
    pub fn context(&mut self, row: &Row) {
        self.known.remember(row);
    }

    /// Takes an entry of the range.
    pub fn row(&mut self, row: Row) {
        self.known.remember(&row);
        if row.header.kind == Kind::FetchOutcome {
            self.outcome(&row);
        }
        if !self.population.kinds().contains(&row.header.kind) {
            return;
        }
        self.count += 1;
        self.digest.update(format!("{} {}\n", row.index, to_hex(&row.hash)).as_bytes());
        let number = hmac::sign(&self.key, row.index.to_string().as_bytes()).as_ref().to_vec();
        let item = Item {
            who: self.known.actor_words(&row),
            dataset: self.known.dataset(&row).unwrap_or_default().to_owned(),
            outcome: None,
            row,
        };
        self.numbers.insert(item.row.index, number.clone());
        self.drawn.insert((number, item.row.index), item);
        if self.drawn.len() > self.size
            && let Some((_, dropped)) = self.drawn.pop_last()
        {
            self.numbers.remove(&dropped.row.index);
        }
    }

    fn outcome(&mut self, row: &Row) {
        let Some(intent) = row.header.refs.first() else { return };
        let number = self.numbers.get(intent).map(|number| (number.clone(), *intent));
        if let Some(item) = number.and_then(|number| self.drawn.get_mut(&number)) {
            item.outcome = Some((row.index, words(row)));
        }
    }

    /// The last entry has come.
    #[must_use]
    pub fn finish(self) -> Sample {
        let mut items: Vec<Item> = self.drawn.into_values().collect();
        items.sort_unstable_by_key(|item| item.row.index);
        let mut sheet = Vec::new();
        // Writing into memory does not fail.
        write!(
            sheet,
            "sample,index,time,kind,person,session,dataset,request,says,outcome,outcome_says,leaf_hash,result,remarks\r\n"
        )
        .ok();
        for (number, item) in (1..).zip(&items) {
            let row = &item.row;
            let request = row.text(Group::What, "request").or(row.text(Group::What, "id"));
            let (outcome, outcome_says) = item
                .outcome
                .as_ref()
                .map_or((String::new(), ""), |(index, says)| (index.to_string(), says.as_str()));
            let cells = [
                number.to_string(),
                row.index.to_string(),
                rfc3339(row.header.t),
                row.header.kind.as_str().to_owned(),
                cell(&item.who),
                cell(row.header.sid.as_deref().unwrap_or_default()),
                cell(&item.dataset),
                cell(request.unwrap_or_default()),
                cell(&words(row)),
                outcome,
                cell(outcome_says),
                to_hex(&row.hash),
                String::new(),
                String::new(),
            ];
            write!(sheet, "{}\r\n", cells.join(",")).ok();
        }
        Sample {
            population: self.count,
            digest: to_hex(self.digest.finish().as_ref()),
            indices: items.iter().map(|item| item.row.index).collect(),
            sheet,
        }
    }
}
