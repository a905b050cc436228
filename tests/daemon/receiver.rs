//! An HTTP server that takes, refuses, hangs or comes late, and remembers what it was sent.

use crate::rig::{LIMIT, support};
use hmac::{Hmac, KeyInit, Mac};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

pub const SECRET: &str = "whsec_c3RpbGxwb2ludCdzIHRlc3RzIHNpZ24gd2l0aCBpdA==";
const KEY: &[u8] = b"stillpoint's tests sign with it";

/// How it answers.
#[derive(Clone)]
pub enum Mood {
    Answer(u16),
    /// Never.
    Hang,
    Late(Duration),
    /// To another port.
    Redirect(u16),
}

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// The event, when signature and attributes are as they must be.
    pub fn event(&self) -> serde_json::Value {
        assert_eq!(self.method, "POST");
        assert!(self.headers["content-type"].starts_with("application/cloudevents+json"), "{self:?}");
        let second: i64 = self.headers["webhook-timestamp"].parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(second.unsigned_abs()) < 300, "a receiver refuses what is older");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{}.{second}.{}", self.id(), self.body).as_bytes());
        let expected = format!("v1,{}", aws_smithy_types::base64::encode(mac.finalize().into_bytes()));
        assert_eq!(self.headers["webhook-signature"], expected);
        let event: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&event["specversion"], &event["id"]), (&"1.0".into(), &self.id().into()));
        event
    }

    /// The type without what all have in front.
    pub fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().strip_prefix("io.stillpoint.").unwrap().to_owned()
    }
}

/// The server; it ends with it.
pub struct Receiver {
    pub port: u16,
    mood: Arc<Mutex<Mood>>,
    received: Arc<Mutex<Vec<Received>>>,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start(mood: Mood) -> Self {
        Self::at(0, mood, None)
    }

    /// On that port; 0: on one that is free.
    pub fn at(port: u16, mood: Mood, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mood, received, over) = (Arc::new(Mutex::new(mood)), Arc::default(), Arc::new(AtomicBool::new(false)));
        let shared = (mood.clone(), Arc::clone(&received), over.clone());
        let accepting = std::thread::spawn(move || {
            let (mood, received, over) = shared;
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (mood, received, over, tls) = (mood.clone(), Arc::clone(&received), over.clone(), tls.clone());
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(LIMIT)).unwrap();
                    // A client that gives up is one of the cases.
                    let _ = match tls {
                        None => serve(stream, &mood, &received, &over),
                        Some(tls) => serve(
                            StreamOwned::new(ServerConnection::new(tls).unwrap(), stream),
                            &mood,
                            &received,
                            &over,
                        ),
                    };
                });
            }
        });
        Self { port, mood, received, over, accepting: Some(accepting) }
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until that many requests have come.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        support::wait_until(&format!("{count} requests"), LIMIT, || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
    }

    /// Lines of a config for it.
    pub fn webhook(&self, name: &str, more: &str) -> String {
        webhook(name, self.port, more)
    }
}

/// Lines of a config for a webhook on a port.
pub fn webhook(name: &str, port: u16, more: &str) -> String {
    format!("    {name}: {{url: \"http://127.0.0.1:{port}/hook?key=in-the-path\", secret_file: FOLDER/secret{more}}}\n")
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // One more connection ends the wait for one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(
    stream: impl Read + Write,
    mood: &Mutex<Mood>,
    received: &Mutex<Vec<Received>>,
    over: &AtomicBool,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let answer = mood.lock().unwrap().clone();
    received.lock().unwrap().push(Received { method, path, headers, body });
    let (status, more) = match answer {
        Mood::Answer(status) => (status, String::new()),
        Mood::Redirect(port) => (307, format!("Location: http://127.0.0.1:{port}/elsewhere\r\n")),
        Mood::Late(late) => {
            std::thread::sleep(late);
            (200, String::new())
        }
        Mood::Hang => {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
            }
            return Ok(());
        }
    };
    let stream = reader.get_mut();
    write!(stream, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n")?;
    stream.flush()
}
