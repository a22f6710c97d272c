//! Plan, engine, events and the libtest front.
