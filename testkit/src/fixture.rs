//! One valid token and all its possible defects, each with the required verdict.

mod attempt;
mod catalogue;
mod cause;
mod defect;
mod family;
#[cfg(feature = "axum")]
mod met;
mod property;
mod proven;

use http::Method;
use service_only::error::Code;

pub(crate) use self::attempt::Connection;
use self::attempt::{Attempt, Variant};
pub use self::{
    attempt::Outgoing,
    defect::{Defect, Expectation},
};

use crate::{dpop::Prover, draft::TokenDraft, token::FixtureToken};

/// A request to a guarded handler: with a valid token, or with one defect. [`TokenDraft::fixtures`] creates
/// them.
#[derive(Debug, Clone)]
pub struct Fixture {
    defect: Option<Defect>,
    variant: Variant,
    /// Adds a proof of DPoP to the request.
    prover: Option<Prover>,
}

impl Fixture {
    pub(crate) fn valid(draft: &TokenDraft) -> Self {
        Self::of(Attempt::Token(draft.token()), draft.prover().cloned())
    }

    /// A request without a token.
    pub(crate) fn stray() -> Self {
        Self::of(Attempt::Headers(Vec::new()), None)
    }

    fn of(attempt: Attempt, prover: Option<Prover>) -> Self {
        let variant = Variant { label: None, before: None, attempt, codes: &[] };
        Self { defect: None, variant, prover }
    }

    /// `valid`, or the name of the defect.
    pub fn name(&self) -> &'static str {
        self.defect.map_or("valid", Defect::name)
    }

    /// The defect; `None` for the control, which has none.
    pub fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// What distinguishes this fixture from the others of its class, such as the name of a header; `None` for
    /// a class that has only one.
    pub fn variant(&self) -> Option<&str> {
        self.variant.label.as_deref()
    }

    /// A request with a valid token to send first, for an attack on the verifier's cache of accepted tokens.
    /// [`attack`](crate::attack) sends it.
    pub fn before(&self) -> Option<Self> {
        let attempt = self.variant.before.clone()?;
        Some(Self::of(attempt, self.prover.clone()))
    }

    /// The connection, if it differs from the one of the control.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.variant.attempt.connection()
    }

    /// The token, if the defect is in a token.
    pub fn token(&self) -> Option<&FixtureToken> {
        match &self.variant.attempt {
            Attempt::Token(token) => Some(token),
            _ => None,
        }
    }

    /// The values of the `Authorization` headers of the request: one, none or several.
    /// [`outgoing`](Self::outgoing) returns the other parts of the request.
    pub fn authorization(&self) -> Vec<String> {
        let values = self.variant.attempt.authorization();
        match self.prover {
            Some(_) => values.iter().map(|value| proven::with_proof(value)).collect(),
            None => values,
        }
    }

    /// The complete request for this fixture, for your own client. Pass the `method` and the `target`, a path
    /// with its query, of a correct request. [`TestRequest::fixture`](crate::TestRequest::fixture) uses it.
    pub fn outgoing(&self, method: Method, target: &str) -> Outgoing {
        let mut outgoing = self.variant.attempt.outgoing(method, target);
        if let Some(prover) = &self.prover {
            proven::prove(prover, &mut outgoing);
        }
        outgoing
    }

    /// The required status of the decision: 200 for the control, whatever the handler answers then.
    pub fn status(&self) -> u16 {
        self.code().map_or(200, Code::status)
    }

    /// The required code of the denial, if the request reaches a guard. If several are correct, it is the usual one.
    pub fn code(&self) -> Option<Code> {
        self.variant.codes.first().copied().or_else(|| self.defect.map(Defect::code))
    }

    /// The required result of the request; `None` for the control.
    pub fn expectation(&self) -> Option<Expectation> {
        match self.variant.codes {
            [] => self.defect.map(Defect::expectation),
            [code] => Some(Expectation::Denied(*code)),
            codes => Some(Expectation::DeniedAs(codes)),
        }
    }
}

impl TokenDraft {
    /// This valid token as the control, and then the same token with each defect that fits it, one at a time.
    /// For a class with several [`variants`](Self::variants) it returns the first.
    ///
    /// The classes test the compatible and the strict profile, and the tokens of an identity
    /// [`Provider`](crate::Provider). Classes about the claims of a service token do not fit the latter, and the classes of
    /// the family `provider` fit only them. Other systems are not tested. The draft must be valid for the handler. It must have no scope that the handler does not require, and no
    /// [role](Self::role) except the default or the required one. The handler must name the services that may
    /// call: a policy with fewer requirements accepts a defect of [`Defect::meets_policy`]. A draft that
    /// [meets a policy](Self::meeting) takes this into account.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use axum::{Router, routing::delete};
    /// use service_only::{Verifier, service_only};
    /// use service_only_testkit::{TestAuthority, call};
    ///
    /// #[service_only(services("orchestrator"), scopes("tenants:delete"))]
    /// async fn delete_tenant() {}
    ///
    /// let authority = TestAuthority::new();
    /// let app = call(
    ///     Router::new().route("/tenant", delete(delete_tenant)).with_state(authority.verifier()),
    /// );
    /// for fixture in authority.service("orchestrator").scope("tenants:delete").fixtures() {
    ///     let response = app.delete("/tenant").fixture(&fixture).await;
    ///     fixture.assert_met(&response, authority.audit());
    /// }
    /// # }
    /// ```
    #[track_caller]
    pub fn fixtures(&self) -> Vec<Fixture> {
        let mut fixtures = vec![Fixture::valid(self)];
        for defect in Defect::ALL {
            fixtures.extend(self.fixture(*defect));
        }
        fixtures
    }

    /// This token with one defect; `None` if the defect does not fit it, such as the misuse of a public key
    /// for a token of a secret. For a class with several variants, such as the names of headers, it is the
    /// first. [`variants`](Self::variants) returns all.
    #[track_caller]
    pub fn fixture(&self, defect: Defect) -> Option<Fixture> {
        self.variants(defect).into_iter().next()
    }

    /// This token with one defect, in every variant of the class; empty if the defect does not fit the token.
    ///
    /// ```
    /// use http::Method;
    /// use service_only_testkit::{Defect, TestAuthority};
    ///
    /// let draft = TestAuthority::new().service("orders");
    /// let variants = draft.variants(Defect::NamedByServiceHeader);
    /// let first = variants[0].outgoing(Method::GET, "/stock");
    /// assert_eq!(first.headers, [("x-service-name".to_owned(), "orders".to_owned())]);
    /// assert_eq!(variants[0].variant(), Some("x-service-name: orders"));
    /// assert!(variants.len() > 10);
    /// ```
    #[track_caller]
    pub fn variants(&self, defect: Defect) -> Vec<Fixture> {
        let class = defect.class().filter(|_| defect.is_of(self));
        let variants = class.map(|class| (class.make)(self.clone())).unwrap_or_default();
        let fixture = |variant| Fixture { defect: Some(defect), variant, prover: self.prover().cloned() };
        variants.into_iter().map(fixture).collect()
    }

    /// The closest valid request to a defect, which a service must accept: mostly this token unchanged, and
    /// for a boundary its other side. `None` if [`fixture`](Self::fixture) is.
    ///
    /// ```
    /// use service_only_testkit::{Defect, TestAuthority};
    ///
    /// let authority = TestAuthority::new();
    /// let (verifier, draft) = (authority.verifier(), authority.service("orders"));
    /// let control = draft.control(Defect::ExpiresNow).unwrap();
    /// assert!(verifier.verify(control.token().unwrap()).is_ok());
    /// let fixture = draft.fixture(Defect::ExpiresNow).unwrap();
    /// assert!(verifier.verify(fixture.token().unwrap()).is_err());
    /// ```
    #[track_caller]
    pub fn control(&self, defect: Defect) -> Option<Fixture> {
        let class = defect.class().filter(|_| defect.is_of(self))?;
        (class.make)(self.clone()).first()?;
        let control = (class.control)(self.clone()).into_iter().next()?;
        Some(Fixture { defect: None, variant: control, prover: self.prover().cloned() })
    }
}
