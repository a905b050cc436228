//! The daemon and its commands with a catalog on PostgreSQL.

use crate::SHORT;
use crate::rig::support::postgres::Postgres;
use crate::rig::support::world::new_folder;
use crate::rig::{LIMIT, Rig, get, read, support};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A server that asks the user `stillpoint` for a password, and a rig whose catalog is in it.
fn rig(window: &str) -> (Postgres, Rig) {
    let server = Postgres::start_with("catalog", &new_folder(), &["fsync=on", "wal_keep_size=0"]);
    server.query("CREATE ROLE stillpoint LOGIN PASSWORD 'hunter2'");
    server.query("CREATE DATABASE stillpoint OWNER stillpoint");
    server.ask_for_passwords("stillpoint");
    let rig = Rig::new(1, window);
    let folder = rig.folder.path().display().to_string();
    let url = format!("postgres://stillpoint@127.0.0.1:{}/stillpoint", server.port());
    rig.replace(&format!("sqlite://{folder}/catalog.db\n"), &format!("{url}\n  socket: {folder}/catalog.sock\n"));
    (server, rig)
}

fn ends(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(told).unwrap())
}

#[test]
fn daemon_and_commands_work_and_the_password_comes_from_where_postgresql_has_it() {
    let (server, rig) = rig(SHORT);
    let pgpass = rig.path("pgpass");
    let line = "127.0.0.1:*:stillpoint:stillpoint:hunter2\n";
    std::fs::write(&pgpass, line).unwrap();
    std::fs::set_permissions(&pgpass, std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("postgres://stillpoint:hunter2@127.0.0.1:{}/stillpoint", server.port());
    let by_file = |arguments: &[&str]| {
        let mut command = rig.command(arguments);
        command.env("PGPASSFILE", &pgpass);
        command
    };
    let mut daemon = support::process::Process::start("run", &by_file(&["run"]), &rig.path("run.log"));
    daemon.wait_for_line("ready: ", LIMIT);
    assert_eq!(rig.run(&["window", "shop"]).0, 0, "{}", daemon.tail());
    for (variable, value) in [
        ("PGPASSFILE", pgpass.display().to_string()),
        ("PGPASSWORD", "hunter2".into()),
        ("STILLPOINT__DAEMON__CATALOG", url),
    ] {
        for (arguments, found) in
            [(&["history", "-o", "json"][..], "\"consistent\""), (&["points", "-o", "json"], "\"restore_point\"")]
        {
            let mut command = rig.command(arguments);
            let (code, told) = ends({
                command.env(variable, &value);
                command
            });
            assert!(code == 0 && told.contains(found), "{variable} {arguments:?}: {told}");
        }
        let mut show = rig.command(&["config", "show"]);
        show.env(variable, &value);
        assert!(!ends(show).1.contains("hunter2"), "{variable}");
    }
    assert_eq!(ends(by_file(&["schedule"])).0, 0);
    assert_eq!(ends(by_file(&["members"])).0, 0);
    let size = support::wait_until("the catalog's size", LIMIT, || {
        let page = get(rig.http, "/metrics");
        let line = page.lines().find(|line| line.starts_with("stillpoint_catalog_size_bytes "))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    });
    assert!(size > 100_000.0, "{size}");
    let mut wrong = rig.command(&["history"]);
    wrong.env("STILLPOINT__DAEMON__CATALOG", "postgres://stillpoint:wrong-hunter2@127.0.0.1:1/stillpoint");
    let (code, told) = ends(wrong);
    assert!(code == 1 && told.contains("stillpoint:***@127.0.0.1:1/stillpoint") && !told.contains("hunter2"), "{told}");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(LIMIT).code(), Some(0), "{}", daemon.tail());
    assert!(!read(&rig.path("run.log")).contains("hunter2"));
}

#[test]
fn a_server_that_dies_in_the_hold_opens_everything_and_the_window_is_discarded_when_it_is_back() {
    let (mut server, rig) = rig("{hold: 4s, drain: 2s, max_pause: 20s}");
    let command = |arguments: &[&str]| {
        let mut command = rig.command(arguments);
        command.env("PGPASSWORD", "hunter2");
        command
    };
    let mut daemon = support::process::Process::start("run", &command(&["run"]), &rig.path("run.log"));
    daemon.wait_for_line("ready: ", LIMIT);
    let mut window = support::process::Process::start(
        "window",
        &command(&["window", "shop", "-o", "json"]),
        &rig.path("window.log"),
    );
    rig.wait_until_paused(3);
    server.kill();
    // The hold's end is written; nothing of the hold itself is.
    rig.wait_until_paused(0);
    server.start_again();
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    // The verdict is told at once, and written when there is a server again.
    let reason = support::wait_until("the verdict is written", LIMIT, || {
        let (_, told) = ends(command(&["history", "-o", "json"]));
        let row = &Rig::json(&told)[0];
        (row["verdict"] == "discarded").then(|| row["reasons"][0]["code"].clone())
    });
    assert_eq!(reason, "catalog");
    assert!(daemon.is_running(), "{}", daemon.tail());
}
