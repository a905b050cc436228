//! Full, read-only and hanging disks, each in a child process: with a mount namespace or a tracer of its own, so that
//! nothing is left behind.

use crate::support::{
    Other, append_all, at, consistent, events, intent, journals, open, place, say, told, wait_for_the_end,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use stillpoint::catalog::{AppendError, Catalog, CatalogError, OpenError};
use stillpoint::config::CatalogPlace;
use stillpoint::window::{APPEND_DEADLINE, Event};

/// Runs one ignored test in a mount namespace of its own, after `setup` (where `$0` is the directory).
fn confined(setup: &str, test: &str) {
    let (directory, path) = place();
    let binary = std::env::current_exe().unwrap();
    let script = format!("set -e; {setup}; exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]).arg(directory.path()).arg(binary);
    let mut other = Other::run(command, test, &path.into());
    let last = std::iter::from_fn(|| other.next()).last();
    assert_eq!(last.as_deref(), Some("passed"), "the child's own output says why");
}

/// In the child: which file the parent wants for the catalog.
fn told_file() -> Option<PathBuf> {
    match told()? {
        CatalogPlace::Sqlite(path) => Some(path),
        CatalogPlace::Postgres(_) => panic!("a disk is to be filled, not a server"),
    }
}

async fn open_file(path: &Path) -> Catalog {
    open(&path.to_path_buf().into()).await
}

const SMALL: &str = "mount -t tmpfs -o size=4m none \"$0\"";

#[test]
fn a_full_disk_fails_appends_in_time_and_they_work_again_when_it_has_room() {
    confined(SMALL, "disk::fills_the_disk");
}

#[test]
fn recovery_reads_its_intents_on_a_full_disk_after_kill_nine() {
    confined(SMALL, "disk::dies_on_a_full_disk");
}

#[test]
fn a_filesystem_that_turned_read_only_is_an_error_and_its_intents_can_be_read() {
    confined(SMALL, "disk::opens_in_a_read_only_directory");
}

#[test]
fn a_read_only_file_is_an_error_at_opening() {
    let setup = format!(
        "{SMALL}; : > \"$0/catalog.db\"; chmod 600 \"$0/catalog.db\"; mount --bind \"$0/catalog.db\" \"$0/catalog.db\"; mount -o remount,ro,bind \"$0/catalog.db\""
    );
    confined(&setup, "disk::opens_a_read_only_file");
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut ballast = std::fs::File::create(path.with_extension("ballast")).unwrap();
    for block in [65536, 4096, 1] {
        while ballast.write_all(&vec![0; block]).is_ok() {}
    }
}

fn make_room(path: &Path) {
    std::fs::remove_file(path.with_extension("ballast")).unwrap();
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn fills_the_disk() {
    let Some(path) = told_file() else { return };
    let catalog = open_file(&path).await;
    append_all(&catalog, "before", &consistent("before", "payments", 0)).await;
    for round in 0..3 {
        fill(&path);
        let mut failed = None;
        for index in 0..1000 {
            let window = format!("w-{round}-{index}");
            let begun = Instant::now();
            let result = catalog.append(&window, 0, &intent(&window, "payments", index)).await;
            assert!(begun.elapsed() < APPEND_DEADLINE + Duration::from_secs(1));
            if let Err(error) = result {
                assert!(error.outcome_unknown(), "{error}");
                let text = format!("{:?}", error);
                assert!(text.contains("full"), "{text}");
                failed = Some((window, intent(&format!("w-{round}-{index}"), "payments", index)));
                break;
            }
        }
        let (window, event) = failed.expect("a full disk fails an append");
        assert_eq!(events(&catalog, "before").await.len(), 5, "reads go on");
        assert!(catalog.start_slot("ledger", at(round)).await.is_err());
        make_room(&path);
        catalog.append(&window, 0, &event).await.expect("there is room again");
        catalog.append(&window, 0, &event).await.expect("and it is idempotent");
        assert!(catalog.start_slot("ledger", at(round)).await.unwrap());
    }
    catalog.integrity_check().await.unwrap();
    say("passed");
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn dies_on_a_full_disk() {
    let Some(path) = told_file() else { return };
    let mut other = Other::start("disk::leaves_an_intent", &path.clone().into());
    assert_eq!(other.next().as_deref(), Some("intended"));
    fill(&path);
    other.kill();
    let reader = Catalog::read(&path.clone().into()).await.expect("queries need no room");
    assert_eq!(journals(&reader).await, [("a".to_owned(), vec![intent("a", "payments", 0)])]);
    let error = Catalog::open(&path.clone().into()).await.expect_err("an epoch needs room");
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    assert!(format!("{error:?}").contains("full"), "{error:?}");
    make_room(&path);
    let catalog = open_file(&path).await;
    catalog.append("a", 1, &Event::Interrupted { at: at(9) }).await.unwrap();
    say("passed");
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn leaves_an_intent() {
    let Some(path) = told_file() else { return };
    let catalog = open_file(&path).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    say("intended");
    wait_for_the_end();
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn opens_in_a_read_only_directory() {
    let Some(path) = told_file() else { return };
    let mut other = Other::start("disk::leaves_an_intent", &path.clone().into());
    assert_eq!(other.next().as_deref(), Some("intended"));
    other.kill();
    let mount = Command::new("mount").args(["-o", "remount,ro"]).arg(path.parent().unwrap()).status().unwrap();
    assert!(mount.success());
    let error = Catalog::open(&path.clone().into()).await.unwrap_err();
    let OpenError::File { action: "open", source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let reader = Catalog::read(&path.clone().into()).await.expect("queries write nothing");
    assert_eq!(journals(&reader).await, [("a".to_owned(), vec![intent("a", "payments", 0)])]);
    say("passed");
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn opens_a_read_only_file() {
    let Some(path) = told_file() else { return };
    let error = Catalog::open(&path.clone().into()).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    assert!(format!("{error:?}").contains("readonly"), "{error:?}");
    say("passed");
}

#[test]
fn a_hanging_disk_holds_up_one_append_and_nothing_else() {
    let (_directory, path) = place();
    let mut other = Other::start("disk::hangs_in_fsync", &path.into());
    let last = std::iter::from_fn(|| other.next()).last();
    assert_eq!(last.as_deref(), Some("passed"), "the child's own output says why");
}

/// From here on every fsync of this process takes three seconds more.
fn hang(path: &Path) -> std::process::Child {
    let log = path.with_extension("strace");
    let child = Command::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=3000000", "-o"])
        .arg(&log)
        .args(["-p", &std::process::id().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is installed");
    let deadline = Instant::now() + Duration::from_secs(10);
    let tasks = Path::new("/proc/self/task");
    let traced = |status: String| !status.contains("TracerPid:\t0\n");
    while !tasks.read_dir().unwrap().all(|task| {
        // A thread may end while it is looked at.
        std::fs::read_to_string(task.unwrap().path().join("status")).map_or(true, traced)
    }) {
        assert!(Instant::now() < deadline, "strace does not attach");
        std::thread::yield_now();
    }
    child
}

#[test]
#[ignore = "a child process of another test"]
fn hangs_in_fsync() {
    let Some(path) = told_file() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut tracer = None;
    let catalog = runtime.block_on(async {
        let catalog = open_file(&path).await;
        append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
        tracer = Some(hang(&path));
        let paused = Event::Paused { at: at(1) };
        let append = catalog.append("a", 1, &paused);
        let beside = async {
            let mut longest = Duration::ZERO;
            for _ in 0..100 {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                longest = longest.max(begun.elapsed());
                assert_eq!(catalog.open_windows().await.unwrap()[0].events.len(), 1, "reads see what is durable");
            }
            longest
        };
        let (result, longest) = tokio::join!(append, beside);
        assert!(matches!(result, Err(AppendError::Catalog(CatalogError::Stalled { .. }))), "{result:?}");
        assert!(longest < Duration::from_secs(1), "the runtime stood still for {longest:?}");
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = catalog.append("a", 1, &paused).await {
            assert!(error.outcome_unknown() && Instant::now() < deadline, "{error}");
        }
        assert_eq!(events(&catalog, "a").await.len(), 2, "a repeated append lands once");
        let hold_over = consistent("a", "payments", 0).remove(2);
        let begun = tokio::time::timeout(Duration::from_millis(200), catalog.append("a", 2, &hold_over)).await;
        assert!(begun.is_err(), "the disk hangs again");
        catalog
    });
    let begun = Instant::now();
    drop(catalog);
    drop(runtime);
    let ended = begun.elapsed();
    let mut tracer = tracer.unwrap();
    // The tracer goes first: it would keep this process from ending.
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    assert!(ended < Duration::from_secs(1), "dropping waited {ended:?} for the disk");
    say("passed");
}
