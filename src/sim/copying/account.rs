//! One account's tables and backups in virtual time, by DynamoDB's rules.

use super::check::{Truth, broken};
use crate::aws::FaultKind;
use crate::sim::random::Random;
use crate::tracking::copy::{Ask, BackupSeen, BackupStatus, Copy, Step, TableSeen, TableStatus, Told};
use jiff::Timestamp;
use std::time::Duration;

const EPOCH_SECONDS: i64 = 1_900_000_000;
/// How many tables of the account may be restored at a time.
const RESTORES: usize = 2;
/// How far a look may be behind.
const BEHIND_MILLIS: u64 = 4_000;

pub(super) fn wall(now: Duration) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS.unsigned_abs()) + now
}

/// A table under some name, from its making to its end.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: String,
    /// The copy whose request made it; none: somebody else's.
    pub by: Option<usize>,
    restored_from: Option<(String, Timestamp)>,
    pub created: Duration,
    pub active: Duration,
    tagged: Option<(Duration, String)>,
    pub deleting: Option<Duration>,
    pub gone: Option<Duration>,
    pub useless: Option<Duration>,
}

impl Table {
    pub fn there(&self, at: Duration) -> bool {
        self.created <= at && self.gone.is_none_or(|gone| at < gone)
    }

    pub fn status(&self, at: Duration) -> TableStatus {
        if self.deleting.is_some_and(|deleting| deleting <= at) {
            TableStatus::Deleting
        } else if at < self.active {
            TableStatus::Creating
        } else if self.useless.is_some_and(|useless| useless <= at) {
            TableStatus::Useless
        } else {
            TableStatus::Active
        }
    }
}

/// A backup, from its making on.
#[derive(Debug, Clone)]
pub(super) struct Backup {
    pub arn: String,
    pub name: String,
    pub by: usize,
    /// It is of a table that was restored to the point.
    pub right: bool,
    pub created: Duration,
    pub available: Duration,
    pub deleted: Option<Duration>,
    /// Somebody else deleted it.
    pub vanished: bool,
}

impl Backup {
    fn status(&self, at: Duration) -> BackupStatus {
        if self.deleted.is_some_and(|deleted| deleted <= at) {
            BackupStatus::Deleted
        } else if at < self.available {
            BackupStatus::Creating
        } else {
            BackupStatus::Available
        }
    }

    pub fn there(&self, at: Duration) -> bool {
        self.created <= at && self.status(at) != BackupStatus::Deleted
    }

    fn seen(&self, at: Duration) -> BackupSeen {
        BackupSeen {
            arn: self.arn.clone(),
            name: self.name.clone(),
            table: self.name.clone(),
            status: self.status(at),
            created: wall(self.created),
            items: Some(1),
            bytes: Some(1000),
        }
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub copy: usize,
    /// As it was durable when the request left.
    pub durable: Copy,
    pub ask: Ask,
    /// When that was true of the temporary table which the request is built on.
    pub looked: Duration,
}

/// The account. Every incarnation of a table is kept, so that a look may be behind.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub tables: Vec<Table>,
    pub backups: Vec<Backup>,
    pub denied: Duration,
    /// Sources that are gone.
    pub no_source: Vec<usize>,
}

impl Account {
    pub fn table(&self, name: &str, at: Duration) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name && table.there(at))
    }

    pub fn table_mut(&mut self, name: &str, at: Duration) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.name == name && table.there(at))
    }

    /// Somebody else makes a table.
    pub fn foreign(&mut self, name: &str, now: Duration) {
        self.tables.push(Table {
            name: name.to_owned(),
            by: None,
            restored_from: None,
            created: now,
            active: now,
            tagged: None,
            deleting: None,
            gone: None,
            useless: None,
        });
    }

    /// Somebody deletes a backup.
    pub fn vanish(&mut self, name: &str, now: Duration) -> bool {
        let found = self.backups.iter_mut().find(|backup| backup.name == name && backup.there(now));
        let Some(backup) = found else { return false };
        (backup.deleted, backup.vanished) = (Some(now), true);
        true
    }

    /// A request arrives: what is told, and when that was true.
    pub fn carry_out(
        &mut self,
        now: Duration,
        sent: &Sent,
        truth: &mut Truth,
        random: &mut Random,
    ) -> (Told, Duration) {
        let then = now.saturating_sub(random.millis(0, BEHIND_MILLIS));
        if now < self.denied {
            return (fault(FaultKind::Denied), then);
        }
        let name = &sent.durable.name;
        let told = match &sent.ask {
            Ask::Table => Told::Table(self.table(name, then).map(|table| table_seen(table, then))),
            Ask::Backups => {
                let there = self.backups.iter().filter(|backup| backup.name == *name && backup.there(then));
                Told::Backups(there.map(|backup| backup.seen(then)).collect())
            }
            Ask::Backup { arn } => {
                let there = self.backups.iter().find(|backup| backup.arn == *arn && backup.there(then));
                Told::Backup(there.map(|backup| backup.seen(then)))
            }
            Ask::Restore => self.restore(now, sent, random),
            Ask::Tag { .. } => self.tag(now, sent, truth),
            Ask::BackUp => self.back_up(now, sent, truth, random),
            Ask::DeleteTable => self.delete_table(now, sent, truth, random),
            Ask::DeleteBackup { arn } => self.delete_backup(now, sent, arn, truth),
        };
        (told, then)
    }

    fn restore(&mut self, now: Duration, Sent { copy: index, durable: copy, .. }: &Sent, random: &mut Random) -> Told {
        let restoring = |table: &&Table| table.there(now) && table.status(now) == TableStatus::Creating;
        if self.no_source.contains(index) {
            return fault(FaultKind::NotFound);
        }
        if self.table(&copy.name, now).is_some() {
            return fault(FaultKind::Exists);
        }
        if self.tables.iter().filter(restoring).count() >= RESTORES {
            return fault(FaultKind::Limit);
        }
        self.tables.push(Table {
            name: copy.name.clone(),
            by: Some(*index),
            restored_from: Some((copy.source_arn.clone(), copy.point)),
            created: now,
            active: now + random.millis(1_000, 900_000),
            tagged: None,
            deleting: None,
            gone: None,
            useless: None,
        });
        Told::Done
    }

    fn tag(&mut self, now: Duration, sent: &Sent, truth: &mut Truth) -> Told {
        let copy = &sent.durable;
        let Some(table) = self.table_mut(&copy.name, now) else { return fault(FaultKind::NotFound) };
        if matches!(table.status(now), TableStatus::Creating | TableStatus::Deleting) {
            return fault(FaultKind::InUse);
        }
        truth.touches(sent, table, "tagged");
        table.tagged.get_or_insert((now, copy.window.clone()));
        Told::Done
    }

    fn back_up(&mut self, now: Duration, sent: &Sent, truth: &mut Truth, random: &mut Random) -> Told {
        let Sent { copy: index, durable: copy, .. } = sent;
        if self.backups.iter().any(|backup| backup.name == copy.name && backup.there(now)) {
            truth.broken.push(broken(*index, "its table is backed up a second time"));
        }
        let arn = format!("arn:backup/{}/{}", copy.name, self.backups.len());
        let Some(table) = self.table(&copy.name, now) else { return fault(FaultKind::NotFound) };
        match table.status(now) {
            TableStatus::Active => {}
            TableStatus::Useless => return fault(FaultKind::Invalid),
            TableStatus::Creating | TableStatus::Deleting => return fault(FaultKind::InUse),
        }
        let backup = Backup {
            arn: arn.clone(),
            name: copy.name.clone(),
            by: *index,
            right: table.by == Some(*index),
            created: now,
            available: now + random.millis(500, 300_000),
            deleted: None,
            vanished: false,
        };
        self.backups.push(backup);
        Told::Made { arn }
    }

    fn delete_table(&mut self, now: Duration, sent: &Sent, truth: &mut Truth, random: &mut Random) -> Told {
        let copy = &sent.durable;
        let mut backups = self.backups.iter().filter(|backup| backup.name == copy.name && backup.there(now));
        let busy = backups.any(|backup| backup.status(now) == BackupStatus::Creating);
        let kept = self.backups.iter().find(|backup| Some(&backup.arn) == copy.arn.as_ref());
        let safe = kept.is_some_and(|backup| backup.status(now) == BackupStatus::Available || backup.vanished);
        let Some(table) = self.table_mut(&copy.name, now) else { return fault(FaultKind::NotFound) };
        truth.touches(sent, table, "deleted");
        if copy.failure.is_none() && !safe {
            truth.broken.push(broken(sent.copy, "its temporary table is deleted before its backup is available"));
        }
        if busy || matches!(table.status(now), TableStatus::Creating | TableStatus::Deleting) {
            return fault(FaultKind::InUse);
        }
        table.deleting = Some(now);
        table.gone = Some(now + random.millis(500, 60_000));
        Told::Done
    }

    fn delete_backup(&mut self, now: Duration, sent: &Sent, arn: &str, truth: &mut Truth) -> Told {
        let (index, copy) = (sent.copy, &sent.durable);
        let found = self.backups.iter_mut().find(|backup| backup.arn == arn && backup.there(now));
        let Some(backup) = found else { return fault(FaultKind::NotFound) };
        if backup.by != index {
            truth.broken.push(broken(index, "it deletes a backup of another copy"));
        }
        if copy.arn.as_deref() == Some(arn) && copy.failure.is_none() && copy.step < Step::Expiring {
            truth.broken.push(broken(index, "it deletes the backup that is to stay"));
        }
        if backup.status(now) == BackupStatus::Creating {
            return fault(FaultKind::InUse);
        }
        backup.deleted = Some(now);
        Told::Done
    }
}

fn table_seen(table: &Table, then: Duration) -> TableSeen {
    TableSeen {
        arn: format!("arn:table/{}", table.name),
        status: table.status(then),
        restored_from: table.restored_from.clone(),
        tag: table.tagged.as_ref().filter(|(at, _)| *at <= then).map(|(_, tag)| tag.clone()),
    }
}

pub(super) fn fault(kind: FaultKind) -> Told {
    Told::Fault { kind, sentence: format!("{kind:?}") }
}
