//! Runs a model on frames: scores, place, temperature difference.
//!
//! A model's file passes the gate before any runtime sees it. One of ours must then give its golden answer, which is how
//! damaged numbers, or a runtime that calculates something else, are found before they decide anything. A model of
//! somebody else is tried in a process of its own first, because a runtime may crash, hang or eat the memory on what it
//! never met. What comes out is checked too: a score that leaves here is finite, and the scores of a frame sum to 1.
//!
//! Nothing is ever searched for: `Runtime::Library` is used only where somebody named the file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::frame::{Frame, PIXELS, Pixels, Place};
use crate::model::gate::{self, Checked, Kind};
use crate::model::metadata::Metadata;

/// What other people's models want to be shown, and how their scores are meant.
pub mod convention;

/// Loads a library in a process that may die of it.
pub mod probe;

/// Runs a stranger's model in a process that may die of it.
pub mod trial;

mod child;
mod embedded;
mod labels;
mod library;
mod scores;

pub use library::prepare_environment;

/// Scores further than this from the golden ones refuse the model: runtimes differ by some 1e-6.
const GOLDEN_TOLERANCE: f32 = 1e-3;
/// Larger files are no models for this machine; the gate has its own, lower limit.
pub const LARGEST_FILE: u64 = 64 * 1024 * 1024;
/// What a stranger's model is shown once at load, deg C everywhere.
const CONSTANT_FRAME: f32 = 20.0;

/// What runs the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// The one that is built in: rten.
    Embedded,
    /// ONNX Runtime, from this library.
    Library(PathBuf),
}

/// How a file is loaded, beyond the runtime.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// This program, which tries libraries and strangers' models in a child process. None: they are not tried.
    pub program: Option<PathBuf>,
    /// Names of the scores, for a model that does not tell.
    pub labels: Option<Vec<String>>,
    pub convention: convention::Overrides,
    pub limits: trial::Limits,
}

/// A loaded model that has given its golden answer.
#[derive(Debug)]
pub struct Classifier {
    checked: Checked,
    engine: Engine,
    runtime: String,
    labels: Vec<String>,
    convention: convention::Convention,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Classified(Classification),
    /// So many pixels are broken that nothing can be said of the scene.
    SensorFault {
        bad_pixels: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// By label, in the model's order; they sum to 1.
    pub scores: Vec<(String, f32)>,
    /// Pixels that were mended beforehand.
    pub bad_pixels: usize,
    /// Where it is least like itself. None for models that do not say.
    pub place: Option<Place>,
    /// deg C there that the scene's normal behaviour does not explain.
    pub delta_t: Option<f32>,
    /// Score by threshold: from 1 on, `anomaly` is 0.7 and more.
    pub ratio: Option<f32>,
    /// Pixels that the camera seems to have moved: rows, columns.
    pub shift: Option<[f32; 2]>,
}

/// What a runtime needs to know of a graph: the one input, and which outputs are wanted.
#[derive(Debug, Clone)]
struct Ports {
    input: String,
    shape: Vec<usize>,
    outputs: Vec<String>,
}

#[derive(Debug)]
enum Engine {
    Embedded(Box<embedded::Engine>),
    Library(library::Engine),
}

impl Runtime {
    /// The library that was named, or else what is built in.
    pub fn named(library: Option<&Path>) -> Self {
        match library {
            // An empty environment variable names nothing.
            Some(path) if !path.as_os_str().is_empty() => Self::Library(path.to_owned()),
            _ => Self::Embedded,
        }
    }
}

/// Reads a model's file and loads it, after trying in a child process what is not ours.
pub fn load_file(path: &Path, runtime: &Runtime, options: &Options) -> anyhow::Result<Classifier> {
    let bytes = read(path).with_context(|| format!("reading {}", path.display()))?;
    let beside = labels::beside(path)?;
    load(&bytes, runtime, options, beside).with_context(|| path.display().to_string())
}

/// Loads a model that is in memory already, such as the one in the program, after the same trials.
pub fn load_bytes(
    bytes: &[u8],
    runtime: &Runtime,
    options: &Options,
) -> anyhow::Result<Classifier> {
    load(bytes, runtime, options, None)
}

/// Reads a file that may be anything.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;

    let file = std::fs::File::open(path)?;
    ensure!(
        file.metadata()?.is_file(),
        "this is no file, but a folder or a device"
    );
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= LARGEST_FILE,
        "it is larger than {} MB, which no model for this is",
        LARGEST_FILE / 1024 / 1024
    );
    Ok(bytes)
}

fn load(
    bytes: &[u8],
    runtime: &Runtime,
    options: &Options,
    beside: Option<labels::Named>,
) -> anyhow::Result<Classifier> {
    let checked = gate::check(bytes)?;
    if let (Some(program), Runtime::Library(library)) = (&options.program, runtime) {
        probe::probe(program, library)?;
    }
    if let (Some(program), Kind::Temperatures { .. } | Kind::Picture { .. }) =
        (&options.program, &checked.kind)
    {
        trial::try_model(program, bytes, runtime, &options.limits)?;
    }
    Classifier::of(bytes, checked, runtime, options, beside)
}

impl Classifier {
    /// Checks the bytes, loads them, and lets them answer the golden frame.
    ///
    /// This happens in this very process: `load_file` is for files that nobody vouches for.
    pub fn load(bytes: &[u8], runtime: &Runtime) -> anyhow::Result<Self> {
        load(bytes, runtime, &Options::default(), None)
    }

    /// `known_bad` are pixels that the camera's EEPROM lists.
    pub fn classify(&mut self, frame: &Frame, known_bad: &[usize]) -> anyhow::Result<Verdict> {
        let repaired = frame.repaired(known_bad);
        let bad_pixels = repaired.bad.len();
        if repaired.is_sensor_fault() {
            return Ok(Verdict::SensorFault { bad_pixels });
        }
        let outputs = self.run(&repaired.pixels)?;
        let probabilities = self.probabilities(&outputs)?;
        let mut classification = Classification {
            scores: self.labels.iter().cloned().zip(probabilities).collect(),
            bad_pixels,
            place: None,
            delta_t: None,
            ratio: None,
            shift: None,
        };
        if let Kind::Scene(metadata) = &self.checked.kind {
            let finding = scores::finding(&outputs, metadata.threshold_envelope.clamped)?;
            classification.place = Some(Place::of(finding.index));
            classification.delta_t = Some(finding.delta_t);
            classification.ratio = Some(finding.ratio);
            classification.shift = Some(finding.shift);
        }
        Ok(Verdict::Classified(classification))
    }

    /// The scores of a tensor that somebody else made of a frame, in the model's order.
    pub fn classify_input(&mut self, input: &[f32]) -> anyhow::Result<Vec<f32>> {
        let outputs = self.engine.run(input)?;
        self.probabilities(&outputs)
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Name and version of what runs it, for people.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Names of the scores, in the model's order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What a model that looks at pictures is shown.
    pub fn convention(&self) -> &convention::Convention {
        &self.convention
    }

    fn of(
        bytes: &[u8],
        checked: Checked,
        runtime: &Runtime,
        options: &Options,
        beside: Option<labels::Named>,
    ) -> anyhow::Result<Self> {
        let (engine, name) = Engine::load(bytes, &checked, runtime)?;
        let labels = match &checked.kind {
            Kind::Scene(metadata) => metadata.labels.clone(),
            Kind::Temperatures { classes } | Kind::Picture { classes, .. } => labels::choose(
                options.labels.as_deref(),
                &checked.entries,
                beside,
                *classes,
            )?,
        };
        let convention = convention::Convention::of(&checked.entries, &options.convention)?;
        let mut classifier = Self {
            checked,
            engine,
            runtime: name,
            labels,
            convention,
        };
        classifier.prove()?;
        Ok(classifier)
    }

    /// Lets it answer a frame whose answer is known; a stranger's model has to give scores at all.
    fn prove(&mut self) -> anyhow::Result<()> {
        let Kind::Scene(metadata) = &self.checked.kind else {
            let outputs = self.run(&[CONSTANT_FRAME; PIXELS])?;
            self.probabilities(&outputs)
                .with_context(|| format!("on a frame of {CONSTANT_FRAME} deg C everywhere"))?;
            return Ok(());
        };
        let golden = metadata.golden.clone();
        let frame: Box<Pixels> = golden.frame.into_boxed_slice().try_into().map_err(|_| {
            anyhow::anyhow!("its golden frame has not {PIXELS} pixels: the file is damaged")
        })?;
        let outputs = self.run(&frame)?;
        let scores = &outputs[0];
        ensure!(
            scores.len() == self.labels.len() && scores.len() == golden.scores.len(),
            "it gives {} scores, has {} labels and {} golden scores: the file is damaged",
            scores.len(),
            self.labels.len(),
            golden.scores.len()
        );
        for ((label, &score), &expected) in self.labels.iter().zip(scores).zip(&golden.scores) {
            let close = (score - expected).abs() <= GOLDEN_TOLERANCE;
            ensure!(
                close,
                "it does not give its golden answer: `{label}` is {score:.4} and should be {expected:.4}. Either the \
                 file is damaged, or {} calculates something else. Copy the file again, train it again, or use the \
                 other runtime",
                self.runtime
            );
        }
        self.probabilities(&outputs)?;
        scores::finding(
            &outputs,
            metadata_of(&self.checked)?.threshold_envelope.clamped,
        )?;
        Ok(())
    }

    fn run(&mut self, pixels: &Pixels) -> anyhow::Result<Vec<Vec<f32>>> {
        match self.checked.kind {
            Kind::Scene(_) | Kind::Temperatures { .. } => self.engine.run(pixels),
            Kind::Picture {
                layout,
                height,
                width,
                ..
            } => {
                let input = self.convention.input(pixels, layout, height, width);
                self.engine.run(&input)
            }
        }
    }

    fn probabilities(&self, outputs: &[Vec<f32>]) -> anyhow::Result<Vec<f32>> {
        let raw = &outputs[0];
        ensure!(
            raw.len() == self.labels.len(),
            "it gives {} scores and has {} labels",
            raw.len(),
            self.labels.len()
        );
        if self.convention.softmax && !matches!(self.checked.kind, Kind::Scene(_)) {
            return scores::probabilities(&scores::softmax(raw), &self.labels);
        }
        scores::probabilities(raw, &self.labels)
    }
}

impl Engine {
    /// Also the name of what runs it.
    fn load(bytes: &[u8], checked: &Checked, runtime: &Runtime) -> anyhow::Result<(Self, String)> {
        let ports = Ports::of(checked)?;
        Ok(match runtime {
            Runtime::Embedded => (
                Self::Embedded(Box::new(embedded::Engine::load(bytes, &ports)?)),
                embedded::NAME.to_owned(),
            ),
            Runtime::Library(path) => {
                let (engine, name) = library::Engine::load(path, bytes, &ports)?;
                (Self::Library(engine), name)
            }
        })
    }

    /// The wanted outputs, in the order of `Ports::outputs`.
    fn run(&mut self, input: &[f32]) -> anyhow::Result<Vec<Vec<f32>>> {
        match self {
            Self::Embedded(engine) => engine.run(input),
            Self::Library(engine) => engine.run(input),
        }
    }
}

impl Ports {
    fn of(checked: &Checked) -> anyhow::Result<Self> {
        let Some(first) = checked.outputs.first() else {
            bail!("it has no output");
        };
        let (shape, outputs) = match checked.kind {
            Kind::Scene(_) => (
                vec![1, 1, crate::frame::ROWS, crate::frame::COLUMNS],
                scores::WANTED.map(String::from).to_vec(),
            ),
            Kind::Temperatures { .. } => (
                vec![1, 1, crate::frame::ROWS, crate::frame::COLUMNS],
                vec![first.clone()],
            ),
            Kind::Picture {
                layout,
                height,
                width,
                ..
            } => (
                match layout {
                    gate::Layout::ChannelsFirst => vec![1, 3, height, width],
                    gate::Layout::ChannelsLast => vec![1, height, width, 3],
                },
                vec![first.clone()],
            ),
        };
        for output in &outputs {
            ensure!(
                checked.outputs.contains(output),
                "its output `{output}` is missing: it was not written by this program's `train`, or it is damaged"
            );
        }
        Ok(Self {
            input: checked.input.clone(),
            shape,
            outputs,
        })
    }
}

fn metadata_of(checked: &Checked) -> anyhow::Result<&Metadata> {
    match &checked.kind {
        Kind::Scene(metadata) => Ok(metadata),
        _ => bail!("this is no model of a scene"),
    }
}
