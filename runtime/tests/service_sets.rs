//! Named sets of services. A program of its own: a handler that refers to a set keeps every verifier of its program from
//! building without it.

#![allow(clippy::unwrap_used, reason = "a test")]

use service_only::{
    Algorithm, Caller, Denial, Policy, ServiceOnlyLayer, Verifier, VerifyingKey,
    audit::NoAudit,
    error::{BuildError, Code, ServiceSetError},
    issue::{Issuer, SigningKey},
    routes::policy_of,
    service_only,
    verifier::VerifierBuilder,
};

#[service_only(services("billing", @deleters))]
async fn delete_tenant() {}

#[service_only(services(@deleters))]
fn job(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

fn world() -> (VerifierBuilder, Issuer) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let public: VerifyingKey = key.verifying_key();
    let builder = Verifier::builder().issuer("bakery-auth").keys(public).audit(NoAudit);
    (builder, Issuer::builder().issuer("bakery-auth").key(key).build().unwrap())
}

#[test]
fn a_verifier_without_the_set_of_a_handler_does_not_build() {
    let error = world().0.service_set("others", ["orders"]).build().unwrap_err();
    assert!(matches!(&error, BuildError::MissingServiceSet(set, _) if set == "deleters"), "{error}");
    assert!(error.to_string().contains(".service_set(\"deleters\", …)"), "{error}");
    let error = world().0.service_set("deleters", ["two words"]).build().unwrap_err();
    assert!(matches!(error, BuildError::ServiceSet(ServiceSetError::ServiceName(..))), "{error}");
}

#[test]
fn a_set_is_replaced_while_the_program_runs() {
    let (builder, issuer) = world();
    let verifier = builder.service_set("deleters", ["orchestrator"]).build().unwrap();
    let clone = verifier.clone();
    let token = |name: &str| issuer.token_for(name).mint().unwrap().as_str().to_owned();
    let (orchestrator, orders, billing) = (token("orchestrator"), token("orders"), token("billing"));
    let policy = policy_of(delete_tenant);
    assert_eq!(policy.allowed_services(), Some(&["billing", "@deleters"][..]));
    let verdict = |token: &str| clone.verify_with(token, &policy).err().map(|denial| denial.code());
    // The third time, the token is cached.
    for _ in 0..3 {
        assert_eq!((verdict(&orchestrator), verdict(&billing)), (None, None));
        assert_eq!(verdict(&orders), Some(Code::ServiceNotAllowed));
    }
    verifier.replace_service_set("deleters", ["orders"]).unwrap();
    assert_eq!((verdict(&orchestrator), verdict(&orders)), (Some(Code::ServiceNotAllowed), None));
    verifier.replace_service_set("deleters", [""; 0]).unwrap();
    assert_eq!((verdict(&orders), verdict(&billing)), (Some(Code::ServiceNotAllowed), None));
    assert!(verifier.replace_service_set("others", ["orders"]).is_err());
}

#[test]
fn a_job_uses_the_sets_of_the_verifier_of_its_caller() {
    let (builder, issuer) = world();
    let verifier = builder.service_set("deleters", ["orchestrator"]).build().unwrap();
    let caller = verifier.verify(issuer.token_for("orchestrator").mint().unwrap().as_str()).unwrap();
    assert!(job(&caller).is_ok());
    verifier.replace_service_set("deleters", ["orders"]).unwrap();
    assert_eq!(job(&caller).unwrap_err().code(), Code::ServiceNotAllowed);
}

#[test]
fn no_token_can_have_the_name_of_a_set() {
    let (builder, issuer) = world();
    let verifier = builder.service_set("deleters", ["orchestrator"]).build().unwrap();
    let caller = verifier.verify(issuer.token_for("orders").mint().unwrap().as_str()).unwrap();
    assert!(job(&caller).is_err());
    assert!("@deleters".parse::<service_only::claims::ServiceName>().is_err());
    // A policy for another verifier refers to a set that this one lacks.
    let unknown = Policy::any_service().services(&["@others"]);
    let token = issuer.token_for("orders").mint().unwrap();
    assert_eq!(verifier.verify_with(token.as_str(), &unknown).unwrap_err().code(), Code::ServiceNotAllowed);
}

#[test]
fn a_layer_whose_verifier_lacks_its_set_is_an_error_at_the_start() {
    let (builder, _) = world();
    let verifier = builder.service_set("deleters", ["orchestrator"]).build().unwrap();
    let policy = |set: &'static [&'static str]| Policy::any_service().services(set);
    assert!(ServiceOnlyLayer::try_new(verifier.clone(), policy(&["@deleters"])).is_ok());
    let error = ServiceOnlyLayer::try_new(verifier, policy(&["billing", "@others"])).unwrap_err();
    assert_eq!(error, BuildError::ServiceSet(ServiceSetError::Unknown("others".to_owned())));
    assert!(error.to_string().contains("`VerifierBuilder::service_set`"), "{error}");
}
