//! The SPIFFE Workload API in place of files: deliveries, rotations, and what happens without it.

use std::time::Duration;

use service_only_testkit::{TestCa, WorkloadApi};
use service_only_tls::{Tls, TlsErrorKind, TlsFiles};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::fleet::{DOMAIN, eventually, id, meet};

struct Scene {
    _folder: TempDir,
    api: WorkloadApi,
    ca: TestCa,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = WorkloadApi::start(folder.path().join("a.sock")).await.unwrap();
        Self { _folder: folder, api, ca: TestCa::new(DOMAIN) }
    }

    fn deliver(&self, service: &str) {
        self.api.deliver(&self.ca.leaf().spiffe_id(&id(service)).issue(), &self.ca);
    }

    fn files(&self) -> TlsFiles {
        TlsFiles::workload_api(self.api.socket()).poll_every(Duration::from_millis(10))
    }

    async fn open(&self) -> Tls {
        let files = self.files();
        spawn_blocking(move || files.open()).await.unwrap().unwrap()
    }
}

async fn soon(what: &'static str, met: impl Fn() -> bool + Send + 'static) {
    spawn_blocking(move || eventually(what, met)).await.unwrap();
}

#[tokio::test]
async fn an_svid_and_its_roots_are_used_and_replaced_as_soon_as_they_are_delivered() {
    let scene = Scene::new().await;
    scene.deliver("orders");
    let tls = scene.open().await;
    assert_eq!(tls.status().spiffe_id.unwrap().as_str(), id("orders"));
    assert_eq!(tls.status().source, [scene.api.socket()]);
    meet(&tls, &tls).unwrap();
    scene.deliver("billing");
    let own = tls.clone();
    soon("the new SVID is in use", move || own.status().revision == 2).await;
    assert_eq!(tls.status().spiffe_id.unwrap().as_str(), id("billing"));
    assert_eq!(tls.status().error, None);

    // A new authority replaces the roots too.
    let before = scene.open().await;
    let next = TestCa::new(DOMAIN);
    scene.api.deliver(&next.leaf().spiffe_id(&id("billing")).issue(), &next);
    let own = tls.clone();
    soon("the new roots are in use", move || own.status().revision == 3).await;
    let other = before.clone();
    soon("by both", move || other.status().revision == 2).await;
    meet(&tls, &before).unwrap();
}

#[tokio::test]
async fn without_an_svid_there_is_no_material() {
    let scene = Scene::new().await;
    let refused = |files: TlsFiles| async {
        spawn_blocking(move || files.wait_up_to(Duration::ZERO).open().unwrap_err()).await.unwrap()
    };
    let error = refused(scene.files()).await;
    assert_eq!(error.kind(), TlsErrorKind::WorkloadApi, "{error}");
    let missing = refused(TlsFiles::workload_api("/nowhere/a.sock")).await;
    assert_eq!(missing.kind(), TlsErrorKind::WorkloadApi, "{missing}");
    assert!(missing.to_string().contains("/nowhere/a.sock"), "{missing}");
    // `open` waits for an SVID that is delivered later.
    let files = scene.files();
    let opened = spawn_blocking(move || files.wait_up_to(Duration::from_secs(60)).open());
    scene.deliver("orders");
    assert_eq!(opened.await.unwrap().unwrap().status().revision, 1);
}

#[tokio::test]
async fn the_last_svid_stays_in_use_after_the_stream_has_ended_and_the_error_is_reported() {
    let scene = Scene::new().await;
    scene.deliver("orders");
    let tls = scene.open().await;
    for end in [WorkloadApi::end, WorkloadApi::withdraw] {
        end(&scene.api);
        let own = tls.clone();
        soon("the end is reported", move || own.status().error.is_some()).await;
        let error = tls.status().error.unwrap();
        assert_eq!(error.kind(), TlsErrorKind::WorkloadApi, "{error}");
        assert_eq!(tls.status().spiffe_id.unwrap().as_str(), id("orders"));
        meet(&tls, &tls).unwrap();
        // The stream is opened again.
        let revision = tls.status().revision;
        scene.deliver("orders");
        let own = tls.clone();
        soon("the new SVID is in use", move || {
            let status = own.status();
            status.revision > revision && status.error.is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn a_delivery_that_breaks_a_rule_is_refused_and_the_last_one_stays_in_use() {
    let scene = Scene::new().await;
    scene.deliver("orders");
    let tls = scene.open().await;
    let other = TestCa::new(DOMAIN);
    scene.api.deliver(&other.leaf().spiffe_id(&id("orders")).issue(), &scene.ca);
    let own = tls.clone();
    soon("the delivery is refused", move || own.status().error.is_some()).await;
    assert_eq!(tls.status().error.unwrap().kind(), TlsErrorKind::Path);
    assert_eq!(tls.status().revision, 1);
    meet(&tls, &tls).unwrap();
}

#[tokio::test]
async fn roots_of_federated_domains_verify_only_their_own_names() {
    let scene = Scene::new().await;
    let partner = TestCa::new("partner.example");
    let svid = scene.ca.leaf().spiffe_id(&id("orders")).issue();
    scene.api.deliver_with(&svid, &scene.ca, &[("partner.example", &partner)]);
    let tls = scene.open().await;
    let peer = Scene::new().await;
    let theirs = partner.leaf().spiffe_id("spiffe://partner.example/orders").issue();
    peer.api.deliver_with(&theirs, &partner, &[(DOMAIN, &scene.ca)]);
    let peer = peer.open().await;
    meet(&peer, &tls).unwrap();
    meet(&tls, &peer).unwrap();
    scene.api.deliver(&svid, &scene.ca);
    let own = tls.clone();
    soon("the federation has ended", move || own.status().revision == 2).await;
    meet(&peer, &tls).unwrap_err();
}

#[tokio::test]
async fn the_stream_ends_with_the_last_use() {
    let scene = Scene::new().await;
    scene.deliver("orders");
    let tls = scene.open().await;
    let config = tls.client_config();
    drop(tls);
    assert_eq!(scene.api.streams(), 1);
    drop(config);
    while scene.api.streams() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn further_roots_beside_the_api_are_a_mistake() {
    let files = TlsFiles::workload_api("unix:///nowhere/a.sock").trust_domain("partner.example", "roots.pem");
    assert_eq!(files.open().unwrap_err().kind(), TlsErrorKind::Configuration);
}
