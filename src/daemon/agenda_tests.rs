use super::*;
use crate::slots::{Blackout, Cron, Slots, zone};
use proptest::prelude::*;
use std::collections::BTreeMap;

const START: &str = "2026-11-26T00:00:00Z";

fn at(second: i64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
}

fn schedule(cron: &str, catch_up: bool) -> Schedule {
    Schedule {
        slots: Slots {
            cron: Cron::parse(cron).unwrap(),
            time_zone: zone("Europe/Berlin").unwrap(),
            jitter: Duration::ZERO,
            seed: "shop".into(),
            blackouts: Vec::new(),
            suspend: false,
        },
        lead: Duration::from_secs(120),
        starting_deadline: Duration::from_secs(3600),
        refused_retry: Duration::from_secs(60),
        attempts: 2,
        retry_delay: Duration::from_secs(300),
        catch_up,
    }
}

const WINDOW: WindowSettings = WindowSettings {
    hold: Duration::from_secs(10),
    drain: Duration::from_secs(30),
    max_pause: Duration::from_secs(60),
};

/// How often the daemon looks at the clock.
const LOOK: Duration = Duration::from_secs(300);

/// What the catalog holds of one slot; it answers as `catalog::slots` does, which has tests of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Planned,
    Ran,
    Missed,
    Skipped,
}

/// A daemon with both its clocks in hand.
struct Life {
    schedule: Schedule,
    agenda: Agenda,
    now: Now,
    slots: BTreeMap<Timestamp, Kept>,
    /// When each window began, and for which slot.
    ran: Vec<(Timestamp, Timestamp)>,
    planned: Option<Timestamp>,
    /// The schedule that planned.
    planned_by: Option<String>,
}

impl Life {
    fn new(schedule: Schedule) -> Self {
        let now = Now { mono: Duration::ZERO, wall: at(0) };
        let agenda = Agenda::new(schedule.clone(), &WINDOW, now);
        Self { schedule, agenda, now, slots: BTreeMap::new(), ran: Vec::new(), planned: None, planned_by: None }
    }

    /// Both clocks go on, and the daemon looks as often as it does.
    fn live(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        while self.now.mono < end {
            let step = match self.agenda.turn(self.now) {
                Turn::Passed(fates) => self.settle(fates),
                Turn::Begin(slot) => self.run(slot),
                Turn::Wait { slot, until } => {
                    if self.planned != Some(slot) {
                        self.slots.retain(|other, kept| *other == slot || *kept != Kept::Planned);
                        let kept = self.slots.entry(slot).or_insert(Kept::Planned);
                        if matches!(kept, Kept::Missed | Kept::Skipped) {
                            *kept = Kept::Planned;
                        }
                        self.planned = Some(slot);
                        self.planned_by = Some(self.schedule.slots.to_string());
                    }
                    let left = Duration::try_from(until.duration_since(self.now.wall)).unwrap();
                    left.min(LOOK).min(end - self.now.mono)
                }
                Turn::Over => panic!("the schedule is over"),
            };
            self.pass(step.max(Duration::from_millis(1)));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall += time;
    }

    fn settle(&mut self, fates: Vec<(Timestamp, Fate)>) -> Duration {
        let mut took = Duration::ZERO;
        for (slot, fate) in fates {
            let kept = match fate {
                Fate::Missed(_) => Kept::Missed,
                Fate::Skipped(_) => Kept::Skipped,
                Fate::CaughtUp => {
                    took += self.run(slot);
                    continue;
                }
            };
            let there = self.slots.entry(slot).or_insert(Kept::Planned);
            if *there == Kept::Planned {
                *there = kept;
            }
        }
        took
    }

    /// A window takes its lead and twelve seconds.
    fn run(&mut self, slot: Timestamp) -> Duration {
        if self.slots.get(&slot).is_some_and(|kept| *kept != Kept::Planned) {
            return Duration::ZERO;
        }
        assert!(self.now.wall < slot + self.schedule.starting_deadline, "{slot} runs at {}", self.now.wall);
        self.slots.insert(slot, Kept::Ran);
        self.ran.push((self.now.wall, slot));
        let lead = Duration::try_from(slot.duration_since(self.now.wall)).unwrap_or_default();
        lead + Duration::from_secs(12)
    }

    /// The daemon dies; time passes, and another one starts as `attempts` does.
    fn die(&mut self, seconds: i64) {
        let away = jiff::SignedDuration::from_secs(seconds);
        self.now = Now { mono: Duration::ZERO, wall: self.now.wall + away };
        self.planned = None;
        let now = self.now.wall;
        self.agenda = Agenda::new(self.schedule.clone(), &WINDOW, self.now);
        let left = Left {
            planned: self.of(Kept::Planned),
            last: self.slots.keys().rev().find(|slot| **slot <= now).copied(),
            schedule: self.planned_by.clone(),
        };
        let passed = self.agenda.passed_without_daemon(&left, now);
        let reason = Reason::new(Code::NotRunning, "no daemon ran");
        let fates = self.agenda.fates(&passed, &reason, now);
        let took = self.settle(fates);
        self.pass(took);
    }

    fn of(&self, kept: Kept) -> Vec<Timestamp> {
        self.slots.iter().filter(|(_, other)| **other == kept).map(|(slot, _)| *slot).collect()
    }
}

#[test]
fn each_slot_begins_its_lead_before_it_and_once() {
    let mut life = Life::new(schedule("0 * * * *", false));
    life.live(6 * 3600 + 10);
    let expected: Vec<_> = (1..=6).map(|hour| (at(hour * 3600 - 120), at(hour * 3600))).collect();
    assert_eq!(life.ran, expected);
}

#[test]
fn slots_that_pass_while_no_daemon_runs_are_missed() {
    let mut life = Life::new(schedule("0 * * * *", false));
    life.live(3700);
    life.die(5 * 3600);
    assert_eq!(life.of(Kept::Missed), [at(7200), at(10_800), at(14_400), at(18_000), at(21_600)]);
    life.live(3600);
    assert_eq!(life.ran.last(), Some(&(at(7 * 3600 - 120), at(7 * 3600))));
}

#[test]
fn after_a_restart_with_another_schedule_only_the_slot_that_was_planned_was_missed() {
    let mut life = Life::new(schedule("0 * * * *", false));
    life.live(3700);
    // It has every slot of the other one.
    life.schedule = schedule("*/10 * * * *", false);
    life.die(5 * 3600);
    assert_eq!(life.of(Kept::Missed), [at(7200)]);
    life.live(600);
    life.die(1800);
    assert_eq!(life.of(Kept::Missed).len(), 1 + 3, "the same schedule again: all of its slots were");
}

#[test]
fn slots_of_a_suspended_schedule_were_not_missed_when_it_is_resumed_while_no_daemon_runs() {
    let mut still = schedule("0 * * * *", false);
    still.slots.suspend = true;
    let mut life = Life::new(still);
    life.live(3700);
    life.schedule = schedule("0 * * * *", false);
    life.die(5 * 3600);
    assert_eq!((life.of(Kept::Missed), life.of(Kept::Skipped)), (vec![], vec![at(3600)]));
    life.live(3600);
    assert_eq!(life.of(Kept::Ran), [at(7 * 3600)]);
}

#[test]
fn a_schedule_tells_itself_from_every_other_one() {
    let mut slots = schedule("0 3 * * *", false).slots;
    assert_eq!(slots.to_string(), "0 3 * * * Europe/Berlin");
    slots.jitter = Duration::from_secs(300);
    slots.suspend = true;
    slots.blackouts = vec![
        Blackout::Once { from: at(0), until: at(3600) },
        Blackout::Every { cron: Box::new(Cron::parse("0 0 * * 6").unwrap()), length: Duration::from_secs(86_400) },
    ];
    assert_eq!(
        slots.to_string(),
        "0 3 * * * Europe/Berlin jitter 300s without 2026-11-26T00:00:00Z/2026-11-26T01:00:00Z \
         without 86400s from 0 0 * * 6 suspended"
    );
}

#[test]
fn catching_up_runs_the_newest_slot_once_and_only_within_its_deadline() {
    let mut life = Life::new(schedule("0 * * * *", true));
    life.live(3700);
    life.die(16_200);
    assert_eq!(life.ran.last(), Some(&(at(19_900), at(18_000))), "the newest runs, half an hour late");
    assert_eq!(life.of(Kept::Missed), [at(7200), at(10_800), at(14_400)]);
    let before = life.ran.len();
    life.die(1);
    assert_eq!(life.ran.len(), before, "and once");
    let mut life = Life::new(schedule("0 0 * * *", true));
    life.live(86_400);
    life.die(86_400);
    assert_eq!(life.of(Kept::Missed).len(), 1, "its deadline was over");
}

#[test]
fn a_slot_that_is_near_is_not_put_off_by_one_that_is_late() {
    let mut life = Life::new(schedule("0 * * * *", true));
    life.live(3700);
    life.die(3 * 3600 + 3400 - 100);
    assert_eq!(life.now.wall, at(5 * 3600 - 200));
    assert_eq!(life.of(Kept::Missed).len(), 3, "the fourth hour's is not caught up 200 s before the fifth's");
    life.live(300);
    assert_eq!(life.ran.last(), Some(&(at(5 * 3600 - 120), at(5 * 3600))));
}

#[test]
fn a_computer_that_sleeps_over_slots_says_so() {
    let mut agenda = Agenda::new(schedule("0 * * * *", false), &WINDOW, Now { mono: Duration::ZERO, wall: at(0) });
    let Turn::Wait { .. } = agenda.turn(Now { mono: Duration::from_secs(10), wall: at(10) }) else { panic!() };
    let turn = agenda.turn(Now { mono: Duration::from_secs(20), wall: at(7300) });
    let Turn::Passed(fates) = turn else { panic!("{turn:?}") };
    assert_eq!(fates.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [at(3600), at(7200)]);
    assert!(
        fates.iter().all(|(_, fate)| matches!(fate, Fate::Missed(reason) if reason.code == Code::Slept)),
        "{fates:?}"
    );
    // A window that takes long is something else.
    let turn = agenda.turn(Now { mono: Duration::from_secs(20 + 3600), wall: at(7300 + 3600) });
    let Turn::Passed(fates) = turn else { panic!("{turn:?}") };
    assert!(matches!(&fates[..], [(_, Fate::Missed(reason))] if reason.code == Code::Busy), "{fates:?}");
}

#[test]
fn a_clock_that_is_set_back_runs_no_slot_twice_and_stops_none() {
    let mut life = Life::new(schedule("0 * * * *", false));
    life.live(3 * 3600 + 60);
    assert_eq!(life.ran.len(), 3);
    life.now.wall = at(30 * 60);
    life.live(4 * 3600);
    let slots: Vec<_> = life.ran.iter().map(|(_, slot)| *slot).collect();
    assert_eq!(slots, [at(3600), at(7200), at(10_800), at(14_400)]);
    assert!(life.of(Kept::Missed).is_empty());
}

#[test]
fn a_clock_that_was_a_year_ahead_for_a_moment_costs_no_slot() {
    let mut life = Life::new(schedule("0 3 * * *", false));
    life.live(60);
    life.now.wall += Duration::from_secs(365 * 86_400);
    life.live(30);
    assert_eq!(life.of(Kept::Missed).len(), 365);
    life.now.wall = at(120);
    life.live(3 * 86_400);
    assert_eq!(life.ran.len(), 3, "{:?}", life.ran);
}

#[test]
fn blackouts_and_suspension_are_recorded_at_the_slot_and_not_missed() {
    let mut shut = schedule("0 * * * *", true);
    shut.slots.blackouts = vec![Blackout::Once { from: at(3600), until: at(3 * 3600) }];
    let mut life = Life::new(shut);
    life.live(3500);
    assert!(life.of(Kept::Skipped).is_empty(), "not before its time");
    life.live(3 * 3600);
    assert_eq!(life.of(Kept::Skipped), [at(3600), at(7200)]);
    assert_eq!(life.ran.iter().map(|(_, slot)| *slot).collect::<Vec<_>>(), [at(3 * 3600), at(4 * 3600)]);
    life.die(1);
    let mut still = schedule("0 * * * *", true);
    still.slots.suspend = true;
    let mut life = Life::new(still);
    life.live(7300);
    life.die(7200);
    assert_eq!((life.of(Kept::Skipped).len(), life.of(Kept::Missed).len(), life.ran.len()), (4, 0, 0));
}

#[test]
fn a_slot_gives_up_before_the_next_ones_lead() {
    let hourly = schedule("0 * * * *", false);
    assert_eq!(Agenda::gives_up(&hourly, at(3600)), at(7200 - 120));
    let daily = schedule("0 3 * * *", false);
    assert_eq!(Agenda::gives_up(&daily, at(7200)), at(10_800));
}

#[derive(Debug, Clone)]
enum Trouble {
    Live(u64),
    Step(i64),
    Sleep(u32),
    Die(i64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_the_clock_does_no_slot_runs_twice_nor_after_its_deadline(
        catch_up: bool,
        cron in prop::sample::select(vec!["*/10 * * * *", "0 * * * *", "30 2 * * *"]),
        troubles in prop::collection::vec(prop_oneof![
            (1_u64..20_000).prop_map(Trouble::Live),
            (-100_000_i64..100_000).prop_map(Trouble::Step),
            (0_u32..50_000).prop_map(Trouble::Sleep),
            (0_i64..50_000).prop_map(Trouble::Die),
        ], 1..12),
    ) {
        let mut life = Life::new(schedule(cron, catch_up));
        for trouble in troubles {
            match trouble {
                Trouble::Live(seconds) => life.live(seconds),
                Trouble::Step(seconds) => life.now.wall += jiff::SignedDuration::from_secs(seconds),
                Trouble::Sleep(seconds) => life.now.wall += Duration::from_secs(seconds.into()),
                Trouble::Die(seconds) => life.die(seconds),
            }
        }
        // A good clock from here on: every slot runs.
        life.live(200);
        let (begin, before) = (life.now.wall, life.ran.len());
        let decided: Vec<Timestamp> = life.of(Kept::Ran);
        life.live(2 * 86_400);
        let slots = life.schedule.slots.after(begin + life.schedule.lead).map(|slot| slot.at);
        for slot in slots.take_while(|slot| *slot < life.now.wall - Duration::from_secs(600)) {
            prop_assert_eq!(life.slots.get(&slot), Some(&Kept::Ran), "{} of {:?}", slot, &life.ran[before..]);
        }
        let mut ran: Vec<Timestamp> = life.ran.iter().map(|(_, slot)| *slot).collect();
        ran.sort();
        let all = ran.len();
        ran.dedup();
        prop_assert_eq!(ran.len(), all, "a slot ran twice; {:?} before", decided);
    }
}
