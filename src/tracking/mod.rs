//! Follows restore points in their stores until they can be restored, materializes them, and watches them until they
//! expire. `track.rs`, `copy.rs` and `keep.rs` decide and do no IO.

pub mod copy;
pub mod keep;
pub mod names;
pub mod track;
