//! Exclusive XML Canonicalization 1.0 without comments: the bytes that a signature is about.
//!
//! Whatever this writes counts only if its digest is the signed one, and it is these bytes that are read afterwards. A fault here
//! makes a good message fail; it cannot make another one pass.

use std::collections::BTreeMap;

use roxmltree::{Attribute, Node, NodeId};

use super::SamlError;

/// Names the algorithm.
pub(super) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// The canonical form of an element, without one child of it. `inclusive` are prefixes that are written wherever they are declared
/// (`InclusiveNamespaces`), the empty one for the default namespace.
pub(super) fn canonical(node: Node<'_, '_>, without: Option<NodeId>, inclusive: &[&str]) -> Result<String, SamlError> {
    let mut writer = Writer {
        out: String::new(),
        without,
        inclusive,
    };
    writer.element(node, &BTreeMap::new())?;
    Ok(writer.out)
}

struct Writer<'p> {
    out: String,
    without: Option<NodeId>,
    inclusive: &'p [&'p str],
}

/// Prefixes with the names that have been written for them.
type Written<'a> = BTreeMap<&'a str, &'a str>;

impl Writer<'_> {
    /// Nesting is bounded by the gate.
    fn element<'a>(&mut self, node: Node<'a, '_>, above: &Written<'a>) -> Result<(), SamlError> {
        let name = qualified_name(node)?;
        let mut attributes: Vec<(Attribute<'a, '_>, &'a str)> = Vec::new();
        for attribute in node.attributes() {
            attributes.push((attribute, attribute_name(node, &attribute)?));
        }
        attributes.sort_by_key(|(attribute, _)| (attribute.namespace().unwrap_or_default(), attribute.name()));

        let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
        for prefix in std::iter::once(prefix(name)).chain(attributes.iter().map(|(_, name)| prefix(name)).filter(|p| !p.is_empty())) {
            wanted.insert(prefix, in_scope(node, prefix));
        }
        for inclusive in self.inclusive {
            if let Some(namespace) = node.namespaces().find(|known| known.name().unwrap_or_default() == *inclusive) {
                wanted.insert(namespace.name().unwrap_or_default(), namespace.uri());
            }
        }
        wanted.remove("xml");

        let mut written = above.clone();
        self.out.push('<');
        self.out.push_str(name);
        for (prefix, uri) in wanted {
            if written.get(prefix).copied().unwrap_or_default() == uri {
                continue;
            }
            self.out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            self.out.push_str(prefix);
            self.out.push_str("=\"");
            self.escaped(uri, true);
            self.out.push('"');
            written.insert(prefix, uri);
        }
        for (attribute, name) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            self.escaped(attribute.value(), true);
            self.out.push('"');
        }
        self.out.push('>');
        for child in node.children() {
            if child.is_element() {
                if Some(child.id()) != self.without {
                    self.element(child, &written)?;
                }
            } else {
                self.escaped(child.text().unwrap_or_default(), false);
            }
        }
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        Ok(())
    }

    fn escaped(&mut self, text: &str, in_attribute: bool) {
        for c in text.chars() {
            match (c, in_attribute) {
                ('&', _) => self.out.push_str("&amp;"),
                ('<', _) => self.out.push_str("&lt;"),
                ('>', false) => self.out.push_str("&gt;"),
                ('"', true) => self.out.push_str("&quot;"),
                ('\t', true) => self.out.push_str("&#x9;"),
                ('\n', true) => self.out.push_str("&#xA;"),
                ('\r', _) => self.out.push_str("&#xD;"),
                _ => self.out.push(c),
            }
        }
    }
}

/// The namespace that a prefix stands for here; none where the default namespace is none.
fn in_scope<'a>(node: Node<'a, '_>, prefix: &str) -> &'a str {
    let namespace = node.namespaces().find(|known| known.name().unwrap_or_default() == prefix);
    namespace.map(|namespace| namespace.uri()).unwrap_or_default()
}

fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

/// The name as it was written: the tree keeps what a prefix stands for and forgets the prefix.
fn qualified_name<'a>(node: Node<'a, '_>) -> Result<&'a str, SamlError> {
    let text = source(node).get(node.range()).and_then(|text| text.strip_prefix('<'));
    let name = text.and_then(|text| text.split(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').next());
    same_local(name, node.tag_name().name())
}

fn attribute_name<'a>(node: Node<'a, '_>, attribute: &Attribute<'_, '_>) -> Result<&'a str, SamlError> {
    same_local(source(node).get(attribute.range_qname()), attribute.name())
}

fn source<'a>(node: Node<'a, '_>) -> &'a str {
    node.document().input_text()
}

/// A name that ends in what the tree says it is.
fn same_local<'a>(name: Option<&'a str>, local: &str) -> Result<&'a str, SamlError> {
    let name = name.ok_or(SamlError::Malformed("a name cannot be found again"))?;
    match name.rsplit(':').next() {
        Some(last) if last == local => Ok(name),
        _ => Err(SamlError::Malformed("a name cannot be found again")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use roxmltree::Document;

    use super::*;

    fn of(xml: &str, inclusive: &[&str]) -> String {
        let document = Document::parse(xml).unwrap();
        let node = document.descendants().find(|node| node.has_attribute("here")).unwrap();
        canonical(node, None, inclusive).unwrap()
    }

    #[test]
    fn only_namespaces_that_are_used_are_written_and_where_they_are_used() {
        // The examples of Exclusive XML Canonicalization 1.0, §2.2.
        let first = r#"<n0:local xmlns:n0="foo:bar" xmlns:n3="ftp://example.org"><n1:elem2 xmlns:n1="http://example.net" xml:lang="en" here=""><n3:stuff/></n1:elem2></n0:local>"#;
        let second = r#"<n2:pdu xmlns:n1="http://example.com" xmlns:n2="http://foo.example" xml:lang="fr" xml:space="retain"><n1:elem2 xmlns:n1="http://example.net" xml:lang="en" here=""><n3:stuff xmlns:n3="ftp://example.org"/></n1:elem2></n2:pdu>"#;
        let canonical = r#"<n1:elem2 xmlns:n1="http://example.net" here="" xml:lang="en"><n3:stuff xmlns:n3="ftp://example.org"></n3:stuff></n1:elem2>"#;
        assert_eq!(of(first, &[]), canonical);
        assert_eq!(of(second, &[]), canonical);
    }

    #[test]
    fn the_default_namespace_is_undone_where_it_ends() {
        let xml = r#"<a xmlns="urn:a" here=""><b xmlns=""><c xmlns="urn:a"/></b><d/></a>"#;
        let canonical = r#"<a xmlns="urn:a" here=""><b xmlns=""><c xmlns="urn:a"></c></b><d></d></a>"#;
        assert_eq!(of(xml, &[]), canonical);
        // Where there is none above, none is undone.
        assert_eq!(of(r#"<x xmlns=""><y here=""/></x>"#, &[]), r#"<y here=""></y>"#);
    }

    #[test]
    fn prefixes_that_are_asked_for_are_written_where_they_are_declared() {
        let xml = r#"<r xmlns:xs="urn:xs" xmlns:q="urn:q" xmlns="urn:d"><p:a xmlns:p="urn:p" here=""><p:b t="xs:string"/><p:c xmlns:xs="urn:other"/></p:a></r>"#;
        assert_eq!(
            of(xml, &["xs", ""]),
            r#"<p:a xmlns="urn:d" xmlns:p="urn:p" xmlns:xs="urn:xs" here=""><p:b t="xs:string"></p:b><p:c xmlns:xs="urn:other"></p:c></p:a>"#
        );
    }

    #[test]
    fn attributes_are_in_order_and_values_are_written_in_one_way() {
        let xml = "<e xmlns:b='urn:1' xmlns:a='urn:2' a:z='1' b:y='2' z='3' here='&lt;&quot;&apos;&#xA;&#9;&#13;  x\n'>1 &gt; 0 &amp; \r\n&#13;\"</e>";
        assert_eq!(
            of(xml, &[]),
            "<e xmlns:a=\"urn:2\" xmlns:b=\"urn:1\" here=\"&lt;&quot;'&#xA;&#x9;&#xD;  x \" z=\"3\" b:y=\"2\" a:z=\"1\">1 &gt; 0 &amp; \n&#xD;\"</e>"
        );
    }

    #[test]
    fn one_child_can_be_left_out() {
        let document = Document::parse("<a>1<b>2</b>3<b>4</b></a>").unwrap();
        let child = document.root_element().first_element_child().unwrap();
        assert_eq!(
            canonical(document.root_element(), Some(child.id()), &[]).unwrap(),
            "<a>13<b>4</b></a>"
        );
    }
}
