//! Every mask over every type that Arrow has, and what `scan` does to those that are not text.

use super::*;

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
    assert!(kernel.apply(&array, None).is_err());
}
