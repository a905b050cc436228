//! One replica's part in the election of the leader: pure, on the replica's own clock that counts sleep.
//!
//! Nobody's clock is compared with another's. A leader trusts itself from before it sent the renewal that was taken;
//! everyone else waits from after they saw that renewal. Both for as long as the lease lasts, the leader for a tenth less:
//! so their clocks may differ in rate by 5 % each way, and a leader that was stopped finds out by itself.

use std::time::Duration;

/// How long a lease is good for, and how often it is renewed and looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long others leave a lease alone after they saw it renewed.
    pub lasts: Duration,
    /// How often it is renewed by the leader, and looked at by everyone else.
    pub retry: Duration,
}

impl Terms {
    /// How long a leader trusts a renewal, counted from before it was sent.
    #[must_use]
    pub fn trusted(&self) -> Duration {
        self.lasts / 10 * 9
    }

    /// How long a renewal or a look may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.lasts / 3
    }
}

/// One try to take the lease, or to renew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub request: u64,
    /// The record that this replica watched run out: if it still stands, it may be taken from whoever holds it.
    pub over: Option<String>,
    /// Whether it leads: a lease that somebody deleted is made anew at once then.
    pub leads: bool,
    pub deadline: Duration,
}

/// The record of a lease that is not there: someone may have deleted it while its holder still trusts it.
pub const ABSENT: &str = "absent";

impl Ask {
    /// Whether the lease may be taken by `me`: it is this replica's, free, or was watched to run out. `holder` is who
    /// holds it, empty for nobody; none: it is not there.
    #[must_use]
    pub fn may_take(&self, me: &str, holder: Option<&str>, record: &str) -> bool {
        let ran_out = self.over.as_deref() == Some(record);
        match holder {
            None => ran_out || self.leads,
            Some(holder) => holder == me || holder.is_empty() || ran_out,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The lease is this replica's.
    Ours,
    /// It is somebody else's, or it is not there: as long as `record` stands unchanged its time runs.
    Theirs { holder: String, record: String, lasts: Duration },
    /// Nobody knows: it may have been taken or renewed all the same.
    Unknown(String),
}

/// What others' record said last, and since when it has stood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    holder: String,
    record: String,
    since: Duration,
    /// When it was last seen.
    last: Duration,
    lasts: Duration,
}

/// One replica's view of the election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    terms: Terms,
    /// Until when this replica may trust that it leads.
    until: Option<Duration>,
    seen: Option<Seen>,
    /// The request under way, and when it was sent.
    flight: Option<(u64, Duration)>,
    serial: u64,
    next: Duration,
}

impl Election {
    #[must_use]
    pub const fn new(terms: Terms) -> Self {
        Self { terms, until: None, seen: None, flight: None, serial: 0, next: Duration::ZERO }
    }

    /// Until when it leads, if it leads now.
    #[must_use]
    pub fn leads(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| now < *until)
    }

    /// Who else holds the lease, as far as it is known.
    #[must_use]
    pub fn leader(&self) -> Option<&str> {
        self.seen.as_ref().map(|seen| seen.holder.as_str())
    }

    /// What is to be asked now.
    pub fn due(&mut self, now: Duration) -> Option<Ask> {
        if self.flight.is_some_and(|(_, sent)| now >= sent + self.terms.deadline()) {
            // The shell never answered.
            self.flight = None;
        }
        if self.flight.is_some() || now < self.next {
            return None;
        }
        let unwatched = |seen: &Seen| now > seen.last + self.terms.retry + self.terms.deadline();
        // One that is not there looks the same when it was made and deleted since the last look.
        self.seen = self.seen.take().filter(|seen| seen.record != ABSENT || !unwatched(seen));
        self.serial += 1;
        self.flight = Some((self.serial, now));
        let runs_out = self.seen.as_ref().map(|seen| seen.since + seen.lasts.max(self.terms.lasts));
        let over = self.seen.as_ref().filter(|_| runs_out.is_some_and(|at| now >= at));
        // Not a whole look later than it may be taken.
        self.next = runs_out.filter(|at| now < *at).map_or(now + self.terms.retry, |at| at.min(now + self.terms.retry));
        Some(Ask {
            request: self.serial,
            over: over.map(|seen| seen.record.clone()),
            leads: self.leads(now).is_some(),
            deadline: self.terms.deadline(),
        })
    }

    /// Takes the answer to a request in; one to an earlier request than the one under way counts as well.
    pub fn answered(&mut self, now: Duration, request: u64, sent: Duration, taken: Taken) {
        if self.flight.is_some_and(|(flying, _)| flying == request) {
            self.flight = None;
        }
        match taken {
            Taken::Ours => {
                self.seen = None;
                self.until = self.until.max(Some(sent + self.terms.trusted()));
            }
            Taken::Theirs { holder, record, lasts } => {
                // What it says was so after it was asked: it ends only what was asked for before.
                if self.until.is_some_and(|until| sent + self.terms.trusted() >= until) {
                    self.until = None;
                }
                match &mut self.seen {
                    Some(seen) if seen.record == record => seen.last = now,
                    _ => self.seen = Some(Seen { holder, record, since: now, last: now, lasts }),
                }
            }
            Taken::Unknown(_) => {}
        }
    }

    /// The next request leaves at once, or as soon as the one under way is answered.
    pub const fn hurry(&mut self) {
        self.next = Duration::ZERO;
    }

    /// When `due` is to be asked again at the latest.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.flight.map_or(self.next, |(_, sent)| sent + self.terms.deadline())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TERMS: Terms = Terms { lasts: Duration::from_secs(6), retry: SECOND };

    fn theirs(record: &str) -> Taken {
        Taken::Theirs { holder: "other".into(), record: record.into(), lasts: TERMS.lasts }
    }

    #[test]
    fn a_leader_trusts_a_renewal_from_before_it_was_sent_and_for_a_tenth_less_than_others_wait() {
        let mut election = Election::new(TERMS);
        let ask = election.due(SECOND).unwrap();
        election.answered(SECOND * 3, ask.request, SECOND, Taken::Ours);
        assert_eq!(election.leads(SECOND * 3), Some(Duration::from_millis(6400)));
        assert_eq!(election.leads(Duration::from_millis(6400)), None);
    }

    #[test]
    fn a_record_is_taken_over_only_when_it_was_watched_unchanged_for_as_long_as_it_lasts() {
        let mut election = Election::new(TERMS);
        let mut now = Duration::ZERO;
        let ask = |election: &mut Election, now: Duration, taken: Taken| {
            let ask = election.due(now).unwrap();
            election.answered(now, ask.request, now, taken);
            ask.over
        };
        assert_eq!(ask(&mut election, now, theirs("a")), None);
        for _ in 0..5 {
            now += SECOND;
            assert_eq!(ask(&mut election, now, theirs("a")), None);
        }
        now += SECOND;
        // Renewed meanwhile: its time begins anew.
        assert_eq!(ask(&mut election, now, theirs("b")), Some("a".into()));
        for _ in 0..5 {
            now += SECOND;
            assert_eq!(ask(&mut election, now, theirs("b")), None);
        }
        now += SECOND;
        assert_eq!(ask(&mut election, now, Taken::Ours), Some("b".into()));
        assert!(election.leads(now).is_some());
    }

    #[test]
    fn a_record_is_looked_at_as_soon_as_it_has_run_out() {
        let mut election = Election::new(TERMS);
        let ask = election.due(Duration::ZERO).unwrap();
        let late = Duration::from_millis(300);
        election.answered(late, ask.request, Duration::ZERO, theirs("a"));
        for now in 1..=6 {
            let ask = election.due(SECOND * now).unwrap();
            assert_eq!(ask.over, None);
            election.answered(SECOND * now, ask.request, SECOND * now, theirs("a"));
        }
        assert_eq!(election.deadline(), SECOND * 6 + late);
        assert_eq!(election.due(SECOND * 6 + late).unwrap().over, Some("a".into()));
    }

    #[test]
    fn a_lease_that_is_not_there_is_taken_only_when_it_was_looked_at_all_the_while() {
        let absent = || Taken::Theirs { holder: "nobody".into(), record: ABSENT.into(), lasts: Duration::ZERO };
        let mut election = Election::new(TERMS);
        for second in 0..6 {
            let ask = election.due(SECOND * second).unwrap();
            election.answered(SECOND * second, ask.request, SECOND * second, absent());
        }
        let mut asleep = election.clone();
        assert_eq!(election.due(SECOND * 6).unwrap().over.as_deref(), Some(ABSENT));
        assert_eq!(asleep.due(SECOND * 9).unwrap().over, None, "someone may have made it and deleted it meanwhile");
    }

    #[test]
    fn a_predecessor_that_asked_for_more_time_gets_it() {
        let mut election = Election::new(TERMS);
        let ask = election.due(Duration::ZERO).unwrap();
        let taken = Taken::Theirs { holder: "other".into(), record: "a".into(), lasts: SECOND * 15 };
        election.answered(Duration::ZERO, ask.request, Duration::ZERO, taken);
        assert_eq!(election.due(SECOND * 14).unwrap().over, None);
        election.answered(SECOND * 14, 2, SECOND * 14, theirs("a"));
        assert_eq!(election.due(SECOND * 15).unwrap().over, Some("a".into()));
    }

    #[test]
    fn whoever_finds_the_lease_taken_leads_no_longer_unless_the_answer_is_older_than_its_last_renewal() {
        let mut election = Election::new(TERMS);
        let first = election.due(Duration::ZERO).unwrap();
        election.answered(Duration::ZERO, first.request, Duration::ZERO, Taken::Ours);
        let late = election.due(SECOND).unwrap();
        // No answer within its deadline: asked again, and taken.
        let again = election.due(SECOND * 3).unwrap();
        election.answered(SECOND * 3, again.request, SECOND * 3, Taken::Ours);
        election.answered(SECOND * 4, late.request, SECOND, theirs("a"));
        assert!(election.leads(SECOND * 4).is_some());
        let next = election.due(SECOND * 4).unwrap();
        election.answered(SECOND * 4, next.request, SECOND * 4, theirs("b"));
        assert_eq!(election.leads(SECOND * 4), None);
    }

    #[test]
    fn one_request_is_under_way_at_a_time_and_one_that_nobody_answers_is_given_up() {
        let mut election = Election::new(TERMS);
        assert!(election.due(Duration::ZERO).is_some());
        election.hurry();
        assert_eq!(election.due(SECOND), None);
        assert_eq!(election.deadline(), SECOND * 2);
        assert!(election.due(SECOND * 2).is_some());
    }
}
