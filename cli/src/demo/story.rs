//! The story: who types what, in which order, and what each step has to answer.
//!
//! A step whose command does not end as it should ends the demo with the command's own words. The figures at the end are
//! taken from the commands' own events, never worked out here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::Value;

use super::actor::{Actor, Ran, user_code_in};
use super::broker::DemoBroker;
use super::home::{Home, Wishes};
use super::interrupt::Interrupt;
use super::page;
use crate::config::Paths;
use crate::error::{Failure, Result};
use crate::output::Ui;
use crate::sink::{receipt_path, sha256_of_file};
use crate::text;

const SQL: &str = "select o.order_id, o.placed_at, o.amount, o.card_number, o.note, c.full_name, c.email, c.ssn, c.birth_date \
                   from orders o join customers c on c.customer_id = o.customer_id";
const FILE: &str = "orders.parquet";
const EDITED: &str = "edited.parquet";
const BUNDLE: &str = "evidence.bundle";
const TRUST: &str = "trust.toml";
const OUTPUT_LINES_KEPT: usize = 12;

/// One step, as scripts see it.
#[derive(Serialize)]
struct Step<'a> {
    step: &'a str,
    person: &'a str,
    command: &'a str,
    exit: i32,
    events: &'a [Value],
}

/// The end, as scripts see it.
#[derive(Serialize)]
struct Done<'a> {
    rows: u64,
    bytes: u64,
    masked_fields: usize,
    masked_values: u64,
    receipt_index: u64,
    sha256: &'a str,
    request: &'a str,
    file: &'a Path,
    bundle: &'a Path,
    audit_verify: &'a str,
    broker_runs: bool,
    dir: &'a Path,
}

/// Tells it from the beginning to the end.
pub(crate) fn run(ui: &Ui, paths: &Paths, wishes: &Wishes) -> Result<()> {
    let home = Home::make(wishes, paths)?;
    let interrupt = Interrupt::listen()?;
    ui.say("This demo runs the real programs: every line that starts with a name and `$` is a command, run as shown.");
    ui.say(&format!(
        "Everything it makes is in {}. Nothing leaves this machine.\n",
        home.root().display()
    ));
    ui.say(&format!(
        "Starting a broker with made-up data ({} orders; generated once, then kept for the next demo) …",
        crate::figures::count(wishes.orders)
    ));
    let broker = DemoBroker::start(&home, &interrupt)?;
    ui.say(&format!(
        "It answers at {}. Its identity provider asks nobody for a password: it is for demos only.\n",
        broker.ready().broker
    ));
    let stage = Stage {
        ui,
        home: &home,
        broker: &broker,
        interrupt: &interrupt,
    };
    let told = match stage.play() {
        Ok(told) => told,
        // What is interrupted is not to be kept; what failed may be looked at.
        Err(failure) if home.keep() && !interrupt.is_asked() => {
            return Err(failure.why(format!("the broker was left running, as asked; `kill {}` stops it", broker.keep())));
        }
        Err(failure) => {
            broker.stop().ok();
            return Err(failure);
        }
    };
    let url = broker.ready().broker.clone();
    if home.keep() {
        broker.keep();
    } else {
        broker.stop()?;
    }
    if ui.is_json() {
        let (file, bundle) = (told.dana.desk().join(FILE), told.audra.desk().join(BUNDLE));
        return ui.event("demo.done", &told.done(&home, &file, &bundle)?);
    }
    told.farewell(ui, &home, &url);
    Ok(())
}

struct Stage<'a> {
    ui: &'a Ui,
    home: &'a Home,
    broker: &'a DemoBroker,
    interrupt: &'a Interrupt,
}

/// What the story came to.
struct Told {
    dana: Actor,
    audra: Actor,
    request: String,
    /// What `verify` told about the file, as an event.
    story: Option<Value>,
    sha256: String,
    verified: String,
}

impl Stage<'_> {
    fn play(&self) -> Result<Told> {
        let url = self.broker.ready().broker.as_str();
        let actor = |name| Actor::at(self.home.root(), name, url, self.interrupt);
        let (dana, rey, audra) = (actor("dana")?, actor("rey")?, actor("audra")?);

        self.title("1. Dana, a developer, signs in and looks around.");
        self.sign_in(&dana)?;
        self.step("datasets", &dana, &["datasets"], 0)?;
        self.step("describe", &dana, &["describe", "customers"], 0)?;

        self.title("2. A look at a few rows. This broker's policy lets engineers see up to twenty masked rows without a second person.");
        let why = "what do the columns look like?";
        let rest = ["--limit", "5", "--format", "csv", "-o", "-", "--no-wait", "--reason", why];
        let look = ["fetch", "customers", "--columns", "full_name,email,phone,ssn,birth_date,postcode"];
        self.step("look", &dana, &[&look[..], &rest[..]].concat(), 0)?;
        // A condition sees what the caller sees: it finds the notes in which the mask has found something.
        let look = [
            "fetch",
            "orders",
            "--columns",
            "order_id,amount,card_number,note",
            "--where",
            "note like '%[%'",
        ];
        self.step("look", &dana, &[&look[..], &rest[..]].concat(), 0)?;

        self.title("3. All orders with their customers is another matter: somebody else has to agree.");
        self.step("plan", &dana, &["plan", "--sql", SQL], 0)?;
        let ask = [
            "fetch",
            "--sql",
            SQL,
            "--reason",
            "churn model for the spring campaign",
            "--ticket",
            "DATA-42",
            "-o",
            FILE,
            "--no-wait",
        ];
        let pending = self.step("fetch", &dana, &ask, 5)?;
        let request = pending.id("req_").ok_or_else(|| Failure::bug("`fetch` named no request"))?;
        self.title("Nobody approves their own request, not even by a second role:");
        self.step(
            "self_approve",
            &dana,
            &["approve", &request, "--reason", "I know what I am doing"],
            1,
        )?;

        self.title("4. Rey, who answers for the data, reads the request and approves it. The verdict is signed with Rey's own key.");
        self.sign_in(&rey)?;
        self.step("requests", &rey, &["requests", "--pending"], 0)?;
        self.step(
            "approve",
            &rey,
            &[
                "approve",
                &request,
                "--reason",
                "campaign is approved; names and numbers stay masked",
            ],
            0,
        )?;

        self.title("5. Dana picks the file up. The intent is in the log before the first row is read.");
        self.step("deliver", &dana, &["fetch", "--request", &request, "-o", FILE], 0)?;
        let sha256 = self.sha256sum(&dana)?;
        let genuine = self.step("verify", &dana, &["verify", FILE], 0)?;
        if !genuine.lines.iter().any(|line| line.contains(&sha256)) {
            return Err(Failure::no(
                "evidence_false",
                "the receipt holds another digest than `sha256sum` gave",
            ));
        }
        self.title("One changed byte, and it is no longer what the broker released:");
        self.edit(&dana)?;
        self.step("verify_edited", &dana, &["verify", EDITED], 1)?;

        self.title("6. Audra, an auditor, takes the evidence away and checks it without trusting the broker.");
        self.sign_in(&audra)?;
        self.step("search", &audra, &["audit", "search", "--request", &request], 0)?;
        self.step("export", &audra, &["audit", "export", "-o", BUNDLE], 0)?;
        self.step("trust", &audra, &["audit", "trust", "init", "-o", TRUST], 0)?;
        let verified = self.step("audit_verify", &audra, &["audit", "verify", BUNDLE, "--trust", TRUST], 0)?;

        let answer = verified
            .event("audit.verify")
            .and_then(|event| event.get("answer"))
            .and_then(Value::as_str);
        let verdict = answer.unwrap_or("true"); // for people the exit code has said it
        Ok(Told {
            dana,
            audra,
            request,
            story: genuine.event("verify").and_then(|event| event.get("story")).cloned(),
            sha256,
            verified: verdict.to_owned(),
        })
    }

    fn title(&self, words: &str) {
        self.ui.say(&format!("\n{words}"));
    }

    /// Runs a command that must end with `exit`.
    fn step(&self, step: &str, actor: &Actor, arguments: &[&str], exit: i32) -> Result<Ran> {
        self.heard(step, actor, arguments, exit, |_| Ok(()))
    }

    fn heard(&self, step: &str, actor: &Actor, arguments: &[&str], exit: i32, hear: impl FnMut(Option<&str>) -> Result<()>) -> Result<Ran> {
        let ran = actor.run(self.ui, arguments, hear)?;
        let ended = ran.exit.unwrap_or(-1);
        self.ui.event(
            "demo.step",
            &Step {
                step,
                person: actor.name,
                command: &ran.typed,
                exit: ended,
                events: &ran.events,
            },
        )?;
        if ended != exit {
            let last = ran
                .lines
                .get(ran.lines.len().saturating_sub(OUTPUT_LINES_KEPT)..)
                .unwrap_or_default()
                .join("\n");
            return Err(Failure::cannot_tell(
                "demo",
                format!("the demo stops: `{}` ended with {ended} where {exit} was expected", ran.typed),
            )
            .why(last)
            .why(format!("the broker's log is {}", self.home.broker_log().display())));
        }
        if exit != 0 {
            self.ui.say(&format!("  (exit {exit}, as it should be)"));
        }
        Ok(ran)
    }

    /// Signs a person in: the command shows a code, and the demo types it into the provider's page for them.
    fn sign_in(&self, actor: &Actor) -> Result<()> {
        let ready = self.broker.ready();
        let mut code = None;
        let mut typed = false;
        let arguments = ["login", "--broker", &ready.broker, "--insecure-storage"];
        self.heard("login", actor, &arguments, 0, |line| {
            if let Some(line) = line {
                code = code.take().or_else(|| user_code_in(line));
                return Ok(());
            }
            let Some(code) = code.as_ref().filter(|_| !typed) else {
                return Ok(());
            };
            page::sign_in(&ready.issuer, code, actor.name)?;
            typed = true;
            self.ui.say(&format!(
                "  (the demo plays {}: it typed {code} at {}/device and picked the name)",
                actor.name, ready.issuer
            ));
            Ok(())
        })?;
        Ok(())
    }

    /// The file's digest by the system's own tool, which knows nothing of receipts.
    fn sha256sum(&self, actor: &Actor) -> Result<String> {
        self.ui.say(&format!("{}$ sha256sum {FILE}", actor.name));
        let path = actor.desk().join(FILE);
        let tool = Command::new("sha256sum")
            .arg(FILE)
            .current_dir(actor.desk())
            .stdin(Stdio::null())
            .output();
        let digest = match tool {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            _ => {
                self.ui.say("  (there is no sha256sum here; worked out by the demo itself)");
                sha256_of_file(&path).map_err(|error| Failure::file("read", &path, &error))?.0
            }
        };
        self.ui.say(&format!("  {digest}  {FILE}"));
        Ok(digest)
    }

    /// Makes a copy of file and receipt, and changes one byte of the copy.
    fn edit(&self, actor: &Actor) -> Result<()> {
        let (from, to) = (actor.desk().join(FILE), actor.desk().join(EDITED));
        let mut bytes = std::fs::read(&from).map_err(|error| Failure::file("read", &from, &error))?;
        let at = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        std::fs::write(&to, bytes).map_err(|error| Failure::file("write", &to, &error))?;
        let (receipt, copy) = (receipt_path(&from), receipt_path(&to));
        std::fs::copy(&receipt, &copy).map_err(|error| Failure::file("copy", &receipt, &error))?;
        self.ui.say(&format!(
            "  (the demo copied {FILE} and its receipt to {EDITED}, and flipped one bit of byte {at})"
        ));
        Ok(())
    }
}

impl Told {
    /// The end as an event. A figure that the commands did not give is a fault of the demo, not a zero.
    fn done<'a>(&'a self, home: &'a Home, file: &'a Path, bundle: &'a Path) -> Result<Done<'a>> {
        let story = self.story.as_ref().ok_or_else(|| Failure::bug("`verify` told no story"))?;
        let figure = |name: &str| {
            story
                .get(name)
                .and_then(Value::as_u64)
                .ok_or_else(|| Failure::bug(format!("`verify` told no `{name}`")))
        };
        let columns = story
            .get("columns")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let masked = columns
            .iter()
            .filter(|column| !matches!(column.get("mask").and_then(Value::as_str), Some("open" | "reveal") | None));
        let altered = masked.clone().filter_map(|column| column.get("altered").and_then(Value::as_u64));
        Ok(Done {
            rows: figure("rows")?,
            bytes: figure("bytes")?,
            masked_fields: masked.count(),
            masked_values: altered.sum(),
            receipt_index: figure("outcome")?,
            sha256: &self.sha256,
            request: &self.request,
            file,
            bundle,
            audit_verify: &self.verified,
            broker_runs: home.keep(),
            dir: home.root(),
        })
    }

    fn farewell(&self, ui: &Ui, home: &Home, broker: &str) {
        let show = |path: PathBuf| path.display().to_string();
        ui.say("\nThat was the whole road. Where things are:");
        ui.say(&format!("  the masked file     {}", show(self.dana.desk().join(FILE))));
        ui.say(&format!(
            "  its receipt         {}",
            show(receipt_path(&self.dana.desk().join(FILE)))
        ));
        ui.say(&format!("  the evidence        {}", show(self.audra.desk().join(BUNDLE))));
        ui.say(&format!("  broker and policies {}", show(home.broker())));
        ui.say("\nWhat to type next:");
        let typed = |path: &Path| text::shell(&path.display().to_string()).into_owned();
        let shell = |actor: &Actor| format!("  ( . {}; ", typed(&actor.script()));
        ui.say(&format!("{}chunkctl verify {FILE} )        # offline, again", shell(&self.dana)));
        if home.keep() {
            ui.say(&format!(
                "{}chunkctl whoami )                    # the broker still runs at {broker}",
                shell(&self.dana)
            ));
            ui.say(&format!("  kill $(cat {})    # stops it", typed(&home.pid_file())));
        } else {
            ui.say("  chunkctl demo --keep                # the same, and the broker stays up for you to try things");
        }
    }
}
