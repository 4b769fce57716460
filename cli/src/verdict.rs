//! The answer to "is this token good?", in the terms of the command's contract.
//!
//! `verify` and `verify --batch` both use this type, so that text, JSON and exit code cannot disagree.

use serde::Serialize;
use serde_json::Value;
use service_only::{Caller, Denial, PeerCertificate, Policy, Verifier};

use crate::exit::Exit;
use crate::members;
use crate::output;
use crate::problem::{Outcome, Problem};
use crate::redact;

/// One decision, in the format of JSON answers.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    verdict: Verdict,
    code: &'static str,
    reason: String,
    claims: Option<Value>,
}

/// The four possible verdicts.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Authentic and allowed.
    Accept,
    /// Not authentic.
    #[serde(rename = "reject_401")]
    Reject401,
    /// Authentic and forbidden.
    #[serde(rename = "reject_403")]
    Reject403,
    /// No verifier could be built.
    ConfigError,
}

impl Answer {
    /// Verifies a token. Bytes that are not text cannot be a token.
    pub(crate) fn of(
        verifier: &Verifier,
        peer: Option<&PeerCertificate>,
        policy: &Policy<'_>,
        token: &[u8],
    ) -> Self {
        let Ok(token) = std::str::from_utf8(token) else {
            return Self::refused(Verdict::Reject401, "malformed", "the token is not text");
        };
        match verifier.verify_from(peer, token, policy) {
            Ok(caller) => Self::accepted(&caller),
            Err(denial) => Self::denied(&denial),
        }
    }

    fn accepted(caller: &Caller) -> Self {
        let reason = format!("service `{}` is authentic and allowed", caller.service());
        Self { verdict: Verdict::Accept, code: "ok", reason, claims: Some(claims(caller)) }
    }

    fn denied(denial: &Denial) -> Self {
        let verdict = match denial.status() {
            403 => Verdict::Reject403,
            _ => Verdict::Reject401,
        };
        Self::refused(verdict, denial.code().as_str(), &denial.to_string())
    }

    /// The answer if no decision was possible.
    pub(crate) fn config_error(problem: &Problem) -> Self {
        Self::refused(Verdict::ConfigError, problem.code().as_str(), &problem.to_string())
    }

    fn refused(verdict: Verdict, code: &'static str, reason: &str) -> Self {
        // The reason may quote an argument, which may be a token.
        Self { verdict, code, reason: redact::message(reason), claims: None }
    }

    /// The service of an accepted token.
    pub(crate) fn service(&self) -> Option<&str> {
        self.claims.as_ref()?.get("service")?.as_str()
    }

    /// Why the token is refused, apart from the proof of possession that a bound token needs in each request.
    pub(crate) fn refusal_without_proof(&self) -> Option<&str> {
        let is_accepted = self.verdict == Verdict::Accept || self.code == "proof_missing";
        (!is_accepted).then_some(self.reason.as_str())
    }

    pub(crate) fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Accept => Exit::Done,
            Verdict::Reject401 => Exit::Found,
            Verdict::Reject403 => Exit::Forbidden,
            Verdict::ConfigError => Exit::Misuse,
        }
    }

    /// Prints the decision for people: one line, then one line per claim, all escaped.
    pub(crate) fn print(&self) -> Outcome<()> {
        let (words, reason) = (self.headline(), format!(": {}", self.reason));
        output::verdict(self.verdict == Verdict::Accept, &words, &reason)?;
        let claims = self.claims.as_ref().and_then(Value::as_object);
        let details = claims.map(members::lines).unwrap_or_default();
        details.iter().try_for_each(|line| output::result(line))
    }

    fn headline(&self) -> String {
        match self.verdict {
            Verdict::Accept => "accepted".to_owned(),
            Verdict::Reject401 => format!("refused, not authentic (401 {})", self.code),
            Verdict::Reject403 => format!("refused, forbidden (403 {})", self.code),
            Verdict::ConfigError => format!("not decided ({})", self.code),
        }
    }
}

/// The verified claims, plus the two claims that mark a service token, which every caller has.
fn claims(caller: &Caller) -> Value {
    let mut claims = serde_json::to_value(caller.claims()).unwrap_or(Value::Null);
    if let Some(members) = claims.as_object_mut() {
        members.insert("type".to_owned(), "service".into());
        members.insert("is_service".to_owned(), true.into());
    }
    claims
}
