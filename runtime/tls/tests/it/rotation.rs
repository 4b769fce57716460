//! Certificates and roots are rotated under load: no handshake fails, no request is lost, and no old root is accepted
//! after the swap.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum_server::tls_rustls::RustlsConfig;
use service_only_testkit::TestCa;
use service_only_tls::{Tls, TlsServer};

use crate::{
    fleet::{DOMAIN, Member, id, meet, write},
    servers::{Running, actix, client, router, tonic},
};

/// How often the roots are replaced.
const ROUNDS: usize = 3;

/// The requests that must succeed between two changes.
const BETWEEN: u64 = 40;

/// Requests that run until they are stopped, each on a connection of its own or on a kept one.
#[derive(Clone, Default)]
struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        mut request: impl FnMut() -> F + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let load = self.clone();
        tokio::spawn(async move {
            while !load.stop.load(Ordering::Relaxed) {
                request().await;
                load.done.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Waits until the load has made progress with the current material.
    async fn proceed(&self, tasks: &[tokio::task::JoinHandle<()>]) {
        let until = self.done.load(Ordering::Relaxed) + BETWEEN;
        while self.done.load(Ordering::Relaxed) < until {
            assert!(tasks.iter().all(|task| !task.is_finished()), "a request failed");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

/// Two services and their authority, which is replaced in three steps.
struct Pair {
    ca: TestCa,
    members: [(Member, Tls, &'static str); 2],
    revision: u64,
}

impl Pair {
    fn new() -> Self {
        let ca = TestCa::new(DOMAIN);
        let members = ["orders", "billing"].map(|name| {
            let member = Member::of(&ca, name);
            let tls = member.open();
            (member, tls, name)
        });
        Self { ca, members, revision: 1 }
    }

    async fn everywhere(&mut self, change: impl Fn(&Member, &str)) {
        self.revision += 1;
        for (member, _, name) in &self.members {
            change(member, name);
        }
        for (_, tls, _) in &self.members {
            while tls.status().revision != self.revision || tls.status().error.is_some() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    }

    /// Trusts both authorities, then presents the new certificates, then trusts only the new authority.
    async fn rotate(&mut self, load: &Load, tasks: &[tokio::task::JoinHandle<()>]) {
        let next = TestCa::new(DOMAIN);
        let old = Member::of(&self.ca, "billing");
        let both = format!("{}{}", self.ca.pem(), next.pem());
        self.everywhere(|member, _| write(member.path("ca.crt"), &both)).await;
        load.proceed(tasks).await;
        // Swap both files of the pair in one step, as a mount does.
        self.everywhere(|member, name| {
            let leaf = next.leaf().spiffe_id(&id(name)).issue();
            let staged = tempfile::tempdir_in(member.folder.path()).unwrap();
            write(staged.path().join("tls.crt"), leaf.chain_pem());
            write(staged.path().join("tls.key"), leaf.key_pem());
            for name in ["tls.crt", "tls.key"] {
                std::fs::rename(staged.path().join(name), member.path(name)).unwrap();
            }
        })
        .await;
        load.proceed(tasks).await;
        self.everywhere(|member, _| write(member.path("ca.crt"), next.pem())).await;
        // A client that still has the old certificate, and trusts both.
        write(old.path("ca.crt"), &both);
        let old = old.open();
        for (_, tls, _) in &self.members {
            meet(&old, tls).unwrap_err();
            meet(tls, &old).unwrap_err();
        }
        load.proceed(tasks).await;
        self.ca = next;
    }

    async fn rotate_under(&mut self, load: Load, tasks: Vec<tokio::task::JoinHandle<()>>) {
        load.proceed(&tasks).await;
        for _ in 0..ROUNDS {
            self.rotate(&load, &tasks).await;
        }
        load.stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("no request failed");
        }
    }
}

fn requests(load: &Load, tls: &Tls, url: &str) -> Vec<tokio::task::JoinHandle<()>> {
    let kept = client(tls);
    let (fresh, urls) = (tls.clone(), [url.to_owned(), url.to_owned()]);
    let [first, second] = urls;
    let on_kept = load.run(move || {
        let (client, url) = (kept.clone(), first.clone());
        async move { assert_eq!(client.get(url).send().await.unwrap().status(), 200) }
    });
    let on_fresh = load.run(move || {
        let (client, url) = (client(&fresh), second.clone());
        async move { assert_eq!(client.get(url).send().await.unwrap().status(), 200) }
    });
    vec![on_kept, on_fresh]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_loses_nothing_while_certificates_and_roots_rotate() {
    let mut pair = Pair::new();
    let server = Running::start(TlsServer::new(pair.members[0].1.clone()), router()).await;
    let load = Load::default();
    let tasks = requests(&load, &pair.members[1].1, &server.url("/x/1"));
    pair.rotate_under(load, tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_server_loses_nothing_while_certificates_and_roots_rotate() {
    let mut pair = Pair::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://localhost:{}/x/1", listener.local_addr().unwrap().port());
    let config = RustlsConfig::from_config(pair.members[0].1.server_config());
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    let server = tokio::spawn(server.serve(router().into_make_service()));
    let load = Load::default();
    let tasks = requests(&load, &pair.members[1].1, &url);
    pair.rotate_under(load, tasks).await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actix_loses_nothing_while_certificates_and_roots_rotate() {
    let mut pair = Pair::new();
    let (address, handle) = actix(&pair.members[0].1);
    let load = Load::default();
    let tasks = requests(&load, &pair.members[1].1, &format!("https://localhost:{}/", address.port()));
    pair.rotate_under(load, tasks).await;
    handle.stop(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tonic_loses_nothing_while_certificates_and_roots_rotate() {
    let mut pair = Pair::new();
    let (server, kept) = tonic(&pair.members[0].1, &pair.members[1].1).await;
    let load = Load::default();
    let call = |mut health: tonic_health::pb::health_client::HealthClient<tonic::transport::Channel>| async move {
        health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    };
    let on_kept = load.run(move || call(kept.clone()));
    let (fresh, port) = (pair.members[1].1.clone(), server.address.port());
    let on_fresh = load.run(move || {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://localhost:{port}")).unwrap();
        let channel = endpoint.connect_with_connector_lazy(service_only_tls::TlsConnector::http2(&fresh));
        call(tonic_health::pb::health_client::HealthClient::new(channel))
    });
    pair.rotate_under(load, vec![on_kept, on_fresh]).await;
}
