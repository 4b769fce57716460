//! Checkpoints of audit logs, in each database: added while the log is written, read in order, and pruned.

use std::time::Duration;

use service_only_store::{CheckpointWriter, LogCheckpoint, Store};

use crate::{database::Database, fixtures::NOW};

const ORIGIN: &str = "bakery.example/orders";

fn note(size: u64) -> String {
    format!("{ORIGIN}\n{size}\nAAAA\n\n— {ORIGIN} BBBB\n")
}

async fn add(store: &Store, size: u64, seconds: u64) {
    let checkpoint = LogCheckpoint::parse(&note(size)).unwrap();
    store.add_checkpoint(&checkpoint, NOW.plus(Duration::from_secs(seconds))).await.unwrap();
}

#[tokio::test]
async fn checkpoints_of_a_log_are_read_in_order_of_their_size() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        // More than one page.
        let (first, last) = (1, 1_002);
        for size in (first..=last).rev() {
            add(&store, size, size).await;
        }
        add(&store, 7, 9_999).await;
        let other = LogCheckpoint::parse("bakery.example/stock\n9000\nAAAA\n").unwrap();
        store.add_checkpoint(&other, NOW).await.unwrap();
        let notes = store.checkpoints(ORIGIN).await.unwrap();
        assert_eq!(notes, (first..=last).map(note).collect::<Vec<_>>());
        assert!(store.checkpoints("absent").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn prune_deletes_old_checkpoints_and_keeps_the_largest_of_each_log() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        for (size, seconds) in [(1, 1), (2, 2), (3, 3)] {
            add(&store, size, seconds).await;
        }
        let at = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(store.prunable_checkpoints(at(2)).await.unwrap(), 1);
        assert_eq!(store.prune_checkpoints(at(2)).await.unwrap(), 1);
        assert_eq!(store.prunable_checkpoints(at(99)).await.unwrap(), 1);
        assert_eq!(store.prune_checkpoints(at(99)).await.unwrap(), 1);
        assert_eq!(store.checkpoints(ORIGIN).await.unwrap(), [note(3)]);
    }
}

#[tokio::test]
async fn store_of_an_older_program_gets_the_table_when_a_checkpoint_is_added() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        database.execute("DROP TABLE service_only_checkpoints").await;
        assert!(store.checkpoints(ORIGIN).await.unwrap().is_empty());
        assert_eq!(store.prune_checkpoints(NOW).await.unwrap(), 0);
        add(&store, 1, 1).await;
        assert_eq!(store.checkpoints(ORIGIN).await.unwrap(), [note(1)]);
    }
}

#[tokio::test]
async fn writer_stores_the_first_checkpoint_and_the_last_one_at_its_end() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let writer =
            CheckpointWriter::of(&database.url).interval(Duration::from_secs(9_999)).start().unwrap();
        writer.keep(&note(1));
        until(async || store.checkpoints(ORIGIN).await.unwrap().len() == 1).await;
        let mut receive = writer.receiver();
        receive("not a checkpoint");
        (2..=9).for_each(|size| receive(&note(size)));
        drop(receive);
        assert_eq!(store.checkpoints(ORIGIN).await.unwrap(), [note(1), note(9)]);
    }
}

#[tokio::test]
async fn checkpoint_waits_while_the_store_is_not_there() {
    let database = Database::sqlite();
    let writer = CheckpointWriter::of(&database.url).interval(Duration::from_millis(5)).start().unwrap();
    writer.keep(&note(1));
    writer.keep(&note(2));
    let store = Store::create(&database.url).await.unwrap();
    until(async || !store.checkpoints(ORIGIN).await.unwrap().is_empty()).await;
    assert_eq!(store.checkpoints(ORIGIN).await.unwrap().last(), Some(&note(2)));
    // Without a store, the end of the program is not held up for long, and nothing panics.
    drop(writer);
    let absent = CheckpointWriter::of("sqlite:/absent/tokens.db").start().unwrap();
    absent.keep(&note(3));
    drop(absent);
    assert!(CheckpointWriter::of("nonsense").start().is_err());
}

/// Waits until something holds that another thread does.
async fn until(holds: impl AsyncFn() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
