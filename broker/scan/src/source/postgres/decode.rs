//! Binary COPY → Arrow columns.
//!
//! Rows go straight from the wire's bytes into column builders; nothing is allocated per row. A row is first measured (are
//! all its fields here?) and then appended, so that a row cut by a message boundary is neither lost nor half appended.
//!
//! Values that have no Arrow value of their own (`infinity`, NaN, 24:00) become null. Where a policy's row filter is tested
//! on the rows, that is too early: `embargo_until IS NULL OR embargo_until < now()` would let pass what is under embargo for
//! ever. They are then decoded as the first or last value there can be, which compares as the server's would, and become
//! null once the filter has run ([`settle`]).

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{Date32Type, Decimal128Type, SchemaRef, Time64MicrosecondType, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use super::kind::Kind;
use crate::source::extremes::{DAY_MICROS, Extremes, FIRST_DAY, FIRST_MICRO, Found, LAST_DAY, LAST_MICRO, nulled};
use crate::source::gathered::{BATCH_ROWS, Gathered};

/// Decodes one COPY.
pub(super) struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    fields: Vec<Option<Range<usize>>>,
    carry: Vec<u8>,
    state: State,
    gathered: Gathered,
    extremes: Extremes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    End,
}

impl Decoder {
    /// A decoder for columns of these kinds.
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind], extremes: Extremes) -> Result<Self, ArrowError> {
        let columns = kinds.iter().map(|k| Column::new(*k)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            schema,
            columns,
            fields: Vec::with_capacity(kinds.len()),
            carry: Vec::new(),
            state: State::Header,
            gathered: Gathered::default(),
            extremes,
        })
    }

    /// Takes a piece of the stream, whatever its boundaries.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Malformed> {
        self.gathered.add_bytes(data.len());
        if self.carry.is_empty() {
            let used = self.consume(data)?;
            self.carry.extend_from_slice(data.get(used..).unwrap_or_default());
        } else {
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(data);
            let used = self.consume(&carry)?;
            carry.drain(..used);
            self.carry = carry;
        }
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

    /// To be called at the end of the stream: was it whole?
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.state == State::End && self.carry.is_empty() {
            Ok(())
        } else {
            Err(Malformed("the stream ended early"))
        }
    }

    fn consume(&mut self, data: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        loop {
            let rest = data.get(at..).unwrap_or_default();
            let used = match self.state {
                State::Header => self.header(rest)?,
                State::Rows => self.row(rest)?,
                State::End if rest.is_empty() => None,
                State::End => return Err(Malformed("bytes after the end")),
            };
            match used {
                Some(used) => at += used,
                None => return Ok(at),
            }
        }
    }

    fn header(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
        let (Some(signature), Some(flags), Some(extension)) = (data.get(..11), int4(data, 11), int4(data, 15)) else {
            return Ok(None);
        };
        if signature != SIGNATURE || flags != 0 {
            return Err(Malformed("unknown signature or flags"));
        }
        let length = usize::try_from(extension).map_err(|_| Malformed("negative extension"))?;
        let end = length.checked_add(19).ok_or(Malformed("extension too long"))?;
        if data.len() < end {
            return Ok(None);
        }
        self.state = State::Rows;
        Ok(Some(end))
    }

    /// One row, if it is all here: the bytes it took.
    fn row(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some(count) = data.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)) else {
            return Ok(None);
        };
        if count == -1 {
            self.state = State::End;
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(Malformed("a row of another width"));
        }
        self.fields.clear();
        let mut at = 2;
        for _ in 0..count {
            let Some(length) = int4(data, at) else { return Ok(None) };
            at += 4;
            if length == -1 {
                self.fields.push(None);
            } else {
                let length = usize::try_from(length).map_err(|_| Malformed("a negative length"))?;
                let end = at.checked_add(length).ok_or(Malformed("a length that overflows"))?;
                if end > data.len() {
                    return Ok(None);
                }
                self.fields.push(Some(at..end));
                at = end;
            }
        }
        for (column, field) in self.columns.iter_mut().zip(&self.fields) {
            match field.clone().and_then(|f| data.get(f)) {
                Some(bytes) => column.append(bytes, self.extremes)?,
                None => column.append_null(),
            }
        }
        self.gathered.add_row();
        Ok(Some(at))
    }
}

/// The server sent something that the format does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

enum Column {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Oid(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Numeric(Decimal128Builder, Digits),
    Text(StringBuilder),
    Padded(StringBuilder),
    Jsonb(StringBuilder),
    Uuid(StringBuilder),
    Bytea(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: Kind) -> Result<Self, ArrowError> {
        let rows = BATCH_ROWS;
        Ok(match kind {
            Kind::Bool => Column::Bool(BooleanBuilder::with_capacity(rows)),
            Kind::Int2 => Column::Int2(Int16Builder::with_capacity(rows)),
            Kind::Int4 => Column::Int4(Int32Builder::with_capacity(rows)),
            Kind::Int8 => Column::Int8(Int64Builder::with_capacity(rows)),
            Kind::Oid => Column::Oid(Int64Builder::with_capacity(rows)),
            Kind::Float4 => Column::Float4(Float32Builder::with_capacity(rows)),
            Kind::Float8 => Column::Float8(Float64Builder::with_capacity(rows)),
            Kind::Numeric(precision, scale) => {
                let builder = Decimal128Builder::with_capacity(rows).with_data_type(kind.data_type());
                Column::Numeric(builder, Digits::new(precision, scale))
            }
            Kind::Text | Kind::OtherText | Kind::Cast => Column::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Kind::Padded => Column::Padded(StringBuilder::with_capacity(rows, rows * 16)),
            Kind::Jsonb => Column::Jsonb(StringBuilder::with_capacity(rows, rows * 32)),
            Kind::Uuid => Column::Uuid(StringBuilder::with_capacity(rows, rows * 36)),
            Kind::Bytea => Column::Bytea(BinaryBuilder::with_capacity(rows, rows * 16)),
            Kind::Date => Column::Date(Date32Builder::with_capacity(rows)),
            Kind::Time => Column::Time(Time64MicrosecondBuilder::with_capacity(rows)),
            Kind::Timestamp | Kind::TimestampTz => {
                Column::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(kind.data_type()))
            }
        })
    }

    fn append(&mut self, bytes: &[u8], extremes: Extremes) -> Result<(), Malformed> {
        match self {
            Column::Bool(b) => b.append_value(fixed::<1>(bytes)? != [0]),
            Column::Int2(b) => b.append_value(i16::from_be_bytes(fixed(bytes)?)),
            Column::Int4(b) => b.append_value(i32::from_be_bytes(fixed(bytes)?)),
            Column::Int8(b) => b.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Column::Oid(b) => b.append_value(i64::from(u32::from_be_bytes(fixed(bytes)?))),
            Column::Float4(b) => b.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Column::Float8(b) => b.append_value(f64::from_be_bytes(fixed(bytes)?)),
            Column::Numeric(b, digits) => b.append_option(numeric(bytes, *digits)?.kept(extremes)),
            Column::Text(b) => append_text(b, bytes),
            Column::Padded(b) => append_text(b, without_padding(bytes)),
            Column::Jsonb(b) => match bytes.split_first() {
                Some((1, json)) => append_text(b, json),
                _ => return Err(Malformed("a jsonb of another version")),
            },
            Column::Uuid(b) => append_uuid(b, fixed(bytes)?),
            Column::Bytea(b) => b.append_value(bytes),
            Column::Date(b) => b.append_option(date(i32::from_be_bytes(fixed(bytes)?)).kept(extremes)),
            Column::Time(b) => b.append_option(time(i64::from_be_bytes(fixed(bytes)?)).kept(extremes)),
            Column::Timestamp(b) => b.append_option(timestamp(i64::from_be_bytes(fixed(bytes)?)).kept(extremes)),
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Column::Bool(b) => b.append_null(),
            Column::Int2(b) => b.append_null(),
            Column::Int4(b) => b.append_null(),
            Column::Int8(b) | Column::Oid(b) => b.append_null(),
            Column::Float4(b) => b.append_null(),
            Column::Float8(b) => b.append_null(),
            Column::Numeric(b, _) => b.append_null(),
            Column::Text(b) | Column::Padded(b) | Column::Jsonb(b) | Column::Uuid(b) => b.append_null(),
            Column::Bytea(b) => b.append_null(),
            Column::Date(b) => b.append_null(),
            Column::Time(b) => b.append_null(),
            Column::Timestamp(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Bool(b) => Arc::new(b.finish()),
            Column::Int2(b) => Arc::new(b.finish()),
            Column::Int4(b) => Arc::new(b.finish()),
            Column::Int8(b) | Column::Oid(b) => Arc::new(b.finish()),
            Column::Float4(b) => Arc::new(b.finish()),
            Column::Float8(b) => Arc::new(b.finish()),
            Column::Numeric(b, _) => Arc::new(b.finish()),
            Column::Text(b) | Column::Padded(b) | Column::Jsonb(b) | Column::Uuid(b) => Arc::new(b.finish()),
            Column::Bytea(b) => Arc::new(b.finish()),
            Column::Date(b) => Arc::new(b.finish()),
            Column::Time(b) => Arc::new(b.finish()),
            Column::Timestamp(b) => Arc::new(b.finish()),
        }
    }
}

/// 2000-01-01 as days since 1970-01-01; the server counts from there.
const EPOCH_DAYS: i32 = 10_957;
/// NaN is more than any number at the server.
const NAN: i128 = i128::MAX;

/// Makes null what was decoded as [`Extremes::Ordered`].
pub(super) fn settle(column: &ArrayRef, kind: Kind) -> ArrayRef {
    match kind {
        Kind::Numeric(..) => nulled::<Decimal128Type>(column, |v| v == NAN),
        Kind::Date => nulled::<Date32Type>(column, |v| v == LAST_DAY || v == FIRST_DAY),
        Kind::Time => nulled::<Time64MicrosecondType>(column, |v| v == DAY_MICROS),
        Kind::Timestamp | Kind::TimestampTz => nulled::<TimestampMicrosecondType>(column, |v| v == LAST_MICRO || v == FIRST_MICRO),
        _ => Arc::clone(column),
    }
}

fn int4(data: &[u8], at: usize) -> Option<i32> {
    data.get(at..)?.first_chunk::<4>().map(|b| i32::from_be_bytes(*b))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a value of another length"))
}

/// A database in SQL_ASCII can hold bytes that are not UTF-8; they become U+FFFD.
fn append_text(builder: &mut StringBuilder, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => builder.append_value(text),
        Err(_) => builder.append_value(String::from_utf8_lossy(bytes)),
    }
}

fn append_uuid(builder: &mut StringBuilder, bytes: [u8; 16]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut places = text
        .iter_mut()
        .enumerate()
        .filter(|(i, _)| !matches!(i, 8 | 13 | 18 | 23))
        .map(|(_, p)| p);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            if let (Some(place), Some(digit)) = (places.next(), HEX.get(usize::from(nibble))) {
                *place = *digit;
            }
        }
    }
    builder.append_value(std::str::from_utf8(&text).unwrap_or_default());
}

fn without_padding(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

fn date(days: i32) -> Found<i32> {
    if days == i32::MIN {
        return Found::Extreme(FIRST_DAY);
    }
    match days.checked_add(EPOCH_DAYS).filter(|d| *d < LAST_DAY) {
        Some(day) => Found::Value(day),
        None => Found::Extreme(LAST_DAY),
    }
}

fn time(micros: i64) -> Found<i64> {
    if (0..DAY_MICROS).contains(&micros) {
        Found::Value(micros)
    } else {
        Found::Extreme(DAY_MICROS)
    }
}

fn timestamp(micros: i64) -> Found<i64> {
    if micros == i64::MIN {
        return Found::Extreme(FIRST_MICRO);
    }
    let since = micros.checked_add(i64::from(EPOCH_DAYS) * DAY_MICROS);
    match since.filter(|m| *m < i64::from(LAST_DAY) * DAY_MICROS) {
        Some(micros) => Found::Value(micros),
        None => Found::Extreme(LAST_MICRO),
    }
}

/// Precision and scale.
#[derive(Debug, Clone, Copy)]
struct Digits {
    scale: i32,
    /// One more than the largest unscaled value.
    end: i128,
}

impl Digits {
    fn new(precision: u8, scale: i8) -> Self {
        Self {
            scale: i32::from(scale),
            end: 10_i128.saturating_pow(u32::from(precision)),
        }
    }
}

/// Groups of four decimal digits, the first worth 10000^weight. Each is scaled before it is added: the sum of them all in
/// units of the last group can be a thousand times what the number itself is in its own.
fn numeric(bytes: &[u8], digits: Digits) -> Result<Found<i128>, Malformed> {
    let (Some(header), Some(groups)) = (bytes.first_chunk::<8>(), bytes.get(8..)) else {
        return Err(Malformed("a short numeric"));
    };
    let [n0, n1, w0, w1, s0, s1, _, _] = *header;
    let count = u16::from_be_bytes([n0, n1]);
    let weight = i32::from(i16::from_be_bytes([w0, w1]));
    let negative = match u16::from_be_bytes([s0, s1]) {
        0x0000 => false,
        0x4000 => true,
        0xc000 => return Ok(Found::Extreme(NAN)),
        // Infinities do not fit into a column with a precision.
        _ => return Err(Malformed("a numeric of another sign")),
    };
    if groups.len() != usize::from(count) * 2 {
        return Err(Malformed("a numeric of another length"));
    }
    let mut value: i128 = 0;
    let mut exponent = 4 * weight + digits.scale;
    for group in groups.chunks_exact(2) {
        let group = group.first_chunk::<2>().map_or(0, |g| i128::from(u16::from_be_bytes(*g)));
        if group != 0 {
            let power = 10_i128.checked_pow(exponent.unsigned_abs());
            let worth = match power {
                Some(power) if exponent >= 0 => group.checked_mul(power),
                Some(power) if group % power == 0 => Some(group / power),
                _ => None,
            };
            value = worth.and_then(|w| value.checked_add(w)).ok_or(DOES_NOT_FIT)?;
        }
        exponent -= 4;
    }
    if value >= digits.end {
        return Err(DOES_NOT_FIT);
    }
    Ok(Found::Value(if negative { -value } else { value }))
}

const DOES_NOT_FIT: Malformed = Malformed("a numeric that does not fit its column");

#[cfg(test)]
mod tests;
