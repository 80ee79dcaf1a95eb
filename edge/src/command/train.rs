//! `edge train`: a folder of normal frames in, a model and a page about it out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};

use super::{output, say};
use crate::capture::replay::{self, OnBad, Recording};
use crate::file;
use crate::model::report;
use crate::model::training::{self, Training};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Frames are .npy files ([24,32] or [n,24,32], deg C) or text (24 lines of 32 numbers, or 768 a
line; lines that begin with # may carry captured_at, ambient_c and camera).
Sub-folders named cold, warm, hot give labels.
The frames must all be normal: what is in them is learned as normal. 240 to 500 frames, spread
evenly over two weeks, are best.

  edge train frames --out model.onnx                 model.onnx, and model.html to look at
  edge train frames --out model.onnx --json          the report for programs")]
pub struct Options {
    /// Folders or files of frames
    #[arg(required = true, value_name = "FOLDER")]
    recording: Vec<PathBuf>,
    /// Where the model is written; what stood there is replaced
    #[arg(long, value_name = "FILE", default_value = "model.onnx")]
    out: PathBuf,
    /// Where the page is written [default: beside the model, as .html]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Make cold, warm and hot from the heat, whatever the folders are called
    #[arg(long)]
    unlabelled: bool,
    /// Name of the camera, if the frames do not say
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Leave out files that are no frames, and list them
    #[arg(long)]
    skip_bad: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let places = Places::new(&options.out, options.page.as_deref())?;
    let progress = Progress::new();
    let recording = read(&options.recording, options.skip_bad)?;
    let training = training::train(
        recording,
        &training::Options {
            unlabelled: options.unlabelled,
            camera: options.camera.clone(),
        },
        &mut |stage| progress.at(stage),
    )?;
    places.write(&training)?;
    progress.done();
    if options.json {
        say(&format!("{}\n", serde_json::to_string(&training.report)?))?;
    } else {
        say(&report::text(&training.report))?;
        say(&format!(
            "\nwritten  {}\n         {}  (open it in a browser)\n",
            places.model.display(),
            places.page.display()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a recording, naming on standard error what was skipped.
#[expect(clippy::print_stderr, reason = "this is the command line")]
pub(super) fn read(paths: &[PathBuf], skip_bad: bool) -> anyhow::Result<Recording> {
    let on_bad = if skip_bad { OnBad::Skip } else { OnBad::Refuse };
    let recording = replay::read(paths, on_bad)?;
    for bad in &recording.skipped {
        eprintln!("skipped: {bad}");
    }
    ensure!(
        !recording.frames.is_empty(),
        "there are no frames in {}",
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(recording)
}

/// Where a model and its page will be, as they were named and as they are.
pub(super) struct Places {
    pub model: PathBuf,
    pub page: PathBuf,
    model_file: PathBuf,
    page_file: PathBuf,
}

impl Places {
    /// Found out before anything is learned.
    pub(super) fn new(model: &Path, page: Option<&Path>) -> anyhow::Result<Self> {
        let page = page.map_or_else(|| model.with_extension("html"), Path::to_owned);
        ensure!(
            page != model,
            "model and page would both be {}: name the model .onnx, or the page with --page",
            model.display()
        );
        let places = Self {
            model_file: output::place(model)?,
            page_file: output::place(&page)?,
            model: model.to_owned(),
            page,
        };
        ensure!(
            places.model_file != places.page_file,
            "model and page are one file, {}",
            places.model.display()
        );
        Ok(places)
    }

    pub(super) fn write(&self, training: &Training) -> anyhow::Result<()> {
        let page = training.page()?;
        file::replace(&self.model_file, &training.onnx)?;
        file::replace(&self.page_file, page.as_bytes())
    }
}

/// Says on the terminal what is going on, if it takes long; silent where there is none.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>3}  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_message("reading frames");
        Self(bar)
    }

    pub(super) fn at(&self, stage: &str) {
        self.0.set_message(stage.to_owned());
    }

    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }
}
