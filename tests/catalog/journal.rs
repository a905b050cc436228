use crate::support::{
    Other, append_all, at, consistent, discarded, events, execute, intent, journals, open, places, refused, say, told,
};
use std::time::Duration;
use stillpoint::catalog::{AppendError, CatalogError, WindowRow};
use stillpoint::domain::{Code, Evidence, Reason, Trigger, Verdict};
use stillpoint::window::{Event, Journal, Phase};

#[tokio::test]
async fn what_was_appended_is_read_back_and_folds_to_the_same() {
    for place in places() {
        let catalog = open(&place).await;
        for (window, written) in [
            ("a", consistent("a", "payments", 0)),
            ("b", discarded("b", "payments", 100)),
            ("c", vec![refused("c", "x", 1)]),
        ] {
            append_all(&catalog, window, &written).await;
            let read = events(&catalog, window).await;
            assert_eq!(read, written);
            assert_eq!(Journal::fold(&read), Journal::fold(&written));
            assert!(catalog.journal(window).await.unwrap().iter().all(|entry| entry.epoch == catalog.epoch()));
        }
        catalog.integrity_check().await.unwrap();
    }
}

#[tokio::test]
async fn a_window_row_is_the_projection_of_its_journal() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
        append_all(&catalog, "b", &discarded("b", "payments", 100)).await;
        append_all(&catalog, "c", &[refused("c", "other", 200)]).await;
        append_all(&catalog, "d", &[intent("d", "other", 300)]).await;
        let row = catalog.window("a").await.unwrap().unwrap();
        let expected = WindowRow {
            window: "a".into(),
            group: "payments".into(),
            trigger: Trigger::Schedule,
            slot: Some(at(0)),
            started: at(0) + Duration::from_micros(123_456),
            phase: Phase::Closed,
            verdict: Some(Verdict::Consistent),
            reasons: vec![],
            evidence: Some(Evidence::Address),
            pause_completed: Some(at(1)),
            unpause_started: Some(at(11)),
            restore_point: Some(at(6)),
            closed: Some(Duration::from_micros(11_500_001)),
            members: 2,
        };
        assert_eq!(row, expected);
        let names = |rows: Vec<WindowRow>| rows.into_iter().map(|row| row.window).collect::<Vec<_>>();
        assert_eq!(names(catalog.history(None, 10).await.unwrap()), ["d", "c", "b", "a"]);
        assert_eq!(names(catalog.history(None, 2).await.unwrap()), ["d", "c"]);
        assert_eq!(names(catalog.history(Some("payments"), 10).await.unwrap()), ["b", "a"]);
        let points = catalog.points(None, 10).await.unwrap();
        assert_eq!(names(points.into_iter().map(|point| point.window).collect()), ["a"]);
        assert_eq!(catalog.points(Some("other"), 10).await.unwrap(), []);
        let discarded = catalog.window("b").await.unwrap().unwrap();
        assert_eq!((discarded.reasons[0].code, discarded.restore_point), (Code::Interrupted, None));
        let open = catalog.window("d").await.unwrap().unwrap();
        assert_eq!((open.phase, open.verdict, open.members), (Phase::Intended, None, 2));
        assert_eq!(catalog.window("e").await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_append_may_be_repeated_at_any_time() {
    for place in places() {
        let catalog = open(&place).await;
        let written = consistent("a", "payments", 0);
        for _ in 0..2 {
            append_all(&catalog, "a", &written).await;
        }
        for (number, event) in (0u32..).zip(&written) {
            let (one, two) = tokio::join!(catalog.append("a", number, event), catalog.append("a", number, event));
            one.unwrap();
            two.unwrap();
        }
        assert_eq!(events(&catalog, "a").await, written);
        let totals = catalog.totals().await.unwrap();
        assert_eq!((totals.len(), totals[0].count), (1, 1), "a repeated verdict is counted once");
    }
}

#[tokio::test]
async fn a_persons_pause_is_counted_neither_as_a_window_nor_as_discarded_in_a_row() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &discarded("a", "payments", 0)).await;
        append_all(&catalog, "b", &consistent("b", "payments", 100)).await;
        assert_eq!(catalog.discarded_in_a_row("payments").await.unwrap(), 0);
        for (window, second) in [("c", 200), ("d", 300)] {
            append_all(&catalog, window, &discarded(window, "payments", second)).await;
        }
        append_all(&catalog, "e", &[refused("e", "payments", 400)]).await;
        append_all(&catalog, "other", &discarded("other", "ledger", 500)).await;
        let mut by_hand = discarded("f", "payments", 600);
        let Event::Intended { plan, .. } = &mut by_hand[0] else { panic!("an intent comes first") };
        plan.trigger = Trigger::Hand;
        append_all(&catalog, "f", &by_hand).await;
        assert_eq!(catalog.discarded_in_a_row("payments").await.unwrap(), 2);
        assert_eq!(catalog.discarded_in_a_row("ledger").await.unwrap(), 1);
        assert_eq!(catalog.discarded_in_a_row("unheard-of").await.unwrap(), 0);
        let totals = catalog.totals().await.unwrap();
        let of_payments = totals.iter().filter(|total| total.group == "payments");
        let counts: Vec<_> = of_payments.map(|total| (total.verdict, total.count)).collect();
        assert_eq!(counts, [(Verdict::Consistent, 1), (Verdict::Discarded, 3), (Verdict::Refused, 1)]);
    }
}

#[tokio::test]
async fn another_event_at_a_number_conflicts_and_shows_what_stands() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &consistent("a", "payments", 0)[..2]).await;
        let other = Event::Paused { at: at(2) };
        let error = catalog.append("a", 1, &other).await.unwrap_err();
        assert!(
            matches!(&error, AppendError::Conflict { number: 1, stored, .. } if **stored == Event::Paused { at: at(1) })
        );
        assert!(!error.outcome_unknown());
        assert_eq!(events(&catalog, "a").await.len(), 2);
    }
}

#[tokio::test]
async fn only_the_next_number_and_a_legal_event_are_taken() {
    for place in places() {
        let catalog = open(&place).await;
        let written = consistent("a", "payments", 0);
        let gap = catalog.append("a", 1, &written[1]).await.unwrap_err();
        assert!(matches!(gap, AppendError::OutOfOrder { number: 1, next: 0, .. }), "{gap}");
        append_all(&catalog, "a", &written[..1]).await;
        let illegal = catalog.append("a", 1, &written[2]).await.unwrap_err();
        assert!(matches!(illegal, AppendError::Illegal { number: 1, .. }), "{illegal}");
        let misnamed = catalog.append("b", 0, &written[0]).await.unwrap_err();
        assert!(matches!(misnamed, AppendError::WrongWindow { .. }), "{misnamed}");
        assert_eq!(events(&catalog, "a").await, written[..1]);
        assert_eq!(catalog.history(None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn an_older_epoch_writes_nothing_more() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &[intent("a", "payments", 0)]).await;
        execute(&place, "UPDATE leader SET epoch = epoch + 1").await;
        let fenced = catalog.append("a", 1, &Event::Paused { at: at(1) }).await.unwrap_err();
        assert!(matches!(fenced, AppendError::Fenced { epoch: 1, current: 2 }), "{fenced}");
        let reason = Reason::new(Code::Busy, "x");
        for result in [
            catalog.start_slot("payments", at(0)).await,
            catalog.plan_slot("payments", at(0)).await,
            catalog.finish_slot("payments", at(0)).await,
            catalog.miss_slot("payments", at(0), &reason).await,
        ] {
            assert!(matches!(result, Err(CatalogError::Fenced { .. })));
        }
        assert_eq!(events(&catalog, "a").await.len(), 1);
        assert_eq!(catalog.last_slot("payments", at(0)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn reopening_continues_under_a_greater_epoch() {
    for place in places() {
        let written = consistent("a", "payments", 0);
        let mut epochs = Vec::new();
        for (number, event) in (0u32..).zip(&written) {
            let catalog = open(&place).await;
            let open_windows = journals(&catalog).await;
            let expected =
                if number == 0 { vec![] } else { vec![("a".to_owned(), written[..number as usize].to_vec())] };
            assert_eq!(open_windows, expected);
            catalog.append("a", number, event).await.unwrap();
            epochs.push(catalog.epoch());
            catalog.close().await.unwrap();
        }
        assert_eq!(epochs, [1, 2, 3, 4, 5]);
        let catalog = open(&place).await;
        assert_eq!(journals(&catalog).await, []);
        let written_by: Vec<i64> = catalog.journal("a").await.unwrap().iter().map(|entry| entry.epoch).collect();
        assert_eq!(written_by, epochs);
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_named_and_does_not_hide_the_others() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &[intent("a", "payments", 0), Event::Paused { at: at(1) }]).await;
        append_all(&catalog, "b", &[intent("b", "orders", 1), Event::Paused { at: at(2) }]).await;
        execute(&place, "UPDATE events SET body = '{\"event\":\"pau' WHERE number = 1 AND window_id = 'a'").await;
        let found = catalog.open_windows().await.unwrap();
        assert_eq!(found[0].damage.as_ref().unwrap().to_string(), "event 1 of window a cannot be read");
        assert_eq!(found[0].events, [intent("a", "payments", 0)], "its members are known");
        assert!(found[0].journal().open_intent());
        assert!(found[1].damage.is_none() && found[1].events.len() == 2);
        execute(&place, "DELETE FROM events WHERE number = 0 AND window_id = 'a'").await;
        let found = catalog.open_windows().await.unwrap();
        assert_eq!(found[0].damage.as_ref().unwrap().to_string(), "the journal of window a lacks event 0");
        assert!(found[0].events.is_empty() && found[1].damage.is_none());
    }
}

#[tokio::test]
async fn an_acknowledged_append_survives_kill_nine() {
    for place in places() {
        let mut seen = 0;
        for round in 0..5 {
            let mut other = Other::start("journal::appends_until_it_is_killed", &place);
            let mut acknowledged = Vec::new();
            for _ in 0..20 + 37 * round {
                acknowledged.push(other.next().expect("the child appends"));
            }
            other.kill();
            let catalog = open(&place).await;
            catalog.integrity_check().await.unwrap();
            for line in &acknowledged {
                let (window, number) = line.split_once(' ').unwrap();
                let written = consistent(window, "payments", 0);
                let read = events(&catalog, window).await;
                assert!(read.len() > number.parse().unwrap(), "{line} was acknowledged and is lost");
                assert_eq!(read[..], written[..read.len()]);
            }
            seen += acknowledged.len();
            assert!(catalog.open_windows().await.unwrap().len() <= round + 1, "only the last window of a life is open");
            catalog.close().await.unwrap();
        }
        assert_eq!(seen, 5 * 20 + 37 * 10);
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn appends_until_it_is_killed() {
    let Some(place) = told() else { return };
    let catalog = open(&place).await;
    for index in 0.. {
        let window = format!("w-{}-{index}", catalog.epoch());
        for (number, event) in (0u32..).zip(&consistent(&window, "payments", 0)) {
            catalog.append(&window, number, event).await.unwrap();
            say(&format!("{window} {number}"));
        }
    }
}
