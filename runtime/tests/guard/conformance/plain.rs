//! Functions that no framework calls: their caller verifies the token, and gives them whom it names.

use std::cell::RefCell;

use serde_json::Value;
use service_only::{Caller, Denial, Verifier, claims::ServiceClaims, service_only};
use service_only_testkit::RecordingAudit;

use crate::conformance::{
    Driver,
    cases::{Case, REFUSED_REASON, REFUSED_SCOPE},
    wire::Answer,
};
use crate::frameworks::Log;

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
fn delete_tenant(caller: &Caller) -> Result<String, Denial> {
    if caller.has_scope(REFUSED_SCOPE) {
        Err(caller.refuse(REFUSED_REASON))?;
    }
    Ok(caller.service().to_owned())
}

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
async fn delete_tenant_later(caller: &Caller) -> Result<String, Denial> {
    if caller.has_scope(REFUSED_SCOPE) {
        Err(caller.refuse(REFUSED_REASON))?;
    }
    Ok(caller.service().to_owned())
}

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
fn delete_as_said(claims: &ServiceClaims) -> Result<String, Denial> {
    Ok(claims.service.to_string())
}

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
async fn delete_as_said_later(claims: &ServiceClaims) -> Result<String, Denial> {
    Ok(claims.service.to_string())
}

/// What is given to the function, and what its caller heard of the token.
pub(crate) struct Job {
    verifier: Verifier,
    /// Where claims that anyone may have built are recorded.
    log: RefCell<Log>,
}

impl Job {
    fn verify(&self, case: &Case) -> Result<Caller, Denial> {
        self.verifier.verify(&case.token().unwrap())
    }

    fn logged(&self) -> Vec<Value> {
        let records = self.log.take().events("service_only::audit").into_iter();
        records.map(|mut record| record["fields"].take()).collect()
    }
}

macro_rules! driver {
    ($driver:ident, $name:literal, $endpoint:literal, |$job:ident, $caller:ident| $call:expr
        $(, $records:ident)?) => {
        pub(crate) struct $driver(Job);

        impl Driver for $driver {
            const NAME: &'static str = $name;
            const ENDPOINT: &'static str = concat!("guard::conformance::plain::", $endpoint);

            async fn start(verifier: Verifier, _: RecordingAudit) -> Self {
                Self(Job { verifier, log: RefCell::default() })
            }

            async fn send(&self, case: &Case) -> Answer {
                let $job = &self.0;
                Answer::Plain(match $job.verify(case) {
                    Ok($caller) => $call,
                    Err(denial) => Err(denial),
                })
            }

            $(fn records(&self, _: &RecordingAudit) -> Vec<Value> {
                self.0.$records()
            })?
        }
    };
}

driver!(Function, "plain", "delete_tenant", |_job, caller| delete_tenant(&caller));
driver!(AsyncFunction, "plain", "delete_tenant_later", |_job, caller| delete_tenant_later(&caller).await);
driver!(
    OfClaims,
    "claims",
    "delete_as_said",
    |job, caller| {
        let _listening = job.log.borrow().of_this_thread();
        delete_as_said(caller.claims())
    },
    logged
);
driver!(
    AsyncOfClaims,
    "claims",
    "delete_as_said_later",
    |job, caller| {
        let _listening = job.log.borrow().of_this_thread();
        delete_as_said_later(caller.claims()).await
    },
    logged
);
