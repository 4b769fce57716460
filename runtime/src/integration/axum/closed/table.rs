//! The routing table that a closed router keeps while it is built. It does on data what axum does on
//! routes: join prefixes, merge paths, put fallbacks where none was said.

use axum::routing::MethodFilter;

use super::handler::Declaration;
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

/// What a fallback answers: every path that no route names.
const REST: &str = "/{*rest}";

/// Who answers at one path.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    by_method: Vec<(MethodFilter, Declaration)>,
    otherwise: Option<Declaration>,
}

impl Answers {
    pub(super) fn on(&mut self, filter: MethodFilter, declaration: Declaration) {
        self.by_method.push((filter, declaration));
    }

    pub(super) fn otherwise(&mut self, declaration: Declaration) {
        self.otherwise = Some(declaration);
    }

    /// One answer to every method, as a service gives it.
    #[cfg(feature = "tower")]
    pub(super) fn of_service(declaration: Declaration) -> Self {
        Self { by_method: Vec::new(), otherwise: Some(declaration) }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.by_method.extend(other.by_method);
        // axum takes no two fallbacks at one path.
        self.otherwise = self.otherwise.take().or(other.otherwise);
    }

    fn routes<'a>(&'a self, path: &'a str) -> impl Iterator<Item = Route> + 'a {
        let by_method = self.by_method.iter().map(|(filter, said)| route(self.methods(*filter), path, said));
        by_method.chain(self.otherwise.iter().map(|said| route(Vec::new(), path, said)))
    }

    /// HEAD is answered by the handler of GET where none is there for HEAD.
    fn methods(&self, filter: MethodFilter) -> Vec<&'static str> {
        let own_head = self.by_method.iter().any(|(other, _)| contains(*other, MethodFilter::HEAD));
        let filter = match contains(filter, MethodFilter::GET) && !own_head {
            true => filter.or(MethodFilter::HEAD),
            false => filter,
        };
        METHODS.iter().filter(|(method, _)| contains(filter, *method)).map(|(_, name)| *name).collect()
    }
}

/// Who answers where.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    paths: Vec<(String, Answers)>,
    fallbacks: Vec<(String, Declaration)>,
}

impl Table {
    pub(super) fn route(&mut self, path: String, answers: Answers) {
        match self.paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => known.merge(answers),
            None => self.paths.push((path, answers)),
        }
    }

    pub(super) fn nest(&mut self, prefix: &str, inner: Self) {
        for (path, answers) in inner.paths {
            self.route(joined(prefix, &path), answers);
        }
        let nested = inner.fallbacks.into_iter().map(|(path, said)| (joined(prefix, &path), said));
        self.fallbacks.extend(nested);
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (path, answers) in other.paths {
            self.route(path, answers);
        }
        self.fallbacks.extend(other.fallbacks);
    }

    pub(super) fn fallback(&mut self, declaration: Declaration) {
        self.fallbacks.retain(|(path, _)| path != REST);
        self.fallbacks.push((REST.to_owned(), declaration));
    }

    pub(super) fn reset_fallback(&mut self) {
        self.fallbacks.clear();
    }

    /// Only for the paths that are there already, as in axum.
    pub(super) fn method_not_allowed(&mut self, declaration: &Declaration) {
        for (_, answers) in &mut self.paths {
            answers.otherwise.get_or_insert_with(|| declaration.clone());
        }
    }

    pub(super) fn routes(&self, service: &str) -> RouteTable {
        let mut table = RouteTable::new(service);
        table.extend(self.paths.iter().flat_map(|(path, answers)| answers.routes(path)));
        table.extend(self.fallbacks.iter().map(|(path, said)| route(Vec::new(), path, said)));
        table
    }
}

fn route(methods: Vec<&'static str>, path: &str, said: &Declaration) -> Route {
    let route = Route::new(methods, path, said.access.clone());
    match &said.endpoint {
        Some(endpoint) => route.handled_by(endpoint),
        None => route,
    }
}

fn contains(filter: MethodFilter, method: MethodFilter) -> bool {
    filter.or(method) == filter
}

/// As axum joins them: the root of a nested router is the prefix itself.
fn joined(prefix: &str, path: &str) -> String {
    match path.strip_prefix('/') {
        Some(rest) if prefix.ends_with('/') => format!("{prefix}{rest}"),
        Some("") => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}
