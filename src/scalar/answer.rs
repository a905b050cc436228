//! What a member's answer means for a window: plain types, nothing of gRPC in them.

/// The answer to one request to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The pause or the unpause was acknowledged. For a pause this means drained, but not that the member is still
    /// closed: an unpause that came while it drained is not told of (measured on ScalarDB Server 3.13.6).
    Ok,
    /// The answer to `CheckPaused`; true already while a pause drains (measured).
    Looked {
        /// Whether the member's gate is closed.
        paused: bool,
    },
    /// Neither.
    Failed(Failure),
}

impl Answer {
    /// A failure of this kind, with the sentence for people.
    #[must_use]
    pub fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self::Failed(Failure { kind, detail: detail.into() })
    }

    /// The failure, if it is one.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Ok | Self::Looked { .. } => None,
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What it means for the window.
    pub kind: FailureKind,
    /// What happened, for people; it names the address where the connection is at fault.
    pub detail: String,
}

/// What a failed request means for the window: every row of facts.md's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The pause's limit passed with transactions open, and the member opened itself again.
    /// `FAILED_PRECONDITION` without `ErrorInfo` (measured on ScalarDB Server 3.13.6 and ScalarDL 3.9.7, which answers
    /// the same to a pause that an unpause ended), or with the reason `TIMED_OUT` (measured on ScalarDL 3.14.0).
    DrainTimeout,
    /// The pause's limit passed, and an earlier pause of someone else keeps the member closed: unpausing would revoke it.
    /// Reason `TIMED_OUT_STILL_PAUSED` (measured on ScalarDL 3.14.0; ScalarDB Cluster 3.19 per its release notes).
    StillPausedByOther,
    /// Someone else's pause was draining and ours never touched the gate: ask again later, and don't unpause.
    /// Reason `PAUSE_IN_PROGRESS` (measured on ScalarDL 3.14.0).
    PauseInProgress,
    /// Someone unpaused the member while our pause drained: it is open. Reason `GATE_OPEN` (measured on ScalarDL 3.14.0).
    GateOpened,
    /// Definitely not executed: the member said so (`INVALID_ARGUMENT`, `UNIMPLEMENTED`, `PERMISSION_DENIED`,
    /// `UNAUTHENTICATED`), or no connection came about, so that the request never left.
    Rejected,
    /// The request may or may not have been, or yet be, executed: a deadline (the server goes on and stays paused,
    /// measured), a connection lost after the request may have been sent, or any other answer.
    Unknown,
}
