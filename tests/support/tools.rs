//! Where the programs are that `tests/setup.sh` installs.

use std::path::{Path, PathBuf};

const ADVICE: &str = "run tests/setup.sh, which installs what the tests need";

/// Panics at once when something that a world is made of is missing.
pub fn require_all() {
    for name in ["setpriv", "psql", "java"] {
        program(name);
    }
    for name in ["initdb", "postgres", "pg_isready", "pg_waldump"] {
        postgres_program(name);
    }
    for name in ["loader", "admin"] {
        class_path(name);
    }
    transfer_class_path();
}

/// The path of a program, by name.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: {ADVICE}"))
}

/// The path of one of PostgreSQL's own programs; version 15 where there are several.
pub fn postgres_program(name: &str) -> PathBuf {
    let mut versions: Vec<u32> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    versions.sort_by_key(|version| (*version != 15, *version));
    versions
        .into_iter()
        .filter(|version| *version >= 15)
        .map(|version| Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin").join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("PostgreSQL 15's {name} is not installed: {ADVICE}"))
}

/// The class path of a folder of jars in the cache, which must be what its pom in this checkout says.
pub fn class_path(name: &str) -> String {
    let pom = match name {
        "server" => include_str!("scalardb/server/pom.xml"),
        "loader" => include_str!("scalardb/loader/pom.xml"),
        "admin" => include_str!("scalardb/admin/pom.xml"),
        _ => panic!("no pom is named {name}"),
    };
    let folder = cached(name, "pom.xml", pom);
    format!("{}/*", folder.display())
}

/// The class path of the transfer client.
pub fn transfer_class_path() -> String {
    let folder = cached("transfer", "Transfer.java", include_str!("scalardb/Transfer.java"));
    format!("{}:{}", folder.display(), class_path("server"))
}

/// The path of one of the programs of Kubernetes, built by the set-up.
pub fn kubernetes_program(name: &str) -> PathBuf {
    cached("kubernetes", "go.sum", include_str!("kubernetes/go.sum")).join(name)
}

/// The path of the kubelet that only forwards ports, built by the set-up.
pub fn kubelet_program() -> PathBuf {
    cached("kubelet", "main.go", include_str!("kubelet/main.go")).join("kubelet")
}

/// The Python packages of moto, the AWS emulator.
pub fn moto_packages() -> PathBuf {
    cached("moto", "requirements.txt", include_str!("aws/requirements.txt"))
}

fn cached(name: &str, source_name: &str, source: &str) -> PathBuf {
    let folder = cache().join(name);
    let there = std::fs::read_to_string(folder.join(source_name)).unwrap_or_default();
    assert!(there == source, "{} is missing or not of this checkout: {ADVICE}", folder.display());
    folder
}

fn cache() -> PathBuf {
    match (std::env::var_os("STILLPOINT_TEST_CACHE"), std::env::var_os("HOME")) {
        (Some(folder), _) if !folder.is_empty() => folder.into(),
        (_, Some(home)) => Path::new(&home).join(".cache/stillpoint-tests"),
        _ => panic!("neither STILLPOINT_TEST_CACHE nor HOME is set"),
    }
}
