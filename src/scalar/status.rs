//! From tonic's status to what it means for the window.

use super::answer::{Answer, FailureKind};
use super::dial::DialError;
use std::error::Error;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Which request a status answers: `FAILED_PRECONDITION` means something for a pause only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Pause,
    Unpause,
    CheckPaused,
}

/// What is known of a request besides its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) address: &'a str,
    pub(super) deadline: Duration,
    /// Plaintext, to a member that never answered anything.
    pub(super) plaintext_unproven: bool,
    /// Why the member refused every TLS handshake of the channel, if it did.
    pub(super) refused: Option<&'a str>,
}

/// What a failed request's status means.
pub(super) fn answer(request: Request, status: &Status, asked: &Asked<'_>) -> Answer {
    let address = asked.address;
    if let Some(dial) = cause::<DialError>(status) {
        return Answer::failed(FailureKind::Rejected, dial.to_string());
    }
    if status.source().is_some() {
        if let Some(reason) = asked.refused {
            return Answer::failed(FailureKind::Rejected, format!("{address} refused the TLS handshake: {reason}"));
        }
        return Answer::failed(FailureKind::Unknown, lost(status, asked));
    }
    let reason = status.get_details_error_info().map(|info| info.reason);
    let kind = match (request, status.code(), reason.as_deref()) {
        (Request::Pause, Code::FailedPrecondition, None | Some("TIMED_OUT")) => FailureKind::DrainTimeout,
        (Request::Pause, _, Some("TIMED_OUT_STILL_PAUSED")) => FailureKind::StillPausedByOther,
        (Request::Pause, _, Some("PAUSE_IN_PROGRESS")) => FailureKind::PauseInProgress,
        (Request::Pause, _, Some("GATE_OPEN")) => FailureKind::GateOpened,
        (_, Code::InvalidArgument | Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated, _) => {
            FailureKind::Rejected
        }
        _ => FailureKind::Unknown,
    };
    Answer::failed(kind, said(status, asked))
}

/// The sentence for a request that nobody answered in time.
pub(super) fn no_answer(address: &str, deadline: Duration) -> String {
    format!("{address} did not answer within {deadline:?}")
}

/// What the member itself said.
fn said(status: &Status, asked: &Asked<'_>) -> String {
    let address = asked.address;
    match (status.code(), status.message()) {
        (Code::DeadlineExceeded, _) | (Code::Cancelled, "Timeout expired") => no_answer(address, asked.deadline),
        (code, "") => format!("{address} answered {code:?}"),
        (code, message) => format!("{address} answered {code:?}: {message}"),
    }
}

/// What happened to the connection.
fn lost(status: &Status, asked: &Asked<'_>) -> String {
    let address = asked.address;
    if cause::<tonic::TimeoutExpired>(status).is_some() || status.code() == Code::DeadlineExceeded {
        return no_answer(address, asked.deadline);
    }
    let hint = if asked.plaintext_unproven { " (does it expect TLS?)" } else { "" };
    format!("the connection to {address} was lost: {}{hint}", chain(status))
}

/// The innermost words of an error's chain, each once; the wrappers' own ("transport error") say nothing.
fn chain(status: &Status) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = status.source();
    while let Some(error) = next {
        let text = error.to_string();
        let told = text == "transport error" || text.starts_with("code: ");
        words.retain(|known| !text.contains(known.as_str()));
        if !told && !words.iter().any(|known| known.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    if words.is_empty() { status.message().to_owned() } else { words.join(": ") }
}

fn cause<E: Error + 'static>(status: &Status) -> Option<&E> {
    let mut next = status.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureKind::{DrainTimeout, GateOpened, PauseInProgress, Rejected, StillPausedByOther, Unknown};
    use tonic_types::ErrorDetails;

    const ASKED: Asked<'static> = Asked {
        address: "127.0.0.1:50053",
        deadline: Duration::from_secs(3),
        plaintext_unproven: false,
        refused: None,
    };

    fn kind(request: Request, status: &Status) -> FailureKind {
        answer(request, status, &ASKED).failure().expect("a failure").kind
    }

    fn with_reason(code: Code, reason: &str) -> Status {
        let details = ErrorDetails::with_error_info(reason, "com.scalar.dl.admin", [("k".to_owned(), "v".to_owned())]);
        Status::with_error_details(code, "Pause did not complete", details)
    }

    #[test]
    fn each_measured_answer_to_a_pause_has_its_meaning() {
        for (status, meaning) in [
            (Status::failed_precondition("failed to finish outstanding"), DrainTimeout),
            (with_reason(Code::FailedPrecondition, "TIMED_OUT"), DrainTimeout),
            (with_reason(Code::FailedPrecondition, "TIMED_OUT_STILL_PAUSED"), StillPausedByOther),
            (with_reason(Code::Aborted, "PAUSE_IN_PROGRESS"), PauseInProgress),
            (with_reason(Code::Aborted, "GATE_OPEN"), GateOpened),
            (Status::invalid_argument("max_pause_wait_time must be greater than 0 ms"), Rejected),
            (Status::unimplemented(""), Rejected),
            (Status::permission_denied(""), Rejected),
            (Status::unauthenticated(""), Rejected),
            (Status::deadline_exceeded(""), Unknown),
            (Status::unavailable("shutting down"), Unknown),
            (Status::internal(""), Unknown),
            (Status::cancelled("Timeout expired"), Unknown),
        ] {
            assert_eq!(kind(Request::Pause, &status), meaning, "{status:?}");
        }
    }

    #[test]
    fn what_nobody_measured_is_unknown() {
        assert_eq!(kind(Request::Pause, &with_reason(Code::FailedPrecondition, "SOMETHING_NEW")), Unknown);
        assert_eq!(kind(Request::Pause, &Status::aborted("no reason given")), Unknown);
        for request in [Request::Unpause, Request::CheckPaused] {
            assert_eq!(kind(request, &Status::failed_precondition("?")), Unknown);
            assert_eq!(kind(request, &with_reason(Code::Aborted, "GATE_OPEN")), Unknown);
        }
        let codes = (0..=16).map(Code::from).filter(|code| *code != Code::Ok);
        let definite = codes.filter(|code| kind(Request::Unpause, &Status::new(*code, "")) == Rejected);
        assert_eq!(definite.count(), 4);
    }

    #[test]
    fn only_a_failed_dial_proves_that_a_request_never_left() {
        let refused = DialError::new("connection refused by 127.0.0.1:1".to_owned());
        let status = Status::from_error(Box::new(tonic::ConnectError(Box::new(refused))));
        let answer_to_it = answer(Request::Pause, &status, &ASKED);
        assert_eq!(answer_to_it, Answer::failed(Rejected, "connection refused by 127.0.0.1:1"));

        let reset = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        assert_eq!(kind(Request::Pause, &reset), Unknown);
        let refused_later = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        assert_eq!(kind(Request::Pause, &refused_later), Unknown);
    }

    #[test]
    fn a_refused_handshake_explains_a_lost_connection_but_no_answer() {
        let asked = Asked { refused: Some("no"), ..ASKED };
        let lost = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
        let rejected = Answer::failed(Rejected, "127.0.0.1:50053 refused the TLS handshake: no");
        assert_eq!(answer(Request::Pause, &lost, &asked), rejected);
        assert_eq!(answer(Request::Pause, &Status::internal(""), &asked).failure().map(|f| f.kind), Some(Unknown));
    }

    #[test]
    fn sentences_name_the_address_and_say_a_thing_once() {
        let text = |status: &Status| answer(Request::Pause, status, &ASKED).failure().expect("a failure").to_string();
        assert_eq!(text(&Status::deadline_exceeded("x")), "127.0.0.1:50053 did not answer within 3s");
        assert_eq!(text(&Status::internal("boom")), "127.0.0.1:50053 answered Internal: boom");
        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
        let status = Status::from_error(Box::new(reset));
        assert_eq!(text(&status), "the connection to 127.0.0.1:50053 was lost: connection reset");
    }
}
