use crate::support::{
    Other, Place, append_all, at, consistent, discarded, intent, open, places, raw, refused, say, told,
    wait_for_the_end,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stillpoint::catalog::{Catalog, Stale};
use stillpoint::config::CatalogPlace;
use stillpoint::domain::{Code, Reason};
use stillpoint::stores::Capture;
use stillpoint::tracking::copy::{Copy, Step};
use stillpoint::tracking::track::{State, Track};

const DAY: i64 = 86_400;
/// Whatever began before this day is old.
const CUT: i64 = 400;

#[derive(Debug, Clone)]
enum Kind {
    Consistent(Vec<(State, Vec<(Step, bool)>)>),
    Discarded,
    Refused,
    Missed,
    Open,
}

#[derive(Debug, Clone)]
struct Old {
    group: usize,
    day: i64,
    kind: Kind,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let copy = (proptest::sample::select(Step::ALL), any::<bool>());
    let over = proptest::sample::select(vec![State::Lost, State::Expired]);
    let state = prop_oneof![3 => over, 2 => proptest::sample::select(State::ALL)];
    let tracks = proptest::collection::vec((state, proptest::collection::vec(copy, 0..3)), 0..3);
    prop_oneof![
        5 => tracks.prop_map(Kind::Consistent),
        1 => Just(Kind::Discarded),
        1 => Just(Kind::Refused),
        1 => Just(Kind::Missed),
        1 => Just(Kind::Open),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Old>> {
    let old = (0..2_usize, 0..500_i64, kinds()).prop_map(|(group, day, kind)| Old { group, day, kind });
    proptest::collection::vec(old, 1..9)
}

/// Writes it, and answers with its name in the catalog.
async fn write(catalog: &Catalog, index: usize, old: &Old) -> String {
    let (window, group) = (format!("w{index}"), format!("group-{}", old.group));
    // No two at the same second.
    let second = old.day * DAY + i64::try_from(index).unwrap() * 60;
    match &old.kind {
        Kind::Open => append_all(catalog, &window, &[intent(&window, &group, second)]).await,
        Kind::Refused => append_all(catalog, &window, &[refused(&window, &group, second)]).await,
        Kind::Discarded => append_all(catalog, &window, &discarded(&window, &group, second)).await,
        Kind::Missed => {
            catalog.miss_slot(&group, at(second), &Reason::new(Code::NotRunning, "none ran")).await.unwrap();
            return format!("{group}-missed-{}", at(second));
        }
        Kind::Consistent(stores) => {
            for store in 0..stores.len() {
                catalog.capture(&window, &format!("store-{store}"), &Capture::default()).await.unwrap();
            }
            append_all(catalog, &window, &consistent(&window, &group, second)).await;
            for (track, (state, copies)) in catalog.tracks(&window).await.unwrap().into_iter().zip(stores) {
                let track = Track { state: *state, ..track };
                let copies: Vec<Copy> = (0..).zip(copies).map(|(index, copy)| made(&track, index, *copy)).collect();
                catalog.begin_copies(&track, &copies).await.unwrap();
            }
        }
    }
    window
}

fn made(track: &Track, index: usize, (step, left): (Step, bool)) -> Copy {
    let name = format!("stillpoint-{}-{}-{index}", track.window, track.store);
    let copy = Copy::waiting(&format!("t{index}"), "arn:t", &track.window, track.point, name);
    Copy { step, left: left.then(|| "a table that may be someone else's".to_owned()), ..copy }
}

/// What must stay, said in other words than the statement's.
fn stays(all: &[Old], index: usize) -> bool {
    let old = &all[index];
    if old.day >= CUT {
        return true;
    }
    match &old.kind {
        Kind::Open => true,
        Kind::Discarded | Kind::Refused | Kind::Missed => false,
        Kind::Consistent(stores) => {
            let place = |index: usize| (all[index].day, index);
            let later = (0..all.len())
                .filter(|other| all[*other].group == old.group && matches!(all[*other].kind, Kind::Consistent(_)))
                .any(|other| place_second(place(other)) > place_second(place(index)));
            let live = stores.iter().any(|(state, _)| !matches!(state, State::Lost | State::Expired));
            let mut copies = stores.iter().flat_map(|(_, copies)| copies);
            let ours = copies.any(|(step, left)| match step {
                Step::Expired => false,
                Step::Failed => *left,
                _ => true,
            });
            live || ours || !later
        }
    }
}

fn place_second((day, index): (i64, usize)) -> i64 {
    day * DAY + i64::try_from(index).unwrap() * 60
}

/// Prunes to the end, as the daemon does; answers with how many windows went.
async fn prune_all(catalog: &Catalog) -> u64 {
    let (mut last, mut gone): (Option<Stale>, u64) = (None, 0);
    loop {
        let stale = catalog.stale(at(CUT * DAY), last.as_ref(), 3).await.unwrap();
        let mut left = stale.as_slice();
        while !left.is_empty() {
            let pruned = catalog.prune(at(CUT * DAY), left).await.unwrap();
            gone += pruned.windows;
            left = &left[pruned.done..];
        }
        let Some(end) = stale.last() else { return gone };
        last = Some(end.clone());
    }
}

async fn there(catalog: &Catalog) -> BTreeSet<String> {
    catalog.history(None, 10_000).await.unwrap().into_iter().map(|row| row.window).collect()
}

fn what_stays_is_whole(place: &CatalogPlace, all: &[Old]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let catalog = open(place).await;
        let mut expected = BTreeMap::new();
        for (index, old) in all.iter().enumerate() {
            let name = write(&catalog, index, old).await;
            if stays(all, index) {
                let copies = async |store: usize| catalog.copies(&name, &format!("store-{store}")).await.unwrap();
                let whole = (catalog.journal(&name).await.unwrap(), copies(0).await, copies(1).await);
                expected.insert(name, whole);
            }
        }
        let totals = catalog.totals().await.unwrap();
        let gone = prune_all(&catalog).await;
        assert_eq!(there(&catalog).await, expected.keys().cloned().collect());
        assert_eq!(usize::try_from(gone).unwrap(), all.len() - expected.len());
        for (name, whole) in expected {
            let copies = async |store: usize| catalog.copies(&name, &format!("store-{store}")).await.unwrap();
            assert_eq!((catalog.journal(&name).await.unwrap(), copies(0).await, copies(1).await), whole);
        }
        assert_eq!(catalog.totals().await.unwrap(), totals, "counters never go back");
        assert_eq!(prune_all(&catalog).await, 0);
        catalog.integrity_check().await.unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_pruned_is_old_and_over_and_nobodys_last_good_point(all in histories()) {
        what_stays_is_whole(&Place::file(), &all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn what_is_pruned_on_postgresql_is_the_same(all in histories()) {
        what_stays_is_whole(&Place::postgres(), &all);
    }
}

#[tokio::test]
async fn a_window_with_many_copies_is_pruned_in_bounded_transactions() {
    for place in places() {
        let catalog = open(&place).await;
        catalog.capture("many", "orders", &Capture::default()).await.unwrap();
        append_all(&catalog, "many", &consistent("many", "payments", 0)).await;
        append_all(&catalog, "later", &consistent("later", "payments", DAY)).await;
        let track = Track { state: State::Expired, ..catalog.tracks("many").await.unwrap().remove(0) };
        let copies: Vec<Copy> = (0..1200).map(|index| made(&track, index, (Step::Expired, false))).collect();
        catalog.begin_copies(&track, &copies).await.unwrap();
        let stale = catalog.stale(at(CUT * DAY), None, 10).await.unwrap();
        assert_eq!(stale.len(), 1, "the later one is the last consistent one");
        let mut rows = Vec::new();
        loop {
            let pruned = catalog.prune(at(CUT * DAY), &stale).await.unwrap();
            rows.push(pruned.rows);
            if pruned.done == 1 {
                break;
            }
            assert!(catalog.window("many").await.unwrap().is_some());
        }
        assert!(rows.len() > 2 && rows.iter().all(|rows| *rows <= 520), "{rows:?}");
        assert_eq!(there(&catalog).await, BTreeSet::from(["later".to_owned()]));
    }
}

#[tokio::test]
async fn slots_that_are_over_go_but_a_groups_last_one_and_what_is_not_over_stay() {
    for place in places() {
        let catalog = open(&place).await;
        for slot in 0..5 {
            catalog.start_slot("payments", at(slot * DAY)).await.unwrap();
            catalog.finish_slot("payments", at(slot * DAY)).await.unwrap();
        }
        catalog.start_slot("ledger", at(0)).await.unwrap();
        catalog.finish_slot("ledger", at(0)).await.unwrap();
        catalog.start_slot("other", at(0)).await.unwrap();
        catalog.plan_slot("other", at(DAY), "hourly").await.unwrap();
        assert_eq!(catalog.prune_slots(at(3 * DAY)).await.unwrap(), 3);
        assert_eq!(catalog.prune_slots(at(CUT * DAY)).await.unwrap(), 1);
        assert_eq!(catalog.prune_slots(at(CUT * DAY)).await.unwrap(), 0);
        assert_eq!(catalog.last_slot("payments", at(CUT * DAY)).await.unwrap().unwrap().slot, at(4 * DAY));
        assert_eq!(catalog.last_slot("ledger", at(CUT * DAY)).await.unwrap().unwrap().slot, at(0));
        assert_eq!(catalog.unfinished_slots("other").await.unwrap().len(), 2);
        assert!(!catalog.start_slot("ledger", at(0)).await.unwrap(), "it never runs again");
    }
}

/// So many old windows with whole journals, and one that is new.
async fn many(place: &CatalogPlace, count: i64) {
    let catalog = open(place).await;
    append_all(&catalog, "template", &consistent("template", "payments", 0)).await;
    append_all(&catalog, "new", &consistent("new", "payments", 500 * DAY)).await;
    catalog.close().await.unwrap();
    let mut connection = raw(place).await;
    const NUMBERS: &str =
        "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1)";
    for copying in [
        "INSERT INTO windows {} \
         SELECT 'w' || i, group_name, trigger_kind, slot, started + i, phase, verdict, reasons, evidence, \
         pause_completed, unpause_started, restore_point, closed_microseconds, members FROM windows, n \
         WHERE window_id = 'template'",
        "INSERT INTO events {} \
         SELECT 'w' || i, number, epoch, written_at, kind, replace(body, 'template', 'w' || i) FROM events, n \
         WHERE window_id = 'template'",
    ] {
        let copying = sqlx::AssertSqlSafe(copying.replace("{}", NUMBERS));
        sqlx::query(copying).bind(count).execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn sigkill_in_the_middle_of_pruning_leaves_whole_windows_and_the_rest_goes_later() {
    for place in places() {
        many(&place, 800).await;
        let mut before = 802;
        for kill_after in [1, 4, 9] {
            let mut other = Other::start("prune::prunes", &place);
            for _ in 0..kill_after {
                assert_eq!(other.next().as_deref(), Some("pruned"));
            }
            other.kill();
            let catalog = open(&place).await;
            catalog.integrity_check().await.unwrap();
            let left = there(&catalog).await;
            assert!(left.len() < before && left.len() > 2, "{} of {before}", left.len());
            before = left.len();
            for window in left {
                assert_eq!(catalog.journal(&window).await.unwrap().len(), 5, "{window} is whole");
            }
            catalog.close().await.unwrap();
        }
        let catalog = open(&place).await;
        prune_all(&catalog).await;
        assert_eq!(there(&catalog).await, BTreeSet::from(["new".to_owned()]));
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn prunes() {
    let Some(place) = told() else { return };
    let catalog = open(&place).await;
    loop {
        let stale = catalog.stale(at(CUT * DAY), None, 50).await.unwrap();
        if stale.is_empty() {
            break;
        }
        catalog.prune(at(CUT * DAY), &stale).await.unwrap();
        say("pruned");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    wait_for_the_end();
}

#[tokio::test]
async fn an_append_lands_while_old_windows_go() {
    for place in places() {
        many(&place, 3000).await;
        let catalog = open(&place).await;
        let pruning = prune_all(&catalog);
        let appending = async {
            for index in 0..20 {
                let window = format!("running-{index}");
                append_all(&catalog, &window, &discarded(&window, "payments", 500 * DAY + index)).await;
            }
        };
        let (gone, ()) = tokio::join!(pruning, appending);
        assert_eq!(gone, 3001);
        assert_eq!(there(&catalog).await.len(), 21);
    }
}
