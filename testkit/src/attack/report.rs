//! The result of an attack. Its forms are text, a page, JSON and a matrix.

use http::Method;
use service_only::clock::Timestamp;

use super::judge::{Control, Outcome};
use crate::{fail::fail, fixture::Defect};

/// The result of an attack.
///
/// `Display` prints it for people, at most 80 columns wide, or as wide as `{:60}` says. It begins with the causes, the
/// checks that the service lacks. It contains no token.
#[derive(Debug, Clone)]
pub struct AttackReport {
    pub(super) endpoints: Vec<EndpointReport>,
    pub(super) not_attacked: Vec<(String, String)>,
    pub(super) sent: usize,
    /// Whether an audit log shows the code of each refusal.
    pub(super) exact: bool,
    pub(super) target: String,
    pub(super) created: Timestamp,
}

impl AttackReport {
    /// Fails the test unless the report is [clean](Self::is_clean). Use it if the test first stores the
    /// report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
    /// # use axum::{Router, routing::get};
    /// # use http::Method;
    /// # use service_only::service_only;
    /// # use service_only_testkit::{TestAuthority, attack};
    /// # #[service_only(services("orders"))] async fn stock() {}
    /// # let authority = TestAuthority::new();
    /// # let app = Router::new().route("/stock", get(stock)).with_state(authority.verifier());
    /// # let page = std::env::temp_dir().join("service-only-attack.html");
    /// let attack = attack(app).as_caller(authority.service("orders")).endpoint(Method::GET, "/stock");
    /// let report = attack.report().await;
    /// std::fs::write(&page, report.html())?;
    /// report.assert_clean();
    /// # std::fs::remove_file(page)
    /// # }
    /// ```
    ///
    /// # Panics
    /// Unless the report is clean. The message is the report.
    #[track_caller]
    pub fn assert_clean(&self) {
        if !self.is_clean() {
            fail(self);
        }
    }

    /// Whether the attack is conclusive and found nothing. Each control was accepted before and after, no
    /// attack was accepted, nothing failed, and the request limit was not reached. With an audit log, each
    /// refusal also had the exact code.
    pub fn is_clean(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.is_clean(self.exact))
    }

    /// The accepted attacks, over all endpoints.
    pub fn got_in(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| matches!(finding.outcome, Outcome::GotIn(_)))
    }

    /// The attacks that were accepted or broke the service, over all endpoints.
    pub fn holes(&self) -> impl Iterator<Item = &Finding> {
        self.findings().filter(|finding| matches!(finding.outcome, Outcome::GotIn(_) | Outcome::Broke(_)))
    }

    /// The result of every class at every endpoint.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.findings)
    }

    /// The endpoints, in the order in which they were added.
    pub fn endpoints(&self) -> &[EndpointReport] {
        &self.endpoints
    }

    /// The routes that were not attacked, by path and reason: they are public, or accept no caller.
    pub fn not_attacked(&self) -> &[(String, String)] {
        &self.not_attacked
    }

    /// Why a connection to the service failed; `None` if each endpoint got one.
    pub fn unreachable(&self) -> Option<&str> {
        self.endpoints.iter().find_map(|endpoint| match &endpoint.control {
            Control::Unreachable(why) => Some(why.as_str()),
            Control::Passes(_) | Control::ProvesNothing(_) => None,
        })
    }

    /// How many requests were sent.
    pub fn requests(&self) -> usize {
        self.sent
    }
}

/// The result of the attack on one endpoint.
#[derive(Debug, Clone)]
pub struct EndpointReport {
    method: Method,
    target: String,
    control: Control,
    findings: Vec<Finding>,
}

impl EndpointReport {
    pub(crate) fn new(method: Method, target: String, control: Control, findings: Vec<Finding>) -> Self {
        Self { method, target, control, findings }
    }

    pub(crate) fn without_attack(method: Method, target: String, control: Control) -> Self {
        Self::new(method, target, control, Vec::new())
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the service accepted the valid token.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The result of each class, in the order of [`Defect::ALL`]; empty if the control proves nothing.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn outcome(&self, defect: Defect) -> Option<&Outcome> {
        self.findings.iter().find(|finding| finding.defect == defect).map(|finding| &finding.outcome)
    }

    pub(super) fn is_clean(&self, exact: bool) -> bool {
        matches!(self.control, Control::Passes(_))
            && self.findings.iter().all(|finding| finding.is_clean(exact))
    }
}

/// The result of one class at one endpoint.
#[derive(Debug, Clone)]
pub struct Finding {
    defect: Defect,
    outcome: Outcome,
}

impl Finding {
    pub(crate) fn new(defect: Defect, outcome: Outcome) -> Self {
        Self { defect, outcome }
    }

    /// The class.
    pub fn defect(&self) -> Defect {
        self.defect
    }

    /// The outcome.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(super) fn is_clean(&self, exact: bool) -> bool {
        match &self.outcome {
            Outcome::Met(_) | Outcome::TurnedAway(_) | Outcome::NoConclusion(_) => true,
            Outcome::Refused(_) => !exact,
            Outcome::NotSent(_) => !self.outcome.is_bound() && !self.outcome.is_throttled(),
            Outcome::GotIn(_) | Outcome::Broke(_) => false,
        }
    }
}
