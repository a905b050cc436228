//! A config that names no place, and a person with a kubeconfig.

use crate::rig::{CHARTS, Rig, SHORT, shared};
use serde_json::Value;

const CLUSTERS: [(&str, &str); 1] = [("orders", "product: scalardb-cluster, kubernetes: {release: orders}")];

#[test]
fn a_config_that_names_no_place_works_with_kubectls_flags() {
    let rig = Rig::new(shared(), "laptop");
    rig.release("orders", &CHARTS[0], 2);
    let kubeconfig = rig.api.account("laptop", "stillpoint");
    rig.configure(&kubeconfig, SHORT, "", &CLUSTERS);
    let path = kubeconfig.to_str().unwrap();
    let run = |arguments: &[&str]| rig.run(&[arguments, &["--kubeconfig", path, "-n", "laptop"]].concat());
    let (code, roles, errors) = run(&["rbac", "--serviceaccount", "laptop:stillpoint"]);
    assert!(code == 0 && roles.contains("namespace: laptop"), "{roles}{errors}");
    rig.api.apply(&roles);
    for context in [&[][..], &["--context", "t"]] {
        let (code, output, errors) = run(&[&["window", "shop", "-o", "json"], context].concat());
        assert_eq!((code, rig.paused()), (0, 0), "{output}{errors}");
        let report: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
        assert_eq!((&report["evidence"], report["members"].as_array().unwrap().len()), (&"pod".into(), 2));
    }
    let (code, output, errors) = run(&["window", "shop", "-o", "json", "--context", "nowhere"]);
    assert!(code == 4 && output.contains(&format!("{path} has no context nowhere; it has t")), "{output}{errors}");
}

#[test]
fn the_variable_and_the_current_context_are_kubectls_too() {
    let rig = Rig::new(shared(), "variable");
    rig.release("orders", &CHARTS[0], 1);
    rig.configure(&rig.api.kubeconfig(), SHORT, "", &CLUSTERS);
    let members = |arguments: &[&str]| {
        let mut command = rig.command(&[&["members", "-o", "json"], arguments].concat());
        let output = command.env("KUBECONFIG", rig.api.kubeconfig()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, output, errors) = members(&["--namespace", "variable"]);
    assert!(code == Some(0) && output.contains("orders-node-"), "{output}{errors}");
    let (code, _, errors) = members(&[]);
    assert!(code == Some(1) && errors.contains("namespace default has no pods"), "{errors}");
    let (code, _, errors) = members(&["--context", "nowhere"]);
    assert!(code == Some(1) && errors.contains("the kubeconfig has no context nowhere; it has t"), "{errors}");
}
