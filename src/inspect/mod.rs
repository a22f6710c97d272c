//! Looking into an image without a spec: what is in it, to any depth.

pub mod walk;
pub mod weight;
