//! The world outside: processes now; the wire and machines later.
//!
//! [`exec`] is the only place in the crate that starts a process.

pub mod exec;
