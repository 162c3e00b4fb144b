//! The filters that directories ask with: one attribute that equals one text.

use chunk_core::identity::directory::Sought;

use super::super::problem::Refusal;
use super::invalid;
use super::user::Attribute;

const FILTER_BYTES_MAX: usize = 2048;

/// Whom a filter asks for (RFC 7644 §3.4.2.2).
pub(super) fn read(filter: &str) -> Result<Sought, Refusal> {
    let refuse = || invalid("invalidFilter", "A filter must be `userName eq \"…\"` or `externalId eq \"…\"`.");
    if filter.len() > FILTER_BYTES_MAX {
        return Err(refuse());
    }
    let (path, rest) = filter.trim().split_once(' ').ok_or_else(refuse)?;
    let (operator, value) = rest.trim_start().split_once(' ').ok_or_else(refuse)?;
    if !operator.eq_ignore_ascii_case("eq") {
        return Err(refuse());
    }
    let value: String = serde_json::from_str(value.trim()).map_err(|_| refuse())?;
    match Attribute::named(path).map_err(|_| refuse())? {
        Some(Attribute::UserName) => Ok(Sought::UserName(value)),
        Some(Attribute::ExternalId) => Ok(Sought::ExternalId(value)),
        _ => Err(refuse()),
    }
}
