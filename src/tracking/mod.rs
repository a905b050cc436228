//! Follows restore points in their stores until they can be restored, materializes them, and watches them until they
//! expire.
