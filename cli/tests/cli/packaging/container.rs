//! The image, as far as its Containerfile decides it. No test builds it.

use std::collections::BTreeSet;

use super::{read, top};

/// The instructions, with their arguments, without comments and with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Containerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    joined.lines().filter(|line| !line.is_empty()).map(split).collect()
}

/// The instructions of each stage. The first one of a stage is its `FROM`.
fn stages() -> Vec<Vec<(String, String)>> {
    let mut stages: Vec<Vec<_>> = Vec::new();
    for instruction in instructions() {
        if instruction.0 == "FROM" {
            stages.push(Vec::new());
        }
        stages.last_mut().unwrap().push(instruction);
    }
    stages
}

fn is_pinned(image: &str) -> bool {
    image
        .rsplit_once(':')
        .is_some_and(|(name, tag)| name.contains('.') && !tag.contains('/') && tag != "latest")
}

#[test]
fn images_are_pinned_and_the_last_one_is_a_static_program_on_an_empty_base() {
    let stages = stages();
    let mut known = BTreeSet::new();
    for stage in &stages {
        let mut words = stage[0].1.split(' ');
        let base = words.next().unwrap();
        assert!(base == "scratch" || is_pinned(base), "{base}");
        known.extend(words.nth(1).map(str::to_owned));
        for (_, arguments) in stage.iter().filter(|(name, _)| name == "COPY") {
            if let Some(from) = arguments.strip_prefix("--from=") {
                let from = from.split(' ').next().unwrap();
                assert!(known.contains(from) || is_pinned(from), "{from}");
            }
        }
    }
    let last = stages.last().unwrap();
    let names: Vec<_> = last.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["FROM", "COPY", "COPY", "USER", "ENTRYPOINT"]);
    assert_eq!(last[0].1, "scratch");
    assert!(last[1].1.contains("ca-certificates.crt"));
    assert_eq!(last[4].1, r#"["/usr/bin/service-token"]"#);
    // As the pods run: a number that is not root's.
    for stage in &stages[1..] {
        assert!(stage.iter().any(|(name, value)| name == "USER" && value == "65532:65532"));
    }
    let cron_job = read("kubernetes/base/rotate.yaml");
    assert!(cron_job.contains("runAsUser: 65532\n") && cron_job.contains("runAsGroup: 65532\n"));
}

#[test]
fn build_has_each_member_of_the_workspace_and_a_compiler_that_is_new_enough() {
    let instructions = instructions();
    let copied: Vec<_> = instructions
        .iter()
        .filter(|(name, arguments)| name == "COPY" && !arguments.starts_with("--from="))
        .flat_map(|(_, arguments)| {
            let words: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
            words[..words.len() - 1].to_vec()
        })
        .collect();
    for source in &copied {
        assert!(top().join(source).exists(), "{source}");
    }
    let workspace: toml::Value =
        toml::from_str(&std::fs::read_to_string(top().join("Cargo.toml")).unwrap()).unwrap();
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let folder = member.as_str().unwrap().split('/').next().unwrap();
        assert!(copied.iter().any(|source| source == folder), "{folder}");
    }
    assert!(workspace["profile"]["dist"]["strip"].as_str() == Some("symbols"));

    let manifest: toml::Value =
        toml::from_str(&std::fs::read_to_string(top().join("cli/Cargo.toml")).unwrap()).unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let needed = minor(manifest["package"]["rust-version"].as_str().unwrap());
    let image = &instructions[0].1;
    let has = image.split("rust:").nth(1).unwrap().split('-').next().unwrap();
    assert!(minor(has) >= needed, "{image}");
}

#[test]
fn commands_of_the_cron_jobs_are_those_of_the_image() {
    let cluster = stages().into_iter().find(|stage| stage[0].1.ends_with(" AS cluster")).unwrap();
    let text = cluster.iter().map(|(_, arguments)| arguments.as_str()).collect::<Vec<_>>().join("\n");
    for program in ["/usr/bin/kubectl", "/usr/bin/service-token", "busybox"] {
        assert!(text.contains(program), "{program}");
    }
}
