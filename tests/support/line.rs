//! A line to a server on this machine that can be cut, refused, and made slow.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Its server's port is reached through its own.
pub struct Line {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    refusing: Arc<AtomicBool>,
    delay: Arc<AtomicU64>,
}

impl Line {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Self { port, open: Arc::default(), refusing: Arc::default(), delay: Arc::default() };
        let (open, refusing, delay) = (line.open.clone(), line.refusing.clone(), line.delay.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                if refusing.load(Ordering::Relaxed) {
                    continue;
                }
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, delay) = (from.try_clone().unwrap(), to.try_clone().unwrap(), delay.clone());
                    std::thread::spawn(move || carry(from, to, &delay));
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        line
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From here on everything takes this much longer, each way.
    pub fn slow(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Ends every connection; new ones are taken.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every connection, and takes no new one until told otherwise.
    pub fn refuse(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::Relaxed);
        self.cut();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        // The line's own slowness, nothing that is waited for.
        std::thread::sleep(Duration::from_millis(delay.load(Ordering::Relaxed)));
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
