//! What speaks against trusting a model, in sentences for the person who is about to.

use super::super::MOST_MODES;
use super::super::report::Report;
use super::super::threshold::{ENVELOPE_LIMITS, RESIDUAL_LIMITS};
use super::{Detectable, Fit, Lesson};
use crate::frame::{PIXELS, Place};

/// Fewer frames make a model blind; recall falls steeply below this.
const FEW_FRAMES: usize = 120;
/// A shorter time has not seen all that is normal: models of 20 hours alarm on up to 8 frames in 100.
const SHORT_SPAN_HOURS: f64 = 72.0;
/// No place near a machine is always hotter than this, deg C; in Fahrenheit and kelvin it is.
const COLDEST_PLAUSIBLE: f32 = 45.0;
/// A spot must be this much hotter before the place is called blind, deg C.
const BLIND: f32 = 20.0;
/// A pixel that is mended in more than one frame of this many is broken for good.
const OFTEN: usize = 10;

pub(super) fn doubts(
    report: &Report,
    lessons: &[Lesson],
    fit: &Fit,
    detectable: &[Detectable],
) -> Vec<String> {
    let mut doubts = Vec::new();
    quantity(report, &mut doubts);
    units(lessons, &mut doubts);
    cleanliness(report, lessons, fit, &mut doubts);
    sight(detectable, &mut doubts);
    label_doubts(report, lessons, fit, &mut doubts);
    doubts
}

fn quantity(report: &Report, doubts: &mut Vec<String>) {
    if report.frames < FEW_FRAMES {
        doubts.push(format!(
            "Only {} frames: few frames make a model blind, not noisy. Add frames up to at least {FEW_FRAMES}, best 240 to 500, spread evenly.",
            report.frames
        ));
    }
    match report.span_hours {
        Some(hours) if hours < SHORT_SPAN_HOURS => doubts.push(format!(
            "The frames span only {hours:.1} h: what the scene does on other days is unknown and will raise false alarms. Record at least {SHORT_SPAN_HOURS} h, best two weeks with every state the machine has.",
        )),
        Some(_) => {}
        None => doubts.push(
            "The frames carry no capture times: whether they span at least 72 h cannot be told, and their order is that of the file names.".into(),
        ),
    }
}

/// Whether the numbers can be deg C.
fn units(lessons: &[Lesson], doubts: &mut Vec<String>) {
    let pixels = lessons.iter().flat_map(|lesson| lesson.pixels.iter());
    let coldest = pixels.copied().fold(f32::INFINITY, f32::min);
    if coldest > COLDEST_PLAUSIBLE {
        doubts.push(format!(
            "Even the coldest pixel of all frames has {coldest:.1}: are these deg C, and not Fahrenheit or kelvin?"
        ));
    }
}

fn cleanliness(report: &Report, lessons: &[Lesson], fit: &Fit, doubts: &mut Vec<String>) {
    if !report.dropped.is_empty() {
        doubts.push(format!(
            "{} of the frames did not fit the others and were left out: look at them. If they are normal, `edge adopt` takes them in.",
            report.dropped.len()
        ));
    }
    for (threshold, cap, name) in [
        (report.threshold_residual.raw, RESIDUAL_LIMITS.1, "residual"),
        (report.threshold_envelope.raw, ENVELOPE_LIMITS.1, "envelope"),
    ] {
        if threshold > cap {
            doubts.push(format!(
                "The {name} threshold would be {threshold:.1} and was capped at {cap}: the training frames are too varied or not clean. Look for frames with people, doors or faults in them, or record more frames of each state; expect false alarms until then.",
            ));
        }
    }
    if report.bad_pixels.sensor_faults > 0 {
        doubts.push(format!(
            "Left out because more than {1} pixels were broken: {0} of the frames. Check the camera.",
            report.bad_pixels.sensor_faults,
            crate::frame::MOST_BAD_PIXELS
        ));
    }
    let mut mended = vec![0_usize; PIXELS];
    for &index in lessons.iter().flat_map(|lesson| &lesson.bad) {
        mended[index] += 1;
    }
    let broken: Vec<String> = (0..PIXELS)
        .filter(|&index| mended[index] > 1 && mended[index] * OFTEN > lessons.len())
        .map(|index| {
            let Place { row, column } = Place::of(index);
            format!("row {row} column {column}")
        })
        .collect();
    if !broken.is_empty() {
        doubts.push(format!(
            "Broken pixels, mended from their neighbours: {}.",
            broken.join("; ")
        ));
    }
    let mut cameras: Vec<&str> = fit
        .used
        .iter()
        .filter_map(|&index| lessons[index].recorded.frame.camera.as_deref())
        .collect();
    cameras.sort_unstable();
    cameras.dedup();
    if cameras.len() > 1 {
        doubts.push(format!(
            "The frames come from {} cameras ({}): a model is for one camera in one place.",
            cameras.len(),
            cameras.join(", ")
        ));
    }
    let mut pixels: Vec<_> = fit
        .used
        .iter()
        .map(|&index| lessons[index].pixels.map(f32::to_bits))
        .collect();
    pixels.sort_unstable();
    pixels.dedup();
    let copies = fit.used.len() - pixels.len();
    if copies > 0 {
        doubts.push(format!(
            "{copies} frames are exact copies of others and teach nothing new."
        ));
    }
}

fn sight(detectable: &[Detectable], doubts: &mut Vec<String>) {
    if let Some(spots) = detectable.iter().find(|spots| spots.radius == 2) {
        let blind = spots.delta_t.iter().filter(|&&delta| delta > BLIND).count();
        let share = blind as f64 / PIXELS as f64;
        if share > 0.02 {
            doubts.push(format!(
                "Blind in {:.0} % of the picture: a spot of 2 pixels' radius there must be more than {BLIND} deg C too hot to be seen. The page shows where.",
                share * 100.0
            ));
        }
    }
}

fn label_doubts(report: &Report, lessons: &[Lesson], fit: &Fit, doubts: &mut Vec<String>) {
    if report.labelled {
        for label in report.labels.iter().filter(|label| label.frames < 10) {
            doubts.push(format!(
                "Label `{}` has only {} frames: it will be told badly from the others.",
                label.label, label.frames
            ));
        }
        if let Some(accuracy) = report.label_accuracy.filter(|&accuracy| accuracy < 0.8) {
            doubts.push(format!(
                "Only {:.0} % of held-out frames got their own label: the folders may be mixed up, or the labels cannot be told apart by what is seen.",
                accuracy * 100.0
            ));
        }
    } else {
        if lessons.iter().any(|lesson| lesson.recorded.label.is_some()) {
            doubts.push("The given labels are not used: at least two different ones are needed, and none is when unlabelled.".into());
        }
        doubts.push("Without labels of yours, cold, warm and hot only mean low, middle and high heat of this scene.".into());
    }
    if fit.model.k == MOST_MODES {
        doubts.push(format!(
            "The scene needed all {MOST_MODES} modes: it has many independent hot parts. More frames help."
        ));
    }
}
