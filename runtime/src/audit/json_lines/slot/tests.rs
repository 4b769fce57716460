use super::*;

fn add(slot: &Slot, pages: &Pages, line: &[u8]) {
    let write = |_: &mut Lines, page: &mut Vec<u8>| {
        page.extend_from_slice(line);
        Ok(())
    };
    slot.add(pages, write).unwrap();
}

/// The sizes of a slot's pages, one by one.
fn sizes(slot: &Slot) -> Vec<usize> {
    let filling = locked(&slot.0);
    filling.full.iter().chain([&filling.page]).map(|page| page.lines.capacity()).collect()
}

#[test]
fn memory_of_long_lines_is_bounded() {
    let (slot, pages) = (Slot::default(), Pages::default());
    for length in (1..3_200).cycle().step_by(7).take(10_000) {
        add(&slot, &pages, &vec![b'a'; length]);
    }
    assert!(sizes(&slot).iter().all(|size| (PAGE..=2 * PAGE).contains(size)), "{:?}", sizes(&slot));
    let taken: Vec<Page> = slot.take(&mut Page::default()).collect();
    assert_eq!(taken.iter().map(|page| page.records).sum::<usize>(), 10_000);
}

#[test]
fn an_idle_thread_returns_its_page_and_takes_a_new_one_later() {
    let (slot, pages) = (Slot::default(), Pages::default());
    let mut spare = pages.empty();
    add(&slot, &pages, b"line");
    assert_eq!(slot.take(&mut spare).count(), 1);
    for pass in 1..QUIET {
        assert_eq!((slot.take(&mut spare).count(), sizes(&slot)), (0, vec![PAGE]), "{pass}");
    }
    assert_eq!((slot.take(&mut spare).count(), sizes(&slot)), (0, vec![0]));
    add(&slot, &pages, b"line");
    assert_eq!((slot.take(&mut spare).count(), sizes(&slot)), (1, vec![0]));
}

#[test]
fn a_line_that_cannot_be_written_leaves_nothing_behind() {
    let (slot, pages) = (Slot::default(), Pages::default());
    add(&slot, &pages, b"one");
    let fails = slot.add(&pages, |_, page| {
        page.extend_from_slice(b"half a li");
        Err(serde::ser::Error::custom("no JSON"))
    });
    assert!(fails.is_err());
    add(&slot, &pages, b"two");
    let taken: Vec<_> = slot.take(&mut Page::default()).map(|page| (page.lines, page.records)).collect();
    assert_eq!(taken, [(b"onetwo".to_vec(), 2)]);
}
