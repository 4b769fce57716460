//! The findings of a report in groups, for its text, its page and its JSON.
//!
//! One missing check admits many attacks, so a report begins with the causes.

use service_only::error::Code;

use super::{
    judge::{Control, Outcome},
    report::{AttackReport, EndpointReport, Finding},
};
use crate::fixture::Defect;

/// The findings with one cause.
#[derive(Debug)]
pub(crate) struct Cause<'r> {
    /// The check that the service lacks.
    pub(crate) sentence: String,
    pub(crate) findings: Vec<(&'r EndpointReport, &'r Finding)>,
}

impl Cause<'_> {
    /// The number of endpoints with this cause. The findings are sorted by endpoint.
    pub(crate) fn endpoints(&self) -> usize {
        self.findings.chunk_by(|(one, _), (other, _)| std::ptr::eq(*one, *other)).count()
    }
}

impl AttackReport {
    /// The verdict in one line.
    pub(crate) fn verdict(&self) -> String {
        let count =
            |is: fn(&Outcome) -> bool| self.findings().filter(|finding| is(finding.outcome())).count();
        let sent = count(|outcome| !matches!(outcome, Outcome::NotSent(_)));
        let got_in = count(|outcome| matches!(outcome, Outcome::GotIn(_)));
        let mut verdict = format!("{got_in} of {} got in", counted(sent, "attack"));
        let broke = count(|outcome| matches!(outcome, Outcome::Broke(_)));
        if broke > 0 {
            verdict += &format!(", {broke} broke the service");
        }
        let refused = count(|outcome| matches!(outcome, Outcome::Refused(_)));
        if refused > 0 && self.exact {
            verdict += &format!(", another check refused {refused}");
        }
        verdict
    }

    /// The attacks that are not clean, grouped by their cause. The cause of the most attacks is first.
    pub(crate) fn causes(&self) -> Vec<Cause<'_>> {
        let mut causes: Vec<Cause<'_>> = Vec::new();
        for endpoint in self.endpoints() {
            let findings = endpoint.findings().iter().filter(|finding| !finding.is_clean(self.exact));
            for finding in findings {
                let Some(sentence) = endpoint.cause(finding) else { continue };
                match causes.iter_mut().find(|cause| cause.sentence == sentence) {
                    Some(cause) => cause.findings.push((endpoint, finding)),
                    None => causes.push(Cause { sentence, findings: vec![(endpoint, finding)] }),
                }
            }
        }
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.findings.len()));
        causes
    }

    /// The endpoints whose result is not conclusive, and why.
    pub(crate) fn inconclusive(&self) -> impl Iterator<Item = (&EndpointReport, &str)> {
        self.endpoints().iter().filter_map(|endpoint| match endpoint.control() {
            Control::ProvesNothing(why) | Control::Unreachable(why) => Some((endpoint, why.as_str())),
            Control::Passes(_) => None,
        })
    }

    /// The attacks that were accepted, although a correct service may accept them too.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = (&EndpointReport, &Finding)> {
        let findings = self
            .endpoints()
            .iter()
            .flat_map(|endpoint| endpoint.findings().iter().map(move |finding| (endpoint, finding)));
        findings.filter(|(_, finding)| matches!(finding.outcome(), Outcome::NoConclusion(_)))
    }

    /// The reasons why attacks were not sent, and how many. The reason of the most attacks is first.
    pub(crate) fn not_sent(&self) -> Vec<(&str, usize)> {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        let mut add = |reason, count| match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, total)) => *total += count,
            None => reasons.push((reason, count)),
        };
        for endpoint in self.endpoints() {
            if let (Control::ProvesNothing(why) | Control::Unreachable(why), []) =
                (endpoint.control(), endpoint.findings())
            {
                add(why.as_str(), Defect::ALL.len());
            }
            for finding in endpoint.findings() {
                if let Outcome::NotSent(why) = finding.outcome() {
                    add(why.as_str(), 1);
                }
            }
        }
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }
}

impl EndpointReport {
    /// The families of which every sent attack got in, with the number of attacks.
    pub(crate) fn failing_families(&self) -> Vec<(&'static str, usize)> {
        let sent = self.findings().iter().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_)));
        let mut families: Vec<(&'static str, usize, usize)> = Vec::new();
        for finding in sent {
            let family = finding.defect().family();
            let got_in = usize::from(matches!(finding.outcome(), Outcome::GotIn(_)));
            match families.last_mut() {
                // The findings are sorted by family.
                Some((last, sent, total)) if *last == family => {
                    *sent += 1;
                    *total += got_in;
                }
                _ => families.push((family, 1, got_in)),
            }
        }
        let fails = |(family, sent, got_in)| (sent == got_in).then_some((family, sent));
        families.into_iter().filter_map(fails).collect()
    }

    /// The cause of a finding; `None` if it shows no missing check.
    fn cause(&self, finding: &Finding) -> Option<String> {
        let defect = finding.defect();
        let cause = match finding.outcome() {
            Outcome::GotIn(_) => match self.open_to(defect) {
                Some(cause) => cause,
                None => return Some(defect.cause(|other| self.accepts(other))),
            },
            Outcome::Broke(_) => "the service fails instead of refusing",
            Outcome::Refused(_) => "another check refuses than the expected one",
            Outcome::Met(_) | Outcome::TurnedAway(_) | Outcome::NoConclusion(_) | Outcome::NotSent(_) => {
                return None;
            }
        };
        Some(cause.to_owned())
    }

    /// Why the endpoint accepts any such request. A list of all checks that it lacks would hide this reason.
    fn open_to(&self, defect: Defect) -> Option<&'static str> {
        if self.accepts(Defect::NoToken) && self.accepts(Defect::WrongKey) {
            Some("nothing is checked: the endpoint has no guard")
        } else if self.accepts(Defect::Garbage) && defect.code() != Code::MissingToken {
            Some("the token is not verified: any text is accepted")
        } else {
            None
        }
    }

    fn accepts(&self, defect: Defect) -> bool {
        matches!(self.outcome(defect), Some(Outcome::GotIn(_)))
    }
}

/// A number and its noun, such as `1 attack` or `2 attacks`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
