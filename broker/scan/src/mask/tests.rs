//! Kernels against the reference, over every layout and type.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use chrono::{DateTime, NaiveDate, Utc};
use chunk_core::scan::{DateUnit, Mask, MaskKey};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

const KEY: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";

fn tokenize() -> Mask {
    Mask::Tokenize {
        key: Arc::new(MaskKey {
            id: "test/1".to_owned(),
            secret: Zeroizing::new(KEY),
        }),
    }
}

fn generalize(date: DateUnit, bucket: Option<u64>, prefix: Option<u8>) -> Mask {
    Mask::Generalize { date, bucket, prefix }
}

fn every_mask() -> Vec<Mask> {
    vec![
        Mask::Redact,
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
    let masked = kernel.apply(array).unwrap();
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

    #[test]
    fn generalize_of_whole_numbers_agrees(values in prop::collection::vec(any::<Option<i64>>(), 0..20), bucket in 1u64..1_000) {
        let mask = generalize(DateUnit::Day, Some(bucket), None);
        let array: ArrayRef = Arc::new(Int64Array::from(values.clone()));
        let floor = |v: i64| i64::try_from(reference::floor_whole(v.into(), bucket.into())).ok();
        let expected: Int64Array = values.iter().map(|v| v.and_then(floor)).collect();
        prop_assert_eq!(apply(&mask, &array).array.as_primitive::<Int64Type>().clone(), expected);
        let narrow: ArrayRef = Arc::new(values.iter().map(|v| v.map(|v| v as i8)).collect::<Int8Array>());
        let expected: Int8Array = values.iter().map(|v| v.and_then(|v| i8::try_from(reference::floor_whole((v as i8).into(), bucket.into())).ok())).collect();
        prop_assert_eq!(apply(&mask, &narrow).array.as_primitive::<Int8Type>().clone(), expected);
        let unsigned: ArrayRef = Arc::new(values.iter().map(|v| v.map(|v| v as u64)).collect::<UInt64Array>());
        let expected: UInt64Array = values.iter().map(|v| v.and_then(|v| u64::try_from(reference::floor_whole((v as u64).into(), bucket.into())).ok())).collect();
        prop_assert_eq!(apply(&mask, &unsigned).array.as_primitive::<UInt64Type>().clone(), expected);
        let decimal: ArrayRef = Arc::new(values.iter().map(|v| v.map(i128::from)).collect::<Decimal128Array>().with_precision_and_scale(20, 2).unwrap());
        let expected: Vec<_> = values.iter().map(|v| v.map(|v| reference::floor_whole(v.into(), i128::from(bucket) * 100))).collect();
        prop_assert_eq!(apply(&mask, &decimal).array.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn generalize_of_dates_agrees(days in prop::collection::vec(prop::option::of(-90_000_000i32..90_000_000), 0..20), unit in 0usize..3) {
        let unit = [DateUnit::Day, DateUnit::Month, DateUnit::Year][unit];
        let array: ArrayRef = Arc::new(Date32Array::from(days.clone()));
        let floor = |day: i32| {
            let date = NaiveDate::from_epoch_days(day)?;
            Some(reference::floor_date(date, unit)?.to_epoch_days())
        };
        let expected: Date32Array = days.iter().map(|d| d.and_then(floor)).collect();
        prop_assert_eq!(apply(&generalize(unit, None, None), &array).array.as_primitive::<Date32Type>().clone(), expected);
    }

    #[test]
    fn generalize_of_timestamps_agrees(ticks in prop::collection::vec(any::<Option<i64>>(), 0..20), unit in 0usize..3) {
        let unit = [DateUnit::Day, DateUnit::Month, DateUnit::Year][unit];
        let zone = "Europe/Berlin";
        let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(ticks.clone()).with_timezone(zone));
        let floor = |t: i64| reference::floor_time(DateTime::<Utc>::from_timestamp_nanos(t), unit)?.timestamp_nanos_opt();
        let expected: TimestampNanosecondArray = ticks.iter().map(|t| t.and_then(floor)).collect();
        prop_assert_eq!(apply(&generalize(unit, None, None), &array).array.as_primitive::<TimestampNanosecondType>().clone(), expected.with_timezone(zone));
        let micros: ArrayRef = Arc::new(ticks.iter().map(|t| t.map(|t| t / 64)).collect::<TimestampMicrosecondArray>());
        let floor = |t: i64| Some(reference::floor_time(DateTime::<Utc>::from_timestamp_micros(t / 64)?, unit)?.timestamp_micros());
        let expected: TimestampMicrosecondArray = ticks.iter().map(|t| t.and_then(floor)).collect();
        if ticks.iter().flatten().all(|&t| DateTime::<Utc>::from_timestamp_micros(t / 64).is_some()) {
            prop_assert_eq!(apply(&generalize(unit, None, None), &micros).array.as_primitive::<TimestampMicrosecondType>().clone(), expected);
        }
    }
}

#[test]
fn known_tokens_do_not_change() {
    // HMAC-SHA-256 of these bytes by another implementation; a change here would break every join on stored tokens.
    let array: ArrayRef = Arc::new(StringArray::from(vec!["ada@example.test"]));
    assert_eq!(
        text_of(&apply(&tokenize(), &array).array),
        [Some("tok_3ja5me152xmvta6kyq1w1srhmg".to_owned())]
    );
}

#[test]
fn one_id_has_one_token_whatever_its_type() {
    let ids: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["42"])),
        Arc::new(Int8Array::from(vec![42])),
        Arc::new(Int32Array::from(vec![42])),
        Arc::new(Int64Array::from(vec![42])),
        Arc::new(UInt16Array::from(vec![42])),
        Arc::new(UInt64Array::from(vec![42])),
        Arc::new(Float32Array::from(vec![42.0])),
        Arc::new(Float64Array::from(vec![42.0])),
        Arc::new(Decimal128Array::from(vec![4_200]).with_precision_and_scale(10, 2).unwrap()),
        Arc::new(
            Decimal256Array::from(vec![i256::from_i128(42)])
                .with_precision_and_scale(40, 0)
                .unwrap(),
        ),
        cast(
            &Int64Array::from(vec![42]),
            &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64)),
        )
        .unwrap(),
        cast(&StringArray::from(vec!["42"]), &DataType::Utf8View).unwrap(),
    ];
    let expected = [reference::tokenize(Some("42"), &KEY)];
    for id in ids {
        assert_eq!(text_of(&apply(&tokenize(), &id).array), expected, "{}", id.data_type());
    }
}

#[test]
fn text_forms_are_canonical() {
    let forms: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(Float64Array::from(vec![12.5])), "12.5"),
        (Arc::new(Float64Array::from(vec![-0.0])), "0"),
        (Arc::new(Float64Array::from(vec![1e21])), "1000000000000000000000"),
        (Arc::new(Float32Array::from(vec![0.1])), "0.1"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), "NaN"),
        (
            Arc::new(Decimal128Array::from(vec![-1_250]).with_precision_and_scale(10, 2).unwrap()),
            "-12.5",
        ),
        (
            Arc::new(Decimal128Array::from(vec![5]).with_precision_and_scale(10, 4).unwrap()),
            "0.0005",
        ),
        (
            Arc::new(Decimal128Array::from(vec![0]).with_precision_and_scale(10, 4).unwrap()),
            "0",
        ),
        (
            Arc::new(Decimal128Array::from(vec![12]).with_precision_and_scale(10, -2).unwrap()),
            "1200",
        ),
        (
            Arc::new(
                Decimal256Array::from(vec![i256::from_string("-1234567890123456789012345678901234567890123450").unwrap()])
                    .with_precision_and_scale(60, 10)
                    .unwrap(),
            ),
            "-123456789012345678901234567890123456.789012345",
        ),
        (Arc::new(BooleanArray::from(vec![true])), "true"),
        (Arc::new(Date32Array::from(vec![19_724])), "2024-01-02"),
        (Arc::new(Date64Array::from(vec![19_724 * 86_400_000])), "2024-01-02"),
        (Arc::new(Date32Array::from(vec![i32::MAX])), "+5881580-07-11"),
        (Arc::new(TimestampSecondArray::from(vec![1_704_164_645])), "2024-01-02T03:04:05"),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![1_704_164_645_120_000]).with_timezone("Europe/Berlin")),
            "2024-01-02T03:04:05.12Z",
        ),
        (Arc::new(TimestampNanosecondArray::from(vec![-1])), "1969-12-31T23:59:59.999999999"),
        (Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001])), "01:00:00.000001"),
        (Arc::new(DurationMillisecondArray::from(vec![-1_500])), "-PT1.5S"),
        (
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(
                1,
                -2,
                3_500_000_000,
            )])),
            "P1M-2DT3.5S",
        ),
        (Arc::new(BinaryArray::from(vec![b"\x00\xFF".as_slice()])), "00ff"),
        (
            Arc::new(FixedSizeBinaryArray::try_from_iter([(0u8..16).collect::<Vec<_>>()].into_iter()).unwrap()),
            "00010203-0405-0607-0809-0a0b0c0d0e0f",
        ),
    ];
    for (array, form) in forms {
        assert_eq!(
            text_of(&apply(&tokenize(), &array).array),
            [reference::tokenize(Some(form), &KEY)],
            "{} {form}",
            array.data_type()
        );
    }
}

#[test]
fn generalize_has_an_answer_for_the_extremes() {
    let floor = |array: ArrayRef, unit, bucket| apply(&generalize(unit, bucket, None), &array).array;
    assert_eq!(
        floor(Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, -1, 0])), DateUnit::Day, Some(10)).as_primitive::<Int64Type>(),
        &Int64Array::from(vec![None, Some(i64::MAX - 7), Some(-10), Some(0)])
    );
    assert_eq!(
        floor(Arc::new(UInt8Array::from(vec![255, 7])), DateUnit::Day, Some(u64::MAX)).as_primitive::<UInt8Type>(),
        &UInt8Array::from(vec![0, 0])
    );
    let floats = Float64Array::from(vec![12.9, -0.5, f64::NAN, f64::INFINITY, 1e300, 9.007e15]);
    assert_eq!(
        floor(Arc::new(floats), DateUnit::Day, Some(10)).as_primitive::<Float64Type>(),
        &Float64Array::from(vec![Some(10.0), Some(-10.0), None, None, None, Some(9.007e15)])
    );
    assert_eq!(
        floor(Arc::new(Float32Array::from(vec![2e7])), DateUnit::Day, Some(10)).null_count(),
        1
    );
    assert_eq!(floor(Arc::new(Int32Array::from(vec![5])), DateUnit::Day, None).null_count(), 1);
    assert_eq!(floor(Arc::new(Int32Array::from(vec![5])), DateUnit::Day, Some(0)).null_count(), 1);
    assert_eq!(
        floor(Arc::new(Date32Array::from(vec![i32::MIN, 59])), DateUnit::Year, None).as_primitive::<Date32Type>(),
        &Date32Array::from(vec![None, Some(0)])
    );
    assert_eq!(
        floor(Arc::new(TimestampNanosecondArray::from(vec![i64::MIN])), DateUnit::Day, None).null_count(),
        1
    );
    assert_eq!(
        floor(Arc::new(Time32SecondArray::from(vec![3_661])), DateUnit::Day, None)
            .as_primitive::<Time32SecondType>()
            .value(0),
        0
    );
    let coarse = Decimal128Array::from(vec![17]).with_precision_and_scale(5, -1).unwrap();
    assert_eq!(
        floor(Arc::new(coarse.clone()), DateUnit::Day, Some(100))
            .as_primitive::<Decimal128Type>()
            .value(0),
        10
    );
    assert_eq!(floor(Arc::new(coarse), DateUnit::Day, Some(15)).null_count(), 1);
    let tight = Decimal128Array::from(vec![-999]).with_precision_and_scale(3, 0).unwrap();
    assert_eq!(floor(Arc::new(tight), DateUnit::Day, Some(1_000)).null_count(), 1);
}

#[test]
fn scan_nulls_other_types_on_a_hit() {
    let scanned = |array: ArrayRef| apply(&Mask::Scan, &array);
    let cards = scanned(Arc::new(Int64Array::from(vec![
        Some(4_111_111_111_111_111),
        Some(42),
        None,
        Some(1_700_000_000_000),
    ])));
    assert_eq!((cards.values, cards.altered), (3, 1));
    assert_eq!(
        cards.array.as_primitive::<Int64Type>(),
        &Int64Array::from(vec![None, Some(42), None, Some(1_700_000_000_000)])
    );
    assert_eq!(cards.array.as_primitive::<Int64Type>().values()[0], 0);
    assert_eq!(
        scanned(Arc::new(Float64Array::from(vec![4_111_111_111_111_111.0, 4.111_111_111_111_111]))).altered,
        1
    );
    assert_eq!(
        scanned(Arc::new(
            Decimal128Array::from(vec![4_111_111_111_111_111])
                .with_precision_and_scale(38, 0)
                .unwrap()
        ))
        .altered,
        1
    );
    let bytes = scanned(Arc::new(BinaryArray::from(vec![
        b"to ada@example.test".as_slice(),
        b"\xFF\x00plain",
    ])));
    assert_eq!(
        bytes.array.as_binary::<i32>().iter().collect::<Vec<_>>(),
        [None, Some(b"\xFF\x00plain".as_slice())]
    );
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("fine"), None]);
    list.append_value([Some("fine"), Some("ada@example.test")]);
    list.append_null();
    list.append_value([None::<&str>; 0]);
    let lists = scanned(Arc::new(list.finish()));
    assert_eq!((lists.values, lists.altered), (3, 1));
    assert_eq!(
        (0..4).map(|row| lists.array.is_null(row)).collect::<Vec<_>>(),
        [false, true, true, false]
    );
    let views = cast(
        &StringArray::from(vec!["fine", "ada@example.test, who is quite long"]),
        &DataType::Utf8View,
    )
    .unwrap();
    let row: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("v", DataType::Utf8View, true)),
        views,
    )]));
    let rows = scanned(row);
    assert_eq!((rows.array.is_null(0), rows.array.is_null(1)), (false, true));
    assert!(!bytes_of(&rows.array).windows(4).any(|w| w == b"ada@"));
}

/// Types that a source could have, with and without values.
fn arrays_of_every_type() -> Vec<ArrayRef> {
    let item = |t: DataType| Arc::new(Field::new("item", t, true));
    let boxed = |k: DataType, v: DataType| DataType::Dictionary(Box::new(k), Box::new(v));
    let mut types = vec![
        DataType::Null,
        DataType::Boolean,
        DataType::Date32,
        DataType::Date64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
    ];
    types.extend([
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
    ]);
    types.extend([
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
    ]);
    types.extend([
        DataType::FixedSizeBinary(16),
        DataType::FixedSizeBinary(3),
        DataType::Decimal32(9, 2),
        DataType::Decimal64(18, 2),
    ]);
    types.extend([
        DataType::Decimal128(38, 10),
        DataType::Decimal256(76, 10),
        DataType::Time32(TimeUnit::Second),
        DataType::Time32(TimeUnit::Millisecond),
    ]);
    types.extend([DataType::Time64(TimeUnit::Microsecond), DataType::Time64(TimeUnit::Nanosecond)]);
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        types.extend([
            DataType::Timestamp(unit, None),
            DataType::Timestamp(unit, Some("+02:00".into())),
            DataType::Duration(unit),
        ]);
    }
    types.extend([IntervalUnit::YearMonth, IntervalUnit::DayTime, IntervalUnit::MonthDayNano].map(DataType::Interval));
    types.extend([
        boxed(DataType::Int8, DataType::Utf8),
        boxed(DataType::Int32, DataType::Int64),
        boxed(DataType::UInt64, DataType::Binary),
    ]);
    let run = |v: DataType| {
        DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int32, false)),
            Arc::new(Field::new("values", v, true)),
        )
    };
    types.extend([run(DataType::Utf8), run(DataType::Int64)]);
    let mut nested = Vec::new();
    for t in [DataType::Int64, DataType::Utf8View, boxed(DataType::Int32, DataType::Utf8)] {
        nested.extend([
            DataType::List(item(t.clone())),
            DataType::LargeList(item(t.clone())),
            DataType::ListView(item(t.clone())),
        ]);
        nested.extend([
            DataType::FixedSizeList(item(t.clone()), 2),
            DataType::Struct(vec![Field::new("a", t.clone(), false), Field::new("b", t.clone(), true)].into()),
        ]);
        let entries = Field::new(
            "entries",
            DataType::Struct(vec![Field::new("keys", DataType::Utf8, false), Field::new("values", t, true)].into()),
            false,
        );
        nested.push(DataType::Map(Arc::new(entries), false));
    }
    nested.push(DataType::List(item(DataType::List(item(DataType::Utf8)))));
    types.extend(nested);
    let mut arrays: Vec<ArrayRef> = types.iter().flat_map(|t| [new_empty_array(t), new_null_array(t, 3)]).collect();
    // Values: whatever text or numbers cast to.
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("2024-01-02"),
        Some("17"),
        None,
        Some("ada@example.test and more text"),
    ]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(17), None, Some(4), Some(3)]));
    for t in &types {
        for source in [&texts, &numbers] {
            if arrow::compute::can_cast_types(source.data_type(), t)
                && let Ok(array) = cast(source, t)
            {
                arrays.push(array.slice(1, 3));
                arrays.push(array);
            }
        }
    }
    let union = UnionFields::from_fields(vec![Field::new("n", DataType::Int32, true)]);
    let union = UnionArray::try_new(union, vec![0i8; 2].into(), None, vec![Arc::new(Int32Array::from(vec![1, 2]))]).unwrap();
    arrays.push(Arc::new(union));
    arrays
}

#[test]
fn every_mask_has_an_answer_for_every_type() {
    let arrays = arrays_of_every_type();
    assert!(arrays.len() > 150, "{}", arrays.len());
    for array in arrays {
        for mask in every_mask() {
            let masked = apply(&mask, &array);
            let before = array.logical_nulls();
            let after = masked.array.logical_nulls();
            for row in 0..array.len() {
                let was_null = before.as_ref().is_some_and(|n| n.is_null(row));
                let is_null = after.as_ref().is_some_and(|n| n.is_null(row));
                assert!(!was_null || is_null, "{mask:?} made a value of a null, {}", array.data_type());
            }
            assert!(masked.altered <= masked.values);
        }
    }
}

#[test]
fn another_type_than_planned_is_refused() {
    let kernel = MaskKernel::new(&Mask::Redact, &DataType::Int32);
    let array: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    assert!(kernel.apply(&array).is_err());
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
