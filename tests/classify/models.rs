//! Models made by code: a scene, and classifiers as other people have them.

use std::collections::BTreeMap;

use edge::frame::{COLUMNS, PIXELS, Pixels};
use edge::model::metadata::{FORMAT, Golden, Metadata};
use edge::model::onnx::{self, Attribute, Data, Dim, Element, Graph};
use edge::model::{Labels, Model, Threshold, residual};

/// A slope from 20 to 28 deg C with two modes: left against right, above against below.
pub fn scene() -> Model {
    let of = |number: fn(f32, f32) -> f32| -> Vec<f32> {
        (0..PIXELS)
            .map(|index| number((index / COLUMNS) as f32, (index % COLUMNS) as f32))
            .collect()
    };
    let unit = |mode: Vec<f32>| {
        let length = mode.iter().map(|value| value * value).sum::<f32>().sqrt();
        mode.into_iter()
            .map(move |value| value / length)
            .collect::<Vec<f32>>()
    };
    let modes = [
        unit(of(|_, _| 1.0)),
        unit(of(|_, column| column - 15.5)),
        unit(of(|row, _| row - 11.5)),
    ];
    let mean = of(|row, column| 20.0 + row / 8.0 + column / 6.4);
    Model {
        k: 2,
        basis: (0..PIXELS)
            .flat_map(|index| modes.each_ref().map(|mode| mode[index]))
            .collect(),
        sigma: vec![0.3; PIXELS],
        variance: [vec![0.18; PIXELS], vec![0.08; PIXELS], vec![0.04; PIXELS]],
        hottest: mean.iter().map(|celsius| celsius + 30.0).collect(),
        hottest_rise: vec![40.0; PIXELS],
        mean,
        residual_threshold: Threshold {
            raw: 6.1,
            clamped: 7.0,
        },
        envelope_threshold: Threshold {
            raw: 4.4,
            clamped: 4.4,
        },
        labels: Labels {
            names: ["cold", "warm", "hot"].map(String::from).to_vec(),
            weights: vec![-0.2, 0.0, 0.2, 0.1, 0.0, -0.1],
            bias: vec![0.1, 0.2, -0.1],
        },
    }
}

/// The scene's mean, moved along its modes, with some noise; `seed` decides.
pub fn normal_frame(model: &Model, seed: u32) -> Box<Pixels> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let by = [noise() * 20.0, noise() * 20.0];
    let pixels: Vec<f32> = (0..PIXELS)
        .map(|index| {
            let modes = by[0] * model.basis[index * 3 + 1] + by[1] * model.basis[index * 3 + 2];
            ((model.mean[index] + modes + noise() * 0.4) * 100.0).round() / 100.0
        })
        .collect();
    pixels.into_boxed_slice().try_into().unwrap()
}

pub fn metadata(model: &Model) -> Metadata {
    let frame = normal_frame(model, 7);
    let labels = ["anomaly".to_owned()]
        .into_iter()
        .chain(model.labels.names.clone());
    Metadata {
        format: FORMAT,
        labels: labels.collect(),
        threshold_residual: model.residual_threshold,
        threshold_envelope: model.envelope_threshold,
        k: model.k,
        frames: 120,
        first_frame: None,
        last_frame: None,
        dropped: Vec::new(),
        adopted: Vec::new(),
        camera: Some("boiler room".to_owned()),
        orientation: "row 0 is the top".to_owned(),
        labelled: true,
        simulated: true,
        software: "edge 0.0.0".to_owned(),
        golden: Golden {
            scores: residual::assess(model, &frame).scores,
            frame: frame.to_vec(),
        },
    }
}

pub fn scene_file() -> Vec<u8> {
    let model = scene();
    onnx::write(&model, &metadata(&model))
}

/// The mean of a frame decides between three: softmax(mean x weights + bias), or what comes before the softmax.
pub fn of_temperatures(softmax: bool, entries: &[(&str, &str)]) -> Vec<u8> {
    let size = |size: i64| Dim::Size(size);
    let graph = Graph::new("mean")
        .input(
            "frame",
            Element::Float,
            &[size(1), size(1), size(24), size(32)],
        )
        .output("scores", Element::Float, &[size(1), size(3)])
        .initializer("weights", &[1, 3], Data::Float(WEIGHTS.to_vec()))
        .initializer("bias", &[3], Data::Float(BIAS.to_vec()))
        .node("GlobalAveragePool", &["frame"], &["mean"], &[])
        .node(
            "Flatten",
            &["mean"],
            &["flat"],
            &[("axis", Attribute::Int(1))],
        );
    let last = if softmax { "logits" } else { "scores" };
    let graph = graph.node("Gemm", &["flat", "weights", "bias"], &[last], &[]);
    encode(&softmax_if(graph, softmax), entries)
}

pub const WEIGHTS: [f32; 3] = [-0.1, 0.0, 0.1];
pub const BIAS: [f32; 3] = [2.0, 0.5, -2.0];

/// What `of_temperatures` must say.
pub fn by_mean(mean: f32) -> Vec<f32> {
    softmax(&[0, 1, 2].map(|at| WEIGHTS[at] * mean + BIAS[at]))
}

pub fn softmax(numbers: &[f32]) -> Vec<f32> {
    let powers: Vec<f32> = numbers.iter().map(|number| number.exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Softmax of the means of red, green and blue, so that the answer tells the input.
pub fn of_pictures(
    channels_first: bool,
    height: i64,
    width: i64,
    entries: &[(&str, &str)],
) -> Vec<u8> {
    let size = |size: i64| Dim::Size(size);
    let (shape, axes) = if channels_first {
        ([1, 3, height, width], [2, 3])
    } else {
        ([1, height, width, 3], [1, 2])
    };
    let graph = Graph::new("colours")
        .input("picture", Element::Float, &shape.map(size))
        .output("scores", Element::Float, &[size(1), size(3)])
        .node(
            "ReduceMean",
            &["picture"],
            &["logits"],
            &[
                ("axes", Attribute::Ints(axes.to_vec())),
                ("keepdims", Attribute::Int(0)),
            ],
        );
    encode(&softmax_if(graph, true), entries)
}

/// The same file with one number of the mean changed, as a bad card would.
pub fn damaged(file: &[u8], model: &Model) -> Vec<u8> {
    let bytes: Vec<u8> = model.mean[..8]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let at = file
        .windows(bytes.len())
        .position(|window| window == bytes)
        .expect("the mean stands in the file");
    let mut damaged = file.to_vec();
    damaged[at + 3] ^= 0x01;
    damaged
}

fn softmax_if(graph: Graph, softmax: bool) -> Graph {
    if softmax {
        graph.node(
            "Softmax",
            &["logits"],
            &["scores"],
            &[("axis", Attribute::Int(1))],
        )
    } else {
        graph
    }
}

fn encode(graph: &Graph, entries: &[(&str, &str)]) -> Vec<u8> {
    let entries: BTreeMap<&str, &str> = entries.iter().copied().collect();
    let entries: Vec<(String, String)> = entries
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect();
    onnx::encode(graph, &entries)
}
