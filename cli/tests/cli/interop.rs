//! Tokens made here verify in PyJWT and in node's jose, and theirs verify here.
//!
//! Needs the tools: `SERVICE_ONLY_PYTHON` names a Python with `pyjwt[crypto]` (else `python3`),
//! `SERVICE_ONLY_JOSE_DIR` a directory where `npm install jose` was run. Without them the tests say
//! that they were skipped.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const ALGORITHMS: [&str; 5] = ["HS256", "RS256", "PS256", "ES256", "EdDSA"];

#[test]
fn pyjwt_and_this_tool_accept_each_others_tokens() {
    let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !succeeds(Command::new(&python).args(["-c", "import jwt, cryptography"])) {
        eprintln!("skipped: `{python}` has no PyJWT with cryptography; set SERVICE_ONLY_PYTHON");
        return;
    }
    cross(|| {
        let mut command = Command::new(&python);
        command.args(["-c", include_str!("interop/pyjwt.py")]);
        command
    });
}

#[test]
fn jose_and_this_tool_accept_each_others_tokens() {
    let node = || {
        let mut command = Command::new("node");
        command.args(["--input-type=module", "-e", include_str!("interop/jose.mjs")]);
        command
    };
    if ask(&mut node(), &json!({ "do": "nothing", "algorithm": "HS256" })).is_none() {
        eprintln!("skipped: node does not find `jose`; set SERVICE_ONLY_JOSE_DIR to where it is installed");
        return;
    }
    cross(node);
}

/// Where PyJWT or jose accepts and this project does not, with the reason.
const STRICTER: [(&str, &str); 6] = [
    ("key_ops is empty", "RFC 7517 section 4.3: the key is for no operation"),
    ("key_ops is text", "RFC 7517 section 4.3: an array"),
    ("padding", "RFC 7518 section 2: Base64urlUInt has none"),
    ("use is empty", "RFC 7517 section 4.2: not `sig`"),
    ("use is SIG", "RFC 7517 section 4.2: case-sensitive"),
    ("alg is empty", "RFC 7517 section 4.4: not the token's"),
];

#[test]
fn a_key_set_that_pyjwt_or_jose_can_use_is_usable_here() {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", include_str!("interop/published.mjs")]);
    let Some(cases) = ask(&mut node, &json!(null)) else {
        eprintln!("skipped: node does not find `jose`; set SERVICE_ONLY_JOSE_DIR to where it is installed");
        return;
    };
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut python = Command::new(python);
    let theirs = ask(python.args(["-c", include_str!("interop/published.py")]), &cases);
    if theirs.is_none() {
        eprintln!("skipped: PyJWT's verdicts; set SERVICE_ONLY_PYTHON");
    }
    let pyjwt: Vec<bool> =
        theirs.map(|verdicts| serde_json::from_str(&verdicts).unwrap()).unwrap_or_default();

    let cases = cases.as_array().unwrap();
    let batch: String = cases
        .iter()
        .map(|case| {
            let config = json!({
                "jwks": case["set"], "algorithms": [case["alg"]], "issuer": "bakery-auth", "audience": null,
                "leeway_s": 0, "now": case["now"],
            });
            json!({ "id": case["name"], "config": config, "token": case["token"] }).to_string() + "\n"
        })
        .collect();
    let sandbox = Sandbox::new();
    let ours = sandbox.feed(&["verify", "--batch", "-"], &batch).done().stdout;
    let ours: Vec<Value> = ours.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ours.len(), cases.len());
    for (index, (case, ours)) in cases.iter().zip(&ours).enumerate() {
        let name = case["name"].as_str().unwrap();
        let usable = case["jose"] == true || pyjwt.get(index) == Some(&true);
        let stricter = STRICTER.iter().any(|(own, _)| *own == name);
        assert_eq!(ours["verdict"] == "accept", usable && !stricter, "{name}: {ours}");
    }
}

fn cross(tool: impl Fn() -> Command) {
    for algorithm in ALGORITHMS {
        let party = Party::new(algorithm);
        let ours = party.mint();
        let claims = ask(&mut tool(), &party.request("verify", json!({ "token": ours })))
            .unwrap_or_else(|| panic!("{algorithm}: our token was refused"));
        let claims: Value = serde_json::from_str(&claims).unwrap();
        assert_eq!(
            (&claims["service"], &claims["is_service"]),
            (&"orders".into(), &true.into()),
            "{algorithm}"
        );

        let claims = json!({
            "sub": "billing", "service": "billing", "type": "service", "is_service": true, "role": "admin",
            "iss": "bakery-auth", "iat": claims["iat"], "exp": claims["exp"],
            "jti": "7d9f5b52-6d0c-4d0e-9f8e-1f9f6f1b7c11",
        });
        let theirs = ask(&mut tool(), &party.request("mint", json!({ "claims": claims }))).expect(algorithm);
        assert_eq!(party.verify(theirs.trim())["service"], "billing", "{algorithm}");
    }
}

/// Our side: a key of one algorithm, and what the other side needs of it.
struct Party {
    sandbox: Sandbox,
    algorithm: &'static str,
    kid: Value,
}

impl Party {
    fn new(algorithm: &'static str) -> Self {
        let sandbox = Sandbox::new();
        let mut arguments = vec!["keygen", "--algorithm", algorithm, "--out", "key", "--format", "json"];
        if matches!(algorithm, "RS256" | "PS256") {
            arguments.extend(["--bits", "2048"]);
        }
        let kid = sandbox.run(&arguments).done().json()["kid"].clone();
        if algorithm != "HS256" {
            let set = sandbox.run(&["jwks", "--key", "key", "--algorithm", algorithm]).done();
            sandbox.write("jwks.json", set.stdout);
        }
        Self { sandbox, algorithm, kid }
    }

    fn mint(&self) -> String {
        let arguments =
            ["generate", "orders", "--key", "key", "--algorithm", self.algorithm, "--issuer", "bakery-auth"];
        self.sandbox.run(&arguments).done().line().to_owned()
    }

    fn verify(&self, token: &str) -> Value {
        let keys: &[&str] = match self.algorithm {
            "HS256" => &["--secret-file", "key"],
            _ => &["--jwks", "jwks.json"],
        };
        let arguments = [&["verify", "--issuer", "bakery-auth", "--format", "json", "-"], keys].concat();
        self.sandbox.feed(&arguments, token).done().json()["claims"].clone()
    }

    fn request(&self, task: &str, more: Value) -> Value {
        let mut request = json!({
            "do": task, "algorithm": self.algorithm, "issuer": "bakery-auth", "kid": self.kid,
        });
        let members = request.as_object_mut().unwrap();
        match self.algorithm {
            "HS256" => members.insert("secret".to_owned(), self.sandbox.read("key").into()),
            _ => {
                members.insert(
                    "jwks".to_owned(),
                    serde_json::from_str(&self.sandbox.read("jwks.json")).unwrap(),
                );
                members.insert("private_pem".to_owned(), self.sandbox.read("key").into())
            }
        };
        members.extend(more.as_object().unwrap().clone());
        request
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Puts a request to the other side; `None` when it fails, with its own words on standard error.
fn ask(command: &mut Command, request: &Value) -> Option<String> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    // A side that fails early does not read its request.
    let _ = child.stdin.take()?.write_all(request.to_string().as_bytes());
    let output = child.wait_with_output().ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default());
    }
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}
