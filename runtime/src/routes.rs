//! The routes of a program and who may call each one, as data. A closed router builds the table, tests
//! assert on it and exports are generated from it. This module decides nothing.

use std::{collections::BTreeMap, fmt, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    columns::{Optional, Row, aligned, head},
    policy::Policy,
    policy_digest::digest_of_rows,
    proof::RequiredProof,
    threads::locked,
};
pub use crate::{
    handler::{GuardedHandler, PolicyTable, guarded, policy_of},
    policy::{Endpoint, PolicyDigest},
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
        let needs = self.routes.iter().flat_map(|route| route.access.rows());
        let optional = Optional::of(needs.map(|row| row.needs()));
        let rows = self.routes.iter().flat_map(|route| route.rows(optional));
        aligned(f, &head(["methods", "path"], optional), rows)
    }
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

    /// The rows of a text table: two for a route of services and users.
    fn rows(&self, optional: Optional) -> Vec<Vec<String>> {
        let methods = match (self.fallback, self.methods.is_empty()) {
            (false, true) => "any".to_owned(),
            (false, false) => self.methods.join(" "),
            (true, true) => "fallback".to_owned(),
            (true, false) => format!("fallback {}", self.methods.join(" ")),
        };
        let place = [methods, self.path.clone()];
        if let Access::Public { reason } = &self.access {
            return vec![place.into_iter().chain([format!("public: {reason}")]).collect()];
        }
        let asked = self.access.rows().map(|row| row.cells(optional));
        asked.map(|asked| place.clone().into_iter().chain(asked).collect()).collect()
    }
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Access {
    /// Services that meet a policy.
    ServiceOnly(Requirements),
    /// Users that meet a policy.
    Users(Requirements),
    /// Services and users, each with a policy of their own.
    Callers {
        /// What a service must have.
        services: Requirements,
        /// What a user must have.
        users: Requirements,
    },
    /// Every caller, even without a token.
    Public {
        /// Why the route is public, as written in the code.
        reason: String,
    },
}

/// The requirements for one kind of caller: services or users. The fields have the names of the methods of [`Policy`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Requirements {
    /// The issuer must be one of these. If absent, any issuer that the verifier trusts; an empty list
    /// refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuers: Option<Vec<String>>,
    /// The service must be one of these. If absent, any service; an empty list refuses every caller. A user is refused
    /// by any list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// One of these parties must act for the caller (`act`). If absent, none is required; an empty list refuses every
    /// caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actors: Option<Vec<String>>,
    /// The role must be one of these. If absent, any role; an empty list refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The token must have all of these scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The token must have one of these scopes. If absent, none is required; an empty list refuses every caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any_scope: Option<Vec<String>>,
    /// The claims that the token must have, with their values. A value in braces is a path parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    /// The maximum age of a token, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// The proof that the sender of a token must give. If absent, a bearer token is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<RequiredProof>,
}

impl Requirements {
    /// Whether an empty list refuses every caller.
    pub fn refuse_everyone(&self) -> bool {
        let lists = [&self.issuers, &self.services, &self.actors, &self.roles, &self.any_scope];
        lists.into_iter().any(|list| list.as_ref().is_some_and(Vec::is_empty))
    }

    /// These requirements as a policy that lives as long as the program.
    fn leaked(&self, any: Policy<'static>) -> Policy<'static> {
        let text = |text: &String| -> &'static str { text.clone().leak() };
        let list = |names: &[String]| -> &'static [&'static str] {
            names.iter().map(text).collect::<Vec<_>>().leak()
        };
        let claims: Vec<_> = self.claims.iter().map(|(name, value)| (text(name), text(value))).collect();
        let policy = any.scopes(list(&self.scopes)).claims(claims.leak());
        let policy = self.issuers.as_deref().map_or(policy, |issuers| policy.issuers(list(issuers)));
        let policy = self.services.as_deref().map_or(policy, |services| policy.services(list(services)));
        let policy = self.actors.as_deref().map_or(policy, |actors| policy.actors(list(actors)));
        let policy = self.roles.as_deref().map_or(policy, |roles| policy.roles(list(roles)));
        let policy = self.any_scope.as_deref().map_or(policy, |scopes| policy.any_scope(list(scopes)));
        let policy = self.proof.map_or(policy, |proof| policy.proof(proof));
        self.max_age.map_or(policy, |seconds| policy.max_age(Duration::from_secs(seconds)))
    }

    fn row(&self, is_for_users: bool) -> Row<'_, String> {
        Row {
            is_for_users,
            issuers: self.issuers.as_deref(),
            services: self.services.as_deref(),
            actors: self.actors.as_deref(),
            roles: self.roles.as_deref(),
            scopes: &self.scopes,
            any_scope: self.any_scope.as_deref(),
            claims: self.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            max_age: self.max_age,
            proof: self.proof,
        }
    }
}

impl From<&Policy<'_>> for Requirements {
    fn from(policy: &Policy<'_>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let claims = policy.required_claims().iter();
        Self {
            issuers: policy.allowed_issuers().map(owned),
            services: policy.allowed_services().map(owned),
            actors: policy.allowed_actors().map(owned),
            roles: policy.allowed_roles().map(owned),
            scopes: owned(policy.required_scopes()),
            any_scope: policy.alternative_scopes().map(owned),
            claims: claims.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            max_age: policy.allowed_age().map(|age| age.as_secs()),
            proof: policy.required_proof(),
        }
    }
}

impl Access {
    /// Creates access for every caller, with the reason why.
    pub fn public(reason: impl Into<String>) -> Self {
        Self::Public { reason: reason.into() }
    }

    /// What a service must have; `None` if the route is public, or no service may call it.
    pub fn for_services(&self) -> Option<&Requirements> {
        match self {
            Self::ServiceOnly(services) | Self::Callers { services, .. } => Some(services),
            Self::Users(_) | Self::Public { .. } => None,
        }
    }

    /// What a user must have; `None` if the route is public, or no user may call it.
    pub fn for_users(&self) -> Option<&Requirements> {
        match self {
            Self::Users(users) | Self::Callers { users, .. } => Some(users),
            Self::ServiceOnly(_) | Self::Public { .. } => None,
        }
    }

    /// The policy of this access, for a [`ServiceOnlyLayer`](crate::ServiceOnlyLayer) or
    /// [`Verifier::verify_with`](crate::Verifier::verify_with). Use it for a policy from a configuration. `None` if the route
    /// is public.
    ///
    /// The texts of the policy stay in memory until the program ends, once for all equal accesses. For values that
    /// change at run time, use a [set of services](crate::verifier::VerifierBuilder::service_set).
    ///
    /// ```
    /// use service_only::routes::Access;
    /// # fn main() -> Result<(), serde_json::Error> {
    /// let access: Access = serde_json::from_str(r#"{"service_only":{"services":["orders"]}}"#)?;
    /// let policy = access.to_policy().expect("it is not public");
    /// assert_eq!(policy.allowed_services(), Some(&["orders"][..]));
    /// # Ok(()) }
    /// ```
    pub fn to_policy(&self) -> Option<Policy<'static>> {
        static KEPT: Mutex<Vec<(Access, Policy<'static>)>> = Mutex::new(Vec::new());
        let mut kept = locked(&KEPT);
        if let Some((_, policy)) = kept.iter().find(|(access, _)| access == self) {
            return Some(*policy);
        }
        let services = self.for_services().map(|services| services.leaked(Policy::any_service()));
        let users = self.for_users().map(|users| users.leaked(Policy::any_user()));
        let policy = match (services, users) {
            (Some(services), Some(users)) => services.or_users(Box::leak(Box::new(users))),
            (Some(policy), None) | (None, Some(policy)) => policy,
            (None, None) => return None,
        };
        kept.push((self.clone(), policy));
        Some(policy)
    }

    /// The digest of this policy, as records of the handler have it; `None` if the route is public.
    pub fn policy_digest(&self) -> Option<PolicyDigest> {
        digest_of_rows(self.rows())
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_, String>> {
        let services = self.for_services().map(|services| services.row(false));
        services.into_iter().chain(self.for_users().map(|users| users.row(true)))
    }
}

impl From<&Policy<'_>> for Access {
    fn from(policy: &Policy<'_>) -> Self {
        match (policy.for_services(), policy.for_users()) {
            (Some(services), Some(users)) => Self::Callers { services: services.into(), users: users.into() },
            (None, Some(users)) => Self::Users(users.into()),
            (_, None) => Self::ServiceOnly(policy.into()),
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
    fn a_route_of_services_and_users_has_two_rows() {
        const MANAGERS: Policy<'static> = Policy::any_user().roles(&["manager"]);
        let claims = POLICY
            .claims(&[("tenant_id", "{tenant}")])
            .any_scope(&["b:c", "d:e"])
            .actors(&["gateway", "edge"]);
        let table = RouteTable::new("orders")
            .route(Route::new(["GET"], "/tenants/{tenant}", Access::from(&claims.or_users(&MANAGERS))))
            .route(Route::new(["PUT"], "/tenants/{tenant}", Access::from(&MANAGERS)));
        insta::assert_snapshot!(table, @r#"
        methods  path               services                   roles    scopes            claims              max_age
        -------  -----------------  -------------------------  -------  ----------------  ------------------  -------
        GET      /tenants/{tenant}  a b (via gateway or edge)  any      x:y (b:c or d:e)  tenant_id={tenant}  any
        GET      /tenants/{tenant}  (users)                    manager  none              none                any
        PUT      /tenants/{tenant}  (users)                    manager  none              none                any
        "#);
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<RouteTable>(&json).unwrap(), table);
        insta::assert_snapshot!(json, @r#"{"service":"orders","routes":[{"methods":["GET"],"path":"/tenants/{tenant}","access":{"callers":{"services":{"services":["a","b"],"actors":["gateway","edge"],"scopes":["x:y"],"any_scope":["b:c","d:e"],"claims":{"tenant_id":"{tenant}"}},"users":{"roles":["manager"]}}}},{"methods":["PUT"],"path":"/tenants/{tenant}","access":{"users":{"roles":["manager"]}}}]}"#);
    }

    #[test]
    fn an_access_becomes_the_policy_that_it_was_made_of() {
        const USERS: Policy<'static> =
            Policy::any_user().roles(&["manager"]).max_age(Duration::from_secs(60));
        let services = POLICY
            .issuers(&["i"])
            .actors(&["gateway"])
            .any_scope(&["a:b"])
            .claims(&[("c", "{d}")])
            .roles(&[]);
        for policy in [services, USERS, services.or_users(&USERS)] {
            let access = Access::from(&policy);
            assert_eq!(access.to_policy(), Some(policy));
            let again = access.to_policy().unwrap();
            assert!(std::ptr::eq(again.required_scopes(), access.to_policy().unwrap().required_scopes()));
        }
        assert_eq!(Access::public("a test").to_policy(), None);
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
