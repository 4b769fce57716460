//! What is right: what the verifier itself says of a token, and of the first stage, which no token
//! reaches, what the catalogue says.

use std::{cell::RefCell, collections::HashMap};

use serde_json::{Map, Value};
use service_only::{
    Verifier,
    audit::Decision,
    clock::{Clock, SystemClock},
    error::Code,
    routes::Access,
};
use service_only_testkit::{RecordingAudit, TestAuthority};

use crate::conformance::{
    Driver, POLICY,
    cases::{Case, REFUSED_REASON, ROUTE, TARGET, TRACE},
    differences,
    wire::Answer,
};

pub(crate) struct Reference {
    authority: TestAuthority,
    verifier: Verifier,
    audit: RecordingAudit,
    cases: Vec<Case>,
    /// Why the first stage refused, as the first driver recorded it; the others must say the same.
    reasons: RefCell<HashMap<String, Value>>,
}

impl Reference {
    pub(crate) fn new() -> Self {
        let authority = TestAuthority::new();
        // Claims that no verifier gave are compared with the system's time.
        authority.clock().set(SystemClock.now());
        let cases = Case::all(&authority);
        let (verifier, audit) = verifier(&authority);
        Self { authority, verifier, audit, cases, reasons: RefCell::default() }
    }

    /// A verifier of the same keys and the same clock, with an audit of its own.
    pub(crate) fn verifier(&self) -> (Verifier, RecordingAudit) {
        verifier(&self.authority)
    }

    pub(crate) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Compares a decision of the guard with that of the verifier.
    pub(crate) fn compare<D: Driver>(&self, case: &Case, answer: &Answer, records: &[Value], context: &str) {
        let [record] = records else { panic!("not exactly one record: {context}") };
        let record = record.as_object().unwrap();
        let mut expected = self.record(case, record);
        expected.insert("endpoint".to_owned(), D::ENDPOINT.into());
        let (mut expected, mut actual) = (expected, record.clone());
        differences::apply(D::NAME, case, &mut expected, &mut actual);
        for varying in ["id", "duration_us"] {
            assert!(actual.remove(varying).is_some(), "no `{varying}`: {context}");
            expected.remove(varying);
        }
        assert_eq!(Value::from(actual), Value::from(expected), "{context}");

        assert_eq!(answer.status(), case.code.map_or(200, |code| code.status()), "{context}");
        let (caller, decision) = (answer.caller(), record["decision"].as_str());
        match case.code {
            None => {
                let allow = Decision::Allow.as_str();
                assert_eq!((caller, decision), (Some("orchestrator"), Some(allow)), "{context}");
            }
            Some(code) => {
                assert_eq!((caller, &record["code"]), (None, &code.as_str().into()), "{context}");
                let text = |member: &str| record[member].as_str().unwrap();
                answer.assert_refused(code, text("reason"), text("id"), context);
            }
        }
    }

    /// What must be recorded, but for the endpoint.
    fn record(&self, case: &Case, recorded: &Map<String, Value>) -> Map<String, Value> {
        let token = case.token();
        let decided = self.verifier.verify_with(token.as_deref().unwrap_or_default(), &POLICY);
        if let (Ok(caller), Some(Code::Refused)) = (&decided, case.code) {
            let _ = caller.refuse(REFUSED_REASON);
        }
        drop(decided);
        let mut event = self.audit.only();
        self.audit.clear();
        if let (None, Some(code)) = (token, case.code) {
            let mut reasons = self.reasons.borrow_mut();
            let reason = reasons.entry(case.title()).or_insert_with(|| recorded["reason"].clone());
            event.reason = reason.as_str().map(|reason| reason.to_owned());
            (event.status, event.code, event.stage) = (code.status(), Some(code), Some(code.stage()));
        }
        event.method = Some("DELETE".into());
        event.route = Some(ROUTE.into());
        event.path = Some(TARGET.into());
        event.client_address = Some("127.0.0.1".parse().unwrap());
        event.trace_id = Some(TRACE.into());
        event.policy_digest = Access::from(&POLICY).policy_digest();
        match serde_json::to_value(event).unwrap() {
            Value::Object(record) => record,
            other => panic!("{other}"),
        }
    }
}

fn verifier(authority: &TestAuthority) -> (Verifier, RecordingAudit) {
    let audit = RecordingAudit::new();
    (authority.verifier_builder().audit(audit.clone()).build().unwrap(), audit)
}
