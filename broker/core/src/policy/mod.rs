//! Answers one question: does policy let this caller do this, here, in these circumstances?
//!
//! Policies are Cedar: default deny, and everything that widens access is a permit of its own action. Cedar skips a policy
//! that fails to evaluate. A skipped `forbid` would open a door, so here any evaluation error of any policy denies.

mod cedar;
mod explain;
mod load;

use std::net::IpAddr;

use chunk_wire::session::Workload;

pub use self::explain::{Effect, Explained};
pub use self::load::{Named, PolicyFault, PolicySet};

/// The Cedar schema that policies are validated against.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// What a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Know that a dataset exists.
    Describe,
    /// Ask for chunks of a dataset; by itself subject to approval and masks.
    Fetch,
    /// Fetch without a second person's approval.
    FetchUnapproved,
    /// See a class of columns unmasked.
    Reveal,
    /// Skip a dataset's row filter.
    Unfiltered,
    /// Approve or reject others' requests for a dataset.
    Review,
    /// Fetch in an emergency; reviewed afterwards.
    BreakGlass,
    /// Read the evidence log.
    AuditRead,
    /// Export the evidence log.
    AuditExport,
    /// Revoke others' sessions and grants.
    Administer,
    /// Enrol an SSH key of one's own.
    EnrollKey,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    /// Issuer.
    pub issuer: &'a str,
    /// Subject at that issuer.
    pub subject: &'a str,
    /// Display name.
    pub name: &'a str,
    /// E-mail address that the issuer vouches for.
    pub email: Option<&'a str>,
    /// Groups.
    pub groups: &'a [String],
    /// What it is, where this is no person.
    pub workload: Option<&'a Workload>,
}

/// What it is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// A dataset.
    Dataset {
        /// Name.
        name: &'a str,
        /// Connection it is read through.
        connection: &'a str,
        /// Its labels.
        labels: &'a [String],
    },
    /// A class of columns in a dataset; [`Action::Reveal`] is asked for each.
    Class {
        /// Name of the class.
        name: &'a str,
        /// Dataset whose columns it labels.
        dataset: &'a str,
    },
    /// The broker itself.
    Broker,
}

/// Everything else a policy may look at.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The caller's reason.
    pub reason: String,
    /// The caller's ticket.
    pub ticket: String,
    /// Rows that would be read; unknown is `i64::MAX`, nothing is 0.
    pub rows_estimated: i64,
    /// Bytes that would be read; unknown is `i64::MAX`, nothing is 0.
    pub bytes_estimated: i64,
    /// Columns that would be read, as `dataset.column`.
    pub columns: Vec<String>,
    /// Kind of statement.
    pub statement: String,
    /// Functions used, in lower case.
    pub functions: Vec<String>,
    /// Format of the delivery.
    pub format: String,
    /// Seconds for which a standing grant is asked for, or was given; 0 for one delivery.
    pub standing_s: i64,
    /// Address of the caller.
    pub ip: IpAddr,
    /// Now, ms since 1970.
    pub now_ms: i64,
    /// Age of the session.
    pub session_age_s: i64,
    /// Time since the person authenticated at the identity provider.
    pub auth_age_s: i64,
    /// How the person authenticated.
    pub amr: Vec<String>,
    /// Whether the identity provider's own token names the session's key.
    pub key_attested: bool,
}

impl Circumstances {
    /// Those of somebody who plans nothing, at this address and time, as if they had just signed in.
    pub(crate) fn without_plan(ip: IpAddr, now_ms: i64, amr: &[String], key_attested: bool) -> Self {
        Self {
            reason: String::new(),
            ticket: String::new(),
            rows_estimated: 0,
            bytes_estimated: 0,
            columns: Vec::new(),
            statement: String::new(),
            functions: Vec::new(),
            format: String::new(),
            standing_s: 0,
            ip,
            now_ms,
            session_age_s: 0,
            auth_age_s: 0,
            amr: amr.to_vec(),
            key_attested,
        }
    }
}

/// What policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// Whether it is allowed. Never with a fault.
    pub allowed: bool,
    /// Policies that determined the answer, sorted: permits, or the forbids that overrule them, or the policies that could not
    /// be evaluated. Empty where nothing permits.
    pub policies: Vec<String>,
    /// Why the question could not be answered; one line each, without values of the circumstances.
    pub faults: Vec<String>,
}

impl Action {
    /// Every action, in the order of the documentation.
    pub const ALL: [Action; 11] = [
        Action::Describe,
        Action::Fetch,
        Action::FetchUnapproved,
        Action::Reveal,
        Action::Unfiltered,
        Action::Review,
        Action::BreakGlass,
        Action::AuditRead,
        Action::AuditExport,
        Action::Administer,
        Action::EnrollKey,
    ];

    /// Whether only people may do it, whatever policies say.
    #[must_use]
    pub fn is_for_people(self) -> bool {
        matches!(self, Action::Review | Action::BreakGlass | Action::Administer | Action::EnrollKey)
    }

    /// The action's name in policies: `Action::"fetch_unapproved"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Describe => "describe",
            Action::Fetch => "fetch",
            Action::FetchUnapproved => "fetch_unapproved",
            Action::Reveal => "reveal",
            Action::Unfiltered => "unfiltered",
            Action::Review => "review",
            Action::BreakGlass => "break_glass",
            Action::AuditRead => "audit_read",
            Action::AuditExport => "audit_export",
            Action::Administer => "administer",
            Action::EnrollKey => "enroll_key",
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
