//! The chart's rights, its config and its ServiceAccount are enough for a window.

use crate::release::{Account, install};
use crate::rig::{CHARTS, LIMIT, Rig, shared};
use crate::support::wait_until;

#[test]
fn what_the_chart_installs_is_enough_for_a_first_consistent_window() {
    let rig = Rig::new(shared(), "charted");
    rig.release("orders", &CHARTS[0], 2);
    let catalog = format!("config.daemon.catalog=sqlite://{}", rig.path("catalog.db").display());
    install(&rig, "charted-ops", &[catalog, "config.groups.shop.window.hold=2s".to_owned()]);

    // The pod's config, its account where a kubelet puts it, and its variables, in a process of this machine.
    let account = Account::new(&rig, "charted-ops");
    let pod = ["get", "pod", "sp-stillpoint-0", "-n", "charted-ops", "-o", "jsonpath={.metadata.uid}"];
    let uid = wait_until("its pod is made", LIMIT, || rig.api.try_kubectl(&pod).ok());
    let stillpoint = |arguments: &[&str]| {
        let mut command = account.command();
        command.env("POD_NAME", "sp-stillpoint-0").env("POD_NAMESPACE", "charted-ops").env("POD_UID", &uid);
        command.arg("--config").arg(rig.path("config.yaml")).args(["--log-level", "warn"]).args(arguments);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.stderr.is_empty(), "a right lacks: {}", text(&output.stderr));
        assert!(output.status.success(), "{}", text(&output.stdout));
        text(&output.stdout)
    };
    stillpoint(&["plan", "shop"]);
    let window = stillpoint(&["window", "shop"]);
    assert!(window.contains(": consistent; quiet "), "{window}");
    assert!(stillpoint(&["points", "shop"]).contains("shop"));
    assert_eq!(rig.paused(), 0);
    let described = rig.api.kubectl(&["describe", "pod", "sp-stillpoint-0", "-n", "charted-ops"]);
    assert!(described.contains("WindowConsistent"), "{described}");
}
