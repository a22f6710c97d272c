//! The tdg program.
fn main() {}
