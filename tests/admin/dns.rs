//! Discovery against a real DNS server: Debian's dnsmasq on a loopback port of its own.

use crate::support::*;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use stillpoint::config::Source;
use stillpoint::domain::Member;
use stillpoint::scalar::discovery::Dns;
use stillpoint::scalar::{DiscoveryError, resolve};

const NAME: &str = "_scalardl-admin._tcp.ledger-headless.shop.example";

/// A dnsmasq that is killed when it is dropped.
struct DnsServer {
    address: SocketAddr,
    process: Child,
}

impl DnsServer {
    async fn start(records: &[String]) -> Self {
        Self::start_at(free_port(), records).await
    }

    async fn start_at(address: SocketAddr, records: &[String]) -> Self {
        let process = Command::new("dnsmasq")
            .args(["--conf-file=/dev/null", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces"])
            .args(["--local=/example/", "--pid-file=", "--user=root"])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq (Debian: dnsmasq-base)");
        let server = Self { address, process };
        until("dnsmasq to answer", || raw_answer(server.address, "up.example").is_some()).await;
        server
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        // It is our child, so that its id cannot have been given to anyone else.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free for both UDP and TCP.
fn free_port() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind(any_port()).unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// What the server answers over UDP to an SRV question, by hand: to see that it is up, and that it truncates.
fn raw_answer(server: SocketAddr, name: &str) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind(any_port()).ok()?;
    socket.set_read_timeout(Some(ms(100))).ok()?;
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 33, 0, 1]);
    socket.send_to(&question, server).ok()?;
    let mut answer = vec![0; 4096];
    let (length, _) = socket.recv_from(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

fn srv(index: u32, port: u16) -> [String; 2] {
    let [_, _, high, low] = index.to_be_bytes();
    let target = format!("ledger-{index}.ledger-headless.shop.example");
    [format!("--srv-host={NAME},{target},{port}"), format!("--host-record={target},127.9.{high}.{low}")]
}

async fn find(name: &str, server: SocketAddr) -> Result<Vec<Member>, DiscoveryError> {
    let cluster = cluster(Source::Srv(name.to_owned()), None);
    resolve(&cluster, Dns::Server(server), LONG).await
}

#[tokio::test]
async fn srv_records_become_members_with_the_addresses_of_their_targets() {
    let records: Vec<String> = [3, 1, 2].iter().flat_map(|index| srv(*index, 50_053)).collect();
    let server = DnsServer::start(&records).await;
    let expected: Vec<Member> = (1..=3)
        .map(|index| Member {
            cluster: "orders".to_owned(),
            name: format!("ledger-{index}.ledger-headless.shop.example:50053"),
            address: format!("127.9.0.{index}:50053"),
            stage: 0,
            pod: None,
        })
        .collect();
    assert_eq!(find(NAME, server.address).await.unwrap(), expected);
    assert_eq!(find(&format!("{NAME}."), server.address).await.unwrap(), expected);
}

#[tokio::test]
async fn a_target_with_several_addresses_is_several_members() {
    let target = "ledger.shop.example";
    let records = [
        format!("--srv-host={NAME},{target},50053"),
        format!("--host-record={target},127.9.0.1"),
        format!("--host-record={target},127.9.0.2"),
        format!("--srv-host={NAME},127-9-0-1.shop.example,50053"),
        "--host-record=127-9-0-1.shop.example,127.9.0.1".to_owned(),
    ];
    let server = DnsServer::start(&records).await;
    let names: Vec<_> = find(NAME, server.address).await.unwrap().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["127-9-0-1.shop.example:50053", "ledger.shop.example@127.9.0.2:50053"]);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_from_one_without_records() {
    let records = ["--host-record=plain.shop.example,127.9.0.1".to_owned()];
    let server = DnsServer::start(&records).await;
    assert_eq!(
        find(NAME, server.address).await.unwrap_err().to_string(),
        format!("the SRV name {NAME} does not exist")
    );
    assert_eq!(
        find("plain.shop.example", server.address).await.unwrap_err().to_string(),
        "the SRV name plain.shop.example has no SRV records"
    );
    let refused = find("_scalardb._tcp.elsewhere.test", server.address).await.unwrap_err();
    assert!(refused.to_string().starts_with("the SRV name _scalardb._tcp.elsewhere.test could not be looked up: "));
}

#[tokio::test]
async fn a_target_without_an_address_loses_the_whole_cluster() {
    let mut records: Vec<String> = srv(1, 50_053).into();
    records.push(format!("--srv-host={NAME},gone.shop.example,50053"));
    let server = DnsServer::start(&records).await;
    assert_eq!(
        find(NAME, server.address).await.unwrap_err().to_string(),
        format!("the SRV name {NAME} points to gone.shop.example, which has no address")
    );
}

#[tokio::test]
async fn more_records_than_a_datagram_holds_are_all_found() {
    let records: Vec<String> = (1..=80).flat_map(|index| srv(index, 50_053)).collect();
    let server = DnsServer::start(&records).await;
    let datagram = raw_answer(server.address, NAME).expect("an answer");
    assert_eq!(datagram[2] & 2, 2, "the answer over UDP is truncated");
    let members = find(NAME, server.address).await.unwrap();
    assert_eq!(members.len(), 80);
    assert!(members.is_sorted_by_key(|member| &member.address));
}

#[tokio::test]
async fn a_record_that_changed_is_seen_by_the_next_look() {
    let address = free_port();
    let first = DnsServer::start_at(address, &srv(1, 50_053)).await;
    assert_eq!(find(NAME, address).await.unwrap()[0].address, "127.9.0.1:50053");
    drop(first);
    let _second = DnsServer::start_at(address, &srv(2, 50_053)).await;
    assert_eq!(find(NAME, address).await.unwrap()[0].address, "127.9.0.2:50053");
}

#[tokio::test]
async fn a_silent_dns_server_is_given_up_at_the_deadline() {
    let silent = UdpSocket::bind(any_port()).unwrap();
    let cluster = cluster(Source::Srv(NAME.to_owned()), None);
    let asked = Instant::now();
    let error = resolve(&cluster, Dns::Server(silent.local_addr().unwrap()), ms(400)).await.unwrap_err();
    assert!(asked.elapsed() < ms(2000), "{:?}", asked.elapsed());
    assert_eq!(error, DiscoveryError::Timeout(NAME.to_owned()));
    assert_eq!(
        error.to_string(),
        format!("the SRV name {NAME} could not be looked up: no DNS server answered in time")
    );
}

#[tokio::test]
async fn a_dns_server_that_is_down_is_an_error_within_the_deadline() {
    let asked = Instant::now();
    let error = find(NAME, free_port()).await.unwrap_err().to_string();
    assert!(asked.elapsed() < LONG);
    assert_eq!(error, format!("the SRV name {NAME} could not be looked up: no DNS server answered in time"));
}

#[tokio::test]
async fn plain_addresses_are_members_as_they_are_listed() {
    let listed = ["127.0.0.1:50054", "127.0.0.1:50053", "127.0.0.1:50054"].map(str::to_owned).to_vec();
    let cluster = cluster(Source::Addresses(listed), None);
    let members = resolve(&cluster, Dns::System, LONG).await.unwrap();
    assert_eq!(members, [member_at("127.0.0.1:50053"), member_at("127.0.0.1:50054")]);
}
