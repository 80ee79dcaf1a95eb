use edge::frame::PIXELS;
use edge::model::metadata::{FORMAT, Golden, Metadata};
use edge::model::onnx::wire::Message;
use edge::model::onnx::{self, Attribute, Data, Dim, Element, Graph, ValueInfo, encode};
use edge::model::{Labels, Model, Threshold};

pub fn sizes(sizes: &[i64]) -> Vec<Dim> {
    sizes.iter().map(|&size| Dim::Size(size)).collect()
}

/// So many small weights, none of them equal to the next.
pub fn weights(count: usize) -> Data {
    Data::Float(
        (0..count)
            .map(|place| (f32::from(u8::try_from(place * 37 % 101).unwrap()) - 50.0) / 200.0)
            .collect(),
    )
}

pub fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

pub fn whole(values: &[i64]) -> Data {
    Data::Int64(values.to_vec())
}

pub fn bytes(graph: &Graph) -> Vec<u8> {
    encode(graph, &[])
}

/// A file around a graph's message, for what `encode` would not write.
pub fn file(graph: &Message) -> Message {
    without_opset(graph).message(8, &encode::operator_set("", 17))
}

pub fn without_opset(graph: &Message) -> Message {
    Message::new().int(1, 8).message(7, graph)
}

/// Takes a frame as `x` and gives `y`, of whatever shape.
pub fn on_frame() -> Graph {
    let mut graph = Graph::new("frame").input("x", Element::Float, &sizes(&[1, 1, 24, 32]));
    graph.outputs.push(ValueInfo {
        name: "y".to_owned(),
        element: Element::Float,
        dims: None,
    });
    graph
}

/// The smallest classifier of frames.
pub fn small() -> Graph {
    let convolution = [
        ("strides", ints(&[2, 2])),
        ("pads", ints(&[1, 1, 1, 1])),
        ("dilations", ints(&[1, 1])),
        ("group", Attribute::Int(1)),
    ];
    Graph::new("small")
        .input("x", Element::Float, &sizes(&[1, 1, 24, 32]))
        .output("scores", Element::Float, &sizes(&[1, 3]))
        .initializer("w", &[4, 1, 3, 3], weights(36))
        .initializer("b", &[4], weights(4))
        .initializer("wd", &[4, 3], weights(12))
        .initializer("bd", &[3], weights(3))
        .node("Conv", &["x", "w", "b"], &["c"], &convolution)
        .node("Relu", &["c"], &["r"], &[])
        .node("GlobalAveragePool", &["r"], &["p"], &[])
        .node("Flatten", &["p"], &["f"], &[("axis", Attribute::Int(1))])
        .node("Gemm", &["f", "wd", "bd"], &["g"], &[])
        .node(
            "Softmax",
            &["g"],
            &["scores"],
            &[("axis", Attribute::Int(1))],
        )
}

/// A picture of 48 x 64 in three colours, with most of what exporters write around convolutions.
pub fn picture(channels_last: bool) -> Graph {
    let convolution = |group: i64, strides: &[i64], pads: &[i64]| {
        [
            ("strides", ints(strides)),
            ("pads", ints(pads)),
            ("dilations", ints(&[1, 1])),
            ("group", Attribute::Int(group)),
        ]
    };
    let input = if channels_last {
        [48, 64, 3]
    } else {
        [3, 48, 64]
    };
    let mut dims = vec![Dim::Named("batch".to_owned())];
    dims.extend(sizes(&input));
    let mut graph = Graph::new("picture").input("image", Element::Float, &dims);
    if channels_last {
        graph = graph.node(
            "Transpose",
            &["image"],
            &["first"],
            &[("perm", ints(&[0, 3, 1, 2]))],
        );
    } else {
        graph = graph.node("Identity", &["image"], &["first"], &[]);
    }
    let pool = [
        ("kernel_shape", ints(&[2, 2])),
        ("strides", ints(&[2, 2])),
        ("pads", ints(&[0; 4])),
    ];
    graph
        .output("scores", Element::Float, &[Dim::Unknown, Dim::Size(5)])
        .initializer("w1", &[8, 3, 3, 3], weights(216))
        .initializer("eight", &[8], Data::Float(vec![0.5; 8]))
        .initializer("w2", &[8, 1, 3, 3], weights(72))
        .initializer("w3", &[16, 8, 1, 1], weights(128))
        .initializer("zero", &[], Data::Float(vec![0.0]))
        .initializer("six", &[], Data::Float(vec![6.0]))
        .initializer("flat", &[2], whole(&[0, -1]))
        .initializer("margin", &[8], whole(&[0, 0, 0, 0, 0, 0, 1, 1]))
        .initializer("wd", &[5, 16], weights(80))
        .initializer("bd", &[5], weights(5))
        .node("Pad", &["first", "margin"], &["padded"], &[])
        .node(
            "Conv",
            &["padded", "w1"],
            &["c1"],
            &convolution(1, &[2, 2], &[0; 4]),
        )
        .node(
            "BatchNormalization",
            &["c1", "eight", "eight", "eight", "eight"],
            &["n1"],
            &[("epsilon", Attribute::Float(1e-3))],
        )
        .node("HardSwish", &["n1"], &["h1"], &[])
        .node(
            "Conv",
            &["h1", "w2", "eight"],
            &["c2"],
            &convolution(8, &[1, 1], &[1; 4]),
        )
        .node("Clip", &["c2", "zero", "six"], &["k2"], &[])
        .node("Add", &["k2", "h1"], &["a2"], &[])
        .node("MaxPool", &["a2"], &["m2"], &pool)
        .node(
            "Conv",
            &["m2", "w3"],
            &["c3"],
            &convolution(1, &[1, 1], &[0; 4]),
        )
        .node(
            "LeakyRelu",
            &["c3"],
            &["l3"],
            &[("alpha", Attribute::Float(0.1))],
        )
        .node("AveragePool", &["l3"], &["a3"], &pool)
        .node("ReduceMean", &["a3"], &["r3"], &[("axes", ints(&[2, 3]))])
        .node("Reshape", &["r3", "flat"], &["f3"], &[])
        .node(
            "Gemm",
            &["f3", "wd", "bd"],
            &["g3"],
            &[("transB", Attribute::Int(1))],
        )
        .node("Softmax", &["g3"], &["scores"], &[])
}

/// What `train` might have written: a flat scene of 20 deg C with two labels.
pub fn scene() -> Vec<u8> {
    onnx::write(&model(), &metadata())
}

fn model() -> Model {
    let threshold = Threshold {
        raw: 7.0,
        clamped: 7.0,
    };
    let even = vec![0.5; PIXELS];
    Model {
        k: 1,
        mean: vec![20.0; PIXELS],
        basis: (0..PIXELS)
            .flat_map(|pixel| [0.036, if pixel % 2 == 0 { 0.036 } else { -0.036 }])
            .collect(),
        sigma: even.clone(),
        variance: [even.clone(), even.clone(), even],
        hottest: vec![30.0; PIXELS],
        hottest_rise: vec![10.0; PIXELS],
        residual_threshold: threshold,
        envelope_threshold: threshold,
        labels: Labels {
            names: vec!["cold".to_owned(), "hot".to_owned()],
            weights: vec![-0.5, 0.5],
            bias: vec![0.0, 0.1],
        },
    }
}

pub fn metadata() -> Metadata {
    let model = model();
    Metadata {
        format: FORMAT,
        labels: ["anomaly", "cold", "hot"].map(str::to_owned).to_vec(),
        threshold_residual: model.residual_threshold,
        threshold_envelope: model.envelope_threshold,
        k: 1,
        frames: 120,
        first_frame: None,
        last_frame: None,
        dropped: vec![],
        adopted: vec![],
        camera: Some("Heizraum süd".to_owned()),
        orientation: "as the camera sees it".to_owned(),
        labelled: true,
        simulated: false,
        software: "Thermal Watch 0.1.0".to_owned(),
        golden: Golden {
            frame: vec![20.0; PIXELS],
            scores: vec![0.04, 0.48, 0.48],
        },
    }
}

/// The scene with something else said of it.
pub fn scene_saying(metadata: &Metadata) -> Vec<u8> {
    onnx::write(&model(), metadata)
}

/// The scene with an entry replaced.
pub fn scene_with(key: &str, text: &str) -> Vec<u8> {
    let file = onnx::read(&scene()).unwrap();
    let mut entries = file.entries;
    entries.retain(|(other, _)| other != key);
    entries.push((key.to_owned(), text.to_owned()));
    encode(&file.graph, &entries)
}
