//! Everything that can wake a window, and everything a window can ask for.

use super::event::Event;
use crate::domain::{Gone, Member, Reason, StoreClock};
use crate::scalar::Answer;
use std::time::Duration;

/// One input.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// A request was answered, or its deadline passed.
    Reply { member: usize, request: u64, answer: Answer },
    /// The event with this number is durable.
    Appended { number: u32 },
    /// The append of this event failed; it may be durable all the same.
    AppendFailed { number: u32, error: String },
    /// The members as they are found: just before the intent, and after the window.
    Census(Result<Vec<Member>, Reason>),
    /// Kubernetes tells of a change that matters, at this member where it is about one; or that it cannot tell.
    Changed { member: Option<usize>, reason: Reason },
    /// The members whose processes are gone; or why Kubernetes does not say.
    Pods(Result<Vec<(usize, Gone)>, String>),
    /// The stores' clocks after the window, by store, in the order of the clocks before; or why they are not known.
    Stores(Result<Vec<StoreClock>, Reason>),
    /// This daemon may trust until then that it leads.
    Leads { until: Duration },
    /// A person, or the daemon's end, wants everything opened now.
    Open(Reason),
    /// A person gives a member up.
    Abandon { member: usize, by: String },
}

/// A call of the admin interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Pause { drain: Duration },
    Unpause,
    CheckPaused,
}

/// Which connection a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The last one, or a new one when that is lost.
    Any,
    /// A new one, since the last one may be dead.
    New,
    /// The last one; when that is lost, the request is not sent: a new one may lead to another process.
    Same,
}

/// One effect for the shell to carry out. Each is answered by one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a request; answered by `Reply`.
    Send { request: u64, member: usize, call: Call, deadline: Duration, line: Line },
    /// Make an event durable; answered by `Appended` or `AppendFailed`.
    Append { number: u32, event: Event },
    /// Find the members again; answered by `Census`.
    TakeCensus,
    /// Look at the stores' clocks again; answered by `Stores`.
    LookAtStores,
    /// Ask Kubernetes which members' processes are gone; answered by `Pods`.
    LookAtPods,
}
