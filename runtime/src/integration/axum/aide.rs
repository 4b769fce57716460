//! Support for aide: adds the policy of each guarded handler to an OpenAPI document.

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{OpenApi, Operation, ReferenceOr, Response, SecurityScheme},
    transform::TransformOpenApi,
};
use serde_json::{Map, Value, json};

use crate::{
    caller::{Caller, Claims, Identity, User},
    guard::{Guard, Public, StaticPolicy},
    policy::Policy,
};

/// The name of the security scheme, as in the exports. [`security_schemes`] declares it.
const SCHEME: &str = "serviceToken";
/// The scheme of users' tokens.
const USER_SCHEME: &str = "userToken";

/// Declares the security schemes that the guarded operations of a document of aide refer to: bearer tokens with the format
/// JWT. Pass it to `finish_api_with`. A scheme that you have declared yourself under one of these names stays.
///
/// ```
/// use aide::{axum::{ApiRouter, routing::get}, openapi::OpenApi};
/// use service_only::{Verifier, security_schemes, service_only};
///
/// #[service_only(services("billing"))]
/// async fn list() -> &'static str {
///     "orders"
/// }
///
/// let mut document = OpenApi::default();
/// let router: axum::Router<Verifier> =
///     ApiRouter::new().api_route("/orders", get(list)).finish_api_with(&mut document, security_schemes);
/// assert!(document.components.unwrap().security_schemes.contains_key("serviceToken"));
/// ```
pub fn security_schemes(mut api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
    let document = api.inner_mut();
    let has_users = has_users(document);
    let schemes = &mut document.components.get_or_insert_default().security_schemes;
    for (name, description, is_used) in
        [(SCHEME, "A service token.", true), (USER_SCHEME, "A user's access token.", has_users)]
    {
        if is_used && !schemes.contains_key(name) {
            schemes.insert(name.to_owned(), ReferenceOr::Item(bearer(description)));
        }
    }
    api
}

fn has_users(document: &OpenApi) -> bool {
    let items = document.paths.iter().flat_map(|paths| paths.paths.values()).filter_map(ReferenceOr::as_item);
    let mut operations = items.flat_map(|item| item.iter().map(|(_, operation)| operation));
    operations.any(|operation| operation.security.iter().any(|need| need.contains_key(USER_SCHEME)))
}

fn bearer(description: &str) -> SecurityScheme {
    SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: Some("JWT".to_owned()),
        description: Some(description.to_owned()),
        extensions: Default::default(),
    }
}

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

/// After a guard, a user adds no requirement.
impl OperationInput for User {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        if operation.security.is_empty() {
            asks(operation, &Policy::any_user());
        }
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

/// After a guard, claims add no requirement.
impl<T> OperationInput for Claims<T> {
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
            for scheme in [SCHEME, USER_SCHEME] {
                operation.security.push([(scheme.to_owned(), Vec::new())].into_iter().collect());
            }
        }
    }

    fn inferred_early_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, Response)> {
        refusals()
    }
}

fn asks(operation: &mut Operation, policy: &Policy<'static>) {
    // One of the requirements is enough.
    let kinds = [
        (policy.for_services(), SCHEME, "x-service-only"),
        (policy.for_users(), USER_SCHEME, "x-users-only"),
    ];
    for (asked, scheme, extension) in kinds {
        let Some(asked) = asked else { continue };
        let scopes: Vec<String> = asked.required_scopes().iter().copied().map(str::to_owned).collect();
        operation.security.push([(scheme.to_owned(), scopes)].into_iter().collect());
        operation.extensions.insert(extension.to_owned(), requirements(asked));
    }
}

/// Each key is present, and is `null` if nothing is required: an empty list refuses every caller. Alternative scopes and
/// claims are present if they are required.
fn requirements(policy: &Policy<'static>) -> Value {
    let mut asked = json!({
        "issuers": policy.allowed_issuers(),
        "max_age": policy.allowed_age().map(|age| age.as_secs()),
        "roles": policy.allowed_roles(),
        "scopes": policy.required_scopes(),
        "services": policy.allowed_services(),
    });
    if let Some(asked) = asked.as_object_mut() {
        if let Some(actors) = policy.allowed_actors() {
            asked.insert("actors".to_owned(), json!(actors));
        }
        if let Some(scopes) = policy.alternative_scopes() {
            asked.insert("any_scope".to_owned(), json!(scopes));
        }
        if !policy.required_claims().is_empty() {
            let claims = policy.required_claims().iter();
            let claims: Map<_, _> = claims.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            asked.insert("claims".to_owned(), Value::Object(claims));
        }
    }
    asked
}

fn refusals() -> Vec<(Option<u16>, Response)> {
    let response =
        |description: &str| Response { description: description.to_owned(), ..Response::default() };
    vec![
        (Some(401), response("The token is missing or not authentic.")),
        (Some(403), response("The token does not belong to an allowed caller.")),
    ]
}
