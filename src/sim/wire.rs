//! Connections that can be cut or black-holed, as a killed process or a broken network does it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// What happens to a member's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// All are cut, and no new one is taken.
    pub(super) cut: bool,
    /// Connections numbered below this are black holes: nothing is read or written any more, and no one is told.
    pub(super) dark_below: u64,
    /// The number of the next connection.
    pub(super) next: u64,
}

impl Fate {
    pub(super) const fn new() -> Self {
        Self { cut: false, dark_below: 0, next: 0 }
    }
}

/// Takes connections until the fate is to be cut.
pub(super) async fn accept(
    listener: TcpListener,
    fate: watch::Sender<Fate>,
    taken: mpsc::Sender<io::Result<CutStream>>,
) {
    let mut watched = fate.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = watched.wait_for(|fate| fate.cut) => return,
        };
        // A connection that died in the queue says nothing about the next one.
        let Ok((tcp, _)) = accepted else { continue };
        if tcp.set_nodelay(true).is_err() {
            continue;
        }
        let mut number = 0;
        fate.send_modify(|fate| {
            number = fate.next;
            fate.next += 1;
        });
        if taken.send(Ok(CutStream::new(tcp, number, fate.subscribe()))).await.is_err() {
            return;
        }
    }
}

/// Resolves when the connection's fate has changed for the worse, with the receiver to ask and wait on again.
type Struck = Pin<Box<dyn Future<Output = watch::Receiver<Fate>> + Send>>;

/// A TCP stream under a fate.
pub(super) struct CutStream {
    tcp: TcpStream,
    number: u64,
    struck: Struck,
    cut: bool,
    dark: bool,
}

impl CutStream {
    fn new(tcp: TcpStream, number: u64, fate: watch::Receiver<Fate>) -> Self {
        Self { tcp, number, struck: strike(fate, number, false), cut: false, dark: false }
    }

    /// Ready(Ok): go on. Pending: a black hole. Also registers the task to be woken when that changes.
    fn poll_fate(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.cut
            && let Poll::Ready(fate) = self.struck.as_mut().poll(cx)
        {
            let now = *fate.borrow();
            self.dark = self.number < now.dark_below;
            // No fate at all: its member is gone.
            self.cut = now.cut || fate.has_changed().is_err();
            self.struck = strike(fate, self.number, self.dark);
        }
        match (self.cut, self.dark) {
            (true, _) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(Ok(())),
        }
    }
}

fn strike(mut fate: watch::Receiver<Fate>, number: u64, dark: bool) -> Struck {
    Box::pin(async move {
        // An error means that the sender is gone, which ends the wait as well.
        let _ = fate.wait_for(|fate| fate.cut || (!dark && number < fate.dark_below)).await.map(|_| ());
        fate
    })
}

impl AsyncRead for CutStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_fate(cx))?;
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_fate(cx))?;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_fate(cx))?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_fate(cx))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Connected for CutStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}

/// A listener that a restarted member can have again at once.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}
