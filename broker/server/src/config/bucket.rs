//! An S3 bucket, as the mirror and connections name it: `url`, `endpoint`, `region`.

use toml::Spanned;
use url::Url;

use super::check::Check;
use super::is_loopback;
use super::raw::At;

/// Where a bucket is.
pub(super) struct Address {
    /// Its name.
    pub(super) name: String,
    /// What keys begin with: empty, or a path that ends with a slash.
    pub(super) prefix: String,
    /// Where the service is.
    pub(super) endpoint: Url,
    /// The region that requests are signed for.
    pub(super) region: String,
    /// The bucket stands in the path, not in the host's name.
    pub(super) path_style: bool,
}

const REGION_DEFAULT: &str = "us-east-1";

/// Reads the three keys of the section `path`. Amazon's service, unless an endpoint is named.
pub(super) fn address(
    check: &mut Check<'_>,
    url: &Spanned<String>,
    own: At<String>,
    region_field: At<String>,
    path: &str,
) -> Option<Address> {
    let named = name_and_prefix(url.get_ref());
    if named.is_none() {
        check.faults.at(
            &url.span(),
            format!(
                "`{path}.url` must be s3://BUCKET or s3://BUCKET/PREFIX: a bucket of 3 to 63 of a–z, 0–9, `.` and `-`, a prefix of letters, digits, `.`, `_`, `-` and `/`"
            ),
        );
    }
    let region = match region_field {
        Some(field) => region(check, &field, path),
        None => Some(REGION_DEFAULT.to_owned()),
    };
    let path_style = own.is_some();
    let endpoint = match (own, &region) {
        (Some(field), _) => endpoint(check, &field, path),
        (None, Some(region)) => Url::parse(&format!("https://s3.{region}.amazonaws.com")).ok(),
        (None, None) => None,
    };
    let (name, prefix) = named?;
    Some(Address {
        // A dot in its name is a name that the service's certificate does not cover.
        path_style: path_style || name.contains('.'),
        name,
        prefix,
        endpoint: endpoint?,
        region: region?,
    })
}

fn name_and_prefix(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("s3://")?.trim_end_matches('/');
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let word = |text: &str, more: &[u8]| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b))
    };
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let good_name = (3..=63).contains(&name.len()) && word(name, b".-") && ends(bytes.first()) && ends(bytes.last());
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && word(&part.to_ascii_lowercase(), b"._-");
    let good_prefix = prefix.is_empty() || (prefix.len() <= 512 && prefix.split('/').all(part));
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    (good_name && good_prefix).then(|| (name.to_owned(), prefix))
}

/// It becomes part of a host's name.
fn region(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<String> {
    let text = field.get_ref();
    let good = (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !good {
        check.faults.at(
            &field.span(),
            format!("`{path}.region` must be the name of a region, like eu-central-1"),
        );
    }
    good.then(|| text.clone())
}

fn endpoint(check: &mut Check<'_>, field: &Spanned<String>, path: &str) -> Option<Url> {
    let good = Url::parse(field.get_ref()).ok().filter(|url| {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        scheme && bare && url.username().is_empty() && url.password().is_none() && url.host().is_some()
    });
    if good.is_none() {
        check.faults.at(
            &field.span(),
            format!("`{path}.endpoint` must be https://HOST without path or query (http:// only on loopback)"),
        );
    }
    good
}
