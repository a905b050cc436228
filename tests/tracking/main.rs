//! Promises of what is decided about restore points after their windows: no IO, no clock.

mod keep;
mod track;
