/// What a member's answer, or its silence, means for a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Looked { paused: bool },
    Failed(Failure),
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub detail: String,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    DrainTimeout,
    StillPausedByOther,
    PauseInProgress,
    GateOpened,
    Rejected,
    Unknown,
}
