//! Each call that materializing takes, driven by hand.

use super::{ACCOUNTS, LIMIT, World, dynamodb};
use crate::aws::NewTable;
use crate::support::wait_until;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use stillpoint::aws::FaultKind;
use stillpoint::config::StoreKind;
use stillpoint::stores::{Part, Store};
use stillpoint::tracking::copy::{Ask, BackupSeen, BackupStatus, Copy, TableSeen, TableStatus, Told};

const NAME: &str = "stillpoint-0123456789abcdef-20261124T030005Z-17306d559ec7fbe9-shop.a";

struct Rig {
    world: World,
    store: Arc<dyn Store>,
    copy: Copy,
    part: Part,
}

impl Rig {
    fn new(indexes: bool) -> Self {
        let world = World::new();
        world.seed(ACCOUNTS[0], &[NewTable::new("shop.a").with_index("by-owner"), NewTable::new("shop.b")]);
        let kind = StoreKind::Dynamodb(super::Dynamodb { indexes, ..dynamodb(ACCOUNTS[0], &["shop.*"]) });
        let store = world.open(kind);
        let part = world.found(&*store).capture.parts["shop.a"].clone();
        let point = Timestamp::from_second(world.aws.now().as_second() + 1).unwrap();
        let latest = || {
            let seen = world.runtime.block_on(store.look(&["shop.a".to_owned()])).unwrap();
            seen["shop.a"].clone().unwrap().latest
        };
        world.aws.set_lag(SignedDuration::ZERO);
        wait_until("the point can be restored", LIMIT, || latest().filter(|latest| *latest > point));
        let copy = Copy::waiting("shop.a", &part.arn, "w1", point, NAME.to_owned());
        Self { world, store, copy, part }
    }

    fn ask(&self, ask: &Ask) -> Told {
        self.world.runtime.block_on(self.store.copies().unwrap().ask(&self.copy, Some(&self.part), ask))
    }

    fn table(&self) -> Option<TableSeen> {
        match self.ask(&Ask::Table) {
            Told::Table(seen) => seen,
            told => panic!("{told:?}"),
        }
    }

    fn backup(&self, arn: &str) -> Option<BackupSeen> {
        match self.ask(&Ask::Backup { arn: arn.to_owned() }) {
            Told::Backup(seen) => seen,
            told => panic!("{told:?}"),
        }
    }

    fn restored(&self) -> TableSeen {
        assert_eq!(self.ask(&Ask::Restore), Told::Done);
        wait_until("the copy is whole", LIMIT, || self.table().filter(|seen| seen.status == TableStatus::Active))
    }

    fn backed_up(&self) -> String {
        let Told::Made { arn } = self.ask(&Ask::BackUp) else { panic!("no backup was begun") };
        let whole = |seen: &BackupSeen| seen.status == BackupStatus::Available;
        wait_until("the backup is whole", LIMIT, || self.backup(&arn).filter(whole));
        arn
    }
}

fn kind(told: &Told) -> FaultKind {
    match told {
        Told::Fault { kind, .. } => *kind,
        told => panic!("{told:?}"),
    }
}

#[test]
fn a_table_is_restored_tagged_backed_up_and_deleted_and_its_backup_too() {
    let rig = Rig::new(true);
    assert_eq!(rig.table(), None);
    let seen = rig.restored();
    assert_eq!((seen.restored_from, seen.tag), (Some((rig.part.arn.clone(), rig.copy.point)), None));
    assert_eq!(kind(&rig.ask(&Ask::Restore)), FaultKind::Exists, "the name is taken");
    assert_eq!(rig.ask(&Ask::Tag { arn: seen.arn }), Told::Done);
    assert_eq!(rig.table().unwrap().tag.as_deref(), Some("w1"));
    assert_eq!(rig.ask(&Ask::Backups), Told::Backups(Vec::new()));
    let arn = rig.backed_up();
    let Told::Backups(backups) = rig.ask(&Ask::Backups) else { panic!("no list") };
    let told: Vec<_> =
        backups.iter().map(|seen| (seen.arn.as_str(), seen.name.as_str(), seen.table.as_str())).collect();
    assert_eq!(told, [(arn.as_str(), NAME, NAME)]);
    assert_eq!(rig.ask(&Ask::DeleteTable), Told::Done);
    wait_until("the copy is gone", LIMIT, || rig.table().is_none().then_some(()));
    let Told::Backups(backups) = rig.ask(&Ask::Backups) else { panic!("no list") };
    assert_eq!(backups.len(), 1, "it outlives its table");
    let listed = rig.world.runtime.block_on(rig.store.copies().unwrap().listed("stillpoint-")).unwrap();
    assert_eq!((listed.tables.len(), listed.backups.len()), (0, 1));
    assert_eq!(rig.ask(&Ask::DeleteBackup { arn: arn.clone() }), Told::Done);
    wait_until("the backup is gone", LIMIT, || {
        rig.backup(&arn).is_none_or(|seen| seen.status == BackupStatus::Deleted).then_some(())
    });
    let changed: Vec<String> = rig.world.aws.mutating_calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(changed, ["RestoreTableToPointInTime", "TagResource", "CreateBackup", "DeleteTable", "DeleteBackup"]);
}

#[test]
fn a_copy_has_the_indexes_of_its_table_only_when_that_is_wanted() {
    for (wanted, count) in [(true, 1), (false, 0)] {
        let rig = Rig::new(wanted);
        rig.restored();
        let call = rig.world.aws.calls(|call| call.is("RestoreTableToPointInTime")).remove(0);
        assert_eq!(call.input["BillingModeOverride"], "PAY_PER_REQUEST");
        assert_eq!(call.input["GlobalSecondaryIndexOverride"].as_array().map(Vec::len), Some(count));
        let client = rig.world.client(ACCOUNTS[0]);
        let described = rig.world.runtime.block_on(client.describe_table().table_name(NAME).send()).unwrap();
        assert_eq!(described.table.unwrap().global_secondary_indexes().len(), count);
    }
}

#[test]
fn nothing_that_bears_another_name_is_changed() {
    let mut rig = Rig::new(true);
    rig.copy.name = "shop.b".to_owned();
    let arn = rig.part.arn.clone();
    let backup = format!("{arn}/backup/01");
    for ask in [
        Ask::Restore,
        Ask::BackUp,
        Ask::DeleteTable,
        Ask::Tag { arn: arn.clone() },
        Ask::DeleteBackup { arn: backup.clone() },
    ] {
        assert_eq!(kind(&rig.ask(&ask)), FaultKind::Invalid, "{ask:?}");
    }
    let copies = rig.store.copies().unwrap();
    let faults = rig.world.runtime.block_on(copies.remove(&["shop.b".to_owned()], &[backup]));
    assert_eq!(faults.len(), 2);
    assert!(rig.world.aws.mutating_attempts().is_empty());
}

#[test]
fn left_over_tables_are_removed_when_they_were_restored_and_bear_our_tag() {
    let rig = Rig::new(true);
    rig.world.seed(ACCOUNTS[0], &[NewTable::new("stillpoint-made-by-hand")]);
    let seen = rig.restored();
    let arn = rig.backed_up();
    let copies = rig.store.copies().unwrap();
    let both = ["stillpoint-made-by-hand".to_owned(), NAME.to_owned()];
    let faults = rig.world.runtime.block_on(copies.remove(&both, &[]));
    assert_eq!(faults.len(), 2, "neither bears the tag: {faults:?}");
    assert_eq!(rig.ask(&Ask::Tag { arn: seen.arn }), Told::Done);
    let faults = rig.world.runtime.block_on(copies.remove(&both, std::slice::from_ref(&arn)));
    assert_eq!(faults.len(), 1, "{faults:?}");
    wait_until("the copy is gone", LIMIT, || rig.table().is_none().then_some(()));
    let listed = rig.world.runtime.block_on(copies.listed("stillpoint-")).unwrap();
    assert_eq!(listed.tables, ["stillpoint-made-by-hand"]);
    let there = |seen: &&BackupSeen| seen.status != BackupStatus::Deleted;
    assert_eq!(listed.backups.iter().filter(there).count(), 0);
}
