//! What happens to a station in the course of its simulated days (pure).

use std::fmt;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value};

use crate::emulate::notecard::Network;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Everything that is switched, in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan(Vec<Happening>);

#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Since the beginning.
    pub at: Duration,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Machine, camera and Notecard lose power for so long.
    PowerCut {
        off: Duration,
    },
    /// The agent is killed and started at once; the rest has power.
    Restart,
    Network(Network),
    /// Whether Notehub's route reaches its address.
    Route {
        reachable: bool,
    },
    NotecardRestart,
    /// Whether it has no room for notes.
    NotecardFull {
        full: bool,
    },
    /// With this chance something goes wrong with a request to the Notecard.
    NotecardNoise {
        chance: f64,
    },
    CameraSilent {
        time: Duration,
    },
    CameraFrozen {
        time: Duration,
    },
    /// Each word that is read is any word by this chance.
    CameraGarbled {
        share: f64,
        time: Duration,
    },
    CameraTorn {
        readings: u32,
    },
    CameraUnready {
        time: Duration,
    },
    HotSpot {
        delta_t: f64,
    },
    HotSpotGone,
    /// For `cmd.qi`.
    Command {
        body: Map<String, Value>,
    },
    /// An environment variable in Notehub.
    Variable {
        name: String,
        value: String,
    },
}

impl Plan {
    pub fn new(happenings: impl IntoIterator<Item = (Duration, What)>) -> Self {
        let mut happenings: Vec<_> = happenings
            .into_iter()
            .map(|(at, what)| Happening { at, what })
            .collect();
        happenings.sort_by_key(|happening| happening.at);
        Self(happenings)
    }

    /// Days as bad as they come: networks that are away for hours, power cuts, a camera that fails for minutes, a noisy
    /// line to the Notecard.
    ///
    /// The camera's faults last less than what the agent calls a fault.
    pub fn troubled(seed: u64, days: f64) -> Self {
        let mut drawn = Drawn {
            chance: ChaCha8Rng::seed_from_u64(seed),
            length: Duration::from_secs_f64(days * 86_400.0),
            happenings: Vec::new(),
        };
        drawn.spells(1.5 * days, 20 * MINUTE, 3 * HOUR, |_| {
            (What::Network(Network::Down), What::Network(Network::Up))
        });
        drawn.spells(0.5 * days, 20 * MINUTE, HOUR, |_| {
            (What::Network(Network::Flaky), What::Network(Network::Up))
        });
        drawn.spells(0.5 * days, MINUTE, 3 * MINUTE, |_| {
            (
                What::Route { reachable: false },
                What::Route { reachable: true },
            )
        });
        drawn.spells(0.5 * days, 20 * MINUTE, 2 * HOUR, |_| {
            (
                What::NotecardNoise { chance: 0.1 },
                What::NotecardNoise { chance: 0.0 },
            )
        });
        drawn.moments(0.7 * days, |chance| What::PowerCut {
            off: chance.random_range(1..40) * MINUTE,
        });
        drawn.moments(0.4 * days, |_| What::Restart);
        drawn.moments(0.4 * days, |_| What::NotecardRestart);
        drawn.moments(1.5 * days, |chance| {
            let time = chance.random_range(1..8) * MINUTE;
            match chance.random_range(0..5) {
                0 => What::CameraSilent { time },
                1 => What::CameraFrozen { time },
                2 => What::CameraGarbled { share: 0.001, time },
                3 => What::CameraTorn {
                    readings: chance.random_range(1..8),
                },
                _ => What::CameraUnready { time },
            }
        });
        Self::new(drawn.happenings)
    }

    /// The same with a hot spot from then on, for so long.
    #[must_use]
    pub fn with_hot_spot(self, at: Duration, lasts: Duration, delta_t: f64) -> Self {
        let spot = [
            (at, What::HotSpot { delta_t }),
            (at + lasts, What::HotSpotGone),
        ];
        let happenings = self.0.into_iter();
        Self::new(
            happenings
                .map(|happening| (happening.at, happening.what))
                .chain(spot),
        )
    }

    pub fn happenings(&self) -> &[Happening] {
        &self.0
    }

    /// When the hot spots were there.
    pub fn hot_spots(&self) -> Vec<[Duration; 2]> {
        let begins = self
            .0
            .iter()
            .filter(|happening| matches!(happening.what, What::HotSpot { .. }));
        begins
            .map(|begin| {
                let gone = self.0.iter().find(|happening| {
                    happening.at > begin.at && happening.what == What::HotSpotGone
                });
                [begin.at, gone.map_or(Duration::MAX, |gone| gone.at)]
            })
            .collect()
    }
}

/// Happenings being drawn by chance.
struct Drawn {
    chance: ChaCha8Rng,
    length: Duration,
    happenings: Vec<(Duration, What)>,
}

impl Drawn {
    fn somewhen(&mut self) -> Duration {
        self.length.mul_f64(self.chance.random_range(0.02..0.98))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few a day"
    )]
    fn moments(&mut self, count: f64, what: impl Fn(&mut ChaCha8Rng) -> What) {
        for _ in 0..count.round() as usize {
            let at = self.somewhen();
            let what = what(&mut self.chance);
            self.happenings.push((at, what));
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few a day"
    )]
    fn spells(
        &mut self,
        count: f64,
        shortest: Duration,
        longest: Duration,
        what: impl Fn(&mut ChaCha8Rng) -> (What, What),
    ) {
        for _ in 0..count.round() as usize {
            let at = self.somewhen();
            let spread = longest.saturating_sub(shortest);
            let lasts = shortest + spread.mul_f64(self.chance.random_range(0.0..1.0));
            let (begin, end) = what(&mut self.chance);
            self.happenings.push((at, begin));
            self.happenings.push((at + lasts, end));
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: &Duration| humantime::format_duration(*time);
        match self {
            Self::PowerCut { off } => write!(f, "the station lost power for {}", time(off)),
            Self::Restart => f.write_str("the agent was killed"),
            Self::Network(Network::Up) => f.write_str("the network is there"),
            Self::Network(Network::Down) => f.write_str("the network is gone"),
            Self::Network(Network::Flaky) => f.write_str("the network breaks off every time"),
            Self::Route { reachable: true } => f.write_str("Notehub reaches its route"),
            Self::Route { reachable: false } => f.write_str("Notehub cannot reach its route"),
            Self::NotecardRestart => f.write_str("the Notecard restarted"),
            Self::NotecardFull { full: true } => f.write_str("the Notecard is full"),
            Self::NotecardFull { full: false } => f.write_str("the Notecard has room"),
            Self::NotecardNoise { chance } if *chance > 0.0 => {
                f.write_str("the line to the Notecard is bad")
            }
            Self::NotecardNoise { .. } => f.write_str("the line to the Notecard is good"),
            Self::CameraSilent { time: t } => write!(f, "the camera is silent for {}", time(t)),
            Self::CameraFrozen { time: t } => {
                write!(f, "the camera measures nothing for {}", time(t))
            }
            Self::CameraGarbled { time: t, .. } => {
                write!(f, "the camera's words are garbled for {}", time(t))
            }
            Self::CameraTorn { readings } => write!(f, "{readings} pictures are torn"),
            Self::CameraUnready { time: t } => {
                write!(f, "the camera has no data for {}", time(t))
            }
            Self::HotSpot { delta_t } => write!(f, "a spot is {delta_t} deg C too hot"),
            Self::HotSpotGone => f.write_str("the hot spot is gone"),
            Self::Command { body } => write!(f, "a command: {}", Value::Object(body.clone())),
            Self::Variable { name, value } => write!(f, "Notehub sets {name} to {value}"),
        }
    }
}
