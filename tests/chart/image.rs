//! The image: built without an engine, unpacked, and run as its user on a root that it cannot write to.

use crate::support::process::{Process, run};
use crate::support::tools::program;
use rustix::process::geteuid;
use serde_json::{Value, json};
use std::fs::{create_dir_all, read_to_string, write};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/image.sh");
const LIMIT: Duration = Duration::from_secs(60);
const CONFIG: &str = "daemon: {catalog: sqlite:///var/lib/stillpoint/catalog.db, http: 127.0.0.1:0}\n\
                      groups: {shop: {clusters: {orders: {product: scalardb-cluster, addresses: [\"127.0.0.1:1\"]}}}}\n";

/// The image of the program under test, unpacked.
struct Image {
    folder: tempfile::TempDir,
    config: Value,
}

impl Image {
    fn build() -> Self {
        program("umoci");
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut build = Command::new(SCRIPT);
        run("image.sh", build.arg(env!("CARGO_BIN_EXE_stillpoint")).arg(path("image.tar")), LIMIT);
        create_dir_all(path("layout")).unwrap();
        run("tar", Command::new("tar").arg("-xf").arg(path("image.tar")).arg("-C").arg(path("layout")), LIMIT);
        let image = format!("{}:{}", path("layout").display(), env!("CARGO_PKG_VERSION"));
        let mut unpack = Command::new("umoci");
        unpack.args(["unpack", "--image", &image]);
        if !geteuid().is_root() {
            unpack.arg("--rootless");
        }
        run("umoci", unpack.arg(path("bundle")), LIMIT);
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap().replace("sha256:", "layout/blobs/sha256/");
            serde_json::from_str::<Value>(&read_to_string(path(&digest)).unwrap()).unwrap()
        };
        let index: Value = serde_json::from_str(&read_to_string(path("layout/index.json")).unwrap()).unwrap();
        let config = blob(&blob(&index["manifests"][0]["digest"])["config"]["digest"]);
        let it = Self { folder, config };
        create_dir_all(it.root().join("etc/stillpoint")).unwrap();
        write(it.root().join("etc/stillpoint/config.yaml"), CONFIG).unwrap();
        write(it.root().join("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        it
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("bundle/rootfs")
    }

    /// The image's program, with the volume and the rest of the root as the chart mounts them.
    fn command(&self, arguments: &[&str]) -> Command {
        let script = "mount --bind \"$0\" \"$0\"; mount -t tmpfs -o mode=700,uid=65532,gid=65532 none \"$0/var/lib/stillpoint\"; \
                      mount -o remount,bind,ro \"$0\"; exec chroot \"$@\"";
        let mut command = Command::new("unshare");
        let user = if geteuid().is_root() {
            command.arg("--mount");
            &["--userspec=65532:65532", "--groups="][..]
        } else {
            command.args(["--mount", "--map-user=65532", "--map-group=65532", "--keep-caps"]);
            &[]
        };
        command.args(["sh", "-e", "-c", script]).arg(self.root()).args(user).arg(self.root());
        command.arg(self.config["config"]["Entrypoint"][0].as_str().unwrap()).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("STILLPOINT_CONFIG", "/etc/stillpoint/config.yaml");
        command
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_on_a_root_that_it_cannot_write_to() {
    let image = Image::build();
    let version = run("--version", &image.command(&["--version"]), LIMIT);
    assert_eq!(version.trim(), concat!("stillpoint ", env!("CARGO_PKG_VERSION")));
    run("config check", &image.command(&["config", "check"]), LIMIT);

    let log = image.folder.path().join("daemon.log");
    let mut daemon = Process::start("stillpoint", &image.command(&["run"]), &log);
    daemon.wait_for_line("metrics and health at http://", LIMIT);
    let status = read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let user = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    if geteuid().is_root() {
        assert_eq!(user.split_whitespace().skip(1).collect::<Vec<_>>(), ["65532"; 4]);
    }
    let touched = Path::new("/proc").join(daemon.id().to_string()).join("root/usr/bin/new");
    assert_eq!(write(touched, "").unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait(LIMIT).success(), "{}", read_to_string(&log).unwrap());
}

#[test]
fn the_image_says_who_runs_it_and_what_as_the_containerfile_does() {
    let image = Image::build();
    let config = &image.config["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/usr/bin/stillpoint"]));
    assert_eq!(config["Env"], json!(["PATH=/usr/bin"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    let containerfile = include_str!("../../deploy/Containerfile");
    for line in ["USER 65532:65532", "ENTRYPOINT [\"/usr/bin/stillpoint\"]", "WORKDIR /", "EXPOSE 9650/tcp"] {
        assert!(containerfile.lines().any(|written| written == line), "{line}");
    }
    assert_eq!(config["WorkingDir"], "/");
    assert!(config["ExposedPorts"]["9650/tcp"].is_object(), "{config}");
    let volume = image.root().join("var/lib/stillpoint").metadata().unwrap();
    if geteuid().is_root() {
        assert_eq!((volume.uid(), volume.gid()), (65532, 65532));
    }
    assert!(image.root().join("etc/ssl/certs/ca-certificates.crt").metadata().unwrap().len() > 0);
}

#[test]
fn an_image_of_a_program_that_is_not_there_is_refused_in_one_sentence() {
    let output = Command::new(SCRIPT).arg("/nowhere/stillpoint").output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told, "image.sh: there is no program /nowhere/stillpoint: run `make release` first\n");
}
