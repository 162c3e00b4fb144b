//! What is done to a column's values on their way out, as data: decided in core, carried out in `chunk-scan`.

use std::sync::Arc;

use zeroize::Zeroizing;

/// What a column's values go through before any expression can see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing: the column is open.
    Open,
    /// Nothing: policy reveals its class to this caller.
    Reveal,
    /// A mask.
    Mask(Mask),
}

/// Value → safer value. Nulls stay null. Masks are total: what does not fit is redacted, never passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// Text becomes `[redacted]`; every other type becomes null.
    Redact,
    /// The column is not there.
    Drop,
    /// Text keeps its first and last characters (Unicode scalar values); each one between becomes `*`. A value not longer
    /// than what would be kept is redacted whole, as is any other type.
    Partial {
        /// Characters kept at the start.
        keep_first: u8,
        /// Characters kept at the end.
        keep_last: u8,
    },
    /// The value's text form becomes `tok_` + 26 characters of base 32 of HMAC-SHA-256 under the class's key (128 bits).
    ///
    /// Where the form is preserved, the digits of a number, or of a text of digits and what stands between them, are encrypted by FF1
    /// instead (NIST SP 800-38G), and anything else is redacted.
    Tokenize {
        /// Key.
        key: Arc<MaskKey>,
        /// Whether a number becomes a number of the same form.
        preserve: bool,
    },
    /// Dates and times move by days, the same for all that belong to one subject, and never by none; every other type is redacted.
    Shift {
        /// Key.
        key: Arc<MaskKey>,
        /// Days that a date moves at most, forward or back.
        days_max: u32,
        /// The column of the same table that says whose a date is; empty until a dataset says which.
        by: String,
    },
    /// Dates and times fall back to the start of their unit; numbers to the floor of their bucket; text keeps a prefix.
    Generalize {
        /// `year`, `month` or `day`, for dates and times.
        date: DateUnit,
        /// Width of a bucket for numbers; numbers are redacted when absent.
        bucket: Option<u64>,
        /// Characters kept of text, the rest dropped; text is redacted when absent.
        prefix: Option<u8>,
    },
    /// Free text: e-mail addresses, phone and card numbers, IBANs, national ids and secrets found in it are replaced by
    /// `[email]`, `[card]` …; a value of another type is formatted, tested, and redacted on a hit.
    Scan,
}

/// Unit that dates fall back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateUnit {
    /// Day.
    Day,
    /// Month.
    Month,
    /// Year.
    Year,
}

/// A masking key and its public id. Wiped on drop; never printed.
#[derive(PartialEq, Eq)]
pub struct MaskKey {
    /// Named in the evidence.
    pub id: String,
    /// 32 bytes.
    pub secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Mask {
    /// The same for a table whose rows belong to the subjects that this column names.
    #[must_use]
    pub fn of_subjects(&self, column: Option<&str>) -> Mask {
        let mut mask = self.clone();
        if let (Mask::Shift { by, .. }, Some(column)) = (&mut mask, column) {
            column.clone_into(by);
        }
        mask
    }
}

impl Treatment {
    /// Whether the caller sees the source's own values.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self, Treatment::Open | Treatment::Reveal)
    }
}

impl std::fmt::Display for Treatment {
    /// The words used in request documents, receipts and `describe`: `open`, `reveal`, `redact`, `partial(0,4)`,
    /// `tokenize(pii.email/1)`, `tokenize(pii.card/1,form)`, `shift(pii.birth/1,180,customer_id)`, `generalize(month,10,3)`, `scan`, `drop`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Treatment::Open => f.write_str("open"),
            Treatment::Reveal => f.write_str("reveal"),
            Treatment::Mask(mask) => write!(f, "{mask}"),
        }
    }
}

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_dash = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        match self {
            Mask::Redact => f.write_str("redact"),
            Mask::Partial { keep_first, keep_last } => write!(f, "partial({keep_first},{keep_last})"),
            Mask::Drop => f.write_str("drop"),
            Mask::Tokenize { key, preserve: false } => write!(f, "tokenize({})", key.id),
            Mask::Tokenize { key, preserve: true } => write!(f, "tokenize({},form)", key.id),
            Mask::Shift { key, days_max, by } => write!(f, "shift({},{days_max},{by})", key.id),
            Mask::Generalize { date, bucket, prefix } => {
                let date = match date {
                    DateUnit::Day => "day",
                    DateUnit::Month => "month",
                    DateUnit::Year => "year",
                };
                write!(f, "generalize({date},{},{})", or_dash(*bucket), or_dash(prefix.map(u64::from)))
            }
            Mask::Scan => f.write_str("scan"),
        }
    }
}
