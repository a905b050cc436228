//! What happens to the members' pods, and what Kubernetes tells of it.

use super::faults::Fault;
use super::world::{Happening, SimMember, World};
use crate::domain::{Code, Gone, Member, Reason};
use crate::window::{Input, POD_DEADLINE, State};
use std::time::Duration;

/// How long, in milliseconds, a container's status may be behind: less than a request's deadline.
const STATUS_BEHIND: u64 = 2_000;

impl World {
    /// A fault of Kubernetes; where the members are only addresses, what it comes to there.
    pub(super) fn inject_pods(&mut self, member: usize, fault: Fault) {
        match fault {
            Fault::PodReplaced | Fault::PodRemoved | Fault::CrashLoop if !self.pods => self.restart(member, true),
            _ if !self.pods => self.census = Some(Fault::CensusFails),
            Fault::PodReplaced => {
                self.members[member].gone = true;
                self.restart(member, true);
                if self.random.once_in(2) {
                    self.foreign_pause(member);
                }
                self.changed(Some(member));
            }
            Fault::PodRemoved => {
                self.members[member].gone = true;
                self.restart(member, false);
                self.changed(Some(member));
            }
            Fault::CrashLoop => {
                self.restart(member, false);
                let lasts = if self.random.once_in(2) { Duration::ZERO } else { self.random.millis(100, 60_000) };
                self.schedule(lasts, Happening::Up { member });
                let behind = self.random.millis(1, STATUS_BEHIND);
                self.members[member].said_down = self.now + lasts + behind;
                self.schedule(behind, Happening::Changed { process: 0, member: Some(member) });
                self.pod_changes.push(self.now);
            }
            Fault::PodJoins => {
                self.joined += 1;
                if self.random.once_in(2) {
                    let stays = self.random.millis(1, 3_000);
                    self.schedule(stays, Happening::PodLeaves);
                }
                self.changed(None);
            }
            Fault::WatchGap => {
                self.gap_told |= self.processes[0].window.state(self.clock()) != State::Concluding;
                self.give(0, Input::Changed { member: None, reason: Reason::new(Code::WatchGap, "injected") });
            }
            _ => {
                let lasts = self.random.millis(100, 60_000);
                self.api_back = self.api_back.max(self.now + lasts);
            }
        }
    }

    pub(super) fn pod_leaves(&mut self) {
        self.joined -= 1;
        self.changed(None);
    }

    /// The watch of the process that began the window tells it, when the API server can.
    fn changed(&mut self, member: Option<usize>) {
        self.pod_changes.push(self.now);
        let after = self.api_back.saturating_sub(self.now) + self.random.millis(1, 50);
        self.schedule(after, Happening::Changed { process: 0, member });
    }

    pub(super) fn tell_change(&mut self, process: usize, member: Option<usize>) {
        let reason = Reason::new(Code::CensusChanged, "injected");
        self.give(process, Input::Changed { member, reason });
    }

    pub(super) fn look_at_pods(&mut self, process: usize) {
        let away = self.now < self.api_back;
        let after = if away && self.random.once_in(2) { POD_DEADLINE } else { self.random.millis(1, 20) };
        self.schedule(after, Happening::Pods { process, answer: !away });
    }

    pub(super) fn tell_pods(&mut self, process: usize, answer: bool) {
        let how = |member: &SimMember| match member {
            SimMember { gone: true, .. } => Some(Gone::Pod),
            member => (self.now < member.said_down).then_some(Gone::Process),
        };
        let gone = self.members.iter().enumerate().filter_map(|(index, member)| Some((index, how(member)?)));
        let found = if answer { Ok(gone.collect()) } else { Err("the API server is away".to_owned()) };
        self.give(process, Input::Pods(found));
    }

    /// The members as Kubernetes lists them; after the window it also tells what came and went.
    pub(super) fn pods_found(&mut self, named: Vec<Member>) -> Result<Vec<Member>, Reason> {
        if self.now < self.api_back {
            return Err(Reason::new(Code::Discovery, "the API server is away"));
        }
        let after = self.processes[0].window.state(self.clock()) >= State::Verifying;
        if after && !self.pod_changes.is_empty() {
            return Err(Reason::new(Code::CensusChanged, "the watch tells of a change"));
        }
        let joined = named.first().cloned().into_iter().cycle().take(self.joined).map(|mut member| {
            member.name = "another".into();
            member
        });
        let there = named.iter().zip(&self.members).filter(|(_, state)| !state.gone).map(|(member, _)| member.clone());
        Ok(there.chain(joined).collect())
    }

    /// Whether a pod joined, left or was replaced before the opening began.
    pub(super) fn pods_changed_before(&self, opening: Duration) -> bool {
        self.pod_changes.iter().any(|at| *at < opening)
    }
}
