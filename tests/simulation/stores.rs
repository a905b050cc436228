//! A window that was begun with its stores' clocks looks at them again when its members are open.

use super::run;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use stillpoint::domain::{Code, Evidence, Member, Now, Reason, StoreClock, Trigger, Verdict};
use stillpoint::scalar::Answer;
use stillpoint::sim::faults::{Fault, Planned};
use stillpoint::sim::world::Setup;
use stillpoint::window::{CENSUS_DEADLINE, Call, Effect, Input, Outcome, Plan, STORES_DEADLINE, Window};

fn at(millis: u64) -> Now {
    let mono = Duration::from_millis(millis);
    Now { mono, wall: Timestamp::from_second(1_900_000_000).unwrap() + mono }
}

fn clock(low: i64, high: i64) -> StoreClock {
    let millis = SignedDuration::from_millis;
    StoreClock { offset_low: millis(low), offset_high: millis(high), guard: Duration::ZERO }
}

fn member() -> Member {
    Member { cluster: "c".into(), name: "m".into(), address: "127.0.0.1:1".into(), stage: 0, pod: None }
}

/// A window on one member that is in order; what it asks for besides is kept.
struct Run {
    window: Window,
    now: u64,
    effects: Vec<Effect>,
    paused: bool,
    kept: Vec<(u64, Effect)>,
}

impl Run {
    fn begin(clocks: Vec<StoreClock>, trigger: Trigger) -> Self {
        let plan = Plan {
            window: "w".into(),
            group: "g".into(),
            trigger,
            slot: None,
            started: at(0).wall,
            hold: Duration::from_secs(5),
            drain: Duration::from_secs(1),
            max_pause: Duration::from_secs(10),
        };
        let mut window = Window::begin(plan, Evidence::Address, vec![member()], clocks, at(0));
        let effects = window.step(at(0), Input::Tick);
        Self { window, now: 0, effects, paused: false, kept: Vec::new() }
    }

    fn answer(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Send { request, member, call, .. } => {
                let answer = match call {
                    Call::CheckPaused => Answer::Looked { paused: self.paused },
                    _ => Answer::Ok,
                };
                self.paused = match call {
                    Call::CheckPaused => self.paused,
                    call => call != Call::Unpause,
                };
                Some(Input::Reply { member, request, answer })
            }
            Effect::Append { number, .. } => Some(Input::Appended { number }),
            Effect::TakeCensus if self.window.unpause_started().is_none() => Some(Input::Census(Ok(vec![member()]))),
            other => {
                self.kept.push((self.now, other));
                None
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.effects = self.window.step(at(self.now), input);
    }

    fn run_for(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now < until && !self.window.finished() {
            self.now += 1;
            for effect in std::mem::take(&mut self.effects) {
                if let Some(input) = self.answer(effect) {
                    self.window.absorb(at(self.now), input);
                }
            }
            self.effects = self.window.advance(at(self.now));
        }
    }

    /// Until the members are open, and what is to be known after the window was asked for.
    fn opened(clocks: Vec<StoreClock>, trigger: Trigger) -> Self {
        let mut run = Self::begin(clocks, trigger);
        run.run_for(5_500);
        run
    }

    fn asked(&self, effect: &Effect) -> usize {
        self.kept.iter().filter(|(_, kept)| kept == effect).count()
    }

    fn outcome(&mut self) -> Outcome {
        self.run_for(10);
        self.window.outcome().cloned().expect("a verdict")
    }

    fn code(&mut self) -> (Verdict, Vec<Code>) {
        let outcome = self.outcome();
        (outcome.verdict, outcome.reasons.iter().map(|reason| reason.code).collect())
    }
}

#[test]
fn the_stores_are_asked_for_once_together_with_the_census() {
    let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
    let times: Vec<u64> = run.kept.iter().map(|(at, _)| *at).collect();
    assert_eq!(run.kept.len(), 2, "{:?}", run.kept);
    assert!(times[0] == times[1] && run.asked(&Effect::TakeCensus) == 1 && run.asked(&Effect::LookAtStores) == 1);
    run.step(Input::Stores(Ok(vec![clock(0, 0)])));
    run.run_for(1_000);
    assert!(run.window.outcome().is_none(), "the census is waited for as well");
    run.step(Input::Census(Ok(vec![member()])));
    assert_eq!(run.code(), (Verdict::Consistent, Vec::new()));
    assert_eq!(run.kept.len(), 2);
}

#[test]
fn a_window_without_stores_asks_for_none() {
    let mut run = Run::opened(Vec::new(), Trigger::Schedule);
    run.step(Input::Census(Ok(vec![member()])));
    assert_eq!((run.code(), run.asked(&Effect::LookAtStores)), ((Verdict::Consistent, Vec::new()), 0));
}

#[test]
fn a_clock_that_ran_fast_moves_the_point_to_where_both_looks_agree() {
    let point = |after: StoreClock| {
        let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
        run.step(Input::Census(Ok(vec![member()])));
        run.step(Input::Stores(Ok(vec![after])));
        run.outcome()
    };
    let (still, fast) = (point(clock(0, 0)), point(clock(2_000, 2_000)));
    assert!(still.restore_point < fast.restore_point, "{still:?} {fast:?}");
    let lost = point(clock(4_500, 4_500));
    assert_eq!((lost.restore_point, lost.reasons[0].code), (None, Code::ClockSkew));
}

#[test]
fn stores_that_never_answer_are_waited_for_no_longer_than_their_deadline() {
    let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
    let (asked, _) = run.kept[0];
    run.step(Input::Census(Ok(vec![member()])));
    let deadline = run.window.deadline().expect("a deadline");
    assert!(deadline <= at(asked).mono + STORES_DEADLINE, "{deadline:?} after {asked} ms");
    run.run_for(59_000);
    assert!(run.window.outcome().is_none());
    run.run_for(1_100);
    assert_eq!(run.code(), (Verdict::Discarded, vec![Code::StoresUnknown]));
}

#[test]
fn a_census_that_never_comes_is_waited_for_no_longer_than_its_deadline() {
    let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
    run.step(Input::Stores(Ok(vec![clock(0, 0)])));
    run.run_for(u64::try_from(CENSUS_DEADLINE.as_millis()).unwrap());
    assert_eq!(run.code(), (Verdict::Discarded, vec![Code::Discovery]));
}

#[test]
fn what_the_stores_say_against_the_window_discards_it() {
    let unknown = Reason::new(Code::StoresUnknown, "the credentials expired");
    for found in [Err(unknown), Ok(Vec::new()), Ok(vec![clock(0, 0); 2])] {
        let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
        run.step(Input::Census(Ok(vec![member()])));
        run.step(Input::Stores(found));
        // The first answer stands.
        run.step(Input::Stores(Ok(vec![clock(0, 0)])));
        assert_eq!(run.code(), (Verdict::Discarded, vec![Code::StoresUnknown]));
    }
}

#[test]
fn a_pause_by_hand_that_is_ended_in_its_hold_has_a_point_and_asks_for_it() {
    let mut run = Run::begin(vec![clock(0, 0)], Trigger::Hand);
    run.run_for(3_000);
    run.step(Input::Open(Reason::new(Code::Opened, "by hand")));
    run.run_for(1_000);
    assert_eq!(run.asked(&Effect::LookAtStores), 1);
    let mut cut = Run::begin(vec![clock(0, 0)], Trigger::Hand);
    cut.run_for(3_000);
    cut.step(Input::Open(Reason::new(Code::Shutdown, "told to end")));
    cut.run_for(1_000);
    assert_eq!((cut.code(), cut.asked(&Effect::LookAtStores)), ((Verdict::Discarded, vec![Code::Shutdown]), 0));
}

#[test]
fn a_step_of_the_daemons_own_clock_between_the_looks_leaves_no_point() {
    let mut run = Run::opened(vec![clock(0, 0)], Trigger::Schedule);
    run.step(Input::Census(Ok(vec![member()])));
    let later = Now { wall: at(run.now).wall + Duration::from_secs(2), ..at(run.now) };
    run.window.step(later, Input::Stores(Ok(vec![clock(-2_000, -2_000)])));
    assert_eq!(run.window.outcome().map(|outcome| outcome.reasons[0].code), Some(Code::ClockStep));
}

/// Each fault of the stores, on its own, in every step of worlds whose clocks are wrong.
#[test]
fn every_fault_of_the_stores_in_every_step_keeps_every_promise() {
    let setup = |seed, wrong, faults| Setup { seed, clusters: 2, members: 1, pods: false, wrong: Some(wrong), faults };
    for (seed, wrong) in [(1, (0, 0)), (2, (400, 0)), (3, (-400, 400)), (4, (2_000, 400)), (5, (0, -2_000))] {
        let clean = run(&setup(seed, wrong, Vec::new()));
        for step in 0..=clean.steps {
            for fault in Fault::ALL.iter().copied().filter(|fault| fault.of_stores()) {
                run(&setup(seed, wrong, vec![Planned { step, fault }]));
                for crash in step..=clean.steps {
                    let crash = Planned { step: crash, fault: Fault::Crash };
                    run(&setup(seed, wrong, vec![Planned { step, fault }, crash]));
                }
            }
        }
    }
}
