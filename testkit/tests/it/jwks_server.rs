//! A service that fetches its issuer's keys, against an issuer that misbehaves.

use std::time::Duration;

use service_only::{RemoteJwks, Verifier, error::Code, keys::RemoteJwksBuilder};
use service_only_testkit::{JwksServer, TestAuthority};

fn keys_of(server: &JwksServer) -> RemoteJwksBuilder {
    RemoteJwks::url(server.url()).dangerously_allow_http()
}

async fn verifier(authority: &TestAuthority, server: &JwksServer) -> Verifier {
    let keys = keys_of(server).start().await.unwrap();
    Verifier::builder()
        .issuer(TestAuthority::ISSUER)
        .keys(keys)
        .clock(authority.clock().clone())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_verifier_that_fetches_its_keys_accepts_tokens_of_the_authority() {
    let authority = TestAuthority::new();
    let server = JwksServer::start(&authority).await;
    let verifier = verifier(&authority, &server).await;
    assert!(verifier.verify(&authority.service("orders").token()).is_ok());
    assert_eq!(server.requests(), 1);

    let stranger = TestAuthority::new().service("orders").token();
    assert_eq!(verifier.verify(&stranger).unwrap_err().code(), Code::UnknownKey);
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let server = JwksServer::start(&TestAuthority::new()).await;
    let authority = TestAuthority::new().issuer(server.base_url());
    server.publish([&authority]);
    let keys = RemoteJwks::discover(server.base_url()).dangerously_allow_http().start().await.unwrap();
    let clock = authority.clock().clone();
    let verifier = Verifier::builder().issuer(server.base_url()).keys(keys).clock(clock).build().unwrap();
    assert!(verifier.verify(&authority.service("orders").token()).is_ok());
}

#[tokio::test]
async fn a_rotation_publishes_the_new_key_and_removes_the_old_one() {
    let (old, new) = (TestAuthority::new(), TestAuthority::new());
    let server = JwksServer::start(&old).await;
    server.publish([&old, &new]);
    let during = verifier(&old, &server).await;
    for authority in [&old, &new] {
        assert!(during.verify(&authority.service("orders").token()).is_ok());
    }
    server.publish([&new]);
    let after = verifier(&old, &server).await;
    assert!(after.verify(&new.service("orders").token()).is_ok());
    assert_eq!(after.verify(&old.service("orders").token()).unwrap_err().code(), Code::UnknownKey);
}

#[tokio::test]
async fn an_issuer_can_be_down_serve_garbage_and_be_slow() {
    let authority = TestAuthority::new();
    let server = JwksServer::start(&authority).await;
    server.down();
    assert!(keys_of(&server).start().await.is_err());
    server.up();
    server.garbage("<html>it works</html>");
    assert!(keys_of(&server).start().await.is_err());
    server.publish([&authority]);
    server.slow(Duration::from_secs(60));
    assert!(keys_of(&server).timeout(Duration::from_millis(50)).start().await.is_err());
    server.slow(Duration::ZERO);
    assert!(keys_of(&server).start().await.is_ok());
    assert_eq!(server.requests(), 4);
}
