//! Everything that can go wrong while a table is materialized.

use crate::sim::faults::faults;
use crate::tracking::copy::Step;

faults! {
    /// The next request never arrives.
    LostRequest,
    /// The next request is carried out, its reply is lost.
    LostReply,
    /// The next request is given up, and carried out later.
    LateRequest,
    /// The next request is throttled.
    Throttled,
    /// The next request that changes something meets a limit of the account.
    Limit,
    /// Nothing is allowed for a while.
    Denied,
    /// The next request that changes something makes no sense to AWS.
    Invalid,
    /// What is being created stays so for long.
    Stuck,
    /// Somebody else deletes the temporary table.
    TableDeleted,
    /// Somebody else deletes the temporary table and makes another one by its name.
    TableReplaced,
    /// Somebody else makes a table by the temporary table's name.
    ForeignTable,
    /// The temporary table's key cannot be used any more.
    TableUseless,
    /// Somebody else deletes a backup of the temporary table.
    BackupVanishes,
    /// Somebody else deletes the table that is to be restored.
    SourceDeleted,
    /// The daemon dies before the next save.
    CrashBeforeSave,
    /// The daemon dies after the next save.
    CrashAfterSave,
    /// The daemon dies before the next request leaves.
    CrashBeforeAsk,
    /// The daemon dies after the next request left: that one is still carried out.
    CrashAfterAsk,
    /// The next save fails; nothing is written.
    SaveFails,
    /// The next save is written, and reported as failed.
    SaveLies,
}

impl Fault {
    /// Whether a copy at this step can meet it.
    #[must_use]
    pub const fn can_meet(self, step: Step) -> bool {
        use Step::{BackingUp, Deleting, Expiring, Restoring, Waiting};
        match self {
            Self::CrashBeforeSave | Self::CrashAfterSave | Self::SaveFails | Self::SaveLies => !step.rests(),
            Self::LostRequest
            | Self::LostReply
            | Self::LateRequest
            | Self::Throttled
            | Self::Denied
            | Self::Limit
            | Self::Invalid
            | Self::CrashBeforeAsk
            | Self::CrashAfterAsk => matches!(step, Restoring | BackingUp | Deleting | Expiring),
            Self::Stuck => matches!(step, Restoring | BackingUp),
            Self::TableDeleted | Self::TableReplaced | Self::TableUseless => {
                matches!(step, Restoring | BackingUp | Deleting)
            }
            Self::ForeignTable | Self::SourceDeleted => matches!(step, Waiting | Restoring),
            Self::BackupVanishes => matches!(step, BackingUp | Deleting | Expiring),
        }
    }

    /// Whether it passes by itself: no copy fails by such faults alone.
    #[must_use]
    pub const fn passes(self) -> bool {
        !matches!(
            self,
            Self::Invalid
                | Self::Stuck
                | Self::TableDeleted
                | Self::TableReplaced
                | Self::ForeignTable
                | Self::TableUseless
                | Self::BackupVanishes
                | Self::SourceDeleted
        )
    }
}
