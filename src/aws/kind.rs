//! What kinds of errors there are, whatever AWS calls them.

/// What an error means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Too many calls: nothing was done, ask again later.
    Throttled,
    /// A limit of the account is reached: nothing was done, ask again much later.
    Limit,
    /// The right is missing, or the credentials are wrong or have run out: nothing was done.
    Denied,
    /// What was named is not there.
    NotFound,
    /// The name is taken.
    Exists,
    /// What was named is busy: nothing was done, ask again later.
    InUse,
    /// The request makes no sense, now or ever: nothing was done.
    Invalid,
    /// No answer, or one that tells nothing: it may have been done.
    Lost,
}

impl FaultKind {
    /// The label value of `stillpoint_aws_calls_total`.
    #[must_use]
    pub const fn outcome(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Lost => "lost",
            Self::Limit | Self::NotFound | Self::Exists | Self::InUse | Self::Invalid => "other",
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::Throttled | Self::Lost)
    }
}
