//! Whether a delivery may go on: rows, bytes and time against its budget.
//!
//! A result that would pass a bound ends with an error, never with fewer rows: a truncated file that looks whole is worse
//! than none.

use std::time::Duration;

use chunk_port::{ScanError, ScanErrorKind};
use chunk_wire::fetch::Budget;
use tokio::time::Instant;

/// Counts what a delivery has used of its budget.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    rows: u64,
    bytes: u64,
    /// When the time is up.
    pub(crate) deadline: Instant,
}

impl Meter {
    /// Starts the clock.
    pub(crate) fn start(budget: Budget) -> Self {
        Self {
            budget,
            rows: 0,
            bytes: 0,
            deadline: Instant::now() + Duration::from_secs(u64::from(budget.duration_s)),
        }
    }

    /// Counts rows about to be encoded.
    pub(crate) fn rows(&mut self, rows: usize) -> Result<(), ScanError> {
        self.rows = self.rows.saturating_add(u64::try_from(rows).unwrap_or(u64::MAX));
        if self.rows > self.budget.rows {
            return Err(limit(format!(
                "the result has more than the {} rows this delivery may carry",
                self.budget.rows
            )));
        }
        Ok(())
    }

    /// Counts bytes about to be handed out.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), ScanError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.bytes > self.budget.bytes {
            return Err(limit(format!(
                "the result has more than the {} bytes this delivery may carry",
                self.budget.bytes
            )));
        }
        Ok(())
    }

    /// Whether there is time left.
    pub(crate) fn check(&self) -> Result<(), ScanError> {
        if Instant::now() > self.deadline { Err(self.late()) } else { Ok(()) }
    }

    /// The error of a delivery whose time is up.
    pub(crate) fn late(&self) -> ScanError {
        limit(format!(
            "the delivery took longer than the {} seconds it may last",
            self.budget.duration_s
        ))
    }
}

fn limit(public: String) -> ScanError {
    ScanError {
        kind: ScanErrorKind::Limit,
        public: format!("{public}; narrow the query, or ask for a larger budget"),
        operator: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_budget_is_reached_by_the_first_row_or_byte_too_many() {
        let mut meter = Meter::start(Budget {
            rows: 10,
            bytes: 100,
            duration_s: 1,
        });
        assert!(meter.rows(10).is_ok());
        assert_eq!(meter.rows(1).map_err(|e| e.kind), Err(ScanErrorKind::Limit));
        assert!(meter.bytes(100).is_ok());
        assert_eq!(meter.bytes(1).map_err(|e| e.kind), Err(ScanErrorKind::Limit));
    }
}
