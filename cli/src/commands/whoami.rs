//! `chunkctl whoami`: who the broker says is asking, until when, and with which key.

use chunk_wire::session::{Person, WhoAmI};

use crate::context::Context;
use crate::error::Result;
use crate::figures;
use crate::output::Facts;

pub(crate) fn run(cx: &Context<'_>) -> Result<()> {
    cx.with_session(async |session| {
        let me: WhoAmI = session.get(&["v1", "whoami"]).await?;
        if cx.ui.is_json() {
            return cx.ui.event("whoami", &me);
        }
        let mut facts = Facts::new();
        facts.add("name", &me.person.name);
        if let Some(email) = &me.person.email {
            facts.add("e-mail", email);
        }
        facts.add("subject", format!("{} at {}", me.person.subject, me.person.issuer));
        add_workload(&mut facts, &me.person);
        facts.add(
            "groups",
            if me.person.groups.is_empty() {
                "none".into()
            } else {
                me.person.groups.join(", ")
            },
        );
        facts.add(
            "may",
            if me.actions.is_empty() {
                "nothing beyond datasets".into()
            } else {
                me.actions.join(", ")
            },
        );
        facts.add("broker", session.broker.url.as_str());
        facts.add("session", me.session.as_str());
        let ends = format!(
            "{} ({})",
            figures::time(me.session_expires_ms),
            figures::from_now(me.session_expires_ms, figures::now_ms())
        );
        facts.add("ends", ends);
        facts.add("key", &me.key);
        facts.add(
            "kept in",
            format!("{} (profile `{}`)", session.vault().storage.words(), cx.profile_name),
        );
        cx.ui.answer(&facts.render())
    })
}

/// What the broker knows of a CI job or another program; nothing of a person.
pub(crate) fn add_workload(facts: &mut Facts, person: &Person) {
    let Some(workload) = &person.workload else { return };
    facts.add("workload", format!("`{}` ({})", workload.rule, workload.provider));
    for (claim, value) in &workload.claims {
        facts.add("", format!("{}: {value}", claim.replace('_', " ")));
    }
}
