//! From a recording to a model file, its report and its page: everything of `edge train` but reading and writing files.
//!
//! The same recording gives the same bytes: nothing here asks for the time, and a model is dated by its newest frame.

use std::collections::BTreeSet;

use anyhow::Context;

use super::detectable::{self, Detectable};
use super::fit::{self, Example, Fit};
use super::metadata::{AdoptedFrame, FORMAT, Golden, Metadata};
use super::report::{
    self, BadPixels, DetectableSummary, Dropped, HeldOutSummary, Hottest, LabelSummary, Plots,
    Report,
};
use super::threshold::Tail;
use super::{ANOMALY, Assessment, Model, Named, onnx, residual};
use crate::capture::replay::{Recorded, Recording, Source};
use crate::frame::{Frame, MOST_BAD_PIXELS, PIXELS, Pixels, Place, statistics};

mod doubts;

/// What cameras of simulated frames are called.
pub const SIMULATED: &str = "simulated";

/// At one frame every five minutes.
const FRAMES_IN_30_DAYS: f64 = 8640.0;

/// How a scene is to be learned.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Make labels from the heat, whatever the folders are called.
    pub unlabelled: bool,
    /// Name of the camera, if the frames do not say.
    pub camera: Option<String>,
}

/// A trained model, and what is to be told about it.
#[derive(Debug)]
pub struct Training {
    pub onnx: Vec<u8>,
    pub model: Model,
    pub metadata: Metadata,
    pub report: Report,
    pub detectable: Vec<Detectable>,
    pub fit: Fit,
    /// What was learned from, in order; the indices of `fit` are into it.
    pub lessons: Vec<Lesson>,
    /// Which of them holds the hottest pixel.
    pub hottest: usize,
}

/// A frame of the recording, mended.
#[derive(Debug)]
pub struct Lesson {
    pub recorded: Recorded,
    pub pixels: Box<Pixels>,
    pub bad: Vec<usize>,
}

impl Training {
    /// The page about it: one file that needs no other.
    pub fn page(&self) -> anyhow::Result<String> {
        let examples = examples(&self.lessons, None);
        let times: Vec<_> = self
            .lessons
            .iter()
            .map(|lesson| lesson.recorded.frame.captured_at)
            .collect();
        let hottest = &self.lessons[self.hottest].pixels;
        let plots = Plots::new(&self.fit, &examples, &times, &self.detectable, hottest);
        report::html(&self.report, &plots)
    }
}

/// Learns labelled frames that lie in no files, such as simulated ones.
pub fn train_frames(frames: Vec<(Frame, &str)>) -> anyhow::Result<Training> {
    let frames = frames
        .into_iter()
        .enumerate()
        .map(|(at, (frame, label))| Recorded {
            frame,
            label: Some(label.to_owned()),
            source: Source {
                path: format!("{at:03}").into(),
                index: None,
            },
            adopted: None,
        });
    let recording = Recording {
        frames: frames.collect(),
        skipped: Vec::new(),
    };
    train(recording, &Options::default(), &mut |_| {})
}

/// Learns the scene of a recording.
pub fn train(
    recording: Recording,
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Training> {
    refuse_anomalies(&recording.frames)?;
    let frames_read = recording.frames.len();
    let (lessons, sensor_faults) = mend(once(recording.frames));
    anyhow::ensure!(
        !lessons.is_empty(),
        "none of the {frames_read} frames is a picture: all have more than {MOST_BAD_PIXELS} pixels that are no temperature from -40 to 300 deg C. Are they in other units, such as hundredths of a degree or kelvin?"
    );
    let lessons = thin(lessons);
    let names = if options.unlabelled {
        None
    } else {
        label_names(&lessons)
    };
    let examples = examples(&lessons, names.as_deref());
    let fit =
        fit::train(&examples, names.as_deref(), progress).context("these frames teach nothing")?;
    progress("what can be seen");
    let used: Vec<&Pixels> = fit.used.iter().map(|&i| &*lessons[i].pixels).collect();
    let detectable = detectable::detectable(&fit.model, &used);
    let answers: Vec<Assessment> = used
        .iter()
        .map(|pixels| residual::assess(&fit.model, pixels))
        .collect();
    let (hottest, hottest_pixel) = hottest(&lessons, &fit);
    let metadata = metadata(&lessons, &fit, &answers, names.is_some(), options);
    let mut report = Report {
        frames: fit.used.len(),
        frames_read,
        first_frame: metadata.first_frame,
        last_frame: metadata.last_frame,
        span_hours: span_hours(&metadata),
        dropped: dropped(&lessons, &fit),
        adopted: metadata.adopted.clone(),
        bad_pixels: BadPixels {
            frames: lessons
                .iter()
                .filter(|lesson| !lesson.bad.is_empty())
                .count(),
            pixels: lessons.iter().map(|lesson| lesson.bad.len()).sum(),
            sensor_faults,
        },
        k: fit.model.k,
        threshold_residual: fit.model.residual_threshold,
        threshold_envelope: fit.model.envelope_threshold,
        held_out: held_out(&fit),
        detectable: detectable.iter().map(summary).collect(),
        labelled: metadata.labelled,
        labels: labels(&fit),
        label_accuracy: fit.label_accuracy,
        hottest: hottest_pixel,
        camera: metadata.camera.clone(),
        simulated: metadata.simulated,
        software: metadata.software.clone(),
        warnings: Vec::new(),
    };
    report.warnings = doubts::doubts(&report, &lessons, &fit, &detectable);
    Ok(Training {
        onnx: onnx::write(&fit.model, &metadata),
        model: fit.model.clone(),
        metadata,
        report,
        detectable,
        fit,
        lessons,
        hottest,
    })
}

fn examples<'a>(lessons: &'a [Lesson], names: Option<&[String]>) -> Vec<Example<'a>> {
    lessons
        .iter()
        .map(|lesson| Example {
            pixels: &lesson.pixels,
            label: names.and_then(|names| {
                let label = lesson.recorded.label.as_ref()?;
                names.iter().position(|name| name == label)
            }),
            adopted: lesson.recorded.adopted.is_some(),
        })
        .collect()
}

/// Whoever sorts frames of faults into a folder of that name must not have them learned as normal.
fn refuse_anomalies(frames: &[Recorded]) -> anyhow::Result<()> {
    let anomaly = frames
        .iter()
        .find(|recorded| recorded.label.as_deref() == Some(ANOMALY));
    if let Some(recorded) = anomaly {
        anyhow::bail!(
            "{} is labelled `{ANOMALY}`: whatever is learned is taken for normal, so take such frames out (`edge classify` judges them afterwards)",
            recorded.source
        );
    }
    Ok(())
}

/// A frame that was adopted may lie in the recording still, as one that did not fit: it counts once, as adopted.
fn once(mut frames: Vec<Recorded>) -> Vec<Recorded> {
    let is_twin = |one: &Recorded, other: &Recorded| {
        one.adopted.is_some() && other.adopted.is_none() && one.frame.is_copy_of(&other.frame)
    };
    let twins: Vec<(usize, usize)> = (0..frames.len())
        .filter(|&one| frames[one].adopted.is_some())
        .flat_map(|one| (0..frames.len()).map(move |other| (one, other)))
        .filter(|&(one, other)| is_twin(&frames[one], &frames[other]))
        .collect();
    for &(adopted, twin) in &twins {
        if frames[adopted].label.is_none() {
            frames[adopted].label = frames[twin].label.take();
        }
    }
    let mut place = 0..;
    frames.retain(|_| {
        let place = place.next();
        !twins.iter().any(|&(_, twin)| Some(twin) == place)
    });
    frames
}

/// Mends each frame; those with too much to mend are no pictures of the scene and are counted only.
fn mend(frames: Vec<Recorded>) -> (Vec<Lesson>, usize) {
    let mut sensor_faults = 0;
    let mut lessons = Vec::with_capacity(frames.len());
    for recorded in frames {
        let repaired = recorded.frame.repaired(&[]);
        if repaired.is_sensor_fault() {
            sensor_faults += 1;
        } else {
            lessons.push(Lesson {
                recorded,
                pixels: repaired.pixels,
                bad: repaired.bad,
            });
        }
    }
    (lessons, sensor_faults)
}

/// More frames than the fit takes are thinned evenly; what somebody adopted stays.
fn thin(lessons: Vec<Lesson>) -> Vec<Lesson> {
    let adopted = lessons
        .iter()
        .filter(|lesson| lesson.recorded.adopted.is_some())
        .count();
    let others = lessons.len() - adopted;
    let places = fit::MOST_FRAMES.saturating_sub(adopted);
    if others <= places {
        return lessons;
    }
    // Those of the others that are kept, by their place among them.
    let kept: BTreeSet<usize> = (0..places)
        .map(|step| step * (others - 1) / (places - 1).max(1))
        .collect();
    let mut seen = 0;
    lessons
        .into_iter()
        .filter(|lesson| {
            let keep = lesson.recorded.adopted.is_some() || kept.contains(&seen);
            seen += usize::from(lesson.recorded.adopted.is_none());
            keep
        })
        .collect()
}

/// The labels of the folders, coldest first; None unless there are at least two.
fn label_names(lessons: &[Lesson]) -> Option<Vec<String>> {
    let mut names: Vec<String> = lessons
        .iter()
        .filter_map(|lesson| lesson.recorded.label.clone())
        .collect();
    names.sort_by_key(|name| (heat_order(name), name.clone()));
    names.dedup();
    (names.len() >= 2).then_some(names)
}

fn heat_order(name: &str) -> usize {
    ["cold", "warm", "hot"]
        .iter()
        .position(|known| *known == name)
        .unwrap_or(3)
}

fn metadata(
    lessons: &[Lesson],
    fit: &Fit,
    answers: &[Assessment],
    labelled: bool,
    options: &Options,
) -> Metadata {
    let used = || fit.used.iter().map(|&i| &lessons[i].recorded);
    let times = || used().filter_map(|recorded| recorded.frame.captured_at);
    let camera = used()
        .find_map(|recorded| recorded.frame.camera.clone())
        .or_else(|| options.camera.clone());
    let simulated = used().any(|recorded| {
        let camera = recorded.frame.camera.as_deref().unwrap_or_default();
        camera.starts_with(SIMULATED)
    });
    let adopted = used().filter_map(|recorded| {
        let adopted = recorded.adopted.as_ref()?;
        Some(AdoptedFrame {
            frame: named(recorded),
            adopted_at: adopted.at,
            because: adopted.because.clone(),
        })
    });
    Metadata {
        format: FORMAT,
        labels: std::iter::once(ANOMALY.to_owned())
            .chain(fit.model.labels.names.iter().cloned())
            .collect(),
        threshold_residual: fit.model.residual_threshold,
        threshold_envelope: fit.model.envelope_threshold,
        k: fit.model.k,
        frames: fit.used.len(),
        first_frame: times().min(),
        last_frame: times().max(),
        dropped: dropped(lessons, fit)
            .into_iter()
            .map(|dropped| dropped.frame)
            .collect(),
        adopted: adopted.collect(),
        camera,
        orientation: "rows from the top, columns from the left, as the camera sees them".to_owned(),
        labelled,
        simulated,
        software: concat!("Thermal Watch edge ", env!("CARGO_PKG_VERSION")).to_owned(),
        golden: golden(lessons, fit, answers),
    }
}

/// The frame closest to a threshold: its answer changes most when anything is damaged.
fn golden(lessons: &[Lesson], fit: &Fit, answers: &[Assessment]) -> Golden {
    let nearest = answers
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, other)| one.ratio.total_cmp(&other.ratio))
        .map_or(0, |(at, _)| at);
    let mut pixels: Box<Pixels> = lessons[fit.used[nearest]].pixels.clone();
    for pixel in pixels.iter_mut() {
        *pixel = (*pixel * 100.0).round() / 100.0;
    }
    Golden {
        scores: residual::assess(&fit.model, &pixels).scores,
        frame: pixels.to_vec(),
    }
}

fn named(recorded: &Recorded) -> Named {
    let path = &recorded.source.path;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    Named {
        file: match recorded.source.index {
            Some(index) => format!("{name}[{index}]"),
            None => name.into_owned(),
        },
        captured_at: recorded.frame.captured_at,
    }
}

fn dropped(lessons: &[Lesson], fit: &Fit) -> Vec<Dropped> {
    fit.dropped
        .iter()
        .map(|&(index, score)| Dropped {
            frame: named(&lessons[index].recorded),
            score,
        })
        .collect()
}

fn span_hours(metadata: &Metadata) -> Option<f64> {
    let span = metadata.last_frame? - metadata.first_frame?;
    Some(span.as_seconds_f64() / 3600.0)
}

fn held_out(fit: &Fit) -> HeldOutSummary {
    let (residual, envelope) = (
        fit.model.residual_threshold.clamped,
        fit.model.envelope_threshold.clamped,
    );
    let mut ratios: Vec<f64> = fit
        .held_out
        .iter()
        .map(|one| (one.residual / residual).max(one.envelope / envelope))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let beyond = |of: fn(&fit::HeldOut) -> f64, threshold: f64| {
        let scores: Vec<f64> = fit.held_out.iter().map(of).collect();
        Tail::of(&scores).rate(threshold)
    };
    let rate = beyond(|one| one.residual, residual) + beyond(|one| one.envelope, envelope);
    HeldOutSummary {
        over_threshold: ratios.iter().filter(|&&ratio| ratio > 1.0).count(),
        expected_per_30_days: rate.min(1.0) * FRAMES_IN_30_DAYS,
        median_ratio: ratios[ratios.len() / 2],
        largest_ratio: ratios[ratios.len() - 1],
    }
}

fn summary(detectable: &Detectable) -> DetectableSummary {
    let mut sorted = detectable.delta_t.clone();
    sorted.sort_by(f32::total_cmp);
    DetectableSummary {
        radius: detectable.radius,
        median: sorted[PIXELS / 2],
        p95: sorted[PIXELS * 95 / 100],
    }
}

fn labels(fit: &Fit) -> Vec<LabelSummary> {
    let names = fit.model.labels.names.iter().enumerate();
    names
        .map(|(index, name)| LabelSummary {
            label: name.clone(),
            frames: fit.labels.iter().filter(|&&label| label == index).count(),
        })
        .collect()
}

fn hottest(lessons: &[Lesson], fit: &Fit) -> (usize, Hottest) {
    let (index, found) = fit
        .used
        .iter()
        .map(|&index| (index, statistics(&lessons[index].pixels)))
        .max_by(|(_, one), (_, other)| one.max.total_cmp(&other.max))
        .expect("a fit has frames");
    let Place { row, column } = found.hottest;
    let hottest = Hottest {
        celsius: found.max,
        row,
        column,
        frame: named(&lessons[index].recorded),
    };
    (index, hottest)
}
