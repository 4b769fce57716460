//! Snapshots hold what was decided, and nothing that differs from run to run.

use axum::{Router, routing::delete};
use service_only::{Algorithm, service_only};
use service_only_testkit::{TestAuthority, call, snapshot};

#[service_only(services("orchestrator"))]
async fn delete_tenant() {}

#[tokio::test]
async fn an_audit_trail_is_the_same_under_every_key() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256] {
        let authority = TestAuthority::with(algorithm);
        let router = Router::new().route("/tenant/{id}", delete(delete_tenant));
        let app = call(router.with_state(authority.verifier()));
        let valid = authority.service("orchestrator");
        for token in [valid.token(), valid.clone().expired().token(), valid.other_service().token()] {
            app.delete("/tenant/7").bearer(token).await;
        }
        snapshot::settings().bind(|| insta::assert_json_snapshot!("audit_trail", authority.audit()));
    }
}

#[test]
fn tokens_ids_times_durations_and_thumbprints_are_redacted() {
    let authority = TestAuthority::new();
    let text = format!(
        "token {} of key `{}` with id {} at {} or 2026-01-01T01:00:00+01:00 took {:?}, {:?} and {:?}",
        authority.service("orders").token(),
        authority.kid(),
        uuid::Uuid::new_v4(),
        authority.clock().now(),
        std::time::Duration::from_micros(1_234),
        std::time::Duration::from_nanos(17),
        std::time::Duration::from_millis(2_500),
    );
    snapshot::settings().bind(|| insta::assert_snapshot!(text, @"token [token] of key `[kid]` with id [uuid] at [time] or [time] took [duration], [duration] and [duration]"));
}

#[test]
fn ordinary_text_is_not_redacted() {
    let text =
        "a leeway of 30s, version 1.2.3, tenant 7, eyJ alone, 2026-01-01, `tenant-deletion-orchestrator`";
    snapshot::settings().bind(|| insta::assert_snapshot!(text, @"a leeway of 30s, version 1.2.3, tenant 7, eyJ alone, 2026-01-01, `tenant-deletion-orchestrator`"));
}

#[test]
fn an_unsigned_token_is_recognised_too() {
    let token = TestAuthority::new().service("orders").unsigned().token();
    snapshot::settings().bind(|| insta::assert_snapshot!(token, @"[token]"));
}
