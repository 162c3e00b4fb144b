//! Masks that move a value within its form: the digits of a number, the dates of a subject.

use std::collections::HashSet;

use super::*;

fn shift(days_max: u32) -> Mask {
    Mask::Shift {
        key: key(),
        days_max,
        by: "id".to_owned(),
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Everything but the digits.
fn form(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn a_number_in_a_text_keeps_its_form_and_however_it_is_written_becomes_the_same() {
    let numbers = [
        "078-05-1120",
        "078051120",
        "078 05 1120",
        "4111 1111 1111 1111",
        "+49 (30) 123.4567",
        "10.0.0.1/24",
    ];
    let others = [
        "12345",
        "a123456",
        "123456x",
        "1234567890123456789012345678901234567",
        "",
        "１２３４５６",
        "ada@example.com",
    ];
    let values: Vec<Option<String>> = numbers.iter().chain(&others).map(|v| Some((*v).to_owned())).chain([None]).collect();
    for array in layouts(&values) {
        let masked = text_of(&apply(&preserving(), &array).array);
        let shown: Vec<&str> = masked.iter().flatten().map(String::as_str).collect();
        for (raw, shown) in numbers.iter().zip(&shown) {
            assert_eq!(form(raw), form(shown));
            assert_ne!(digits(raw), digits(shown), "{raw}");
        }
        assert_eq!((digits(shown[0]), digits(shown[0])), (digits(shown[1]), digits(shown[2])));
        assert!(shown[numbers.len()..].iter().all(|text| *text == REDACTED), "{shown:?}");
        assert_eq!(masked.last(), Some(&None));
    }
}

#[test]
fn whole_numbers_become_others_of_their_length_and_type_and_no_two_meet() {
    let whole: ArrayRef = Arc::new(Int64Array::from((100_000..103_000).collect::<Vec<i64>>()));
    let masked = apply(&preserving(), &whole);
    let found: HashSet<i64> = masked.array.as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(found.len(), 3000);
    assert!(found.iter().all(|n| (100_000..1_000_000).contains(n)));
    // The largest of a type: what comes out is one of the type again.
    let most: ArrayRef = Arc::new(Int32Array::from((0..300).map(|n| i32::MAX - n).collect::<Vec<_>>()));
    let found: HashSet<i32> = apply(&preserving(), &most)
        .array
        .as_primitive::<Int32Type>()
        .iter()
        .flatten()
        .collect();
    assert_eq!(found.len(), 300);
    assert!(found.iter().all(|n| *n >= 1_000_000_000));
    let odd: ArrayRef = Arc::new(Int64Array::from(vec![
        99_999,
        -99_999,
        0,
        i64::MAX,
        i64::MIN,
        1_000_000_000_000_000_000,
    ]));
    assert_eq!(apply(&preserving(), &odd).array.null_count(), 6);
    let signed: ArrayRef = Arc::new(Int64Array::from(vec![123_456, -123_456]));
    let masked = apply(&preserving(), &signed).array;
    let masked = masked.as_primitive::<Int64Type>();
    assert_eq!(masked.value(0), -masked.value(1));
    for other in [
        Arc::new(Float64Array::from(vec![123_456.0])) as ArrayRef,
        Arc::new(Decimal128Array::from(vec![123_456])),
        Arc::new(Date32Array::from(vec![12_345])),
    ] {
        assert_eq!(apply(&preserving(), &other).array.null_count(), 1, "{}", other.data_type());
    }
}

fn shifted(dates: &ArrayRef, subjects: &ArrayRef) -> ArrayRef {
    let kernel = MaskKernel::new(&shift(180), dates.data_type());
    let masked = kernel.apply(dates, Some(subjects)).unwrap();
    assert_eq!(masked.array.data_type(), &kernel.output_type());
    masked.array.to_data().validate_full().unwrap();
    masked.array
}

#[test]
fn dates_of_one_subject_move_together_and_never_stay() {
    let subjects = Int64Array::from((0..5000).collect::<Vec<i64>>());
    let as_numbers: ArrayRef = Arc::new(subjects.clone());
    let as_texts: ArrayRef = Arc::new(subjects.iter().map(|n| n.map(|n| n.to_string())).collect::<StringArray>());
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![20_000; 5000]));
    let moved = shifted(&dates, &as_numbers);
    assert_eq!(
        &moved,
        &shifted(&dates, &as_texts),
        "a subject is the same as a number and as a text"
    );
    let days: Vec<i32> = moved.as_primitive::<Date32Type>().iter().map(|d| d.unwrap() - 20_000).collect();
    assert!(days.iter().all(|d| *d != 0 && d.abs() <= 180), "{days:?}");
    let different: HashSet<_> = days.iter().collect();
    assert!(
        different.len() > 300 && days.contains(&180) && days.contains(&-180),
        "all of them come up"
    );
    // Other dates of the subject, of whatever type, move by as much, and keep their time of day.
    let at = 20_100_i64 * 86_400 + 3_723;
    for (dates, unit) in [
        (Arc::new(TimestampSecondArray::from(vec![at; 5000])) as ArrayRef, 1),
        (Arc::new(TimestampMillisecondArray::from(vec![at * 1000; 5000])), 1000),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![at * 1_000_000; 5000]).with_timezone("UTC")),
            1_000_000,
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![at * 1_000_000_000; 5000])),
            1_000_000_000,
        ),
        (Arc::new(Date64Array::from(vec![at * 1000; 5000])), 1000),
    ] {
        let moved = cast(&shifted(&dates, &as_numbers), &DataType::Int64).unwrap();
        let moved = moved.as_primitive::<Int64Type>();
        assert!(
            (0..5000).all(|row| moved.value(row) == (at + i64::from(days[row]) * 86_400) * unit),
            "{}",
            dates.data_type()
        );
    }
}

#[test]
fn what_cannot_be_shifted_is_redacted() {
    let subjects: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![Some(1), Some(1), None]));
    let moved = shifted(&dates, &subjects);
    assert_eq!((moved.is_null(0), moved.is_null(1), moved.is_null(2)), (false, true, true));
    let ends: ArrayRef = Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN, i32::MAX]));
    let by: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b"]));
    let moved = shifted(&ends, &by);
    assert!(moved.is_null(0) != moved.is_null(1), "one of them leaves the type's range");
    let nested: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef,
    )]));
    assert_eq!(shifted(&dates, &nested).null_count(), 3, "nobody is told by such a value");
    for other in [
        Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef,
        Arc::new(Time64MicrosecondArray::from(vec![1, 2, 3])),
    ] {
        assert_eq!(shifted(&other, &subjects).null_count(), 3);
    }
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["2024-01-01"; 3]));
    assert_eq!(text_of(&shifted(&texts, &subjects)), vec![Some(REDACTED.to_owned()); 3]);
    // Without subjects, or with too few, nothing comes out.
    let kernel = MaskKernel::new(&shift(180), dates.data_type());
    assert!(kernel.apply(&dates, None).is_err());
    assert!(kernel.apply(&dates, Some(&subjects.slice(0, 2))).is_err());
}
