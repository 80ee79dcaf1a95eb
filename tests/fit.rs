//! Learning a scene: the same numbers as the reference's, the same bits each time, and nothing that breaks it.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "small numbers, and a test that cannot go on has failed"
)]

use edge::{
    frame::{PIXELS, Pixels, Place},
    model::{
        Assessment, Model,
        detectable::{detectable, spot},
        fit::{Example, Fit, train},
        residual::{assess, assess_maps},
    },
};
use proptest::prelude::*;
use serde_json::Value;

mod degenerate;
mod golden;

use golden::{NAMES, examples, golden, golden_fit, labelled, numbers};

#[test]
fn as_the_reference() {
    let (golden, fit) = (golden(), golden_fit());
    assert_eq!(fit.model.k as u64, golden.expected["k"].as_u64().unwrap());
    check_thresholds(&fit.model, &golden.expected);
    assert_eq!(fit.used, (0..120).collect::<Vec<_>>());
    assert!(fit.dropped.is_empty());
    let residual: Vec<f64> = fit.held_out.iter().map(|h| h.residual).collect();
    let envelope: Vec<f64> = fit.held_out.iter().map(|h| h.envelope).collect();
    check_close(
        "residual",
        &residual,
        &golden.numbers("held_out_residual"),
        1e-3,
    );
    check_close(
        "envelope",
        &envelope,
        &golden.numbers("held_out_envelope"),
        1e-3,
    );
    assert_eq!(fit.labels, golden.indices("train_label"));
    let accuracy = fit.label_accuracy.unwrap();
    assert!((0.8..=1.0).contains(&accuracy), "{accuracy}");

    let found = golden.assess(&fit.model);
    let expected = |frame: usize, name: &str| golden.expected[name][frame].clone();
    for (frame, found) in found.iter().enumerate() {
        let name = format!("scores of frame {frame}");
        check_close(
            &name,
            &wide(&found.scores),
            &numbers(&expected(frame, "scores")),
            1e-4,
        );
        assert_eq!(
            found.index as u64,
            expected(frame, "index"),
            "index of {frame}"
        );
        let close = |found: f32, expected: Value, within: f64| {
            let expected = expected.as_f64().unwrap();
            let difference = (f64::from(found) - expected).abs();
            assert!(difference < within, "frame {frame}: {found} for {expected}");
        };
        close(found.ratio, expected(frame, "ratio"), 1e-4);
        close(found.delta_t, expected(frame, "delta_t"), 1e-3);
    }
    let shift: Vec<f64> = found.iter().flat_map(|f| wide(&f.shift)).collect();
    check_close("shift", &shift, &golden.numbers("shift"), 1e-5);
}

#[test]
fn as_the_reference_without_labels() {
    let golden = golden();
    let fit = train(&examples(&golden.train), None, &mut |_| ()).unwrap();
    assert_eq!(fit.labels, golden.indices("label_by_heat"));
    assert_eq!(fit.model.labels.names, NAMES);
    assert_eq!(fit.label_accuracy, None);
    for (frame, found) in golden.assess(&fit.model).iter().enumerate() {
        let expected = numbers(&golden.expected["scores_by_heat"][frame]);
        check_close(
            &format!("frame {frame}"),
            &wide(&found.scores),
            &expected,
            1e-4,
        );
    }
}

#[test]
fn intruders_are_dropped_unless_somebody_vouched_for_them() {
    let golden = golden();
    let intruders = &golden.expected["intruders"];
    let mut frames = golden.train.clone();
    let number = |of: &Value, name: &str| usize::try_from(of[name].as_u64().unwrap()).unwrap();
    for placed in intruders["placed"].as_array().unwrap() {
        for row in 0..13 {
            for column in 0..6 {
                let place = Place {
                    row: number(placed, "row") + row,
                    column: number(placed, "column") + column,
                };
                frames[number(placed, "frame")][place.index()] +=
                    placed["by"].as_f64().unwrap() as f32;
            }
        }
    }
    let mut examples = examples(&frames);
    let fit = train(&examples, None, &mut |_| ()).unwrap();
    let dropped: Vec<usize> = fit.dropped.iter().map(|&(frame, _)| frame).collect();
    let expected = &intruders["dropped"];
    assert_eq!(serde_json::json!(dropped), *expected);
    assert!(fit.dropped.is_sorted_by(|a, b| a.1 >= b.1));
    assert_eq!(fit.used.len() + dropped.len(), frames.len());
    assert_eq!(fit.held_out.len(), fit.used.len());
    assert!(fit.used.iter().all(|frame| !dropped.contains(frame)));
    assert_eq!(fit.model.k as u64, intruders["k"].as_u64().unwrap());
    check_thresholds(&fit.model, intruders);

    for vouched in dropped {
        examples[vouched].adopted = true;
    }
    let fit = train(&examples, None, &mut |_| ()).unwrap();
    assert!(fit.dropped.is_empty() && fit.used.len() == frames.len());
    // What somebody stood for counts: the thresholds rise.
    let raw = intruders["threshold_residual"]["raw"].as_f64().unwrap();
    assert!(fit.model.residual_threshold.raw > raw + 1.0);
}

#[test]
fn the_same_to_the_bit() {
    let frames = &golden().train[..40];
    let once = train(&examples(frames), None, &mut |_| ()).unwrap();
    let again = train(&examples(frames), None, &mut |_| ()).unwrap();
    assert_eq!(bits(&once), bits(&again));
    assert_eq!(once.model, again.model);
    let bits = bits(&once);
    assert!(bits.len() > 7 * PIXELS && bits.iter().any(|&bits| bits != 0));
}

#[test]
fn modes_have_their_largest_entry_positive() {
    let model = &golden_fit().model;
    for mode in 0..=model.k {
        let column = model.basis.iter().skip(mode).step_by(model.k + 1);
        let largest = column.fold(0.0_f32, |a, &b| if b.abs() > a.abs() { b } else { a });
        assert!(largest > 0.0, "mode {mode}: {largest}");
    }
}

#[test]
fn labels_of_any_number_with_gaps() {
    let frames = &golden().train[..60];
    let names: Vec<String> = ["idle", "never seen", "busy", "cleaning", "night"]
        .map(str::to_owned)
        .into();
    let mut examples = labelled(frames);
    for (number, example) in examples.iter_mut().enumerate() {
        // "never seen" stays without a frame, and every fifth frame without a label.
        example.label = example
            .label
            .map(|label| [0, 2, 4][label])
            .filter(|_| number % 5 != 0);
    }
    let fit = train(&examples, Some(&names), &mut |_| ()).unwrap();
    assert_eq!(fit.model.labels.names, names);
    assert_eq!(fit.model.labels.weights.len(), fit.model.k * names.len());
    for (&used, &label) in fit.used.iter().zip(&fit.labels) {
        assert!(examples[used].label.is_none_or(|given| given == label));
    }
    let right = (0..60).filter(|&frame| {
        let scores = assess(&fit.model, &frames[frame]).scores;
        assert_eq!(scores.len(), 6);
        assert!(scores[2] < 0.1, "a label that was never given: {scores:?}");
        let best = (1..6)
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
            .unwrap()
            - 1;
        best == [0, 2, 4][golden().indices("train_label")[frame]]
    });
    assert!(right.count() >= 50);

    let none: Vec<Example<'_>> = examples
        .iter()
        .map(|e| Example { label: None, ..*e })
        .collect();
    let fit = train(&none, Some(&names), &mut |_| ()).unwrap();
    assert_eq!(fit.label_accuracy, None);
    let scores = assess(&fit.model, &frames[0]).scores;
    assert!(
        scores[1..]
            .iter()
            .all(|&score| (score - scores[1]).abs() < 1e-6),
        "{scores:?}"
    );
}

#[test]
fn spots_are_seen_from_the_difference_that_was_predicted() {
    let golden = golden();
    let model = &golden_fit().model;
    let frames: Vec<&Pixels> = golden.train.iter().collect();
    let maps = detectable(model, &frames);
    assert_eq!(
        maps.iter().map(|map| map.radius).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    for map in maps {
        let (mut seen, mut unseen, mut tried) = (0, 0, 0);
        for index in (5..PIXELS).step_by(13) {
            let alarms = |factor: f32| {
                let frame = spotted(
                    frames[index % 120],
                    map.radius,
                    index,
                    factor * map.delta_t[index],
                );
                // The prediction is about the residual; the envelope may well see a spot on a hot place earlier.
                let (_, maps) = assess_maps(model, &frame);
                let limit = model.envelope_threshold.clamped as f32;
                maps.ratio
                    .iter()
                    .zip(&maps.envelope)
                    .any(|(&ratio, &excess)| ratio >= 1.0 && ratio > excess / limit)
            };
            tried += 1;
            seen += usize::from(alarms(1.3));
            unseen += usize::from(!alarms(0.7));
        }
        assert!(tried > 50);
        let share = |count: usize| count as f64 / f64::from(tried);
        assert!(
            share(seen) >= 0.9,
            "radius {}: {} of {tried} seen",
            map.radius,
            seen
        );
        assert!(
            share(unseen) >= 0.9,
            "radius {}: {} of {tried} unseen",
            map.radius,
            unseen
        );
    }
}

#[test]
fn the_place_and_the_difference_of_a_spot() {
    let model = &golden_fit().model;
    let place = Place { row: 9, column: 20 };
    let frame = spotted(&golden().train[60], 2, place.index(), 12.0);
    let (found, maps) = assess_maps(model, &frame);
    assert!(found.ratio > 1.0 && found.scores[0] > 0.7);
    let at = Place::of(found.index);
    assert!(
        at.row.abs_diff(place.row) <= 2 && at.column.abs_diff(place.column) <= 2,
        "{at:?}"
    );
    assert!((8.0..15.0).contains(&found.delta_t), "{}", found.delta_t);
    let largest = maps.ratio.iter().copied().fold(f32::MIN, f32::max);
    assert_eq!(maps.ratio[found.index].to_bits(), largest.to_bits());
    assert_eq!(found, assess(model, &frame));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_finite_frame_has_sound_scores(
        values in prop::collection::vec(prop_oneof![-40.0_f32..300.0, any::<f32>().prop_filter("finite", |x| x.is_finite())], PIXELS),
        ordinary in any::<bool>(),
    ) {
        let frame: Pixels = std::array::from_fn(|index| {
            if ordinary { values[index].clamp(-40.0, 300.0) } else { values[index] }
        });
        check_sound(&assess(&golden_fit().model, &frame));
    }

    #[test]
    fn a_warmer_day_changes_neither_labels_nor_residual(frame in 0..40_usize, offset in -15.0_f32..15.0) {
        let model = &golden_fit().model;
        let before = &golden().test[frame];
        let after: Pixels = before.map(|pixel| pixel + offset);
        let ((before, maps), (after, moved)) = (assess_maps(model, before), assess_maps(model, &after));
        let labels = |found: &Assessment| -> Vec<f32> {
            let sum: f32 = found.scores[1..].iter().sum();
            found.scores[1..].iter().map(|score| score / sum).collect()
        };
        if before.scores[0].max(after.scores[0]) < 0.999 {
            for (a, b) in labels(&before).iter().zip(labels(&after)) {
                prop_assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }
        for (a, b) in maps.residual.iter().zip(&moved.residual) {
            prop_assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        // Warmer, the envelope may see more, never less; the residual sees the same.
        if offset >= 0.0 {
            prop_assert!(after.ratio >= before.ratio - 1e-3, "{} {}", before.ratio, after.ratio);
        }
        let envelope = |maps: &edge::model::residual::Maps, index: usize| maps.envelope[index] / model.envelope_threshold.clamped as f32;
        for index in 0..PIXELS {
            let by_residual = maps.ratio[index] > envelope(&maps, index) + 1e-4 && moved.ratio[index] > envelope(&moved, index) + 1e-4;
            prop_assert!(!by_residual || (maps.ratio[index] - moved.ratio[index]).abs() < 1e-3);
        }
    }
}

fn spotted(frame: &Pixels, radius: usize, index: usize, delta_t: f32) -> Pixels {
    let spot = spot(radius, Place::of(index));
    std::array::from_fn(|pixel| frame[pixel] + delta_t * spot[pixel])
}

fn check_sound(found: &Assessment) {
    let sum: f32 = found.scores.iter().sum();
    assert!((sum - 1.0).abs() < 1e-5, "{:?}", found.scores);
    assert!(
        found.scores.iter().all(|score| (0.0..=1.0).contains(score)),
        "{:?}",
        found.scores
    );
    assert!(
        found.ratio.is_finite() && found.delta_t.is_finite(),
        "{found:?}"
    );
    assert!(
        found.shift.iter().all(|shift| shift.abs() <= 1.0),
        "{:?}",
        found.shift
    );
}

fn check_thresholds(model: &Model, expected: &Value) {
    for (found, name) in [
        (model.residual_threshold, "threshold_residual"),
        (model.envelope_threshold, "threshold_envelope"),
    ] {
        let expected = |part: &str| expected[name][part].as_f64().unwrap();
        assert!(
            (found.raw - expected("raw")).abs() < 1e-3,
            "{name}: {found:?}"
        );
        assert!(
            (found.clamped - expected("clamped")).abs() < 1e-3,
            "{name}: {found:?}"
        );
    }
}

fn check_close(name: &str, found: &[f64], expected: &[f64], within: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() < within,
            "{name} {index}: {found} for {expected}"
        );
    }
}

/// Every number of a model.
fn all_numbers(model: &Model) -> impl Iterator<Item = f32> + '_ {
    [
        &model.mean,
        &model.basis,
        &model.sigma,
        &model.hottest,
        &model.hottest_rise,
    ]
    .into_iter()
    .chain(&model.variance)
    .chain([&model.labels.weights, &model.labels.bias])
    .flatten()
    .copied()
}

fn bits(fit: &Fit) -> Vec<u64> {
    let model = &fit.model;
    let thresholds = [model.residual_threshold, model.envelope_threshold];
    all_numbers(model)
        .map(|number| u64::from(number.to_bits()))
        .chain(
            thresholds
                .iter()
                .flat_map(|t| [t.raw.to_bits(), t.clamped.to_bits()]),
        )
        .chain(
            fit.held_out
                .iter()
                .flat_map(|h| [h.residual.to_bits(), h.envelope.to_bits()]),
        )
        .collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
