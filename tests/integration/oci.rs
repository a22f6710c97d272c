//! OCI images and artifacts: the kind `oci`, and what is meant to do harm.

mod attached;
mod hostile;
mod kind;
mod published;
mod together;
