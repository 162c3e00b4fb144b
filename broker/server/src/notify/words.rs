//! A notification in words, the same for everybody who reads it: what happened, a few facts, and what to type.

use chunk_core::notify::{Decision, Details, Notice, Occasion, Who};
use chunk_wire::stages::Stage;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use url::Url;

/// Whose words they are.
#[derive(Debug, Clone)]
pub(super) struct Speaker {
    /// Name of the broker.
    pub(super) name: String,
    public_url: String,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    /// One sentence of our own, without anything that others wrote.
    pub(super) title: &'static str,
    /// What it is about, in the order in which it is read. A value may be somebody else's text.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What shows it whole.
    pub(super) command: String,
    /// A page that says what to type.
    pub(super) link: Option<String>,
}

/// What everything that is sent says at its end.
pub(super) const DECIDES_NOTHING: &str = "This message decides nothing: a verdict is given with chunkctl and signed with your own key.";

/// What a link is called.
pub(super) const LINK: &str = "What to type";

impl Speaker {
    /// A broker of this name at this address.
    pub(super) fn new(name: &str, public_url: &Url) -> Self {
        Self {
            name: name.to_owned(),
            public_url: public_url.as_str().trim_end_matches('/').to_owned(),
        }
    }

    /// The host under which people know it, where that is a name.
    pub(super) fn host(&self) -> &str {
        let host = self.public_url.split("//").nth(1).unwrap_or_default();
        let host = host.split([':', '/']).next().unwrap_or_default();
        let is_name =
            host.contains(|c: char| c.is_ascii_alphabetic()) && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
        if is_name { host } else { "localhost" }
    }

    /// The page about a notification's request.
    pub(super) fn link(&self, notice: &Notice) -> Option<String> {
        notice
            .request
            .as_ref()
            .map(|request| format!("{}/requests/{request}", self.public_url))
    }

    /// What shows the whole of what a notification is about.
    pub(super) fn command(notice: &Notice) -> String {
        match &notice.request {
            Some(request) => format!("chunkctl request show {request}"),
            None if notice.occasion == Occasion::KeyEnrolled => "chunkctl keys list".to_owned(),
            None => "chunkctl sessions list".to_owned(),
        }
    }

    /// The notification in words.
    pub(super) fn words(&self, notice: &Notice) -> Words {
        let mut facts = Vec::new();
        let mut add = |name: &'static str, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        add("Request", notice.request.as_ref().map(ToString::to_string));
        add("Datasets", Some(notice.datasets.join(", ")).filter(|datasets| !datasets.is_empty()));
        add("People who must approve", notice.quorum.map(|quorum| quorum.to_string()));
        add("Whose turn it is", notice.stage.as_ref().map(Stage::whose));
        add(
            "Escalated to",
            Some(notice.escalated_to.join(", ")).filter(|groups| !groups.is_empty()),
        );
        add(until(notice.occasion), notice.expires_ms.map(time));
        add("When", Some(time(notice.time_ms)));
        if let Some(details) = &notice.details {
            detail(details, notice.occasion, &mut add);
        }
        Words {
            title: title(notice),
            facts,
            command: Self::command(notice),
            link: self.link(notice),
        }
    }
}

fn title(notice: &Notice) -> &'static str {
    match (notice.occasion, notice.decision) {
        (Occasion::RequestPending, _) => "A request waits for approval",
        (Occasion::RequestEscalated, _) => "A request still waits for approval, and is escalated",
        (Occasion::RequestBreakGlass, _) => "EMERGENCY: data is fetched without approval; review it",
        (Occasion::RequestDecided, Some(Decision::Rejected)) => "A request was rejected",
        (Occasion::RequestDecided, _) => "A request was approved",
        (Occasion::RequestExpired, _) => "A request expired: nobody answered in time",
        (Occasion::RequestCancelled, _) => "A request was withdrawn",
        (Occasion::GrantRevoked, _) => "An approval was revoked",
        (Occasion::GrantExpired, _) => "An approval ran out before it was used up",
        (Occasion::SessionOpenedNewKey, _) => "Somebody signed in with a new key",
        (Occasion::KeyEnrolled, _) => "Somebody enrolled an SSH key",
    }
}

fn until(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::RequestPending | Occasion::RequestEscalated => "Waits until",
        _ => "To be fetched until",
    }
}

fn detail(details: &Details, occasion: Occasion, add: &mut impl FnMut(&'static str, Option<String>)) {
    let asks = if occasion.is_of_request() { "Asked by" } else { "Person" };
    add(asks, details.person.as_ref().map(named));
    add("Reason", details.reason.clone());
    add("Ticket", details.ticket.clone());
    add("Query", details.query.clone());
    add("Rows estimated", details.rows_estimated.map(|rows| rows.to_string()));
    let by: Vec<String> = details.by.iter().map(named).collect();
    let (who, why) = match occasion {
        Occasion::RequestDecided => ("Reviewed by", "Justification"),
        Occasion::RequestCancelled => ("Withdrawn by", "Reason given"),
        _ => ("Revoked by", "Reason given"),
    };
    add(who, Some(by.join(", ")).filter(|by| !by.is_empty()));
    add(why, details.words.clone());
    add("Host", details.host.clone());
    add("Address", details.ip.clone());
    add("SSH key", details.ssh_key.clone());
}

fn named(who: &Who) -> String {
    match &who.email {
        Some(email) => format!("{} ({email})", who.name),
        None => who.name.clone(),
    }
}

/// A time as people read it everywhere.
pub(super) fn time(time_ms: i64) -> String {
    let time = Timestamp::from_millisecond(time_ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
pub(super) mod tests;
