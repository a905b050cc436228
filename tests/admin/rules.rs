//! Every row of the tables in facts.md, through the real client, in every flavour.

use crate::support::*;
use Flavour::{Scalardb, ScalardbNew, ScalardlNew, ScalardlOld};
use stillpoint::scalar::{Answer, FailureKind};
use stillpoint::sim::{Flavour, Request};

#[tokio::test]
async fn an_idle_member_closes_and_opens_and_never_tells_a_second_pauser() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        assert_eq!(client.check_paused(LONG).await, OPEN);
        assert_eq!(client.pause(ms(1000), LONG).await, Answer::Ok);
        assert_eq!(client.pause(ms(1000), LONG).await, Answer::Ok);
        assert_eq!(client.check_paused(LONG).await, CLOSED);
        assert_eq!(client.unpause(LONG).await, Answer::Ok);
        assert_eq!(client.unpause(LONG).await, Answer::Ok);
        assert_eq!(client.check_paused(LONG).await, OPEN);
        let expected = [("check", 3), ("pause", 2), ("unpause", 2)];
        assert_eq!(counted(&member).into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_draining_member_already_says_paused_and_acknowledges_only_when_drained() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        let transaction = member.begin_transaction().expect("an open gate");
        let pause = pause_beside(&member, LONG, LONG).await;
        until("the gate to close", || member.is_paused()).await;
        assert_eq!(client.check_paused(LONG).await, CLOSED);
        assert!(!pause.is_finished());
        drop(transaction);
        assert_eq!(pause.await.unwrap(), Answer::Ok);
        assert!(member.is_paused());
    }
}

#[tokio::test]
async fn a_drain_beyond_its_limit_is_told_and_leaves_the_member_open() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        let _transaction = member.begin_transaction().expect("an open gate");
        let answer = client.pause(ms(60), LONG).await;
        assert_eq!(kind(&answer), FailureKind::DrainTimeout, "{flavour:?}: {answer:?}");
        assert_eq!(client.check_paused(LONG).await, OPEN);
    }
}

#[tokio::test]
async fn a_positive_limit_is_always_sent() {
    let (member, client) = start(ScalardlNew);
    assert_eq!(client.pause(ms(0), LONG).await, Answer::Ok);
    let sent = member.calls()[0].request;
    assert_eq!(sent, Request::Pause { wait_outstanding: true, limit_ms: Some(1) });
}

#[tokio::test]
async fn newer_servers_reject_a_limit_of_nothing_and_older_ones_take_it() {
    for flavour in Flavour::ALL {
        for limit in [0, -1] {
            let (member, _client) = start(flavour);
            let result = raw_pause(&member, true, Some(limit)).await;
            let rejected = result.is_err_and(|status| status.code() == tonic::Code::InvalidArgument);
            assert_eq!((rejected, member.is_paused()), (flavour.tells_reasons(), !flavour.tells_reasons()));
        }
    }
}

#[tokio::test]
async fn a_second_pause_that_times_out_undoes_the_first_in_older_servers_and_waits_its_turn_in_newer() {
    for (flavour, second, first, paused) in [
        (Scalardb, FailureKind::DrainTimeout, None, false),
        (ScalardlOld, FailureKind::DrainTimeout, Some(FailureKind::DrainTimeout), false),
        (ScalardlNew, FailureKind::PauseInProgress, None, true),
        (ScalardbNew, FailureKind::PauseInProgress, None, true),
    ] {
        let (member, client) = start(flavour);
        let transaction = member.begin_transaction().expect("an open gate");
        let pause = pause_beside(&member, LONG, LONG).await;
        assert_eq!(kind(&client.pause(ms(60), LONG).await), second, "{flavour:?}");
        assert_eq!(member.is_paused(), paused, "{flavour:?}");
        drop(transaction);
        let answer = pause.await.unwrap();
        assert_eq!(answer.failure().map(|failure| failure.kind), first, "{flavour:?}: {answer:?}");
        assert_eq!(member.is_paused(), paused, "{flavour:?}");
    }
}

#[tokio::test]
async fn a_pause_that_times_out_over_one_that_stands_says_so_only_in_newer_servers() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        let _transaction = member.begin_transaction().expect("an open gate");
        raw_pause(&member, false, None).await.expect("taken at once");
        let answer = client.pause(ms(60), LONG).await;
        let (expected, paused) = match flavour.tells_reasons() {
            true => (FailureKind::StillPausedByOther, CLOSED),
            false => (FailureKind::DrainTimeout, OPEN),
        };
        assert_eq!(kind(&answer), expected, "{flavour:?}: {answer:?}");
        assert_eq!(client.check_paused(LONG).await, paused);
    }
}

#[tokio::test]
async fn a_pause_that_does_not_wait_is_told_of_the_one_that_drains_only_in_newer_servers() {
    for flavour in Flavour::ALL {
        let (member, _client) = start(flavour);
        let transaction = member.begin_transaction().expect("an open gate");
        let pause = pause_beside(&member, LONG, LONG).await;
        let result = raw_pause(&member, false, None).await;
        assert_eq!(result.is_err_and(|status| status.code() == tonic::Code::Aborted), flavour.tells_reasons());
        drop(transaction);
        assert_eq!(pause.await.unwrap(), Answer::Ok);
    }
}

#[tokio::test]
async fn an_unpause_while_a_pause_drains_is_seen_by_the_pauser_except_on_scalardb_server() {
    for (flavour, expected) in [
        (Scalardb, None),
        (ScalardlOld, Some(FailureKind::DrainTimeout)),
        (ScalardlNew, Some(FailureKind::GateOpened)),
        (ScalardbNew, Some(FailureKind::GateOpened)),
    ] {
        let (member, client) = start(flavour);
        let transaction = member.begin_transaction().expect("an open gate");
        let pause = pause_beside(&member, LONG, LONG).await;
        assert_eq!(client.unpause(LONG).await, Answer::Ok);
        drop(transaction);
        let answer = pause.await.unwrap();
        assert_eq!(answer.failure().map(|failure| failure.kind), expected, "{flavour:?}: {answer:?}");
        assert_eq!(client.check_paused(LONG).await, OPEN, "acknowledged or not, {flavour:?} is open");
    }
}

#[tokio::test]
async fn a_client_that_gives_up_leaves_the_drain_going_and_the_member_paused() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        let transaction = member.begin_transaction().expect("an open gate");
        let answer = client.pause(LONG, ms(80)).await;
        assert_eq!(kind(&answer), FailureKind::Unknown);
        assert_eq!(detail(&answer), format!("{} did not answer within 80ms", member.address()));
        drop(transaction);
        assert_eq!(client.check_paused(LONG).await, CLOSED);
        assert_eq!(client.unpause(LONG).await, Answer::Ok);
        assert!(!member.is_paused());
    }
}

#[tokio::test]
async fn transactions_are_refused_by_scalardb_and_held_by_scalardl_until_the_unpause() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
        assert!(member.begin_transaction().is_none());
        let transaction = member.transact(ms(1));
        tokio::pin!(transaction);
        match tokio::time::timeout(ms(50), &mut transaction).await {
            Ok(committed) => assert!(!committed && flavour.refuses()),
            Err(_) => {
                assert!(!flavour.refuses());
                assert_eq!(client.unpause(LONG).await, Answer::Ok);
                assert!(tokio::time::timeout(LONG, transaction).await.expect("let in"));
            }
        }
    }
}

#[tokio::test]
async fn a_held_transaction_runs_even_when_its_client_gave_up() {
    let (member, client) = start(ScalardlOld);
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
    assert!(tokio::time::timeout(ms(20), member.transact(ms(1))).await.is_err());
    assert_eq!(client.unpause(LONG).await, Answer::Ok);
    until("it to have run", || member.outstanding() == 0).await;
    assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
}

#[tokio::test]
async fn a_member_under_load_drains_and_commits_nothing_while_it_is_closed() {
    for flavour in Flavour::ALL {
        let (member, client) = start(flavour);
        let load = member.load(8, ms(3));
        until("transactions", || load.committed() > 20).await;
        assert_eq!(client.pause(LONG, LONG).await, Answer::Ok);
        assert_eq!(member.outstanding(), 0);
        let before = load.committed();
        tokio::time::sleep(ms(50)).await;
        // The last client of all may count its commit a moment after it ended.
        assert!(load.committed() - before <= 8);
        assert_eq!(member.outstanding(), 0);
        let before = load.committed();
        assert_eq!(client.unpause(LONG).await, Answer::Ok);
        until("transactions again", || load.committed() > before + 20).await;
    }
}
