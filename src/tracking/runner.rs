//! Brings one copy to rest.
//!
//! Pure: [`Runner::due`] says what is to be done next, one thing at a time, and is told what came of it. It looks
//! before it asks again: neither RestoreTableToPointInTime nor CreateBackup is idempotent. A table's name can be taken
//! only once, but of a backup's name there can be several.

use super::copy::{Ask, BackupSeen, BackupStatus, Copy, Step, TableSeen, TableStatus, Told};
use crate::aws::FaultKind;
use crate::domain::Now;
use std::time::Duration;

/// How long a request whose outcome is unknown may still be carried out.
pub const SETTLE: Duration = Duration::from_secs(30);
/// How long a look may not show what was carried out.
pub const SEEN: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A full account, or a right that is missing, is not over in a moment.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// How often a backup that was just begun may be looked for in vain.
const UNSEEN: u32 = 6;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Make this durable, then tell [`Runner::saved`].
    Save(Box<Copy>),
    /// Ask this, then tell [`Runner::told`].
    Ask(Ask),
    /// Nothing before this instant of the monotonic clock.
    Wait(Duration),
    /// Nothing by itself.
    Rest,
}

/// Drives one copy to rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Runner {
    copy: Copy,
    /// How long a table may take to be restored and backed up.
    limit: Duration,
    /// What was seen last, as long as nothing that could change it was asked since.
    table: Option<Option<TableSeen>>,
    backups: Option<Vec<BackupSeen>>,
    backup: Option<Option<BackupSeen>>,
    not_before: Duration,
    /// Until then a request may still be carried out, or not be seen yet.
    settled: Duration,
    /// How often nothing came of asking since the step began.
    tries: u32,
    /// There may be a backup that this runner does not know of.
    doubt: bool,
    /// A request was answered so that it need not be repeated.
    hopeless: Option<String>,
}

impl Runner {
    /// Goes on with a copy, whoever began it: requests of a process that died may still be on their way.
    #[must_use]
    pub fn new(copy: Copy, limit: Duration, now: Now) -> Self {
        let settled = if copy.step == Step::Waiting { now.mono } else { now.mono + SETTLE };
        let (not_before, tries, doubt) = (now.mono, 0, copy.step != Step::Waiting);
        Self {
            copy,
            limit,
            table: None,
            backups: None,
            backup: None,
            not_before,
            settled,
            tries,
            doubt,
            hopeless: None,
        }
    }

    /// What is durable.
    #[must_use]
    pub const fn copy(&self) -> &Copy {
        &self.copy
    }

    /// The copy is durable as [`Due::Save`] had it.
    pub fn saved(&mut self, copy: Copy) {
        (self.tries, self.hopeless) = (0, None);
        if copy.step != self.copy.step {
            // What a step builds on is looked at in it.
            self.forget();
        }
        self.copy = copy;
    }

    /// What is to be done now.
    #[must_use]
    pub fn due(&self, now: Now) -> Due {
        if self.copy.step.rests() {
            return Due::Rest;
        }
        if now.mono < self.not_before {
            return Due::Wait(self.not_before);
        }
        if let Some(why) = &self.hopeless {
            return self.fail(why.clone());
        }
        match self.copy.step {
            Step::Waiting => self.save(|copy| {
                copy.step = Step::Restoring;
                copy.begun = Some(now.wall);
            }),
            Step::Restoring | Step::BackingUp if self.late(now) => {
                let what = if self.copy.step == Step::Restoring { "restored" } else { "backed up" };
                self.fail(format!("it was not {what} within its limit"))
            }
            Step::Restoring => self.restoring(now),
            Step::BackingUp => self.backing_up(now),
            Step::Deleting => self.deleting(now),
            Step::Expiring => self.expiring(),
            Step::Done | Step::Failed | Step::Expired => Due::Rest,
        }
    }

    fn late(&self, now: Now) -> bool {
        self.copy.begun.is_some_and(|begun| now.wall > begun + self.limit)
    }

    fn restoring(&self, now: Now) -> Due {
        match &self.table {
            None => Due::Ask(Ask::Table),
            // A request of ours that lands later than this one finds the name taken, or the other way round.
            Some(None) => Due::Ask(Ask::Restore),
            Some(Some(table)) if !self.ours(table) => {
                self.fail(format!("there is a table {} that is not ours; it is left as it is", self.copy.name))
            }
            Some(Some(table)) => match table.status {
                TableStatus::Active if table.tag.is_some() => self.save(|copy| {
                    copy.step = Step::BackingUp;
                    copy.tagged = true;
                }),
                // From the tag on the table is known by it: no other one of ours may come after this one.
                TableStatus::Active if now.mono < self.settled => Due::Wait(self.settled),
                TableStatus::Active => Due::Ask(Ask::Tag { arn: table.arn.clone() }),
                TableStatus::Creating => Due::Ask(Ask::Table),
                TableStatus::Deleting => self.fail("somebody deletes its temporary table".to_owned()),
                TableStatus::Useless => self.fail("its temporary table cannot be used".to_owned()),
            },
        }
    }

    fn backing_up(&self, now: Now) -> Due {
        let Some(arn) = &self.copy.arn else {
            return match &self.backups {
                None if now.mono < self.settled => Due::Wait(self.settled),
                None if self.doubt => Due::Ask(Ask::Backups),
                // Lists are slow: 5 a second. Nobody asked for a backup before this step was saved.
                None => Due::Ask(Ask::BackUp),
                Some(found) => match found.iter().filter(|it| self.is_backup(it)).min_by_key(|it| it.created) {
                    Some(oldest) => self.save(|copy| copy.arn = Some(oldest.arn.clone())),
                    None => Due::Ask(Ask::BackUp),
                },
            };
        };
        match &self.backup {
            None => Due::Ask(Ask::Backup { arn: arn.clone() }),
            Some(Some(backup)) if self.is_backup(backup) => match backup.status {
                BackupStatus::Available => self.backed_up(now, backup),
                _ => Due::Ask(Ask::Backup { arn: arn.clone() }),
            },
            Some(None) if self.tries < UNSEEN => Due::Ask(Ask::Backup { arn: arn.clone() }),
            Some(_) => self.fail("its backup vanished while it was made".to_owned()),
        }
    }

    /// A backup is made of whatever bears the name: it is one of our table only if that is still there afterwards.
    fn backed_up(&self, now: Now, backup: &BackupSeen) -> Due {
        match &self.table {
            None if now.mono < self.settled => Due::Wait(self.settled),
            None => Due::Ask(Ask::Table),
            Some(Some(table)) if self.ours(table) => self.save(|copy| {
                copy.step = Step::Deleting;
                copy.made = Some(now.wall);
                (copy.items, copy.bytes) = (backup.items, backup.bytes);
            }),
            Some(_) => self.fail("its temporary table vanished while it was backed up".to_owned()),
        }
    }

    /// First every backup of the temporary table that is not the one, then the table; then a last look at the one.
    fn deleting(&self, now: Now) -> Due {
        if now.mono < self.settled {
            return Due::Wait(self.settled);
        }
        if self.backups.is_none() && (self.doubt || self.copy.failure.is_some()) {
            return Due::Ask(Ask::Backups);
        }
        let extra =
            self.backups.iter().flatten().find(|it| self.is_backup(it) && Some(&it.arn) != self.copy.arn.as_ref());
        if let Some(extra) = extra {
            return Due::Ask(Ask::DeleteBackup { arn: extra.arn.clone() });
        }
        match &self.table {
            None => return Due::Ask(Ask::Table),
            Some(Some(table)) if !self.ours(table) || (self.copy.tagged && table.tag.is_none()) => {
                if self.copy.left.is_none() {
                    let name = &self.copy.name;
                    return self.save(|copy| copy.left = Some(format!("table {name}, which is not surely ours")));
                }
            }
            Some(Some(table)) if table.status == TableStatus::Deleting => return Due::Ask(Ask::Table),
            Some(Some(_)) => return Due::Ask(Ask::DeleteTable),
            Some(None) => {}
        }
        match (&self.copy.failure, &self.copy.arn, &self.backup) {
            (Some(_), ..) => self.save(|copy| copy.step = Step::Failed),
            (None, Some(arn), None) => Due::Ask(Ask::Backup { arn: arn.clone() }),
            (None, _, Some(Some(backup))) if backup.status == BackupStatus::Available => {
                self.save(|copy| copy.step = Step::Done)
            }
            // A look may be behind an earlier one that saw it available.
            (None, Some(arn), Some(Some(backup))) if backup.status == BackupStatus::Creating => {
                Due::Ask(Ask::Backup { arn: arn.clone() })
            }
            (None, ..) => self.fail("its backup vanished".to_owned()),
        }
    }

    fn expiring(&self) -> Due {
        let Some(arn) = &self.copy.arn else { return self.save(|copy| copy.step = Step::Expired) };
        match &self.backup {
            None => Due::Ask(Ask::Backup { arn: arn.clone() }),
            Some(Some(backup)) if backup.status != BackupStatus::Deleted => {
                if self.is_backup(backup) {
                    return Due::Ask(Ask::DeleteBackup { arn: arn.clone() });
                }
                self.save(|copy| {
                    copy.left = Some(format!("backup {arn}, which is not ours"));
                    copy.step = Step::Expired;
                })
            }
            Some(_) => self.save(|copy| copy.step = Step::Expired),
        }
    }

    /// It bears our name, was made from our source at our point, and no other window's tag.
    fn ours(&self, table: &TableSeen) -> bool {
        let from = table.restored_from.as_ref();
        from.is_some_and(|(arn, point)| *arn == self.copy.source_arn && *point == self.copy.point)
            && table.tag.as_ref().is_none_or(|tag| *tag == self.copy.window)
    }

    fn is_backup(&self, backup: &BackupSeen) -> bool {
        backup.name == self.copy.name && backup.table == self.copy.name && backup.status != BackupStatus::Deleted
    }

    fn save(&self, change: impl FnOnce(&mut Copy)) -> Due {
        let mut copy = self.copy.clone();
        change(&mut copy);
        Due::Save(Box::new(copy))
    }

    /// What was made so far is deleted, and then it has failed.
    fn fail(&self, why: String) -> Due {
        self.save(|copy| {
            copy.step = Step::Deleting;
            copy.failure = Some(why);
            copy.arn = None;
        })
    }

    /// Takes in what came of asking.
    pub fn told(&mut self, now: Now, ask: &Ask, told: Told) {
        let taken = matches!(told, Told::Done | Told::Made { .. });
        match (ask, told) {
            (_, Told::Fault { kind, sentence }) => self.met(now, ask, kind, sentence),
            (_, Told::Table(seen)) => {
                let unfinished =
                    |table: &TableSeen| !matches!(table.status, TableStatus::Active | TableStatus::Useless);
                let poll = seen.as_ref().is_some_and(unfinished);
                self.table = Some(seen);
                self.paced(now, poll);
            }
            (_, Told::Backups(seen)) => {
                self.backups = Some(seen);
                self.paced(now, false);
            }
            (_, Told::Backup(seen)) => {
                let poll = seen.as_ref().is_none_or(|backup| backup.status == BackupStatus::Creating);
                self.backup = Some(seen);
                self.paced(now, poll);
            }
            (Ask::BackUp, Told::Made { arn }) => {
                // Found by its name all the same, should this process die before the next save.
                self.backups = Some(vec![BackupSeen {
                    arn,
                    name: self.copy.name.clone(),
                    table: self.copy.name.clone(),
                    status: BackupStatus::Creating,
                    created: now.wall,
                    items: None,
                    bytes: None,
                }]);
                self.backup = None;
                self.paced(now, false);
            }
            (_, Told::Done | Told::Made { .. }) => {
                self.forget();
                self.paced(now, true);
            }
        }
        if matches!(ask, Ask::Restore | Ask::Tag { .. } | Ask::BackUp) && taken {
            self.settled = self.settled.max(now.mono + SEEN);
        }
    }

    fn met(&mut self, now: Now, ask: &Ask, kind: FaultKind, sentence: String) {
        self.tries = self.tries.saturating_add(1);
        let pause = match kind {
            FaultKind::Limit | FaultKind::Denied => self.pause().max(LONG_PAUSE),
            _ => self.pause(),
        };
        self.not_before = now.mono + pause;
        match ask {
            // What an earlier look showed does not become truer by one that fails.
            Ask::Table => self.table = None,
            Ask::Backups => self.backups = None,
            Ask::Backup { .. } => self.backup = None,
            _ => self.forget(),
        }
        if ask.changes() && kind == FaultKind::Lost {
            self.doubt = true;
            self.settled = now.mono + SETTLE;
        }
        let hopeless = match ask {
            Ask::Restore => matches!(kind, FaultKind::Invalid | FaultKind::NotFound),
            Ask::BackUp => matches!(kind, FaultKind::Invalid | FaultKind::NotFound),
            Ask::Tag { .. } => kind == FaultKind::Invalid,
            _ => false,
        };
        if hopeless {
            (self.hopeless, self.not_before) = (Some(sentence), now.mono);
        }
    }

    /// The next look comes after a pause while something is on its way, at once otherwise.
    fn paced(&mut self, now: Now, poll: bool) {
        if poll {
            self.tries = self.tries.saturating_add(1);
        }
        self.not_before = if poll { now.mono + self.pause() } else { now.mono };
    }

    fn forget(&mut self) {
        (self.table, self.backups, self.backup) = (None, None, None);
    }

    /// Grows with every try, up to a minute, and is another for each table, so that they do not come all at once.
    fn pause(&self) -> Duration {
        let grown = FIRST_PAUSE.mul_f64(1.5_f64.powi(self.tries.clamp(1, 20).cast_signed() - 1)).min(LONGEST_PAUSE);
        let mixed = self.copy.name.bytes().fold(self.tries, |mix, byte| mix.wrapping_mul(31).wrapping_add(byte.into()));
        grown.mul_f64(0.9 + f64::from(mixed % 256) / 1280.0)
    }
}
