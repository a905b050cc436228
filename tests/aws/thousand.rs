//! A thousand tables: each changed exactly once, within every limit, in flat memory.

use crate::rig::{Rig, STEPS};
use crate::support::wait_until;
use std::time::{Duration, Instant};

/// Of everything: at the rates that AWS allows it takes about a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// In MiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

#[test]
#[ignore = "takes a quarter of an hour: cargo test --test aws thousand:: -- --ignored --nocapture"]
fn a_thousand_tables_are_materialized_within_every_limit_and_each_is_asked_for_once() {
    let rig = Rig::new(&["orders: {dynamodb: {region: ap-northeast-1, tables: {include: [\"shop.*\"]}}}"], "");
    let tables = rig.application(998);
    let daemon = rig.daemon();
    rig.aws.clear_log();
    let begun = Instant::now();
    rig.window();
    println!("window after {:?}, resident {} MiB", begun.elapsed(), resident(daemon.id()));
    let (mut most, mut shown) = (0, Instant::now());
    wait_until("a thousand tables are materialized", PATIENCE, || {
        most = most.max(resident(daemon.id()));
        if shown.elapsed() > Duration::from_secs(60) {
            shown = Instant::now();
            println!(
                "{:?}: {} backups, {most} MiB at most",
                begun.elapsed(),
                rig.aws.mutating_attempts().iter().filter(|call| call.is("CreateBackup")).count()
            );
        }
        (rig.point()["state"] == "materialized").then_some(())
    });
    println!("materialized after {:?}, resident {most} MiB at most", begun.elapsed());
    for operation in STEPS {
        let count = rig.aws.mutating_attempts().iter().filter(|call| call.is(operation)).count();
        assert_eq!(count, 1_000, "{operation} exactly once a table");
    }
    for operation in [
        "DescribeContinuousBackups",
        "DescribeBackup",
        "ListTagsOfResource",
        "TagResource",
        "CreateBackup",
        "ListBackups",
    ] {
        println!("{operation}: {} calls in 5 s at most", rig.aws.most_within(operation, Duration::from_secs(5)));
    }
    println!("{} restores at once at most", rig.aws.highest_restores());
    let (throttled, all) = (rig.aws.throttled(), rig.aws.calls(|_| true).len());
    println!("{} of {all} calls were throttled", throttled.len());
    assert!(!throttled.iter().any(|call| call.mutates), "a limit was met: {throttled:?}");
    // Looks that left evenly may come in unevenly on a busy machine; they are sent again.
    assert!(throttled.len() * 100 <= all, "{} of {all} calls were throttled", throttled.len());
    assert!(rig.aws.highest_restores() <= 40);
    rig.assert_one_backup_each(&tables);
}
