//! Each attack is first run where nothing is masked, to show that it works there, and then against the masks.

use chunk_port::ScanErrorKind;
use chunk_wire::fetch::Format;
use datafusion::arrow::array::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::statistics::Statistics;

use super::*;

/// What an attack would have to show.
const RAW: [&str; 13] = [
    "078-05-1120",
    "001-01-0001",
    "0211-50-870", // reversed
    "219-09-9999",
    "457-55-5462",
    "987-65-4321",
    "MDc4LTA1LTExMjA",        // base64
    "3037382d30352d31313230", // hex
    "ada@example",
    "ADA@EXAMPLE",
    "71234567",
    "93456789",
    "RAW FOUND",
];

const SHOWING: &[&str] = &[
    "SELECT ssn FROM people",
    "SELECT reverse(ssn) AS x FROM people",
    "SELECT ssn || '' AS x FROM people",
    "SELECT concat(ssn, '!') AS x FROM people",
    "SELECT substr(ssn, 1, 11) AS x FROM people",
    "SELECT upper(email) AS x FROM people",
    "SELECT encode(CAST(ssn AS bytea), 'base64') AS x FROM people",
    "SELECT encode(CAST(ssn AS bytea), 'hex') AS x FROM people",
    "SELECT replace(ssn, '~', '') AS x FROM people",
    "SELECT CAST(salary AS varchar) AS x FROM people",
    "SELECT salary + 0 AS x FROM people",
    "SELECT 'RAW FOUND' AS x FROM people WHERE ssn = '078-05-1120'",
    "SELECT 'RAW FOUND' AS x FROM people WHERE ssn IN ('078-05-1120', 'b')",
    "SELECT 'RAW FOUND' AS x FROM people WHERE ssn LIKE '078-05%'",
    "SELECT 'RAW FOUND' AS x FROM people WHERE ssn ~ '^078'",
    "SELECT 'RAW FOUND' AS x FROM people WHERE starts_with(ssn, '078')",
    "SELECT 'RAW FOUND' AS x FROM people WHERE email LIKE 'ada@%'",
    "SELECT 'RAW FOUND' AS x FROM people WHERE salary BETWEEN 71234567 AND 71234567",
    "SELECT 'RAW FOUND' AS x FROM people WHERE salary = 71234567 AND id = 1",
    "SELECT 'RAW FOUND' AS x FROM people WHERE id = 1 AND NOT (ssn <> '078-05-1120')",
    "SELECT 'RAW FOUND' AS x FROM people WHERE substr(ssn, 1, 3) = '078'",
    "SELECT CASE WHEN ssn = '078-05-1120' THEN 'RAW FOUND' ELSE 'no' END AS x FROM people",
    "SELECT CASE WHEN salary > 71234566 AND salary < 71234568 THEN 'RAW FOUND' END AS x FROM people",
    "SELECT coalesce(nullif(ssn, 'x'), 'y') AS x FROM people",
    "SELECT min(ssn) AS x FROM people",
    "SELECT max(ssn) AS x FROM people",
    "SELECT max(salary) AS x, min(salary) AS y FROM people",
    "SELECT string_agg(ssn, ',') AS x FROM people",
    "SELECT first_value(ssn ORDER BY id) AS x FROM people",
    "SELECT ssn, count(*) AS n FROM people GROUP BY ssn",
    "SELECT ssn, count(*) AS n FROM people GROUP BY ssn HAVING ssn = '078-05-1120'",
    "SELECT DISTINCT ssn FROM people",
    "SELECT x FROM (SELECT ssn AS x FROM people) AS t",
    "SELECT (SELECT max(ssn) FROM people) AS x",
    "SELECT p.ssn AS x FROM people p WHERE p.ssn = (SELECT max(q.ssn) FROM people q)",
    "SELECT 'RAW FOUND' AS x WHERE EXISTS (SELECT 1 FROM people WHERE ssn = '078-05-1120')",
    "SELECT 'RAW FOUND' AS x FROM people WHERE '078-05-1120' IN (SELECT ssn FROM people)",
    "WITH t AS (SELECT ssn AS x FROM people) SELECT x FROM t",
    "WITH guesses AS (SELECT * FROM (VALUES ('078-05-1120'), ('1')) AS v(g)) SELECT 'RAW FOUND' AS x FROM guesses JOIN people ON g = ssn",
    "SELECT 'RAW FOUND' AS x FROM people JOIN (VALUES (71234567), (1)) AS v(g) ON salary = g",
    "SELECT 'RAW FOUND' AS x FROM (VALUES ('078-05-1120')) AS v(g) WHERE g IN (SELECT ssn FROM people)",
    "SELECT lag(ssn) OVER (ORDER BY id) AS x FROM people",
    "SELECT max(ssn) OVER () AS x FROM people",
    "SELECT ssn AS x FROM people UNION SELECT ssn FROM people",
    "SELECT 'RAW FOUND' AS x FROM (SELECT ssn FROM people INTERSECT SELECT '078-05-1120') AS t",
    "SELECT ssn AS x FROM people ORDER BY ssn LIMIT 1",
    "SELECT x FROM (SELECT ssn AS x, rank() OVER (ORDER BY salary) AS r FROM people) AS t WHERE r = 1",
    "SELECT people.ssn AS x FROM people CROSS JOIN (VALUES (1)) AS v(one)",
    "SELECT left(ssn, 3) || right(ssn, 8) AS x FROM people",
    "SELECT regexp_replace(ssn, 'zzz', '') AS x FROM people",
    "SELECT translate(ssn, 'z', 'z') AS x FROM people",
    "SELECT p.ssn FROM people p NATURAL JOIN people q",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_shows_a_raw_value() {
    let house = house();
    withstands(&house.engine, house.table("people")).await;
}

/// Runs every attack against a table of people, wherever it is kept.
pub(super) async fn withstands(engine: &Engine, people: Table) {
    let open = govern(engine, people.clone(), &[]).await.unwrap();
    let masks = [("ssn", token()), ("email", redact()), ("salary", bucket())];
    let masked = govern(engine, people, &masks).await.unwrap();
    for attack in SHOWING {
        let shown = csv(engine, sql(attack), vec![open.clone()])
            .await
            .unwrap_or_else(|e| panic!("{attack}: {e:?}"));
        assert!(
            RAW.iter().any(|r| shown.contains(r)),
            "the attack does not work at all: {attack}\n{shown}"
        );
        match csv(engine, sql(attack), vec![masked.clone()]).await {
            Ok(shown) => {
                for raw in RAW {
                    assert!(!shown.contains(raw), "{attack}\n{shown}");
                }
            }
            Err(error) => assert!(RAW.iter().all(|r| !error.public.contains(r)), "{attack}: {error:?}"),
        }
    }
    for (filter, order_by) in [
        ("ssn = '078-05-1120'", None),
        ("ssn LIKE '078%' AND id < 3", None),
        ("salary = 71234567", None),
        ("email < 'b'", Some("email")),
        ("ssn < '079'", Some("ssn desc")),
    ] {
        let query = slice("people", None, Some(filter), order_by, None);
        let shown = csv(engine, query.clone(), vec![open.clone()]).await.unwrap();
        assert!(shown.contains("078-05-1120"), "{filter}: {shown}");
        let shown = csv(engine, query, vec![masked.clone()]).await.unwrap();
        for raw in RAW {
            assert!(!shown.contains(raw), "{filter}: {shown}");
        }
    }
}

/// The order of rows by a masked column is the order of its masked values.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_ranks_masked_values() {
    let house = house();
    let query = || slice("people", Some(&["id"]), None, Some("salary, id"), None);
    let open = house.csv(query(), vec![house.governed("people", &[]).await]).await.unwrap();
    assert_eq!(open, "id\n6\n5\n4\n1\n2\n3\n");
    let redacted = house
        .csv(query(), vec![house.governed("people", &[("salary", redact())]).await])
        .await
        .unwrap();
    assert_eq!(redacted, "id\n1\n2\n3\n4\n5\n6\n");
    let ranks = sql("SELECT id, dense_rank() OVER (ORDER BY salary) AS r FROM people ORDER BY id");
    let redacted = house
        .csv(ranks, vec![house.governed("people", &[("salary", redact())]).await])
        .await
        .unwrap();
    assert_eq!(redacted, "id,r\n1,1\n2,1\n3,1\n4,1\n5,1\n6,1\n");
}

/// Bisection by counts tells no more than the masked values do.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_counts_of_masked_values() {
    let house = house();
    let masked = house.governed("people", &[("salary", bucket())]).await;
    for guess in [71_234_566, 71_234_567, 75_000_000] {
        let query = sql(&format!("SELECT count(*) AS n FROM people WHERE salary > {guess}"));
        assert_eq!(house.csv(query, vec![masked.clone()]).await.unwrap(), "n\n2\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_join_across_tables_and_show_nothing() {
    let house = house();
    let people = house.governed("people", &[("ssn", token())]).await;
    let orders = house.governed("sales.orders", &[("buyer_ssn", token())]).await;
    let query = sql("SELECT p.id, o.order_id FROM people p JOIN sales.orders o ON p.ssn = o.buyer_ssn ORDER BY 1, 2");
    let shown = house.csv(query, vec![people, orders]).await.unwrap();
    assert_eq!(shown, "id,order_id\n1,100\n1,101\n3,102\n4,100\n4,101\n");
}

/// Neither the rows nor the statistics nor the pages of a delivered file hold a raw value.
#[tokio::test(flavor = "multi_thread")]
async fn no_raw_value_is_anywhere_in_the_bytes() {
    let house = house();
    for format in Format::ALL {
        for query in [
            slice("people", None, None, None, None),
            sql("SELECT * FROM people WHERE id > 0 ORDER BY salary"),
        ] {
            let masked = house.masked_people().await;
            let (bytes, rows, counts) = house.fetch(order(query, vec![masked], format)).await.unwrap();
            assert_eq!(rows, 6);
            let mut canaries: Vec<Vec<u8>> = SSNS.iter().chain(&EMAILS).map(|v| v.as_bytes().to_vec()).collect();
            for salary in SALARIES {
                canaries.extend([
                    salary.to_le_bytes().to_vec(),
                    salary.to_be_bytes().to_vec(),
                    salary.to_string().into_bytes(),
                ]);
            }
            for canary in canaries {
                assert!(!bytes.windows(canary.len()).any(|w| w == canary), "{format:?}: {canary:?}");
            }
            assert_eq!(
                counts.iter().map(|c| (c.column.as_str(), c.values, c.altered)).collect::<Vec<_>>(),
                [("email", 6, 6), ("name", 5, 5), ("salary", 6, 6), ("ssn", 6, 6)]
            );
            if format == Format::Parquet {
                statistics_are_masked(bytes);
            }
        }
    }
}

fn statistics_are_masked(bytes: Vec<u8>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            if let Some(Statistics::ByteArray(values)) = column.statistics() {
                for bound in [values.min_opt(), values.max_opt()].into_iter().flatten() {
                    let text = String::from_utf8_lossy(bound.data()).into_owned();
                    assert!(SSNS.iter().chain(&EMAILS).all(|v| !text.contains(v)), "{text}");
                }
            }
        }
    }
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let ssn = batch.column_by_name("ssn").unwrap();
        assert!(ssn.as_string::<i32>().iter().flatten().all(|s| s.starts_with("tok_")));
    }
}

/// An error while rows flow says nothing of the value, even where the value is the caller's to see.
#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_no_value() {
    let house = house();
    for text in [
        "SELECT CAST(ssn AS bigint) AS x FROM people",
        "SELECT 1 / (salary - 71234567) AS x FROM people",
        "SELECT to_timestamp(email) AS x FROM people",
        "SELECT salary * 9223372036854775807 AS x FROM people",
        "SELECT CAST(salary AS smallint) AS x FROM people",
        "SELECT id FROM people WHERE CAST(email AS int) = 1",
    ] {
        let table = house.governed("people", &[]).await;
        match house.csv(sql(text), vec![table]).await {
            Err(error) => {
                assert_eq!(error.kind, ScanErrorKind::Evaluation, "{text}: {error:?}");
                assert!(RAW.iter().all(|r| !error.public.contains(r)), "{text}: {}", error.public);
            }
            Ok(shown) => assert!(text.contains("9223372036854775807"), "{text}: {shown}"),
        }
    }
}

/// What stands in the plan, for people: the caller's filter, never the policy's, and never a column's raw filter.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_on_a_masked_column_stays_above() {
    let house = house();
    let masked = house.governed("people", &[("ssn", token())]).await;
    let plan = house
        .plan(
            sql("SELECT id FROM people WHERE ssn = 'x' AND region = 'eu' AND id > 2"),
            vec![masked],
        )
        .await
        .unwrap();
    let text = plan.explain.join("\n");
    assert!(
        text.contains("filtered at the source: region = Utf8(\"eu\") AND id > Int64(2)"),
        "{text}"
    );
    assert!(text.contains("FilterExec: ssn@"), "{text}");
}

/// The same columns revealed are filtered at the source.
#[tokio::test(flavor = "multi_thread")]
async fn a_revealed_column_is_as_open_as_an_open_one() {
    let house = house();
    let revealed = house.governed("people", &[("ssn", Treatment::Reveal)]).await;
    let query = sql("SELECT id FROM people WHERE ssn = '078-05-1120'");
    let plan = house.plan(query.clone(), vec![revealed.clone()]).await.unwrap();
    assert!(!plan.explain.join("\n").contains("FilterExec"), "{:?}", plan.explain);
    assert_eq!(house.csv(query, vec![revealed]).await.unwrap(), "id\n1\n4\n");
}

/// Without a class, under `scan`: bare numbers, as text and as numbers, in columns that say what they are.
#[tokio::test(flavor = "multi_thread")]
async fn bare_numbers_are_found_by_their_columns_name() {
    let house = house();
    let text = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let bare = RecordBatch::try_from_iter([
        (
            "ssn",
            Arc::new(Int64Array::from(vec![78_051_120, 219_099_999, 457_555_462])) as ArrayRef,
        ),
        ("ssn_text", text(["078051120", "219099999", "n/a"])),
        ("phone", text(["2125550187", "5550188", "555 0189 ext 4"])),
        ("mobile_nr", Arc::new(Int64Array::from(vec![2_125_550_187, 5_550_188, 12]))),
        ("passport", text(["C01X00T47", "K1234567", "none"])),
        ("note", text(["078051120", "2125550187", "C01X00T47"])),
    ])
    .unwrap();
    parquet(&house.path("bare.parquet"), &[bare]);
    let all = ["ssn", "ssn_text", "phone", "mobile_nr", "passport", "note"].map(|c| (c, Treatment::Mask(Mask::Scan)));
    let open = house.governed("bare", &[]).await;
    let scanned = house.governed("bare", &all).await;
    let query = slice("bare", None, None, None, None);
    let shown = house.csv(query.clone(), vec![open]).await.unwrap();
    assert!(shown.contains("78051120,078051120,2125550187"), "{shown}");
    let shown = house.csv(query, vec![scanned]).await.unwrap();
    assert_eq!(
        shown,
        "ssn,ssn_text,phone,mobile_nr,passport,note\n,[ssn],[phone],,[id],078051120\n,[ssn],[phone],,[id],2125550187\n,n/a,[phone],12,none,C01X00T47\n"
    );
}
