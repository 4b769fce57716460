//! The operations of aide: a guarded handler gets into an OpenAPI document with what it asks of its caller.

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{Operation, Response},
};
use serde_json::json;

use crate::{
    caller::{Caller, Identity},
    guard::{Guard, Public, StaticPolicy},
    policy::Policy,
};

/// As in the exports. The document declares the scheme: bearer tokens, in the format JWT.
const SCHEME: &str = "serviceToken";

/// The operation names its scopes in `security`, and its policy in `x-service-only`.
impl<P: StaticPolicy> OperationInput for Guard<P> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        asks(operation, &P::POLICY);
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

/// A public operation asks for no token, whatever the document asks for by default.
impl<R> OperationInput for Public<R> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        operation.security = vec![Default::default()];
    }
}

/// Behind a guard it asks for nothing more.
impl OperationInput for Caller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        if operation.security.is_empty() {
            asks(operation, &Policy::any_service());
        }
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

impl OperationInput for Identity {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        if operation.security.is_empty() {
            operation.security.push([(SCHEME.to_owned(), Vec::new())].into_iter().collect());
        }
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

fn asks(operation: &mut Operation, policy: &Policy<'static>) {
    let scopes: Vec<String> = policy.required_scopes().iter().copied().map(str::to_owned).collect();
    operation.security.push([(SCHEME.to_owned(), scopes)].into_iter().collect());
    // Each word is there, and `null` where nothing is asked: an empty list lets nobody in.
    let asked = json!({
        "issuers": policy.allowed_issuers(),
        "max_age": policy.allowed_age().map(|age| age.as_secs()),
        "roles": policy.allowed_roles(),
        "scopes": policy.required_scopes(),
        "services": policy.allowed_services(),
    });
    operation.extensions.insert("x-service-only".to_owned(), asked);
}

fn refusals() -> Vec<(Option<u16>, Response)> {
    let response =
        |description: &str| Response { description: description.to_owned(), ..Response::default() };
    vec![
        (Some(401), response("The token is missing or not authentic.")),
        (Some(403), response("The token is not a service's, or not an allowed one's.")),
    ]
}
