use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use stillpoint::aws::{Fault, FaultKind};
use stillpoint::stores::Seen;
use stillpoint::tracking::track::{Parts, State, TYPICAL_LAG, Track, WATCH_EVERY, until};

const DAY: i64 = 86_400;
const POINT: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(POINT + second).unwrap()
}

fn parts() -> Parts {
    [("a", "id-a"), ("b", "id-b")].map(|(name, identity)| (name.to_owned(), identity.to_owned())).into()
}

fn seen(identity: &str, latest: i64) -> Seen {
    Seen {
        identity: Some(identity.into()),
        recovery: true,
        earliest: Some(at(-30 * DAY)),
        latest: Some(at(latest)),
        retention: Duration::from_secs(35 * DAY.unsigned_abs()),
    }
}

type Looked = BTreeMap<String, Result<Seen, Fault>>;

/// What both parts say.
fn both(a: Seen, b: Seen) -> Looked {
    BTreeMap::from([("a".to_owned(), Ok(a)), ("b".to_owned(), Ok(b))])
}

fn passed() -> Looked {
    both(seen("id-a", 10), seen("id-b", 20))
}

fn track(state: State) -> Track {
    Track { state, ..Track::new("w".into(), "payments".into(), "orders".into(), at(0)) }
}

/// The state and reason that a look leaves behind.
fn after(state: State, looked: &Looked, now: i64) -> (State, Option<String>) {
    let mut track = track(state);
    track.look(&parts(), looked, at(now));
    (track.state, track.reason)
}

fn because(state: State, why: &str) -> (State, Option<String>) {
    (state, Some(why.to_owned()))
}

#[test]
fn a_point_is_restorable_when_every_part_has_passed_it() {
    let mut track = track(State::Waiting);
    track.look(&parts(), &passed(), at(300));
    assert_eq!((track.state, track.reason.as_deref()), (State::Restorable, None));
    assert_eq!((track.restorable, track.checked), (Some(at(300)), Some(at(300))));
    assert_eq!((track.latest, track.expires), (Some(at(10)), Some(at(35 * DAY))));
}

#[test]
fn a_part_that_has_only_reached_the_point_is_waited_for() {
    for latest in [-1, 0] {
        let looked = both(seen("id-a", 10), seen("id-b", latest));
        assert_eq!(after(State::Waiting, &looked, 300), because(State::Waiting, "waiting for b"));
    }
    let untold = both(Seen { latest: None, ..seen("id-a", 10) }, seen("id-b", 10));
    assert_eq!(after(State::Waiting, &untold, 300), because(State::Waiting, "waiting for a"));
}

#[test]
fn a_part_that_is_not_known_is_waited_for_and_costs_nothing_once_restorable() {
    let mut looked = passed();
    looked.insert("b".into(), Err(Fault { kind: FaultKind::Throttled, code: None, sentence: "too many".into() }));
    assert_eq!(after(State::Waiting, &looked, 300), because(State::Waiting, "b: too many"));
    assert_eq!(after(State::Restorable, &looked, 300), (State::Restorable, None));
    looked.remove("b");
    assert_eq!(after(State::Waiting, &looked, 300), because(State::Waiting, "b was not looked at"));
}

#[test]
fn what_can_never_be_restored_again_is_lost_from_every_state_that_rests_on_recovery() {
    let gone = Seen { identity: None, ..seen("id-b", 10) };
    let off = Seen { recovery: false, ..seen("id-b", 10) };
    let anew = seen("id-c", 10);
    let began = Seen { earliest: Some(at(1)), ..seen("id-b", 10) };
    for (b, why) in [
        (gone, "b is gone"),
        (off, "point-in-time recovery of b is off"),
        (anew, "b was deleted and made anew"),
        (began, "the history of b begins after the point: it began anew, or keeps less"),
    ] {
        for state in [State::Waiting, State::Restorable] {
            assert_eq!(after(state, &both(seen("id-a", 10), b.clone()), 300), because(State::Lost, why));
        }
    }
}

#[test]
fn a_point_that_retention_has_passed_is_expired_and_one_second_before_it_is_lost() {
    let moved = Seen { earliest: Some(at(1)), ..seen("id-a", 40 * DAY) };
    let looked = both(moved, seen("id-b", 40 * DAY));
    assert_eq!(after(State::Restorable, &looked, 35 * DAY), because(State::Expired, "a keeps 35 days"));
    assert_eq!(after(State::Restorable, &looked, 35 * DAY - 1).0, State::Lost);
    let exact = Seen { earliest: Some(at(0)), ..seen("id-a", 10) };
    assert_eq!(after(State::Restorable, &both(exact, seen("id-b", 10)), 36 * DAY).0, State::Restorable);
    let untold = Seen { earliest: None, ..seen("id-a", 10) };
    assert_eq!(after(State::Waiting, &both(untold, seen("id-b", 10)), 36 * DAY).0, State::Restorable);
}

#[test]
fn a_shortened_retention_brings_the_end_nearer_and_a_longer_one_does_not_put_it_off() {
    let mut track = track(State::Waiting);
    let keeping = |days: u64| {
        let seen = |identity| Seen { retention: Duration::from_secs(days * 86_400), ..seen(identity, 10) };
        both(seen("id-a"), seen("id-b"))
    };
    for (days, expires) in [(35, 35), (7, 7), (35, 7)] {
        track.look(&parts(), &keeping(days), at(300));
        assert_eq!((track.state, track.expires), (State::Restorable, Some(at(expires * DAY))));
    }
    let mut looked = keeping(7);
    let cut = Seen { earliest: Some(at(DAY)), retention: Duration::from_secs(7 * 86_400), ..seen("id-a", 9 * DAY) };
    looked.insert("a".into(), Ok(cut));
    track.look(&parts(), &looked, at(8 * DAY));
    assert_eq!((track.state, track.reason.as_deref()), (State::Expired, Some("a keeps 7 days")));
}

#[test]
fn what_has_backups_does_not_depend_on_recovery() {
    let gone = || both(Seen { identity: None, ..seen("id-a", 10) }, seen("id-b", 10));
    for state in State::ALL.iter().copied().filter(|state| !state.by_recovery()) {
        let before = track(state);
        let mut after = before.clone();
        after.look(&parts(), &gone(), at(300));
        assert_eq!(after, before);
        assert_eq!(after.next_look(), None);
    }
    let kept: Vec<State> = State::ALL.iter().copied().filter(|state| state.by_recovery()).collect();
    assert_eq!(kept, [State::Waiting, State::Restorable]);
}

#[test]
fn the_least_latest_is_kept_when_nothing_is_told() {
    let mut track = track(State::Waiting);
    track.look(&parts(), &both(seen("id-a", -5), seen("id-b", -3)), at(60));
    assert_eq!(track.latest, Some(at(-5)));
    track.look(&parts(), &BTreeMap::new(), at(90));
    assert_eq!((track.latest, track.checked), (Some(at(-5)), Some(at(90))));
}

#[test]
fn a_waiting_point_is_looked_at_often_at_first_and_every_ten_minutes_at_last() {
    let mut track = track(State::Waiting);
    assert_eq!(track.next_look(), Some(at(0)), "at once");
    for (checked, next) in [(-3, -1), (1, 3), (16, 18), (80, 90), (300, 337), (4_800, 5_400), (100_000, 100_600)] {
        track.checked = Some(at(checked));
        let late = track.next_look().unwrap().duration_since(at(next));
        assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(1), "after {checked}: {late}");
    }
    track.state = State::Restorable;
    assert_eq!(track.next_look(), Some(at(100_000) + WATCH_EVERY));
}

#[test]
fn only_a_waiting_point_is_expected() {
    for state in State::ALL {
        let expected = (*state == State::Waiting).then(|| at(0) + TYPICAL_LAG);
        assert_eq!(track(*state).expected(), expected);
    }
}

#[test]
fn a_store_of_which_nothing_belongs_to_the_point_is_never_restorable() {
    let mut track = track(State::Waiting);
    track.look(&Parts::new(), &BTreeMap::new(), at(300));
    assert_eq!(track.state, State::Waiting);
    assert!(track.reason.is_some());
}

proptest::proptest! {
    #[test]
    fn a_point_can_be_restored_until_the_first_of_its_stores_cannot(stores in proptest::collection::vec((0..State::ALL.len(), proptest::option::of(1..40_i64)), 0..5)) {
        let tracks: Vec<Track> = stores
            .iter()
            .map(|(state, days)| Track { expires: days.map(|days| at(days * DAY)), ..track(State::ALL[*state]) })
            .collect();
        let told = until(&tracks);
        let bad = |track: &&Track| matches!(track.state, State::Lost | State::Expiring | State::Expired);
        if tracks.iter().any(|track| bad(&track)) {
            proptest::prop_assert_eq!(told, None, "some store cannot be restored to it at all");
        } else {
            // What is materialized stays; what nothing is known of says nothing.
            let limits = tracks.iter().filter(|track| track.state != State::Materialized).filter_map(|track| track.expires);
            proptest::prop_assert_eq!(told, limits.min());
        }
    }
}
