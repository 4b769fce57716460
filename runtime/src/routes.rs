//! The routes of a program and who may call each one, as data. A closed router builds the table, tests
//! assert on it and exports are generated from it. This module decides nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    columns::{aligned, cells, head},
    policy::Policy,
};
pub use crate::{
    handler::{GuardedHandler, PolicyTable, guarded, policy_of},
    policy::Endpoint,
    registry::{GuardedEndpoint, PublicEndpoint, endpoints, public_endpoints},
};

/// The routes of one program.
///
/// It serializes to the JSON that `service-token endpoints` reads. `Display` prints the routes in columns, for a
/// review or a snapshot. It omits line numbers, so that moving a handler does not change the output.
///
/// ```
/// use service_only::{Policy, routes::{Access, Route, RouteTable}};
///
/// const ORCHESTRATOR: Policy<'static> = Policy::any_service().services(&["orchestrator"]);
/// let table = RouteTable::new("orders")
///     .route(Route::new(["DELETE"], "/tenants/{id}", Access::from(&ORCHESTRATOR)))
///     .route(Route::new(["GET"], "/healthz", Access::public("load balancers have no token")));
/// assert_eq!(table.routes()[0].path(), "/tenants/{id}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    service: String,
    routes: Vec<Route>,
}

impl RouteTable {
    /// Creates an empty table for the service with this name.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), routes: Vec::new() }
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// The name of the service that answers these routes.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The routes, in the order in which they were added.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Extend<Route> for RouteTable {
    fn extend<T: IntoIterator<Item = Route>>(&mut self, routes: T) {
        self.routes.extend(routes);
    }
}

impl fmt::Display for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asks = |route: &Route| matches!(route.access, Access::ServiceOnly { issuers: Some(_), .. });
        let with_issuers = self.routes.iter().any(asks);
        let row = |route| row(route, with_issuers);
        aligned(f, &head(["methods", "path"], with_issuers), self.routes.iter().map(row))
    }
}

fn row(route: &Route, with_issuers: bool) -> Vec<String> {
    let methods = match (route.fallback, route.methods.is_empty()) {
        (false, true) => "any".to_owned(),
        (false, false) => route.methods.join(" "),
        (true, true) => "fallback".to_owned(),
        (true, false) => format!("fallback {}", route.methods.join(" ")),
    };
    let asked = match &route.access {
        Access::ServiceOnly { issuers, services, roles, scopes, max_age } => {
            let issuers = with_issuers.then_some(issuers.as_deref());
            cells(issuers, services.as_deref(), roles.as_deref(), scopes, *max_age)
        }
        Access::Public { reason } => vec![format!("public: {reason}")],
    };
    [methods, route.path.clone()].into_iter().chain(asked).collect()
}

/// One path, the methods that it answers, and who may call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    methods: Vec<String>,
    path: String,
    /// Left out of the JSON if it is false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fallback: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handler: Option<Handler>,
    access: Access,
}

/// The function and the source line of a route's handler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Handler {
    endpoint: String,
    line: u32,
}

impl Route {
    /// Creates a route. An empty list of methods means any method. Write a parameter of the path as `{name}`,
    /// and one that matches the rest of the path as `{*name}`.
    pub fn new<M: Into<String>>(
        methods: impl IntoIterator<Item = M>,
        path: impl Into<String>,
        access: Access,
    ) -> Self {
        let methods = methods.into_iter().map(Into::into).collect();
        Self { methods, path: path.into(), fallback: false, handler: None, access }
    }

    /// Makes the route a fallback: it answers only paths that no other route matches, even if its own
    /// pattern is wide.
    #[must_use]
    pub fn as_fallback(self) -> Self {
        Self { fallback: true, ..self }
    }

    /// Sets the handler that answers.
    #[must_use]
    pub fn handled_by(self, endpoint: &Endpoint) -> Self {
        let handler = Handler { endpoint: endpoint.to_string(), line: endpoint.line() };
        Self { handler: Some(handler), ..self }
    }

    /// The methods that the route answers. An empty slice means any method.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// The template of the path, such as `/tenants/{id}`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the router tries all other routes before this one.
    pub fn is_fallback(&self) -> bool {
        self.fallback
    }

    /// The handler as `module::path::function`, if it is known.
    pub fn endpoint(&self) -> Option<&str> {
        self.handler.as_ref().map(|handler| handler.endpoint.as_str())
    }

    /// The source line of the handler, if it is known.
    pub fn line(&self) -> Option<u32> {
        self.handler.as_ref().map(|handler| handler.line)
    }

    /// Who may call the route.
    pub fn access(&self) -> &Access {
        &self.access
    }
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Access {
    /// Services that meet a policy. The fields are named like the methods of [`Policy`].
    ServiceOnly {
        /// The issuer must be one of these. If absent, any issuer that the verifier trusts; an empty list
        /// refuses every caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuers: Option<Vec<String>>,
        /// The service must be one of these. If absent, any service; an empty list refuses every caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        services: Option<Vec<String>>,
        /// The role must be one of these. If absent, any role; an empty list refuses every caller.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roles: Option<Vec<String>>,
        /// The token must have all of these scopes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<String>,
        /// The maximum age of a token, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_age: Option<u64>,
    },
    /// Every caller, even without a token.
    Public {
        /// Why the route is public, as written in the code.
        reason: String,
    },
}

impl Access {
    /// Creates access for every caller, with the reason why.
    pub fn public(reason: impl Into<String>) -> Self {
        Self::Public { reason: reason.into() }
    }
}

impl From<&Policy<'_>> for Access {
    fn from(policy: &Policy<'_>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Self::ServiceOnly {
            issuers: policy.allowed_issuers().map(owned),
            services: policy.allowed_services().map(owned),
            roles: policy.allowed_roles().map(owned),
            scopes: owned(policy.required_scopes()),
            max_age: policy.allowed_age().map(|age| age.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy<'static> = Policy::any_service().services(&["a", "b"]).scopes(&["x:y"]);

    #[test]
    fn a_table_is_unchanged_after_a_json_round_trip() {
        let table = RouteTable::new("orders")
            .route(Route::new(["GET", "DELETE"], "/tenants/{id}", Access::from(&POLICY)))
            .route(Route::new([""; 0], "/{*rest}", Access::public("it is a website")).as_fallback());
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<RouteTable>(&json).unwrap(), table);
    }

    #[test]
    fn json_marks_only_fallbacks() {
        let json = |route: &Route| serde_json::to_value(route).unwrap().get("fallback").cloned();
        let route = Route::new(["GET"], "/", Access::public("it is a website"));
        assert_eq!(json(&route), None);
        assert_eq!(json(&route.as_fallback()), Some(true.into()));
    }

    #[test]
    fn a_table_is_shown_in_columns_with_the_reason_of_what_is_public() {
        let table = RouteTable::new("orders")
            .route(Route::new(["GET", "DELETE"], "/tenants/{id}", Access::from(&POLICY)))
            .route(Route::new([""; 0], "/files", Access::from(&POLICY)))
            .route(
                Route::new([""; 0], "/{*rest}", Access::public("it is a website for all the world"))
                    .as_fallback(),
            );
        insta::assert_snapshot!(table, @r"
        methods     path           services  roles  scopes  max_age
        ----------  -------------  --------  -----  ------  -------
        GET DELETE  /tenants/{id}  a b       any    x:y     any
        any         /files         a b       any    x:y     any
        fallback    /{*rest}       public: it is a website for all the world
        ");
    }

    #[test]
    fn table_has_a_column_of_issuers_if_a_route_requires_some() {
        let policy = POLICY.issuers(&["bakery-auth", "https://mill.example"]);
        let table = RouteTable::new("orders")
            .route(Route::new(["GET"], "/a", Access::from(&policy)))
            .route(Route::new(["GET"], "/b", Access::from(&POLICY)))
            .route(Route::new(["GET"], "/c", Access::public("it is a website")));
        insta::assert_snapshot!(table, @r"
        methods  path  issuers                           services  roles  scopes  max_age
        -------  ----  --------------------------------  --------  -----  ------  -------
        GET      /a    bakery-auth https://mill.example  a b       any    x:y     any
        GET      /b    any                               a b       any    x:y     any
        GET      /c    public: it is a website
        ");
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<RouteTable>(&json).unwrap(), table);
        assert_eq!(json.matches("issuers").count(), 1);
    }

    #[test]
    fn an_unknown_word_in_a_table_is_an_error() {
        let json = r#"{"service":"orders","routes":[{"methods":[],"path":"/","access":{"service_only":{"scope":["a"]}}}]}"#;
        assert!(serde_json::from_str::<RouteTable>(json).is_err());
    }

    #[test]
    fn an_empty_list_of_services_differs_from_any_service() {
        let nobody = Access::from(&Policy::any_service().services(&[]));
        assert_ne!(nobody, Access::from(&Policy::any_service()));
        let json = serde_json::to_string(&nobody).unwrap();
        assert_eq!(serde_json::from_str::<Access>(&json).unwrap(), nobody);
    }
}
