//! The row that one process at a time holds.

use crate::support::{open, schema, server, url};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use stillpoint::catalog::{LeaseRow, Taken};
use stillpoint::config::CatalogPlace;

const DEADLINE: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(600);

fn row(place: &CatalogPlace) -> LeaseRow {
    LeaseRow::new(url(place), DEADLINE)
}

#[tokio::test]
async fn a_lease_is_held_by_one_until_it_ends_or_is_let_go() {
    let place = schema(server(), "");
    let (one, two) = (row(&place), row(&place));
    assert_eq!(one.take("one", LONG, "10.0.0.1").await.unwrap(), Taken::Ours);
    let Taken::Theirs { holder, note, left } = two.take("two", LONG, "10.0.0.2").await.unwrap() else {
        panic!("it is held")
    };
    assert_eq!((holder.as_str(), note.as_str()), ("one", "10.0.0.1"));
    assert!(left > LONG - Duration::from_secs(60) && left <= LONG, "{left:?}");
    assert_eq!(one.take("one", Duration::from_millis(300), "10.0.0.1").await.unwrap(), Taken::Ours, "it is renewed");
    let begun = Instant::now();
    let mut last = LONG;
    while let Taken::Theirs { left, .. } = two.take("two", LONG, "10.0.0.2").await.unwrap() {
        assert!(left <= Duration::from_millis(300) && left <= last, "{left:?} after {last:?}");
        last = left;
        assert!(begun.elapsed() < DEADLINE, "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    one.release("one").await.unwrap();
    assert!(matches!(one.take("one", LONG, "").await.unwrap(), Taken::Theirs { .. }), "it was not theirs to let go");
    two.release("two").await.unwrap();
    assert_eq!(one.take("one", LONG, "").await.unwrap(), Taken::Ours);
    open(&place).await;
    assert_eq!(one.take("one", LONG, "").await.unwrap(), Taken::Ours, "its table is none of the catalog's");
}

/// Each trusts what it took from the answer on, until nine tenths of the time after it asked.
#[tokio::test]
async fn of_many_that_want_it_no_two_ever_hold_it() {
    let place = schema(server(), "");
    let lasts = Duration::from_millis(400);
    type Trust = (usize, Instant, Instant);
    let trusted: Arc<Mutex<Vec<Trust>>> = Arc::default();
    let end = Instant::now() + Duration::from_secs(4);
    let takers = (0..12_usize).map(|taker| {
        let (row, trusted) = (row(&place), trusted.clone());
        async move {
            let (name, mut renewed) = (format!("taker-{taker}"), 0);
            while Instant::now() < end {
                let asked = Instant::now();
                if row.take(&name, lasts, "").await.unwrap() == Taken::Ours {
                    trusted.lock().unwrap().push((taker, Instant::now(), asked + lasts.mul_f64(0.9)));
                    renewed += 1;
                    // Some let it go, some vanish, some go on.
                    match (renewed + taker) % 4 {
                        0 => {
                            let last = trusted.lock().unwrap().len() - 1;
                            trusted.lock().unwrap()[last].2 = Instant::now();
                            row.release(&name).await.unwrap();
                        }
                        1 => tokio::time::sleep(lasts * 2).await,
                        _ => {}
                    }
                }
                tokio::time::sleep(Duration::from_millis(5 + taker as u64)).await;
            }
        }
    });
    futures_util::future::join_all(takers).await;
    let mut trusted = std::mem::take(&mut *trusted.lock().unwrap());
    trusted.retain(|(_, from, until)| from < until);
    trusted.sort_by_key(|(_, from, _)| *from);
    let (mut holders, mut ends) = (std::collections::BTreeSet::new(), None::<Trust>);
    for trust in &trusted {
        holders.insert(trust.0);
        if let Some(before) = ends.filter(|before| before.0 != trust.0) {
            assert!(before.2 <= trust.1, "{} and {} held it together", before.0, trust.0);
        }
        ends = Some(*trust);
    }
    assert!(holders.len() >= 3 && trusted.len() >= 10, "{} holders, {} times", holders.len(), trusted.len());
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_a_server_that_hangs_is_waited_for_no_longer_than_the_deadline() {
    let place = schema(server(), "&application_name=lease");
    let short = LeaseRow::new(url(&place), Duration::from_millis(800));
    let one = row(&place);
    assert_eq!(one.take("one", LONG, "").await.unwrap(), Taken::Ours);
    server().query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'lease'");
    assert_eq!(one.take("one", LONG, "").await.unwrap(), Taken::Ours);
    let mut hand = crate::support::raw(&place).await;
    sqlx::raw_sql("BEGIN; SELECT id FROM lease FOR UPDATE").execute(&mut hand).await.unwrap();
    let begun = Instant::now();
    short.take("one", LONG, "").await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(1800), "{:?}", begun.elapsed());
    drop(hand);
    assert_eq!(short.take("one", LONG, "").await.unwrap(), Taken::Ours);
}
