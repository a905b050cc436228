//! A thousand members in one process.

use crate::support::*;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::Instant;
use stillpoint::scalar::Answer;
use stillpoint::sim::{Flavour, SimMember};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_members_close_and_open_together() {
    let members: Vec<SimMember> = (0..1000_u32)
        .map(|index| {
            let [_, _, high, low] = (index + 1).to_be_bytes();
            let address = SocketAddr::from(([127, 77, high, low], 51_053));
            SimMember::start(address, Flavour::ALL[index as usize % 4], None).expect("a loopback address of its own")
        })
        .collect();
    let connector = connector(None);
    let clients: Vec<_> = members.iter().map(|member| connector.client(&member_at(member.address()))).collect();
    let warmed = join_all(clients.iter().map(|client| client.check_paused(LONG * 3))).await;
    assert!(warmed.iter().all(|answer| *answer == OPEN));
    let asked = Instant::now();
    let paused = join_all(clients.iter().map(|client| client.pause(LONG, LONG * 3))).await;
    println!("1,000 members closed in {:?}", asked.elapsed());
    assert!(paused.iter().all(|answer| *answer == Answer::Ok));
    assert!(members.iter().all(SimMember::is_paused));
    let opened = join_all(clients.iter().map(|client| client.unpause(LONG * 3))).await;
    assert!(opened.iter().all(|answer| *answer == Answer::Ok));
    assert!(!members.iter().any(SimMember::is_paused));
}
