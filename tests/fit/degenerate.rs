//! Frames that teach little or nothing: a model all the same, or a refusal that says why.
#![expect(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "small numbers, and a test that cannot go on has failed"
)]

use edge::{
    frame::{COLUMNS, PIXELS, Pixels},
    model::{
        detectable::detectable,
        fit::{Example, FEWEST_FRAMES, train},
        residual::assess,
    },
};

use super::{
    all_numbers, check_sound,
    golden::{examples, golden, labelled, names},
};

#[test]
fn degenerate_frames_give_a_model_all_the_same() {
    for (number, (name, frames)) in degenerate().into_iter().enumerate() {
        let fit = train(&examples(&frames), None, &mut |_| ()).unwrap();
        let model = &fit.model;
        assert!(all_numbers(model).all(f32::is_finite), "{name}");
        assert!(model.variance.iter().flatten().all(|&v| v > 0.0), "{name}");
        assert!(
            (7.0..=15.0).contains(&model.residual_threshold.clamped),
            "{name}"
        );
        assert!(
            (4.0..=10.0).contains(&model.envelope_threshold.clamped),
            "{name}"
        );
        assert!(model.residual_threshold.raw.is_finite(), "{name}");
        for frame in [&frames[0], &striped(-3.0)] {
            check_sound(&assess(model, frame));
        }
        // Not for each of them: this takes its time without optimisation.
        if number % 3 != 0 {
            continue;
        }
        let references: Vec<&Pixels> = frames.iter().collect();
        for detectable in detectable(model, &references) {
            assert!(
                detectable.delta_t.iter().all(|&t| t.is_finite() && t > 0.0),
                "{name}"
            );
        }
    }
}

#[test]
fn what_nothing_can_be_learned_from_is_refused() {
    let frames = &golden().train;
    let refused = |examples: &[Example<'_>], names: Option<&[String]>, parts: &[&str]| {
        let error = train(examples, names, &mut |_| ()).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    };
    refused(
        &examples(&frames[..29]),
        None,
        &["29 frames", "at least 30", "blind"],
    );
    refused(&[], None, &["0 frames"]);
    let mut broken = frames[..FEWEST_FRAMES].to_vec();
    broken[7][3 * COLUMNS + 5] = f32::NAN;
    refused(
        &examples(&broken),
        None,
        &["frame 7", "row 3", "column 5", "NaN", "repair"],
    );
    refused(
        &examples(frames),
        Some(&names()[..1]),
        &["two labels", "not 1"],
    );
    let mut examples = labelled(frames);
    examples[9].label = Some(3);
    refused(
        &examples,
        Some(&names()),
        &["frame 9", "label number 3", "only 3"],
    );
}

/// Frames by what is odd about them.
fn degenerate() -> Vec<(&'static str, Vec<Pixels>)> {
    let flat = |value: f32| [value; PIXELS];
    let noisy = |frame: usize, size: f32| -> Pixels {
        std::array::from_fn(|index| {
            size * ((index * 7919 + frame * 104_729) % 1009) as f32 / 1009.0
        })
    };
    vec![
        ("all of them one constant", vec![flat(20.0); 30]),
        ("all of them one picture", vec![striped(1.0); 30]),
        (
            "constants that differ",
            (0..40).map(|i| flat(i as f32)).collect(),
        ),
        (
            "two in turn",
            (0..33).map(|i| striped((i % 2) as f32)).collect(),
        ),
        ("as few as may be", (0..30).map(|i| noisy(i, 1.0)).collect()),
        (
            "some pixels without noise",
            (0..35)
                .map(|i| {
                    let mut frame = noisy(i, 1.0);
                    frame[..PIXELS / 2].fill(20.0);
                    frame
                })
                .collect(),
        ),
        (
            "the whole range of the camera",
            (0..31)
                .map(|i| {
                    let mut frame = noisy(i, 340.0);
                    frame = frame.map(|pixel| pixel - 40.0);
                    frame
                })
                .collect(),
        ),
        (
            "far beyond any camera",
            (0..30).map(|i| noisy(i, 1e30)).collect(),
        ),
    ]
}

fn striped(factor: f32) -> Pixels {
    std::array::from_fn(|index| 20.0 + factor * (index % 7) as f32)
}
