//! Adds to a document of utoipa who may call each operation: the security requirement, the policy, and the responses to a
//! refused caller.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use service_only::routes::{Access, RouteTable, endpoints, public_endpoints};
use utoipa::{
    Modify,
    openapi::{
        Components, OpenApi, Ref, RefOr,
        path::{Operation, PathItem},
        security::SecurityRequirement,
    },
};

use crate::{
    ExportError,
    openapi::{SCHEME, USER_SCHEME, components, methods, operation, written},
    plan,
};

/// The responses to a refused caller, by their names in the components.
const REFUSALS: [(&str, &str); 2] = [("401", "Unauthorized"), ("403", "Forbidden")];

/// Describes each operation by the attribute of its handler, in a document of utoipa.
///
/// An operation belongs to the handler whose name is its operation id. That is the default of `#[utoipa::path]`, which
/// may be above or below `#[service_only]`. A guarded operation gets the requirement in `security`, the rest of its
/// policy in `x-service-only` and `x-users-only`, and the responses 401 and 403 unless it has its own. A public one
/// gets an empty `security` and its reason in `x-public`. A `security` that you wrote is replaced, because the guard
/// requires nothing else.
///
/// ```
/// use service_only::service_only;
/// use service_only_export::GuardedHandlers;
/// use utoipa::OpenApi;
///
/// #[utoipa::path(get, path = "/orders", responses((status = 200, description = "The orders.")))]
/// #[service_only(services("billing"), scopes("orders:read"))]
/// async fn list_orders() {}
///
/// #[derive(OpenApi)]
/// #[openapi(paths(list_orders), modifiers(&GuardedHandlers))]
/// struct Document;
///
/// let document = serde_json::to_value(Document::openapi())?;
/// let operation = &document["paths"]["/orders"]["get"];
/// assert_eq!(operation["security"][0]["serviceToken"][0], "orders:read");
/// assert!(operation["responses"]["401"].is_object() && operation["responses"]["403"].is_object());
/// assert!(GuardedHandlers.unmatched(&Document::openapi()).is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Limits
///
/// An operation is unchanged if no handler with an attribute has its name, or if several handlers have it. In the
/// second case, write `operation_id = "module::list_orders"`, with as many modules of the path as you need to
/// distinguish the handlers. Assert in a test that [`unmatched`](Self::unmatched) is empty. If the names cannot tell
/// your handlers apart, use [`GuardedRoutes`] with the table of a closed router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a word in `modifiers(&GuardedHandlers)`")]
pub struct GuardedHandlers;

impl GuardedHandlers {
    /// The operations that no handler or more than one handler describes, such as `GET /orders`.
    pub fn unmatched(&self, document: &OpenApi) -> Vec<String> {
        let handlers = Handlers::of_program();
        unmatched(document, |_, _, operation| handlers.find(operation).is_some())
    }
}

impl Modify for GuardedHandlers {
    fn modify(&self, document: &mut OpenApi) {
        let handlers = Handlers::of_program();
        describe(document, |_, _, operation| handlers.find(operation));
    }
}

/// Describes each operation by its route in a table, in a document of utoipa. A closed router builds the table.
///
/// An operation belongs to the route with the same method and path; the names of path parameters may differ. The
/// changes are those of [`GuardedHandlers`].
///
/// ```
/// use service_only::{Verifier, ClosedRouter, closed::get, service_only};
/// use service_only_export::GuardedRoutes;
/// use utoipa::{Modify, OpenApi};
///
/// #[utoipa::path(get, path = "/orders", responses((status = 200, description = "The orders.")))]
/// #[service_only(services("billing"))]
/// async fn list() {}
///
/// #[derive(OpenApi)]
/// #[openapi(paths(list))]
/// struct Document;
///
/// let table = ClosedRouter::<Verifier>::new().route("/orders", get(list)).routes("orders");
/// let routes = GuardedRoutes::new(&table)?;
/// let mut document = Document::openapi();
/// routes.modify(&mut document);
/// assert!(routes.unmatched(&document).is_empty());
/// # Ok::<(), service_only_export::ExportError>(())
/// ```
#[derive(Debug, Clone)]
pub struct GuardedRoutes(BTreeMap<(String, String), Described>);

impl GuardedRoutes {
    /// Reads a table.
    ///
    /// # Errors
    /// As [`openapi`](crate::openapi()): for a method or a path that OpenAPI cannot express.
    pub fn new(table: &RouteTable) -> Result<Self, ExportError> {
        let mut routes = BTreeMap::new();
        for rule in plan::rules(table)? {
            let refused = |reason: String| ExportError::route(plan::name(rule.route), reason);
            let shape = written(&rule.template, |_| "{}".to_owned()).map_err(refused)?;
            let described = Described::new(rule.route.access(), rule.route.endpoint());
            for method in methods(&rule).map_err(refused)? {
                routes.insert((shape.clone(), method.to_owned()), described.clone());
            }
        }
        Ok(Self(routes))
    }

    /// The operations that no route describes, such as `GET /orders`.
    pub fn unmatched(&self, document: &OpenApi) -> Vec<String> {
        unmatched(document, |path, method, _| self.find(path, method).is_some())
    }

    fn find(&self, path: &str, method: &str) -> Option<&Described> {
        self.0.get(&(shape(path), method.to_owned()))
    }
}

impl Modify for GuardedRoutes {
    fn modify(&self, document: &mut OpenApi) {
        describe(document, |path, method, _| self.find(path, method));
    }
}

/// Who may call an operation, as the export writes it.
#[derive(Debug, Clone, PartialEq)]
struct Described {
    /// Empty for a public operation.
    security: Vec<Requirement>,
    extensions: Vec<(String, Value)>,
    has_users: bool,
}

impl Described {
    fn new(access: &Access, handler: Option<&str>) -> Self {
        let services = access.for_services().map(|asked| (SCHEME, asked));
        let users = access.for_users().map(|asked| (USER_SCHEME, asked));
        let security = services
            .into_iter()
            .chain(users)
            .map(|(scheme, asked)| Requirement { scheme, scopes: asked.scopes.clone() });
        let operation = operation(access, handler);
        let members = operation.as_object().into_iter().flatten();
        let extensions = members.filter(|(name, _)| name.starts_with("x-"));
        Self {
            security: security.collect(),
            extensions: extensions.map(|(name, value)| (name.clone(), value.clone())).collect(),
            has_users: access.for_users().is_some(),
        }
    }
}

/// The scheme of a token, and the scopes that it needs. The type of utoipa has no `Debug`.
#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    scheme: &'static str,
    scopes: Vec<String>,
}

/// The handlers with an attribute, by their complete names.
struct Handlers(Vec<(String, Described)>);

impl Handlers {
    fn of_program() -> Self {
        let guarded = endpoints().into_iter().map(|handler| {
            let name = handler.endpoint().to_string();
            let described = Described::new(&Access::from(handler.policy()), Some(&name));
            (name, described)
        });
        let public = public_endpoints().into_iter().map(|handler| {
            let name = handler.endpoint().to_string();
            let described = Described::new(&Access::public(handler.reason()), Some(&name));
            (name, described)
        });
        Self(guarded.chain(public).collect())
    }

    /// The only handler whose name ends in the operation id.
    fn find(&self, operation: &Operation) -> Option<&Described> {
        let id = operation.operation_id.as_deref().filter(|id| !id.is_empty())?;
        let is_named =
            |name: &str| name.strip_suffix(id).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"));
        let mut found = self.0.iter().filter(|(name, _)| is_named(name));
        match (found.next(), found.next()) {
            (Some((_, described)), None) => Some(described),
            _ => None,
        }
    }
}

fn unmatched(document: &OpenApi, is_described: impl Fn(&str, &str, &Operation) -> bool) -> Vec<String> {
    let mut missing = Vec::new();
    for (path, item) in &document.paths.paths {
        let mut item = item.clone();
        for (method, operation) in operations(&mut item) {
            if !is_described(path, method, operation) {
                missing.push(format!("{method} {path}"));
            }
        }
    }
    missing
}

fn describe<'d>(document: &mut OpenApi, find: impl Fn(&str, &str, &Operation) -> Option<&'d Described>) {
    let mut kinds = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(described) = find(path, method, operation) {
                kinds.insert(described.has_users);
                apply(operation, described);
            }
        }
    }
    if kinds.is_empty() {
        return;
    }
    // Two constants, which a test converts.
    let own: Components = serde_json::from_value(components(kinds.contains(&true))).unwrap_or_default();
    let known = document.components.get_or_insert_default();
    for (name, response) in own.responses {
        known.responses.entry(name).or_insert(response);
    }
    for (name, schema) in own.schemas {
        known.schemas.entry(name).or_insert(schema);
    }
    for (name, scheme) in own.security_schemes {
        known.security_schemes.entry(name).or_insert(scheme);
    }
}

fn apply(operation: &mut Operation, described: &Described) {
    let security = described.security.iter();
    operation.security =
        Some(security.map(|asked| SecurityRequirement::new(asked.scheme, &asked.scopes)).collect());
    if !described.security.is_empty() {
        for (status, response) in REFUSALS {
            let response = RefOr::Ref(Ref::from_response_name(response));
            operation.responses.responses.entry(status.to_owned()).or_insert(response);
        }
    }
    operation.extensions.get_or_insert_default().extend(described.extensions.clone());
}

/// The operations of a path, with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let all = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("OPTIONS", options),
        ("HEAD", head),
        ("PATCH", patch),
        ("TRACE", trace),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A path without the names of its parameters, which OpenAPI does not compare.
fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    let mut parts = path.split('{');
    shape.push_str(parts.next().unwrap_or_default());
    for part in parts {
        shape.push_str("{}");
        shape.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_parts_of_a_document_are_valid_for_utoipa() {
        for has_users in [false, true] {
            let text = components(has_users);
            let own: Components = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(own).unwrap(), text);
        }
    }

    #[test]
    fn paths_are_compared_without_the_names_of_their_parameters() {
        for (path, expected) in [
            ("/orders", "/orders"),
            ("/tenants/{tenant}/orders/{id}", "/tenants/{}/orders/{}"),
            ("/files/{rest}", "/files/{}"),
            ("/{", "/{}"),
        ] {
            assert_eq!(shape(path), expected);
        }
    }
}
