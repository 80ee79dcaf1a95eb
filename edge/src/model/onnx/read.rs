//! Takes the bytes of an ONNX file apart, believing nothing.
//!
//! Every kind of message that a runtime would descend into is either read here or refused, so that nothing nests deeper
//! than this code does: functions, training, subgraphs, sequences and sparse or external tensors are errors. What a
//! runtime skips (unknown fields, notes for people) is skipped, too. A field that may stand once must stand once, since
//! readers differ in what they make of two. Counts, names and the metadata have limits.

use anyhow::{Context as _, Result, bail, ensure};

use super::wire::{Field, Fields};
use super::{Attribute, Dim, Element, Graph, Node, Tensor, ValueInfo};

mod tensor;

/// A file may not be larger, bytes.
pub const LARGEST_FILE: usize = 8 << 20;
const MOST_NODES: usize = 4096;
const MOST_INITIALIZERS: usize = 4096;
/// Of a graph's inputs or outputs; an old exporter lists every initializer as an input.
const MOST_VALUES: usize = 8192;
const MOST_NODE_VALUES: usize = 64;
const MOST_ATTRIBUTES: usize = 32;
const MOST_ATTRIBUTE_VALUES: usize = 256;
const MOST_DIMS: usize = 8;
const MOST_OPERATOR_SETS: usize = 16;
const LONGEST_NAME: usize = 512;
const MOST_ENTRIES: usize = 1024;
const LARGEST_METADATA: usize = 1 << 20;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub ir_version: i64,
    pub producer: String,
    pub producer_version: String,
    pub operator_sets: Vec<OperatorSet>,
    /// In the file's order; a key may stand twice.
    pub entries: Vec<(String, String)>,
    pub graph: Graph,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSet {
    pub domain: String,
    pub version: i64,
}

pub fn read(bytes: &[u8]) -> Result<File> {
    ensure!(
        bytes.len() <= LARGEST_FILE,
        "it has {} bytes, and more than {LARGEST_FILE} are not read",
        bytes.len()
    );
    let mut once = Once::default();
    let mut graph = None;
    let mut file = File {
        ir_version: 0,
        producer: String::new(),
        producer_version: String::new(),
        operator_sets: Vec::new(),
        entries: Vec::new(),
        graph: Graph::default(),
    };
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => file.ir_version = once.of(&field, "IR version")?.int()?,
            2 => file.producer = name(once.of(&field, "producer")?)?,
            3 => file.producer_version = name(once.of(&field, "producer version")?)?,
            7 => graph = Some(once.of(&field, "graph")?.bytes()?),
            8 => {
                limit(
                    file.operator_sets.len(),
                    MOST_OPERATOR_SETS,
                    "operator sets",
                )?;
                file.operator_sets.push(operator_set(field.bytes()?)?);
            }
            14 => {
                limit(file.entries.len(), MOST_ENTRIES, "metadata entries")?;
                file.entries
                    .push(entry(field.bytes()?).context("in its metadata")?);
            }
            20 => bail!("it holds training information: export the model for inference"),
            25 => bail!("it defines functions of its own: export it with its functions inlined"),
            4 | 6 => drop(field.text()?),
            5 => drop(field.int()?),
            _ => {}
        }
    }
    let metadata: usize = file
        .entries
        .iter()
        .map(|(key, text)| key.len() + text.len())
        .sum();
    ensure!(
        metadata <= LARGEST_METADATA,
        "its metadata has {metadata} bytes, and more than {LARGEST_METADATA} are not read"
    );
    let graph = graph.context("it has no graph: it is no ONNX model, or it was cut short")?;
    file.graph = self::graph(graph)?;
    Ok(file)
}

fn operator_set(bytes: &[u8]) -> Result<OperatorSet> {
    let mut once = Once::default();
    let mut set = OperatorSet {
        domain: String::new(),
        version: 0,
    };
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => set.domain = name(once.of(&field, "domain")?)?,
            2 => set.version = once.of(&field, "operator set version")?.int()?,
            _ => {}
        }
    }
    Ok(set)
}

fn entry(bytes: &[u8]) -> Result<(String, String)> {
    let mut once = Once::default();
    let (mut key, mut text) = (String::new(), String::new());
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => key = name(once.of(&field, "key")?)?,
            2 => once.of(&field, "value")?.text()?.clone_into(&mut text),
            _ => {}
        }
    }
    Ok((key, text))
}

fn graph(bytes: &[u8]) -> Result<Graph> {
    let mut once = Once::default();
    let mut graph = Graph::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field().context("in its graph")? {
        match field.number {
            1 => {
                let place = graph.nodes.len();
                limit(place, MOST_NODES, "nodes")?;
                let node = field.bytes().and_then(node);
                graph
                    .nodes
                    .push(node.with_context(|| format!("in node {place}"))?);
            }
            2 => graph.name = name(once.of(&field, "graph name")?)?,
            5 => {
                let place = graph.initializers.len();
                limit(place, MOST_INITIALIZERS, "initializers")?;
                let tensor = field.bytes().and_then(tensor::read);
                graph
                    .initializers
                    .push(tensor.with_context(|| format!("in initializer {place}"))?);
            }
            10 => drop(field.text()?),
            11 => value_info_into(&mut graph.inputs, &field, "input")?,
            12 => value_info_into(&mut graph.outputs, &field, "output")?,
            13 => value_info_into(&mut graph.values, &field, "value")?,
            14 => bail!("it is quantised: export it as float32"),
            15 => bail!("it has sparse weights: export it with dense ones"),
            _ => {}
        }
    }
    Ok(graph)
}

fn node(bytes: &[u8]) -> Result<Node> {
    let mut once = Once::default();
    let mut node = Node::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => {
                limit(node.inputs.len(), MOST_NODE_VALUES, "inputs")?;
                node.inputs.push(name(&field)?);
            }
            2 => {
                limit(node.outputs.len(), MOST_NODE_VALUES, "outputs")?;
                node.outputs.push(name(&field)?);
            }
            3 => node.name = name(once.of(&field, "node name")?)?,
            4 => node.operator = name(once.of(&field, "operator")?)?,
            5 => {
                limit(node.attributes.len(), MOST_ATTRIBUTES, "attributes")?;
                let (name, value) = attribute(field.bytes()?)?;
                ensure!(
                    node.attributes.iter().all(|(other, _)| *other != name),
                    "attribute {name:?} stands twice"
                );
                node.attributes.push((name, value));
            }
            6 => drop(field.text()?),
            7 => node.domain = name(once.of(&field, "domain")?)?,
            8 => ensure!(
                field.bytes()?.is_empty(),
                "it calls an overloaded function: export it with its functions inlined"
            ),
            _ => {}
        }
    }
    Ok(node)
}

/// All that an attribute message may hold; which of it counts is for its type to say.
#[derive(Default)]
struct Parts {
    name: String,
    kind: i64,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<String>,
    tensor: Option<Tensor>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<String>,
}

fn attribute(bytes: &[u8]) -> Result<(String, Attribute)> {
    let parts = attribute_parts(bytes)?;
    let name = parts.name;
    let mut present = vec![];
    present.extend(parts.float.is_some().then_some(1));
    present.extend(parts.int.is_some().then_some(2));
    present.extend(parts.text.is_some().then_some(3));
    present.extend(parts.tensor.is_some().then_some(4));
    present.extend((!parts.floats.is_empty()).then_some(6));
    present.extend((!parts.ints.is_empty()).then_some(7));
    present.extend((!parts.texts.is_empty()).then_some(8));
    ensure!(
        present.iter().all(|&kind| kind == parts.kind),
        "attribute {name:?} says that it is of type {} and holds something else",
        parts.kind
    );
    let value = match parts.kind {
        1 => Attribute::Float(parts.float.unwrap_or_default()),
        2 => Attribute::Int(parts.int.unwrap_or_default()),
        3 => Attribute::Text(parts.text.unwrap_or_default()),
        4 => Attribute::Tensor(
            parts
                .tensor
                .with_context(|| format!("attribute {name:?} lacks its tensor"))?,
        ),
        6 => Attribute::Floats(parts.floats),
        7 => Attribute::Ints(parts.ints),
        8 => Attribute::Texts(parts.texts),
        5 | 10 => bail!(
            "attribute {name:?} is a graph of its own: models with branches and loops are not run"
        ),
        other => bail!("attribute {name:?} is of type {other}, which is not read"),
    };
    Ok((name, value))
}

fn attribute_parts(bytes: &[u8]) -> Result<Parts> {
    let mut once = Once::default();
    let mut parts = Parts::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => parts.name = name(once.of(&field, "attribute name")?)?,
            2 => parts.float = Some(once.of(&field, "attribute value")?.float()?),
            3 => parts.int = Some(once.of(&field, "attribute value")?.int()?),
            4 => parts.text = Some(name(once.of(&field, "attribute value")?)?),
            5 => {
                let bytes = once.of(&field, "attribute value")?.bytes()?;
                parts.tensor = Some(tensor::read(bytes)?);
            }
            6 | 11 => bail!(
                "attribute {:?} is a graph of its own: models with branches and loops are not run",
                parts.name
            ),
            7 => field.floats_into(&mut parts.floats, MOST_ATTRIBUTE_VALUES)?,
            8 => field.ints_into(&mut parts.ints, MOST_ATTRIBUTE_VALUES)?,
            9 => {
                limit(parts.texts.len(), MOST_ATTRIBUTE_VALUES, "texts")?;
                parts.texts.push(name(&field)?);
            }
            10 | 14 | 15 | 22 | 23 => bail!(
                "attribute {:?} holds what no classifier needs (field {})",
                parts.name,
                field.number
            ),
            13 => drop(field.text()?),
            20 => parts.kind = once.of(&field, "attribute type")?.int()?,
            21 => ensure!(
                field.bytes()?.is_empty(),
                "attribute {:?} refers to a function's: export it with its functions inlined",
                parts.name
            ),
            _ => {}
        }
    }
    Ok(parts)
}

fn value_info_into(values: &mut Vec<ValueInfo>, field: &Field<'_>, what: &str) -> Result<()> {
    limit(values.len(), MOST_VALUES, what)?;
    let info = field.bytes().and_then(value_info);
    values.push(info.with_context(|| format!("in {what} {}", values.len()))?);
    Ok(())
}

fn value_info(bytes: &[u8]) -> Result<ValueInfo> {
    let mut once = Once::default();
    let mut info = ValueInfo {
        name: String::new(),
        element: Element::Other(0),
        dims: None,
    };
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => info.name = name(once.of(&field, "value name")?)?,
            2 => (info.element, info.dims) = value_type(once.of(&field, "type")?.bytes()?)?,
            3 => drop(field.text()?),
            _ => {}
        }
    }
    Ok(info)
}

fn value_type(bytes: &[u8]) -> Result<(Element, Option<Vec<Dim>>)> {
    let mut once = Once::default();
    let mut tensor = (Element::Other(0), None);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => tensor = tensor_type(once.of(&field, "tensor type")?.bytes()?)?,
            4 | 5 | 7 | 8 | 9 => bail!(
                "it is no plain tensor but a sequence, a map or the like (export with ZipMap turned off)"
            ),
            _ => {}
        }
    }
    Ok(tensor)
}

fn tensor_type(bytes: &[u8]) -> Result<(Element, Option<Vec<Dim>>)> {
    let mut once = Once::default();
    let (mut element, mut dims) = (Element::Other(0), None);
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => element = Element::from_code(once.of(&field, "element type")?.int()?),
            2 => dims = Some(shape(once.of(&field, "shape")?.bytes()?)?),
            _ => {}
        }
    }
    Ok((element, dims))
}

fn shape(bytes: &[u8]) -> Result<Vec<Dim>> {
    let mut dims = Vec::new();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        if field.number == 1 {
            limit(dims.len(), MOST_DIMS, "dimensions")?;
            dims.push(dim(field.bytes()?)?);
        }
    }
    Ok(dims)
}

fn dim(bytes: &[u8]) -> Result<Dim> {
    let mut once = Once::default();
    let mut dim = Dim::Unknown;
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 | 2 => {
                ensure!(dim == Dim::Unknown, "a dimension has two sizes");
                dim = if field.number == 1 {
                    Dim::Size(field.int()?)
                } else {
                    Dim::Named(name(&field)?)
                };
            }
            3 => drop(name(once.of(&field, "denotation")?)?),
            _ => {}
        }
    }
    Ok(dim)
}

/// Which fields of a message have been seen.
#[derive(Default)]
struct Once(u32);

impl Once {
    /// The field, if it is the first of its number (which is under 32).
    fn of<'f, 'a>(&mut self, field: &'f Field<'a>, what: &str) -> Result<&'f Field<'a>> {
        let bit = 1 << field.number;
        ensure!(self.0 & bit == 0, "its {what} stands twice");
        self.0 |= bit;
        Ok(field)
    }
}

fn limit(count: usize, most: usize, what: &str) -> Result<()> {
    ensure!(count < most, "it has more than {most} {what}");
    Ok(())
}

fn name(field: &Field<'_>) -> Result<String> {
    let length = field.bytes()?.len();
    ensure!(
        length <= LONGEST_NAME,
        "a name has {length} bytes, and more than {LONGEST_NAME} are not read"
    );
    Ok(field.text()?.to_owned())
}
