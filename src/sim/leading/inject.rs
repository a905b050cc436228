//! How each fault happens.

use super::process::Halt;
use super::{Fault, Happening, World};
use crate::domain::{Code, Verdict};
use crate::window::State;
use std::time::Duration;

impl World {
    /// Lets the faults planned for this step happen, before the process sees what came to it.
    pub(super) fn strike(&mut self, process: usize, met: Option<(usize, State)>) {
        let state = met.map(|(_, state)| state);
        let mut due = Vec::new();
        self.planned.retain_mut(|planned| {
            if planned.state != state {
                return true;
            }
            if planned.after == 0 {
                due.push(planned.fault);
            }
            planned.after = planned.after.saturating_sub(1);
            due.last() != Some(&planned.fault)
        });
        for fault in due {
            self.report.met.push((state, fault));
            self.calm = self.calm.max(self.now);
            self.inject(process, fault);
        }
    }

    /// How long a process is stopped: as long as it may trust its lease, or much longer.
    pub(super) fn stopped_for(&mut self) -> Duration {
        let most = if self.random.once_in(2) { 8_000 } else { 40_000 };
        self.lasts(100, most)
    }

    /// How long the effect of a fault lasts.
    fn lasts(&mut self, low: u64, high: u64) -> Duration {
        let lasts = self.random.millis(low, high);
        self.calm = self.calm.max(self.now + lasts);
        lasts
    }

    fn inject(&mut self, process: usize, fault: Fault) {
        let member = self.random.index(self.members.len());
        match fault {
            Fault::LostRequest | Fault::LateRequest | Fault::DoubledRequest | Fault::LostReply => {
                self.armed.message = Some(fault);
            }
            Fault::Restart => self.restart(member),
            Fault::Hang => {
                self.members[member].hung = true;
                let lasts = self.lasts(100, 20_000);
                self.schedule(lasts, Happening::Unhang { member });
            }
            Fault::ForeignFlap => {
                self.foreign_unpause(member);
                let after = self.lasts(1, 300);
                self.schedule(after, Happening::ForeignPause { member });
                let opens = after + self.lasts(500, 5_000);
                self.schedule(opens, Happening::ForeignUnpause { member });
                self.calm = self.calm.max(self.now + opens);
            }
            Fault::AppendFails | Fault::AppendLies => self.armed.append = Some(fault),
            Fault::Crash | Fault::CrashAfterAppend => self.die(process, fault == Fault::CrashAfterAppend),
            Fault::Terminate => self.stop(process, Code::Shutdown),
            Fault::Stop | Fault::Sleep => {
                let lasts = self.stopped_for();
                let halt = if fault == Fault::Stop { Halt::Stopped } else { Halt::Asleep };
                self.halt(process, halt, lasts);
            }
            Fault::StopBeforePause | Fault::StopInPause => {
                self.processes[process].halts_at_pause = Some(fault == Fault::StopInPause);
            }
            Fault::LeaseLost | Fault::LeaseLate | Fault::LeaseDoubled | Fault::LeaseLies | Fault::LeaseAnswersLate => {
                self.armed.lease = Some(fault)
            }
            Fault::LeaseDeleted => {
                let all_looked = (self.terms.retry + self.terms.deadline()).mul_f64(1.1);
                self.deleted = true;
                self.deleted_soon |= self.server.lease.is_some() && self.now < self.made + all_looked;
                self.server.lease = None;
            }
            Fault::LeaseEmptied => {
                self.overwritten = true;
                self.server.empty(self.terms.lasts);
            }
            Fault::LeaseAway => self.server.back = self.now + self.lasts(500, 25_000),
            Fault::LeaseCutOff => self.processes[process].keeper.cut_off = self.now + self.lasts(500, 25_000),
            Fault::CatalogFailsOver => self.fail_over(0),
            Fault::CatalogLoses => {
                let lost = 1 + self.random.index(5);
                self.fail_over(lost);
            }
            Fault::CatalogAway => self.catalog_back = self.now + self.lasts(500, 25_000),
        }
    }

    /// The catalog's standby takes over, without the last changes.
    fn fail_over(&mut self, lost: usize) {
        let stands = (self.copies.len() - 1).saturating_sub(lost);
        self.lost_changes |= stands + 1 < self.copies.len();
        self.copies.truncate(stands + 1);
        if let Some(copy) = self.copies.last() {
            self.catalog = copy.clone();
        }
        let told = self.begun.iter().enumerate().filter(|(_, begun)| begun.told.is_some());
        let lost = told.filter(|(window, _)| self.verdict(*window) != Some(Verdict::Consistent)).count();
        self.report.lost_verdicts += u32::try_from(lost).unwrap_or(u32::MAX);
        let away = self.lasts(50, 3_000);
        self.catalog_back = self.catalog_back.max(self.now + away);
    }

    /// The verdict that the catalog has of a window.
    pub(super) fn verdict(&self, window: usize) -> Option<Verdict> {
        self.catalog.windows.get(&window)?.journal().outcome.map(|outcome| outcome.verdict)
    }

    pub(super) fn foreign_unpause(&mut self, member: usize) {
        if self.members[member].hung {
            return self.schedule(Duration::from_secs(1), Happening::ForeignUnpause { member });
        }
        let now = self.now;
        self.members[member].gate.unpause(now);
        self.after_gate(member);
    }
}
