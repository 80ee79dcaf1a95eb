//! One scene put to the test: learn it from two weeks, then count what goes wrong in weeks and faults it has not seen.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::injected::{Class, Injector, classes};
use super::judge::{Judge, Judged, Way};
use crate::emulate::scene::{Course, LABELS, STEP, Scene, View};
use crate::frame::{Frame, Place};
use crate::model::Threshold;
use crate::model::training::{self, Training};

/// Above this a frame is an alarm.
pub const ALARM: f64 = 0.7;
/// Days to learn from.
pub const TRAINING_DAYS: f64 = 14.0;
/// After so many frames without alarm, the next one is a new episode: an hour.
const QUIET: usize = 12;
/// Days under each kind of stress.
pub const STRESS_DAYS: usize = 5;
const FRAMES_A_DAY: usize = 24 * 60 / STEP as usize;
/// A fault is located if it is found no further from its middle than this, pixels.
const NEAR: f64 = 2.0;

/// Every use of a scene has its own course of days.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Training = 1,
    Normal = 2,
    Stress = 3,
    Faults = 10,
}

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Frames to learn from.
    pub training: usize,
    pub days: usize,
    /// Frames of each class of fault.
    pub faults: usize,
    pub stress: bool,
    pub way: Way,
    pub start: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    pub scene: String,
    pub k: usize,
    pub threshold_residual: Threshold,
    /// deg C.
    pub threshold_envelope: Threshold,
    /// Training frames that were left out as absurd.
    pub dropped: usize,
    pub normal: Quiet,
    pub faults: Vec<Found>,
    pub stress: Vec<Stressed>,
    pub train_seconds: f64,
    /// From frame to scores, on the average.
    pub classify_microseconds: f64,
}

/// What was said to frames in which nothing was wrong.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Quiet {
    pub days: usize,
    pub frames: usize,
    pub false_frames: usize,
    /// Of alarms on a single frame, and on two of three.
    pub false_episodes: usize,
    pub false_episodes_two_of_three: usize,
    pub largest_ratio: f64,
    /// Frames that got the label they have.
    pub labels_right: usize,
    /// Of the estimated movement of the camera, pixels.
    pub median_shift: f64,
}

/// What was said to frames with one class of fault.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    #[serde(flatten)]
    pub class: Class,
    pub frames: usize,
    pub alarms: usize,
    /// Alarms within two pixels of the fault's middle, of those for faults that are in one place.
    pub located: usize,
    /// Frames that were called a fault of the sensor instead.
    pub sensor_faults: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Stressed {
    pub stress: &'static str,
    #[serde(flatten)]
    pub quiet: Quiet,
}

/// Frames to judge in a trial: what progress is measured by.
pub fn frames(extent: &Extent) -> usize {
    let stressed = if extent.stress {
        stresses().len() * STRESS_DAYS
    } else {
        0
    };
    (extent.days + stressed) * FRAMES_A_DAY + classes().len() * extent.faults
}

/// `progress` is told of frames as they are judged.
pub fn run(scene: &Scene, extent: &Extent, progress: &dyn Fn(usize)) -> Result<Trial> {
    let began = Instant::now();
    let training = learn(scene, extent)?;
    let train_seconds = began.elapsed().as_secs_f64();
    let mut bench = Bench {
        scene,
        judge: Judge::new(&extent.way, &training)?,
        start: extent.start,
        judged: 0,
        spent: Duration::ZERO,
        progress,
    };
    let normal = bench.normal(Stream::Normal, extent.days, Stress::default())?;
    let mut injector = Injector::new(scene, Stream::Faults as u64, extent.start);
    let mut faults = Vec::new();
    for class in classes() {
        faults.push(bench.faults(&mut injector, class, extent.faults)?);
    }
    let mut stress = Vec::new();
    for (name, kind) in stresses().into_iter().filter(|_| extent.stress) {
        let quiet = bench.normal(Stream::Stress, STRESS_DAYS, kind)?;
        stress.push(Stressed {
            stress: name,
            quiet,
        });
    }
    Ok(Trial {
        scene: scene.name(),
        k: training.model.k,
        threshold_residual: training.model.residual_threshold,
        threshold_envelope: training.model.envelope_threshold,
        dropped: training.fit.dropped.len(),
        normal,
        faults,
        stress,
        train_seconds,
        classify_microseconds: bench.spent.as_secs_f64() * 1e6 / real(bench.judged.max(1)),
    })
}

/// As `edge train` would from a folder of these frames.
fn learn(scene: &Scene, extent: &Extent) -> Result<Training> {
    let stream = Stream::Training as u64;
    let frames = scene.recording(TRAINING_DAYS, extent.training, stream, extent.start);
    training::train_frames(frames).with_context(|| format!("cannot learn {}", scene.name()))
}

/// What is unusual about days in which nothing is wrong.
#[derive(Debug, Clone, Copy, Default)]
struct Stress {
    /// deg C.
    season: f64,
    view: View,
    /// deg C by which the sensor is off in the end.
    drift: f64,
}

fn stresses() -> Vec<(&'static str, Stress)> {
    let usual = Stress::default();
    let season = |season| Stress { season, ..usual };
    let view = |view| Stress { view, ..usual };
    let look = View::default();
    vec![
        ("season +7 °C", season(7.0)),
        ("season -6 °C", season(-6.0)),
        ("noise x2", view(View { noise: 2.0, ..look })),
        (
            "drift to +3 °C",
            Stress {
                drift: 3.0,
                ..usual
            },
        ),
        ("jitter 0.3 px", view(View { shake: 0.3, ..look })),
        (
            "moved 0.5 px",
            view(View {
                moved: [0.35, -0.35],
                ..look
            }),
        ),
        (
            "moved 1 px",
            view(View {
                moved: [0.7, 0.7],
                ..look
            }),
        ),
    ]
}

/// A scene, and who judges it.
struct Bench<'a> {
    scene: &'a Scene,
    judge: Judge,
    start: DateTime<Utc>,
    judged: usize,
    spent: Duration,
    progress: &'a dyn Fn(usize),
}

impl Bench<'_> {
    fn normal(&mut self, stream: Stream, days: usize, stress: Stress) -> Result<Quiet> {
        let mut course: Course<'_> = self.scene.course(stream as u64, 0);
        course.season = stress.season;
        let mut camera = self.scene.camera(stream as u64);
        camera.view = stress.view;
        let count = days * FRAMES_A_DAY;
        let mut quiet = Quiet {
            days,
            frames: count,
            ..Quiet::default()
        };
        let (mut alarms, mut shifts) = (Vec::new(), Vec::new());
        for (turn, moment) in course.take(count).enumerate() {
            camera.view.drift = stress.drift * real(turn) / real(count);
            let passed = i64::try_from(moment.minute).unwrap_or(0);
            let at = self.start + TimeDelta::minutes(passed);
            let frame = self.scene.frame(&moment, &mut camera, &[], at);
            match self.judge(&frame)? {
                Judged::Scored {
                    anomaly,
                    ratio,
                    label,
                    shift,
                    ..
                } => {
                    alarms.push(anomaly > ALARM);
                    quiet.largest_ratio = quiet.largest_ratio.max(ratio);
                    quiet.labels_right += usize::from(LABELS[label] == moment.label);
                    shifts.push(f64::from(shift[0].hypot(shift[1])));
                }
                // Nothing is broken here: to say so is as false as an alarm.
                Judged::SensorFault => alarms.push(true),
            }
        }
        quiet.false_frames = alarms.iter().filter(|&&alarm| alarm).count();
        quiet.false_episodes = episodes(&alarms);
        quiet.false_episodes_two_of_three = episodes(&two_of_three(&alarms));
        quiet.median_shift = median(shifts);
        Ok(quiet)
    }

    fn faults(&mut self, injector: &mut Injector<'_>, class: Class, count: usize) -> Result<Found> {
        let frames = injector.frames(class, count);
        let mut found = Found {
            class,
            frames: frames.len(),
            alarms: 0,
            located: 0,
            sensor_faults: 0,
        };
        for injected in &frames {
            match self.judge(&injected.frame)? {
                Judged::Scored { anomaly, place, .. } if anomaly > ALARM => {
                    found.alarms += 1;
                    let near = injected.place.is_some_and(|at| distance(at, place) <= NEAR);
                    found.located += usize::from(near);
                }
                Judged::Scored { .. } => {}
                Judged::SensorFault => found.sensor_faults += 1,
            }
        }
        Ok(found)
    }

    fn judge(&mut self, frame: &Frame) -> Result<Judged> {
        let began = Instant::now();
        let judged = self.judge.judge(frame);
        self.spent += began.elapsed();
        self.judged += 1;
        (self.progress)(1);
        judged
    }
}

/// Alarms without a quiet hour between them are one episode.
fn episodes(alarms: &[bool]) -> usize {
    let mut last: Option<usize> = None;
    let mut count = 0;
    for (at, _) in alarms.iter().enumerate().filter(|(_, alarm)| **alarm) {
        if last.is_none_or(|last| at - last > QUIET) {
            count += 1;
        }
        last = Some(at);
    }
    count
}

/// Whether, with this frame, two of the last three are alarms.
fn two_of_three(alarms: &[bool]) -> Vec<bool> {
    (0..alarms.len())
        .map(|at| {
            let recent = &alarms[at.saturating_sub(2)..=at];
            recent.iter().filter(|&&alarm| alarm).count() >= 2
        })
        .collect()
}

fn distance(a: Place, b: Place) -> f64 {
    let rows = real(a.row.abs_diff(b.row));
    rows.hypot(real(a.column.abs_diff(b.column)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A count to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of frames, far below what f64 holds exactly"
)]
pub fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_merge_until_an_hour_was_quiet() {
        let check = |at: &[usize], single: usize, persistent: usize| {
            let mut alarms = vec![false; 60];
            for &at in at {
                alarms[at] = true;
            }
            assert_eq!(episodes(&alarms), single, "{at:?}");
            assert_eq!(episodes(&two_of_three(&alarms)), persistent, "{at:?}");
        };
        check(&[], 0, 0);
        check(&[5], 1, 0);
        check(&[5, 7], 1, 1);
        check(&[5, 8], 1, 0);
        check(&[5, 17], 1, 0);
        check(&[5, 18], 2, 0);
        check(&[5, 6, 30, 31], 2, 2);
    }
}
