//! How a PostgreSQL type is read.
//!
//! | PostgreSQL | Arrow |
//! |---|---|
//! | bool · int2, int4, int8 · oid · float4, float8 | the same; oid as `Int64` |
//! | numeric(p,s) with p ≤ 38 and 0 ≤ s ≤ p | `Decimal128(p,s)`; NaN becomes null |
//! | numeric otherwise | text, exact; it compares as text |
//! | text, varchar, name, "char", enums, xml, json, jsonb | text |
//! | char(n) | text without the spaces at its end, which are not part of the value |
//! | bytea | `Binary` |
//! | date, time, timestamp, timestamptz | `Date32`, `Time64(µs)`, `Timestamp(µs)`, `Timestamp(µs, UTC)` |
//! | uuid | text, lower case |
//! | anything else: inet, interval, arrays, ranges, composites, … | its text form, made by the server |
//!
//! `infinity`, `-infinity`, days from 262142-12-31 on and the time 24:00 have no Arrow value that every reader can show; they
//! become null. A policy's row filter sees them before that, as values that compare as the server's do (see `decode`).
//! Years before Christ are kept. Domains are read as their base type.
//!
//! Every column may be null here, whatever the server says: a domain that is NOT NULL is null in an outer join's view, and
//! a constraint that is NOT VALID holds for new rows only.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// How a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// Precision, scale.
    Numeric(u8, i8),
    /// text or varchar: compares by its bytes.
    Text,
    /// Text on the wire whose comparisons are not those of its bytes: name, json, enums.
    OtherText,
    /// char(n): spaces at its end mean nothing.
    Padded,
    Jsonb,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
    /// Made a text by the server.
    Cast,
}

impl Kind {
    /// By base type (no domain), its type modifier and `pg_type.typtype`.
    pub(super) fn of(oid: u32, modifier: i32, typtype: &str) -> Self {
        match oid {
            16 => Kind::Bool,
            17 => Kind::Bytea,
            18 | 19 | 114 | 142 => Kind::OtherText,
            1042 => Kind::Padded,
            20 => Kind::Int8,
            21 => Kind::Int2,
            23 => Kind::Int4,
            25 | 1043 => Kind::Text,
            26 => Kind::Oid,
            700 => Kind::Float4,
            701 => Kind::Float8,
            1082 => Kind::Date,
            1083 => Kind::Time,
            1114 => Kind::Timestamp,
            1184 => Kind::TimestampTz,
            1700 => numeric(modifier),
            2950 => Kind::Uuid,
            3802 => Kind::Jsonb,
            _ if typtype == "e" => Kind::OtherText,
            _ => Kind::Cast,
        }
    }

    /// The Arrow type of its values.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int2 => DataType::Int16,
            Kind::Int4 => DataType::Int32,
            Kind::Int8 | Kind::Oid => DataType::Int64,
            Kind::Float4 => DataType::Float32,
            Kind::Float8 => DataType::Float64,
            Kind::Numeric(precision, scale) => DataType::Decimal128(precision, scale),
            Kind::Text | Kind::OtherText | Kind::Padded | Kind::Jsonb | Kind::Uuid | Kind::Cast => DataType::Utf8,
            Kind::Bytea => DataType::Binary,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Time64(TimeUnit::Microsecond),
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// Whether some of its values become null, so that null at the source is less than null here.
    pub(super) fn loses_values(self) -> bool {
        matches!(
            self,
            Kind::Numeric(..) | Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz
        )
    }
}

/// A modifier packs precision and scale; the scale is signed and has 11 bits since version 15.
fn numeric(modifier: i32) -> Kind {
    let Some(packed) = modifier.checked_sub(4).filter(|p| *p >= 0) else {
        return Kind::Cast;
    };
    let precision = (packed >> 16) & 0xffff;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 && i16::from(scale) <= i16::from(precision) => Kind::Numeric(precision, scale),
        _ => Kind::Cast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_needs_a_modifier_that_fits() {
        let modifier = |p: i32, s: i32| ((p << 16) | (s & 0x7ff)) + 4;
        assert_eq!(Kind::of(1700, modifier(18, 4), "b"), Kind::Numeric(18, 4));
        assert_eq!(Kind::of(1700, modifier(38, 0), "b"), Kind::Numeric(38, 0));
        for (p, s) in [(39, 0), (5, -2), (3, 5), (1000, 10)] {
            assert_eq!(Kind::of(1700, modifier(p, s), "b"), Kind::Cast);
        }
        assert_eq!(Kind::of(1700, -1, "b"), Kind::Cast);
    }
}
