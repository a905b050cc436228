//! What goes wrong, by rule.

use super::answer::Answer;
use super::call::{Call, Protocol};
use jiff::SignedDuration;
use std::ops::RangeInclusive;
use std::time::Duration;
use wildmatch::WildMatch;

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Effect {
    /// An error with its code and HTTP status; the call is not executed.
    Error { code: String, status: u16 },
    /// `ThrottlingException`, or `Throttling` where the service speaks the query protocol.
    Throttled,
    /// A service that is down: a bare 500 or 503 without a code.
    Down(u16),
    /// The connection is cut and the call is never executed.
    RequestLost,
    /// The call is executed and the connection cut in place of the answer.
    ReplyLost,
    /// Nothing for that long, then it is executed and answered; executed even when the client has given up.
    Hang(Duration),
    /// The connection is cut at once; the call is executed that much later.
    Late(Duration),
    /// The credentials have expired.
    Expired,
    /// The rights are missing.
    Denied,
    /// Executed and answered, with a `Date` that is off by so much more.
    SkewedDate(SignedDuration),
}

/// Which calls it happens to. Everything that is not named matches.
#[derive(Clone, Debug)]
pub struct Rule {
    effect: Effect,
    operation: WildMatch,
    target: Option<WildMatch>,
    service: Option<String>,
    account: Option<String>,
    region: Option<String>,
    access_key: Option<String>,
    calls: RangeInclusive<u64>,
    pub seen: u64,
}

impl Rule {
    /// The operation is a glob over names such as `CreateBackup`.
    pub fn new(operation: &str, effect: Effect) -> Self {
        Self {
            effect,
            operation: WildMatch::new(operation),
            target: None,
            service: None,
            account: None,
            region: None,
            access_key: None,
            calls: 1..=u64::MAX,
            seen: 0,
        }
    }

    /// A glob over the names that a call is about; one of them must match.
    #[must_use]
    pub fn target(mut self, glob: &str) -> Self {
        self.target = Some(WildMatch::new(glob));
        self
    }

    /// `dynamodb`, `rds`, `sts`, `application-autoscaling`, `tagging`, `eks`.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.into());
        self
    }

    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = Some(account.into());
        self
    }

    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only calls signed with this key, so that a test's own calls can be spared.
    #[must_use]
    pub fn access_key(mut self, key: &str) -> Self {
        self.access_key = Some(key.into());
        self
    }

    /// Only the n-th matching call, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.calls(n..=n)
    }

    /// Only these of the matching calls, counted from 1.
    #[must_use]
    pub fn calls(mut self, calls: RangeInclusive<u64>) -> Self {
        self.calls = calls;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        self.operation.matches(&call.operation)
            && is(&self.service, &call.service)
            && is(&self.account, &call.scope.account)
            && is(&self.region, &call.scope.region)
            && is(&self.access_key, &call.access_key)
            && self.target.as_ref().is_none_or(|glob| call.targets.iter().any(|name| glob.matches(name)))
    }
}

/// The rules in the order of their making. Each counts the calls that match it; the first one whose turn it is acts.
#[derive(Default)]
pub struct Faults {
    rules: Vec<(u64, Rule)>,
    next: u64,
}

impl Faults {
    pub fn add(&mut self, rule: Rule) -> u64 {
        self.next += 1;
        self.rules.push((self.next, rule));
        self.next
    }

    pub fn remove(&mut self, id: u64) {
        self.rules.retain(|(own, _)| *own != id);
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    pub fn seen(&self, id: u64) -> u64 {
        self.rules.iter().find(|(own, _)| *own == id).map_or(0, |(_, rule)| rule.seen)
    }

    pub fn effect(&mut self, call: &Call) -> Option<Effect> {
        let mut effect = None;
        for (_, rule) in self.rules.iter_mut().filter(|(_, rule)| rule.matches(call)) {
            rule.seen += 1;
            if effect.is_none() && rule.calls.contains(&rule.seen) {
                effect = Some(rule.effect.clone());
            }
        }
        effect
    }
}

/// The error that an effect answers with, if it is an answer without execution.
pub fn refusal(effect: &Effect, call: &Call) -> Option<Answer> {
    let query = call.protocol == Protocol::Query;
    let answer = match effect {
        Effect::Error { code, status } => Answer::error(call, *status, code, "planted by the test"),
        Effect::Throttled => throttled(call),
        Effect::Down(status) => Answer { status: *status, content_type: "text/plain".into(), body: "down".into() },
        Effect::Expired if query => {
            Answer::error(call, 403, "ExpiredToken", "The security token included in the request is expired")
        }
        Effect::Expired => {
            Answer::refused(call, "ExpiredTokenException", "The security token included in the request is expired")
        }
        Effect::Denied => {
            let message = format!("User is not authorized to perform: {}:{}", call.service, call.operation);
            match call.protocol {
                Protocol::Json => Answer::refused(call, "AccessDeniedException", &message),
                Protocol::Rest => Answer::error(call, 403, "AccessDeniedException", &message),
                Protocol::Query => Answer::error(call, 403, "AccessDenied", &message),
            }
        }
        _ => return None,
    };
    Some(answer)
}

/// Above a rate.
pub fn throttled(call: &Call) -> Answer {
    let code = if call.protocol == Protocol::Query { "Throttling" } else { "ThrottlingException" };
    Answer::refused(call, code, "Rate exceeded")
}
