//! Notifications: whatever becomes of a request is told to whoever is to act on it, whatever happens to the broker or to the
//! receiver; no receiver costs anybody anything; and nothing leaves that was not to leave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chunk_wire::fetch::{Format, Params, PlanAnswer, PlanRequest, Query, RequestView};
use chunk_wire::review::Verdict;
use serde_json::{Value, json};

use crate::support::api::slice;
use crate::support::mail::{LOGIN, Mail};
use crate::support::receivers::{Mood, Receiver, certificates};
use crate::support::world::repository;
use crate::support::{Api, Setup, World, poll, random, servers};

/// Two secrets, as while one takes the other's place.
const SECRETS: [&str; 2] = [
    "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHMgb25l",
    "whsec_dGhpcyBpcyBhIHNlY3JldCBmb3IgdGVzdHMgdHdv",
];
/// What somebody types who wants to be taken for somebody else.
const HOSTILE: &str = "<!everyone> *now* <https://evil.example|approve> [approve](https://evil.example) `x` {{DATE(2026-01-01,SHORT)}}\u{202e}\u{1b}[2J\nBcc: eve@evil.example";

fn prepared() -> World {
    let mut setup = Setup::standard();
    for (name, value) in [("HOOK_ONE", SECRETS[0]), ("HOOK_TWO", SECRETS[1]), ("MAIL_PASSWORD", LOGIN.1)] {
        setup.environment.push((name.into(), value.into()));
    }
    let world = World::prepared(setup);
    certificates(&world.path().join("ca"));
    world
}

fn with_notifiers(world: &mut World, notifiers: &[String]) {
    world.setup_mut().more = notifiers.concat();
    world.write_config();
}

fn notifier(world: &World, name: &str, keys: &str) -> String {
    let ca = world.path().join("ca/ca.crt");
    format!("\n[[notify]]\nname = \"{name}\"\nca_file = {ca:?}\n{keys}\n")
}

fn webhook(world: &World, receiver: &Receiver, keys: &str) -> String {
    let keys = format!(
        "kind = \"webhook\"\nurl = \"https://localhost:{}/hook?key=secret-in-the-address\"\nsecrets = [{{ env = \"HOOK_ONE\" }}, {{ env = \"HOOK_TWO\" }}]\n{keys}",
        receiver.port
    );
    notifier(world, "hook", &keys)
}

/// Slack or Teams, whose address is a secret in a file.
fn chat(world: &World, kind: &str, receiver: &Receiver, keys: &str) -> String {
    let file = world.path().join(format!("{kind}-url"));
    let url = format!("https://localhost:{}/hook/secret-in-the-address\n", receiver.port);
    std::fs::write(&file, url).unwrap();
    notifier(
        world,
        kind,
        &format!("kind = \"{kind}\"\nsecret_url = {{ file = {file:?} }}\n{keys}"),
    )
}

fn email(world: &World, name: &str, url: &str, keys: &str) -> String {
    let keys = format!(
        "kind = \"email\"\nurl = \"{url}\"\nfrom = \"chunk-broker@mail.example\"\nusername = \"{}\"\npassword = {{ env = \"MAIL_PASSWORD\" }}\n{keys}",
        LOGIN.0
    );
    notifier(world, name, &keys)
}

fn metric(world: &World, name: &str, notifier: &str, kind: &str) -> u64 {
    let text = world.anonymous().raw("GET", "/metrics", None, &[]).text();
    let start = format!("chunk_broker_notifier_{name}{{notifier=\"{notifier}\",kind=\"{kind}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {start} in\n{text}")).parse().unwrap()
}

fn caught_up(world: &World, notifier: &str, kind: &str) {
    poll(
        &format!("notifier {notifier} to be told of everything"),
        Duration::from_secs(120),
        || (metric(world, "lag_entries", notifier, kind) == 0).then_some(()),
    );
}

fn ask(api: &Api, query: &Query, reason: &str) -> RequestView {
    let request = PlanRequest {
        query: query.clone(),
        format: Format::Csv,
        reason: reason.to_owned(),
        ticket: Some("OPS-1".to_owned()),
        break_glass: false,
        standing: None,
        window: None,
    };
    let plan: PlanAnswer = api.post("/v1/plans", &request).json();
    api.submit(&plan).json()
}

fn secret_slice() -> Query {
    Query::Slice {
        dataset: "people".into(),
        columns: None,
        filter: Some("full_name = 'Canary Literal'".into()),
        order_by: None,
        limit: Some(5),
        params: Params::new(),
    }
}

/// The notifications without those that came again, by id: each the same whenever it came.
fn distinct(receiver: &Receiver) -> BTreeMap<String, Value> {
    let mut distinct: BTreeMap<String, String> = BTreeMap::new();
    for (head, body) in receiver.notified() {
        let first = distinct.entry(head["webhook-id"].clone()).or_insert_with(|| body.clone());
        assert_eq!(*first, body, "{} came again as another", head["webhook-id"]);
    }
    distinct
        .into_iter()
        .map(|(id, body)| (id, serde_json::from_str(&body).unwrap()))
        .collect()
}

/// The requests that were told of on this occasion; each once.
fn told<'a>(notices: impl IntoIterator<Item = &'a Value>, occasion: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for notice in notices {
        if notice["type"] == occasion {
            let request = notice["data"]["request"].as_str().unwrap().to_owned();
            assert!(told.insert(request), "{notice} has two ids");
        }
    }
    told
}

/// Holds every signature against what Python makes of it.
#[track_caller]
fn assert_signed(world: &World, receiver: &Receiver) {
    let lines: Vec<String> = receiver
        .notified()
        .into_iter()
        .map(|(head, body)| {
            let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| &head[name]);
            json!({ "id": id, "timestamp": timestamp, "signature": signature, "body": body }).to_string()
        })
        .collect();
    let file = world.path().join("signed.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let python = PathBuf::from(servers::required("CHUNK_TEST_MAIL", "Python")).join("bin/python");
    let output = Command::new(python)
        .arg(repository().join("tests/exports/webhook.py"))
        .arg(&file)
        .args(SECRETS)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.trim() == format!("{} signed", lines.len()),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_broker_that_is_killed_again_and_again_tells_of_every_request() {
    let mut world = prepared();
    let receiver = Receiver::https(&world.path().join("ca"));
    let hook = webhook(&world, &receiver, "");
    with_notifiers(&mut world, &[hook]);
    world.start();
    let (asked, decided) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    for round in 0..5 {
        receiver.mood(match round {
            1 => Mood::Forgets,
            2 => Mood::Answers("503 Service Unavailable"),
            3 => Mood::Stalls,
            _ => Mood::Accepts,
        });
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (stop, asked, decided) = (&stop, &asked, &decided);
            let (dana, rita) = (world.api("dana"), world.api("rita"));
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // The broker dies in the middle of it; what it had answered by then counts.
                    let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let request = dana.request(&slice("people", None, Some(10)), Format::Csv);
                        asked.lock().unwrap().insert(request.id.to_string());
                        let verdict = if random::<1>()[0].is_multiple_of(2) {
                            Verdict::Approve
                        } else {
                            Verdict::Reject
                        };
                        rita.review(&request, verdict).json::<RequestView>();
                        decided.lock().unwrap().insert(request.id.to_string());
                    }));
                    if worked.is_err() {
                        return;
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(800 + u64::from(random::<1>()[0]) * 4));
            world.kill();
            stop.store(true, Ordering::Relaxed);
        });
        world.start();
    }
    receiver.mood(Mood::Accepts);
    caught_up(&world, "hook", "webhook");
    assert_eq!(world.stop(), 0);
    let notices = distinct(&receiver);
    let (asked, decided) = (asked.into_inner().unwrap(), decided.into_inner().unwrap());
    assert!(
        asked.len() > 10 && decided.len() > 10,
        "{} asked, {} decided",
        asked.len(),
        decided.len()
    );
    let (pending, of_decided) = (told(notices.values(), "request.pending"), told(notices.values(), "request.decided"));
    assert!(asked.is_subset(&pending), "not told of: {:?}", asked.difference(&pending));
    assert!(decided.is_subset(&of_decided), "not told of: {:?}", decided.difference(&of_decided));
    assert!(
        receiver.notified().len() > notices.len(),
        "what was taken and not said to be came again"
    );
    assert_signed(&world, &receiver);
    let said = world.log_text();
    assert!(
        !said.contains("secret-in-the-address") && !SECRETS.iter().any(|secret| said.contains(secret)),
        "{said}"
    );
}

#[test]
fn a_receiver_that_fails_stalls_or_is_gone_misses_nothing_and_holds_nobody_up() {
    let mut world = prepared();
    let mut receiver = Receiver::https(&world.path().join("ca"));
    let other = Receiver::https(&world.path().join("ca"));
    let notifiers = [webhook(&world, &receiver, "detail = \"full\""), chat(&world, "teams", &other, "")];
    with_notifiers(&mut world, &notifiers);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let mut asked = BTreeSet::new();
    let mut work = |dana: &Api, rita: &Api| {
        let began = Instant::now();
        let request = ask(dana, &secret_slice(), "a test asks");
        rita.approve(&request);
        asked.insert(request.id.to_string());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    };
    for mood in [
        Mood::Answers("500 Internal Server Error"),
        Mood::Answers("429 Too Many Requests\r\nretry-after: 2"),
        Mood::Answers("410 Gone"),
        Mood::Answers("307 Temporary Redirect\r\nlocation: https://localhost:1/hook"),
        Mood::Forgets,
        Mood::Stalls,
    ] {
        receiver.mood(mood);
        work(&dana, &rita);
        // The other notifier is as quick as ever.
        caught_up(&world, "teams", "teams");
        poll("the notifier to be behind", Duration::from_secs(30), || {
            (metric(&world, "lag_entries", "hook", "webhook") > 0).then_some(())
        });
        if mood != Mood::Stalls {
            receiver.tried(1);
            receiver.mood(Mood::Accepts);
            caught_up(&world, "hook", "webhook");
        }
    }
    // Stalled: the broker is as ready as before, and stops at once. Then nobody listens while it starts and works.
    assert_eq!(world.anonymous().raw("GET", "/readyz", None, &[]).status, 200);
    let began = Instant::now();
    assert_eq!(world.stop(), 0);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    receiver.mood(Mood::Accepts);
    receiver.die();
    world.start();
    work(&world.api("dana"), &world.api("rita"));
    poll("the receiver that is gone to be told", Duration::from_secs(20), || {
        world.log_text().contains("the notifier does not accept events").then_some(())
    });
    receiver.live();
    caught_up(&world, "hook", "webhook");
    let notices = distinct(&receiver);
    assert_eq!(told(notices.values(), "request.pending"), asked);
    assert_eq!(told(notices.values(), "request.decided"), asked);
    assert_signed(&world, &receiver);
    // Who asked for full detail gets it; nobody else does.
    let full = notices.values().map(Value::to_string).collect::<String>();
    assert!(full.contains("Canary Literal") && full.contains("dana@people.example") && full.contains("looked at it"));
    let minimal = other.got().concat();
    assert!(minimal.contains("AdaptiveCard") && minimal.contains(asked.first().unwrap()));
    for word in ["Canary", "people.example", "a test asks", "looked at it", "OPS-1"] {
        assert!(!minimal.contains(word), "{word}");
    }
    let said = world.log_text();
    assert!(
        said.contains("the notifier refuses events") && !said.contains("secret-in-the-address"),
        "{said}"
    );
}

#[test]
fn chats_get_what_they_can_show_and_nothing_in_it_calls_people() {
    let mut world = prepared();
    let (slack, teams) = (Receiver::https(&world.path().join("ca")), Receiver::https(&world.path().join("ca")));
    let notifiers = [
        chat(
            &world,
            "slack",
            &slack,
            "detail = \"full\"\nevents = [\"request.pending\"]\ndatasets = [\"people\"]",
        ),
        chat(&world, "teams", &teams, "detail = \"full\""),
    ];
    with_notifiers(&mut world, &notifiers);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let request = ask(&dana, &secret_slice(), HOSTILE);
    ask(&dana, &slice("orders", None, Some(1)), "another dataset");
    rita.review(&request, Verdict::Reject);
    caught_up(&world, "slack", "slack");
    caught_up(&world, "teams", "teams");
    let messages = slack.got();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let message: Value = serde_json::from_str(&messages[0]).unwrap();
    assert_eq!(message["text"], "A request waits for approval");
    assert_eq!(message["blocks"][0]["type"], "header");
    let link = format!("<{}/requests/{}|", world.url, request.id);
    assert!(
        messages[0].contains(&link) && messages[0].matches('<').count() == 1,
        "{}",
        messages[0]
    );
    assert!(messages[0].contains("&lt;!everyone&gt;") && messages[0].contains("Canary Literal"));
    assert!(!messages[0].contains(['\u{202e}', '\u{1b}']) && !messages[0].contains("u202e") && !messages[0].contains("u001b"));
    let cards = teams.got();
    assert_eq!(cards.len(), 3, "two wait, one was rejected");
    let card: Value = serde_json::from_str(&cards[0]).unwrap();
    let content = &card["attachments"][0]["content"];
    assert_eq!((&content["type"], &content["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    assert_eq!(content["actions"][0]["url"], format!("{}/requests/{}", world.url, request.id));
    let markdown = content["body"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["type"] == "TextBlock");
    assert!(markdown.into_iter().all(|block| block["text"] == "A request waits for approval"));
    // Where the link leads: what to type, and nothing to press.
    let page = world.anonymous().raw("GET", &format!("/requests/{}", request.id), None, &[]);
    assert_eq!(page.status, 200);
    assert!(page.text().contains(&format!("chunkctl request show {}", request.id)) && !page.text().contains("<form"));
    assert!(!page.text().contains("people"), "nothing of the request stands on it");
    // A secret address that changes is used with the next message.
    let moved = Receiver::https(&world.path().join("ca"));
    std::fs::write(world.path().join("slack-url"), format!("https://localhost:{}/hook/x", moved.port)).unwrap();
    ask(&dana, &secret_slice(), "again");
    poll("the new address", Duration::from_secs(30), || {
        (moved.got().len() == 1).then_some(())
    });
    assert_eq!(slack.got().len(), 1);
}

#[test]
fn mail_goes_over_tls_to_those_who_may_review_and_to_whoever_asked() {
    let mut world = prepared();
    let mut mail = Mail::new(&world.path().join("ca"), &world.path().join("mail"));
    let (starttls, tls) = (
        format!("smtp://localhost:{}", mail.starttls_port),
        format!("smtps://localhost:{}", mail.tls_port),
    );
    let to_reviewers =
        "to = [\"reviewers\", \"gone@mail.example\", \"security@mail.example\"]\ndetail = \"full\"\nevents = [\"request.pending\"]";
    let notifiers = [
        email(&world, "reviewers", &starttls, to_reviewers),
        email(&world, "requester", &tls, "to = [\"requester\"]\nevents = [\"request.decided\"]"),
    ];
    with_notifiers(&mut world, &notifiers);
    world.start();
    let (dana, rita) = (world.api("dana"), world.api("rita"));
    let caught_up_both = |world: &World| {
        caught_up(world, "reviewers", "email");
        caught_up(world, "requester", "email");
    };
    let request = ask(&dana, &secret_slice(), HOSTILE);
    rita.approve(&request);
    caught_up_both(&world);
    let of = |messages: &[Value], to: &str| -> Vec<Value> {
        let theirs = messages.iter().filter(|message| message["to"] == json!([to]));
        theirs.cloned().collect()
    };
    let got = mail.got();
    assert_eq!(got.len(), 3, "{got:?}");
    for (to, title) in [
        ("rita@people.example", "A request waits for approval"),
        ("security@mail.example", "A request waits for approval"),
        ("dana@people.example", "A request was approved"),
    ] {
        let theirs = of(&got, to);
        assert_eq!(theirs.len(), 1, "{to}: {got:?}");
        let message = &theirs[0];
        let headers = &message["headers"];
        assert_eq!(headers["subject"], format!("[Test broker] {title}: {}", request.id));
        assert_eq!(
            (&headers["to"], &headers["from"]),
            (&json!(to), &json!("chunk-broker@mail.example"))
        );
        assert_eq!((&message["tls"], &message["user"]), (&json!(true), &json!(LOGIN.0)));
        assert_eq!((&message["defects"], &headers["bcc"]), (&json!([]), &Value::Null));
        assert_eq!(headers["auto-submitted"], "auto-generated");
        assert!(headers["message-id"].as_str().unwrap().starts_with("<msg_"));
        let text = message["text"].as_str().unwrap();
        assert!(text.contains(&format!("chunkctl request show {}", request.id)), "{text}");
        assert!(text.lines().all(|line| !line.starts_with("Bcc")) && !text.contains(['\u{202e}', '\u{1b}']));
        // At the minimum nothing that anybody wrote is told.
        assert_eq!(text.contains("Canary Literal"), to != "dana@people.example", "{text}");
    }
    assert!(world.log_text().contains("their address is none, or has no mailbox"));
    assert!(!world.log_text().contains("gone@mail.example"));
    // It says later, then no, then nothing at all; nobody is forgotten, and nobody who was written to is written to again.
    mail.answers(Some("451 4.3.0 later"));
    let request = ask(&dana, &secret_slice(), "later");
    poll("mail to be refused", Duration::from_secs(60), || {
        (metric(&world, "failures_total", "reviewers", "email") > 1).then_some(())
    });
    mail.answers(None);
    caught_up_both(&world);
    mail.stop();
    rita.approve(&request);
    let last = ask(&dana, &secret_slice(), "while it is away");
    poll("mail to fail", Duration::from_secs(60), || {
        (metric(&world, "failures_total", "requester", "email") > 0).then_some(())
    });
    world.kill();
    mail.start();
    world.start();
    caught_up_both(&world);
    let got = mail.got();
    for id in [request.id, last.id] {
        let about = got.iter().filter(|message| {
            let subject = message["headers"]["subject"].as_str().unwrap();
            subject.ends_with(&id.to_string()) && message["to"] == json!(["security@mail.example"])
        });
        let ids: BTreeSet<&str> = about.map(|message| message["headers"]["message-id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 1, "{id}: {got:?}");
    }
    assert_eq!(of(&got, "dana@people.example").len(), 2);
    assert!(!world.log_text().contains(LOGIN.1));
}

#[test]
fn what_is_wrong_with_a_notifier_is_told_by_check_with_file_and_line() {
    let mut world = prepared();
    let keys = "kind = \"slack\"\nurl = \"https://hooks.slack.example/hunter2\"";
    let slack = notifier(&world, "chat", keys);
    with_notifiers(&mut world, &[slack]);
    let config = world.broker_dir().join("broker.toml");
    let check = |world: &World| world.broker_says(&["check", "--config", config.to_str().unwrap()]);
    let line = std::fs::read_to_string(&config)
        .unwrap()
        .lines()
        .position(|line| line.contains("hunter2"))
        .unwrap()
        + 1;
    let (code, said) = check(&world);
    assert!(code == 3 && said.contains(&format!("broker.toml:{line}")), "{code}: {said}");
    assert!(
        said.contains("would be a credential in a file") && !said.contains("hunter2"),
        "{said}"
    );
    // A secret that cannot be read, or is none.
    let hook = notifier(
        &world,
        "hook",
        "kind = \"webhook\"\nurl = \"https://hook.example/\"\nsecrets = [{ env = \"NOT_THERE\" }]",
    );
    with_notifiers(&mut world, &[hook]);
    let (code, said) = check(&world);
    assert!(
        code == 3 && said.contains("notifier `hook`: the secret: the environment variable NOT_THERE"),
        "{code}: {said}"
    );
    assert!(!world.try_start(), "it started without what it signs with");
    assert!(world.log_text().contains("Notifier `hook` cannot be used."), "{}", world.log_text());
}
