//! The other end of the control socket.

use super::control::{Request, Response};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// The responses to one request.
pub struct Responses {
    lines: Lines<BufReader<OwnedReadHalf>>,
}

/// Sends a request to the daemon at the socket. None: no daemon listens there.
///
/// # Errors
/// A daemon is there, but does not take the request.
pub async fn send(socket: &Path, request: &Request) -> std::io::Result<Option<Responses>> {
    let asked = async {
        let stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) if nobody(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        Ok(Some(Responses { lines: BufReader::new(reader).lines() }))
    };
    let late = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the daemon does not take requests");
    tokio::time::timeout(CONNECT_DEADLINE, asked).await.unwrap_or_else(|_| Err(late()))
}

/// Whether a daemon listens at the socket; nothing is asked of it.
///
/// # Errors
/// It cannot be told.
pub async fn listens(socket: &Path) -> std::io::Result<bool> {
    match tokio::time::timeout(CONNECT_DEADLINE, UnixStream::connect(socket)).await {
        // Too busy to accept, but there.
        Ok(Ok(_)) | Err(_) => Ok(true),
        Ok(Err(error)) if nobody(&error) => Ok(false),
        Ok(Err(error)) => Err(error),
    }
}

fn nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

impl Responses {
    /// The next response; none: the daemon is done, or gone.
    ///
    /// # Errors
    /// The connection broke, or what came is no response.
    pub async fn next(&mut self) -> std::io::Result<Option<Response>> {
        match self.lines.next_line().await? {
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
            None => Ok(None),
        }
    }
}
