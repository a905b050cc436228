//! Everything that can go wrong in a simulated window.

use super::random::Random;

/// A closed list of faults, and all of them in order.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// One fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[doc = $doc])+ $name),+ }
        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

pub(super) use faults;

faults! {
    /// The next request never arrives.
    LostRequest,
    /// The next request is carried out, its reply is lost.
    LostReply,
    /// The next request arrives as late as the design allows for.
    LateRequest,
    /// The next reply comes late.
    LateReply,
    /// The next request arrives twice before it is answered.
    DoubledRequest,
    /// The next reply arrives twice.
    DoubledReply,
    /// A member stops answering for a while; what arrives waits for it.
    Hang,
    /// A member restarts at once: its state is lost, it is open.
    Restart,
    /// A member is gone for a while, then starts anew.
    Down,
    /// A transaction stays open beyond the drain limit.
    LongTransaction,
    /// Someone else pauses a member.
    ForeignPause,
    /// Someone else unpauses a member.
    ForeignUnpause,
    /// Someone else unpauses a member and pauses it again before the next look.
    ForeignFlap,
    /// The next append fails; nothing is written.
    AppendFails,
    /// The next append is written, and reported as failed.
    AppendLies,
    /// The next append hangs, and is never written.
    AppendHangs,
    /// The next append hangs, and is written late.
    AppendLate,
    /// The daemon dies; appends on their way are lost.
    Crash,
    /// The daemon dies; appends on their way are written.
    CrashAfterAppend,
    /// The daemon is stopped for a while (SIGSTOP).
    Stop,
    /// The daemon is stopped, another one takes over, the first wakes again.
    TwoLeaders,
    /// The wall clock steps far.
    ClockStep,
    /// The wall clock moves by less than a step.
    ClockNudge,
    /// The members found after the window differ.
    CensusChanges,
    /// The members cannot be found after the window.
    CensusFails,
    /// A member's pod is gone, and its address belongs to another pod.
    PodReplaced,
    /// A member's pod is gone, and nothing answers at its address any more.
    PodRemoved,
    /// A member's container ends and is not started again for a while; what Kubernetes says of it is behind.
    CrashLoop,
    /// A pod joins the cluster, and may leave it again.
    PodJoins,
    /// Kubernetes cannot tell whether something changed.
    WatchGap,
    /// The API server is away for a while.
    ApiAway,
    /// The daemon is told to end.
    Shutdown,
    /// A person gives a member up.
    Abandon,
    /// Finding the members next never ends.
    CensusLost,
    /// The stores are never done with being looked at.
    StoresLost,
    /// Looking at the stores takes long.
    StoresLate,
    /// The stores cannot be looked at, or not all of them.
    StoresFail,
    /// What the stores answer arrives twice.
    StoresDoubled,
    /// A store's clock is set.
    StoreSteps,
    /// A store's clock runs fast or slow for a while.
    StoreDrifts,
}

impl Fault {
    /// Whether it needs a world with stores.
    #[must_use]
    pub const fn of_stores(self) -> bool {
        matches!(
            self,
            Self::StoresLost
                | Self::StoresLate
                | Self::StoresFail
                | Self::StoresDoubled
                | Self::StoreSteps
                | Self::StoreDrifts
        )
    }
}

/// A fault and the daemon's step it happens at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    pub step: u32,
    pub fault: Fault,
}

/// Up to `most` faults over the first `steps` steps.
#[must_use]
pub fn plan(random: &mut Random, most: u64, steps: u64) -> Vec<Planned> {
    let count = 1 + random.below(most);
    let mut planned: Vec<Planned> = (0..count)
        .map(|_| Planned {
            step: u32::try_from(random.below(steps)).unwrap_or(0),
            fault: Fault::ALL[random.index(Fault::ALL.len())],
        })
        .collect();
    planned.sort_by_key(|planned| planned.step);
    planned
}
