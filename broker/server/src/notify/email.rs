//! Notifications by e-mail: one message an address, so that nobody sees whom else it went to.
//!
//! A server says yes or no for each address. Who has been given a notification is remembered until everybody has it, so that a
//! try that fails half-way writes nobody twice; a crash in between does.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chunk_core::clock::Clock;
use chunk_core::notify::{Notice, NotifyPort};
use chunk_core::sinks::SinkFault;
use zeroize::Zeroizing;

use super::message::{is_mailbox, message};
use super::smtp::{About, Session, Smtp, SmtpFault};
use super::words::Speaker;
use crate::config::{SecretRef, SmtpServer};
use crate::secrets::SecretReader;

/// A server of mail, and those who are written to through it.
pub(super) struct EmailNotifier {
    speaker: Speaker,
    smtp: Smtp,
    from: String,
    password: Option<(SecretRef, SecretReader)>,
    clock: Arc<dyn Clock>,
    /// The notification that is under way, and who needs it no more.
    under_way: (String, BTreeSet<String>),
}

impl EmailNotifier {
    /// Writes through this server. The text of an error is the operator's, and shows no password.
    pub(super) fn new(
        speaker: Speaker,
        server: SmtpServer,
        from: String,
        reader: SecretReader,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let password = server.login.clone().map(|(_, place)| (place, reader));
        let smtp = Smtp::new(server, speaker.host())?;
        let notifier = Self {
            speaker,
            smtp,
            from,
            password,
            clock,
            under_way: Default::default(),
        };
        notifier.password().map(|_| notifier)
    }

    /// Read each time, so that a rotated one is used with the next message.
    fn password(&self) -> Result<Option<Zeroizing<String>>, String> {
        let Some((place, reader)) = &self.password else { return Ok(None) };
        reader.read(place).map(Some).map_err(|why| format!("the password: {why}"))
    }

    async fn submit(&self, session: &mut Session, notice: &Notice, to: &str) -> Result<(), SmtpFault> {
        let now_ms = self.clock.now_ms();
        let written = |notice: &Notice| message(&self.speaker, notice, &self.from, to, now_ms);
        let submitted = session.submit(&self.from, to, &written(notice)).await;
        let for_its_content = |fault: &SmtpFault| fault.is_permanent() && fault.about == About::Message;
        if notice.details.is_some() && submitted.as_ref().is_err_and(for_its_content) {
            // Nothing that somebody can write may hold up what others are to be told.
            return session.submit(&self.from, to, &written(&notice.without_details())).await;
        }
        submitted
    }
}

#[async_trait]
impl NotifyPort for EmailNotifier {
    async fn deliver(&mut self, notice: &Notice) -> Result<(), SinkFault> {
        if self.under_way.0 != notice.id {
            self.under_way = (notice.id.clone(), BTreeSet::new());
        }
        let password = self.password().map_err(SinkFault::unavailable)?;
        let mut session = self.smtp.connect(password).await.map_err(fault_of)?;
        for to in &notice.to {
            if self.under_way.1.contains(to) {
                continue;
            }
            let submitted = if is_mailbox(to) {
                self.submit(&mut session, notice, to).await
            } else {
                Err(no_mailbox())
            };
            match submitted {
                Ok(()) => {}
                Err(fault) if fault.about == About::Mailbox => tell_left_out(notice, &fault),
                Err(fault) => return Err(fault_of(fault)),
            }
            self.under_way.1.insert(to.clone());
        }
        session.quit().await;
        Ok(())
    }
}

/// An address that the server has no mailbox for would hold up everybody else's mail for days: it is told of, and left out.
fn tell_left_out(notice: &Notice, fault: &SmtpFault) {
    tracing::error!(
        entry = notice.index,
        event = notice.occasion.as_str(),
        request = notice.request.as_ref().map(tracing::field::display),
        why = fault.why,
        "somebody is not told of this entry: their address is none, or has no mailbox"
    );
}

fn no_mailbox() -> SmtpFault {
    SmtpFault {
        why: "the address that the identity provider gives is none that mail can be sent to".to_owned(),
        code: None,
        about: About::Mailbox,
    }
}

fn fault_of(fault: SmtpFault) -> SinkFault {
    if fault.is_permanent() {
        SinkFault::refused(fault.why)
    } else {
        SinkFault::unavailable(fault.why)
    }
}
