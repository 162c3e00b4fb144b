//! What does a column of source values become before any expression may see it?
//!
//! A kernel masks a whole array at a time and is total: every Arrow type has an answer, and where a mask has no meaning for a
//! type or a value does not fit, the answer is redaction. What a kernel returns owns fresh buffers that hold masked values
//! only: no slice, view or dictionary leads back to what was read, so nothing that encodes an array can write more of it than
//! its rows.
//!
//! [`reference`] says the same again, a value at a time and in the plainest words; the tests compare the two.

mod digits;
mod ff1;
mod form;
mod generalize;
mod partial;
mod plain;
mod scan;
mod shift;
mod text;
mod tokenize;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chunk_port::Mask;

use crate::detect::Column;

/// What text becomes when it is redacted.
pub const REDACTED: &str = "[redacted]";

/// Applies one mask to arrays of one type.
#[derive(Debug)]
pub struct MaskKernel {
    input: DataType,
    /// What the input is read as: the input itself for text in any layout, else without views, dictionaries and runs.
    read_as: DataType,
    output: DataType,
    step: Step,
}

/// A masked array, and what happened.
#[derive(Debug)]
pub struct Masked {
    /// As long as the input, of the kernel's output type.
    pub array: ArrayRef,
    /// Values that are not null.
    pub values: u64,
    /// Those that came out different. A mask that does not keep anything of a value counts each.
    pub altered: u64,
}

/// What a mask comes to for a type.
#[derive(Debug)]
enum Step {
    /// `[redacted]` for every value.
    Constant,
    /// Null for every value.
    Null,
    Partial(partial::Partial),
    Prefix(generalize::Prefix),
    Replace(scan::Replace),
    Token(tokenize::Token),
    Digits(Box<digits::Digits>),
    Shift(shift::Shift),
    Floor(generalize::Floor),
    /// Formats, tests, and nulls what hits.
    Test(Column),
}

impl MaskKernel {
    /// A kernel that applies `mask` to arrays of type `input`.
    #[must_use]
    pub fn new(mask: &Mask, input: &DataType) -> MaskKernel {
        Self::for_column(mask, input, Column::default())
    }

    /// The same for a column, whose name may announce what its values are.
    #[must_use]
    pub fn for_column(mask: &Mask, input: &DataType, column: Column) -> MaskKernel {
        let plain = plain::plain(input);
        let is_text = plain == DataType::Utf8;
        let read_as = if text::is_readable(input) { input.clone() } else { plain.clone() };
        let readable = read_as == *input || plain::can_become(input, &read_as);
        let step = match mask {
            _ if !readable => Step::Null,
            // A column that is dropped is read by nobody; whoever does gets nothing of it.
            Mask::Redact | Mask::Drop => Step::redact(is_text),
            Mask::Partial { keep_first, keep_last } if is_text => Step::Partial(partial::Partial::new(*keep_first, *keep_last)),
            Mask::Partial { .. } => Step::Null,
            Mask::Tokenize { key, preserve: true } if is_text || plain.is_integer() => {
                digits::Digits::new(key).map_or(Step::redact(is_text), |digits| Step::Digits(Box::new(digits)))
            }
            Mask::Tokenize { preserve: true, .. } => Step::Null,
            Mask::Tokenize { key, .. } if is_text || form::has_form(&plain) => tokenize::Token::new(key).map_or(Step::Null, Step::Token),
            Mask::Tokenize { .. } => Step::Null,
            Mask::Shift { key, days_max, .. } => shift::Shift::new(key, *days_max, &plain).map_or(Step::redact(is_text), Step::Shift),
            Mask::Generalize { prefix: Some(prefix), .. } if is_text => Step::Prefix(generalize::Prefix::new(*prefix)),
            Mask::Generalize { .. } if is_text => Step::Constant,
            Mask::Generalize { date, bucket, .. } => generalize::Floor::new(*date, *bucket, &plain).map_or(Step::Null, Step::Floor),
            Mask::Scan if is_text => Step::Replace(scan::Replace(column)),
            Mask::Scan => Step::Test(column),
        };
        let output = match step {
            Step::Constant | Step::Partial(_) | Step::Prefix(_) | Step::Replace(_) | Step::Token(_) => DataType::Utf8,
            Step::Null | Step::Floor(_) | Step::Test(_) | Step::Digits(_) | Step::Shift(_) => plain,
        };
        MaskKernel {
            input: input.clone(),
            read_as,
            output,
            step,
        }
    }

    /// The type of masked arrays. They may hold nulls whatever the source's schema says.
    #[must_use]
    pub fn output_type(&self) -> DataType {
        self.output.clone()
    }

    /// Masks an array. `subjects` says whose each value is, for the mask that depends on it.
    ///
    /// # Errors
    /// When the array is not of the type that the kernel was made for, subjects are missing, or its masked text would exceed 2 GiB. The
    /// error holds no value.
    pub fn apply(&self, array: &ArrayRef, subjects: Option<&ArrayRef>) -> Result<Masked, ArrowError> {
        if *array.data_type() != self.input {
            return Err(ArrowError::InvalidArgumentError(
                "the array is not of the type that the mask was planned for".to_owned(),
            ));
        }
        let nulls = array.logical_nulls().map_or(0, |nulls| nulls.null_count());
        let values = (array.len() - nulls) as u64;
        let all = |array: ArrayRef| Masked {
            array,
            values,
            altered: values,
        };
        if let Step::Null = self.step {
            return Ok(all(new_null_array(&self.output, array.len())));
        }
        let read = if *array.data_type() == self.read_as {
            ArrayRef::clone(array)
        } else {
            cast(array, &self.read_as)?
        };
        let (array, altered) = match &self.step {
            Step::Constant => return text::constant(&read, REDACTED).map(all),
            Step::Null => return Ok(all(new_null_array(&self.output, array.len()))),
            Step::Partial(mask) => text::apply(mask, &read)?,
            Step::Prefix(mask) => text::apply(mask, &read)?,
            Step::Replace(mask) => text::apply(mask, &read)?,
            Step::Token(mask) if text::is_readable(read.data_type()) => text::apply(mask, &read)?,
            Step::Token(mask) => return form::tokens(mask, &read).map(all),
            Step::Digits(mask) if text::is_readable(read.data_type()) => text::apply(mask.as_ref(), &read)?,
            Step::Digits(mask) => return Ok(all(mask.numbers(&read, &self.output))),
            Step::Shift(mask) => {
                let subjects = subjects.filter(|subjects| subjects.len() == array.len());
                let subjects =
                    subjects.ok_or_else(|| ArrowError::InvalidArgumentError("a shift is for a subject, and there is none".to_owned()))?;
                return mask.apply(&read, subjects, &self.output).map(all);
            }
            Step::Floor(floor) => floor.apply(&read, &self.output),
            Step::Test(column) => scan::test(&read, &self.output, *column),
        };
        Ok(Masked { array, values, altered })
    }
}

impl Step {
    fn redact(is_text: bool) -> Step {
        if is_text { Step::Constant } else { Step::Null }
    }
}
