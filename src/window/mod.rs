//! The window: a journalled state machine without IO, clock or randomness.
//!
//! `Window::step` takes one input in (`absorb`), asks `decide` for the events that follow from the state, and
//! answers with what is `due`. The durable state changes only by `Journal::apply`.

mod due;
mod event;
mod input;
mod journal;
mod machine;
mod member;
mod report;
mod stores;
mod verdict;
mod view;
mod watch;

pub use event::{
    APPEND_DEADLINE, ASK_DEADLINE, CENSUS_DEADLINE, End, Event, MARGIN, Outcome, POD_DEADLINE, Plan, STORES_DEADLINE,
};
pub use input::{Call, Effect, Input, Line};
pub use journal::{Illegal, Journal, Phase};
pub use machine::Window;
pub use member::{Attempt, DOUBT_POLL, GRACE, Live};
pub use report::Report;
pub use view::State;
