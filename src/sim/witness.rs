//! What one process asked and was told, as the world saw it: the checks don't take the window's own word for it.

use crate::domain::{Gone, StoreClock};
use crate::scalar::{Answer, FailureKind};
use crate::window::{
    APPEND_DEADLINE, ASK_DEADLINE, Call, Effect, Event, GRACE, Input, POD_DEADLINE, STORES_DEADLINE, Window,
};
use std::time::Duration;

/// The looks of a hold lie no further apart than this.
const LONGEST_UNSEEN: Duration = Duration::from_secs(5);
/// The first unpause leaves this much before `max_pause`, when nothing lets it leave before.
const MAX_PAUSE_LEAD: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
struct Asked {
    member: usize,
    call: Call,
    at: Duration,
}

/// The record of one process.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub first_pause: Option<Duration>,
    pub first_unpause: Option<Duration>,
    /// When the window said that every member had acknowledged.
    pub pause_completed: Option<Duration>,
    /// A member: someone else's pause on it was told to the process.
    pub known_foreign: Vec<bool>,
    /// By request number, until the first answer.
    asked: Vec<Option<Asked>>,
    /// A member: when each look was asked that found it closed after the last acknowledgement.
    closed_looks: Vec<Vec<Duration>>,
    /// Requests that failed before the first unpause.
    failed: u32,
    /// When the append under way was first tried, and whether it is the verdict's.
    append: Option<(Duration, bool)>,
    /// An append before the verdict's failed or stalled.
    append_void: bool,
    /// A member was found open after its acknowledgement.
    found_open: bool,
    /// When the window began to open.
    opening: Option<Duration>,
    /// When the process last decided: what was overdue then was given up.
    stepped: Duration,
    /// The members are pods.
    pods: bool,
    /// When the pods were asked for.
    pods_asked: Option<Duration>,
    /// A member: since when its pod may be gone, as far as the process was told.
    suspect: Vec<Option<Duration>>,
    /// A member: the process was told that its pod is gone.
    gone: Vec<bool>,
    /// How many stores the process has to look at again.
    stores: usize,
    /// When it asked for them.
    stores_asked: Option<Duration>,
    /// What it was told in time, and when; none: that they are not known.
    stores_told: Option<(Duration, Option<Vec<StoreClock>>)>,
}

impl Witness {
    /// `recovering`: since when, for pods that a dead process left. `stores`: how many it was begun with.
    pub fn new(members: usize, recovering: Option<Duration>, pods: bool, stores: usize) -> Self {
        Self {
            known_foreign: vec![false; members],
            closed_looks: vec![Vec::new(); members],
            pods,
            suspect: vec![recovering; members],
            gone: vec![false; members],
            stores,
            ..Self::default()
        }
    }

    /// The process is about to take an input in.
    pub fn told(&mut self, now: Duration, window: &Window, input: &Input) {
        match input {
            Input::Reply { member, request, answer } => {
                let index = usize::try_from(*request).unwrap_or(usize::MAX);
                if let Some(asked) = self.asked.get_mut(index).and_then(Option::take) {
                    self.answered(window, *member, asked, answer);
                    let lost = matches!(answer, Answer::Failed(failure)
                        if matches!(failure.kind, FailureKind::Unknown | FailureKind::Rejected));
                    // Nobody waits any more for a look that was asked before the opening, or that was given up.
                    let in_time = self.stepped < asked.at + ASK_DEADLINE + GRACE;
                    let waited_for = match self.opening {
                        Some(opening) => asked.at >= opening && in_time,
                        None => window.unpause_started().is_none() && in_time,
                    };
                    if self.pods && lost && (waited_for || matches!(asked.call, Call::Pause { .. })) {
                        self.suspect[*member] = Some(now);
                    }
                }
            }
            Input::Changed { member: Some(member), .. } => self.suspect[*member] = Some(now),
            Input::Pods(Ok(gone)) => {
                let asked = self.pods_asked.take();
                for suspect in &mut self.suspect {
                    *suspect = suspect.filter(|since| Some(*since) > asked);
                }
                for (member, _) in gone.iter().filter(|(_, how)| *how == Gone::Pod) {
                    self.gone[*member] = true;
                }
            }
            Input::Stores(found) => {
                let in_time = self.stores_asked.is_some_and(|asked| self.stepped < asked + STORES_DEADLINE);
                if in_time && self.stores_told.is_none() {
                    let all = found.as_ref().ok().filter(|clocks| clocks.len() == self.stores);
                    self.stores_told = Some((now, all.cloned()));
                }
            }
            Input::AppendFailed { .. } => self.append_void |= self.append.is_some_and(|(_, verdict)| !verdict),
            Input::Appended { .. } => {
                if let Some((began, verdict)) = self.append.take() {
                    self.append_void |= !verdict && now > began + APPEND_DEADLINE;
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, window: &Window, member: usize, asked: Asked, answer: &Answer) {
        if window.unpause_started().is_some() {
            return;
        }
        match (asked.call, answer) {
            (Call::CheckPaused, Answer::Looked { paused: true }) => match self.pause_completed {
                Some(completed) if asked.at >= completed => self.closed_looks[member].push(asked.at),
                None if self.first_pause.is_none() => self.known_foreign[member] = true,
                _ => {}
            },
            (Call::CheckPaused, Answer::Looked { paused: false }) if self.pause_completed.is_some() => {
                self.found_open = true;
            }
            (_, Answer::Failed(failure)) => {
                self.failed += 1;
                if matches!(failure.kind, FailureKind::StillPausedByOther | FailureKind::PauseInProgress) {
                    self.known_foreign[member] = true;
                }
            }
            _ => {}
        }
    }

    /// The process asks for these; what is against them.
    pub fn asks(&mut self, now: Duration, window: &Window, effects: &[Effect]) -> Result<(), &'static str> {
        self.stepped = now;
        if window.pause_completed().is_some() {
            self.pause_completed.get_or_insert(now);
        }
        let void = self.found_open || self.failed > 0 && self.first_pause.is_some();
        if void && window.unpause_started().is_none() {
            return Err("a window that was void went on");
        }
        for effect in effects {
            match effect {
                Effect::Send { request, member, call, .. } => self.sends(now, window, *request, *member, *call)?,
                Effect::Append { event, .. } => {
                    let began = self.append.map_or(now, |(began, _)| began);
                    self.append = Some((began, matches!(event, Event::Verdict { .. })));
                    let seen = self.closed_looks.iter().all(|looks| !looks.is_empty());
                    if matches!(event, Event::Paused { .. }) && !seen {
                        return Err("a member was called paused without a look after the last acknowledgement");
                    }
                }
                Effect::TakeCensus => {}
                Effect::LookAtPods => self.pods_asked = Some(now),
                Effect::LookAtStores => self.looks_at_stores(now)?,
            }
        }
        let overdue = self.stores_asked.is_some_and(|asked| now >= asked + STORES_DEADLINE);
        if overdue && self.stores_told.is_none() && window.outcome().is_none() {
            return Err("a verdict waited for stores beyond their deadline");
        }
        self.opens_at_once(now, window, effects)
    }

    fn looks_at_stores(&mut self, now: Duration) -> Result<(), &'static str> {
        if self.stores == 0 {
            return Err("stores were looked at again by a process that has none");
        }
        if self.first_unpause.is_none() {
            return Err("stores were looked at again before the members were opened");
        }
        match self.stores_asked.replace(now) {
            Some(_) => Err("stores were looked at again more than once"),
            None => Ok(()),
        }
    }

    fn sends(
        &mut self,
        now: Duration,
        window: &Window,
        request: u64,
        member: usize,
        call: Call,
    ) -> Result<(), &'static str> {
        let index = usize::try_from(request).unwrap_or(0);
        if self.asked.len() <= index {
            self.asked.resize(index + 1, None);
        }
        self.asked[index] = Some(Asked { member, call, at: now });
        if self.gone[member] {
            return Err("a request to an address whose pod was known to be gone");
        }
        let opens_by = self.first_pause.map(|first| first + window.plan().max_pause - MAX_PAUSE_LEAD);
        let must_open = self.first_unpause.is_none_or(|at| at == now) && opens_by.is_some_and(|by| now >= by);
        let suspect = self.suspect[member].is_some_and(|since| now < since + POD_DEADLINE);
        if window.unpause_started().is_some() && suspect && !must_open {
            return Err("a request to a pod that might be gone, before Kubernetes was asked");
        }
        match call {
            Call::CheckPaused => {}
            Call::Unpause => {
                self.first_unpause.get_or_insert(now);
                if self.known_foreign[member] {
                    return Err("a pause that was known to be someone else's was revoked");
                }
            }
            Call::Pause { .. } => {
                self.first_pause.get_or_insert(now);
                if self.known_foreign.contains(&true) {
                    return Err("a window started over a pause that it had seen");
                }
                let stage = window.members()[member].stage;
                let ahead = |other: usize| window.members()[other].stage < stage;
                let acked = |other: usize| matches!(window.live()[other].attempt, crate::window::Attempt::Acked { .. });
                if (0..window.live().len()).any(|other| ahead(other) && !acked(other)) {
                    return Err("a stage was paused before the one it waits for");
                }
            }
        }
        Ok(())
    }

    /// In the very step in which a window begins to open, every member that is not done is asked.
    fn opens_at_once(&mut self, now: Duration, window: &Window, effects: &[Effect]) -> Result<(), &'static str> {
        if self.opening.is_some() || window.unpause_started().is_none() {
            return Ok(());
        }
        self.opening = Some(now);
        let asked = |index: usize| {
            effects.iter().any(|effect| matches!(effect, Effect::Send { member, .. } if *member == index))
        };
        let unanswered = |index: usize| {
            let mut asked = self.asked.iter().flatten().filter(|asked| asked.member == index);
            self.pods && asked.any(|asked| now >= asked.at + ASK_DEADLINE)
        };
        let waits = |index: usize| self.suspect[index].is_some() || unanswered(index);
        let mut members = window.live().iter().enumerate();
        let forgotten = members.any(|(index, live)| live.end.is_none() && !asked(index) && !waits(index));
        if forgotten { Err("a member waited although the window opened") } else { Ok(()) }
    }

    /// From the last acknowledgement to when the last looks were asked: all were closed, as far as was asked.
    pub fn proven(&self) -> Option<(Duration, Duration)> {
        let last = self.closed_looks.iter().map(|looks| looks.last().copied()).min()??;
        Some((self.pause_completed?, last))
    }

    /// The stores' clocks after the window, as the process was told.
    pub fn stores_after(&self) -> &[StoreClock] {
        self.stores_told.as_ref().and_then(|(_, clocks)| clocks.as_deref()).unwrap_or_default()
    }

    /// When it was told of them.
    pub fn stores_told_at(&self) -> Option<Duration> {
        self.stores_told.as_ref().map(|(at, _)| *at)
    }

    /// What speaks against a restore point, whatever was true at the members.
    pub fn against_point(&self, hold: Duration, disturbed: bool) -> Option<&'static str> {
        let (Some(completed), Some(unpause)) = (self.pause_completed, self.first_unpause) else {
            return Some("a restore point without a pause and an unpause");
        };
        if self.failed > 0 {
            return Some("a restore point although a request had failed before the unpause");
        }
        match &self.stores_told {
            _ if self.stores == 0 => {}
            None => return Some("a restore point although the stores were not looked at again"),
            Some((_, None)) => return Some("a restore point although looking at the stores had failed"),
            Some((_, Some(_))) => {}
        }
        if self.append_void && !disturbed {
            return Some("a restore point although an append had failed or stalled");
        }
        for looks in &self.closed_looks {
            let watched = looks.iter().copied().chain([unpause]);
            let mut last = completed;
            for look in watched {
                if look > last + LONGEST_UNSEEN {
                    return Some("a restore point although nobody looked for too long");
                }
                last = look;
            }
            if looks.last().is_none_or(|look| *look < completed + hold) {
                return Some("a restore point without a last look");
            }
        }
        None
    }
}
