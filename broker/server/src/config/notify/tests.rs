#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::super::{Config, Faults, load};
use super::*;

const BROKER: &str = "[broker]\nname = \"b\"\npublic_url = \"http://127.0.0.1:8443\"\nlisten = \"127.0.0.1:8443\"\n\
    [[issuer]]\nname = \"sso\"\nissuer = \"https://login.example.com\"\nclient_id = \"chunkctl\"\n\
    [connections.lake]\nkind = \"files\"\nroot = \"lake\"\n[datasets.orders]\nconnection = \"lake\"\npath = \"orders.csv\"\n";

fn read(sections: &str) -> Result<Config, Faults> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    std::fs::create_dir(dir.path().join("lake")).unwrap();
    std::fs::write(
        dir.path().join("policies/a.cedar"),
        "permit (principal, action == Action::\"describe\", resource);\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("ca.pem"), "x").unwrap();
    std::fs::write(dir.path().join("broker.toml"), format!("{BROKER}{sections}")).unwrap();
    load(&dir.path().join("broker.toml"))
}

fn notifier(keys: &str) -> NotifyConfig {
    let config = read(&format!("[[notify]]\nname = \"n\"\n{keys}\n")).unwrap_or_else(|faults| panic!("{keys}: {faults}"));
    config.notifiers.into_iter().next().unwrap()
}

const WEBHOOK: &str = "kind = \"webhook\"\nurl = \"https://hook.example/in\"\nsecrets = [{ env = \"S\" }]\n";
const SLACK: &str = "kind = \"slack\"\nsecret_url = { file = \"slack\" }\n";
const EMAIL: &str = "kind = \"email\"\nfrom = \"broker@example.com\"\nto = [\"reviewers\"]\n";

#[test]
fn a_notifier_with_only_what_is_required_tells_little_of_what_somebody_must_act_on() {
    let webhook = notifier(WEBHOOK);
    let settings = &webhook.settings;
    assert_eq!(
        (settings.detail, settings.give_up),
        (Detail::Minimal, Duration::from_secs(3 * 24 * 3600))
    );
    assert_eq!(settings.occasions, DEFAULT.into());
    assert!(settings.datasets.is_empty() && settings.audience.is_none());
    let secrets = [SecretRef::Env("S".into())];
    assert!(
        matches!(&webhook.target, NotifyTarget::Http { format: NotifyFormat::Webhook(found), place: NotifyPlace::Url(_), .. } if *found == secrets)
    );
    assert!(read("").unwrap().notifiers.is_empty());
}

#[test]
fn each_kind_says_where_to() {
    for (kind, format) in [("slack", NotifyFormat::Slack), ("teams", NotifyFormat::Teams)] {
        let target = notifier(&SLACK.replace("slack\"\nsecret", &format!("{kind}\"\nsecret"))).target;
        assert!(
            matches!(target, NotifyTarget::Http { format: found, place: NotifyPlace::Secret(SecretRef::File(_)), .. } if found == format)
        );
    }
    let server = |keys: &str| match notifier(&format!("{EMAIL}{keys}")).target {
        NotifyTarget::Email { server, .. } => server,
        other @ NotifyTarget::Http { .. } => panic!("{other:?}"),
    };
    let found = server("url = \"smtps://mail.example\"");
    assert_eq!((found.port, found.security, found.login), (465, SmtpSecurity::Implicit, None));
    let found = server("url = \"smtp://mail.example\"\nusername = \"u\"\npassword = { env = \"P\" }\nca_file = \"ca.pem\"");
    assert_eq!(
        (found.host.as_str(), found.port, found.security),
        ("mail.example", 587, SmtpSecurity::StartTls)
    );
    assert!(found.login.is_some() && found.ca_file.is_some());
    let found = server("url = \"smtp://127.0.0.1:25\"\nplaintext = true");
    assert_eq!((found.port, found.security), (25, SmtpSecurity::Plain));
    let many = notifier(
        "kind = \"email\"\nfrom = \"b@example.com\"\nurl = \"smtps://[::1]:1\"\nto = [\"requester\", \"a@example.com\"]\n\
         events = [\"request.decided\", \"grant.expired\"]\ndatasets = [\"orders\"]\ndetail = \"full\"\ngive_up_days = 7\n",
    );
    let audience = Audience {
        addresses: vec!["a@example.com".into()],
        reviewers: false,
        requester: true,
    };
    assert_eq!(many.settings.audience, Some(audience));
    assert_eq!(many.settings.detail, Detail::Full);
    assert_eq!(many.settings.occasions, [Occasion::RequestDecided, Occasion::GrantExpired].into());
}

#[test]
fn what_would_go_astray_is_a_fault_with_its_line_and_no_fault_shows_a_secret() {
    let with = |kind: &str, keys: &str| format!("{kind}{keys}");
    for (keys, fault) in [
        (
            "kind = \"pager\"".to_owned(),
            "`notify.1.kind` must be one of `webhook`, `slack`, `teams`, `email`",
        ),
        ("kind = \"webhook\"\nurl = \"https://x/\"".into(), "`notify.1.secrets` is missing"),
        (
            "kind = \"webhook\"\nsecrets = [{ env = \"S\" }]".into(),
            "give a `url` or `secret_url`",
        ),
        (
            "kind = \"webhook\"\nurl = \"http://hook.example/\"\nsecrets = [{ env = \"S\" }]".into(),
            "http:// only on loopback",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://me:hunter2@x/\"\nsecrets = [{ env = \"S\" }]".into(),
            "without a user",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://x/\"\nsecrets = [\"whsec_hunter2\"]".into(),
            "a secret is written as",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://x/\"\nsecrets = \"whsec_hunter2\"".into(),
            "a secret is written as",
        ),
        (
            "kind = \"webhook\"\nurl = \"https://x/\"\nsecrets = []".into(),
            "must name one secret",
        ),
        (with(WEBHOOK, "secret_url = { env = \"U\" }"), "cannot stand beside a `url`"),
        (with(WEBHOOK, "to = [\"reviewers\"]"), "`notify.1.to` is only for kind = \"email\""),
        (with(WEBHOOK, "events = [\"request.pendin\"]"), "`notify.1.events` must be one of"),
        (with(WEBHOOK, "events = []"), "nothing would ever be told"),
        (
            with(WEBHOOK, "datasets = [\"order\"]"),
            "there is no dataset `order`; did you mean `orders`?",
        ),
        (
            with(WEBHOOK, "datasets = [\"orders\"]\nevents = [\"session.opened_new_key\"]"),
            "which has no dataset",
        ),
        (with(WEBHOOK, "detail = \"everything\""), "must be one of `minimal`, `full`"),
        (with(WEBHOOK, "give_up_days = 0"), "must be between 1 and 30"),
        (
            "kind = \"slack\"\nurl = \"https://hooks.slack.com/services/hunter2\"".into(),
            "would be a credential in a file",
        ),
        (
            "kind = \"slack\"\nsecret_url = \"https://hooks.slack.com/hunter2\"".into(),
            "a secret address is written as",
        ),
        ("kind = \"teams\"".into(), "give a `secret_url`"),
        (with(SLACK, "secrets = [{ env = \"S\" }]"), "is only for kind = \"webhook\""),
        (EMAIL.into(), "`notify.1.url` is missing"),
        (with(EMAIL, "url = \"https://mail.example\""), "must be smtps://HOST"),
        (with(EMAIL, "url = \"smtp://u:hunter2@mail.example\""), "must be smtps://HOST"),
        (with(EMAIL, "url = \"smtp://mail.example/x\""), "must be smtps://HOST"),
        (
            with(EMAIL, "url = \"smtp://mail.example\"\nplaintext = true"),
            "only for smtp:// on a loopback host",
        ),
        (
            with(EMAIL, "url = \"smtps://localhost\"\nplaintext = true"),
            "only for smtp:// on a loopback host",
        ),
        (
            with(EMAIL, "url = \"smtp://mail.example\"\nusername = \"u\""),
            "`notify.1.password` is missing",
        ),
        (
            with(EMAIL, "url = \"smtp://mail.example\"\npassword = { env = \"P\" }"),
            "needs a `username`",
        ),
        (
            with(EMAIL, "url = \"smtp://mail.example\"\nusername = \"u\"\npassword = \"hunter2\""),
            "a password is written as",
        ),
        (
            "kind = \"email\"\nfrom = \"Broker <b@example.com>\"\nto = [\"reviewers\"]\nurl = \"smtps://m\"".into(),
            "`notify.1.from` must be an address",
        ),
        (
            "kind = \"email\"\nfrom = \"b@example.com\"\nto = [\"everybody\"]\nurl = \"smtps://m\"".into(),
            "`notify.1.to` must name addresses",
        ),
        (
            "kind = \"email\"\nfrom = \"b@example.com\"\nto = [\"a@example.com\\r\\nBcc: e@example.com\"]\nurl = \"smtps://m\"".into(),
            "`notify.1.to` must name addresses",
        ),
        (with(WEBHOOK, "colour = \"red\""), "colour"),
    ] {
        let found = read(&format!("[[notify]]\nname = \"n\"\n{keys}\n")).unwrap_err().to_string();
        assert!(found.contains(fault), "{keys}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
        assert!(found.contains("broker.toml:"), "{found}");
    }
    let twice = format!("[[notify]]\nname = \"n\"\n{WEBHOOK}").repeat(2);
    assert!(read(&twice).unwrap_err().to_string().contains("has the name of an earlier one"));
}
