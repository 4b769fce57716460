use super::*;
use crate::audit::json_lines::rotated::is_stamp;

#[test]
fn a_stamp_is_read_back_as_the_instant_it_was_made_of_and_sorts_as_time_does() {
    let at = Timestamp::from_unix(1_767_225_600).plus(Duration::from_micros(123_456));
    let stamp = stamp_of(at);
    assert_eq!(stamp, "2026-01-01T00-00-00.123456Z");
    assert!(is_stamp(&stamp));
    let next = instant_of(&stamp).unwrap().plus(Duration::from_micros(1));
    assert_eq!(stamp_of(next), "2026-01-01T00-00-00.123457Z");
    for other in
        ["2026-01-01T00-00-00.123456", "2026-01-01T00:00:00.123456Z", "", "1", "é026-01-01T00-00-00.12345Z"]
    {
        assert!(!is_stamp(other), "{other}");
    }
}

#[test]
fn a_rotated_file_never_takes_the_name_of_an_earlier_one_and_sorts_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    // A file from a machine whose clock was ahead.
    let later = "2999-01-01T00-00-00.999999Z";
    std::fs::write(folder.path().join(format!("audit.jsonl.{later}.gz")), "").unwrap();
    let name = rotated_name(&log).unwrap();
    assert_eq!(name, folder.path().join("audit.jsonl.2999-01-01T00-00-01.000000Z"));
}

#[test]
fn a_file_is_rotated_by_its_age_or_before_it_outgrows_its_size_but_never_empty() {
    let hour = Duration::from_secs(3600);
    let now = SystemClock.now();
    let old = Timestamp::from_unix(now.unix() - 3600);
    let by_age = Rotation { age: Some(hour), ..Rotation::default() };
    assert!(by_age.is_due(1, old, 0) && !by_age.is_due(0, old, 0) && !by_age.is_due(1, now, 0));
    let by_size = Rotation { size: Some(10), ..Rotation::default() };
    assert!(by_size.is_due(9, now, 2) && !by_size.is_due(9, now, 1) && !by_size.is_due(0, now, 11));
}

#[test]
fn an_invalid_rotation_setting_is_refused() {
    let on = || Rotation { size: Some(1), ..Rotation::default() };
    for (rotation, is_mistake) in [
        (Rotation::default(), false),
        (on(), false),
        (Rotation { keep: Some(1), compress: true, ..on() }, false),
        (Rotation { age: Some(Duration::from_secs(1)), ..Rotation::default() }, false),
        (Rotation { size: Some(0), ..Rotation::default() }, true),
        (Rotation { age: Some(Duration::ZERO), ..Rotation::default() }, true),
        (Rotation { keep: Some(0), ..on() }, true),
        (Rotation { keep: Some(1), ..Rotation::default() }, true),
        (Rotation { compress: true, ..Rotation::default() }, true),
    ] {
        assert_eq!(rotation.mistake().is_some(), is_mistake, "{rotation:?}");
    }
}
