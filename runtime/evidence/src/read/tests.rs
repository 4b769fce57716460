#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{Cursor, Write};

use super::*;

fn line(second: u32, service: &str) -> String {
    format!(
        r#"{{"id":"019b76da-0000-7000-8000-{second:012}","time":"2026-01-01T00:00:{second:02}.000000Z","decision":"allow","status":200,"endpoint":"a::b","service":"{service}","duration_us":7}}"#
    )
}

fn read_text(text: &str) -> (Vec<String>, Done) {
    let mut services = Vec::new();
    let done = stream(Path::new("x"), Cursor::new(text), &mut |_: Place<'_>, record: &Record<'_>| {
        services.push(record.service.as_deref().unwrap_or_default().to_owned());
    });
    (services, done)
}

fn kinds(done: &Done) -> Vec<(u64, TroubleKind)> {
    done.trouble().iter().map(|trouble| (trouble.line, trouble.kind)).collect()
}

#[test]
fn damaged_lines_are_reported_with_their_numbers_and_the_rest_is_read() {
    let torn = &line(2, "torn")[..90];
    let text = format!(
        "{}\n{torn}\n\n{{\"level\":\"INFO\"}}\n{}\nplain text\n{}\n",
        line(1, "a"),
        line(3, "b"),
        line(4, "c")
    );
    let (services, done) = read_text(&text);
    assert_eq!(services, ["a", "b", "c"]);
    let expected = [(2, TroubleKind::Torn), (4, TroubleKind::Foreign), (6, TroubleKind::Foreign)];
    assert_eq!(kinds(&done), expected);
    assert_eq!((done.lines(), done.records(), done.bytes()), (7, 3, text.len() as u64));
}

#[test]
fn last_line_without_an_end_is_used_if_it_is_complete() {
    let (services, done) = read_text(&format!("{}\n{}", line(1, "a"), line(2, "b")));
    assert_eq!((services.len(), done.trouble().len()), (2, 0));
    let (services, done) = read_text(&format!("{}\n{}", line(1, "a"), &line(2, "b")[..50]));
    assert_eq!(services, ["a"]);
    assert_eq!(kinds(&done), [(2, TroubleKind::Unfinished)]);
}

#[test]
fn line_at_the_limit_is_read_and_a_longer_one_is_not() {
    let padded = |length: usize| {
        let line = line(1, "");
        let (before, after) = line.split_at(line.find(r#"","duration"#).unwrap());
        format!("{before}{}{after}", "x".repeat(length - line.len()))
    };
    let (services, done) = read_text(&format!("{}\n{}\n", padded(MAX_LINE), line(2, "b")));
    assert_eq!((services.len(), done.trouble().len()), (2, 0));
    let (services, done) = read_text(&format!("{}\n{}\n", padded(MAX_LINE + 1), line(2, "b")));
    assert_eq!(services, ["b"]);
    assert_eq!(kinds(&done), [(1, TroubleKind::TooLong)]);
}

#[test]
fn clock_that_went_back_is_reported_once_and_its_records_are_used() {
    let text: String = [30, 31, 5, 6, 7, 32].map(|second| line(second, "a") + "\n").concat();
    let (services, done) = read_text(&text);
    assert_eq!(services.len(), 6);
    assert_eq!(kinds(&done), [(3, TroubleKind::ClockWentBack)]);
}

#[test]
fn only_the_first_problems_are_described_and_all_are_counted() {
    let (_, done) = read_text(&"no\n".repeat(MAX_DESCRIBED + 5));
    assert_eq!(done.trouble().len(), MAX_DESCRIBED);
    assert_eq!(done.count(TroubleKind::Foreign), MAX_DESCRIBED as u64 + 5);
}

#[test]
fn control_characters_of_a_line_do_not_reach_a_report() {
    let (_, done) =
        read_text("{\"id\":\"\\u001b[2J\",\"time\":\"\\u001b[2J\",\"decision\":\"allow\",\"status\":1}\n");
    assert!(!done.trouble()[0].to_string().contains('\u{1b}'), "{}", done.trouble()[0]);
}

#[test]
fn compressed_files_are_recognized_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}\n{}\n", line(1, "a"), line(2, "b"));
    let gzipped = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let zstd = |text: &str| {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    };
    let files = [
        ("plain.gz", text.as_bytes().to_vec()),
        ("gzip", gzipped(&text)),
        ("members", [gzipped(&text), gzipped(&text)].concat()),
        ("zstd", zstd(&text)),
        ("frames", [zstd(&text), zstd(&text)].concat()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut count = 0;
        let done = super::files([&path], &mut |_: Place<'_>, _: &Record<'_>| count += 1).unwrap();
        let expected = if name == "members" || name == "frames" { 4 } else { 2 };
        assert_eq!((count, done.trouble().len()), (expected, 0), "{name}: {:?}", done.trouble());
    }
}

#[test]
fn truncated_compressed_file_is_reported_and_its_start_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..20_000).map(|number| line(number % 60, &format!("s{number}")) + "\n").collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let path = folder.path().join("half.gz");
    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let mut count = 0;
    let done = files([&path], &mut |_: Place<'_>, _: &Record<'_>| count += 1).unwrap();
    assert!(count > 1_000, "{count}");
    assert_eq!(done.count(TroubleKind::Unreadable), 1);
}

#[test]
fn absent_file_is_an_error_that_names_it() {
    let error = files(["/absent/audit.jsonl"], &mut |_: Place<'_>, _: &Record<'_>| ()).unwrap_err();
    assert!(error.to_string().contains("`/absent/audit.jsonl`"), "{error}");
}

#[test]
fn file_that_rotation_deletes_meanwhile_is_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two", "three"].map(|name| folder.path().join(name));
    for path in &paths {
        std::fs::write(path, line(1, "a") + "\n").unwrap();
    }
    let mut read = Vec::new();
    let done = files(&paths, &mut |place: Place<'_>, _: &Record<'_>| {
        read.push(place.file_number);
        let _ = std::fs::remove_file(&paths[1]);
    });
    let done = done.unwrap();
    assert_eq!((read.as_slice(), done.records()), (&[0, 2][..], 2));
    assert_eq!(kinds(&done), [(0, TroubleKind::Unreadable)]);
    assert!(done.trouble()[0].to_string().contains("two"), "{}", done.trouble()[0]);
}

#[test]
fn file_that_grows_while_it_is_read_is_read_to_its_new_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    // Far larger than a block, so that the end was not read yet when the file grows.
    let lines: String = (0..5_000).map(|number| line(number % 60, "a") + "\n").collect();
    std::fs::write(&path, lines).unwrap();
    let mut count = 0;
    let done = files([&path], &mut |_: Place<'_>, _: &Record<'_>| {
        count += 1;
        if count == 1 {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(format!("{}\n{}", line(59, "b"), &line(59, "c")[..70]).as_bytes()).unwrap();
        }
    });
    let done = done.unwrap();
    assert_eq!((count, done.count(TroubleKind::Unfinished)), (5_001, 1));
}

#[test]
fn visitor_that_has_enough_ends_the_reading() {
    struct First(u64);

    impl Visitor for First {
        fn record(&mut self, _: Place<'_>, _: &Record<'_>) {
            self.0 += 1;
        }

        fn wants_more(&self) -> bool {
            self.0 < 2
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let lines: String = (0..9).map(|second| line(second, "a") + "\n").collect();
    std::fs::write(&path, lines).unwrap();
    let mut first = First(0);
    let done = files([&path, &path], &mut first).unwrap();
    assert_eq!((first.0, done.records(), done.files()), (2, 2, 1));
}

/// `service-token usage <(zcat audit.jsonl.gz)`
#[cfg(unix)]
#[test]
fn pipe_is_read_from_its_first_byte_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || std::fs::write(path, format!("{}\n{}\n", line(1, "a"), line(2, "b"))))
    };
    let mut count = 0;
    let done = files([&path], &mut |_: Place<'_>, _: &Record<'_>| count += 1).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!((count, done.trouble().len()), (2, 0));
}

#[test]
fn records_of_the_sink_are_read_back() {
    let text = r#"{"id":"019b76da-0000-7000-8000-000000000001","time":"2026-01-01T00:00:00.123456Z","decision":"deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `a\\b`","endpoint":"t::d","http.request.method":"DELETE","http.route":"/t/{id}","url.path":"/t/7","service":"orders","jti":"j","kid":"k","issuer":"i","profile":"compatible","client.address":"10.0.0.7","trace_id":"4bf9","duration_us":94,"new.member":{"a":[1]}}"#;
    let record = Record::parse(text.as_bytes()).unwrap();
    assert_eq!(record.micros(), 1_767_225_600_123_456);
    assert_eq!(record.reason.as_deref(), Some("the service is `a\\b`"));
    assert_eq!(record.method.as_deref(), Some("DELETE"));
    assert!(matches!(record.service, Some(Cow::Borrowed("orders"))));
    assert!(!record.is_allowed());
}

use std::borrow::Cow;
