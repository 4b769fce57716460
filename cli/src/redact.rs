//! Removes tokens and secrets from the program's messages.
//!
//! People put them in the wrong place: a token where a file is expected, a secret in place of the name of its
//! variable. Messages quote the input, and messages end up in logs. So every message passes through this
//! module. It recognises a token anywhere by its shape. It recognises key material by its shape if it was
//! also an argument. Ordinary words, paths and names stay, because a message without them is useless.

use std::path::Path;

const MASK: &str = "[redacted]";

/// Shorter than every HMAC secret that is accepted: RFC 7518 section 3.2 asks for 32 bytes.
const MIN_SECRET: usize = 32;

/// The shortest text of three segments that counts as a token because of its segments alone.
const MIN_TOKEN: usize = 20;

/// Words of a language and parts of names are shorter; key material in hexadecimal is longer.
const MAX_WORD: usize = 19;

/// `text` without tokens, and without key material that was an argument.
pub(crate) fn message(text: &str) -> String {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    with(text, &arguments)
}

/// `text` without tokens.
pub(crate) fn tokens(text: &str) -> String {
    outside_of_styles(text, |plain| runs(plain, in_token, |run| is_token(run).then(|| MASK.to_owned())))
}

/// `text` from a file, without tokens and without anything that could be key material.
pub(crate) fn foreign(text: &str) -> String {
    runs(&tokens(text), in_key, |run| looks_secret(run).then(|| MASK.to_owned()))
}

fn with(text: &str, arguments: &[String]) -> String {
    let secrets: Vec<&str> = arguments.iter().flat_map(|argument| secrets_in(argument)).collect();
    let text = tokens(text);
    if secrets.is_empty() {
        return text;
    }
    outside_of_styles(&text, |plain| runs(plain, in_key, |run| without_secrets(run, &secrets)))
}

/// The run without the secrets in it. A run that is itself a piece of a secret is masked completely.
fn without_secrets(run: &str, secrets: &[&str]) -> Option<String> {
    if secrets.iter().any(|secret| secret.contains(run)) && !is_ordinary(run) {
        return Some(MASK.to_owned());
    }
    let spoken = secrets.iter().filter(|secret| run.contains(**secret));
    let masked = spoken.fold(run.to_owned(), |text, secret| text.replace(secret, MASK));
    (masked != run).then_some(masked)
}

fn secrets_in(argument: &str) -> Vec<&str> {
    let value = argument.split_once('=').map_or(argument, |(_, value)| value);
    if is_place(argument) || is_place(value) {
        return Vec::new();
    }
    argument.split(|c| !in_key(c)).map(|run| run.trim_matches('-')).filter(|run| looks_secret(run)).collect()
}

/// Whether the value is a path that exists at least in part. The root alone does not count: base64 may begin
/// with `/` too.
fn is_place(value: &str) -> bool {
    let named = |path: &&Path| path.file_name().is_some() || path.ends_with("..");
    Path::new(value).ancestors().filter(named).any(Path::exists)
}

fn is_token(run: &str) -> bool {
    // The header and the claims of every JWT begin with `{"`, which is `eyJ` in base64url.
    if words(run).any(|word| word.starts_with("eyJ")) {
        return true;
    }
    run.split('.').count() >= 3 && run.len() >= MIN_TOKEN && !is_ordinary(run)
}

fn looks_secret(run: &str) -> bool {
    run.len() >= MIN_SECRET && !is_ordinary(run)
}

/// Whether all words are short and have no capital inside. Names are like this, and encoded random bytes are
/// not. The parts of an instant are words too, as in the name of a rotated file: `audit.jsonl.2026-01-01T00-00-00.123456Z`.
fn is_ordinary(run: &str) -> bool {
    let is_of_instant = |word: &str| word.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'T' | b'Z'));
    words(run).filter(|word| !is_of_instant(word) || word.len() > MAX_WORD).all(|word| {
        let pairs = word.as_bytes().iter().zip(word.as_bytes().iter().skip(1));
        word.len() <= MAX_WORD
            && !pairs.into_iter().any(|(before, c)| c.is_ascii_uppercase() && !before.is_ascii_uppercase())
    })
}

fn words(run: &str) -> impl Iterator<Item = &str> {
    run.split(['.', '-', '_', '/', '+'])
}

fn in_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Both base64 alphabets, without the padding, which reveals nothing.
fn in_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '+')
}

/// `text` with each longest run of `member`s replaced by what `mask` makes of it.
fn runs(text: &str, member: impl Fn(char) -> bool, mask: impl Fn(&str) -> Option<String>) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !member(c)).unwrap_or(rest.len()));
        let (between, next) = after.split_at(after.find(&member).unwrap_or(after.len()));
        masked.push_str(mask(run).as_deref().unwrap_or(run));
        masked.push_str(between);
        rest = next;
    }
    masked
}

/// Applies `mask` to the text between terminal styles. The letters of a style would otherwise join the text.
fn outside_of_styles(text: &str, mask: impl Fn(&str) -> String) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut masked = pieces.next().map(&mask).unwrap_or_default();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |end| end + 1);
        let (style, plain) = piece.split_at(end);
        masked.push_str("\u{1b}[");
        masked.push_str(style);
        masked.push_str(&mask(plain));
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "dGhlIHNlY3JldCBvZiB0aGUgYmFrZXJ5LCAzMiBieXRlcw";

    fn said(text: &str, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        with(text, &arguments)
    }

    #[test]
    fn name_of_a_rotated_file_stays() {
        for name in [
            "audit.jsonl.2026-01-01T00-00-00.123456Z",
            "/var/log/audit.jsonl.2026-11-30T21-49-51.965373Z.gz:12",
        ] {
            assert_eq!(said(name, &[]), name);
        }
        let digits = format!("{}.{}.{}", "1".repeat(30), "2".repeat(30), "3".repeat(30));
        assert_eq!(said(&digits, &[]), MASK);
    }

    #[test]
    fn token_is_masked_at_every_position() {
        for token in [
            "eyJh.eyJz.c2ln",
            "eyJhbGciOiJub25lIn0..",
            "eyJhbGciOiJIUzI1NiJ9",
            "aaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccc",
            "AbCd123.eFgH456.IjKl789",
            "-AbCd123.eFgH456.IjKl789.x.y",
        ] {
            for (before, after) in
                [("", ""), ("`", "`"), ("ES256,", ",x"), ("a/", "/b"), ("=", ";"), ("é", "é")]
            {
                assert_eq!(tokens(&format!("{before}{token}{after}")), format!("{before}{MASK}{after}"));
            }
        }
    }

    #[test]
    fn terminal_styles_are_unchanged() {
        let text = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m '\u{1b}[33meyJh.eyJz.c2ln\u{1b}[0m'";
        let masked = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m '\u{1b}[33m[redacted]\u{1b}[0m'";
        assert_eq!(tokens(text), masked);
        assert_eq!(tokens("\u{1b}[\u{1b}["), "\u{1b}[\u{1b}[");
    }

    #[test]
    fn paths_names_and_sentences_are_not_masked() {
        for text in [
            "cannot read `keys/signing.pem`: No such file or directory (os error 2)",
            "/srv/bakery/platform/keys/of/production/service-token.toml.backup-2026",
            "https://tenant-deletion-orchestrator.bakery.svc.cluster.local:8080/api/v1",
            "orders.0c5a1de0-7e57-4b1a-9f0e-5019a4d30001.token",
            "keyJson.pem, 1.2.3-alpha.4 and 10.0.0.1 … Zürich…",
            "one of HS256, HS384, HS512, RS256, ES256, EdDSA",
        ] {
            assert_eq!(said(text, &[text]), text);
        }
    }

    #[test]
    fn secret_among_the_arguments_is_masked_and_another_text_of_its_kind_is_not() {
        let text = format!("cannot read `dir/{SECRET}==.pem`");
        for argument in
            [SECRET.to_owned(), format!("--out={SECRET}=="), format!("--{SECRET}"), format!("a,{SECRET}")]
        {
            assert_eq!(said(&text, &[&argument]), "cannot read `dir/[redacted]==.pem`", "{argument}");
        }
        let kid = "kid `NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs`";
        assert_eq!(said(kid, &[SECRET]), kid);
    }

    #[test]
    fn piece_of_a_secret_is_masked_too() {
        let secret = "j4AAQSkZJRgABAQ/AAAQABAAD/2wBDAAgGBgcGBQgHBwc";
        assert_eq!(said("`j4AAQSkZJRgABAQ/AAAQABAAD`", &[secret]), "`[redacted]`");
    }

    #[test]
    fn argument_that_is_a_path_or_url_is_not_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("TheKeys/OfTheBakery2026AndAllTheOthers/Signing2026Key");
        let path = path.to_str().unwrap();
        assert_eq!(said(path, &[path]), path);
        assert_eq!(said(path, &[&format!("--out={path}")]), path);
    }

    #[test]
    fn key_material_in_messages_of_libraries_is_masked() {
        assert_eq!(foreign(&format!("unknown key `{SECRET}`")), "unknown key `[redacted]`");
        assert_eq!(foreign("unknown key `lifetimes`"), "unknown key `lifetimes`");
    }
}
