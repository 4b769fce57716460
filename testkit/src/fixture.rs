//! One valid token and everything that can be wrong with it, each with the verdict that it must get.

mod attempt;
mod catalogue;
mod defect;
mod family;
#[cfg(feature = "axum")]
mod met;

use http::Method;
use service_only::error::Code;

use self::attempt::{Attempt, Variant};
pub use self::{
    attempt::Outgoing,
    defect::{Defect, Expectation},
};

use crate::{draft::TokenDraft, token::FixtureToken};

/// A way to come to a guarded handler: with a valid token, or with one defect. Made by
/// [`TokenDraft::fixtures`].
#[derive(Debug, Clone)]
pub struct Fixture {
    defect: Option<Defect>,
    variant: Variant,
}

impl Fixture {
    pub(crate) fn valid(draft: &TokenDraft) -> Self {
        Self::of(None, Attempt::Token(draft.token()))
    }

    /// A request without a token.
    pub(crate) fn stray() -> Self {
        Self::of(None, Attempt::Headers(Vec::new()))
    }

    fn of(defect: Option<Defect>, attempt: Attempt) -> Self {
        Self { defect, variant: Variant { label: None, before: None, attempt } }
    }

    /// `valid`, or the name of the defect.
    pub fn name(&self) -> &'static str {
        self.defect.map_or("valid", Defect::name)
    }

    /// What is wrong; `None` for the control, with which nothing is.
    pub fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// What tells this fixture from the others of its class, such as the name of a header; `None` for a
    /// class that has only one.
    pub fn variant(&self) -> Option<&str> {
        self.variant.label.as_deref()
    }

    /// The request with a valid token that is to be sent first, for an attack on what a verifier keeps of
    /// an accepted token. [`attack`](crate::attack) sends it.
    pub fn before(&self) -> Option<Self> {
        let token = self.variant.before.clone()?;
        Some(Self::of(None, Attempt::Token(token)))
    }

    /// The token, where the fixture is about one.
    pub fn token(&self) -> Option<&FixtureToken> {
        match &self.variant.attempt {
            Attempt::Token(token) => Some(token),
            Attempt::Headers(_) | Attempt::Request(_) => None,
        }
    }

    /// The values of the `Authorization` headers that it comes with: one, none or several. What else
    /// the request is to be, [`outgoing`](Self::outgoing) says.
    pub fn authorization(&self) -> Vec<String> {
        self.variant.attempt.authorization()
    }

    /// The request as it is to be sent, where `method` and `target`, a path with its query, would be
    /// right: for a client of your own. [`TestRequest::fixture`](crate::TestRequest::fixture) does
    /// this.
    pub fn outgoing(&self, method: Method, target: &str) -> Outgoing {
        self.variant.attempt.outgoing(method, target)
    }

    /// The status that the decision must have: 200 for the control, whatever the handler answers
    /// then.
    pub fn status(&self) -> u16 {
        self.code().map_or(200, Code::status)
    }

    /// The code that the denial must have, where a guard meets the request.
    pub fn code(&self) -> Option<Code> {
        self.defect.map(Defect::code)
    }
}

impl TokenDraft {
    /// This token, valid, as the control, and then once with each defect that fits it. A class that
    /// enumerates is there with the first of its [`variants`](Self::variants).
    ///
    /// The classes are about the compatible and the strict profile, not about tokens of other systems.
    /// The draft is to be valid for the handler, to hold no scope, and no [role](Self::role) but the
    /// default, that the handler does not ask for, and the handler to name the services that may call: a defect of [`Defect::meets_policy`] is let
    /// through where the policy asks for less. A draft that [meets a policy](Self::meeting) knows.
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

    /// This token with one defect; `None` where the defect does not fit it, such as the misuse of a
    /// public key where there is none. Of a class that enumerates, such as the names of headers, it is the
    /// first; [`variants`](Self::variants) has all.
    #[track_caller]
    pub fn fixture(&self, defect: Defect) -> Option<Fixture> {
        self.variants(defect).into_iter().next()
    }

    /// This token with one defect, in each way in which the class can be tried: none where the defect does
    /// not fit the token.
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
        let variants = defect.class().map(|class| (class.make)(self.clone())).unwrap_or_default();
        variants.into_iter().map(|variant| Fixture { defect: Some(defect), variant }).collect()
    }

    /// The nearest thing to a defect that is right, and must be let in: mostly this token as it is, and
    /// for a boundary the other side of it. `None` where [`fixture`](Self::fixture) is.
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
        let class = defect.class()?;
        (class.make)(self.clone()).first()?;
        let control = (class.control)(self.clone()).into_iter().next()?;
        Some(Fixture { defect: None, variant: control })
    }
}
