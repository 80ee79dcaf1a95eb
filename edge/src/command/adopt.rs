//! `edge adopt`: somebody looked at a false alarm and says that it is normal.
//!
//! The frames are copied into the recording, with when and why; the recording is what the next fit learns from, and the
//! model's metadata carries the same record. The old model stays beside the new one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};

use super::train::{self, Progress, say};
use crate::capture::replay::{self, Adopted, Recorded, Recording, Source};
use crate::clock;
use crate::frame::Place;
use crate::model::metadata::Metadata;
use crate::model::training::{self, Training};
use crate::model::{gate, residual};

/// More frames of one false alarm than this would outweigh the rest of the recording.
const MOST_AT_ONCE: usize = 12;
/// Where adopted frames lie within a recording.
const FOLDER: &str = "adopted";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adopt only what somebody has looked at: an adopted fault is never told again.

  edge adopt --recording frames --model model.onnx alarm/*.csv --because 'new summer schedule'")]
pub struct Options {
    /// Frames of the false alarm; of more than 12, 12 are taken evenly
    #[arg(required = true, value_name = "FRAMES")]
    frames: Vec<PathBuf>,
    /// The folder of frames that the model was trained on; the adopted ones are added in its sub-folder `adopted`
    #[arg(long, value_name = "FOLDER")]
    recording: PathBuf,
    /// The model that alarmed; it is replaced, and kept as `.previous.onnx`
    #[arg(long, value_name = "FILE", default_value = "model.onnx")]
    model: PathBuf,
    /// Why this is normal; kept with the frames and in the model
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Leave out files that are no frames, and list them
    #[arg(long)]
    skip_bad: bool,
    /// Print the report of the new model as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let (old_bytes, old) = old_model(&options.model)?;
    if !options.recording.is_dir() {
        bail!("{} is no folder", options.recording.display());
    }
    let offered = train::read(&options.frames, options.skip_bad)?.frames;
    let recording = train::read(std::slice::from_ref(&options.recording), options.skip_bad)?;
    let adoption = adoption(offered, &recording, options, clock::now())?;
    let how = training::Options {
        unlabelled: !old.labelled,
        camera: old.camera.clone(),
    };
    progress.at("learning without them");
    let before = training::train(recording, &how, &mut |_| ())?;
    // First the frames: a model must never know of an adoption that its recording does not hold.
    std::fs::create_dir_all(options.recording.join(FOLDER))
        .with_context(|| format!("making {}", options.recording.join(FOLDER).display()))?;
    for recorded in &adoption {
        replay::write(&recorded.source.path, recorded)?;
    }
    let recording = train::read(std::slice::from_ref(&options.recording), options.skip_bad)?;
    let training = training::train(recording, &how, &mut |stage| progress.at(stage))?;
    train::replace(&options.model.with_extension("previous.onnx"), &old_bytes)?;
    let page = train::write(&training, &options.model, None)?;
    progress.done();
    if options.json {
        say(&format!("{}\n", serde_json::to_string(&training.report)?))?;
    } else {
        say(&told(&before, &training, &adoption))?;
        say(&format!(
            "\nwritten  {}\n         {}\n         {}  (the model as it was)\n",
            options.model.display(),
            page.display(),
            options.model.with_extension("previous.onnx").display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn old_model(path: &Path) -> anyhow::Result<(Vec<u8>, Metadata)> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let checked = gate::check(&bytes).with_context(|| format!("{} is no model", path.display()))?;
    match checked.kind {
        gate::Kind::Scene(metadata) => Ok((bytes, *metadata)),
        _ => bail!(
            "{} was not made by `edge train`, so there is nothing to learn again",
            path.display()
        ),
    }
}

/// The frames as they will lie in the recording.
fn adoption(
    offered: Vec<Recorded>,
    recording: &Recording,
    options: &Options,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Recorded>> {
    let known = |frame: &Recorded| {
        recording
            .frames
            .iter()
            .any(|other| other.adopted.is_some() && other.frame.pixels == frame.frame.pixels)
    };
    let new: Vec<Recorded> = offered.into_iter().filter(|frame| !known(frame)).collect();
    if new.is_empty() {
        bail!("all of these frames were adopted before");
    }
    let count = new.len();
    let places = count.min(MOST_AT_ONCE);
    let chosen = new.into_iter().enumerate().filter_map(|(at, recorded)| {
        ((at + 1) * places / count > at * places / count).then_some(recorded)
    });
    Ok(chosen
        .enumerate()
        .map(|(at, recorded)| {
            let name = match recorded.frame.captured_at {
                // With the time of the adoption, so that no name is ever there already.
                Some(captured_at) => {
                    format!("{}-adopted-{}-{at:02}.csv", stamp(captured_at), stamp(now))
                }
                None => format!("adopted-{}-{at:02}.csv", stamp(now)),
            };
            Recorded {
                source: Source {
                    path: options.recording.join(FOLDER).join(name),
                    index: None,
                },
                label: None,
                adopted: Some(Adopted {
                    at: now,
                    because: options.because.clone(),
                }),
                frame: recorded.frame,
            }
        })
        .collect())
}

fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// What it changed: the frames at hand, and what the rest of the picture pays for it.
fn told(before: &Training, after: &Training, adoption: &[Recorded]) -> String {
    let mut lines = vec![
        format!("Adopted {} frames as normal.\n", adoption.len()),
        format!(
            "{:<48}{:<16}{:>10}{:>10}{:>10}",
            "frame", "place (from 0)", "off by", "ratio was", "is now"
        ),
    ];
    for recorded in adoption {
        let pixels = recorded.frame.repaired(&[]).pixels;
        let old = residual::assess(&before.model, &pixels);
        let new = residual::assess(&after.model, &pixels);
        let Place { row, column } = Place::of(old.index);
        let name = recorded.source.path.file_name().unwrap_or_default();
        lines.push(format!(
            "{:<48}{:<16}{:>7.1} °C{:>10.2}{:>10.2}{}",
            name.to_string_lossy(),
            format!("row {row}, col {column}"),
            old.delta_t,
            old.ratio,
            new.ratio,
            if new.ratio > 1.0 {
                "  still an alarm"
            } else {
                ""
            },
        ));
    }
    lines.push(format!(
        "\n{:<48}{:>10}{:>10}",
        "what it costs", "was", "is now"
    ));
    let thresholds = |training: &Training| {
        let Training { model, report, .. } = training;
        let (residual, envelope) = (
            model.residual_threshold.clamped,
            model.envelope_threshold.clamped,
        );
        let mut values = vec![report.frames as f64, residual, envelope];
        values.extend(
            report
                .detectable
                .iter()
                .map(|spots| f64::from(spots.median)),
        );
        values
    };
    let names = [
        "frames",
        "unexplained, threshold (times the noise)",
        "hotter than ever, threshold (°C)",
    ];
    let spots = after.report.detectable.iter().map(|spots| {
        format!(
            "spot of {} px seen at half of the places (°C)",
            spots.radius
        )
    });
    let names = names.map(str::to_owned).into_iter().chain(spots);
    for ((name, old), new) in names.zip(thresholds(before)).zip(thresholds(after)) {
        lines.push(format!("{name:<48}{old:>10.2}{new:>10.2}"));
    }
    lines.push(String::new());
    lines.join("\n")
}
