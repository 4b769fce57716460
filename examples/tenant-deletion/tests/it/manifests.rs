//! The Kubernetes manifests: valid by Kubernetes' own schemas, and about the same twelve services.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_norway::Value;
use tenant_deletion::catalogue;
use tenant_deletion::gateway::Upstreams;

const FOLDERS: [&str; 2] = ["k8s", "k8s/job"];

/// What `kubectl apply -k` would send, or nothing where kubectl is missing.
fn built(folder: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(path).output() else {
        eprintln!("skipped: kubectl is not installed (Debian: apt-get install kubectl)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(yaml)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

fn is_of_cert_manager(document: &Value) -> bool {
    document["apiVersion"].as_str().unwrap().starts_with("cert-manager.io/")
}

#[test]
fn manifests_are_valid_by_the_schemas_of_kubernetes() {
    for folder in FOLDERS {
        let Some(yaml) = built(folder) else { return };
        // The schemas are those of Kubernetes itself, without the kinds of cert-manager.
        let own: Vec<_> = documents(&yaml).into_iter().filter(|it| !is_of_cert_manager(it)).collect();
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        for document in &own {
            write!(file, "---\n{}", serde_norway::to_string(document).unwrap()).unwrap();
        }
        let Ok(output) = Command::new("kubernetes-validate").arg("--strict").arg(file.path()).output() else {
            eprintln!("skipped: kubernetes-validate is not installed (pip install kubernetes-validate)");
            return;
        };
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{folder}: {said}");
        assert_eq!(said.matches(" passed ").count(), own.len(), "{folder}: {said}");
    }
}

#[test]
fn manifests_deploy_exactly_the_services_of_the_catalogue() {
    let Some(yaml) = built("k8s") else { return };
    let documents = documents(&yaml);
    let of_kind = |kind: &str| -> Vec<&Value> {
        documents.iter().filter(|document| document["kind"] == kind).collect()
    };
    let names = |kind: &str| -> Vec<String> {
        let mut names: Vec<_> = of_kind(kind)
            .iter()
            .map(|document| document["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let services = |also: Option<&str>| {
        let mut names: Vec<_> = catalogue::names().map(|name| format!("{name}-service")).collect();
        names.extend(also.map(str::to_owned));
        names.sort();
        names
    };
    assert_eq!(names("Deployment"), services(Some("gateway")));
    assert_eq!(names("Service"), services(Some("gateway")));
    assert_eq!(names("PersistentVolumeClaim"), services(None));

    let deployments = of_kind("Deployment");
    for service in catalogue::names() {
        let deployment =
            deployments.iter().find(|it| it["metadata"]["name"] == format!("{service}-service")).unwrap();
        let template = &deployment["spec"]["template"];
        // The process reads its name from this label.
        assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/name"], service);
    }
    let gateway = deployments.iter().find(|it| it["metadata"]["name"] == "gateway").unwrap();
    let environment = gateway["spec"]["template"]["spec"]["containers"][0]["env"].as_sequence().unwrap();
    let upstreams =
        environment.iter().find(|it| it["name"] == "UPSTREAMS").unwrap()["value"].as_str().unwrap();
    assert!(Upstreams::parse(upstreams.split(',')).unwrap().missing().is_empty());
}

#[test]
fn every_pod_runs_without_rights_that_it_does_not_need() {
    for folder in FOLDERS {
        let Some(yaml) = built(folder) else { return };
        for document in documents(&yaml).iter().filter(|it| it["kind"] == "Deployment" || it["kind"] == "Job")
        {
            let (name, pod) = (&document["metadata"]["name"], &document["spec"]["template"]["spec"]);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name:?}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name:?}");
            for container in pod["containers"].as_sequence().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name:?}");
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name:?}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name:?}");
            }
        }
    }
}

#[test]
fn only_the_orchestrator_s_job_holds_a_token_and_only_the_gateway_a_signing_key() {
    let files = walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s"));
    for (secret, owner) in [("-service-token", "job.yaml"), ("gateway-signing-key", "gateway.yaml")] {
        let with_secret: Vec<_> = files
            .iter()
            .filter(|file| {
                let text = std::fs::read_to_string(file).unwrap();
                text.lines().any(|line| line.contains("secretName:") && line.ends_with(secret))
            })
            .map(|file| file.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(with_secret, [owner], "{secret}");
    }
}

/// The secret with the certificate of a pod.
fn tls_secret(pod: &Value) -> &str {
    let volumes = pod["volumes"].as_sequence().unwrap();
    let tls = volumes.iter().find(|volume| volume["name"] == "tls").unwrap();
    tls["secret"]["secretName"].as_str().unwrap()
}

#[test]
fn every_part_has_a_certificate_with_its_own_name() {
    let (Some(platform), Some(job)) = (built("k8s"), built("k8s/job")) else { return };
    let all = [documents(&platform), documents(&job)].concat();
    let of_kind = |kind: &'static str| all.iter().filter(move |document| document["kind"] == kind);
    let certificates: Vec<_> = of_kind("Certificate").filter(|it| it["spec"]["isCA"] != true).collect();
    let mut found = Vec::new();
    for workload in of_kind("Deployment").chain(of_kind("Job")) {
        let pod = &workload["spec"]["template"];
        let name = pod["metadata"]["labels"]["app.kubernetes.io/name"].as_str().unwrap();
        let secret = tls_secret(&pod["spec"]);
        let its: Vec<_> = certificates.iter().filter(|it| it["spec"]["secretName"] == secret).collect();
        assert_eq!((secret, its.len()), (format!("{name}-tls").as_str(), 1));
        let spec = &its[0]["spec"];
        // The gateway compares the first with the name of the service that it calls.
        assert_eq!(spec["dnsNames"][0], name);
        assert_eq!(
            spec["uris"],
            serde_norway::to_value([format!("spiffe://bakery.example/{name}")]).unwrap()
        );
        assert_eq!(spec["issuerRef"]["name"], "bakery-ca");
        let usages: Vec<_> = spec["usages"].as_sequence().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(usages, ["digital signature", "server auth", "client auth"]);
        found.push(name);
    }
    assert_eq!((found.len(), certificates.len()), (14, 14));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
