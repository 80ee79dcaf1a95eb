//! How long does a frame take to become scores, and how long the way the tutorial does it?
//!
//! `cargo bench -p tests --bench classification`. Ours is repair and the scene's graph on temperatures. The tutorial's is
//! a picture: colours over 20 to 40 deg C, scaled up to 640 x 480, saved as JPEG, read again, shrunk to what the network
//! takes, and a small network on it. Both are Rust, with the same runtime on one thread, in turns, so that what else the
//! machine does falls on both. The networks have random weights: they take the time of trained ones and say nothing.

#[path = "classification/networks.rs"]
mod networks;
#[path = "classification/tutorial.rs"]
mod tutorial;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::DateTime;
use edge::classify::{self, Classifier, Options, Runtime};
use edge::emulate::scene::{Kind, Scene};
use edge::frame::Frame;
use edge::model::DEMONSTRATION;

use tutorial::{STEPS, Tutorial};

const ROUNDS: usize = 21;
/// Frames in a round.
const FRAMES: usize = 20;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With nowhere left to complain to, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "classification: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> anyhow::Result<()> {
    let frames = &recording()[..];
    let mut ours = Classifier::load(DEMONSTRATION, &Runtime::Embedded)?;
    let small = networks::small();
    let mobile = networks::mobile();
    let mut rivals = [
        Tutorial::new("small network, 64 x 48", load(&small)?, 64, 48),
        Tutorial::new("MobileNet-like, 96 x 96", load(&mobile)?, 96, 96),
    ];
    let mut our_rounds = Vec::new();
    let mut rival_rounds = [Vec::new(), Vec::new()];
    // The first round warms up and is not counted.
    for round in 0..=ROUNDS {
        let start = Instant::now();
        for frame in frames {
            ours.classify(frame, &[])?;
        }
        let taken = start.elapsed();
        let steps = rivals
            .iter_mut()
            .map(|rival| rival.classify_all(frames))
            .collect::<anyhow::Result<Vec<_>>>()?;
        if round > 0 {
            our_rounds.push([taken]);
            for (rounds, steps) in rival_rounds.iter_mut().zip(steps) {
                rounds.push(steps);
            }
        }
    }
    let mut text = format!(
        "{ROUNDS} rounds of {FRAMES} frames, medians, ms a frame; {}\n\n",
        ours.runtime()
    );
    let [our_time] = medians(&our_rounds);
    text += &format!(
        "temperatures: repair, scene's graph ({} multiply-adds)\n",
        ours.checked().work
    );
    text += &format!("  {:<28}{our_time:9.3}\n", "all");
    for (rival, rounds) in rivals.iter().zip(&rival_rounds) {
        let steps = medians(rounds);
        let all: f64 = steps.iter().sum();
        text += &format!(
            "\npicture: {} ({} multiply-adds)\n",
            rival.name,
            rival.work()
        );
        for (name, time) in STEPS.iter().zip(steps) {
            text += &format!("  {name:<28}{time:9.3}\n");
        }
        text += &format!(
            "  {:<28}{all:9.3}   {:.1} times as long\n",
            "all",
            all / our_time
        );
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The median of each step over the rounds, ms a frame.
fn medians<const N: usize>(rounds: &[[Duration; N]]) -> [f64; N] {
    std::array::from_fn(|step| {
        let mut times: Vec<Duration> = rounds.iter().map(|round| round[step]).collect();
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3 / FRAMES as f64
    })
}

/// Frames of the scene that the model that ships has learned.
fn recording() -> Vec<Frame> {
    let start = DateTime::from_timestamp(1_760_000_000, 0).unwrap_or_default();
    let frames = Scene::new(Kind::Boiler, 1).recording(14.0, FRAMES, 1, start);
    frames.into_iter().map(|(frame, _)| frame).collect()
}

fn load(network: &[u8]) -> anyhow::Result<Classifier> {
    classify::load_bytes(network, &Runtime::Embedded, &Options::default())
}
