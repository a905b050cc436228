use serde::{Deserialize, Serialize};

/// Why a window was not consistent: a code for machines, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// The stable code, a label value of `stillpoint_windows_total`.
    pub code: Code,
    /// What happened, naming the member where there is one.
    pub sentence: String,
}

impl Reason {
    #[must_use]
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.sentence)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// The closed list of reasons.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[doc = $doc])+ $variant),+ }

        impl Code {
            /// Every code, in the order of a window.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The name in catalog, metrics and pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
            /// Whether a window with this first reason usually ends so; metrics have a series for each from the start.
            #[must_use]
            pub fn ends(self, verdict: super::Verdict) -> bool {
                match verdict {
                    super::Verdict::Refused => self <= Self::Catalog || [Self::LeadershipLost, Self::Shutdown].contains(&self),
                    super::Verdict::Discarded => {
                        let of_slots = [Self::NotRunning, Self::Slept, Self::Blackout, Self::Suspended];
                        self >= Self::Catalog && !of_slots.contains(&self)
                    }
                    super::Verdict::Consistent | super::Verdict::Missed | super::Verdict::Skipped => false,
                }
            }
            /// What it means, for the reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

codes! {
    /// The members of a cluster could not be found.
    Discovery = "discovery",
    /// A pod of the group, or the workload behind it, is not at rest: not ready, terminating, rolling out, scaling.
    Unsettled = "unsettled",
    /// A Scalar workload runs in the group's namespaces that no group names.
    Unlisted = "unlisted",
    /// Another Stillpoint holds the Lease of a cluster.
    Leased = "leased",
    /// A store cannot be restored to a point in time now.
    StoreUnready = "store_unready",
    /// A store could not be asked: no answer, or no right to one.
    StoreUnreachable = "store_unreachable",
    /// A member could not be reached before the pause.
    Unreachable = "unreachable",
    /// A member was paused already before the window: someone else's pause, never revoked.
    AlreadyPaused = "already_paused",
    /// A member of the group is named by an intent that is not closed yet.
    Recovering = "recovering",
    /// The group is in another window.
    Busy = "busy",
    /// An append to the catalog failed or stalled.
    Catalog = "catalog",
    /// A member had transactions open beyond the drain limit.
    DrainTimeout = "drain_timeout",
    /// A pause request failed, or its outcome is unknown.
    PauseFailed = "pause_failed",
    /// A member was found open when all had to be closed.
    Reopened = "reopened",
    /// A member did not answer when it was asked during the hold.
    Unanswered = "unanswered",
    /// Nobody looked at the members for too long during the hold.
    Unwatched = "unwatched",
    /// A member restarted, left, joined or was no longer ready, or the workload behind it changed.
    CensusChanged = "census_changed",
    /// Kubernetes could not tell whether anything changed during the window.
    WatchGap = "watch_gap",
    /// The stores' clocks could not be looked at again after the window.
    StoresUnknown = "stores_unknown",
    /// A table was created, deleted or made anew in the window.
    StoreChanged = "store_changed",
    /// The wall clock stepped during the window.
    ClockStep = "clock_step",
    /// No whole second fits into the quiet interval on every store's clock.
    ClockSkew = "clock_skew",
    /// The first unpause request was due, the window was not at its end.
    MaxPause = "max_pause",
    /// A member was closed by someone else during the window.
    ForeignPause = "foreign_pause",
    /// The daemon was no longer the leader, or could not be sure of it.
    LeadershipLost = "leadership_lost",
    /// The daemon was told to stop.
    Shutdown = "shutdown",
    /// A person opened the group before the window's end.
    Opened = "opened_by_hand",
    /// The daemon died, and recovery opened the members.
    Interrupted = "interrupted",
    /// No daemon ran at the slot.
    NotRunning = "not_running",
    /// The computer slept over the slot, or its clock was set past it.
    Slept = "slept",
    /// A blackout of the schedule covered the slot.
    Blackout = "blackout",
    /// The schedule was suspended at the slot.
    Suspended = "suspended",
    /// A person gave a member up by name.
    Abandoned = "abandoned",
}
