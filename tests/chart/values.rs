//! Values: what is refused, and how it is told.

use crate::render::{CHART, GROUP, VERSION, helm, template};
use serde_json::{Map, Value, json};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/stillpoint/values.schema.json");
const GENERATED: &str = "\n  \"definitions\": ";

#[test]
fn the_chart_is_in_order() {
    let output = helm(&[&["lint", "--strict", CHART][..], &VERSION].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn values_that_cannot_be_right_are_refused_and_named() {
    for (setting, told) in [
        ("replicas=0", "/replicas"),
        ("replicas=two", "/replicas"),
        ("guard=false", "/guard"),
        ("guard.enabled=auto", "/guard/enabled"),
        ("spread=zones", "/spread"),
        ("database.password=secret", "'password' not allowed"),
        ("image.repo=x", "'repo' not allowed"),
        ("terminationGracePeriodSeconds=soon", "/terminationGracePeriodSeconds"),
        ("service.port=web", "/service/port"),
        ("persistence.accessModes={ReadWriteMany}", "/persistence/accessModes"),
        ("persistence.size=plenty", "/persistence/size"),
        ("metrics.podMonitor.interval=often", "/metrics/podMonitor/interval"),
        ("metrics.dashboard.labels.grafana_dashboard=1", "/metrics/dashboard/labels"),
        ("config=null", "missing property 'config'"),
        ("config.daemon=null", "missing property 'daemon'"),
    ] {
        let error = template(&[setting]).expect_err(setting);
        assert!(error.contains(told), "{setting}: {error}");
    }
}

#[test]
fn a_misspelled_setting_of_the_config_is_refused_by_helm_already() {
    for (setting, told) in [
        ("config.group=x", "'group' not allowed"),
        ("config.daemon.sweep=1m", "at '/config/daemon': additional properties 'sweep' not allowed"),
        ("config.groups.a.window.max_pauze=9s", "at '/config/groups/a/window': additional properties 'max_pauze'"),
        ("config.groups.a.window.max_pause=90", "at '/config/groups/a/window/max_pause': got number, want string"),
        ("config.groups.a.window.max_pause=1h 30m", "does not match pattern"),
        ("config.groups.a.clusters.b.kubernetes.relase=b", "additional properties 'relase' not allowed"),
        ("config.groups.a.clusters.b.product=scalardb", "value must be 'scalardb-cluster'"),
        ("config.groups.a_b.coverage=warn", "invalid propertyName 'a_b'"),
    ] {
        let error = template(&[setting]).expect_err(setting);
        assert!(error.contains(told), "{setting}: {error}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused_in_one_sentence() {
    for (settings, told) in [
        (&["metrics.podMonitor.enabled=true", "metrics.serviceMonitor.enabled=true"][..], "are both enabled"),
        (&["config.daemon.http=none"], "must be 0.0.0.0:PORT or [::]:PORT"),
        (&["config.daemon.http=127.0.0.1:9650"], "must be 0.0.0.0:PORT or [::]:PORT"),
        (
            &["replicas=2"],
            "replicas (2) needs a catalog on PostgreSQL: the SQLite file of config.daemon.catalog is for one",
        ),
        (&["config.daemon.catalog=postgres://a:b@db/a"], "name a Secret in database.existingSecret"),
        (
            &["config.daemon.catalog=postgres://db/a?sslmode=require&password=b"],
            "name a Secret in database.existingSecret",
        ),
        (&["database.existingSecret=db"], "config.daemon.catalog names none"),
        (&["existingConfigMap=mine", GROUP], "the groups would be ignored"),
        (&["existingConfigMap=mine"], "set terminationGracePeriodSeconds"),
        (&["existingConfigMap=mine", "terminationGracePeriodSeconds=90"], "name them in rbac.namespaces"),
    ] {
        let error = template(settings).expect_err(told);
        assert!(error.contains(told), "{settings:?}: {error}");
        assert_eq!(error.matches("Error: ").count(), 1, "{error}");
    }
}

#[test]
fn the_schema_of_the_config_is_that_of_the_program() {
    let file = std::fs::read_to_string(SCHEMA).unwrap();
    let (written, _) = file.split_once(GENERATED).expect("the generated part");
    let generated = serde_json::to_string_pretty(&definitions()).unwrap().replace('\n', "\n  ");
    let right = format!("{written}{GENERATED}{generated}\n}}\n");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(SCHEMA, &right).unwrap();
        return;
    }
    assert!(file == right, "values.schema.json is stale: run `UPDATE=1 cargo test --test chart schema`");
}

#[test]
fn the_readme_beside_it_names_every_value_and_the_schema_knows_them() {
    let values: Map<String, Value> =
        serde_yaml::from_str(include_str!("../../deploy/helm/stillpoint/values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let table = include_str!("../../deploy/README.md");
    for value in values.keys() {
        assert!(table.contains(&format!("`{value}`")), "deploy/README.md does not name {value}");
    }
    let known: Vec<&String> = schema["properties"].as_object().unwrap().keys().filter(|key| *key != "global").collect();
    assert_eq!(known, values.keys().collect::<Vec<_>>());
}

/// The definitions of config/schema.json, and its root as `Config`.
fn definitions() -> Value {
    let mut root: Map<String, Value> = serde_json::from_str(&stillpoint::config::json_schema()).unwrap();
    let mut definitions = root.remove("definitions").unwrap();
    root.remove("$schema");
    root.insert("required".to_owned(), json!(["daemon"]));
    definitions["Config"] = Value::Object(root);
    without_null(&mut definitions);
    definitions
}

/// Nothing of a layer has to be there, so the program's schema takes null everywhere. helm drops a null before it
/// looks, and its errors are shorter without the alternative.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            if let Some(Value::Array(kinds)) = fields.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = &kinds[..] {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(mut either)) = fields.remove("anyOf") {
                either.retain(|schema| *schema != json!({"type": "null"}));
                match &either[..] {
                    [Value::Object(only)] => fields.extend(only.clone()),
                    _ => drop(fields.insert("anyOf".to_owned(), Value::Array(either))),
                }
            }
            fields.values_mut().for_each(without_null);
        }
        _ => {}
    }
}
