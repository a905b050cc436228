//! What is old leaves the daemon's catalog by itself.

use crate::SHORT;
use crate::rig::{LIMIT, Rig, support};
use jiff::Timestamp;
use std::time::Duration;
use stillpoint::catalog::Catalog;
use stillpoint::domain::{Code, Reason, Trigger};
use stillpoint::window::{Event, Plan};

fn refused(window: &str, started: Timestamp) -> Event {
    let plan = Plan {
        window: window.to_owned(),
        group: "shop".to_owned(),
        trigger: Trigger::Command,
        slot: None,
        started,
        hold: Duration::from_secs(2),
        drain: Duration::from_secs(2),
        max_pause: Duration::from_secs(10),
    };
    Event::Refused { plan, reasons: vec![Reason::new(Code::Busy, "the group was in another window")] }
}

#[test]
fn old_windows_leave_the_catalog_of_a_running_daemon_and_the_counters_stay() {
    let rig = Rig::new(1, SHORT);
    rig.replace("  sweep_interval: 500ms\n", "  sweep_interval: 500ms\n  history: 10d\n");
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap();
    rig.block_on(async {
        let catalog = Catalog::open(&rig.path("catalog.db").into()).await.unwrap();
        for (window, days) in [("old", 11), ("older", 400), ("young", 9)] {
            let event = refused(window, now - Duration::from_secs(days * 86_400));
            catalog.append(window, 0, &event).await.unwrap();
        }
        catalog.close().await.unwrap();
    });
    let _daemon = rig.daemon();
    let windows = || rig.history().iter().map(|row| row["window"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    support::wait_until("what is old is gone", LIMIT, || (windows() == ["young"]).then_some(()));
    let metrics = crate::rig::get(rig.http, "/metrics");
    let counted = "stillpoint_windows_total{group=\"shop\",reason=\"busy\",verdict=\"refused\"} 3";
    assert!(metrics.contains(counted), "{metrics}");
}
