//! How long an event takes to be durable, beside a bare write and `fdatasync` on the same disk.

use super::FEW;
use super::table::Table;
use jiff::Timestamp;
use std::io::Write;
use std::time::{Duration, Instant};
use stillpoint::catalog::Catalog;
use stillpoint::domain::{Code, Evidence, Member, Reason, Trigger, Verdict};
use stillpoint::window::{End, Event, Outcome, Plan};

const WINDOWS: usize = 300;

/// Appends the journals of many windows, with a bare write before each event.
pub fn measure(table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut file = std::fs::File::create(folder.path().join("bare")).expect("a file");
    let (bare, appends) = runtime.block_on(async {
        let catalog = Catalog::open(&folder.path().join("catalog.db").into()).await.expect("a catalog");
        let (mut bare, mut appends) = (Vec::new(), Vec::new());
        for window in 0..WINDOWS {
            let name = format!("bench-{window}");
            for (number, event) in (0..).zip(journal(&name)) {
                let begun = Instant::now();
                file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).expect("the disk takes it");
                bare.push(begun.elapsed());
                let begun = Instant::now();
                catalog.append(&name, number, &event).await.expect("the catalog takes it");
                appends.push(begun.elapsed());
            }
        }
        (bare, appends)
    });
    for (name, mut times) in [("4 KiB and fdatasync", bare), ("append", appends)] {
        times.sort();
        for percent in [50, 99] {
            let at = times[times.len() * percent / 100].as_secs_f64() * 1e3;
            table.add(&format!("{name}, p{percent} of {}", times.len()), "ms", &[at], "");
        }
    }
}

/// A discarded window of a few members: intent, pauses, opening, verdict.
pub fn journal(window: &str) -> Vec<Event> {
    let at = Timestamp::now();
    let plan = Plan {
        window: window.to_owned(),
        group: "bench".to_owned(),
        trigger: Trigger::Command,
        slot: None,
        started: at,
        hold: Duration::from_secs(10),
        drain: Duration::from_secs(30),
        max_pause: Duration::from_secs(60),
    };
    let member = |index: usize| {
        let address = format!("10.0.0.{index}:60053");
        Member { cluster: "orders".to_owned(), name: address.clone(), address, stage: 0, pod: None }
    };
    let reasons = vec![Reason::new(Code::Opened, "told to open")];
    let outcome = Outcome { verdict: Verdict::Discarded, reasons, quiet: None, restore_point: None, closed: None };
    vec![
        Event::Intended { plan, evidence: Evidence::Address, members: (0..FEW).map(member).collect() },
        Event::Paused { at },
        Event::Opened { at, ends: vec![End::SeenOpen; FEW] },
        Event::Verdict { outcome },
    ]
}
