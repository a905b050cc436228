//! A group's schedule: its slots, what leaves some out, and what happens around them.

use super::super::error::Wrong;
use super::super::path::KeyPath;
use super::super::{Schedule, defaults, raw, schedule, span};
use super::{Check, Range};
use crate::slots::{self, Blackout, Cron, Slots};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::Duration;

const HOUR: u64 = 3_600_000;

const LEAD: Range = Range::millis(defaults::LEAD, 100, HOUR);
const STARTING_DEADLINE: Range = Range::millis(defaults::STARTING_DEADLINE, 100, 24 * HOUR);
const REFUSED_RETRY: Range = Range::millis(defaults::REFUSED_RETRY, 100, HOUR);
const RETRY_DELAY: Range = Range::millis(defaults::RETRY_DELAY, 100, 24 * HOUR);
/// There is no default.
const JITTER: Range = Range::millis("", 1_000, 24 * HOUR);
const BLACKOUT: Range = Range::millis("", 1_000, 31 * 24 * HOUR);

const MOST_ATTEMPTS: u32 = 10;
const MOST_BLACKOUTS: usize = 100;

const FORMS: &str = "RFC 3339 such as 2026-12-24T18:00:00Z, or a date (and time) on the schedule's clock, such as 2026-12-24 or 2026-12-24T18:00";

pub fn schedule(
    check: &mut Check<'_>,
    path: &KeyPath,
    group: &str,
    raw: raw::Schedule,
    hold: Duration,
) -> Option<Schedule> {
    let cron = match &raw.cron {
        Some(text) => check.take(&path.key("cron"), schedule::cron(text)),
        None => {
            check.missing(
                path,
                "cron",
                "an expression such as \"0 3 * * *\", or no schedule at all, and people start the windows",
            );
            None
        }
    };
    let zone = raw.time_zone.as_deref().unwrap_or(defaults::TIME_ZONE);
    let time_zone = check.take(&path.key("time_zone"), schedule::time_zone(zone));
    let lead = check.span(&path.key("lead"), raw.lead.as_ref(), LEAD);
    let deadline = check.span(&path.key("starting_deadline"), raw.starting_deadline.as_ref(), STARTING_DEADLINE);
    let refused_retry = check.span(&path.key("refused_retry"), raw.refused_retry.as_ref(), REFUSED_RETRY);
    let retry_delay = check.span(&path.key("retry_delay"), raw.retry_delay.as_ref(), RETRY_DELAY);
    let jitter = raw.jitter.as_ref().and_then(|raw| check.span(&path.key("jitter"), Some(raw), JITTER));
    let jitter = jitter.and_then(|jitter| check.take(&path.key("jitter"), whole_seconds(jitter)));
    let attempts = raw.attempts.unwrap_or(defaults::ATTEMPTS);
    if !(1..=MOST_ATTEMPTS).contains(&attempts) {
        let wrong =
            Wrong::new(format!("{attempts} attempts are out of range")).expected(format!("1 to {MOST_ATTEMPTS}"));
        check.fault(&path.key("attempts"), wrong);
    }
    if let (Some(lead), Some(deadline)) = (lead, deadline)
        && lead >= deadline
    {
        let what =
            format!("lead {} is not shorter than starting_deadline {}", span::write(lead), span::write(deadline));
        check.fault(&path.key("lead"), Wrong::new(what).expected(format!("less than {}", span::write(deadline))));
    }
    if let (Some(cron), Some(lead)) = (&cron, lead) {
        dense(check, path, cron, jitter, lead, hold);
    }
    let blackouts =
        blackouts(check, &path.key("blackouts"), raw.blackouts.unwrap_or_default(), time_zone.as_ref(), cron.as_ref());
    // What is none here was faulted: no config comes of it.
    Some(Schedule {
        slots: Slots {
            cron: cron?,
            time_zone: time_zone?,
            jitter: jitter.unwrap_or_default(),
            seed: group.to_owned(),
            blackouts,
            suspend: raw.suspend.unwrap_or_default(),
        },
        lead: lead.unwrap_or_default(),
        starting_deadline: deadline.unwrap_or_default(),
        refused_retry: refused_retry.unwrap_or_default(),
        attempts,
        retry_delay: retry_delay.unwrap_or_default(),
        catch_up: raw.catch_up.unwrap_or_default(),
    })
}

fn whole_seconds(jitter: Duration) -> Result<Duration, Wrong> {
    if jitter.subsec_nanos() == 0 {
        return Ok(jitter);
    }
    Err(Wrong::new(format!("{} is not whole seconds", span::write(jitter)))
        .expected("whole seconds, such as 90s or 5m"))
}

/// A group never overlaps itself, so slots that come before the last one's window can be over would always be missed.
fn dense(check: &mut Check<'_>, path: &KeyPath, cron: &Cron, jitter: Option<Duration>, lead: Duration, hold: Duration) {
    let Some(gap) = schedule::shortest_gap(cron) else { return };
    let takes = format!("each takes lead {} + hold {}", span::write(lead), span::write(hold));
    if gap <= lead + hold {
        let what = format!("slots come {} apart, but {takes}", span::write(gap));
        let expected = format!("more than {} between slots, or a shorter lead", span::write(lead + hold));
        check.fault(&path.key("cron"), Wrong::new(what).expected(expected));
    } else if let Some(jitter) = jitter
        && gap - (lead + hold) <= jitter
    {
        let what = format!(
            "slots come {} apart, and {takes}: this leaves no room for {} of jitter",
            span::write(gap),
            span::write(jitter)
        );
        let expected = format!("less than {}", span::write(gap - (lead + hold)));
        check.fault(&path.key("jitter"), Wrong::new(what).expected(expected));
    }
}

fn blackouts(
    check: &mut Check<'_>,
    path: &KeyPath,
    raw: Vec<Option<raw::Blackout>>,
    zone: Option<&TimeZone>,
    cron: Option<&Cron>,
) -> Vec<Blackout> {
    if raw.len() > MOST_BLACKOUTS {
        let wrong = Wrong::new(format!("{} blackouts are too many", raw.len()));
        check.fault(path, wrong.expected(format!("at most {MOST_BLACKOUTS}; cron and for make one that comes again")));
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        found.extend(blackout(check, &path.index(index), &raw.unwrap_or_default(), zone.unwrap_or(&TimeZone::UTC)));
    }
    let again: Vec<Blackout> = found.iter().filter(|one| matches!(one, Blackout::Every { .. })).cloned().collect();
    if let (Some(zone), Some(cron), false) = (zone, cron, again.is_empty()) {
        let slots = Slots {
            cron: cron.clone(),
            time_zone: zone.clone(),
            jitter: Duration::ZERO,
            seed: String::new(),
            blackouts: again,
            suspend: false,
        };
        if slots.next_run(Timestamp::UNIX_EPOCH).is_none() {
            let wrong = Wrong::new("every slot lies in a blackout");
            check.fault(path, wrong.expected("some slot outside; suspend: true lets none run"));
        }
    }
    found
}

fn blackout(check: &mut Check<'_>, path: &KeyPath, raw: &raw::Blackout, zone: &TimeZone) -> Option<Blackout> {
    match (&raw.from, &raw.until, &raw.cron, &raw.length) {
        (Some(from), Some(until), None, None) => {
            let from = check.take(&path.key("from"), instant(from, zone, false));
            let until = check.take(&path.key("until"), instant(until, zone, true));
            let (from, until) = (from?, until?);
            if from >= until {
                let wrong = Wrong::new("the blackout ends before it begins").expected("an until that is after from");
                check.fault(&path.key("until"), wrong);
                return None;
            }
            Some(Blackout::Once { from, until })
        }
        (None, None, Some(cron), Some(length)) => {
            let cron = check.take(&path.key("cron"), schedule::cron(cron));
            let length = check.span(&path.key("for"), Some(length), BLACKOUT);
            Some(Blackout::Every { cron: Box::new(cron?), length: length? })
        }
        _ => {
            let wrong = Wrong::new("a blackout has either from and until, or cron and for");
            let both =
                "one of the pairs, such as {from: 2026-12-24, until: 2026-12-27} or {cron: \"0 8 * * MON\", for: 2h}";
            check.fault(path, wrong.expected(both));
            None
        }
    }
}

fn instant(text: &str, zone: &TimeZone, later: bool) -> Result<Timestamp, Wrong> {
    slots::instant(text, zone, later).ok_or_else(|| Wrong::new(format!("\"{text}\" is not an instant")).expected(FORMS))
}
