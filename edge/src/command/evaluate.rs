//! `edge evaluate`: repeats the promise, so that nobody has to believe it.
//!
//! Each simulated scene is learned from 120 frames over two weeks, as `edge train` does it. Then weeks are judged in which nothing is wrong, and
//! faults of every class, all of them by the model file on the runtime that the agent uses. What was promised is set
//! beside what was measured, and the exit code says whether it was kept.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use self::injected::Class;
use self::judge::Way;
use self::trial::{Extent, Found, Quiet, Stressed, Trial, real};
use crate::classify::{self, Runtime};
use crate::emulate::scene::{Kind, Scene};
use crate::model::fit;

/// Which faults are put where.
mod injected;
/// Who judges frames.
mod judge;
/// The result for people.
mod table;
/// One scene put to the test.
mod trial;

/// A promise was not kept.
const MISSED: u8 = 3;

/// Learns simulated scenes, counts false alarms and found faults, and says whether the promise is kept.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Scenes to judge: boilers and panels in turn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    scenes: u64,
    /// Seed of the first scene; each further one has the next. 101 and above were never used to choose a constant.
    #[arg(long, default_value_t = 101)]
    seed: u64,
    /// Frames that each scene is learned from, spread over 14 days.
    #[arg(long, default_value_t = 120, value_parser = frames)]
    frames: usize,
    /// Simulated days in which nothing is wrong, for each scene.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: Option<u16>,
    /// A first impression: 8 days and a fifth of the faults. One bad morning is then enough to miss the promise.
    #[arg(long)]
    quick: bool,
    /// Also judge unusual days in which nothing is wrong: seasons, noise, drift, a camera that was moved.
    #[arg(long)]
    stress: bool,
    /// Calculate in Rust instead of running the model file.
    #[arg(long, conflicts_with = "runtime")]
    direct: bool,
    /// Run the model with ONNX Runtime from this library instead of the built-in runtime.
    #[arg(long, value_name = "PATH", env = "EDGE_RUNTIME")]
    runtime: Option<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Evaluation {
    setting: String,
    trials: Vec<Trial>,
    /// All scenes together.
    normal: Quiet,
    faults: Vec<Found>,
    stress: Vec<Stressed>,
    targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
struct Target {
    name: &'static str,
    measured: f64,
    limit: f64,
    at_most: bool,
    met: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let extent = extent(options);
    if let Way::Graph(runtime) = &extent.way {
        classify::prepare_environment(runtime)?;
    }
    let scenes: Vec<(Kind, u64)> = (0..options.scenes)
        .map(|turn| {
            let kind = [Kind::Boiler, Kind::Panel][usize::from(turn % 2 == 1)];
            (kind, options.seed.wrapping_add(turn))
        })
        .collect();
    let bar = progress_bar(scenes.len() * trial::frames(&extent));
    let trials = trials(&scenes, &extent, &bar)?;
    bar.finish_and_clear();
    let evaluation = Evaluation::new(setting(&scenes, &extent), trials);

    let told = if options.json {
        serde_json::to_string(&evaluation)? + "\n"
    } else {
        let costs = evaluation
            .trials
            .iter()
            .map(|trial| format!("{}: {}\n", trial.scene, trial.cost()));
        format!("{evaluation}\n{}", costs.collect::<String>())
    };
    super::say(&told)?;
    Ok(if evaluation.targets.iter().all(|target| target.met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(MISSED)
    })
}

fn frames(text: &str) -> Result<usize, String> {
    let most = fit::MOST_FRAMES;
    match text.parse() {
        Ok(frames) if (fit::FEWEST_FRAMES..=most).contains(&frames) => Ok(frames),
        _ => Err(format!(
            "a number from {} to {most} is needed",
            fit::FEWEST_FRAMES
        )),
    }
}

fn extent(options: &Options) -> Extent {
    let (days, faults) = if options.quick { (8, 20) } else { (40, 100) };
    Extent {
        training: options.frames,
        days: options.days.map_or(days, usize::from),
        faults,
        stress: options.stress,
        way: match (&options.runtime, options.direct) {
            (_, true) => Way::Direct,
            (None, false) => Way::Graph(Runtime::Embedded),
            (Some(library), false) => Way::Graph(Runtime::Library(library.clone())),
        },
        // Any midnight will do; the frames' times are the same in every run.
        start: DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000),
    }
}

fn setting(scenes: &[(Kind, u64)], extent: &Extent) -> String {
    let boilers = scenes.iter().filter(|(k, _)| *k == Kind::Boiler).count();
    let way = match &extent.way {
        Way::Direct => "calculated in Rust".to_owned(),
        Way::Graph(Runtime::Embedded) => "run by the built-in runtime".to_owned(),
        Way::Graph(Runtime::Library(path)) => format!("run by {}", path.display()),
    };
    let (days, frames) = (trial::TRAINING_DAYS, extent.training);
    format!(
        "{boilers} boilers and {} panels, seeds {} to {}; each learned from {frames} frames over {days} days, then judged \
         for {} other days, a frame every 5 minutes; models {way}; alarm above {}",
        scenes.len() - boilers,
        scenes.first().map_or(0, |(_, seed)| *seed),
        scenes.last().map_or(0, |(_, seed)| *seed),
        extent.days,
        trial::ALARM,
    )
}

/// As many scenes at a time as the machine has cores; the result does not depend on it.
fn trials(scenes: &[(Kind, u64)], extent: &Extent, bar: &ProgressBar) -> Result<Vec<Trial>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = Mutex::new(scenes.iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers.min(scenes.len()) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().ok().and_then(|mut waiting| waiting.next());
                    let Some((turn, &(kind, seed))) = next else {
                        break;
                    };
                    let scene = Scene::new(kind, seed);
                    let trial = trial::run(&scene, extent, &|frames| bar.inc(frames as u64));
                    let trial = trial.with_context(|| scene.name());
                    if let Ok(mut done) = done.lock() {
                        done.push((turn, trial));
                    }
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .map_err(|_| anyhow::anyhow!("a trial ended in panic"))?;
    done.sort_by_key(|(turn, _)| *turn);
    done.into_iter().map(|(_, trial)| trial).collect()
}

fn progress_bar(frames: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} frames judged, {eta} left");
    ProgressBar::with_draw_target(Some(frames as u64), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Evaluation {
    fn new(setting: String, trials: Vec<Trial>) -> Self {
        let mut normal = Quiet::default();
        let mut faults: Vec<Found> = Vec::new();
        let mut stress: Vec<Stressed> = Vec::new();
        for trial in &trials {
            normal.add(&trial.normal);
            for found in &trial.faults {
                match faults.iter_mut().find(|sum| sum.class == found.class) {
                    Some(sum) => sum.add(found),
                    None => faults.push(found.clone()),
                }
            }
            for stressed in &trial.stress {
                match stress.iter_mut().find(|sum| sum.stress == stressed.stress) {
                    Some(sum) => sum.quiet.add(&stressed.quiet),
                    None => stress.push(stressed.clone()),
                }
            }
        }
        Self {
            targets: targets(&normal, &faults),
            setting,
            trials,
            normal,
            faults,
            stress,
        }
    }
}

/// What was promised.
fn targets(normal: &Quiet, faults: &[Found]) -> Vec<Target> {
    let target = |name, measured: f64, limit: f64, at_most: bool| Target {
        name,
        measured,
        limit,
        at_most,
        met: if at_most {
            measured <= limit
        } else {
            measured >= limit
        },
    };
    let recall = |delta_t| {
        let class = Class::HotSpot {
            radius: 2.0,
            delta_t,
        };
        Found::of(faults, class).map_or(0.0, |found| real(found.alarms) / real(found.frames.max(1)))
    };
    let spots = || {
        faults
            .iter()
            .filter(|found| matches!(found.class, Class::HotSpot { .. }))
    };
    let seen: usize = spots().map(|found| found.alarms).sum();
    let located: usize = spots().map(|found| found.located).sum();
    let episodes = normal.in_30_days(normal.false_episodes_two_of_three);
    vec![
        target(
            "normal frames called an alarm",
            normal.false_rate(),
            5e-4,
            true,
        ),
        target(
            "false episodes in 30 days, by 2 of 3 frames",
            episodes,
            1.0,
            true,
        ),
        target(
            "spots of 10 °C, radius 2 px, found",
            recall(10.0),
            0.97,
            false,
        ),
        target(
            "spots of 6 °C, radius 2 px, found",
            recall(6.0),
            0.90,
            false,
        ),
        target(
            "found spots located within 2 px",
            real(located) / real(seen.max(1)),
            0.95,
            false,
        ),
    ]
}

impl Quiet {
    fn false_rate(&self) -> f64 {
        real(self.false_frames) / real(self.frames.max(1))
    }

    fn in_30_days(&self, episodes: usize) -> f64 {
        30.0 * real(episodes) / real(self.days.max(1))
    }

    fn add(&mut self, other: &Self) {
        self.days += other.days;
        self.frames += other.frames;
        self.false_frames += other.false_frames;
        self.false_episodes += other.false_episodes;
        self.false_episodes_two_of_three += other.false_episodes_two_of_three;
        self.largest_ratio = self.largest_ratio.max(other.largest_ratio);
        self.labels_right += other.labels_right;
        // Of several scenes, the one in which the camera seems to have moved most.
        self.median_shift = self.median_shift.max(other.median_shift);
    }
}

impl Found {
    fn of(faults: &[Self], class: Class) -> Option<&Self> {
        faults.iter().find(|found| found.class == class)
    }

    fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.alarms += other.alarms;
        self.located += other.located;
        self.sensor_faults += other.sensor_faults;
    }
}
