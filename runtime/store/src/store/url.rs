//! The address of a store: which database it names, and how to connect to it safely.

use std::{path::PathBuf, str::FromStr, time::Duration};

use sqlx::{
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::StoreError;

/// How long a write waits for another program's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A parsed address.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Address {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(&with_host(url));
        }
        if is_dsn(url) {
            return postgres(&from_dsn(url)?);
        }
        let rule = "an address of a store is `sqlite:PATH` or `postgres://USER@HOST/DATABASE`";
        // The rest may contain a password.
        let scheme = url.split_once("://").map(|(scheme, _)| scheme).filter(|scheme| is_scheme(scheme));
        let found = scheme.map(|scheme| format!(", not `{scheme}://`")).unwrap_or_default();
        Err(StoreError::BadUrl(format!("{rule}{found}")))
    }
}

/// RFC 3986 section 3.1, with a bound.
fn is_scheme(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.len() <= 20 && text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(inner)
}

fn sqlite(path: &str) -> Result<Address, StoreError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let bad = |rule: &str| Err(StoreError::BadUrl(rule.to_owned()));
    // An in-memory store would be lost when the command that wrote it ends.
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return bad("`sqlite:` needs the path of a file");
    }
    if path.contains('?') {
        return bad("`sqlite:PATH` takes no parameters; remove the `?` and the text after it");
    }
    if path.starts_with("~/") {
        return bad("only a shell expands `~`; write the complete path after `sqlite:`");
    }
    Ok(Address::Sqlite(path.into()))
}

fn postgres(url: &str) -> Result<Address, StoreError> {
    check_parameters(url)?;
    // The parser's message may quote the address, and so a password.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        let rule = "write `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`, with one host, and with \
                    `%40` for an `@`, `%2F` for a `/`, `%3A` for a `:` and `%23` for a `#` of a name or a password";
        StoreError::BadUrl(format!("the address of the PostgreSQL store cannot be read; {rule}"))
    })?;
    let named = options.get_application_name().is_some();
    let options = if named { options } else { options.application_name("service-only") };
    if options.get_host().contains(',') {
        return Err(StoreError::BadUrl(
            "the address of the PostgreSQL store names several hosts; name one".to_owned(),
        ));
    }
    let local = options.get_socket().is_some() || is_local(options.get_host());
    // `prefer` falls back to plain text if an attacker on the network blocks TLS.
    let weak = matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
    let options = if weak && !local { options.ssl_mode(PgSslMode::VerifyFull) } else { options };
    Ok(Address::Postgres(Box::new(options)))
}

/// Parameters that sqlx reads. It ignores any other one, so `sslmod=require` would connect without TLS.
const READ: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Parameters of libpq that have no effect here, with the values that are safe to ignore.
const WITHOUT_EFFECT: [(&str, &[&str]); 12] = [
    ("connect_timeout", &[]),
    ("client_encoding", &["utf8", "UTF8", "utf-8", "UTF-8", "auto"]),
    ("fallback_application_name", &[]),
    ("keepalives", &[]),
    ("keepalives_idle", &[]),
    ("keepalives_interval", &[]),
    ("keepalives_count", &[]),
    ("tcp_user_timeout", &[]),
    ("gssencmode", &["disable", "prefer"]),
    ("channel_binding", &["disable", "prefer"]),
    ("target_session_attrs", &["any", "read-write", "primary"]),
    ("sslnegotiation", &["postgres"]),
];

fn check_parameters(url: &str) -> Result<(), StoreError> {
    if url.contains('#') {
        return Err(StoreError::BadUrl(
            "the address of the PostgreSQL store has a `#`; write `%23` for one of a name or a password"
                .to_owned(),
        ));
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name);
        let passed_over = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name);
        if name == "options" || name.starts_with("options[") || READ.contains(&name.as_str()) {
            continue;
        }
        let reason = match passed_over {
            Some((_, values)) if values.is_empty() || values.contains(&value) => continue,
            Some((name, values)) => {
                format!("its parameter `{name}` may only be {}", values.join(", "))
            }
            // Not quoted if it may be a part of a password.
            None if name == "passfile" => "it takes no `passfile`; set PGPASSFILE".to_owned(),
            None if name == "service" => {
                "it takes no `service`; write the parts of the service into the address".to_owned()
            }
            None if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && name.len() < 30 => {
                format!(
                    "its parameter `{name}` is not known; `sslmode`, `sslrootcert`, `host`, `port`, `dbname`, `user`, `application_name` and `options` are"
                )
            }
            None => {
                "one of its parameters is not known; write `%3F` for a `?` and `%26` for a `&` of a password"
                    .to_owned()
            }
        };
        return Err(StoreError::BadUrl(format!(
            "the address of the PostgreSQL store cannot be read: {reason}"
        )));
    }
    Ok(())
}

/// Moves a user or a port without a host into the query. libpq accepts them and connects to the local socket;
/// a URL can express them only as parameters.
fn with_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (credentials, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if !(host.is_empty() && !credentials.is_empty() || host.starts_with(':')) {
        return url.to_owned();
    }
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let moved = [("user", user), ("password", password), ("port", host.trim_start_matches(':'))];
    let moved = moved.iter().filter(|(_, value)| !value.is_empty());
    // A plus is literal before the host, and a space in a query.
    let moved: Vec<_> = moved.map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).collect();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let separator = if query.is_empty() { "" } else { "&" };
    format!("{scheme}://{path}?{}{separator}{query}", moved.join("&"))
}

/// Whether the text may be libpq's other form, `host=db user=me dbname=tokens`.
fn is_dsn(text: &str) -> bool {
    let name = text.trim_start().split('=').next().unwrap_or_default().trim_end();
    text.contains('=')
        && (READ.contains(&name)
            || name == "options"
            || WITHOUT_EFFECT.iter().any(|(known, _)| *known == name))
}

/// Converts it to a URL: section 34.1.1.1 of PostgreSQL's manual, "Keyword/Value Connection Strings".
fn from_dsn(text: &str) -> Result<String, StoreError> {
    let bad = || {
        StoreError::BadUrl(
            "the address of the PostgreSQL store cannot be read; write `host=HOST dbname=DATABASE user=USER`, \
             with a value that has a space in single quotes"
                .to_owned(),
        )
    };
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(bad)?;
        let mut chars = after.trim_start().chars();
        let quoted = chars.as_str().starts_with('\'');
        if quoted {
            chars.next();
        }
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.push(chars.next().ok_or_else(bad)?),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err(bad()),
                None => break,
            }
        }
        pairs.push(format!("{}={}", encoded(name.trim_end()), encoded(&value)));
        rest = chars.as_str().trim_start();
    }
    Ok(format!("postgres:///?{}", pairs.join("&")))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the address itself contains a password, rather than a variable or a file.
pub(crate) fn holds_password(url: &str) -> bool {
    let url = if is_dsn(url) { from_dsn(url).unwrap_or_default() } else { with_host(url) };
    let Some((_, rest)) = url.split_once("://") else { return false };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let credentials = rest.split('/').next().and_then(|authority| authority.rsplit_once('@'));
    let password = credentials.and_then(|(credentials, _)| credentials.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty())
        || query.split('&').any(|pair| pair.strip_prefix("password=").is_some_and(|value| !value.is_empty()))
}

impl Address {
    /// The address, without a password.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(options) => {
                let host = options
                    .get_socket()
                    .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
                let database = options.get_database().unwrap_or_default();
                format!("postgres://{host}:{}/{database}", options.get_port())
            }
        }
    }
}

/// Uses the rollback journal, not the write-ahead log: readers need no write access to the directory, and
/// other users' umasks do not set the mode of any of its files.
pub(crate) fn sqlite_options(path: &std::path::Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssl_mode(url: &str) -> String {
        match url.parse::<Address>().unwrap() {
            Address::Postgres(options) => format!("{:?}", options.get_ssl_mode()),
            Address::Sqlite(_) => panic!("`{url}` is SQLite's"),
        }
    }

    fn options(url: &str) -> PgConnectOptions {
        match url.parse::<Address>() {
            Ok(Address::Postgres(options)) => *options,
            other => panic!("`{url}`: {other:?}"),
        }
    }

    fn reason(url: &str) -> String {
        url.parse::<Address>().unwrap_err().to_string()
    }

    #[test]
    fn an_address_of_libpq_is_read_as_libpq_reads_it() {
        for url in [
            "postgresql://me@/tokens?host=/var/run/postgresql",
            "postgres:///tokens?host=/var/run/postgresql&user=me",
            "postgresql://me@%2Fvar%2Frun%2Fpostgresql/tokens",
            "host=/var/run/postgresql user=me dbname=tokens",
            "  user = me dbname='tokens'   host=/var/run/postgresql ",
        ] {
            let options = options(url);
            let socket = options.get_socket().map(|path| path.display().to_string());
            assert_eq!(socket.as_deref(), Some("/var/run/postgresql"), "{url}");
            assert_eq!((options.get_username(), options.get_database()), ("me", Some("tokens")), "{url}");
        }
        let places = [
            ("postgresql://me@:6543/tokens?host=db&sslmode=require", "postgres://db:6543/tokens"),
            ("postgresql://db/tokens?port=6543&connect_timeout=10&keepalives=1", "postgres://db:6543/tokens"),
            ("host=db port=6543 dbname=tokens password='a b\\'c\\\\'", "postgres://db:6543/tokens"),
            ("postgresql://m%40e:p%23%2F@[::1]:6543/to%6Bens", "postgres://[::1]:6543/tokens"),
        ];
        for (url, place) in places {
            assert_eq!(url.parse::<Address>().unwrap().place(), place, "{url}");
        }
    }

    #[test]
    fn an_address_may_name_the_application() {
        assert_eq!(options("postgres://db/tokens").get_application_name(), Some("service-only"));
        let named = options("postgres://db/tokens?application_name=night-job");
        assert_eq!(named.get_application_name(), Some("night-job"));
    }

    #[test]
    fn a_parameter_that_is_not_known_is_refused_by_name_and_without_its_value() {
        for (url, named) in [
            ("postgres://db/tokens?sslmod=require", "`sslmod` is not known"),
            ("postgres://db/tokens?channel_binding=require", "`channel_binding` may only be disable, prefer"),
            ("postgres://db/tokens?gssencmode=require", "`gssencmode` may only be"),
            ("postgres://db/tokens?requirepeer=hush", "`requirepeer` is not known"),
            ("host=db sslmod=hush", "`sslmod` is not known"),
            ("postgres://me:hu?sh@db/tokens", "%3F"),
            ("postgres://me:hu#sh@db/tokens", "%23"),
            ("postgres://me@a,b/tokens", "several hosts"),
            ("host='hush", "single quotes"),
            ("sqlite:tokens.db?mode=ro", "no parameters"),
            ("sqlite:~/tokens.db", "`~`"),
        ] {
            let reason = reason(url);
            assert!(reason.contains(named), "{url}: {reason}");
            assert!(!reason.contains("hush") && !reason.contains("sh@"), "{reason}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_noticed() {
        for url in [
            "postgres://me:hush@db/tokens",
            "postgres://me@db/tokens?password=hush",
            "postgres://me:hush@/tokens",
            "host=db password=hush",
        ] {
            assert!(holds_password(url), "{url}");
        }
        for url in
            ["postgres://me@db:5432/tokens", "postgres://me:@db/tokens", "sqlite:a:b@c", "host=db user=me"]
        {
            assert!(!holds_password(url), "{url}");
        }
    }

    #[test]
    fn an_address_selects_the_database() {
        for url in ["sqlite:a/b.db", "sqlite://a/b.db"] {
            assert_eq!(url.parse::<Address>().unwrap().place(), "sqlite:a/b.db");
        }
        let place = "postgres://me:secret@db:6543/tokens".parse::<Address>().unwrap().place();
        assert_eq!(place, "postgres://db:6543/tokens");
    }

    #[test]
    fn an_address_that_cannot_be_one_is_not_quoted() {
        for url in
            ["", "sqlite:", "sqlite::memory:", "mysql://a:hush@b/c", "postgres://a:hush@b:port/c", "hush"]
        {
            let error = url.parse::<Address>().unwrap_err();
            assert!(matches!(error, StoreError::BadUrl(_)), "{url}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn an_address_of_another_kind_is_refused_with_what_to_write() {
        for (url, expected) in [
            ("mysql://a:hush@b/c", "not `mysql://`"),
            ("postgres://db/tokens?passfile=x", "set PGPASSFILE"),
            ("postgres://db/tokens?service=x", "write the parts of the service"),
            ("host=db service=x", "write the parts of the service"),
            ("postgres://a,b/tokens", "several hosts"),
        ] {
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        let odd = "hush of you://a".parse::<Address>().unwrap_err().to_string();
        assert!(!odd.contains("hush"), "{odd}");
    }

    #[test]
    fn a_remote_database_is_verified_unless_the_address_disables_it() {
        assert_eq!(ssl_mode("postgres://db/tokens"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=prefer"), "VerifyFull");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=require"), "Require");
        assert_eq!(ssl_mode("postgres://db/tokens?sslmode=disable"), "Disable");
        assert_eq!(ssl_mode("postgres://127.0.0.1/tokens"), "Prefer");
    }
}
