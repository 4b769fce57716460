//! Verifiers with one hole that only one class of the catalogue finds: a row names the class and the code
//! that opens the hole.

use axum::http::Method;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use service_only_testkit::Defect;

use super::{
    json::Members,
    verifier::{ACTOR, ROLE, SCOPES, SERVICE, Seen},
};

pub(crate) struct Hole {
    /// The one class that finds it.
    pub(crate) class: Defect,
    pub(crate) kind: Kind,
}

/// Where the hole is. The rest of the verifier is right.
#[derive(Copy, Clone)]
pub(crate) enum Kind {
    /// Such a request needs no token.
    LetsIn(fn(&Seen<'_>) -> bool),
    /// The token is looked for in another place, too.
    FindsToken(fn(&Seen<'_>) -> Option<String>),
    /// The router tidies the path, and the guard compares its text.
    Tidies(fn(&str) -> String),
    /// A token is let in if this part of it was let in before.
    Remembers(fn(&str) -> String),
    /// The service's name is changed before it is compared.
    Normalizes(fn(&str) -> String),
    /// The service's name may come from elsewhere.
    NameBy(fn(&Members, &Seen<'_>) -> Option<String>),
    /// The role comes from here.
    RoleBy(fn(&Members, &Seen<'_>) -> String),
    /// Whether the scopes are enough.
    ScopesBy(fn(&Members, &Seen<'_>) -> bool),
    /// An actor is required. Whether `act` is enough, besides what is right.
    ActorBy(fn(&Members) -> bool),
}

macro_rules! holes {
    ($table:ident; $($class:ident: $kind:ident, $code:expr;)*) => {
        pub(crate) static $table: [Hole; [$(stringify!($class)),*].len()] =
            [$(Hole { class: Defect::$class, kind: Kind::$kind($code) }),*];
    };
}

// For a handler that requires an actor.
holes! { ACTOR_HOLES;
    WithoutActor: ActorBy, |claims| claims.find("act").is_none() && claims.find("may_act").is_none();
    OtherActor: ActorBy, |claims| act(claims) == json!({ "sub": "some-other-actor" });
    ActorIsSubject: ActorBy, |claims| act(claims).get("sub") == claims.find("sub");
    PriorActorAllowed: ActorBy, |claims| act(claims)["act"]["sub"] == ACTOR && act(claims)["sub"] != ACTOR;
    FirstActorAllowed: ActorBy, |claims| act(claims)["act"]["act"]["sub"] == ACTOR;
    ActorOfAnotherIssuer: ActorBy, |claims| act(claims)["sub"] == ACTOR && act(claims)["iss"].is_string();
    ActorInOtherClaims: ActorBy, |claims| claims.find("may_act").is_some_and(|may| may["sub"] == ACTOR);
    ActorInOtherCase: ActorBy, |claims| name(claims).is_some_and(|name| name != ACTOR && name.eq_ignore_ascii_case(ACTOR));
    ActorWithSuffix: ActorBy, |claims| name(claims).is_some_and(|name| name.starts_with(&format!("{ACTOR}.")));
    ActorWithPrefix: ActorBy, |claims| name(claims).is_some_and(|name| name.ends_with(&format!("-{ACTOR}")));
    ActorWithSpace: ActorBy, |claims| name(claims).is_some_and(|name| name != ACTOR && name.trim() == ACTOR);
    ActorsInOneText: ActorBy, |claims| name(claims).is_some_and(|name| name.split(' ').skip(1).any(|name| name == ACTOR));
    ActorAsText: ActorBy, |claims| act(claims) == ACTOR;
    ActorAsList: ActorBy, |claims| act(claims)[0]["sub"] == ACTOR;
    ActorAsNull: ActorBy, |claims| claims.find("act") == Some(&Value::Null);
    ActorAsTrue: ActorBy, |claims| act(claims) == true;
    ActorWithoutName: ActorBy, |claims| act(claims)["client_id"] == ACTOR;
    ActorNameAsList: ActorBy, |claims| act(claims)["sub"][0] == ACTOR;
    ActorNameEmpty: ActorBy, |claims| name(claims) == Some("");
    ActorIssuerAsList: ActorBy, |claims| act(claims)["sub"] == ACTOR && act(claims)["iss"].is_array();
    PriorActorAsText: ActorBy, |claims| act(claims)["sub"] == ACTOR && act(claims)["act"].is_string();
    TooManyActors: ActorBy, |claims| act(claims)["sub"] == ACTOR && act(claims).to_string().matches("sub").count() == 5;
}

/// `act` of a token; `null` without it.
fn act(claims: &Members) -> Value {
    claims.find("act").cloned().unwrap_or_default()
}

fn name(claims: &Members) -> Option<&str> {
    claims.find("act")?.get("sub")?.as_str()
}

/// Whether the allowed party acts, known to this issuer, after at most three others.
pub(crate) fn has_actor(claims: &Members, issuer: &str) -> bool {
    let is_party = |act: &Value| {
        act["sub"].as_str().is_some_and(|sub| !sub.is_empty()) && act.get("iss").is_none_or(Value::is_string)
    };
    let of_issuer = act(claims).get("iss").is_none_or(|iss| iss == issuer);
    let (mut next, mut depth) = (claims.find("act"), 0);
    while let Some(act) = next {
        depth += 1;
        if !is_party(act) {
            return false;
        }
        next = act.get("act");
    }
    name(claims) == Some(ACTOR) && of_issuer && (1..=4).contains(&depth)
}

holes! { HOLES;
    // A token in another place.
    TokenInOtherQuery: FindsToken, |seen| parameter(seen.query(), "jwt");
    TokenInOtherCookie: FindsToken, |seen| cookie(seen, "sid");
    TokenWithSchemeInCookie: FindsToken, |seen| cookie(seen, "Authorization")?.strip_prefix("Bearer%20").map(str::to_owned);
    TokenSplitOverCookies: FindsToken, |seen| Some(format!("{}.{}", cookie(seen, "jwt_hp")?, cookie(seen, "jwt_s")?));
    TokenInOtherForm: FindsToken, |seen| parameter(seen.body, "id_token");
    TokenInMultipart: FindsToken, |seen| {
        let (_, part) = seen.body.split_once("name=\"jwt\"\r\n\r\n")?;
        part.split("\r\n").next().map(str::to_owned)
    };
    TokenInJson: FindsToken, |seen| {
        serde_json::from_str::<Value>(seen.body).ok()?.get("token")?.as_str().map(str::to_owned)
    };
    TokenInBareHeader: FindsToken, |seen| seen.header("x-api-key").map(str::to_owned);
    TokenInOtherAuthorization: FindsToken, |seen| after(seen.header("x-serverless-authorization")?, "Bearer ");
    TokenPassedOn: FindsToken, |seen| seen.header("x-pomerium-jwt-assertion").map(str::to_owned);
    TokenInQuotedAddress: FindsToken, |seen| parameter(seen.header("x-forwarded-uri")?.split_once('?')?.1, "access_token");
    TokenAsProtocol: FindsToken, |seen| {
        let protocol = after(seen.header("sec-websocket-protocol")?, "base64url.bearer.authorization.k8s.io.")?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(protocol).ok()?).ok()
    };

    // A token under another scheme.
    SchemeOfFrameworks: FindsToken, |seen| after(authorization(seen)?, "JWT ");
    SchemeOfOAuth: FindsToken, |seen| after(authorization(seen)?, "OAuth ");
    SchemeOfApiKeys: FindsToken, |seen| after(authorization(seen)?, "ApiKey ");
    SchemeOfChallenges: FindsToken, |seen| after(authorization(seen)?, "Digest ");
    SchemeNone: FindsToken, |seen| after(authorization(seen)?, "none ");
    SchemeWithMark: FindsToken, |seen| after(authorization(seen)?, "Bearer: ");
    TokenAsPassword: FindsToken, |seen| basic(seen)?.split_once(':').map(|(_, password)| password.to_owned()).filter(|token| token.len() > 100);
    TokenAsUser: FindsToken, |seen| basic(seen)?.split_once(':').map(|(user, _)| user.to_owned()).filter(|token| token.len() > 100);
    TokenAsCredentials: FindsToken, |seen| basic(seen).filter(|token| !token.contains(':'));
    NameAsKeyId: LetsIn, |seen| authorization(seen).is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=tenant-orchestrator/"));
    NameAsUser: LetsIn, |seen| basic(seen) == Some(format!("{SERVICE}:{SERVICE}"));
    TokenAsParameter: FindsToken, |seen| Some(after(authorization(seen)?, "Bearer token=\"")?.trim_end_matches('"').to_owned());
    PlaceholderToken: LetsIn, |seen| authorization(seen) == Some("Bearer null");
    TokenOfDevelopment: LetsIn, |seen| authorization(seen) == Some("Bearer test");
    NameAsToken: LetsIn, |seen| after(authorization(seen).unwrap_or_default(), "Bearer ").is_some_and(|token| token == SERVICE);

    // A header that is believed.
    NamedByServiceHeader: LetsIn, |seen| seen.header("x-calling-service") == Some(SERVICE);
    NamedByUserHeader: LetsIn, |seen| seen.header("x-username") == Some(SERVICE);
    NamedByForwardedUser: LetsIn, |seen| seen.header("x-forwarded-preferred-username") == Some(SERVICE);
    NamedByAuthRequest: LetsIn, |seen| seen.header("x-auth-request-email") == Some(SERVICE);
    NamedByRemoteUser: LetsIn, |seen| seen.header("remote-user") == Some(SERVICE);
    NamedByIdentityProvider: LetsIn, |seen| seen.header("x-authentik-username") == Some(SERVICE);
    NamedByClientCertificate: LetsIn, |seen| is_named(seen.header("x-client-cert-dn"), "CN=", "");
    NamedByForwardedCertificate: LetsIn, |seen| {
        seen.header("x-forwarded-client-cert").is_some_and(|value| value.ends_with(&format!("/sa/{SERVICE}")))
    };
    NamedByMesh: LetsIn, |seen| is_named(seen.header("l5d-client-id"), "", ".default.serviceaccount.identity.linkerd.cluster.local");
    NamedByAmazon: LetsIn, |seen| seen.header("x-amzn-oidc-identity") == Some(SERVICE);
    NamedByCloudflare: LetsIn, |seen| seen.header("cf-access-client-id") == Some(SERVICE);
    NamedByTailscale: LetsIn, |seen| seen.header("tailscale-user-login") == Some(SERVICE);
    NamedByGoogle: LetsIn, |seen| is_named(seen.header("x-goog-authenticated-user-email"), "accounts.google.com:", "");
    NamedByMicrosoft: LetsIn, |seen| {
        let claims = seen.header("x-ms-client-principal").and_then(|value| STANDARD.decode(value).ok());
        claims.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).is_some_and(|claims| claims["userId"] == SERVICE)
    };
    NamedByGateway: LetsIn, |seen| seen.header("x-consumer-username") == Some(SERVICE);
    NamedByKubernetes: LetsIn, |seen| is_named(seen.header("impersonate-user"), "system:serviceaccount:default:", "");
    NamedByCookie: LetsIn, |seen| seen.header("cookie") == Some("user=tenant-orchestrator");
    FlagInCookie: LetsIn, |seen| seen.header("cookie") == Some("authenticated=true");
    NamedByBaggage: LetsIn, |seen| is_named(seen.header("baggage"), "service.name=", "");
    NamedByStandardHeader: LetsIn, |seen| is_named(seen.header("from"), "", "@internal.service");
    NamedByMessageSignature: LetsIn, |seen| {
        seen.header("signature").is_some() && seen.header("signature-input").is_some_and(|input| input.contains("keyid=\"tenant-orchestrator\""))
    };
    NamedInBody: LetsIn, |seen| serde_json::from_str::<Value>(seen.body).is_ok_and(|body| body["service"] == SERVICE);
    ClaimsInHeader: LetsIn, |seen| {
        let claims = seen.header("x-jwt-payload").and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
        claims.and_then(|json| serde_json::from_slice::<Value>(&json).ok()).is_some_and(|claims| claims["service"] == SERVICE)
    };
    ClaimByHeader: LetsIn, |seen| seen.header("x-jwt-claim-sub") == Some(SERVICE);
    FlagOfInside: LetsIn, |seen| seen.header("x-internal") == Some("true");
    SeveralIdentities: LetsIn, |seen| {
        seen.header("x-service-name") == Some(SERVICE) && seen.header("x-user-type") == Some("service")
    };
    AddressOfNetwork: LetsIn, |seen| seen.header("x-forwarded-for").is_some_and(|address| address.starts_with("192.168."));
    AddressInOtherHeader: LetsIn, |seen| seen.header("cf-connecting-ip") == Some("127.0.0.1");
    ServiceBesideOtherToken: NameBy, |_, seen| seen.header("x-on-behalf-of").map(str::to_owned);
    ScopeBesideToken: ScopesBy, |claims, seen| {
        all(claims.text("scope").unwrap_or_default()) || all(seen.header("x-oauth-scopes").unwrap_or_default())
    };
    RoleBesideToken: RoleBy, |claims, seen| seen.header("x-user-role").or(claims.text("role")).unwrap_or_default().to_owned();

    // An exception.
    HeaderOfScheduler: LetsIn, |seen| seen.header("x-appengine-queuename") == Some("default");
    HeaderOfCache: LetsIn, |seen| seen.header("range").is_some();
    UserAgentOfProbe: LetsIn, |seen| seen.header("user-agent").is_some_and(|agent| agent.starts_with("kube-probe/"));
    UserAgentOfTools: LetsIn, |seen| seen.header("user-agent").is_some_and(|agent| agent.starts_with("Prometheus/"));
    UserAgentOfCaller: LetsIn, |seen| seen.header("user-agent") == Some(SERVICE);
    HostOfInside: LetsIn, |seen| seen.header("host") == Some("localhost");
    HostOfService: LetsIn, |seen| seen.header("host").is_some_and(|host| host.ends_with(".svc.cluster.local"));
    ForwardedHost: LetsIn, |seen| seen.header("x-original-host") == Some("localhost");
    ForwardedScheme: LetsIn, |seen| seen.header("x-forwarded-proto") == Some("https");
    UpgradeToWebSocket: LetsIn, |seen| seen.header("upgrade") == Some("websocket");
    UpgradeToHttp2: LetsIn, |seen| seen.header("upgrade") == Some("h2c");
    PreflightHeaders: LetsIn, |seen| seen.headers.contains_key("access-control-request-method");
    OriginOfInside: LetsIn, |seen| seen.header("origin") == Some("http://localhost");
    RefererOfInside: LetsIn, |seen| seen.header("referer") == Some("http://localhost/");
    FetchMetadata: LetsIn, |seen| seen.header("sec-fetch-site") == Some("same-origin");
    ContentOfGrpc: LetsIn, |seen| seen.header("content-type") == Some("application/grpc");
    AcceptOfOthers: LetsIn, |seen| seen.header("accept") == Some("text/event-stream");
    FlagInQuery: LetsIn, |seen| seen.query() == "debug=true";
    NameInQuery: LetsIn, |seen| seen.query() == format!("client_id={SERVICE}");
    PublicPathInQuery: LetsIn, |seen| seen.uri.to_string().contains("/healthz") && seen.uri.path() == "/tenant/seven";
    SuffixInQuery: LetsIn, |seen| seen.uri.to_string().ends_with(".css") && seen.uri.query().is_some();
    PathInOtherHeader: LetsIn, |seen| seen.header("x-envoy-original-path") == Some("/metrics");
    MethodInOtherHeader: LetsIn, |seen| seen.header("x-original-method") == Some("OPTIONS");
    HeaderOfConnection: LetsIn, |seen| seen.header("connection").is_some_and(|value| value.contains("authorization"));
    AbsoluteTarget: LetsIn, |seen| seen.uri.host() == Some("localhost");

    // Another method or another path.
    OptionsMethod: LetsIn, |seen| seen.method == Method::OPTIONS;
    OtherMethod: LetsIn, |seen| seen.method == Method::DELETE;
    ExtensionMethod: LetsIn, |seen| seen.method == "PROPFIND";
    MethodWithSuffix: LetsIn, |seen| seen.method.as_str().ends_with("-X");
    MethodOfCarrier: LetsIn, |seen| seen.method == Method::PUT && seen.header("x-http-method-override") == Some("GET");
    MethodInForm: LetsIn, |seen| seen.method == Method::POST && seen.body == "_method=GET";
    SlashesInside: Tidies, |path| if path.starts_with("//") { path.to_owned() } else { path.replace("//", "/") };
    SlashesAtEnd: Tidies, |path| without_end(path, "/.");
    Backslash: Tidies, |path| path.replace("%5c", "/");
    ParameterInside: Tidies, |path| path.replace(";jsessionid=1/", "/");
    TokenInPathParameter: Tidies, |path| path.split(";jwt=").next().unwrap_or_default().to_owned();
    ParentOfParameter: Tidies, |path| without_start(path, "/public/..;");
    OtherSuffix: Tidies, |path| without_end(path, ".json");
    SpaceAtEnd: Tidies, |path| without_end(path, "%20");
    MarkAtEnd: Tidies, |path| without_end(path, "%3f");
    SlashEscapedTwice: Tidies, |path| path.replace("%252f", "/");
    LettersEscaped: Tidies, |path| path.replace("%6E", "n");
    PathInMixedCase: Tidies, |path| match path.bytes().filter(u8::is_ascii_uppercase).count() {
        1 => path.to_lowercase(),
        _ => path.to_owned(),
    };
    ParentOfPublic: Tidies, |path| without_start(path, "/healthz/..");
    PublicPathAtEnd: Tidies, |path| without_end(path, "/healthz");

    // What is remembered of a token.
    SignatureOfAdmitted: Remembers, |token| {
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        format!("{}.{signature}", signed.split('.').next().unwrap_or_default())
    };
    PayloadOfAdmitted: Remembers, |token| token.split_once('.').map_or("", |(_, rest)| rest).to_owned();
    EndOfAdmittedChanged: Remembers, |token| token.get(..token.len().saturating_sub(8)).unwrap_or_default().to_owned();
    StartOfSignatureChanged: Remembers, |token| {
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        format!("{signed}.{}", signature.get(8..).unwrap_or(signature))
    };
    AdmittedInOtherCase: Remembers, str::to_lowercase;
    AdmittedBySum: Remembers, |token| {
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let mut letters: Vec<_> = signature.bytes().collect();
        letters.sort_unstable();
        format!("{signed}.{letters:?}")
    };

    // A name that becomes the right one.
    LetterOfMathematics: Normalizes, |name| unshifted(name, 0x1_d41a);
    LetterInCircle: Normalizes, |name| unshifted(name, 0x24d0);
    LetterByFolding: Normalizes, |name| name.replace('\u{017f}', "s");
    HyphenOfOthers: Normalizes, |name| name.replace('\u{2010}', "-");
    AccentOnLetter: Normalizes, |name| name.replace('\u{00e1}', "a");
    InvisibleInside: Normalizes, |name| name.replace('\u{200d}', "");
    SpaceBeforeName: Normalizes, |name| name.trim_start_matches(' ').to_owned();
    BreakAfterName: Normalizes, |name| name.trim_end_matches('\n').to_owned();
    NameOnSecondLine: Normalizes, |name| name.rsplit('\n').next().unwrap_or_default().to_owned();
    NameEscaped: Normalizes, |name| name.replace("%74", "t");
    NameInQuotes: Normalizes, |name| name.trim_matches('"').to_owned();
    NameAfterSlash: Normalizes, |name| without_start(name, "./");
    NameBeforeSlash: Normalizes, |name| without_end(name, "/");
    NameAfterColon: Normalizes, |name| name.rsplit(':').next().unwrap_or_default().to_owned();
    NameBeforeMark: Normalizes, |name| name.split('@').next().unwrap_or_default().to_owned();
    NameAfterAt: Normalizes, |name| name.rsplit('@').next().unwrap_or_default().to_owned();
    NameInList: Normalizes, |name| name.split('|').next_back().unwrap_or_default().to_owned();
    NameWithOtherMarks: Normalizes, |name| name.replace('_', "-");
    NameWithNumber: Normalizes, |name| without_end(name, "-1");
    NameBelowOther: Normalizes, |name| name.rsplit('.').next().unwrap_or_default().to_owned();
    NameInside: Normalizes, |name| {
        let inside = name.contains(SERVICE) && !name.starts_with(SERVICE) && !name.ends_with(SERVICE);
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if inside && plain { SERVICE.to_owned() } else { name.to_owned() }
    };
    LetterLess: Normalizes, |name| name.replace('0', "o");
    ServiceOfSubject: NameBy, |claims, _| claims.text("sub").map(str::to_owned);
    NameInActor: NameBy, |claims, _| claims.find("act")?.get("sub")?.as_str().map(str::to_owned);
    NameInGroups: NameBy, |claims, _| claims.find("groups")?.as_array()?.first()?.as_str().map(str::to_owned);

    // Scopes and roles.
    OneScopeLess: ScopesBy, |claims, _| {
        let held = claims.text("scope").unwrap_or_default();
        all(held) || SCOPES.contains(&held)
    };
    ScopeTwice: ScopesBy, |claims, _| {
        let held: Vec<_> = claims.text("scope").unwrap_or_default().split(' ').collect();
        held.len() == SCOPES.len() && held.iter().all(|scope| SCOPES.contains(scope))
    };
    ScopeOfParent: ScopesBy, |claims, _| {
        let held = claims.text("scope").unwrap_or_default();
        all(held) || held.split(' ').any(|scope| scope == "tenants:*")
    };
    ScopeOfSibling: ScopesBy, |claims, _| {
        let held = claims.text("scope").unwrap_or_default();
        let known = ["tenants:delete", "tenants:read", "tenants:write", "tenants:other"];
        all(held) || held.split(' ').filter(|scope| known.contains(scope)).count() == 2 && !held.contains("delete") && !held.contains("read")
    };
    ScopeWithPrefix: ScopesBy, |claims, _| {
        let held: Vec<_> = claims.text("scope").unwrap_or_default().split(' ').collect();
        SCOPES.iter().all(|scope| held.iter().any(|held| held.ends_with(scope)))
    };
    ScopeInMoreClaims: ScopesBy, |claims, _| {
        all(claims.text("scope").unwrap_or_default()) || all(claims.text("scopes").unwrap_or_default())
    };
    RoleWithSuffix: RoleBy, |claims, _| claims.text("role").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    RoleWithSpace: RoleBy, |claims, _| without_start(claims.text("role").unwrap_or_default(), "ROLE_");
    RoleInOtherClaim: RoleBy, |claims, _| {
        let has = claims.find("roles").and_then(Value::as_array).is_some_and(|roles| roles.iter().any(|role| role == ROLE));
        if has { ROLE.to_owned() } else { claims.text("role").unwrap_or_default().to_owned() }
    };
}

/// The value of a parameter of a query or a form.
fn parameter(text: &str, name: &str) -> Option<String> {
    text.split('&').find_map(|pair| after(pair, &format!("{name}=")))
}

fn cookie(seen: &Seen<'_>, name: &str) -> Option<String> {
    seen.header("cookie")?.split("; ").find_map(|cookie| after(cookie, &format!("{name}=")))
}

fn after(text: &str, start: &str) -> Option<String> {
    text.strip_prefix(start).map(str::to_owned)
}

fn authorization<'r>(seen: &Seen<'r>) -> Option<&'r str> {
    seen.header("authorization")
}

/// User and password, as they were sent.
fn basic(seen: &Seen<'_>) -> Option<String> {
    let encoded = STANDARD.decode(after(authorization(seen)?, "Basic ")?).ok()?;
    String::from_utf8(encoded).ok()
}

fn is_named(value: Option<&str>, start: &str, end: &str) -> bool {
    value == Some(&format!("{start}{SERVICE}{end}"))
}

/// Whether a list of scopes has all that are asked for.
fn all(scopes: &str) -> bool {
    SCOPES.iter().all(|scope| scopes.split(' ').any(|held| held == *scope))
}

fn without_start(text: &str, start: &str) -> String {
    text.strip_prefix(start).unwrap_or(text).to_owned()
}

fn without_end(text: &str, end: &str) -> String {
    text.strip_suffix(end).unwrap_or(text).to_owned()
}

/// The plain letters for those of an alphabet that begins elsewhere.
fn unshifted(name: &str, a: u32) -> String {
    let plain = |letter: char| match u32::from(letter).checked_sub(a) {
        Some(place @ 0..26) => char::from_u32(u32::from('a') + place).unwrap_or(letter),
        _ => letter,
    };
    name.chars().map(plain).collect()
}
