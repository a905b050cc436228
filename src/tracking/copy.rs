//! One table that is materialized: restored to the point as a temporary table, that one backed up, then deleted. And
//! the end of the backup, when its restore point expires. `runner.rs` brings it there.
//!
//! What is durable is the [`Copy`]: it is saved before the first request of each step leaves, and names what that step
//! makes, so that whoever resumes looks for it before asking again.

use crate::aws::FaultKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is durable of one table's materialization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The physical name of the table that is restored; it is never touched.
    pub source: String,
    pub source_arn: String,
    pub window: String,
    pub point: Timestamp,
    /// The temporary table's name, and the backup's.
    pub name: String,
    pub step: Step,
    /// When the first request of it was about to leave.
    pub begun: Option<Timestamp>,
    /// The temporary table carries our tag.
    pub tagged: bool,
    /// The backup's.
    pub arn: Option<String>,
    /// As AWS tells them of the backup: estimates.
    pub items: Option<i64>,
    pub bytes: Option<i64>,
    /// When the backup was found available.
    pub made: Option<Timestamp>,
    /// Why it failed, or is about to.
    pub failure: Option<String>,
    /// What is left behind, since it is not surely ours to delete.
    pub left: Option<String>,
}

impl Copy {
    /// One that nothing was asked for yet.
    #[must_use]
    pub fn waiting(source: &str, source_arn: &str, window: &str, point: Timestamp, name: String) -> Self {
        Self {
            source: source.to_owned(),
            source_arn: source_arn.to_owned(),
            window: window.to_owned(),
            point,
            name,
            step: Step::Waiting,
            begun: None,
            tagged: false,
            arn: None,
            items: None,
            bytes: None,
            made: None,
            failure: None,
            left: None,
        }
    }
}

/// How far a table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Waiting,
    /// The request to restore may have left.
    Restoring,
    /// The temporary table is whole; the request to back it up may have left.
    BackingUp,
    /// The backup is whole, or the copy failed; the request to delete the temporary table may have left.
    Deleting,
    /// One backup, no temporary table.
    Done,
    /// Nothing of it is left.
    Failed,
    /// The request to delete the backup may have left.
    Expiring,
    Expired,
}

impl Step {
    /// Every step, in order.
    pub const ALL: &'static [Self] = &[
        Self::Waiting,
        Self::Restoring,
        Self::BackingUp,
        Self::Deleting,
        Self::Done,
        Self::Failed,
        Self::Expiring,
        Self::Expired,
    ];

    /// The name in catalog, pages and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Restoring => "restoring",
            Self::BackingUp => "backing_up",
            Self::Deleting => "deleting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
        }
    }

    /// Nothing is to be done by itself.
    #[must_use]
    pub const fn rests(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Expired)
    }
}

/// A request, or a look, that one step needs. Names are those of the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Look at the temporary table.
    Table,
    /// Restore the source to the point as the temporary table.
    Restore,
    /// Tag the temporary table.
    Tag {
        arn: String,
    },
    /// Look for backups of the temporary table.
    Backups,
    /// Look at one backup.
    Backup {
        arn: String,
    },
    /// Back the temporary table up.
    BackUp,
    DeleteTable,
    DeleteBackup {
        arn: String,
    },
}

impl Ask {
    /// Whether it changes something.
    #[must_use]
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Table | Self::Backups | Self::Backup { .. })
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// None: there is no such table.
    Table(Option<TableSeen>),
    Backups(Vec<BackupSeen>),
    /// None: there is no such backup.
    Backup(Option<BackupSeen>),
    /// The request was taken.
    Done,
    /// The backup was begun.
    Made {
        arn: String,
    },
    Fault {
        kind: FaultKind,
        sentence: String,
    },
}

/// A table as it is seen under a temporary table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSeen {
    pub arn: String,
    pub status: TableStatus,
    /// What it was restored from, and to when; none: it was made otherwise.
    pub restored_from: Option<(String, Timestamp)>,
    /// The window that its tag names.
    pub tag: Option<String>,
}

/// A table's state, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableStatus {
    /// It, or one of its indexes, is not whole yet.
    Creating,
    /// Whole, its indexes too.
    Active,
    Deleting,
    /// Archived, or its key cannot be used: nothing good can come of it.
    Useless,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSeen {
    pub arn: String,
    pub name: String,
    /// The table's name that it is of.
    pub table: String,
    pub status: BackupStatus,
    pub created: Timestamp,
    pub items: Option<i64>,
    pub bytes: Option<i64>,
}

/// A backup's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupStatus {
    Creating,
    Available,
    Deleted,
}
