//! A PATCH (RFC 7644 §3.5.2): operations that count together or not at all.

use chunk_core::identity::directory::Told;
use serde_json::Value;

use super::super::problem::Refusal;
use super::invalid;
use super::user::{Attribute, tell};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const OPERATIONS_MAX: usize = 100;
const PATH_BYTES_MAX: usize = 512;

/// What the operations of a body say, the later of two about one attribute counting.
pub(super) fn read(body: &Value) -> Result<Told, Refusal> {
    let member = |name: &str| {
        let mut members = body.as_object()?.iter();
        members.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let schemas = member("schemas").and_then(Value::as_array).into_iter().flatten();
    let is_patch = |schema: &Value| schema.as_str().is_some_and(|schema| schema.eq_ignore_ascii_case(PATCH_OP));
    if !schemas.into_iter().any(is_patch) {
        return Err(invalid("invalidSyntax", format!("`schemas` must name `{PATCH_OP}`.")));
    }
    let operations = member("Operations").and_then(Value::as_array);
    let operations = operations.filter(|operations| (1..=OPERATIONS_MAX).contains(&operations.len()));
    let operations = operations.ok_or_else(|| {
        invalid(
            "invalidSyntax",
            format!("`Operations` must be a list of 1 to {OPERATIONS_MAX} operations."),
        )
    })?;
    let mut told = Told::default();
    for operation in operations {
        apply(&mut told, operation)?;
    }
    Ok(told)
}

fn apply(told: &mut Told, operation: &Value) -> Result<(), Refusal> {
    let word = operation.get("op").and_then(Value::as_str).unwrap_or_default();
    let removes = match word.to_ascii_lowercase().as_str() {
        "add" | "replace" => false,
        "remove" => true,
        _ => return Err(invalid("invalidSyntax", "`op` must be add, replace or remove.")),
    };
    let value = operation.get("value");
    match operation.get("path") {
        None if removes => Err(invalid("noTarget", "What is removed must be named by `path`.")),
        None => {
            let attributes = value.and_then(Value::as_object);
            let attributes =
                attributes.ok_or_else(|| invalid("invalidSyntax", "Without `path`, `value` must be an object of attributes."))?;
            tell(told, attributes)
        }
        Some(path) => {
            let path = path.as_str().filter(|path| is_path(path));
            let path = path.ok_or_else(|| invalid("invalidPath", "`path` must be the path of an attribute."))?;
            match (Attribute::named(path)?, removes) {
                (None, _) => Ok(()),
                (Some(Attribute::ExternalId), true) => {
                    told.external_id = Some(None);
                    Ok(())
                }
                (Some(attribute), true) => {
                    let name = attribute.as_str();
                    Err(invalid("mutability", format!("`{name}` cannot be removed; replace it.")))
                }
                (Some(attribute), false) => {
                    let value = value.ok_or_else(|| invalid("invalidValue", "The operation has no `value`."))?;
                    attribute.tell(told, value)
                }
            }
        }
    }
}

/// Whether it could be a path: what is passed over must at least be one.
fn is_path(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && path.starts_with(|c: char| c.is_ascii_alphabetic()) && !path.chars().any(char::is_control)
}
