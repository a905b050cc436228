//! How far a store's clock is from ours.

use crate::aws::{Dates, Fault};
use crate::domain::StoreClock;
use jiff::Timestamp;
use std::time::Duration;

/// How many calls are made for it. `Date` has a resolution of one second; calls at different fractions of a second
/// narrow it to about their distance.
const LOOKS: u32 = 6;
const DISTANCE: Duration = Duration::from_millis(210);
/// Whether point-in-time recovery uses the clock that `Date` shows is not documented.
const GUARD: Duration = Duration::from_secs(1);

/// Makes cheap calls through a client that `dates` watches.
pub async fn watch<F: Future<Output = Result<(), Fault>>>(look: impl Fn() -> F) -> Result<(), Fault> {
    for left in (0..LOOKS).rev() {
        look().await?;
        if left > 0 {
            tokio::time::sleep(DISTANCE).await;
        }
    }
    Ok(())
}

/// What all answers since `dates` was made have shown.
pub fn shown(dates: &Dates) -> Result<StoreClock, Fault> {
    let offset = dates.offset().ok_or_else(|| Fault::lost("no answer tells its date"))?;
    Ok(StoreClock { offset_low: offset.low, offset_high: offset.high, guard: GUARD })
}

/// A time of the SDK's.
pub fn time(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let time = time?;
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
