//! The kustomize base, its example and the monitoring resources: rendered by kubectl, checked by the schemas of
//! Kubernetes, and played against an API server of the test's own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::cluster::{Cluster, Pod};
use super::{documents, folder, read, succeeded, top};
use crate::rotate::{DAY, aged, report};
use crate::sandbox::Sandbox;

/// What `kubectl apply -k` would send, or nothing if kubectl is not installed.
fn rendered(name: &str) -> Option<String> {
    succeeded(Command::new("kubectl").arg("kustomize").arg(folder().join("kubernetes").join(name)))
}

fn named<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
    all.iter().find(is_it).unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn pod(cron_job: &Value) -> &Value {
    &cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
}

fn list<'a>(value: &'a Value) -> impl Iterator<Item = &'a Value> + 'a {
    value.as_array().into_iter().flatten()
}

fn file_with(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn resources_are_valid_by_the_schemas_of_kubernetes() {
    for name in ["base", "example"] {
        let Some(text) = rendered(name) else { return };
        let file = file_with(&text);
        let mut validate = Command::new("kubernetes-validate");
        let Some(said) = succeeded(validate.arg("--strict").arg(file.path())) else { return };
        assert_eq!(said.matches(" passed ").count(), documents(&text).len(), "{name}: {said}");
    }
}

#[test]
fn each_account_may_only_replace_the_objects_that_its_job_writes() {
    for (name, services) in [
        ("base", &["inventory", "orders"][..]),
        ("example", &["orders", "sales", "tenant-deletion-orchestrator"]),
    ] {
        let Some(text) = rendered(name) else { return };
        let all = documents(&text);
        let roles: Vec<_> = all.iter().filter(|document| document["kind"] == "Role").collect();
        assert_eq!(roles.len(), 2, "{name}");
        assert!(all.iter().all(|document| !document["kind"].as_str().unwrap().starts_with("Cluster")));
        let rules: Vec<_> = roles.iter().flat_map(|role| list(&role["rules"])).collect();
        for rule in &rules {
            assert_eq!((&rule["apiGroups"], &rule["verbs"]), (&json!([""]), &json!(["patch"])));
            // A rule without names is about every object.
            assert!(list(&rule["resourceNames"]).count() > 0);
        }
        let all_names = |role: &str| -> BTreeSet<String> {
            let names =
                list(&named(&all, "Role", role)["rules"]).flat_map(|rule| list(&rule["resourceNames"]));
            names.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            all_names("service-token-rotate"),
            ["service-token-jwks", "service-token-key"].map(str::to_owned).into()
        );
        let secrets = services.iter().map(|service| format!("{service}-service-token"));
        assert_eq!(all_names("service-token-renew"), secrets.clone().collect());

        // The two other places that name each service.
        let renew = pod(named(&all, "CronJob", "service-token-renew"));
        let tokens = list(&renew["volumes"]).find(|volume| volume["name"] == "tokens").unwrap();
        let mounted: BTreeSet<_> = list(&tokens["projected"]["sources"])
            .map(|source| source["secret"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(mounted, secrets.collect());
        let config =
            named(&all, "ConfigMap", "service-token")["data"]["service-token.toml"].as_str().unwrap();
        let sandbox = Sandbox::new();
        let config = config.replace("/run/keys/", "").replace("/run/public/", "");
        sandbox.write("service-token.toml", &config);
        sandbox.run(&["keygen"]).done();
        let minted = sandbox.run(&["k8s-secret", "--all", "--no-store"]).done().stdout;
        let minted: BTreeSet<_> = documents(&minted)
            .iter()
            .map(|secret| secret["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(minted, mounted);
    }
}

#[test]
fn every_pod_runs_without_rights_that_it_does_not_need() {
    for name in ["base", "example"] {
        let Some(text) = rendered(name) else { return };
        let all = documents(&text);
        let jobs: Vec<_> = all.iter().filter(|document| document["kind"] == "CronJob").collect();
        assert_eq!(jobs.len(), 2, "{name}");
        for job in jobs {
            assert_eq!(job["spec"]["concurrencyPolicy"], "Forbid");
            assert!(job["spec"]["startingDeadlineSeconds"].is_u64());
            assert!(job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"].is_u64());
            let pod = pod(job);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert_eq!(pod["automountServiceAccountToken"], false);
            for container in list(&pod["initContainers"]).chain(list(&pod["containers"])) {
                let security = &container["securityContext"];
                assert_eq!(security["readOnlyRootFilesystem"], true);
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
                assert!(container["resources"]["limits"]["memory"].is_string());
                assert!(
                    container["image"].as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION")))
                );
                // The container that has the database does not have the API server, and the reverse.
                let has_api = list(&container["volumeMounts"]).any(|mount| mount["name"] == "api");
                let has_database = list(&container["env"]).any(|variable| variable["name"] == "PGPASSWORD");
                assert_ne!(has_api, has_database, "{}", container["name"]);
            }
            let labels = &job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"];
            let policy = named(&all, "NetworkPolicy", "service-token");
            assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
        }
    }
}

/// The cluster after the set-up of the guide, and the folder of the operator who did it.
fn set_up(all: &[Value]) -> (Sandbox, Cluster) {
    let sandbox = Sandbox::new();
    let config = named(all, "ConfigMap", "service-token")["data"]["service-token.toml"].as_str().unwrap();
    let store = format!("sqlite:{}", sandbox.path("tokens.db").display());
    let config = config.replace("postgres://service_token@postgresql/service_token", &store);
    sandbox.write("service-token.toml", config.replace("/run/keys/", "").replace("/run/public/", ""));
    sandbox.run(&["store", "init"]).done();
    sandbox.run(&["keygen"]).done();
    let cluster = Cluster::start();
    cluster.create("configmaps", "service-token", &[("service-token.toml", &config)]);
    cluster.create("secrets", "service-token-key", &[("signing.pem", &sandbox.read("signing.pem"))]);
    cluster.create(
        "configmaps",
        "service-token-jwks",
        &[("jwks.json", &sandbox.run(&["jwks"]).done().stdout)],
    );
    (sandbox, cluster)
}

fn kids(cluster: &Cluster) -> Vec<String> {
    let set: Value =
        serde_json::from_str(&cluster.value("configmaps", "service-token-jwks", "jwks.json")).unwrap();
    list(&set["keys"]).map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_and_tokens_are_replaced_through_the_api_server_with_no_other_right_than_the_roles_give() {
    let Some(text) = rendered("base") else { return };
    let all = documents(&text);
    let (sandbox, cluster) = set_up(&all);
    let old = aged(&sandbox, 80 * DAY);
    for secret in documents(&sandbox.run(&["k8s-secret", "--all"]).done().stdout) {
        cluster.create_encoded("secrets", secret["metadata"]["name"].as_str().unwrap(), &secret["data"]);
    }
    let run = |job: &str| {
        let job = named(&all, "CronJob", job);
        let account = pod(job)["serviceAccountName"].as_str().unwrap();
        let binding = named(&all, "RoleBinding", account);
        assert_eq!(binding["subjects"][0]["name"], account);
        let role = named(&all, "Role", binding["roleRef"]["name"].as_str().unwrap());
        Pod::new(&cluster, pod(job), &role["rules"]).run()
    };
    let names = |name| cluster.names("secrets", name);

    // The key has a sixth of its life left, so the next one is prepared.
    assert_eq!(run("service-token-rotate"), 0);
    assert_eq!(names("service-token-key"), ["signing-next.pem", "signing.pem"]);
    let next = cluster.value("secrets", "service-token-key", "signing-next.pem");
    let [first, new] = &kids(&cluster)[..] else { panic!("two keys are published") };
    assert_eq!(first, &old);

    // Every verifier has it, so it signs, and the former private key leaves the Secret.
    report(&sandbox, "orders-1", vec![old.clone(), new.clone()]);
    assert_eq!(run("service-token-rotate"), 0);
    assert_eq!(names("service-token-key"), ["signing.pem"]);
    assert_eq!(cluster.value("secrets", "service-token-key", "signing.pem"), next);
    assert_eq!(kids(&cluster), [old.clone(), new.clone()], "tokens of the former key are still good");

    // The tokens of the former key are renewed, and nothing else is.
    assert_eq!(run("service-token-renew"), 0);
    sandbox.write("jwks.json", cluster.value("configmaps", "service-token-jwks", "jwks.json"));
    for service in ["orders", "inventory"] {
        let token = cluster.value("secrets", &format!("{service}-service-token"), "token");
        let verify = ["verify", "-", "--jwks", "jwks.json", "--issuer", "bakery-auth", "--service", service];
        sandbox.feed(&verify, &token).done();
        let inspected = sandbox.feed(&["inspect", "-", "--format", "json"], &token).done().json();
        assert_eq!(inspected["header"]["kid"], new.as_str());
    }
    let before = cluster.used();
    assert_eq!(run("service-token-renew"), 0);
    assert_eq!(cluster.used(), before, "no token expires soon, so no Secret is written");

    let granted: BTreeSet<_> = all
        .iter()
        .filter(|document| document["kind"] == "Role")
        .flat_map(|role| list(&role["rules"]))
        .flat_map(|rule| {
            let resource = rule["resources"][0].as_str().unwrap();
            list(&rule["resourceNames"])
                .map(move |name| format!("patch {resource} {}", name.as_str().unwrap()))
        })
        .collect();
    let used: BTreeSet<_> = before.into_iter().collect();
    assert_eq!(used, granted, "every right is used");
}

#[test]
fn emergency_of_the_guide_replaces_the_leaked_key_and_a_lost_key_can_be_discarded() {
    let Some(text) = rendered("base") else { return };
    let all = documents(&text);
    let (sandbox, cluster) = set_up(&all);
    let old = aged(&sandbox, 50 * DAY);
    let rotate = |options: &str| {
        // As `sed` of the guide does.
        let edited = text.replace("service-token rotate ", &format!("service-token rotate {options}"));
        let all = documents(&edited);
        let rules = &named(&all, "Role", "service-token-rotate")["rules"];
        Pod::new(&cluster, pod(named(&all, "CronJob", "service-token-rotate")), rules).run()
    };
    let page = std::fs::read_to_string(top().join("docs/src/operations/packaging.md")).unwrap();
    assert!(page.contains("| sed 's/service-token rotate /&--emergency /' |"));

    assert_eq!(rotate(""), 0);
    let [_, lost] = &kids(&cluster)[..] else { panic!("two keys are published") };
    let key = cluster.value("secrets", "service-token-key", "signing.pem");
    cluster.create("secrets", "service-token-key", &[("signing.pem", &key)]);
    assert_eq!(rotate(&format!("--emergency={lost} ")), 0);
    assert_eq!(kids(&cluster), std::slice::from_ref(&old));
    assert_eq!(rotate(""), 0);
    assert_eq!(cluster.names("secrets", "service-token-key"), ["signing-next.pem", "signing.pem"]);

    assert_eq!(rotate("--emergency "), 0);
    assert_ne!(cluster.value("secrets", "service-token-key", "signing.pem"), key);
    assert_eq!(cluster.names("secrets", "service-token-key"), ["signing.pem"]);
    let kids = kids(&cluster);
    assert!(kids.len() == 1 && kids[0] != old, "{kids:?}");
}

#[test]
fn job_whose_rotation_fails_keeps_the_keys_and_fails() {
    let Some(text) = rendered("base") else { return };
    let all = documents(&text);
    let (_sandbox, cluster) = set_up(&all);
    let config = cluster.value("configmaps", "service-token", "service-token.toml");
    let config = config.lines().filter(|line| !line.starts_with("store")).collect::<Vec<_>>().join("\n");
    cluster.create("configmaps", "service-token", &[("service-token.toml", &config)]);
    let key = cluster.value("secrets", "service-token-key", "signing.pem");
    let job = named(&all, "CronJob", "service-token-rotate");
    let rules = &named(&all, "Role", "service-token-rotate")["rules"];
    assert_eq!(Pod::new(&cluster, pod(job), rules).run(), 2);
    assert_eq!(cluster.value("secrets", "service-token-key", "signing.pem"), key);
    assert_eq!(cluster.used(), ["patch secrets service-token-key"]);
}

#[test]
fn alerts_and_dashboard_are_those_of_the_example() {
    let metrics = top().join("examples/metrics");
    let alerts = std::fs::read_to_string(metrics.join("prometheus/alerts.yml")).unwrap();
    let rule = read("kubernetes/monitoring/prometheus-rule.yaml");
    assert_eq!(
        documents(&rule)[0]["spec"]["groups"],
        documents(&alerts)[0]["groups"],
        "copy them again, in cli/packaging/kubernetes/monitoring:\n\
         sed -i '/^  groups:/,$d' prometheus-rule.yaml\n\
         sed -n '/^groups:/,$s/^./  &/p' ../../../../examples/metrics/prometheus/alerts.yml >> prometheus-rule.yaml"
    );
    let dashboard = std::fs::read_to_string(metrics.join("grafana/dashboard.json")).unwrap();
    assert!(
        read("kubernetes/monitoring/dashboard.json") == dashboard,
        "copy it again: cp examples/metrics/grafana/dashboard.json cli/packaging/kubernetes/monitoring/"
    );
    let Some(text) = rendered("monitoring") else { return };
    let all = documents(&text);
    let map = named(&all, "ConfigMap", "service-only-dashboard");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(map["data"]["service-only.json"], dashboard);
}

#[test]
fn rules_of_the_operator_are_valid_for_prometheus() {
    for name in ["prometheus-rule.yaml", "jobs-rule.yaml"] {
        let rule = &documents(&read(&format!("kubernetes/monitoring/{name}")))[0];
        assert_eq!(
            (&rule["apiVersion"], &rule["kind"]),
            (&"monitoring.coreos.com/v1".into(), &"PrometheusRule".into())
        );
        // JSON is YAML.
        let file = file_with(&rule["spec"].to_string());
        let Some(said) = succeeded(Command::new("promtool").args(["check", "rules"]).arg(file.path())) else {
            return;
        };
        assert!(said.contains("SUCCESS"), "{said}");
    }
}
