//! All tests of features, in one binary: started by `cargo test --workspace`.
//!
//! They come in through the front door: the real router or the real program, a real Postgres, and destinations that are
//! real servers on this machine. Time is moved by hand where it matters; nothing sleeps.

mod support;

#[cfg(feature = "cloud")]
mod backfill;
#[cfg(feature = "cloud")]
mod commands;
#[cfg(feature = "cloud")]
mod crash;
#[cfg(feature = "cloud")]
mod deliver;
#[cfg(feature = "cloud")]
mod incidents;
#[cfg(feature = "cloud")]
mod process;
#[cfg(feature = "cloud")]
mod receive;

#[cfg(feature = "cloud")]
mod accounts;
#[cfg(feature = "cloud")]
mod alert;
#[cfg(feature = "cloud")]
mod browser;
#[cfg(feature = "cloud")]
mod demo;
#[cfg(feature = "cloud")]
mod destinations;
#[cfg(feature = "cloud")]
mod embedded;
#[cfg(feature = "cloud")]
mod grafana;
#[cfg(feature = "cloud")]
mod health;
#[cfg(feature = "cloud")]
mod live;
#[cfg(feature = "cloud")]
mod openapi;
#[cfg(feature = "cloud")]
mod people;
#[cfg(feature = "cloud")]
mod retention;
#[cfg(feature = "cloud")]
mod retry;
#[cfg(feature = "cloud")]
mod size;
#[cfg(feature = "cloud")]
mod stations;
#[cfg(feature = "cloud")]
mod stations_pages;
#[cfg(feature = "cloud")]
mod texts;
#[cfg(feature = "cloud")]
mod transform;
#[cfg(feature = "cloud")]
mod try_out;
#[cfg(feature = "cloud")]
mod watch;

mod agent;
mod camera;
mod classify;
mod decide;
mod fit;
mod frames;
mod gate;
mod notecard;
#[cfg(feature = "cloud")]
mod notehub;
mod pictures;
mod scene;
mod spool;
mod time;
mod train;
