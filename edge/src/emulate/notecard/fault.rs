//! What may go wrong with a request: one thing for each, by a script or by chance.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

/// Something that goes wrong with one request, as it is sent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// At this byte of the request.
    Request(Damage, usize),
    /// At this byte of the reply, counted around its length.
    Reply(Damage, usize),
    /// The reply takes so much longer.
    Slow(Duration),
    /// It is done, and no reply comes.
    Silent,
    /// It is not heard at all.
    Deaf,
    /// So many, five seconds apart, before the reply.
    Heartbeats(u32),
    /// It is not done, and the reply says so.
    Io,
    /// It is not done, and the reply is this error.
    Refused(&'static str),
    /// A restart that keeps the time.
    Reset(Moment),
    /// A restart for want of power.
    BrownOut(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Lost,
    Doubled,
    /// These bits are the other way round.
    Flipped(u8),
}

/// When a restart happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this byte of the request.
    InRequest(usize),
    /// When it is done, and before its reply.
    BeforeReply,
    /// When so many bytes of the reply were fetched.
    InReply(usize),
}

/// What there is of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    #[default]
    Up,
    Down,
    /// Syncs begin, and end in the middle.
    Flaky,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub script: VecDeque<Option<Fault>>,
    storm: Option<(ChaCha8Rng, f64)>,
    pub full: bool,
    pub network: Network,
    pub deaf_until: Duration,
}

impl Faults {
    pub fn storm(&mut self, seed: u64, chance: f64) {
        self.storm = (chance > 0.0).then(|| (ChaCha8Rng::seed_from_u64(seed), chance));
    }

    /// For the next request.
    pub fn next(&mut self) -> Option<Fault> {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        let (rng, chance) = self.storm.as_mut()?;
        rng.random_bool(*chance).then(|| draw(rng))
    }
}

fn draw(rng: &mut ChaCha8Rng) -> Fault {
    let damage = match rng.random_range(0..3) {
        0 => Damage::Lost,
        1 => Damage::Doubled,
        _ => Damage::Flipped(1 << rng.random_range(0..8)),
    };
    let place = rng.random_range(0..120);
    let moment = match rng.random_range(0..3) {
        0 => Moment::InRequest(place),
        1 => Moment::BeforeReply,
        _ => Moment::InReply(place % 20),
    };
    match rng.random_range(0..12) {
        0..=2 => Fault::Request(damage, place),
        3..=5 => Fault::Reply(damage, place),
        6 => Fault::Slow(Duration::from_secs(rng.random_range(1..45))),
        7 => Fault::Silent,
        8 => Fault::Deaf,
        9 => Fault::Heartbeats(rng.random_range(1..4)),
        10 => Fault::Io,
        _ if rng.random_bool(0.5) => Fault::Reset(moment),
        _ => Fault::BrownOut(moment),
    }
}
