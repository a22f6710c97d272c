//! Many formats as one tree.
