//! The broker.toml and the policies of a story.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::servers::{self, Postgres};

/// What a story's broker is told. Start from [`Setup::standard`] and change what the story is about.
pub(crate) struct Setup {
    pub(crate) policies: String,
    /// Further lines of `[broker]`.
    pub(crate) broker: String,
    /// Appended to broker.toml.
    pub(crate) more: String,
    pub(crate) issuers: Vec<(String, String)>,
    /// OAuth client id at every issuer.
    pub(crate) client: String,
    /// How people sign in at every issuer: further lines of its section.
    pub(crate) sign_in: String,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) tls: bool,
    pub(crate) data_dir: Option<PathBuf>,
    /// Further variables of the broker's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Put in front of `chunk-broker serve`.
    pub(crate) wrapper: Vec<String>,
}

/// One `[datasets.NAME]` over PostgreSQL.
pub(crate) struct Dataset {
    pub(crate) name: &'static str,
    pub(crate) table: &'static str,
    pub(crate) settings: String,
    pub(crate) columns: &'static [(&'static str, &'static str)],
}

const PEOPLE: &[(&str, &str)] = &[("full_name", "pii.name"), ("email", "pii.email"), ("ssn", "pii.ssn")];

/// Developers ask, reviewers review, auditors read the evidence, administrators administer. Nothing else.
pub(crate) const POLICIES: &str = r#"
@id("developers-ask")
permit (principal in Group::"developers", action in [Action::"describe", Action::"fetch"], resource);
@id("developers-sample")
permit (principal in Group::"developers", action == Action::"fetch_unapproved", resource == Dataset::"small");
@id("reviewers-review")
permit (principal in Group::"reviewers", action in [Action::"describe", Action::"review"], resource);
@id("auditors-read")
permit (principal in Group::"auditors", action in [Action::"audit_read", Action::"audit_export"], resource);
@id("admins-administer")
permit (principal in Group::"admins", action == Action::"administer", resource);
@id("nobody-hidden")
forbid (principal, action, resource == Dataset::"hidden");
"#;

impl Setup {
    /// PostgreSQL's `people`, `orders` and `small`, one reviewer each; `strict` is `people` with two; `hidden` is nobody's.
    pub(crate) fn standard() -> Self {
        let people = |name, settings: &str| Dataset {
            name,
            table: "public.people",
            settings: settings.into(),
            columns: PEOPLE,
        };
        Self {
            policies: POLICIES.to_owned(),
            broker: String::new(),
            more: String::new(),
            issuers: vec![("provider".into(), servers::issuer())],
            client: "chunkctl".to_owned(),
            sign_in: String::new(),
            datasets: vec![
                people("people", "description = \"Everyone we know\""),
                people("strict", "quorum = 2"),
                people("hidden", ""),
                Dataset {
                    name: "orders",
                    table: "public.orders",
                    settings: String::new(),
                    columns: &[("ssn", "pii.ssn")],
                },
                Dataset {
                    name: "small",
                    table: "public.small",
                    settings: "unclassified = \"open\"".into(),
                    columns: &[],
                },
            ],
            tls: false,
            data_dir: None,
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// Has everybody sign in this way: lines of every issuer's section.
    pub(crate) fn sign_in(mut self, lines: &str) -> Self {
        self.sign_in = format!("{lines}\n");
        self
    }

    /// Adds a policy.
    pub(crate) fn policy(mut self, cedar: &str) -> Self {
        self.policies.push_str(cedar);
        self.policies.push('\n');
        self
    }

    /// Adds an issuer whose people are in the groups that their tokens name.
    pub(crate) fn issuer(mut self, name: &str, url: &str) -> Self {
        self.issuers.push((name.into(), url.into()));
        self
    }

    pub(crate) fn dataset(mut self, name: &'static str, table: &'static str, settings: &str) -> Self {
        self.datasets.push(Dataset {
            name,
            table,
            settings: settings.into(),
            columns: &[],
        });
        self
    }

    /// broker.toml for a broker in this folder on this port.
    pub(crate) fn toml(&self, dir: &Path, port: u16) -> String {
        let postgres = Postgres::get();
        let scheme = if self.tls { "https" } else { "http" };
        let data = self.data_dir.clone().unwrap_or_else(|| dir.join("data"));
        let mut text = format!(
            "[broker]\nname = \"Test broker\"\npublic_url = \"{scheme}://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {data:?}\n\
             policies = \"policies\"\nmaster_key_file = \"master.key\"\n"
        );
        text.push_str(&self.broker);
        if self.tls {
            text.push_str("\n[broker.tls]\ncert_file = \"tls/server.crt\"\nkey_file = \"tls/server.key\"\n");
        }
        for (name, url) in &self.issuers {
            write!(
                text,
                "\n[[issuer]]\nname = \"{name}\"\nissuer = \"{url}\"\nclient_id = \"{}\"\n",
                self.client
            )
            .unwrap();
            text.push_str("scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\ngroups_claim = \"groups\"\n");
            text.push_str(&self.sign_in);
        }
        write!(
            text,
            "\n[connections.warehouse]\nkind = \"postgres\"\nhost = \"{}\"\nport = {}\ndatabase = \"{}\"\nuser = \"{}\"\n\
             password = {{ env = \"WAREHOUSE_PASSWORD\" }}\nca_file = {:?}\n",
            postgres.host, postgres.port, postgres.database, postgres.reader, postgres.ca
        )
        .unwrap();
        text.push_str("\n[classes.\"pii.name\"]\nmask = \"redact\"\n");
        text.push_str("\n[classes.\"pii.email\"]\nmask = \"tokenize\"\n");
        text.push_str("\n[classes.\"pii.ssn\"]\nmask = \"partial\"\nkeep_first = 0\nkeep_last = 4\n");
        for dataset in &self.datasets {
            write!(
                text,
                "\n[datasets.{}]\nconnection = \"warehouse\"\ntable = \"{}\"\n",
                dataset.name, dataset.table
            )
            .unwrap();
            if !dataset.settings.is_empty() {
                writeln!(text, "{}", dataset.settings).unwrap();
            }
            if !dataset.columns.is_empty() {
                writeln!(text, "[datasets.{}.columns]", dataset.name).unwrap();
                for (column, class) in dataset.columns {
                    writeln!(text, "{column} = \"{class}\"").unwrap();
                }
            }
        }
        text.push_str(&self.more);
        text
    }
}
