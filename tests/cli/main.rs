//! The command line as people and scripts meet it.

mod demo;
mod iam;
#[path = "../daemon/rig.rs"]
#[allow(dead_code, reason = "the daemon's tests use the rest")]
mod rig;

use rig::{LIMIT, Rig};
use rustix::process::Signal;
use std::io::Write;
use std::process::{Command, Stdio};

const SHORT: &str = "{hold: 2s, drain: 1s, max_pause: 10s}";
const SCHEDULE: &str = "    schedule: {cron: \"0 3 * * *\", time_zone: Asia/Tokyo}\n";

/// The program alone: no config, no variables of whoever runs the tests, a width that is always the same.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillpoint"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STILLPOINT_")) {
        command.env_remove(name);
    }
    command.env("COLUMNS", "100").args(arguments);
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(&mut program(arguments))
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The text with what varies from run to run taken out: times, ports, and the steps that happened to be seen.
fn still(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n', '"', ',', '(', ')']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', '"', ',', '(', ')', '}', ']']);
        let after = &word[bare.len()..];
        let digits = bare.chars().filter(char::is_ascii_digit).count();
        let shape: String = bare.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        if bare.contains("127.0.0.1:") {
            format!("{}ADDRESS{after}", bare.split("127.0.0.1:").next().unwrap_or_default())
        } else if digits >= 4 || shape.ends_with("99s") || shape.contains("9.9") {
            format!("{shape}{after}")
        } else {
            word.to_owned()
        }
    });
    // Columns are as wide as the ports of the day.
    let text: String = words.collect();
    let passing = |line: &&str| !line.ends_with(" members)") && !line.starts_with("not known to be open");
    let mut text = text.lines().filter(passing).map(str::trim_end).collect::<Vec<_>>().join("\n");
    // Fractions end at their last digit that is not 0.
    while text.contains(".99") {
        text = text.replace(".99", ".9");
    }
    for day in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] {
        text = text.replace(&format!("{day} 9999"), "DAY 9999");
    }
    while text.contains("   ") {
        text = text.replace("   ", "  ");
    }
    text
}

#[test]
fn every_command_explains_itself() {
    let commands: &[&[&str]] = &[
        &[],
        &["run"],
        &["window"],
        &["history"],
        &["points"],
        &["members"],
        &["plan"],
        &["schedule"],
        &["pause"],
        &["unpause"],
        &["recover"],
        &["iam"],
        &["config"],
        &["config", "check"],
        &["config", "show"],
        &["config", "schema"],
        &["demo"],
        &["completions"],
    ];
    let mut pages = String::new();
    for command in commands {
        let (code, page, _) = run(&[command, &["--help"][..]].concat());
        assert_eq!(code, 0, "{command:?}");
        pages.push_str(&format!("$ stillpoint {}\n{page}\n", [command, &["--help"][..]].concat().join(" ")));
    }
    insta::assert_snapshot!("help", pages);
}

#[test]
fn a_mistake_is_named_and_the_right_thing_offered() {
    let rig = Rig::new(1, SHORT);
    let folder = rig.folder.path().to_str().unwrap().to_owned();
    std::fs::write(rig.path("default.yaml"), "daemon: {}\n").unwrap();
    std::fs::write(rig.path("production.yaml"), "groups: {}\n").unwrap();
    let config = rig.path("config.yaml");
    let config = config.to_str().unwrap();
    let mut told = String::new();
    for arguments in [
        &["history"][..],
        &["--config", config, "window", "shpo"],
        &["--config", config, "history", "elsewhere"],
        &["--config-dir", &folder, "--env", "prodution", "history"],
        &["--config", config, "history", "-o", "xml"],
        &["--config", config, "--env", "x", "history"],
        &["--config", config, "pause", "shop", "--limit", "soon"],
        &["--config", config, "members", "-n", "shop"],
        &["--config", config, "window", "shop", "--context", ""],
        &["--config", config, "config", "check", "--context", "east"],
        &["windows"],
        &["demo", "--windows", "0"],
    ] {
        let (code, output, errors) = run(arguments);
        assert_eq!((code, output.as_str()), (2, ""), "{arguments:?} {errors}");
        told.push_str(&format!("$ stillpoint {}\n{errors}\n", arguments.join(" ")));
    }
    insta::assert_snapshot!("mistakes", told.replace(&folder, "DIR"));
}

#[test]
fn a_flag_for_the_config_wins_over_a_variable() {
    let rig = Rig::new(1, SHORT);
    let (code, _, errors) = ended(rig.command(&["history"]).env("STILLPOINT_ENV", "nowhere"));
    assert_eq!(code, 0, "{errors}");
    let (code, _, errors) = ended(program(&["history"]).env("STILLPOINT_CONFIG", rig.path("config.yaml")));
    assert_eq!(code, 0, "{errors}");
}

#[test]
fn results_are_a_table_for_people_and_json_or_yaml_for_scripts() {
    let rig = Rig::with(1, SHORT, SCHEDULE);
    let mut printed = String::new();
    let mut show = |arguments: &[&str]| {
        for format in ["table", "json", "yaml"] {
            let (code, output, errors) = rig.run(&[arguments, &["-o", format]].concat());
            assert_eq!(code, 0, "{arguments:?} {output}{errors}");
            match format {
                "json" => drop(serde_json::from_str::<serde_json::Value>(&output).unwrap()),
                "yaml" => drop(serde_yaml::from_str::<serde_yaml::Value>(&output).unwrap()),
                _ => assert!(output.lines().all(|line| line.chars().count() <= 130), "{output}"),
            }
            printed.push_str(&format!("$ stillpoint {} -o {format}\n{}\n\n", arguments.join(" "), still(&output)));
        }
    };
    // Before there is a catalog at all.
    show(&["history"]);
    show(&["plan", "shop"]);
    show(&["members"]);
    show(&["schedule", "--next", "1"]);
    show(&["window", "shop"]);
    show(&["history", "--limit", "1"]);
    show(&["points", "--limit", "1"]);
    show(&["recover"]);
    show(&["config", "check"]);
    insta::assert_snapshot!("results", printed.replace(rig.folder.path().to_str().unwrap(), "DIR"));
}

#[test]
fn config_check_tells_scripts_what_is_wrong() {
    let (code, output, errors) =
        run(&["--config", "tests/config/wrong/attempts_zero.yaml", "config", "check", "-o", "json"]);
    assert_eq!((code, errors.as_str()), (2, ""));
    let checked = Rig::json(&output);
    assert_eq!(checked["ok"], false);
    assert!(checked["errors"][0]["key"].as_str().unwrap().ends_with("attempts"), "{output}");
}

#[test]
fn each_exit_code_says_what_it_says() {
    let rig = Rig::new(1, SHORT);
    assert_eq!(rig.run(&["points"]).0, 0);
    assert_eq!(rig.run(&["window", "nothing-like-it"]).0, 2);
    // A transaction outlasts the drain.
    let open = rig.members[0].begin_transaction().unwrap();
    let (code, output, _) = rig.run(&["window", "shop"]);
    assert_eq!(code, 3, "{output}");
    assert!(output.contains("drain_timeout"), "{output}");
    drop(open);
    // A member that nobody reaches.
    rig.members[0].stop();
    assert_eq!(rig.run(&["members"]).0, 1);
    assert_eq!(rig.run(&["plan", "shop"]).0, 4);
    assert_eq!(rig.run(&["window", "shop"]).0, 4);
    let mut force = rig.start(&["unpause", "shop", "--force"]);
    // It keeps trying; told to stop, it says which one is not known to be open.
    force.wait_for_line(&rig.members[0].address().to_string(), LIMIT);
    force.signal(Signal::INT);
    assert_eq!(force.wait(LIMIT).code(), Some(5), "{}", force.tail());
    assert!(force.output().contains(&rig.members[0].address().to_string()), "{}", force.tail());
}

#[test]
fn a_pause_by_hand_beside_the_daemon_is_opened_by_hand() {
    let rig = Rig::new(1, SHORT);
    let _daemon = rig.daemon();
    let (code, output, _) = rig.run(&["pause", "shop", "--limit", "60s"]);
    assert_eq!((code, rig.paused()), (0, 3), "{output}");
    let (code, output, _) = rig.run(&["window", "shop"]);
    assert_eq!((code, rig.paused()), (1, 3), "a window does not start over it: {output}");
    let (code, output, _) = rig.run(&["unpause", "shop"]);
    assert_eq!((code, rig.paused()), (0, 0), "{output}");
}

#[test]
fn kubectls_flags_stand_in_alone_and_are_refused_beside_a_daemon() {
    let rig = Rig::new(1, SHORT);
    let far = "    clusters:\n      far: {product: scalardb-cluster, kubernetes: {release: far}}\n";
    rig.replace("    clusters:\n", far);
    let kubeconfig = rig.path("none.kubeconfig");
    let plan = ["plan", "shop", "--context", "east", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let (code, output, errors) = rig.run(&plan);
    assert!(code == 4 && output.contains("none.kubeconfig"), "{output}{errors}");
    let _daemon = rig.daemon();
    for flag in ["--kubeconfig", "--context", "--namespace"] {
        for command in [&["window", "shop"][..], &["pause", "shop"], &["unpause", "shop"], &["recover"]] {
            let (code, output, errors) = rig.run(&[command, &[flag, "east"]].concat());
            let socket = rig.path("catalog.sock");
            let told = format!(
                "stillpoint: a daemon runs at {} and goes by its own config: {flag} would change nothing\n",
                socket.display()
            );
            assert_eq!((code, output.as_str(), errors), (2, "", told), "{command:?}");
        }
    }
    assert_eq!(rig.paused(), 0);
    assert_eq!(rig.run(&["history", "-o", "json"]).1, "[]\n");
}

#[test]
fn completions_are_scripts_that_bash_can_read() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completions", shell]);
        assert!(code == 0 && script.contains("unpause"), "{shell}");
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(run(&["completions", "bash"]).1.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_panic() {
    let rig = Rig::new(1, SHORT);
    for arguments in [
        &["completions", "bash"][..],
        &["config", "schema"],
        &["config", "show"],
        &["history"],
        &["history", "-o", "json"],
        &["members"],
        &["schedule"],
        &["window", "shop"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let errors = rig.path("errors");
        let mut command = rig.command(arguments);
        command.stdout(writer).stderr(std::fs::File::create(&errors).unwrap());
        let code = command.status().unwrap().code();
        assert_eq!((code, rig::read(&errors).as_str()), (Some(0), ""), "{arguments:?}");
    }
}

/// What the clock does in Berlin, a blackout, jitter and suspension, on days that are always the same.
const SLOTS: &str = "daemon: {catalog: sqlite:///tmp/none/catalog.db}
groups:
  berlin:
    schedule:
      cron: \"30 2 * * *\"
      time_zone: Europe/Berlin
      blackouts: [{from: 2027-03-29, until: 2027-03-30T02:00}]
    clusters: {a: {product: scalardl-ledger, addresses: [\"127.0.0.1:50053\"]}}
  hourly:
    schedule: {cron: \"@hourly\", time_zone: Europe/Berlin, jitter: 5m}
    clusters: {a: {product: scalardl-ledger, addresses: [\"127.0.0.1:50054\"]}}
  none:
    clusters: {a: {product: scalardl-ledger, addresses: [\"127.0.0.1:50055\"]}}
  suspended:
    schedule: {cron: \"0 3 * * MON\", suspend: true}
    clusters: {a: {product: scalardl-ledger, addresses: [\"127.0.0.1:50056\"]}}
";

#[test]
fn schedule_tells_what_is_special_about_each_slot_and_needs_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, SLOTS).unwrap();
    let config = config.to_str().unwrap();
    let mut printed = String::new();
    for arguments in [
        &["schedule", "--from", "2027-03-27", "--next", "4"][..],
        &["schedule", "berlin", "--from", "2027-10-30", "--next", "3"],
        &["schedule", "hourly", "--from", "2027-10-30T23:30:00Z", "--next", "4"],
        &["schedule", "berlin", "--from", "2027-03-28T00:00:00Z", "--next", "2", "-o", "json"],
        &["schedule", "suspended", "--from", "2027-03-28", "--next", "1", "-o", "yaml"],
    ] {
        let (code, output, errors) = run(&[&["--config", config], arguments].concat());
        assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}");
        printed.push_str(&format!("$ stillpoint {}\n{output}\n", arguments.join(" ")));
    }
    let (code, _, errors) = run(&["--config", config, "schedule", "--from", "soon"]);
    assert_eq!(code, 2);
    printed.push_str(&errors);
    insta::assert_snapshot!("schedule", printed);
}
