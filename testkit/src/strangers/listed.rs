//! The routes to test, from pairs or from a table, and the public exceptions.

use http::Method;
use service_only::routes::{Access, RouteTable};

use crate::fail::OrFail;

/// The methods for a route that accepts any method. OPTIONS is not included: CORS answers it for every
/// caller.
const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[derive(Clone, Default)]
pub(crate) struct Listing {
    routes: Vec<Listed>,
    exceptions: Vec<String>,
}

#[derive(Clone)]
struct Listed {
    /// Empty for any method.
    methods: Vec<Method>,
    /// HEAD was not listed, and is implied by GET. Not every framework then routes it.
    implied_head: bool,
    path: String,
    /// The access in the table; `None` for a list of pairs.
    access: Option<Access>,
}

/// A route to call with one method.
pub(crate) struct Door<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) access: Option<&'a Access>,
    /// The test did not list this method for the app.
    pub(crate) implied: bool,
}

/// What an exception refers to.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum About {
    Listed,
    Guarded,
    Nothing,
}

impl Listing {
    /// Adds a route; `*` means any method.
    #[track_caller]
    pub(crate) fn pair(&mut self, method: &str, path: String) {
        let methods = match method {
            "*" => Vec::new(),
            "GET" => vec![Method::GET, Method::HEAD],
            other => vec![parsed(other)],
        };
        self.routes.push(Listed { methods, implied_head: method == "GET", path, access: None });
    }

    #[track_caller]
    pub(crate) fn table(&mut self, table: &RouteTable) {
        let has_head = |path: &str| {
            let mut of_path = table.routes().iter().filter(|route| route.path() == path);
            of_path.any(|route| route.methods().iter().any(|name| name == "HEAD"))
        };
        for route in table.routes() {
            let mut methods: Vec<_> = route.methods().iter().map(|name| parsed(name)).collect();
            let implied_head = methods.contains(&Method::GET) && !has_head(route.path());
            if implied_head {
                methods.push(Method::HEAD);
            }
            let (path, access) = (route.path().to_owned(), Some(route.access().clone()));
            self.routes.push(Listed { methods, implied_head, path, access });
        }
    }

    pub(crate) fn exception(&mut self, route: String) {
        self.exceptions.push(route);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// All routes that must refuse strangers.
    pub(crate) fn doors(&self) -> impl Iterator<Item = Door<'_>> {
        let doors = self.routes.iter().flat_map(|listed| self.doors_of(listed));
        doors.filter(|door| !self.is_public(door))
    }

    /// Each exception, and what it refers to.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = (&str, About)> {
        self.exceptions.iter().map(|exception| (exception.as_str(), self.about(exception)))
    }

    /// The calls of one route. For a route with any method, it skips methods that another route of the path
    /// has.
    fn doors_of<'a>(&'a self, listed: &'a Listed) -> impl Iterator<Item = Door<'a>> {
        let claimed = |method: &Method| {
            self.routes.iter().any(|other| other.path == listed.path && other.methods.contains(method))
        };
        let any = METHODS.iter().filter(move |method| listed.methods.is_empty() && !claimed(method));
        let door = |method: &'a Method| Door {
            method,
            path: &listed.path,
            access: listed.access.as_ref(),
            implied: listed.implied_head && method == Method::HEAD,
        };
        listed.methods.iter().chain(any).map(door)
    }

    fn is_public(&self, door: &Door<'_>) -> bool {
        matches!(door.access, Some(Access::Public { .. }))
            || self.exceptions.iter().any(|exception| covers(exception, door))
    }

    fn about(&self, exception: &str) -> About {
        let doors = self.routes.iter().flat_map(|listed| self.doors_of(listed));
        let covered: Vec<_> = doors.filter(|door| covers(exception, door)).collect();
        match covered.iter().any(|door| is_guarded(door.access)) {
            true => About::Guarded,
            false if covered.is_empty() => About::Nothing,
            false => About::Listed,
        }
    }
}

fn is_guarded(access: Option<&Access>) -> bool {
    access.is_some_and(|access| access.for_services().is_some() || access.for_users().is_some())
}

/// Whether an exception, `/healthz` or `GET /healthz`, covers this call. GET also covers HEAD.
fn covers(exception: &str, door: &Door<'_>) -> bool {
    match exception.split_once(' ') {
        None => exception == door.path,
        Some((method, path)) => {
            path == door.path
                && (method == door.method.as_str() || (method == "GET" && door.method == Method::HEAD))
        }
    }
}

#[track_caller]
fn parsed(method: &str) -> Method {
    Method::from_bytes(method.as_bytes()).or_fail(&format!("the method `{method}`"))
}
