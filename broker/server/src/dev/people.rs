//! The people whom the development issuer vouches for: one of each kind that a governed fetch needs.

/// A made-up person. There is no password: whoever reaches the issuer's page may be any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevPerson {
    /// Subject; also what is sent to the page.
    pub subject: &'static str,
    /// Display name.
    pub name: &'static str,
    /// E-mail; a reserved domain, so that nothing can be sent there.
    pub email: &'static str,
    /// What the person does in the sample, for the page.
    pub role: &'static str,
    /// Groups claim.
    pub groups: &'static [&'static str],
}

/// Everybody there is.
pub const PEOPLE: [DevPerson; 3] = [
    DevPerson {
        subject: "dana",
        name: "Dana Developer",
        email: "dana@example.test",
        role: "asks for data",
        groups: &["data-eng"],
    },
    DevPerson {
        subject: "rey",
        name: "Rey Reviewer",
        email: "rey@example.test",
        role: "approves or rejects",
        groups: &["data-owners"],
    },
    DevPerson {
        subject: "audra",
        name: "Audra Auditor",
        email: "audra@example.test",
        role: "reads the evidence",
        groups: &["auditors"],
    },
];

/// The person with this subject.
#[must_use]
pub fn person(subject: &str) -> Option<&'static DevPerson> {
    PEOPLE.iter().find(|person| person.subject == subject)
}
