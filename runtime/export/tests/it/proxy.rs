//! An Envoy on loopback with our filters in front of a service that lets everybody in.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::Router;
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Long for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Envoy. It ends with the value.
pub(crate) struct Proxy {
    child: Child,
    address: String,
    client: Client,
    _folder: TempDir,
}

impl Proxy {
    /// Starts one; `None` where there is none to start.
    pub(crate) async fn start(filters: &str) -> Option<Self> {
        let envoy = env::var("SERVICE_ONLY_ENVOY").unwrap_or_else(|_| "envoy".to_owned());
        if !Command::new(&envoy).arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success())
        {
            eprintln!("skipped: `{envoy}` does not start; set SERVICE_ONLY_ENVOY");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (config, admin) = (folder.path().join("envoy.yaml"), folder.path().join("admin"));
        fs::write(&config, configuration(filters, upstream().await)).unwrap();
        let mut child = Command::new(envoy)
            .arg("--config-path")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"])
            .spawn()
            .unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        let address = listening(&client, &admin, &mut child).await;
        Some(Self { child, address, client, _folder: folder })
    }

    /// The status of the answer to a request with these `Authorization` headers.
    pub(crate) async fn status(&self, method: &str, path: &str, authorization: &[String]) -> u16 {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method, url);
        let request = authorization.iter().fold(request, |it, value| it.header("authorization", value));
        request.send().await.unwrap().status().as_u16()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service without any guard: what reaches it is 200.
async fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(|| async { "reached" });
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

/// Waits until the listener has its port.
async fn listening(client: &Client, admin: &Path, child: &mut Child) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(child.try_wait().unwrap().is_none(), "Envoy ended");
        assert!(Instant::now() < deadline, "Envoy does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let Ok(admin) = fs::read_to_string(admin) else { continue };
        let Ok(answer) = client.get(format!("http://{admin}/listeners?format=json")).send().await else {
            continue;
        };
        let listeners: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
        if let Some(port) = port.as_u64() {
            return format!("127.0.0.1:{port}");
        }
    }
}

/// The filters as they are, moved to where filters stand.
fn configuration(filters: &str, upstream: u16) -> String {
    let filters: String = filters.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
static_resources:
  listeners:
  - name: inbound
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: service}}}}]}}
{filters}
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: service
    load_assignment:
      cluster_name: service
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
  - name: service_only_jwks
    load_assignment:
      cluster_name: service_only_jwks
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 9}}}}}}
"#
    )
}
