use crate::support::{
    Other, append_all, at, consistent, discarded, execute, intent, open, places, query_plan, raw, refused, say, told,
    wait_for_the_end,
};
use std::collections::BTreeMap;
use std::time::Instant;
use stillpoint::catalog::{Catalog, CatalogError, Known, Materialized};
use stillpoint::config::CatalogPlace;
use stillpoint::stores::{Capture, Part};
use stillpoint::tracking::copy::{Copy, Step};
use stillpoint::tracking::track::{State, Track};

fn capture(tables: usize) -> Capture {
    let part = |index: usize| Part {
        identity: format!("id-{index}"),
        arn: format!("arn:aws:dynamodb:ap-northeast-1:123456789012:table/orders.t{index}"),
        bytes: Some(1_000_000),
        settings: serde_json::json!({"Tags": "x".repeat(1300)}),
    };
    Capture {
        kind: "dynamodb".into(),
        account: "123456789012".into(),
        region: "ap-northeast-1".into(),
        parts: (0..tables).map(|index| (format!("orders.t{index}"), part(index))).collect(),
        notes: vec!["one is left out".into()],
    }
}

fn copy(window: &str, source: &str) -> Copy {
    let arn = format!("arn:aws:dynamodb:ap-northeast-1:123456789012:table/{source}");
    Copy::waiting(source, &arn, window, at(6), format!("stillpoint-0123456789abcdef-{window}-{source}"))
}

fn done(copy: &Copy) -> Copy {
    let (arn, bytes) = (Some(format!("arn:{}", copy.name)), Some(100));
    Copy { step: Step::Done, arn, bytes, made: Some(at(9)), ..copy.clone() }
}

/// A restore point of one store, `orders` of the group `payments`.
async fn point(catalog: &Catalog, window: &str, second: i64) -> Track {
    catalog.capture(window, "orders", &capture(2)).await.unwrap();
    append_all(catalog, window, &consistent(window, "payments", second)).await;
    catalog.tracks(window).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_consistent_window_begins_one_track_for_each_captured_store() {
    for place in places() {
        let catalog = open(&place).await;
        for store in ["orders", "billing"] {
            catalog.capture("a", store, &capture(1)).await.unwrap();
        }
        catalog.capture("a", "orders", &capture(3)).await.unwrap();
        let written = consistent("a", "payments", 0);
        append_all(&catalog, "a", &written[..4]).await;
        assert_eq!(catalog.tracks("a").await.unwrap(), [], "none before the verdict");
        catalog.append("a", 4, &written[4]).await.unwrap();
        let track = |store: &str| Track::new("a".into(), "payments".into(), store.into(), at(6));
        assert_eq!(catalog.tracks("a").await.unwrap(), [track("billing"), track("orders")]);
        assert_eq!(catalog.capture_of("a", "orders").await.unwrap(), Some(capture(3)), "the last one stands");
        assert_eq!(catalog.capture_of("a", "none").await.unwrap(), None);
        let late = catalog.capture("a", "orders", &capture(1)).await.unwrap_err();
        assert!(matches!(late, CatalogError::Ended(window) if window == "a"));
        catalog.close().await.unwrap();
        let catalog = open(&place).await;
        assert_eq!(catalog.tracks("a").await.unwrap(), [track("billing"), track("orders")]);
        assert_eq!(catalog.capture_of("a", "orders").await.unwrap(), Some(capture(3)));
        catalog.integrity_check().await.unwrap();
    }
}

#[tokio::test]
async fn a_repeated_verdict_leaves_a_track_where_it_is() {
    for place in places() {
        let catalog = open(&place).await;
        let mut track = point(&catalog, "a", 0).await;
        track.state = State::Restorable;
        catalog.save_track(&track).await.unwrap();
        append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
        assert_eq!(catalog.tracks("a").await.unwrap(), [track]);
    }
}

#[tokio::test]
async fn the_captures_of_a_window_without_a_point_go_with_its_verdict() {
    for place in places() {
        let catalog = open(&place).await;
        for (window, events) in [("a", discarded("a", "payments", 0)), ("b", vec![refused("b", "payments", 1)])] {
            catalog.capture(window, "orders", &capture(1)).await.unwrap();
            append_all(&catalog, window, &events).await;
            assert_eq!(catalog.capture_of(window, "orders").await.unwrap(), None);
            assert_eq!(catalog.tracks(window).await.unwrap(), []);
        }
        assert_eq!(catalog.drop_stray_captures().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_crash_between_capture_and_verdict_leaves_a_capture_only_as_long_as_it_serves() {
    for place in places() {
        let mut other = Other::start("tracking::captures_and_waits", &place);
        assert_eq!(other.next().as_deref(), Some("captured"));
        other.kill();
        let catalog = open(&place).await;
        assert_eq!(catalog.capture_of("intended", "orders").await.unwrap(), Some(capture(2)), "it was acknowledged");
        catalog.capture("mine", "orders", &capture(1)).await.unwrap();
        assert_eq!(catalog.drop_stray_captures().await.unwrap(), 1);
        assert_eq!(catalog.capture_of("unborn", "orders").await.unwrap(), None);
        assert!(catalog.capture_of("mine", "orders").await.unwrap().is_some(), "this process is at it");
        assert!(catalog.capture_of("intended", "orders").await.unwrap().is_some(), "recovery is to end it");
        append_all(&catalog, "intended", &discarded("intended", "payments", 0)).await;
        assert_eq!(catalog.capture_of("intended", "orders").await.unwrap(), None);
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn captures_and_waits() {
    let Some(place) = told() else { return };
    let catalog = open(&place).await;
    catalog.capture("unborn", "orders", &capture(2)).await.unwrap();
    catalog.capture("intended", "orders", &capture(2)).await.unwrap();
    append_all(&catalog, "intended", &[intent("intended", "payments", 0)]).await;
    say("captured");
    wait_for_the_end();
}

#[tokio::test]
async fn copies_begin_with_their_track_and_are_saved_step_by_step() {
    for place in places() {
        let catalog = open(&place).await;
        let mut track = point(&catalog, "a", 0).await;
        track.state = State::Materializing;
        let (first, second) = (copy("a", "t1"), copy("a", "t2"));
        catalog.begin_copies(&track, std::slice::from_ref(&first)).await.unwrap();
        let restoring = Copy { step: Step::Restoring, begun: Some(at(7)), ..first.clone() };
        catalog.save_copy("orders", &restoring).await.unwrap();
        catalog.begin_copies(&track, &[first.clone(), second.clone()]).await.unwrap();
        assert_eq!(catalog.copies("a", "orders").await.unwrap(), [restoring, second.clone()], "what there is stays");
        assert_eq!(catalog.tracks("a").await.unwrap()[0].state, State::Materializing);
        let counts = BTreeMap::from([(Step::Waiting, 1), (Step::Restoring, 1)]);
        assert_eq!(catalog.copy_counts("a", "orders").await.unwrap(), counts);
        assert_eq!(catalog.materialized("payments", "orders").await.unwrap(), Materialized::default());
        for _ in 0..2 {
            catalog.save_copy("orders", &done(&first)).await.unwrap();
        }
        let one = Materialized { backups: 1, backup_bytes: 100, restored: 1, restored_bytes: 100 };
        assert_eq!(catalog.materialized("payments", "orders").await.unwrap(), one, "a repeated save is counted once");
        catalog.save_copy("orders", &Copy { step: Step::Expired, ..done(&first) }).await.unwrap();
        let gone = Materialized { backups: 0, backup_bytes: 0, ..one };
        assert_eq!(catalog.materialized("payments", "orders").await.unwrap(), gone, "what was restored was paid for");
        catalog.close().await.unwrap();
        let catalog = open(&place).await;
        assert_eq!(catalog.copies("a", "orders").await.unwrap()[0].step, Step::Expired);
        catalog.integrity_check().await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_goes_back_only_to_wait_again_after_it_failed() {
    for place in places() {
        let catalog = open(&place).await;
        let track = point(&catalog, "a", 0).await;
        let first = copy("a", "t1");
        catalog.begin_copies(&track, std::slice::from_ref(&first)).await.unwrap();
        let mut refused = 0;
        for from in Step::ALL {
            for to in Step::ALL {
                let stands = Copy { step: *from, ..first.clone() };
                let body = serde_json::to_string(&stands).unwrap();
                let query = sqlx::query("UPDATE copies SET step = $1, body = $2").bind(from.name()).bind(body);
                query.execute(&mut raw(&place).await).await.unwrap();
                let result = catalog.save_copy("orders", &Copy { step: *to, ..first.clone() }).await;
                if to >= from || (*from, *to) == (Step::Failed, Step::Waiting) {
                    result.unwrap();
                } else {
                    refused += 1;
                    assert!(matches!(result, Err(CatalogError::Backwards { .. })), "{from:?} to {to:?}: {result:?}");
                    assert_eq!(catalog.copies("a", "orders").await.unwrap(), [stands]);
                }
            }
        }
        assert_eq!(refused, 27);
    }
}

#[tokio::test]
async fn what_was_not_begun_cannot_be_saved() {
    for place in places() {
        let catalog = open(&place).await;
        let track = point(&catalog, "a", 0).await;
        let stray = Track { store: "other".into(), ..track.clone() };
        let error = catalog.save_track(&stray).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no track of store other in window a to save");
        assert!(catalog.begin_copies(&stray, &[copy("a", "t1")]).await.is_err());
        assert_eq!(catalog.copies("a", "other").await.unwrap(), [], "all of it or nothing");
        let error = catalog.save_copy("orders", &copy("a", "t1")).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no copy of t1 of store orders in window a to save");
        let twice = Copy { name: copy("a", "t1").name, ..copy("a", "t2") };
        let error = catalog.begin_copies(&track, &[copy("a", "t1"), twice]).await.unwrap_err();
        assert!(format!("{error:?}").to_lowercase().contains("unique"), "a name is given once: {error:?}");
        assert!(catalog.begin_copies(&track, &[copy("b", "t1")]).await.is_err(), "a copy of another window");
        assert_eq!(catalog.copies("a", "orders").await.unwrap(), []);
        catalog.begin_copies(&track, &[copy("a", "t1")]).await.unwrap();
        let renamed = Copy { name: "another".into(), ..copy("a", "t1") };
        assert!(catalog.save_copy("orders", &renamed).await.is_err(), "a name is what it is found by");
    }
}

#[tokio::test]
async fn an_older_epoch_tracks_nothing_more() {
    for place in places() {
        let catalog = open(&place).await;
        let track = point(&catalog, "a", 0).await;
        catalog.begin_copies(&track, &[copy("a", "t1")]).await.unwrap();
        catalog.capture("stray", "orders", &capture(1)).await.unwrap();
        execute(&place, "UPDATE leader SET epoch = epoch + 1").await;
        for result in [
            catalog.capture("b", "orders", &capture(1)).await,
            catalog.save_track(&track).await,
            catalog.begin_copies(&track, &[copy("a", "t2")]).await,
            catalog.save_copy("orders", &done(&copy("a", "t1"))).await,
            catalog.drop_stray_captures().await.map(|_| ()),
        ] {
            assert!(matches!(result, Err(CatalogError::Fenced { epoch: 1, current: 2 })), "{result:?}");
        }
        assert_eq!(catalog.copies("a", "orders").await.unwrap(), [copy("a", "t1")]);
        assert_eq!(catalog.capture_of("b", "orders").await.unwrap(), None);
    }
}

#[tokio::test]
async fn points_come_with_their_tracks_and_are_found_by_window_and_instant() {
    for place in places() {
        let catalog = open(&place).await;
        let first = point(&catalog, "a", 0).await;
        let mut second = point(&catalog, "b", 100).await;
        append_all(&catalog, "c", &consistent("c", "other", 100)).await;
        second.state = State::Lost;
        catalog.save_track(&second).await.unwrap();
        let shown = |points: Vec<stillpoint::catalog::Point>| {
            points.into_iter().map(|point| (point.window.window, point.tracks)).collect::<Vec<_>>()
        };
        let (a, b, c) =
            (("a".to_owned(), vec![first.clone()]), ("b".to_owned(), vec![second.clone()]), ("c".to_owned(), vec![]));
        assert_eq!(shown(catalog.points(None, 10).await.unwrap()), [c.clone(), b.clone(), a.clone()]);
        assert_eq!(shown(catalog.points(Some("payments"), 1).await.unwrap()), std::slice::from_ref(&b));
        assert_eq!(catalog.live_tracks("payments", "orders").await.unwrap(), [first], "the lost one is over");
        assert_eq!(shown(catalog.point("a", None).await.unwrap()), std::slice::from_ref(&a));
        assert_eq!(shown(catalog.point(&at(6).to_string(), None).await.unwrap()), [a]);
        let instant = at(106).to_string();
        assert_eq!(shown(catalog.point(&instant, None).await.unwrap()), [c.clone(), b]);
        assert_eq!(shown(catalog.point(&instant, Some("other")).await.unwrap()), [c]);
        assert_eq!(catalog.point("a", Some("other")).await.unwrap(), []);
        assert_eq!(catalog.point("none", None).await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_names_of_all_copies_are_known() {
    for place in places() {
        let catalog = open(&place).await;
        let track = point(&catalog, "a", 0).await;
        let copies: Vec<Copy> = (0..10_500).map(|index| copy("a", &format!("t{index:05}"))).collect();
        catalog.begin_copies(&track, &copies).await.unwrap();
        catalog.save_copy("orders", &done(&copies[7])).await.unwrap();
        let (first, last) = (&copies[3].name, &copies[10_400].name);
        let known = catalog.known_names(first, last).await.unwrap();
        assert_eq!(known.len(), 10_398);
        assert_eq!(known[&copies[7].name], Known { step: Step::Done, backup_arn: done(&copies[7]).arn });
        assert_eq!(known[last], Known { step: Step::Waiting, backup_arn: None });
        assert!(!known.contains_key(&copies[2].name) && known.contains_key(first));
    }
}

#[tokio::test]
async fn a_damaged_body_is_named() {
    for place in places() {
        let catalog = open(&place).await;
        let track = point(&catalog, "a", 0).await;
        catalog.begin_copies(&track, &[copy("a", "t1")]).await.unwrap();
        let said = |result: CatalogError| result.to_string();
        execute(&place, "UPDATE copies SET step = 'done'").await;
        let told = said(catalog.copies("a", "orders").await.unwrap_err());
        assert!(told.contains("the copy of t1 of store orders in window a is of"), "{told}");
        for table in ["UPDATE captures SET body = '{'", "UPDATE tracks SET body = '{'", "UPDATE copies SET body = '{'"]
        {
            execute(&place, table).await;
        }
        let capture = said(catalog.capture_of("a", "orders").await.unwrap_err());
        assert_eq!(capture, "the capture of store orders in window a cannot be read");
        for error in [
            catalog.tracks("a").await.map(|_| ()),
            catalog.live_tracks("payments", "orders").await.map(|_| ()),
            catalog.points(None, 10).await.map(|_| ()),
        ] {
            assert_eq!(said(error.unwrap_err()), "the track of store orders in window a cannot be read");
        }
        let copies = said(catalog.copies("a", "orders").await.unwrap_err());
        assert_eq!(copies, "the copy of t1 of store orders in window a cannot be read");
    }
}

/// Timings are printed for the record; the plans must go by an index.
#[tokio::test]
async fn a_thousand_tables_and_a_hundred_thousand_points_are_read_by_index() {
    for place in places() {
        let catalog = open(&place).await;
        let begun = Instant::now();
        catalog.capture("a", "orders", &capture(1000)).await.unwrap();
        let captured = begun.elapsed();
        let track = point_of(&catalog).await;
        let copies: Vec<Copy> = (0..1000).map(|index| copy("a", &format!("orders.t{index:04}"))).collect();
        let begun = Instant::now();
        catalog.begin_copies(&track, &copies).await.unwrap();
        let began = begun.elapsed();
        let mut saves: Vec<_> = Vec::new();
        for copy in &copies {
            let begun = Instant::now();
            catalog.save_copy("orders", &done(copy)).await.unwrap();
            saves.push(begun.elapsed());
        }
        saves.sort();
        let begun = Instant::now();
        assert_eq!(catalog.capture_of("a", "orders").await.unwrap().unwrap().parts.len(), 1000);
        let read = begun.elapsed();
        assert_eq!(catalog.copies("a", "orders").await.unwrap().len(), 1000);
        let listed = begun.elapsed() - read;
        println!(
            "1,000 tables: capture {captured:?}, read {read:?}; begin copies {began:?}, list {listed:?}; \
         save copy p50 {:?} p99 {:?}",
            saves[500], saves[990]
        );
        fill(&place).await;
        for _ in 0..2 {
            let begun = Instant::now();
            assert_eq!(catalog.points(None, 20).await.unwrap().len(), 20);
            let all = begun.elapsed();
            assert_eq!(catalog.points(Some("group-7"), 20).await.unwrap()[0].tracks.len(), 3);
            let group = begun.elapsed() - all;
            assert_eq!(catalog.live_tracks("group-7", "s1").await.unwrap().len(), 25);
            let live = begun.elapsed() - all - group;
            assert_eq!(catalog.point("old-77", None).await.unwrap().len(), 1);
            let one = begun.elapsed() - all - group - live;
            println!("100,000 windows: 20 points {all:?}, of a group {group:?}, 25 live tracks {live:?}, one {one:?}");
        }
        plans(&place).await;
    }
}

async fn point_of(catalog: &Catalog) -> Track {
    append_all(catalog, "a", &consistent("a", "payments", 0)).await;
    catalog.tracks("a").await.unwrap().remove(0)
}

/// 100,000 restore points of 20 groups with 3 stores each; the newest 25 of each group's are live.
async fn fill(place: &CatalogPlace) {
    let mut connection = raw(place).await;
    for statement in [
        "INSERT INTO windows WITH RECURSIVE n(i) AS \
         (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 99999) \
         SELECT 'old-' || i, 'group-' || (i % 20), 'schedule', i * 1000000, i * 1000000, 'closed', 'consistent', \
         '[]', 'address', i * 1000000, i * 1000000, i * 1000000, 11000000, 12 FROM n",
        "INSERT INTO tracks (window_id, store_name, group_name, restore_point, state, changed_at, epoch, body) \
         WITH RECURSIVE s(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM s WHERE j < 3), \
         t AS (SELECT window_id, 's' || j AS store, group_name, restore_point, \
         CASE WHEN restore_point < 99500000000 THEN 'expired' ELSE 'restorable' END AS state \
         FROM windows, s WHERE window_id LIKE 'old-%') \
         SELECT window_id, store, group_name, restore_point, state, 0, 1, '{\"window\":\"' || window_id || \
         '\",\"group\":\"' || group_name || '\",\"store\":\"' || store || '\",\"state\":\"' || state || \
         '\",\"point\":\"2027-01-15T08:00:06Z\",\"reason\":null,\"latest\":null,\"checked\":null,\"restorable\":null,\
         \"materialized\":null,\"expires\":null,\"materialize\":null}' FROM t",
        "ANALYZE",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
}

async fn plans(place: &CatalogPlace) {
    let mut connection = raw(place).await;
    for query in [
        "SELECT * FROM tracks WHERE group_name = 'g' AND store_name = 's' AND state NOT IN ('lost', 'expired') \
         ORDER BY restore_point",
        "SELECT p.*, tracks.body FROM (SELECT * FROM windows WHERE restore_point IS NOT NULL \
         ORDER BY restore_point DESC, window_id DESC LIMIT 20) AS p LEFT JOIN tracks ON tracks.window_id = p.window_id",
        "SELECT * FROM windows WHERE restore_point = 5",
        "SELECT step, COUNT(*) FROM copies WHERE window_id = 'w' AND store_name = 's' GROUP BY step",
        "SELECT COUNT(*), SUM(bytes) FROM copies WHERE group_name = 'g' AND store_name = 's' \
         AND step IN ('done', 'expiring')",
        "SELECT name FROM copies WHERE name > 'a' AND name <= 'b' ORDER BY name LIMIT 10",
    ] {
        let plan = query_plan(&mut connection, query).await;
        let whole = |step: &str| {
            step.contains("Seq Scan") || (step.starts_with("SCAN ") && !step.contains("USING") && step != "SCAN p")
        };
        assert!(!plan.iter().any(|step| whole(step)), "{query}: {plan:?}");
        assert!(plan.iter().any(|step| step.to_uppercase().contains("INDEX")), "{query}: {plan:?}");
    }
}
