//! RDS instances and Aurora clusters.

use super::{ACCOUNTS, World, place, quiet, sentences};
use aws_sdk_rds::types::Tag;
use stillpoint::config::StoreKind;

fn instance(name: &str) -> StoreKind {
    StoreKind::Rds { aws: place(ACCOUNTS[0]), instance: name.to_owned() }
}

fn cluster(name: &str) -> StoreKind {
    StoreKind::Aurora { aws: place(ACCOUNTS[0]), cluster: name.to_owned() }
}

fn make_instance(world: &World, name: &str, retention: i32) {
    let request = world.rds().create_db_instance().db_instance_identifier(name).db_instance_class("db.t3.medium");
    let request =
        request.engine("postgres").allocated_storage(20).master_username("u").master_user_password("secret12");
    let request = request.backup_retention_period(retention).tags(Tag::builder().key("team").value("shop").build());
    world.runtime.block_on(request.send()).unwrap();
}

fn make_cluster(world: &World, name: &str) {
    let request = world.rds().create_db_cluster().db_cluster_identifier(name).engine("aurora-postgresql");
    let request = request.master_username("u").master_user_password("secret12").backup_retention_period(7);
    world.runtime.block_on(request.send()).unwrap();
    let request = world.rds().create_db_instance().db_instance_identifier(format!("{name}-1"));
    let request = request.db_cluster_identifier(name).engine("aurora-postgresql").db_instance_class("db.r6g.large");
    world.runtime.block_on(request.send()).unwrap();
}

#[test]
fn an_instance_is_found_followed_and_missed() {
    let world = World::new();
    make_instance(&world, "ledger", 7);
    let store = world.open(instance("ledger"));
    let found = world.found(&*store);
    assert_eq!(sentences(&found.against), Vec::<String>::new());
    let part = &found.capture.parts["ledger"];
    assert!(!part.identity.is_empty() && part.arn.ends_with(":db:ledger"), "{part:?}");
    assert_eq!(
        (&part.settings["DBInstanceClass"], &part.settings["Engine"]),
        (&"db.t3.medium".into(), &"postgres".into())
    );
    assert_eq!(part.settings["Tags"][0]["Key"], "team");
    let seen = world.runtime.block_on(store.look(&["ledger".to_owned()])).unwrap()["ledger"].clone().unwrap();
    assert_eq!(seen.identity.as_ref(), Some(&part.identity));
    assert!(seen.recovery && seen.earliest.is_some() && seen.latest.is_some(), "{seen:?}");
    assert_eq!(seen.retention.as_secs(), 7 * 86_400);
    let after = world.runtime.block_on(store.after(&found.capture, quiet())).unwrap();
    assert_eq!(after.changed, Vec::<String>::new());

    let delete = world.rds().delete_db_instance().db_instance_identifier("ledger").skip_final_snapshot(true);
    world.runtime.block_on(delete.send()).unwrap();
    let after = world.runtime.block_on(store.after(&found.capture, quiet())).unwrap();
    assert_eq!((after.gone, after.changed.len()), (vec!["ledger".to_owned()], 1));
}

#[test]
fn an_instance_that_cannot_be_restored_stands_against_the_window() {
    let world = World::new();
    make_instance(&world, "off", 0);
    let against = sentences(&world.found(&*world.open(instance("off"))).against);
    assert_eq!(against, ["store_unready: 1 instance without automated backups (BackupRetentionPeriod is 0): off"]);
    let against = sentences(&world.found(&*world.open(instance("none"))).against);
    assert_eq!(against, ["store_unready: 1 instance that AWS does not know: none"]);
    make_cluster(&world, "billing");
    let against = sentences(&world.found(&*world.open(instance("billing-1"))).against);
    assert!(against.iter().any(|reason| reason.contains("member of the cluster billing")), "{against:?}");
}

#[test]
fn a_cluster_is_found_with_its_instances_and_followed() {
    let world = World::new();
    make_cluster(&world, "billing");
    let store = world.open(cluster("billing"));
    let found = world.found(&*store);
    assert_eq!(sentences(&found.against), Vec::<String>::new());
    let part = &found.capture.parts["billing"];
    assert_eq!(part.settings["Engine"], "aurora-postgresql");
    assert_eq!(part.settings["DBInstances"][0]["DBInstanceIdentifier"], "billing-1");
    assert_eq!(part.settings["DBInstances"][0]["DBInstanceClass"], "db.r6g.large");
    let seen = world.runtime.block_on(store.look(&["billing".to_owned()])).unwrap()["billing"].clone().unwrap();
    assert_eq!(seen.identity.as_ref(), Some(&part.identity));
    assert!(seen.recovery && seen.earliest.is_some() && seen.latest.is_some(), "{seen:?}");
    let after = world.runtime.block_on(store.after(&found.capture, quiet())).unwrap();
    assert_eq!(after.changed, Vec::<String>::new());
    assert!(world.aws.throttled().is_empty());
}
