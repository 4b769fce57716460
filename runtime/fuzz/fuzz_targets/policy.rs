//! A policy and a caller, against a model of the policy.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use service_only::{
    Policy, Verifier,
    audit::NoAudit,
    claims::{Scopes, ServiceName},
    clock::FixedClock,
};
use service_only_fuzz::signing::{NOW, SECRET_KEY, sign};

#[derive(Debug, Arbitrary)]
struct Case<'f> {
    services: Option<Vec<&'f str>>,
    roles: Option<Vec<&'f str>>,
    scopes: Vec<&'f str>,
    max_age: Option<u16>,
    leeway: u8,
    service: &'f str,
    role: Option<&'f str>,
    scope: Option<&'f str>,
    age: Option<i16>,
}

impl Case<'_> {
    fn allows(&self, service: &str) -> bool {
        let names = |list: &Option<Vec<&str>>, name: Option<&str>| {
            list.as_ref().is_none_or(|list| name.is_some_and(|name| list.contains(&name)))
        };
        let granted: Vec<&str> =
            self.scope.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()).collect();
        let is_scope = |scope: &&str| {
            scope.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && !b"\"\\".contains(&byte))
        };
        let legible = granted.iter().all(is_scope);
        names(&self.services, Some(service))
            && names(&self.roles, self.role)
            && self.scopes.iter().all(|scope| legible && granted.contains(scope))
            && self.max_age.is_none_or(|most| {
                self.age.is_some_and(|age| {
                    age <= i16::try_from(most).unwrap_or(i16::MAX) && age >= -i16::from(self.leeway)
                })
            })
    }
}

fuzz_target!(|case: Case<'_>| {
    if case.scope.is_some_and(|scope| scope.split(' ').count() > Scopes::MAX) {
        return;
    }
    let service = if case.service.parse::<ServiceName>().is_ok() { case.service } else { "orders" };
    let mut claims = json!({
        "iss": "bakery-auth", "exp": NOW.unix() + 1, "type": "service", "is_service": true, "service": service,
        "sub": service,
    });
    for (name, value) in [("role", case.role), ("scope", case.scope)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    if let Some(age) = case.age {
        claims["iat"] = json!(NOW.unix() - i64::from(age));
    }
    let mut policy = Policy::any_service().scopes(&case.scopes);
    if let Some(services) = &case.services {
        policy = policy.services(services);
    }
    if let Some(roles) = &case.roles {
        policy = policy.roles(roles);
    }
    if let Some(max_age) = case.max_age {
        policy = policy.max_age(Duration::from_secs(max_age.into()));
    }
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(SECRET_KEY.verifying_key())
        .leeway(Duration::from_secs(case.leeway.into()))
        .clock(FixedClock(NOW))
        .audit(NoAudit)
        .build()
        .unwrap();
    let token = sign(claims.to_string().as_bytes());
    match verifier.verify_with(&token, &policy) {
        Err(denial) if denial.code() == service_only::error::Code::TooLarge => {}
        Err(denial) => assert!(denial.status() == 403 && !case.allows(service), "{denial}"),
        Ok(_) => assert!(case.allows(service)),
    }
});
