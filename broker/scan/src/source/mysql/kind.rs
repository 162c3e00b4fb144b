//! How a column of MySQL or MariaDB is read.
//!
//! | MySQL | Arrow |
//! |---|---|
//! | tinyint … bigint, unsigned or not | integers of that width; `tinyint(1)` and `bool` are `Int8` |
//! | decimal(p,s) with p ≤ 38 | `Decimal128(p,s)` |
//! | decimal otherwise | text, exact; it compares as text |
//! | float, double | `Float32`, `Float64` |
//! | bit(1) · bit(n) | `Boolean` · `UInt64` |
//! | year | `Int16` |
//! | date, datetime, timestamp | `Date32`, `Timestamp(µs)`, `Timestamp(µs, UTC)` |
//! | time | text as the server writes it: it goes from -838:59:59 to 838:59:59 |
//! | char, varchar, text, enum, set, json | text, from whatever character set |
//! | binary, varbinary, blob, geometry, vector | `Binary` |
//!
//! `0000-00-00`, dates without a month or a day and days that no calendar has become null; a policy's row filter sees the
//! first of them before that (see `decode`). Every column may be null here: a zero date in a column that is NOT NULL is.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::wire::Parts;

/// What the server says of a column that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnType {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int8,
    UInt8,
    Int16,
    UInt16,
    /// On the wire as wide as an `int`, also for `mediumint`.
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float,
    Double,
    /// Precision, scale.
    Decimal(u8, i8),
    Bit,
    Bits,
    Year,
    Date,
    DateTime,
    Timestamp,
    /// Digits of the fraction.
    Time(u8),
    /// char, varchar, text: compares by its bytes.
    Text,
    /// Text whose comparisons are not those of its bytes: enum, set, json, decimals with many digits.
    OtherText,
    Binary,
}

impl ColumnType {
    /// Reads a definition.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let mut parts = Parts(packet);
        for _ in ["catalog", "schema", "table", "original table"] {
            parts.counted()?;
        }
        let name = String::from_utf8(parts.counted()?.to_vec()).ok()?;
        parts.counted()?;
        (parts.number()? >= 12).then_some(())?;
        let character_set = parts.u16()?;
        let length = parts.u32()?;
        let (code, flags, decimals) = (parts.u8()?, parts.u16()?, parts.u8()?);
        let kind = Kind::of(code, flags, character_set, length, decimals);
        Some(Self { name, kind })
    }
}

const UNSIGNED: u16 = 0x20;
const ENUM: u16 = 0x100;
const SET: u16 = 0x800;
const BINARY_CHARACTERS: u16 = 63;

impl Kind {
    fn of(code: u8, flags: u16, character_set: u16, length: u32, decimals: u8) -> Self {
        let unsigned = flags & UNSIGNED != 0;
        let either = |signed: Kind, other: Kind| if unsigned { other } else { signed };
        match code {
            0x01 => either(Kind::Int8, Kind::UInt8),
            0x02 => either(Kind::Int16, Kind::UInt16),
            0x03 | 0x09 => either(Kind::Int32, Kind::UInt32),
            0x08 => either(Kind::Int64, Kind::UInt64),
            0x04 => Kind::Float,
            0x05 => Kind::Double,
            0x00 | 0xf6 => decimal(length, decimals, unsigned),
            0x07 => Kind::Timestamp,
            0x0a | 0x0e => Kind::Date,
            0x0b => Kind::Time(decimals.min(6)),
            0x0c => Kind::DateTime,
            0x0d => Kind::Year,
            0x10 if length == 1 => Kind::Bit,
            0x10 => Kind::Bits,
            0xf5 | 0xf7 | 0xf8 => Kind::OtherText,
            _ if flags & (ENUM | SET) != 0 => Kind::OtherText,
            0xff | 0xf2 => Kind::Binary,
            _ if character_set == BINARY_CHARACTERS => Kind::Binary,
            _ => Kind::Text,
        }
    }

    /// The Arrow type of its values.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::Int8 => DataType::Int8,
            Kind::UInt8 => DataType::UInt8,
            Kind::Int16 | Kind::Year => DataType::Int16,
            Kind::UInt16 => DataType::UInt16,
            Kind::Int32 => DataType::Int32,
            Kind::UInt32 => DataType::UInt32,
            Kind::Int64 => DataType::Int64,
            Kind::UInt64 | Kind::Bits => DataType::UInt64,
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Kind::Bit => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Time(_) | Kind::Text | Kind::OtherText => DataType::Utf8,
            Kind::Binary => DataType::Binary,
        }
    }

    /// Whether some of its values become null, so that null at the source is less than null here.
    pub(super) fn loses_values(self) -> bool {
        matches!(self, Kind::Date | Kind::DateTime | Kind::Timestamp)
    }
}

/// The length of a decimal counts its sign and its point.
fn decimal(length: u32, decimals: u8, unsigned: bool) -> Kind {
    let precision = length.checked_sub(u32::from(!unsigned) + u32::from(decimals > 0));
    match (precision.and_then(|p| u8::try_from(p).ok()), i8::try_from(decimals)) {
        (Some(precision @ 1..=38), Ok(scale)) if decimals <= precision => Kind::Decimal(precision, scale),
        _ => Kind::OtherText,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_count_their_sign_and_point() {
        for (length, decimals, unsigned, kind) in [
            (20, 4, false, Kind::Decimal(18, 4)),
            (19, 4, true, Kind::Decimal(18, 4)),
            (39, 0, false, Kind::Decimal(38, 0)),
            (40, 38, false, Kind::Decimal(38, 38)),
            (67, 30, false, Kind::OtherText),
            (40, 0, false, Kind::OtherText),
            (0, 0, false, Kind::OtherText),
        ] {
            assert_eq!(decimal(length, decimals, unsigned), kind, "{length} {decimals} {unsigned}");
        }
    }
}
