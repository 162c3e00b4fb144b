//! What is refused, and that nothing else changes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use super::*;
use datafusion::arrow::array::{BinaryArray, StringArray};
use datafusion::arrow::datatypes::Field;
use datafusion::common::config::ConfigOptions;
use proptest::prelude::*;

fn call(name: &str, args: Vec<ColumnarValue>, rows: usize, room: Option<usize>) -> Result<ColumnarValue> {
    let function = if name == JOINED {
        BoundedPlanner::new().joined
    } else {
        crate::sql::functions::scalar().into_iter().find(|f| f.name() == name).unwrap()
    };
    let types: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
    let mut config = ConfigOptions::default();
    if let Some(bytes) = room {
        config.extensions.insert(Room { bytes });
    }
    function.invoke_with_args(ScalarFunctionArgs {
        arg_fields: types.iter().map(|t| Arc::new(Field::new("a", t.clone(), true))).collect(),
        return_field: Arc::new(Field::new("r", function.return_type(&types)?, true)),
        args,
        number_rows: rows,
        config_options: Arc::new(config),
    })
}

fn text(value: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Utf8(Some(value.to_owned())))
}

fn number(value: i64) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::Int64(Some(value)))
}

fn column(value: &str, rows: usize) -> ColumnarValue {
    ColumnarValue::Array(Arc::new(StringArray::from(vec![value; rows])))
}

#[test]
fn a_constant_that_would_not_fit_is_never_made() {
    let thousand = "a".repeat(1000);
    for (name, args) in [
        ("repeat", vec![text(&thousand), number(1 << 40)]),
        ("replace", vec![text(&"a".repeat(1 << 20)), text("a"), text(&"b".repeat(1 << 20))]),
        (
            "regexp_replace",
            vec![text(&"a".repeat(1 << 20)), text("a"), text(&"b".repeat(1 << 20)), text("g")],
        ),
        ("lpad", vec![text("a"), number(1 << 40)]),
        ("rpad", vec![text("a"), number(1 << 40), text("xy")]),
        ("concat", vec![text(&"a".repeat(40 << 20)), text(&"a".repeat(40 << 20))]),
        (JOINED, vec![text(&"a".repeat(40 << 20)), text(&"a".repeat(40 << 20))]),
        ("concat_ws", vec![text(&"a".repeat(40 << 20)), text("b"), text("c")]),
        ("encode", vec![text(&"a".repeat(40 << 20)), text("hex")]),
        ("translate", vec![text(&"a".repeat(40 << 20)), text("a"), text("😀")]),
        (
            "overlay",
            vec![text(&"a".repeat(40 << 20)), text("b"), number(1 << 20), number(-1 << 20)],
        ),
        ("levenshtein", vec![text(&"a".repeat(1 << 20)), text(&"b".repeat(1 << 20))]),
        // It would fit, and be copied for each row.
        ("repeat", vec![text(&thousand), number(1000)]),
    ] {
        let error = call(name, args, 1, None).unwrap_err();
        let own = fault::own(&error).unwrap_or_else(|| panic!("{name}: {error}"));
        assert_eq!(own.kind, chunk_port::ScanErrorKind::Limit, "{name}");
    }
}

#[test]
fn a_batch_that_would_not_fit_is_refused_and_one_that_might_is_tried() {
    assert!(
        call(
            "concat",
            vec![column(&"a".repeat(6000), 8192), column(&"a".repeat(6000), 8192)],
            8192,
            None
        )
        .is_err()
    );
    assert!(call("repeat", vec![column("abcdefgh", 8192), number(10_000)], 8192, None).is_err());
    // In the worst case 8192 × 1000 × 20 bytes; in fact nothing is replaced.
    let found = call(
        "replace",
        vec![column(&"a".repeat(1000), 8192), text("b"), text(&"c".repeat(20))],
        8192,
        None,
    );
    let found = found.unwrap().into_array(8192).unwrap();
    assert_eq!((found.len(), found.as_string::<i32>().value(8191).len()), (8192, 1000));
    // The worst case holds.
    assert!(
        call(
            "replace",
            vec![column(&"a".repeat(1000), 8192), text("a"), text(&"c".repeat(20))],
            8192,
            None
        )
        .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// In parts or whole, the rows are the same, and no result is larger than what was worked out for it.
    #[test]
    fn parts_change_no_row(values in proptest::collection::vec(proptest::option::of("[aäb%]{0,6}"), 1..20), other in "[ab$1😀]{0,4}", n in -2_i64..6) {
        let rows = values.len();
        let column = || ColumnarValue::Array(Arc::new(StringArray::from(values.clone())) as ArrayRef);
        let bytes: Vec<Option<&[u8]>> = values.iter().map(|v| v.as_deref().map(str::as_bytes)).collect();
        let binary = || ColumnarValue::Array(Arc::new(BinaryArray::from(bytes.clone())) as ArrayRef);
        for (name, args) in [
            ("repeat", vec![column(), number(n)]),
            ("lpad", vec![column(), number(n), text(&other)]),
            ("rpad", vec![column(), number(n)]),
            ("replace", vec![column(), text("a"), text(&other)]),
            ("replace", vec![column(), text(""), text(&other)]),
            ("regexp_replace", vec![column(), text("(a|b)*"), text(&other), text("g")]),
            ("regexp_replace", vec![column(), text("(a|b)"), text("$1$1$1")]),
            ("concat", vec![column(), text(&other), column()]),
            (JOINED, vec![column(), text(&other)]),
            ("concat_ws", vec![text(&other), column(), column(), column()]),
            ("translate", vec![column(), text("ab"), text("😀")]),
            ("encode", vec![binary(), text("hex")]),
        ] {
            let whole = call(name, args.clone(), rows, None).unwrap().into_array(rows).unwrap();
            let measures: Vec<Measure<'_>> = args.iter().map(Measure::of).collect();
            let growth = Growth::of(name).unwrap();
            let lengths = whole.as_string::<i32>().value_offsets();
            let mut most = 0;
            for (row, length) in lengths.windows(2).map(|w| w[1] - w[0]).enumerate() {
                let bound = growth.most(args.len(), |i| measures[i].at(row));
                prop_assert!(bound >= u64::try_from(length).unwrap(), "{} row {}: {} > {}", name, row, length, bound);
                most = most.max(bound);
            }
            // Room for any one row, so that it takes as many parts as can be; what parts weigh together is not counted here.
            let udf = crate::sql::functions::scalar().into_iter().find(|f| f.name() == name).unwrap_or_else(|| BoundedPlanner::new().joined);
            let Some(bounded) = (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref::<Bounded>() else { panic!("{name}") };
            let types: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
            let all = ScalarFunctionArgs {
                arg_fields: types.iter().map(|t| Arc::new(Field::new("a", t.clone(), true))).collect(),
                return_field: Arc::new(Field::new("r", udf.return_type(&types).unwrap(), true)),
                args,
                number_rows: rows,
                config_options: Arc::new(ConfigOptions::default()),
            };
            let parts = bounded.in_parts(&all, &vec![1; rows], usize::MAX).unwrap().into_array(rows).unwrap();
            prop_assert_eq!(&parts, &whole, "{}", name);
        }
    }
}
