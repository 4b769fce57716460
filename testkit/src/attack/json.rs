//! The report for programs.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    judge::Control,
    report::{AttackReport, EndpointReport, Finding},
    summary::Cause,
};

impl Serialize for AttackReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("AttackReport", 6)?;
        report.serialize_field("clean", &self.is_clean())?;
        report.serialize_field("got_in", &self.got_in().count())?;
        report.serialize_field("requests", &self.requests())?;
        report.serialize_field("causes", &self.causes())?;
        report.serialize_field("not_sent", &self.not_sent().into_iter().map(NotSent).collect::<Vec<_>>())?;
        report.serialize_field("endpoints", self.endpoints())?;
        report.end()
    }
}

impl Serialize for Cause<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let classes: BTreeSet<_> = self.findings.iter().map(|(_, finding)| finding.defect().name()).collect();
        let mut cause = serializer.serialize_struct("Cause", 3)?;
        cause.serialize_field("cause", &self.sentence)?;
        cause.serialize_field("attacks", &self.findings.len())?;
        cause.serialize_field("classes", &classes)?;
        cause.end()
    }
}

/// A reason why attacks were not sent, and their number.
struct NotSent<'r>((&'r str, usize));

impl Serialize for NotSent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self((reason, attacks)) = self;
        let mut not_sent = serializer.serialize_struct("NotSent", 2)?;
        not_sent.serialize_field("reason", reason)?;
        not_sent.serialize_field("attacks", attacks)?;
        not_sent.end()
    }
}

impl Serialize for EndpointReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (status, why) = match self.control() {
            Control::Passes(status) => (Some(status.as_u16()), None),
            Control::ProvesNothing(why) | Control::Unreachable(why) => (None, Some(why)),
        };
        let mut endpoint = serializer.serialize_struct("EndpointReport", 5)?;
        endpoint.serialize_field("method", self.method().as_str())?;
        endpoint.serialize_field("target", self.target())?;
        endpoint.serialize_field("control", &status)?;
        endpoint.serialize_field("proves_nothing", &why)?;
        endpoint.serialize_field("findings", self.findings())?;
        endpoint.end()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let defect = self.defect();
        let mut finding = serializer.serialize_struct("Finding", 6)?;
        finding.serialize_field("class", defect.name())?;
        finding.serialize_field("family", defect.family())?;
        finding.serialize_field("outcome", self.outcome().as_str())?;
        finding.serialize_field("answer", &self.outcome().to_string())?;
        finding.serialize_field("attack", defect.attack())?;
        finding.serialize_field("source", defect.source())?;
        finding.end()
    }
}
