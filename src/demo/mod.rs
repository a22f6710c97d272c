//! The demo's world: an upstream and a stand-in imager.
