//! An asynchronous standby takes its primary's place: what it had not received is gone.

use crate::servers::postgres::Postgres;
use crate::servers::wait_until;
use crate::servers::world::new_folder;
use crate::support::{DURABLE, append_all, at, consistent, events, intent, open};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use stillpoint::catalog::{AppendError, Catalog, CatalogError, LeaseRow, OpenError, Unfit};
use stillpoint::config::CatalogPlace;
use stillpoint::window::Event;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(60);

/// An address that follows the primary, as a virtual one does.
async fn address(leads_to: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let target = leads_to.load(Ordering::Relaxed);
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_failover_that_lost_the_last_events_corrupts_nothing_and_hands_no_claim_out_twice() {
    let folder = new_folder();
    let mut primary = Postgres::start_with("primary", &folder, DURABLE);
    let standby = primary.standby("standby", &folder, DURABLE);
    let leads_to = Arc::new(AtomicU16::new(primary.port()));
    let port = address(leads_to.clone()).await;
    let place: CatalogPlace = format!("postgres://postgres@127.0.0.1:{port}/postgres").parse().unwrap();
    let at_standby: CatalogPlace = standby.url("postgres").parse().unwrap();

    let first = open(&place).await;
    let written = consistent("a", "payments", 0);
    append_all(&first, "a", &written[..1]).await;
    let sent = primary.query("SELECT pg_current_wal_lsn()");
    wait_until("the standby has it", LIMIT, || {
        (standby.query(&format!("SELECT pg_last_wal_replay_lsn() >= '{sent}'")) == "t").then_some(())
    });
    let reader = Catalog::read(&at_standby).await.expect("queries run on a standby");
    assert_eq!(reader.open_windows().await.unwrap().len(), 1);
    let refused = Catalog::open(&at_standby).await.unwrap_err();
    assert!(matches!(refused, OpenError::Unfit { source: Unfit::Standby, .. }), "{refused:?}");
    let lease = LeaseRow::new(crate::support::url(&at_standby), Duration::from_secs(5));
    let refused = lease.take("one", LIMIT, "").await.unwrap_err();
    assert!(matches!(refused, CatalogError::Unfit { source: Unfit::Standby, .. }), "{refused:?}");

    // From here on the standby receives nothing.
    standby.query("ALTER SYSTEM SET primary_conninfo = ''");
    standby.query("SELECT pg_reload_conf()");
    wait_until("the standby is cut off", LIMIT, || {
        (primary.query("SELECT COUNT(*) FROM pg_stat_replication") == "0").then_some(())
    });
    append_all(&first, "a", &written[..2]).await;
    append_all(&first, "lost", &[intent("lost", "other", 5)]).await;
    // A second process takes over, and nobody there will know of it.
    let second = open(&place).await;
    append_all(&second, "lost-too", &[intent("lost-too", "other", 6)]).await;
    primary.kill();
    standby.promote();
    leads_to.store(standby.port(), Ordering::Relaxed);

    // What was superseded on the primary is the owner again.
    let error = loop {
        match first.append("a", 2, &written[2]).await.unwrap_err() {
            error if error.outcome_unknown() => tokio::time::sleep(Duration::from_millis(50)).await,
            error => break error,
        }
    };
    assert!(matches!(error, AppendError::OutOfOrder { number: 2, next: 1, .. }), "{error:?}");
    let error = first.append("lost", 1, &Event::Paused { at: at(6) }).await.unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrder { number: 1, next: 0, .. }), "{error:?}");
    let fenced = second.append("lost-too", 1, &Event::Paused { at: at(7) }).await.unwrap_err();
    assert!(matches!(fenced, AppendError::Fenced { epoch: 2, current: 1 }), "{fenced:?}");
    assert_eq!(events(&first, "a").await, written[..1]);

    // The number that was lost is given out again, and the name tells the two apart.
    let third = open(&place).await;
    assert_eq!((second.epoch(), third.epoch()), (2, 2));
    let fenced = second.append("lost-too", 1, &Event::Paused { at: at(7) }).await.unwrap_err();
    assert!(matches!(fenced, AppendError::Fenced { epoch: 2, current: 2 }), "{fenced:?}");
    let fenced = first.append("a", 1, &written[1]).await.unwrap_err();
    assert!(matches!(fenced, AppendError::Fenced { epoch: 1, current: 2 }), "{fenced:?}");
    append_all(&third, "a", &written).await;
    assert_eq!(events(&third, "a").await, written);
    assert_eq!(third.history(None, 10).await.unwrap().len(), 1);
    third.integrity_check().await.unwrap();
}
