//! The findings of a stranger test, as a failed test prints them.

use std::fmt;

use http::StatusCode;

use super::listed::{About, Door, Listing};

/// The routes that did not refuse a stranger, and the errors in the list of routes. `Display` prints the next
/// step for each.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::get};
/// use service_only_testkit::Strangers;
///
/// let router: Router = Router::new().route("/stock", get(async || "12 loaves"));
/// let findings = Strangers::at(router).routes([("GET", "/stock")]).findings().await;
/// assert!(!findings.is_empty());
/// assert!(findings.to_string().contains("GET /stock"));
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Findings {
    not_found_fails: bool,
    nothing_listed: bool,
    tried: Vec<Route>,
    unlisted: Vec<String>,
    guarded: Vec<String>,
}

/// One route and its answers other than refusals.
#[derive(Debug, Clone)]
struct Route {
    name: String,
    answers: Vec<Answered>,
}

#[derive(Debug, Clone)]
struct Answered {
    stranger: &'static str,
    status: StatusCode,
    path: String,
}

/// The meaning of an answer for a route.
#[derive(PartialEq, Eq)]
enum Verdict {
    Refused,
    NotFound,
    Open,
}

impl From<StatusCode> for Verdict {
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused,
            StatusCode::NOT_FOUND => Self::NotFound,
            _ => Self::Open,
        }
    }
}

impl Findings {
    pub(crate) fn new(not_found_fails: bool) -> Self {
        Self { not_found_fails, ..Self::default() }
    }

    pub(crate) fn answer(&mut self, door: &Door<'_>, path: &str, stranger: &'static str, status: StatusCode) {
        let name = format!("{} {}", door.method, door.path);
        let answered = Answered { stranger, status, path: path.to_owned() };
        let unrouted =
            door.implied && [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status);
        let answers = (!unrouted && Verdict::from(status) != Verdict::Refused).then_some(answered);
        match self.tried.iter_mut().find(|route| route.name == name) {
            Some(route) => route.answers.extend(answers),
            None => self.tried.push(Route { name, answers: answers.into_iter().collect() }),
        }
    }

    pub(crate) fn listing(&mut self, listing: &Listing) {
        self.nothing_listed = listing.is_empty();
        let with = |wanted| listing.exceptions().filter(move |(_, about)| *about == wanted);
        self.unlisted.extend(with(About::Nothing).map(|(route, _)| route.to_owned()));
        self.guarded.extend(with(About::Guarded).map(|(route, _)| route.to_owned()));
    }

    /// Whether every route refused every stranger, and the list of routes was correct.
    pub fn is_empty(&self) -> bool {
        self.open().next().is_none()
            && !(self.not_found_fails && self.not_found().next().is_some())
            && !self.nothing_listed
            && self.unlisted.is_empty()
            && self.guarded.is_empty()
    }

    fn open(&self) -> impl Iterator<Item = &Route> {
        self.tried.iter().filter(|route| route.has(&Verdict::Open))
    }

    fn not_found(&self) -> impl Iterator<Item = &Route> {
        self.tried.iter().filter(|route| route.has(&Verdict::NotFound) && !route.has(&Verdict::Open))
    }
}

impl Route {
    fn has(&self, verdict: &Verdict) -> bool {
        self.answers.iter().any(|answered| Verdict::from(answered.status) == *verdict)
    }

    /// Prints each status that was not a refusal, with the first path and the stranger that got it.
    fn write_open(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {}", self.name)?;
        let open: Vec<_> =
            self.answers.iter().filter(|answered| Verdict::from(answered.status) == Verdict::Open).collect();
        let mut said = Vec::new();
        for first in &open {
            if said.contains(&first.status) {
                continue;
            }
            said.push(first.status);
            let mut strangers = Vec::new();
            for same in open.iter().filter(|other| other.status == first.status) {
                if !strangers.contains(&same.stranger) {
                    strangers.push(same.stranger);
                }
            }
            let at = if self.name.ends_with(&format!(" {}", first.path)) {
                ""
            } else {
                &format!(" at {}", first.path)
            };
            writeln!(f, "        {}{at} for {}{}", first.status, strangers.join(", "), hint(first.status))?;
        }
        Ok(())
    }
}

/// What a status suggests, in addition to a missing guard.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 413 | 415 | 422 => " (the request is read before the caller is known)",
        405 => " (is the method routed?)",
        500.. => " (a refusal is 401, not a failure)",
        _ => "",
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, tried) = (self.open().count(), self.tried.len());
        match self.nothing_listed {
            true => writeln!(f, "no route was listed, so none was called")?,
            false => writeln!(f, "{open} of {tried} routes let strangers in")?,
        }
        if open > 0 {
            writeln!(f, "\nput `#[service_only(..)]` above the handler, or list the route as public:")?;
            self.open().try_for_each(|route| route.write_open(f))?;
        }
        list(f, "answers 404: is it routed?", self.not_found().map(|route| &route.name))?;
        list(f, "listed as public, and not among the routes: take it off the list", &self.unlisted)?;
        list(f, "listed as public, and guarded: take it off the list", &self.guarded)
    }
}

fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    head: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> fmt::Result {
    let mut names = names.into_iter().peekable();
    if names.peek().is_some() {
        writeln!(f, "\n{head}")?;
    }
    names.try_for_each(|name| writeln!(f, "    {name}"))
}
