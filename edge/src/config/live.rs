//! What the cloud changes while the agent runs: environment variables of the Notecard, over the configuration.
//!
//! Set them in Notehub, for a device, a fleet or the whole project: `interval`, `threshold`, `frames`. Whatever they say
//! is applied without a restart and reported in the next `health.qo`. What cannot be is left as it was, with the reason:
//! nobody can walk to the station to mend a slip of the keyboard.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::{Config, Period};

/// The settings in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    pub interval: Duration,
    pub threshold: f64,
    pub clear: f64,
    pub frames: Frames,
}

/// Which pictures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frames {
    pub with_alerts: bool,
    /// One each such period.
    pub every: Option<Period>,
}

impl Live {
    /// The configuration's.
    pub fn of(config: &Config) -> Self {
        Self {
            interval: config.camera.interval.get(),
            threshold: config.decide.threshold,
            clear: config.decide.clear,
            frames: config.decide.frames,
        }
    }

    /// The configuration's, changed by what the variables say; and what could not be applied.
    pub fn new(config: &Config, variables: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let mut live = Self::of(config);
        let mut refused = Vec::new();
        let set = |name: &str| {
            let value = variables.get(name).map(|value| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let mut apply = |name: &str, apply: &mut dyn FnMut(&str) -> anyhow::Result<()>| {
            if let Some(Err(error)) = set(name).map(apply) {
                refused.push(format!("{name}: {error:#}"));
            }
        };
        apply("interval", &mut |value| {
            let period = interval(value)?;
            live.interval = period;
            Ok(())
        });
        apply("threshold", &mut |value| {
            let wanted = value
                .parse()
                .map_err(|_| anyhow::anyhow!("{value:?} is no number"))?;
            live.threshold = threshold(wanted)?;
            Ok(())
        });
        apply("frames", &mut |value| {
            live.frames = value.parse().map_err(anyhow::Error::msg)?;
            Ok(())
        });
        // The distance between the two thresholds stays in proportion.
        live.clear = config.decide.clear * live.threshold / config.decide.threshold;
        if let Err(error) = config.decisions(&live).check() {
            // Each is good in itself, but not together with the rest of the configuration.
            refused.push(format!("interval: {error:#}"));
            live.interval = config.camera.interval.get();
        }
        (live, refused)
    }

    /// What the cloud is told of it, in one line, by which a change is known.
    pub fn told(&self, refused: &[String]) -> String {
        format!(
            "{} s, {}, {}; {}",
            self.interval.as_secs(),
            self.threshold,
            self.frames,
            refused.join("; ")
        )
    }
}

/// A plain number is minutes, as for the Notecard's own periods.
fn interval(text: &str) -> anyhow::Result<Duration> {
    let period = match text.parse::<u32>() {
        Ok(minutes) => Period::seconds(u64::from(minutes) * 60),
        Err(_) => text.parse().map_err(anyhow::Error::msg)?,
    };
    super::within(period, "10s", "1d", "interval")?;
    Ok(period.get())
}

pub(super) fn threshold(threshold: f64) -> anyhow::Result<f64> {
    ensure!(
        (0.05..1.0).contains(&threshold),
        "`threshold` is {threshold}; scores lie between 0 and 1, and 0.7 is what models are trained for"
    );
    Ok(threshold)
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            with_alerts: true,
            every: Some(Period::seconds(24 * 3600)),
        }
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.with_alerts, self.every) {
            (false, None) => formatter.write_str("none"),
            (true, None) => formatter.write_str("alerts"),
            (false, Some(every)) => write!(formatter, "{every}"),
            (true, Some(every)) => write!(formatter, "alerts, {every}"),
        }
    }
}

impl FromStr for Frames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut frames = Self {
            with_alerts: false,
            every: None,
        };
        if text.trim() == "none" {
            return Ok(frames);
        }
        for part in text.split(',').map(str::trim) {
            if part == "alerts" {
                frames.with_alerts = true;
            } else {
                let period: Period = part.parse().map_err(|_| {
                    format!(
                        "{text:?} does not say which pictures are sent: \"alerts, 1d\" is those of alerts and one a \
                         day; \"alerts\", \"1d\" and \"none\" are understood too"
                    )
                })?;
                super::within(period, "5m", "30d", "frames").map_err(|error| error.to_string())?;
                frames.every = Some(period);
            }
        }
        Ok(frames)
    }
}

impl<'de> Deserialize<'de> for Frames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
