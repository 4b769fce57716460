//! What is sent: the catalogue of the test kit, and tokens for the parts of the policy that it leaves out.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use service_only::{Code, Stage};
use service_only_testkit::{Defect, Expectation, Fixture, Outgoing, TestAuthority, TokenDraft};

use crate::frameworks::valid;

/// The request that every case is a change of.
pub(crate) const ROUTE: &str = "/tenants/{tenant}";
pub(crate) const TARGET: &str = "/tenants/7";
pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A token with this scope meets the policy, and the handler itself refuses it, with this reason.
pub(crate) const REFUSED_SCOPE: &str = "tenants:refused";
pub(crate) const REFUSED_REASON: &str = "the tenant is not the caller's own";

/// A request, and what must become of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) family: &'static str,
    /// Why it is refused; `None` for the one that is let in.
    pub(crate) code: Option<Code>,
    /// Whether a router may answer before the guard does.
    pub(crate) routed: bool,
    fixture: Fixture,
}

impl Case {
    pub(crate) fn all(authority: &TestAuthority) -> Vec<Self> {
        let (draft, hours) = (valid(authority), |hours: u64| Duration::from_secs(hours * 60 * 60));
        let old = draft.clone().issued_ago(hours(2));
        let policy = [
            Self::more("another_role", Code::RoleNotAllowed, &draft.clone().role("clerk")),
            Self::more("issued_too_long_ago", Code::TooOld, &old),
            // The first stage that fails is the one reported.
            Self::more("handler_refuses", Code::Refused, &draft.clone().scope(REFUSED_SCOPE)),
            Self::more("issued_too_long_ago_and_expired", Code::Expired, &old.expired_for(hours(1))),
        ];
        draft.fixtures().into_iter().map(Self::of).chain(policy).collect()
    }

    fn of(fixture: Fixture) -> Self {
        Self {
            name: fixture.name(),
            family: fixture.defect().map_or("valid", Defect::family),
            code: fixture.code(),
            routed: fixture.defect().is_some_and(|defect| defect.expectation() == Expectation::NotRun),
            fixture,
        }
    }

    /// A token of which the catalogue knows nothing: to it, the draft is a valid one.
    fn more(name: &'static str, code: Code, draft: &TokenDraft) -> Self {
        let fixture = draft.control(Defect::NoToken).unwrap();
        Self { name, family: "policy", code: Some(code), routed: false, fixture }
    }

    /// The request, with a trace of its own.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let mut outgoing = self.fixture.outgoing(Method::DELETE, TARGET);
        outgoing.headers.push(("traceparent".to_owned(), format!("00-{TRACE}-00f067aa0ba902b7-01")));
        outgoing
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in self.outgoing().headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::try_from(value).unwrap());
        }
        headers
    }

    /// Whether headers are all that it changes.
    pub(crate) fn is_of_headers(&self) -> bool {
        let Outgoing { method, target, body, .. } = self.outgoing();
        (method, target.as_str(), body) == (Method::DELETE, TARGET, None)
    }

    /// Whether it is a token with nothing around it.
    pub(crate) fn is_of_token(&self) -> bool {
        self.fixture.token().is_some()
    }

    /// The one token that a verifier is asked about, where the request gets that far.
    pub(crate) fn token(&self) -> Option<String> {
        if let Some(token) = self.fixture.token() {
            return Some(token.to_string());
        }
        let refused = self.code.is_some_and(|code| code.stage() == Stage::Bearer);
        let headers = self.headers();
        let value = headers.get("authorization").filter(|_| !refused)?.to_str().unwrap();
        value.strip_prefix("Bearer ").map(str::to_owned)
    }
}
