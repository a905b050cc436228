//! Faults meet what they can meet.

use super::{Fault, World};
use crate::tracking::copy::{Ask, TableStatus};

impl World {
    /// Faults of this action: those of the account happen now, the others wait for the next request or save.
    pub(super) fn plan(&mut self, copy: usize) {
        let action = self.phase_action;
        self.phase_action += 1;
        self.report.actions += 1;
        while self.faults.first().is_some_and(|planned| planned.action <= action) {
            let planned = self.faults.remove(0);
            self.pending.push((copy, planned.fault));
        }
        let mine: Vec<Fault> = self.pending.iter().filter(|(of, _)| *of == copy).map(|(_, fault)| *fault).collect();
        for fault in mine {
            if self.happens(copy, fault) {
                self.meet(copy, fault);
            }
        }
    }

    fn meet(&mut self, copy: usize, fault: Fault) {
        let step = self.runners[copy].copy().step;
        if let Some(index) = self.pending.iter().position(|pending| *pending == (copy, fault)) {
            self.pending.remove(index);
            self.report.met.push((step, fault));
        }
    }

    fn take(&mut self, copy: usize, which: impl Fn(Fault) -> bool) -> Option<Fault> {
        let (_, fault) = *self.pending.iter().find(|(of, fault)| *of == copy && which(*fault))?;
        self.meet(copy, fault);
        Some(fault)
    }

    pub(super) fn meets_save(&mut self, copy: usize) -> Option<Fault> {
        use Fault::{CrashAfterSave, CrashBeforeSave, SaveFails, SaveLies};
        self.take(copy, |fault| matches!(fault, CrashBeforeSave | CrashAfterSave | SaveFails | SaveLies))
    }

    pub(super) fn meets_ask(&mut self, copy: usize, ask: &Ask) -> Option<Fault> {
        use Fault::{CrashAfterAsk, CrashBeforeAsk, Invalid, LateRequest, Limit, LostReply, LostRequest, Throttled};
        self.take(copy, |fault| match fault {
            LostRequest | LostReply | LateRequest | Throttled | CrashBeforeAsk | CrashAfterAsk => true,
            Limit | Invalid => ask.changes(),
            _ => false,
        })
    }

    /// What happens in the account, if it can happen now.
    fn happens(&mut self, copy: usize, fault: Fault) -> bool {
        let (now, name) = (self.now, self.durable[copy].name.clone());
        if !fault.can_meet(self.runners[copy].copy().step) {
            return false;
        }
        match fault {
            Fault::Denied => {
                self.account.denied = now + self.random.millis(1_000, 300_000);
                true
            }
            Fault::SourceDeleted => {
                self.account.no_source.push(copy);
                true
            }
            Fault::ForeignTable => {
                let free = self.account.table(&name, now).is_none();
                if free {
                    self.account.foreign(&name, now);
                }
                free
            }
            Fault::BackupVanishes => self.account.vanish(&name, now),
            Fault::Stuck => self.stick(copy, &name),
            Fault::TableDeleted | Fault::TableReplaced | Fault::TableUseless => self.against_table(copy, fault, &name),
            _ => false,
        }
    }

    fn stick(&mut self, copy: usize, name: &str) -> bool {
        let (now, longer) = (self.now, self.random.millis(60_000, 4 * 3_600_000));
        let backup = self.account.backups.iter_mut().find(|backup| backup.name == name && now < backup.available);
        if let Some(backup) = backup.filter(|backup| backup.there(now)) {
            backup.available += longer;
            return true;
        }
        let creating = self
            .account
            .table_mut(name, now)
            .filter(|it| it.by == Some(copy) && it.status(now) == TableStatus::Creating);
        creating.map(|table| table.active += longer).is_some()
    }

    /// A table that is being created or backed up can be deleted by nobody.
    fn against_table(&mut self, copy: usize, fault: Fault, name: &str) -> bool {
        let (now, takes) = (self.now, self.random.millis(500, 60_000));
        let busy = self.account.backups.iter().any(|it| it.name == name && it.there(now) && now < it.available);
        let table = self.account.table_mut(name, now);
        let Some(table) = table.filter(|it| it.by == Some(copy) && it.status(now) == TableStatus::Active) else {
            return false;
        };
        match fault {
            Fault::TableUseless => table.useless = Some(now),
            _ if busy => return false,
            Fault::TableDeleted => (table.deleting, table.gone) = (Some(now), Some(now + takes)),
            _ => {
                (table.deleting, table.gone) = (Some(now), Some(now));
                self.account.foreign(name, now);
            }
        }
        true
    }
}
