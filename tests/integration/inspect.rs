//! The commands that look into an image without a spec.

mod add;
mod describe;
mod diff;
mod disks;
mod file_systems;
mod hostile;
mod isos;
mod look;
mod programs;
mod samples;
