//! `edge adopt`: somebody looked at a false alarm and says that it is normal.
//!
//! The frames are copied into the recording, with when and why; the recording is what the next fit learns from, and the
//! model's metadata carries the same record. The old model stays beside the new one. What would make another model than
//! the one that alarmed is refused: frames of another camera, or a recording that this model was not trained on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};

use super::train::{self, Places, Progress};
use super::{output, say};
use crate::capture::replay::{self, Adopted, Recorded, Recording, Source};
use crate::frame::Place;
use crate::model::metadata::Metadata;
use crate::model::training::{self, Training};
use crate::model::{gate, residual};
use crate::{classify, clock, file};

/// More frames of one false alarm than this would outweigh the rest of the recording.
const MOST_AT_ONCE: usize = 12;
/// Where adopted frames lie within a recording.
const FOLDER: &str = "adopted";
/// From this ratio on a frame is an alarm.
const ALARM: f32 = 1.0;
/// So much less is seen after an adoption that somebody should think again.
const MUCH_BLINDER: f32 = 1.5;

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
    let (old_bytes, old) = old_model(&options.model)?;
    ensure!(
        options.recording.is_dir(),
        "{} is no folder: --recording names the folder of frames that {} was trained on",
        options.recording.display(),
        options.model.display()
    );
    let places = Places::new(&options.model, None)?;
    let previous = output::place(&options.model.with_extension("previous.onnx"))?;
    let progress = Progress::new();
    let offered = train::read(&options.frames, options.skip_bad)?.frames;
    let recording = train::read(std::slice::from_ref(&options.recording), options.skip_bad)?;
    let adoption = adoption(offered, &recording, &old, options, clock::now())?;
    let how = training::Options {
        unlabelled: !old.labelled,
        camera: old.camera.clone(),
    };
    progress.at("learning without them");
    let before = training::train(recording, &how, &mut |_| ())?;
    same_scene(&old, &before.metadata, options)?;
    // First the frames: a model must never know of an adoption that its recording does not hold.
    fs::create_dir_all(options.recording.join(FOLDER))
        .with_context(|| format!("making {}", options.recording.join(FOLDER).display()))?;
    for recorded in &adoption.frames {
        replay::write(&recorded.source.path, recorded)?;
    }
    let recording = train::read(std::slice::from_ref(&options.recording), options.skip_bad)?;
    let training = training::train(recording, &how, &mut |stage| progress.at(stage))?;
    file::replace(&previous, &old_bytes)?;
    places.write(&training)?;
    progress.done();
    if options.json {
        say(&format!("{}\n", serde_json::to_string(&training.report)?))?;
    } else {
        say(&told(&before, &training, &adoption))?;
        say(&format!(
            "\nwritten  {}\n         {}\nto undo  delete the new files in {} and put {} back\n",
            places.model.display(),
            places.page.display(),
            options.recording.join(FOLDER).display(),
            previous.display(),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn old_model(path: &Path) -> anyhow::Result<(Vec<u8>, Metadata)> {
    let bytes = classify::read(path).with_context(|| format!("reading {}", path.display()))?;
    let checked = gate::check(&bytes).with_context(|| format!("{} is no model", path.display()))?;
    match checked.kind {
        gate::Kind::Scene(metadata) => Ok((bytes, *metadata)),
        _ => bail!(
            "{} was not made by `edge train`, so there is nothing to learn again",
            path.display()
        ),
    }
}

/// Learning another recording would put another model in this one's place.
fn same_scene(old: &Metadata, now: &Metadata, options: &Options) -> anyhow::Result<()> {
    let (model, recording) = (options.model.display(), options.recording.display());
    let difference = if old.labels != now.labels {
        format!(
            "its labels are {}, and {recording} gives {}",
            old.labels.join(", "),
            now.labels.join(", ")
        )
    } else if differ(old.camera.as_deref(), now.camera.as_deref()) {
        let name = |camera: &Option<String>| camera.clone().unwrap_or_default();
        format!(
            "its camera is `{}`, and that of {recording} `{}`",
            name(&old.camera),
            name(&now.camera)
        )
    } else if now.frames + now.dropped.len() < old.frames {
        format!(
            "it learned from {} frames, and {recording} has {}",
            old.frames,
            now.frames + now.dropped.len()
        )
    } else {
        return Ok(());
    };
    bail!(
        "{model} was not trained on {recording}: {difference}. Name the folder it was trained on, or train it anew"
    );
}

/// Two names that are known and not the same.
fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// The frames as they will lie in the recording, and which were not taken.
struct Adoption {
    frames: Vec<Recorded>,
    known: usize,
    too_many: usize,
}

fn adoption(
    offered: Vec<Recorded>,
    recording: &Recording,
    old: &Metadata,
    options: &Options,
    now: DateTime<Utc>,
) -> anyhow::Result<Adoption> {
    let all = offered.len();
    let mut new: Vec<Recorded> = Vec::new();
    let is_known = |frame: &Recorded, new: &[Recorded]| {
        let adopted = recording
            .frames
            .iter()
            .filter(|other| other.adopted.is_some());
        adopted
            .chain(new)
            .any(|other| other.frame.is_copy_of(&frame.frame))
    };
    for recorded in offered {
        let source = &recorded.source;
        ensure!(
            !recorded.frame.repaired(&[]).is_sensor_fault(),
            "{source} has too many broken pixels to be normal: that is a fault of the sensor"
        );
        let camera = recorded.frame.camera.as_deref();
        ensure!(
            !differ(camera, old.camera.as_deref()),
            "{source} is of camera `{}`, and {} of `{}`: frames of another camera make the model useless",
            camera.unwrap_or_default(),
            options.model.display(),
            old.camera.as_deref().unwrap_or_default()
        );
        if !is_known(&recorded, &new) {
            new.push(recorded);
        }
    }
    let count = new.len();
    ensure!(count > 0, "all of these frames were adopted before");
    let places = count.min(MOST_AT_ONCE);
    let chosen = new.into_iter().enumerate().filter_map(|(at, recorded)| {
        ((at + 1) * places / count > at * places / count).then_some(recorded)
    });
    let folder = options.recording.join(FOLDER);
    Ok(Adoption {
        frames: chosen
            .enumerate()
            .map(|(at, recorded)| Recorded {
                source: Source {
                    path: folder.join(name(&recorded, at, now)),
                    index: None,
                },
                label: None,
                adopted: Some(Adopted {
                    at: now,
                    because: options.because.clone(),
                }),
                frame: recorded.frame,
            })
            .collect(),
        known: all - count,
        too_many: count - places,
    })
}

/// With the time of the adoption, so that no name is ever there already.
fn name(recorded: &Recorded, at: usize, now: DateTime<Utc>) -> String {
    let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
    match recorded.frame.captured_at {
        Some(captured_at) => format!("{}-adopted-{}-{at:02}.csv", stamp(captured_at), stamp(now)),
        None => format!("adopted-{}-{at:02}.csv", stamp(now)),
    }
}

/// What it changed: the frames at hand, what it costs, and what to think of it.
fn told(before: &Training, after: &Training, adoption: &Adoption) -> String {
    let mut lines = vec![format!(
        "Adopted as normal: {}.",
        frames(adoption.frames.len())
    )];
    if adoption.known > 0 {
        lines.push(format!(
            "Left out, because adopted before: {}.",
            frames(adoption.known)
        ));
    }
    if adoption.too_many > 0 {
        lines.push(format!(
            "Left out, because {MOST_AT_ONCE} at once are enough: {}.",
            frames(adoption.too_many)
        ));
    }
    lines.push(format!(
        "\n{:<52}{:<18}{:>10}{:>12}{:>12}",
        "frame", "place (from 0)", "off by", "ratio was", "ratio is"
    ));
    let (mut still, mut never, mut worst) = (0, 0, (0.0, 0));
    for recorded in &adoption.frames {
        let pixels = recorded.frame.repaired(&[]).pixels;
        let old = residual::assess(&before.model, &pixels);
        let new = residual::assess(&after.model, &pixels);
        let Place { row, column } = Place::of(old.index);
        let name = recorded.source.path.file_name().unwrap_or_default();
        lines.push(format!(
            "{:<52}{:<18}{:>7.1} °C{:>12.2}{:>12.2}",
            name.to_string_lossy(),
            format!("row {row}, column {column}"),
            old.delta_t,
            old.ratio,
            new.ratio,
        ));
        still += usize::from(new.ratio > ALARM);
        never += usize::from(old.ratio <= ALARM);
        if old.ratio > worst.0 {
            worst = (old.ratio, old.index);
        }
    }
    lines.extend(costs(before, after, worst.1));
    lines.extend(verdict(before, after, still, never));
    lines.extend(
        after
            .report
            .warnings
            .iter()
            .map(|warning| format!("! {warning}")),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// What the rest of the picture pays, and the place itself.
fn costs(before: &Training, after: &Training, index: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "\n{:<62}{:>10}{:>10}",
        "what it costs", "was", "is"
    )];
    let mut line = |name: &str, of: &dyn Fn(&Training) -> f64, digits: usize| {
        lines.push(format!(
            "{name:<62}{:>10.digits$}{:>10.digits$}",
            of(before),
            of(after)
        ));
    };
    line("frames", &|training| training.report.frames as f64, 0);
    line(
        "threshold of what is unexplained, multiples of the noise",
        &|training| training.model.residual_threshold.clamped,
        2,
    );
    line(
        "threshold of hotter than ever, °C",
        &|training| training.model.envelope_threshold.clamped,
        2,
    );
    for (at, spots) in after.report.detectable.iter().enumerate() {
        line(
            &format!(
                "spot of {} px seen in half of the places from, °C",
                spots.radius
            ),
            &|training| f64::from(training.report.detectable[at].median),
            1,
        );
    }
    let Place { row, column } = Place::of(index);
    line(
        &format!("spot of 2 px seen at row {row}, column {column} from, °C"),
        &|training| {
            let spots = training.detectable.iter().find(|spots| spots.radius == 2);
            spots.map_or(f64::NAN, |spots| f64::from(spots.delta_t[index]))
        },
        1,
    );
    lines
}

fn verdict(before: &Training, after: &Training, still: usize, never: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    lines.push(match still {
        0 => "None of them is an alarm any more.".to_owned(),
        still => format!(
            "Still an alarm: {}. Adopt more frames of the same kind, or record this state and train anew.",
            frames(still)
        ),
    });
    if never > 0 {
        lines.push(format!("Were no alarm before: {}.", frames(never)));
    }
    let median = |training: &Training| {
        let spots = training
            .report
            .detectable
            .iter()
            .find(|spots| spots.radius == 2);
        spots.map_or(f32::NAN, |spots| spots.median)
    };
    if median(after) > MUCH_BLINDER * median(before) {
        lines.push(
            "The model sees much less everywhere now. Are you sure that this was no fault? If it was, undo it.".to_owned(),
        );
    }
    lines
}

fn frames(count: usize) -> String {
    match count {
        1 => "1 frame".to_owned(),
        count => format!("{count} frames"),
    }
}
