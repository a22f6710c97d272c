//! Looking into an image without a spec: what is in it, to any depth.

pub mod append;
pub mod describe;
pub mod diff;
mod item;
pub mod walk;
pub mod weight;

pub use item::Item;
