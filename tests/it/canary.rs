//! Canaries: values that stand in three classified columns of a million rows. After every way of asking for them, none may
//! stand in a file, an answer, the log, a metric, or anything the broker keeps.

use std::path::Path;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chunk_wire::fetch::{Format, PlanAnswer, Query, RequestView};

use crate::support::api::{select, slice};
use crate::support::data::delivered;
use crate::support::servers::Postgres;
use crate::support::{Api, Setup, World};

/// A raw value of a classified column begins with one of these; no mask leaves so much.
const CANARIES: [&str; 4] = ["CANARYSSN", "canarymail", "Canaryname", "canarynote"];

#[track_caller]
fn assert_no_canary(what: &str, bytes: &[u8]) {
    static SEARCH: LazyLock<(AhoCorasick, Vec<String>)> = LazyLock::new(|| {
        let forms: Vec<(String, Vec<u8>)> = CANARIES.iter().flat_map(|canary| forms(canary)).collect();
        let (names, needles): (Vec<String>, Vec<Vec<u8>>) = forms.into_iter().unzip();
        (AhoCorasick::new(needles).unwrap(), names)
    });
    let (search, names) = &*SEARCH;
    if let Some(found) = search.find(bytes) {
        let near = &bytes[found.start().saturating_sub(40)..(found.end() + 60).min(bytes.len())];
        panic!(
            "{what} holds a raw value ({}): …{}…",
            names[found.pattern().as_usize()],
            String::from_utf8_lossy(near)
        );
    }
}

/// The ways in which a value could lie about in a file or on disk.
fn forms(canary: &str) -> Vec<(String, Vec<u8>)> {
    let reversed: String = canary.chars().rev().collect();
    let utf16: Vec<u8> = canary.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut forms = vec![
        ("as it is", canary.as_bytes().to_vec()),
        ("in upper case", canary.to_uppercase().into_bytes()),
        ("in lower case", canary.to_lowercase().into_bytes()),
        ("reversed", reversed.into_bytes()),
        ("in hex", hex::encode(canary).into_bytes()),
        ("in UTF-16", utf16),
    ];
    // How base 64 spells a text depends on where in a group of three bytes it begins; what is sure of each spelling is kept.
    for (skip, name) in [(0, "in base 64"), (1, "in base 64, one further"), (2, "in base 64, two further")] {
        let spelt = STANDARD_NO_PAD.encode([&b"xx"[..skip], canary.as_bytes()].concat());
        let sure = (canary.len() + skip) / 3 * 4;
        forms.push((name, spelt.as_bytes()[if skip == 0 { 0 } else { 4 }..sure].to_vec()));
    }
    forms.into_iter().map(|(name, bytes)| (format!("{canary} {name}"), bytes)).collect()
}

#[test]
fn the_search_finds_every_form() {
    for (name, bytes) in forms(CANARIES[0]) {
        let found = std::panic::catch_unwind(|| assert_no_canary("a text", &[b"before ".as_slice(), &bytes, b" after"].concat())).is_err();
        assert!(found, "{name} is not found");
    }
    for before in ["", "a", "ab", "abc"] {
        let text = STANDARD_NO_PAD.encode(format!("{before}CANARYSSN0123456789"));
        assert!(
            std::panic::catch_unwind(|| assert_no_canary("a text", text.as_bytes())).is_err(),
            "{text}"
        );
    }
    assert_no_canary("a text", b"*********************************1f2e, tok_k3j4h5, [redacted], [email]");
}

fn assert_no_canary_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_canary_below(&path);
        } else {
            assert_no_canary(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

/// Asks, has it approved, fetches.
#[track_caller]
fn deliver(dana: &Api, rita: &Api, query: &Query, format: Format) -> String {
    let request = dana.request(query, format);
    rita.approve(&request);
    let answer = dana.fetch(&request);
    assert!(answer.status == 200 && answer.complete, "{query:?}: {}", answer.text());
    assert_no_canary(&format!("the answer to {query:?} as {}", format.as_str()), &answer.body);
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn no_raw_value_of_a_million_rows_stands_anywhere() {
    // With everything logged that the broker and its libraries can log.
    let mut setup = Setup::standard();
    setup.environment.push(("CHUNK_BROKER_LOG".into(), "trace".into()));
    let world = World::with(setup);
    let (dana, rita, anna) = (world.api("dana"), world.api("rita"), world.api("anna"));

    // The whole table, in every format, as chunkctl writes it.
    let person = world.signed_in("dana");
    for format in ["parquet", "csv", "ndjson", "arrow"] {
        let name = format!("people.{format}");
        let pending = person
            .run(&[
                "fetch",
                "people",
                "--format",
                format,
                "--reason",
                "a test asks",
                "--no-wait",
                "-o",
                &name,
            ])
            .exits(5);
        let all = pending.all();
        let id = &all[all.find("req_").unwrap()..][..20];
        let request: RequestView = rita.get(&format!("/v1/requests/{id}")).json();
        rita.approve(&request);
        person.run(&["fetch", "--request", id, "-o", &name]).exits(0);
        let bytes = delivered(&person.dir().join(&name));
        assert!(bytes.len() > 1_000_000, "{name} holds only {} bytes", bytes.len());
        assert_no_canary(&name, &bytes);
        if format == "csv" {
            assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1_000_001);
        }
    }

    // Plans, descriptions, errors about values.
    for query in [
        slice("people", None, None),
        select("select ssn, email, full_name, notes from people"),
        select("select cast(ssn as bigint) from people"),
    ] {
        assert_no_canary("a plan", &dana.plan(&query, Format::Csv, "a test asks").body);
    }
    assert_no_canary("a description", &dana.get("/v1/datasets/people").body);
    // A cast that fails on every value: the error may not quote one.
    for text in [
        "select cast(ssn as bigint) from people limit 10",
        "select cast(email as date) from people limit 10",
        "select 1 / (id - id) from people limit 10",
    ] {
        let plan = dana.plan(&select(text), Format::Csv, "a test asks");
        assert_no_canary(text, &plan.body);
        if plan.status == 200 {
            let plan: PlanAnswer = plan.json();
            let request: RequestView = dana.submit(&plan).json();
            rita.approve(&request);
            let answer = dana.fetch(&request);
            assert_no_canary(text, &answer.body);
            assert_no_canary(text, &dana.get(&format!("/v1/requests/{}", request.id)).body);
        }
    }

    // Everything the broker shows to others, and keeps.
    for path in ["/metrics", "/healthz", "/readyz", "/v1/info", "/openapi.json", "/checkpoint"] {
        assert_no_canary(path, &dana.raw("GET", path, None, &[]).body);
    }
    for entry in anna.entries() {
        assert_no_canary(
            "a log entry",
            serde_json::to_string(&(entry.header, entry.body, entry.summary))
                .unwrap()
                .as_bytes(),
        );
    }
    let log = std::fs::read(world.log()).unwrap();
    assert!(
        log.windows(7).any(|word| word == b"\"TRACE\""),
        "the broker does not log all it could"
    );
    assert_no_canary("the broker's log", &log);
    assert_no_canary_below(&world.broker_dir());
    assert_no_canary_below(&person.home);
}

#[test]
fn expressions_over_masked_columns_see_masked_values_only() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let run = |text: &str| deliver(&dana, &rita, &select(text), Format::Csv);
    let postgres = Postgres::get();
    let raw = postgres.sql("select ssn from people where id = 7").trim().to_owned();
    let last4 = &raw[raw.len() - 4..];
    let masked = format!("{}{last4}", "*".repeat(raw.len() - 4));

    assert_eq!(run("select ssn from people where id = 7").lines().nth(1), Some(masked.as_str()));
    let backwards: String = masked.chars().rev().collect();
    assert_eq!(
        run("select reverse(ssn) from people where id = 7").lines().nth(1),
        Some(backwards.as_str())
    );
    for text in [
        "select reverse(ssn) from people where id <= 50",
        "select ssn || '' from people where id <= 50",
        "select concat(ssn, email, full_name) from people where id <= 50",
        "select upper(ssn), lower(email), substr(full_name, 1, 8) from people where id <= 50",
        "select replace(ssn, '*', '') from people where id <= 50",
        "select cast(ssn as varchar) from people where id <= 50",
        "select case when ssn like 'C%' then ssn else email end from people where id <= 50",
        "select coalesce(ssn, email) from people where id <= 50",
        "select ssn as city, city as ssn from people where id <= 50",
        "select * from (select ssn as x from people where id <= 50) t",
        "with t as (select id, email as x from people) select x from t where id <= 50",
        "select ssn from people where id <= 50 union all select email from people where id <= 50",
        "select max(ssn), min(ssn), max(email), min(full_name) from people",
        "select ssn, count(*) from people group by ssn order by 2 desc limit 20",
        "select first_value(ssn) over (partition by city order by id) from people where id <= 50",
        "select p.ssn, o.ssn as theirs from people p join orders o on o.ssn = p.ssn where p.id <= 20 limit 20",
        "select notes from people where id <= 50",
    ] {
        run(text);
    }
}

#[test]
fn filters_orders_joins_and_counts_reveal_nothing_about_raw_values() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let run = |text: &str| deliver(&dana, &rita, &select(text), Format::Csv);
    let rows = |text: &str| run(text).lines().count() - 1;
    let one = |text: &str| run(text).lines().nth(1).unwrap().to_owned();
    let postgres = Postgres::get();
    let raw = |sql: &str| postgres.sql(sql).trim().to_owned();

    // Each of these succeeds against the raw table, and finds nothing through the broker.
    let ssn = raw("select ssn from people where id = 7");
    let email = raw("select email from people where id = 7");
    let name = raw("select full_name from people where id = 7");
    for condition in [
        format!("ssn = '{ssn}'"),
        format!("email = '{email}'"),
        format!("full_name = '{name}'"),
        format!("ssn in ('{ssn}', 'x')"),
        format!("ssn between '{ssn}' and '{ssn}'"),
        format!("ssn like '{}%'", &ssn[..12]),
        format!("email like '{}%'", &email[..14]),
        format!("reverse(ssn) = '{}'", ssn.chars().rev().collect::<String>()),
        format!("ssn || '' = '{ssn}'"),
        format!("upper(ssn) = upper('{ssn}')"),
        format!("not (ssn <> '{ssn}')"),
        format!("starts_with(full_name, '{}')", &name[..12]),
        format!("id in (select id from people where ssn = '{ssn}')"),
        format!("exists (select 1 from people q where q.id = people.id and q.email = '{email}')"),
        format!("case when ssn = '{ssn}' then true else false end"),
    ] {
        let through_postgres: u64 = raw(&format!("select count(*) from people where {condition}")).parse().unwrap();
        assert!(through_postgres > 0, "the attack does not work at the source: {condition}");
        assert_eq!(rows(&format!("select id from people where {condition}")), 0, "{condition}");
        let sliced = deliver(&dana, &rita, &slice_where(&condition), Format::Csv);
        assert_eq!(sliced.lines().count(), 1, "{condition} as a slice");
    }
    // Counting: a count under a condition on the raw value would be a bisection.
    assert_eq!(
        one(&format!("select count(*) from people where ssn < '{ssn}' and ssn >= 'CANARY'")),
        "0"
    );
    assert_eq!(one("select count(*) from people where full_name like 'Canary%'"), "0");
    // A masked value is what a condition sees.
    let masked = one("select ssn from people where id = 7");
    let matching = rows(&format!("select id from people where ssn = '{masked}'"));
    let expected: usize = raw(&format!(
        "select count(*) from people where right(ssn, 4) = '{}'",
        &ssn[ssn.len() - 4..]
    ))
    .parse()
    .unwrap();
    assert_eq!(matching, expected);
    // Order: by what is seen, never by what is behind it. All names look alike, so their order says nothing.
    let ordered = run("select id, full_name from people where id <= 1000 order by full_name, id");
    let ids: Vec<u64> = ordered
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(ids.is_sorted(), "rows came in the order of the raw names");
    let seen: Vec<String> = run("select ssn from people where id <= 1000 order by ssn")
        .lines()
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert!(seen.is_sorted(), "rows came in another order than the masked one");
    let top = run("select id, ssn from people order by ssn desc limit 5");
    assert!(
        top.lines().skip(1).all(|line| line.ends_with("ffff")),
        "the top five by the masked value end in ffff: {top}"
    );
    // Groups: one for each masked value.
    assert_eq!(one("select count(distinct full_name) from people"), "1");
    assert_eq!(
        one("select count(distinct email) from people"),
        "1000000",
        "tokens keep distinct what was distinct"
    );
    let expected = raw("select count(distinct right(ssn, 4)) from people");
    assert_eq!(one("select count(distinct ssn) from people"), expected);
    // Joins: on what is seen.
    let expected = raw("select count(*) from people p join orders o on right(o.ssn, 4) = right(p.ssn, 4) where p.id <= 100");
    assert_eq!(
        one("select count(*) from people p join orders o on o.ssn = p.ssn where p.id <= 100"),
        expected
    );
}

fn slice_where(condition: &str) -> Query {
    // A slice names one dataset, so a subquery has no place there.
    let condition = if condition.contains("select") {
        "ssn = 'CANARYSSN'"
    } else {
        condition
    };
    slice("people", Some(condition), None)
}

#[test]
fn only_conditions_on_open_columns_reach_the_source() {
    let world = World::new();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let postgres = Postgres::get();
    let mark = format!("x{}", hex::encode(crate::support::random::<6>()));
    // The literal is looked for in PostgreSQL's own statement log.
    for column in ["ssn", "email", "full_name", "notes"] {
        deliver(
            &dana,
            &rita,
            &select(&format!("select id from people where {column} = '{mark}{column}' limit 1")),
            Format::Csv,
        );
        deliver(
            &dana,
            &rita,
            &slice("people", Some(&format!("{column} = '{mark}{column}'")), Some(1)),
            Format::Csv,
        );
        assert_eq!(
            postgres.statements_with(&format!("{mark}{column}")),
            0,
            "a condition on {column} was sent to the source"
        );
    }
}
