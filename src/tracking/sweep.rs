//! Looks for what lies under our names and should not, and for backups that should and don't.

use super::copy::{Ask, BackupStatus, Step, Told};
use super::follow::Follower;
use super::names;
use super::track::{State, Track};
use crate::catalog::{CatalogError, Known};
use crate::config::{Orphans, StoreKind};
use crate::stores::{Copies, Listed};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SWEEP_EVERY: Duration = Duration::from_secs(24 * 3600);
const SWEEP_AGAIN: Duration = Duration::from_secs(3600);

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Tables that no copy under way owns.
    pub tables: Vec<String>,
    /// ARNs of backups that no copy owns.
    pub backups: Vec<String>,
    /// Names of copies whose backup was not listed; to be asked for by itself before that is believed.
    pub missing: BTreeSet<String>,
}

type Names = BTreeMap<String, Known>;

/// Compares what there is with what the catalog knows. A name is durable before anything bears it, so what was listed
/// is compared with the copies as they were *after* that, and what should have been listed with those *before* it.
pub(super) fn compare(listed: &Listed, before: &Names, after: &Names) -> Found {
    let under_way = |name: &str| after.get(name).is_some_and(|known| !known.step.rests());
    let tables = listed.tables.iter().filter(|name| !under_way(name)).cloned().collect();
    let there: Vec<_> = listed.backups.iter().filter(|backup| backup.status != BackupStatus::Deleted).collect();
    let owned = |name: &str, arn: &str| {
        let done = |known: &Known| known.step == Step::Done && known.backup_arn.as_deref() == Some(arn);
        under_way(name) || after.get(name).is_some_and(done)
    };
    let backups = there.iter().filter(|it| !owned(&it.name, &it.arn)).map(|it| it.arn.clone()).collect();
    let arns: BTreeSet<&str> = there.iter().map(|backup| backup.arn.as_str()).collect();
    let lacks =
        |known: &Known| known.step == Step::Done && known.backup_arn.as_deref().is_some_and(|arn| !arns.contains(arn));
    let missing = before.iter().filter(|(_, known)| lacks(known)).map(|(name, _)| name.clone()).collect();
    Found { tables, backups, missing }
}

impl Follower {
    /// Once a day: what lies under our names and should not, and which backups are gone.
    pub(super) async fn sweep(&mut self) -> Result<(), CatalogError> {
        let now = self.now();
        if self.sweep_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        let store = self.store.clone();
        let (StoreKind::Dynamodb(config), Some(copies)) = (&self.config.kind, store.copies()) else {
            self.sweep_at = None;
            return Ok(());
        };
        let catalog = self.shared.catalog.clone();
        let first = names::prefix(catalog.identity());
        let last = format!("{first}~");
        let before = catalog.known_names(&first, &last).await?;
        let listed = match copies.listed(&first).await {
            Ok(listed) => listed,
            Err(fault) => {
                tracing::warn!(group = %self.group.name, store = %self.config.name, "look for what was left: {fault}");
                self.sweep_at = Some(now + SWEEP_AGAIN);
                return Ok(());
            }
        };
        let found = compare(&listed, &before, &catalog.known_names(&first, &last).await?);
        let delete = config.orphans == Orphans::Delete;
        self.sweep_at = Some(now + SWEEP_EVERY);
        self.left(&found, delete, copies).await;
        if found.missing.is_empty() { Ok(()) } else { self.missing(&found.missing, copies).await }
    }

    async fn left(&self, found: &Found, delete: bool, copies: &dyn Copies) {
        self.shared.metrics.orphans(&self.group.name, &self.config.name, found.tables.len(), found.backups.len());
        for name in found.tables.iter().chain(&found.backups) {
            tracing::warn!(group = %self.group.name, store = %self.config.name, "{name} bears our name, and the catalog does not know what for");
        }
        if delete {
            for fault in copies.remove(&found.tables, &found.backups).await {
                tracing::warn!(group = %self.group.name, store = %self.config.name, "delete what was left: {fault}");
            }
        }
    }

    /// A listing may be behind: each backup is asked for by itself before its restore point is lost.
    async fn missing(&mut self, missing: &BTreeSet<String>, copies: &dyn Copies) -> Result<(), CatalogError> {
        let made = self.followed.values().map(|it| it.track.clone()).filter(|track| track.state == State::Materialized);
        for track in made.collect::<Vec<_>>() {
            let all = self.shared.catalog.copies(&track.window, &self.config.name).await?;
            for copy in all.iter().filter(|copy| missing.contains(&copy.name)) {
                let Some(arn) = copy.arn.clone() else { continue };
                let gone = match copies.ask(copy, None, &Ask::Backup { arn }).await {
                    Told::Backup(seen) => seen.is_none_or(|it| it.status == BackupStatus::Deleted),
                    _ => false,
                };
                if gone {
                    let reason = Some(format!("the backup of {} is gone", copy.source));
                    self.change(Track { state: State::Lost, reason, ..track }).await?;
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::copy::BackupSeen;

    fn known(names: &[(&str, Step, Option<&str>)]) -> Names {
        let one = |(name, step, arn): &(&str, Step, Option<&str>)| {
            ((*name).to_owned(), Known { step: *step, backup_arn: arn.map(str::to_owned) })
        };
        names.iter().map(one).collect()
    }

    fn backup(name: &str, arn: &str) -> BackupSeen {
        BackupSeen {
            arn: arn.to_owned(),
            name: name.to_owned(),
            table: name.to_owned(),
            status: BackupStatus::Available,
            created: jiff::Timestamp::UNIX_EPOCH,
            items: None,
            bytes: None,
        }
    }

    #[test]
    fn what_is_under_way_or_done_is_ours_and_everything_else_is_left_over() {
        let listed = Listed {
            tables: ["restoring", "done", "unknown"].map(str::to_owned).to_vec(),
            backups: vec![backup("done", "1"), backup("done", "2"), backup("failed", "3"), backup("begun", "4")],
        };
        let names = known(&[
            ("restoring", Step::Restoring, None),
            ("done", Step::Done, Some("1")),
            ("failed", Step::Failed, None),
            ("begun", Step::BackingUp, None),
        ]);
        let found = compare(&listed, &names, &names);
        assert_eq!(found.tables, ["done", "unknown"]);
        assert_eq!(found.backups, ["2", "3"]);
        assert!(found.missing.is_empty());
    }

    #[test]
    fn what_began_or_ended_while_it_was_listed_is_neither_left_over_nor_missing() {
        let listed = Listed { tables: vec!["new".to_owned()], backups: Vec::new() };
        let after = known(&[("new", Step::Restoring, None), ("done meanwhile", Step::Done, Some("1"))]);
        assert_eq!(compare(&listed, &Names::new(), &after), Found::default());
    }

    #[test]
    fn a_backup_that_is_not_listed_is_missing() {
        let names = known(&[("done", Step::Done, Some("1")), ("expired", Step::Expired, Some("2"))]);
        assert_eq!(compare(&Listed::default(), &names, &names).missing, BTreeSet::from(["done".to_owned()]));
    }
}
