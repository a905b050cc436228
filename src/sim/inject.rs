//! How each fault happens.

use super::faults::Fault;
use super::traffic::unknown;
use super::world::{Happening, Scheduled, World};
use crate::domain::{Code, Reason};
use crate::window::Input;
use std::time::Duration;

impl World {
    pub(super) fn foreign_pause(&mut self, member: usize) {
        if self.members[member].up && !self.members[member].hung {
            self.foreign_ids += 1;
            let (now, id) = (self.now, self.foreign_ids);
            self.truth.foreign_pause(now, member);
            let lasts = self.random.millis(200, 2_000);
            self.long_transaction |= self.random.once_in(2);
            self.some_traffic(member, lasts);
            if self.random.once_in(2) {
                self.members[member].gate.pause_at_once(now, id);
            } else {
                let limit = i64::try_from(self.random.below(5_000)).unwrap_or(0) + 1;
                self.members[member].gate.pause(now, id, Some(limit));
            }
            self.after_gate(member);
        }
    }

    pub(super) fn inject(&mut self, index: usize, fault: Fault) {
        let member = self.random.index(self.members.len());
        match fault {
            Fault::LostRequest
            | Fault::LostReply
            | Fault::LateRequest
            | Fault::LateReply
            | Fault::DoubledRequest
            | Fault::DoubledReply => self.next_message = Some(fault),
            Fault::AppendFails | Fault::AppendLies | Fault::AppendHangs | Fault::AppendLate => {
                self.next_append = Some(fault);
            }
            Fault::CensusChanges | Fault::CensusFails | Fault::CensusLost => self.census = Some(fault),
            Fault::StoresLost
            | Fault::StoresLate
            | Fault::StoresFail
            | Fault::StoresDoubled
            | Fault::StoreSteps
            | Fault::StoreDrifts => self.inject_stores(fault),
            Fault::Hang => {
                self.members[member].hung = true;
                let lasts = self.random.millis(100, 60_000);
                self.schedule(lasts, Happening::Unhang { member });
            }
            Fault::Restart => self.restart(member, true),
            Fault::Down => {
                self.restart(member, false);
                let lasts = self.random.millis(100, 60_000);
                self.schedule(lasts, Happening::Up { member });
            }
            Fault::PodReplaced
            | Fault::PodRemoved
            | Fault::CrashLoop
            | Fault::PodJoins
            | Fault::WatchGap
            | Fault::ApiAway => {
                self.inject_pods(member, fault);
            }
            Fault::LongTransaction => self.long_transaction = true,
            Fault::ForeignPause => self.foreign_pause(member),
            Fault::ForeignUnpause | Fault::ForeignFlap => {
                if self.members[member].up && !self.members[member].hung {
                    let now = self.now;
                    self.members[member].gate.unpause(now);
                    self.after_gate(member);
                    if fault == Fault::ForeignFlap {
                        let after = self.random.millis(1, 300);
                        self.schedule(after, Happening::ForeignPause { member });
                    }
                }
            }
            Fault::Crash | Fault::CrashAfterAppend => self.crash(index, fault == Fault::CrashAfterAppend),
            Fault::Stop | Fault::TwoLeaders => self.stop(index, fault == Fault::TwoLeaders),
            Fault::ClockStep => {
                let seconds = 1 + i64::try_from(self.random.below(5)).unwrap_or(0);
                let sign = if self.random.once_in(2) { 1 } else { -1 };
                self.step_clock(sign * seconds * 1_000_000_000);
            }
            Fault::ClockNudge => {
                let millis = i64::try_from(self.random.below(180)).unwrap_or(0) - 90;
                self.step_clock(millis * 1_000_000);
            }
            Fault::Shutdown => {
                let reason = Reason::new(Code::Shutdown, "told to end");
                self.give(index, Input::Open(reason));
            }
            Fault::Abandon => {
                if self.processes[index].window.durable().open_intent() {
                    self.abandoned.push(member);
                }
                self.give(index, Input::Abandon { member, by: "a person".into() });
            }
        }
    }

    fn stop(&mut self, index: usize, another_takes_over: bool) {
        self.processes[index].stopped = true;
        self.processes[index].disturbed = true;
        let lasts = self.random.millis(100, 60_000);
        self.schedule(lasts, Happening::Wake { process: index });
        if another_takes_over {
            let after = self.random.millis(100, 15_000);
            self.schedule(after, Happening::Start);
        }
    }

    pub(super) fn step_clock(&mut self, nanos: i64) {
        self.wall_offset += nanos;
        self.wall_offsets.push((self.now, self.wall_offset));
    }

    pub(super) fn restart(&mut self, member: usize, up: bool) {
        let state = &mut self.members[member];
        state.life += 1;
        state.up = up;
        state.gate.restart();
        for (request, process, ..) in std::mem::take(&mut state.waiting) {
            let answer = unknown("connection reset");
            self.schedule(Duration::from_millis(1), Happening::Reply { process, member, request, answer });
        }
        self.truth.note(self.now, member, self.members[member].active());
    }

    pub(super) fn crash(&mut self, index: usize, appends_land: bool) {
        self.processes[index].alive = false;
        self.processes[index].disturbed = true;
        let mut rest: Vec<Scheduled> = std::mem::take(&mut self.queue).into_vec();
        rest.sort_by_key(|scheduled| (scheduled.at, scheduled.order));
        for scheduled in rest {
            match scheduled.what {
                Happening::Land { process, number, event, .. } if process == index => {
                    if appends_land {
                        self.land(process, number, *event, None);
                    }
                }
                what => self.queue.push(Scheduled { what, ..scheduled }),
            }
        }
        let after = self.random.millis(50, 5_000);
        self.schedule(after, Happening::Start);
    }
}
