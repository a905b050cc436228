//! Accounts, regions, and the services that are only passed through.

use super::{REGION, World};
use crate::aws::{DEFAULT_ACCOUNT, NewTable, Scope};
use crate::sdk;
use aws_sdk_dynamodb::Client;

#[test]
fn a_role_of_another_account_leads_to_that_accounts_tables() {
    let world = World::with_table("shop.orders");
    let role = "arn:aws:iam::222222222222:role/stillpoint";
    world.aws.require_external_id(role, "secret");
    let assume = |external_id: &str| {
        let provider = aws_config::sts::AssumeRoleProvider::builder(role).session_name("test").external_id(external_id);
        let provider = provider.configure(&sdk::config(&world.aws, DEFAULT_ACCOUNT, "us-east-1"));
        world.runtime.block_on(async {
            let provider = provider.build().await;
            aws_sdk_dynamodb::config::ProvideCredentials::provide_credentials(&provider).await
        })
    };
    assert!(assume("wrong").is_err());
    let credentials = assume("secret").expect("the role is assumed");
    assert_eq!(world.aws.assumed_roles(), [(role.into(), "wrong".into()), (role.into(), "secret".into())]);
    let other = Client::new(&sdk::with_credentials(&world.aws, credentials, REGION));
    let names = |client: &Client| {
        world.runtime.block_on(client.list_tables().send()).expect("it answers").table_names.unwrap_or_default()
    };
    assert!(names(&other).is_empty());
    world.aws.seed_tables(&Scope::new("222222222222", REGION), &[NewTable::new("ledger.assets")]);
    assert_eq!(names(&other), ["ledger.assets"]);
    assert_eq!(names(&world.client), ["shop.orders"]);
    let elsewhere = Client::new(&sdk::config(&world.aws, "111111111111", "us-east-1"));
    assert!(names(&elsewhere).is_empty());
}

#[test]
fn auto_scaling_and_eks_are_passed_through() {
    let world = World::with_table("shop.orders");
    let config = sdk::config(&world.aws, &world.scope.account, REGION);
    let scaling = aws_sdk_applicationautoscaling::Client::new(&config);
    let register =
        scaling.register_scalable_target().service_namespace("dynamodb".into()).resource_id("table/shop.orders");
    let register =
        register.scalable_dimension("dynamodb:table:ReadCapacityUnits".into()).min_capacity(1).max_capacity(9);
    world.runtime.block_on(register.send()).expect("it is registered");
    let found =
        scaling.describe_scalable_targets().service_namespace("dynamodb".into()).resource_ids("table/shop.orders");
    let found = world.runtime.block_on(found.send()).expect("it answers");
    assert_eq!(found.scalable_targets().first().map(|target| target.max_capacity), Some(9));
    assert_eq!(world.aws.count("RegisterScalableTarget", "shop.orders"), 1);
    let clusters = aws_sdk_eks::Client::new(&config).list_clusters();
    assert!(world.runtime.block_on(clusters.send()).expect("it answers").clusters().is_empty());
    assert_eq!(world.aws.mutating_calls().len(), 1);
}
