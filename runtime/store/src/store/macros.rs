//! Runs the same operation on either database: written once, compiled for both.

/// Runs an operation on the store's pool, with a timeout.
macro_rules! on_pool {
    ($store:expr, $pool:ident => $work:expr) => {
        on_pool!($store, within $crate::store::WORK_TIMEOUT, $pool => $work)
    };
    ($store:expr, within $limit:expr, $pool:ident => $work:expr) => {{
        let work = async {
            Ok::<_, $crate::store::error::Fault>(match &$store.pool {
                $crate::store::Pool::Sqlite($pool) => $work,
                $crate::store::Pool::Postgres($pool) => $work,
            })
        };
        $store.bounded($limit, work).await
    }};
}

/// Does the same in a transaction, which an error or the timeout rolls back.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $work:expr) => {
        in_transaction!($store, within $crate::store::WORK_TIMEOUT, $tx => $work)
    };
    ($store:expr, within $limit:expr, $tx:ident => $work:expr) => {
        on_pool!($store, within $limit, pool => {
            // With a plain `BEGIN`, SQLite would notice another writer only halfway. PostgreSQL has only one
            // `BEGIN`.
            let begin = if $store.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
            let mut $tx = pool.begin_with(begin).await?;
            let done = $work;
            $tx.commit().await?;
            done
        })
    };
}
