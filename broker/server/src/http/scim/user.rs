//! A user as JSON, coming and going.

use chunk_core::identity::directory::{DirectoryPerson, Told};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::Gateway;
use super::super::problem::Refusal;
use super::{SCIM_PATH, invalid};

/// Schema of users (RFC 7643 §4.1).
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Characters of a name.
const NAME_CHARS_MAX: usize = 255;

/// A user, as a directory sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ScimUser {
    schemas: [&'static str; 1],
    /// The person's pseudonym in the log.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    user_name: String,
    /// Whether the person may sign in, as far as the directory is concerned.
    active: bool,
    meta: Meta,
}

/// What every resource has (RFC 7643 §3.1).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Meta {
    resource_type: &'static str,
    created: String,
    last_modified: String,
    location: String,
}

impl ScimUser {
    pub(super) fn of(gateway: &Gateway, person: DirectoryPerson) -> Self {
        Self {
            schemas: [USER],
            meta: Meta {
                resource_type: "User",
                created: time(person.created_ms),
                last_modified: time(person.changed_ms),
                location: format!("{}{SCIM_PATH}Users/{}", gateway.base(), person.id),
            },
            id: person.id.to_string(),
            external_id: person.external_id,
            user_name: person.user_name,
            active: person.active,
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.meta.location
    }
}

/// A page of a list (RFC 7644 §3.4.2).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ScimList<T> {
    schemas: [&'static str; 1],
    total_results: usize,
    start_index: usize,
    items_per_page: usize,
    #[serde(rename = "Resources")]
    resources: Vec<T>,
}

impl<T> ScimList<T> {
    /// A page of a list of so many.
    pub(super) fn page(total_results: usize, start_index: usize, resources: Vec<T>) -> Self {
        Self {
            schemas: ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            total_results,
            start_index,
            items_per_page: resources.len(),
            resources,
        }
    }
}

/// What the user of a body says.
pub(super) fn read(body: &Value) -> Result<Told, Refusal> {
    let attributes = body
        .as_object()
        .ok_or_else(|| invalid("invalidSyntax", "A user is a JSON object."))?;
    let about_users = |schemas: &Value| {
        let mut schemas = schemas.as_array()?.iter().map(Value::as_str);
        schemas
            .any(|schema| schema.is_some_and(|schema| schema.eq_ignore_ascii_case(USER)))
            .then_some(())
    };
    let schemas = attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    if schemas.and_then(|(_, schemas)| about_users(schemas)).is_none() {
        return Err(invalid("invalidSyntax", format!("`schemas` must name `{USER}`.")));
    }
    let mut told = Told::default();
    tell(&mut told, attributes)?;
    if told.user_name.is_none() {
        return Err(invalid("invalidValue", "A user has a `userName`."));
    }
    Ok(told)
}

/// Adds what attributes by name say.
pub(super) fn tell(told: &mut Told, attributes: &Map<String, Value>) -> Result<(), Refusal> {
    let mut seen = Vec::new();
    for (name, value) in attributes {
        let Some(attribute) = Attribute::named(name)? else { continue };
        if seen.contains(&attribute) {
            return Err(invalid("invalidSyntax", format!("`{}` comes twice.", attribute.as_str())));
        }
        attribute.tell(told, value)?;
        seen.push(attribute);
    }
    Ok(())
}

/// What is kept of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    UserName,
    ExternalId,
    Active,
}

impl Attribute {
    const ALL: [Attribute; 3] = [Attribute::UserName, Attribute::ExternalId, Attribute::Active];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Attribute::UserName => "userName",
            Attribute::ExternalId => "externalId",
            Attribute::Active => "active",
        }
    }

    /// The attribute that a path or the name of a member is about; nothing where it is about one that is not kept.
    pub(super) fn named(path: &str) -> Result<Option<Self>, Refusal> {
        let prefix = path.get(..USER.len()).filter(|prefix| prefix.eq_ignore_ascii_case(USER));
        let short = match prefix {
            Some(_) => path.get(USER.len()..).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default(),
            None => path,
        };
        // Letters alone, so that `active.value`, `active[type eq "x"]` and ` active` are seen to be about `active`.
        let letters = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        let first = letters(short.trim_start());
        match Attribute::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(&first)) {
            Some(known) if first.len() == short.len() => Ok(Some(known)),
            Some(known) => Err(invalid("invalidPath", format!("`{}` has no parts.", known.as_str()))),
            None => Ok(None),
        }
    }

    /// Adds what a value of this attribute says.
    pub(super) fn tell(self, told: &mut Told, value: &Value) -> Result<(), Refusal> {
        match self {
            Attribute::UserName => told.user_name = Some(self.text(value)?),
            Attribute::ExternalId if value.is_null() => told.external_id = Some(None),
            Attribute::ExternalId => told.external_id = Some(Some(self.text(value)?)),
            Attribute::Active => told.active = Some(truth(value)?),
        }
        Ok(())
    }

    fn text(self, value: &Value) -> Result<String, Refusal> {
        let text = value.as_str().filter(|text| {
            let chars = text.chars().count();
            (1..=NAME_CHARS_MAX).contains(&chars) && !text.chars().any(char::is_control) && text.trim().len() == text.len()
        });
        text.map(str::to_owned).ok_or_else(|| {
            let name = self.as_str();
            invalid(
                "invalidValue",
                format!("`{name}` must be a text of 1 to {NAME_CHARS_MAX} characters, without control characters or space around it."),
            )
        })
    }
}

/// A boolean; Entra ID writes it as text.
fn truth(value: &Value) -> Result<bool, Refusal> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(invalid("invalidValue", "`active` must be true or false.")),
    }
}

/// RFC 3339, with milliseconds.
fn time(time_ms: i64) -> String {
    format!("{:.3}", Timestamp::from_millisecond(time_ms).unwrap_or_default())
}
