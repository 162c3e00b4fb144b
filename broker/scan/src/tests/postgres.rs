//! A real server: every type, what is pushed down, one snapshot, and what the server learns and keeps.

mod server;
mod values;

use std::time::Duration;

use chunk_port::{PostgresTarget, ScanErrorKind, SourceColumn};
use server::{PASSWORD, Server};

use super::*;

struct Password(&'static str);

impl Secrets for Password {
    fn password(&self, connection: &str) -> Result<Zeroizing<String>, String> {
        assert_eq!(connection, "pg");
        Ok(Zeroizing::new(self.0.to_owned()))
    }
}

struct Pg {
    server: Server,
    engine: Arc<Engine>,
}

fn pg() -> Pg {
    let engine = Engine::new(
        Arc::new(Password(PASSWORD)),
        &Settings {
            threads: 2,
            readers: 2,
            ..Settings::default()
        },
    )
    .unwrap();
    Pg {
        server: Server::start(),
        engine,
    }
}

impl Pg {
    fn target(&self) -> PostgresTarget {
        PostgresTarget {
            connection: "pg".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.server.port,
            database: "postgres".to_owned(),
            user: "reader".to_owned(),
            ca_file: Some(self.server.path("ca.crt")),
            plaintext: false,
            statement_timeout_s: 30,
        }
    }

    fn table(&self, name: &str) -> Table {
        let source = Source::Postgres {
            target: Arc::new(self.target()),
            schema: "public".to_owned(),
            table: name.to_owned(),
        };
        Table {
            dataset: name.to_ascii_lowercase(),
            connection: "pg".to_owned(),
            source,
        }
    }

    async fn governed(&self, name: &str, treatments: &[(&str, Treatment)]) -> GovernedTable {
        let table = self.table(name);
        let treatment = |name: &str| {
            treatments
                .iter()
                .find(|(n, _)| *n == name)
                .map_or(Treatment::Open, |(_, t)| t.clone())
        };
        let columns = self.engine.describe(&table).await.unwrap().into_iter();
        let columns = columns
            .map(|c| GovernedColumn {
                treatment: treatment(&c.name),
                class: None,
                name: c.name,
            })
            .collect();
        GovernedTable {
            table,
            columns,
            row_filter: None,
        }
    }

    async fn csv(&self, query: Query, tables: Vec<GovernedTable>) -> Result<String, ScanError> {
        let mut frames = self.engine.open(order(query, tables, Format::Csv)).await?;
        let mut bytes = Vec::new();
        while let Some(frame) = frames.stream.next().await {
            bytes.extend_from_slice(&frame?.bytes);
        }
        Ok(String::from_utf8(bytes).unwrap())
    }
}

const TYPES: &str = r#"
CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN price AS numeric(12, 3); CREATE DOMAIN price2 AS price NOT NULL; CREATE TYPE pair AS (a int, b text);
CREATE TABLE "Types" (id int8 PRIMARY KEY, b bool, i2 int2, i4 int4, f4 float4, f8 float8, n numeric(18, 4), free numeric, t text, v varchar(9), c char(4),
  nm name, by bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ip inet, arr int[], m mood, p price2, pa pair,
  o oid, "we""ird" int);
INSERT INTO "Types" VALUES
 (1, true, -2, 3, 0.5, 1e300, 12.34, 1.50, E'a,"b\nc', 'vä', 'cc', 'nn', '\x00ff', '2024-02-29', '01:02:03.5', '2024-02-29 01:02:03', '2024-02-29 01:02:03+01',
  '1 day 2 hours', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"a": 1}', '{"a": "é"}', '10.0.0.1', '{1,NULL}', 'sad', 5, ROW(1, 'x'), 4294967295, 7),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 6, NULL, NULL, NULL),
 (3, false, 1, 1, 'NaN', '-Infinity', 'NaN', 'NaN', NULL, 'x', 'x', 'x', '\x01', 'infinity', '24:00', '-infinity', '0044-03-15 12:00 BC', '0', NULL, NULL, NULL, NULL,
  '{}', 'ok', -0.001, NULL, 0, NULL);
CREATE VIEW types_view AS SELECT id, t, p FROM "Types";
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_through() {
    let pg = pg();
    pg.server.sql(TYPES);
    let table = pg.governed("Types", &[]).await;
    let types: Vec<String> = pg
        .engine
        .describe(&pg.table("Types"))
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.data_type)
        .collect();
    assert_eq!(
        types.join(" "),
        "Int64 Boolean Int16 Int32 Float32 Float64 Decimal128(18, 4) Utf8 Utf8 Utf8 Utf8 Utf8 Binary Date32 Time64(µs) \
        Timestamp(µs) Timestamp(µs, \"UTC\") Utf8 Utf8 Utf8 Utf8 Utf8 Utf8 Utf8 Decimal128(12, 3) Utf8 Int64 Int32"
    );
    let shown = pg
        .csv(slice("types", None, None, Some("id"), None), vec![table.clone()])
        .await
        .unwrap();
    let rows: Vec<&str> = shown.split_inclusive('\n').collect();
    let (header, rows) = (rows[0], rows[1..].concat());
    assert!(header.ends_with("\"we\"\"ird\"\n"), "{header}");
    assert_eq!(
        rows,
        "1,true,-2,3,0.5,1e300,12.3400,1.50,\"a,\"\"b\nc\",vä,cc,nn,00ff,2024-02-29,01:02:03.500000,2024-02-29T01:02:03.000000,\
         2024-02-29T00:02:03.000000Z,1 day 02:00:00,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,\"{\"\"a\"\": 1}\",\"{\"\"a\"\": \"\"é\"\"}\",10.0.0.1/32,\
         \"{1,NULL}\",sad,5.000,\"(1,x)\",4294967295,7\n\
         2,,,,,,,,\"\",,,,,,,,,,,,,,,,6.000,,,\n\
         3,false,1,1,NaN,-inf,,NaN,,x,x,x,01,,,,-0043-03-15T12:00:00.000000Z,00:00:00,,,,,{},ok,-0.001,,0,\n"
    );
    assert_eq!(pg.csv(sql("SELECT count(*) AS n FROM types"), vec![table]).await.unwrap(), "n\n3\n");
    let view = pg.governed("types_view", &[]).await;
    assert_eq!(
        pg.csv(slice("types_view", None, Some("p > 5.5"), None, None), vec![view])
            .await
            .unwrap(),
        "id,t,p\n2,\"\",6.000\n"
    );
}

/// Every filter gives the rows that the engine alone would give.
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_filter_changes_no_row() {
    let pg = pg();
    pg.server.sql(
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE f AS SELECT i AS id, i % 7 AS n, (i % 5)::int2 AS s, CASE WHEN i % 11 > 0 THEN i % 3 = 0 END AS b, chr(65 + i % 60) || chr(97 + i % 26) AS t,
           (chr(65 + i % 60) || 'x')::char(4) AS c, i / 3.0::float8 AS x, (i / 3.0)::numeric(9, 2) AS d, date '2024-01-01' + i AS day,
           timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS at, md5(i::text)::uuid AS u FROM generate_series(1, 500) i;
         ALTER TABLE f ADD ci text COLLATE ci; UPDATE f SET ci = CASE id % 3 WHEN 0 THEN 'abc' WHEN 1 THEN 'ABC' END;
         INSERT INTO f (id, day, at, d, x) VALUES (501, 'infinity', '-infinity', 'NaN', 'NaN'), (502, '-infinity', 'infinity', NULL, '-0')",
    );
    let table = pg.governed("f", &[]).await;
    for filter in [
        "id = 5",
        "id <> 5",
        "id < 5",
        "5 >= id",
        "id between 3 and 9",
        "id in (1, 2)",
        "id in (1, 2, 3, 4, 5, 6)",
        "id not in (1, 2, 3, 4, 5)",
        "n is null",
        "n is not null",
        "s = 3",
        "b",
        "not b",
        "b is null",
        "b = false",
        "t = 'Aa'",
        "t <> 'Aa'",
        "t < 'Z'",
        "t >= 'a'",
        "t like 'B%'",
        "t like 'B_'",
        "t like '[%'",
        "t in ('Aa', 'Bb', 'it''s', 'x\\y', 'zz')",
        "t > 'a''b\\c'",
        "c = 'Ax'",
        "c = 'Ax  '",
        "x = 1.0",
        "x < 0",
        "x = 0",
        "x > 100",
        "d = 0.33",
        "d > 100.5",
        "d <= 100.5",
        "d is null",
        "d is not null",
        "d <> 0.33",
        "day > date '2025-01-01'",
        "day <= date '2024-02-01'",
        "day is null",
        "day = date '2024-02-01'",
        "at < timestamp '2024-01-03 00:00:00'",
        "at >= timestamp '2024-01-15 00:00:00'",
        "at is not null",
        "u = 'c4ca4238-a0b9-2382-0dcc-509a6f75849b'",
        "u = 'C4CA4238-A0B9-2382-0DCC-509A6F75849B'",
        "u <> 'c4ca4238-a0b9-2382-0dcc-509a6f75849b'",
        "u > 'c4ca4238-a0b9-2382-0dcc-509a6f75849b'",
        "ci = 'abc'",
        "ci <> 'abc'",
        "ci < 'abd'",
        "ci in ('abc', 'b', 'c', 'd')",
        "id > 3 and t < 'z' and b",
        "id > 490 or id < 4",
    ] {
        let pushed = sql(&format!("SELECT id FROM f WHERE {filter} ORDER BY id"));
        let above = sql(&format!(
            "SELECT id FROM (SELECT id, CASE WHEN {filter} THEN 1 ELSE 0 END AS k FROM f) AS q WHERE k = 1 ORDER BY id"
        ));
        let pushed = pg
            .csv(pushed, vec![table.clone()])
            .await
            .unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        assert_eq!(pushed, pg.csv(above, vec![table.clone()]).await.unwrap(), "{filter}");
        let limited = sql(&format!("SELECT count(*) AS n FROM (SELECT id FROM f WHERE {filter} LIMIT 3) AS q"));
        let expected = (pushed.lines().count() - 1).min(3);
        assert_eq!(
            pg.csv(limited, vec![table.clone()]).await.unwrap(),
            format!("n\n{expected}\n"),
            "{filter}"
        );
    }
    let log = pg.server.log();
    for sent in [
        "\"id\" OPERATOR(pg_catalog.=) '5'::pg_catalog.int4",
        "\"t\" COLLATE \"C\" OPERATOR(pg_catalog.~~) 'B%'",
        "LIMIT 3",
    ] {
        assert!(log.contains(sent), "not pushed: {sent}");
    }
}

/// The server neither sees a filter on a masked column nor sends a redacted value.
#[tokio::test(flavor = "multi_thread")]
async fn raw_values_are_not_compared_or_sent_for_nothing() {
    let pg = pg();
    pg.server
        .sql("CREATE TABLE p AS SELECT 1 AS id, '078-05-1120'::text AS ssn, 'Ada'::text AS name, 'eu'::text AS region");
    let mut table = pg.governed("p", &[("ssn", token()), ("name", redact())]).await;
    table.row_filter = Some("region = 'eu' AND name = 'Ada'".to_owned());
    let shown = pg
        .csv(sql("SELECT id FROM p WHERE ssn = '219-09-9999' AND id = 1"), vec![table.clone()])
        .await
        .unwrap();
    assert_eq!(shown, "id\n");
    table.row_filter = None;
    let shown = pg.csv(slice("p", None, None, None, None), vec![table]).await.unwrap();
    assert!(
        shown.contains("tok_") && shown.contains("[redacted]") && !shown.contains("Ada") && !shown.contains("078-05"),
        "{shown}"
    );
    let log = pg.server.log();
    assert!(!log.contains("219-09-9999"));
    assert!(log.contains("CASE WHEN \"name\" IS NULL THEN NULL ELSE ''::pg_catalog.text END"));
    assert!(log.contains("\"name\" OPERATOR(pg_catalog.=) 'Ada'::pg_catalog.text"));
    let mut copies = log.lines().filter(|line| line.contains("COPY"));
    assert!(
        copies.clone().count() > 1 && copies.all(|line| line.contains("test|")),
        "application_name is the order's tag: {log}"
    );
}

/// Read in parts by several sessions, a table is whole, in order, and of one moment, as is a join.
#[tokio::test(flavor = "multi_thread")]
async fn parts_and_joins_share_one_snapshot() {
    let pg = pg();
    pg.server
        .sql("CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 6) AS filler FROM generate_series(1, 250000) i");
    pg.server.sql("ANALYZE big");
    let table = pg.governed("big", &[]).await;
    let plan = pg
        .engine
        .plan(&order(slice("big", None, None, None, None), vec![table.clone()], Format::Csv))
        .await
        .unwrap();
    assert_eq!(plan.rows_estimated, Some(250_000));
    let mut frames = pg
        .engine
        .open(order(
            slice("big", Some(&["id"]), None, None, None),
            vec![table.clone()],
            Format::Csv,
        ))
        .await
        .unwrap();
    let mut bytes = frames.stream.next().await.unwrap().unwrap().bytes.to_vec();
    pg.server.sql("DELETE FROM big WHERE id % 2 = 0");
    while let Some(frame) = frames.stream.next().await {
        bytes.extend_from_slice(&frame.unwrap().bytes);
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.lines().skip(1).map(|l| l.parse::<u32>().unwrap()).eq(1..=250_000));
    assert!(pg.server.log().contains("SET TRANSACTION SNAPSHOT"));
    let joined = sql("SELECT count(*) AS n FROM big a JOIN big b ON a.id = b.id + 1");
    assert_eq!(pg.csv(joined, vec![table]).await.unwrap(), "n\n0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_ends_the_statement() {
    let pg = pg();
    pg.server
        .sql("CREATE VIEW slow AS SELECT i AS id, pg_sleep(0.001) IS NULL AS s FROM generate_series(1, 10000000) i");
    let table = pg.governed("slow", &[]).await;
    let mut order = order(slice("slow", None, None, None, None), vec![table.clone()], Format::Csv);
    order.tag = "leaver".to_owned();
    let running = || {
        pg.server
            .sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leaver' AND state = 'active'")
    };
    let frames = pg.engine.open(order.clone()).await.unwrap();
    wait_for(|| running() == "1\n").await;
    drop(frames);
    wait_for(|| running() == "0\n").await;
    order.budget.duration_s = 1;
    let mut frames = pg.engine.open(order).await.unwrap();
    assert_eq!(frames.stream.next().await.unwrap().unwrap_err().kind, ScanErrorKind::Limit);
    wait_for(|| running() == "0\n").await;
}

async fn wait_for(mut done: impl FnMut() -> bool) {
    for _ in 0..100 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come to be");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_stays_with_the_operator() {
    let pg = pg();
    pg.server.sql("CREATE TABLE secret_place (id int); CREATE VIEW broken AS SELECT 1 / (id - 1) AS x, id FROM (VALUES (1)) AS v(id); CREATE SCHEMA hidden");
    let describe = async |engine: &Engine, target: PostgresTarget, table: &str| {
        let source = Source::Postgres {
            target: Arc::new(target),
            schema: "public".to_owned(),
            table: table.to_owned(),
        };
        engine
            .describe(&Table {
                dataset: "d".to_owned(),
                connection: "pg".to_owned(),
                source,
            })
            .await
    };
    let kind = |result: Result<Vec<SourceColumn>, ScanError>, never: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Source, "{error:?}");
        assert!(!error.public.contains(never), "{}", error.public);
        error
    };
    kind(describe(&pg.engine, pg.target(), "nowhere").await, "nowhere");
    kind(
        describe(
            &pg.engine,
            PostgresTarget {
                ca_file: Some(pg.server.path("other.crt")),
                ..pg.target()
            },
            "secret_place",
        )
        .await,
        "certificate",
    );
    kind(
        describe(
            &pg.engine,
            PostgresTarget {
                ca_file: Some(pg.server.path("none.crt")),
                ..pg.target()
            },
            "secret_place",
        )
        .await,
        "none.crt",
    );
    kind(
        describe(
            &pg.engine,
            PostgresTarget {
                plaintext: true,
                ..pg.target()
            },
            "secret_place",
        )
        .await,
        "pg_hba",
    );
    kind(
        describe(&pg.engine, PostgresTarget { port: 1, ..pg.target() }, "secret_place").await,
        "os error",
    );
    let wrong = Engine::new(
        Arc::new(Password("wrong")),
        &Settings {
            threads: 1,
            ..Settings::default()
        },
    )
    .unwrap();
    let error = kind(describe(&wrong, pg.target(), "secret_place").await, "wrong");
    assert!(error.public.contains("credential"), "{}", error.public);
    let table = pg.governed("broken", &[]).await;
    let error = pg.csv(slice("broken", None, None, None, None), vec![table]).await.unwrap_err();
    assert_eq!(error.kind, ScanErrorKind::Source);
    assert!(!error.public.contains("division") && error.operator.unwrap().contains("SQLSTATE 22012"));
}

/// A server that accepts a connection and then says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_given_up() {
    let engine = Engine::new(Arc::new(Password(PASSWORD)), &Settings::default()).unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = PostgresTarget {
        connection: "pg".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
        database: "postgres".to_owned(),
        user: "reader".to_owned(),
        ca_file: None,
        plaintext: true,
        statement_timeout_s: 30,
    };
    let source = Source::Postgres {
        target: Arc::new(target),
        schema: "public".to_owned(),
        table: "t".to_owned(),
    };
    let table = Table {
        dataset: "t".to_owned(),
        connection: "pg".to_owned(),
        source,
    };
    let described = tokio::time::timeout(Duration::from_secs(20), engine.describe(&table))
        .await
        .unwrap();
    assert_eq!(described.unwrap_err().kind, ScanErrorKind::Source);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_not_flooded_with_sessions() {
    let pg = pg();
    pg.server
        .sql("CREATE VIEW slow AS SELECT i AS id, pg_sleep(0.01) IS NULL AS s FROM generate_series(1, 1000000) i");
    let table = pg.governed("slow", &[]).await;
    let open = || {
        pg.engine
            .open(order(slice("slow", None, None, None, None), vec![table.clone()], Format::Csv))
    };
    let opened = futures::future::join_all((0..20).map(|_| open())).await;
    let (frames, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
    assert_eq!((frames.len(), refused.len()), (16, 4));
    let count = || pg.server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'");
    assert_eq!(count(), "16\n");
    for error in refused {
        let error = error.err().unwrap();
        assert_eq!(error.kind, ScanErrorKind::Source);
        assert!(error.public.contains("try again"), "{}", error.public);
    }
    drop(frames);
    open().await.unwrap();
}

/// Signing in is not paid twice, and nothing that an order did to its session is there for the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_used_again_and_nothing_is_left_in_it() {
    let pg = pg();
    pg.server.sql(
        "CREATE VIEW leaves AS SELECT set_config('app.who', 'ada', false) AS who, pg_try_advisory_lock(42) AS locked, pg_backend_pid() AS pid;
         CREATE VIEW finds AS SELECT coalesce(current_setting('app.who', true), '') AS who,
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks, current_setting('application_name') AS name, pg_backend_pid() AS pid",
    );
    let idle = || {
        pg.server.sql(
            "SELECT count(*), string_agg(DISTINCT application_name, ',') FROM pg_stat_activity WHERE usename = 'reader' AND state = 'idle'",
        )
    };
    let all = |name: &str| slice(name, None, None, None, None);
    let leaves = pg.governed("leaves", &[]).await;
    wait_for(|| idle() == "1|chunk-broker\n").await;
    let finds = pg.governed("finds", &[]).await;
    wait_for(|| idle() == "1|chunk-broker\n").await;
    let left = pg.csv(all("leaves"), vec![leaves]).await.unwrap();
    let pid = left.trim().rsplit(',').next().unwrap().to_owned();
    assert_eq!(left, format!("who,locked,pid\nada,true,{pid}\n"));
    wait_for(|| idle() == "1|chunk-broker\n").await;
    let found = pg.csv(all("finds"), vec![finds.clone()]).await.unwrap();
    assert_eq!(found, format!("who,locks,name,pid\n\"\",0,test,{pid}\n"));
    // One that died in the meantime is not noticed by whoever asks next.
    wait_for(|| idle() == "1|chunk-broker\n").await;
    pg.server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'");
    let found = pg.csv(all("finds"), vec![finds]).await.unwrap();
    assert!(
        found.starts_with("who,locks,name,pid\n\"\",0,test,") && !found.contains(&pid),
        "{found}"
    );
    // And none stays for ever.
    wait_for(|| idle() == "0|\n").await;
}
