//! The embedded netboot server: HTTP with matchbox's routes, TFTP, and ProxyDHCP, from a folder or an artifact.
//!
//! [`serve`] takes all ports and then serves until it is told to end. [`beneath`] keeps
//! every name inside of the folder, [`artifact`] gives the files of an OCI artifact; [`groups`] is what matchbox's documents say, [`kernels`] what is
//! started without them. What strangers send is bounded: connections, transfers and their memory by
//! counts of [`http`] and [`tftp`], time by each of them.
//!
//! Sources: matchbox v0.11.0, `http/`; RFC 9110 and 9112; those of [`crate::format::tftp`] and
//! [`crate::format::dhcp`].

pub mod artifact;
pub mod beneath;
pub mod broken;
pub mod dhcp;
pub mod error;
pub mod event;
pub mod folder;
pub mod found;
pub mod groups;
pub mod http;
pub mod judged;
pub mod kernels;
pub mod menu;
pub mod opened;
pub mod refusal;
pub mod server;
pub mod site;
pub mod tftp;

pub use error::ServeError;
pub use event::{Event, OnEvent};
pub use server::{Ports, more_files, serve};
pub use site::{Place, Site};
