//! All tests of features, in one binary: started by `cargo test --workspace`.
//!
//! They come in through the front door: the real router or the real program, a real Postgres, and destinations that are
//! real servers on this machine. Time is moved by hand where it matters; nothing sleeps.

mod support;

mod receive;
mod process;
mod deliver;
mod incidents;
mod crash;
mod commands;

mod alert;
mod demo;
mod destinations;
mod embedded;
mod retry;
mod transform;
