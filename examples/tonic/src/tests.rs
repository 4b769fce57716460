use service_only::VerifierLayer;
use service_only_testkit::{Fixture, TestAuthority};
use tonic::{Code, Request, metadata::MetadataKey};
use tower_layer::Layer;

use crate::{
    Bakery,
    pb::{DeleteRequest, tenants_client::TenantsClient, tenants_server::TenantsServer},
};

/// `None` if the defect is not only in headers: gRPC sets method, path and body of a call itself.
fn request(fixture: &Fixture) -> Option<Request<DeleteRequest>> {
    let outgoing = fixture.outgoing("POST".parse().unwrap(), "/");
    if (outgoing.method.as_str(), outgoing.target.as_str(), outgoing.body) != ("POST", "/", None) {
        return None;
    }
    let mut request = Request::new(DeleteRequest { tenant: "7".to_owned() });
    for (name, value) in outgoing.headers {
        let name = MetadataKey::from_bytes(name.as_bytes()).unwrap();
        request.metadata_mut().append(name, value.parse().unwrap());
    }
    Some(request)
}

#[tokio::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    // The client calls the service inside this process.
    let service = VerifierLayer::new(authority.verifier()).layer(TenantsServer::new(Bakery));
    let mut client = TenantsClient::new(service);
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    // A valid token, then none, an expired one, a user's, another service's, a forged one, `alg: none`, and
    // many more.
    for fixture in valid.fixtures() {
        let Some(request) = request(&fixture) else { continue };
        let answer = client.delete(request).await;
        let code = answer.as_ref().map_or_else(|status| status.code(), |_| Code::Ok);
        let expected = match fixture.status() {
            200 => Code::Ok,
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            _ => Code::PermissionDenied,
        };
        assert_eq!(code, expected, "{}\n{}", fixture.name(), authority.audit());
        assert_eq!(authority.audit().only().code, fixture.code(), "{}", fixture.name());
        authority.audit().clear();
    }
}
