use super::error::CatalogError;
use crate::domain::{Evidence, Reason, Trigger, Verdict};
use crate::window::{Event, Journal, Phase};
use jiff::Timestamp;
use std::str::FromStr;
use std::time::Duration;

/// A window as `history` and `points` show it: the projection of its journal, or a slot that was missed or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRow {
    pub window: String,
    pub group: String,
    pub trigger: Trigger,
    /// The scheduled instant, for a window of the schedule.
    pub slot: Option<Timestamp>,
    /// For a slot that was missed or skipped, the slot itself.
    pub started: Timestamp,
    pub phase: Phase,
    /// None: the window is still open.
    pub verdict: Option<Verdict>,
    pub reasons: Vec<Reason>,
    /// None where no member was looked at: refused, missed or skipped.
    pub evidence: Option<Evidence>,
    pub pause_completed: Option<Timestamp>,
    pub unpause_started: Option<Timestamp>,
    /// Only for a consistent window.
    pub restore_point: Option<Timestamp>,
    /// From the first pause request to the last member seen open, to the microsecond.
    pub closed: Option<Duration>,
    /// How many members the intent names.
    pub members: u32,
}

/// One event of a journal as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The writer's epoch.
    pub epoch: i64,
    /// When it was handed to the disk, to the microsecond.
    pub at: Timestamp,
    pub event: Event,
}

/// How far a scheduled instant came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// It is the group's next slot; nothing was done for it yet.
    Planned,
    /// Its first window was begun; more attempts may follow.
    Running,
    /// No more attempts follow.
    Done,
    /// It passed without an attempt.
    Missed,
    /// A blackout covered it, or the schedule was suspended.
    Skipped,
}

/// A scheduled instant of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    pub group: String,
    pub slot: Timestamp,
    pub state: SlotState,
    /// How many windows were begun for it.
    pub attempts: u32,
    /// The epoch that wrote it last: an earlier one means that its process is gone.
    pub epoch: i64,
}

/// How many windows of a group ended the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub group: String,
    pub verdict: Verdict,
    /// The code of the first reason; empty for consistent.
    pub reason_code: String,
    pub count: u64,
}

impl WindowRow {
    /// The projection of a journal; none for an empty one.
    pub(super) fn of(journal: &Journal) -> Option<Self> {
        let plan = journal.plan.as_ref()?;
        let outcome = journal.outcome.as_ref();
        let quiet = outcome.and_then(|outcome| outcome.quiet).or(journal.quiet);
        Some(Self {
            window: plan.window.clone(),
            group: plan.group.clone(),
            trigger: plan.trigger,
            slot: plan.slot,
            started: plan.started,
            phase: journal.phase,
            verdict: outcome.map(|outcome| outcome.verdict),
            reasons: outcome.map(|outcome| outcome.reasons.clone()).unwrap_or_default(),
            evidence: (!journal.members.is_empty()).then_some(journal.evidence),
            pause_completed: journal.pause_completed.or(quiet.map(|quiet| quiet.start)),
            unpause_started: quiet.map(|quiet| quiet.end),
            restore_point: outcome.and_then(|outcome| outcome.restore_point),
            closed: outcome.and_then(|outcome| outcome.closed),
            members: u32::try_from(journal.members.len()).unwrap_or(u32::MAX),
        })
    }

    /// The label of `stillpoint_windows_total`.
    pub(super) fn reason_code(&self) -> &'static str {
        self.reasons.first().map_or("", |reason| reason.code.name())
    }
}

impl SlotState {
    fn named(name: &str) -> Result<Self, CatalogError> {
        match name {
            "planned" => Ok(Self::Planned),
            "running" => Ok(Self::Running),
            "done" => Ok(Self::Done),
            "missed" => Ok(Self::Missed),
            "skipped" => Ok(Self::Skipped),
            other => Err(CatalogError::Row(format!("not a slot's state: {other}"))),
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RawWindow {
    window_id: String,
    group_name: String,
    trigger_kind: String,
    slot: Option<i64>,
    started: i64,
    phase: String,
    verdict: Option<String>,
    reasons: String,
    evidence: Option<String>,
    pause_completed: Option<i64>,
    unpause_started: Option<i64>,
    restore_point: Option<i64>,
    closed_microseconds: Option<i64>,
    members: i64,
}

impl TryFrom<RawWindow> for WindowRow {
    type Error = CatalogError;
    fn try_from(raw: RawWindow) -> Result<Self, CatalogError> {
        Ok(Self {
            trigger: named(&raw.trigger_kind)?,
            slot: raw.slot.map(instant).transpose()?,
            started: instant(raw.started)?,
            phase: phase(&raw.phase)?,
            verdict: raw.verdict.as_deref().map(named).transpose()?,
            reasons: serde_json::from_str(&raw.reasons)
                .map_err(|error| CatalogError::Row(format!("reasons of window {}: {error}", raw.window_id)))?,
            evidence: raw.evidence.as_deref().map(named).transpose()?,
            pause_completed: raw.pause_completed.map(instant).transpose()?,
            unpause_started: raw.unpause_started.map(instant).transpose()?,
            restore_point: raw.restore_point.map(instant).transpose()?,
            closed: raw.closed_microseconds.map(|micros| Duration::from_micros(micros.unsigned_abs())),
            members: count(raw.members)?,
            window: raw.window_id,
            group: raw.group_name,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RawEvent {
    pub(super) number: i64,
    epoch: i64,
    written_at: i64,
    kind: String,
    pub(super) body: String,
}

impl RawEvent {
    pub(super) fn entry(self, window: &str) -> Result<Entry, CatalogError> {
        let event = parse(window, self.number, &self.body)?;
        if event.name() != self.kind {
            return Err(CatalogError::Row(format!(
                "event {} of window {window} is called {}, but is {}",
                self.number,
                self.kind,
                event.name()
            )));
        }
        Ok(Entry { epoch: self.epoch, at: instant(self.written_at)?, event })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RawSlot {
    group_name: String,
    slot: i64,
    state: String,
    attempts: i64,
    epoch: i64,
}

impl TryFrom<RawSlot> for SlotRow {
    type Error = CatalogError;
    fn try_from(raw: RawSlot) -> Result<Self, CatalogError> {
        Ok(Self {
            slot: instant(raw.slot)?,
            state: SlotState::named(&raw.state)?,
            attempts: count(raw.attempts)?,
            epoch: raw.epoch,
            group: raw.group_name,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RawTotal {
    group_name: String,
    verdict: String,
    reason_code: String,
    windows: i64,
}

impl TryFrom<RawTotal> for Total {
    type Error = CatalogError;
    fn try_from(raw: RawTotal) -> Result<Self, CatalogError> {
        Ok(Self {
            verdict: named(&raw.verdict)?,
            count: raw.windows.unsigned_abs(),
            group: raw.group_name,
            reason_code: raw.reason_code,
        })
    }
}

/// Reads one event's body, and says whose it is where it cannot be read.
pub(super) fn parse(window: &str, number: i64, body: &str) -> Result<Event, CatalogError> {
    serde_json::from_str(body).map_err(|source| CatalogError::Unreadable {
        window: window.to_owned(),
        number: u32::try_from(number).unwrap_or(u32::MAX),
        source,
    })
}

/// A column's microseconds as an instant.
pub(super) fn instant(microseconds: i64) -> Result<Timestamp, CatalogError> {
    Timestamp::from_microsecond(microseconds).map_err(|error| CatalogError::Row(error.to_string()))
}

/// The phase's name in the catalog.
pub(super) const fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::New => "new",
        Phase::Intended => "intended",
        Phase::Paused => "paused",
        Phase::HeldOver => "held_over",
        Phase::Interrupted => "interrupted",
        Phase::Opened => "opened",
        Phase::Closed => "closed",
    }
}

fn phase(name: &str) -> Result<Phase, CatalogError> {
    use Phase::{Closed, HeldOver, Intended, Interrupted, New, Opened, Paused};
    [New, Intended, Paused, HeldOver, Interrupted, Opened, Closed]
        .into_iter()
        .find(|phase| phase_name(*phase) == name)
        .ok_or_else(|| CatalogError::Row(format!("not a phase: {name}")))
}

fn named<T: FromStr<Err = String>>(name: &str) -> Result<T, CatalogError> {
    name.parse().map_err(CatalogError::Row)
}

fn count(value: i64) -> Result<u32, CatalogError> {
    u32::try_from(value).map_err(|_| CatalogError::Row(format!("not a count: {value}")))
}
