//! What Talos does not check of its extensions: each fault that shipped, made for real, turns its
//! own check of `docs/specs` red and no other.

mod alone;
mod faults;
mod kind;
