//! Exports OpenAPI 3.1: the security scheme, and what each operation requires of its caller.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    ExportError,
    plan::{self, Rule},
    template::{Piece, Template},
};
use service_only::routes::{Access, Requirements, RouteTable};

pub(crate) const SCHEME: &str = "serviceToken";
pub(crate) const USER_SCHEME: &str = "userToken";

/// The methods for which a path item of OpenAPI 3.1 can have an operation.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// An OpenAPI 3.1 document as JSON, with `version` as the version of the API.
///
/// It describes who may call; you must add the inputs and outputs of a handler. An operation lists its scopes
/// in `security` and the rest of its policy in `x-service-only`. A public operation has an empty `security`,
/// and its reason in `x-public`. A route for any method has every operation.
///
/// # Errors
/// For a method that OpenAPI does not support, and for two paths that it cannot distinguish.
pub fn openapi(table: &RouteTable, version: &str) -> Result<String, ExportError> {
    let has_users = table.routes().iter().any(|route| route.access().for_users().is_some());
    let document = json!({
        "components": components(has_users),
        "info": { "title": table.service(), "version": version },
        "openapi": "3.1.0",
        "paths": paths(table)?,
        // The default for operations that are not listed: they are not public either.
        "security": [{ SCHEME: [] }],
    });
    Ok(format!("{document:#}\n"))
}

/// What every operation refers to: the schemes of the tokens, and the responses to a refused caller.
pub(crate) fn components(has_users: bool) -> Value {
    let scheme = |description: &str| json!({ "bearerFormat": "JWT", "description": description, "scheme": "bearer", "type": "http" });
    let mut schemes = Map::from_iter([(SCHEME.to_owned(), scheme("A service token."))]);
    if has_users {
        schemes.insert(USER_SCHEME.to_owned(), scheme("A user's access token."));
    }
    json!({
        "responses": {
            "Forbidden": response("The token does not belong to an allowed caller."),
            "Unauthorized": response("The token is missing or not authentic."),
        },
        "schemas": { "Problem": problem() },
        "securitySchemes": schemes,
    })
}

fn paths(table: &RouteTable) -> Result<Value, ExportError> {
    let mut items: BTreeMap<String, (Template, String, Map<String, Value>)> = BTreeMap::new();
    for rule in plan::rules(table)? {
        let refused = |reason: String| ExportError::route(plan::name(rule.route), reason);
        let path = written(&rule.template, |name| format!("{{{name}}}")).map_err(refused)?;
        // For OpenAPI, two paths that differ only in the names of their parameters are the same.
        let shape = written(&rule.template, |_| "{}".to_owned()).map_err(refused)?;
        let (template, known, item) = items.entry(shape).or_insert_with(|| {
            let item = Map::from_iter([("parameters".to_owned(), parameters(&rule.template))]);
            (rule.template.clone(), path, item)
        });
        if *template != rule.template {
            return Err(refused(format!("OpenAPI cannot distinguish it from `{known}`")));
        }
        let operation = operation(rule.route.access(), rule.route.endpoint());
        for method in methods(&rule).map_err(refused)? {
            item.insert(method.to_ascii_lowercase(), operation.clone());
        }
    }
    Ok(items.into_values().map(|(_, path, item)| (path, Value::Object(item))).collect())
}

pub(crate) fn written(template: &Template, parameter: impl Fn(&str) -> String) -> Result<String, String> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) if text.contains(['{', '}', '?', '#']) => {
            Err("OpenAPI cannot express one of its characters".to_owned())
        }
        Piece::Text(text) => Ok(text.clone()),
        Piece::Parameter(name) | Piece::Rest(name) => Ok(parameter(name)),
    };
    template.pieces().iter().map(piece).collect()
}

fn parameters(template: &Template) -> Value {
    let parameter = |name: &str, what: &str| json!({ "description": what, "in": "path", "name": name, "required": true, "schema": { "type": "string" } });
    let piece = |piece: &Piece| match piece {
        Piece::Text(_) => None,
        Piece::Parameter(name) => Some(parameter(name, "One segment of the path.")),
        Piece::Rest(name) => Some(parameter(name, "The rest of the path, slashes included.")),
    };
    template.pieces().iter().filter_map(piece).collect()
}

pub(crate) fn methods<'r>(rule: &Rule<'r>) -> Result<Vec<&'r str>, String> {
    if rule.route.methods().is_empty() {
        return Ok(METHODS.into_iter().filter(|method| !rule.without_methods.contains(method)).collect());
    }
    let known = |method: &'r String| match METHODS.contains(&method.as_str()) {
        true => Ok(method.as_str()),
        false => Err(format!("OpenAPI 3.1 has no operation for the method `{method}`")),
    };
    rule.route.methods().iter().map(known).collect()
}

/// What an operation requires of its caller, and how it answers a refused one.
pub(crate) fn operation(access: &Access, handler: Option<&str>) -> Value {
    let answer = json!({ "description": "The handler's response." });
    let mut operation = match access {
        Access::Public { reason } => {
            json!({ "responses": { "default": answer }, "security": [], "x-public": reason })
        }
        access => {
            let services = access.for_services();
            let users = access.for_users();
            // One requirement for each kind of callers: one of them is enough.
            let security: Vec<_> = services
                .map(|services| json!({ SCHEME: services.scopes }))
                .into_iter()
                .chain(users.map(|users| json!({ USER_SCHEME: users.scopes })))
                .collect();
            let mut operation = json!({
                "responses": {
                    "401": { "$ref": "#/components/responses/Unauthorized" },
                    "403": { "$ref": "#/components/responses/Forbidden" },
                    "default": answer,
                },
                "security": security,
            });
            if let Some(operation) = operation.as_object_mut() {
                operation
                    .extend(services.map(|services| ("x-service-only".to_owned(), asked(services, true))));
                operation.extend(users.map(|users| ("x-users-only".to_owned(), asked(users, false))));
            }
            operation
        }
    };
    if let (Some(handler), Some(operation)) = (handler, operation.as_object_mut()) {
        operation.insert("x-handler".to_owned(), json!(handler));
    }
    operation
}

/// Each member of the first form is present, and `null` without a requirement: an empty list accepts no caller. Others
/// are omitted if the handler requires none.
fn asked(asked: &Requirements, has_services: bool) -> Value {
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
    add("max_age", json!(asked.max_age));
    add("roles", json!(asked.roles));
    add("scopes", json!(asked.scopes));
    if has_services || asked.services.is_some() {
        add("services", json!(asked.services));
    }
    if let Some(issuers) = &asked.issuers {
        add("issuers", json!(issuers));
    }
    if let Some(actors) = &asked.actors {
        add("actors", json!(actors));
    }
    if let Some(any_scope) = &asked.any_scope {
        add("any_scope", json!(any_scope));
    }
    if let Some(proof) = asked.proof {
        add("proof", json!(proof));
    }
    if !asked.claims.is_empty() {
        add("claims", json!(asked.claims));
    }
    Value::Object(members)
}

/// A problem document of RFC 9457, with the header of RFC 6750 section 3.
fn response(description: &str) -> Value {
    json!({
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        "description": description,
        "headers": { "WWW-Authenticate": { "schema": { "type": "string" } } },
    })
}

fn problem() -> Value {
    json!({
        "properties": {
            "instance": { "description": "The id of the audit record.", "format": "uri", "type": "string" },
            "status": { "type": "integer" },
            "title": { "type": "string" },
            "type": { "format": "uri-reference", "type": "string" },
        },
        "type": "object",
    })
}
