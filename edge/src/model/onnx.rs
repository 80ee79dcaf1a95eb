//! ONNX files: their parts as values, written and read by hand.
//!
//! An ONNX file is a protobuf message. Only the few kinds of message that a classifier needs are known here, so that no
//! generator and no schema is part of the build, and so that the reader can be as strict as a file from outside
//! deserves. `encode` writes any graph, `graph` makes that of a scene, `read` takes bytes apart within limits. Whether
//! what was read should be run is not decided here but in `gate`.

/// Protobuf's fields: tags, lengths, numbers.
pub mod wire;

/// Values to bytes.
pub mod encode;

/// The graph of a scene.
mod graph;

/// Bytes to values, with limits.
pub mod read;

pub use encode::{encode, graph_digest};
pub use graph::write;
pub use read::{File, OperatorSet, read};

/// What a model calculates: nodes in the order of their calculation, and the numbers they need.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    pub name: String,
    pub nodes: Vec<Node>,
    pub initializers: Vec<Tensor>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    /// What the file claims of values in between.
    pub values: Vec<ValueInfo>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    pub name: String,
    pub operator: String,
    /// Empty for ONNX's own operators.
    pub domain: String,
    /// Names of values; an empty one stands for an input that is left out.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<(String, Attribute)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// Numbers by name. Nothing here says that there are as many as the sizes ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    /// Empty for a single number.
    pub dims: Vec<i64>,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    Float(Vec<f32>),
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    Bool(Vec<bool>),
}

/// What is said of an input, an output or a value in between.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueInfo {
    pub name: String,
    pub element: Element,
    /// None if nothing is said of its shape.
    pub dims: Option<Vec<Dim>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    Size(i64),
    /// Known only when the model runs; `n` for any number of frames.
    Named(String),
    Unknown,
}

/// What a tensor is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Float,
    Int32,
    Int64,
    Bool,
    /// ONNX's number of a type that is not calculated with here.
    Other(i64),
}

impl Graph {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn input(mut self, name: &str, element: Element, dims: &[Dim]) -> Self {
        self.inputs.push(ValueInfo::new(name, element, dims));
        self
    }

    #[must_use]
    pub fn output(mut self, name: &str, element: Element, dims: &[Dim]) -> Self {
        self.outputs.push(ValueInfo::new(name, element, dims));
        self
    }

    #[must_use]
    pub fn initializer(mut self, name: &str, dims: &[i64], data: Data) -> Self {
        self.initializers.push(Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data,
        });
        self
    }

    /// The node is named after its first output.
    #[must_use]
    pub fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.nodes.push(Node {
            name: outputs
                .first()
                .map(|output| format!("{output}_node"))
                .unwrap_or_default(),
            operator: operator.to_owned(),
            domain: String::new(),
            inputs: owned(inputs),
            outputs: owned(outputs),
            attributes: attributes
                .iter()
                .map(|(name, attribute)| ((*name).to_owned(), attribute.clone()))
                .collect(),
        });
        self
    }
}

impl ValueInfo {
    pub fn new(name: &str, element: Element, dims: &[Dim]) -> Self {
        Self {
            name: name.to_owned(),
            element,
            dims: Some(dims.to_vec()),
        }
    }
}

impl Data {
    pub fn element(&self) -> Element {
        match self {
            Self::Float(_) => Element::Float,
            Self::Int64(_) => Element::Int64,
            Self::Int32(_) => Element::Int32,
            Self::Bool(_) => Element::Bool,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Element {
    /// ONNX's number for it.
    pub fn code(self) -> i64 {
        match self {
            Self::Float => 1,
            Self::Int32 => 6,
            Self::Int64 => 7,
            Self::Bool => 9,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Float,
            6 => Self::Int32,
            7 => Self::Int64,
            9 => Self::Bool,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.code() {
            1 => "float32",
            2 => "uint8",
            3 => "int8",
            4 => "uint16",
            5 => "int16",
            6 => "int32",
            7 => "int64",
            8 => "text",
            9 => "bool",
            10 => "float16",
            11 => "float64",
            12 => "uint32",
            13 => "uint64",
            14 | 15 => "complex numbers",
            16 => "bfloat16",
            other => return write!(formatter, "type {other}"),
        };
        formatter.write_str(name)
    }
}
