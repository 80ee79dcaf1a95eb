//! The operators that may be used: what each takes, and what comes out.
//!
//! All that calculate do so in float32; whole numbers only say shapes and places, and are then constants of the file.
//! Left out on purpose: branches and loops, operators whose result's size depends on what a tensor holds at run time
//! (NonZero, Expand, Resize, Range, ...), chance, quantised and custom ones. An attribute that is not named here is an
//! error, since it might change what is calculated.

use anyhow::{Context as _, Result, bail, ensure};

use crate::model::onnx::{Attribute, Data, Element, Node, Tensor};

mod elementwise;
mod layout;
mod products;
mod selection;
mod windows;

#[cfg(test)]
mod agreement;

/// Attributes that count pixels or elements are not larger.
const LARGEST_SIZE: i64 = 1 << 16;

/// A value that is not calculated yet.
#[derive(Debug, Clone)]
pub struct Value<'a> {
    pub element: Element,
    pub dims: Vec<u64>,
    /// Its numbers, if they stand in the file.
    pub constant: Option<&'a Tensor>,
}

/// A node and what it is given.
#[derive(Debug)]
pub struct Call<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<Value<'a>>>,
    pub opset: i64,
}

/// What a node makes, and what that takes.
#[derive(Debug)]
pub struct Outcome<'a> {
    pub outputs: Vec<Value<'a>>,
    /// Multiply-adds, or what takes about as long.
    pub work: u64,
    /// Elements that it may need beside its outputs.
    pub workspace: u64,
}

type Infer = for<'c, 'a> fn(&'c Call<'a>) -> Result<Outcome<'a>>;

struct Operator {
    name: &'static str,
    /// The fewest and the most inputs.
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    infer: Infer,
}

const WINDOW: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "dilations",
    "kernel_shape",
    "pads",
    "storage_order",
    "strides",
];
const CONV: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

const OPERATORS: &[Operator] = &[
    operator("Abs", (1, 1), &[], elementwise::unary),
    operator("Add", (2, 2), &[], elementwise::broadcast),
    operator(
        "ArgMax",
        (1, 1),
        &["axis", "keepdims", "select_last_index"],
        selection::arg_max,
    ),
    operator("AveragePool", (1, 1), WINDOW, windows::pool),
    operator(
        "BatchNormalization",
        (5, 5),
        &["epsilon", "momentum", "training_mode"],
        elementwise::batch_normalization,
    ),
    operator("Cast", (1, 1), &["to", "saturate"], elementwise::cast),
    operator("Clip", (1, 3), &[], elementwise::clip),
    operator("Concat", (1, 64), &["axis"], layout::concat),
    operator("Constant", (0, 0), &["value"], elementwise::constant),
    operator("Conv", (2, 3), CONV, windows::conv),
    operator("Div", (2, 2), &[], elementwise::broadcast),
    operator("Dropout", (1, 3), &["seed"], elementwise::dropout),
    operator("Elu", (1, 1), &["alpha"], elementwise::unary),
    operator("Erf", (1, 1), &[], elementwise::unary),
    operator("Exp", (1, 1), &[], elementwise::unary),
    operator("Flatten", (1, 1), &["axis"], layout::flatten),
    operator("Gather", (2, 2), &["axis"], selection::gather),
    operator(
        "GatherElements",
        (2, 2),
        &["axis"],
        selection::gather_elements,
    ),
    operator(
        "Gemm",
        (2, 3),
        &["alpha", "beta", "transA", "transB"],
        products::gemm,
    ),
    operator("GlobalAveragePool", (1, 1), &[], windows::global_pool),
    operator("GlobalMaxPool", (1, 1), &[], windows::global_pool),
    operator(
        "HardSigmoid",
        (1, 1),
        &["alpha", "beta"],
        elementwise::unary,
    ),
    operator("HardSwish", (1, 1), &[], elementwise::unary),
    operator("Identity", (1, 1), &[], elementwise::identity),
    operator("LeakyRelu", (1, 1), &["alpha"], elementwise::unary),
    operator("Log", (1, 1), &[], elementwise::unary),
    operator("LogSoftmax", (1, 1), &["axis"], elementwise::softmax),
    operator("MatMul", (2, 2), &[], products::mat_mul),
    operator("Max", (1, 64), &[], elementwise::broadcast),
    operator("MaxPool", (1, 1), WINDOW, windows::pool),
    operator("Min", (1, 64), &[], elementwise::broadcast),
    operator("Mul", (2, 2), &[], elementwise::broadcast),
    operator("Neg", (1, 1), &[], elementwise::unary),
    operator("PRelu", (2, 2), &[], elementwise::p_relu),
    operator("Pad", (2, 4), &["mode"], layout::pad),
    operator("Pow", (2, 2), &[], elementwise::broadcast),
    operator("Reciprocal", (1, 1), &[], elementwise::unary),
    operator("ReduceMax", (1, 2), REDUCE, selection::reduce),
    operator("ReduceMean", (1, 2), REDUCE, selection::reduce),
    operator("ReduceMin", (1, 2), REDUCE, selection::reduce),
    operator("ReduceSum", (1, 2), REDUCE, selection::reduce),
    operator("Relu", (1, 1), &[], elementwise::unary),
    operator("Reshape", (2, 2), &["allowzero"], layout::reshape),
    operator("Sigmoid", (1, 1), &[], elementwise::unary),
    operator("Slice", (3, 5), &[], selection::slice),
    operator("Softmax", (1, 1), &["axis"], elementwise::softmax),
    operator("Softplus", (1, 1), &[], elementwise::unary),
    operator("Split", (1, 2), &["axis", "num_outputs"], layout::split),
    operator("Sqrt", (1, 1), &[], elementwise::unary),
    operator("Squeeze", (2, 2), &[], layout::squeeze),
    operator("Sub", (2, 2), &[], elementwise::broadcast),
    operator("Tanh", (1, 1), &[], elementwise::unary),
    operator(
        "TopK",
        (2, 2),
        &["axis", "largest", "sorted"],
        selection::top_k,
    ),
    operator("Transpose", (1, 1), &["perm"], layout::transpose),
    operator("Unsqueeze", (2, 2), &[], layout::unsqueeze),
];

const fn operator(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    infer: Infer,
) -> Operator {
    Operator {
        name,
        inputs,
        attributes,
        infer,
    }
}

pub fn infer<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let name = call.node.operator.as_str();
    let operator = OPERATORS
        .iter()
        .find(|operator| operator.name == name)
        .with_context(|| unsupported(name))?;
    let (fewest, most) = operator.inputs;
    ensure!(
        (fewest..=most).contains(&call.inputs.len()),
        "it has {} inputs where {fewest} to {most} are supported",
        call.inputs.len()
    );
    for (name, _) in &call.node.attributes {
        ensure!(
            operator.attributes.contains(&name.as_str()),
            "its attribute {name:?} is not supported"
        );
    }
    (operator.infer)(call)
}

fn unsupported(name: &str) -> String {
    let why = match name {
        "If" | "Loop" | "Scan" | "SequenceMap" => {
            "models with branches and loops are not run: export one without control flow"
        }
        "QLinearConv"
        | "QLinearMatMul"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "ConvInteger"
        | "MatMulInteger"
        | "DynamicQuantizeLinear" => "quantised models are not run: export it as float32",
        "Shape" | "Expand" | "Tile" | "Resize" | "Upsample" | "ConstantOfShape" | "Range"
        | "NonZero" | "Where" => {
            "it belongs to models of variable size: export with fixed sizes and constant folding (onnxsim does it)"
        }
        _ => "operators outside ONNX's usual ones for classifiers are refused",
    };
    format!("the operator {name:?} is not on the list: {why}")
}

impl<'a> Value<'a> {
    pub fn of(tensor: &'a Tensor) -> Self {
        Self {
            element: tensor.data.element(),
            // The reader has seen to it that none is negative.
            dims: tensor.dims.iter().map(|size| size.unsigned_abs()).collect(),
            constant: Some(tensor),
        }
    }

    pub fn of_type(element: Element, dims: Vec<u64>) -> Self {
        Self {
            element,
            dims,
            constant: None,
        }
    }

    fn float(dims: Vec<u64>) -> Self {
        Self::of_type(Element::Float, dims)
    }

    fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    fn floats(&self) -> Option<&'a [f32]> {
        match &self.constant?.data {
            Data::Float(values) => Some(values),
            _ => None,
        }
    }
}

impl<'a> Outcome<'a> {
    fn one(output: Value<'a>, work: u64) -> Self {
        Self {
            outputs: vec![output],
            work,
            workspace: 0,
        }
    }
}

impl<'a> Call<'a> {
    fn optional(&self, index: usize) -> Option<&Value<'a>> {
        self.inputs.get(index)?.as_ref()
    }

    fn input(&self, index: usize) -> Result<&Value<'a>> {
        self.optional(index)
            .with_context(|| format!("its input {index} is left out"))
    }

    fn float(&self, index: usize) -> Result<&Value<'a>> {
        let value = self.input(index)?;
        ensure!(
            value.element == Element::Float,
            "its input {index} is {}: only float32 is calculated with",
            value.element
        );
        Ok(value)
    }

    /// Numbers that decide a shape.
    fn constant(&self, index: usize, what: &str) -> Result<Vec<i64>> {
        let value = self.input(index)?;
        let tensor = value.constant.with_context(|| {
            format!(
                "{what} is calculated at run time: export with fixed sizes and constant folding"
            )
        })?;
        ensure!(
            value.dims.len() <= 1,
            "{what} is {} and not a row of numbers",
            super::shapes::shown(&value.dims)
        );
        match &tensor.data {
            Data::Int64(values) => Ok(values.clone()),
            Data::Int32(values) => Ok(values.iter().map(|&value| i64::from(value)).collect()),
            Data::Float(_) | Data::Bool(_) => bail!("{what} is {}, not int64", value.element),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        let mut attributes = self.node.attributes.iter();
        attributes
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(_) => bail!("its attribute {name:?} is no whole number"),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => bail!("its attribute {name:?} is {other}, neither 0 nor 1"),
        }
    }

    fn number(&self, name: &str, default: f32) -> Result<f32> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(_) => bail!("its attribute {name:?} is no float"),
        }
    }

    fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => bail!("its attribute {name:?} is no list of whole numbers"),
        }
    }

    fn text(&self, name: &str, default: &'static str) -> Result<&'a str> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(_) => bail!("its attribute {name:?} is no text"),
        }
    }
}

/// Which dimension is meant; negative ones count from the end.
fn axis(value: i64, rank: usize) -> Result<usize> {
    let signed = i64::try_from(rank)?;
    ensure!(
        (-signed..signed).contains(&value),
        "its axis {value} is outside of {rank} dimensions"
    );
    Ok(usize::try_from(if value < 0 {
        value + signed
    } else {
        value
    })?)
}

/// The same for several, each of which may be meant once; ascending.
fn axes(values: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut axes = values
        .iter()
        .map(|&value| axis(value, rank))
        .collect::<Result<Vec<_>>>()?;
    axes.sort_unstable();
    ensure!(
        axes.windows(2).all(|pair| pair[0] < pair[1]),
        "its axes {values:?} name a dimension twice"
    );
    Ok(axes)
}

fn size(value: i64, least: i64, what: &str) -> Result<u64> {
    ensure!(
        (least..=LARGEST_SIZE).contains(&value),
        "its {what} is {value}, and must be {least} to {LARGEST_SIZE}"
    );
    Ok(value.unsigned_abs())
}
