use std::fs;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{error::MAX_MESSAGE, *};
use crate::{
    audit::NoAudit,
    error::Code,
    issue::{Issuer, IssuerBuilder, SigningKey},
};

/// A folder with a key pair, its JWK set, and a secret.
struct Folder {
    dir: TempDir,
    pem: Zeroizing<Vec<u8>>,
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

impl Folder {
    fn new() -> Self {
        let pair = SigningKey::generate(Algorithm::ES256).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let set = serde_json::json!({ "keys": [pair.public_jwk().unwrap()] });
        fs::write(dir.path().join("jwks.json"), set.to_string()).unwrap();
        fs::write(dir.path().join("other.json"), set.to_string()).unwrap();
        fs::write(dir.path().join("secret"), SECRET).unwrap();
        fs::write(dir.path().join("secret.txt"), [SECRET, b"\n"].concat()).unwrap();
        Self { dir, pem: pair.to_secret_bytes().unwrap() }
    }

    fn pair(&self) -> SigningKey {
        SigningKey::from_pem(Algorithm::ES256, &self.pem).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The same settings from a file, from a table, and from variables with complete paths.
    fn sources(&self, toml: &str, variables: &[(&str, &str)]) -> Vec<Result<VerifierConfig, String>> {
        fs::write(self.dir.path().join("service-token.toml"), toml).unwrap();
        let variables = variables.iter().map(|(name, value)| {
            let value = match matches!(*name, "JWKS" | "KEY_FILE") {
                true => self.path(value),
                false => (*value).to_owned(),
            };
            (OsString::from(format!("SERVICE_TOKEN_{name}")), OsString::from(value))
        });
        vec![
            VerifierConfig::file(self.path("service-token.toml")).map_err(|error| error.to_string()),
            VerifierConfig::variables(variables).map_err(|error| error.to_string()),
        ]
    }
}

/// The settings without the source.
fn settings(config: &VerifierConfig) -> impl PartialEq + fmt::Debug + use<> {
    let VerifierConfig { issuer, audience, profile, keys, store, source: _ } = config.clone();
    (issuer, audience, profile, keys, store)
}

fn issuer(key: SigningKey) -> IssuerBuilder {
    Issuer::builder().issuer("bakery-auth").key(key)
}

fn code(verifier: &Verifier, token: &str) -> Option<Code> {
    verifier.verify(token).err().map(|denial| denial.code())
}

const PAIR: &str = "[key]\nfile = \"signing.pem\"\nalgorithm = \"ES256\"\n";

#[test]
fn both_sources_make_the_same_settings_of_every_key() {
    let folder = Folder::new();
    let secret = "[key]\nfile = \"secret.txt\"\nalgorithm = \"HS256\"\nencoding = \"utf8\"\nkid = \"own\"\n";
    let cases: &[(String, &[(&str, &str)])] = &[
        (
            "issuer = \"a\"\n[rotation]\njwks = \"jwks.json\"\n".to_owned(),
            &[("ISSUER", "a"), ("JWKS", "jwks.json")],
        ),
        (
            "issuer = \"a\"\naudience = \"b\"\nprofile = \"strict\"\n[rotation]\njwks = \"other.json\"\n"
                .to_owned(),
            &[("ISSUER", "a"), ("AUDIENCE", "b"), ("PROFILE", "strict"), ("JWKS", "other.json")],
        ),
        (
            format!("issuer = \"a\"\nprofile = \"compatible\"\n{secret}"),
            &[
                ("ISSUER", "a"),
                ("PROFILE", "compatible"),
                ("KEY_FILE", "secret.txt"),
                ("KEY_ALGORITHM", "HS256"),
                ("KEY_ENCODING", "utf8"),
                ("KEY_KID", "own"),
            ],
        ),
        (
            "issuer = \"a\"\nstore = \"postgres://me@db/tokens\"\n".to_owned(),
            &[("ISSUER", "a"), ("STORE", "postgres://me@db/tokens")],
        ),
    ];
    for (toml, variables) in cases {
        let configs = folder.sources(toml, variables);
        let [Ok(file), Ok(variables)] = &configs[..] else { panic!("{configs:?}") };
        assert_eq!(settings(file), settings(variables), "{toml}");
    }
    // Each variable is in a case.
    let named: std::collections::BTreeSet<_> =
        cases.iter().flat_map(|(_, variables)| variables.iter().map(|(name, _)| *name)).collect();
    assert_eq!(named.len(), names::NAMES.len());
}

#[test]
fn a_file_of_the_command_makes_a_verifier_without_its_private_key() {
    let folder = Folder::new();
    let toml = format!(
        "issuer = \"bakery-auth\"\naudience = \"orders\"\nlifetime = \"30d\"\n{PAIR}[services]\nbilling = {{ scopes = [\"a:b\"] }}\n"
    );
    let config = folder.sources(&toml, &[]).remove(0).unwrap();
    let verifier = Verifier::from_config(config).unwrap();
    let mint = |audience: &str| {
        let issuer = issuer(folder.pair()).build().unwrap();
        issuer.token_for("billing").audience(audience).mint().unwrap().as_str().to_owned()
    };
    assert_eq!(code(&verifier, &mint("orders")), None);
    assert_eq!(code(&verifier, &mint("stock")), Some(Code::WrongAudience));
    let foreign = Folder::new();
    let forged = issuer(foreign.pair()).build().unwrap().token_for("billing").mint().unwrap();
    assert_eq!(code(&verifier, forged.as_str()), Some(Code::UnknownKey));
}

#[test]
fn a_secret_is_read_in_its_encoding_and_has_the_name_that_the_command_gives_it() {
    let folder = Folder::new();
    for (encoding, file) in
        [("", "secret"), ("encoding = \"raw\"\n", "secret"), ("encoding = \"utf8\"\n", "secret.txt")]
    {
        let toml =
            format!("issuer = \"bakery-auth\"\n[key]\nfile = \"{file}\"\nalgorithm = \"HS256\"\n{encoding}");
        let verifier = Verifier::from_config(folder.sources(&toml, &[]).remove(0).unwrap()).unwrap();
        let secret = || SigningKey::hmac(Algorithm::HS256, SECRET).unwrap();
        let token = |key: SigningKey| {
            issuer(key).build().unwrap().token_for("billing").mint().unwrap().as_str().to_owned()
        };
        assert_eq!(code(&verifier, &token(secret())), None, "{file}");
        assert_eq!(code(&verifier, &token(secret().with_kid("another"))), Some(Code::UnknownKey), "{file}");
    }
}

#[test]
fn strict_tokens_need_an_audience_and_a_compatible_one_is_not_strict() {
    let folder = Folder::new();
    let strict = |audience: &str| {
        let toml = format!("issuer = \"bakery-auth\"\nprofile = \"strict\"\n{audience}{PAIR}");
        Verifier::from_config(folder.sources(&toml, &[]).remove(0).unwrap())
    };
    let error = strict("").unwrap_err().to_string();
    assert!(error.contains("service-token.toml`: missing key `audience`; add it"), "{error}");
    let verifier = strict("audience = \"orders\"\n").unwrap();
    let compatible = issuer(folder.pair()).build().unwrap();
    let compatible = compatible.token_for("billing").audience("orders").mint().unwrap();
    assert_eq!(code(&verifier, compatible.as_str()), Some(Code::WrongTyp));
    let strict = issuer(folder.pair()).strict().audience("orders").build().unwrap();
    let strict = strict.token_for("billing").audience("orders").mint().unwrap();
    assert_eq!(code(&verifier, strict.as_str()), None);
}

#[test]
fn a_configuration_with_a_store_makes_no_verifier_until_the_store_is_taken() {
    let folder = Folder::new();
    let toml = format!("issuer = \"bakery-auth\"\nstore = \"sqlite:tokens.db\"\n{PAIR}");
    let config = || folder.sources(&toml, &[]).remove(0).unwrap();
    let error = Verifier::from_config(config()).unwrap_err().to_string();
    assert!(error.contains("`VerifierConfig::take_store`"), "{error}");
    let keys = || folder.pair().verifying_key();
    assert!(config().builder_with(keys()).is_err());
    let mut taken = config();
    assert_eq!(taken.take_store(), Some(format!("sqlite:{}", folder.path("tokens.db"))));
    assert_eq!(taken.take_store(), None);
    assert!(taken.builder().unwrap().audit(NoAudit).build().is_ok());
    // An address may contain a password.
    let toml = "issuer = \"a\"\nstore = \"postgres://me:hunter2@db/tokens\"\n";
    let config = folder.sources(toml, &[]).remove(0).unwrap();
    let debug = format!("{config:?} {:?}", config.clone().builder_with(keys()).unwrap_err());
    assert!(debug.contains(r#"VerifierConfig { source: File("#) && !debug.contains("hunter2"), "{debug}");
}

#[test]
fn an_environment_is_chosen_and_never_guessed() {
    let folder = Folder::new();
    let toml = "audience = \"bakery\"\n[rotation]\njwks = \"jwks.json\"\n[environments.production]\nissuer = \"bakery-auth\"\n[environments.staging]\nissuer = \"bakery-staging\"\nrotation = { jwks = \"other.json\" }\n";
    let error = folder.sources(toml, &[]).remove(0).unwrap_err();
    assert!(
        error.contains("missing key `issuer` of the common settings; choose an environment with `VerifierConfig::file_in`: `production`, `staging`"),
        "{error}"
    );
    let chosen = |name: &str| VerifierConfig::file_in(folder.path("service-token.toml"), name);
    let staging = chosen("staging").unwrap();
    assert_eq!((staging.issuer(), staging.audience()), ("bakery-staging", Some("bakery")));
    assert_eq!(staging.keys, Some(Keys::Jwks(folder.dir.path().join("other.json"))));
    assert_eq!(chosen("production").unwrap().keys, Some(Keys::Jwks(folder.dir.path().join("jwks.json"))));
    let error = chosen("stagin").unwrap_err().to_string();
    assert!(
        error.contains("has no environment `stagin`; its environments are `production`, `staging`"),
        "{error}"
    );
}

#[test]
fn common_settings_with_an_issuer_need_no_environment() {
    let folder = Folder::new();
    let toml = "issuer = \"bakery-auth\"\nprofile = \"strict\"\n[environments.staging]\nissuer = \"bakery-staging\"\n";
    let common = folder.sources(toml, &[]).remove(0).unwrap();
    assert_eq!((common.issuer(), common.profile()), ("bakery-auth", Profile::Strict));
    let toml = "[environments.staging]\naudience = \"orders\"\n";
    folder.sources(toml, &[]).remove(0).unwrap_err();
    let error = VerifierConfig::file_in(folder.path("service-token.toml"), "staging").unwrap_err();
    assert!(error.to_string().contains("missing key `issuer`; add it"), "{error}");
}

/// What is wrong with a file, and what each message names.
#[test]
fn every_mistake_in_a_file_names_the_file_what_was_read_and_the_next_step() {
    let folder = Folder::new();
    let cases: &[(&str, &[&str])] = &[
        ("", &["missing key `issuer`", "add it: the `iss`"]),
        ("isuer = \"a\"\n", &["line 1", "unknown key `isuer`", "expected one of `issuer`"]),
        ("issuer = \"a\"\n[rotation]\njwk = \"b\"\n", &["line 3", "unknown key `jwk`", "`jwks`"]),
        ("issuer = \"a\"\n[key]\nfiles = \"b\"\n", &["unknown key `files`", "`file`"]),
        ("issuer = \"a\"\n[services.x]\nscope = []\n", &["unknown key `scope`", "`scopes`"]),
        ("issuer = 5\n", &["line 1: key `issuer`", "invalid type", "expected a string"]),
        ("issuer = \"\"\n", &["line 1: key `issuer`", "must not be empty"]),
        ("issuer = \"a\"\nprofile = \"lax\"\n", &["line 2", "`lax` is not a profile", "`strict`"]),
        ("issuer = \"a\"\n[key]\nalgorithm = \"none\"\n", &["line 3", "unknown algorithm `none`", "ES256"]),
        (
            "issuer = \"a\"\n[key]\nencoding = \"hex\"\n",
            &["line 3", "`hex` is not an encoding", "`base64url`"],
        ),
        (
            "issuer = \"a\"\n[key]\nfile = \"b\"\n",
            &["missing key `algorithm` of `[key]`", "a secret or a private key"],
        ),
        ("issuer = \"a\"\n[key]\nalgorithm = \"HS256\"\n", &["missing key `file` of `[key]`", "the secret"]),
        ("issuer = \"a\"\n", &["missing key `jwks` of `[rotation]`", "the public keys"]),
        (
            "issuer = \"a\"\n[rotation]\njwks = \"absent.json\"\n",
            &["absent.json", "`service-token jwks --out FILE`"],
        ),
        (
            "issuer = \"a\"\n[key]\nfile = \"jwks.json\"\nalgorithm = \"HS512\"\nencoding = \"base64url\"\n",
            &["jwks.json", "not base64url"],
        ),
        (
            "issuer = \"a\"\n[key]\nfile = \"b\"\nalgorithm = \"ES256\"\npassphrase_file = \"c\"\npassphrase_env = \"D\"\n",
            &["contradict each other"],
        ),
        ("issuer = [\n", &["service-token.toml"]),
    ];
    for (toml, parts) in cases {
        let config = folder.sources(toml, &[]).remove(0);
        let error =
            config.and_then(|config| Verifier::from_config(config).map_err(|error| error.to_string()));
        let error = error.expect_err(toml);
        assert!(error.contains(&folder.path("service-token.toml")), "{toml}: {error}");
        for part in *parts {
            assert!(error.contains(part), "{toml}: {error}");
        }
    }
    let absent = VerifierConfig::file(folder.path("absent.toml")).unwrap_err().to_string();
    assert!(
        absent.contains("absent.toml`: cannot be read") && absent.contains("; check the path"),
        "{absent}"
    );
    fs::write(folder.path("big.toml"), vec![b'#'; VerifierConfig::MAX_BYTES + 1]).unwrap();
    let big = VerifierConfig::file(folder.path("big.toml")).unwrap_err().to_string();
    assert!(big.contains("is larger than 1048576 bytes"), "{big}");
    fs::write(folder.path("big.toml"), vec![b'#'; VerifierConfig::MAX_BYTES]).unwrap();
    let big = VerifierConfig::file(folder.path("big.toml")).unwrap_err().to_string();
    assert!(big.contains("missing key `issuer`"), "{big}");
}

#[test]
fn settings_of_a_key_that_fit_together_are_accepted_and_others_are_not() {
    let read = |key: &str| {
        let text = format!("issuer = \"a\"\n[key]\n{key}");
        Settings::<Verifying>::parse(&text)
            .map(drop)
            .map_err(|mistake| format!("{}; {}", mistake.what, mistake.remedy))
    };
    for good in [
        "file = \"a\"\nalgorithm = \"ES256\"\npassphrase_file = \"b\"\n",
        "file = \"a\"\nalgorithm = \"ES256\"\npassphrase_env = \"B\"\n",
        "file = \"a\"\nalgorithm = \"HS256\"\n",
        "algorithm = \"ES256\"\ncommand = [\"sign\"]\n",
        "algorithm = \"ES256\"\ncommand = [\"sign\"]\ncommand_limit = \"5s\"\ncommand_env = [\"A\"]\n",
        "algorithm = \"ES256\"\n[key.pkcs11]\nmodule = \"m\"\ntoken = \"t\"\npin_file = \"p\"\n",
        "algorithm = \"ES256\"\n[key.pkcs11]\nmodule = \"m\"\nserial = \"7\"\npin_env = \"P\"\n",
    ] {
        assert_eq!(read(good), Ok(()), "{good}");
    }
    for (bad, why) in [
        ("command = [\"a\"]\n[key.pkcs11]\nmodule = \"m\"\n", "`pkcs11` and `command` contradict"),
        (
            "passphrase_file = \"a\"\npassphrase_env = \"B\"\n",
            "`passphrase_file` and `passphrase_env` contradict",
        ),
        ("[key.pkcs11]\nmodule = \"m\"\ntoken = \"t\"\nserial = \"7\"\n", "`token` and `serial` contradict"),
        (
            "[key.pkcs11]\nmodule = \"m\"\npin_file = \"p\"\npin_env = \"P\"\n",
            "`pin_file` and `pin_env` contradict",
        ),
        ("algorithm = \"HS256\"\ncommand = [\"a\"]\n", "HS256 uses a secret"),
        ("algorithm = \"HS256\"\n[key.pkcs11]\nmodule = \"m\"\n", "HS256 uses a secret"),
        ("command = [\"a\"]\npassphrase_file = \"b\"\n", "a passphrase is for a key in a file"),
        ("passphrase_env = \"B\"\n[key.pkcs11]\nmodule = \"m\"\n", "a passphrase is for a key in a file"),
        ("command = []\n", "`command` is empty"),
        ("command_limit = \"5s\"\n", "are for a `command`"),
        ("command_env = [\"A\"]\n", "are for a `command`"),
    ] {
        let error = read(bad).expect_err(bad);
        assert!(error.contains(why), "{bad}: {error}");
    }
}

#[test]
fn every_mistake_in_a_variable_names_it_what_was_read_and_the_next_step() {
    let read = |variables: &[(&str, &str)]| {
        let owned = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let config = VerifierConfig::variables(owned);
        config.and_then(Verifier::from_config).expect_err(&format!("{variables:?}")).to_string()
    };
    let issuer = ("SERVICE_TOKEN_ISSUER", "a");
    for (variables, parts) in [
        (vec![], ["`SERVICE_TOKEN_ISSUER` is not set", "set it: the `iss`"]),
        (vec![issuer], ["`SERVICE_TOKEN_JWKS` is not set", "the public keys"]),
        (
            vec![("SERVICE_TOKEN_ISUER", "a")],
            ["variable `SERVICE_TOKEN_ISUER`: unknown", "`SERVICE_TOKEN_ISSUER`"],
        ),
        (
            vec![("SERVICE_TOKEN_ISSUER", "")],
            ["`SERVICE_TOKEN_ISSUER`: its value is empty", "set it, or remove it"],
        ),
        (
            vec![("SERVICE_TOKEN_ISUER", "")],
            ["`SERVICE_TOKEN_ISUER`: unknown variable", "`SERVICE_TOKEN_ISSUER`"],
        ),
        (
            vec![issuer, ("SERVICE_TOKEN_STORE", "")],
            ["`SERVICE_TOKEN_STORE`: its value is empty", "remove it"],
        ),
        (vec![("SERVICE_TOKEN_PROFILE", "lax")], ["`SERVICE_TOKEN_PROFILE`: `lax` is not", "`strict`"]),
        (
            vec![("SERVICE_TOKEN_KEY_ALGORITHM", "none")],
            ["`SERVICE_TOKEN_KEY_ALGORITHM`: unknown algorithm `none`", "ES256"],
        ),
        (vec![("SERVICE_TOKEN_KEY_ENCODING", "hex")], ["`hex` is not an encoding", "`base64url`"]),
        (
            vec![issuer, ("SERVICE_TOKEN_KEY_FILE", "b")],
            ["`SERVICE_TOKEN_KEY_ALGORITHM` is not set", "a secret"],
        ),
        (
            vec![issuer, ("SERVICE_TOKEN_KEY_ALGORITHM", "HS256")],
            ["`SERVICE_TOKEN_KEY_FILE` is not set", "the secret"],
        ),
        (
            vec![issuer, ("SERVICE_TOKEN_ENVIRONMENT", "b")],
            ["`SERVICE_TOKEN_ENVIRONMENT`", "`VerifierConfig::file_in`"],
        ),
        (
            vec![issuer, ("SERVICE_TOKEN_JWKS", "absent.json")],
            ["absent.json", "`service-token jwks --out FILE`"],
        ),
    ] {
        let error = read(&variables);
        assert!(parts.iter().all(|part| error.contains(part)), "{variables:?}: {error}");
    }
}

#[test]
fn variables_of_kubernetes_and_of_other_programs_are_ignored() {
    let variables = [
        ("SERVICE_TOKEN_ISSUER", "a"),
        ("SERVICE_TOKEN_SERVICE_HOST", "10.0.0.7"),
        ("SERVICE_TOKEN_SERVICE_PORT", "8443"),
        ("SERVICE_TOKEN_SERVICE_PORT_HTTPS", "8443"),
        ("SERVICE_TOKEN_PORT", "tcp://10.0.0.7:8443"),
        ("SERVICE_TOKEN_PORT_8443_TCP_ADDR", "10.0.0.7"),
        ("SERVICE_TOKENS", "b"),
        ("PATH", "/bin"),
    ];
    let owned = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    assert_eq!(VerifierConfig::variables(owned).unwrap().issuer(), "a");
}

#[test]
fn a_table_of_another_file_is_as_strict_and_has_no_environments() {
    #[derive(Deserialize, Debug)]
    struct Own {
        tokens: VerifierConfig,
    }
    let read = |table: &str| toml::from_str::<Own>(&format!("[tokens]\n{table}"));
    let own = read("issuer = \"a\"\nrotation = { jwks = \"keys/jwks.json\" }\n").unwrap();
    assert_eq!(own.tokens.keys, Some(Keys::Jwks("keys/jwks.json".into())));
    let error = |table: &str| read(table).unwrap_err().to_string();
    assert!(error("issuer = \"a\"\naudiences = \"b\"\n").contains("unknown field `audiences`"));
    assert!(error("audience = \"b\"\n").contains("missing key `issuer`"));
    assert!(error("issuer = \"a\"\n[tokens.environments.b]\nissuer = \"c\"\n").contains("`environments`"));
}

#[test]
fn a_hostile_value_cannot_write_into_the_log() {
    let folder = Folder::new();
    let toml = format!("issuer = \"a\"\nprofile = \"\\u001b[31m{}\"\n", "x".repeat(5_000));
    let error = folder.sources(&toml, &[]).remove(0).unwrap_err();
    assert!(error.is_ascii() && !error.contains('\u{1b}') && error.len() < 3 * MAX_MESSAGE, "{error}");
}
