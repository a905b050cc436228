//! The rights that a group's config needs in AWS, as IAM policies: no more than its calls, on no more than its tables,
//! instances and clusters.

use crate::config::{self, Dynamodb, Eks, Group, Materialize, Source, StoreKind};
use crate::tracking::names::PREFIX;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Preflight, settings, following restore points, finding members in EKS; the other parts need it besides
    Tracking,
    /// Making backups of DynamoDB's tables as they were at restore points, and expiring them
    Materializing,
    /// Restoring beside or in place of what is gone; deletes nothing
    Restoring,
}

/// An IAM policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: BTreeSet<String>,
    resource: BTreeSet<String>,
}

/// What a restore does to the table that it makes ("Using IAM with DynamoDB backup and restore" in the developer guide).
const READ_AND_WRITE: [&str; 7] = [
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
];

/// The policies by whom they are for: a role, or whoever the environment's credentials are.
#[must_use]
pub fn policies(group: &Group, parts: &[Part]) -> BTreeMap<Option<String>, Policy> {
    let mut all: BTreeMap<Option<String>, Grants<'_>> = BTreeMap::new();
    let mut of = |aws: &config::Aws, what: &dyn Fn(&mut Grants<'_>)| {
        what(all.entry(aws.role_arn.clone()).or_insert_with(|| Grants { parts, granted: BTreeMap::new() }));
    };
    let mut roles = BTreeSet::new();
    for eks in group.clusters.values().filter_map(in_eks) {
        of(&eks.aws, &|grants| grants.eks(eks));
        roles.extend(eks.aws.role_arn.clone());
    }
    for store in group.stores.values() {
        let aws = store.kind.aws();
        match &store.kind {
            StoreKind::Dynamodb(dynamodb) => of(aws, &|grants| grants.dynamodb(dynamodb)),
            StoreKind::Rds { aws, instance } => of(aws, &|grants| grants.rds(aws, instance)),
            StoreKind::Aurora { aws, cluster } => of(aws, &|grants| grants.aurora(aws, cluster)),
        }
        roles.extend(aws.role_arn.clone());
    }
    if !roles.is_empty() {
        let environment = all.entry(None).or_insert_with(|| Grants { parts, granted: BTreeMap::new() });
        environment.grant(Part::Tracking, "TakeOnRoles", &["sts:AssumeRole"], roles);
    }
    let policies = all.into_iter().map(|(who, grants)| (who, grants.policy()));
    policies.filter(|(_, policy)| !policy.statement.is_empty()).collect()
}

fn in_eks(cluster: &config::Cluster) -> Option<&Eks> {
    match &cluster.source {
        Source::Kubernetes(source) => source.namespace.eks.as_deref(),
        Source::Addresses(_) | Source::Srv(_) => None,
    }
}

type Names = BTreeSet<String>;

/// What one identity gets, by statement.
struct Grants<'a> {
    parts: &'a [Part],
    /// Actions and resources.
    granted: BTreeMap<(Part, &'static str), (Names, Names)>,
}

impl Grants<'_> {
    fn grant(&mut self, part: Part, sid: &'static str, actions: &[&str], resources: impl IntoIterator<Item = String>) {
        if self.parts.contains(&part) {
            let (action, resource) = self.granted.entry((part, sid)).or_default();
            action.extend(actions.iter().map(ToString::to_string));
            resource.extend(resources);
        }
    }

    /// For calls that AWS does not let be narrowed to resources.
    fn anywhere(&mut self, part: Part, sid: &'static str, actions: &[&str]) {
        self.grant(part, sid, actions, ["*".to_owned()]);
    }

    fn policy(self) -> Policy {
        let statement = |((_, sid), (action, resource))| Statement { sid, effect: "Allow", action, resource };
        Policy { version: "2012-10-17", statement: self.granted.into_iter().map(statement).collect() }
    }

    fn eks(&mut self, eks: &Eks) {
        let cluster = arn("eks", &eks.aws, &format!("cluster/{}", eks.cluster));
        self.grant(Part::Tracking, "FindApiServers", &["eks:DescribeCluster"], [cluster]);
    }

    fn dynamodb(&mut self, store: &Dynamodb) {
        let tables = tables(store);
        let looks = [
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:DescribeTable",
            "dynamodb:DescribeTimeToLive",
            "dynamodb:ListTagsOfResource",
        ];
        self.grant(Part::Tracking, "LookAtTables", &looks, tables.clone());
        let lists = [
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "dynamodb:ListTables",
        ];
        self.anywhere(Part::Tracking, "ListTablesAndScaling", &lists);
        if store.materialize != Materialize::Never {
            self.materialize(store, &tables);
        }
        self.restore_tables(store, &tables);
    }

    /// A table is restored as another one, and that one backed up and deleted.
    fn materialize(&mut self, store: &Dynamodb, tables: &BTreeSet<String>) {
        const PART: Part = Part::Materializing;
        let restore = ["dynamodb:RestoreTableToPointInTime"];
        self.grant(PART, "RestoreFromTables", &restore, tables.iter().cloned());
        let mut temporary = READ_AND_WRITE.to_vec();
        temporary.extend(restore);
        temporary.extend([
            "dynamodb:CreateBackup",
            "dynamodb:DeleteTable",
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:DescribeTable",
            "dynamodb:ListTagsOfResource",
            "dynamodb:TagResource",
        ]);
        self.grant(PART, "UseTemporaryTables", &temporary, [table(store, &ours(""))]);
        let backups = ["dynamodb:DeleteBackup", "dynamodb:DescribeBackup"];
        self.grant(PART, "KeepBackups", &backups, [table(store, &ours("/backup/*"))]);
        self.anywhere(PART, "ListBackups", &["dynamodb:ListBackups"]);
    }

    /// From backups that were made, or from the tables themselves, and then what neither brings back.
    fn restore_tables(&mut self, store: &Dynamodb, tables: &BTreeSet<String>) {
        const PART: Part = Part::Restoring;
        let mut made = READ_AND_WRITE.to_vec();
        made.extend([
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:DescribeTable",
            "dynamodb:RestoreTableFromBackup",
            "dynamodb:RestoreTableToPointInTime",
            "dynamodb:TagResource",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateTimeToLive",
        ]);
        self.grant(PART, "RestoreTables", &made, tables.iter().cloned());
        let from = ["dynamodb:DescribeBackup", "dynamodb:RestoreTableFromBackup"];
        self.grant(PART, "RestoreFromBackups", &from, [table(store, &ours("/backup/*"))]);
        let scaling = ["application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget"];
        let target = arn("application-autoscaling", &store.aws, "scalable-target/*");
        self.grant(PART, "ScaleAgain", &scaling, [target]);
    }

    fn rds(&mut self, aws: &config::Aws, instance: &str) {
        let instance = instance.to_lowercase();
        let own = arn("rds", aws, &format!("db:{instance}"));
        let looks = ["rds:DescribeDBInstances", "rds:ListTagsForResource"];
        self.grant(Part::Tracking, "LookAtInstances", &looks, [own.clone()]);
        // By the instance's identifier or its resource's: whether the first one narrows it, AWS's pages do not say.
        self.anywhere(Part::Tracking, "LookAtAutomatedBackups", &["rds:DescribeDBInstanceAutomatedBackups"]);
        let restores = ["rds:AddTagsToResource", "rds:RestoreDBInstanceToPointInTime"];
        let around = ["og:*", "pg:*", "subgrp:*"].map(|what| arn("rds", aws, what));
        let beside = arn("rds", aws, &format!("db:{instance}-*"));
        let automated = arn("rds", aws, "auto-backup:*");
        let resources = around.into_iter().chain([own, beside.clone(), automated]);
        self.grant(Part::Restoring, "RestoreInstances", &restores, resources);
        let finish = ["rds:DescribeDBInstances", "rds:ModifyDBInstance"];
        self.grant(Part::Restoring, "FinishInstances", &finish, [beside]);
    }

    fn aurora(&mut self, aws: &config::Aws, cluster: &str) {
        let cluster = cluster.to_lowercase();
        let own = arn("rds", aws, &format!("cluster:{cluster}"));
        let looks = ["rds:DescribeDBClusters", "rds:ListTagsForResource"];
        self.grant(Part::Tracking, "LookAtClusters", &looks, [own.clone()]);
        // Its instances have names of their own.
        let instances = arn("rds", aws, "db:*");
        self.grant(Part::Tracking, "LookAtClustersInstances", &["rds:DescribeDBInstances"], [instances]);
        let restores = ["rds:AddTagsToResource", "rds:RestoreDBClusterToPointInTime"];
        let around = ["cluster-pg:*", "og:*", "subgrp:*"].map(|what| arn("rds", aws, what));
        let beside = arn("rds", aws, &format!("cluster:{cluster}-*"));
        self.grant(Part::Restoring, "RestoreClusters", &restores, around.into_iter().chain([own, beside.clone()]));
        let writers = arn("rds", aws, &format!("db:{cluster}-*"));
        let finish = [
            "rds:AddTagsToResource",
            "rds:CreateDBInstance",
            "rds:DescribeDBClusters",
            "rds:DescribeDBInstances",
            "rds:ModifyDBCluster",
        ];
        let around = ["pg:*", "subgrp:*"].map(|what| arn("rds", aws, what));
        self.grant(Part::Restoring, "FinishClusters", &finish, around.into_iter().chain([beside, writers]));
    }
}

/// What a store's patterns may name, and ScalarDB's own tables; an exclusion takes nothing back.
fn tables(store: &Dynamodb) -> BTreeSet<String> {
    let included = store.include.iter().cloned();
    let coordinator = store.coordinator.iter().map(|namespace| format!("{namespace}.state"));
    let metadata =
        store.metadata.iter().flat_map(|namespace| ["metadata", "namespaces"].map(|it| format!("{namespace}.{it}")));
    let names = included.chain(coordinator).chain(metadata);
    names.map(|name| table(store, &format!("{}{name}", store.prefix))).collect()
}

/// Everything that bears our name, and what belongs to it.
fn ours(what: &str) -> String {
    format!("{PREFIX}*{what}")
}

fn table(store: &Dynamodb, name: &str) -> String {
    arn("dynamodb", &store.aws, &format!("table/{name}"))
}

fn arn(service: &str, aws: &config::Aws, resource: &str) -> String {
    let account = aws.account().unwrap_or("*");
    format!("arn:{}:{service}:{}:{account}:{resource}", aws.partition(), aws.region)
}
