use crate::support::{START, append_all, at, consistent, discarded, open, places, refused};
use jiff::Timestamp;
use std::collections::BTreeSet;
use stillpoint::catalog::{Catalog, Listener};
use stillpoint::domain::{Code, Notice, Reason, Trigger};
use stillpoint::stores::Capture;
use stillpoint::tracking::track::State;
use stillpoint::window::Event;

fn listener(name: &str, groups: Option<&[&str]>, notices: &[Notice]) -> Listener {
    Listener {
        name: name.into(),
        groups: groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect()),
        notices: notices.iter().copied().collect(),
    }
}

async fn ids(catalog: &Catalog, name: &str) -> Vec<String> {
    catalog.waiting(name).await.unwrap().into_iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn a_verdict_is_noted_with_it_once_for_each_who_listens() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.listen(vec![
            listener("all", None, Notice::ALL),
            listener("bad", None, &[Notice::WindowDiscarded, Notice::WindowRefused]),
            listener("ledger", Some(&["ledger"]), Notice::ALL),
        ]);
        let mut news = catalog.news();
        news.mark_unchanged();
        let journals = [
            ("a", consistent("a", "payments", 0)),
            ("b", discarded("b", "payments", 100)),
            ("c", vec![refused("c", "ledger", 200)]),
        ];
        for (window, events) in &journals {
            append_all(&catalog, window, &events[..events.len() - 1]).await;
            assert!(!ids(&catalog, "all").await.iter().any(|id| id.starts_with(window)), "none before its verdict");
            for _ in 0..2 {
                append_all(&catalog, window, events).await;
            }
        }
        assert!(news.has_changed().unwrap());
        assert_eq!(ids(&catalog, "all").await, ["a/window-consistent", "b/window-discarded", "c/window-refused"]);
        assert_eq!(ids(&catalog, "bad").await, ["b/window-discarded", "c/window-refused"]);
        assert_eq!(ids(&catalog, "ledger").await, ["c/window-refused"]);
        catalog.close().await.unwrap();
        let catalog = open(&place).await;
        assert_eq!(ids(&catalog, "all").await.len(), 3, "whoever opens it next tells them");
        let message = catalog.message("all", "b/window-discarded").await.unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(event["source"], format!("/stillpoint/{}/groups/payments", catalog.identity()));
        assert_eq!((&event["data"]["verdict"], &event["data"]["recorded"]), (&"discarded".into(), &true.into()));
        catalog.told("all", "b/window-discarded").await.unwrap();
        catalog.told("all", "b/window-discarded").await.unwrap();
        assert_eq!(ids(&catalog, "all").await, ["a/window-consistent", "c/window-refused"]);
        assert_eq!(ids(&catalog, "bad").await.len(), 2, "each has its own");
    }
}

#[tokio::test]
async fn nothing_is_noted_for_nobody_and_a_pause_by_hand_is_no_window() {
    for place in places() {
        let catalog = open(&place).await;
        append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
        catalog.listen(vec![listener("all", None, Notice::ALL)]);
        let mut by_hand = discarded("b", "payments", 100);
        if let Event::Intended { plan, .. } = &mut by_hand[0] {
            plan.trigger = Trigger::Hand;
        }
        append_all(&catalog, "b", &by_hand).await;
        assert_eq!(ids(&catalog, "all").await, [""; 0]);
    }
}

#[tokio::test]
async fn a_missed_slot_is_noted_once() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.listen(vec![listener("all", None, Notice::ALL)]);
        let reason = Reason::new(Code::NotRunning, "no daemon ran");
        for expected in [true, false] {
            assert_eq!(catalog.miss_slot("payments", at(0), &reason).await.unwrap(), expected);
        }
        let waiting = ids(&catalog, "all").await;
        assert_eq!(waiting.len(), 1);
        let message = catalog.message("all", &waiting[0]).await.unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(event["type"], "io.stillpoint.slot.missed");
        assert_eq!(event["data"]["slot"].as_str(), Some(at(0).to_string().as_str()));
        assert_eq!(event["data"]["reasons"][0]["code"], "not_running");
    }
}

#[tokio::test]
async fn a_restore_points_way_is_noted_state_by_state_and_saving_it_again_tells_nothing() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.listen(vec![listener("points", None, &Notice::ALL[4..])]);
        for store in ["orders", "billing"] {
            catalog.capture("a", store, &Capture::default()).await.unwrap();
        }
        append_all(&catalog, "a", &consistent("a", "payments", 0)).await;
        let [billing, orders] = catalog.tracks("a").await.unwrap().try_into().unwrap();
        for state in
            [State::Waiting, State::Restorable, State::Materializing, State::Failed, State::Expiring, State::Expired]
        {
            for _ in 0..2 {
                catalog.save_track(&stillpoint::tracking::track::Track { state, ..orders.clone() }).await.unwrap();
            }
        }
        catalog.save_track(&stillpoint::tracking::track::Track { state: State::Lost, ..billing }).await.unwrap();
        let mut noted = ids(&catalog, "points").await;
        assert!(noted[1].starts_with("a/point-failed/orders/"), "a failure has its second: {noted:?}");
        noted.remove(1);
        assert_eq!(noted, ["a/point-restorable/orders", "a/point-expired/orders", "a/point-lost/billing"]);
        let message = catalog.message("points", "a/point-lost/billing").await.unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!((&event["data"]["store"], &event["data"]["state"]), (&"billing".into(), &"lost".into()));
    }
}

#[tokio::test]
async fn what_nobody_takes_is_bounded_by_age_and_number_and_what_nobody_listens_for_goes() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.listen(vec![listener("slow", None, Notice::ALL), listener("gone", None, Notice::ALL)]);
        for index in 0..10 {
            let window = format!("w{index}");
            append_all(&catalog, &window, &[refused(&window, "payments", index)]).await;
        }
        let long_ago = Timestamp::from_second(START - 1_000_000_000).unwrap();
        assert_eq!(catalog.give_up("slow", long_ago, 10).await.unwrap(), 0);
        assert_eq!(catalog.give_up("slow", long_ago, 4).await.unwrap(), 6);
        let left: Vec<String> = (6..10).map(|index| format!("w{index}/window-refused")).collect();
        assert_eq!(ids(&catalog, "slow").await, left, "the newest stay, in their order");
        let soon = Timestamp::from_second(i64::from(u32::MAX)).unwrap();
        assert_eq!(catalog.give_up("slow", soon, 10).await.unwrap(), 4);
        catalog.listen(vec![listener("slow", None, Notice::ALL)]);
        let others: BTreeSet<String> = catalog.forget_others().await.unwrap().into_iter().collect();
        assert_eq!(others, BTreeSet::from(["gone".to_owned()]));
        assert_eq!(ids(&catalog, "gone").await, [""; 0]);
    }
}
