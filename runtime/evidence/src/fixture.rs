//! Records for tests.

use std::{io::Cursor, path::Path};

use crate::{read, survey::Survey};

/// One record, of which a test changes what it is about.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) id: u64,
    pub(crate) at: i64,
    pub(crate) service: &'static str,
    pub(crate) endpoint: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) jti: &'static str,
    pub(crate) kid: &'static str,
    pub(crate) address: &'static str,
}

pub(crate) const START: i64 = 1_767_225_600;

/// An admitted call, some seconds after the start of 2026.
pub(crate) fn call(second: i64) -> Line {
    let id = second.unsigned_abs();
    let (service, endpoint, jti) = ("orders", "stock::reserve", "j1");
    Line { id, at: second, service, endpoint, code: None, jti, kid: "k1", address: "10.0.0.1" }
}

impl Line {
    pub(crate) fn text(&self) -> String {
        let Self { id, at, service, endpoint, code, jti, kid, address } = self;
        let time = jiff::Timestamp::from_second(START + at).unwrap();
        let decision = match code {
            Some(code) => format!(r#""deny","status":403,"code":"{code}","stage":"policy","reason":"no""#),
            None => r#""allow","status":200"#.to_owned(),
        };
        format!(
            r#"{{"id":"019b76da-0000-7000-8000-{id:012}","time":"{time}","decision":{decision},"endpoint":"{endpoint}","service":"{service}","jti":"{jti}","kid":"{kid}","issuer":"auth","client.address":"{address}","duration_us":50}}"#
        ) + "\n"
    }
}

pub(crate) fn survey(lines: impl IntoIterator<Item = Line>) -> Survey {
    let mut survey = Survey::new();
    let text: String = lines.into_iter().map(|line| line.text()).collect();
    let done = read::stream(Path::new("audit.jsonl"), Cursor::new(text), &mut survey);
    assert!(done.trouble().iter().all(|trouble| trouble.kind == read::TroubleKind::ClockWentBack));
    survey
}
