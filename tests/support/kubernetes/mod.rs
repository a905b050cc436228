//! A real API server over a real etcd, on loopback.

use super::ports::free_port;
use super::process::{Process, run, wait_while_running};
use super::tools::kubernetes_program;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);
const RUN_LIMIT: Duration = Duration::from_secs(30);
/// Records who asked for what, of ServiceAccounts alone.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
                            rules: [{level: Metadata, userGroups: [\"system:serviceaccounts\"]}, {level: None}]\n";

/// etcd, kube-apiserver with RBAC, and the controllers that make pods.
pub struct ApiServer {
    folder: tempfile::TempDir,
    _etcd: Process,
    server: Mutex<Option<Process>>,
    _controllers: Option<Process>,
    port: u16,
    etcd_port: u16,
    recording: bool,
}

impl ApiServer {
    /// A cluster of its own. With controllers, Deployments get pods, and namespaces their ServiceAccounts.
    pub fn start(controllers: bool) -> Self {
        let mut it = Self::new(false);
        if controllers {
            it._controllers = Some(start_controllers(it.folder.path()));
            super::wait_until("the controllers work", START_LIMIT, || {
                it.try_kubectl(&["get", "serviceaccount", "default"]).ok()
            });
        }
        it
    }

    /// A cluster without controllers, which records what ServiceAccounts ask of it: see [`ApiServer::requests`].
    pub fn recording() -> Self {
        Self::new(true)
    }

    fn new(recording: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, etcd_port) = (free_port(), free_port());
        write_pki(folder.path(), port);
        let etcd = start_etcd(folder.path(), etcd_port);
        std::fs::write(folder.path().join("audit.yaml"), AUDIT_POLICY).unwrap();
        let it = Self { folder, _etcd: etcd, server: Mutex::new(None), _controllers: None, port, etcd_port, recording };
        it.start_again();
        it
    }

    /// Stops the API server; etcd keeps what it holds.
    pub fn stop(&self) {
        self.server().take();
    }

    /// Starts it again, on the same port.
    pub fn start_again(&self) {
        let mut process = Process::start("kube-apiserver", &self.command(), &self.path("apiserver.log"));
        wait_while_running(&mut process, START_LIMIT, |_| {
            self.try_kubectl(&["get", "--raw", "/readyz"]).ok().filter(|answer| answer == "ok")
        });
        *self.server() = Some(process);
    }

    /// Forgets every event before now, as etcd does every five minutes; with a new API server, watches from before
    /// get 410.
    pub fn compact(&self) {
        self.stop();
        let url = format!("http://127.0.0.1:{}/v3/kv", self.etcd_port);
        let post = |what: &str, body: &str| {
            let mut curl = Command::new("curl");
            run("curl", curl.args(["-fsS", &format!("{url}/{what}"), "-d", body]), RUN_LIMIT)
        };
        let answer: serde_json::Value = serde_json::from_str(&post("range", r#"{"key": "AA=="}"#)).unwrap();
        let revision = answer["header"]["revision"].as_str().unwrap();
        post("compaction", &format!("{{\"revision\": {revision}, \"physical\": true}}"));
        self.start_again();
    }

    /// Where its certificates are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// How often ServiceAccounts have asked for what, as `list pods`; of a cluster that records.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        let text = std::fs::read_to_string(self.path("audit.log")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        // A watch is told of twice: when it begins and when it ends.
        let mut asked = BTreeMap::new();
        for line in whole {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |at: &str| event.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            asked.insert(text("/auditID"), format!("{} {}", text("/verb"), text("/objectRef/resource")));
        }
        let mut counts = BTreeMap::new();
        for what in asked.into_values() {
            *counts.entry(what).or_default() += 1;
        }
        counts
    }

    /// The administrator's client.
    pub async fn client(&self) -> kube::Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        kube::Client::try_from(config).unwrap()
    }

    /// A kubeconfig of a ServiceAccount, with a token of its own.
    pub fn account(&self, namespace: &str, name: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", name, "-n", namespace, "--duration=1h"]);
        let path = self.path(&format!("{namespace}-{name}.kubeconfig"));
        let user = format!("token: \"{}\"", token.trim());
        std::fs::write(&path, kubeconfig(self.folder.path(), self.port, &user)).unwrap();
        path
    }

    /// The same kubeconfig, leading through another port.
    pub fn through(&self, kubeconfig: &Path, port: u16) -> PathBuf {
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        let path = kubeconfig.with_extension(format!("{port}.kubeconfig"));
        std::fs::write(&path, text.replace(&format!(":{}\"", self.port), &format!(":{port}\""))).unwrap();
        path
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// What kubectl says, or its error.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(kubernetes_program("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).arg("--request-timeout=10s").args(arguments);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Applies manifests, checked strictly.
    pub fn apply(&self, manifests: &str) {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), manifests).unwrap();
        self.kubectl(&["apply", "--validate=strict", "-f", file.path().to_str().unwrap()]);
    }

    pub fn memory_kib(&self) -> u64 {
        let id = self.server().as_ref().map(Process::id).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(kubernetes_program("kube-apiserver"));
        command.current_dir(self.folder.path());
        command.args([
            &format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            &format!("--secure-port={}", self.port),
            &format!("--service-account-issuer=https://127.0.0.1:{}", self.port),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--client-ca-file=ca.crt",
            "--authorization-mode=RBAC",
            "--service-account-key-file=accounts.pub",
            "--service-account-signing-key-file=accounts.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount,LimitRanger",
        ]);
        if self.recording {
            command.args(["--audit-policy-file=audit.yaml", "--audit-log-path=audit.log"]);
        }
        command
    }
}

fn start_etcd(folder: &Path, port: u16) -> Process {
    let (url, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
    let mut command = Command::new(kubernetes_program("etcd"));
    command.args(["--name=t", "--unsafe-no-fsync", "--log-level=warn", "--data-dir"]).arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url, "--listen-peer-urls", &peer]);
    command.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("t={peer}")]);
    command.args(["--heartbeat-interval=20", "--election-timeout=200"]);
    let mut process = Process::start("etcd", &command, &folder.join("etcd.log"));
    wait_while_running(&mut process, START_LIMIT, |_| {
        let health = Command::new("curl").args(["-fsS", "-m", "1", &format!("{url}/health")]).output();
        health.ok().filter(|output| output.status.success())
    });
    process
}

fn start_controllers(folder: &Path) -> Process {
    let mut command = Command::new(kubernetes_program("kube-controller-manager"));
    command.current_dir(folder).args([
        "--kubeconfig=admin.kubeconfig",
        "--bind-address=127.0.0.1",
        &format!("--secure-port={}", free_port()),
        "--leader-elect=false",
        "--service-account-private-key-file=accounts.key",
        "--root-ca-file=ca.crt",
        "--controllers=deployment-controller,replicaset-controller,statefulset-controller,namespace-controller,\
         garbage-collector-controller,serviceaccount-controller,disruption-controller",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]);
    Process::start("kube-controller-manager", &command, &folder.join("controllers.log"))
}

/// A CA, the API server's certificate, the administrator's, and the key that signs ServiceAccounts' tokens.
fn write_pki(folder: &Path, port: u16) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "test-ca");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    write("ca.crt", &ca.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(ca, key);
    let issue = |file: &str, names: Vec<String>, subject: [(DnType, &str); 2], usage: ExtendedKeyUsagePurpose| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind, value);
        }
        params.extended_key_usages = vec![usage];
        write(&format!("{file}.crt"), &params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{file}.key"), &key.serialize_pem());
    };
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned).to_vec();
    let server = [(DnType::OrganizationName, "test"), (DnType::CommonName, "kube-apiserver")];
    issue("server", names, server, ExtendedKeyUsagePurpose::ServerAuth);
    let admin = [(DnType::OrganizationName, "system:masters"), (DnType::CommonName, "admin")];
    issue("admin", Vec::new(), admin, ExtendedKeyUsagePurpose::ClientAuth);
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
    let user = "client-certificate: admin.crt, client-key: admin.key";
    write("admin.kubeconfig", &kubeconfig(folder, port, user));
}

fn kubeconfig(folder: &Path, port: u16, user: &str) -> String {
    let folder = folder.display();
    let user = user.replace("admin.", &format!("{folder}/admin."));
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: t\n\
         clusters: [{{name: t, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: {folder}/ca.crt}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n\
         contexts: [{{name: t, context: {{cluster: t, user: u}}}}]\n"
    )
}
