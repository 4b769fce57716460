use service_only::Denial;
use service_only_testkit::{TestAuthority, assert_audited};
use tokio::sync::mpsc;

use crate::{Message, consume};

/// The results of messages with these tokens.
async fn consumed(authority: &TestAuthority, tokens: Vec<String>) -> Vec<Result<String, Denial>> {
    let (producer, queue) = mpsc::channel(16);
    tokio::spawn(async move {
        for token in tokens {
            producer.send(Message { token, tenant: "7".to_owned() }).await.unwrap();
        }
    });
    let mut answers = Vec::new();
    consume(authority.verifier(), queue, |answer| answers.push(answer)).await;
    answers
}

#[tokio::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    let answers = consumed(&authority, vec![valid.token().into()]).await;
    assert_eq!(answers.first().unwrap().as_ref().unwrap(), "7 deleted for tenant-deletion-orchestrator");
    // The verification and the decision of the function count as one attempt.
    assert_eq!(authority.audit().len(), 1);
    assert_audited!(
        authority.audit(),
        allow,
        service = "tenant-deletion-orchestrator",
        endpoint = "example_queue_consumer::delete_tenant"
    );

    // A valid token, then an expired one, a user's, another service's, a forged one, `alg: none`, and many
    // more. Fixtures about the request around the token do not apply to a queue.
    let mut fixtures = valid.fixtures();
    fixtures.retain(|fixture| fixture.token().is_some());
    let tokens = fixtures.iter().filter_map(|fixture| fixture.token()).map(|token| token.to_string());
    let answers = consumed(&authority, tokens.collect()).await;
    assert_eq!(answers.len(), fixtures.len());
    for (answer, fixture) in answers.iter().zip(&fixtures) {
        assert_eq!(answer.as_ref().err().map(Denial::code), fixture.code(), "{}", fixture.name());
    }
}
