//! Puts releases into an API server as Scalar's charts make them, at rest, without controllers or kubelets.

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// How many releases are written at the same time.
const AT_ONCE: usize = 8;
/// ReplicaSets of a Deployment that earlier upgrades left.
const OLD: usize = 2;
const AT: &str = "2026-01-01T00:00:00Z";

/// A release, and where its pods answer.
pub struct Release {
    pub namespace: String,
    pub name: String,
    pub addresses: Vec<String>,
}

/// Writes namespaces and releases.
pub async fn load(client: &Client, namespaces: &[String], releases: Vec<Release>) {
    for name in namespaces {
        let object = from(json!({"metadata": {"name": name}}));
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.expect("it is written");
    }
    futures_util::stream::iter(releases).for_each_concurrent(AT_ONCE, |release| write(client, release)).await;
}

async fn write(client: &Client, release: Release) {
    let Release { namespace, name, addresses } = &release;
    let service = json!({
        "metadata": {"name": format!("{name}-headless"), "labels": labels(name, "scalardb-cluster")},
        "spec": {
            "clusterIP": "None", "selector": labels(name, "scalardb-cluster"),
            "ports": [{"name": "scalardb-cluster", "port": 60053, "targetPort": "admin"}],
        },
    });
    create::<Service>(client, namespace, "helm", service).await;
    let pods = addresses.len();
    let owner = workload(client, &release, "scalardb-cluster", pods).await;
    workload(client, &release, "envoy", 3).await;
    for (index, address) in addresses.iter().enumerate() {
        let (ip, _) = address.split_once(':').expect("host:port");
        let mut object = template(name, "scalardb-cluster");
        object["metadata"]["name"] = format!("{}-{index:05}", owner["name"].as_str().expect("a name")).into();
        object["metadata"]["ownerReferences"] = json!([owner]);
        object["spec"]["nodeName"] = format!("node-{index}").into();
        let pod = create::<Pod>(client, namespace, "kube-controller-manager", object).await;
        status(client, &pod, "kubelet", running(ip)).await;
    }
}

/// A Deployment and its ReplicaSets, at rest; answers with the reference that its pods carry.
async fn workload(client: &Client, release: &Release, app: &str, replicas: usize) -> Value {
    let Release { namespace, name, .. } = release;
    let called = format!("{name}-{app}");
    let metadata = json!({"name": called, "labels": labels(name, app)});
    let selector = json!({"matchLabels": labels(name, app)});
    let spec = json!({"replicas": replicas, "selector": selector, "template": template(name, app)});
    let deployment = create::<Deployment>(client, namespace, "helm", json!({"metadata": metadata, "spec": spec})).await;
    let at_rest = json!({
        "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
        "availableReplicas": replicas,
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability.", "lastTransitionTime": AT, "lastUpdateTime": AT},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": format!("ReplicaSet \"{called}-0\" has successfully progressed."), "lastTransitionTime": AT, "lastUpdateTime": AT},
        ],
    });
    status(client, &deployment, "kube-controller-manager", at_rest).await;
    let mut newest = Value::Null;
    for (hash, replicas) in [(OLD, replicas)].into_iter().chain((0..OLD).map(|old| (old, 0))) {
        let metadata = json!({
            "name": format!("{called}-{hash}"), "labels": labels(name, app),
            "ownerReferences": [owner("apps/v1", "Deployment", &deployment)],
        });
        let spec = json!({"replicas": replicas, "selector": selector, "template": template(name, app)});
        let object = json!({"metadata": metadata, "spec": spec});
        let set = create::<ReplicaSet>(client, namespace, "kube-controller-manager", object).await;
        let at_rest = json!({"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "fullyLabeledReplicas": replicas});
        status(client, &set, "kube-controller-manager", at_rest).await;
        if replicas > 0 {
            newest = owner("apps/v1", "ReplicaSet", &set);
        }
    }
    newest
}

fn owner(version: &str, kind: &str, object: &impl ResourceExt) -> Value {
    json!({
        "apiVersion": version, "kind": kind, "name": object.name_any(), "uid": object.uid().expect("it has one"),
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn labels(release: &str, app: &str) -> Value {
    json!({
        "app.kubernetes.io/name": app, "app.kubernetes.io/instance": release, "app.kubernetes.io/app": app,
        "app.kubernetes.io/version": "3.17.0", "helm.sh/chart": "scalardb-cluster-1.8.0",
        "app.kubernetes.io/managed-by": "Helm",
    })
}

/// About as much as a pod of Scalar's charts says.
fn template(release: &str, app: &str) -> Value {
    let probe = |seconds: u32| {
        json!({
            "exec": {"command": ["/usr/local/bin/grpc_health_probe", "-addr=:60053"]}, "failureThreshold": seconds,
            "initialDelaySeconds": 10, "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1,
        })
    };
    let variable = |name: &str| {
        let key = json!({"name": format!("{release}-credentials"), "key": name});
        json!({"name": name, "valueFrom": {"secretKeyRef": key}})
    };
    let env = ["SCALAR_DB_CONTACT_POINTS", "SCALAR_DB_USERNAME", "SCALAR_DB_PASSWORD"].map(variable);
    let volume = json!({"name": "scalardb-cluster-database-properties-volume", "configMap": {"name": format!("{release}-database-properties"), "defaultMode": 420}});
    let token = json!({"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}});
    let term = json!({"weight": 50, "podAffinityTerm": {"labelSelector": {"matchLabels": labels(release, app)}, "topologyKey": "kubernetes.io/hostname"}});
    json!({
        "metadata": {
            "labels": labels(release, app),
            "annotations": {"checksum/config": "d9b1a6f0c3e84b27a5d4f6e1c0b9a8877665544332211000ffeeddccbbaa9988"},
        },
        "spec": {
            "serviceAccountName": "default", "terminationGracePeriodSeconds": 90,
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}},
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"key": "scalar-labs.com/dedicated-node", "operator": "Equal", "value": "scalardb-cluster", "effect": "NoSchedule"}],
            "containers": [{
                "name": app, "image": format!("ghcr.io/scalar-labs/{app}-node-byol-premium:3.17.0"), "imagePullPolicy": "IfNotPresent",
                "args": ["/scalardb-cluster/bin/scalardb-cluster-node", "--config=/scalardb-cluster/node/scalardb-cluster-node.properties"],
                "ports": [
                    {"containerPort": 60053, "name": "admin"}, {"containerPort": 8080, "name": "graphql"},
                    {"containerPort": 60054, "name": "sql"}, {"containerPort": 9080, "name": "prometheus"},
                ],
                "env": env,
                "livenessProbe": probe(3), "readinessProbe": probe(3), "startupProbe": probe(60),
                "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "scalardb-cluster-database-properties-volume", "mountPath": "/scalardb-cluster/node/scalardb-cluster-node.properties", "subPath": "scalardb-cluster-node.properties"},
                    {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
                ],
            }],
            "volumes": [volume, token],
        },
    })
}

fn running(ip: &str) -> Value {
    let conditions: Vec<Value> =
        ["PodReadyToStartContainers", "PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": AT}))
            .to_vec();
    let image = "ghcr.io/scalar-labs/scalardb-cluster-node-byol-premium";
    let digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    json!({
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}],
        "startTime": AT, "qosClass": "Guaranteed", "conditions": conditions,
        "containerStatuses": [{
            "name": "scalardb-cluster", "image": format!("{image}:3.17.0"), "imageID": format!("{image}@{digest}"),
            "containerID": format!("containerd://{digest}"), "restartCount": 0, "ready": true, "started": true,
            "state": {"running": {"startedAt": AT}},
        }],
    })
}

async fn create<K>(client: &Client, namespace: &str, manager: &str, object: Value) -> K
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    Api::namespaced(client.clone(), namespace).create(&params, &from::<K>(object)).await.expect("it is written")
}

async fn status<K>(client: &Client, object: &K, manager: &str, status: Value)
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().expect("it has one"));
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(&object.name_any(), &params, &patch).await.expect("it is written");
}

fn from<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).expect("it is an object of its kind")
}
