//! SQLite files: every class of value, what is pushed down, one state of the file, and what it is not trusted with.

use chunk_port::ScanErrorKind;
use rusqlite::Connection;

use super::*;

const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, ssn VARCHAR(11), email TEXT, salary BIGINT, region TEXT, \
    born DATE, score REAL, \"Mixed Case\" INT);";

fn make(house: &House, sql: &str) -> Connection {
    let own = Connection::open(house.path("app.db")).unwrap();
    own.execute_batch(sql).unwrap();
    own
}

fn table(house: &House, name: &str) -> Table {
    Table {
        dataset: name.to_lowercase(),
        connection: "app".to_owned(),
        source: Source::Sqlite {
            root: house.folder.path().to_owned(),
            path: house.path("app.db"),
            table: name.to_owned(),
        },
    }
}

async fn governed(house: &House, name: &str) -> GovernedTable {
    govern(&house.engine, table(house, name), &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_shows_a_raw_value() {
    let house = house();
    make(&house, &format!("{PEOPLE} INSERT INTO people VALUES {}", people_values()));
    attacks::withstands(&house.engine, table(&house, "people")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_value_comes_through() {
    let house = house();
    make(
        &house,
        "CREATE TABLE Types (i INTEGER, u UNSIGNED BIG INT, r REAL, n NUMERIC(9, 2), b BOOLEAN, d DATE, t DATETIME, c VARCHAR(3), x BLOB,
           j JSON, untyped, g INT AS (i + 1), \"we\"\"ird\" TEXT, k STRING);
         INSERT INTO Types (i, u, r, n, b, d, t, c, x, j, untyped, \"we\"\"ird\", k) VALUES
          (9223372036854775806, -9223372036854775808, 1e308, 12.5, 1, '2024-02-29', '2024-02-29 01:02:03', 'longer than three', x'00ff', '{\"a\": \"é\"}', 5, 'a,\"b\nc', '007'),
          (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
          (-1, 0, -0.5, 9007199254740992, 0, '0001-01-01', '9999-12-31T23:59:59.999999', '', x'', '', 1.5, '', 'x'),
          (0, 1, 9e999, -3, TRUE, '9999-12-31', '1970-01-01 00:00:00.5', 7, 'text', 'null', 'seven', 'ß', 1.0)",
    );
    assert_eq!(
        types(&house.engine, &table(&house, "Types")).await,
        "Int64 Int64 Float64 Float64 Boolean Date32 Timestamp(µs) Utf8 Binary Utf8 Utf8 Int64 Utf8 Utf8"
    );
    let shown = csv(
        &house.engine,
        slice("types", None, None, None, None),
        vec![governed(&house, "Types").await],
    )
    .await;
    assert_eq!(
        shown.unwrap(),
        "i,u,r,n,b,d,t,c,x,j,untyped,g,\"we\"\"ird\",k\n\
         9223372036854775806,-9223372036854775808,1e308,12.5,true,2024-02-29,2024-02-29T01:02:03.000000,longer than three,00ff,\"{\"\"a\"\": \"\"é\"\"}\",5,\
         9223372036854775807,\"a,\"\"b\nc\",7\n\
         ,,,,,,,,,,,,,\n\
         -1,0,-0.5,9007199254740992.0,false,0001-01-01,9999-12-31T23:59:59.999999,\"\",,\"\",1.5,0,\"\",x\n\
         0,1,inf,-3.0,true,9999-12-31,1970-01-01T00:00:00.500000,7,74657874,null,seven,1,ß,1\n"
    );
}

/// Whole numbers, by the file's own words.
#[tokio::test(flavor = "multi_thread")]
async fn integers_and_texts_are_what_sqlite_prints() {
    let house = house();
    let own = make(
        &house,
        "CREATE TABLE t (i INTEGER, c TEXT);
         WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 20000)
         INSERT INTO t SELECT (k * 7919) % 1009 - 500 + k * 461168601842738, printf('%s-%x', k, k * k) FROM n",
    );
    let shown = csv(&house.engine, slice("t", None, None, None, None), vec![governed(&house, "t").await])
        .await
        .unwrap();
    let mut statement = own.prepare("SELECT i || ',' || c FROM t").unwrap();
    let printed: Vec<String> = statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(printed.len(), 20_001);
    assert_eq!(shown.split_once('\n').unwrap().1, printed.join("\n") + "\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_ends_the_read_by_row_and_column() {
    let house = house();
    let own = make(
        &house,
        "CREATE TABLE t (id INTEGER, v); INSERT INTO t VALUES (1, NULL), (2, NULL), (3, NULL)",
    );
    for (declared, value, class) in [
        ("INTEGER", "'078-05-1120'", "a text"),
        ("INTEGER", "1.5", "a number with a fraction"),
        ("INTEGER", "x'3078'", "a blob"),
        ("REAL", "'078-05-1120'", "a text"),
        ("NUMERIC", "9007199254740993", "an integer"),
        ("BOOLEAN", "2", "an integer"),
        ("DATE", "'2024-2-29'", "a text"),
        ("DATE", "'2023-02-29'", "a text"),
        ("DATE", "1709164800", "an integer"),
        ("DATETIME", "'2024-02-29 01:02:03+01:00'", "a text"),
        ("TEXT", "x'078051120a'", "a blob"),
        ("TEXT", "CAST(x'ff30373830' AS TEXT)", "a text"),
        ("BLOB", "78051120", "an integer"),
    ] {
        own.execute_batch(&format!(
            "DROP TABLE t; CREATE TABLE t (id INTEGER, v {declared}); INSERT INTO t VALUES (1, NULL), (2, {value}), (3, NULL)"
        ))
        .unwrap();
        let open = governed(&house, "t").await;
        let error = csv(&house.engine, slice("t", None, None, None, None), vec![open.clone()])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{declared} {value}");
        let operator = error.operator.unwrap();
        assert!(
            operator.starts_with(&format!("row 2 of what was read: column `v` holds {class}, which")),
            "{operator}"
        );
        for said in [&operator, &error.public] {
            assert!(
                !said.contains("0780") && !said.contains("078-05") && !said.contains("1709164800"),
                "{said}"
            );
        }
        // It is not read where it is not asked for, nor where it is redacted at the source.
        let others = csv(&house.engine, slice("t", Some(&["id"]), None, None, None), vec![open])
            .await
            .unwrap();
        assert_eq!(others, "id\n1\n2\n3\n");
    }
    own.execute_batch("DROP TABLE t; CREATE TABLE t (id INTEGER, v TEXT); INSERT INTO t VALUES (1, NULL), (2, x'00'), (3, '')")
        .unwrap();
    let redacted = govern(&house.engine, table(&house, "t"), &[("v", redact())]).await.unwrap();
    let shown = csv(&house.engine, slice("t", None, None, None, None), vec![redacted])
        .await
        .unwrap();
    assert_eq!(shown, "id,v\n1,\n2,[redacted]\n3,[redacted]\n");
}

/// A filter gives the same rows whether the file answers it, or the engine over a view of the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_down_gives_the_rows_it_would_give_above() {
    let house = house();
    make(
        &house,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE, n INT, b BOOLEAN, d DATE, f REAL, k STRING);
         INSERT INTO t VALUES (1, 'abc', 1, 1, '2024-01-02', 0.5, '7'), (2, 'ABC', 2, 0, '0999-12-31', -0.0, 'x'), (3, 'ab%c', NULL, NULL, NULL, NULL, NULL),
           (4, '', -5, 1, '9999-12-31', 1e300, '1.0'), (5, 'é', 9223372036854775807, 0, '2024-01-03', 2, '007'), (6, NULL, 0, 1, '1970-01-01', 3, ''),
           (7, 'abd', 1, 0, '2024-01-02', 4, 'X'), (8, 'a' || char(0) || 'b', 1, 0, '2024-01-02', 4, 'X'), (9, '10', 10, 0, '2024-01-02', 4, '10');
         CREATE VIEW v AS SELECT id, c, n, b, d, f, k FROM t",
    );
    let (pushed, above) = (governed(&house, "t").await, governed(&house, "v").await);
    for (filter, at_source) in [
        ("c = 'abc'", true),
        ("c <> 'abc'", true),
        ("c < 'abd'", true),
        ("c >= 'ABC'", true),
        ("c IN ('abc', 'é', 'zz')", true),
        ("c NOT IN ('abc', 'é')", true),
        ("c BETWEEN 'ab' AND 'b'", true),
        ("c LIKE 'ab%'", true),
        ("c LIKE 'é%'", true),
        ("c LIKE 'a%'", true),
        ("c IS NULL", true),
        ("c IS NOT NULL", true),
        ("c = '10'", true),
        ("n > 0", true),
        ("n = 9223372036854775807", true),
        ("n BETWEEN -5 AND 1", true),
        ("n IN (1, 2, -5)", true),
        ("b", true),
        ("NOT b", true),
        ("d = date '2024-01-02'", true),
        ("d < date '1970-01-02'", true),
        ("d > date '2024-01-02'", true),
        ("f > 0", false),
        ("f = 0", false),
        ("k = '7'", false),
        ("k < 'y'", false),
        ("c ILIKE 'abc'", false),
    ] {
        let query = |name: &str| slice(name, Some(&["id"]), Some(filter), Some("id"), None);
        let shown = csv(&house.engine, query("t"), vec![pushed.clone()]).await.unwrap();
        assert_eq!(
            shown,
            csv(&house.engine, query("v"), vec![above.clone()]).await.unwrap(),
            "{filter}"
        );
        let plan = house.plan(query("t"), vec![pushed.clone()]).await.unwrap().explain.join("\n");
        assert_eq!(plan.contains("filtered at the source"), at_source, "{filter}: {plan}");
    }
    let limited = csv(&house.engine, slice("t", Some(&["id"]), Some("n > 0"), None, Some(2)), vec![pushed])
        .await
        .unwrap();
    assert_eq!(limited, "id\n1\n2\n");
}

/// A count is asked of the table as a whole: how many rows pass a filter is told by a fetch alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_counts_the_table_and_not_what_passes_a_filter() {
    let house = house();
    make(&house, &format!("{PEOPLE} INSERT INTO people VALUES {}", people_values()));
    let open = governed(&house, "people").await;
    for filter in [None, Some("region = 'eu'"), Some("id = 1"), Some("id = 77")] {
        let plan = house
            .plan(slice("people", None, filter, None, None), vec![open.clone()])
            .await
            .unwrap();
        assert_eq!(plan.rows_estimated, Some(6), "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_read_several_times_in_one_query() {
    let house = house();
    make(
        &house,
        "CREATE TABLE t (n INTEGER); WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < 50000) INSERT INTO t SELECT k FROM c;
         CREATE TABLE u AS SELECT n FROM t",
    );
    let tables = || async { vec![governed(&house, "t").await, governed(&house, "u").await] };
    for (text, expected) in [
        (
            "SELECT count(*) AS n FROM t a JOIN t b ON a.n = b.n JOIN u ON u.n = a.n",
            "n\n50000\n",
        ),
        (
            "SELECT sum(n) AS n FROM (SELECT n FROM t UNION ALL SELECT n FROM u UNION ALL SELECT n FROM t) AS x",
            "n\n3750075000\n",
        ),
    ] {
        assert_eq!(csv(&house.engine, sql(text), tables().await).await.unwrap(), expected, "{text}");
    }
}

const ENDLESS: &str = "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1);
    CREATE VIEW endless AS WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c) SELECT k FROM c WHERE k < 0";

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_never_ends_is_stopped_by_the_time_limit() {
    let house = house();
    make(&house, ENDLESS);
    let view = governed(&house, "endless").await;
    let mut late = order(slice("endless", None, None, None, None), vec![view], Format::Csv);
    late.budget.duration_s = 1;
    assert_eq!(fetch(&house.engine, late).await.unwrap_err().kind, ScanErrorKind::Limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_database_or_lack_the_table_are_told_apart() {
    let house = house();
    let own = make(&house, "CREATE TABLE t (n INTEGER)");
    let describe = async |name: &str| house.engine.describe(&table(&house, name)).await.unwrap_err().public;
    assert!(describe("nothing").await.contains("no table for `nothing`"));
    own.execute_batch("CREATE VIEW broken AS SELECT * FROM gone").unwrap();
    assert!(describe("broken").await.contains("failed"));
    drop(own);
    std::fs::write(house.path("app.db"), "not a database, whatever its name says ".repeat(50)).unwrap();
    assert!(describe("t").await.contains("damaged, or not an SQLite file"));
    // Nor is a link to a database elsewhere followed.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (n INTEGER)")
        .unwrap();
    std::fs::remove_file(house.path("app.db")).unwrap();
    std::os::unix::fs::symlink(other, house.path("app.db")).unwrap();
    assert!(describe("t").await.contains("cannot be opened"));
}
