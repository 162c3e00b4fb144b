//! What the broker says of itself in SAML: the request that a browser carries to the identity provider, and the metadata that an
//! administrator registers there.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use jiff::Timestamp;
use url::Url;

use super::gate::{ASSERTION, PROTOCOL};
use crate::settings::SamlSettings;

/// The broker as a service provider.
#[derive(Debug, Clone)]
pub(super) struct ServiceProvider {
    /// Its entity id, which is where its metadata is.
    pub(super) entity_id: String,
    /// Where answers are sent to (HTTP-POST).
    pub(super) acs: String,
    /// Where people confirm codes.
    pub(super) verification: String,
}

impl ServiceProvider {
    pub(super) fn new(public_url: &Url) -> Self {
        let base = public_url.as_str().trim_end_matches('/');
        Self {
            entity_id: format!("{base}/saml/metadata"),
            acs: format!("{base}/saml/acs"),
            verification: format!("{base}/device"),
        }
    }

    /// Where a browser is sent for this request (HTTP-Redirect).
    pub(super) fn address(&self, provider: &SamlSettings, id: &str, relay_state: &str, now_ms: i64) -> Result<Url, std::io::Error> {
        let request = self.request(provider, id, now_ms);
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
        packed.write_all(request.as_bytes())?;
        let mut address = provider.sso_url.clone();
        address
            .query_pairs_mut()
            .append_pair("SAMLRequest", &STANDARD.encode(packed.finish()?))
            .append_pair("RelayState", relay_state);
        Ok(address)
    }

    /// Not signed: the answer is bound to it by its id, and an attacker who asks in our name only sends people here.
    fn request(&self, provider: &SamlSettings, id: &str, now_ms: i64) -> String {
        let at = Timestamp::from_millisecond(now_ms).unwrap_or_default();
        let mut request = format!(
            "<samlp:AuthnRequest xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" Version=\"2.0\" \
             IssueInstant=\"{at:.0}\" Destination=\"{}\" AssertionConsumerServiceURL=\"{}\" ProtocolBinding=\"{POST}\"{}>\
             <saml:Issuer>{}</saml:Issuer><samlp:NameIDPolicy Format=\"{}\" AllowCreate=\"true\"/>",
            escaped(provider.sso_url.as_str()),
            escaped(&self.acs),
            if provider.force_authn { " ForceAuthn=\"true\"" } else { "" },
            escaped(&self.entity_id),
            escaped(&provider.name_id_format),
        );
        if !provider.acr_values.is_empty() {
            request.push_str("<samlp:RequestedAuthnContext Comparison=\"exact\">");
            for class in &provider.acr_values {
                // Writing to a string does not fail.
                write!(request, "<saml:AuthnContextClassRef>{}</saml:AuthnContextClassRef>", escaped(class)).ok();
            }
            request.push_str("</samlp:RequestedAuthnContext>");
        }
        request.push_str("</samlp:AuthnRequest>");
        request
    }

    /// What an identity provider has to know.
    pub(super) fn metadata(&self, formats: &[&str]) -> String {
        let formats: String = formats
            .iter()
            .map(|format| format!("<md:NameIDFormat>{}</md:NameIDFormat>", escaped(format)))
            .collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{}\">\
             <md:SPSSODescriptor AuthnRequestsSigned=\"false\" WantAssertionsSigned=\"true\" protocolSupportEnumeration=\"{PROTOCOL}\">\
             {formats}<md:AssertionConsumerService Binding=\"{POST}\" Location=\"{}\" index=\"0\" isDefault=\"true\"/>\
             </md:SPSSODescriptor></md:EntityDescriptor>\n",
            escaped(&self.entity_id),
            escaped(&self.acs),
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
