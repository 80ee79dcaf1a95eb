//! Values that are written with their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

/// A length of time, written `"90s"`, `"5m"`, `"12h"`, `"1d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

/// How many of how many, written `"2 of 3"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NOfM {
    pub n: usize,
    pub m: usize,
}

impl Period {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim())
            .map(Self)
            .map_err(|_| {
                format!("{text:?} is no length of time; write it with its unit: \"90s\", \"5m\", \"12h\", \"1d\"")
            })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for NOfM {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.n, self.m)
    }
}

impl FromStr for NOfM {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.split_once(" of ").and_then(|(n, m)| {
            Some(Self {
                n: n.trim().parse().ok()?,
                m: m.trim().parse().ok()?,
            })
        });
        read.filter(|read| 1 <= read.n && read.n <= read.m && read.m <= 20)
            .ok_or_else(|| {
                format!(
                    "{text:?} does not say how many of how many, such as \"2 of 3\", of at most 20"
                )
            })
    }
}

impl<'de> Deserialize<'de> for NOfM {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
