//! One valid token and everything that can be wrong with it, each with the verdict that it must get.

mod defect;

use service_only::Code;

pub use defect::Defect;

use crate::{
    audit::RecordingAudit, draft::TokenDraft, fail::fail, response::TestResponse, token::FixtureToken,
};

/// A way to come to a guarded handler: with a valid token, or with one defect. Made by
/// [`TokenDraft::fixtures`].
#[derive(Debug, Clone)]
pub struct Fixture {
    defect: Option<Defect>,
    credential: Credential,
}

/// What comes with the request.
#[derive(Debug, Clone)]
enum Credential {
    Token(FixtureToken),
    /// What no token alone can express: none, two, another scheme.
    Headers(Vec<String>),
}

impl Fixture {
    fn valid(draft: &TokenDraft) -> Self {
        Self { defect: None, credential: Credential::Token(draft.token()) }
    }

    /// `valid`, or the name of the defect.
    pub fn name(&self) -> &'static str {
        self.defect.map_or("valid", Defect::name)
    }

    /// What is wrong; `None` for the control, with which nothing is.
    pub fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// The token, where the fixture is about one.
    pub fn token(&self) -> Option<&FixtureToken> {
        match &self.credential {
            Credential::Token(token) => Some(token),
            Credential::Headers(_) => None,
        }
    }

    /// The values of the `Authorization` headers that it comes with: one, none or several.
    pub fn authorization(&self) -> Vec<String> {
        match &self.credential {
            Credential::Token(token) => vec![format!("Bearer {token}")],
            Credential::Headers(values) => values.clone(),
        }
    }

    /// The status that the decision must have: 200 for the control, whatever the handler answers
    /// then.
    pub fn status(&self) -> u16 {
        self.code().map_or(200, Code::status)
    }

    /// The code that the denial must have.
    pub fn code(&self) -> Option<Code> {
        self.defect.map(Defect::code)
    }

    /// Fails the test unless `response`, the answer to this fixture, has the right status, and the
    /// latest record of `audit` the right code.
    ///
    /// # Panics
    /// When it has not. The message shows the response and the audit.
    #[track_caller]
    pub fn assert_met(&self, response: &TestResponse, audit: &RecordingAudit) {
        let refused = matches!(response.status().as_u16(), 400 | 401 | 403 | 503);
        let right_status = if self.defect.is_none() { !refused } else { response.status() == self.status() };
        let right_record =
            audit.last().is_some_and(|event| (event.status, event.code) == (self.status(), self.code()));
        if !(right_status && right_record) {
            let code = self.code().map_or("no code", Code::as_str);
            let status = self.status();
            let name = self.name();
            fail(format_args!("fixture `{name}`: expected {status} and {code}\n\n{response}\n\n{audit}"));
        }
    }
}

impl TokenDraft {
    /// This token, valid, as the control, and then once with each defect that fits it.
    ///
    /// The draft is to be valid for the handler, and the handler to name the services that may call:
    /// [`Defect::OtherService`] is let through where any service may.
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
    /// public key where there is none.
    #[track_caller]
    pub fn fixture(&self, defect: Defect) -> Option<Fixture> {
        let credential = defect.of(self)?;
        Some(Fixture { defect: Some(defect), credential })
    }
}
