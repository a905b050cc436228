//! The Scalar admin interface: the client and the ways to find members.

pub mod answer;
pub mod client;
mod dial;
pub mod discovery;
mod guard;
mod status;
pub mod tls;

pub use answer::{Answer, Failure, FailureKind};
pub use client::{AdminClient, Connector};
pub use discovery::{DiscoveryError, resolve};
pub use tls::TlsError;

/// What tonic makes of `proto/scalar_admin.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod rpc {
    tonic::include_proto!("rpc");
}
