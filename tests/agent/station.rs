//! A simulated station for tests.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use edge::config::Config;
use edge::emulate::notehub::Route;
use edge::emulate::scene::Kind;
use edge::emulate::station::{Options, Plan};
use tempfile::TempDir;

pub const PRODUCT: &str = "com.example.tests:boilers";

pub fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The agent's settings, with more of them.
pub fn config(more: &str) -> Config {
    let text =
        format!("{more}\n[notecard]\nproduct = \"{PRODUCT}\"\nserial_number = \"boiler-room\"");
    Config::parse(
        &text,
        &std::collections::BTreeMap::new(),
        std::path::Path::new(""),
    )
    .expect("the settings are good")
}

/// A station whose days end when the service's time begins, so that nothing comes from the future.
pub struct Simulated {
    pub options: Options,
    _state: TempDir,
}

impl Simulated {
    pub fn new(days: f64, plan: Plan, [url, token]: [&str; 2], now: DateTime<Utc>) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let length = TimeDelta::from_std(Duration::from_secs_f64(days * 86_400.0));
        Self {
            options: Options {
                kind: Kind::Boiler,
                seed: 7,
                days,
                start: now - length.expect("some days") - TimeDelta::hours(9),
                pace: None,
                plan,
                route: Route::new(url, token),
                config: config(""),
                state_dir: state.path().to_owned(),
                serial: false,
            },
            _state: state,
        }
    }
}
