use super::*;
use Flavour::{Scalardb, ScalardbNew, ScalardlNew, ScalardlOld};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A gate with one transaction open.
fn busy(flavour: Flavour) -> Gate {
    let mut gate = Gate::new(flavour);
    assert_eq!(gate.begin(), Entry::Admitted);
    gate
}

#[test]
fn an_idle_gate_closes_at_once_and_a_second_pauser_is_not_told() {
    for flavour in Flavour::ALL {
        let mut gate = Gate::new(flavour);
        gate.pause(ms(0), 1, Some(1000));
        gate.pause(ms(5), 2, Some(1000));
        assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::Ok), (2, PauseOutcome::Ok)]);
        assert!(gate.paused());
        gate.unpause(ms(6));
        gate.unpause(ms(7));
        assert!(!gate.paused());
        assert_eq!(gate.next_deadline(), None);
    }
}

#[test]
fn a_pause_is_acknowledged_when_the_last_transaction_ends_and_says_paused_meanwhile() {
    for flavour in Flavour::ALL {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(1000));
        assert!(gate.paused());
        assert_eq!(gate.drain_outcomes(), []);
        assert_eq!(gate.next_deadline(), Some(ms(1000)));
        gate.end(ms(400));
        assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::Ok)]);
        assert!(gate.paused());
    }
}

#[test]
fn a_drain_beyond_its_limit_fails_and_opens_the_gate() {
    for flavour in Flavour::ALL {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(1000));
        gate.advance(ms(999));
        assert!(gate.paused());
        gate.advance(ms(1000));
        assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::DrainTimeout)]);
        assert!(!gate.paused());
    }
}

#[test]
fn no_limit_means_thirty_seconds_and_zero_only_where_it_is_allowed() {
    for flavour in Flavour::ALL {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, None);
        assert_eq!(gate.next_deadline(), Some(DEFAULT_LIMIT));
    }
    for flavour in [Scalardb, ScalardlOld] {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(0));
        assert_eq!(gate.next_deadline(), Some(DEFAULT_LIMIT));
    }
    for (flavour, limit) in [(ScalardbNew, 0), (ScalardlNew, 0), (ScalardlNew, -1)] {
        let mut gate = Gate::new(flavour);
        gate.pause(ms(0), 1, Some(limit));
        assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::InvalidArgument)]);
        assert!(!gate.paused());
    }
    let mut gate = busy(ScalardlOld);
    gate.pause(ms(0), 1, Some(-1));
    assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::DrainTimeout)]);
}

#[test]
fn closed_gates_refuse_in_scalardb_and_hold_in_scalardl() {
    for flavour in Flavour::ALL {
        let mut gate = Gate::new(flavour);
        gate.pause(ms(0), 1, Some(1000));
        let entry = gate.begin();
        assert_eq!(entry, if flavour.refuses() { Entry::Refused } else { Entry::Held });
        assert_eq!(gate.outstanding(), 0);
        gate.unpause(ms(10));
        let admitted = u32::from(!flavour.refuses());
        assert_eq!((gate.take_admitted(), gate.take_admitted()), (admitted, 0));
        assert_eq!((gate.outstanding(), gate.held()), (admitted, 0));
    }
}

#[test]
fn scalardb_acknowledges_a_pause_whose_gate_was_opened_meanwhile() {
    let mut gate = busy(Scalardb);
    gate.pause(ms(0), 1, Some(1000));
    gate.unpause(ms(100));
    assert!(!gate.paused());
    gate.end(ms(200));
    assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::Ok)]);
    assert!(!gate.paused());
}

#[test]
fn a_drain_that_scalardb_forgot_to_end_opens_a_later_pause() {
    let mut gate = busy(Scalardb);
    gate.pause(ms(0), 1, Some(1000));
    gate.unpause(ms(100));
    gate.pause_at_once(ms(200), 2);
    gate.advance(ms(1000));
    assert_eq!(gate.drain_outcomes(), [(2, PauseOutcome::Ok), (1, PauseOutcome::DrainTimeout)]);
    assert!(!gate.paused());
}

#[test]
fn an_unpause_fails_a_draining_pause_in_scalardl() {
    for (flavour, outcome) in [
        (ScalardlOld, PauseOutcome::DrainTimeout),
        (ScalardlNew, PauseOutcome::GateOpen),
        (ScalardbNew, PauseOutcome::GateOpen),
    ] {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(1000));
        gate.unpause(ms(100));
        assert_eq!(gate.drain_outcomes(), [(1, outcome)]);
        assert!(!gate.paused());
    }
}

#[test]
fn a_second_pause_that_times_out_undoes_the_first_in_older_servers() {
    for (flavour, first) in [(Scalardb, PauseOutcome::Ok), (ScalardlOld, PauseOutcome::DrainTimeout)] {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(10_000));
        gate.pause(ms(10), 2, Some(500));
        gate.advance(ms(600));
        assert!(!gate.paused());
        gate.end(ms(700));
        let mut outcomes = gate.drain_outcomes();
        outcomes.sort_unstable();
        assert_eq!(outcomes, [(1, first), (2, PauseOutcome::DrainTimeout)]);
        assert!(!gate.paused());
    }
}

#[test]
fn a_timed_out_pause_over_one_that_stands_undoes_it_or_says_so() {
    for flavour in Flavour::ALL {
        let mut gate = busy(flavour);
        gate.pause_at_once(ms(0), 1);
        gate.pause(ms(10), 2, Some(500));
        gate.advance(ms(510));
        let (outcome, paused) = match flavour.tells_reasons() {
            true => (PauseOutcome::StillPaused, true),
            false => (PauseOutcome::DrainTimeout, false),
        };
        assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::Ok), (2, outcome)]);
        assert_eq!(gate.paused(), paused);
    }
}

#[test]
fn newer_servers_let_pauses_take_turns() {
    let mut gate = busy(ScalardlNew);
    gate.pause(ms(0), 1, Some(1000));
    gate.pause(ms(10), 2, Some(5000));
    gate.pause(ms(20), 3, Some(500));
    gate.pause_at_once(ms(30), 4);
    assert_eq!(gate.drain_outcomes(), [(4, PauseOutcome::InProgress)]);
    gate.advance(ms(520));
    assert_eq!(gate.drain_outcomes(), [(3, PauseOutcome::InProgress)]);
    gate.advance(ms(1000));
    assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::DrainTimeout)]);
    assert!(gate.paused(), "the second has its turn");
    gate.end(ms(1500));
    assert_eq!(gate.drain_outcomes(), [(2, PauseOutcome::Ok)]);
    assert!(gate.paused());
}

#[test]
fn an_unpause_hands_the_gate_to_the_pause_that_waits() {
    let mut gate = busy(ScalardlNew);
    gate.pause(ms(0), 1, Some(1000));
    assert_eq!(gate.begin(), Entry::Held);
    gate.pause(ms(10), 2, Some(5000));
    gate.unpause(ms(20));
    assert_eq!(gate.drain_outcomes(), [(1, PauseOutcome::GateOpen)]);
    assert!(gate.paused(), "closed by the second pause");
    assert_eq!((gate.take_admitted(), gate.outstanding()), (1, 2));
    gate.end(ms(30));
    gate.end(ms(40));
    assert_eq!(gate.drain_outcomes(), [(2, PauseOutcome::Ok)]);
}

#[test]
fn a_restart_opens_and_forgets_everything() {
    for flavour in Flavour::ALL {
        let mut gate = busy(flavour);
        gate.pause(ms(0), 1, Some(1000));
        gate.restart();
        assert_eq!(gate, Gate::new(flavour));
        gate.advance(ms(5000));
        assert_eq!(gate.drain_outcomes(), []);
    }
}
