//! `service-token inspect`: prints the content of a token, without any verification.
//!
//! Use it to find out why a token is refused. Both output streams state that nothing was verified, and
//! everything is escaped, because a stranger may have written it.

use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Map, Value, json};

use super::verify;
use crate::exit::Exit;
use crate::members;
use crate::output::{self, Format};
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token inspect - < orders.token
  service-token inspect --format json - < orders.token";

/// Print header and claims of a token WITHOUT verifying it
///
/// The output is unverified, so make no decision from it. Use `service-token verify` for decisions.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectOptions {
    /// The token, or `-` to read it from standard input, which keeps it out of `ps`
    #[arg(value_name = "TOKEN")]
    token: OsString,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &InspectOptions) -> Outcome<Exit> {
    let token = verify::token_bytes(&options.token)?;
    output::warning(
        "NOT VERIFIED: everyone can write these claims; `service-token verify` checks whether they are authentic",
    );
    let parts = match Parts::read(&token) {
        Ok(parts) => parts,
        Err(why) => {
            output::warning(&format!("this is not a token: {why}"));
            return Ok(Exit::Found);
        }
    };
    match options.format {
        Format::Json => output::json(&json!({
            "verified": false, "header": parts.header, "claims": parts.claims,
        }))?,
        Format::Text => {
            output::result("NOT VERIFIED")?;
            print("header", &parts.header)?;
            print("claims", &parts.claims)?;
        }
    }
    Ok(Exit::Done)
}

/// The unverified claims that name a token.
pub(crate) struct Named {
    pub(crate) issuer: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) exp: Option<i64>,
}

/// The unverified name of a token, or why this is not a token.
pub(crate) fn named(token: &[u8]) -> Result<Named, String> {
    let claims = Parts::read(token)?.claims;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).map(str::to_owned);
    Ok(Named { issuer: text("iss"), jti: text("jti"), exp: claims.get("exp").and_then(Value::as_i64) })
}

/// The unverified `jti` of a token.
pub(crate) fn jti(token: &[u8]) -> Option<String> {
    named(token).ok()?.jti
}

struct Parts {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Parts {
    fn read(token: &[u8]) -> Result<Self, String> {
        let segments: Vec<&[u8]> = token.split(|&byte| byte == b'.').collect();
        let [header, payload, _signature] = segments.as_slice() else {
            return Err(format!("it has {} segments, a token has 3", segments.len()));
        };
        Ok(Self { header: object("header", header)?, claims: object("payload", payload)? })
    }
}

fn object(name: &str, segment: &[u8]) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| format!("its {name} is not base64url"))?;
    // serde_json's message would quote only positions in the token, which do not help here.
    serde_json::from_slice(&bytes).map_err(|_| format!("its {name} is not a JSON object"))
}

fn print(title: &str, contents: &Map<String, Value>) -> Outcome<()> {
    output::result(&format!("{title}:"))?;
    members::lines(contents).iter().try_for_each(|line| output::result(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(token: &[u8]) -> String {
        Parts::read(token).err().unwrap_or_default()
    }

    #[test]
    fn text_that_is_not_a_token_is_reported_without_quoting_it() {
        assert!(why(b"a.b").contains("2 segments"));
        assert!(why(b"*.e30.").contains("header is not base64url"));
        assert!(why(b"e30.bnVsbA.x").contains("payload is not a JSON object"));
        assert!(why(&[0xff; 40]).contains("1 segments"));
    }

    #[test]
    fn deep_nesting_is_refused_without_overflow() {
        let deep = URL_SAFE_NO_PAD.encode("[".repeat(100_000));
        assert!(why(format!("e30.{deep}.x").as_bytes()).contains("payload"));
    }
}
