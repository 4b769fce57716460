//! The Debian package, as far as its manifest decides it. `.ci/deb` builds and installs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{folder, read};

fn metadata() -> Value {
    let manifest = fs::read_to_string(folder().join("../Cargo.toml")).unwrap();
    let manifest: toml::Value = toml::from_str(&manifest).unwrap();
    serde_json::to_value(&manifest["package"]["metadata"]["deb"]).unwrap()
}

fn assets() -> Vec<(String, String)> {
    let metadata = metadata();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    metadata["assets"].as_array().unwrap().iter().map(|asset| (text(&asset[0]), text(&asset[1]))).collect()
}

#[test]
fn package_contains_each_file_that_is_made_for_it() {
    let assets = assets();
    let sources: BTreeSet<_> = assets.iter().map(|(source, _)| source.as_str()).collect();
    for source in sources.iter().filter(|source| !source.starts_with("target/")) {
        assert!(folder().join("..").join(source).exists(), "{source}");
    }
    for name in ["", "/service-token-.service.d"] {
        for entry in fs::read_dir(folder().join(format!("systemd{name}"))).unwrap() {
            let entry = entry.unwrap();
            let source = format!("packaging/systemd{name}/{}", entry.file_name().into_string().unwrap());
            assert!(entry.path().is_dir() || sources.contains(source.as_str()), "{source}");
        }
    }
}

#[test]
fn configuration_is_the_one_that_the_units_name_and_an_upgrade_keeps_it() {
    let conffiles = &metadata()["conf-files"];
    assert_eq!(conffiles, &serde_json::json!(["/etc/service-token/service-token.toml"]));
    let config = Path::new(conffiles[0].as_str().unwrap());
    assert!(assets().iter().any(|(_, target)| Path::new("/").join(target) == config));
    for what in ["rotate", "renew"] {
        let unit = read(&format!("systemd/service-token-{what}.service"));
        assert!(unit.contains(&format!(" --config {} ", config.display())), "{what}");
        assert!(unit.contains(&format!("Documentation=man:service-token-{what}(1)\n")), "{what}");
    }
}
