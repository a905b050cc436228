//! TLS and mutual TLS through the program: what does not fit is refused before anything is paused.

use crate::authority::Authority;
use crate::rig::Rig;
use crate::{SHORT, code};
use stillpoint::sim::{Flavour, SimMember, SimTls};

/// A window over three plain members and one behind TLS; `more` goes into its TLS settings.
fn window(name: &str, valid_until_year: i32, mutual: bool, more: &str) -> (Rig, SimMember, i32, serde_json::Value) {
    let rig = Rig::new(1, SHORT);
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let (certificate, key) = ours.issue(name, valid_until_year);
    let tls = SimTls { certificate, key, client_ca: mutual.then(|| ours.pem.clone()) };
    let member = {
        let _guard = rig.enter();
        SimMember::start(([127, 0, 0, 1], 0).into(), Flavour::ScalardlNew, Some(tls)).unwrap()
    };
    let (certificate, key) = ours.issue("stillpoint", 2090);
    for (file, text) in [("ca", &ours.pem), ("other", &others.pem), ("client", &certificate), ("key", &key)] {
        std::fs::write(rig.path(&format!("{file}.pem")), text).unwrap();
    }
    let more = more.replace("FOLDER", &rig.folder.path().display().to_string());
    let cluster = format!(
        "clusters:\n      secret: {{product: custom, addresses: [\"{}\"], tls: {{server_name: ledger, {more}}}}}\n",
        member.address()
    );
    rig.replace("clusters:\n", &cluster);
    let (exit, output, errors) = rig.run(&["window", "shop", "-o", "json"]);
    assert!(!output.is_empty(), "{errors}");
    (rig, member, exit, Rig::json(&output))
}

const OURS: &str = "ca_file: FOLDER/ca.pem";

#[track_caller]
fn refused(name: &str, valid_until_year: i32, mutual: bool, more: &str, why: &str) {
    let (rig, member, exit, report) = window(name, valid_until_year, mutual, more);
    assert_eq!((exit, code(&report)), (4, "unreachable".to_owned()), "{report}");
    let sentence = report["reasons"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains(why) && sentence.contains(&member.address().to_string()), "{sentence}");
    assert_eq!((rig.pauses(), member.calls().len()), (0, 0));
}

#[test]
fn tls_with_the_configured_ca_and_name_is_consistent() {
    let (_rig, member, exit, report) = window("ledger", 2090, false, OURS);
    assert_eq!((exit, &report["verdict"]), (0, &"consistent".into()), "{report}");
    assert!(!member.is_paused() && !member.calls().is_empty());
}

#[test]
fn mutual_tls_with_a_certificate_of_the_right_ca_is_consistent() {
    let more = format!("{OURS}, cert_file: FOLDER/client.pem, key_file: FOLDER/key.pem");
    let (_rig, member, exit, report) = window("ledger", 2090, true, &more);
    assert_eq!((exit, &report["verdict"]), (0, &"consistent".into()), "{report}");
    assert!(!member.is_paused());
}

#[test]
fn a_wrong_ca_is_refused() {
    refused("ledger", 2090, false, "ca_file: FOLDER/other.pem", "unknown issuer");
}

#[test]
fn a_wrong_name_is_refused() {
    refused("auditor", 2090, false, OURS, "not valid for name ledger");
}

#[test]
fn an_expired_certificate_is_refused() {
    refused("ledger", 2002, false, OURS, "certificate expired");
}

#[test]
fn a_missing_client_certificate_is_refused() {
    refused("ledger", 2090, true, OURS, "requires a client certificate");
}
