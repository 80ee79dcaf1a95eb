use edge::model::gate::{self, Kind, Layout};
use edge::model::onnx::wire::Message;
use edge::model::onnx::{self, Attribute, Data, Element, Graph, encode};

use super::models::{
    bytes, file, metadata, on_frame, picture, scene, sizes, small, weights, whole,
};

#[test]
fn a_scene_is_known_by_its_metadata() {
    let checked = gate::check(&scene()).unwrap();
    let Kind::Scene(found) = checked.kind else {
        panic!("{:?}", checked.kind);
    };
    assert_eq!(*found, metadata());
    assert_eq!(checked.input, "frame");
    assert_eq!(
        checked.outputs,
        [
            "scores", "map", "index", "delta_t", "ratio", "shift", "R", "E"
        ]
    );
    assert_eq!(checked.opset, 17);
    assert!(checked.producer.starts_with("Thermal Watch "));
    assert_eq!(checked.operators["Conv"], 3);
    assert_eq!(checked.sha256.len(), 64);
    assert!(
        checked.work > 100_000 && checked.work < 1_000_000,
        "{}",
        checked.work
    );
}

#[test]
fn a_classifier_of_frames_passes() {
    let checked = gate::check(&bytes(&small())).unwrap();
    assert!(matches!(checked.kind, Kind::Temperatures { classes: 3 }));
    assert_eq!(checked.entries.len(), 0);
}

#[test]
fn classifiers_of_pictures_pass_in_both_layouts() {
    for (last, expected) in [(false, Layout::ChannelsFirst), (true, Layout::ChannelsLast)] {
        let checked = gate::check(&bytes(&picture(last))).unwrap();
        let Kind::Picture {
            layout,
            height,
            width,
            classes,
        } = checked.kind
        else {
            panic!("{:?}", checked.kind);
        };
        assert_eq!((layout, height, width, classes), (expected, 48, 64, 5));
    }
}

#[test]
fn the_same_is_read_as_was_written() {
    for graph in [small(), picture(true)] {
        assert_eq!(onnx::read(&bytes(&graph)).unwrap().graph, graph);
    }
}

#[test]
fn every_opset_from_13_to_21_passes() {
    for opset in 13..=21 {
        let model = Message::new()
            .int(1, 8)
            .message(7, &encode::graph(&small()))
            .message(8, &encode::operator_set("ai.onnx.ml", 2))
            .message(8, &encode::operator_set("", opset));
        assert_eq!(gate::check(&model.into_bytes()).unwrap().opset, opset);
    }
}

#[test]
fn notes_and_fields_of_later_versions_are_skipped() {
    let graph = encode::graph(&small()).text(10, "a note").text(99, "later");
    let nested = (0..3000).fold(Message::new(), |inner, _| Message::new().message(1, &inner));
    let model = file(&graph).text(6, "a note").message(99, &nested);
    gate::check(&model.into_bytes()).unwrap();
}

#[test]
fn an_initializer_may_be_listed_as_an_input() {
    let graph = small().input("w", Element::Float, &sizes(&[4, 1, 3, 3]));
    assert_eq!(gate::check(&bytes(&graph)).unwrap().input, "x");
}

#[test]
fn weights_may_stand_in_constants_and_in_typed_lists() {
    let listed = Message::new()
        .ints(1, &[2])
        .int(2, 7)
        .ints(7, &[1, 768])
        .text(8, "flat");
    let dense = onnx::Tensor {
        name: String::new(),
        dims: vec![768, 2],
        data: weights(1536),
    };
    let graph = Graph::new("constants")
        .input("x", Element::Float, &sizes(&[1, 1, 24, 32]))
        .output("y", Element::Float, &sizes(&[1, 2]))
        .node(
            "Constant",
            &[],
            &["w"],
            &[("value", Attribute::Tensor(dense))],
        )
        .node("Reshape", &["x", "flat"], &["f"], &[])
        .node("MatMul", &["f", "w"], &["y"], &[]);
    gate::check(&file(&encode::graph(&graph).message(5, &listed)).into_bytes()).unwrap();
}

/// Every operator's shape, by way of what the last one leaves.
#[test]
fn shapes_follow_the_operators() {
    let graph = on_frame()
        .initializer("axes", &[1], whole(&[1]))
        .initializer("parts", &[2], whole(&[8, 16]))
        .initializer("from", &[1], whole(&[-30]))
        .initializer("to", &[1], whole(&[i64::MAX]))
        .initializer("three", &[1], whole(&[3]))
        .initializer("two", &[1], whole(&[2]))
        .initializer("picked", &[2], whole(&[0, -1]))
        .initializer("slope", &[1], Data::Float(vec![0.1]))
        .initializer("some", &[2, 6], weights(12))
        .node("Squeeze", &["x", "axes"], &["s"], &[])
        .node(
            "Split",
            &["s", "parts"],
            &["s8", "s16"],
            &[("axis", Attribute::Int(1))],
        )
        .node("Slice", &["s8", "from", "to", "two", "three"], &["l"], &[])
        .node(
            "TopK",
            &["l", "three"],
            &["t", "i"],
            &[("axis", Attribute::Int(1))],
        )
        .node(
            "GatherElements",
            &["l", "i"],
            &["e"],
            &[("axis", Attribute::Int(1))],
        )
        .node(
            "Gather",
            &["e", "picked"],
            &["g"],
            &[("axis", Attribute::Int(2))],
        )
        .node(
            "Concat",
            &["g", "g"],
            &["k"],
            &[("axis", Attribute::Int(-1))],
        )
        .node("PRelu", &["k", "slope"], &["q"], &[])
        .node("Unsqueeze", &["q", "axes"], &["u"], &[])
        .node(
            "ReduceSum",
            &["u", "axes"],
            &["d"],
            &[("keepdims", Attribute::Int(0))],
        )
        .node("Flatten", &["d"], &["f"], &[])
        .node("Pow", &["f", "f"], &["p"], &[])
        .node("Cast", &["p"], &["c"], &[("to", Attribute::Int(1))])
        .node("Max", &["c", "some", "f"], &["m"], &[])
        .node("Dropout", &["f"], &["y"], &[]);
    let refused = gate::check(&bytes(&graph)).unwrap_err();
    // 3 of 8 rows, 2 columns twice: 12 numbers, which [2,6] does not fit.
    assert!(
        refused.0.contains("(Max) of [1,12], [2,6], [1,12]"),
        "{refused}"
    );
    let mut graph = graph;
    graph.initializers.last_mut().unwrap().dims = vec![1, 12];
    let checked = gate::check(&bytes(&graph)).unwrap();
    assert!(matches!(checked.kind, Kind::Temperatures { classes: 12 }));
}

#[test]
fn operators_of_opset_18_take_their_axes_as_an_input() {
    let graph = on_frame()
        .initializer("axes", &[2], whole(&[1, 2]))
        .node(
            "ReduceMean",
            &["x", "axes"],
            &["mean"],
            &[("keepdims", Attribute::Int(0))],
        )
        .node(
            "Split",
            &["mean"],
            &["left", "y"],
            &[
                ("axis", Attribute::Int(1)),
                ("num_outputs", Attribute::Int(2)),
            ],
        );
    let model = Message::new()
        .int(1, 8)
        .message(7, &encode::graph(&graph))
        .message(8, &encode::operator_set("", 18));
    let checked = gate::check(&model.into_bytes()).unwrap();
    assert!(matches!(checked.kind, Kind::Temperatures { classes: 16 }));
}
