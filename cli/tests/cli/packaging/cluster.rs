//! A small API server, and the pods of a CronJob without a kubelet.
//!
//! The server answers kubectl's discovery and server-side apply for Secrets and ConfigMaps. It refuses each request that
//! the role of the pod does not allow. A pod is a folder for each volume, and its containers are processes that run one
//! after the other. The paths in their scripts become those folders, if the container mounts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::path_with_program;

const NAMESPACE: &str = "bakery";

/// The data of a Secret or ConfigMap, decoded, and the members that server-side apply owns.
#[derive(Clone, Default)]
struct Object {
    data: BTreeMap<String, Vec<u8>>,
    applied: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(String, String), Object>,
    /// The rules of the role of the running pod.
    rules: Value,
    /// The requests that changed something: verb, resource and name.
    used: Vec<String>,
}

pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

impl Cluster {
    pub(super) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::clone(&state);
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let (status, answer) = served.lock().unwrap().answer(&method, uri.path(), &body);
            async move {
                (status, [(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
            }
        });
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { state, url, _runtime: runtime }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Creates an object, or replaces it, as the operator does.
    pub(super) fn create(&self, resource: &str, name: &str, data: &[(&str, &str)]) {
        let data = data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        let object = Object { data, ..Object::default() };
        self.state().objects.insert((resource.to_owned(), name.to_owned()), object);
    }

    pub(super) fn create_encoded(&self, resource: &str, name: &str, data: &Value) {
        let object = Object { data: decoded(resource, data), ..Object::default() };
        self.state().objects.insert((resource.to_owned(), name.to_owned()), object);
    }

    fn object(&self, resource: &str, name: &str) -> Option<Object> {
        self.state().objects.get(&(resource.to_owned(), name.to_owned())).cloned()
    }

    pub(super) fn names(&self, resource: &str, name: &str) -> Vec<String> {
        self.object(resource, name).unwrap().data.into_keys().collect()
    }

    pub(super) fn value(&self, resource: &str, name: &str, key: &str) -> String {
        String::from_utf8(self.object(resource, name).unwrap().data.remove(key).unwrap()).unwrap()
    }

    pub(super) fn used(&self) -> Vec<String> {
        self.state().used.clone()
    }
}

fn decoded(resource: &str, data: &Value) -> BTreeMap<String, Vec<u8>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let decode = |value: String| match resource {
        "secrets" => STANDARD.decode(value).unwrap(),
        _ => value.into_bytes(),
    };
    data.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), decode(text(value)))).collect()
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let resource =
            |name, kind| json!({ "name": name, "kind": kind, "namespaced": true, "verbs": ["patch"] });
        // The part of OpenAPI that tells kubectl that the server validates fields.
        let validated = |kind| {
            json!({ "patch": {
                "parameters": [{ "name": "fieldValidation", "in": "query" }],
                "x-kubernetes-group-version-kind": { "group": "", "version": "v1", "kind": kind },
                "responses": {},
            }})
        };
        let answer = match path {
            "/version" => json!({ "major": "1", "minor": "32", "gitVersion": "v1.32.0" }),
            "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
            "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
            "/api/v1" => json!({
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [resource("secrets", "Secret"), resource("configmaps", "ConfigMap")],
            }),
            "/openapi/v3" => json!({ "paths": { "api/v1": { "serverRelativeURL": "/openapi/v3/api/v1" } } }),
            "/openapi/v3/api/v1" => json!({
                "openapi": "3.0.0",
                "info": { "title": "a part of Kubernetes", "version": "v1" },
                "paths": { "/secrets": validated("Secret"), "/configmaps": validated("ConfigMap") },
            }),
            _ => return self.change(method, path, body),
        };
        (StatusCode::OK, answer)
    }

    fn change(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let refuse = |status: StatusCode, reason: &str| {
            let code = status.as_u16();
            let message = format!("{method} {path}: {reason}");
            (
                status,
                json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": message }),
            )
        };
        let prefix = format!("/api/v1/namespaces/{NAMESPACE}/");
        let Some((resource, name)) = path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) else {
            return refuse(StatusCode::NOT_FOUND, "NotFound");
        };
        let verb = method.as_str().to_ascii_lowercase();
        let has = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|item| item == word);
        let allowed = self.rules.as_array().unwrap().iter().any(|rule| {
            has(&rule["verbs"], &verb)
                && has(&rule["resources"], resource)
                && has(&rule["resourceNames"], name)
        });
        if !allowed {
            return refuse(StatusCode::FORBIDDEN, "Forbidden");
        }
        // The rules allow no verb but `patch`. To apply an object that is missing also needs `create`.
        let key = (resource.to_owned(), name.to_owned());
        let Some(object) = self.objects.get_mut(&key) else {
            return refuse(StatusCode::FORBIDDEN, "Forbidden");
        };
        let mut manifest: Value = serde_json::from_slice(body).unwrap();
        let data = decoded(resource, &manifest["data"]);
        object.data.retain(|member, _| !object.applied.contains(member) || data.contains_key(member));
        object.applied = data.keys().cloned().collect();
        object.data.extend(data);
        self.used.push(format!("{verb} {resource} {name}"));
        manifest["metadata"]["namespace"] = NAMESPACE.into();
        (StatusCode::OK, manifest)
    }
}

pub(super) struct Pod<'a> {
    cluster: &'a Cluster,
    spec: &'a Value,
    folder: TempDir,
}

impl<'a> Pod<'a> {
    /// The pod with its volumes, as the kubelet makes them.
    pub(super) fn new(cluster: &'a Cluster, spec: &'a Value, rules: &Value) -> Self {
        let pod = Self { cluster, spec, folder: tempfile::tempdir().unwrap() };
        cluster.state().rules = rules.clone();
        for volume in spec["volumes"].as_array().unwrap() {
            let folder = pod.folder.path().join(volume["name"].as_str().unwrap());
            fs::create_dir(&folder).unwrap();
            if let Some(name) = volume["secret"]["secretName"].as_str() {
                pod.fill(&folder, "secrets", name, &volume["secret"]);
            }
            if let Some(name) = volume["configMap"]["name"].as_str() {
                pod.fill(&folder, "configmaps", name, &volume["configMap"]);
            }
            for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
                if let Some(name) = source["secret"]["name"].as_str() {
                    pod.fill(&folder, "secrets", name, &source["secret"]);
                }
            }
        }
        let config = pod.folder.path().join("config/service-token.toml");
        let root = format!("{}/", pod.folder.path().display());
        let text = local(&fs::read_to_string(&config).unwrap(), &spec["initContainers"][0], &root);
        fs::write(config, text).unwrap();
        pod
    }

    /// Writes the members of an object as files, under the names that the volume gives them.
    fn fill(&self, folder: &Path, resource: &str, name: &str, source: &Value) {
        let object = match self.cluster.object(resource, name) {
            None if source["optional"] == true => return,
            object => object.unwrap_or_else(|| panic!("the pod waits for {resource} {name}")),
        };
        for (key, value) in object.data {
            let file = match source["items"].as_array() {
                None => key.clone(),
                Some(items) => match items.iter().find(|item| item["key"] == key.as_str()) {
                    None => continue,
                    Some(item) => item["path"].as_str().unwrap().to_owned(),
                },
            };
            fs::write(folder.join(file), value).unwrap();
        }
    }

    /// Runs the containers, and returns the exit code of the first one that fails, or else 0.
    pub(super) fn run(&self) -> i32 {
        let containers = ["initContainers", "containers"].map(|kind| self.spec[kind].as_array().unwrap());
        containers
            .into_iter()
            .flatten()
            .map(|container| self.execute(container))
            .find(|code| *code != 0)
            .unwrap_or(0)
    }

    fn execute(&self, container: &Value) -> i32 {
        // Relative paths, because the scripts do not quote them and the temporary folder may contain a space.
        let argument = |value: &Value| local(value.as_str().unwrap(), container, "");
        let words = [&container["command"], &container["args"]].map(|part| part.as_array().unwrap());
        let words: Vec<_> = words.into_iter().flatten().map(argument).collect();
        // A script that repeats a refused request does not end.
        let mut command = Command::new("timeout");
        command.arg("60").args(&words).current_dir(self.folder.path());
        command.env_clear().env("PATH", path_with_program()).env("HOME", "/nonexistent");
        for variable in container["env"].as_array().unwrap() {
            let value = variable.get("value").map_or_else(|| "from-a-secret".to_owned(), argument);
            command.env(variable["name"].as_str().unwrap(), value);
        }
        // Only a container with the token of the account reaches the server.
        if container["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["name"] == "api") {
            command.env("KUBECONFIG", self.kubeconfig());
        }
        let output = command.output().unwrap();
        eprintln!("{}: {}", container["name"], String::from_utf8_lossy(&output.stderr));
        output.status.code().unwrap()
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": { "server": self.cluster.url } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": NAMESPACE } }],
            "users": [{ "name": "test", "user": {} }],
            "current-context": "test",
        });
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}

/// A text of the container with folders in place of the paths that it mounts.
fn local(text: &str, container: &Value, root: &str) -> String {
    container["volumeMounts"].as_array().unwrap().iter().fold(text.to_owned(), |text, mount| {
        let folder = format!("{root}{}", mount["name"].as_str().unwrap());
        text.replace(mount["mountPath"].as_str().unwrap(), &folder)
    })
}
