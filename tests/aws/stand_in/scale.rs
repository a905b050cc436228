//! A thousand tables.

use super::{LIMIT, REGION, World};
use crate::aws::NewTable;
use crate::sdk;
use crate::support::wait_until;
use aws_sdk_dynamodb::Client;
use std::collections::BTreeSet;
use std::time::Instant;

#[test]
fn a_thousand_tables_are_made_restored_and_listed() {
    let world = World::with_table("shop.orders");
    let tables: Vec<NewTable> = (0..1000).map(|number| NewTable::new(&format!("wide.t{number:04}"))).collect();
    let begun = Instant::now();
    world.aws.seed_tables(&world.scope, &tables);
    eprintln!("1,000 tables made in {:?}", begun.elapsed());
    let mut names = BTreeSet::new();
    let mut from = None;
    loop {
        let list = world.client.list_tables().set_exclusive_start_table_name(from);
        let page = world.runtime.block_on(list.send()).expect("it answers");
        names.extend(page.table_names.unwrap_or_default());
        from = page.last_evaluated_table_name;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 1001);
    let begun = Instant::now();
    for number in 0..100 {
        assert!(world.status(&format!("wide.t{number:04}")).is_some());
    }
    eprintln!("100 DescribeTable through the stand-in in {:?}", begun.elapsed());
    let past =
        sdk::config(&world.aws, &world.scope.account, REGION).into_builder().endpoint_url(world.aws.moto_endpoint());
    let past = Client::new(&past.build());
    let begun = Instant::now();
    for _ in 0..100 {
        // moto takes the account for the default one, and answers that the table is not there
        let described = past.describe_table().table_name("wide.t0000").send();
        world.runtime.block_on(described).expect_err("it is another account's");
    }
    eprintln!("100 DescribeTable by moto alone in {:?}", begun.elapsed());
    let at = world.next_second();
    world.catch_up();
    let begun = Instant::now();
    for number in 0..100 {
        let restored = || match world.restore(&format!("wide.t{number:04}"), &format!("r{number:04}"), at) {
            Ok(()) => Some(()),
            Err(code) => {
                assert_eq!(code, "LimitExceededException");
                None
            }
        };
        wait_until("there is room for a restore", LIMIT, restored);
    }
    eprintln!("100 tables restored in {:?}", begun.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.aws.moto_id())).expect("moto runs");
    eprintln!("moto: {}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    assert!(world.aws.highest_restores() <= 50);
    world.wait_active("r0099");
}
