//! The report of an attack, for the person whose test it fails.

use std::fmt;

use http::Method;

use super::judge::{Control, Outcome};
use crate::fixture::Defect;

/// The result of an attack. `Display` prints the report for people; it contains no token.
#[derive(Debug, Clone)]
pub struct AttackReport {
    endpoints: Vec<EndpointReport>,
    not_attacked: Vec<(String, String)>,
    sent: usize,
    exact: bool,
}

impl AttackReport {
    pub(crate) fn new(
        endpoints: Vec<EndpointReport>,
        not_attacked: Vec<(String, String)>,
        sent: usize,
        exact: bool,
    ) -> Self {
        Self { endpoints, not_attacked, sent, exact }
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

    /// How many requests were sent.
    pub fn requests(&self) -> usize {
        self.sent
    }
}

impl fmt::Display for AttackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            endpoint.write(f, self.exact)?;
        }
        for (path, reason) in &self.not_attacked {
            writeln!(f, "{path}: not attacked, {reason}")?;
        }
        write!(f, "{} requests were sent", self.sent)
    }
}

/// Selects a kind of outcome.
type Is = fn(&Outcome) -> bool;

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

    fn is_clean(&self, exact: bool) -> bool {
        matches!(self.control, Control::Passes(_))
            && self.findings.iter().all(|finding| finding.is_clean(exact))
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, exact: bool) -> fmt::Result {
        let Self { method, target, control, findings } = self;
        let count = |is: Is| findings.iter().filter(|finding| is(&finding.outcome)).count();
        let got_in = count(|outcome| matches!(outcome, Outcome::GotIn(_)));
        let not_sent = count(|outcome| matches!(outcome, Outcome::NotSent(_)));
        let sent = findings.len() - not_sent;
        if findings.is_empty() {
            writeln!(f, "{method} {target}: not attacked")?;
        } else {
            writeln!(f, "{method} {target}: {got_in} of {sent} attacks got in, {not_sent} were not sent")?;
        }
        if let Control::ProvesNothing(why) = control {
            writeln!(f, "  this attack proves nothing: {why}")?;
        }
        let titles: [(&str, Is); 4] = [
            ("got in", |outcome| matches!(outcome, Outcome::GotIn(_))),
            ("broke the service", |outcome| matches!(outcome, Outcome::Broke(_))),
            ("was refused otherwise than it must be", |outcome| matches!(outcome, Outcome::Refused(_))),
            ("was not sent", |outcome| outcome.is_bound()),
        ];
        for (title, is) in titles {
            let of_title = findings.iter().filter(|finding| is(&finding.outcome) && !finding.is_clean(exact));
            for finding in of_title {
                writeln!(f, "  {title}: {finding}")?;
            }
        }
        for finding in findings.iter().filter(|finding| matches!(finding.outcome, Outcome::SaysNothing(_))) {
            writeln!(f, "  says nothing: {} ({})", finding.defect, finding.outcome)?;
        }
        Ok(())
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

    fn is_clean(&self, exact: bool) -> bool {
        match &self.outcome {
            Outcome::Met(_) | Outcome::SaysNothing(_) => true,
            Outcome::Refused(_) => !exact,
            Outcome::NotSent(_) => !self.outcome.is_bound() && !self.outcome.is_throttled(),
            Outcome::GotIn(_) | Outcome::Broke(_) => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (defect, outcome) = (self.defect, &self.outcome);
        write!(f, "{defect} ({outcome}): {} [{}]", defect.attack(), defect.source())
    }
}
