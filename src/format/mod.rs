//! Readers: bytes in, structure out.
