//! Materializing under every fault, in virtual time. A failing seed is printed and replays exactly:
//! `STILLPOINT_SEED=N cargo test --test simulation materializing::a_seed_replays`.

use std::collections::BTreeMap;
use stillpoint::sim::copying::{Fault, Planned, Report, Setup, World};
use stillpoint::tracking::copy::Step;

const FAULTY_RUNS: u64 = 30_000;

fn run(setup: &Setup) -> Report {
    World::new(setup).run().unwrap_or_else(|violation| panic!("{setup:?}: {violation}"))
}

fn count() -> u64 {
    std::env::var("STILLPOINT_COPYINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(FAULTY_RUNS)
}

fn clean(seed: u64, copies: usize) -> Setup {
    Setup { seed, copies, faults: Vec::new(), expiry_faults: Vec::new() }
}

#[test]
fn without_faults_every_table_gets_its_backup_and_half_of_them_expire() {
    for seed in 0..500 {
        let report = run(&clean(seed, 4));
        assert_eq!(report.ends, BTreeMap::from([(Step::Done, 2), (Step::Expired, 2)]), "seed {seed}");
        assert!(!report.beyond);
    }
}

#[test]
fn a_fault_at_every_action_of_one_copy_keeps_every_promise() {
    for seed in 0..20 {
        let actions = run(&clean(seed, 1)).actions;
        for fault in Fault::ALL {
            for action in 0..=actions {
                let faults = vec![Planned { action, fault: *fault }];
                run(&Setup { faults, ..clean(seed, 1) });
            }
        }
    }
}

#[test]
fn a_second_crash_at_every_action_after_every_crash_keeps_every_promise() {
    let crashes = [Fault::CrashBeforeAsk, Fault::CrashAfterAsk, Fault::CrashBeforeSave, Fault::CrashAfterSave];
    for seed in 0..4 {
        let actions = run(&clean(seed, 1)).actions;
        for (first, second) in crashes.iter().flat_map(|first| crashes.iter().map(move |second| (*first, *second))) {
            for (one, two) in (0..actions).flat_map(|one| (one + 1..actions + 4).map(move |two| (one, two))) {
                let planned = [(one, first), (two, second)];
                let faults = planned.map(|(action, fault)| Planned { action, fault }).to_vec();
                let report = run(&Setup { faults, ..clean(seed, 1) });
                assert!(!report.ends.contains_key(&Step::Failed), "a crash fails no copy: {seed} {planned:?}");
            }
        }
    }
}

#[test]
fn faults_that_pass_fail_no_copy() {
    for seed in 0..count() / 10 {
        let mut setup = Setup::seeded(seed);
        setup.faults.retain(|planned| planned.fault.passes());
        setup.expiry_faults.clear();
        let report = run(&setup);
        assert!(!report.ends.contains_key(&Step::Failed), "{setup:?}: {:?}", report.ends);
    }
}

#[test]
fn random_faults_keep_every_promise_and_meet_every_step() {
    let (mut ends, mut met) = (BTreeMap::<Step, usize>::new(), BTreeMap::<(Step, Fault), u64>::new());
    let (mut beyond, mut crashes, mut hours) = (0u64, 0u64, 0.0f64);
    let runs = count();
    for seed in 0..runs {
        let report = run(&Setup::seeded(seed));
        for (step, count) in report.ends {
            *ends.entry(step).or_default() += count;
        }
        for pair in report.met {
            *met.entry(pair).or_default() += 1;
        }
        beyond += u64::from(report.beyond);
        crashes += u64::from(report.crashes);
        hours = hours.max(report.hours);
    }
    println!(
        "{runs} runs, {crashes} crashes: {ends:?}; beyond what a request can exclude: {beyond}; longest {hours:.1} h"
    );
    println!("{} (step, fault) pairs", met.len());
    let missing: Vec<_> = Step::ALL
        .iter()
        .flat_map(|step| Fault::ALL.iter().map(move |fault| (*step, *fault)))
        .filter(|(step, fault)| fault.can_meet(*step) && !met.contains_key(&(*step, *fault)))
        .collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
    assert_eq!(ends.len(), 3, "done, failed and expired: {ends:?}");
}

#[test]
fn a_seed_replays() {
    let seed = std::env::var("STILLPOINT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let (first, second) = (run(&Setup::seeded(seed)), run(&Setup::seeded(seed)));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}

/// Seeds that once found a bug, verbatim.
mod pinned {
    use super::*;

    #[test]
    fn a_backup_of_somebody_elses_table_under_the_name_is_not_taken_for_ours() {
        let faults = vec![Planned { action: 16, fault: Fault::TableReplaced }];
        for seed in 0..20 {
            run(&Setup { faults: faults.clone(), ..clean(seed, 1) });
        }
    }

    #[test]
    fn a_restored_table_that_is_not_seen_yet_is_not_left_when_the_source_goes() {
        run(&Setup::seeded(207));
    }

    #[test]
    fn a_restore_that_lands_after_its_table_was_deleted_is_not_left() {
        run(&Setup::seeded(109_712));
    }

    /// The last look at the backup was behind the one that had seen it available; the first was too early, and
    /// those after it were denied.
    #[test]
    fn a_look_that_is_behind_fails_no_copy() {
        for seed in 0..3_000 {
            let report = run(&clean(seed, 1));
            assert!(!report.ends.contains_key(&Step::Failed), "seed {seed}");
        }
        run(&Setup::seeded(57_078));
        let faults = vec![Planned { action: 37, fault: Fault::Denied }];
        let denied = run(&Setup { faults, ..clean(274, 3) });
        assert!(!denied.ends.contains_key(&Step::Failed), "{denied:?}");
    }
}
