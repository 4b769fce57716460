//! Keys in a real SoftHSM.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use service_only::keys::KeyState;

use super::{configure, verify};
use crate::rotate::{DAY, aged, keys, sandbox};
use crate::sandbox::{Ran, Sandbox, has};

pub(crate) const PIN: &str = "648219";

/// The shared library of SoftHSM; `None` without it or its tool.
pub(crate) fn module() -> Option<PathBuf> {
    if !has("softhsm2-util") {
        return None;
    }
    let folders =
        ["/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm"];
    let mut modules = folders.iter().map(|folder| PathBuf::from(folder).join("libsofthsm2.so"));
    let found = modules.find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: there is no SoftHSM");
    }
    found
}

/// A sandbox whose SoftHSM has one token, `fleet`.
struct Hsm {
    sandbox: Sandbox,
    config: String,
    module: PathBuf,
}

impl Hsm {
    fn new(rotation: &str) -> Option<Self> {
        let module = module()?;
        let sandbox = sandbox(rotation);
        let config = sandbox.path("softhsm2.conf").display().to_string();
        std::fs::create_dir(sandbox.path("softhsm")).unwrap();
        sandbox.write(
            "softhsm2.conf",
            format!("directories.tokendir = {}\n", sandbox.path("softhsm").display()),
        );
        sandbox.write("pin", format!("{PIN}\n"));
        let mut init = Command::new("softhsm2-util");
        init.args(["--init-token", "--free", "--label", "fleet", "--pin", PIN, "--so-pin", "87654321"]);
        let output = init.env("SOFTHSM2_CONF", &config).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = format!(
            "pkcs11 = {{ module = \"{}\", token = \"fleet\", pin_file = \"pin\" }}",
            module.display()
        );
        configure(&sandbox, &line);
        let text = sandbox.read("service-token.toml").replace("signing.pem", "signing.json");
        sandbox.write("service-token.toml", text);
        let hsm = Self { sandbox, config, module };
        hsm.run(&["keygen"]).done();
        Some(hsm)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.sandbox.run_with(arguments, b"", &[("SOFTHSM2_CONF", &self.config)])
    }

    /// The labels of the private keys in the token; `None` without the tool that lists them.
    fn labels(&self) -> Option<Vec<String>> {
        let mut list = Command::new("pkcs11-tool");
        list.arg("--module").arg(&self.module).args(["--token-label", "fleet", "--login", "--pin", PIN]);
        list.args(["--list-objects", "--type", "privkey"]).env("SOFTHSM2_CONF", &self.config);
        let output = list.output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let labels = text.lines().filter_map(|line| line.trim().strip_prefix("label:"));
        Some(labels.map(|label| label.trim().to_owned()).collect())
    }

    /// The files of the token itself. SoftHSM rewrites them in place when a program logs in, so a kill at that moment
    /// destroys the token, which no device does.
    fn token_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folders = std::fs::read_dir(self.sandbox.path("softhsm")).unwrap();
        let files = folders.map(|folder| folder.unwrap().path().join("token.object"));
        files.filter_map(|file| std::fs::read(&file).ok().map(|content| (file, content))).collect()
    }

    fn kid_in(&self, stage: KeyState) -> Option<String> {
        keys(&self.sandbox).into_iter().find(|key| key.state == stage).map(|key| key.kid)
    }
}

#[test]
fn every_command_signs_with_a_key_in_a_token() {
    let Some(hsm) = Hsm::new("") else { return };
    assert!(!hsm.sandbox.read("signing.json").contains("PRIVATE"));
    for arguments in [
        &["rotate"][..],
        &["generate", "--all", "--out-dir", "tokens"],
        &["renew", "--out-dir", "tokens", "--within", "100d"],
        &["k8s-secret", "orders"],
    ] {
        hsm.run(arguments).done();
    }
    let token = hsm.sandbox.read("tokens/orders.token");
    verify(&hsm.sandbox, "jwks.json", token.trim_end());
    // The public half is in the file, so that these need neither the token nor its PIN.
    std::fs::remove_file(hsm.sandbox.path("pin")).unwrap();
    hsm.sandbox.run(&["jwks"]).done();
    hsm.sandbox.run(&["rotate", "--plan"]).done();
    hsm.sandbox.feed(&["verify", "-"], token.trim_end()).done();
    let said = hsm.run(&["generate", "orders"]).refused();
    assert!(said.contains("token `fleet`") && said.contains("passphrase file `pin`"), "{said}");
}

#[test]
fn wrong_pin_or_label_names_the_module_the_token_and_the_next_step() {
    let Some(hsm) = Hsm::new("") else { return };
    hsm.sandbox.write("pin", "000000");
    let said = hsm.run(&["generate", "orders"]).refused();
    assert!(
        said.contains("libsofthsm2.so`, token `fleet`: the PIN is wrong; it was not sent a second time"),
        "{said}"
    );
    assert!(!said.contains("000000"), "{said}");
    hsm.sandbox.write("pin", PIN);
    let file = hsm.sandbox.read("signing.json");
    let name = file.split('"').nth(3).unwrap();
    hsm.sandbox.write("signing.json", file.replace(name, "service-token-gone"));
    let said = hsm.run(&["generate", "orders"]).refused();
    assert!(said.contains("no private key has the label `service-token-gone`; check the label"), "{said}");
    let said = hsm.run(&["keygen", "--force", "--existing", "service-token-gone"]).refused();
    assert!(said.contains("no key `service-token-gone` exists for ES256"), "{said}");
    hsm.run(&["keygen", "--force", "--existing", name]).done();
    assert_eq!(hsm.sandbox.read("signing.json"), file);
    let config = hsm.sandbox.read("service-token.toml").replace("\"fleet\"", "\"fleets\"");
    hsm.sandbox.write("service-token.toml", config);
    let said = hsm.run(&["generate", "orders"]).refused();
    assert!(said.contains("token `fleets`: not found; the module has `fleet` (serial number"), "{said}");
}

#[test]
fn keys_in_a_token_rotate_and_former_ones_are_destroyed() {
    let Some(hsm) = Hsm::new("") else { return };
    let old = aged(&hsm.sandbox, 80 * DAY);
    let token = hsm.run(&["generate", "orders"]).done();
    assert!(hsm.run(&["rotate"]).done().stdout.starts_with("prepared "));
    verify(&hsm.sandbox, "jwks.json", token.line());
    let new = hsm.kid_in(KeyState::Prepared).unwrap();
    let place = keys(&hsm.sandbox).into_iter().find(|key| key.kid == new).unwrap().file.unwrap();
    assert!(place.starts_with("pkcs11:token=fleet;object=service-token-"), "{place}");
    crate::rotate::report(&hsm.sandbox, "orders-1", vec![old.clone(), new.clone()]);
    assert!(hsm.run(&["rotate"]).done().stdout.starts_with(&format!("activated {new}\n")));
    verify(&hsm.sandbox, "jwks.json", token.line());
    if let Some(labels) = hsm.labels() {
        assert_eq!(labels.len(), 1, "{labels:?}");
        assert!(place.ends_with(&labels[0]), "{place} {labels:?}");
    }
    let token = hsm.run(&["generate", "orders"]).done();
    let shown = hsm.sandbox.run(&["inspect", "--format", "json", token.line()]).done().json();
    assert_eq!(shown["header"]["kid"], new.as_str());
    hsm.run(&["rotate", "--emergency"]).refused_with(6);
    hsm.run(&["rotate", &format!("--emergency={new}")]).done();
    assert_ne!(hsm.kid_in(KeyState::Active).unwrap(), new);
    assert!(hsm.labels().is_none_or(|labels| labels.len() == 1));
}

#[test]
fn rotation_that_is_killed_leaves_no_key_in_the_token_that_nothing_names() {
    let rotation = "key_life = \"2s\"\nlongest_refresh = \"1s\"\nunused_for = \"1s\"\ntoken_life = \"1s\"\nleeway = \"1s\"";
    let Some(hsm) = Hsm::new(rotation) else { return };
    hsm.run(&["rotate"]).done();
    let emergency = || format!("--emergency={}", hsm.kid_in(KeyState::Active).unwrap());
    let started = Instant::now();
    hsm.run(&["rotate", &emergency()]).done();
    let undisturbed = started.elapsed();
    let mut killed = 0;
    for round in 0..20_u32 {
        let emergency = emergency();
        let arguments: &[&str] = if round % 3 == 0 { &["rotate", &emergency] } else { &["rotate"] };
        let token_files = hsm.token_files();
        assert_eq!(token_files.len(), 1);
        let mut child = Command::new(env!("CARGO_BIN_EXE_service-token"))
            .args(arguments)
            .current_dir(hsm.sandbox.root())
            .env("SOFTHSM2_CONF", &hsm.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = undisturbed.mul_f64(f64::from(round * 7 % 20) / 17.0);
        let started = Instant::now();
        while started.elapsed() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        killed += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        token_files.iter().for_each(|(file, content)| std::fs::write(file, content).unwrap());
        hsm.run(arguments).done();
        let token = hsm.run(&["generate", "orders", "--lifetime", "1s"]).done();
        let shown = hsm.sandbox.run(&["inspect", "--format", "json", token.line()]).done().json();
        assert_eq!(shown["header"]["kid"].as_str(), hsm.kid_in(KeyState::Active).as_deref());
        let Some(mut labels) = hsm.labels() else { continue };
        let files = ["signing.json", "signing-next.json"].map(|name| hsm.sandbox.path(name));
        let files = files.iter().filter(|path| path.exists());
        let texts: Vec<_> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        labels.retain(|label| !texts.iter().any(|text| text.contains(label.as_str())));
        assert!(labels.is_empty(), "{labels:?} in the token, {texts:?}");
    }
    eprintln!("killed {killed} of 20 rotations; {} keys have come and gone", keys(&hsm.sandbox).len());
    assert!(killed > 2, "{killed}");
}
