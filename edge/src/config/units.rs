//! Values that are written with their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::classify::convention::Scale;
use crate::picture::{Colours, Range};

/// A length of time, written `"90s"`, `"5m"`, `"12h"`, `"1d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

/// How many of how many, written `"2 of 3"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NOfM {
    pub n: usize,
    pub m: usize,
}

/// A value that the command line knows by the same name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Named<T>(pub T);

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

impl<'de> Deserialize<'de> for Named<Range> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Named<Colours> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_of(deserializer)
    }
}

impl<'de> Deserialize<'de> for Named<Scale> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        one_of(deserializer)
    }
}

fn one_of<'de, T: ValueEnum, D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::from_str(&text, true).map(Named).map_err(|_| {
        let known: Vec<_> = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| format!("{:?}", value.get_name()))
            .collect();
        D::Error::custom(format!("{text:?} is none of {}", known.join(", ")))
    })
}
