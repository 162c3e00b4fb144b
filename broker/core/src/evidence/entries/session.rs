//! Sessions.

use chunk_evidence::body::{Body, Group};
use chunk_evidence::leaf::Header;
use chunk_wire::id::{ActorId, SessionId};
use chunk_wire::session::{ClientInfo, Person};
use serde_json::json;

use super::read::Read;
use super::{EventError, by, put};

/// `session.open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionOpen {
    /// The session.
    pub(crate) session: SessionId,
    /// Pseudonym of the person.
    pub(crate) actor: ActorId,
    /// The person.
    pub(crate) person: Person,
    /// Subject or e-mail address of their manager, where the issuer says so.
    pub(crate) manager: Option<String>,
    /// Methods of authentication.
    pub(crate) amr: Vec<String>,
    /// When the person proved who they are, seconds since 1970, where the issuer says.
    pub(crate) auth_time: Option<i64>,
    /// How the broker got to know who it is: `browser` or `id_token`. Entries of older brokers do not say.
    pub(crate) flow: Option<String>,
    /// Whether the identity provider's token names the session's key.
    pub(crate) key_attested: Option<bool>,
    /// That token, for whoever does not take the broker's word. The state does not keep it.
    pub(crate) attestation: Option<String>,
    /// RFC 7638 thumbprint of the session's key.
    pub(crate) key: String,
    /// The key, 32 bytes, base64url.
    pub(crate) public_key: String,
    /// Address.
    pub(crate) ip: String,
    /// Client in its own words.
    pub(crate) client: ClientInfo,
    /// End, ms since 1970.
    pub(crate) expires_ms: i64,
    /// SHA-256 (hex) of what was signed of the ID token, which is accepted once.
    pub(crate) id_token: String,
}

impl SessionOpen {
    /// Whether the identity provider vouches for the key. Where nothing says so, it does not.
    pub(crate) fn is_key_attested(&self) -> bool {
        self.key_attested == Some(true)
    }

    pub(super) fn write(&self, header: &mut Header, body: &mut Body) {
        by(header, Some(&self.actor), Some(&self.session));
        let mut who = json!({
            "amr": self.amr, "groups": self.person.groups, "issuer": self.person.issuer, "key": self.key,
            "name": self.person.name, "public_key": self.public_key, "subject": self.person.subject,
        });
        put(&mut who, "email", self.person.email.as_deref());
        put(&mut who, "manager", self.manager.as_deref());
        put(&mut who, "auth_time", self.auth_time);
        put(
            &mut who,
            "workload",
            self.person
                .workload
                .as_ref()
                .map(|w| json!({ "claims": w.claims, "provider": w.provider, "rule": w.rule })),
        );
        put(&mut who, "flow", self.flow.as_deref());
        put(&mut who, "key_attested", self.key_attested);
        body.set(Group::Who, who);
        body.set(
            Group::Net,
            json!({ "client": self.client.version, "host": self.client.host, "ip": self.ip }),
        );
        if let Some(attestation) = &self.attestation {
            // Not beside the person: a receipt opens that group of everybody's session to whoever holds it.
            body.set(Group::Why, json!({ "attestation": attestation }));
        }
        body.set(Group::Out, json!({ "expires_ms": self.expires_ms, "id_token": self.id_token }));
    }

    pub(super) fn read(read: &Read<'_>) -> Result<Self, EventError> {
        Ok(Self {
            session: read.session()?,
            actor: read.actor()?,
            person: Person {
                issuer: read.member(Group::Who, "issuer")?,
                subject: read.member(Group::Who, "subject")?,
                name: read.member(Group::Who, "name")?,
                email: read.optional(Group::Who, "email")?,
                groups: read.member(Group::Who, "groups")?,
                workload: read.optional(Group::Who, "workload")?,
            },
            manager: read.optional(Group::Who, "manager")?,
            amr: read.member(Group::Who, "amr")?,
            auth_time: read.optional(Group::Who, "auth_time")?,
            flow: read.optional(Group::Who, "flow")?,
            key_attested: read.optional(Group::Who, "key_attested")?,
            attestation: read.optional(Group::Why, "attestation")?,
            key: read.member(Group::Who, "key")?,
            public_key: read.member(Group::Who, "public_key")?,
            ip: read.member(Group::Net, "ip")?,
            client: ClientInfo {
                version: read.member(Group::Net, "client")?,
                host: read.member(Group::Net, "host")?,
            },
            expires_ms: read.member(Group::Out, "expires_ms")?,
            id_token: read.member(Group::Out, "id_token")?,
        })
    }
}
