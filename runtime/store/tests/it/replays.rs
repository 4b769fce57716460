//! The accepted proofs of a fleet, in each database: each is accepted once, by one replica. Two processes: this test started
//! again.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use service_only::{
    Dpop,
    clock::{Clock, SystemClock, Timestamp},
    dpop::{ReplayError, ReplayStore, SpentProof},
    error::Code,
    service_only,
};
use service_only_store::{SqlReplays, SqlReplaysBuilder, Store};
use service_only_testkit::{ManualClock, TestAuthority, assert_allowed, assert_denied, call};

use crate::{database::Database, fixtures::NOW};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(NOW.unix() + seconds)
}

/// A proof that ends that many seconds from `NOW`.
fn proof(number: u32, until: i64) -> SpentProof {
    let mut id = [7; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    SpentProof::new(id, at(until))
}

/// A replica whose database has answered. The machine of a test may be slow.
async fn ready(builder: SqlReplaysBuilder) -> SqlReplays {
    started(builder.wait_up_to(SqlReplays::MAX_WAIT)).await
}

async fn started(builder: SqlReplaysBuilder) -> SqlReplays {
    let replays = builder.start().unwrap();
    until(|| replays.failure().is_none()).await;
    replays
}

async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn replica(database: &Database) -> SqlReplays {
    ready(SqlReplays::of(&database.url).clock(ManualClock::at(NOW))).await
}

/// Another pass of the thread, by a new replica.
async fn pass_at(database: &Database, seconds: i64) -> SqlReplays {
    ready(SqlReplays::of(&database.url).clock(ManualClock::at(at(seconds)))).await
}

#[tokio::test]
async fn a_proof_is_accepted_by_one_replica_once() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let (one, other) = (replica(&database).await, replica(&database).await);
        assert_eq!(one.spend(&proof(1, 60), NOW), Ok(()));
        for replica in [&one, &other, &one.clone()] {
            assert_eq!(replica.spend(&proof(1, 60), NOW), Err(ReplayError::Replayed));
            // The same id with another time: a key uses each id once.
            assert_eq!(replica.spend(&proof(1, 61), NOW), Err(ReplayError::Replayed));
        }
        assert_eq!(other.spend(&proof(2, 60), NOW), Ok(()));
        assert_eq!(one.spend(&proof(2, 60), NOW), Err(ReplayError::Replayed));
        assert_eq!((one.held(), other.held()), (1, 1), "each counts its own until the next pass");
        assert!(!format!("{one:?}").contains("id"), "no proof is shown");
    }
}

#[tokio::test]
async fn a_removed_proof_is_never_accepted_again_whatever_the_clock_shows() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let one = replica(&database).await;
        one.spend(&proof(1, 60), NOW).unwrap();
        one.spend(&proof(2, 61), NOW).unwrap();
        let difference = i64::try_from(SqlReplays::CLOCK_DIFFERENCE.as_secs()).unwrap();
        assert_eq!(pass_at(&database, 60 + difference).await.held(), 2, "a replica may still accept it");
        assert_eq!(pass_at(&database, 61 + difference).await.held(), 1);
        // The clock of this replica is still at the beginning.
        assert_eq!(one.spend(&proof(1, 60), NOW), Err(ReplayError::Replayed));
        assert_eq!(one.spend(&proof(3, 60), NOW), Err(ReplayError::Replayed), "it may have been removed");
        assert_eq!(one.spend(&proof(2, 61), NOW), Err(ReplayError::Replayed));
        assert_eq!(one.spend(&proof(3, 61), NOW), Ok(()), "none of these was removed");
    }
}

#[tokio::test]
async fn a_replica_whose_clock_is_ahead_of_the_database_ends_no_proof_of_the_others() {
    let Some(database) = Database::postgres().await else { return };
    Store::create(&database.url).await.unwrap();
    let now = SystemClock.now();
    let until = |seconds| {
        SpentProof::new([u8::try_from(seconds).unwrap(); 32], now.plus(Duration::from_secs(seconds)))
    };
    let one = ready(SqlReplays::of(&database.url)).await;
    assert_eq!(one.spend(&until(60), now), Ok(()));
    let tomorrow = now.plus(Duration::from_secs(24 * 3_600));
    let ahead = ready(SqlReplays::of(&database.url).clock(ManualClock::at(tomorrow))).await;
    assert_eq!(ahead.held(), 1);
    assert_eq!(one.spend(&until(61), now), Ok(()));
    assert_eq!(one.spend(&until(60), now), Err(ReplayError::Replayed));
}

#[tokio::test]
async fn a_full_store_refuses_until_proofs_have_ended() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let small = || SqlReplays::of(&database.url).capacity(2).clock(ManualClock::at(NOW));
        let one = ready(small()).await;
        one.spend(&proof(1, 60), NOW).unwrap();
        one.spend(&proof(2, 90), NOW).unwrap();
        assert_eq!(one.spend(&proof(3, 90), NOW), Err(ReplayError::Full));
        assert!(one.failure().unwrap().contains("2 proofs are stored"), "{:?}", one.failure());
        // Another replica counts them before it accepts a request.
        let other = small().start().unwrap();
        until(|| other.held() == 2).await;
        assert_eq!(other.spend(&proof(3, 90), NOW), Err(ReplayError::Full));
        let later = ready(SqlReplays::of(&database.url).capacity(2).clock(ManualClock::at(at(121)))).await;
        assert_eq!(later.held(), 1);
        assert_eq!(later.spend(&proof(3, 150), at(121)), Ok(()));
        assert_eq!(later.spend(&proof(4, 150), at(121)), Err(ReplayError::Full));
    }
}

#[tokio::test]
async fn many_ended_proofs_are_removed_in_one_pass() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let numbers = if database.url.starts_with("sqlite:") {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
        } else {
            "WITH n(i) AS (SELECT generate_series(1, 25000))"
        };
        let ended = NOW.unix();
        let insert =
            format!("INSERT INTO service_only_proofs (id, until) {numbers} SELECT 'p' || i, {ended} FROM n");
        database.execute(&insert).await;
        assert_eq!(replica(&database).await.held(), 25_000);
        assert_eq!(pass_at(&database, 100).await.held(), 0);
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_refuses_within_the_wait_and_then_at_once() {
    let database = Database::sqlite();
    Store::create(&database.url).await.unwrap();
    let wait = Duration::from_millis(50);
    let replays = started(SqlReplays::of(&database.url).wait_up_to(wait).clock(ManualClock::at(NOW))).await;
    let locked = database.lock().await;
    let start = Instant::now();
    for number in 0..3 {
        let refused = replays.spend(&proof(number, 60), NOW).unwrap_err();
        assert!(matches!(&refused, ReplayError::Unavailable(why) if why.contains("no answer within 50 ms")));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(replays.failure().is_some());
    let start = Instant::now();
    for number in 3..1_000 {
        assert!(matches!(replays.spend(&proof(number, 60), NOW), Err(ReplayError::Unavailable(_))));
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    locked.close().await;
    // A busy machine may need several attempts, each with a new proof.
    let next = std::cell::Cell::new(1_000);
    until(|| replays.spend(&proof(next.replace(next.get() + 1), 60), NOW).is_ok()).await;
    assert_eq!(replays.failure(), None);
}

#[tokio::test]
async fn a_missing_store_refuses_and_says_why() {
    let database = Database::sqlite();
    let replays = SqlReplays::of(&database.url).wait_up_to(SqlReplays::MAX_WAIT).start().unwrap();
    until(|| replays.failure().is_some_and(|why| why.contains("no store exists"))).await;
    assert!(matches!(replays.spend(&proof(1, 60), NOW), Err(ReplayError::Unavailable(_))));
    assert!(SqlReplays::of("mysql://db/tokens").start().is_err());
    Store::create(&database.url).await.unwrap();
    until(|| replays.failure().is_none()).await;
    assert_eq!(replays.spend(&proof(1, 60), at(0)), Ok(()));
}

#[tokio::test]
async fn a_store_of_an_older_program_gets_the_table_of_proofs() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        database.execute("DROP TABLE service_only_proofs").await;
        assert_eq!(replica(&database).await.spend(&proof(1, 60), NOW), Ok(()));
    }
}

const RACE: u32 = 300;

/// One replica. Not a test: it is started by the one below, and prints how many proofs it has accepted.
#[tokio::test]
#[ignore = "started by the test of the race"]
async fn process_of_the_race() {
    let Ok(url) = std::env::var("RACE_URL") else { return };
    let replays = ready(SqlReplays::of(url).clock(ManualClock::at(NOW))).await;
    let accepted = (0..RACE).filter(|number| match replays.spend(&proof(*number, 60), NOW) {
        Ok(()) => true,
        Err(ReplayError::Replayed) => false,
        Err(error) => panic!("{error}"),
    });
    println!("\n@accepted {}", accepted.count());
}

#[tokio::test]
async fn of_processes_that_race_with_one_proof_exactly_one_accepts_it() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "replays::process_of_the_race", "--ignored", "--nocapture"])
                .env("RACE_URL", &database.url)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children = [start(), start(), start()];
        let accepted = children.map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("@accepted ")).unwrap();
            line.parse::<u32>().unwrap()
        });
        assert_eq!(accepted.iter().sum::<u32>(), RACE, "{accepted:?}");
    }
}

#[service_only(services("billing"))]
async fn stock() {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_a_service_accept_a_proof_once_and_refuse_with_503_without_the_store() {
    const URL: &str = "https://orders.internal";
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap();
        let authority = TestAuthority::new();
        authority.clock().set(NOW);
        let mut replicas = Vec::new();
        for _ in 0..2 {
            let replays = ready(SqlReplays::of(&database.url).clock(authority.clock().clone())).await;
            let dpop = Dpop::new(URL).replay_store(replays);
            let verifier = authority.verifier_builder().dpop(dpop).build().unwrap();
            replicas.push(call(Router::new().route("/stock", get(stock)).with_state(verifier)));
        }
        let key = authority.dpop_key();
        let token = authority.service("billing").bound_to_key(&key).token();
        let new = || key.proof("GET", &format!("{URL}/stock"), &token);
        for first in [0, 1] {
            let proof = new();
            assert_allowed!(replicas[first].get("/stock").dpop(&token, &proof).await);
            for replica in &replicas {
                assert_denied!(replica.get("/stock").dpop(&token, &proof).await, 401);
                assert_eq!(authority.audit().last().unwrap().code, Some(Code::ProofMismatch));
            }
        }
        let proof = new();
        let (one, other) = tokio::join!(
            async { replicas[0].get("/stock").dpop(&token, &proof).await.status().as_u16() },
            async { replicas[1].get("/stock").dpop(&token, &proof).await.status().as_u16() },
        );
        assert_eq!([one.min(other), one.max(other)], [200, 401]);
        database.execute("DROP TABLE service_only_proofs").await;
        assert_denied!(replicas[0].get("/stock").dpop(&token, &new()).await, 503);
        assert_eq!(authority.audit().last().unwrap().code, Some(Code::ProofUnavailable));
    }
}
