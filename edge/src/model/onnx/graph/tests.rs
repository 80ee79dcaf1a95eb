//! The graph of a small scene, run by the built-in runtime.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rten::{Model as Graph, Value};

use super::*;
use crate::model::gate::{self, Kind};
use crate::model::metadata::{FORMAT, Golden};
use crate::model::{Labels, Threshold, onnx};

/// A scene of 20 deg C with a rise to the right, which may be stronger or weaker.
fn model(labels: usize) -> Model {
    let one = 1.0 / 768.0_f32.sqrt();
    let ramp = |pixel: usize| column(pixel) - 15.5;
    let length = (0..PIXELS)
        .map(|pixel| ramp(pixel).powi(2))
        .sum::<f32>()
        .sqrt();
    let even = vec![0.5; PIXELS];
    let threshold = |value| Threshold {
        raw: value,
        clamped: value,
    };
    Model {
        k: 1,
        mean: vec![20.0; PIXELS],
        basis: (0..PIXELS)
            .flat_map(|pixel| [one, ramp(pixel) / length])
            .collect(),
        sigma: even.clone(),
        variance: [even.clone(), even.clone(), even],
        hottest: vec![30.0; PIXELS],
        hottest_rise: vec![10.0; PIXELS],
        residual_threshold: threshold(7.0),
        envelope_threshold: threshold(4.0),
        labels: Labels {
            names: (0..labels).map(|label| format!("état {label}")).collect(),
            weights: (0_u8..)
                .take(labels)
                .map(|label| f32::from(label) / 10.0)
                .collect(),
            bias: vec![0.1; labels],
        },
    }
}

fn column(pixel: usize) -> f32 {
    f32::from(u8::try_from(pixel % COLUMNS).unwrap())
}

fn metadata(model: &Model) -> Metadata {
    let names = std::iter::once("anomaly".to_owned()).chain(model.labels.names.clone());
    let labels: Vec<String> = names.collect();
    Metadata {
        format: FORMAT,
        threshold_residual: model.residual_threshold,
        threshold_envelope: model.envelope_threshold,
        k: model.k,
        frames: 120,
        first_frame: None,
        last_frame: None,
        dropped: vec![],
        adopted: vec![],
        camera: Some("Kessel süd 🔥".to_owned()),
        orientation: "as the camera sees it".to_owned(),
        labelled: true,
        simulated: true,
        software: "Thermal Watch".to_owned(),
        golden: Golden {
            frame: vec![20.0; PIXELS],
            scores: vec![0.25; labels.len()],
        },
        labels,
    }
}

fn scores(bytes: &[u8], frame: Vec<f32>) -> Vec<f32> {
    let graph = Graph::load(bytes.to_vec()).unwrap();
    let input = Value::from_shape(&[1, 1, ROWS, COLUMNS], frame).unwrap();
    let output = graph.run_one(input.into(), None).unwrap();
    let (_, scores) = output.into_shape_vec::<f32, 2>().unwrap();
    scores
}

#[test]
fn what_is_written_is_read() {
    let (model, entries) = (model(3), [("ключ".to_owned(), "värde".to_owned())]);
    let file = onnx::read(&encode(&graph(&model), &entries)).unwrap();
    assert_eq!(file.graph, graph(&model));
    assert_eq!(file.entries, entries);
    assert_eq!(file.producer, "Thermal Watch");
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let metadata = metadata(&model(3));
    assert_eq!(write(&model(3), &metadata), write(&model(3), &metadata));
}

#[test]
fn the_gate_knows_a_scene_with_any_number_of_labels() {
    for labels in 2..6 {
        let model = model(labels);
        let checked = gate::check(&write(&model, &metadata(&model))).unwrap();
        let Kind::Scene(found) = checked.kind else {
            panic!("{:?}", checked.kind);
        };
        assert_eq!(found.labels.len(), labels + 1);
        assert_eq!(checked.outputs[..3], ["scores", "map", "index"]);
    }
}

#[test]
fn a_spot_is_an_anomaly_and_a_known_change_is_none() {
    let model = model(2);
    let bytes = write(&model, &metadata(&model));
    let ramp: Vec<f32> = (0..PIXELS)
        .map(|pixel| 20.0 + column(pixel) / 8.0)
        .collect();
    let mut spot = ramp.clone();
    for pixel in [300, 301, 332, 333] {
        spot[pixel] += 15.0;
    }
    let (calm, alarm) = (scores(&bytes, ramp), scores(&bytes, spot));
    assert!(calm[0] < 0.01, "{calm:?}");
    assert!(alarm[0] > 0.9, "{alarm:?}");
    for scores in [calm, alarm] {
        assert_eq!(scores.len(), 3);
        assert!(
            (scores.iter().sum::<f32>() - 1.0).abs() < 1e-5,
            "{scores:?}"
        );
    }
}
