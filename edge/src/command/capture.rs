//! `edge capture`: makes a training set, one small file a frame, from the camera, a recording or the simulator.
//!
//! Nothing that exists is ever overwritten: where each frame goes is settled first (`place`), a file that is there
//! already must be the same, and only then is anything written. A run that was cut short can simply be run again.

/// Frames from the camera itself.
pub mod live;
/// Where frames go.
pub mod place;
mod thin;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::station;
use crate::capture::replay::{self, BadFile, OnBad, Recorded, Recording, Source};
use crate::clock::Clock;
use crate::emulate::scene::{Kind, Scene};
use crate::hardware::Station;

/// How often the camera is asked if nobody says.
const CAMERA_PERIOD: Duration = Duration::from_mins(10);
/// A fit refuses fewer.
const FEWEST: usize = 30;
/// What a scene does in less than this is not all that it does, hours.
const SHORTEST_HOURS: i64 = 72;
/// So many files in the way are named, the rest is counted.
const MOST_NAMED: usize = 20;
/// So many frames are written and made safe together.
const BATCH: usize = 250;

const EXAMPLES: &str = "\
Examples:
  edge capture --every 10m --out boiler
      from the camera, a frame every ten minutes until Ctrl-C (stop the agent before: they share the camera)
  edge capture --every 10m --limit 240 --label cold --out boiler
      240 of them, into boiler/cold
  edge capture --from log.csv --every 10m --out boiler
      a frame every ten minutes out of a table with one frame a line
  edge capture --from monday/ tuesday/ --limit 200 --out boiler
      200 frames spread evenly over two recordings; the names of their sub-folders stay as labels
  edge capture --from night.npy --label cold --out boiler
      all frames of an array, into boiler/cold
  edge capture --simulate boiler --seed 7 --days 14 --frames 120 --out demo
      a simulated boiler room, to try the other commands with

Frames are read from .csv and .txt (24 lines of 32 numbers in deg C, or one frame of 768 numbers a line) and .npy. \
When a frame was captured is taken from its `# captured_at:` line, its `captured_at` column, or the .json file beside \
an array; never from a file's name.";

/// Makes a training set from the camera, a recording or a simulated scene
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group(clap::ArgGroup::new("source").args(["from", "simulate"]))
)]
pub struct Options {
    /// Files and folders of frames, instead of the camera
    #[arg(long, num_args = 1.., value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Make up a scene instead of using the camera; it is the same for the same seed
    #[arg(long, value_enum, value_name = "SCENE")]
    simulate: Option<Kind>,
    /// Which of the simulated scenes
    #[arg(long, default_value_t = 1, conflicts_with = "from", value_name = "N")]
    seed: u64,
    /// Which of the many courses that the days of this scene could take
    #[arg(long, default_value_t = 0, conflicts_with = "from", value_name = "N")]
    course: u64,
    /// Over how many days the simulated frames are spread
    #[arg(long, default_value_t = 14.0, conflicts_with = "from", value_name = "D", value_parser = days)]
    days: f64,
    /// How many frames are simulated
    #[arg(long, default_value_t = 120, conflicts_with = "from", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=replay::MOST_FRAMES as i64))]
    frames: u32,
    /// The folder to write into, made if it is missing; frames go to its sub-folder of their label
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The label of all frames, instead of those they have
    #[arg(long, value_name = "NAME", value_parser = place::label)]
    label: Option<String>,
    /// Take a frame no more often than this: 30s, 10m, 2h, 1d [default for the camera: 10m]
    #[arg(long, value_name = "TIME", value_parser = thin::period)]
    every: Option<TimeDelta>,
    /// Take at most so many frames, spread evenly; from the camera, the first ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// How the frames are written: text in hundredths of a degree, or arrays as they are
    #[arg(long, value_enum, default_value_t = place::Format::Csv)]
    format: place::Format,
    /// Leave out what is no frame, instead of refusing everything
    #[arg(long)]
    skip_bad: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    station: station::Place,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.from.is_empty() && options.simulate.is_none() {
        return from_camera(options);
    }
    let Recording {
        mut frames,
        skipped,
    } = gather(options)?;
    if let Some(period) = options.every {
        frames = thin::every(frames, period)?;
    }
    if let Some(limit) = options.limit {
        frames = thin::evenly(frames, limit as usize);
    }
    if let Some(label) = &options.label {
        for recorded in &mut frames {
            recorded.label = Some(label.clone());
        }
    }
    ensure!(!frames.is_empty(), "there is no good frame to write");
    let places = place::places(&frames, &options.out, options.format)?;
    let missing = compare(&places, &frames, options.format)?;
    write(&places, &frames, &missing, options.format)?;
    let report = Report::new(&options.out, &frames, missing.len(), &skipped);
    if options.json {
        super::say(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        let mut text = Vec::new();
        report.print(&mut text)?;
        super::say(&String::from_utf8_lossy(&text))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Until there are enough, or somebody stops it.
fn from_camera(options: &Options) -> anyhow::Result<ExitCode> {
    let configured = options.station.load()?;
    station::start_logs("info");
    let clock = Clock::system();
    let stop = clock.signal();
    station::on_signal({
        let stop = stop.clone();
        move || stop.notify()
    })?;
    let every = options
        .every
        .map_or(Ok(CAMERA_PERIOD), |every| every.to_std())?;
    let wanted = live::Wanted {
        out: &options.out,
        label: options.label.clone(),
        every,
        limit: options.limit,
        format: options.format,
    };
    let written = live::collect(
        &wanted,
        &configured.config.camera,
        &configured.state_dir,
        &Station::Machine,
        &clock,
        &stop,
        &mut |line| {
            if options.json {
                return Ok(());
            }
            super::say(&format!("{line}\n"))
        },
    )?;
    let report = if options.json {
        format!(
            "{}\n",
            serde_json::json!({"out": options.out, "written": written})
        )
    } else {
        format!("{written} frames in {}\n", options.out.display())
    };
    super::say(&report)?;
    Ok(ExitCode::SUCCESS)
}

fn gather(options: &Options) -> anyhow::Result<Recording> {
    if let Some(kind) = options.simulate {
        return simulate(kind, options);
    }
    for path in &options.from {
        apart(path, &options.out)?;
    }
    let on_bad = if options.skip_bad {
        OnBad::Skip
    } else {
        OnBad::Refuse
    };
    let bar = bar("reading", 0);
    let recording = replay::read_noting(&options.from, on_bad, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    recording
}

/// Frames that lie beside their own copies would be learned twice.
fn apart(from: &Path, out: &Path) -> anyhow::Result<()> {
    let from_real =
        fs::canonicalize(from).with_context(|| format!("cannot read {}", from.display()))?;
    let out_real = place::real(out)?;
    ensure!(
        !from_real.starts_with(&out_real) && !out_real.starts_with(&from_real),
        "{} and {} lie in each other, so that each frame would be there twice; choose another --out",
        from.display(),
        out.display()
    );
    Ok(())
}

fn simulate(kind: Kind, options: &Options) -> anyhow::Result<Recording> {
    // A Monday; any fixed day will do, so that the same command makes the same files.
    let start = Utc.with_ymd_and_hms(2026, 1, 5, 0, 0, 0).single();
    let start = start.context("the simulated days have no beginning")?;
    let bar = bar("simulating", 0);
    bar.tick();
    let scene = Scene::new(kind, options.seed);
    let frames = scene.recording(options.days, options.frames as usize, options.course, start);
    bar.finish_and_clear();
    let name = format!("simulated-{kind:?}-{}", options.seed).to_lowercase();
    let frames = frames
        .into_iter()
        .enumerate()
        .map(|(index, (mut frame, label))| {
            // Nobody shall take it for a measured one.
            frame.camera.get_or_insert_with(|| name.clone());
            Recorded {
                frame,
                label: Some(label.to_owned()),
                source: Source {
                    path: PathBuf::from(&name),
                    index: Some(index),
                },
                adopted: None,
            }
        });
    Ok(Recording {
        frames: frames.collect(),
        skipped: Vec::new(),
    })
}

/// Which frames are not there yet; whatever is in their way is told before anything is written.
fn compare(
    places: &[PathBuf],
    frames: &[Recorded],
    format: place::Format,
) -> anyhow::Result<Vec<usize>> {
    let mut missing = Vec::new();
    let mut other = Vec::new();
    let bar = bar("comparing", places.len());
    for (index, (place, recorded)) in places.iter().zip(frames).enumerate() {
        let mut complete = true;
        for (path, bytes) in place::written(place, recorded, format)? {
            match place::there(&path, &bytes)? {
                place::There::Missing => complete = false,
                place::There::Same => {}
                place::There::Other => other.push(path),
            }
        }
        if !complete {
            missing.push(index);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if other.is_empty() {
        return Ok(missing);
    }
    let mut named: Vec<String> = other
        .iter()
        .take(MOST_NAMED)
        .map(|path| path.display().to_string())
        .collect();
    if other.len() > MOST_NAMED {
        named.push(format!("and {} more", other.len() - MOST_NAMED));
    }
    bail!(
        "these files are there already and differ, so nothing was written; choose another --out or move them away:\n  {}",
        named.join("\n  ")
    )
}

fn write(
    places: &[PathBuf],
    frames: &[Recorded],
    missing: &[usize],
    format: place::Format,
) -> anyhow::Result<()> {
    let bar = bar("writing", missing.len());
    for batch in missing.chunks(BATCH) {
        let mut files = Vec::new();
        for &index in batch {
            for (path, bytes) in place::written(&places[index], &frames[index], format)? {
                if place::there(&path, &bytes)? == place::There::Missing {
                    files.push((path, bytes));
                }
            }
        }
        replay::store(&files)?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Shows itself on a terminal only.
fn bar(doing: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(doing);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn days(text: &str) -> Result<f64, String> {
    let days = text.parse().ok();
    days.filter(|days| *days > 0.0 && *days <= 3650.0)
        .ok_or_else(|| "days from a little above 0 to 3650 are possible".to_owned())
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    out: &'a Path,
    frames: usize,
    written: usize,
    already_there: usize,
    labels: BTreeMap<&'a str, usize>,
    unlabelled: usize,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    span_hours: Option<f64>,
    skipped: Vec<Skipped<'a>>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Skipped<'a> {
    path: &'a Path,
    line: Option<usize>,
    reason: &'a str,
}

impl<'a> Report<'a> {
    fn new(out: &'a Path, frames: &'a [Recorded], written: usize, skipped: &'a [BadFile]) -> Self {
        let mut labels = BTreeMap::new();
        for label in frames.iter().filter_map(|one| one.label.as_deref()) {
            *labels.entry(label).or_insert(0) += 1;
        }
        let times: Option<Vec<DateTime<Utc>>> =
            frames.iter().map(|one| one.frame.captured_at).collect();
        let times = times.unwrap_or_default();
        let (from, to) = (times.iter().min().copied(), times.iter().max().copied());
        let span = to.zip(from).map(|(to, from)| to - from);
        Self {
            out,
            frames: frames.len(),
            written,
            already_there: frames.len() - written,
            unlabelled: frames.len() - labels.values().sum::<usize>(),
            labels,
            from,
            to,
            #[expect(clippy::cast_precision_loss, reason = "seconds of some years")]
            span_hours: span.map(|span| span.num_seconds() as f64 / 3600.0),
            skipped: skipped
                .iter()
                .map(|bad| Skipped {
                    path: &bad.path,
                    line: bad.line,
                    reason: &bad.reason,
                })
                .collect(),
            warnings: warnings(frames.len(), span),
        }
    }

    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let counted = |count: usize| match count {
            1 => "1 frame".to_owned(),
            count => format!("{count} frames"),
        };
        writeln!(
            out,
            "{} in {}: {} written, {} there already",
            counted(self.frames),
            self.out.display(),
            self.written,
            self.already_there
        )?;
        for (label, count) in &self.labels {
            writeln!(
                out,
                "  {label:<12} {count:>6}  {}",
                self.out.join(label).display()
            )?;
        }
        if self.unlabelled > 0 {
            let count = self.unlabelled;
            writeln!(
                out,
                "  {:<12} {count:>6}  {}",
                "(no label)",
                self.out.display()
            )?;
        }
        if let (Some(from), Some(to), Some(hours)) = (self.from, self.to, self.span_hours) {
            let shown = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S");
            writeln!(
                out,
                "captured {} to {} UTC, {hours:.1} hours",
                shown(from),
                shown(to)
            )?;
        }
        for bad in self.skipped.iter().take(MOST_NAMED) {
            let line = bad.line.map_or(String::new(), |line| format!(":{line}"));
            writeln!(out, "skipped {}{line}: {}", bad.path.display(), bad.reason)?;
        }
        if self.skipped.len() > MOST_NAMED {
            writeln!(out, "skipped {} more", self.skipped.len() - MOST_NAMED)?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }
}

fn warnings(frames: usize, span: Option<TimeDelta>) -> Vec<String> {
    let mut warnings = Vec::new();
    if frames < FEWEST {
        warnings.push(format!(
            "these are too few: a model needs at least {FEWEST} frames, better 120 and more"
        ));
    }
    match span {
        None => warnings.push(
            "not every frame says when it was captured, so nobody can tell what span of time they cover".to_owned(),
        ),
        Some(span) if span < TimeDelta::hours(SHORTEST_HOURS) => warnings.push(format!(
            "the frames span less than {SHORTEST_HOURS} hours: what the scene does on other days will look abnormal"
        )),
        Some(_) => {}
    }
    warnings
}
