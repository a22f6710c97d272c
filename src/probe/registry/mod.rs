//! Images in registries: `oci://host/repository:tag` as the beginning of an address.
//!
//! An image in a registry is an OCI layout whose blobs are fetched when they are read: a
//! [`crate::format::Tree`] of `oci-layout`, `index.json` and `blobs/`, for whoever reads layouts.
//!
//! Names are read by `oci-client`, as everybody's are. Its requests are not used for reading what
//! strangers publish: they bound no manifest and no token, tell nothing of which part of a blob
//! came, hold no blob to the size in its descriptor, follow redirects from https to http and the
//! `urls` of layers, and send credentials to whatever place a registry names for tokens. What is
//! asked here goes through [`super::http`]. Source: OCI distribution specification 1.1.

mod auth;
mod credentials;
mod error;
mod folder;
mod helper;
mod landing;
mod layout;
mod name;
mod public;
mod pull;
mod push;
mod read;
mod referrers;
mod session;
mod transfer;
pub mod wire;

use crate::format::{Keep, Limits, Tree};
use crate::probe::cache::{Cache, Identity, Place};
use crate::probe::http::Patience;
use std::sync::Arc;

pub use auth::Challenge;
pub use error::RegistryError;
pub use name::Name;
pub use public::{anonymous, present};
pub use pull::{Pulled, pull};
pub use push::{Pushed, Which, push};
pub use referrers::{referrers, tags};
pub use transfer::{Event, How, Options, Progress, Verify};

/// What a registry has under a name.
pub struct Opened {
    /// It, as an OCI layout.
    pub tree: Arc<dyn Tree>,
    /// The place of what is made from it.
    pub keep: Option<Arc<dyn Keep>>,
}

/// Opens what an address `oci://…` names: an image, an artifact or an index, in the form of an OCI
/// layout. With `?platform=os/architecture` it is the one image of that platform. The manifest is
/// fetched here, everything else when it is read.
///
/// # Errors
/// See [`RegistryError`].
pub fn open(
    address: &str,
    limits: &Limits,
    cache: Option<Arc<Cache>>,
) -> Result<Opened, RegistryError> {
    let name = name::Name::parse(address)?;
    let session = session::Session::new(name, limits, cache.clone(), Patience::SHORT)?;
    let layout = layout::Layout::open(session)?;
    let keep = cache.map(|cache| {
        let identity = Identity::Known(format!("oci {}", layout.digest()));
        Arc::new(Place::new(cache, identity, limits.deadline)) as Arc<dyn Keep>
    });
    Ok(Opened {
        tree: Arc::new(layout),
        keep,
    })
}
