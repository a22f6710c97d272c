//! The world outside: processes, git, web servers, registries, and what builds leave on disk.
//!
//! [`exec`] is the only place in the crate that starts a process; [`git`] drives the `git`
//! program through it; [`store`] writes files that are whole or not there; [`record`] is what a
//! build leaves behind for the `build` kind; [`tls`] keeps what a server shows of itself;
//! [`port`] connects, and no more; [`qemu`] boots machines.

pub mod boot_file;
pub mod cache;
pub mod dhcp;
pub mod dns;
pub mod exec;
pub mod git;
pub mod http;
pub mod netboot;
pub mod port;
pub mod qemu;
pub mod record;
pub mod registry;
pub mod store;
pub mod temporary;
pub mod tftp;
pub mod tls;
