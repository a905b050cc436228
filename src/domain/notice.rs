/// What is told to webhooks: the last part of a CloudEvent's type, `io.stillpoint.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notice {
    WindowConsistent,
    WindowDiscarded,
    WindowRefused,
    SlotMissed,
    PointRestorable,
    PointMaterialized,
    PointFailed,
    PointLost,
    PointExpired,
}

impl Notice {
    /// Every one, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::WindowConsistent,
        Self::WindowDiscarded,
        Self::WindowRefused,
        Self::SlotMissed,
        Self::PointRestorable,
        Self::PointMaterialized,
        Self::PointFailed,
        Self::PointLost,
        Self::PointExpired,
    ];

    /// The name in config and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WindowConsistent => "window.consistent",
            Self::WindowDiscarded => "window.discarded",
            Self::WindowRefused => "window.refused",
            Self::SlotMissed => "slot.missed",
            Self::PointRestorable => "point.restorable",
            Self::PointMaterialized => "point.materialized",
            Self::PointFailed => "point.failed",
            Self::PointLost => "point.lost",
            Self::PointExpired => "point.expired",
        }
    }
}
