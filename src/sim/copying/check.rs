//! The promises of materializing, checked against what was really true.

use super::account::{Account, Sent, Table};
use crate::tracking::copy::{Ask, Copy, Step};
use std::time::Duration;

/// What only the world knows.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// When the state of the temporary table that a copy saw last was true, and its backup's.
    looked: Vec<Duration>,
    backup_looked: Vec<Duration>,
    pub broken: Vec<String>,
    /// Somebody else changed something between a look and what was built on it: no request can exclude that.
    pub beyond: bool,
}

pub(super) fn broken(index: usize, what: &str) -> String {
    format!("copy {index}: {what}")
}

impl Truth {
    pub fn new(copies: usize) -> Self {
        let never = vec![Duration::ZERO; copies];
        Self { looked: never.clone(), backup_looked: never, ..Self::default() }
    }

    /// A copy is told what was true then.
    pub fn told(&mut self, index: usize, ask: &Ask, then: Duration) {
        match ask {
            Ask::Table => self.looked[index] = then,
            Ask::Backup { .. } => self.backup_looked[index] = then,
            _ => {}
        }
    }

    pub fn looked(&self, index: usize) -> Duration {
        self.looked[index]
    }

    /// A request of a copy changes a table.
    pub fn touches(&mut self, sent: &Sent, table: &Table, how: &str) {
        if table.by == Some(sent.copy) {
            return;
        }
        if table.created > sent.looked {
            self.beyond = true;
        } else {
            self.broken.push(broken(sent.copy, &format!("a table that is not ours is {how}")));
        }
    }

    /// A request leaves: it names nothing but the copy's own, and the step that names it is durable.
    pub fn leaves(&mut self, index: usize, durable: &Copy, ask: &Ask, account: &Account) {
        let at_step = match ask {
            Ask::Restore => durable.step >= Step::Restoring && durable.begun.is_some(),
            Ask::Tag { .. } => durable.step >= Step::Restoring,
            Ask::BackUp => durable.step >= Step::BackingUp,
            Ask::DeleteTable => durable.step >= Step::Deleting,
            Ask::DeleteBackup { .. } => durable.step >= Step::Deleting,
            Ask::Table | Ask::Backups | Ask::Backup { .. } => true,
        };
        if !at_step || durable.step.rests() {
            self.broken.push(broken(index, &format!("{ask:?} leaves while {} is durable", durable.step.name())));
        }
        let own = match ask {
            Ask::Tag { arn } => *arn == format!("arn:table/{}", durable.name),
            Ask::Backup { arn } | Ask::DeleteBackup { arn } => {
                account.backups.iter().any(|backup| backup.arn == *arn && backup.name == durable.name)
            }
            _ => true,
        };
        if !own {
            self.broken.push(broken(index, &format!("{ask:?} names what is not its own")));
        }
    }

    /// Everything rests: what is there, and what is not.
    pub fn at_rest(&mut self, now: Duration, copies: &[Copy], account: &Account) {
        for (index, copy) in copies.iter().enumerate() {
            let table = account.table(&copy.name, now);
            if table.is_some_and(|table| table.by.is_some()) {
                self.broken.push(broken(index, "its temporary table is left"));
            }
            let backups: Vec<_> =
                account.backups.iter().filter(|backup| backup.name == copy.name && backup.there(now)).collect();
            let vanished = |backup: &&super::account::Backup| {
                backup.vanished && backup.deleted.is_some_and(|at| at >= self.backup_looked[index])
            };
            let whole = match copy.step {
                Step::Done if account.backups.iter().filter(|it| it.name == copy.name).any(|it| vanished(&it)) => {
                    self.beyond = true;
                    backups.is_empty()
                }
                Step::Done => backups.len() == 1 && backups[0].right && Some(&backups[0].arn) == copy.arn.as_ref(),
                Step::Failed | Step::Expired => backups.is_empty(),
                _ => false,
            };
            if !whole {
                self.broken.push(broken(index, &format!("it is {} with {backups:?}", copy.step.name())));
            }
            if copy.step == Step::Failed && copy.failure.is_none() {
                self.broken.push(broken(index, "it failed without a reason"));
            }
        }
        for table in account.tables.iter().filter(|table| table.by.is_none() && table.deleting.is_some()) {
            if !self.beyond {
                self.broken.push(format!("{} was somebody else's and is deleted", table.name));
            }
        }
    }
}
