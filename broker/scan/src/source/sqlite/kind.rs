//! How a column of SQLite is read.
//!
//! A column's declared type is a wish there: any column may hold any value. The declared type decides what the column is
//! read as, and a value that does not fit ends the read by its row and column; nothing is rounded, cut or guessed.
//!
//! | declared type contains | Arrow | values that fit |
//! |---|---|---|
//! | `INT` | `Int64` | integers |
//! | `CHAR`, `CLOB`, `TEXT` | text | texts; numbers as they are written |
//! | `BLOB`, `BINARY` | `Binary` | blobs; texts as their bytes |
//! | `REAL`, `FLOA`, `DOUB`, `DEC`, `NUM` | `Float64` | numbers, of integers those that a double holds exactly |
//! | `BOOL` | `Boolean` | 0 and 1 |
//! | `DATE` alone | `Date32` | texts `2024-01-02` |
//! | `DATETIME`, `TIMESTAMP` alone | `Timestamp(µs)` | texts `2024-01-02 03:04:05`, with `T` or a fraction of up to six digits |
//! | anything else, or nothing | text | texts; numbers as they are written |
//!
//! The order is SQLite's own (`FLOATING POINT` contains `INT`). A view with `CAST(… AS TEXT)` reads what does not fit.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Float,
    Bool,
    Date,
    Timestamp,
    /// Text, in a column that turns numbers into text when they are stored.
    Text,
    /// Text, of whatever is there.
    Any,
    Blob,
}

impl Kind {
    /// By declared type.
    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |word: &str| declared.contains(word);
        let bare = declared.split('(').next().unwrap_or_default().trim();
        if has("INT") {
            Kind::Int
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Kind::Text
        } else if has("BLOB") || has("BINARY") {
            Kind::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") || has("DEC") || has("NUM") {
            Kind::Float
        } else if has("BOOL") {
            Kind::Bool
        } else if bare == "DATE" {
            Kind::Date
        } else if bare == "DATETIME" || bare == "TIMESTAMP" {
            Kind::Timestamp
        } else {
            Kind::Any
        }
    }

    /// The Arrow type of its values.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Text | Kind::Any => DataType::Utf8,
            Kind::Blob => DataType::Binary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_type_decides_in_sqlites_own_order() {
        for (declared, kind) in [
            ("INTEGER", Kind::Int),
            ("unsigned big int", Kind::Int),
            ("FLOATING POINT", Kind::Int),
            ("CHARINT", Kind::Int),
            ("VARCHAR(20)", Kind::Text),
            ("native character(70)", Kind::Text),
            ("BLOB", Kind::Blob),
            ("VARBINARY(16)", Kind::Blob),
            ("DOUBLE PRECISION", Kind::Float),
            ("DECIMAL(10,5)", Kind::Float),
            ("NUMERIC", Kind::Float),
            ("BOOLEAN", Kind::Bool),
            ("DATE", Kind::Date),
            ("DATETIME", Kind::Timestamp),
            ("timestamp(6)", Kind::Timestamp),
            ("TIMESTAMP WITH TIME ZONE", Kind::Any),
            ("STRING", Kind::Any),
            ("JSON", Kind::Any),
            ("", Kind::Any),
        ] {
            assert_eq!(Kind::of(declared), kind, "{declared}");
        }
    }
}
