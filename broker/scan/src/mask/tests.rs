//! Kernels against the reference, over every layout and type.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use chrono::{DateTime, NaiveDate, Utc};
use chunk_port::{DateUnit, Mask, MaskKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

mod every_type;
mod moved;
mod scalars;

const KEY: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";

fn key() -> Arc<MaskKey> {
    Arc::new(MaskKey {
        id: "test/1".to_owned(),
        secret: Zeroizing::new(KEY),
    })
}

fn tokenize() -> Mask {
    Mask::Tokenize {
        key: key(),
        preserve: false,
    }
}

fn preserving() -> Mask {
    Mask::Tokenize {
        key: key(),
        preserve: true,
    }
}

fn generalize(date: DateUnit, bucket: Option<u64>, prefix: Option<u8>) -> Mask {
    Mask::Generalize { date, bucket, prefix }
}

fn every_mask() -> Vec<Mask> {
    vec![
        Mask::Redact,
        Mask::Drop,
        preserving(),
        Mask::Partial {
            keep_first: 1,
            keep_last: 4,
        },
        tokenize(),
        generalize(DateUnit::Month, Some(10), Some(3)),
        generalize(DateUnit::Year, None, None),
        Mask::Scan,
    ]
}

fn apply(mask: &Mask, array: &ArrayRef) -> Masked {
    let kernel = MaskKernel::new(mask, array.data_type());
    let masked = kernel.apply(array, None).unwrap();
    assert_eq!(masked.array.data_type(), &kernel.output_type());
    assert_eq!(masked.array.len(), array.len());
    masked.array.to_data().validate_full().unwrap();
    masked
}

/// The same values in every layout of text, and each as a slice of a longer array.
fn layouts(values: &[Option<String>]) -> Vec<ArrayRef> {
    let plain: ArrayRef = Arc::new(values.iter().map(Option::as_deref).collect::<StringArray>());
    let longer: Vec<Option<&str>> = [Some("raw neighbour before")]
        .into_iter()
        .chain(values.iter().map(Option::as_deref))
        .chain([Some("raw after")])
        .collect();
    let longer: ArrayRef = Arc::new(longer.into_iter().collect::<StringArray>());
    let dictionary = |key: DataType, value: DataType| DataType::Dictionary(Box::new(key), Box::new(value));
    let types = [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        dictionary(DataType::Int32, DataType::Utf8),
        dictionary(DataType::UInt16, DataType::LargeUtf8),
        dictionary(DataType::Int64, DataType::Utf8View),
    ];
    let whole = types.iter().map(|t| cast(&plain, t).unwrap());
    let sliced = types.iter().map(|t| cast(&longer, t).unwrap().slice(1, values.len()));
    whole.chain(sliced).collect()
}

fn text_of(array: &ArrayRef) -> Vec<Option<String>> {
    array.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect()
}

fn agrees(mask: &Mask, values: &[Option<String>], reference: impl Fn(Option<&str>) -> Option<String>) {
    let expected: Vec<_> = values.iter().map(|v| reference(v.as_deref())).collect();
    let present = values.iter().flatten().count() as u64;
    let changed = values.iter().zip(&expected).filter(|(v, e)| v != e).count() as u64;
    for array in layouts(values) {
        let masked = apply(mask, &array);
        assert_eq!(text_of(&masked.array), expected, "{mask:?} over {}", array.data_type());
        assert_eq!(masked.values, present);
        let counts_all = matches!(mask, Mask::Redact);
        assert_eq!(
            masked.altered,
            if counts_all { present } else { changed },
            "{mask:?} over {}",
            array.data_type()
        );
    }
}

fn texts() -> impl Strategy<Value = Vec<Option<String>>> {
    let value = prop_oneof![
        2 => Just(None),
        1 => Just(Some(String::new())),
        4 => "[a-z0-9]{0,12}".prop_map(Some),
        3 => "\\PC{0,10}".prop_map(Some),
        2 => "[äß€😀a]{0,8}".prop_map(Some),
        1 => "[*]{1,8}".prop_map(Some),
        2 => "[a-z]{1,5}@example\\.test|4111 1111 1111 1111|\\+49 30 [0-9]{7}".prop_map(Some),
        1 => Just(Some("x".repeat(3_000))),
    ];
    prop::collection::vec(value, 0..24)
}

/// Every byte of every buffer that an array holds on to.
fn bytes_of(array: &ArrayRef) -> Vec<u8> {
    fn collect(data: &arrow::array::ArrayData, out: &mut Vec<u8>) {
        for buffer in data.buffers() {
            // What a buffer was sliced from is reachable too.
            out.extend_from_slice(buffer.as_slice());
            assert_eq!(buffer.ptr_offset(), 0, "a slice of something larger");
        }
        data.child_data().iter().for_each(|child| collect(child, out));
    }
    let mut out = Vec::new();
    collect(&array.to_data(), &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn redact_agrees(values in texts()) {
        agrees(&Mask::Redact, &values, reference::redact);
    }

    #[test]
    fn partial_agrees(values in texts(), first in 0u8..6, last in 0u8..6) {
        agrees(&Mask::Partial { keep_first: first, keep_last: last }, &values, |v| reference::partial(v, first.into(), last.into()));
    }

    #[test]
    fn tokenize_agrees(values in texts()) {
        agrees(&tokenize(), &values, |v| reference::tokenize(v, &KEY));
    }

    #[test]
    fn generalize_of_text_agrees(values in texts(), keep in 0u8..6) {
        agrees(&generalize(DateUnit::Day, None, Some(keep)), &values, |v| reference::prefix(v, keep.into()));
        agrees(&generalize(DateUnit::Day, Some(5), None), &["x".to_owned()].map(Some), reference::redact);
    }

    #[test]
    fn scan_agrees(values in texts()) {
        agrees(&Mask::Scan, &values, |v| v.map(|v| crate::detect::replace(v).into_owned()));
    }
}

#[test]
fn no_raw_byte_survives_in_any_buffer() {
    let values: Vec<_> = ["first secret-1", "second secret-2", "third secret-3 x ada@secret.test"]
        .map(|v| Some(v.to_owned()))
        .to_vec();
    for array in layouts(&values) {
        for mask in [
            Mask::Redact,
            Mask::Partial {
                keep_first: 1,
                keep_last: 1,
            },
            tokenize(),
            generalize(DateUnit::Day, None, Some(2)),
        ] {
            let masked = apply(&mask, &array.slice(1, 1)).array;
            let bytes = bytes_of(&masked);
            assert!(
                !bytes.windows(6).any(|w| w == b"secret" || w == b"raw ne"),
                "{mask:?} over {}",
                array.data_type()
            );
        }
        // What a slice leaves out is not carried along, even where nothing in it is altered.
        let bytes = bytes_of(&apply(&Mask::Scan, &array.slice(1, 1)).array);
        assert!(
            !bytes.windows(5).any(|w| w == b"first" || w == b"third"),
            "scan over {}",
            array.data_type()
        );
    }
    let dictionary = DictionaryArray::<Int32Type>::try_new(
        Int32Array::from(vec![0]),
        Arc::new(StringArray::from(vec!["used", "unused secret"])),
    )
    .unwrap();
    let masked = apply(&Mask::Scan, &(Arc::new(dictionary) as ArrayRef)).array;
    assert_eq!(text_of(&masked), [Some("used".to_owned())]);
    assert!(!bytes_of(&masked).windows(6).any(|w| w == b"secret"));
}
