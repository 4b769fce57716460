//! Layouts in a fixed number of columns.

use super::*;

const NOW: i64 = 1_767_225_600;

fn tokens() -> Table {
    let mut table = Table::new(["jti", "service", "state", "expires", "kid", "note"]);
    let kid = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    for (jti, service, state, days, note) in [
        ("76514ef5-446e-4842-932c-231cd329f030", "orders", "active", 30, ""),
        (
            "0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11",
            "tenant-deletion-orchestrator",
            "revoked",
            3,
            "for the night job",
        ),
        ("c0ffee00-91a3-4a43-9a64-5f8e6f0c7a11", "mail", "expired", -2, ""),
    ] {
        let expires = Timestamp::from_unix(NOW + days * 86_400);
        table.row([
            Cell::id(jti),
            Cell::word(service),
            Cell::state(state),
            Cell::Instant(Some(expires)),
            Cell::id(kid),
            Cell::text(note),
        ]);
    }
    table
}

fn rendered(table: &Table, room: Option<usize>) -> String {
    anstream::adapter::strip_str(&table.render(room, Timestamp::from_unix(NOW))).to_string()
}

fn width(text: &str) -> usize {
    text.lines().map(|line| line.width()).max().unwrap()
}

#[test]
fn table_in_a_pipe_has_whole_ids_and_instants() {
    insta::assert_snapshot!(rendered(&tokens(), None));
}

#[test]
fn table_fits_every_width_and_loses_no_row() {
    for room in 40..220 {
        let text = rendered(&tokens(), Some(room));
        assert!(width(&text) <= room, "{room}:\n{text}");
        for word in ["76514ef5", "0d5b7c51", "c0ffee00", "tenant-deletion-orchestrator", "in 3 d", "2 d ago"]
        {
            assert!(text.contains(word), "{room}: no `{word}` in\n{text}");
        }
        // A narrow column breaks the note between its words.
        for word in ["for", "the", "night", "job"] {
            assert!(text.split_whitespace().any(|part| part == word), "{room}: no `{word}` in\n{text}");
        }
    }
}

#[test]
fn layouts_at_60_80_120_and_160_columns() {
    for room in [60, 80, 120, 160] {
        insta::assert_snapshot!(format!("at_{room}"), rendered(&tokens(), Some(room)));
    }
}

#[test]
fn short_ids_are_longer_if_they_would_be_equal() {
    let mut table = Table::new(["jti"]);
    table.row([Cell::id("76514ef5-446e-4842-932c-231cd329f030")]);
    table.row([Cell::id("76514ef5-446f-4842-932c-231cd329f030")]);
    assert_eq!(rendered(&table, Some(20)), "jti\n76514ef5-446e\n76514ef5-446f");
}

#[test]
fn names_that_people_chose_are_not_shortened() {
    let mut table = Table::new(["kid", "jti"]);
    table.row([Cell::id("bakery-2026-01"), Cell::id("76514ef5-446e-4842-932c-231cd329f030")]);
    assert_eq!(rendered(&table, Some(30)), "kid             jti\nbakery-2026-01  76514ef5");
}

#[test]
fn texts_wrap_at_words_and_their_line_breaks_are_escaped() {
    let mut table = Table::new(["number", "reason"]);
    table.row([Cell::word("1"), Cell::text("seen in the log of the night job\n\u{1b}[31m")]);
    let text = rendered(&table, Some(30));
    assert_eq!(
        text,
        "number  reason\n1       seen in the log of the\n        night\n        job\\u000a\\u001b[31m"
    );
}

#[test]
fn empty_columns_are_left_out_on_a_terminal_only() {
    let mut table = Table::new(["a", "note", "b"]);
    table.row([Cell::word("1"), Cell::text(""), Cell::word("2")]);
    assert_eq!(rendered(&table, Some(80)), "a  b\n1  2");
    assert_eq!(rendered(&table, None), "a  note  b\n1        2");
}

#[test]
fn state_has_its_colour_and_wide_characters_keep_the_columns() {
    let mut table = Table::new(["name", "state", "x"]);
    table.row([Cell::word("焼き"), Cell::state("active"), Cell::word("1")]);
    table.row([Cell::word("a"), Cell::state("revoked"), Cell::word("2")]);
    let text = table.render(Some(80), Timestamp::from_unix(NOW));
    assert!(
        text.contains("\u{1b}[32mactive\u{1b}[0m") && text.contains("\u{1b}[31mrevoked\u{1b}[0m"),
        "{text:?}"
    );
    assert_eq!(rendered(&table, Some(80)), "name  state    x\n焼き  active   1\na     revoked  2");
}

#[test]
fn tally_counts_all_and_each_state() {
    let mut tally = Tally::default();
    assert_eq!(tally.words("token", "tokens"), "no token");
    tally.add("active");
    assert_eq!(tally.words("token", "tokens"), "1 active token");
    tally.add("active");
    tally.add("expired");
    assert_eq!(tally.words("token", "tokens"), "3 tokens: 2 active, 1 expired");
    tally.shortened(true);
    assert!(tally.words("token", "tokens").ends_with("; commands accept the short ids"));
}
