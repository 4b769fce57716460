//! A service that was taken over. It replays everything that it saw against the other eleven, and through the gateway,
//! and is refused everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tenant_deletion::catalogue::SERVICES;
use tenant_deletion::gateway::{GATEWAY, Limits};
use tenant_deletion::orchestrator::{self, Incomplete};
use tenant_deletion::tenant::{LEAVING, STAYING};

use crate::town::{Place, Town, delete_path, https, preview_path};

/// The fields of every request that a service received.
#[derive(Clone, Default)]
struct Taken(Arc<Mutex<BTreeMap<&'static str, Vec<HeaderMap>>>>);

impl Taken {
    fn taking(&self, service: &'static str, router: Router) -> Router {
        let taken = self.clone();
        router.layer(from_fn(move |request: Request, next: Next| {
            taken.0.lock().unwrap().entry(service).or_default().push(request.headers().clone());
            next.run(request)
        }))
    }

    fn of(&self, service: &str) -> Vec<HeaderMap> {
        self.0.lock().unwrap()[service].clone()
    }
}

/// What can be made of the fields of a request: all of them, the token alone, all but the token, and all with the
/// certificate of the gateway, which the service knows from its handshakes.
fn variants(fields: &HeaderMap, gateway: &[u8]) -> Vec<HeaderMap> {
    let mut all = fields.clone();
    for of_the_connection in [header::HOST, header::CONTENT_LENGTH] {
        all.remove(of_the_connection);
    }
    let token = HeaderMap::from_iter([(header::AUTHORIZATION, fields[header::AUTHORIZATION].clone())]);
    let mut without_token = all.clone();
    without_token.remove(header::AUTHORIZATION);
    let mut with_certificate = all.clone();
    let certificate = HeaderValue::try_from(format!(":{}:", STANDARD.encode(gateway))).unwrap();
    for name in ["client-cert", "x-forwarded-client-cert", "x_ssl_client_cert"] {
        with_certificate.insert(HeaderName::from_static(name), certificate.clone());
    }
    vec![all, token, without_token, with_certificate]
}

#[tokio::test]
async fn compromised_service_replays_all_that_it_saw_and_is_refused_by_every_other() {
    let taken = Taken::default();
    let town = Town::start_with(Limits::default(), |service, router| {
        Place::Open(taken.taking(service.name, router))
    })
    .await;
    let client = town.client(1);
    let preview = orchestrator::preview(&client, LEAVING.id).await;
    assert!(orchestrator::delete(&client, preview, Incomplete::Stop).await.complete);
    let seen: BTreeMap<_, _> = SERVICES.iter().map(|it| (it.name, taken.of(it.name))).collect();
    let before = town.counts(STAYING);
    town.services_audit.clear();
    town.gateway_audit.clear();

    let addresses: Vec<_> = town.services.iter().map(|(name, address)| (*name, *address)).collect();
    let without = https(&town.parts.roots_only(), &[&addresses[..], &[(GATEWAY, town.gateway)]].concat());
    let mut replays = 0;
    for compromised in SERVICES.iter().map(|it| it.name) {
        let own = town.client_of(compromised);
        let [preview, delete] = seen[compromised].as_slice() else { panic!("{:?}", seen[compromised]) };
        for other in SERVICES.iter().map(|it| it.name).filter(|other| *other != compromised) {
            for (method, path, fields) in [
                (Method::GET, preview_path(other, STAYING.id), preview),
                (Method::DELETE, delete_path(other, STAYING.id), delete),
            ] {
                for fields in variants(fields, town.parts.certificate(GATEWAY).der()) {
                    for (client, to) in [(&own, other), (&without, other), (&own, GATEWAY)] {
                        let request = client.request(method.clone(), town.url(to, &path));
                        let status = request.headers(fields.clone()).send().await.unwrap().status().as_u16();
                        assert!(
                            [401, 403].contains(&status),
                            "{compromised} sent {fields:?} to {to}, {method} {path}: {status}"
                        );
                        replays += 1;
                    }
                }
            }
        }
    }
    assert_eq!(replays, 12 * 11 * 2 * 4 * 3);
    for audit in [&town.services_audit, &town.gateway_audit] {
        assert_eq!(audit.denials().len(), audit.len(), "every replay is a refusal");
    }
    assert_eq!(town.services_audit.len() + town.gateway_audit.len(), replays);
    assert_eq!(town.counts(STAYING), before);

    // The tokens were good: the gateway's own connection is all that they lack at their own service.
    let gateway = town.client_of(GATEWAY);
    for (service, seen) in &seen {
        let authorization = seen[0][header::AUTHORIZATION].clone();
        let request = gateway.get(town.url(service, &preview_path(service, STAYING.id)));
        let status = request.header(header::AUTHORIZATION, authorization).send().await.unwrap().status();
        assert_eq!(status, 200, "{service}");
    }
}
