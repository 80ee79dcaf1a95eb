//! What a model is for, from its input, its outputs and its metadata.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result, bail, ensure};

use super::shapes::{Shapes, shown};
use super::{Kind, Layout};
use crate::frame::{COLUMNS, PIXELS, ROWS};
use crate::model::ANOMALY;
use crate::model::metadata::{self, FORMAT, Metadata};
use crate::model::onnx::{Dim, Element, Graph, ValueInfo, graph_digest};

/// Fewer is no choice; more is no model for a thermal camera.
const CLASSES: std::ops::RangeInclusive<u64> = 2..=1000;
/// Sides of pictures, pixels.
const SIDES: std::ops::RangeInclusive<i64> = 8..=512;

const INPUTS: &str = "the input must be float32 [1,1,24,32] (deg C), [1,3,height,width] or [1,height,width,3] (a picture)";

/// The one input that is not an initializer.
pub fn input(graph: &Graph) -> Result<&ValueInfo> {
    let initializers: HashSet<&str> = graph
        .initializers
        .iter()
        .map(|initializer| initializer.name.as_str())
        .collect();
    let mut inputs = graph
        .inputs
        .iter()
        .filter(|input| !initializers.contains(input.name.as_str()));
    let input = inputs.next().context("it has no input")?;
    if let Some(second) = inputs.next() {
        bail!(
            "it has more than one input ({:?} and {:?}): {INPUTS}",
            input.name,
            second.name
        );
    }
    Ok(input)
}

/// The sizes of an input for one frame.
pub fn sizes(input: &ValueInfo) -> Result<Vec<u64>> {
    let what = format!("the input {:?}", input.name);
    ensure!(
        input.element == Element::Float,
        "{what} is {}: export the model with a float32 input",
        input.element
    );
    let dims = input.dims.as_deref().unwrap_or_default();
    let [batch, rest @ ..] = dims else {
        bail!("{what} has no sizes: {INPUTS}");
    };
    ensure!(
        !matches!(batch, Dim::Size(size) if *size != 1),
        "{what} takes several frames at once: export the model for a batch of 1"
    );
    let rest: Option<Vec<i64>> = rest
        .iter()
        .map(|dim| match dim {
            Dim::Size(size) => Some(*size),
            Dim::Named(_) | Dim::Unknown => None,
        })
        .collect();
    let rest = rest.with_context(|| {
        format!("{what} leaves sizes open: export the model with fixed height, width and channels")
    })?;
    let good = match rest[..] {
        [1, height, width] => (height, width) == (24, 32),
        [3, height, width] | [height, width, 3] => {
            SIDES.contains(&height) && SIDES.contains(&width)
        }
        _ => false,
    };
    ensure!(
        good,
        "{what} is {rest:?} for each frame: {INPUTS}, sides of {} to {} pixels",
        SIDES.start(),
        SIDES.end()
    );
    Ok(std::iter::once(1)
        .chain(rest.iter().map(|size| size.unsigned_abs()))
        .collect())
}

pub fn of(
    graph: &Graph,
    input: &ValueInfo,
    shapes: &Shapes<'_>,
    entries: &BTreeMap<String, String>,
) -> Result<Kind> {
    if let Some(format) = entries.get("thermal_watch.format") {
        let known = format
            .parse::<u32>()
            .is_ok_and(|format| (1..=FORMAT).contains(&format));
        ensure!(
            known,
            "it was written in format {format:?}, and this program reads up to format {FORMAT}: update it"
        );
    }
    let sizes = sizes(input)?;
    if let Some(metadata) = Metadata::from_entries(entries) {
        let metadata = metadata?;
        ensure!(
            sizes == [1, 1, ROWS as u64, COLUMNS as u64],
            "it says that it is a scene, but its input is {}",
            shown(&sizes)
        );
        let classes = classes(shapes, "scores")?;
        scene(&metadata, classes, shapes)?;
        if let Some(digest) = entries.get(metadata::DIGEST) {
            ensure!(
                *digest == graph_digest(graph),
                "its graph or its numbers are not those that were written: the file is damaged"
            );
        }
        return Ok(Kind::Scene(Box::new(metadata)));
    }
    let output = graph.outputs.first().context("it has no output")?;
    let classes = classes(shapes, &output.name)?;
    Ok(match sizes[..] {
        [_, 1, ..] => Kind::Temperatures { classes },
        [_, 3, height, width] => Kind::Picture {
            layout: Layout::ChannelsFirst,
            height: usize::try_from(height)?,
            width: usize::try_from(width)?,
            classes,
        },
        [_, height, width, _] => Kind::Picture {
            layout: Layout::ChannelsLast,
            height: usize::try_from(height)?,
            width: usize::try_from(width)?,
            classes,
        },
        _ => bail!("{INPUTS}"),
    })
}

/// How many scores this output has.
fn classes(shapes: &Shapes<'_>, output: &str) -> Result<usize> {
    let value = shapes
        .outputs
        .get(output)
        .with_context(|| format!("it lacks the output {output:?}"))?;
    ensure!(
        value.element == Element::Float,
        "the output {output:?} is {}: the first output must be the scores, float32",
        value.element
    );
    match value.dims[..] {
        [1, classes] if CLASSES.contains(&classes) => Ok(usize::try_from(classes)?),
        _ => bail!(
            "the output {output:?} is {}: the first output must be the scores, [1, classes] with {} to {} classes",
            shown(&value.dims),
            CLASSES.start(),
            CLASSES.end()
        ),
    }
}

fn scene(metadata: &Metadata, classes: usize, shapes: &Shapes<'_>) -> Result<()> {
    ensure!(
        metadata.labels.len() == classes,
        "its metadata has {} labels, but it gives {classes} scores",
        metadata.labels.len()
    );
    ensure!(
        metadata
            .labels
            .first()
            .is_some_and(|label| label == ANOMALY),
        "its first label must be `{ANOMALY}`"
    );
    let distinct: HashSet<&String> = metadata.labels.iter().collect();
    ensure!(
        distinct.len() == classes,
        "two of its labels are the same: {}",
        metadata.labels.join(", ")
    );
    let golden = &metadata.golden;
    ensure!(
        golden.frame.len() == PIXELS && golden.frame.iter().all(|pixel| pixel.is_finite()),
        "its golden frame is no frame: {PIXELS} finite numbers are needed, it has {}",
        golden.frame.len()
    );
    ensure!(
        golden.scores.len() == classes && golden.scores.iter().all(|score| score.is_finite()),
        "its golden scores must be {classes} finite numbers, it has {}",
        golden.scores.len()
    );
    let pixels = PIXELS as u64;
    let maps = [
        ("map", Element::Float, pixels),
        ("index", Element::Int64, 1),
        ("delta_t", Element::Float, 1),
        ("ratio", Element::Float, 1),
        ("shift", Element::Float, 2),
        ("R", Element::Float, pixels),
        ("E", Element::Float, pixels),
    ];
    for (name, element, length) in maps {
        let value = shapes.outputs.get(name).with_context(|| {
            format!("it says that it is a scene, but lacks the output {name:?}")
        })?;
        ensure!(
            value.element == element && value.dims == [1, length],
            "its output {name:?} is {} {}, and a scene's is {element} [1,{length}]",
            value.element,
            shown(&value.dims)
        );
    }
    Ok(())
}
