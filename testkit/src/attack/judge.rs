//! Decides the outcome of an attack. The functions are pure: the input is an answer, the control's answer,
//! and the new audit records; the output is an outcome.

use std::fmt;

use http::StatusCode;
use service_only::audit::{AuditRecord, Decision};

use super::{
    likeness::Reply,
    target::{Answer, Unanswered, lets_in},
};
use crate::fixture::Expectation;

/// The outcome of one attack.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Refused exactly as it must be.
    Met(StatusCode),
    /// Refused before a request, exactly as it must be: the service ended the connection of the attack, or did not
    /// resume its session.
    TurnedAway(String),
    /// Refused in another way: another status, another code, or the connection was closed.
    Refused(String),
    /// The service accepted it.
    GotIn(String),
    /// The service failed on it: a status of 500 or above, a panic, no answer in time.
    Broke(String),
    /// Accepted, or answered with success, in a way that a correct service may answer: by a handler that is
    /// public by design, or under a `kid` that a key without a name does not compare.
    NoConclusion(String),
    /// Not sent, with the reason.
    NotSent(String),
}

impl Outcome {
    /// The kind of outcome: `met`, `turned_away`, `refused`, `got_in`, `broke`, `no_conclusion` or `not_sent`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Met(_) => "met",
            Self::TurnedAway(_) => "turned_away",
            Self::Refused(_) => "refused",
            Self::GotIn(_) => "got_in",
            Self::Broke(_) => "broke",
            Self::NoConclusion(_) => "no_conclusion",
            Self::NotSent(_) => "not_sent",
        }
    }

    /// Whether a rate limit answered in place of the guard.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self, Self::NotSent(why) if why == THROTTLED)
    }

    /// If one attack has several variants, the report has the outcome with the greatest weight.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::GotIn(_) => 6,
            Self::Broke(_) => 5,
            Self::NotSent(_) if self.is_bound() || self.is_throttled() => 4,
            Self::Refused(_) => 3,
            Self::NoConclusion(_) => 2,
            Self::Met(_) | Self::TurnedAway(_) => 1,
            Self::NotSent(_) => 0,
        }
    }

    /// Adds the name of the variant to the outcome, for the report.
    pub(crate) fn of_variant(self, variant: Option<&str>) -> Self {
        let Some(variant) = variant else { return self };
        let with = |said: String| format!("{said} for `{variant}`");
        match self {
            Self::Refused(said) => Self::Refused(with(said)),
            Self::GotIn(said) => Self::GotIn(with(said)),
            Self::Broke(said) => Self::Broke(with(said)),
            Self::NoConclusion(said) => Self::NoConclusion(with(said)),
            Self::Met(_) | Self::TurnedAway(_) | Self::NotSent(_) => self,
        }
    }

    /// Whether it was not sent because of the limit of requests.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::NotSent(why) if why == BOUND)
    }
}

/// Prints the answer, or the reason why there is none.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met(status) => status.fmt(f),
            Self::TurnedAway(said)
            | Self::Refused(said)
            | Self::GotIn(said)
            | Self::Broke(said)
            | Self::NoConclusion(said)
            | Self::NotSent(said) => f.write_str(said),
        }
    }
}

/// Why a sent attack proves nothing.
pub(crate) const THROTTLED: &str = "the service limits rates and answered 429";

/// Why no more requests are sent.
pub(crate) const BOUND: &str = "the bound on requests is reached";

/// Whether the service accepts the valid token. If it does not, an attack proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// It accepts the token, and the answer is not a refusal.
    Passes(StatusCode),
    /// It does not, or the answer does not show it.
    ProvesNothing(String),
    /// No connection to the service, with the reason.
    Unreachable(String),
}

/// The answers to the control: an attack with a similar answer was accepted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passing(pub(crate) Vec<Reply>);

impl Passing {
    pub(crate) fn has(&self, status: StatusCode) -> bool {
        self.0.iter().any(|reply| reply.status == status)
    }
}

pub(crate) fn control(answer: &Answer, records: Option<&[AuditRecord]>) -> Control {
    let nothing = |why: &str| Control::ProvesNothing(why.to_owned());
    let reply = match answer {
        Ok(reply) => reply,
        Err(Unanswered::Unreachable(why)) => return Control::Unreachable(why.clone()),
        Err(unanswered) => return Control::ProvesNothing(said(unanswered)),
    };
    let status = reply.status;
    match (status.as_u16(), records) {
        (429, records) if records.is_none_or(<[_]>::is_empty) => nothing(THROTTLED),
        (401 | 403, records) => Control::ProvesNothing(refused(status, records)),
        (_, Some([record])) if record.decision == Decision::Allow => Control::Passes(status),
        (_, Some([])) => nothing("the audit has no record of it: is it the audit of this app's verifier?"),
        (_, Some(_)) => nothing("the audit has not exactly one record of it, that lets it in"),
        (400 | 404 | 405, None) => Control::ProvesNothing(format!(
            "the valid token is answered with {status}, which a refusal may be too; name a target that the \
             handler answers, or the audit"
        )),
        // A proxy or a router redirects before a guard runs, and would redirect each attack too.
        (301 | 302 | 307 | 308, None) => Control::ProvesNothing(format!(
            "the valid token is answered with {status} to `{}`; name the target that it leads to",
            reply.location.as_deref().unwrap_or_default()
        )),
        (500.., None) => Control::ProvesNothing(format!("the valid token is answered with {status}")),
        _ => Control::Passes(status),
    }
}

/// Why the valid token is refused, if the audit has the reason.
fn refused(status: StatusCode, records: Option<&[AuditRecord]>) -> String {
    let why = records.unwrap_or_default().iter().rev().find_map(AuditRecord::explanation).map(|explained| {
        format!(": {}; check {}; {}", explained.reason, explained.advice.setting, explained.advice.change)
    });
    format!("the valid token is refused with {status}{}", why.unwrap_or_default())
}

pub(crate) fn attack(
    expectation: Expectation,
    answer: &Answer,
    passing: &Passing,
    records: Option<&[AuditRecord]>,
) -> Outcome {
    let status = match answer {
        Ok(reply) => reply.status,
        Err(Unanswered::TurnedAway(why)) if expectation == Expectation::NotRun => {
            return Outcome::TurnedAway(why.clone());
        }
        Err(Unanswered::Closed(why) | Unanswered::TurnedAway(why)) => return Outcome::Refused(why.clone()),
        Err(Unanswered::Broken(why) | Unanswered::Unreachable(why)) => return Outcome::Broke(why.clone()),
        Err(Unanswered::NotSent(why)) => {
            return Outcome::NotSent(format!("the client cannot send it: {why}"));
        }
    };
    if records.unwrap_or_default().iter().any(|record| record.decision == Decision::Allow) {
        return Outcome::GotIn(format!("{status}, and the audit says that it was let in"));
    }
    // A rate limit answers before the guard runs: it does not show whether the guard would have refused.
    if status == StatusCode::TOO_MANY_REQUESTS && !is_denied(records) {
        return Outcome::NotSent(THROTTLED.to_owned());
    }
    // A status like that of the control is evidence only if the audit log has no better evidence. The log has
    // better evidence if it shows a denial, or shows that a request which need not reach a guard has reached
    // none.
    let known = match records {
        Some([]) => expectation == Expectation::NotRun,
        Some(_) => true,
        None => false,
    };
    if lets_in(status) || (!known && passing.has(status)) {
        return Outcome::GotIn(status.to_string());
    }
    // A server answers unimplemented methods and versions with 501 and 505 (RFC 9110 sections 15.6.2 and
    // 15.6.6).
    let not_implemented = matches!(status.as_u16(), 501 | 505) && expectation == Expectation::NotRun;
    if status.is_server_error() && !not_implemented {
        return Outcome::Broke(status.to_string());
    }
    let codes = expectation.codes();
    match records {
        _ if expectation == Expectation::NotRun => Outcome::Met(status),
        None if codes.iter().any(|code| status == code.status()) => Outcome::Met(status),
        Some([record])
            if codes.iter().any(|code| {
                status == code.status() && (record.status, record.code) == (code.status(), Some(*code))
            }) =>
        {
            Outcome::Met(status)
        }
        // The server refused a request that is too long, before a guard ran.
        Some([]) if matches!(status.as_u16(), 413 | 414 | 431) => Outcome::Met(status),
        Some(records) => {
            let found = records.iter().map(|record| record.code.map_or("none", |code| code.as_str()));
            let found = found.collect::<Vec<_>>().join("`, `");
            let expected = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join("` or `");
            Outcome::Refused(format!("{status} and `{found}`, expected one record `{expected}`"))
        }
        None => Outcome::Refused(status.to_string()),
    }
}

fn is_denied(records: Option<&[AuditRecord]>) -> bool {
    records.unwrap_or_default().iter().any(|record| record.decision == Decision::Deny)
}

fn said(unanswered: &Unanswered) -> String {
    match unanswered {
        Unanswered::NotSent(why)
        | Unanswered::Closed(why)
        | Unanswered::Broken(why)
        | Unanswered::TurnedAway(why)
        | Unanswered::Unreachable(why) => {
            format!("the valid token gets no answer: {why}")
        }
    }
}

#[cfg(test)]
mod tests;
