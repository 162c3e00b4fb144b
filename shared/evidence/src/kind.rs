//! What can happen: the closed list of kinds of entries, `family.verb`.
//!
//! A verifier refuses a kind it does not know: an entry it cannot judge could be anything.

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];
            /// The kind as it stands in headers, `family.verb`.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Kind::$variant => $text,)* } }
            /// The kind with this name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Kind::$variant),)* _ => None } }
        }
    };
}

kinds! {
    /// A person or workload signed in.
    SessionOpen = "session.open";
    /// A session ended.
    SessionClose = "session.close";
    /// Sign-ins failed (aggregated).
    SessionFail = "session.fail";
    /// A pseudonym was bound to a person.
    SubjectBind = "subject.bind";
    /// A directory suspended a person.
    PersonSuspend = "person.suspend";
    /// It restored them.
    PersonRestore = "person.restore";
    /// Chunks were asked for.
    RequestCreate = "request.create";
    /// A request was denied by policy.
    RequestDeny = "request.deny";
    /// The requester withdrew a request.
    RequestCancel = "request.cancel";
    /// Nobody answered in time.
    RequestExpire = "request.expire";
    /// Nobody has decided for so long that others may.
    RequestEscalate = "request.escalate";
    /// A reviewer approved.
    ReviewApprove = "review.approve";
    /// A reviewer rejected.
    ReviewReject = "review.reject";
    /// Approvals or standing policy gave a grant.
    GrantIssue = "grant.issue";
    /// The requester began to use it.
    GrantTake = "grant.take";
    /// It was withdrawn.
    GrantRevoke = "grant.revoke";
    /// It ran out.
    GrantExpire = "grant.expire";
    /// Data is about to be read.
    FetchIntent = "fetch.intent";
    /// Bytes have left.
    FetchProgress = "fetch.progress";
    /// How a delivery ended.
    FetchOutcome = "fetch.outcome";
    /// The client has the bytes.
    DeliveryAck = "delivery.ack";
    /// A policy set took effect.
    PolicyLoad = "policy.load";
    /// A configuration took effect.
    ConfigLoad = "config.load";
    /// A key was enrolled.
    KeyEnroll = "key.enroll";
    /// A key was taken back.
    KeyRevoke = "key.revoke";
    /// A key was replaced.
    KeyRotate = "key.rotate";
    /// An emergency grant.
    BreakglassOpen = "breakglass.open";
    /// Its review afterwards.
    BreakglassReview = "breakglass.review";
    /// Somebody read the evidence.
    AuditRead = "audit.read";
    /// Somebody exported evidence.
    AuditExport = "audit.export";
    /// Bodies were erased for good.
    Erase = "erase";
    /// Bodies reached the end of their retention.
    RetentionDispose = "retention.dispose";
    /// The log begins.
    LogGenesis = "log.genesis";
    /// The log ends.
    LogSeal = "log.seal";
    /// A broker started.
    BrokerStart = "broker.start";
    /// A broker stopped.
    BrokerStop = "broker.stop";
    /// What the clock's source says.
    ClockStatus = "clock.status";
    /// A cosignature or time stamp was seen.
    AnchorObserve = "anchor.observe";
}

impl Kind {
    /// The part before the dot.
    #[must_use]
    pub fn family(self) -> &'static str {
        let text = self.as_str();
        text.split_once('.').map_or(text, |(family, _)| family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::FetchIntent.family(), "fetch");
        assert_eq!(Kind::Erase.family(), "erase");
    }
}
