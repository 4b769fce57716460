//! Support for aide: adds the policy of each guarded handler to an OpenAPI document.

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

/// The name of the security scheme, as in the exports. The document declares the scheme: bearer tokens, format JWT.
const SCHEME: &str = "serviceToken";

/// Adds the handler's scopes to the operation in `security`, and its policy in `x-service-only`.
impl<P: StaticPolicy> OperationInput for Guard<P> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        asks(operation, &P::POLICY);
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

/// A public operation requires no token, whatever the default of the document is.
impl<R> OperationInput for Public<R> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        operation.security = vec![Default::default()];
    }
}

/// After a guard, a caller adds no requirement.
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
    // Each key is present, and is `null` if nothing is required: an empty list refuses every caller.
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
        (Some(403), response("The token does not belong to an allowed service.")),
    ]
}
