//! Asks Cedar: translates the question into its terms and its answer into ours.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, EvaluationError, Request,
    RestrictedExpression,
};

use super::load::PARSED_SCHEMA;
use super::{Action, Answer, Circumstances, PolicySet, Principal, Resource};

impl PolicySet {
    /// Whether these policies allow `action`. Every policy is evaluated; if one cannot be, the answer is no.
    pub fn evaluate(&self, action: Action, principal: &Principal<'_>, resource: &Resource<'_>, circumstances: &Circumstances) -> Answer {
        if principal.workload.is_some() && action.is_for_people() {
            return Answer {
                allowed: false,
                policies: Vec::new(),
                faults: Vec::new(),
            };
        }
        let (request, entities) = match question(action, principal, resource, circumstances) {
            Ok(question) => question,
            Err(fault) => {
                return Answer {
                    allowed: false,
                    policies: Vec::new(),
                    faults: vec![fault.to_owned()],
                };
            }
        };
        let response = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        let mut failed: Vec<(String, &'static str)> = response
            .diagnostics()
            .errors()
            .map(|error| match error {
                AuthorizationError::PolicyEvaluationError(error) => (error.policy_id().to_string(), described(error.inner())),
            })
            .collect();
        if !failed.is_empty() {
            failed.sort();
            let faults = failed
                .iter()
                .map(|(id, why)| format!("policy `{id}` could not be evaluated: {why}"))
                .collect();
            return Answer {
                allowed: false,
                policies: failed.into_iter().map(|(id, _)| id).collect(),
                faults,
            };
        }
        let mut policies: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        policies.sort();
        Answer {
            allowed: response.decision() == Decision::Allow,
            policies,
            faults: Vec::new(),
        }
    }
}

fn question(
    action: Action,
    principal: &Principal<'_>,
    resource: &Resource<'_>,
    circumstances: &Circumstances,
) -> Result<(Request, Entities), &'static str> {
    let user = principal_entity(principal)?;
    let resource = resource_entity(resource)?;
    let action = uid(&TYPES.action, action.as_str());
    let context = Context::from_pairs(context(principal, circumstances)?).map_err(|_| "the circumstances cannot be expressed in Cedar")?;
    let request = Request::new(user.uid(), action, resource.uid(), context, Some(&PARSED_SCHEMA))
        .map_err(|_| "the action does not apply to this kind of resource")?;
    let entities = Entities::from_entities([user, resource], Some(&PARSED_SCHEMA)).map_err(|_| "the entities do not fit the schema")?;
    Ok((request, entities))
}

fn principal_entity(principal: &Principal<'_>) -> Result<Entity, &'static str> {
    // An issuer is a URL without a fragment, so the first `#` ends it and no two people share an id.
    if principal.issuer.contains('#') {
        return Err("the issuer must not contain `#`");
    }
    let mut attributes = HashMap::from([
        ("issuer".to_owned(), string(principal.issuer)),
        ("subject".to_owned(), string(principal.subject)),
        ("name".to_owned(), string(principal.name)),
        ("groups".to_owned(), strings(principal.groups)),
    ]);
    if let Some(email) = principal.email {
        attributes.insert("email".to_owned(), string(email));
    }
    let groups: HashSet<EntityUid> = principal.groups.iter().map(|group| uid(&TYPES.group, group)).collect();
    let id = match principal.workload {
        None => uid(&TYPES.user, &format!("{}#{}", principal.issuer, principal.subject)),
        Some(workload) => uid(&TYPES.workload, &workload.rule),
    };
    Entity::new(id, attributes, groups).map_err(|_| "the caller cannot be expressed in Cedar")
}

fn resource_entity(resource: &Resource<'_>) -> Result<Entity, &'static str> {
    match *resource {
        Resource::Dataset { name, connection, labels } => {
            let attributes = HashMap::from([
                ("connection".to_owned(), string(connection)),
                ("labels".to_owned(), strings(labels)),
            ]);
            Entity::new(uid(&TYPES.dataset, name), attributes, HashSet::new())
        }
        Resource::Class { name, dataset } => {
            let attributes = HashMap::from([("dataset".to_owned(), string(dataset))]);
            Entity::new(uid(&TYPES.class, name), attributes, HashSet::from([uid(&TYPES.dataset, dataset)]))
        }
        Resource::Broker => Ok(Entity::new_no_attrs(uid(&TYPES.broker, "broker"), HashSet::new())),
    }
    .map_err(|_| "the resource cannot be expressed in Cedar")
}

/// What a workload's token says; every member is empty where it says nothing, and for people.
fn workload(principal: &Principal<'_>) -> Result<RestrictedExpression, &'static str> {
    let claims = principal.workload.map(|workload| &workload.claims);
    let provider = principal.workload.map_or("", |workload| workload.provider.as_str());
    let claim = |name: &str| claims.and_then(|claims| claims.get(name)).map_or("", String::as_str);
    let claims = CLAIMS.iter().map(|name| ((*name).to_owned(), string(claim(name))));
    RestrictedExpression::new_record(claims.chain([("provider".to_owned(), string(provider))]))
        .map_err(|_| "the workload cannot be expressed in Cedar")
}

/// Claims that policies may look at: those that say what runs, and not which run it is.
const CLAIMS: [&str; 9] = [
    "repository",
    "repository_id",
    "owner_id",
    "ref",
    "environment",
    "workflow",
    "event",
    "namespace",
    "service_account",
];

fn context(principal: &Principal<'_>, circumstances: &Circumstances) -> Result<Vec<(String, RestrictedExpression)>, &'static str> {
    let Circumstances {
        reason,
        ticket,
        rows_estimated,
        bytes_estimated,
        columns,
        statement,
        functions,
        format,
        standing_s,
        ip,
        now_ms,
        session_age_s,
        auth_age_s,
        amr,
        key_attested,
    } = circumstances;
    let now = jiff::Timestamp::from_millisecond(*now_ms)
        .map_err(|_| "the clock shows no time")?
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    let long = |value: &i64| RestrictedExpression::new_long(*value);
    let pairs = [
        ("reason", string(reason)),
        ("ticket", string(ticket)),
        ("rows_estimated", long(rows_estimated)),
        ("bytes_estimated", long(bytes_estimated)),
        ("columns", strings(columns)),
        ("statement", string(statement)),
        ("functions", strings(functions)),
        ("format", string(format)),
        ("standing_s", long(standing_s)),
        // `::ffff:10.0.0.1` is 10.0.0.1, or a range of IPv4 addresses would not hold it.
        ("ip", RestrictedExpression::new_ip(ip.to_canonical().to_string())),
        ("now", RestrictedExpression::new_datetime(now.to_string())),
        ("now_ms", long(now_ms)),
        ("session_age_s", long(session_age_s)),
        ("auth_age_s", long(auth_age_s)),
        ("amr", strings(amr)),
        ("key_attested", RestrictedExpression::new_bool(*key_attested)),
        ("workload", workload(principal)?),
    ];
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Cedar's own words hold values of the circumstances.
fn described(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::IntegerOverflow(_) => "an integer overflowed",
        EvaluationError::EntityDoesNotExist(_) | EvaluationError::EntityAttrDoesNotExist(_) => {
            "it uses an entity or attribute that is not part of the question"
        }
        EvaluationError::RecordAttrDoesNotExist(_) => "it uses an attribute that is not there",
        EvaluationError::TypeError(_) => "it compares values of different types",
        EvaluationError::FailedExtensionFunctionExecution(_) => "a function failed on its argument",
        EvaluationError::RecursionLimit(_) => "it is nested too deeply",
        _ => "evaluation failed",
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn strings(texts: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.iter().map(|text| string(text)))
}

struct Types {
    user: EntityTypeName,
    workload: EntityTypeName,
    group: EntityTypeName,
    dataset: EntityTypeName,
    class: EntityTypeName,
    broker: EntityTypeName,
    action: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the names are constants; every test of this module parses them")]
    let parse = |name: &str| name.parse().expect("a type name");
    Types {
        user: parse("User"),
        workload: parse("Workload"),
        group: parse("Group"),
        dataset: parse("Dataset"),
        class: parse("Class"),
        broker: parse("Broker"),
        action: parse("Action"),
    }
});
