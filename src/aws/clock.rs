//! A service's clock, from the `Date` headers of its answers.

use crate::clock::wall;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// How far a service's clock is from ours: its clock minus the daemon's lies between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    pub low: SignedDuration,
    pub high: SignedDuration,
}

impl Offset {
    /// What one answer shows: `date` was read between `sent` and `received`, and its header names the whole second.
    #[must_use]
    pub fn of(sent: Timestamp, date: Timestamp, received: Timestamp) -> Self {
        let high = date + SignedDuration::from_secs(1);
        Self { low: date.duration_since(received), high: high.duration_since(sent) }
    }

    /// What both show. Where they contradict each other, the clock moved or there are several: the range between.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        Self { low: low.min(high), high: high.max(low) }
    }
}

/// Collects what `Date` headers show of one service's clock. Cheap to clone; it is an interceptor of a client.
#[derive(Debug, Clone, Default)]
pub struct Dates {
    known: Arc<Mutex<Option<Offset>>>,
}

impl Dates {
    /// What was seen so far; none: no answer with a date.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        *self.known()
    }

    fn saw(&self, offset: Offset) {
        let mut known = self.known();
        *known = Some(known.map_or(offset, |there| there.and(offset)));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Offset>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Sent(Timestamp);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Dates {
    fn name(&self) -> &'static str {
        "dates"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        bag.interceptor_state().store_put(Sent(wall()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers().get("date");
        let date = header.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        if let (Some(Sent(sent)), Some(date)) = (bag.load::<Sent>(), date) {
            self.saw(Offset::of(*sent, date.timestamp(), wall()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    proptest! {
        #[test]
        fn the_true_offset_always_lies_in_what_the_answers_show(
            offset in -30_000i64..30_000, calls in proptest::collection::vec((0i64..5_000, 0i64..800, 0i64..800), 1..8),
        ) {
            let mut known: Option<Offset> = None;
            let mut sent = 1_000_000;
            for (pause, there, back) in calls {
                sent += pause;
                let read = sent + there + offset;
                let date = at(read.div_euclid(1000) * 1000);
                let shown = Offset::of(at(sent), date, at(sent + there + back));
                known = Some(known.map_or(shown, |known| known.and(shown)));
                sent += there + back;
            }
            let known = known.unwrap();
            let truth = SignedDuration::from_millis(offset);
            prop_assert!(known.low <= truth && truth <= known.high, "{known:?}");
        }
    }

    #[test]
    fn answers_that_contradict_each_other_leave_the_range_between() {
        let offset = |low, high| Offset { low: SignedDuration::from_secs(low), high: SignedDuration::from_secs(high) };
        assert_eq!(offset(0, 1).and(offset(5, 6)), offset(1, 5));
        assert_eq!(offset(5, 6).and(offset(0, 1)), offset(1, 5));
        assert_eq!(offset(0, 3).and(offset(2, 6)), offset(2, 3));
    }
}
