//! The shapes of all values of a graph for one frame, and what a run of it takes.
//!
//! Nodes are gone through in the file's order, so that every value is known before it is used. Each must name an
//! operator of the list and fit its inputs; whatever it makes is counted before the next is looked at. This is what
//! keeps a file of a few bytes from asking for terabytes.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};

use super::operators::{self, Call, Value};
use super::{is_default, kind};
use crate::model::onnx::{Attribute, Data, Dim, Graph, Node, Tensor, ValueInfo};

/// Elements of one tensor.
const LARGEST_TENSOR: u64 = 16 << 20;
/// Elements of all tensors together, though not all are needed at the same time.
const MOST_ELEMENTS: u64 = 64 << 20;
/// Multiply-adds of one run: some seconds on a small computer.
const MOST_WORK: u64 = 4_000_000_000;

#[derive(Debug)]
pub struct Shapes<'a> {
    pub outputs: HashMap<&'a str, Value<'a>>,
    pub work: u64,
    pub largest: u64,
}

pub fn infer(graph: &Graph, opset: i64) -> Result<Shapes<'_>> {
    let mut scope = Scope::default();
    for tensor in &graph.initializers {
        finite(tensor)?;
        scope
            .add(&tensor.name, Value::of(tensor))
            .context("among its initializers")?;
    }
    let input = kind::input(graph)?;
    scope
        .add(
            &input.name,
            Value::of_type(crate::model::onnx::Element::Float, kind::sizes(input)?),
        )
        .context("among its inputs")?;
    let mut names = HashSet::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        ensure!(
            node.name.is_empty() || names.insert(&node.name),
            "node {place} has the name {:?}, which another has",
            node.name
        );
        let name = if node.name.is_empty() {
            String::new()
        } else {
            format!(" {:?}", node.name)
        };
        let what = || format!("node {place}{name} ({})", node.operator.escape_debug());
        let inputs = scope.inputs(node).with_context(what)?;
        let given: Vec<String> = inputs
            .iter()
            .flatten()
            .map(|value| shown(&value.dims))
            .collect();
        calculate(&mut scope, node, inputs, opset)
            .with_context(|| format!("{} of {}", what(), given.join(", ")))?;
    }
    for info in &graph.values {
        if let Some(value) = scope.values.get(info.name.as_str()) {
            agrees(info, value)?;
        }
    }
    let mut outputs = HashMap::new();
    for info in &graph.outputs {
        let value = scope
            .values
            .get(info.name.as_str())
            .with_context(|| format!("nothing makes its output {:?}", info.name))?;
        agrees(info, value)?;
        let before = outputs.insert(info.name.as_str(), value.clone());
        ensure!(before.is_none(), "its output {:?} stands twice", info.name);
    }
    ensure!(!outputs.is_empty(), "it has no output");
    Ok(Shapes {
        outputs,
        work: scope.work,
        largest: scope.largest,
    })
}

/// As people write it.
pub fn shown(dims: &[u64]) -> String {
    let sizes: Vec<String> = dims.iter().map(ToString::to_string).collect();
    format!("[{}]", sizes.join(","))
}

/// What is known so far.
#[derive(Default)]
struct Scope<'a> {
    values: HashMap<&'a str, Value<'a>>,
    elements: u64,
    largest: u64,
    work: u64,
}

impl<'a> Scope<'a> {
    fn inputs(&self, node: &'a Node) -> Result<Vec<Option<Value<'a>>>> {
        node.inputs
            .iter()
            .map(|name| {
                if name.is_empty() {
                    return Ok(None);
                }
                let value = self.values.get(name.as_str()).with_context(|| {
                    format!("its input {name:?} does not exist, or is made only later: nodes must stand in the order of calculation")
                })?;
                Ok(Some(value.clone()))
            })
            .collect()
    }

    fn add(&mut self, name: &'a str, value: Value<'a>) -> Result<()> {
        ensure!(!name.is_empty(), "a value has no name");
        let elements = value
            .dims
            .iter()
            .try_fold(1_u64, |product, &size| product.checked_mul(size))
            .filter(|&elements| elements <= LARGEST_TENSOR)
            .with_context(|| {
                format!(
                    "the value {name:?} would be {}, more than {LARGEST_TENSOR} elements",
                    shown(&value.dims)
                )
            })?;
        ensure!(
            elements > 0,
            "the value {name:?} is {} and so has no elements",
            shown(&value.dims)
        );
        self.largest = self.largest.max(elements);
        self.elements += elements;
        ensure!(
            self.elements <= MOST_ELEMENTS,
            "with the value {name:?}, {}, its tensors together have more than {MOST_ELEMENTS} elements",
            shown(&value.dims)
        );
        let before = self.values.insert(name, value);
        ensure!(before.is_none(), "the value {name:?} is made twice");
        Ok(())
    }
}

fn calculate<'a>(
    scope: &mut Scope<'a>,
    node: &'a Node,
    inputs: Vec<Option<Value<'a>>>,
    opset: i64,
) -> Result<()> {
    ensure!(
        is_default(&node.domain),
        "it is of the domain {:?}: only ONNX's own operators are run",
        node.domain
    );
    for (name, attribute) in &node.attributes {
        let good = match attribute {
            Attribute::Float(value) => value.is_finite(),
            Attribute::Floats(values) => values.iter().all(|value| value.is_finite()),
            Attribute::Tensor(tensor) => finite(tensor).is_ok(),
            _ => true,
        };
        ensure!(good, "its attribute {name:?} is not finite");
    }
    let call = Call {
        node,
        inputs,
        opset,
    };
    let outcome = operators::infer(&call)?;
    scope.work = scope.work.saturating_add(outcome.work);
    ensure!(
        scope.work <= MOST_WORK,
        "up to it a run would take {} multiply-adds, more than {MOST_WORK}: use a smaller model",
        scope.work
    );
    ensure!(
        outcome.workspace <= MOST_ELEMENTS,
        "it would need a workspace of {} elements, more than {MOST_ELEMENTS}: use a smaller picture",
        outcome.workspace
    );
    ensure!(
        node.outputs.len() == outcome.outputs.len(),
        "it has {} outputs and not {}",
        node.outputs.len(),
        outcome.outputs.len()
    );
    for (name, value) in node.outputs.iter().zip(outcome.outputs) {
        scope.add(name, value)?;
    }
    Ok(())
}

/// A weight that is no number makes every score no number.
fn finite(tensor: &Tensor) -> Result<()> {
    let finite = match &tensor.data {
        Data::Float(values) => values.iter().all(|value| value.is_finite()),
        Data::Int64(_) | Data::Int32(_) | Data::Bool(_) => true,
    };
    ensure!(
        finite,
        "the tensor {:?} holds NaN or infinite numbers: train or export the model again",
        tensor.name
    );
    Ok(())
}

/// What the file claims of a value must be what it is; a size left open may be anything.
fn agrees(info: &ValueInfo, value: &Value<'_>) -> Result<()> {
    let fits = |dims: &[Dim]| {
        dims.len() == value.dims.len()
            && dims
                .iter()
                .zip(&value.dims)
                .all(|(claimed, &size)| match claimed {
                    Dim::Size(claimed) => u64::try_from(*claimed) == Ok(size),
                    Dim::Named(_) | Dim::Unknown => true,
                })
    };
    ensure!(
        info.element == value.element && info.dims.as_deref().is_none_or(fits),
        "the file says that {:?} is {} {:?}, but it is {} {}: export the model again",
        info.name,
        info.element,
        info.dims.as_deref().unwrap_or_default(),
        value.element,
        shown(&value.dims)
    );
    Ok(())
}
