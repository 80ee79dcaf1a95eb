//! `edge check-model`: whether a model can be used here, and what it is.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::classify::ModelOptions;
use crate::classify::{self, Classifier, Runtime, trial};
use crate::frame::{Frame, PIXELS};
use crate::model::gate::{Checked, Kind, Layout};
use crate::model::metadata::{AdoptedFrame, Metadata};

/// So often is a frame classified to see how long it takes.
const ROUNDS: usize = 25;
/// So much of a model's id tells models apart.
const SHORT_ID: usize = 12;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The model's file, or `-` for standard input.
    file: PathBuf,
    #[command(flatten)]
    model: ModelOptions,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Load and run it in this process, within limits: what other commands start as a child.
    #[arg(long, hide = true)]
    trial: bool,
    #[arg(long, hide = true, requires = "trial", default_value_t = trial::Limits::default().memory)]
    trial_memory: u64,
    #[arg(long, hide = true, requires = "trial", default_value_t = trial::Limits::default().processor)]
    trial_processor: u64,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = options.model.runtime();
    classify::prepare_environment(&runtime)?;
    if options.trial {
        return run_trial(options, &runtime);
    }
    let load = options.model.load_options()?;
    let mut classifier = if options.file.as_os_str() == "-" {
        let bytes = standard_input()?;
        classify::load_bytes(&bytes, &runtime, &load).context("standard input")?
    } else {
        classify::load_file(&options.file, &runtime, &load)?
    };
    let time = time_per_frame(&mut classifier)?;
    let text = if options.json {
        format!("{}\n", as_json(&classifier, time))
    } else {
        as_text(&classifier, time)
    };
    super::say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn run_trial(options: &Options, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    trial::confine(&trial::Limits {
        memory: options.trial_memory,
        processor: options.trial_processor,
        ..trial::Limits::default()
    })?;
    let bytes = if options.file.as_os_str() == "-" {
        standard_input()?
    } else {
        classify::read(&options.file)
            .with_context(|| format!("reading {}", options.file.display()))?
    };
    trial::run_here(&bytes, runtime)?;
    Ok(ExitCode::SUCCESS)
}

fn standard_input() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(classify::LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .context("reading the model from standard input")?;
    Ok(bytes)
}

/// The median of some frames, repair and all.
fn time_per_frame(classifier: &mut Classifier) -> anyhow::Result<Duration> {
    let frame = match &classifier.checked().kind {
        Kind::Scene(metadata) => metadata.golden.frame.clone().into_boxed_slice(),
        _ => vec![25.0; PIXELS].into_boxed_slice(),
    };
    let frame = Frame::new(
        frame
            .try_into()
            .map_err(|_| anyhow::anyhow!("the golden frame has the wrong size"))?,
    );
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        classifier.classify(&frame, &[])?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

fn as_text(classifier: &Classifier, time: Duration) -> String {
    let checked = classifier.checked();
    let mut lines = vec![("kind", kind(&checked.kind).to_owned())];
    let mut add = |name: &'static str, text: String| lines.push((name, text));
    add("id", checked.sha256.chars().take(SHORT_ID).collect());
    add("labels", classifier.labels().join(", "));
    let mut banner = "";
    match &checked.kind {
        Kind::Scene(metadata) => {
            if metadata.simulated {
                banner = "TRAINED ON SIMULATED FRAMES: for demonstration, not to watch anything.\n";
            }
            for (name, text) in scene_lines(metadata) {
                add(name, text);
            }
        }
        Kind::Temperatures { .. } => add("input", "deg C, [1,1,24,32]".to_owned()),
        Kind::Picture {
            layout,
            height,
            width,
            ..
        } => {
            let layout = match layout {
                Layout::ChannelsFirst => "channels first",
                Layout::ChannelsLast => "channels last",
            };
            let convention = classifier.convention();
            add(
                "input",
                format!("picture of {width} x {height}, {layout}; {convention}"),
            );
        }
    }
    add("producer", checked.producer.clone());
    let operators: Vec<_> = checked
        .operators
        .iter()
        .map(|(operator, count)| format!("{operator} {count}"))
        .collect();
    add(
        "operators",
        format!("opset {}: {}", checked.opset, operators.join(", ")),
    );
    add(
        "work",
        format!(
            "{:.2} million multiply-adds a frame, largest tensor {} numbers",
            millions(checked.work),
            checked.largest
        ),
    );
    add("runtime", classifier.runtime().to_owned());
    add(
        "time",
        format!("{:.3} ms a frame", time.as_secs_f64() * 1e3),
    );
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, text)| format!("{name:<12}{}", super::classify::printable(text).trim_end()))
        .collect();
    format!("{banner}{}\n", lines.join("\n"))
}

fn scene_lines(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map_or("unknown".to_owned(), |time| {
            time.format("%Y-%m-%d %H:%M UTC").to_string()
        })
    };
    let names = |frames: Vec<&str>| {
        const MOST: usize = 5;
        let rest = frames.len().saturating_sub(MOST);
        let shown = frames[..frames.len() - rest].join(", ");
        match (frames.len(), rest) {
            (0, _) => "none".to_owned(),
            (count, 0) => format!("{count}: {shown}"),
            (count, rest) => format!("{count}: {shown} and {rest} more"),
        }
    };
    let threshold = |threshold: &crate::model::Threshold, unit: &str| {
        format!(
            "{:.2}{unit} (calculated {:.2})",
            threshold.clamped, threshold.raw
        )
    };
    vec![
        (
            "thresholds",
            format!(
                "residual {}, envelope {}",
                threshold(&metadata.threshold_residual, ""),
                threshold(&metadata.threshold_envelope, " deg C")
            ),
        ),
        ("modes", metadata.k.to_string()),
        ("frames", metadata.frames.to_string()),
        (
            "span",
            format!(
                "{} to {}",
                time(metadata.first_frame),
                time(metadata.last_frame)
            ),
        ),
        (
            "dropped",
            names(
                metadata
                    .dropped
                    .iter()
                    .map(|frame| frame.file.as_str())
                    .collect(),
            ),
        ),
        ("adopted", adoptions(&metadata.adopted)),
        (
            "camera",
            metadata
                .camera
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
        ),
        ("orientation", metadata.orientation.clone()),
        (
            "labelled",
            if metadata.labelled {
                "by somebody"
            } else {
                "by heat"
            }
            .to_owned(),
        ),
        ("software", metadata.software.clone()),
    ]
}

/// When frames of false alarms were taken in, how many, and why.
fn adoptions(frames: &[AdoptedFrame]) -> String {
    let mut by_decision = BTreeMap::new();
    for frame in frames {
        *by_decision
            .entry((frame.adopted_at, frame.because.as_deref()))
            .or_insert(0) += 1;
    }
    let told: Vec<_> = by_decision
        .iter()
        .map(|((at, because), count)| {
            let because = because.map_or(String::new(), |because| format!(" ({because})"));
            format!("{count} on {}{because}", at.format("%Y-%m-%d %H:%M UTC"))
        })
        .collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join("; ")
    }
}

fn as_json(classifier: &Classifier, time: Duration) -> Value {
    let checked = classifier.checked();
    let mut value = json!({
        "kind": kind_key(checked),
        "id": checked.sha256,
        "labels": classifier.labels(),
        "opset": checked.opset,
        "producer": checked.producer,
        "operators": checked.operators,
        "work": checked.work,
        "largest": checked.largest,
        "runtime": classifier.runtime(),
        "ms_per_frame": time.as_secs_f64() * 1e3,
    });
    match &checked.kind {
        Kind::Scene(metadata) => {
            let mut scene = serde_json::to_value(metadata).unwrap_or(Value::Null);
            if let Some(fields) = scene.as_object_mut() {
                // What is for loaders, and what stands above already.
                fields.shift_remove("golden");
                fields.shift_remove("labels");
            }
            value["scene"] = scene;
        }
        Kind::Temperatures { .. } => {}
        Kind::Picture { height, width, .. } => {
            value["picture"] = json!({
                "width": width,
                "height": height,
                "convention": classifier.convention().to_string(),
            });
        }
    }
    value
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Scene(_) => "a scene, learned by this program",
        Kind::Temperatures { .. } => "a classifier of temperatures, by somebody else",
        Kind::Picture { .. } => "a classifier of pictures, by somebody else",
    }
}

fn kind_key(checked: &Checked) -> &'static str {
    match checked.kind {
        Kind::Scene(_) => "scene",
        Kind::Temperatures { .. } => "temperatures",
        Kind::Picture { .. } => "picture",
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with two places")]
fn millions(count: u64) -> f64 {
    count as f64 / 1e6
}
