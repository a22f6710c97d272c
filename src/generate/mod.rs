//! The build loop.
