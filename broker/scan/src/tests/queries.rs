//! Expected rows, names, estimates, and what is refused.

use chunk_port::ScanErrorKind;
use chunk_wire::fetch::Param;
use chunk_wire::problem::Position;

use super::*;

async fn shown(house: &House, query: Query, dataset: &str) -> String {
    let table = house.governed(dataset, &[]).await;
    house.csv(query, vec![table]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_give_the_rows_they_name() {
    let house = house();
    let cases: &[(Query, &str)] = &[
        (
            slice("people", Some(&["id", "name"]), None, None, Some(2)),
            "id,name\n1,Ada\n2,Bob\n",
        ),
        (
            slice("people", Some(&["name", "id"]), Some("region = 'eu' and id > 1"), None, None),
            "name,id\nCyd,3\n,5\n",
        ),
        (
            slice("people", Some(&["id"]), None, Some("region, id desc"), Some(3)),
            "id\n6\n5\n3\n",
        ),
        (slice("people", Some(&["id"]), Some("name is null"), None, None), "id\n5\n"),
        (
            slice("people", Some(&["id"]), Some("name like 'A%' or lower(name) = 'bob'"), None, None),
            "id\n1\n2\n",
        ),
        (
            slice(
                "people",
                Some(&["Mixed Case"]),
                Some("\"Mixed Case\" between 20 and 30"),
                None,
                None,
            ),
            "Mixed Case\n20\n30\n",
        ),
        (
            slice(
                "people",
                Some(&["id"]),
                Some("born >= date '1975-01-01' and people.id in (3, 4, 9)"),
                None,
                None,
            ),
            "id\n3\n4\n",
        ),
        (
            slice("people", Some(&["id"]), Some("score > 1"), Some("id"), None),
            "id\n2\n3\n5\n6\n",
        ),
        (slice("people", Some(&["id"]), Some("id > 100"), None, None), "id\n"),
        (slice("people", Some(&["id"]), None, None, Some(0)), "id\n"),
    ];
    for (query, expected) in cases {
        assert_eq!(shown(&house, query.clone(), "people").await, *expected, "{query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_give_the_rows_they_name() {
    let house = house();
    let cases: &[(&str, &str)] = &[
        ("SELECT count(*) AS n FROM people", "n\n6\n"),
        (
            "SELECT region, sum(id) AS s FROM people GROUP BY region ORDER BY region",
            "region,s\nap,6\neu,9\nus,6\n",
        ),
        ("SELECT ID, \"Mixed Case\" AS m FROM People ORDER BY id LIMIT 1", "id,m\n1,10\n"),
        ("SELECT extract(year FROM born) AS y FROM people WHERE id = 2", "y\n1972\n"),
        (
            "WITH people AS (SELECT id FROM people WHERE id < 3) SELECT * FROM people ORDER BY id",
            "id\n1\n2\n",
        ),
        (
            "SELECT a.id AS a, b.id AS b FROM people a JOIN people b ON a.id = b.id - 1 WHERE a.region = 'us'",
            "a,b\n2,3\n4,5\n",
        ),
        ("SELECT NULL AS n, interval '1 day' AS i", "n,i\n,1 days\n"),
        ("SELECT id FROM people ORDER BY id DESC LIMIT 2 OFFSET 1", "id\n5\n4\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&house, sql(text), "people").await, *expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_a_csv_survives() {
    let house = house();
    let columns = house.engine.describe(&house.table("towns")).await.unwrap();
    let types: Vec<(&str, &str)> = columns.iter().map(|c| (c.name.as_str(), c.data_type.as_str())).collect();
    assert_eq!(types, [("code", "Utf8"), ("town", "Utf8"), ("people", "Int64")]);
    assert_eq!(
        shown(&house, slice("towns", None, None, None, None), "towns").await,
        "code,town,people\n0101,\"Aa, \"\"upper\"\"\",10\n0202,\"two\nlines\",20\n1303,Cc,\n"
    );
    let joined = house.csv(
        sql("SELECT p.id, t.town FROM people p JOIN towns t ON t.people = p.\"Mixed Case\" ORDER BY 1"),
        vec![house.governed("people", &[]).await, house.governed("towns", &[]).await],
    );
    assert_eq!(joined.await.unwrap(), "id,town\n1,\"Aa, \"\"upper\"\"\"\n2,\"two\nlines\"\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_may_have_dots_and_nested_columns() {
    let house = house();
    let columns = house.engine.describe(&house.table("sales.orders")).await.unwrap();
    assert_eq!(columns[3].data_type, "Decimal128(9, 2)");
    assert_eq!(columns[4].data_type, "Utf8");
    for from in ["sales.orders", "\"sales.orders\"", "sales.orders AS o", "Sales.ORDERS"] {
        let text = format!("SELECT order_id, amount, tags FROM {from} WHERE order_id = 101");
        assert_eq!(
            shown(&house, sql(&text), "sales.orders").await,
            "order_id,amount,tags\n101,2.50,[t1]\n",
            "{from}"
        );
    }
    let slice = slice("sales.orders", Some(&["amount"]), Some("amount > 5"), None, None);
    assert_eq!(shown(&house, slice, "sales.orders").await, "amount\n10.00\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inspection_names_every_column_touched() {
    let house = house();
    let all = ["people", "sales.orders", "towns"];
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("SELECT id FROM people", &["people.id"], &[]),
        ("SELECT count(*) AS n FROM people", &[], &["count"]),
        ("SELECT 1 AS x FROM people WHERE ssn = 'x'", &["people.ssn"], &[]),
        (
            "SELECT upper(p.name) AS n FROM people p ORDER BY p.salary",
            &["people.name", "people.salary"],
            &["upper"],
        ),
        (
            "SELECT max(id) OVER (PARTITION BY region) AS m FROM people",
            &["people.id", "people.region"],
            &["max"],
        ),
        (
            "SELECT o.amount FROM people p JOIN sales.orders o ON o.person = p.id WHERE EXISTS (SELECT 1 FROM towns t WHERE t.code = p.name)",
            &[
                "people.id",
                "people.name",
                "sales.orders.person",
                "sales.orders.amount",
                "towns.code",
            ],
            &[],
        ),
        (
            "SELECT x FROM (SELECT email AS x, ssn FROM people) AS t",
            &["people.ssn", "people.email"],
            &[],
        ),
        (
            "WITH c AS (SELECT * FROM towns) SELECT town FROM c",
            &["towns.code", "towns.town", "towns.people"],
            &[],
        ),
        (
            "SELECT id FROM people UNION SELECT order_id FROM sales.orders",
            &["people.id", "sales.orders.order_id"],
            &[],
        ),
        ("SELECT p.id FROM people p JOIN people q USING (id)", &["people.id"], &[]),
        (
            "SELECT (SELECT max(amount) FROM sales.orders o WHERE o.person = p.id) AS m FROM people p",
            &["people.id", "sales.orders.person", "sales.orders.amount"],
            &["max"],
        ),
        // Right for the masked types, wrong for the raw ones.
        (
            "SELECT id FROM people WHERE salary LIKE 'tok%' AND substr(salary, 1, 2) = 'to'",
            &["people.id", "people.salary"],
            &["like", "substr", "substring"],
        ),
        // Wrong whatever the types, and in other words for each: every column counts, and each function.
        (
            "SELECT substring(name, 1, 2) AS x, born * salary AS y FROM people WHERE abs(id) > 1",
            &[
                "people.id",
                "people.name",
                "people.ssn",
                "people.email",
                "people.salary",
                "people.region",
                "people.born",
                "people.score",
                "people.Mixed Case",
            ],
            &["abs", "substr", "substring"],
        ),
        (
            "SELECT substring(name, 1, 2) || name AS x FROM people WHERE name ~ 'a'",
            &["people.name"],
            &["concat", "regexp_like", "substr", "substring"],
        ),
        (
            "SELECT extract(year FROM born) AS y FROM people",
            &["people.born"],
            &["date_part", "datepart", "extract"],
        ),
    ];
    for (text, columns, functions) in cases {
        let found = house.inspect(&sql(text), &all).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(found.statement, "select");
        let named: Vec<String> = found.columns.iter().map(|(d, c)| format!("{d}.{c}")).collect();
        assert_eq!(named, *columns, "{text}");
        assert_eq!(found.functions, *functions, "{text}");
    }
    let found = house
        .inspect(
            &slice("people", Some(&["id"]), Some("length(name) > 3"), Some("region"), None),
            &all,
        )
        .await
        .unwrap();
    assert_eq!(found.statement, "slice");
    assert_eq!(found.datasets, ["people"]);
    assert_eq!(
        found.columns.iter().map(|(_, c)| c.as_str()).collect::<Vec<_>>(),
        ["id", "name", "region"]
    );
    assert_eq!(found.functions, ["char_length", "character_length", "length"]);
    let found = house.inspect(&slice("people", None, None, None, None), &all).await.unwrap();
    assert_eq!(found.columns.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_say_what_and_where() {
    let house = house();
    let kind = async |text: &str| house.inspect(&sql(text), &["people"]).await.unwrap_err();
    for text in [
        "SELECT * FROM orders",
        "SELECT * FROM other.people",
        "SELECT * FROM a.b.people",
        "SELECT * FROM people, \"/etc/passwd\"",
        "SELECT * FROM towns",
    ] {
        let error = kind(text).await;
        assert_eq!(error.kind, ScanErrorKind::UnknownDataset, "{text}: {error:?}");
    }
    let error = kind("SELECT id,\n  nam FROM people").await;
    assert_eq!(
        error.kind,
        ScanErrorKind::InvalidSql(Some(Position { line: 2, column: 3 })),
        "{error:?}"
    );
    assert_eq!(error.public, "there is no column `nam`");
    let error = kind("SELECT Mixed FROM people WHERE ID = 1 AND \"mixed case\" = 1").await;
    assert!(matches!(error.kind, ScanErrorKind::InvalidSql(_)), "{error:?}");
    let error = house
        .inspect(&slice("people", Some(&["nope"]), None, None, None), &["people"])
        .await
        .unwrap_err();
    assert_eq!(error.public, "`people` has no column `nope`; run `chunkctl describe people`");
    let error = house
        .inspect(&slice("nope", None, None, None, None), &["people"])
        .await
        .unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::UnknownDataset);
    for order in ["2", "1 + 1", "id, 2", "'id'"] {
        let query = slice("people", None, None, Some(order), None);
        let error = house.inspect(&query, &["people"]).await.unwrap_err();
        assert!(error.public.contains("names no column"), "{order}: {error:?}");
    }
    for filter in [
        "sum(id) > 1",
        "nope = 1",
        "id > ",
        "id = 1; drop table people",
        "id in (select id from people)",
    ] {
        let query = slice("people", None, Some(filter), None, None);
        assert!(house.inspect(&query, &["people"]).await.is_err(), "{filter}");
    }
    let table = house.governed("people", &[]).await;
    let error = house
        .plan(sql("SELECT a.id, b.id FROM people a, people b"), vec![table.clone()])
        .await
        .unwrap_err();
    assert!(error.public.contains("`id`") && error.public.contains("AS"), "{error:?}");
    let error = house.plan(sql("SELECT id + name FROM people"), vec![table.clone()]).await;
    assert!(error.is_err() || house.csv(sql("SELECT id + name AS x FROM people"), vec![table]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_filter_removes_rows_and_is_not_shown() {
    let house = house();
    let mut table = house.masked_people().await;
    table.row_filter = Some("region = 'eu' AND ssn <> '457-55-5462'".to_owned());
    let query = sql("SELECT id, ssn FROM people ORDER BY id");
    let shown = house.csv(query.clone(), vec![table.clone()]).await.unwrap();
    let ids: Vec<&str> = shown.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
    assert_eq!(ids, ["1", "5"]);
    assert!(!shown.contains("078-05"));
    let plan = house.plan(query, vec![table.clone()]).await.unwrap();
    let text = plan.explain.join("\n");
    assert!(!text.contains("457-55") && !text.contains("'eu'") && !text.contains("<>"), "{text}");
    assert_eq!(
        house
            .csv(sql("SELECT count(*) AS n FROM people"), vec![table.clone()])
            .await
            .unwrap(),
        "n\n2\n"
    );
    assert_eq!(
        house.csv(sql("SELECT id FROM people LIMIT 1"), vec![table.clone()]).await.unwrap(),
        "id\n1\n"
    );
    assert_eq!(
        house
            .csv(slice("people", Some(&["id"]), Some("id > 1"), None, Some(5)), vec![table.clone()])
            .await
            .unwrap(),
        "id\n5\n"
    );
    for broken in ["nope = 1", "sum(id) > 1", "id", "id in (select 1)", "1/0 = 1 or id = 1", ""] {
        table.row_filter = Some(broken.to_owned());
        let error = house.csv(sql("SELECT id FROM people"), vec![table.clone()]).await.unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{broken}: {error:?}");
        assert!(!error.public.contains("nope"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_columns_are_noticed() {
    let house = house();
    let mut table = house.masked_people().await;
    table.columns.pop();
    assert_eq!(
        house.csv(sql("SELECT id FROM people"), vec![table]).await.unwrap_err().kind,
        ScanErrorKind::Source
    );
    let mut table = house.masked_people().await;
    table.columns[2].name = "ssn2".to_owned();
    assert_eq!(
        house.csv(sql("SELECT id FROM people"), vec![table]).await.unwrap_err().kind,
        ScanErrorKind::Source
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_estimate_from_above() {
    let house = house();
    let estimate = async |text: &str| {
        let tables = vec![house.masked_people().await, house.governed("towns", &[]).await];
        house.plan(sql(text), tables).await.unwrap().rows_estimated
    };
    assert_eq!(estimate("SELECT * FROM people").await, Some(6));
    assert_eq!(estimate("SELECT * FROM people WHERE id = 1").await, Some(6));
    assert_eq!(estimate("SELECT * FROM people LIMIT 2").await, Some(2));
    assert_eq!(estimate("SELECT count(*) AS n FROM people").await, Some(6));
    assert_eq!(estimate("SELECT string_agg(name, ',') AS n FROM people").await, Some(6));
    assert_eq!(estimate("SELECT string_agg(name, ',') AS n FROM people LIMIT 1").await, Some(6));
    assert_eq!(
        estimate("SELECT region, string_agg(name, ',') AS n FROM people GROUP BY region LIMIT 1").await,
        Some(6)
    );
    assert_eq!(estimate("SELECT max(salary) OVER () AS n FROM people LIMIT 1").await, Some(6));
    // Six rows are gathered, and one is read beside them: the limit goes into the outer scan.
    assert_eq!(
        estimate("SELECT id, (SELECT string_agg(name, ',') FROM people) AS n FROM people LIMIT 1").await,
        Some(7)
    );
    assert_eq!(
        estimate("SELECT id FROM people WHERE ssn LIKE 'tok%' ORDER BY id LIMIT 2").await,
        Some(2)
    );
    assert_eq!(estimate("SELECT a.id FROM people a JOIN people b ON a.id = b.id").await, Some(12));
    assert_eq!(
        estimate("SELECT count(*) AS n FROM (SELECT id FROM people LIMIT 2) AS t").await,
        Some(2)
    );
    assert_eq!(estimate("SELECT count(*) AS n FROM towns").await, None);
    assert_eq!(estimate("SELECT region, count(*) AS n FROM people GROUP BY region").await, Some(6));
    assert_eq!(estimate("SELECT a.id FROM people a, people b").await, Some(36));
    assert_eq!(estimate("SELECT id FROM people UNION ALL SELECT id FROM people").await, Some(12));
    assert_eq!(estimate("SELECT code FROM towns").await, None);
    assert_eq!(estimate("SELECT code FROM towns ORDER BY code LIMIT 1").await, Some(1));
    assert_eq!(estimate("SELECT code FROM towns LIMIT 1").await, Some(1));
    let columns = house
        .plan(sql("SELECT id, ssn, salary, name FROM people"), vec![house.masked_people().await])
        .await
        .unwrap()
        .columns;
    let types: Vec<(&str, &str)> = columns.iter().map(|c| (c.name.as_str(), c.data_type.as_str())).collect();
    assert_eq!(types, [("id", "Int64"), ("ssn", "Utf8"), ("salary", "Int64"), ("name", "Utf8")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_one_table() {
    let house = house();
    let folder = house.path("days");
    std::fs::create_dir_all(folder.join("a")).unwrap();
    for (file, id) in [("a/1.parquet", 1), ("2.parquet", 2), ("_tmp.parquet", 3), ("a/.x.parquet", 4)] {
        let batch = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef)]).unwrap();
        parquet(&folder.join(file), &[batch]);
    }
    std::os::unix::fs::symlink(house.path("people.parquet"), folder.join("link.parquet")).unwrap();
    let table = Table {
        dataset: "days".to_owned(),
        connection: "files".to_owned(),
        source: Source::Files {
            root: house.folder.path().to_owned(),
            path: folder.clone(),
            format: FileFormat::Parquet,
        },
    };
    let columns = vec![GovernedColumn {
        name: "id".to_owned(),
        class: None,
        treatment: Treatment::Open,
    }];
    let governed = GovernedTable {
        table,
        columns,
        row_filter: None,
    };
    assert_eq!(
        house
            .csv(slice("days", None, None, None, None), vec![governed.clone()])
            .await
            .unwrap(),
        "id\n2\n1\n"
    );
    parquet(
        &folder.join("b.parquet"),
        &[RecordBatch::try_from_iter([("other", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap()],
    );
    assert_eq!(
        house
            .csv(slice("days", None, None, None, None), vec![governed])
            .await
            .unwrap_err()
            .kind,
        ScanErrorKind::Source
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_is_masked_as_its_order_says_whatever_was_planned() {
    let house = house();
    let query = sql("SELECT ssn, name FROM people WHERE id < 4");
    let revealed = house.governed("people", &[]).await;
    let masked = house.masked_people().await;
    let expected = house.csv(query.clone(), vec![masked.clone()]).await.unwrap();
    for (planned, read) in [(&revealed, &masked), (&masked, &masked)] {
        let mut look = house.engine.look(&query, &[house.table("people")], "test").await.unwrap();
        look.plan(&order(query.clone(), vec![planned.clone()], Format::Csv)).await.unwrap();
        let (bytes, rows, counts) = read_all(look.read(order(query.clone(), vec![read.clone()], Format::Csv)).await.unwrap())
            .await
            .unwrap();
        assert_eq!((String::from_utf8(bytes).unwrap(), rows), (expected.clone(), 3));
        assert!(counts.iter().any(|c| c.column == "ssn" && c.values == 3), "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_plans_no_other_query_than_its_own() {
    let house = house();
    let people = house.masked_people().await;
    let mut look = house
        .engine
        .look(&sql("SELECT id FROM people"), &[house.table("people")], "test")
        .await
        .unwrap();
    for other in [
        order(sql("SELECT ssn FROM people"), vec![people.clone()], Format::Csv),
        order(sql("SELECT id FROM people"), vec![], Format::Csv),
    ] {
        assert_eq!(look.plan(&other).await.unwrap_err().kind, ScanErrorKind::Internal);
    }
    let order = order(sql("SELECT id FROM people"), vec![people], Format::Csv);
    assert_eq!(look.plan(&order).await.unwrap().columns.len(), 1);
    // Not planned as it is read: by the order's own words.
    let other = sql("SELECT name FROM people WHERE id = 1");
    let expected = house.csv(other.clone(), order.tables.clone()).await.unwrap();
    assert!(expected.starts_with("name\n") && !expected.contains("Ada"), "{expected}");
    let (bytes, ..) = read_all(look.read(super::order(other, order.tables, Format::Csv)).await.unwrap())
        .await
        .unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_constants_above_the_mask() {
    let house = house();
    let masked = house.masked_people().await;
    let given = |text: &str, params: &[(&str, Param)]| Query::Sql {
        text: text.to_owned(),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let number = |text: &str| Param::Number(text.to_owned());
    let text = |text: &str| Param::Text(text.to_owned());
    for (query, same) in [
        (
            given(
                "SELECT id FROM people WHERE id >= $from ORDER BY id LIMIT $n",
                &[("from", number("2")), ("n", number("2"))],
            ),
            "SELECT id FROM people WHERE id >= 2 ORDER BY id LIMIT 2",
        ),
        (
            given(
                "SELECT id FROM people WHERE born < $day AND region = $1 ORDER BY id",
                &[("day", text("1976-01-01")), ("1", text("eu"))],
            ),
            "SELECT id FROM people WHERE born < '1976-01-01' AND region = 'eu' ORDER BY id",
        ),
        (
            given("SELECT count(*) AS n FROM people WHERE (name = $x) IS NULL", &[("x", Param::Null)]),
            "SELECT count(*) AS n FROM people WHERE (name = NULL) IS NULL",
        ),
        // A raw value, as a constant, finds no masked one.
        (
            given("SELECT id FROM people WHERE ssn = $x", &[("x", text(SSNS[0]))]),
            "SELECT id FROM people WHERE false",
        ),
    ] {
        let expected = house.csv(sql(same), vec![masked.clone()]).await.unwrap();
        assert_eq!(house.csv(query, vec![masked.clone()]).await.unwrap(), expected, "{same}");
    }
    let sliced = |filter: &str, order: &str, params: &[(&str, Param)]| Query::Slice {
        dataset: "people".to_owned(),
        columns: Some(vec!["id".to_owned()]),
        filter: Some(filter.to_owned()),
        order_by: Some(order.to_owned()),
        limit: None,
        params: params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let query = sliced("id > $low", "abs(id - $near), id", &[("low", number("1")), ("near", number("4"))]);
    assert_eq!(house.csv(query, vec![masked.clone()]).await.unwrap(), "id\n4\n3\n5\n2\n6\n");
    for (query, why) in [
        (sliced("id > $low", "id", &[]), "`$low`"),
        (sliced("id > 1", "id", &[("low", number("1"))]), "`$low`"),
        (given("SELECT $x FROM people", &[("x", text("a")), ("y", Param::Null)]), "`$y`"),
    ] {
        let error = house.plan(query, vec![masked.clone()]).await.unwrap_err();
        assert!(
            matches!(error.kind, ScanErrorKind::InvalidSql(_)) && error.public.contains(why),
            "{why}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_column_is_not_there() {
    let house = house();
    let table = house
        .governed("people", &[("ssn", Treatment::Mask(Mask::Drop)), ("name", redact())])
        .await;
    let all = house.csv(sql("SELECT * FROM people"), vec![table.clone()]).await.unwrap();
    assert!(all.starts_with("id,name,email,salary,"), "{all}");
    let slice_of_all = house
        .csv(slice("people", None, None, None, None), vec![table.clone()])
        .await
        .unwrap();
    assert_eq!(slice_of_all, all);
    assert_eq!(
        house
            .csv(sql("SELECT email FROM people WHERE id = 2"), vec![table.clone()])
            .await
            .unwrap(),
        "email\nbob@example.com\n"
    );
    for query in [
        sql("SELECT ssn FROM people"),
        sql("SELECT id FROM people WHERE ssn LIKE '0%'"),
        sql("SELECT id FROM people ORDER BY ssn"),
        sql("SELECT count(DISTINCT ssn) FROM people"),
        sql("SELECT a.id FROM people a JOIN people b ON a.ssn = b.ssn"),
        slice("people", Some(&["ssn"]), None, None, None),
        slice("people", Some(&["id"]), Some("ssn = '078-05-1120'"), None, None),
        slice("people", Some(&["id"]), None, Some("ssn"), None),
    ] {
        let refused = house.csv(query.clone(), vec![table.clone()]).await.unwrap_err();
        assert!(matches!(refused.kind, ScanErrorKind::InvalidSql(_)), "{query:?}: {refused:?}");
    }
    // A policy's row filter may still look at it.
    let filtered = GovernedTable {
        row_filter: Some("ssn = '219-09-9999'".to_owned()),
        ..table
    };
    assert_eq!(house.csv(sql("SELECT id FROM people"), vec![filtered]).await.unwrap(), "id\n2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_are_shifted_by_whose_they_are_whether_that_is_asked_for_or_not() {
    let house = house();
    let shift = |by: &str| {
        Treatment::Mask(Mask::Shift {
            key: key(),
            days_max: 180,
            by: by.to_owned(),
        })
    };
    let open = house.governed("people", &[]).await;
    let raw = house.csv(sql("SELECT born FROM people ORDER BY id"), vec![open]).await.unwrap();
    // What tells the subjects apart may itself be masked, or dropped: their own values still do.
    let mut seen = Vec::new();
    for treatment in [Treatment::Open, redact(), token(), Treatment::Mask(Mask::Drop)] {
        let table = house.governed("people", &[("born", shift("ssn")), ("ssn", treatment)]).await;
        seen.push(house.csv(sql("SELECT born FROM people ORDER BY id"), vec![table]).await.unwrap());
    }
    assert!(seen.iter().all(|shown| *shown == seen[0]), "{seen:?}");
    let days = |text: &str| -> Vec<i64> {
        let day = |line: &str| {
            line.parse::<chrono::NaiveDate>()
                .unwrap()
                .signed_duration_since(chrono::NaiveDate::default())
                .num_days()
        };
        text.lines().skip(1).map(day).collect()
    };
    let by: Vec<i64> = days(&seen[0]).iter().zip(days(&raw)).map(|(moved, raw)| moved - raw).collect();
    assert!(by.iter().all(|d| *d != 0 && d.abs() <= 180), "{by:?}");
    // The first and the fourth have the same number.
    assert_eq!(by[0], by[3]);
    assert!(by[0] != by[1] || by[1] != by[2], "{by:?}");
    // A filter sees the moved dates; nothing of it goes to the source.
    let table = house.governed("people", &[("born", shift("ssn"))]).await;
    let first = seen[0].lines().nth(1).unwrap();
    let found = house
        .csv(sql(&format!("SELECT id FROM people WHERE born = '{first}'")), vec![table])
        .await
        .unwrap();
    assert!(found.lines().any(|line| line == "1"), "{found}");
    // A subject that is no column of the table: nothing is read.
    let table = house.governed("people", &[("born", shift("nobody"))]).await;
    assert_eq!(
        house.csv(sql("SELECT born FROM people"), vec![table]).await.unwrap_err().kind,
        ScanErrorKind::Source
    );
}
