//! A server that cannot be a catalog's, and one that fails: cut connections, SIGKILL, SIGSTOP, a standby that is away.

use crate::servers::postgres::Postgres;
use crate::servers::world::new_folder;
use crate::support::{
    DURABLE, Other, append_all, at, consistent, database, events, execute, intent, open, raw, say, schema, server,
    told, url,
};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use stillpoint::catalog::{AppendError, Catalog, CatalogError, OpenError, READ_DEADLINE, Unfit};
use stillpoint::config::CatalogPlace;
use stillpoint::window::{APPEND_DEADLINE, Event};

/// What a busy machine adds to a deadline.
const SLACK: Duration = Duration::from_secs(1);

/// Appends until it is durable, as a window does; answers with how often that failed.
async fn insist(catalog: &Catalog, window: &str, number: u32, event: &Event) -> usize {
    let (deadline, mut failures) = (Instant::now() + Duration::from_secs(60), 0);
    loop {
        let begun = Instant::now();
        let appended = catalog.append(window, number, event).await;
        assert!(begun.elapsed() < APPEND_DEADLINE + SLACK, "it took {:?}", begun.elapsed());
        let Err(error) = appended else { return failures };
        assert!(error.outcome_unknown() && Instant::now() < deadline, "{error:?}");
        failures += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How the server calls the connections of that name.
fn backends(name: &str) -> String {
    format!("FROM pg_stat_activity WHERE application_name = '{name}' AND backend_type = 'client backend'")
}

fn cut(name: &str) -> usize {
    let cut = server().query(&format!("SELECT COUNT(pg_terminate_backend(pid, 5000)) {}", backends(name)));
    cut.parse().unwrap()
}

/// Until it is dropped, nobody writes an event.
async fn hold_events(place: &CatalogPlace) -> sqlx::AnyConnection {
    let mut hand = raw(place).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE").execute(&mut hand).await.unwrap();
    hand
}

/// Waits until a connection of that name waits for a lock.
async fn wait_until_it_waits(name: &str) {
    let asked = format!("SELECT COUNT(*) {} AND wait_event_type = 'Lock'", backends(name));
    let deadline = Instant::now() + Duration::from_secs(20);
    while server().query(&asked) == "0" {
        assert!(Instant::now() < deadline, "{name} waits for no lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_between_changes_is_made_anew_and_nobody_notices() {
    let place = schema(server(), "&application_name=cut-between");
    let catalog = open(&place).await;
    let written = consistent("a", "payments", 0);
    for (number, event) in (0u32..).zip(&written) {
        assert_eq!(catalog.open_windows().await.unwrap().len(), usize::from(number > 0));
        assert!(cut("cut-between") >= 2, "one that writes, one that reads");
        catalog.append("a", number, event).await.unwrap();
    }
    assert_eq!(events(&catalog, "a").await, written);
}

#[tokio::test]
async fn a_connection_that_is_cut_in_a_transaction_fails_it_and_it_may_be_repeated() {
    let place = schema(server(), "&application_name=cut-within");
    let catalog = open(&place).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    let hand = hold_events(&place).await;
    let paused = Event::Paused { at: at(1) };
    let meanwhile = async {
        wait_until_it_waits("cut-within").await;
        cut("cut-within");
        drop(hand);
    };
    let (appended, ()) = tokio::join!(catalog.append("a", 1, &paused), meanwhile);
    let error = appended.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    assert_eq!(insist(&catalog, "a", 1, &paused).await, 0);
    assert_eq!(events(&catalog, "a").await.len(), 2);
    catalog.integrity_check().await.unwrap();
}

/// The new leader waits for no longer than the server lets a transaction idle.
#[tokio::test]
async fn a_process_that_is_stopped_in_a_transaction_holds_the_next_leader_up_for_two_seconds_at_most() {
    let place = schema(server(), "&application_name=stopped");
    let mut other = Other::start("server::appends_when_told", &place);
    assert_eq!(other.next().as_deref(), Some("intended"));
    let hand = hold_events(&place).await;
    other.tell();
    wait_until_it_waits("stopped").await;
    other.signal(Signal::STOP);
    // Its statement goes through now, and it is not there to go on.
    drop(hand);
    let begun = Instant::now();
    let catalog = open(&place).await;
    let waited = begun.elapsed();
    println!("a stopped leader held the next one up for {waited:?}");
    assert!(waited < Duration::from_secs(2) + SLACK, "{waited:?}");
    assert_eq!(events(&catalog, "a").await.len(), 1, "what it was at is undone");
    catalog.append("a", 1, &Event::Interrupted { at: at(9) }).await.unwrap();
    other.signal(Signal::CONT);
    assert_eq!(other.next().as_deref(), Some("failed, then fenced"));
    assert_eq!(events(&catalog, "a").await.len(), 2);
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn appends_when_told() {
    let Some(place) = told() else { return };
    let catalog = open(&place).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    say("intended");
    crate::support::wait_for_the_end();
    let paused = Event::Paused { at: at(1) };
    let first = catalog.append("a", 1, &paused).await.unwrap_err();
    let second = catalog.append("a", 1, &paused).await.unwrap_err();
    let as_it_should = first.outcome_unknown() && matches!(second, AppendError::Fenced { epoch: 1, current: 2 });
    say(&if as_it_should { "failed, then fenced".to_owned() } else { format!("{first:?}, {second:?}") });
}

#[tokio::test]
async fn nothing_that_a_killed_server_acknowledged_is_lost_and_appends_go_on_when_it_is_back() {
    let mut server = Postgres::start_with("killed", &new_folder(), DURABLE);
    let place = database(&server);
    let catalog = open(&place).await;
    for round in 0..3 {
        let window = format!("w{round}");
        let written = consistent(&window, "payments", round);
        append_all(&catalog, &window, &written[..3]).await;
        server.kill();
        let begun = Instant::now();
        let error = catalog.append(&window, 3, &written[3]).await.unwrap_err();
        assert!(error.outcome_unknown() && begun.elapsed() < APPEND_DEADLINE + SLACK, "{error:?}");
        let begun = Instant::now();
        catalog.journal(&window).await.unwrap_err();
        assert!(begun.elapsed() < READ_DEADLINE + SLACK);
        server.start_again();
        assert_eq!(catalog.journal(&window).await.unwrap().len(), 3);
        insist(&catalog, &window, 3, &written[3]).await;
        append_all(&catalog, &window, &written).await;
        assert_eq!(events(&catalog, &window).await, written);
    }
    catalog.integrity_check().await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_nothing_beyond_the_deadlines() {
    let server = Postgres::start_with("hanging", &new_folder(), DURABLE);
    let place = database(&server);
    let catalog = open(&place).await;
    append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
    server.signal_all(Signal::STOP);
    let begun = Instant::now();
    let paused = Event::Paused { at: at(1) };
    let (appended, read, longest) = tokio::join!(
        catalog.append("a", 1, &paused),
        async {
            let read = catalog.history(None, 10).await;
            (read, begun.elapsed())
        },
        async {
            let mut longest = Duration::ZERO;
            for _ in 0..100 {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                longest = longest.max(begun.elapsed());
            }
            longest
        }
    );
    assert!(matches!(appended, Err(AppendError::Catalog(CatalogError::Stalled { .. }))), "{appended:?}");
    assert!(matches!(read.0, Err(CatalogError::Stalled { .. })), "{read:?}");
    assert!(read.1 < READ_DEADLINE + SLACK && longest < SLACK, "{read:?} {longest:?}");
    let closing = Instant::now();
    let other = catalog.clone();
    assert!(tokio::time::timeout(SLACK, Catalog::read(&place)).await.is_err(), "nobody answers");
    server.signal_all(Signal::CONT);
    insist(&other, "a", 1, &paused).await;
    assert_eq!(events(&catalog, "a").await.len(), 2, "a repeated append lands once");
    assert!(closing.elapsed() < Duration::from_secs(30));
    server.signal_all(Signal::STOP);
    let closing = Instant::now();
    let _ = catalog.close().await;
    assert!(closing.elapsed() < Duration::from_secs(7), "{:?}", closing.elapsed());
    server.signal_all(Signal::CONT);
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_synchronous_standby_is_away() {
    let server = Postgres::start_with("synchronous", &new_folder(), DURABLE);
    let catalog = open(&database(&server)).await;
    let waits_for = |name: &str| {
        server.query(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
        server.query("SELECT pg_reload_conf()");
    };
    waits_for("nobody");
    let begun = Instant::now();
    let mut index = 0;
    let error = loop {
        let window = format!("w{index}");
        match catalog.append(&window, 0, &intent(&window, "payments", index)).await {
            // The server heeds its settings a moment later.
            Ok(()) => assert!(begun.elapsed() < Duration::from_secs(20), "it waits for nobody"),
            Err(error) => break error,
        }
        index += 1;
    };
    assert!(matches!(error, AppendError::Catalog(CatalogError::Stalled { .. })), "{error:?}");
    let (window, written) = (format!("w{index}"), intent(&format!("w{index}"), "payments", index));
    let error = catalog.append(&window, 0, &written).await.unwrap_err();
    assert!(error.outcome_unknown(), "no limit of a statement or a lock ends the wait well: {error:?}");
    waits_for("");
    insist(&catalog, &window, 0, &written).await;
    assert_eq!(events(&catalog, &window).await.len(), 1, "a repeated append lands once");
}

#[tokio::test]
async fn commits_are_synchronous_whatever_the_role_is_set_to() {
    for set in ["off", "local", "remote_write", "on", "remote_apply"] {
        let (role, place) = (format!("commits_{set}"), schema(server(), ""));
        let role_is = format!("CREATE ROLE {role} LOGIN SUPERUSER; ALTER ROLE {role} SET synchronous_commit = '{set}'");
        server().query(&role_is);
        let mut secret = url(&place).secret().clone();
        secret.set_username(&role).unwrap();
        let place: CatalogPlace = secret.as_str().parse().unwrap();
        let catalog = open(&place).await;
        let watch = "CREATE TABLE seen (setting TEXT); \
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO seen VALUES (current_setting(''synchronous_commit'')); RETURN NEW; END'; \
             CREATE TRIGGER see BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION see()";
        execute(&place, watch).await;
        append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
        let seen: String =
            sqlx::query_scalar("SELECT setting FROM seen").fetch_one(&mut raw(&place).await).await.unwrap();
        assert_eq!(seen, if set == "remote_apply" { set } else { "on" });
    }
}

fn unfit(opened: Result<Catalog, OpenError>) -> Unfit {
    match opened {
        Err(OpenError::Unfit { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_loses_what_it_acknowledged_or_stores_no_utf8_is_refused() {
    let careless = Postgres::start("careless", &new_folder());
    assert_eq!(unfit(Catalog::open(&database(&careless)).await), Unfit::NoFsync);
    server().query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
    let latin = server().url("latin").parse().unwrap();
    assert_eq!(unfit(Catalog::open(&latin).await), Unfit::Encoding("LATIN1".into()));
    let nowhere = server().url("postgres?options=-c%20search_path%3Dnowhere").parse().unwrap();
    assert_eq!(unfit(Catalog::open(&nowhere).await), Unfit::NoSchema);
    let none = server().url("none").parse().unwrap();
    let error = Catalog::open(&none).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(matches!(error, OpenError::Database { .. }) && source.contains("\"none\" does not exist"), "{error:?}");
}

#[tokio::test]
async fn what_another_program_has_on_a_server_is_left_alone() {
    let place = schema(server(), "");
    assert!(matches!(Catalog::read(&place).await, Err(OpenError::NoCatalog(_))));
    execute(&place, "CREATE TABLE customers (id BIGINT)").await;
    assert!(matches!(Catalog::open(&place).await, Err(OpenError::NotOurs(_))));
    execute(&place, "DROP TABLE customers").await;
    let catalog = open(&place).await;
    assert!(catalog.size_bytes().await.unwrap() > 8192);
    execute(&place, "CREATE TABLE customers (id BIGINT)").await;
    drop(catalog);
    assert_eq!(open(&place).await.epoch(), 2, "it is ours all the same");
}

#[tokio::test]
async fn a_row_that_its_journal_contradicts_is_damage_on_a_server() {
    let place = schema(server(), "");
    let catalog = open(&place).await;
    append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
    append_all(&catalog, "b", &[intent("b", "payments", 100)]).await;
    catalog.integrity_check().await.unwrap();
    execute(&place, "UPDATE windows SET restore_point = restore_point + 1 WHERE window_id = 'a'").await;
    execute(&place, "UPDATE events SET number = 7 WHERE window_id = 'b'").await;
    let error = catalog.integrity_check().await.unwrap_err();
    let told = "the catalog is damaged: the journal of window b lacks event 0; a row of the catalog cannot be read: the \
                row of window a is not what its journal says";
    assert_eq!(error.to_string(), told);
}
