//! What the tests stand on.

/// The service with its loops turned by hand.
#[cfg(feature = "cloud")]
pub mod app;
/// A thousand stations and a year.
#[cfg(feature = "cloud")]
pub mod big_fleet;
/// A real browser.
#[cfg(feature = "cloud")]
pub mod browser;
/// A proxy before Postgres that can be cut.
#[cfg(feature = "cloud")]
pub mod chaos;
/// A database for each test.
#[cfg(feature = "cloud")]
pub mod database;
/// The agent's program.
pub mod edge;
/// Events as Notehub posts them.
#[cfg(feature = "cloud")]
pub mod event;
/// Stations with two days behind them.
#[cfg(feature = "cloud")]
pub mod fleet;
/// Notehub's API for events.
#[cfg(feature = "cloud")]
pub mod notehub_api;
/// All pages.
#[cfg(feature = "cloud")]
pub mod pages;
/// The program as a process.
#[cfg(feature = "cloud")]
pub mod program;
/// A scripted HTTP server.
#[cfg(feature = "cloud")]
pub mod receiver;
/// What a station of the fleet says.
#[cfg(feature = "cloud")]
pub mod station;
