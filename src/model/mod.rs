//! The vocabulary: no I/O, no other module.
