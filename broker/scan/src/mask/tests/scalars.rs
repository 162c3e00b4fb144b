//! Numbers, dates and times, and the text forms that tokens are made of.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

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
