//! Clocks that are wrong.

use super::{ACCOUNTS, World, quiet};
use crate::aws::NewTable;
use jiff::SignedDuration;
use stillpoint::domain::StoreClock;

#[test]
fn a_skewed_clock_is_bounded_to_less_than_its_headers_second() {
    let world = World::new();
    world.seed(ACCOUNTS[0], &[NewTable::new("shop.a")]);
    let store = world.tables(ACCOUNTS[0], &["shop.*"]);
    for skew in [-20_000, -400, 0, 400, 2_000, 20_000].map(SignedDuration::from_millis) {
        world.aws.set_skew(skew);
        let found = world.found(&*store);
        let after = world.runtime.block_on(store.after(&found.capture, quiet())).unwrap();
        for StoreClock { offset_low, offset_high, guard } in [found.clock.unwrap(), after.clock] {
            assert!(offset_low <= skew && skew <= offset_high, "{skew} not in [{offset_low}, {offset_high}]");
            assert!(offset_high - offset_low < SignedDuration::from_secs(1), "[{offset_low}, {offset_high}]");
            assert_eq!(guard.as_secs(), 1);
        }
    }
}
