//! The Scalar admin interface: the client and the ways to find members.

pub mod answer;
pub use answer::{Answer, Failure, FailureKind};

/// What tonic makes of `proto/scalar_admin.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod rpc {
    tonic::include_proto!("rpc");
}
