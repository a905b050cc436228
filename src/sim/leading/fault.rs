//! Everything that can go wrong between replicas, their lease, their catalog and the members.

use crate::sim::faults::faults;
use crate::sim::random::Random;
use crate::window::State;

faults! {
    /// The next request to a member never arrives.
    LostRequest,
    /// The next request to a member arrives as late as the design allows for.
    LateRequest,
    /// The next request to a member arrives twice.
    DoubledRequest,
    /// The next reply of a member is lost.
    LostReply,
    /// A member starts anew: it is open.
    Restart,
    /// A member stops answering for a while.
    Hang,
    /// Someone else unpauses a member and pauses it again before the next look.
    ForeignFlap,
    /// The next append fails.
    AppendFails,
    /// The next append is written, and reported as failed.
    AppendLies,
    /// The daemon dies; what it asked of the catalog is lost.
    Crash,
    /// The daemon dies; what it asked of the catalog is done.
    CrashAfterAppend,
    /// The daemon is told to end.
    Terminate,
    /// The daemon is stopped for a while (SIGSTOP).
    Stop,
    /// The computer sleeps for a while: its clock goes on, answers are lost.
    Sleep,
    /// The daemon is stopped for a while when its next pauses are due, before it looks at its lease once more.
    StopBeforePause,
    /// The daemon is stopped for a while when it has begun to send its next pauses: they leave when it wakes.
    StopInPause,
    /// The next request to the lease is lost.
    LeaseLost,
    /// The next write of the lease arrives late.
    LeaseLate,
    /// The next write of the lease arrives twice, the second time late.
    LeaseDoubled,
    /// The next write of the lease is taken, and reported as failed.
    LeaseLies,
    /// The next answer of the lease comes late.
    LeaseAnswersLate,
    /// A person deletes the lease.
    LeaseDeleted,
    /// A person writes a lease that nobody holds over the one that is there.
    LeaseEmptied,
    /// The lease is away for a while.
    LeaseAway,
    /// This replica is cut off from the lease for a while.
    LeaseCutOff,
    /// The catalog fails over to a copy that is as new.
    CatalogFailsOver,
    /// The catalog fails over to a copy that has not got the last changes.
    CatalogLoses,
    /// The catalog is away for a while.
    CatalogAway,
}

/// A fault, and when it happens: at a step of a window that is in this state, after as many other such steps; none:
/// when a replica that runs no window was answered by the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub state: Option<State>,
    pub after: u32,
    pub fault: Fault,
}

/// What a window can be doing.
pub const STATES: [State; 11] = [
    State::Waiting,
    State::Looking,
    State::Intending,
    State::Pausing,
    State::Rechecking,
    State::Holding,
    State::LastLook,
    State::Opening,
    State::Recovering,
    State::Verifying,
    State::Concluding,
];

const DEADLY: [Fault; 4] = [Fault::Crash, Fault::CrashAfterAppend, Fault::Stop, Fault::LeaseCutOff];

/// Up to `most` faults, each in any state.
#[must_use]
pub fn plan(random: &mut Random, most: u64) -> Vec<Planned> {
    let mut planned = Vec::new();
    if random.once_in(8) {
        // A pause that is on its way when its daemon dies is what a successor has to wait for.
        planned.push(Planned { state: Some(State::Intending), after: 0, fault: Fault::LateRequest });
        if random.once_in(2) {
            planned.push(Planned { state: Some(State::Pausing), after: 0, fault: Fault::CatalogLoses });
        }
        planned.push(Planned { state: Some(State::Pausing), after: 0, fault: DEADLY[random.index(DEADLY.len())] });
    }
    for _ in 0..=random.below(most) {
        let state = STATES.get(random.index(STATES.len() + 1)).copied();
        let after = u32::try_from(random.below(3) * random.below(6)).unwrap_or(0);
        if state == Some(State::Recovering) {
            let before = STATES[2 + random.index(6)];
            planned.push(Planned { state: Some(before), after: 0, fault: DEADLY[random.index(DEADLY.len())] });
        }
        planned.push(Planned { state, after, fault: Fault::ALL[random.index(Fault::ALL.len())] });
    }
    planned
}
