//! The stores of a world: what their clocks really read, and what a look at them says.

use super::check::{EPOCH_SECONDS_NANOS, Violation};
use super::faults::Fault;
use super::random::Random;
use super::world::{BEGUN, Happening, World};
use crate::domain::{Code, Reason, StoreClock};
use crate::window::Input;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

const MILLI: i64 = 1_000_000;
/// What a clock that is wrong is wrong by, in milliseconds.
const WRONG: [i64; 3] = [400, 2_000, 20_000];
/// How often a clock that runs fast or slow is moved, and how many times.
const DRIFT_EVERY: Duration = Duration::from_millis(250);
const DRIFTS: u32 = 40;

/// The stores of one world.
pub(super) struct Stores {
    /// Draws of their own, so that a world without stores is the same as before there were any.
    random: Random,
    /// As they were bounded before the window.
    pub clocks: Vec<StoreClock>,
    /// A store: its clock minus the world's time in nanoseconds, since when.
    truth: Vec<Vec<(Duration, i64)>>,
    /// When they were looked at.
    looks: Vec<Duration>,
    pub fault: Option<Fault>,
}

impl Stores {
    /// The stores of a world, and what the daemon's clock is wrong by at its start. `wrong`: what both clocks are
    /// wrong by, in milliseconds; none: `may_be_wrong` as the seed has it.
    pub fn new(world: &mut Random, seed: u64, wrong: Option<(i64, i64)>, may_be_wrong: bool) -> (Self, i64) {
        let mut random = Random::new(seed.wrapping_mul(17) ^ 0x5709_0e55);
        let count = if world.once_in(4) || wrong.is_some() { 1 + world.index(2) } else { 0 };
        let draw = |random: &mut Random| if may_be_wrong && count > 0 { wrong_by(random) } else { 0 };
        let daemon = wrong.map_or_else(|| draw(&mut random), |(daemon, _)| daemon);
        let (mut clocks, mut truth) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let by = wrong.map_or_else(|| draw(&mut random), |(_, store)| store);
            let low = i64::try_from(world.below(1_000)).unwrap_or(0) - 500 + by - daemon;
            let width = i64::try_from(world.below(400)).unwrap_or(0);
            let guard = Duration::from_secs(world.below(2));
            let millis = SignedDuration::from_millis;
            clocks.push(StoreClock { offset_low: millis(low), offset_high: millis(low + width), guard });
            let offset = low + if world.once_in(2) { 0 } else { width };
            truth.push(vec![(Duration::ZERO, (offset + daemon) * MILLI)]);
        }
        (Self { random, clocks, truth, looks: Vec::new(), fault: None }, daemon * MILLI)
    }

    /// The fault; where there are no stores to have it, another, so that such a world sees as many.
    pub fn possible(&mut self, mut fault: Fault) -> Fault {
        while self.clocks.is_empty() && fault.of_stores() {
            fault = Fault::ALL[self.random.index(Fault::ALL.len())];
        }
        fault
    }

    /// The spans in which a store's clock ran by one offset.
    fn pieces(&self, store: usize) -> impl Iterator<Item = (Duration, Duration, i64)> {
        let log = &self.truth[store];
        let next = |index: usize| log.get(index + 1).map_or(Duration::MAX, |next| next.0);
        log.iter().enumerate().map(move |(index, (since, offset))| (*since, next(index), *offset))
    }

    /// What a store's clock was off by at a moment.
    fn offset(&self, store: usize, at: Duration) -> i64 {
        self.pieces(store).find(|(from, until, _)| *from <= at && at < *until).map_or(0, |(.., offset)| offset)
    }

    fn moved(&mut self, store: usize, now: Duration, nanos: i64) {
        let offset = self.offset(store, now);
        self.truth[store].push((now, offset + nanos));
    }

    /// The stores' clocks as a look bounds them now: what is true lies anywhere in them.
    fn bounded(&mut self, now: Duration, daemon: i64) -> Vec<StoreClock> {
        let mut clocks = self.clocks.clone();
        for (store, clock) in clocks.iter_mut().enumerate() {
            let offset = self.offset(store, now) - daemon;
            let mut within = || i64::try_from(self.random.below(200)).unwrap_or(0) * MILLI;
            clock.offset_low = SignedDuration::from_nanos(offset - within());
            clock.offset_high = SignedDuration::from_nanos(offset + within());
        }
        clocks
    }
}

fn wrong_by(random: &mut Random) -> i64 {
    if !random.once_in(3) {
        return 0;
    }
    let sign = if random.once_in(2) { 1 } else { -1 };
    sign * WRONG[random.index(WRONG.len())]
}

impl World {
    pub(super) fn inject_stores(&mut self, fault: Fault) {
        let stores = &mut self.stores;
        let store = stores.random.index(stores.clocks.len());
        let sign = if stores.random.once_in(2) { 1 } else { -1 };
        match fault {
            Fault::StoreSteps => {
                let millis = [300, 1_000, 3_000, 10_000][stores.random.index(4)];
                stores.moved(store, self.now, sign * millis * MILLI);
            }
            Fault::StoreDrifts => {
                let nanos = sign * i64::try_from(1 + stores.random.below(40)).unwrap_or(1) * MILLI;
                self.schedule(DRIFT_EVERY, Happening::StoreDrifts { store, nanos, left: DRIFTS });
            }
            _ => stores.fault = Some(fault),
        }
    }

    pub(super) fn drift_store(&mut self, store: usize, nanos: i64, left: u32) {
        self.stores.moved(store, self.now, nanos);
        if left > 1 {
            self.schedule(DRIFT_EVERY, Happening::StoreDrifts { store, nanos, left: left - 1 });
        }
    }

    /// The process asks; the stores are looked at a little later.
    pub(super) fn look_at_stores(&mut self, process: usize) {
        let after = self.stores.random.millis(1, 30);
        self.schedule(after, Happening::LookAtStores { process });
    }

    pub(super) fn stores_looked(&mut self, process: usize) {
        self.stores.looks.push(self.now);
        let mut found = self.stores.bounded(self.now, self.wall_offset);
        let answer = |world: &mut Self, after: Duration, found: Result<Vec<StoreClock>, Reason>| {
            world.schedule(after, Happening::Stores { process, found });
        };
        let soon = self.stores.random.millis(1, 30);
        match self.stores.fault.take() {
            Some(Fault::StoresLost) => {}
            Some(Fault::StoresLate) => {
                let late = self.stores.random.millis(500, 90_000);
                answer(self, late, Ok(found));
            }
            Some(Fault::StoresFail) if self.stores.random.once_in(2) => {
                found.pop();
                answer(self, soon, Ok(found));
            }
            Some(Fault::StoresFail) => answer(self, soon, Err(Reason::new(Code::StoresUnknown, "injected"))),
            Some(_) => {
                let again = soon + self.stores.random.millis(1, 5_000);
                answer(self, soon, Ok(found.clone()));
                answer(self, again, Ok(found));
            }
            None => answer(self, soon, Ok(found)),
        }
    }

    pub(super) fn tell_stores(&mut self, process: usize, found: Result<Vec<StoreClock>, Reason>) {
        self.give(process, Input::Stores(found));
    }

    /// Whether the members were closed whenever a store's clock read the point's second, or its guards. A clock that was
    /// set and set back between the two looks is beyond what they show.
    pub(super) fn check_stores(&mut self, point: Timestamp) -> Result<(), Violation> {
        let nanos = |nanos: i128| Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
        let after = self.stores.looks.last().copied().unwrap_or(self.now);
        for store in 0..self.stores.clocks.len() {
            let ends = [self.stores.offset(store, BEGUN), self.stores.offset(store, after)];
            let guard = self.stores.clocks[store].guard;
            let pieces: Vec<_> = self.stores.pieces(store).collect();
            for (since, until, offset) in pieces {
                let read = point.as_nanosecond() - EPOCH_SECONDS_NANOS - i128::from(offset);
                let from = nanos(read).saturating_sub(guard).max(since).max(BEGUN);
                let until = (nanos(read) + Duration::from_secs(1) + guard).min(until).min(after);
                let shown = ends.iter().min() <= Some(&offset) && Some(&offset) <= ends.iter().max();
                if from < until
                    && let Err(violation) = self.check_quiet(from, until)
                {
                    if shown {
                        return Err(violation);
                    }
                    self.report.beyond_looks = true;
                }
            }
        }
        Ok(())
    }
}
