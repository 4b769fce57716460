//! A server of actix-web on a port of this machine.

use actix_web::{App, HttpServer, web};
use service_only::{Caller, Rejection, Verifier, service_only};
use service_only_testkit::RecordingAudit;

use crate::conformance::{
    Driver,
    cases::{Case, REFUSED_REASON, REFUSED_SCOPE, ROUTE},
    http_client::HttpClient,
    wire::Answer,
};

#[service_only(services("orchestrator"), roles("admin"), scopes("tenants:delete"), max_age = "1h")]
async fn delete_tenant(caller: Caller) -> Result<String, Rejection> {
    if caller.has_scope(REFUSED_SCOPE) {
        return Err(caller.refuse(REFUSED_REASON));
    }
    Ok(caller.service().to_owned())
}

pub(crate) struct Server(HttpClient);

impl Driver for Server {
    const NAME: &'static str = "actix";
    const ENDPOINT: &'static str = "guard::conformance::actix::delete_tenant";

    async fn start(verifier: Verifier, _: RecordingAudit) -> Self {
        let app = move || {
            let app = App::new().app_data(web::Data::new(verifier.clone()));
            app.route(ROUTE, web::delete().to(delete_tenant))
        };
        let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        Self(HttpClient::of(address))
    }

    async fn send(&self, case: &Case) -> Answer {
        self.0.send(case).await
    }
}
