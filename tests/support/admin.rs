//! The admin interface by hand, for pauses that are not stillpoint's.

use std::time::Duration;
use stillpoint::scalar::rpc::{PauseRequest, admin_client::AdminClient};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

const LIMIT: Duration = Duration::from_secs(5);

/// Whether the member on this port of loopback is closed; an error when it does not answer.
pub fn check_paused(port: u16) -> Result<bool, Status> {
    block_on(async move { Ok(client(port, LIMIT).await?.check_paused(()).await?.into_inner().paused) })
}

/// Closes the member and returns when its open transactions have ended; the member gives up and opens after `drain`.
pub fn pause(port: u16, drain: Duration) -> Result<(), Status> {
    let milliseconds = i64::try_from(drain.as_millis()).expect("a drain of a test is short");
    let request = PauseRequest { wait_outstanding: true, max_pause_wait_time: Some(milliseconds) };
    block_on(async move { client(port, drain + LIMIT).await?.pause(request).await.map(|_| ()) })
}

/// Opens the member.
pub fn unpause(port: u16) -> Result<(), Status> {
    block_on(async move { client(port, LIMIT).await?.unpause(()).await.map(|_| ()) })
}

async fn client(port: u16, limit: Duration) -> Result<AdminClient<Channel>, Status> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address of loopback is valid");
    let channel = endpoint.connect_timeout(LIMIT).timeout(limit).connect().await;
    Ok(AdminClient::new(channel.map_err(|error| Status::unavailable(error.to_string()))?))
}

/// On a thread of its own, so that asynchronous tests can call it too.
fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(work)
        });
        thread.join().expect("a call does not panic")
    })
}
