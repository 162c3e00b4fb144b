//! What of a message is looked at at all: the checks that come before anything in it is believed.
//!
//! Accidents with SAML have one root: what was verified was not what was read. Most of them need a document that two readers take
//! for two things. So what a `Response` has no use for is not read carefully here but refused.

use std::collections::HashSet;

use roxmltree::{Document, Node, ParsingOptions};

use super::SamlError;
use crate::limits::SAML_RESPONSE_BYTES_MAX;

/// SAML's messages.
pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
/// SAML's assertions.
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
/// XML signatures.
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// A message as text, if it is of an acceptable size and holds neither declarations, nor comments, nor instructions, nor marked
/// sections.
pub(super) fn text(message: &[u8]) -> Result<&str, SamlError> {
    if message.len() > SAML_RESPONSE_BYTES_MAX {
        return Err(SamlError::Malformed("it is too long"));
    }
    let text = std::str::from_utf8(message).map_err(|_| SamlError::Malformed("it is not UTF-8"))?;
    let body = without_declaration(text)?;
    // A `<` in content is written `&lt;`, so these two stand for nothing else.
    if body.contains("<!") || body.contains("<?") {
        return Err(SamlError::Malformed(
            "document types, comments, processing instructions and CDATA are not accepted",
        ));
    }
    if body.matches("xmlns").count() > NAMESPACES_MAX {
        return Err(SamlError::Malformed("it declares too many namespaces"));
    }
    Ok(body)
}

/// The tree of a text that has passed.
pub(super) fn tree(text: &str) -> Result<Document<'_>, SamlError> {
    let options = ParsingOptions {
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|_| SamlError::Malformed("it is not well-formed XML"))?;
    let mut ids = HashSet::new();
    for node in document.descendants() {
        if node.ancestors().nth(DEPTH_MAX).is_some() {
            return Err(SamlError::Malformed("it is nested too deeply"));
        }
        for attribute in node.attributes() {
            if attribute.name().eq_ignore_ascii_case("id") && !ids.insert(attribute.value()) {
                return Err(SamlError::Malformed("an ID stands in it twice"));
            }
        }
    }
    Ok(document)
}

/// The child elements; between them only white space may stand.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>, SamlError> {
    let mut elements = Vec::new();
    for child in node.children() {
        if child.is_element() {
            elements.push(child);
        } else if !child.text().unwrap_or_default().bytes().all(|b| b.is_ascii_whitespace()) {
            return Err(SamlError::Malformed("text stands where only elements belong"));
        }
    }
    Ok(elements)
}

/// The text of an element that holds nothing else.
pub(super) fn content<'a>(node: Node<'a, '_>) -> Result<&'a str, SamlError> {
    let mut children = node.children();
    match (children.next(), children.next()) {
        (None, _) => Ok(""),
        (Some(only), None) if only.is_text() => Ok(only.text().unwrap_or_default()),
        _ => Err(SamlError::Malformed("an element stands where only text belongs")),
    }
}

/// Whether it is this element.
pub(super) fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.has_tag_name((namespace, name))
}

/// An attribute without a namespace. (Asked for by a bare name, the tree gives one of any namespace.)
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let mut attributes = node.attributes();
    let found = attributes.find(|attribute| attribute.namespace().is_none() && attribute.name() == name);
    found.map(|attribute| attribute.value())
}

/// The text after `<?xml … ?>`, which may name no other encoding.
fn without_declaration(text: &str) -> Result<&str, SamlError> {
    let Some(rest) = text.strip_prefix("<?xml ") else { return Ok(text) };
    let (declaration, body) = rest
        .split_once("?>")
        .ok_or(SamlError::Malformed("its XML declaration does not end"))?;
    let declaration = declaration.to_ascii_lowercase();
    let utf8 = declaration.contains("\"utf-8\"") || declaration.contains("'utf-8'");
    if declaration.contains("encoding") && !utf8 {
        return Err(SamlError::Malformed("it must be in UTF-8"));
    }
    Ok(body)
}

/// Elements, texts and whatever else is a node: a person in some hundred groups has about a thousand.
const NODES_MAX: u32 = 10_000;
/// Some providers declare two at each value. What reading them costs grows with their square and more.
const NAMESPACES_MAX: usize = 1000;
/// Messages are about eight deep.
const DEPTH_MAX: usize = 32;
