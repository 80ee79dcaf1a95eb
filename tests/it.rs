//! All tests of features, in one binary: started by `cargo test --workspace`.
//!
//! They come in through the front door: the real router or the real program, a real Postgres, and destinations that are
//! real servers on this machine. Time is moved by hand where it matters; nothing sleeps.

mod support;

mod commands;
mod crash;
mod deliver;
mod incidents;
mod process;
mod receive;

mod alert;
mod demo;
mod destinations;
mod embedded;
mod retry;
mod stations;
mod transform;

mod agent;
mod camera;
mod classify;
mod decide;
mod fit;
mod frames;
mod gate;
mod notecard;
mod notehub;
mod pictures;
mod scene;
mod spool;
mod time;
mod train;
