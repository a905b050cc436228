//! The first unpause request leaves by `max_pause`, also when Kubernetes tells of a change at the last moment.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use stillpoint::domain::{Code, Evidence, Member, Now, Pod, Reason, Trigger};
use stillpoint::scalar::Answer;
use stillpoint::window::{Call, Effect, Input, Plan, Window};

const MAX_PAUSE: Duration = Duration::from_secs(4);

fn at(millis: u64) -> Now {
    let mono = Duration::from_millis(millis);
    Now { mono, wall: Timestamp::from_second(1_900_000_000).unwrap() + mono }
}

fn plan() -> Plan {
    Plan {
        window: "w".into(),
        group: "g".into(),
        trigger: Trigger::Command,
        slot: None,
        started: at(0).wall,
        hold: Duration::from_secs(2),
        drain: Duration::from_secs(1),
        max_pause: MAX_PAUSE,
    }
}

fn member() -> Member {
    let pod = Pod {
        server: "https://127.0.0.1:6443/".into(),
        namespace: "shop".into(),
        uid: "1".into(),
        node: None,
        phase: "Running".into(),
        ready: true,
        leaving: None,
        restarts: BTreeMap::new(),
        owner: None,
    };
    Member { cluster: "c".into(), name: "m".into(), address: "127.0.0.1:1".into(), stage: 0, pod: Some(pod) }
}

/// What a member, a disk and an API server that are in order answer to an effect.
fn answer(effect: &Effect) -> Option<Input> {
    let reply = |member: &usize, request: &u64, answer| Input::Reply { member: *member, request: *request, answer };
    match effect {
        Effect::Send { request, member, call: Call::Pause { .. }, .. } => Some(reply(member, request, Answer::Ok)),
        Effect::Append { number, .. } => Some(Input::Appended { number: *number }),
        Effect::TakeCensus => Some(Input::Census(Ok(vec![member()]))),
        _ => None,
    }
}

#[test]
fn a_change_at_the_last_moment_does_not_delay_the_first_unpause_beyond_max_pause() {
    let mut window = Window::begin(plan(), Evidence::Pod, vec![member()], Vec::new(), at(0));
    let mut effects = window.step(at(0), Input::Tick);
    let mut now = 0;
    let mut first_pause = None;
    while first_pause.is_none_or(|first| now < first + 3_700) {
        now += 1;
        let mut inputs: Vec<Input> = effects.iter().filter_map(answer).collect();
        for effect in &effects {
            if let Effect::Send { request, member, call, .. } = effect {
                match call {
                    Call::Pause { .. } => first_pause = Some(now - 1),
                    // From the end of the hold on it does not answer.
                    Call::CheckPaused if first_pause.is_none_or(|first| now < first + 2_000) => {
                        let answer = Answer::Looked { paused: first_pause.is_some() };
                        inputs.push(Input::Reply { member: *member, request: *request, answer });
                    }
                    _ => {}
                }
            }
        }
        assert!(window.unpause_started().is_none(), "at {now} ms");
        inputs.into_iter().for_each(|input| window.absorb(at(now), input));
        effects = window.advance(at(now));
    }
    let reason = Reason::new(Code::CensusChanged, "c: pod/m is not ready");
    let effects = window.step(at(now), Input::Changed { member: Some(0), reason });
    assert!(effects.contains(&Effect::LookAtPods), "{effects:?}");
    let sends = |effects: &[Effect]| effects.iter().any(|it| matches!(it, Effect::Send { call: Call::Unpause, .. }));
    assert!(!sends(&effects), "Kubernetes is asked first: {effects:?}");
    let limit = Duration::from_millis(first_pause.unwrap()) + MAX_PAUSE;
    let deadline = window.deadline().unwrap();
    assert!(deadline <= limit, "{deadline:?} against {limit:?}");
    let woken = Now { mono: deadline, wall: at(0).wall + deadline };
    assert!(sends(&window.step(woken, Input::Tick)), "whatever is known of its pod");
}
