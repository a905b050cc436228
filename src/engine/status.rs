//! What a running window shows to the outside.

use crate::domain::{Evidence, Member, Now};
use crate::window::{End, Outcome, Plan, State, Window};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// None until the members are found.
    pub state: Option<State>,
    pub plan: Option<Plan>,
    pub evidence: Evidence,
    /// In the intent's order.
    pub members: Arc<[Member]>,
    pub recovered: bool,
    pub first_pause: Option<Timestamp>,
    pub pause_completed: Option<Timestamp>,
    pub unpause_started: Option<Timestamp>,
    /// Each member that is not done, or that a person gave up: it may still be closed.
    pub doubtful: Vec<String>,
    /// By cluster: how many members there are, and how many said at their last look that they are paused.
    pub seen: BTreeMap<String, (usize, usize)>,
    /// By cluster: how many members were not seen open since the opening began; clusters without any are left out.
    pub unopened: BTreeMap<String, usize>,
    pub outcome: Option<Outcome>,
    /// The verdict is durable, and nothing is left to do.
    pub finished: bool,
}

impl Status {
    pub(super) fn finding() -> Self {
        Self {
            state: None,
            plan: None,
            evidence: Evidence::Address,
            members: Arc::default(),
            recovered: false,
            first_pause: None,
            pause_completed: None,
            unpause_started: None,
            doubtful: Vec::new(),
            unopened: BTreeMap::new(),
            seen: BTreeMap::new(),
            outcome: None,
            finished: false,
        }
    }

    pub(super) fn of(window: &Window, members: Arc<[Member]>, now: Now) -> Self {
        let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut unopened: BTreeMap<String, usize> = BTreeMap::new();
        for (member, live) in window.members().iter().zip(window.live()) {
            let paused = live.look.is_some_and(|look| look.paused) && live.opened_at.is_none();
            let (known, closed) = seen.entry(member.cluster.clone()).or_default();
            *known += 1;
            *closed += usize::from(paused);
            if live.end.is_none() && live.opened_at.is_none() {
                *unopened.entry(member.cluster.clone()).or_default() += 1;
            }
        }
        let may_be_closed = window.first_pause().is_some() || window.recovered();
        let pairs = window.members().iter().zip(window.live());
        let doubtful = pairs.filter(|(_, live)| may_be_closed && matches!(live.end, None | Some(End::Abandoned)));
        Self {
            state: Some(window.state(now)),
            plan: Some(window.plan().clone()),
            evidence: window.durable().evidence,
            members,
            recovered: window.recovered(),
            first_pause: window.first_pause(),
            pause_completed: window.pause_completed(),
            unpause_started: window.unpause_started(),
            doubtful: doubtful.map(|(member, _)| member.to_string()).collect(),
            seen,
            unopened,
            outcome: window.outcome().cloned(),
            finished: window.finished(),
        }
    }

    /// Whether the verdict is known and every member is done: what a person waits for.
    #[must_use]
    pub const fn concluded(&self) -> bool {
        self.outcome.is_some()
    }
}
