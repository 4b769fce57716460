//! The questions of `init` on a terminal. Each has a default, and an answer is checked before the next question.

use std::io::{IsTerminal as _, stderr, stdin};

use dialoguer::{Input, Select};
use service_only::{Algorithm, claims::ServiceName};
use service_only_store::Store;

use super::sample::{Answers, filled};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;

const PROFILES: [(&str, Profile); 2] = [
    ("strict: a key pair, an audience, tokens of at most 24 hours", Profile::Strict),
    ("compatible with the first services: tokens of a year", Profile::Compatible),
];

const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("ES256: every JWT library supports it", Algorithm::ES256),
    ("EdDSA: the fastest, and not in every library", Algorithm::EdDSA),
    ("RS256: for old libraries; long keys and signatures", Algorithm::RS256),
];

/// Whether a person can answer.
pub(super) fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

pub(super) fn ask() -> Outcome<Answers> {
    output::aside(
        "The answers become a commented file, which you can edit later. The enter key takes the default.",
    );
    let profile = choice("Profile of the tokens", &PROFILES)?;
    let issuer = text("Issuer (`iss`) of the tokens", "bakery-auth", |text| {
        filled(text).map(drop).map_err(str::to_owned)
    })?;
    let audience = match profile {
        Profile::Compatible => None,
        Profile::Strict => {
            Some(text("Audience (`aud`): the fleet that accepts the tokens", &issuer, |text| {
                filled(text).map(drop).map_err(str::to_owned)
            })?)
        }
    };
    let algorithm = choice("Algorithm of the key", &ALGORITHMS)?;
    let store = text(
        "Store: `sqlite:PATH`, or `postgres://USER@HOST/DATABASE` for a fleet",
        "sqlite:service-token.db",
        |url| {
            if Store::address_holds_password(url) {
                return Err(
                    "leave the password out: the file is not secret, and PGPASSFILE can hold it".to_owned()
                );
            }
            Store::check_address(url).map_err(|error| error.to_string())
        },
    )?;
    let services =
        text("Services that get a token, divided by spaces", "orders", |names| parsed(names).map(drop))?;
    Ok(Answers {
        profile,
        issuer: Some(issuer),
        audience,
        algorithm: Some(algorithm),
        store: Some(store),
        services: parsed(&services).unwrap_or_default(),
        tls: false,
    })
}

fn parsed(names: &str) -> Result<Vec<ServiceName>, String> {
    let names = names.split([' ', ',']).filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(|error| format!("`{name}`: {error}"))).collect()
}

fn choice<T: Copy>(question: &str, options: &[(&str, T)]) -> Outcome<T> {
    let items: Vec<_> = options.iter().map(|(text, _)| *text).collect();
    let chosen = Select::new().with_prompt(question).items(&items).default(0).interact();
    let chosen = chosen.map_err(unanswered)?;
    options.get(chosen).map(|(_, value)| *value).ok_or_else(|| Problem::usage("no answer"))
}

fn text(question: &str, default: &str, check: impl Fn(&str) -> Result<(), String>) -> Outcome<String> {
    let input = Input::<String>::new().with_prompt(question).default(default.to_owned());
    let answer = input.validate_with(|text: &String| check(text)).interact_text();
    answer.map_err(unanswered)
}

fn unanswered(error: dialoguer::Error) -> Problem {
    Problem::new(ProblemCode::Io, format!("no answer, so nothing was written: {error}"))
        .help("`service-token init --help` lists the options that answer the questions")
}
