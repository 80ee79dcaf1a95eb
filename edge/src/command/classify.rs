//! `edge classify`: what a model says of frames, one after the other, as they are read.
//!
//! Each frame is told as soon as it is judged, so that the command can stand in a pipe; nothing is kept but the few worst
//! for the summary. A file that is no frame ends the run, unless it was said that such files be skipped.

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::builder::OsStringValueParser;

use crate::capture::replay::{self, Contents, Recorded};
use crate::classify::convention::{Overrides, Scale};
use crate::classify::{self, Classification, Classifier, Runtime, Verdict};
use crate::frame::Pixels;
use crate::model::{self, ANOMALY};
use crate::picture::{self, Colours, Look, Mark, Range, Shades};

/// One frame as one line of JSON.
mod line;
/// Frames and their summary for people.
mod text;

/// What `edge train` writes unless told otherwise.
const MODEL: &str = "model.onnx";
/// Beyond this a frame is kept for whoever wants to look at it, or adopt it.
const ALARM: f32 = 0.7;
/// From here on a place is worth pointing at.
const WORTH_A_MARK: f32 = 0.3;
/// A frame, a score or a sensor beyond `--fail-above`.
const BEYOND: u8 = 3;

/// What `--help` says of other people's models.
const CONVENTION: &str = "Models of other people: one with the input [1,1,24,32] is shown deg C as they are. One with a \
    picture as its input, [1,3,h,w] or [1,h,w,3], is shown the frame in the tutorial's colours over 20 to 40 deg C, \
    stretched to h x w, with red, green and blue from 0 to 1, as Edge Impulse does it. --range, --colours and --scale say \
    otherwise, as do the model's metadata entries thermal_watch.range, thermal_watch.colours and thermal_watch.scale. Its \
    scores must be probabilities that sum to 1, or --softmax is needed.";

#[derive(Debug, clap::Args)]
#[command(after_help = CONVENTION)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Frames: CSV or .npy files, folders of them, or `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The model [default: model.onnx here; without one, that of a simulated boiler, for demonstration].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    how: ModelOptions,
    /// Print one line of JSON for each frame.
    #[arg(long)]
    json: bool,
    /// Draw each frame in text even if nobody seems to look.
    #[arg(long, conflicts_with = "json")]
    picture: bool,
    /// Write a PNG of each frame into this folder, with the place marked where the anomaly is above 0.3.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Copy each frame with an anomaly above 0.7 into this folder, to look at or to adopt.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Leave out files that are no frames, instead of stopping.
    #[arg(long)]
    skip_bad: bool,
    /// End with exit code 3 if any frame's `anomaly` is above this, or its sensor is at fault.
    #[arg(long, value_name = "SCORE", value_parser = score)]
    fail_above: Option<f32>,
    /// Tell which model and which runtime are used.
    #[arg(long, short)]
    verbose: bool,
}

/// How a model is loaded, and what it is shown.
#[derive(Debug, clap::Args)]
pub struct ModelOptions {
    /// Run the model with ONNX Runtime from this library (libonnxruntime.so, best 1.24.4) instead of the built-in runtime.
    #[arg(long, value_name = "PATH", env = "EDGE_RUNTIME", value_parser = OsStringValueParser::new())]
    runtime: Option<OsString>,
    /// Names of the scores of a model that does not tell.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// The model's scores still have to go through a softmax.
    #[arg(long)]
    softmax: bool,
    /// Temperatures that the colours of a picture model's input span, deg C [default: 20..40].
    #[arg(long, value_name = "LOW..HIGH", allow_hyphen_values = true)]
    range: Option<Range>,
    /// Colours of a picture model's input [default: tutorial].
    #[arg(long)]
    colours: Option<Colours>,
    /// Numbers of a picture model's input [default: 0..1].
    #[arg(long, allow_hyphen_values = true)]
    scale: Option<Scale>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = options.how.runtime();
    // Before standard input is touched: this may start the program anew.
    classify::prepare_environment(&runtime)?;
    let mut classifier = load(options, &runtime)?;
    let anomaly = classifier.labels().iter().any(|label| label == ANOMALY);
    ensure!(
        anomaly || options.fail_above.is_none(),
        "--fail-above looks at the score `{ANOMALY}`, and this model has only: {}",
        classifier.labels().join(", ")
    );
    if options.verbose {
        let model = classifier.checked();
        let text = format!(
            "model {} ({})\nruntime {}\n",
            &model.sha256[..model.sha256.len().min(12)],
            printable(&classifier.labels().join(", ")),
            classifier.runtime()
        );
        write(&mut std::io::stderr(), &text)?;
    }
    if let Some(folder) = &options.pictures {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
    }
    let mut teller = Teller::new(options);
    match classify_all(&mut classifier, options, &mut teller) {
        // Whoever read has enough; what was seen until then counts.
        Err(error) if !super::is_broken_pipe(&error) => Err(error),
        _ if teller.summary.beyond() => Ok(ExitCode::from(BEYOND)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

impl ModelOptions {
    pub fn runtime(&self) -> Runtime {
        // An empty variable is how some set-ups say that there is none.
        let named = self.runtime.as_ref().filter(|path| !path.is_empty());
        Runtime::named(named.map(Path::new))
    }

    pub fn load_options(&self) -> anyhow::Result<classify::Options> {
        Ok(classify::Options {
            program: Some(std::env::current_exe().context("finding this program")?),
            labels: self.labels.clone(),
            convention: Overrides {
                range: self.range,
                colours: self.colours,
                scale: self.scale,
                softmax: self.softmax,
            },
            limits: classify::trial::Limits::default(),
        })
    }
}

/// What came from outside, made safe for a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}

/// Writes all of it now: whoever waits at the other end gets whole lines.
pub fn write(to: &mut impl Write, text: &str) -> anyhow::Result<()> {
    to.write_all(text.as_bytes())
        .and_then(|()| to.flush())
        .context("writing")
}

fn load(options: &Options, runtime: &Runtime) -> anyhow::Result<Classifier> {
    let load = options.how.load_options()?;
    let here = Path::new(MODEL);
    match &options.model {
        Some(path) => classify::load_file(path, runtime, &load),
        None if here.exists() => classify::load_file(here, runtime, &load),
        None => {
            let warning = "no --model, and no model.onnx here: a model of a simulated boiler judges these frames, for demonstration only\n";
            write(&mut std::io::stderr(), warning)?;
            classify::load_bytes(model::DEMONSTRATION, runtime, &load)
                .context("the model that ships for demonstration")
        }
    }
}

/// Tells frames, in the way that was asked for.
struct Teller<'a> {
    options: &'a Options,
    summary: text::Summary,
    /// How a frame is drawn in text; None if it is not.
    shades: Option<Shades>,
}

fn classify_all(
    classifier: &mut Classifier,
    options: &Options,
    teller: &mut Teller<'_>,
) -> anyhow::Result<()> {
    for path in &options.files {
        if path.as_os_str() == "-" {
            teller.file(classifier, &read_standard_input()?)?;
            continue;
        }
        for file in replay::files(std::slice::from_ref(path))? {
            teller.file(classifier, &file.read())?;
        }
    }
    teller.end()
}

impl<'a> Teller<'a> {
    fn new(options: &'a Options) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let variable = |name: &str| std::env::var(name).ok();
        let shades = (options.picture || is_terminal && !options.json).then(|| {
            Shades::of(
                is_terminal,
                std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
                variable("TERM").as_deref(),
                variable("COLORTERM").as_deref(),
            )
        });
        Self {
            options,
            summary: text::Summary::new(options.fail_above),
            shades,
        }
    }

    /// All frames of a file. What is wrong with it comes first, because it may end the run.
    fn file(&mut self, classifier: &mut Classifier, contents: &Contents) -> anyhow::Result<()> {
        for bad in &contents.bad {
            let bad = printable(&bad.to_string());
            ensure!(
                self.options.skip_bad,
                "{bad} (--skip-bad leaves such frames out)"
            );
            self.summary.skipped += 1;
            write(&mut std::io::stderr(), &format!("skipped: {bad}\n"))?;
        }
        for recorded in &contents.frames {
            let verdict = classifier
                .classify(&recorded.frame, &[])
                .with_context(|| text::name(&recorded.source))?;
            self.frame(recorded, &verdict)?;
        }
        Ok(())
    }

    fn frame(&mut self, recorded: &Recorded, verdict: &Verdict) -> anyhow::Result<()> {
        self.summary.add(&recorded.source, verdict);
        let text = if self.options.json {
            line::json(recorded, verdict)?
        } else {
            let mut text = text::block(recorded, verdict);
            if let Some(shades) = self.shades {
                let pixels = recorded.frame.repaired(&[]).pixels;
                let place = mark(verdict).map(|mark| mark.place);
                text += &picture::terminal(&pixels, Range::Auto, Colours::Inferno, shades, place);
                text += &picture::terminal_legend(&pixels, Range::Auto, Colours::Inferno, shades);
                text += "\n";
            }
            text + "\n"
        };
        super::say(&text)?;
        if let Some(folder) = &self.options.keep {
            self.keep(folder, recorded, verdict)?;
        }
        if let Some(folder) = &self.options.pictures {
            let pixels = recorded.frame.repaired(&[]).pixels;
            self.draw(folder, recorded, &pixels, verdict)?;
        }
        Ok(())
    }

    fn draw(
        &self,
        folder: &Path,
        recorded: &Recorded,
        pixels: &Pixels,
        verdict: &Verdict,
    ) -> anyhow::Result<()> {
        let stem = recorded.source.path.file_stem().and_then(OsStr::to_str);
        // Numbered, because files of different folders may have the same name.
        let name = format!("{:05}-{}.png", self.summary.frames, stem.unwrap_or("frame"));
        let path = folder.join(name);
        let title = picture::title(&recorded.frame, pixels);
        let image = picture::draw(
            pixels,
            &Look::default(),
            Some(&title),
            mark(verdict).as_ref(),
        );
        std::fs::write(&path, image.png()?).with_context(|| format!("writing {}", path.display()))
    }

    /// Under the time of its capture; what was kept in an earlier run is left as it is.
    fn keep(&self, folder: &Path, recorded: &Recorded, verdict: &Verdict) -> anyhow::Result<()> {
        let Verdict::Classified(found) = verdict else {
            return Ok(());
        };
        if anomaly(found).is_none_or(|score| score <= ALARM) {
            return Ok(());
        }
        let stem = match recorded.frame.captured_at {
            Some(at) => at.format("%Y%m%dT%H%M%SZ").to_string(),
            None => format!("frame-{:06}", self.summary.frames),
        };
        let path = folder.join(stem + ".csv");
        std::fs::create_dir_all(folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        if path.exists() && recorded.frame.captured_at.is_some() {
            return Ok(());
        }
        replay::write(&path, recorded)
    }

    fn end(&self) -> anyhow::Result<()> {
        if self.options.json {
            return Ok(());
        }
        let text = self.summary.text();
        super::say(&text)
    }
}

/// Where to look, if there is anything to look at.
fn mark(verdict: &Verdict) -> Option<Mark> {
    let Verdict::Classified(classification) = verdict else {
        return None;
    };
    let anomaly = anomaly(classification).filter(|&score| score > WORTH_A_MARK);
    anomaly
        .and(classification.place)
        .zip(classification.delta_t)
        .map(|(place, delta_t)| Mark::difference(place, delta_t))
}

fn anomaly(classification: &Classification) -> Option<f32> {
    classification
        .scores
        .iter()
        .find(|(label, _)| label == ANOMALY)
        .map(|(_, score)| *score)
}

fn read_standard_input() -> anyhow::Result<Contents> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(replay::LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .context("reading frames from standard input")?;
    ensure!(
        bytes.len() as u64 <= replay::LARGEST_FILE,
        "standard input holds more than {} MB: give its frames in files",
        replay::LARGEST_FILE >> 20
    );
    Ok(match replay::read_bytes("-", &bytes) {
        Ok(frames) => Contents {
            frames,
            bad: Vec::new(),
        },
        Err(bad) => Contents {
            frames: Vec::new(),
            bad: vec![bad],
        },
    })
}

fn score(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| "a score lies between 0 and 1".to_owned())
}
