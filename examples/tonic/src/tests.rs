use prost::Message;
use service_only::VerifierLayer;
use service_only_testkit::{TestAuthority, assert_audited, assert_denied, attack};
use tonic::Code;
use tower_layer::Layer;

use crate::{
    Bakery,
    pb::{DeleteRequest, tenants_client::TenantsClient, tenants_server::TenantsServer},
};

#[tokio::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let service = VerifierLayer::new(authority.verifier()).layer(TenantsServer::new(Bakery));
    let message = DeleteRequest { tenant: "7".to_owned() };

    // A valid token, then none, an expired one, a user's, another service's, a forged one, `alg: none`, and
    // many more.
    attack(service.clone())
        .as_caller(authority.service("tenant-deletion-orchestrator").scope("tenants:delete"))
        .audit(authority.audit())
        .grpc_message(&message.encode_to_vec())
        .endpoint("POST".parse().unwrap(), "/bakery.tenants.Tenants/Delete")
        .run()
        .await;

    // The client calls the service inside this process.
    let answer = TenantsClient::new(service).delete(message).await;
    assert_denied!(answer, Code::Unauthenticated);
    assert_audited!(answer, authority.audit(), deny, code = "missing_token");
}
