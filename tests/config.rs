//! What users read about a wrong config, and what the program makes of a right one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use stillpoint::cli;
use stillpoint::config::{self, CatalogPlace, Errors, Files, Loaded, Source};

/// One file of the corpus; its first lines may say what is laid below it, what variables above it, and how many errors it has.
struct Case {
    files: Files,
    variables: BTreeMap<String, String>,
    errors: usize,
    header: Vec<String>,
}

fn case(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).unwrap();
    let header: Vec<String> = text.lines().map_while(|line| line.strip_prefix("#! ")).map(str::to_owned).collect();
    let mut case = Case { files: Files::List(Vec::new()), variables: BTreeMap::new(), errors: 1, header };
    let mut files = Vec::new();
    for line in &case.header {
        if let Some(name) = line.strip_prefix("below ") {
            files.push(Path::new("tests/config/base").join(name));
        } else if let Some(count) = line.strip_prefix("errors ") {
            case.errors = count.parse().unwrap();
        } else {
            let (name, value) = line.split_once('=').unwrap();
            case.variables.insert(name.to_owned(), value.to_owned());
        }
    }
    files.push(path.to_owned());
    case.files = Files::List(files);
    case
}

/// The corpus in the order of names, by paths relative to the package, as a user would give them.
fn corpus(dir: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn file(path: &str) -> Files {
    Files::List(vec![PathBuf::from(path)])
}

fn env(dir: &Path, name: &str) -> Files {
    Files::Env { dir: dir.to_owned(), name: name.to_owned() }
}

fn load(files: &Files) -> Result<Loaded, Errors> {
    config::load(files, [])
}

fn variable(name: &str, value: &str) -> [(String, String); 1] {
    [(name.to_owned(), value.to_owned())]
}

#[test]
fn each_wrong_config_gets_one_clear_message_a_fault() {
    let paths = corpus("tests/config/wrong");
    assert!(paths.len() >= 100, "the corpus has shrunk to {}", paths.len());
    let mut messages = String::new();
    for path in paths {
        let case = case(&path);
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let errors = config::load(&case.files, case.variables.clone()).expect_err(&name);
        messages.push_str(&format!("## {name}\n"));
        for line in case.header.iter().filter(|line| !line.starts_with("errors")) {
            messages.push_str(&format!("({line})\n"));
        }
        messages.push_str(&format!("{errors}\n\n"));
        assert_eq!(errors.0.len(), case.errors, "{name}:\n{errors}");
        assert!(!errors.to_string().contains("hunter2"), "{name} repeats a password");
    }
    // Shorter than the paths of the corpus, which are all the same.
    insta::assert_snapshot!("wrong_configs", messages.replace("tests/config/", ""));
}

#[test]
fn every_fault_of_a_file_has_its_line_and_column() {
    for path in corpus("tests/config/wrong") {
        let case = case(&path);
        // A whole file, a variable and an environment without groups have no line.
        let whole = ["file_empty", "file_only", "variable_", "no_groups.yaml"];
        if whole.iter().any(|part| path.to_str().unwrap().contains(part)) {
            continue;
        }
        let errors = config::load(&case.files, case.variables).unwrap_err();
        for problem in errors.0 {
            assert!(matches!(problem.place, config::Place::File { at: Some(_), .. }), "{problem}");
        }
    }
}

#[test]
fn missing_files_are_told_with_the_environments_that_exist() {
    let dir = tempfile::tempdir().unwrap();
    let told = |files: &Files| load(files).unwrap_err().to_string().replace(dir.path().to_str().unwrap(), "DIR");
    let mut messages = vec![told(&env(dir.path(), "production"))];
    std::fs::write(dir.path().join("default.yaml"), "daemon: {}\n").unwrap();
    messages.push(told(&env(dir.path(), "production")));
    std::fs::write(dir.path().join("production.yaml"), "groups: {}\n").unwrap();
    std::fs::write(dir.path().join("staging.yaml"), "groups: {}\n").unwrap();
    messages.push(told(&env(dir.path(), "prodution")));
    messages.push(told(&env(dir.path(), "../production")));
    messages.push(told(&env(dir.path(), "default")));
    messages.push(told(&Files::List(vec![dir.path().join("stagin.yaml")])));
    messages.push(told(&Files::List(vec![dir.path().to_owned()])));
    std::fs::write(dir.path().join("latin.yaml"), b"daemon:\n  catalog: caf\xe9\n").unwrap();
    messages.push(told(&Files::List(vec![dir.path().join("latin.yaml")])));
    insta::assert_snapshot!("missing_files", messages.join("\n\n"));
}

#[test]
fn every_valid_config_is_loaded() {
    for path in corpus("tests/config/valid") {
        let case = case(&path);
        config::load(&case.files, case.variables).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn the_shipped_example_is_a_valid_environment() {
    let loaded = load(&env(Path::new("config"), "production.example")).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.groups.len(), 2);
    assert_eq!(loaded.config.daemon.http.map(|http| http.port()), Some(9650));
    let ledger = &loaded.config.groups["ledger"].clusters["ledger"];
    let expected = ["10.20.0.11:50053", "10.20.0.12:50053", "[fd00:20::13]:50053"].map(str::to_owned);
    assert_eq!(ledger.source, Source::Addresses(expected.to_vec()));
}

#[test]
fn default_yaml_says_what_is_built_in_but_listens_on_every_interface() {
    let least = "tests/config/valid/least.yaml";
    let built_in = load(&file(least)).unwrap().config;
    let shipped = load(&Files::List(vec!["config/default.yaml".into(), least.into()])).unwrap().config;
    assert!(built_in.daemon.http.unwrap().ip().is_loopback());
    let mut expected = built_in.clone();
    expected.daemon.http = Some("0.0.0.0:9650".parse().unwrap());
    assert_eq!(shipped, expected);
}

#[test]
fn settings_arrive_in_the_model() {
    let loaded = load(&file("tests/config/valid/every_setting.yaml")).unwrap();
    insta::assert_snapshot!("model_every_setting", format!("{:#?}", loaded.config));
    let loaded = load(&file("tests/config/valid/shorthands.yaml")).unwrap();
    insta::assert_snapshot!("model_shorthands", format!("{:#?}", loaded.config));
    let loaded = load(&file("tests/config/valid/kubernetes.yaml")).unwrap();
    insta::assert_snapshot!("model_kubernetes", format!("{:#?}", loaded.config.groups["payments"].clusters));
    let loaded = load(&file("tests/config/valid/stores.yaml")).unwrap();
    insta::assert_snapshot!("model_stores", format!("{:#?}", loaded.config.groups));
}

#[test]
fn later_layers_win_lists_replace_and_mappings_merge() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("overlay.yaml");
    std::fs::write(&overlay, "groups: {payments: {window: {hold: 3s}, clusters: {ledger: {addresses: [b, c]}}}}\n")
        .unwrap();
    let files = Files::List(vec!["tests/config/base/valid.yaml".into(), overlay]);
    let group = config::load(&files, []).unwrap().config.groups["payments"].clone();
    assert_eq!((group.window.hold.as_secs(), group.window.drain.as_secs()), (3, 30));
    assert_eq!(group.clusters["ledger"].source, Source::Addresses(vec!["b:50053".to_owned(), "c:50053".to_owned()]));

    let over = variable("STILLPOINT__GROUPS__PAYMENTS__WINDOW__HOLD", "4s");
    assert_eq!(config::load(&files, over).unwrap().config.groups["payments"].window.hold.as_secs(), 4);
}

#[test]
fn variables_may_hold_lists_mappings_and_text_that_looks_like_something_else() {
    let files = file("tests/config/valid/least.yaml");
    let set = |name: &str, value: &str| config::load(&files, variable(name, value)).unwrap().config;
    let addresses = set("STILLPOINT__GROUPS__PAYMENTS__CLUSTERS__LEDGER__ADDRESSES", "[a, b:7]");
    let expected = Source::Addresses(vec!["a:50053".to_owned(), "b:7".to_owned()]);
    assert_eq!(addresses.groups["payments"].clusters["ledger"].source, expected);
    assert_eq!(set("STILLPOINT__DAEMON__HTTP", "[::1]:7").daemon.http, Some("[::1]:7".parse().unwrap()));
    assert_eq!(set("STILLPOINT__DAEMON__HTTP", "none").daemon.http, None);
    assert_eq!(set("STILLPOINT__DAEMON__HTTP", "null").daemon.http, None);
    assert_eq!(set("STILLPOINT__DAEMON__COVERAGE_INTERVAL", "none").daemon.coverage_interval, None);
    assert_eq!(set("STILLPOINT__DAEMON__COVERAGE_INTERVAL", "null").daemon.coverage_interval, None);
    assert_eq!(set("STILLPOINT__DAEMON", "{sweep_interval: 7s}").daemon.sweep_interval.as_secs(), 7);
    let second = set("STILLPOINT__GROUPS__MY_SHOP__CLUSTERS__THE_APP", "{product: custom, addresses: ['x:1']}");
    assert!(second.groups["my-shop"].clusters.contains_key("the-app"));
}

#[test]
fn null_takes_a_setting_back_to_its_default() {
    let files = file("tests/config/valid/every_setting.yaml");
    let loaded = config::load(&files, variable("STILLPOINT__GROUPS__PAYMENTS__SCHEDULE", "null")).unwrap();
    assert_eq!(loaded.config.groups["payments"].schedule, None);
    let loaded = config::load(&files, variable("STILLPOINT__DAEMON__SWEEP_INTERVAL", "null")).unwrap();
    assert_eq!(loaded.config.daemon.sweep_interval.as_secs(), 60);
}

#[test]
fn show_prints_the_merged_yaml_with_the_origin_of_each_value() {
    let variables = variable("STILLPOINT__GROUPS__LEDGER__WINDOW__HOLD", "5s");
    let shown = cli::config::show(&env(Path::new("config"), "production.example"), variables);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    insta::assert_snapshot!("show_production_example", shown.stdout);
}

#[test]
fn what_show_prints_is_the_same_config_again() {
    let dir = tempfile::tempdir().unwrap();
    for path in corpus("tests/config/valid").into_iter().chain(["config/production.example.yaml".into()]) {
        let loaded = load(&Files::List(vec![path])).unwrap();
        let again = dir.path().join("again.yaml");
        std::fs::write(&again, loaded.view.to_string()).unwrap();
        assert_eq!(load(&Files::List(vec![again])).unwrap_or_else(|errors| panic!("{errors}")).config, loaded.config);
    }
}

#[test]
fn check_is_fit_for_a_pipeline() {
    let good = cli::config::check(&env(Path::new("config"), "production.example"), []);
    let summary = "config/default.yaml: ok\nconfig/production.example.yaml: ok\nok: 2 groups, 5 clusters, 3 stores\n";
    assert_eq!((good.code, good.stdout.as_str(), good.stderr.as_str()), (0, summary, ""));
    let bad = cli::config::check(&file("tests/config/wrong/many_at_once.yaml"), []);
    assert_eq!((bad.code, bad.stdout.as_str()), (2, ""));
    assert!(bad.stderr.ends_with("\n13 errors\n"), "{}", bad.stderr);
}

#[test]
fn the_repository_holds_the_schema_that_the_program_prints() {
    let printed = cli::config::schema().stdout;
    assert!(!printed.contains("\"required\""), "a layer may hold any part of an environment");
    if std::env::var_os("WRITE_SCHEMA").is_some() {
        std::fs::write("config/schema.json", &printed).unwrap();
    }
    let held = std::fs::read_to_string("config/schema.json").unwrap_or_default();
    assert!(
        printed == held,
        "config/schema.json is stale: write it anew with WRITE_SCHEMA=1 in this test's environment"
    );
}

#[test]
fn a_catalog_on_postgresql_comes_from_a_variable_and_nothing_shows_its_password() {
    let url = "postgres://stillpoint:hunter2@db.example:5433/stillpoint?sslmode=verify-full&sslrootcert=/tls/ca.crt";
    let files = file("tests/config/valid/least.yaml");
    let loaded = config::load(&files, variable("STILLPOINT__DAEMON__CATALOG", url)).unwrap();
    let CatalogPlace::Postgres(place) = &loaded.config.daemon.catalog else { panic!("it is on PostgreSQL") };
    assert_eq!(place.secret().as_str(), url);
    assert_eq!(loaded.config.daemon.socket, Path::new("/run/stillpoint/stillpoint.sock"));
    let view = loaded.view.to_string();
    assert!(view.contains("catalog: postgres://stillpoint:***@db.example:5433/"), "{view}");
    for shown in [view, format!("{:?}", loaded.config), place.to_string()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let socket = "postgres:///stillpoint?host=/run/postgresql";
    assert!(config::load(&files, variable("STILLPOINT__DAEMON__CATALOG", socket)).is_ok());
}

#[test]
fn a_thousand_members_are_loaded_and_a_fault_among_them_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.yaml");
    let mut text =
        "groups:\n  payments:\n    clusters:\n      app:\n        product: custom\n        addresses:\n".to_owned();
    for index in 0..1000 {
        text.push_str(&format!("          - 127.0.{}.{}:60099\n", index / 250, index % 250 + 1));
    }
    std::fs::write(&path, &text).unwrap();
    let files = Files::List(vec![path.clone()]);
    assert!(config::load(&files, []).is_ok());
    std::fs::write(&path, text.replace("127.0.2.7:60099", "127.0.2.7:x")).unwrap();
    let errors = config::load(&files, []).unwrap_err().to_string();
    assert!(errors.contains("many.yaml:513:13: groups.payments.clusters.app.addresses[506]"), "{errors}");
}

proptest::proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_loaded_and_never_a_panic(cut in 0_usize..1000, length in 0_usize..40, put in "[-a-z0-9:{}\\[\\]\"'&*!|>#@,. \n\t]{0,6}") {
        let text = std::fs::read_to_string("tests/config/valid/every_setting.yaml").unwrap();
        let floor = |index: usize| (0..=index.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap();
        let damaged = format!("{}{put}{}", &text[..floor(cut)], &text[floor(cut + length)..]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.yaml");
        std::fs::write(&path, damaged).unwrap();
        if let Err(errors) = load(&Files::List(vec![path])) {
            proptest::prop_assert!(!errors.0.is_empty());
            proptest::prop_assert!(errors.to_string().contains("damaged.yaml"));
        }
    }
}
