//! The plain manifests are what the chart renders.

use crate::render::{CHART, VERSION, answer, helm};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/manifests");

pub fn plain() -> String {
    std::fs::read_to_string(format!("{FOLDER}/stillpoint.yaml")).unwrap()
}

#[test]
fn the_plain_manifests_are_rendered_from_the_chart() {
    let values = format!("{FOLDER}/values.yaml");
    let arguments = ["template", "stillpoint", CHART, "--namespace", "stillpoint", "--values", &values];
    let rendered = answer(&helm(&[&arguments[..], &VERSION].concat())).unwrap();
    assert!(rendered == plain(), "deploy/manifests/stillpoint.yaml is stale: run `make manifests`");
}
