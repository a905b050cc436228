//! Deadlines, lost connections, restarts: what is known of a request then, and what is not.

use crate::support::*;
use std::time::Instant;
use stillpoint::scalar::{Answer, FailureKind};
use stillpoint::sim::Flavour;

#[tokio::test]
async fn a_hung_member_is_given_up_at_the_deadline_and_its_pause_lands_late() {
    let (member, client) = start(Flavour::Scalardb);
    assert_eq!(client.check_paused(LONG).await, OPEN);
    member.hang();
    let asked = Instant::now();
    let answer = client.pause(ms(50), ms(150)).await;
    assert_eq!(kind(&answer), FailureKind::Unknown);
    assert!(asked.elapsed() < ms(1000), "{:?}", asked.elapsed());
    assert_eq!(kind(&client.check_paused(ms(50)).await), FailureKind::Unknown);
    assert!(!member.is_paused());
    member.release();
    until("the pause whose client gave up", || member.is_paused()).await;
}

#[tokio::test]
async fn a_pause_whose_answer_is_lost_has_happened() {
    let (member, client) = start(Flavour::ScalardlNew);
    member.lose_answers(1);
    assert_eq!(kind(&client.pause(ms(50), ms(150)).await), FailureKind::Unknown);
    assert_eq!(client.check_paused(LONG).await, CLOSED);
}

#[tokio::test]
async fn a_black_holed_connection_answers_nothing_and_a_new_one_does() {
    let (member, client) = start(Flavour::ScalardlOld);
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
    member.black_hole();
    assert_eq!(kind(&client.unpause(ms(150)).await), FailureKind::Unknown);
    assert_eq!(kind(&client.unpause(ms(150)).await), FailureKind::Unknown, "the same connection, still dead");
    client.reconnect();
    assert_eq!(client.unpause(LONG).await, Answer::Ok);
    assert!(!member.is_paused());
    assert_eq!(counted(&member)["unpause"], 1, "what was sent into the black hole never arrived");
}

#[tokio::test]
async fn a_restarted_member_is_open_and_answers_the_same_client() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
        member.restart().await.expect("the same address");
        // The first request may meet the dead connection; it is not repeated by the client itself.
        let mut answer = client.check_paused(LONG).await;
        if answer != OPEN {
            assert_eq!(kind(&answer), FailureKind::Unknown, "{answer:?}");
            answer = client.check_paused(LONG).await;
        }
        assert_eq!(answer, OPEN);
    }
}

#[tokio::test]
async fn a_pause_takes_no_new_connection_in_place_of_a_lost_one() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        assert_eq!(client.check_paused(LONG).await, OPEN);
        member.restart().await.expect("the same address");
        let answer = client.pause(LONG, LONG).await;
        assert!(matches!(kind(&answer), FailureKind::Rejected | FailureKind::Unknown), "{answer:?}");
        assert_eq!(counted(&member).get("pause"), None, "whoever is at the address now was not paused");
        assert_eq!(client.check_paused(LONG).await, OPEN, "anything else may connect again");
    }
}

#[tokio::test]
async fn a_request_to_nobody_never_left() {
    let address = nobody();
    let client = client_of(address);
    for answer in [client.pause(LONG, LONG).await, client.unpause(LONG).await, client.check_paused(LONG).await] {
        assert_eq!(answer, Answer::failed(FailureKind::Rejected, format!("connection refused by {address}")));
    }
}

#[tokio::test]
async fn a_stopped_member_refuses_a_client_that_was_connected() {
    let (member, client) = start(Flavour::Scalardb);
    assert_eq!(client.check_paused(LONG).await, OPEN);
    member.stop();
    let refused = Answer::failed(FailureKind::Rejected, format!("connection refused by {}", member.address()));
    let give_up = Instant::now() + LONG;
    loop {
        let answer = client.check_paused(LONG).await;
        if answer == refused {
            break;
        }
        assert_eq!(kind(&answer), FailureKind::Unknown, "{answer:?}");
        assert!(Instant::now() < give_up, "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_dies_under_a_request_leaves_its_outcome_unknown() {
    let (member, _client) = start(Flavour::ScalardlOld);
    let _transaction = member.begin_transaction().expect("an open gate");
    let pause = pause_beside(&member, LONG, LONG).await;
    member.stop();
    let answer = pause.await.unwrap();
    assert_eq!(kind(&answer), FailureKind::Unknown);
    assert!(detail(&answer).starts_with(&format!("the connection to {} was lost: ", member.address())), "{answer:?}");
}

#[tokio::test]
async fn a_refused_unpause_is_told_and_the_next_one_opens() {
    let (member, client) = start(Flavour::Scalardb);
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
    member.refuse_unpause(2);
    for _ in 0..2 {
        let answer = client.unpause(LONG).await;
        assert_eq!(kind(&answer), FailureKind::Unknown);
        assert!(detail(&answer).ends_with("answered Unavailable: the stand-in was told to refuse"), "{answer:?}");
    }
    assert!(member.is_paused());
    assert_eq!(client.unpause(LONG).await, Answer::Ok);
    assert!(!member.is_paused());
}

#[tokio::test]
async fn an_address_that_cannot_be_dialled_is_rejected_with_the_reason() {
    // A label of 64 letters is no host name, so that no DNS server is asked.
    let long = format!("{}:50053", "a".repeat(64));
    for (address, reason) in [
        (long.as_str(), format!("the host name of {long} cannot be resolved")),
        ("not an address", "not an address is not host:port".to_owned()),
    ] {
        let answer = client_of(address).check_paused(LONG).await;
        assert_eq!(kind(&answer), FailureKind::Rejected);
        assert!(detail(&answer).starts_with(&reason), "{answer:?}");
    }
}

#[tokio::test]
async fn a_listener_that_hangs_up_or_says_nothing_is_unknown() {
    let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let client = client_of(listener.local_addr().unwrap());
    let silent = client.check_paused(ms(200)).await;
    assert_eq!(kind(&silent), FailureKind::Unknown);
    assert!(detail(&silent).ends_with("did not answer within 200ms"), "{silent:?}");
    client.reconnect();
    let hang_up = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let answer = tokio::select! {
        answer = client.check_paused(LONG) => answer,
        () = hang_up => unreachable!("it never ends"),
    };
    assert_eq!(kind(&answer), FailureKind::Unknown, "{answer:?}");
}

#[tokio::test]
async fn a_delayed_member_answers_late_but_answers() {
    let (member, client) = start(Flavour::Scalardb);
    member.delay(ms(120));
    let asked = Instant::now();
    assert_eq!(client.check_paused(LONG).await, OPEN);
    assert!(asked.elapsed() >= ms(120));
}
