//! The keeper of a replica's part in the election, as `leadership/keeper.rs` is: what it asks of the lease, and what it
//! makes of the answers. The election itself is the real one.

use super::lease::{Lease, Listed, Put, may_take};
use super::process::Message;
use super::{Fault, Happening, World};
use crate::leadership::{ABSENT, Ask, Taken};
use crate::window::Input;
use std::rc::Rc;
use std::time::Duration;

/// One try to take or renew the lease, or to let it go.
#[derive(Debug)]
pub(super) struct Asked {
    ask: Ask,
    /// By the process's own clock.
    sent: Duration,
    /// What is to stand there of open windows, and the number of its last change; none: what stands there.
    posted: Option<Listed>,
    change: u64,
    releases: bool,
}

/// What travels to the lease.
#[derive(Debug, Clone)]
pub(super) enum Errand {
    Get(Rc<Asked>),
    Put { asked: Rc<Asked>, put: Put, fault: Option<Fault> },
}

/// What comes back.
#[derive(Debug)]
pub(super) enum Answer {
    Found { asked: Rc<Asked>, found: Option<Lease>, fault: Option<Fault> },
    Written { asked: Rc<Asked>, stands: Listed },
    Failed { asked: Rc<Asked> },
}

/// A process's name on the lease.
pub(super) fn name(process: usize) -> String {
    format!("p{process}")
}

impl World {
    /// Asks when that is due, and tells everything in the process how the election stands.
    pub(super) fn keep(&mut self, process: usize) {
        let now = self.mono(process);
        let keeper = &mut self.processes[process].keeper;
        if keeper.lost {
            return;
        }
        if let Some(ask) = keeper.election.due(now) {
            let posted = keeper.inherited.is_some().then(|| keeper.listed.clone());
            let asked = Asked { ask, sent: now, posted, change: keeper.change, releases: false };
            self.ask_lease(process, Errand::Get(Rc::new(asked)), Duration::ZERO);
        }
        let keeper = &mut self.processes[process].keeper;
        let until = keeper.election.leads(now);
        keeper.lost = keeper.led && until.is_none();
        if !keeper.led && until.is_some() {
            self.report.terms += 1;
        }
        keeper.led |= until.is_some();
        if keeper.until != until {
            let newly = keeper.until.is_none_or(|until| until <= now);
            keeper.until = until;
            self.check_trust(process, newly);
            for drive in &self.processes[process].drives {
                let drive = &mut self.drives[*drive];
                // What a dead process left is opened whoever leads.
                if !drive.recovered {
                    drive.leads_until = until.unwrap_or_default();
                    drive.give(Input::Leads { until: until.unwrap_or_default() });
                }
            }
        }
    }

    fn ask_lease(&mut self, process: usize, errand: Errand, late: Duration) {
        let after = self.random.millis(1, 5) + late;
        self.schedule(after, Happening::Lease { process, errand });
    }

    fn answer(&mut self, process: usize, answer: Answer, late: Duration) {
        let after = self.random.millis(1, 5) + late;
        self.schedule(after, Happening::Tell { process, message: Message::Lease(answer), network: true });
    }

    /// A request arrives at the lease's server.
    pub(super) fn lease_asked(&mut self, process: usize, errand: Errand) {
        let away = self.now < self.server.back.max(self.processes[process].keeper.cut_off);
        match errand {
            Errand::Get(asked) | Errand::Put { asked, .. } if away => {
                if self.random.once_in(2) {
                    self.answer(process, Answer::Failed { asked }, Duration::ZERO);
                }
            }
            Errand::Get(asked) => {
                let fault = self.armed.lease.take();
                if fault == Some(Fault::LeaseLost) {
                    return;
                }
                let late = if fault == Some(Fault::LeaseAnswersLate) { self.late() } else { Duration::ZERO };
                let found = self.server.lease.clone();
                self.answer(process, Answer::Found { asked, found, fault }, late);
            }
            Errand::Put { asked, put, fault } => {
                let stands = put.listed.clone();
                let before = self.server.lease.as_ref().map(|lease| lease.listed.clone());
                let written = self.server.put(put);
                if written {
                    self.made = before.as_ref().map_or(self.now, |_| self.made);
                    self.check_struck(&before.unwrap_or_default(), &stands);
                }
                let lies = fault == Some(Fault::LeaseLies);
                let answer =
                    if written && !lies { Answer::Written { asked, stands } } else { Answer::Failed { asked } };
                let late = if fault == Some(Fault::LeaseAnswersLate) { self.late() } else { Duration::ZERO };
                self.answer(process, answer, late);
            }
        }
    }

    /// How late a request to the lease, or its answer, may be.
    fn late(&mut self) -> Duration {
        let late = self.random.millis(500, 12_000);
        self.calm = self.calm.max(self.now + late);
        late
    }

    pub(super) fn lease_answered(&mut self, process: usize, answer: Answer) {
        match answer {
            Answer::Found { asked, found, fault } => self.lease_found(process, asked, found.as_ref(), fault),
            Answer::Written { asked, stands } => self.answered(process, &asked, Taken::Ours, Some(stands)),
            Answer::Failed { asked } => self.answered(process, &asked, Taken::Unknown("injected".into()), None),
        }
    }

    fn lease_found(&mut self, process: usize, asked: Rc<Asked>, found: Option<&Lease>, fault: Option<Fault>) {
        let me = name(process);
        let ours = found.is_some_and(|lease| lease.holder == me);
        if asked.releases && !ours || self.processes[process].keeper.lost && !asked.releases {
            return;
        }
        if !asked.releases && !may_take(&asked.ask, &me, found) {
            let theirs = match found {
                Some(lease) => {
                    Taken::Theirs { holder: lease.holder.clone(), record: lease.record(), lasts: lease.lasts }
                }
                None => Taken::Theirs { holder: "nobody".into(), record: ABSENT.into(), lasts: Duration::ZERO },
            };
            return self.answered(process, &asked, theirs, None);
        }
        let stands = found.map(|lease| lease.listed.clone()).unwrap_or_default();
        let listed = asked.posted.clone().unwrap_or(stands);
        let holder = if asked.releases { String::new() } else { me };
        let put = Put { version: found.map(|lease| lease.version), holder, lasts: self.terms.lasts, listed };
        let late = if fault == Some(Fault::LeaseLate) { self.late() } else { Duration::ZERO };
        let errand = Errand::Put { asked, put, fault };
        if fault == Some(Fault::LeaseDoubled) {
            let again = self.late();
            self.ask_lease(process, errand.clone(), again);
        }
        self.ask_lease(process, errand, late);
    }

    fn answered(&mut self, process: usize, asked: &Asked, taken: Taken, stands: Option<Listed>) {
        let now = self.mono(process);
        let keeper = &mut self.processes[process].keeper;
        if keeper.lost || asked.releases {
            return;
        }
        let ours = taken == Taken::Ours;
        keeper.election.answered(now, asked.ask.request, asked.sent, taken);
        if ours {
            if asked.posted.is_some() {
                keeper.written = keeper.written.max(asked.change);
            }
            if keeper.inherited.is_none() {
                let stands = stands.unwrap_or_default();
                keeper.listed.extend(&stands);
                keeper.inherited = Some(stands);
                keeper.change += 1;
            }
        }
        if self.processes[process].drives.is_empty() {
            self.strike(process, None);
        }
    }

    /// Puts an open window on the lease: it stands there when this change is written.
    pub(super) fn post(&mut self, process: usize, window: usize) -> u64 {
        let keeper = &mut self.processes[process].keeper;
        keeper.listed.insert(window);
        keeper.change += 1;
        keeper.election.hurry();
        keeper.change
    }

    /// Takes a window off the lease: everything that it closed is open.
    pub(super) fn strike_listed(&mut self, process: usize, window: usize) {
        let keeper = &mut self.processes[process].keeper;
        if keeper.listed.remove(&window) {
            keeper.change += 1;
            keeper.election.hurry();
        }
    }

    /// Lets the lease go.
    pub(super) fn release(&mut self, process: usize) {
        if !self.processes[process].keeper.led {
            return;
        }
        let ask = Ask { request: 0, over: None, leads: false, deadline: self.terms.deadline() };
        let asked = Asked { ask, sent: Duration::ZERO, posted: None, change: 0, releases: true };
        self.ask_lease(process, Errand::Get(Rc::new(asked)), Duration::ZERO);
    }
}
