use std::borrow::Cow;

use super::*;

fn header(kid: &str) -> Header<'_> {
    Header { alg: "ES256".into(), kid: Some(kid.into()), typ: None }
}

fn kept(known: &Known) -> usize {
    known.0.iter().filter(|place| place.kept.is_some()).count()
}

#[test]
fn only_a_kept_header_is_known() {
    let mut known = Known::new();
    let text = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0";
    assert!(known.get(text).is_none());
    known.keep(text, &header("k1"));
    assert_eq!(known.get(text).as_deref(), Some(&header("k1")));
    // Every text that differs in one byte, or in length.
    for index in 0..text.len() {
        for byte in (0x20..0x7f).filter(|byte| *byte != text.as_bytes()[index]) {
            let mut other = text.as_bytes().to_vec();
            other[index] = byte;
            assert!(known.get(std::str::from_utf8(&other).unwrap()).is_none(), "{index} {byte}");
        }
        assert!(known.get(&text[..index]).is_none(), "{index}");
    }
    assert!(known.get(&format!("{text}A")).is_none());
}

#[test]
fn two_texts_of_one_place_never_share_a_header() {
    let mut known = Known::new();
    let texts: Vec<String> = (0..20_000).map(|index| format!("header-{index}")).collect();
    for text in &texts {
        known.keep(text, &header(text));
        known.keep(text, &header(text));
        for other in texts.iter().take(300).chain([text]) {
            if let Some(found) = known.get(other) {
                assert_eq!(found.kid.as_deref(), Some(other.as_str()));
            }
        }
    }
    assert!(kept(&known) <= MAX_KNOWN);
}

#[test]
fn kept_headers_are_bounded_in_number_and_length() {
    let mut known = Known::new();
    let longest = "a".repeat(MAX_KNOWN_LENGTH);
    known.keep(&longest, &header("k"));
    assert!(known.get(&longest).is_some());
    let longer = "b".repeat(MAX_KNOWN_LENGTH + 1);
    known.keep(&longer, &header("k"));
    assert!(known.get(&longer).is_none());
    for index in 0..10_000 {
        known.keep(&format!("{index}{}", "c".repeat(MAX_KNOWN_LENGTH - 8)), &header("k"));
    }
    let bytes: usize = known.0.iter().flat_map(|place| &place.kept).map(|(text, _)| text.len()).sum();
    assert!(kept(&known) == MAX_KNOWN && bytes <= MAX_KNOWN * MAX_KNOWN_LENGTH, "{bytes}");
}

#[test]
fn a_header_replaces_another_if_it_comes_twice_in_succession() {
    let same_place = |text: &String| place(hash(text)) == place(hash("first"));
    let second = (0..).map(|index| format!("second-{index}")).find(same_place).unwrap();
    let third = (0..).map(|index| format!("third-{index}")).find(same_place).unwrap();
    let mut known = Known::new();
    for text in ["first", &second, &third, &second, &third] {
        known.keep(text, &header(text));
        assert!(known.get("first").is_some(), "{text}");
    }
    known.keep(&third, &header(&third));
    assert!(known.get("first").is_none() && known.get(&third).is_some());
}

#[test]
fn places_are_used_evenly() {
    let mut used = [0_u32; MAX_KNOWN];
    for index in 0..6400 {
        used[place(hash(&format!("eyJhbGciOiJFUzI1NiIsImtpZCI6I{index:05}In0")))] += 1;
    }
    assert!(used.iter().all(|count| (40..250).contains(count)), "{used:?}");
}

#[test]
fn a_kept_header_owns_its_texts() {
    let owned = header("k1").to_static();
    assert!(matches!(owned.kid, Some(Cow::Owned(_))));
    assert_eq!(owned, header("k1"));
}

#[test]
fn each_thread_keeps_its_own_headers() {
    let text = "kept-by-its-thread";
    keep(text, &header("k1"));
    assert_eq!(known(text).as_deref(), Some(&header("k1")));
    std::thread::spawn(move || assert!(known(text).is_none())).join().unwrap();
}
