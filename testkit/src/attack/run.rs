//! Runs an attack: for each endpoint the control, an unknown path, every class, and the control again.

use http::Method;
use serde_json::Value;
use service_only::{
    audit::AuditRecord,
    clock::{Clock, SystemClock},
    error::Code,
};

use super::{
    Attack, EndpointUnderAttack, Outcome,
    judge::{self, BOUND, Control, Passing, THROTTLED},
    likeness::{Likeness, Reply, likeness},
    report::{AttackReport, EndpointReport, Finding},
    target::{Answer, Message, ReadBody, Target, Unanswered, lets_in},
};
use crate::{
    audit::RecordingAudit,
    dpop::Prover,
    draft::TokenDraft,
    fixture::{Connection, Defect, Expectation, Fixture, Outgoing},
    grpc::is_grpc_type,
};

pub(crate) async fn run(attack: &Attack, target: &dyn Target, caller: &TokenDraft) -> AttackReport {
    let mut campaign = Campaign { attack, target, prover: caller.prover(), left: attack.max_requests };
    let mut endpoints = Vec::with_capacity(attack.endpoints.len());
    for endpoint in &attack.endpoints {
        endpoints.push(campaign.endpoint(endpoint, caller).await);
    }
    AttackReport {
        endpoints,
        not_attacked: attack.not_attacked.clone(),
        sent: attack.max_requests - campaign.left,
        exact: attack.audit.is_some(),
        target: target.name(),
        created: SystemClock.now(),
    }
}

struct Campaign<'a> {
    attack: &'a Attack,
    target: &'a dyn Target,
    /// Adds a proof of DPoP to each request.
    prover: Option<&'a Prover>,
    /// Requests that may still be sent.
    left: usize,
}

/// An endpoint that accepted the control.
struct Open<'e> {
    endpoint: &'e EndpointUnderAttack,
    caller: TokenDraft,
    target: String,
    passing: Passing,
    serves_strays: bool,
    /// Whether the key has no name to compare with a `kid`; determined on demand.
    nameless: Option<bool>,
}

/// The answer to one request, and its audit records.
type Sent = (Answer, Option<Vec<AuditRecord>>);

impl Campaign<'_> {
    async fn endpoint(&mut self, endpoint: &EndpointUnderAttack, caller: &TokenDraft) -> EndpointReport {
        let target = filled(&endpoint.target, &self.attack.parameters);
        let method = &endpoint.method;
        let caller = match &endpoint.access {
            Some(access) => caller.clone().meeting(access.clone()),
            None => caller.clone(),
        };
        let valid = Fixture::valid(&caller);

        // Send the control twice: a handler that deletes may answer the second request differently, and then
        // always the same.
        let mut passing = Passing::default();
        for _ in 0..2 {
            match self.first_control(&valid, method, &target).await {
                (Control::Passes(_), Some(Ok(reply))) => passing.0.push(reply),
                (control, _) => return EndpointReport::without_attack(method.clone(), target, control),
            }
        }
        let serves_strays = self.serves_strays(method).await;
        let mut open = Open { endpoint, caller, target, passing, serves_strays, nameless: None };
        let mut findings = Vec::with_capacity(Defect::ALL.len());
        for defect in Defect::ALL {
            let outcome = match self.left_out(*defect, &open) {
                Some(why) => Outcome::NotSent(why.to_owned()),
                None => self.commit(*defect, &mut open).await,
            };
            findings.push(Finding::new(*defect, outcome));
        }
        let Open { target, passing, .. } = open;
        let afterwards = match self.control(&valid, method, &target).await.0 {
            Control::ProvesNothing(why) | Control::Unreachable(why) => {
                Control::ProvesNothing(format!("after the attack, {why}"))
            }
            // The answer differs from the first control, so the same handler may not have answered the
            // attacks.
            Control::Passes(status) if self.attack.audit.is_none() && !passing.has(status) => {
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

    /// The control again if the service has answered it with its first nonce (RFC 9449 section 9).
    async fn first_control(
        &mut self,
        valid: &Fixture,
        method: &Method,
        target: &str,
    ) -> (Control, Option<Answer>) {
        let has_nonce = |prover: Option<&Prover>| prover.is_some_and(|prover| prover.nonce().is_some());
        let had_one = has_nonce(self.prover);
        let first = self.control(valid, method, target).await;
        match first {
            (Control::ProvesNothing(_), _) if !had_one && has_nonce(self.prover) => {
                self.control(valid, method, target).await
            }
            first => first,
        }
    }

    async fn control(&mut self, valid: &Fixture, method: &Method, target: &str) -> (Control, Option<Answer>) {
        match self.send(valid.outgoing(method.clone(), target), None, ReadBody::Yes).await {
            Some((answer, records)) => (judge::control(&answer, records.as_deref()), Some(answer)),
            None => (Control::ProvesNothing(BOUND.to_owned()), None),
        }
    }

    /// Sends every variant of a class until one is accepted. The class gets the outcome with the greatest
    /// weight.
    async fn commit(&mut self, defect: Defect, open: &mut Open<'_>) -> Outcome {
        let mut heaviest: Option<Outcome> = None;
        for fixture in open.caller.variants(defect) {
            let outcome = self.strike(defect, &fixture, open).await;
            let outcome = outcome.of_variant(fixture.variant());
            if heaviest.as_ref().is_none_or(|heaviest| outcome.weight() > heaviest.weight()) {
                heaviest = Some(outcome);
            }
            if matches!(heaviest, Some(Outcome::GotIn(_))) {
                break;
            }
        }
        heaviest.unwrap_or_else(|| Outcome::NotSent(defect.unfit(&open.caller).to_owned()))
    }

    async fn strike(&mut self, defect: Defect, fixture: &Fixture, open: &mut Open<'_>) -> Outcome {
        let expectation = fixture.expectation().unwrap_or(defect.expectation());
        let (method, target) = (open.endpoint.method.clone(), open.target.clone());
        if let Some(before) = fixture.before()
            && self
                .send(before.outgoing(method.clone(), &target), before.connection(), ReadBody::No)
                .await
                .is_none()
        {
            return Outcome::NotSent(BOUND.to_owned());
        }
        let outgoing = fixture.outgoing(method, &target);
        let read = if expectation == Expectation::NotRun { ReadBody::Yes } else { ReadBody::No };
        let Some((answer, records)) = self.send(outgoing.clone(), fixture.connection(), read).await else {
            return Outcome::NotSent(BOUND.to_owned());
        };
        let outcome = judge::attack(expectation, &answer, &open.passing, records.as_deref());
        let recorded = records.iter().flatten().next();
        match (&outcome, expectation) {
            (Outcome::GotIn(_), Expectation::NotRun) if recorded.is_none() => {
                self.explain(outcome, &answer, (fixture, &outgoing), open).await
            }
            (Outcome::GotIn(said), _) if defect.renames_key() && self.is_nameless(open).await => {
                Outcome::NoConclusion(format!("{said}, and the key has no name to compare a `kid` with"))
            }
            (Outcome::Refused(_), Expectation::Denied(Code::UnknownKey))
                if recorded.and_then(|record| record.code) == Some(Code::BadSignature)
                    && self.is_nameless(open).await =>
            {
                answer.map_or(outcome, |reply| Outcome::Met(reply.status))
            }
            _ => outcome,
        }
    }

    /// Whether a correct service may answer like this: another handler, which is public by design, may answer
    /// another method or path.
    async fn explain(
        &mut self,
        outcome: Outcome,
        answer: &Answer,
        (fixture, outgoing): (&Fixture, &Outgoing),
        open: &Open<'_>,
    ) -> Outcome {
        let Ok(reply) = answer else { return outcome };
        let own = &open.endpoint.method;
        let like = likeness(reply, outgoing, &open.passing.0, &open.target);
        let other_path = path_of(&outgoing.target) != path_of(&open.target);
        let another = || {
            let (method, path) = (&outgoing.method, path_of(&outgoing.target));
            Outcome::NoConclusion(format!(
                "{outcome}, by another handler; name `{method} {path}` as an endpoint if it is guarded"
            ))
        };
        if outgoing.method != *own {
            let method = &outgoing.method;
            return match like {
                Likeness::Same => outcome,
                Likeness::Different => another(),
                // HEAD runs the handler of GET. The other methods of a path may be public by design.
                Likeness::CannotBeTold if is_common(method) && *method != Method::HEAD => another(),
                Likeness::CannotBeTold => outcome,
            };
        }
        let other_host =
            outgoing.headers.iter().any(|(name, _)| name == "host") || !outgoing.target.starts_with('/');
        match like {
            Likeness::Different if other_path || other_host => another(),
            Likeness::CannotBeTold if other_path && self.answers_strays(fixture, own, open).await => {
                Outcome::NoConclusion(format!("{outcome}, as for paths that the service does not know"))
            }
            _ => outcome,
        }
    }

    /// Whether the service answers unknown paths with success if they have the same spelling.
    async fn answers_strays(&mut self, fixture: &Fixture, method: &Method, open: &Open<'_>) -> bool {
        let path = path_of(&open.target);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        for stray in [STRAY.to_owned(), format!("{parent}{STRAY}")] {
            let answer =
                self.send(fixture.outgoing(method.clone(), &stray), fixture.connection(), ReadBody::No).await;
            if answer.is_some_and(|(answer, _)| answer.is_ok_and(|reply| lets_in(reply.status))) {
                return true;
            }
        }
        false
    }

    /// Whether the verifier's key has no name, so that it does not compare the `kid`. It then accepts every
    /// name for the right key. A careless comparison accepts only some names.
    async fn is_nameless(&mut self, open: &mut Open<'_>) -> bool {
        if let Some(known) = open.nameless {
            return known;
        }
        let nameless = self.accepts_every_name(open).await;
        open.nameless = Some(nameless);
        nameless
    }

    async fn accepts_every_name(&mut self, open: &Open<'_>) -> bool {
        let published = open.caller.authority().has_published();
        match self.attack.named_keys {
            Some(true) => return false,
            None if published && self.attack.audit.is_none() => return false,
            _ => {}
        }
        for defect in Defect::ALL.iter().filter(|defect| defect.renames_key()) {
            for fixture in open.caller.variants(*defect) {
                let outgoing = fixture.outgoing(open.endpoint.method.clone(), &open.target);
                let Some((answer, records)) = self.send(outgoing, None, ReadBody::No).await else {
                    return false;
                };
                let outcome = judge::attack(defect.expectation(), &answer, &open.passing, records.as_deref());
                // A record names the key by which the token was verified, if it has a name.
                let named = records.iter().flatten().any(|record| record.kid.is_some());
                if named || !matches!(outcome, Outcome::GotIn(_)) {
                    return false;
                }
            }
        }
        true
    }

    /// Whether the service answers unknown paths with success, as a single-page website does. Then other
    /// spellings of a path prove nothing.
    async fn serves_strays(&mut self, method: &Method) -> bool {
        let answer = self.send(Fixture::stray().outgoing(method.clone(), STRAY), None, ReadBody::No).await;
        answer.is_some_and(|(answer, _)| answer.is_ok_and(|reply| lets_in(reply.status)))
    }

    /// The answer, and its audit records; `None` above the limit of requests.
    async fn send(
        &mut self,
        outgoing: Outgoing,
        connection: Option<&Connection>,
        read: ReadBody,
    ) -> Option<Sent> {
        self.left = self.left.checked_sub(1)?;
        let mark = self.attack.audit.as_ref().map(RecordingAudit::mark);
        let answer = match with_body(outgoing, self.attack.body.as_ref()) {
            Ok(message) => {
                let message = Message { connection: connection.cloned(), ..message };
                self.target.send(message, read).await
            }
            Err(unanswered) => Err(unanswered),
        };
        if let (Some(prover), Ok(Reply { nonce: Some(nonce), .. })) = (self.prover, &answer) {
            prover.keep_nonce(nonce);
        }
        Some((answer, mark.map(|mark| mark.events())))
    }

    fn left_out(&self, defect: Defect, open: &Open<'_>) -> Option<&'static str> {
        let method = &open.endpoint.method;
        match (defect, defect.code()) {
            _ if self.attack.without.contains(&defect) => Some("the test excludes this class"),
            // Over such a connection, another code refuses it: the token is bound to another certificate than this one.
            #[cfg(feature = "tls")]
            (Defect::BoundToCertificate, _) if open.caller.has_certificate() => {
                Some("the connection has a certificate, so the class `stolen_bound_token` tests it")
            }
            (_, Code::ServiceNotAllowed) if self.attack.any_service => {
                Some("the endpoint accepts any service")
            }
            // HEAD runs the handler of GET. For other methods it is a different endpoint, which may be
            // public.
            (Defect::HeadMethod, _) if *method != Method::GET => Some("the method is not GET"),
            (Defect::MethodInHeader | Defect::MethodInQuery, _) if *method == Method::POST => {
                Some("the method is POST already")
            }
            _ if open.serves_strays && defect.family() == "route" => {
                Some("the service answers paths without a route with success")
            }
            _ => None,
        }
    }
}

/// Adds the body that the handler needs. If the attack has a body of the same kind, this function merges the
/// members or fields of both, so that a reached handler can do its work.
fn with_body(outgoing: Outgoing, needed: Option<&(String, Vec<u8>)>) -> Result<Message, Unanswered> {
    let mut message = Message::from(outgoing);
    let Some((content_type, body)) = needed else { return Ok(message) };
    let Some(own) = message.body.as_deref() else {
        message.headers.push(("content-type".to_owned(), content_type.clone()));
        message.body = Some(body.clone());
        return Ok(message);
    };
    // tonic decodes the message before it calls a method, so a guard never reads another body.
    if is_grpc_type(content_type) {
        return Err(Unanswered::NotSent("a body of gRPC is a message".to_owned()));
    }
    let is_of = |media_type: &str| {
        content_type.starts_with(media_type)
            && message.headers.iter().any(|(name, value)| name == "content-type" && value == media_type)
    };
    if is_of("application/x-www-form-urlencoded") {
        message.body = Some([body, &b"&"[..], own].concat());
    } else if is_of("application/json")
        && let (Ok(Value::Object(mut members)), Ok(Value::Object(own))) =
            (serde_json::from_slice(body), serde_json::from_slice(own))
    {
        members.extend(own);
        message.body = Some(Value::Object(members).to_string().into_bytes());
    }
    Ok(message)
}

/// A path that no service has.
const STRAY: &str = "/service-only-no-such-path";

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Whether a service may have a public handler for this method. Other methods have none by design.
fn is_common(method: &Method) -> bool {
    use http::Method as M;
    [M::GET, M::HEAD, M::POST, M::PUT, M::PATCH, M::DELETE, M::OPTIONS].contains(method)
}

/// A path with a value for each `{name}` and `{*name}`.
fn filled(template: &str, parameters: &[(String, String)]) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name.map(|name| name.trim_start_matches('*')) else { return segment.to_owned() };
        let given = parameters.iter().rev().find(|(own, _)| own == name);
        given.map_or_else(|| Attack::PARAMETER.to_owned(), |(_, value)| value.clone())
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_the_handler_and_of_the_attack_are_merged() {
        let with = |defect, content_type: &str, body: &str| {
            let fixture = crate::TestAuthority::new().service("orders").fixture(defect).unwrap();
            let needed = (content_type.to_owned(), body.as_bytes().to_vec());
            let message = with_body(fixture.outgoing(Method::POST, "/"), Some(&needed)).unwrap();
            String::from_utf8(message.body.unwrap()).unwrap()
        };
        let json = with(Defect::TokenInJson, "application/json", r#"{"loaves":12}"#);
        assert!(json.contains(r#""loaves":12"#) && json.contains(r#""token":"eyJ"#), "{json}");
        let form = with(Defect::TokenInOtherForm, "application/x-www-form-urlencoded", "loaves=12");
        assert!(form.starts_with("loaves=12&access_token=eyJ"), "{form}");
        let other = with(Defect::TokenInOtherForm, "application/json", "{}");
        assert!(other.starts_with("access_token=eyJ"), "{other}");
        assert_eq!(with(Defect::NoToken, "application/json", "{}"), "{}");
    }

    #[test]
    fn a_method_of_grpc_gets_messages_and_no_other_body() {
        let sent = |defect| {
            let fixture = crate::TestAuthority::new().service("orders").fixture(defect).unwrap();
            let needed = ("application/grpc".to_owned(), b"\0\0\0\0\x01\xff".to_vec());
            with_body(fixture.outgoing(Method::POST, "/"), Some(&needed)).map(|message| message.body)
        };
        assert_eq!(sent(Defect::NoToken), Ok(Some(b"\0\0\0\0\x01\xff".to_vec())));
        assert!(matches!(sent(Defect::TokenInJson), Err(Unanswered::NotSent(_))));
    }

    #[test]
    fn parameters_of_a_path_are_filled() {
        let parameters = [("id".to_owned(), "7".to_owned())];
        assert_eq!(
            filled("/tenant/{id}/files/{*rest}", &parameters),
            format!("/tenant/7/files/{}", Attack::PARAMETER)
        );
        assert_eq!(filled("/plain", &parameters), "/plain");
        assert_eq!(filled("/", &[]), "/");
    }
}
