//! Reporters, one file a format, each fed by the same events.
//!
//! A reporter never looks at a spec: what it shows is in the events.

pub mod html;
pub mod human;
pub mod json;
pub mod junit;

use crate::run::Event;
use std::io;

/// Turns events into output.
pub trait Reporter {
    /// Takes the next event.
    ///
    /// # Errors
    /// Where the output cannot be written.
    fn event(&mut self, event: &Event<'_>) -> io::Result<()>;
}
