//! Binary rows → Arrow columns, from the packet's bytes into builders.
//!
//! What is no date of a calendar becomes null. Where a policy's row filter is tested on the rows it must not be null yet:
//! `0000-00-00` is decoded as the first date there can be, which compares as the server's would, and becomes null after
//! ([`settle`]). A date without a month or a day has no such place, so there it ends the read.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int8Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use datafusion::arrow::datatypes::{Date32Type, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use super::kind::Kind;
use super::wire::Parts;
use crate::source::extremes::{DAY_MICROS, Extremes, FIRST_DAY, FIRST_MICRO, Found, nulled};
use crate::source::gathered::Gathered;

/// Gathers rows.
pub(super) struct Decoder {
    schema: SchemaRef,
    kinds: Vec<Kind>,
    columns: Vec<Column>,
    gathered: Gathered,
    extremes: Extremes,
}

/// Why a row cannot be read; holds no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit(pub(super) String);

impl Decoder {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind], extremes: Extremes) -> Self {
        Self {
            schema,
            kinds: kinds.to_vec(),
            columns: kinds.iter().map(|k| Column::new(*k)).collect(),
            gathered: Gathered::default(),
            extremes,
        }
    }

    /// Takes a row.
    pub(super) fn push(&mut self, packet: &[u8]) -> Result<(), Misfit> {
        let row = self.gathered.next();
        let mut parts = Parts(packet);
        let nulls = (self.columns.len() + 9) / 8;
        let (Some(0), Some(nulls)) = (parts.u8(), parts.take(nulls)) else {
            return Err(Misfit(format!("row {row} is not a row")));
        };
        for (n, (column, kind)) in self.columns.iter_mut().zip(&self.kinds).enumerate() {
            let bit = n + 2;
            let null = nulls.get(bit / 8).is_some_and(|b| b >> (bit % 8) & 1 == 1);
            if null {
                column.append_null();
            } else {
                column.append(&mut parts, *kind, self.extremes).ok_or_else(|| {
                    let name = self.schema.fields().get(n).map(|f| f.name().as_str()).unwrap_or_default();
                    Misfit(format!(
                        "row {row} of what was read: column `{name}` holds what is not read as its type"
                    ))
                })?;
            }
        }
        if !parts.0.is_empty() {
            return Err(Misfit(format!("row {row} is longer than its columns")));
        }
        self.gathered.add_row();
        self.gathered.add_bytes(packet.len());
        Ok(())
    }

    /// Whether enough has gathered for a batch.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.is_full()
    }

    /// The rows gathered, if any.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let columns = &mut self.columns;
        self.gathered
            .take(&self.schema, || columns.iter_mut().map(Column::finish).collect())
    }
}

/// Makes null what was decoded as [`Extremes::Ordered`].
pub(super) fn settle(column: &ArrayRef, kind: Kind) -> ArrayRef {
    match kind {
        Kind::Date => nulled::<Date32Type>(column, |v| v == FIRST_DAY),
        Kind::DateTime | Kind::Timestamp => nulled::<TimestampMicrosecondType>(column, |v| v == FIRST_MICRO),
        _ => Arc::clone(column),
    }
}

enum Column {
    Int8(Int8Builder),
    UInt8(UInt8Builder),
    Int16(Int16Builder),
    UInt16(UInt16Builder),
    Int32(Int32Builder),
    UInt32(UInt32Builder),
    Int64(Int64Builder),
    UInt64(UInt64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

macro_rules! each {
    ($column:expr, $b:ident => $done:expr) => {
        match $column {
            Column::Int8($b) => $done,
            Column::UInt8($b) => $done,
            Column::Int16($b) => $done,
            Column::UInt16($b) => $done,
            Column::Int32($b) => $done,
            Column::UInt32($b) => $done,
            Column::Int64($b) => $done,
            Column::UInt64($b) => $done,
            Column::Float($b) => $done,
            Column::Double($b) => $done,
            Column::Decimal($b) => $done,
            Column::Bool($b) => $done,
            Column::Date($b) => $done,
            Column::Timestamp($b) => $done,
            Column::Text($b) => $done,
            Column::Binary($b) => $done,
        }
    };
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int8 => Column::Int8(Int8Builder::new()),
            Kind::UInt8 => Column::UInt8(UInt8Builder::new()),
            Kind::Int16 | Kind::Year => Column::Int16(Int16Builder::new()),
            Kind::UInt16 => Column::UInt16(UInt16Builder::new()),
            Kind::Int32 => Column::Int32(Int32Builder::new()),
            Kind::UInt32 => Column::UInt32(UInt32Builder::new()),
            Kind::Int64 => Column::Int64(Int64Builder::new()),
            Kind::UInt64 | Kind::Bits => Column::UInt64(UInt64Builder::new()),
            Kind::Float => Column::Float(Float32Builder::new()),
            Kind::Double => Column::Double(Float64Builder::new()),
            Kind::Decimal(..) => Column::Decimal(Decimal128Builder::new().with_data_type(kind.data_type())),
            Kind::Bit => Column::Bool(BooleanBuilder::new()),
            Kind::Date => Column::Date(Date32Builder::new()),
            Kind::DateTime | Kind::Timestamp => Column::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.data_type())),
            Kind::Time(_) | Kind::Text | Kind::OtherText => Column::Text(StringBuilder::new()),
            Kind::Binary => Column::Binary(BinaryBuilder::new()),
        }
    }

    /// Takes the next value of a row. `None`: it does not fit.
    fn append(&mut self, parts: &mut Parts<'_>, kind: Kind, extremes: Extremes) -> Option<()> {
        match (self, kind) {
            (Column::Int8(b), _) => b.append_value(parts.u8()?.cast_signed()),
            (Column::UInt8(b), _) => b.append_value(parts.u8()?),
            (Column::Int16(b), _) => b.append_value(parts.u16()?.cast_signed()),
            (Column::UInt16(b), _) => b.append_value(parts.u16()?),
            (Column::Int32(b), _) => b.append_value(parts.u32()?.cast_signed()),
            (Column::UInt32(b), _) => b.append_value(parts.u32()?),
            (Column::Int64(b), _) => b.append_value(parts.u64()?.cast_signed()),
            (Column::UInt64(b), Kind::Bits) => b.append_value(bits(parts.counted()?)?),
            (Column::UInt64(b), _) => b.append_value(parts.u64()?),
            (Column::Float(b), _) => b.append_value(f32::from_bits(parts.u32()?)),
            (Column::Double(b), _) => b.append_value(f64::from_bits(parts.u64()?)),
            (Column::Decimal(b), Kind::Decimal(precision, scale)) => b.append_value(decimal(parts.counted()?, precision, scale)?),
            (Column::Decimal(_), _) => return None,
            (Column::Bool(b), _) => b.append_value(bits(parts.counted()?)? != 0),
            (Column::Date(b), _) => {
                let found = moment(parts.counted()?, extremes)?;
                b.append_option(match found {
                    Some(Found::Value((days, _))) => Some(days),
                    Some(Found::Extreme(_)) => Found::Extreme(FIRST_DAY).kept(extremes),
                    None => None,
                });
            }
            (Column::Timestamp(b), _) => {
                let found = moment(parts.counted()?, extremes)?;
                b.append_option(match found {
                    Some(Found::Value((days, micros))) => Some(i64::from(days) * DAY_MICROS + micros),
                    Some(Found::Extreme(_)) => Found::Extreme(FIRST_MICRO).kept(extremes),
                    None => None,
                });
            }
            (Column::Text(b), Kind::Time(digits)) => b.append_value(elapsed(parts.counted()?, digits)?),
            (Column::Text(b), _) => b.append_value(std::str::from_utf8(parts.counted()?).ok()?),
            (Column::Binary(b), _) => b.append_value(parts.counted()?),
        }
        Some(())
    }

    fn append_null(&mut self) {
        each!(self, b => b.append_null());
    }

    fn finish(&mut self) -> ArrayRef {
        each!(self, b => Arc::new(b.finish()))
    }
}

/// Bits, the highest first.
fn bits(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

/// A decimal is sent as it is written.
fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (mut value, mut places) = (0_i128, None);
    for byte in digits {
        match byte {
            b'.' if places.is_none() => places = Some(0_i8),
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                places = places.map(|p| p.saturating_add(1));
            }
            _ => return None,
        }
    }
    let fits = places.unwrap_or(0) == scale && value < 10_i128.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { -value } else { value })
}

/// What a date and time turned out to be: a day with microseconds of it, a zero date, or (inner `None`) one that no calendar
/// has. The outer `None`: it cannot be read.
type Moment = Option<Found<(i32, i64)>>;

fn moment(bytes: &[u8], extremes: Extremes) -> Option<Moment> {
    let mut parts = Parts(bytes);
    if bytes.is_empty() {
        return Some(Some(Found::Extreme((0, 0))));
    }
    let (year, month, day) = (parts.u16()?, parts.u8()?, parts.u8()?);
    let micros = if parts.0.is_empty() { 0 } else { clock(&mut parts)? };
    if !parts.0.is_empty() {
        return None;
    }
    if (year, month, day) == (0, 0, 0) {
        return Some(Some(Found::Extreme((0, 0))));
    }
    match NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day)) {
        Some(date) => {
            let days = date.signed_duration_since(NaiveDate::default()).num_days();
            Some(Some(Found::Value((i32::try_from(days).ok()?, micros))))
        }
        // Without a place among the others; a row filter must not take it for one that has.
        None => (extremes == Extremes::Null).then_some(None),
    }
}

/// Hours, minutes, seconds and perhaps microseconds.
fn clock(parts: &mut Parts<'_>) -> Option<i64> {
    let (hours, minutes, seconds) = (i64::from(parts.u8()?), i64::from(parts.u8()?), i64::from(parts.u8()?));
    let micros = if parts.0.is_empty() { 0 } else { i64::from(parts.u32()?) };
    (hours < 24 && minutes < 60 && seconds < 60 && micros < 1_000_000)
        .then_some((hours * 3600 + minutes * 60 + seconds) * 1_000_000 + micros)
}

/// A time as the server writes it.
fn elapsed(bytes: &[u8], digits: u8) -> Option<String> {
    let mut parts = Parts(bytes);
    let (negative, micros) = if bytes.is_empty() {
        (false, 0)
    } else {
        let (negative, days) = (parts.u8()? == 1, i64::from(parts.u32()?));
        (negative, days.checked_mul(DAY_MICROS)?.checked_add(clock(&mut parts)?)?)
    };
    if !parts.0.is_empty() {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let whole = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}");
    let fraction = format!("{fraction:06}");
    Some(match usize::from(digits) {
        0 => whole,
        digits => format!("{whole}.{}", fraction.get(..digits)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        assert_eq!(decimal(b"-0.05", 9, 2), Some(-5));
        assert_eq!(decimal(b"12", 9, 0), Some(12));
        assert_eq!(
            decimal("9".repeat(38).as_bytes(), 38, 0),
            Some(99_999_999_999_999_999_999_999_999_999_999_999_999)
        );
        for (text, precision, scale) in [
            ("1.5", 9, 2),
            ("1.555", 9, 2),
            ("100", 2, 0),
            ("1e3", 9, 0),
            ("", 9, 0),
            ("1.2.3", 9, 2),
        ] {
            assert_eq!(decimal(text.as_bytes(), precision, scale), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_as_the_server_does() {
        let time = |negative: u8, days: u32, clock: [u8; 3], micros: u32| {
            let mut bytes = vec![negative];
            bytes.extend(days.to_le_bytes());
            bytes.extend(clock);
            bytes.extend(micros.to_le_bytes());
            bytes
        };
        assert_eq!(elapsed(&time(1, 34, [22, 59, 59], 0), 0).as_deref(), Some("-838:59:59"));
        assert_eq!(elapsed(&time(0, 0, [1, 2, 3], 40_000), 2).as_deref(), Some("01:02:03.04"));
        assert_eq!(elapsed(&[], 3).as_deref(), Some("00:00:00.000"));
        assert_eq!(elapsed(&time(0, 0, [24, 0, 0], 0), 0), None);
    }

    #[test]
    fn a_date_that_no_calendar_has_is_null_and_never_shown_to_a_row_filter_as_another() {
        let date = |year: u16, month: u8, day: u8| [year.to_le_bytes().as_slice(), &[month, day]].concat();
        assert_eq!(moment(&date(1970, 1, 2), Extremes::Null), Some(Some(Found::Value((1, 0)))));
        assert_eq!(moment(&[], Extremes::Ordered), Some(Some(Found::Extreme((0, 0)))));
        assert_eq!(moment(&date(2024, 2, 31), Extremes::Null), Some(None));
        assert_eq!(moment(&date(2024, 0, 1), Extremes::Ordered), None);
        assert_eq!(moment(&[1, 2], Extremes::Null), None);
    }
}
