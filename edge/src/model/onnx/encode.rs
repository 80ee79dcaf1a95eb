//! Writes a graph as the bytes of an ONNX file.
//!
//! The same graph gives the same bytes. Numbers go into `raw_data` and each attribute carries its type, which is what
//! every runtime reads. Nothing is checked: what is written may be as wrong as a test needs it.

use sha2::{Digest as _, Sha256};

use super::wire::Message;
use super::{Attribute, Data, Dim, Graph, Node, Tensor, ValueInfo};

/// The version of the file format.
pub const IR_VERSION: i64 = 8;
/// The version of the operators.
pub const OPSET: i64 = 17;

/// A whole file: the graph, who wrote it, and entries for people and loaders.
pub fn encode(graph: &Graph, entries: &[(String, String)]) -> Vec<u8> {
    encode_as(OPSET, graph, entries)
}

/// With operators of another version.
pub fn encode_as(opset: i64, graph: &Graph, entries: &[(String, String)]) -> Vec<u8> {
    Message::new()
        .int(1, IR_VERSION)
        .text(2, "Thermal Watch")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, &self::graph(graph))
        .message(8, &operator_set("", opset))
        .each(entries, |model, (key, value)| {
            model.message(14, &Message::new().text(1, key).text(2, value))
        })
        .into_bytes()
}

/// Hex SHA-256 of a graph's bytes as they are written here: the same for a graph that was read back.
pub fn graph_digest(graph: &Graph) -> String {
    hex(&Sha256::digest(self::graph(graph).into_bytes()))
}

/// Digits and small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Which version of which operators a file asks for.
pub fn operator_set(domain: &str, version: i64) -> Message {
    Message::new().text(1, domain).int(2, version)
}

pub fn graph(graph: &Graph) -> Message {
    Message::new()
        .each(&graph.nodes, |to, node| to.message(1, &self::node(node)))
        .text(2, &graph.name)
        .each(&graph.initializers, |to, tensor| {
            to.message(5, &self::tensor(tensor))
        })
        .each(&graph.inputs, |to, info| to.message(11, &value_info(info)))
        .each(&graph.outputs, |to, info| to.message(12, &value_info(info)))
        .each(&graph.values, |to, info| to.message(13, &value_info(info)))
}

pub fn node(node: &Node) -> Message {
    let message = Message::new()
        .each(&node.inputs, |to, name| to.text(1, name))
        .each(&node.outputs, |to, name| to.text(2, name))
        .text(3, &node.name)
        .text(4, &node.operator)
        .each(&node.attributes, |to, (name, value)| {
            to.message(5, &attribute(name, value))
        });
    if node.domain.is_empty() {
        message
    } else {
        message.text(7, &node.domain)
    }
}

pub fn attribute(name: &str, value: &Attribute) -> Message {
    let to = Message::new().text(1, name);
    match value {
        Attribute::Float(value) => to.float(2, *value).int(20, 1),
        Attribute::Int(value) => to.int(3, *value).int(20, 2),
        Attribute::Text(value) => to.text(4, value).int(20, 3),
        Attribute::Tensor(value) => to.message(5, &tensor(value)).int(20, 4),
        Attribute::Floats(values) => to.each(values, |to, value| to.float(7, *value)).int(20, 6),
        Attribute::Ints(values) => to.each(values, |to, value| to.int(8, *value)).int(20, 7),
        Attribute::Texts(values) => to.each(values, |to, value| to.text(9, value)).int(20, 8),
    }
}

pub fn tensor(tensor: &Tensor) -> Message {
    let raw: Vec<u8> = match &tensor.data {
        Data::Float(values) => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        Data::Int64(values) => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        Data::Int32(values) => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        Data::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
    };
    Message::new()
        .each(&tensor.dims, |to, dim| to.int(1, *dim))
        .int(2, tensor.data.element().code())
        .text(8, &tensor.name)
        .bytes(9, &raw)
}

pub fn value_info(info: &ValueInfo) -> Message {
    let mut tensor = Message::new().int(1, info.element.code());
    if let Some(dims) = &info.dims {
        let shape = Message::new().each(dims, |to, dim| {
            let dim = match dim {
                Dim::Size(size) => Message::new().int(1, *size),
                Dim::Named(name) => Message::new().text(2, name),
                Dim::Unknown => Message::new(),
            };
            to.message(1, &dim)
        });
        tensor = tensor.message(2, &shape);
    }
    Message::new()
        .text(1, &info.name)
        .message(2, &Message::new().message(1, &tensor))
}
