//! The text that `service-token dev` prints beside the token: lines to paste into a service and a shell.

use std::path::Path;

use super::DevOptions;

/// The lines that make a service accept the token; a test compiles them.
const SNIPPET: &str = include_str!("snippet.rs");

pub(crate) fn guide(options: &DevOptions, jwks: &Path) -> String {
    format!(
        "\nLet a service on this machine accept it (debug builds only; a release build refuses the key):\n\n\
         let verifier = {};\n\n\
         Then call a guarded handler:\n\n\
         curl -H \"Authorization: Bearer $({})\" http://127.0.0.1:3000/\n\n\
         The registry does not contain this token, so `service-token list` cannot show it.\n",
        snippet(options, jwks),
        command_line(options),
    )
}

fn snippet(options: &DevOptions, jwks: &Path) -> String {
    let last = "    .build()?";
    let audience = options.audience.as_ref().map(|audience| format!("    .audience({audience:?})\n{last}"));
    SNIPPET
        .trim_end()
        .replace(last, audience.as_deref().unwrap_or(last))
        .replace("\"ISSUER\"", &format!("{:?}", options.issuer))
        .replace("\"JWKS\"", &format!("{:?}", jwks.display().to_string()))
}

/// The current command for a shell: it mints a fresh token with the same options.
fn command_line(options: &DevOptions) -> String {
    let mut words = vec!["service-token".to_owned(), "dev".to_owned(), options.name.to_string()];
    let mut say = |option: &str, value: &str| words.extend([format!("--{option}"), quoted(value)]);
    if options.issuer != super::DEFAULT_ISSUER {
        say("issuer", &options.issuer);
    }
    if let Some(audience) = &options.audience {
        say("audience", audience);
    }
    if options.role != crate::config::DEFAULT_ROLE {
        say("role", &options.role);
    }
    for scope in &options.scope {
        say("scope", &scope.0);
    }
    if let Some(dir) = &options.dir {
        say("dir", &dir.display().to_string());
    }
    words.join(" ")
}

/// Quotes one word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles the printed lines, and runs them until the missing file.
    fn verifier() -> Result<service_only::Verifier, Box<dyn std::error::Error>> {
        let verifier = include!("snippet.rs");
        Ok(verifier)
    }

    #[test]
    fn printed_lines_compile_and_name_the_missing_key_set() {
        assert!(verifier().unwrap_err().to_string().contains("JWKS"));
    }

    #[test]
    fn words_are_quoted_for_a_shell_where_they_must_be() {
        assert_eq!(quoted("orders:read"), "orders:read");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
