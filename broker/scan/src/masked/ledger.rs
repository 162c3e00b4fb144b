//! How often each mask was applied, and which scans a query came to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chunk_port::{Mask, MaskCount, MaskCounts};

use super::MaskedScan;

/// Shared by the scans of one order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counters: Mutex<Vec<Arc<Counter>>>,
    scans: Mutex<Vec<Arc<MaskedScan>>>,
}

/// Values that went through one mask of one column.
#[derive(Debug)]
pub(super) struct Counter {
    dataset: String,
    column: String,
    class: Option<String>,
    mask: String,
    values: AtomicU64,
    altered: AtomicU64,
}

impl Counter {
    /// Adds a batch.
    pub(super) fn add(&self, values: u64, altered: u64) {
        self.values.fetch_add(values, Ordering::Relaxed);
        self.altered.fetch_add(altered, Ordering::Relaxed);
    }
}

impl Ledger {
    /// The counter of a column; a table that a query names twice has one.
    pub(super) fn counter(&self, dataset: &str, column: &str, class: Option<&str>, mask: &Mask) -> Arc<Counter> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = counters.iter().find(|c| c.dataset == dataset && c.column == column) {
            return Arc::clone(found);
        }
        let counter = Arc::new(Counter {
            dataset: dataset.to_owned(),
            column: column.to_owned(),
            class: class.map(str::to_owned),
            mask: mask.to_string(),
            values: AtomicU64::new(0),
            altered: AtomicU64::new(0),
        });
        counters.push(Arc::clone(&counter));
        counter
    }

    /// Remembers a scan.
    pub(super) fn note(&self, scan: &Arc<MaskedScan>) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(scan));
    }

    /// The scans, in the order they were planned.
    pub(crate) fn scans(&self) -> Vec<Arc<MaskedScan>> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the scans: they hold on to their sources.
    pub(crate) fn forget_scans(&self) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl MaskCounts for Ledger {
    fn counts(&self) -> Vec<MaskCount> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |c: &Arc<Counter>| MaskCount {
            dataset: c.dataset.clone(),
            column: c.column.clone(),
            class: c.class.clone(),
            mask: c.mask.clone(),
            values: c.values.load(Ordering::Relaxed),
            altered: c.altered.load(Ordering::Relaxed),
        };
        let mut counts: Vec<MaskCount> = counters.iter().map(count).collect();
        counts.sort_by(|a, b| (&a.dataset, &a.column).cmp(&(&b.dataset, &b.column)));
        counts
    }
}
