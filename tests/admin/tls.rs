//! TLS and mutual TLS: what works, and what is refused before anything is asked, with the reason.

use crate::authority::Authority;
use crate::support::*;
use std::path::{Path, PathBuf};
use stillpoint::config::{Source, Tls};
use stillpoint::kubernetes::Kubernetes;
use stillpoint::scalar::{AdminClient, Answer, Connector, FailureKind};
use stillpoint::sim::{Flavour, SimMember, SimTls};

struct World {
    folder: tempfile::TempDir,
    ours: Authority,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ours: Authority::new("ours") }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A member whose certificate is of our CA, for that name.
    fn member(&self, name: &str, valid_until_year: i32, client_ca: Option<&Authority>) -> SimMember {
        let (certificate, key) = self.ours.issue(name, valid_until_year);
        let tls = SimTls { certificate, key, client_ca: client_ca.map(|ca| ca.pem.clone()) };
        SimMember::start(any_port(), Flavour::ScalardlNew, Some(tls)).unwrap()
    }

    /// A client's settings that trust our CA and expect the name `ledger`.
    fn settings(&self) -> Tls {
        let ca_file = Some(self.file("ca.crt", &self.ours.pem));
        Tls { ca_file, server_name: Some("ledger".to_owned()), ..Tls::default() }
    }

    fn with_identity(&self, authority: &Authority) -> Tls {
        let (certificate, key) = authority.issue("stillpoint", 2090);
        let (cert_file, key_file) = (self.file("client.crt", &certificate), self.file("client.key", &key));
        Tls { cert_file: Some(cert_file), key_file: Some(key_file), ..self.settings() }
    }
}

fn client(member: &SimMember, tls: Tls) -> AdminClient {
    connector(Some(tls)).client(&member_at(member.address()))
}

async fn refused(member: &SimMember, tls: Tls) -> String {
    let answer = client(member, tls).pause(LONG, LONG).await;
    assert_eq!(kind(&answer), FailureKind::Rejected, "{answer:?}");
    assert!(!member.is_paused() && member.calls().is_empty());
    detail(&answer).replace(&member.address().to_string(), "ADDRESS")
}

#[tokio::test]
async fn a_trusted_certificate_with_the_expected_name_is_taken() {
    let world = World::new();
    let member = world.member("ledger", 2090, None);
    let client = client(&member, world.settings());
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
    assert_eq!(client.check_paused(LONG).await, CLOSED);
    client.reconnect();
    assert_eq!(client.unpause(LONG).await, Answer::Ok);
}

#[tokio::test]
async fn without_a_server_name_the_host_of_the_member_counts() {
    let world = World::new();
    let by_address = Tls { server_name: None, ..world.settings() };
    let member = world.member("127.0.0.1", 2090, None);
    assert_eq!(client(&member, by_address.clone()).check_paused(LONG).await, OPEN);

    let member = world.member("ledger-0.ledger.example", 2090, None);
    let mut found = member_at(member.address());
    found.name = format!("ledger-0.ledger.example:{}", member.address().port());
    assert_eq!(connector(Some(by_address.clone())).client(&found).check_paused(LONG).await, OPEN);
    found.name = format!("ledger-0.ledger.example@{}", member.address());
    assert_eq!(connector(Some(by_address)).client(&found).check_paused(LONG).await, OPEN);
}

#[tokio::test]
async fn an_unknown_issuer_is_refused() {
    let (world, others) = (World::new(), Authority::new("others"));
    let member = world.member("ledger", 2090, None);
    let tls = Tls { ca_file: Some(world.file("other.crt", &others.pem)), ..world.settings() };
    let expected = "ADDRESS: unknown issuer: the certificate is not signed by the configured CA";
    assert_eq!(refused(&member, tls).await, expected);
}

#[tokio::test]
async fn another_ca_of_the_same_name_is_refused() {
    let (world, twin) = (World::new(), Authority::new("ours"));
    let member = world.member("ledger", 2090, None);
    let tls = Tls { ca_file: Some(world.file("twin.crt", &twin.pem)), ..world.settings() };
    assert!(refused(&member, tls).await.starts_with("ADDRESS: unknown issuer: "));
}

#[tokio::test]
async fn the_system_roots_do_not_know_a_private_ca() {
    let world = World::new();
    let member = world.member("ledger", 2090, None);
    let tls = Tls { server_name: Some("ledger".to_owned()), ..Tls::default() };
    match Connector::new(&cluster(Source::Addresses(Vec::new()), Some(tls.clone())), &Kubernetes::new()) {
        Ok(_) => assert!(refused(&member, tls).await.starts_with("ADDRESS: unknown issuer")),
        Err(none) => assert_eq!(none.to_string(), "no ca_file is set and the system has no root certificates"),
    }
}

#[tokio::test]
async fn a_wrong_name_is_refused_and_the_right_ones_are_told() {
    let world = World::new();
    let member = world.member("auditor", 2090, None);
    let said = refused(&member, world.settings()).await;
    assert_eq!(said, "ADDRESS: certificate is not valid for name ledger, only for DnsName(\"auditor\")");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let world = World::new();
    let member = world.member("ledger", 2002, None);
    assert_eq!(refused(&member, world.settings()).await, "ADDRESS: certificate expired");
}

#[tokio::test]
async fn mutual_tls_takes_a_certificate_of_the_right_ca() {
    let world = World::new();
    let member = world.member("ledger", 2090, Some(&world.ours));
    let client = client(&member, world.with_identity(&world.ours));
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
    assert_eq!(client.unpause(LONG).await, Answer::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_foreign_client_certificate_is_refused() {
    let (world, others) = (World::new(), Authority::new("others"));
    let member = world.member("ledger", 2090, Some(&world.ours));
    for (tls, reason) in [
        (world.settings(), "ADDRESS refused the TLS handshake: it requires a client certificate"),
        (
            world.with_identity(&others),
            "ADDRESS refused the TLS handshake: it does not know the issuer of the client certificate",
        ),
    ] {
        // In TLS 1.3 the refusal may cross our first bytes: again and again, whoever is faster.
        for _ in 0..20 {
            assert_eq!(refused(&member, tls.clone()).await, reason);
        }
    }
}

#[tokio::test]
async fn plaintext_to_a_tls_port_executes_nothing() {
    let world = World::new();
    let member = world.member("ledger", 2090, None);
    let answer = client_of(member.address()).pause(LONG, LONG).await;
    // Once connected, nothing proves to the client that the request was not understood.
    assert_eq!(kind(&answer), FailureKind::Unknown, "{answer:?}");
    assert!(detail(&answer).contains("does it expect TLS?"), "{answer:?}");
    assert!(!member.is_paused() && member.calls().is_empty());
}

#[tokio::test]
async fn tls_to_a_plaintext_port_is_refused() {
    let world = World::new();
    let member = SimMember::start(any_port(), Flavour::Scalardb, None).unwrap();
    assert_eq!(refused(&member, world.settings()).await, "ADDRESS does not speak TLS");
}

#[test]
fn unusable_files_are_named_when_the_cluster_is_set_up() {
    let world = World::new();
    let problem = |tls: Tls| {
        let error = Connector::new(&cluster(Source::Addresses(Vec::new()), Some(tls)), &Kubernetes::new())
            .err()
            .expect("an error");
        error.to_string().replace(&world.folder.path().display().to_string(), "FOLDER")
    };
    let missing = Some(Path::new("/nowhere/ca.crt").to_owned());
    let tls = Tls { ca_file: missing, ..Tls::default() };
    assert_eq!(problem(tls), "cannot read /nowhere/ca.crt: entity not found");

    let tls = Tls { ca_file: Some(world.file("empty.crt", "hello")), ..Tls::default() };
    assert_eq!(problem(tls), "FOLDER/empty.crt holds no certificate in PEM form");

    let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let tls = Tls { ca_file: Some(world.file("broken.crt", broken)), ..Tls::default() };
    assert!(problem(tls).starts_with("FOLDER/broken.crt holds no certificate in PEM form: "));

    let (certificate, _) = world.ours.issue("stillpoint", 2090);
    let cert_file = Some(world.file("client.crt", &certificate));
    let half = Tls { cert_file: cert_file.clone(), ..world.settings() };
    assert_eq!(problem(half), "a client certificate needs both cert_file and key_file; only FOLDER/client.crt is set");

    let swapped = Tls { cert_file: cert_file.clone(), key_file: cert_file.clone(), ..world.settings() };
    assert_eq!(problem(swapped), "FOLDER/client.crt holds no private key in PEM form");

    let (_, other_key) = world.ours.issue("somebody", 2090);
    let key_file = Some(world.file("other.key", &other_key));
    let unfit = problem(Tls { cert_file, key_file, ..world.settings() });
    assert!(unfit.starts_with("FOLDER/client.crt and FOLDER/other.key cannot be used as a client certificate: "));
}
