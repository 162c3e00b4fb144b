//! What policy permits, and what is not even said to exist.

use chunk_wire::catalog::DatasetSummary;
use chunk_wire::fetch::{Format, Params, PlanAnswer, Query};

use crate::support::api::{select, slice};
use crate::support::oracle::Checkpoint;
use crate::support::servers::Postgres;
use crate::support::{Answer, Api, Setup, World};

const DEVELOPERS: &str =
    r#"@id("developers-ask") permit (principal in Group::"developers", action in [Action::"describe", Action::"fetch"], resource);"#;

fn with_policies(cedar: &str) -> World {
    let mut setup = Setup::standard();
    setup.policies = cedar.to_owned();
    World::with(setup)
}

fn plan(api: &Api, query: &Query) -> Answer {
    api.plan(query, Format::Csv, "a test asks")
}

/// The policies named in a refusal, whether the plan answers "deny" or the call is refused.
#[track_caller]
fn denied_by(answer: &Answer) -> Vec<String> {
    if answer.status == 200 {
        let plan: PlanAnswer = answer.json();
        assert!(plan.document.is_none(), "a denied plan carries a document to sign");
        return plan.policies;
    }
    let problem = answer.problem();
    assert_eq!((problem.status, problem.code.as_str()), (403, "denied"), "{}", answer.text());
    problem.policies
}

#[test]
fn nothing_is_allowed_that_no_policy_permits() {
    let world = with_policies(r#"@id("someone-else") permit (principal in Group::"nobody-is-in-this", action, resource);"#);
    let dana = world.api("dana");
    assert_eq!(dana.get("/v1/datasets").json::<Vec<DatasetSummary>>().len(), 0);
    assert_eq!(dana.get("/v1/datasets/people").status, 404);
    assert_eq!(plan(&dana, &slice("people", None, None)).status, 404);
    assert_eq!(plan(&dana, &select("select * from people")).status, 404);
    assert_eq!(dana.get("/v1/audit/entries").status, 403);
}

#[test]
fn what_one_may_know_but_not_fetch_is_denied_with_the_policy_named() {
    let world = with_policies(&format!(
        r#"{DEVELOPERS}
        @id("orders-are-closed") forbid (principal, action == Action::"fetch", resource == Dataset::"orders");"#
    ));
    let dana = world.api("dana");
    assert_eq!(dana.get("/v1/datasets/orders").status, 200);
    for query in [
        slice("orders", None, Some(1)),
        select("select order_id from orders"),
        select("select p.id from people p join orders o on o.person_id = p.id"),
    ] {
        assert_eq!(denied_by(&plan(&dana, &query)), ["orders-are-closed"], "{query:?}");
    }
    assert!(plan(&dana, &slice("people", None, Some(1))).json::<PlanAnswer>().document.is_some());
    let person = world.signed_in("dana");
    let output = person
        .run(&["fetch", "orders", "--limit", "1", "--reason", "a test asks", "--no-wait"])
        .exits(1);
    assert!(output.stderr.contains("orders-are-closed"), "{}", output.stderr);
}

#[test]
fn an_unknown_dataset_and_one_that_is_not_yours_get_the_same_answer() {
    let world = World::new();
    let dana = world.api("dana");
    // Everything that a refusal says, with the name and the id of the HTTP request taken out.
    let told = |answer: Answer, name: &str| {
        let mut problem = answer.problem();
        problem.request_id = None;
        (
            answer.status,
            serde_json::to_string(&problem).unwrap().replace(name, "NAME"),
            answer.headers.len(),
        )
    };
    let pairs = |ask: &dyn Fn(&str) -> Answer| {
        let (unknown, hidden) = (told(ask("nonesuch"), "nonesuch"), told(ask("hidden"), "hidden"));
        assert_eq!(unknown, hidden);
        assert_eq!(unknown.0, 404);
    };
    pairs(&|name| dana.get(&format!("/v1/datasets/{name}")));
    pairs(&|name| plan(&dana, &slice(name, None, None)));
    pairs(&|name| plan(&dana, &slice(name, Some("no_such_column > 1"), None)));
    pairs(&|name| plan(&dana, &select(&format!("select * from {name}"))));
    pairs(&|name| plan(&dana, &select(&format!("select no_such_column from {name}"))));
    pairs(&|name| plan(&dana, &select(&format!("select p.id from people p join {name} h on h.id = p.id"))));
    pairs(&|name| {
        plan(
            &dana,
            &select(&format!("select id from people where id in (select id from {name})")),
        )
    });
    let names: Vec<String> = dana
        .get("/v1/datasets")
        .json::<Vec<DatasetSummary>>()
        .into_iter()
        .map(|dataset| dataset.name)
        .collect();
    assert!(
        names.contains(&"people".to_owned()) && !names.contains(&"hidden".to_owned()),
        "{names:?}"
    );
    // "Did you mean" speaks only of what one may see.
    for near in ["hiden", "hidde", "hiddens"] {
        let answer = dana.get(&format!("/v1/datasets/{near}"));
        assert!(!answer.text().replace(near, "").contains("hidden"), "{}", answer.text());
    }
    let person = world.signed_in("dana");
    for name in ["hidden", "nonesuch"] {
        person.run(&["describe", name]).exits(1);
        person.run(&["plan", name]).exits(1);
    }
}

#[test]
fn a_forbidden_function_is_refused_with_the_policy_named() {
    let world = World::with(Setup::standard().policy(
        r#"@id("no-pattern-matching") forbid (principal, action == Action::"fetch", resource) when { context.functions.containsAny(["regexp_like", "regexp_replace", "strpos"]) };"#,
    ));
    let dana = world.api("dana");
    for query in [
        select("select regexp_replace(city, 'a', 'b') from people"),
        select("select id from people where regexp_like(city, '^O')"),
        select("select id from people order by strpos(city, 'a')"),
        select("select REGEXP_REPLACE(city, 'a', 'b') as x from (select city from people) t"),
        select("with t as (select strpos(city, 'a') as n from people) select count(*) from t where n > 1"),
        slice("people", Some("regexp_like(city, '^O')"), None),
    ] {
        assert_eq!(denied_by(&plan(&dana, &query)), ["no-pattern-matching"], "{query:?}");
    }
    assert!(
        plan(&dana, &select("select upper(city) from people"))
            .json::<PlanAnswer>()
            .document
            .is_some()
    );
}

#[test]
fn policies_see_the_columns_the_rows_and_the_kind_of_statement() {
    let world = World::with(Setup::standard().policy(
        r#"
        @id("no-birthdays") forbid (principal, action == Action::"fetch", resource) when { context.columns.contains("people.birthday") };
        @id("not-too-much") forbid (principal, action == Action::"fetch", resource) when { context.rows_estimated > 100000 };
        @id("no-sql-on-orders") forbid (principal, action == Action::"fetch", resource == Dataset::"orders") when { context.statement == "select" };
        @id("ticket-for-parquet") forbid (principal, action == Action::"fetch", resource) when { context.format == "parquet" && context.ticket == "" };
        "#,
    ));
    let dana = world.api("dana");
    let few = |columns: &[&str]| Query::Slice {
        dataset: "people".into(),
        columns: Some(columns.iter().map(|&column| column.to_owned()).collect()),
        filter: None,
        order_by: None,
        limit: Some(10),
        params: Params::new(),
    };
    assert!(plan(&dana, &few(&["id", "city"])).json::<PlanAnswer>().document.is_some());
    assert_eq!(denied_by(&plan(&dana, &few(&["id", "birthday"]))), ["no-birthdays"]);
    assert_eq!(
        denied_by(&plan(
            &dana,
            &select("select id from people where birthday > date '1990-01-01' limit 5")
        )),
        ["no-birthdays"]
    );
    let everything = Query::Slice {
        dataset: "people".into(),
        columns: Some(vec!["id".into()]),
        filter: None,
        order_by: None,
        limit: None,
        params: Params::new(),
    };
    assert_eq!(denied_by(&plan(&dana, &everything)), ["not-too-much"]);
    assert_eq!(
        denied_by(&plan(&dana, &select("select order_id from orders limit 5"))),
        ["no-sql-on-orders"]
    );
    assert!(plan(&dana, &slice("orders", None, Some(5))).json::<PlanAnswer>().document.is_some());
    assert_eq!(
        denied_by(&dana.plan(&few(&["id"]), Format::Parquet, "a test asks")),
        ["ticket-for-parquet"]
    );
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let world = World::with(Setup::standard().policy(
        r#"@id("overflows") forbid (principal, action == Action::"fetch", resource == Dataset::"small") when { context.now_ms * 9223372036854775807 > 0 };"#,
    ));
    let dana = world.api("dana");
    let answer = plan(&dana, &slice("small", None, Some(1)));
    if answer.status == 200 {
        let plan: PlanAnswer = answer.json();
        assert!(
            plan.document.is_none(),
            "a policy that failed to evaluate let a fetch through: {plan:?}"
        );
    } else {
        assert_eq!((answer.status, answer.code().as_str()), (403, "policy_fault"));
    }
    assert!(plan(&dana, &slice("people", None, Some(1))).json::<PlanAnswer>().document.is_some());
}

#[test]
fn nothing_but_one_select_is_accepted() {
    let world = World::new();
    let dana = world.api("dana");
    let before = Postgres::get().sql("select count(*) from small");
    for statement in [
        "insert into small values (5000, 'x', 1)",
        "update small set label = 'x'",
        "delete from small",
        "truncate small",
        "drop table small",
        "create table t as select * from small",
        "create view v as select 1",
        "alter table small add column x int",
        "copy small to '/tmp/x'",
        "copy (select * from small) to '/tmp/x.csv' stored as csv",
        "create external table t stored as csv location '/etc/passwd'",
        "select * into t from small",
        "select 1; select 2",
        "select id from small; drop table small",
        "begin",
        "set datafusion.execution.batch_size = 1",
        "show tables",
        "explain select * from small",
        "explain analyze select * from small",
        "describe small",
        "grant select on small to public",
        "prepare p as select 1",
        "call f()",
        "with x as (delete from small returning *) select * from x",
        "values (1)",
        "select 1",
        "select * from information_schema.tables",
        "select * from pg_catalog.pg_class",
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "",
        ";",
        "this is not sql",
    ] {
        let answer = plan(&dana, &select(statement));
        assert!(
            matches!(answer.status, 400 | 403 | 404),
            "{statement}: {} {}",
            answer.status,
            answer.text()
        );
        let problem = answer.problem();
        assert!(
            ["statement_refused", "invalid_sql", "not_found", "invalid_request"].contains(&problem.code.as_str()),
            "{statement}: {problem:?}"
        );
    }
    for filter in [
        "1 = 1; drop table small",
        "id = (select max(id) from people)",
        "true) union select * from people --",
        "pg_sleep(10) is null",
    ] {
        let answer = plan(&dana, &slice("small", Some(filter), None));
        assert!(
            matches!(answer.status, 400 | 403 | 404),
            "{filter}: {} {}",
            answer.status,
            answer.text()
        );
    }
    assert_eq!(Postgres::get().sql("select count(*) from small"), before);
    let person = world.signed_in("dana");
    person
        .run(&["fetch", "--sql", "delete from small", "--reason", "a test asks", "--no-wait"])
        .exits(1);
    let output = person.run(&["plan", "--sql", "select nothing from\nnowhere where"]);
    assert!(matches!(output.code, 1 | 3), "{}", output.all());
}

#[test]
fn sql_that_does_not_parse_says_where() {
    let world = World::new();
    let problem = plan(&world.api("dana"), &select("select id\nfrom small\nwhere id >> > 4")).problem();
    assert_eq!(problem.code, "invalid_sql");
    assert_eq!(problem.position.expect("a position").line, 3);
    world
        .signed_in("dana")
        .run(&["plan", "--sql", "select id from small where"])
        .exits(3);
}

#[test]
fn denials_and_refused_statements_are_recorded() {
    let world = World::with(
        Setup::standard()
            .policy(r#"@id("orders-are-closed") forbid (principal, action == Action::"fetch", resource == Dataset::"orders");"#),
    );
    let dana = world.api("dana");
    let before = Checkpoint::of(&dana).size;
    plan(&dana, &slice("orders", None, Some(1)));
    plan(&dana, &select("delete from small"));
    let after = Checkpoint::of(&dana).size;
    assert!(after > before, "neither a denial nor a refused statement left an entry");
}

/// Delivers as CSV under a policy that asks for no approval.
#[track_caller]
fn rows(api: &Api, text: &str) -> Vec<String> {
    let request = api.request(&select(text), Format::Csv);
    let answer = api.fetch(&request);
    assert!(answer.status == 200 && answer.complete, "{text}: {}", answer.text());
    answer.text().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_row_filter_hides_rows_from_everything_but_those_who_may_see_them() {
    let mut setup = Setup::standard()
        .policy(r#"@id("no-review") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource);"#)
        .policy(r#"@id("sam-sees-all") permit (principal in Group::"reviewers", action == Action::"unfiltered", resource == Dataset::"people");"#);
    // The filter speaks of a masked column as it really is.
    setup.datasets[0]
        .settings
        .push_str("\nrow_filter = \"city <> 'Oslo' and ssn like 'CANARYSSN%'\"");
    let world = World::with(setup);
    let (dana, sam) = (world.api("dana"), world.api("sam"));
    let count = |api: &Api, condition: &str| {
        rows(api, &format!("select count(*) from people where {condition}"))[0]
            .parse::<u64>()
            .unwrap()
    };
    let raw = |condition: &str| {
        Postgres::get()
            .sql(&format!("select count(*) from people where {condition}"))
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(count(&dana, "true"), raw("city <> 'Oslo'"));
    assert_eq!(count(&sam, "true"), 1_000_000);
    for condition in [
        "city = 'Oslo'",
        "city = 'Oslo' or true",
        "not (city <> 'Oslo')",
        "id in (1, 7, 13) and city = 'Oslo'",
    ] {
        let expected = raw(&format!("({condition}) and city <> 'Oslo'"));
        assert_eq!(count(&dana, condition), expected, "{condition}");
    }
    // Nor by way of a join, a set operation or an outer join.
    assert_eq!(
        rows(
            &dana,
            "select count(*) from orders o left join people p on p.id = o.person_id where p.id is not null and p.city = 'Oslo'"
        )[0],
        "0"
    );
    assert!(
        dana.get("/v1/datasets/people")
            .json::<chunk_wire::catalog::DatasetDetail>()
            .filtered
    );
    assert!(!sam.get("/v1/datasets/people").json::<chunk_wire::catalog::DatasetDetail>().filtered);
}

#[test]
fn a_class_is_revealed_to_those_whom_policy_names_and_to_nobody_else() {
    let world = World::with(
        Setup::standard()
            .policy(r#"@id("no-review") permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource);"#)
            .policy(r#"@id("sam-sees-ssn") permit (principal in Group::"reviewers", action == Action::"reveal", resource == Class::"pii.ssn");"#),
    );
    let (dana, sam) = (world.api("dana"), world.api("sam"));
    let raw = Postgres::get().sql("select ssn from people where id = 7").trim().to_owned();
    assert_eq!(rows(&sam, "select ssn from people where id = 7"), std::slice::from_ref(&raw));
    assert_eq!(rows(&sam, &format!("select id from people where ssn = '{raw}'")), ["7"]);
    // What is revealed is one class, not its neighbours in the row.
    let line = rows(&sam, "select ssn, email, full_name from people where id = 7").remove(0);
    assert!(
        line.starts_with(&raw) && line.contains("tok_") && line.ends_with("[redacted]"),
        "{line}"
    );
    assert_ne!(rows(&dana, "select ssn from people where id = 7"), std::slice::from_ref(&raw));
    assert!(rows(&dana, &format!("select id from people where ssn = '{raw}'")).is_empty());
    // The reviewer reads in the document that the column is revealed.
    let request = sam.request(&slice("people", None, Some(1)), Format::Csv);
    let document: serde_json::Value = serde_json::from_str(&request.document).unwrap();
    let of = |name: &str| {
        document["columns"]
            .as_array()
            .unwrap()
            .iter()
            .find(|column| column["name"] == name)
            .unwrap()["mask"]
            .clone()
    };
    assert_eq!(
        (of("ssn"), of("full_name")),
        (serde_json::json!("reveal"), serde_json::json!("redact"))
    );
}
