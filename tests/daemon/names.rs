//! A group whose members are found by SRV records, asked of a real DNS server.

use crate::rig::{LIMIT, Rig};
use crate::support::{ports::free_port, process::Process, wait_until};
use crate::{LONG, SHORT, code};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

const NAME: &str = "_scalardb._tcp.shop.example";

struct Names<'a> {
    rig: &'a Rig,
    port: u16,
    server: Option<Process>,
}

impl<'a> Names<'a> {
    /// The first cluster is found by name from here on.
    fn new(rig: &'a Rig) -> Self {
        let addresses: Vec<String> =
            rig.members[..2].iter().map(|member| format!("\"{}\"", member.address())).collect();
        rig.replace(&format!("addresses: [{}]", addresses.join(", ")), &format!("srv: {NAME}"));
        Self { rig, port: free_port(), server: None }
    }

    /// The records name these members of the first cluster.
    fn serve(&mut self, members: &[usize]) {
        self.server = None;
        let mut command = Command::new("dnsmasq");
        command
            .args(["--conf-file=/dev/null", "--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces"])
            .args(["--local=/example/", "--pid-file=", "--user=root", "--listen-address=127.0.0.1"])
            .arg(format!("--port={}", self.port));
        for index in members {
            let port = self.rig.members[*index].address().port();
            command.arg(format!("--srv-host={NAME},member-{index}.shop.example,{port}"));
            command.arg(format!("--host-record=member-{index}.shop.example,127.0.0.1"));
        }
        self.server = Some(Process::start("dnsmasq", &command, &self.rig.path("dnsmasq.log")));
        wait_until("dnsmasq answers", LIMIT, || self.answers().then_some(()));
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7];
        question.extend(b"example\0\0\x01\0\x01");
        socket.send_to(&question, ("127.0.0.1", self.port)).unwrap();
        socket.recv(&mut [0; 512]).is_ok()
    }

    fn window(&self) -> Process {
        let mut command = self.rig.command(&["window", "shop", "-o", "json"]);
        command.env("STILLPOINT_NAMESERVER", format!("127.0.0.1:{}", self.port));
        Process::start("window", &command, &self.rig.path("window.log"))
    }
}

#[test]
fn a_group_found_by_srv_records_gives_a_consistent_window() {
    let rig = Rig::new(2, SHORT);
    let mut names = Names::new(&rig);
    names.serve(&[0, 1]);
    let mut window = names.window();
    assert_eq!(window.wait(LIMIT).code(), Some(0), "{}", window.tail());
    let report = Rig::json(&window.output());
    assert_eq!((&report["evidence"], report["members"].as_array().unwrap().len()), (&"address".into(), 6));
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_record_that_changes_in_the_hold_discards_the_window() {
    let hold = LONG.replace("hold: 20s", "hold: 5s");
    let rig = Rig::new(2, &hold);
    let mut names = Names::new(&rig);
    names.serve(&[0, 1]);
    let mut window = names.window();
    rig.wait_until_paused(6);
    names.serve(&[0]);
    assert_eq!(window.wait(LIMIT).code(), Some(3), "{}", window.tail());
    assert_eq!(code(&Rig::json(&window.output())), "census_changed");
    assert_eq!(rig.paused(), 0);
}

#[test]
fn a_name_that_nobody_knows_refuses_the_window() {
    let rig = Rig::new(2, SHORT);
    let mut names = Names::new(&rig);
    names.serve(&[]);
    let mut window = names.window();
    assert_eq!(window.wait(LIMIT).code(), Some(4), "{}", window.tail());
    assert_eq!(code(&Rig::json(&window.output())), "discovery");
    assert_eq!(rig.pauses(), 0);
}
