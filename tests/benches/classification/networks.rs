//! Networks of the size that image classifiers for such pictures have, with random weights.

use edge::model::onnx::{self, Attribute, Data, Dim, Element, Graph};

/// Three convolutions with pools, and a dense layer: some 2 million multiply-adds on 64 x 48.
pub fn small() -> Vec<u8> {
    let mut network = Network::new(48, 64);
    for channels in [8, 16, 32] {
        network.convolution(channels, 3, 1, false);
        network.pool();
    }
    network.classes()
}

/// Depthwise and pointwise convolutions in turn, some 10 million multiply-adds on 96 x 96.
pub fn mobile() -> Vec<u8> {
    let mut network = Network::new(96, 96);
    network.convolution(10, 3, 2, false);
    let blocks = [
        (20, 1),
        (40, 2),
        (40, 1),
        (80, 2),
        (80, 1),
        (160, 2),
        (160, 1),
        (160, 1),
        (160, 1),
        (160, 1),
        (320, 2),
        (320, 1),
    ];
    for (channels, stride) in blocks {
        network.convolution(0, 3, stride, true);
        network.convolution(channels, 1, 1, false);
    }
    network.classes()
}

struct Network {
    graph: Graph,
    channels: i64,
    /// The value that the next layer takes.
    last: String,
    layers: usize,
    random: u32,
}

impl Network {
    fn new(height: i64, width: i64) -> Self {
        let shape = [1, 3, height, width].map(Dim::Size);
        Self {
            graph: Graph::new("network").input("picture", Element::Float, &shape),
            channels: 3,
            last: "picture".to_owned(),
            layers: 0,
            random: 1,
        }
    }

    /// With a bias and a rectifier; depthwise, it keeps the channels.
    fn convolution(&mut self, channels: i64, kernel: i64, stride: i64, depthwise: bool) {
        let channels = if depthwise { self.channels } else { channels };
        let group = if depthwise { self.channels } else { 1 };
        let inputs = self.channels / group;
        let (weights, bias, sum) = (self.name("weights"), self.name("bias"), self.name("sum"));
        let numbers = self.numbers(
            channels * inputs * kernel * kernel,
            inputs * kernel * kernel,
        );
        let pad = kernel / 2;
        let output = self.name("out");
        self.graph = std::mem::take(&mut self.graph)
            .initializer(
                &weights,
                &[channels, inputs, kernel, kernel],
                Data::Float(numbers),
            )
            .initializer(
                &bias,
                &[channels],
                Data::Float(vec![0.01; channels as usize]),
            )
            .node(
                "Conv",
                &[&self.last, &weights, &bias],
                &[&sum],
                &[
                    ("dilations", Attribute::Ints(vec![1, 1])),
                    ("group", Attribute::Int(group)),
                    ("kernel_shape", Attribute::Ints(vec![kernel, kernel])),
                    ("pads", Attribute::Ints(vec![pad; 4])),
                    ("strides", Attribute::Ints(vec![stride, stride])),
                ],
            )
            .node("Relu", &[&sum], &[&output], &[]);
        self.channels = channels;
        self.then(output);
    }

    fn pool(&mut self) {
        let output = self.name("pooled");
        self.graph = std::mem::take(&mut self.graph).node(
            "MaxPool",
            &[&self.last],
            &[&output],
            &[
                ("kernel_shape", Attribute::Ints(vec![2, 2])),
                ("strides", Attribute::Ints(vec![2, 2])),
            ],
        );
        self.then(output);
    }

    /// The end: four classes.
    fn classes(mut self) -> Vec<u8> {
        let numbers = self.numbers(self.channels * 4, self.channels);
        let graph = self
            .graph
            .output("scores", Element::Float, &[Dim::Size(1), Dim::Size(4)])
            .initializer("dense", &[self.channels, 4], Data::Float(numbers))
            .node("GlobalAveragePool", &[&self.last], &["means"], &[])
            .node(
                "Flatten",
                &["means"],
                &["flat"],
                &[("axis", Attribute::Int(1))],
            )
            .node("MatMul", &["flat", "dense"], &["logits"], &[])
            .node(
                "Softmax",
                &["logits"],
                &["scores"],
                &[("axis", Attribute::Int(1))],
            );
        onnx::encode(
            &graph,
            &[("labels".to_owned(), "anomaly,cold,warm,hot".to_owned())],
        )
    }

    fn name(&self, what: &str) -> String {
        format!("{what}{}", self.layers)
    }

    fn then(&mut self, output: String) {
        self.last = output;
        self.layers += 1;
    }

    /// As large as keeps the values that come out as large as those that go in.
    fn numbers(&mut self, count: i64, inputs: i64) -> Vec<f32> {
        let spread = (24.0 / inputs as f32).sqrt();
        (0..count)
            .map(|_| {
                self.random = self
                    .random
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                ((self.random >> 8) as f32 / (1 << 24) as f32 - 0.5) * spread
            })
            .collect()
    }
}
