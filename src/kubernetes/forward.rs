//! A way to a member where pods' addresses lead nowhere: through the API server to a port of its pod, as
//! `kubectl port-forward` goes.

use super::client::{Kubernetes, chain};
use crate::config::Namespace;
use crate::domain;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Portforwarder};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Forwards to the pods of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Forward {
    kubernetes: Kubernetes,
    namespace: Namespace,
}

impl Forward {
    #[must_use]
    pub const fn new(kubernetes: Kubernetes, namespace: Namespace) -> Self {
        Self { kubernetes, namespace }
    }

    /// A stream to a port of a pod, once the node has taken it. Whether somebody listens there shows with the first read.
    ///
    /// # Errors
    /// The API server or the node refuses; nothing was sent to the member.
    pub async fn open(&self, pod: &domain::Pod, name: &str, port: u16) -> Result<Forwarded, String> {
        let ground = self.kubernetes.ground(&self.namespace).await?;
        if ground.server.url != pod.server {
            return Err(format!("pod/{name} was found through {}, not {}", pod.server, ground.server.url));
        }
        let pods: Api<Pod> = Api::namespaced(ground.server.client.clone(), &pod.namespace);
        let told = |why: String| format!("no port of pod/{name} is forwarded: {why}");
        let mut forwarder = match pods.portforward(name, &[port]).await {
            Ok(forwarder) => forwarder,
            Err(error @ kube::Error::Api(_)) => {
                return Err(told(self.kubernetes.told(ground.problem(&error))));
            }
            Err(error) => return Err(told(chain(&error))),
        };
        let Some(stream) = forwarder.take_stream(port) else { return Err(told("there is no stream".to_owned())) };
        let refusal = forwarder.take_error(port).map(|refusal| Box::pin(refusal) as Refusal);
        Ok(Forwarded { stream, forwarder, refusal })
    }
}

type Refusal = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// A forwarded connection. Dropped, it is cut at once: what was not sent by then never leaves.
pub struct Forwarded {
    stream: DuplexStream,
    forwarder: Portforwarder,
    /// What the node says when the port cannot be used, or no longer.
    refusal: Option<Refusal>,
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // At its end the node has said why, if it had a reason.
        if matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before && buffer.remaining() > 0 {
            let said = self.refusal.as_mut().map(|refusal| refusal.as_mut().poll(cx));
            if !matches!(said, Some(Poll::Pending)) {
                self.refusal = None;
            }
            if let Some(Poll::Ready(Some(words))) = said {
                return Poll::Ready(Err(io::Error::other(words)));
            }
        }
        read
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
