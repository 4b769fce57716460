//! What is sent: the catalogue of the test kit, and tokens for the parts of the policy that it leaves out.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use service_only::error::{Code, Stage};
use service_only_testkit::{Defect, Expectation, Fixture, Outgoing, TestAuthority, TokenDraft};

use crate::{conformance::POLICY, frameworks::valid};

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
    /// Which request of its class, where the class has several.
    pub(crate) variant: Option<String>,
    /// Why it is refused; `None` for the one that is let in.
    pub(crate) code: Option<Code>,
    /// Whether it asks for another method or path, so that a router may answer before the guard does.
    pub(crate) routed: bool,
    fixture: Fixture,
}

impl Case {
    pub(crate) fn all(authority: &TestAuthority) -> Vec<Self> {
        let draft = valid(authority).meeting(&POLICY);
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let old = draft.clone().issued_ago(hours(2));
        let policy = [
            Self::more("another_role", Code::RoleNotAllowed, &draft.clone().role("clerk")),
            Self::more("issued_too_long_ago", Code::TooOld, &old),
            // The first stage that fails is the one reported.
            Self::more("handler_refuses", Code::Refused, &draft.clone().scope(REFUSED_SCOPE)),
            Self::more("issued_too_long_ago_and_expired", Code::Expired, &old.expired_for(hours(1))),
        ];
        let control = draft.fixtures().swap_remove(0);
        let variants = Defect::ALL.iter().flat_map(|defect| draft.variants(*defect));
        std::iter::once(control).chain(variants).map(Self::of).chain(policy).collect()
    }

    fn of(fixture: Fixture) -> Self {
        let may_be_routed =
            fixture.defect().is_some_and(|defect| defect.expectation() == Expectation::NotRun);
        let Outgoing { method, target, .. } = fixture.outgoing(Method::DELETE, TARGET);
        let routed = may_be_routed && (method, path(&target).as_str()) != (Method::DELETE, TARGET);
        Self {
            name: fixture.name(),
            variant: fixture.variant().map(str::to_owned),
            code: fixture.code(),
            routed,
            fixture,
        }
    }

    /// A token of which the catalogue knows nothing: to it, the draft is a valid one.
    fn more(name: &'static str, code: Code, draft: &TokenDraft) -> Self {
        let fixture = draft.control(Defect::NoToken).unwrap();
        Self { name, variant: None, code: Some(code), routed: false, fixture }
    }

    /// The request with a valid token that is sent first, for an attack on what a verifier keeps of it.
    pub(crate) fn before(&self) -> Option<Self> {
        self.fixture.before().map(Self::of)
    }

    /// The name, and which request of its class.
    pub(crate) fn title(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{} ({variant})", self.name),
            None => self.name.to_owned(),
        }
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

    /// Whether its method, path and query are those of the valid request.
    pub(crate) fn has_same_target(&self) -> bool {
        let Outgoing { method, target, .. } = self.outgoing();
        (method, target.as_str()) == (Method::DELETE, TARGET)
    }

    pub(crate) fn has_body(&self) -> bool {
        self.outgoing().body.is_some()
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

/// The path of a target, which may be a whole address.
fn path(target: &str) -> String {
    target.parse::<Uri>().unwrap().path().to_owned()
}
