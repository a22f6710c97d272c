//! The spec language: text in, typed spec out.
