use edge::model::metadata::Metadata;
use edge::model::onnx::{self, Attribute, Data, Dim, Element, Graph, encode};

use super::models::{
    bytes, metadata, on_frame, scene, scene_saying, scene_with, sizes, small, weights,
};
use super::refused;

/// A model that adds up whatever comes in.
fn input(element: Element, dims: &[Dim]) -> Vec<u8> {
    let graph =
        Graph::new("input")
            .input("x", element, dims)
            .output("y", Element::Float, &sizes(&[1, 1]));
    bytes(&graph.node("Relu", &["x"], &["y"], &[]))
}

fn output(dims: &[i64], data: Data) -> Vec<u8> {
    let mut graph = on_frame()
        .initializer("y0", dims, data)
        .node("Identity", &["y0"], &["y"], &[]);
    graph.outputs[0].element = graph.initializers[0].data.element();
    bytes(&graph)
}

#[test]
fn inputs_are_one_frame_or_one_picture() {
    let fixed = |dims: &[i64]| input(Element::Float, &sizes(dims));
    let open = [
        Dim::Size(1),
        Dim::Size(3),
        Dim::Named("height".to_owned()),
        Dim::Unknown,
    ];
    let two = small().input("z", Element::Float, &sizes(&[1, 1, 24, 32]));
    let shapeless = {
        let mut graph = small();
        graph.inputs[0].dims = None;
        bytes(&graph)
    };
    let none = {
        let mut graph = small();
        graph.inputs.clear();
        bytes(&graph)
    };
    let frame = sizes(&[1, 1, 24, 32]);
    refused(vec![
        (
            "float16",
            input(Element::Other(10), &frame),
            "\"x\" is float16",
        ),
        ("int8", input(Element::Other(3), &frame), "is int8"),
        ("float64", input(Element::Other(11), &frame), "is float64"),
        ("uint8", input(Element::Other(2), &frame), "float32 input"),
        (
            "two inputs",
            bytes(&two),
            "more than one input (\"x\" and \"z\")",
        ),
        ("no input", none, "no input"),
        ("no sizes", shapeless, "has no sizes"),
        (
            "sizes open",
            input(Element::Float, &open),
            "fixed height, width",
        ),
        ("batch of 8", fixed(&[8, 1, 24, 32]), "batch of 1"),
        ("batch of -1", fixed(&[-1, 1, 24, 32]), "batch of 1"),
        (
            "another frame",
            fixed(&[1, 1, 32, 24]),
            "is [1, 32, 24] for each frame",
        ),
        ("four channels", fixed(&[1, 4, 96, 96]), "[4, 96, 96]"),
        ("tiny picture", fixed(&[1, 3, 7, 96]), "8 to 512 pixels"),
        ("giant picture", fixed(&[1, 513, 96, 3]), "8 to 512 pixels"),
        (
            "negative picture",
            fixed(&[1, 3, -96, 96]),
            "8 to 512 pixels",
        ),
        ("three dimensions", fixed(&[1, 24, 32]), "the input must be"),
        (
            "five dimensions",
            fixed(&[1, 1, 1, 24, 32]),
            "the input must be",
        ),
    ]);
}

#[test]
fn the_first_output_is_the_scores() {
    refused(vec![
        (
            "one class",
            output(&[1, 1], weights(1)),
            "2 to 1000 classes",
        ),
        (
            "1001 classes",
            output(&[1, 1001], weights(1001)),
            "2 to 1000 classes",
        ),
        (
            "one dimension",
            output(&[3], weights(3)),
            "is [3]: the first output",
        ),
        (
            "a picture",
            output(&[1, 3, 1, 1], weights(3)),
            "is [1,3,1,1]",
        ),
        ("two frames", output(&[2, 3], weights(6)), "is [2,3]"),
        (
            "whole numbers",
            output(&[1, 3], Data::Int64(vec![1, 2, 3])),
            "is int64",
        ),
    ]);
}

#[test]
fn a_scene_says_of_itself_what_it_is() {
    let saying = |change: fn(&mut Metadata)| {
        let mut metadata = metadata();
        change(&mut metadata);
        scene_saying(&metadata)
    };
    let file = onnx::read(&scene()).unwrap();
    let graph_with = |change: fn(&mut Graph)| {
        let mut graph = file.graph.clone();
        change(&mut graph);
        encode(&graph, &file.entries)
    };
    refused(vec![
        (
            "newer format",
            saying(|metadata| metadata.format = 2),
            "format \"2\", and this program reads up to format 1: update it",
        ),
        (
            "format 0",
            saying(|metadata| metadata.format = 0),
            "format \"0\"",
        ),
        (
            "format of text",
            scene_with("thermal_watch.format", "new"),
            "format \"new\"",
        ),
        (
            "labels missing",
            saying(|metadata| metadata.labels.clear()),
            "0 labels, but it gives 3 scores",
        ),
        (
            "a label more",
            saying(|metadata| metadata.labels.push("warm".to_owned())),
            "4 labels",
        ),
        (
            "other first label",
            saying(|metadata| metadata.labels[0] = "cold".to_owned()),
            "must be `anomaly`",
        ),
        (
            "labels damaged",
            scene_with("thermal_watch.labels", "[\"anomaly\","),
            "metadata is damaged",
        ),
        (
            "golden missing",
            scene_with("thermal_watch.golden", "null"),
            "metadata is damaged",
        ),
        (
            "golden frame cut",
            saying(|metadata| metadata.golden.frame.truncate(767)),
            "golden frame is no frame",
        ),
        (
            "golden frame not finite",
            saying(|metadata| metadata.golden.frame[5] = f32::NAN),
            "damaged",
        ),
        (
            "golden scores cut",
            saying(|metadata| metadata.golden.scores.truncate(2)),
            "golden scores must be 3",
        ),
        (
            "golden of infinite heat",
            scene_with("thermal_watch.golden", "{\"frame\":[1e400],\"scores\":[]}"),
            "damaged",
        ),
        (
            "output missing",
            graph_with(|graph| drop(graph.outputs.remove(4))),
            "lacks the output \"ratio\"",
        ),
        (
            "scores missing",
            graph_with(|graph| drop(graph.outputs.remove(0))),
            "lacks the output \"scores\"",
        ),
        (
            "output of another shape",
            graph_with(swapped),
            "its output \"shift\" is float32 [1,768]",
        ),
        (
            "a picture",
            encode(&super::models::picture(false), &file.entries),
            "says that it is a scene",
        ),
    ]);
}

/// The names of two outputs exchanged.
fn swapped(graph: &mut Graph) {
    for node in &mut graph.nodes {
        node.name.clear();
        for name in &mut node.outputs {
            match name.as_str() {
                "shift" => "other".clone_into(name),
                "E" => "shift".clone_into(name),
                _ => {}
            }
        }
        for name in &mut node.inputs {
            if name == "E" {
                "shift".clone_into(name);
            }
        }
    }
    graph.outputs.retain(|output| output.name != "E");
    let shift = graph
        .outputs
        .iter_mut()
        .find(|output| output.name == "shift")
        .unwrap();
    shift.dims = None;
    *graph = std::mem::take(graph)
        .output("E", Element::Float, &sizes(&[1, 768]))
        .node("Abs", &["shift"], &["E"], &[] as &[(&str, Attribute)]);
}
