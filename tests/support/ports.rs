//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the kernel hands to outgoing connections: the port of a server that a test has killed must
/// still be free when the test starts it again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nothing listens on, never given twice in this process.
pub fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(start()));
    for _ in 0..COUNT {
        let port = FIRST + next.fetch_add(1, Ordering::Relaxed) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}

/// Test binaries that run at the same time start at different places.
fn start() -> u16 {
    let scattered = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    u16::try_from(scattered % u32::from(COUNT)).expect("it is below COUNT")
}
