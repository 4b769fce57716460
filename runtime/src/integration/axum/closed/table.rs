//! The routing table that a closed router builds. It applies to data what axum applies to
//! routes: it joins prefixes, merges paths and adds default fallbacks.

use std::sync::Arc;

use axum::routing::MethodFilter;

use super::{error::RouterError, handler::Declaration};
use crate::routes::{Route, RouteTable};

const METHODS: [(MethodFilter, &str); 9] = [
    (MethodFilter::GET, "GET"),
    (MethodFilter::HEAD, "HEAD"),
    (MethodFilter::POST, "POST"),
    (MethodFilter::PUT, "PUT"),
    (MethodFilter::PATCH, "PATCH"),
    (MethodFilter::DELETE, "DELETE"),
    (MethodFilter::OPTIONS, "OPTIONS"),
    (MethodFilter::TRACE, "TRACE"),
    (MethodFilter::CONNECT, "CONNECT"),
];

const ROOT: &str = "/";

/// The path of a fallback below the root: every path that no route matches.
const REST: &str = "/{*rest}";

/// The handlers of one path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    by_method: Vec<(MethodFilter, Declaration)>,
    otherwise: Option<Declaration>,
}

impl Answers {
    pub(crate) fn on(&mut self, filter: MethodFilter, declaration: Declaration) {
        self.by_method.push((filter, declaration));
    }

    pub(crate) fn otherwise(&mut self, declaration: Declaration) {
        self.otherwise = Some(declaration);
    }

    /// One handler for every method, as a service has it.
    #[cfg(feature = "tower")]
    pub(crate) fn of_service(declaration: Declaration) -> Self {
        Self { by_method: Vec::new(), otherwise: Some(declaration) }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.by_method.extend(other.by_method);
        // axum does not allow two fallbacks at one path.
        self.otherwise = self.otherwise.take().or(other.otherwise);
    }

    fn routes<'a>(&'a self, path: &'a str) -> impl Iterator<Item = Route> + 'a {
        let by_method = self.by_method.iter().map(|(filter, said)| route(self.methods(*filter), path, said));
        by_method.chain(self.otherwise.iter().map(|said| route(Vec::new(), path, said)))
    }

    /// The methods of a handler. The handler of GET also answers HEAD, if HEAD has no handler.
    fn methods(&self, filter: MethodFilter) -> Vec<&'static str> {
        let own_head = self.by_method.iter().any(|(other, _)| contains(*other, MethodFilter::HEAD));
        let filter = match contains(filter, MethodFilter::GET) && !own_head {
            true => filter.or(MethodFilter::HEAD),
            false => filter,
        };
        METHODS.iter().filter(|(method, _)| contains(filter, *method)).map(|(_, name)| *name).collect()
    }
}

/// The handlers of all paths. It is cheap to clone, because a server clones its router for each request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    paths: Arc<Vec<(String, Answers)>>,
    fallbacks: Arc<Vec<Fallback>>,
}

/// The handler for all paths below a prefix that no route matches.
#[derive(Debug, Clone)]
struct Fallback {
    /// The path of the router that has the fallback; `/` for the outermost router.
    root: String,
    /// The same path with `/{*rest}`, by which axum matches every longer path.
    rest: String,
    said: Declaration,
}

impl Table {
    pub(crate) fn route(&mut self, path: String, answers: Answers) {
        let paths = Arc::make_mut(&mut self.paths);
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => known.merge(answers),
            None => paths.push((path, answers)),
        }
    }

    /// Nests a router, unless a fallback would be lost. axum adopts the fallbacks of a router that has a fallback itself, and
    /// drops the fallbacks below a router without one. If a guarded fallback were dropped, a public one of the outer router would
    /// answer its paths.
    pub(crate) fn nest(&mut self, prefix: &str, inner: Self) -> Result<(), RouterError> {
        let fallbacks = Arc::unwrap_or_clone(inner.fallbacks);
        if let (Some(lost), false) = (fallbacks.first(), fallbacks.iter().any(Fallback::is_own)) {
            let fallback = lost.root.clone();
            return Err(RouterError::LostFallback { fallback, nested: prefix.to_owned() });
        }
        for (path, answers) in Arc::unwrap_or_clone(inner.paths) {
            self.route(joined(prefix, &path), answers);
        }
        let nested = fallbacks.into_iter().map(|fallback| Fallback {
            root: joined(prefix, &fallback.root),
            rest: joined(prefix, &fallback.rest),
            ..fallback
        });
        Arc::make_mut(&mut self.fallbacks).extend(nested);
        Ok(())
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (path, answers) in Arc::unwrap_or_clone(other.paths) {
            self.route(path, answers);
        }
        Arc::make_mut(&mut self.fallbacks).extend(Arc::unwrap_or_clone(other.fallbacks));
    }

    pub(crate) fn fallback(&mut self, said: Declaration) {
        let fallbacks = Arc::make_mut(&mut self.fallbacks);
        fallbacks.retain(|fallback| !fallback.is_own());
        fallbacks.push(Fallback { root: ROOT.to_owned(), rest: REST.to_owned(), said });
    }

    pub(crate) fn reset_fallback(&mut self) {
        self.fallbacks = Arc::default();
    }

    /// Sets the handler for missing methods. As in axum, it applies only to the existing paths.
    pub(crate) fn method_not_allowed(&mut self, declaration: &Declaration) {
        for (_, answers) in Arc::make_mut(&mut self.paths) {
            answers.otherwise.get_or_insert_with(|| declaration.clone());
        }
    }

    pub(crate) fn routes(&self, service: &str) -> RouteTable {
        let mut table = RouteTable::new(service);
        table.extend(self.paths.iter().flat_map(|(path, answers)| answers.routes(path)));
        table.extend(self.fallbacks.iter().flat_map(|fallback| self.fallback_routes(fallback)));
        table
    }

    /// Checks that each route has the path parameters that its policy reads. Otherwise it refuses every caller.
    pub(crate) fn check_parameters(&self) -> Result<(), RouterError> {
        let of_paths = self.paths.iter().flat_map(|(path, answers)| {
            answers
                .by_method
                .iter()
                .map(|(_, said)| said)
                .chain(&answers.otherwise)
                .map(move |said| (path, said))
        });
        let of_fallbacks = self.fallbacks.iter().map(|fallback| (&fallback.rest, &fallback.said));
        for (path, said) in of_paths.chain(of_fallbacks) {
            if let Some(lacking) = said.parameters.iter().find(|name| !has_parameter(path, name)) {
                return Err(RouterError::MissingParameter {
                    path: path.clone(),
                    parameter: (*lacking).to_owned(),
                    handler: said.endpoint.map(|endpoint| endpoint.to_string()),
                });
            }
        }
        Ok(())
    }

    fn fallback_routes<'a>(&'a self, fallback: &'a Fallback) -> impl Iterator<Item = Route> + 'a {
        let routed = |path: &str| self.paths.iter().any(|(known, _)| known == path);
        let paths = [&fallback.root, &fallback.rest].into_iter().filter(move |path| !routed(path));
        paths.map(|path| route(Vec::new(), path, &fallback.said).as_fallback())
    }
}

impl Fallback {
    /// Whether the fallback belongs to this router, and not to a nested one.
    fn is_own(&self) -> bool {
        self.rest == REST
    }
}

fn route(methods: Vec<&'static str>, path: &str, said: &Declaration) -> Route {
    let route = Route::new(methods, path, said.access.clone());
    match &said.endpoint {
        Some(endpoint) => route.handled_by(endpoint),
        None => route,
    }
}

/// Whether a path of axum has this parameter: `{name}` or `{*name}`.
fn has_parameter(path: &str, name: &str) -> bool {
    path.split('/').any(|segment| {
        let inner =
            segment.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(inner, _)| inner);
        inner.is_some_and(|inner| inner.strip_prefix('*').unwrap_or(inner) == name)
    })
}

fn contains(filter: MethodFilter, method: MethodFilter) -> bool {
    filter.or(method) == filter
}

/// Joins a prefix and a path like axum's `path_for_nested_route`. The root of a nested router is the prefix itself. A
/// slash at the end of the prefix replaces the slashes at the start of the path.
fn joined(prefix: &str, path: &str) -> String {
    if prefix.ends_with('/') {
        format!("{prefix}{}", path.trim_start_matches('/'))
    } else if path == ROOT {
        prefix.to_owned()
    } else {
        format!("{prefix}{path}")
    }
}
