//! The same work on either database: written once, compiled for both.

/// Runs a piece of work with the pool that there is, bounded in time.
macro_rules! on_pool {
    ($store:expr, $pool:ident => $work:expr) => {{
        let work = async {
            Ok::<_, $crate::store::error::Fault>(match &$store.pool {
                $crate::store::Pool::Sqlite($pool) => $work,
                $crate::store::Pool::Postgres($pool) => $work,
            })
        };
        $store.bounded(work).await
    }};
}

/// The same in a transaction, which an error or the end of patience rolls back.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $work:expr) => {
        on_pool!($store, pool => {
            // SQLite would find out in the middle that somebody else writes. PostgreSQL has one way to begin.
            let begin = if $store.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
            let mut $tx = pool.begin_with(begin).await?;
            let done = $work;
            $tx.commit().await?;
            done
        })
    };
}
