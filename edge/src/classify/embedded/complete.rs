//! Writes out what ONNX lets an exporter leave out, because rten takes windows only with everything said.
//!
//! Strides, dilations and pads have defaults in ONNX, and the size of a convolution's kernel is that of its weights.

use crate::model::onnx::{self, Attribute, Graph, Node, encode};

/// Rows and columns.
const SIDES: usize = 2;

/// The same model with every window's attributes written out; the very same bytes if they are already.
pub(super) fn completed(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut file = onnx::read(bytes)?;
    let opset = file
        .operator_sets
        .first()
        .map_or(encode::OPSET, |set| set.version);
    let before = file.graph.clone();
    for at in 0..file.graph.nodes.len() {
        let kernel = kernel(&file.graph, &file.graph.nodes[at]);
        complete(&mut file.graph.nodes[at], kernel);
    }
    if file.graph == before {
        return Ok(bytes.to_vec());
    }
    Ok(encode::encode_as(opset, &file.graph, &file.entries))
}

/// The size of a convolution's kernel, if its weights are numbers of the file.
fn kernel(graph: &Graph, node: &Node) -> Option<Vec<i64>> {
    let weights = node.inputs.get(1)?;
    let weights = graph
        .initializers
        .iter()
        .find(|tensor| tensor.name == *weights)?;
    weights.dims.get(2..).map(<[i64]>::to_vec)
}

fn complete(node: &mut Node, kernel: Option<Vec<i64>>) {
    let is_convolution = node.operator == "Conv";
    if !is_convolution && node.operator != "MaxPool" && node.operator != "AveragePool" {
        return;
    }
    let has = |name: &str| node.attributes.iter().any(|(known, _)| known == name);
    let padded_by_name = node.attributes.iter().any(|(name, value)| {
        name == "auto_pad" && !matches!(value, Attribute::Text(text) if text == "NOTSET")
    });
    let ones = || Attribute::Ints(vec![1; SIDES]);
    let mut missing = Vec::new();
    if !has("strides") {
        missing.push(("strides", ones()));
    }
    if !has("pads") && !padded_by_name {
        missing.push(("pads", Attribute::Ints(vec![0; 2 * SIDES])));
    }
    if node.operator != "AveragePool" && !has("dilations") {
        missing.push(("dilations", ones()));
    }
    if is_convolution && !has("group") {
        missing.push(("group", Attribute::Int(1)));
    }
    if is_convolution
        && !has("kernel_shape")
        && let Some(kernel) = kernel
    {
        missing.push(("kernel_shape", Attribute::Ints(kernel)));
    }
    node.attributes.extend(
        missing
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
}
