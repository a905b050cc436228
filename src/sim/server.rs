//! The admin interface of a stand-in member: gRPC in front of its gate.

use super::gate::PauseOutcome;
use super::member::Request as Kind;
use super::shared::Shared;
use crate::scalar::rpc::admin_server::Admin;
use crate::scalar::rpc::{CheckPausedResponse, PauseRequest};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What ScalarDL 3.14.0 puts into its `ErrorInfo`.
const ERROR_DOMAIN: &str = "com.scalar.dl.admin";

/// One life of a member, from start to stop.
pub(super) struct Service {
    pub(super) shared: Arc<Shared>,
    pub(super) life: u64,
}

impl Service {
    /// Runs a request to its end on its own, as a server does that doesn't notice its client giving up.
    /// None from the body: the member's life ended under it.
    async fn on_its_own<T: Send + 'static>(
        &self,
        kind: Kind,
        body: impl Future<Output = Option<Result<T, Status>>> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let (shared, life) = (self.shared.clone(), self.life);
        shared.log(life, kind);
        let (mut answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            shared.obey_faults().await;
            let Some(result) = body.await else { return };
            if shared.swallow_answer() {
                // The reply is lost: keep the client waiting for as long as it likes.
                answer.closed().await;
            } else {
                // Nobody there: the client gave up.
                let _ = answer.send(result);
            }
        });
        match answered.await {
            Ok(result) => result.map(Response::new),
            // The member's life ended under the request; so does the connection.
            Err(_) => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Admin for Service {
    async fn pause(&self, request: Request<PauseRequest>) -> Result<Response<()>, Status> {
        let PauseRequest { wait_outstanding, max_pause_wait_time } = request.into_inner();
        let kind = Kind::Pause { wait_outstanding, limit_ms: max_pause_wait_time };
        let (shared, life) = (self.shared.clone(), self.life);
        self.on_its_own(kind, async move {
            let outcome = shared.pause(life, wait_outstanding, max_pause_wait_time).await?;
            Some(outcome_status(outcome, shared.flavour().tells_reasons()))
        })
        .await
    }

    async fn unpause(&self, _: Request<()>) -> Result<Response<()>, Status> {
        let (shared, life) = (self.shared.clone(), self.life);
        self.on_its_own(Kind::Unpause, async move {
            if shared.refuse_unpause() {
                return Some(Err(Status::unavailable("the stand-in was told to refuse")));
            }
            shared.unpause(life);
            Some(Ok(()))
        })
        .await
    }

    async fn check_paused(&self, _: Request<()>) -> Result<Response<CheckPausedResponse>, Status> {
        let shared = self.shared.clone();
        self.on_its_own(Kind::CheckPaused, async move { Some(Ok(CheckPausedResponse { paused: shared.is_paused() })) })
            .await
    }
}

fn outcome_status(outcome: PauseOutcome, tells_reasons: bool) -> Result<(), Status> {
    let (code, reason, message) = match outcome {
        PauseOutcome::Ok => return Ok(()),
        PauseOutcome::InvalidArgument => {
            return Err(Status::invalid_argument("max_pause_wait_time must be greater than 0 ms"));
        }
        PauseOutcome::DrainTimeout => {
            (Code::FailedPrecondition, "TIMED_OUT", "outstanding requests were not drained in time")
        }
        PauseOutcome::StillPaused => {
            (Code::FailedPrecondition, "TIMED_OUT_STILL_PAUSED", "not drained in time; closed by an earlier pause")
        }
        PauseOutcome::GateOpen => (Code::Aborted, "GATE_OPEN", "the gate was reopened by a concurrent unpause"),
        PauseOutcome::InProgress => (Code::Aborted, "PAUSE_IN_PROGRESS", "another pause request is in progress"),
    };
    Err(match tells_reasons {
        true => {
            let details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, [] as [(String, String); 0]);
            Status::with_error_details(code, message, details)
        }
        false => Status::new(code, message),
    })
}
