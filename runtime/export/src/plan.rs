//! Converts a route table to rules that a proxy can evaluate in any order. Each rule describes exactly its
//! own requests, also where the paths of two routes overlap.

use crate::{ExportError, MeshOption, template::Template};
use service_only::{
    RequiredProof,
    claims::{Scopes, ServiceName},
    routes::{Access, Requirements, Route, RouteTable},
};
use std::collections::BTreeMap;

/// One route, and the conditions that separate it from the other routes.
#[derive(Debug)]
pub(crate) struct Rule<'t> {
    pub(crate) route: &'t Route,
    pub(crate) template: Template,
    /// Methods that other routes of the same path name. Only set if this route accepts any method.
    pub(crate) without_methods: Vec<&'t str>,
    /// Narrower paths, for any method: the router matches the path first. For a fallback, it also contains
    /// the paths of all routes, because the router tries routes before any fallback.
    pub(crate) without_paths: Vec<Template>,
    pub(crate) access: Asked<'t>,
}

/// The access that a route requires. Separate variants keep "no caller" distinct from "any caller".
#[derive(Debug, Copy, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few values for each route, and a box would not be `Copy`")]
pub(crate) enum Asked<'t> {
    Public { reason: &'t str },
    NoCaller,
    Callers { services: Option<Needs<'t>>, users: Option<Needs<'t>> },
}

/// The requirements for one kind of callers. A list that exists is not empty.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Needs<'t> {
    pub(crate) kind: Kind,
    pub(crate) issuers: Option<&'t [String]>,
    pub(crate) services: Option<&'t [String]>,
    /// The services as written, with the names of sets, for a reader.
    pub(crate) written: Option<&'t [String]>,
    /// Whether the policy refers to named sets of services.
    pub(crate) sets: bool,
    pub(crate) actors: Option<&'t [String]>,
    pub(crate) roles: Option<&'t [String]>,
    pub(crate) scopes: &'t [String],
    pub(crate) any_scope: Option<&'t [String]>,
    pub(crate) claims: &'t BTreeMap<String, String>,
    pub(crate) max_age: Option<u64>,
    pub(crate) proof: Option<RequiredProof>,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    User,
}

impl<'t> Asked<'t> {
    pub(crate) fn of(access: &'t Access) -> Self {
        if let Access::Public { reason } = access {
            return Self::Public { reason };
        }
        let services = access.for_services().and_then(|asked| Needs::of(Kind::Service, asked));
        let users = access.for_users().and_then(|asked| Needs::of(Kind::User, asked));
        // An unknown kind of access is closed; `parse` refuses it for a mesh.
        if services.is_none() && users.is_none() { Self::NoCaller } else { Self::Callers { services, users } }
    }

    /// The requirements, services first.
    pub(crate) fn needs(self) -> impl Iterator<Item = Needs<'t>> {
        let (services, users) = match self {
            Self::Public { .. } | Self::NoCaller => (None, None),
            Self::Callers { services, users } => (services, users),
        };
        services.into_iter().chain(users)
    }
}

impl<'t> Needs<'t> {
    /// `None` if no caller meets the requirements.
    fn of(kind: Kind, asked: &'t Requirements) -> Option<Self> {
        // A user has no service name.
        if asked.refuse_everyone() || (kind == Kind::User && asked.services.is_some()) {
            return None;
        }
        Some(Self {
            kind,
            issuers: asked.issuers.as_deref(),
            // A set is known to the code only, so a proxy admits every service.
            services: asked.services.as_deref().filter(|services| !services.iter().any(|name| is_set(name))),
            written: asked.services.as_deref(),
            sets: asked.services.iter().flatten().any(|name| is_set(name)),
            actors: asked.actors.as_deref(),
            roles: asked.roles.as_deref(),
            scopes: &asked.scopes,
            any_scope: asked.any_scope.as_deref(),
            claims: &asked.claims,
            max_age: asked.max_age,
            proof: asked.proof,
        })
    }

    /// The claims that a proxy can compare: those with a fixed value.
    pub(crate) fn fixed_claims(self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let claims = self.claims.iter().filter(|(_, value)| !is_path_parameter(value));
        claims.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether each caller has a certificate on its connection, so that a proxy can require one. A proof in a header needs
    /// none, so a requirement of any proof does not ask for it either.
    pub(crate) fn needs_certificate(self) -> bool {
        self.proof == Some(RequiredProof::Mtls)
    }

    /// What only the code checks. A proxy requires a certificate, and does not compare it with the token.
    fn checked_by_the_code(self) -> Vec<String> {
        let age = self.max_age.map(|age| format!("max_age {}", duration(age)));
        let claims = self.claims.iter().filter(|(_, value)| is_path_parameter(value));
        let claims = claims.map(|(name, value)| format!("claim {name} = {value}"));
        let proof = self.proof.map(|proof| format!("proof {proof}"));
        let sets = self.sets.then(|| "a set of services".to_owned());
        sets.into_iter().chain(age).chain(claims).chain(proof).collect()
    }
}

/// Whether a name in a list of services is that of a set.
fn is_set(name: &str) -> bool {
    name.starts_with('@')
}

fn is_path_parameter(value: &str) -> bool {
    value.starts_with('{') && value.ends_with('}')
}

/// The methods and the path of a route, as one string.
pub(crate) fn name(route: &Route) -> String {
    format!("{} {}", methods(route), route.path())
}

/// The methods of a route as text.
pub(crate) fn methods(route: &Route) -> String {
    match (route.is_fallback(), route.methods()) {
        (false, []) => "any method".to_owned(),
        (false, methods) => methods.join(", "),
        (true, []) => "fallback".to_owned(),
        (true, methods) => format!("fallback {}", methods.join(", ")),
    }
}

/// Formats seconds as the attribute writes a duration.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

/// The rules of a table: first those of routes, narrower paths first, then those of fallbacks in the same
/// order. A fallback at the path of a route is unreachable, and has no rule.
pub(crate) fn rules(table: &RouteTable) -> Result<Vec<Rule<'_>>, ExportError> {
    if table.service().parse::<ServiceName>().is_err() {
        return Err(ExportError::option(MeshOption::Service, "the table's `service` is not a service name"));
    }
    let mut parsed = table.routes().iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    parsed.sort_by(|(one, a), (other, b)| {
        a.is_fallback()
            .cmp(&b.is_fallback())
            .then_with(|| one.cmp(other))
            .then_with(|| a.methods().is_empty().cmp(&b.methods().is_empty()))
    });
    let routed =
        |template: &Template| parsed.iter().any(|(other, route)| !route.is_fallback() && other == template);
    let asked = parsed.iter().filter(|(template, route)| !route.is_fallback() || !routed(template));
    asked.map(|(template, route)| rule(template, route, &parsed)).collect()
}

fn parse(route: &Route) -> Result<(Template, &Route), ExportError> {
    let refused = |reason: String| ExportError::route(name(route), reason);
    let template = Template::parse(route.path()).map_err(refused)?;
    if let Some(method) = route.methods().iter().find(|method| !is_method(method)) {
        return Err(refused(format!("`{}` is not a method", method.escape_debug())));
    }
    let access = route.access();
    let all: Vec<_> = access.for_services().into_iter().chain(access.for_users()).collect();
    if all.is_empty() && !matches!(access, Access::Public { .. }) {
        return Err(refused("its access is of a kind that cannot be exported".to_owned()));
    }
    for Requirements { issuers, services, actors, roles, scopes, any_scope, .. } in all {
        if issuers.iter().flatten().any(String::is_empty) {
            return Err(refused("a name in `issuers` is empty".to_owned()));
        }
        let mut named = services.iter().flatten().filter(|name| !is_set(name));
        if named.any(|name| name.parse::<ServiceName>().is_err()) {
            return Err(refused(
                "a name in `services` is not a service name, so no token can have it".to_owned(),
            ));
        }
        if actors.iter().flatten().any(String::is_empty) {
            return Err(refused("a name in `actors` is empty".to_owned()));
        }
        if roles.iter().flatten().any(String::is_empty) {
            return Err(refused("a name in `roles` is empty".to_owned()));
        }
        if !scopes.iter().chain(any_scope.iter().flatten()).all(|scope| is_scope(scope)) {
            return Err(refused("a name in `scopes` is not a scope, so no token can have it".to_owned()));
        }
    }
    Ok((template, route))
}

fn rule<'t>(
    template: &Template,
    route: &'t Route,
    all: &[(Template, &'t Route)],
) -> Result<Rule<'t>, ExportError> {
    let alike = |other: &Route| other.is_fallback() == route.is_fallback();
    let same_path = || all.iter().filter(|(other, _)| other == template).map(|(_, route)| *route);
    let others = || same_path().filter(|other| alike(other) && !std::ptr::eq(*other, route));
    let shared = |other: &Route| match (route.methods(), other.methods()) {
        ([], others) => others.is_empty(),
        (own, others) => own.iter().any(|method| others.contains(method)),
    };
    if others().any(shared) {
        return Err(ExportError::route(name(route), "two routes answer the same requests"));
    }
    let without_methods = match route.methods() {
        [] => others().flat_map(|other| other.methods()).map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let mut without_paths: Vec<Template> = all
        .iter()
        .filter(|(other, it)| if alike(it) { other < template } else { route.is_fallback() })
        .map(|(other, _)| other)
        .filter(|other| other.overlaps(template))
        .cloned()
        .collect();
    without_paths.sort();
    without_paths.dedup();
    Ok(Rule {
        route,
        template: template.clone(),
        without_methods,
        without_paths,
        access: Asked::of(route.access()),
    })
}

/// Whether the text is exactly one scope.
fn is_scope(text: &str) -> bool {
    text.parse::<Scopes>().is_ok_and(|scopes| scopes.iter().eq([text]))
}

/// RFC 9110 section 9.1, without the characters that a proxy would interpret.
fn is_method(method: &str) -> bool {
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
}

impl Rule<'_> {
    /// A comment that describes the rule to a person.
    pub(crate) fn remark(&self) -> String {
        let mut remark = name(self.route);
        if let Some(handler) = self.route.endpoint() {
            remark.push_str(&format!(", {handler}"));
        }
        match self.access {
            Asked::Public { reason } => remark.push_str(&format!(": public, because {reason}")),
            Asked::NoCaller => remark.push_str(": no caller, because a list of names is empty"),
            Asked::Callers { .. } => {
                let mut checked: Vec<_> = self.access.needs().flat_map(Needs::checked_by_the_code).collect();
                checked.dedup();
                if !checked.is_empty() {
                    remark.push_str(&format!(". Checked only by the code: {}", checked.join(", ")));
                }
            }
        }
        remark
    }
}

#[cfg(test)]
mod tests;
