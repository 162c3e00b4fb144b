//! Whom an identity provider's answer is about: the message, and the one assertion in it.
//!
//! The message around the assertion is looked at for what it says of the exchange; it need not be signed, and nothing about a person
//! is taken from it. A person is read from the text that [`signature::verify`] gives back, and from nothing else.

use jiff::Timestamp;
use ring::digest;
use roxmltree::Node;

use super::gate::{self, ASSERTION, PROTOCOL, SIGNATURE, attribute, content, elements, is};
use super::{SamlError, signature};
use crate::identity::oidc::claims::{is_name, is_plain_address, manager_named, shown};
use crate::identity::oidc::{Flow, VerifiedIdentity};
use crate::limits::{ASSERTION_AGE_S_MAX, CLOCK_SKEW_S_MAX};
use crate::settings::SamlSettings;

/// What an answer must be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'e> {
    /// Who answers.
    pub(super) provider: &'e SamlSettings,
    /// Entity id of the broker: for whom assertions are made.
    pub(super) audience: &'e str,
    /// Where answers are sent to.
    pub(super) acs: &'e str,
    /// Id of the request that is answered.
    pub(super) request: &'e str,
    pub(super) now_ms: i64,
}

/// Who an answer is about, and the id of the assertion that says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) identity: VerifiedIdentity,
    pub(super) assertion: String,
}

/// Verifies an answer.
pub(super) fn verify(message: &[u8], expected: &Expected<'_>) -> Result<Told, SamlError> {
    let document = gate::tree(gate::text(message)?)?;
    let response = document.root_element();
    let assertion = the_assertion(response, expected)?;
    let keys = &expected.provider.keys;
    if response.children().any(|child| is(child, SIGNATURE, "Signature")) {
        signature::verify(response, keys)?;
    }
    let signed = signature::verify(assertion, keys)?;
    read(&signed, expected)
}

/// The one assertion of a message that fits the exchange.
fn the_assertion<'a, 'i>(response: Node<'a, 'i>, expected: &Expected<'_>) -> Result<Node<'a, 'i>, SamlError> {
    if !is(response, PROTOCOL, "Response") || attribute(response, "Version") != Some("2.0") {
        return Err(SamlError::Malformed("it is not a SAML 2.0 response"));
    }
    if attribute(response, "Destination") != Some(expected.acs) {
        return Err(SamlError::Elsewhere("`Destination` is not this broker's address"));
    }
    if attribute(response, "InResponseTo") != Some(expected.request) {
        return Err(SamlError::OtherRequest);
    }
    let (mut status, mut assertion) = (None, None);
    for child in elements(response)? {
        if is(child, PROTOCOL, "Status") && status.is_none() {
            status = Some(child);
        } else if is(child, ASSERTION, "Assertion") && assertion.is_none() {
            assertion = Some(child);
        } else if is(child, ASSERTION, "EncryptedAssertion") {
            return Err(SamlError::Encrypted);
        } else if is(child, ASSERTION, "Issuer") {
            issuer(child, expected)?;
        } else if !is(child, SIGNATURE, "Signature") {
            return Err(SamlError::Malformed("something stands in it that has no place there"));
        }
    }
    successful(status.ok_or(SamlError::Malformed("it has no status"))?)?;
    let assertion = assertion.ok_or(SamlError::Malformed("it holds no assertion"))?;
    // Wherever else one might be hidden, somebody might find it.
    let everywhere = response
        .document()
        .descendants()
        .filter(|node| node.tag_name().name() == "Assertion");
    if everywhere.count() != 1 {
        return Err(SamlError::Malformed("it holds several assertions"));
    }
    Ok(assertion)
}

fn successful(status: Node<'_, '_>) -> Result<(), SamlError> {
    let code = elements(status)?.into_iter().find(|child| is(*child, PROTOCOL, "StatusCode"));
    let code = code.ok_or(SamlError::Malformed("it has no status"))?;
    if attribute(code, "Value") == Some(SUCCESS) {
        return Ok(());
    }
    // The inner one says more, where there is one. Nobody has signed it, so only a word of the standard is repeated.
    let inner = elements(code)?
        .into_iter()
        .find(|child| is(*child, PROTOCOL, "StatusCode"))
        .unwrap_or(code);
    let word = attribute(inner, "Value").and_then(|value| value.strip_prefix(STATUS));
    let word = word.filter(|word| (1..=40).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic()));
    Err(SamlError::Status(word.unwrap_or("Responder").to_owned()))
}

/// Reads a person from an assertion as it was signed.
fn read(signed: &str, expected: &Expected<'_>) -> Result<Told, SamlError> {
    let document = gate::tree(signed)?;
    let assertion = document.root_element();
    if !is(assertion, ASSERTION, "Assertion") || attribute(assertion, "Version") != Some("2.0") {
        return Err(SamlError::Malformed("what is signed is not a SAML 2.0 assertion"));
    }
    let id = attribute(assertion, "ID").ok_or(SamlError::Malformed("the assertion has no ID"))?;
    let mut parts = Parts::default();
    for child in elements(assertion)? {
        let slot = match child.tag_name().name() {
            _ if child.tag_name().namespace() != Some(ASSERTION) => return Err(ODD),
            "Issuer" => &mut parts.issuer,
            "Subject" => &mut parts.subject,
            "Conditions" => &mut parts.conditions,
            "AuthnStatement" => &mut parts.authn,
            "AttributeStatement" => &mut parts.attributes,
            _ => return Err(ODD),
        };
        if slot.replace(child).is_some() {
            return Err(SamlError::Malformed("a part of the assertion stands there twice"));
        }
    }
    let missing = SamlError::Malformed("a part of the assertion is missing");
    issuer(parts.issuer.ok_or(missing.clone())?, expected)?;
    let issued_at = issued(assertion, expected.now_ms)?;
    let subject = subject(parts.subject.ok_or(missing.clone())?, expected)?;
    let expires_at = conditions(parts.conditions.ok_or(missing.clone())?, expected)?;
    let (auth_time, method) = authentication(parts.authn.ok_or(missing)?, expected)?;
    let about = About::read(parts.attributes, expected.provider)?;
    let mut token_sha256 = [0; 32];
    token_sha256.copy_from_slice(digest::digest(&digest::SHA256, signed.as_bytes()).as_ref());
    Ok(Told {
        identity: VerifiedIdentity {
            issuer: expected.provider.issuer.clone(),
            name: about.name.unwrap_or_else(|| shown(&subject)),
            subject,
            email: about.email,
            groups: about.groups,
            manager: about.manager,
            amr: vec![method],
            auth_time: Some(auth_time),
            issued_at,
            token_sha256,
            expires_at,
            flow: Flow::Saml,
            attestation: None,
        },
        assertion: id.to_owned(),
    })
}

#[derive(Default)]
struct Parts<'a, 'i> {
    issuer: Option<Node<'a, 'i>>,
    subject: Option<Node<'a, 'i>>,
    conditions: Option<Node<'a, 'i>>,
    authn: Option<Node<'a, 'i>>,
    attributes: Option<Node<'a, 'i>>,
}

fn issuer(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), SamlError> {
    let format = attribute(node, "Format").unwrap_or(ENTITY);
    if format == ENTITY && content(node)? == expected.provider.issuer {
        Ok(())
    } else {
        Err(SamlError::Issuer)
    }
}

fn issued(assertion: Node<'_, '_>, now_ms: i64) -> Result<i64, SamlError> {
    let at_ms = time(assertion, "IssueInstant")?.ok_or(SamlError::Malformed("the assertion does not say when it was issued"))?;
    if at_ms > now_ms.saturating_add(SKEW_MS) {
        return Err(SamlError::NotYetValid);
    }
    if at_ms < now_ms.saturating_sub(ASSERTION_AGE_S_MAX * 1000) {
        return Err(SamlError::Expired);
    }
    Ok(at_ms.div_euclid(1000))
}

/// The `NameID` of a subject that this broker may believe in.
fn subject(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<String, SamlError> {
    let (mut name, mut confirmed) = (None, false);
    for child in elements(node)? {
        if is(child, ASSERTION, "NameID") && name.is_none() {
            name = Some(child);
        } else if is(child, ASSERTION, "SubjectConfirmation") && !confirmed {
            confirmation(child, expected)?;
            confirmed = true;
        } else {
            return Err(SamlError::NameId("the subject must be one `NameID` with one confirmation"));
        }
    }
    if !confirmed {
        return Err(SamlError::NameId("nothing says who may bring it"));
    }
    let name = name.ok_or(SamlError::NameId("the subject has no `NameID`"))?;
    if attribute(name, "Format").unwrap_or(UNSPECIFIED) != expected.provider.name_id_format {
        return Err(SamlError::NameId("the `NameID` has another format than the one that is configured"));
    }
    // A name that is somebody else's to give, or for somebody else, is another person's under the same spelling.
    let foreign = attribute(name, "NameQualifier").is_some_and(|qualifier| qualifier != expected.provider.issuer)
        || attribute(name, "SPNameQualifier").is_some_and(|qualifier| qualifier != expected.audience);
    if foreign {
        return Err(SamlError::NameId("the `NameID` is qualified by somebody else"));
    }
    let text = content(name)?;
    if !is_name(text) || text.trim() != text {
        return Err(SamlError::NameId(
            "the `NameID` must be 1 to 255 characters without control characters or white space around it",
        ));
    }
    Ok(text.to_owned())
}

fn confirmation(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<(), SamlError> {
    let children = elements(node)?;
    let [data] = children.as_slice() else {
        return Err(SamlError::NameId("the subject's confirmation has no data"));
    };
    if attribute(node, "Method") != Some(BEARER) || !is(*data, ASSERTION, "SubjectConfirmationData") {
        return Err(SamlError::NameId("the subject must be confirmed as a bearer"));
    }
    if attribute(*data, "Recipient") != Some(expected.acs) {
        return Err(SamlError::Elsewhere("`Recipient` is not this broker's address"));
    }
    if attribute(*data, "InResponseTo") != Some(expected.request) {
        return Err(SamlError::OtherRequest);
    }
    if attribute(*data, "NotBefore").is_some() {
        return Err(SamlError::Malformed("a bearer's confirmation has no `NotBefore`"));
    }
    not_on_or_after(*data, expected.now_ms)?.ok_or(SamlError::Malformed("the subject's confirmation does not end"))?;
    Ok(())
}

/// When an assertion for this broker ends, seconds since 1970.
fn conditions(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<i64, SamlError> {
    if time(node, "NotBefore")?.is_some_and(|at_ms| at_ms > expected.now_ms.saturating_add(SKEW_MS)) {
        return Err(SamlError::NotYetValid);
    }
    let ends_ms = not_on_or_after(node, expected.now_ms)?.ok_or(SamlError::Malformed("the assertion does not end"))?;
    let mut restricted = false;
    for condition in elements(node)? {
        if is(condition, ASSERTION, "AudienceRestriction") {
            let mut ours = false;
            for audience in elements(condition)? {
                ours |= is(audience, ASSERTION, "Audience") && content(audience)? == expected.audience;
            }
            if !ours {
                return Err(SamlError::Audience);
            }
            restricted = true;
        } else if !is(condition, ASSERTION, "OneTimeUse") && !is(condition, ASSERTION, "ProxyRestriction") {
            // Both of these hold of themselves: each is used once, and none is passed on.
            return Err(SamlError::Malformed("the assertion has a condition that is not understood"));
        }
    }
    if restricted {
        Ok(ends_ms.div_euclid(1000))
    } else {
        Err(SamlError::Audience)
    }
}

/// When and how the person authenticated.
fn authentication(node: Node<'_, '_>, expected: &Expected<'_>) -> Result<(i64, String), SamlError> {
    let at_ms = time(node, "AuthnInstant")?.ok_or(SamlError::Malformed("it does not say when the person authenticated"))?;
    if at_ms > expected.now_ms.saturating_add(SKEW_MS) {
        return Err(SamlError::NotYetValid);
    }
    if time(node, "SessionNotOnOrAfter")?.is_some_and(|ends_ms| ends_ms.saturating_add(SKEW_MS) <= expected.now_ms) {
        return Err(SamlError::Expired);
    }
    if let Some(max_age_s) = expected.provider.max_age_s
        && at_ms.saturating_add(max_age_s * 1000) < expected.now_ms.saturating_sub(SKEW_MS)
    {
        return Err(SamlError::AuthTimeOld);
    }
    let context = elements(node)?.into_iter().find(|child| is(*child, ASSERTION, "AuthnContext"));
    let class = context.map(elements).transpose()?.unwrap_or_default();
    let class = class.into_iter().find(|child| is(*child, ASSERTION, "AuthnContextClassRef"));
    let class = class.map(content).transpose()?.filter(|class| is_name(class));
    let class = class.ok_or(SamlError::Malformed("it does not say how the person authenticated"))?;
    let asked = &expected.provider.acr_values;
    if !asked.is_empty() && !asked.iter().any(|asked| asked == class) {
        return Err(SamlError::Acr);
    }
    Ok((at_ms.div_euclid(1000), class.to_owned()))
}

/// What attributes say of the person.
#[derive(Default)]
struct About {
    name: Option<String>,
    email: Option<String>,
    groups: Vec<String>,
    manager: Option<String>,
}

impl About {
    fn read(statement: Option<Node<'_, '_>>, provider: &SamlSettings) -> Result<Self, SamlError> {
        let mut about = Self::default();
        let Some(statement) = statement else { return Ok(about) };
        for attribute_node in elements(statement)? {
            if !is(attribute_node, ASSERTION, "Attribute") {
                return Err(SamlError::Encrypted);
            }
            let name = attribute(attribute_node, "Name").ok_or(SamlError::Malformed("an attribute has no name"))?;
            // Entra ID leaves out the groups of people in many of them, and says where they can be asked for.
            if name.strip_suffix(".link") == Some(&provider.groups_attribute) || name == GROUPS_LINK {
                return Err(SamlError::GroupsIncomplete);
            }
            // Some providers give each group an attribute of its own.
            if name == provider.groups_attribute {
                about.groups.extend(values(attribute_node)?);
            }
            for (wanted, value) in [
                (Some(&provider.name_attribute), &mut about.name),
                (Some(&provider.email_attribute), &mut about.email),
                (provider.manager_attribute.as_ref(), &mut about.manager),
            ] {
                if Some(name) == wanted.map(String::as_str) && value.replace(only(attribute_node)?).is_some() {
                    return Err(SamlError::Malformed("an attribute stands there twice"));
                }
            }
        }
        if !about.groups.iter().all(|group| is_name(group)) {
            return Err(SamlError::Malformed(
                "a group must be 1 to 255 characters without control characters",
            ));
        }
        about.groups.sort();
        about.groups.dedup();
        about.name = about.name.map(|name| shown(&name)).filter(|name| !name.is_empty());
        about.manager = about.manager.and_then(|name| manager_named(&name));
        about.email = about.email.filter(|email| is_plain_address(email));
        Ok(about)
    }
}

fn values(node: Node<'_, '_>) -> Result<Vec<String>, SamlError> {
    let mut values = Vec::new();
    for value in elements(node)? {
        if !is(value, ASSERTION, "AttributeValue") {
            return Err(SamlError::Malformed("an attribute holds something that is no value"));
        }
        values.push(content(value)?.to_owned());
    }
    Ok(values)
}

/// The value of an attribute that has one. Of several, none is the person's own.
fn only(node: Node<'_, '_>) -> Result<String, SamlError> {
    match values(node)?.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(SamlError::Malformed("name, e-mail address and manager must have one value each")),
    }
}

fn not_on_or_after(node: Node<'_, '_>, now_ms: i64) -> Result<Option<i64>, SamlError> {
    let ends_ms = time(node, "NotOnOrAfter")?;
    if ends_ms.is_some_and(|ends_ms| ends_ms.saturating_add(SKEW_MS) <= now_ms) {
        return Err(SamlError::Expired);
    }
    Ok(ends_ms)
}

/// A time, ms since 1970. SAML's are in UTC (Core §1.3.3).
fn time(node: Node<'_, '_>, name: &str) -> Result<Option<i64>, SamlError> {
    let Some(text) = attribute(node, name) else { return Ok(None) };
    let parsed = if text.ends_with('Z') {
        text.parse::<Timestamp>().ok()
    } else {
        None
    };
    let time = parsed.ok_or(SamlError::Malformed("a time is none in UTC"))?;
    Ok(Some(time.as_millisecond()))
}

const ODD: SamlError = SamlError::Malformed("something stands in the assertion that has no place there");
const SKEW_MS: i64 = CLOCK_SKEW_S_MAX * 1000;
const STATUS: &str = "urn:oasis:names:tc:SAML:2.0:status:";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const GROUPS_LINK: &str = "http://schemas.microsoft.com/claims/groups.link";
