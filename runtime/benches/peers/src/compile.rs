//! What the compiler takes: for a guarded handler more than for an unguarded one, and for each crate with
//! all that it depends on.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

use crate::common::{
    race::median,
    report::{Bound, Report},
};

/// Handlers of a generated crate.
const HANDLERS: usize = 200;
const ROUNDS: usize = 9;

const SERVICE_ONLY: &str = "service-only";
const PROTECT: &str = "actix-web-grants";

pub fn run() {
    let report = &mut Report::new("compile");
    let work = tempfile::tempdir().unwrap();
    handlers(work.path(), report);
    builds(work.path(), report);
}

/// A way to write handlers.
struct Kind {
    dependencies: &'static str,
    imports: &'static str,
    state: &'static str,
    attribute: &'static str,
}

const AXUM: &str = r#"axum = { version = "0.8", default-features = false, features = ["json", "tokio", "http1", "matched-path"] }
service-only = { path = "RUNTIME" }
tracing = "0.1"
"#;
const ACTIX: &str = r#"actix-web = { version = "4", default-features = false, features = ["macros"] }
actix-web-grants = "4"
"#;
const ON_AXUM: &str = "use axum::{Json, extract::{Path, State}};";
const ON_ACTIX: &str = "use actix_web::web::{Data as State, Json, Path};";

/// Unguarded on axum, ours, `tracing::instrument`; unguarded on actix-web, actix-web-grants.
const KINDS: [Kind; 5] = [
    Kind { dependencies: AXUM, imports: ON_AXUM, state: "State(_db)", attribute: "" },
    Kind {
        dependencies: AXUM,
        imports: ON_AXUM,
        state: "State(_db)",
        attribute: r#"#[service_only::service_only(services("tenant-deletion-orchestrator", "gateway"), scopes("tenants:delete"))]"#,
    },
    Kind {
        dependencies: AXUM,
        imports: ON_AXUM,
        state: "State(_db)",
        attribute: "#[tracing::instrument(skip_all)]",
    },
    Kind { dependencies: ACTIX, imports: ON_ACTIX, state: "_db", attribute: "" },
    Kind {
        dependencies: ACTIX,
        imports: ON_ACTIX,
        state: "_db",
        attribute: r#"#[actix_web_grants::protect(any("tenant-deletion-orchestrator", "gateway"))]"#,
    },
];

fn handlers(work: &Path, report: &mut Report) {
    const TABLE: &str = "`cargo check`, what one guarded handler adds";
    let target = work.join("target");
    let crates: Vec<PathBuf> = KINDS.iter().enumerate().map(|(n, kind)| generate(work, n, kind)).collect();
    for directory in &crates {
        check(directory, &target);
    }
    let mut times: [Vec<f64>; KINDS.len()] = Default::default();
    for _ in 0..ROUNDS {
        for (directory, times) in crates.iter().zip(&mut times) {
            // Newer than what was built of it.
            let source = directory.join("src/lib.rs");
            std::fs::write(&source, std::fs::read(&source).unwrap()).unwrap();
            times.push(check(directory, &target).cpu);
        }
    }
    let [axum, ours, instrument, actix, protect] = times;
    let added = |with: &[f64], without: &[f64]| {
        median(with.iter().zip(without).map(|(with, without)| (with - without) * 1e3 / HANDLERS as f64))
    };
    let ours = added(&ours, &axum);
    for (name, added) in [
        (SERVICE_ONLY, ours),
        (PROTECT, added(&protect, &actix)),
        ("tracing::instrument", added(&instrument, &axum)),
    ] {
        report.row(TABLE, name, "ms", added, added / ours, None);
    }
    report.budget("what one guarded handler adds to `cargo check`", "ms", ours, Bound::AtMost(0.6));
}

fn generate(work: &Path, number: usize, kind: &Kind) -> PathBuf {
    let directory = work.join(format!("handlers-{number}"));
    let dependencies = kind.dependencies.replace("RUNTIME", &runtime());
    let dependencies = format!("{dependencies}serde = {{ version = \"1\", features = [\"derive\"] }}\n");
    package(&directory, &format!("handlers-{number}"), &dependencies);
    let id = if kind.imports == ON_AXUM { "Path(id)" } else { "id" };
    let (body, id_value) =
        if kind.imports == ON_AXUM { ("Json(body)", "id") } else { ("Json(body)", "id.into_inner()") };
    let mut text = String::from("#![allow(dead_code)]\n");
    for area in 0..10 {
        write!(
            text,
            "pub mod area_{area} {{\nuse serde::{{Deserialize, Serialize}};\n{}\n#[derive(Clone)] pub struct Db;\n\
             #[derive(Serialize, Deserialize)] pub struct Body {{ a: String, b: u32 }}\n",
            kind.imports
        )
        .unwrap();
        for handler in 0..HANDLERS / 10 {
            write!(
                text,
                "{}\npub async fn handler_{handler}({}: State<Db>, {id}: Path<u64>, {body}: Json<Body>) -> Json<Body> {{\n\
                 let mut b = body.b; for k in 0..{id_value} {{ b += k as u32; }}\n\
                 Json(Body {{ a: format!(\"{{}}-{handler}\", body.a), b }})\n}}\n",
                kind.attribute, kind.state
            )
            .unwrap();
        }
        text.push_str("}\n");
    }
    std::fs::write(directory.join("src/lib.rs"), text).unwrap();
    directory
}

/// The crates whose default features are compared, and jsonwebtoken, which all but one of them use.
fn builds(work: &Path, report: &mut Report) {
    let ours = format!("service-only = {{ path = \"{}\" }}\n", runtime());
    let crates = [
        (SERVICE_ONLY, ours.as_str()),
        ("jwt-authorizer", "jwt-authorizer = \"0.15\"\n"),
        ("oauth-resource-server", "oauth-resource-server = { version = \"0.4\", features = [\"axum\"] }\n"),
        (
            "jsonwebtoken alone, aws_lc_rs",
            "jsonwebtoken = { version = \"12\", features = [\"aws_lc_rs\"] }\n",
        ),
    ];
    let mut found = Vec::new();
    for (number, (name, dependency)) in crates.into_iter().enumerate() {
        let directory = work.join(format!("build-{number}"));
        package(&directory, &format!("build-{number}"), dependency);
        let count = dependencies(&directory);
        let took = check(&directory, &work.join(format!("target-{number}")));
        found.push((name, count as f64, took));
    }
    let (_, count, took) = found[0];
    for &(name, others, _) in &found {
        report.row("Crates that the default features build", name, "crates", others, others / count, None);
    }
    for &(name, _, others) in &found {
        let ratio = others.wall / took.wall;
        report.row("A first `cargo check`, default features", name, "s", others.wall, ratio, None);
    }
    for &(name, _, others) in &found {
        let ratio = others.cpu / took.cpu;
        report.row("A first `cargo check`, seconds of all cores", name, "s", others.cpu, ratio, None);
    }
    for &(name, others, time) in &found[1..3] {
        report.budget(
            &format!("crates of {name}, against ours"),
            "times",
            others / count,
            Bound::AtLeast(1.0),
        );
        report.budget(
            &format!("a first check of {name}, against ours"),
            "times",
            time.wall / took.wall,
            Bound::AtLeast(1.0),
        );
    }
}

fn dependencies(directory: &Path) -> usize {
    let arguments = ["tree", "-q", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let output = Command::new("cargo").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> =
        told.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    names.len() - 1
}

/// A package that resolves as this one does.
fn package(directory: &Path, name: &str, dependencies: &str) {
    std::fs::create_dir_all(directory.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n[workspace]\n"
    );
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(directory.join("src/lib.rs"), "").unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let fetched = Command::new("cargo").args(["fetch", "-q"]).current_dir(directory).status().unwrap();
    assert!(fetched.success(), "{name} cannot be fetched");
}

fn runtime() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap().display().to_string()
}

#[derive(Copy, Clone)]
struct Took {
    wall: f64,
    cpu: f64,
}

fn check(directory: &Path, target: &Path) -> Took {
    let (start, before) = (std::time::Instant::now(), cpu_of_children());
    let status = Command::new("cargo")
        .args(["check", "-q", "--offline"])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "{} does not build", directory.display());
    Took { wall: start.elapsed().as_secs_f64(), cpu: cpu_of_children() - before }
}

fn cpu_of_children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
