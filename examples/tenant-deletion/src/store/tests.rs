use super::*;
use crate::catalogue::{SERVICES, find};

fn seeded(service: &'static Service) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(service, directory.path().join("test.db"), Contents::Demonstration).unwrap();
    (directory, store)
}

const BY: AskedBy<'static> = AskedBy { service: "tenant-deletion-orchestrator", token_id: Some("a-jti") };

#[test]
fn every_table_of_every_service_has_records_of_both_tenants() {
    for service in &SERVICES {
        let (_directory, store) = seeded(service);
        for tenant in [LEAVING, STAYING] {
            let records = store.count(tenant.id).unwrap();
            assert_eq!(records.tables.len(), service.tables.len());
            assert!(records.tables.values().all(|&count| count > 0), "{service}: {records:?}");
        }
    }
}

#[test]
fn deletion_removes_the_previewed_records_and_no_others() {
    for service in &SERVICES {
        let (_directory, store) = seeded(service);
        let (preview, other) = (store.count(LEAVING.id).unwrap(), store.count(STAYING.id).unwrap());
        assert_eq!(store.delete(LEAVING.id, BY).unwrap(), preview);
        assert_eq!(store.count(LEAVING.id).unwrap().total, 0);
        assert_eq!(store.count(STAYING.id).unwrap(), other);
    }
}

#[test]
fn second_deletion_deletes_nothing_and_reports_the_first() {
    let (_directory, store) = seeded(find("orders").unwrap());
    let first = store.delete(LEAVING.id, BY).unwrap();
    let second = store.delete(LEAVING.id, BY).unwrap();
    assert_eq!((second.total, second.previously_deleted), (0, first.total));
    let rows: i64 =
        raw(&store).query_row("SELECT count(*) FROM tenant_deletions", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn deletion_that_fails_halfway_deletes_nothing() {
    let (_directory, store) = seeded(find("orders").unwrap());
    let before = store.count(LEAVING.id).unwrap();
    // `customers` comes last; by then four tables are empty.
    raw(&store)
        .execute_batch(
            "CREATE TRIGGER legal_hold BEFORE DELETE ON customers BEGIN SELECT raise(ABORT, 'legal hold'); END;",
        )
        .unwrap();
    let error = store.delete(LEAVING.id, BY).unwrap_err();
    assert!(error.to_string().contains("legal hold"), "{error}");
    assert_eq!(store.count(LEAVING.id).unwrap(), before);
}

#[test]
fn tables_that_belong_to_no_tenant_are_not_touched() {
    let (_directory, store) = seeded(find("inventory").unwrap());
    store.delete(LEAVING.id, BY).unwrap();
    store.delete(STAYING.id, BY).unwrap();
    let units: i64 = raw(&store).query_row("SELECT count(*) FROM units", [], |row| row.get(0)).unwrap();
    assert_eq!(units, 3);
}

#[test]
fn table_that_the_catalogue_does_not_list_is_refused() {
    let (_directory, store) = seeded(find("pos").unwrap());
    raw(&store).execute_batch("CREATE TABLE refunds (id TEXT, tenant_id TEXT);").unwrap();
    assert!(matches!(store.check(), Err(StoreError::UnlistedTable { .. })));
    let reopened = Store::open(store.service(), store.path(), Contents::Empty);
    assert!(reopened.unwrap_err().to_string().contains("refunds"));
}

#[test]
fn restart_does_not_bring_a_deleted_tenant_back() {
    let (_directory, store) = seeded(find("sales").unwrap());
    store.delete(LEAVING.id, BY).unwrap();
    let restarted = Store::open(store.service(), store.path(), Contents::Demonstration).unwrap();
    assert_eq!(restarted.count(LEAVING.id).unwrap().total, 0);
}

#[test]
fn removed_database_is_an_error_and_not_recreated() {
    let (directory, store) = seeded(find("recipes").unwrap());
    drop(directory);
    assert!(store.count(LEAVING.id).is_err());
}

fn raw(store: &Store) -> Connection {
    Connection::open(store.path()).unwrap()
}
