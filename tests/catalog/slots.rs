use crate::support::{append_all, at, consistent, discarded, intent, open, places, raw, refused};
use std::time::Duration;
use stillpoint::catalog::{SlotState, Total};
use stillpoint::domain::{Code, Reason, Trigger, Verdict};

#[tokio::test]
async fn a_slot_is_started_exactly_once() {
    for place in places() {
        let catalog = open(&place).await;
        assert!(catalog.plan_slot("payments", at(0), "hourly").await.unwrap());
        assert!(!catalog.plan_slot("payments", at(0), "hourly").await.unwrap());
        let attempts = (0..20).map(|_| {
            let catalog = catalog.clone();
            async move { catalog.start_slot("payments", at(0)).await.unwrap() }
        });
        let started = futures_util::future::join_all(attempts).await;
        assert_eq!(started.into_iter().filter(|won| *won).count(), 1);
        assert!(!catalog.plan_slot("payments", at(0), "hourly").await.unwrap(), "planning again does not reset it");
        catalog.close().await.unwrap();
        let catalog = open(&place).await;
        assert!(!catalog.start_slot("payments", at(0)).await.unwrap(), "nor after a restart");
        assert!(catalog.start_slot("payments", at(60)).await.unwrap(), "an unplanned slot may start");
        assert!(catalog.start_slot("other", at(0)).await.unwrap(), "groups do not share slots");
    }
}

/// A database that fails over to a standby without the last changes may have lost the one and not the other.
#[tokio::test]
async fn a_slot_that_a_window_was_begun_for_never_starts_though_its_own_row_is_lost() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "w0", &consistent("w0", "payments", 0)).await;
        append_all(&catalog, "w60", &[intent("w60", "payments", 60)]).await;
        for second in [0, 60] {
            assert!(!catalog.start_slot("payments", at(second)).await.unwrap());
        }
        assert!(catalog.start_slot("other", at(0)).await.unwrap());
        let early = Reason::new(Code::Slept, "the clock was wrong");
        assert!(catalog.miss_slot("payments", at(120), &early).await.unwrap());
        assert!(catalog.plan_slot("payments", at(120), "hourly").await.unwrap());
        assert!(catalog.start_slot("payments", at(120)).await.unwrap(), "one that was missed has no window");
    }
}

#[tokio::test]
async fn attempts_are_counted_while_the_slot_runs() {
    for place in places() {
        let catalog = open(&place).await;
        assert_eq!(catalog.count_attempt("payments", at(0)).await.unwrap(), None);
        catalog.plan_slot("payments", at(0), "hourly").await.unwrap();
        assert_eq!(catalog.count_attempt("payments", at(0)).await.unwrap(), None);
        catalog.start_slot("payments", at(0)).await.unwrap();
        assert_eq!(catalog.count_attempt("payments", at(0)).await.unwrap(), Some(2));
        assert_eq!(catalog.count_attempt("payments", at(0)).await.unwrap(), Some(3));
        assert!(catalog.finish_slot("payments", at(0)).await.unwrap());
        assert!(!catalog.finish_slot("payments", at(0)).await.unwrap());
        assert_eq!(catalog.count_attempt("payments", at(0)).await.unwrap(), None);
        let last = catalog.last_slot("payments", at(0)).await.unwrap().unwrap();
        assert_eq!((last.state, last.attempts, last.slot), (SlotState::Done, 3, at(0)));
    }
}

#[tokio::test]
async fn a_missed_slot_is_in_the_history_once() {
    for place in places() {
        let catalog = open(&place).await;
        let reason = Reason::new(Code::Interrupted, "no daemon ran at the time");
        catalog.plan_slot("payments", at(0), "hourly").await.unwrap();
        assert!(catalog.miss_slot("payments", at(0), &reason).await.unwrap());
        assert!(!catalog.miss_slot("payments", at(0), &reason).await.unwrap());
        assert!(!catalog.start_slot("payments", at(0)).await.unwrap());
        catalog.start_slot("payments", at(60)).await.unwrap();
        catalog.finish_slot("payments", at(60)).await.unwrap();
        assert!(!catalog.miss_slot("payments", at(60), &reason).await.unwrap(), "a slot that is done was not missed");
        let history = catalog.history(Some("payments"), 10).await.unwrap();
        let [row] = history.as_slice() else { panic!("one row, not {history:?}") };
        assert_eq!((row.verdict, row.slot, row.started), (Some(Verdict::Missed), Some(at(0)), at(0)));
        assert_eq!((row.trigger, &row.reasons), (Trigger::Schedule, &vec![reason]));
        assert_eq!(catalog.journal(&row.window).await.unwrap(), []);
        assert!(catalog.open_windows().await.unwrap().is_empty());
        assert_eq!(catalog.points(None, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn what_a_dead_process_left_unfinished_is_found() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.start_slot("payments", at(60)).await.unwrap();
        catalog.start_slot("payments", at(0)).await.unwrap();
        catalog.finish_slot("payments", at(0)).await.unwrap();
        catalog.plan_slot("payments", at(120), "hourly").await.unwrap();
        catalog.plan_slot("other", at(180), "hourly").await.unwrap();
        catalog.close().await.unwrap();
        let catalog = open(&place).await;
        let left = catalog.unfinished_slots("payments").await.unwrap();
        let left: Vec<_> = left.into_iter().map(|row| (row.slot, row.state, row.epoch)).collect();
        let planned = |slot| (at(slot), SlotState::Planned, 1);
        assert_eq!(left, [(at(60), SlotState::Running, 1), planned(120)]);
        let last = async |group: &str, until| catalog.last_slot(group, at(until)).await.unwrap().map(|row| row.slot);
        assert_eq!(last("payments", 120).await, Some(at(120)));
        assert_eq!(last("payments", 119).await, Some(at(60)), "one that is still to come is not the last");
        assert_eq!(last("other", 179).await, None);
    }
}

#[tokio::test]
async fn metrics_are_told_from_the_catalog() {
    for place in places() {
        let catalog = open(&place).await;
        assert_eq!(catalog.group_seen("payments", at(5)).await.unwrap(), at(5));
        assert_eq!(catalog.group_seen("payments", at(9)).await.unwrap(), at(5), "the first time stays");
        assert_eq!(catalog.last_consistent("payments").await.unwrap(), None);
        for second in [0, 100] {
            let window = format!("a{second}");
            append_all(&catalog, &window, &consistent(&window, "payments", second)).await;
        }
        append_all(&catalog, "b", &discarded("b", "payments", 200)).await;
        append_all(&catalog, "c", &[refused("c", "other", 200)]).await;
        append_all(&catalog, "d", &[intent("d", "other", 300)]).await;
        catalog.miss_slot("other", at(0), &Reason::new(Code::Busy, "x")).await.unwrap();
        assert_eq!(catalog.last_consistent("payments").await.unwrap(), Some(at(106)));
        assert_eq!(catalog.last_consistent("other").await.unwrap(), None);
        let total = |group: &str, verdict, reason_code: &str, count| Total {
            group: group.into(),
            verdict,
            reason_code: reason_code.into(),
            count,
        };
        let expected = [
            total("other", Verdict::Missed, "busy", 1),
            total("other", Verdict::Refused, "already_paused", 1),
            total("payments", Verdict::Consistent, "", 2),
            total("payments", Verdict::Discarded, "interrupted", 1),
        ];
        assert_eq!(catalog.totals().await.unwrap(), expected);
        assert!(catalog.size_bytes().await.unwrap() >= 4096);
    }
}

#[tokio::test]
async fn a_schedule_that_is_withdrawn_takes_back_what_was_planned_and_nothing_else() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.start_slot("payments", at(120)).await.unwrap();
        catalog.plan_slot("payments", at(180), "hourly").await.unwrap();
        catalog.plan_slot("other", at(180), "hourly").await.unwrap();
        assert!(!catalog.unplan_slots("payments", at(180)).await.unwrap(), "what has passed is still to be told");
        assert!(catalog.unplan_slots("payments", at(30)).await.unwrap());
        assert!(!catalog.unplan_slots("payments", at(30)).await.unwrap(), "again is harmless");
        assert_eq!(catalog.planned_by("payments").await.unwrap(), None);
        assert_eq!(catalog.planned_by("other").await.unwrap().as_deref(), Some("hourly"));
        let left = |rows: Vec<stillpoint::catalog::SlotRow>| rows.iter().map(|row| row.slot).collect::<Vec<_>>();
        assert_eq!(left(catalog.unfinished_slots("payments").await.unwrap()), [at(120)]);
        assert_eq!(left(catalog.unfinished_slots("other").await.unwrap()), [at(180)]);
    }
}

#[tokio::test]
async fn a_slot_that_is_skipped_is_in_the_history_but_in_no_total() {
    for place in places() {
        let catalog = open(&place).await;
        let reason = Reason::new(Code::Blackout, "a blackout covered the slot");
        catalog.plan_slot("payments", at(0), "hourly").await.unwrap();
        assert!(catalog.skip_slot("payments", at(0), &reason).await.unwrap());
        assert!(!catalog.skip_slot("payments", at(0), &reason).await.unwrap());
        assert!(!catalog.miss_slot("payments", at(0), &reason).await.unwrap(), "it was not missed");
        assert!(!catalog.start_slot("payments", at(0)).await.unwrap());
        catalog.start_slot("payments", at(60)).await.unwrap();
        assert!(!catalog.skip_slot("payments", at(60), &reason).await.unwrap(), "it runs");
        let history = catalog.history(None, 10).await.unwrap();
        let [row] = history.as_slice() else { panic!("one row, not {history:?}") };
        assert_eq!((row.verdict, row.slot, &row.reasons), (Some(Verdict::Skipped), Some(at(0)), &vec![reason]));
        assert_eq!(catalog.totals().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_slot_that_a_wrong_clock_passed_over_is_planned_again_and_one_that_ran_is_not() {
    for place in places() {
        let catalog = open(&place).await;
        let reason = Reason::new(Code::Slept, "the clock was set past it");
        catalog.miss_slot("payments", at(0), &reason).await.unwrap();
        catalog.skip_slot("payments", at(60), &reason).await.unwrap();
        catalog.start_slot("payments", at(120)).await.unwrap();
        catalog.finish_slot("payments", at(120)).await.unwrap();
        for (slot, again) in [(0, true), (60, true), (120, false)] {
            assert_eq!(catalog.plan_slot("payments", at(slot), "hourly").await.unwrap(), again, "{slot}");
            assert_eq!(catalog.start_slot("payments", at(slot)).await.unwrap(), again, "{slot}");
            assert!(!catalog.start_slot("payments", at(slot)).await.unwrap(), "{slot} runs once");
        }
    }
}

#[tokio::test]
async fn planning_a_slot_forgets_what_another_schedule_had_planned() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.plan_slot("other", at(30), "hourly").await.unwrap();
        catalog.start_slot("payments", at(0)).await.unwrap();
        catalog.plan_slot("payments", at(60), "hourly").await.unwrap();
        catalog.plan_slot("payments", at(45), "hourly").await.unwrap();
        let left = catalog.unfinished_slots("payments").await.unwrap();
        assert_eq!(left.iter().map(|row| row.slot).collect::<Vec<_>>(), [at(0), at(45)]);
        assert_eq!(catalog.unfinished_slots("other").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn time_closed_is_added_up_whatever_the_verdict_and_outlives_the_windows() {
    for place in places() {
        let catalog = open(&place).await;
        assert_eq!(catalog.closed("payments", None).await.unwrap(), Duration::ZERO);
        append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
        append_all(&catalog, "b", &discarded("b", "payments", 7200)).await;
        append_all(&catalog, "c", &[refused("c", "payments", 9000)]).await;
        append_all(&catalog, "d", &[intent("d", "payments", 9900)]).await;
        append_all(&catalog, "e", &consistent("e", "other", 0)).await;
        let closed = async |window: &str| catalog.window(window).await.unwrap().unwrap().closed.unwrap_or_default();
        let (first, second) = (closed("a").await, closed("b").await);
        assert!(!first.is_zero() && !second.is_zero(), "{first:?} {second:?}");
        assert_eq!(catalog.closed("payments", None).await.unwrap(), first + second);
        assert_eq!(catalog.closed("payments", Some(at(3600))).await.unwrap(), second);
        assert_eq!(catalog.closed("payments", Some(at(14_400))).await.unwrap(), Duration::ZERO);
        catalog.close().await.unwrap();
        let mut connection = raw(&place).await;
        for table in ["events", "windows"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut connection).await.unwrap();
        }
        drop(connection);
        assert_eq!(open(&place).await.closed("payments", None).await.unwrap(), first + second);
    }
}
