//! `edge picture`: frames as PNG files that people can look at.
//!
//! What is written is decided before anything is: every target is named, compared with the others and looked for on the
//! disk, so that a refusal leaves nothing half done. Nothing is overwritten unless told.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use crate::capture::replay::{self, OnBad, Recorded, Recording};
use crate::classify::{self, Classifier, Runtime, Verdict};
use crate::frame::{Frame, Pixels};
use crate::picture::{self, Colours, DEFAULT_SCALE, Look, Mark, Range, Tile};

/// Pixels for one of the frame's on a contact sheet.
const SHEET_SCALE: u8 = 5;

/// Draw frames in false colour as PNG files.
///
/// The scale beside each picture says which colour is how hot; a ring marks the hottest place, or with --model the place
/// that is least like itself.
/// Pictures are for people: models learn from the frames themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  edge picture hot/0001.csv --out boiler.png
  edge picture recording/ --out pictures/
  edge picture recording/ --sheet --out overview.png
  edge picture alarm.csv --model model.onnx --out alarm.png
  edge picture recording/ --sheet --out tutorial.png --range 20..40 --colours tutorial")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Options {
    /// Files of frames, and folders of such files (sub-folders are labels).
    #[arg(required = true, value_name = "FILE|FOLDER")]
    frames: Vec<PathBuf>,
    /// Where to: a PNG file for one frame or a sheet, else a folder (made if it is not there).
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// One contact sheet of all frames (of more than 120, an even choice).
    #[arg(long)]
    sheet: bool,
    /// On a sheet, give each frame its own range instead of one for all.
    #[arg(long, requires = "sheet")]
    own_range: bool,
    /// Temperatures that the colours span, in deg C: `auto` for coldest to hottest, or two, such as 20..40.
    #[arg(
        long,
        value_name = "LOW..HIGH",
        default_value = "auto",
        allow_hyphen_values = true
    )]
    range: Range,
    /// Colour map; `tutorial` is that of Adafruit's MLX90640 example.
    #[arg(long, value_enum, default_value = "inferno")]
    colours: Colours,
    /// Picture pixels for each pixel of the frame [default: 16, on a sheet 5].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=40))]
    scale: Option<u8>,
    /// Swap left and right, in the pictures only.
    #[arg(long)]
    mirror: bool,
    /// Mark what this model finds least normal, by how many deg C, instead of the hottest place.
    #[arg(long, value_name = "FILE", conflicts_with = "no_mark")]
    model: Option<PathBuf>,
    /// Do not mark the hottest place.
    #[arg(long)]
    no_mark: bool,
    /// Leave out files that are no frames, instead of refusing all.
    #[arg(long)]
    skip_bad: bool,
    /// Overwrite pictures that exist.
    #[arg(long)]
    force: bool,
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let on_bad = if options.skip_bad {
        OnBad::Skip
    } else {
        OnBad::Refuse
    };
    let recording = replay::read(&options.frames, on_bad)?;
    for bad in &recording.skipped {
        let line = bad.line.map(|line| format!(":{line}")).unwrap_or_default();
        eprintln!("left out {}{line}: {}", bad.path.display(), bad.reason);
    }
    if recording.frames.is_empty() {
        bail!("there is no frame in what was named");
    }
    let said = if options.sheet {
        write_sheet(options, &recording)?
    } else {
        write_each(options, &recording)?
    };
    super::say(&format!("{said}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn write_sheet(options: &Options, recording: &Recording) -> anyhow::Result<String> {
    refuse_existing(std::slice::from_ref(&options.out), options.force)?;
    let mut marker = Marker::new(options)?;
    let shown = recording
        .frames
        .iter()
        .map(|recorded| Shown::of(recorded, &mut marker));
    let shown: Vec<Shown> = shown.collect::<anyhow::Result<_>>()?;
    let tiles: Vec<Tile<'_>> = recording
        .frames
        .iter()
        .zip(&shown)
        .map(|(recorded, shown)| tile(recorded, shown))
        .collect();
    let first = options
        .frames
        .first()
        .map(|path| path.display().to_string());
    let mut heading = first.unwrap_or_default();
    if options.frames.len() > 1 {
        heading = format!("{heading} and {} more", options.frames.len() - 1);
    }
    let look = look(options, SHEET_SCALE);
    let sheet = picture::sheet(&tiles, &look, !options.own_range, &heading);
    write(&options.out, &sheet.image.png()?, options.force)?;
    let all = tiles.len();
    let choice = if sheet.shown.len() < all {
        format!("{} of {all} frames, evenly chosen", sheet.shown.len())
    } else {
        frames(all)
    };
    Ok(format!("{}: {choice}", options.out.display()))
}

fn write_each(options: &Options, recording: &Recording) -> anyhow::Result<String> {
    let targets = targets(&options.out, &recording.frames, options.out.is_dir())?;
    refuse_existing(&targets, options.force)?;
    if let Some(folder) = targets[0].parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let default_scale = u8::try_from(DEFAULT_SCALE).unwrap_or(u8::MAX);
    let look = look(options, default_scale);
    let mut marker = Marker::new(options)?;
    let progress = ProgressBar::new(targets.len() as u64);
    for (recorded, target) in recording.frames.iter().zip(&targets) {
        let shown = Shown::of(recorded, &mut marker)?;
        let title = shown.title(&recorded.frame);
        let image = picture::draw(&shown.pixels, &look, Some(&title), shown.mark.as_ref());
        write(target, &image.png()?, options.force)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(match targets.as_slice() {
        [one] => one.display().to_string(),
        many => format!("{}: {}", options.out.display(), frames(many.len())),
    })
}

/// A frame as it is drawn: mended, unless so much is broken that the faults are what there is to see.
struct Shown {
    pixels: Box<Pixels>,
    mended: usize,
    sensor_fault: bool,
    mark: Option<Mark>,
}

/// What is marked in a frame.
enum Marker {
    Nothing,
    Hottest,
    Anomaly(Box<Classifier>),
}

impl Marker {
    fn new(options: &Options) -> anyhow::Result<Self> {
        Ok(match &options.model {
            _ if options.no_mark => Self::Nothing,
            None => Self::Hottest,
            Some(path) => {
                let how = classify::Options {
                    program: Some(std::env::current_exe().context("finding this program")?),
                    ..classify::Options::default()
                };
                Self::Anomaly(Box::new(classify::load_file(
                    path,
                    &Runtime::Embedded,
                    &how,
                )?))
            }
        })
    }

    fn mark(&mut self, frame: &Frame, mended: &Pixels) -> anyhow::Result<Option<Mark>> {
        let classifier = match self {
            Self::Nothing => return Ok(None),
            Self::Hottest => return Ok(Mark::hottest(mended)),
            Self::Anomaly(classifier) => classifier,
        };
        let Verdict::Classified(found) = classifier.classify(frame, &[])? else {
            return Ok(None);
        };
        let place = found.place.zip(found.delta_t);
        let (place, delta_t) =
            place.context("this model does not say where; one of `edge train` does")?;
        Ok(Some(Mark::difference(place, delta_t)))
    }
}

impl Shown {
    fn of(recorded: &Recorded, marker: &mut Marker) -> anyhow::Result<Self> {
        let repaired = recorded.frame.repaired(&[]);
        let sensor_fault = repaired.is_sensor_fault();
        let mark = if sensor_fault {
            None
        } else {
            marker.mark(&recorded.frame, &repaired.pixels)?
        };
        Ok(Self {
            mark,
            mended: repaired.bad.len(),
            sensor_fault,
            pixels: if sensor_fault {
                recorded.frame.pixels.clone()
            } else {
                repaired.pixels
            },
        })
    }

    fn title(&self, frame: &Frame) -> String {
        let title = picture::title(frame, &self.pixels);
        match (self.sensor_fault, self.mended) {
            (false, 0) => title,
            (false, mended) => format!("{title} · {mended} px mended"),
            (true, bad) => format!("{title} · SENSOR FAULT, {bad} px bad"),
        }
    }
}

fn tile<'a>(recorded: &Recorded, shown: &'a Shown) -> Tile<'a> {
    let at = recorded.frame.captured_at;
    let mut note: Vec<String> = Vec::new();
    note.extend(at.map(|at| at.format("%Y-%m-%d %H:%M").to_string()));
    note.extend(recorded.label.clone());
    if shown.sensor_fault {
        note.push("sensor fault".to_owned());
    }
    Tile {
        pixels: &shown.pixels,
        name: stem(recorded),
        note: note.join(" · "),
        mark: shown.mark.as_ref().map(|mark| mark.place),
    }
}

/// Where each frame goes. One frame goes to the path itself, unless that is a folder; several go into it as a folder.
fn targets(out: &Path, frames: &[Recorded], is_folder: bool) -> anyhow::Result<Vec<PathBuf>> {
    let named_png = out
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if !is_folder && frames.len() == 1 && named_png {
        return Ok(vec![out.to_owned()]);
    }
    let extension = out.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    let other_picture = ["jpg", "jpeg", "gif", "bmp", "webp", "svg", "tif", "tiff"];
    if !is_folder
        && extension.is_some_and(|extension| other_picture.iter().any(|other| extension == *other))
    {
        bail!(
            "pictures are PNG files: name it {}",
            out.with_extension("png").display()
        );
    }
    if !is_folder && named_png {
        bail!(
            "{} frames do not fit into one picture: name a folder, or say --sheet",
            frames.len()
        );
    }
    let mut taken = HashSet::new();
    let targets = frames.iter().map(|recorded| {
        let label = recorded.label.as_deref().map(|label| format!("{label}-"));
        let stem = format!("{}{}", label.unwrap_or_default(), stem(recorded));
        // Names come from recordings: a label must not lead out of the folder.
        let stem = stem.replace(['/', '\\'], "_");
        let mut name = stem.clone();
        let mut copy = 2;
        while !taken.insert(name.clone()) {
            name = format!("{stem}-{copy}");
            copy += 1;
        }
        out.join(name + ".png")
    });
    Ok(targets.collect())
}

fn stem(recorded: &Recorded) -> String {
    let stem = recorded.source.path.file_stem();
    let stem = stem.map_or("frame".into(), |stem| stem.to_string_lossy());
    match recorded.source.index {
        Some(index) => format!("{stem}-{index:04}"),
        None => stem.into_owned(),
    }
}

fn look(options: &Options, default_scale: u8) -> Look {
    Look {
        range: options.range,
        colours: options.colours,
        scale: usize::from(options.scale.unwrap_or(default_scale)),
        mirror: options.mirror,
    }
}

fn refuse_existing(targets: &[PathBuf], force: bool) -> anyhow::Result<()> {
    let existing = targets.iter().find(|target| target.exists());
    match existing {
        Some(existing) if !force => {
            bail!("{} exists; say --force to overwrite it", existing.display())
        }
        _ => Ok(()),
    }
}

/// Without `force`, a file that appeared since it was looked for is left as it is.
fn write(target: &Path, png: &[u8], force: bool) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options
        .write(true)
        .open(target)
        .and_then(|mut file| file.write_all(png))
        .with_context(|| format!("{} cannot be written", target.display()))
}

fn frames(count: usize) -> String {
    format!("{count} frame{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::replay::Source;
    use crate::frame::PIXELS;

    fn recorded(path: &str, index: Option<usize>, label: Option<&str>) -> Recorded {
        Recorded {
            frame: Frame::new(Box::new([20.0; PIXELS])),
            label: label.map(str::to_owned),
            source: Source {
                path: path.into(),
                index,
            },
            adopted: None,
        }
    }

    #[test]
    fn targets_are_distinct_and_stay_in_their_folder() {
        let check = |out: &str, is_folder, frames: &[Recorded], expected: Option<&[&str]>| {
            let found = targets(Path::new(out), frames, is_folder).ok();
            let expected = expected.map(|all| all.iter().map(PathBuf::from).collect::<Vec<_>>());
            assert_eq!(found, expected, "{out}");
        };
        let one = [recorded("r/hot/1.csv", None, Some("hot"))];
        check("a.png", false, &one, Some(&["a.png"]));
        check("a", false, &one, Some(&["a/hot-1.png"]));
        check("a.png", true, &one, Some(&["a.png/hot-1.png"]));
        let several = [
            recorded("r/1.csv", Some(0), None),
            recorded("r/1.csv", Some(1), None),
            recorded("s/1.npy", Some(1), None),
            recorded("1.csv", None, Some("../../etc")),
        ];
        check("a.png", false, &several, None);
        let names = [
            "a/1-0000.png",
            "a/1-0001.png",
            "a/1-0001-2.png",
            "a/.._.._etc-1.png",
        ];
        check("a", false, &several, Some(&names));
    }
}
