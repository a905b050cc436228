use crate::support::{append_all, consistent, intent, open, places, query_plan, raw};
use std::time::Instant;
use stillpoint::config::CatalogPlace;

/// No stopwatch decides here: the plans must go by an index, and the timings are printed for the record.
#[tokio::test]
async fn a_hundred_thousand_windows_are_listed_by_index() {
    for place in places() {
        open(&place).await.close().await.unwrap();
        let mut connection = raw(&place).await;
        sqlx::query(
        "INSERT INTO windows WITH RECURSIVE n(i) AS \
         (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < 99999) SELECT 'old-' || i, 'group-' || (i % 20), 'schedule', i * 1000000, i * 1000000, 'closed', \
         CASE WHEN i % 10 = 0 THEN 'discarded' ELSE 'consistent' END, '[]', 'address', i * 1000000, i * 1000000, \
         CASE WHEN i % 10 = 0 THEN NULL ELSE i * 1000000 END, 11000000, 12 FROM n",
    )
    .execute(&mut connection)
    .await
    .unwrap();
        drop(connection);
        let catalog = open(&place).await;
        append_all(&catalog, "new", &consistent("new", "group-1", 0)).await;
        append_all(&catalog, "unfinished", &[intent("unfinished", "group-1", 100)]).await;
        for _ in 0..2 {
            let begun = Instant::now();
            assert_eq!(catalog.history(None, 50).await.unwrap().len(), 50);
            let all = begun.elapsed();
            assert_eq!(catalog.history(Some("group-7"), 50).await.unwrap().len(), 50);
            let group = begun.elapsed() - all;
            assert_eq!(catalog.points(Some("group-1"), 1).await.unwrap()[0].window.window, "new");
            let newest = begun.elapsed() - all - group;
            assert!(catalog.last_consistent("group-7").await.unwrap().is_some());
            let last = begun.elapsed() - all - group - newest;
            assert_eq!(catalog.open_windows().await.unwrap().len(), 1);
            let open = begun.elapsed() - all - group - newest - last;
            println!(
                "100,000 windows: list {all:?}, of a group {group:?}, newest point {newest:?}, last {last:?}, open {open:?}"
            );
        }
        plans(&place).await;
    }
}

async fn plans(place: &CatalogPlace) {
    let mut connection = raw(place).await;
    // Many windows' events are there to be passed over.
    let events =
        "INSERT INTO events SELECT window_id, 0, 1, 0, 'intended', '{}' FROM windows WHERE window_id LIKE 'old-%'";
    for statement in [events, "ANALYZE"] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    for query in [
        "SELECT * FROM windows ORDER BY started DESC, window_id DESC LIMIT 1",
        "SELECT * FROM windows WHERE group_name = 'g' ORDER BY started DESC, window_id DESC LIMIT 1",
        "SELECT * FROM windows WHERE restore_point IS NOT NULL ORDER BY restore_point DESC LIMIT 1",
        "SELECT * FROM windows WHERE group_name = 'g' AND restore_point IS NOT NULL ORDER BY restore_point DESC LIMIT 1",
        "SELECT * FROM windows WHERE verdict IS NULL ORDER BY started",
    ] {
        let plan = query_plan(&mut connection, query).await;
        let indexed = match *place {
            CatalogPlace::Sqlite(_) => plan.iter().all(|step| step.contains("USING INDEX")),
            CatalogPlace::Postgres(_) => plan.iter().any(|step| step.contains("Index Scan")),
        };
        assert!(indexed && !plan.iter().any(|step| step.contains("Seq Scan")), "{query}: {plan:?}");
    }
    // What recovery asks before anything opens.
    let query = "SELECT windows.window_id, events.number, events.body FROM windows CROSS JOIN events \
         WHERE events.window_id = windows.window_id AND windows.verdict IS NULL \
         ORDER BY +windows.started, windows.window_id, events.number";
    let plan = query_plan(&mut connection, query).await.join("\n");
    assert!(plan.contains("windows_open") && !plan.contains("Seq Scan") && !plan.contains("SCAN events"), "{plan}");
}
