//! The server: reads a call, lets the faults act on it, has it executed, and answers.

use super::answer::Answer;
use super::call::Call;
use super::clock::http_date;
use super::faults::{Effect, refusal, throttled};
use super::log::{Entry, Outcome};
use super::stand::Stand;
use super::{dynamodb, rds, xml};
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The connection is cut in place of an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("cut by the stand-in")
    }
}

impl std::error::Error for Cut {}

/// Serves until the runtime ends; while `open` is false, connections are refused and those that are there end.
pub async fn serve(stand: Arc<Stand>, port: u16, mut open: watch::Receiver<bool>) {
    loop {
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        let listener = bind(port).await;
        let closing = open.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection(Arc::clone(&stand), TokioIo::new(stream), closing.clone()));
                }
                _ = open.wait_for(|open| !*open) => break,
            }
        }
    }
}

async fn bind(port: u16) -> TcpListener {
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return listener,
            // the port was the stand-in's before; whoever took it for an outgoing connection will be gone
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stand: Arc<Stand>, io: TokioIo<tokio::net::TcpStream>, mut open: watch::Receiver<bool>) {
    let service = service_fn(move |request| answer(Arc::clone(&stand), request));
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
    tokio::select! {
        // a cut connection and a client that left are no news
        _ = serving => {}
        _ = open.wait_for(|open| !*open) => {}
    }
}

async fn answer(stand: Arc<Stand>, request: Request<hyper::body::Incoming>) -> Result<Response<Body>, Cut> {
    let call = Call::read(request.map(Body::new), |key| stand.account_of(key)).await.map_err(|_| Cut)?;
    let at = stand.settings().clock.now();
    let number = stand.log().begin(Entry::new(&call, at));
    let effect = stand.settings().faults.effect(&call);
    let refused = effect.as_ref().and_then(|effect| refusal(effect, &call));
    let mut date_off = SignedDuration::ZERO;
    let mut wait = Duration::ZERO;
    match effect {
        Some(Effect::RequestLost) => return Err(cut(&stand, number)),
        Some(Effect::Late(delay)) => {
            tokio::spawn(execute(Arc::clone(&stand), call, number, delay));
            return Err(cut(&stand, number));
        }
        Some(Effect::Hang(delay)) => wait = delay,
        Some(Effect::SkewedDate(off)) => date_off = off,
        _ => {}
    }
    let reply_lost = matches!(effect, Some(Effect::ReplyLost));
    let answer = match refused {
        Some(answer) => answer,
        // a task of its own: what has reached AWS is executed, whether or not the client still waits
        None => tokio::spawn(execute(Arc::clone(&stand), call, number, wait)).await.map_err(|_| Cut)?,
    };
    if reply_lost {
        return Err(cut(&stand, number));
    }
    let outcome = match answer.code() {
        Some(code) => Outcome::Refused(answer.status, code),
        None => Outcome::Answered,
    };
    stand.log().change(number, |entry| entry.outcome = outcome);
    let date = stand.settings().clock.now() + date_off;
    Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        .header("date", http_date(date))
        .header("x-amzn-requestid", format!("stand-in-{number}"))
        .body(Body::from(answer.body))
        .map_err(|_| Cut)
}

fn cut(stand: &Stand, number: usize) -> Cut {
    stand.log().change(number, |entry| entry.outcome = Outcome::Cut);
    Cut
}

async fn execute(stand: Arc<Stand>, call: Call, number: usize, wait: Duration) -> Answer {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let admitted = stand.settings().limits.admit(&call, Instant::now());
    if !admitted {
        return throttled(&call);
    }
    let answer = match call.service.as_str() {
        "dynamodb" => dynamodb::execute(&stand, &call).await,
        "rds" => rds::execute(&stand, &call).await,
        "sts" => session(&stand, &call).await,
        _ => stand.forward(&call).await,
    };
    let executed = answer.is_good();
    stand.log().change(number, |entry| entry.executed = executed);
    answer
}

/// STS: whoever assumes a role is in the role's account from then on.
async fn session(stand: &Stand, call: &Call) -> Answer {
    let role = call.text("RoleArn");
    let wanted = stand.settings().external_ids.get(role).cloned();
    if wanted.is_some_and(|wanted| wanted != call.text("ExternalId")) {
        let message = format!("User is not authorized to perform: sts:AssumeRole on resource: {role}");
        return Answer::error(call, 403, "AccessDenied", &message);
    }
    let answer = stand.forward(call).await;
    let text = answer.text();
    if answer.is_good()
        && call.operation.starts_with("AssumeRole")
        && let Some(access_key) = xml::value_of(&text, "AccessKeyId")
    {
        stand.remember_session(access_key, role);
    }
    answer
}
