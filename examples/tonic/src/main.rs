//! A gRPC service that only one other service may call: every method of the block is guarded.

use service_only::{
    Caller, JsonLinesAudit, KeySet, Verifier, VerifierLayer, service_only,
    shutdown::{drain, shutdown_signal},
};
use tonic::{Request, Response, Status, transport::Server};

mod pb {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    tonic::include_proto!("bakery.tenants");
}
use pb::tenants_server::{Tenants, TenantsServer};

struct Bakery;

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
#[tonic::async_trait]
impl Tenants for Bakery {
    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let caller = Caller::of(&request).map_or("nobody", Caller::service);
        let summary = format!("{} deleted for {caller}", request.get_ref().tenant);
        Ok(Response::new(pb::DeleteResponse { summary }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(KeySet::from_jwks_file("jwks.json")?)
        .audit(JsonLinesAudit::to_file("audit.jsonl")?)
        .build()?;
    let mut server = Server::builder().layer(VerifierLayer::new(verifier));
    let server = server.add_service(TenantsServer::new(Bakery));
    drain(server.serve_with_shutdown(([127, 0, 0, 1], 3000).into(), shutdown_signal()?)).await
}

#[cfg(test)]
mod tests;
