#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use chunk_core::catalog::Unclassified;
use chunk_core::rule::StageRule;
use chunk_core::settings::{GroupsFrom, KnownBy};
use chunk_port::{FileFormat, Mask, ObjectNames, ObjectPlace, Source};
use chunk_wire::session::SignIn;

use super::{Config, Connection, Faults, SecretRef, load};
use crate::secrets::master::MasterKey;

/// A certificate with an RSA key, which nobody has.
pub(super) const IDP_CERTIFICATE: &str = include_str!("saml/idp.pem");
const POLICY: &str = "permit (principal, action == Action::\"describe\", resource);\n";

/// A folder with a broker.toml and the files that good ones name.
pub(super) fn folder(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for sub in ["policies", "lake", "tls", "secrets"] {
        std::fs::create_dir(dir.path().join(sub)).unwrap();
    }
    for file in ["tls/cert.pem", "tls/key.pem", "tls/internal-ca.pem", "secrets/warehouse-password"] {
        std::fs::write(dir.path().join(file), "x").unwrap();
    }
    std::fs::write(dir.path().join("tls/idp.pem"), IDP_CERTIFICATE).unwrap();
    std::fs::write(dir.path().join("tls/elliptic.pem"), include_str!("saml/elliptic.pem")).unwrap();
    std::fs::write(dir.path().join("policies/a.cedar"), POLICY).unwrap();
    std::fs::write(dir.path().join("broker.toml"), text).unwrap();
    dir
}

/// A good configuration with these sections.
pub(super) fn with_sections(sections: &str) -> Result<Config, Faults> {
    read(folder(&format!("{GOOD}{sections}")).path())
}

pub(super) fn read(dir: &Path) -> Result<Config, Faults> {
    load(&dir.join("broker.toml"))
}

/// The faults of a text, with the folder's name taken out.
pub(super) fn faults(text: &str) -> String {
    let dir = folder(text);
    let faults = read(dir.path()).err().map(|faults| faults.to_string()).unwrap_or_default();
    faults
        .replace(&format!("{}/", dir.path().canonicalize().unwrap().display()), "")
        .replace(&format!("{}/", dir.path().display()), "")
}

pub(super) const GOOD: &str = r#"[broker]
name = "b"
public_url = "http://127.0.0.1:8443"
listen = "127.0.0.1:8443"

[[issuer]]
name = "sso"
issuer = "https://login.example.com"
client_id = "chunkctl"
"#;

#[test]
fn the_documented_example_is_good() {
    let dir = folder(include_str!("../../../../docs/examples/broker.toml"));
    for (name, text) in [
        (
            "10-people.cedar",
            include_str!("../../../../docs/examples/policies/10-people.cedar"),
        ),
        (
            "20-limits.cedar",
            include_str!("../../../../docs/examples/policies/20-limits.cedar"),
        ),
    ] {
        std::fs::write(dir.path().join("policies").join(name), text).unwrap();
    }
    let config = read(dir.path()).unwrap();
    assert_eq!((config.connections.len(), config.datasets.len(), config.issuers.len()), (7, 8, 2));
    let customers = config.datasets.get("customers").unwrap();
    assert_eq!(
        (customers.rows_max, customers.pending_s, customers.grant_s, customers.quorum),
        (5_000_000, 86_400, 3600, 1)
    );
    assert!(matches!(&customers.source, Source::Postgres { schema, table, .. } if schema == "public" && table == "customers"));
    let events = config.datasets.get("events").unwrap();
    assert!(matches!(&events.source, Source::Files { path, format: FileFormat::Csv, .. } if path.ends_with("lake/events/2026")));
    let clicks = config.datasets.get("clicks").unwrap();
    assert!(
        matches!(&clicks.source, Source::Objects { names: ObjectNames::Below(key), format: FileFormat::Parquet, target } if key == "clicks/2026"
            && matches!(&target.place, ObjectPlace::S3 { bucket, prefix, region, path_style: false, .. } if bucket == "acme-lake" && prefix == "prod/" && region == "eu-central-1"))
    );
    let rates = config.datasets.get("rates").unwrap();
    assert!(
        matches!(&rates.source, Source::Objects { names: ObjectNames::Listed(names), format: FileFormat::Csv, .. } if names.len() == 2)
    );
    let contacts = config.datasets.get("contacts").unwrap();
    assert!(matches!(&contacts.source, Source::Mysql { database, table, .. } if database == "crm" && table == "contacts"));
    let tickets = config.datasets.get("tickets").unwrap();
    assert_eq!(tickets.kind, "sqlite");
    assert!(matches!(&tickets.source, Source::Sqlite { path, table, .. } if path.ends_with("lake/helpdesk.db") && table == "tickets"));
    assert_eq!(
        (config.datasets.get("orders").unwrap().unclassified, events.unclassified),
        (Unclassified::Open, Unclassified::Scan)
    );
    assert_eq!(config.issuers.get(1).unwrap().settings.audience, "acme-data");
    assert_eq!((config.workloads.len(), config.saml.len()), (2, 1));
    assert_eq!(config.issuers.first().unwrap().settings.audience, "chunkctl");
    assert!(
        matches!(config.connections.get("warehouse"), Some(Connection::Postgres { target, .. }) if !target.plaintext && target.ca_file.is_some())
    );
}

#[test]
fn the_smallest_configuration_is_good_and_defaults_are_the_documented_ones() {
    let dir = folder(GOOD);
    let config = read(dir.path()).unwrap();
    assert_eq!(config.broker.session_s, 12 * 3600);
    assert!(config.broker.data_dir.ends_with("data") && config.broker.policies.ends_with("policies"));
    assert_eq!(config.issuers.first().unwrap().settings.scopes, ["openid", "profile", "email"]);
    assert_eq!(config.digest.len(), 64);
}

#[test]
fn a_client_s_secret_is_named_and_never_for_sign_in_with_a_code() {
    let dir = folder(&format!("{GOOD}sign_in = \"browser\"\nclient_secret = {{ env = \"OIDC\" }}\n"));
    let config = read(dir.path()).unwrap();
    assert_eq!(config.issuers.first().unwrap().client_secret, Some(SecretRef::Env("OIDC".into())));
    let faults = faults(&format!("{GOOD}client_secret = {{ env = \"OIDC\" }}\n"));
    assert!(faults.contains("`issuer.1.client_secret` is the broker's alone"), "{faults}");
}

#[test]
fn a_directory_has_a_token_and_knows_people_by_their_id_unless_said() {
    let of = |lines: &str| {
        let dir = folder(&format!("{GOOD}{lines}\n"));
        let issuer = read(dir.path()).unwrap().issuers.remove(0);
        (issuer.directory_token, issuer.settings.directory)
    };
    let token = Some(SecretRef::Env("SCIM".into()));
    assert_eq!(of(""), (None, None));
    assert_eq!(
        of("scim = { token = { env = \"SCIM\" } }"),
        (token.clone(), Some(KnownBy::ExternalId))
    );
    assert_eq!(
        of("scim = { token = { env = \"SCIM\" }, known_by = \"user_name\" }"),
        (token, Some(KnownBy::UserName))
    );
    let faults = faults(&format!("{GOOD}scim = {{ known_by = \"subject\" }}\n"));
    assert!(
        faults.contains("`issuer.1.scim.token`") && faults.contains("`issuer.1.scim.known_by`"),
        "{faults}"
    );
}

#[test]
fn groups_come_from_the_id_token_unless_said() {
    let of = |lines: &str| {
        let dir = folder(&format!("{GOOD}{lines}\n"));
        read(dir.path()).unwrap().issuers.remove(0).settings.groups_from
    };
    assert_eq!(of(""), GroupsFrom::IdToken);
    assert_eq!(of("groups_from = \"userinfo\""), GroupsFrom::Userinfo);
    assert!(faults(&format!("{GOOD}groups_from = \"graph\"\n")).contains("`issuer.1.groups_from`"));
}

#[test]
fn how_people_sign_in_is_said_per_issuer_and_is_a_code_unless_said() {
    let dir = folder(&format!(
        "{GOOD}sign_in = \"browser_required\"\nmax_age_s = 3600\nacr_values = [\"phr\", \"urn:mace:2\"]\n"
    ));
    let config = read(dir.path()).unwrap();
    let settings = &config.issuers.first().unwrap().settings;
    assert_eq!((settings.sign_in, settings.max_age_s), (SignIn::BrowserRequired, Some(3600)));
    assert_eq!(settings.acr_values, ["phr", "urn:mace:2"]);
    let config = read(folder(GOOD).path()).unwrap();
    let settings = &config.issuers.first().unwrap().settings;
    assert_eq!((settings.sign_in, settings.max_age_s), (SignIn::Device, None));
    insta::assert_snapshot!(faults(&format!("{GOOD}sign_in = \"browser-required\"\nmax_age_s = 0\nacr_values = [\"a b\"]\n")), @r"
    broker.toml:10: `issuer.1.sign_in` must be one of `device`, `browser`, `browser_required`
    broker.toml:11: `issuer.1.max_age_s` must be between 1 and 2592000
    broker.toml:12: `issuer.1.acr_values` must be one or more words without spaces, as the provider writes them in `acr`
    ");
}

#[test]
fn masking_keys_come_from_the_master_key_and_are_named() {
    let dir = folder(&format!("{GOOD}\n[classes.email]\nmask = \"tokenize\"\ngeneration = 3\n"));
    let catalog = read(dir.path()).unwrap().catalog(&MasterKey::generate().unwrap());
    assert!(matches!(&catalog.classes.get("email").unwrap().mask, Mask::Tokenize { key, preserve: false } if key.id == "email/3"));
}

#[test]
fn all_faults_are_found_at_once_with_their_lines() {
    let text = r#"[broker]
name = "  "
public_url = "ftp://b"
listen = "nowhere"
sesion_hours = 3
session_hours = 400

[[issuer]]
name = "sso"
issuer = "http://login.example.com"
client_id = 7
audience = "https://*.example.com"
scopes = ["profile"]

[connections.Warehouse]
kind = "postgres"
host = "db.example.com"
plaintext = true
password = "hunter2"
port = 70000

[connections.files]
kind = "files"
root = "missing"
user = "x"

[connections.odd]
kind = "oracle"

[classes.email]
mask = "tokenise"

[classes.name]
mask = "partial"

[classes.card]
mask = "redact"
keep_last = 4

[datasets.select]
connection = "lake"
path = "a.parquet"

[datasets.customers]
connection = "Warehouse"
table = "customers"
quorum = 0
labels = ["Not A Label"]
unclassified = "mask"

[datasets.customers.columns]
email = "emial"
"#;
    insta::assert_snapshot!(faults(text), @r#"
    broker.toml:2: `broker.name` must be one line of text that is not blank
    broker.toml:3: `broker.public_url` must be https://, or http:// on a loopback address
    broker.toml:4: `broker.listen` must be ADDRESS:PORT, e.g. "0.0.0.0:8443" or "[::]:8443"
    broker.toml:5: `broker.sesion_hours`: unknown field `sesion_hours`, expected one of `name`, `public_url`, `listen`, `metrics_listen`, `metrics_public`, `data_dir`, `master_key_file`, `policies`, `session_hours`, `chunk_rows`, `tls`
    broker.toml:6: `broker.session_hours` must be between 1 and 24
    broker.toml:10: `issuer.1.issuer` must be the issuer identifier exactly as the provider writes it: an https:// URL without query (http:// only on loopback)
    broker.toml:11: `issuer.1.client_id`: invalid type: integer `7`, expected a string
    broker.toml:12: `issuer.1.audience` is compared byte for byte; wildcards are refused
    broker.toml:13: `issuer.1.scopes` must be OAuth scopes and name `openid`
    broker.toml:15: `connections.Warehouse.database` is missing
    broker.toml:15: `connections.Warehouse.user` is missing
    broker.toml:15: connection `Warehouse` must be 1 to 63 of a–z, 0–9 and _, starting with a letter
    broker.toml:18: `connections.Warehouse.plaintext` is accepted only for a loopback host; give `ca_file` instead
    broker.toml:19: `connections.Warehouse.password`: a password is written as { env = "VARIABLE" }, { file = "PATH" } or { sealed = "…" } (see `chunk-broker seal`)
    broker.toml:20: `connections.Warehouse.port` must be between 1 and 65535
    broker.toml:24: `connections.files.root`: missing cannot be opened (entity not found)
    broker.toml:25: `connections.files.user` is only for kind = "postgres" or "mysql"
    broker.toml:28: `connections.odd.kind` must be one of `postgres`, `mysql`, `sqlite`, `files`, `s3`, `http`
    broker.toml:31: `classes.email.mask` must be one of `redact`, `drop`, `partial`, `tokenize`, `shift`, `generalize`, `scan`
    broker.toml:33: `classes.name.keep_last` or `keep_first` is missing: partial must say what it keeps
    broker.toml:38: `classes.card.keep_last` is only for mask = "partial"
    broker.toml:40: dataset `select` is a word of SQL; choose another name
    broker.toml:41: `datasets.select.connection`: no usable connection `lake`
    broker.toml:47: `datasets.customers.quorum` must be between 1 and 10
    broker.toml:48: `datasets.customers.labels` must be words of a–z, 0–9, `_`, `.`, `:` and `-`
    broker.toml:49: `datasets.customers.unclassified` must be one of `scan`, `redact`, `open`
    broker.toml:52: `datasets.customers.columns.email`: no class `emial` is defined; did you mean `email`?
    "#);
}

/// A dataset with these lines.
fn reviewed(lines: &str) -> String {
    format!(
        "{GOOD}\n[connections.lake]\nkind = \"files\"\nroot = \"lake\"\n[datasets.d]\nconnection = \"lake\"\npath = \"in\"\nformat = \"csv\"\n{lines}\n"
    )
}

#[test]
fn a_dataset_is_reviewed_by_a_number_by_groups_or_in_stages() {
    let stages = |lines: &str| {
        let dir = folder(&reviewed(lines));
        std::fs::write(dir.path().join("lake/in"), "").unwrap();
        let dataset = read(dir.path()).unwrap().datasets.remove("d").unwrap();
        let of = |stage: StageRule| {
            (
                if stage.manager {
                    vec!["(manager)".to_owned()]
                } else {
                    stage.groups
                },
                stage.quorum,
            )
        };
        (dataset.quorum, dataset.stages.into_iter().map(of).collect::<Vec<_>>())
    };
    let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(stages(""), (1, vec![]));
    assert_eq!(
        stages("quorum = 2\nreviewers = { groups = [\"owners\", \"deputies\"] }"),
        (2, vec![(groups(&["owners", "deputies"]), 2)])
    );
    assert_eq!(
        stages("stages = [{ reviewers = { groups = [\"owners\"] } }, { reviewers = { groups = [\"security\"] }, quorum = 3 }]"),
        (1, vec![(groups(&["owners"]), 1), (groups(&["security"]), 3)])
    );
    assert_eq!(
        stages("stages = [{ reviewers = { manager = true } }, { reviewers = { groups = [\"security\"] } }]"),
        (1, vec![(groups(&["(manager)"]), 1), (groups(&["security"]), 1)])
    );
    for (lines, expected) in [
        (
            "quorum = 2\nstages = [{ reviewers = { groups = [\"a\"] } }]",
            "`datasets.d.quorum` is for datasets without stages",
        ),
        (
            "reviewers = { groups = [\"b\"] }\nstages = [{ reviewers = { groups = [\"a\"] } }]",
            "`datasets.d.reviewers` is for datasets without stages",
        ),
        ("stages = [{ quorum = 2 }]", "`datasets.d.stages[0].reviewers` is missing"),
        (
            "quorum = 2\nreviewers = { manager = true }",
            "`datasets.d.quorum` must be 1: nobody has more than one manager",
        ),
        (
            "reviewers = { manager = true, groups = [\"a\"] }",
            "`datasets.d.reviewers.groups` is for reviewers other than the requester's manager",
        ),
        ("reviewers = {}", "`datasets.d.reviewers.groups` is missing"),
        (
            "reviewers = { groups = [] }",
            "`datasets.d.reviewers.groups` must be names of groups",
        ),
        (
            "reviewers = { groups = [\"a\", \"a\"] }",
            "`datasets.d.reviewers.groups` must be names of groups",
        ),
        (
            "stages = [{ reviewers = { groups = [\"a\"] }, quorum = 0 }]",
            "`datasets.d.stages[0].quorum` must be between 1 and 10",
        ),
        (
            "stages = [{ reviewers = { groups = [\"a\"] } }, { reviewers = { groups = [\"a\"] } }]",
            "`datasets.d.stages[1].reviewers` are those of an earlier stage",
        ),
    ] {
        let found = faults(&reviewed(lines));
        assert!(found.contains(expected), "{lines}: {found}");
    }
    for (lines, expected) in [
        ("escalate_after = \"2h\"", "`datasets.d.escalate_to` is missing"),
        ("escalate_to = [\"ops\"]", "`datasets.d.escalate_after` is missing"),
        (
            "escalate_after = \"2\"\nescalate_to = [\"ops\"]",
            "`datasets.d.escalate_after` must be a time like",
        ),
        (
            "escalate_after = \"0m\"\nescalate_to = [\"ops\"]",
            "`datasets.d.escalate_after` must be a time like",
        ),
        (
            "escalate_after = \"24h\"\nescalate_to = [\"ops\"]",
            "`datasets.d.escalate_after` must be a time like",
        ),
        (
            "escalate_after = \"2h\"\nescalate_to = []",
            "`datasets.d.escalate_to` must be names of groups",
        ),
    ] {
        let found = faults(&reviewed(lines));
        assert!(found.contains(expected), "{lines}: {found}");
    }
    let escalation = {
        let dir = folder(&reviewed("escalate_after = \"90m\"\nescalate_to = [\"ops\"]"));
        std::fs::write(dir.path().join("lake/in"), "").unwrap();
        read(dir.path()).unwrap().datasets.remove("d").unwrap().escalation.unwrap()
    };
    assert_eq!((escalation.after_s, escalation.groups), (5400, groups(&["ops"])));
    let many = ["{ reviewers = { groups = [\"a\"] } }"; 9].join(", ");
    assert!(faults(&reviewed(&format!("stages = [{many}]"))).contains("`datasets.d.stages` are more than 8"));
}

#[test]
fn a_password_in_the_file_is_refused_without_being_shown() {
    for password in [
        "\"hunter2\"",
        "{ plain = \"hunter2\" }",
        "{ env = \"A\", file = \"b\" }",
        "{}",
        "[\"hunter2\"]",
    ] {
        let text =
            format!("{GOOD}\n[connections.w]\nkind = \"postgres\"\nhost = \"h\"\ndatabase = \"d\"\nuser = \"u\"\npassword = {password}\n");
        let found = faults(&text);
        assert!(found.contains("`connections.w.password") && !found.contains("hunter2"), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn a_syntax_error_is_reported_alone() {
    insta::assert_snapshot!(faults("[broker]\nname = \nlisten = \"x\"\n"), @r#"
    broker.toml:2: string values must be quoted, expected literal string
    "#);
}

#[test]
fn an_empty_file_lacks_everything() {
    insta::assert_snapshot!(faults(""), @r#"
    broker.toml: no `[[issuer]]` and no `[[saml]]`: at least one identity provider must vouch for people
    broker.toml: the `[broker]` table is missing
    "#);
}

#[test]
fn plain_http_is_for_loopback_only() {
    let with = |url: &str, listen: &str, tls: bool| {
        let tls = if tls {
            "[broker.tls]\ncert_file = \"tls/cert.pem\"\nkey_file = \"tls/key.pem\"\n"
        } else {
            ""
        };
        let issuer = GOOD.split_once("[[issuer]]").unwrap().1;
        faults(&format!(
            "[broker]\nname = \"b\"\npublic_url = \"{url}\"\nlisten = \"{listen}\"\n{tls}\n[[issuer]]{issuer}"
        ))
    };
    assert_eq!(with("http://127.0.0.1:1", "127.0.0.1:1", false), "");
    assert_eq!(with("http://[::1]:1", "[::1]:1", false), "");
    assert_eq!(with("https://b.example.com", "0.0.0.0:443", true), "");
    for (url, listen, tls) in [
        ("http://127.0.0.1:1", "0.0.0.0:1", false),
        ("https://b.example.com", "127.0.0.1:1", false),
        ("http://127.0.0.1:1", "127.0.0.1:1", true),
        ("http://b.example.com", "127.0.0.1:1", false),
        ("https://user@b.example.com", "0.0.0.0:443", true),
        ("https://b.example.com/path", "0.0.0.0:443", true),
        ("http://127.0.0.1.example.com", "127.0.0.1:1", false),
    ] {
        assert_ne!(with(url, listen, tls), "", "{url} {listen} {tls}");
    }
}

#[test]
fn metrics_leave_the_machine_only_where_the_operator_says_so() {
    let with = |lines: &str| faults(&GOOD.replace("\n\n[[issuer]]", &format!("\n{lines}\n\n[[issuer]]")));
    for good in [
        "metrics_listen = \"127.0.0.1:9464\"",
        "metrics_listen = \"[::1]:9464\"",
        "metrics_listen = \"127.0.0.1:9464\"\nmetrics_public = false",
        "metrics_listen = \"0.0.0.0:9464\"\nmetrics_public = true",
    ] {
        assert_eq!(with(good), "", "{good}");
    }
    for bad in [
        "metrics_listen = \"0.0.0.0:9464\"",
        "metrics_listen = \"[::]:9464\"",
        "metrics_listen = \"192.0.2.1:9464\"\nmetrics_public = false",
    ] {
        let found = with(bad);
        assert!(
            found.starts_with("broker.toml:5: ") && found.contains("metrics_public = true"),
            "{bad}: {found}"
        );
    }
    assert!(with("metrics_public = true").contains("is only for a `metrics_listen`"));
}

#[test]
fn the_development_issuer_is_for_loopback_only() {
    let broker = |url: &str, listen: &str, tls: &str, issuer: &str| {
        faults(&format!(
            "[broker]\nname = \"b\"\npublic_url = \"{url}\"\nlisten = \"{listen}\"\n{tls}\n[[issuer]]\nname = \"dev\"\nissuer = \"{issuer}\"\nclient_id = \"c\"\ninsecure_development = true\n"
        ))
    };
    let tls = "[broker.tls]\ncert_file = \"tls/cert.pem\"\nkey_file = \"tls/key.pem\"\n";
    assert_eq!(broker("http://127.0.0.1:1", "127.0.0.1:1", "", "http://127.0.0.1:2"), "");
    assert!(broker("https://b.example.com", "0.0.0.0:1", tls, "http://127.0.0.1:2").contains("authenticates nobody"));
    assert!(broker("http://127.0.0.1:1", "127.0.0.1:1", "", "https://sso.example.com").contains("authenticates nobody"));
}

#[test]
fn a_dataset_never_leads_out_of_its_folder() {
    let with = |path: &str| {
        let dir = folder(&format!(
            "{GOOD}\n[connections.lake]\nkind = \"files\"\nroot = \"lake\"\n[datasets.d]\nconnection = \"lake\"\npath = \"{path}\"\nformat = \"csv\"\n"
        ));
        std::os::unix::fs::symlink("/etc", dir.path().join("lake/out")).unwrap();
        std::fs::write(dir.path().join("lake/in"), "").unwrap();
        std::os::unix::fs::symlink("in", dir.path().join("lake/link")).unwrap();
        read(dir.path()).err().map(|faults| faults.to_string()).unwrap_or_default()
    };
    for good in ["in", "link", "not/yet/there"] {
        assert_eq!(with(good), "", "{good}");
    }
    for bad in [
        "../secrets/warehouse-password",
        "/etc/passwd",
        "a/../../b",
        "",
        ".",
        "./in",
        "out/passwd",
        "out",
    ] {
        assert!(with(bad).contains("datasets.d.path"), "{bad}");
    }
}

#[test]
fn a_table_of_sqlite_is_a_file_below_the_folder_and_a_name() {
    let with = |place: &str| {
        faults(&format!(
            "{GOOD}\n[connections.app]\nkind = \"sqlite\"\nroot = \"lake\"\n[datasets.d]\nconnection = \"app\"\n{place}\n"
        ))
    };
    assert_eq!(with("path = \"a.db\"\ntable = \"Some table\""), "");
    for (place, fault) in [
        ("path = \"a.db\"", "`datasets.d.table` is missing"),
        ("table = \"t\"", "`datasets.d.path` is missing"),
        ("path = \"../a.db\"\ntable = \"t\"", "`datasets.d.path` must be below"),
        ("path = \"a.db\"\ntable = \"SQLITE_schema\"", "none of SQLite's own"),
        ("path = \"a.db\"\ntable = \"\"", "`datasets.d.table` must be the name"),
        (
            "path = \"a.db\"\ntable = \"t\"\nformat = \"csv\"",
            "`datasets.d.format` is for files",
        ),
    ] {
        let found = with(place);
        assert!(found.contains(fault) && found.lines().count() == 1, "{place}: {found}");
    }
}

#[test]
fn object_stores_are_reached_by_tls_with_keys_that_do_not_stand_in_the_file() {
    let with = |kind: &str, connection: &str, place: &str| {
        faults(&format!(
            "{GOOD}\n[connections.o]\nkind = \"{kind}\"\n{connection}\n[datasets.d]\nconnection = \"o\"\n{place}\n"
        ))
    };
    let keys = "access_key = { env = \"A\" }\nsecret_key = { env = \"B\" }";
    let s3 = |more: &str| format!("url = \"s3://acme-lake/prod\"\n{keys}\n{more}");
    let http = |more: &str| format!("url = \"https://files.acme.example/open/\"\n{more}");
    let one = "path = \"a/b.parquet\"";
    assert_eq!(with("s3", &s3(""), one), "");
    assert_eq!(
        with(
            "s3",
            &s3("endpoint = \"http://127.0.0.1:9000\""),
            "path = \"days\"\nformat = \"ndjson\""
        ),
        ""
    );
    assert_eq!(with("http", &http("token = { env = \"T\" }"), one), "");
    assert_eq!(with("http", &http(""), "files = [\"a.csv\", \"b/c.csv\"]"), "");
    for (kind, connection, place, fault) in [
        (
            "s3",
            s3("endpoint = \"http://s3.acme.example\""),
            one,
            "`connections.o.endpoint` must be https://HOST",
        ),
        (
            "s3",
            "url = \"s3://acme-lake\"".to_owned(),
            one,
            "`connections.o.access_key` is missing",
        ),
        (
            "s3",
            s3("token = { env = \"T\" }"),
            one,
            "`connections.o.token` is only for kind = \"http\"",
        ),
        ("s3", s3("plaintext = true"), one, "`connections.o.plaintext` is only for"),
        ("s3", s3(""), "path = \"../a.parquet\"", "`datasets.d.path` must be"),
        ("s3", s3(""), "path = \"a//b.parquet\"", "`datasets.d.path` must be"),
        ("s3", s3(""), "files = [\"a.csv\"]", "`datasets.d.files` is only for"),
        ("s3", s3(""), "path = \"days\"", "ends in no format's extension"),
        (
            "http",
            "url = \"http://files.acme.example/\"".to_owned(),
            one,
            "`connections.o.url` must be https://HOST/PATH",
        ),
        (
            "http",
            "url = \"https://u:p@files.acme.example/\"".to_owned(),
            one,
            "`connections.o.url` must be https://HOST/PATH",
        ),
        (
            "http",
            http(""),
            "files = [\"a.csv\", \"b.parquet\"]",
            "`datasets.d.files` must all end in the extension of one format",
        ),
        ("http", http(""), "files = []", "`datasets.d.files` must name"),
        ("http", http(""), "files = [\"/a.csv\"]", "`datasets.d.files` must name"),
        (
            "http",
            http(""),
            "path = \"a.csv\"\nfiles = [\"b.csv\"]",
            "`datasets.d.files` stands beside `path`",
        ),
    ] {
        let found = with(kind, &connection, place);
        assert!(found.contains(fault), "{kind} {connection} {place}: {found}");
    }
    let found = with(
        "s3",
        "url = \"s3://acme-lake\"\naccess_key = \"AKIAhunter2\"\nsecret_key = { env = \"B\" }",
        one,
    );
    assert!(found.contains("connections.o.access_key") && !found.contains("hunter2"), "{found}");
}

#[test]
fn a_policy_that_names_nothing_known_is_a_fault() {
    let dir = folder(&format!("{GOOD}\n[classes.email]\nmask = \"redact\"\n"));
    std::fs::write(
        dir.path().join("policies/b.cedar"),
        "\nforbid (principal, action == Action::\"reveal\", resource == Class::\"emial\");\n",
    )
    .unwrap();
    let found = read(dir.path()).unwrap_err().to_string();
    assert!(found.contains("b.cedar:2: ") && found.contains("did you mean `email`?"), "{found}");
}

#[test]
fn a_policy_with_a_fault_is_reported_with_file_and_line() {
    let dir = folder(GOOD);
    std::fs::write(
        dir.path().join("policies/b.cedar"),
        "\n\npermit (principal, action == Action::\"fly\", resource);\n",
    )
    .unwrap();
    let found = read(dir.path()).unwrap_err().to_string();
    assert!(found.contains("policies/b.cedar:3: "), "{found}");
    std::fs::remove_dir_all(dir.path().join("policies")).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("cannot be read"));
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("nothing may be fetched"));
}

#[test]
fn every_key_is_in_the_documentation() {
    let page = include_str!("../../../../docs/configuration.md");
    let keys = include_str!("raw.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": At<"));
    let mut count = 0;
    for (key, _) in keys {
        count += 1;
        let spellings = [
            format!("`{key}`"),
            format!(".{key}`"),
            format!("`{key}."),
            format!("{{ {key} ="),
            format!("`{key} ="),
            format!("`[{key}]`"),
        ];
        assert!(spellings.iter().any(|spelling| page.contains(spelling)), "{key}");
    }
    assert!(count > 40, "{count}");
}
