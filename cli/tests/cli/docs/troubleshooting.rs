//! Each denial code is met once, by the token or the fault that its section is about: the service answers
//! as the page says, and the section's commands find out what they say they find out.

use std::process::Output;

use axum::Router;
use axum::routing::get;
use service_only::{
    Algorithm, JsonLinesAudit, KeySet, TrustedIssuer, Verifier,
    clock::{Clock as _, SystemClock, Timestamp},
    error::Code,
    issue::SigningKey,
    keys::{KeySource, KeysUnavailable},
    revocation::{MemoryRevocations, PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
    routes::{Access, Route, RouteTable, guarded},
    service_only,
    verifier::VerifierBuilder,
};
use service_only_testkit::{FixtureToken, TestAuthority, TestCa, TestCertificate, TokenDraft, call};

use super::{at_work, page, run};
use crate::sandbox::{Sandbox, claims_of, has};

#[service_only(
    issuers("bakery-auth"),
    services("orders"),
    actors("gateway"),
    roles("reader"),
    scopes("orders:read"),
    max_age = "24h"
)]
async fn stock() -> &'static str {
    "12 loaves\n"
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/stock", get(stock)).with_state(verifier)
}

/// An authority with the key of the sandbox's configuration.
fn authority(sandbox: &Sandbox) -> TestAuthority {
    let key = SigningKey::from_pem(Algorithm::ES256, sandbox.read("signing.pem").as_bytes()).unwrap();
    let authority = TestAuthority::from_key(key).issuer("bakery-auth");
    authority.clock().set(SystemClock.now());
    authority
}

fn valid(authority: &TestAuthority) -> TokenDraft {
    authority.service("orders").via("gateway").role("reader").scopes(["orders:read", "orders:list"])
}

/// What meets a code: what is sent to which verifier, and the token that an operator then has in hand.
struct Met {
    verifier: VerifierBuilder,
    /// The certificate of the connection.
    certificate: Option<TestCertificate>,
    sent: Vec<String>,
    token: FixtureToken,
}

impl Met {
    fn by(authority: &TestAuthority, token: FixtureToken) -> Self {
        let sent = vec![format!("Bearer {}", token.as_str())];
        Self { verifier: authority.verifier_builder(), certificate: None, sent, token }
    }

    fn of(mut self, verifier: impl FnOnce(VerifierBuilder) -> VerifierBuilder) -> Self {
        self.verifier = verifier(self.verifier);
        self
    }

    fn from(self, certificate: &TestCertificate) -> Self {
        Self { certificate: Some(certificate.clone()), ..self }
    }

    fn sending(self, values: &[&str]) -> Self {
        Self { sent: values.iter().map(|value| (*value).to_owned()).collect(), ..self }
    }
}

/// A new certificate of a service.
fn certificate(authority: &TestAuthority) -> TestCertificate {
    let ca = TestCa::new("bakery.example");
    ca.leaf().spiffe_id("spiffe://bakery.example/orders").valid_around(authority.clock().now()).issue()
}

/// `None` where axum's types rule the fault out, or it is about the request and no token: that the client has
/// disconnected, that the handler refuses, or that the program has a defect.
fn met(code: Code, authority: &TestAuthority) -> Option<Met> {
    let draft = valid(authority);
    let by = |draft: TokenDraft| Met::by(authority, draft.token());
    let unlike = |sent: TokenDraft| {
        let sent = format!("Bearer {}", sent.token().as_str());
        by(valid(authority)).sending(&[&sent])
    };
    Some(match code {
        // The page's handler is for services only, and requires no claim.
        Code::NotUser | Code::ClaimNotAllowed => return None,
        Code::NoVerifier | Code::Panicked | Code::Cancelled | Code::Refused => return None,
        // A proof of DPoP is about a request, and the page's commands have the token alone.
        Code::UseDpopNonce | Code::ProofUnavailable => return None,
        Code::MissingToken => by(draft).sending(&[]),
        Code::InvalidRequest => by(draft).sending(&["Bearer"]),
        Code::TooLarge => Met::by(authority, FixtureToken::from_text("a".repeat(17_000))),
        Code::Malformed => by(draft.edit_token(|token| token[..token.rfind('.').unwrap()].to_owned())),
        Code::Crit => by(draft.header("crit", ["b64"].as_slice())),
        Code::WrongTyp => by(draft.header("typ", "service+jwt")),
        Code::AlgNotAllowed => by(draft.unsigned()),
        Code::KeysUnavailable => {
            Met { verifier: Verifier::builder().issuer("bakery-auth").keys(Unfetched), ..by(draft) }
        }
        Code::UnknownKey => by(draft.signed_by(&TestAuthority::new())),
        Code::KeyAlgMismatch => by(draft.algorithm_header("EdDSA"))
            .of(|verifier| verifier.algorithms([Algorithm::ES256, Algorithm::EdDSA])),
        Code::BadSignature => by(draft.tampered()),
        Code::MissingClaim => by(draft).of(|verifier| verifier.audience("inventory")),
        Code::BadClaimType => by(draft.claim("exp", "tomorrow")),
        Code::BadClaimValue => by(draft.claim("service", "orders service")),
        Code::WrongIssuer => by(draft.claim("iss", "bakery-staging")),
        Code::WrongAudience => by(draft.audience("sales")).of(|verifier| verifier.audience("inventory")),
        Code::Expired => by(draft.expired()),
        Code::NotYetValid => by(draft.not_yet_valid()),
        Code::LivesTooLong => {
            let strict = TrustedIssuer::strict("bakery-auth").keys(authority.keys()).audience("inventory");
            let two_days = std::time::Duration::from_secs(2 * 86_400);
            let authority = authority.clone().audience("inventory");
            let draft = authority.strict_service("orders").expires_in(two_days);
            let verifier = Verifier::builder().trust(strict).audit(authority.audit().clone());
            Met { verifier, ..by(draft) }
        }
        Code::ProofMissing => by(draft.claim("cnf", serde_json::json!({"jkt": "0ZcOCORZNYy-DWpqq30jZw"}))),
        Code::ProofMismatch => by(draft.bound_to(&certificate(authority))).from(&certificate(authority)),
        Code::SubServiceMismatch => by(draft.claim("sub", "inventory")),
        Code::Revoked => {
            let met = by(draft);
            let revocations = MemoryRevocations::new();
            let claims = met.token.claims();
            let (jti, exp) = (claims["jti"].as_str().unwrap(), claims["exp"].as_i64().unwrap());
            revocations.revoke_token("bakery-auth", jti, Timestamp::from_unix(exp)).unwrap();
            met.of(|verifier| verifier.revocation(revocations))
        }
        Code::RevocationUnavailable => by(draft).of(|verifier| verifier.revocation(Silent)),
        Code::NotService => by(authority.user("anna")),
        Code::IssuerNotAllowed => {
            by(draft.claim("iss", "bakery-staging")).of(|verifier| verifier.issuer("bakery-staging"))
        }
        Code::ServiceNotAllowed => unlike(authority.service("sales").via("gateway")),
        Code::ActorNotAllowed => by(draft.via("edge")),
        Code::RoleNotAllowed => unlike(draft.role("admin")),
        Code::MissingScope => unlike(draft.without_scopes()),
        Code::TooOld => by(draft.issued_ago(std::time::Duration::from_secs(25 * 3600))),
        Code::AuditUnavailable => by(draft).of(VerifierBuilder::require_audit),
        other => panic!("nobody has said how `{other}` is met"),
    })
}

/// An issuer that does not answer.
struct Unfetched;

impl KeySource for Unfetched {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Err(KeysUnavailable::pending("not fetched yet"))
    }
}

/// A database that does not answer.
struct Silent;

impl RevocationStore for Silent {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        Err(RevocationOutage::new("the database is silent"))
    }
}

/// The row of a code: its stage, the status, the challenge.
fn row(text: &str, code: Code) -> [String; 3] {
    let start = format!("| [`{code}`](../operations/troubleshooting.md#{code}) | ");
    let row = text.lines().find_map(|line| line.strip_prefix(&start)).expect("a row of each code");
    let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").map(|cell| cell.trim_matches('`')).collect();
    [0, 1, 2].map(|cell| cells[cell].to_owned())
}

#[test]
fn each_denial_code_has_one_section_and_one_row() {
    let text = page::read("troubleshooting.md");
    let sections: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(sections, Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    let codes = page::read("../reference/denial-codes.md");
    assert_eq!(codes.matches("\n| [`").count(), Code::ALL.len());
    for code in Code::ALL {
        let [stage, status, challenge] = row(&codes, *code);
        assert_eq!((stage, status), (code.stage().to_string(), code.status().to_string()), "{code}");
        assert_eq!(challenge == "none", code.status() >= 500, "{code}");
    }
}

#[tokio::test]
async fn each_denial_code_occurs_with_the_documented_response() {
    let sandbox = at_work();
    let codes = page::read("../reference/denial-codes.md");
    for code in Code::ALL {
        let authority = authority(&sandbox);
        let Some(met) = met(*code, &authority) else { continue };
        if *code == Code::AuditUnavailable {
            authority.audit().fail_with("the disk is full");
        }
        let verifier = met.verifier.audit(authority.audit().clone()).build().unwrap();
        let app = call(app(verifier)).audit(authority.audit());
        let mut request = app.get("/stock");
        for value in met.sent {
            request = request.authorization(value);
        }
        if let Some(certificate) = &met.certificate {
            request = request.certificate(certificate);
        }
        let response = request.await;
        let [_, status, challenge] = row(&codes, *code);
        assert_eq!(response.status().as_u16().to_string(), status, "{code}");
        match response.challenge() {
            Some(sent) => page::assert_shown(&challenge, sent),
            None => assert_eq!(challenge, "none", "{code}"),
        }
        assert_eq!(response.problem()["instance"].as_str().unwrap().len(), "urn:uuid:".len() + 36);
        if *code != Code::AuditUnavailable {
            assert_eq!(authority.audit().only().code, Some(*code));
        }
    }
}

/// A service on a port, which also publishes its issuer's keys, with its record in `audit.jsonl`.
struct Running {
    url: String,
    audit: JsonLinesAudit,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(sandbox: &Sandbox) -> Self {
        let audit = JsonLinesAudit::to_file(sandbox.path("audit.jsonl")).unwrap();
        let verifier = authority(sandbox).verifier_builder().audit(audit.clone()).build().unwrap();
        let keys = sandbox.read("jwks.json");
        let app = app(verifier).route("/jwks.json", get(async move || keys.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, audit, server }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(all).unwrap().replace('\r', "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_find_the_reason_of_a_response() {
    let sandbox = at_work();
    sandbox.run(&["rotate"]).done();
    let running = Running::start(&sandbox).await;
    sandbox.write("refused.token", valid(&authority(&sandbox)).expired().token().as_str());
    let mut steps = page::steps(&page::read("troubleshooting.md"));
    steps.retain(|step| step.heading == "From the answer to the reason");
    assert_eq!(steps.len(), 3);
    let mut instance = String::new();
    for step in steps {
        if step.script.contains("curl") && !has("curl") {
            return;
        }
        running.audit.flush().unwrap();
        let variables = [("SERVICE", running.url.as_str()), ("INSTANCE", &instance)];
        let output = run(&sandbox, &step.script, &variables);
        assert!(output.status.success(), "{}", said(&output));
        page::assert_shown(&step.shown.unwrap(), &said(&output));
        if let Some((_, uuid)) = said(&output).split_once("urn:uuid:") {
            instance = uuid[..36].to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_each_section_find_its_cause() {
    let sandbox = at_work();
    sandbox.run(&["rotate"]).done();
    let policy = Access::from(guarded(stock).policy());
    let table = RouteTable::new("stock").route(Route::new(["GET"], "/stock", policy));
    sandbox.write("stock.json", serde_json::to_string(&table).unwrap());
    let jti = claims_of(&sandbox.read("tokens/inventory.token"))["jti"].as_str().unwrap().to_owned();
    sandbox.run(&["revoke", &jti]).done();
    let running = Running::start(&sandbox).await;
    let (folder, keys) = (sandbox.root().to_str().unwrap(), format!("{}/jwks.json", running.url));
    let variables = [
        ("SERVICE", running.url.as_str()),
        ("JWKS_URL", &keys),
        ("JTI", &jti),
        ("STORE", "sqlite:away/tokens.db"),
        ("AUDIT_DIR", folder),
    ];
    let curl = has("curl");
    let steps = page::steps(&page::read("troubleshooting.md"));
    for code in Code::ALL {
        let mut of_code = steps.iter().filter(|step| step.heading == code.as_str()).peekable();
        let Some(met) = met(*code, &authority(&sandbox)) else { continue };
        assert!(of_code.peek().is_some(), "`{code}` has no command");
        sandbox.write("refused.token", met.token.as_str());
        if let Some(certificate) = &met.certificate {
            sandbox.write("caller.crt", certificate.chain_pem());
        }
        if *code == Code::Revoked {
            // The one that the store knows.
            sandbox.write("refused.token", sandbox.read("tokens/inventory.token"));
        }
        // Without curl no request is sent, so the log has no record either.
        let needs_curl = |script: &str| script.contains("curl") || script.contains("audit.jsonl");
        for step in of_code.filter(|step| curl || !needs_curl(&step.script)) {
            let output = run(&sandbox, &format!("set +e\n{}", step.script), &variables);
            running.audit.flush().unwrap();
            page::assert_shown(step.shown.as_ref().unwrap(), &said(&output));
            let shown = step.shown.as_deref().unwrap();
            let expected = match code.status() {
                503 if shown.contains("error: ") => 4,
                _ if shown.contains("error: ") => 2,
                401 if step.script.trim_end().ends_with("refused.token") => 1,
                403 if step.script.trim_end().ends_with("refused.token") => 3,
                _ => 0,
            };
            assert_eq!(output.status.code(), Some(expected), "{code}: {}", said(&output));
        }
    }
}
