use edge::model::onnx::{Attribute, Data, Graph};

use super::models::{bytes, on_frame, weights, whole};

/// A node on the frame `x`, with these numbers beside it.
pub fn node(operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Vec<u8> {
    bytes(&tools().node(operator, inputs, &["y"], attributes))
}

/// Constants for the nodes below.
pub fn tools() -> Graph {
    let int = |graph: Graph, name: &str, values: &[i64]| {
        graph.initializer(name, &[i64::try_from(values.len()).unwrap()], whole(values))
    };
    let graph = on_frame()
        .initializer("w", &[4, 1, 3, 3], weights(36))
        .initializer("w6", &[6, 1, 3, 3], weights(54))
        .initializer("w2", &[4, 2, 3, 3], weights(72))
        .initializer("big", &[1, 1, 25, 3], weights(75))
        .initializer("two", &[2], Data::Float(vec![1.0, 2.0]))
        .initializer("matrix", &[3, 5], weights(15))
        .initializer("none", &[], Data::Float(vec![0.0]))
        .initializer("one", &[], Data::Float(vec![1.0]))
        .initializer("yes", &[], Data::Bool(vec![true]))
        .initializer("minus", &[1], Data::Float(vec![-1.0]))
        .initializer("unit", &[1], Data::Float(vec![1.0]));
    [
        ("1", &[1][..]),
        ("0", &[0]),
        ("-1", &[-1]),
        ("7", &[7]),
        ("33", &[33]),
        ("1 1", &[1, 1]),
        ("768", &[768]),
        ("769", &[769]),
        ("-1 -1", &[-1, -1]),
        ("-5", &[-5]),
        ("huge", &[1 << 40, 1 << 40]),
        ("pads", &[0, 0, 1, 1, 0, 0, 1, 1]),
        ("negative pads", &[0, 0, -1, 0, 0, 0, 0, 0]),
        ("large pads", &[0, 0, 60_000, 0, 0, 0, 0, 60_000]),
        ("giant pads", &[0, 0, 1 << 40, 0, 0, 0, 0, 0]),
        ("mirror pads", &[0, 0, 24, 0, 0, 0, 0, 0]),
        ("many", &[0; 300]),
        ("12 11", &[12, 11]),
        ("min", &[i64::MIN]),
    ]
    .into_iter()
    .fold(graph, |graph, (name, values)| int(graph, name, values))
}

pub fn number(value: i64) -> Attribute {
    Attribute::Int(value)
}

pub fn text(value: &str) -> Attribute {
    Attribute::Text(value.to_owned())
}
