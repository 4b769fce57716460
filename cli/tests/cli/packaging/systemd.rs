//! The units: checked by `systemd-analyze`, and their commands run as the package configures them.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{folder, output_of, read, succeeded};
use crate::rotate::{DAY, aged, report};
use crate::sandbox::Sandbox;

const UNITS: [&str; 4] = [
    "service-token-rotate.service",
    "service-token-rotate.timer",
    "service-token-renew.service",
    "service-token-renew.timer",
];
const DROP_IN: &str = "service-token-.service.d/10-hardening.conf";
const INSTALLED: &str = "/usr/bin/service-token";

/// The units with the path of the built program, which the analysis looks for.
fn installed() -> TempDir {
    let units = tempfile::tempdir().unwrap();
    fs::create_dir(units.path().join(DROP_IN).parent().unwrap()).unwrap();
    for name in UNITS.into_iter().chain([DROP_IN]) {
        // A program at another path, because that of the built one may contain a space.
        let text = read(&format!("systemd/{name}")).replace(INSTALLED, "/bin/true");
        fs::write(units.path().join(name), text).unwrap();
    }
    units
}

/// The arguments of the command that a unit starts.
fn arguments_of(unit: &str) -> Vec<String> {
    let text = read(&format!("systemd/{unit}"));
    let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments = command.strip_prefix(INSTALLED).unwrap();
    arguments.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn units_are_accepted_by_systemd_without_a_word() {
    let units = installed();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).args(UNITS.map(|name| units.path().join(name)));
    let Some(said) = succeeded(&mut verify) else { return };
    assert_eq!(said, "");
}

#[test]
fn services_are_exposed_little() {
    let units = installed();
    for unit in ["service-token-rotate.service", "service-token-renew.service"] {
        // In tenths: 1.3. Without the drop-in it is 9.2.
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--no-pager", "--offline=true", "--threshold=13"]);
        let Some(output) = output_of(security.arg(units.path().join(unit))) else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("unrecognized option") {
            eprintln!("skipped: this systemd-analyze does not analyse a file");
            return;
        }
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn timers_start_the_service_of_their_name_each_hour_and_catch_up() {
    for what in ["rotate", "renew"] {
        let timer = read(&format!("systemd/service-token-{what}.timer"));
        for line in ["Persistent=true", "RandomizedDelaySec=10min", "WantedBy=timers.target"] {
            assert!(timer.lines().any(|it| it == line), "{what}: {line}");
        }
        let calendar = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap();
        assert!(calendar.starts_with("*-*-* *:"), "{calendar}");
        assert!(!timer.contains("Unit="));
    }
}

#[test]
fn commands_of_the_units_rotate_and_renew_with_the_configuration_of_the_package() {
    let sandbox = Sandbox::new();
    let here = |text: &str| text.replace("/etc/service-token/", "").replace("/var/lib/service-token/", "");
    let config = here(&read("debian/service-token.toml")).replace("service-token.db", "tokens.db");
    sandbox.write("service-token.toml", config);
    let run = |unit: &str| {
        let arguments: Vec<_> = arguments_of(unit).iter().map(|argument| here(argument)).collect();
        sandbox.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).done().json()
    };
    sandbox.run(&["store", "init"]).done();
    sandbox.run(&["keygen"]).done();
    let old = aged(&sandbox, 80 * DAY);
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    assert_eq!(run("service-token-renew.service").as_array().unwrap().len(), 0, "no token expires soon");

    let made = run("service-token-rotate.service");
    assert_eq!(made["made"][0]["step"], "prepared");
    let new = made["made"][0]["kid"].as_str().unwrap().to_owned();
    report(&sandbox, "orders-1", vec![old, new.clone()]);
    assert_eq!(run("service-token-rotate.service")["made"][0]["step"], "activated");
    let renewed = run("service-token-renew.service");
    assert_eq!((&renewed[0]["service"], &renewed[0]["kid"]), (&"orders".into(), &new.as_str().into()));
}

#[test]
fn user_of_the_services_is_one_that_sysusers_creates() {
    let Some(user) = read("systemd/service-token.sysusers").lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("u")).then(|| words.next().unwrap().to_owned())
    }) else {
        panic!("no user is created")
    };
    for unit in ["service-token-rotate.service", "service-token-renew.service"] {
        let text = read(&format!("systemd/{unit}"));
        assert!(text.lines().any(|line| line == format!("User={user}")), "{unit}");
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let mut sysusers = Command::new("systemd-sysusers");
    sysusers.arg("--root").arg(root.path()).arg(folder().join("systemd/service-token.sysusers"));
    // Only root may lock the files of another root.
    let Some(output) = output_of(&mut sysusers) else { return };
    if output.status.success() {
        let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        let entry = passwd.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
        assert!(entry.ends_with("nologin"), "{entry}");
        assert_eq!(entry.split(':').nth(5).map(Path::new), Some(Path::new("/var/lib/service-token")));
    } else {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
    }
}
