use serde::{Deserialize, Serialize};

/// How a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every member was closed for the whole quiet interval: there is a restore point.
    Consistent,
    /// Something was paused, and something could not be proven.
    Discarded,
    /// Nothing was paused.
    Refused,
    /// The slot passed without an attempt.
    Missed,
    /// The slot was not to run: a blackout covered it, or the schedule was suspended.
    Skipped,
}

/// How well the members of a window are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Only what an address answers.
    Address,
    /// UID, restart count and a watch without a gap.
    Pod,
}

/// What started a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A slot of the group's schedule.
    Schedule,
    /// `stillpoint window GROUP`.
    Command,
    /// `stillpoint pause GROUP`: held until a person or its limit opens it.
    Hand,
}

macro_rules! lowercase_names {
    ($($kind:ident { $($variant:ident = $name:literal),+ $(,)? })+) => {$(
        impl $kind {
            /// The name in config, catalog, metrics and pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
        impl std::str::FromStr for $kind {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!(concat!("not a ", stringify!($kind), ": {}"), text)),
                }
            }
        }
    )+};
}

lowercase_names! {
    Verdict { Consistent = "consistent", Discarded = "discarded", Refused = "refused", Missed = "missed", Skipped = "skipped" }
    Evidence { Address = "address", Pod = "pod" }
    Trigger { Schedule = "schedule", Command = "command", Hand = "hand" }
}
