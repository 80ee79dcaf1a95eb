//! The agent: from a thermal camera's frame to a note.
//!
//! Modules stand in the order in which a frame passes them. `frame`, `picture` and `model` are pure: values in, values
//! out. Files are read by `capture` and `command`, time by `clock` alone.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of pixels and frames are far below 2^52"
)]

/// The one place that reads the time.
pub mod clock;

/// What the agent is told: `edge.toml`, the environment, and what the cloud changes.
pub mod config;

/// Files written whole or not at all.
pub mod file;

/// 24 x 32 temperatures in deg C, with where and when; repair of broken pixels.
pub mod frame;

/// Where frames come from: the camera, or recordings.
pub mod capture;

/// Frames for people: false colour, legends, contact sheets.
pub mod picture;

/// Learns a scene from its normal frames, and writes what it learned as an ONNX file.
pub mod model;

/// Runs a model on frames: scores, place, temperature difference.
pub mod classify;

/// Buses and ports, real or emulated.
pub mod hardware;

/// What frames mean over time: alarms, and how often to look (pure).
pub mod decide;

/// What is said of a frame: bodies, templates, pictures in parts (pure).
pub mod note;

/// Notes on their way to the Notecard.
pub mod send;

/// Whether the agent gets on.
pub mod health;

/// The agent at work.
pub mod agent;

/// Looks a station over before it is left alone.
pub mod examine;

/// Stand-ins for what is not there: a scene to look at, a camera, a Notecard, Notehub, and time itself.
pub mod emulate;

/// The command line.
pub mod command;
