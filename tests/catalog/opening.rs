use crate::support::{
    Other, Place, append_all, consistent, events, execute, intent, open, place, places, raw, say, told,
    wait_for_the_end,
};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use stillpoint::catalog::{Catalog, CatalogError, OpenError};
use stillpoint::config::CatalogPlace;

async fn refusal(place: &CatalogPlace) -> OpenError {
    Catalog::open(place).await.expect_err("the catalog is refused")
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_holders_process() {
    let place = Place::file();
    let first = open(&place).await;
    let error = refusal(&place).await;
    let message = format!("in use by process {}; end that stillpoint first", std::process::id());
    assert!(error.to_string().ends_with(&message), "{error}");
    append_all(&first, "a", &consistent("a", "payments", 0)).await;
    first.close().await.unwrap();
    open(&place).await;
}

#[tokio::test]
async fn another_processs_catalog_is_refused_until_that_is_killed() {
    let place = Place::file();
    let mut other = Other::start("opening::holds_the_catalog", &place);
    assert_eq!(other.next().as_deref(), Some("open"));
    let error = refusal(&place).await;
    assert!(matches!(error, OpenError::InUse { pid, .. } if pid == Some(other.child.id())), "{error}");
    let reader = Catalog::read(&place).await.expect("queries run beside it");
    assert_eq!(reader.open_windows().await.unwrap().len(), 1);
    other.kill();
    let catalog = open(&place).await;
    assert_eq!(catalog.epoch(), 2, "the lock file of a dead process is no obstacle, a refused opening takes no epoch");
    assert_eq!(catalog.open_windows().await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn holds_the_catalog() {
    let Some(place) = told() else { return };
    let catalog = open(&place).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    say("open");
    wait_for_the_end();
}

#[tokio::test]
async fn the_lock_outlives_no_clone_and_no_drop_waits() {
    let place = Place::file();
    let first = open(&place).await;
    let clone = first.clone();
    drop(first);
    assert!(matches!(refusal(&place).await, OpenError::InUse { .. }));
    drop(clone);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while Catalog::open(&place).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the lock is not freed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let (directory, _) = place();
    let error = refusal(&directory.path().join("no/catalog.db").into()).await;
    assert_eq!(
        error.to_string(),
        format!("the catalog's directory {} does not exist", directory.path().join("no").display())
    );
}

#[tokio::test]
async fn a_place_that_takes_no_files_is_an_error() {
    let error = refusal(&PathBuf::from("/proc/catalog.db").into()).await;
    assert!(matches!(error, OpenError::File { action: "open", .. }), "{error:?}");
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let (_directory, path) = place();
    let place = CatalogPlace::from(path.clone());
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let catalog = open(&place).await;
    append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
    let mut names = Vec::new();
    for entry in path.parent().unwrap().read_dir().unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["catalog.db", "catalog.db-shm", "catalog.db-wal", "catalog.db.lock"]);
}

#[tokio::test]
async fn an_empty_file_becomes_a_catalog() {
    let (_directory, path) = place();
    let place = CatalogPlace::from(path.clone());
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Catalog::read(&place).await, Err(OpenError::NoCatalog(_))));
    let catalog = open(&place).await;
    append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
    assert_eq!(events(&catalog, "a").await.len(), 5);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 999, 'later', success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    for place in places() {
        open(&place).await.close().await.unwrap();
        execute(&place, later).await;
        let known = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/migrations")).unwrap().count();
        let told = format!("was made by a newer stillpoint (schema 999, this one knows {known})");
        for error in [refusal(&place).await, Catalog::read(&place).await.unwrap_err()] {
            assert!(error.to_string().ends_with(&told), "{error}");
        }
        execute(&place, "DELETE FROM _sqlx_migrations WHERE version = 999").await;
        assert_eq!(open(&place).await.epoch(), 2);
    }
}

#[tokio::test]
async fn what_is_not_a_catalog_is_refused_and_left_alone() {
    let (_directory, path) = place();
    let place = CatalogPlace::from(path.clone());
    let text = "not a database\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = refusal(&place).await;
    assert!(error.to_string().ends_with("catalog.db is not an SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::write(&path, "").unwrap();
    execute(&place, "CREATE TABLE customers (id BIGINT)").await;
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(refusal(&place).await, OpenError::NotOurs(_)));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(matches!(Catalog::read(&path.with_extension("none").into()).await, Err(OpenError::NoCatalog(_))));
}

#[tokio::test]
async fn damage_is_found_and_said() {
    let (_directory, path) = place();
    let place = CatalogPlace::from(path.clone());
    let catalog = open(&place).await;
    for index in 0..50 {
        let window = format!("w{index}");
        append_all(&catalog, &window, &consistent(&window, "payments", index)).await;
    }
    catalog.integrity_check().await.unwrap();
    catalog.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    let last = damaged.len() - 4096 * 3;
    damaged[last..].fill(0xA5);
    std::fs::write(&path, &damaged).unwrap();
    let catalog = open(&place).await;
    let error = catalog.integrity_check().await.unwrap_err();
    assert!(matches!(error, CatalogError::Damaged(_)), "{error}");
    catalog.close().await.unwrap();
    damaged[100..].fill(0xA5);
    std::fs::write(&path, &damaged).unwrap();
    let error = refusal(&place).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_dangling_reference_is_damage() {
    let place = Place::file();
    let catalog = open(&place).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    let mut connection = raw(&place).await;
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    sqlx::query("DELETE FROM windows").execute(&mut connection).await.unwrap();
    let error = catalog.integrity_check().await.unwrap_err();
    assert_eq!(error.to_string(), "the catalog is damaged: row 1 of events refers to nothing");
}

#[tokio::test]
async fn a_catalog_keeps_the_identity_that_no_other_one_has() {
    for (place, other) in places().zip(places()) {
        let catalog = open(&place).await;
        let identity = catalog.identity().to_owned();
        catalog.close().await.unwrap();
        assert_eq!(open(&place).await.identity(), identity);
        assert_ne!(open(&other).await.identity(), identity);
    }
}
