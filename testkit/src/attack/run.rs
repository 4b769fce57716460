//! The course of an attack: for each endpoint the control, a path that nobody serves, every class,
//! and the control again.

use http::Method;
use service_only::{AuditEvent, Code};

use super::{
    Attack, EndpointUnderAttack, Outcome, PARAMETER,
    judge::{self, BOUND, Control, Passing, THROTTLED},
    report::{AttackReport, EndpointReport, Finding},
    target::Answer,
};
use crate::{
    draft::TokenDraft,
    fixture::{Defect, Expectation, Fixture},
};

pub(super) async fn run(attack: &Attack, caller: &TokenDraft) -> AttackReport {
    let mut campaign = Campaign { attack, left: attack.max_requests };
    let mut endpoints = Vec::with_capacity(attack.endpoints.len());
    for endpoint in &attack.endpoints {
        endpoints.push(campaign.endpoint(endpoint, caller).await);
    }
    let sent = attack.max_requests - campaign.left;
    AttackReport::new(endpoints, attack.not_attacked.clone(), sent, attack.audit.is_some())
}

struct Campaign<'a> {
    attack: &'a Attack,
    /// Requests that may still be sent.
    left: usize,
}

impl Campaign<'_> {
    async fn endpoint(&mut self, endpoint: &EndpointUnderAttack, caller: &TokenDraft) -> EndpointReport {
        let target = filled(&endpoint.target, &self.attack.parameters);
        let method = &endpoint.method;
        let caller = match &endpoint.access {
            Some(access) => caller.clone().meeting(access.clone()),
            None => caller.clone(),
        };
        let valid = Fixture::valid(&caller);

        // Twice: a handler that deletes may answer the second time what it answers ever after.
        let mut passing = Passing::default();
        for _ in 0..2 {
            match self.control(&valid, method, &target).await {
                Control::Passes(status) => passing.0.push(status),
                control => return EndpointReport::without_attack(method.clone(), target, control),
            }
        }
        let serves_strays = self.serves_strays(method).await;
        let mut findings = Vec::with_capacity(Defect::ALL.len());
        for defect in Defect::ALL {
            let outcome = match self.left_out(*defect, endpoint, serves_strays) {
                Some(why) => Outcome::NotSent(why.to_owned()),
                None => match caller.fixture(*defect) {
                    Some(fixture) => self.strike(*defect, &fixture, (method, &target), &passing).await,
                    None => Outcome::NotSent("it does not fit this token".to_owned()),
                },
            };
            findings.push(Finding::new(*defect, outcome));
        }
        let afterwards = match self.control(&valid, method, &target).await {
            Control::ProvesNothing(why) => Control::ProvesNothing(format!("after the attack, {why}")),
            // Whatever answers now answered the attacks, too, and it is not what answered the control.
            Control::Passes(status) if self.attack.audit.is_none() && !passing.0.contains(&status) => {
                Control::ProvesNothing(format!("after the attack, the valid token is answered with {status}"))
            }
            control => control,
        };
        let afterwards = match findings.iter().filter(|finding| finding.outcome().is_throttled()).count() {
            0 => afterwards,
            throttled => Control::ProvesNothing(format!(
                "{THROTTLED} to {throttled} attacks; lift the limit for the test"
            )),
        };
        EndpointReport::new(method.clone(), target, afterwards, findings)
    }

    async fn control(&mut self, valid: &Fixture, method: &Method, target: &str) -> Control {
        match self.send(valid, method, target).await {
            Some((answer, records)) => judge::control(&answer, records.as_deref()),
            None => Control::ProvesNothing(BOUND.to_owned()),
        }
    }

    async fn strike(
        &mut self,
        defect: Defect,
        fixture: &Fixture,
        (method, target): (&Method, &str),
        passing: &Passing,
    ) -> Outcome {
        match self.send(fixture, method, target).await {
            Some((answer, records)) => {
                judge::attack(defect.expectation(), &answer, passing, records.as_deref())
            }
            None => Outcome::NotSent(BOUND.to_owned()),
        }
    }

    /// Whether the service answers paths that it does not know with success, as a website of one page
    /// does: other spellings of a path say nothing then.
    async fn serves_strays(&mut self, method: &Method) -> bool {
        let stray = Fixture::stray();
        let answer = self.send(&stray, method, "/service-only-no-such-path").await;
        answer.is_some_and(|(answer, _)| answer.is_ok_and(|status| status.is_success()))
    }

    /// The answer, and the records that it left; `None` beyond the bound.
    async fn send(
        &mut self,
        fixture: &Fixture,
        method: &Method,
        target: &str,
    ) -> Option<(Answer, Option<Vec<AuditEvent<'static>>>)> {
        self.left = self.left.checked_sub(1)?;
        let mut outgoing = fixture.outgoing(method.clone(), target);
        if let (Some((content_type, body)), None) = (&self.attack.body, &outgoing.body) {
            outgoing.headers.push(("content-type".to_owned(), content_type.clone()));
            outgoing.body = Some(body.clone());
        }
        let before = self.attack.audit.as_ref().map_or(0, |audit| audit.len());
        let answer = self.attack.target.send(outgoing).await;
        let records = self.attack.audit.as_ref();
        let records = records.map(|audit| audit.events().into_iter().skip(before).collect());
        Some((answer, records))
    }

    fn left_out(
        &self,
        defect: Defect,
        endpoint: &EndpointUnderAttack,
        serves_strays: bool,
    ) -> Option<&'static str> {
        match (defect, defect.code()) {
            _ if self.attack.without.contains(&defect) => Some("it was left out"),
            (_, Code::ServiceNotAllowed) if self.attack.any_service => {
                Some("the endpoint is for any service")
            }
            // HEAD runs what GET runs; elsewhere it is another endpoint, and may be anybody's.
            (Defect::HeadMethod, _) if endpoint.method != Method::GET => Some("the method is not GET"),
            (Defect::MethodInHeader | Defect::MethodInQuery, _) if endpoint.method == Method::POST => {
                Some("the method is POST already")
            }
            _ if serves_strays && defect.expectation() == Expectation::NotRun => {
                Some("paths that nobody serves are answered with success")
            }
            _ => None,
        }
    }
}

/// A path with a value for each `{name}` and `{*name}`.
fn filled(template: &str, parameters: &[(String, String)]) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name.map(|name| name.trim_start_matches('*')) else { return segment.to_owned() };
        let given = parameters.iter().rev().find(|(own, _)| own == name);
        given.map_or_else(|| PARAMETER.to_owned(), |(_, value)| value.clone())
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_path_are_filled() {
        let parameters = [("id".to_owned(), "7".to_owned())];
        assert_eq!(filled("/tenant/{id}/files/{*rest}", &parameters), format!("/tenant/7/files/{PARAMETER}"));
        assert_eq!(filled("/plain", &parameters), "/plain");
        assert_eq!(filled("/", &[]), "/");
    }
}
