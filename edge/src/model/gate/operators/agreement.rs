//! The shapes that are calculated here are those that the built-in runtime makes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use rten::{Model as Runtime, Value, ValueOrView};

use crate::model::gate;
use crate::model::onnx::{Attribute, Data, Dim, Element, Graph, ValueInfo, encode};

/// Runs one node on a frame `x`, then has the gate judge the claim that its output is of the shape that came out.
fn check(operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) {
    let what = format!("{operator} {inputs:?} {attributes:?}");
    let graph = with_node(operator, inputs, attributes);
    let shape = run(&graph).expect(&what);
    if let Err(refused) = judge(&graph, Some(&shape)) {
        panic!("{what} makes {shape:?}: {refused}");
    }
    let mut other = shape;
    other.push(1);
    assert!(
        judge(&graph, Some(&other)).is_err(),
        "{what} is {other:?}, too"
    );
}

fn with_node(operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> Graph {
    let outputs = if operator == "TopK" {
        &["y", "places"][..]
    } else {
        &["y"]
    };
    tools().node(operator, inputs, outputs, attributes)
}

fn judge(graph: &Graph, shape: Option<&[i64]>) -> Result<gate::Checked, gate::Rejected> {
    gate::check(&encode(&claiming(graph, shape), &[]))
}

/// The shape of `y`, or why there is none.
fn run(graph: &Graph) -> anyhow::Result<Vec<i64>> {
    let runtime = Runtime::load(encode(&claiming(graph, None), &[]))?;
    let frame = (0_u16..768)
        .map(|pixel| f32::from(pixel % 97) / 10.0 + 0.5)
        .collect();
    let frame = Value::from_shape(&[1, 1, 24, 32], frame).unwrap();
    let inputs = vec![(runtime.node_id("x")?, ValueOrView::from(frame))];
    let made = runtime.run(inputs, &[runtime.node_id("y")?], None)?;
    Ok(shape_of(&made[0]))
}

/// The runtime tells a shape only to who knows how many sizes it has.
fn shape_of(value: &Value) -> Vec<i64> {
    fn sized<const N: usize>(value: &Value) -> Option<Vec<i64>> {
        let floats = || {
            value
                .clone()
                .into_shape_vec::<f32, N>()
                .ok()
                .map(|(shape, _)| shape)
        };
        let ints = || {
            value
                .clone()
                .into_shape_vec::<i32, N>()
                .ok()
                .map(|(shape, _)| shape)
        };
        let shape = floats().or_else(ints)?;
        Some(
            shape
                .iter()
                .map(|&size| i64::try_from(size).unwrap())
                .collect(),
        )
    }
    sized::<0>(value)
        .or_else(|| sized::<1>(value))
        .or_else(|| sized::<2>(value))
        .or_else(|| sized::<3>(value))
        .or_else(|| sized::<4>(value))
        .or_else(|| sized::<5>(value))
        .or_else(|| sized::<6>(value))
        .expect("a tensor of up to six dimensions")
}

/// With scores, as every model has them, and `y` of a claimed shape.
fn claiming(graph: &Graph, shape: Option<&[i64]>) -> Graph {
    let mut graph = graph.clone();
    let element = match graph.nodes.last().unwrap().operator.as_str() {
        "ArgMax" => Element::Int64,
        _ => Element::Float,
    };
    graph.outputs.push(ValueInfo {
        name: "y".to_owned(),
        element,
        dims: shape.map(|sizes| sizes.iter().map(|&size| Dim::Size(size)).collect()),
    });
    graph
}

fn tools() -> Graph {
    let numbers = |count: u16| Data::Float((1..=count).map(|n| f32::from(n) / 100.0).collect());
    let graph = Graph::new("one node")
        .input("x", Element::Float, &[1, 1, 24, 32].map(Dim::Size))
        .output("scores", Element::Float, &[Dim::Size(1), Dim::Size(3)])
        .initializer("three", &[1, 3], numbers(3))
        .node("Identity", &["three"], &["scores"], &[])
        .initializer("w", &[4, 1, 3, 3], numbers(36))
        .initializer("w5", &[4, 1, 5, 2], numbers(40))
        .initializer("c4", &[1, 4, 9, 10], numbers(360))
        .initializer("w2", &[6, 2, 3, 3], numbers(108))
        .initializer("b4", &[4], numbers(4))
        .initializer("unit", &[1], numbers(1))
        .initializer("low", &[], Data::Float(vec![0.0]))
        .initializer("high", &[], Data::Float(vec![6.0]))
        .initializer("m35", &[3, 5], numbers(15))
        .initializer("m53", &[5, 3], numbers(15))
        .initializer("b2", &[2, 1, 32, 7], numbers(448))
        .initializer("column", &[24, 1], numbers(24));
    [
        ("0", &[0][..]),
        ("1", &[1]),
        ("2", &[2]),
        ("5", &[5]),
        ("last", &[-1]),
        ("2 3", &[2, 3]),
        ("0 5", &[0, 5]),
        ("far", &[i64::MAX]),
        ("0 -1 16", &[0, -1, 16]),
        ("768", &[1, 768]),
        ("24", &[24]),
        ("pads", &[0, 0, 1, 2, 0, 1, 3, 4]),
        ("edge pads", &[0, 0, 1, 2, 0, 0, 3, 4]),
        ("ends", &[24, i64::MAX]),
        ("from", &[20, -4]),
        ("-1 0", &[-1, 0]),
    ]
    .into_iter()
    .fold(graph, |graph, (name, values)| {
        let count = i64::try_from(values.len()).unwrap();
        graph.initializer(name, &[count], Data::Int64(values.to_vec()))
    })
}

fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}

/// All attributes of a window, which rten needs.
fn window(
    strides: [i64; 2],
    pads: [i64; 4],
    dilations: [i64; 2],
) -> Vec<(&'static str, Attribute)> {
    vec![
        ("strides", ints(&strides)),
        ("pads", ints(&pads)),
        ("dilations", ints(&dilations)),
    ]
}

#[test]
fn convolutions_and_pools() {
    for strides in [[1, 1], [2, 3]] {
        for pads in [[0; 4], [1, 1, 1, 1], [0, 1, 2, 0]] {
            for dilations in [[1, 1], [2, 3]] {
                let attributes = window(strides, pads, dilations);
                check("Conv", &["x", "w"], &attributes);
                check("Conv", &["x", "w5", "b4"], &attributes);
                let grouped = [&attributes[..], &[("group", int(2))]].concat();
                check("Conv", &["c4", "w2"], &grouped);
            }
            for ceil in [0, 1] {
                let pool = [
                    &window(strides, pads, [1, 1])[..2],
                    &[("kernel_shape", ints(&[3, 4])), ("ceil_mode", int(ceil))],
                ]
                .concat();
                check("MaxPool", &["x"], &pool);
                check("AveragePool", &["x"], &pool);
            }
        }
        let same = |mode: &str| ("auto_pad", Attribute::Text(mode.to_owned()));
        let strides = ("strides", ints(&strides));
        let whole = ("dilations", ints(&[1, 1]));
        check(
            "Conv",
            &["x", "w"],
            &[same("SAME_UPPER"), strides.clone(), whole],
        );
        let kernel = ("kernel_shape", ints(&[3, 2]));
        check("MaxPool", &["x"], &[same("SAME_UPPER"), strides, kernel]);
    }
    check("GlobalAveragePool", &["c4"], &[]);
    check("GlobalMaxPool", &["c4"], &[]);
}

#[test]
fn elements_one_by_one() {
    for operator in [
        "Abs",
        "Elu",
        "Erf",
        "Exp",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "Neg",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Sqrt",
        "Tanh",
    ] {
        check(operator, &["x"], &[]);
    }
    for operator in ["Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"] {
        check(operator, &["x", "column"], &[]);
        check(operator, &["x", "low"], &[]);
    }
    check("Max", &["x"], &[]);
    check("Min", &["low", "column", "x"], &[]);
    check("PRelu", &["x", "unit"], &[]);
    check("Clip", &["x", "low", "high"], &[]);
    check("Clip", &["x", "", "high"], &[]);
    check("Cast", &["x"], &[("to", int(1))]);
    check(
        "BatchNormalization",
        &["x", "unit", "unit", "unit", "unit"],
        &[],
    );
}

#[test]
fn matrices() {
    check("MatMul", &["m35", "m53"], &[]);
    check("MatMul", &["x", "b2"], &[]);
    check("Gemm", &["m35", "m35", "unit"], &[("transB", int(1))]);
    check("Gemm", &["m35", "m35"], &[("transA", int(1))]);
}

#[test]
fn layouts() {
    check("Reshape", &["x", "0 -1 16"], &[]);
    check("Reshape", &["x", "768"], &[]);
    check("Transpose", &["x"], &[]);
    check("Transpose", &["x"], &[("perm", ints(&[2, 0, 3, 1]))]);
    for axis in [0, 1, 3, 4, -1] {
        check("Flatten", &["x"], &[("axis", int(axis))]);
    }
    check("Squeeze", &["x", "1"], &[]);
    check("Unsqueeze", &["x", "0 5"], &[]);
    check("Unsqueeze", &["x", "last"], &[]);
    check("Concat", &["x", "x", "x"], &[("axis", int(-2))]);
    check("Split", &["x", "24"], &[("axis", int(2))]);
    for (mode, pads) in [
        ("constant", "pads"),
        ("edge", "edge pads"),
        ("reflect", "edge pads"),
    ] {
        let mode = ("mode", Attribute::Text(mode.to_owned()));
        check("Pad", &["x", pads], &[mode]);
    }
}

#[test]
fn selections() {
    for keep in [0, 1] {
        let keep = ("keepdims", int(keep));
        check("ReduceSum", &["x", "2 3"], std::slice::from_ref(&keep));
        check("ArgMax", &["x"], &[("axis", int(-2)), keep.clone()]);
        for operator in ["ReduceMax", "ReduceMean", "ReduceMin"] {
            check(operator, &["x"], &[("axes", ints(&[-1, 2])), keep.clone()]);
            check(operator, &["x"], std::slice::from_ref(&keep));
        }
    }
    check(
        "TopK",
        &["x", "5"],
        &[("axis", int(2)), ("largest", int(0))],
    );
    check("Gather", &["x", "-1 0"], &[("axis", int(2))]);
    check("Slice", &["x", "1", "far", "2", "5"], &[]);
    check("Slice", &["x", "from", "ends", "2 3"], &[]);
}

/// Sizes as they are and as they might be.
fn some_size() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1_i64..4,
        2 => 0_i64..40,
        1 => prop::sample::select(vec![-1, 1 << 16, 1 << 40, i64::MIN, i64::MAX]),
    ]
}

fn some_pad() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0_i64..3, 1 => some_size()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What passes either runs as calculated or is refused by the runtime; it never panics.
    #[test]
    fn windows_that_pass_run_as_calculated(
        operator in 0_usize..3,
        kernel in prop::array::uniform2(some_size()),
        strides in prop::array::uniform2(some_size()),
        dilations in prop::array::uniform2(some_size()),
        pads in prop::array::uniform4(some_pad()),
        group in some_size(),
        ceil in 0_i64..2,
    ) {
        let mut attributes = window(strides, pads, dilations);
        let graph = if operator == 0 {
            attributes.push(("group", int(group)));
            with_node("Conv", &["c4", "w2"], &attributes)
        } else {
            attributes.truncate(2);
            attributes.push(("kernel_shape", ints(&kernel)));
            attributes.push(("ceil_mode", int(ceil)));
            with_node(["", "MaxPool", "AveragePool"][operator], &["x"], &attributes)
        };
        if judge(&graph, None).is_ok() && let Ok(shape) = run(&graph) {
            prop_assert!(judge(&graph, Some(&shape)).is_ok(), "{operator} {attributes:?} makes {shape:?}");
        }
    }

    #[test]
    fn slices_and_pads_that_pass_run_as_calculated(
        numbers in prop::array::uniform4(prop_oneof![-40_i64..40, some_size()]),
        pads in prop::array::uniform8(some_pad()),
        mode in 0_usize..3,
        padding in any::<bool>(),
    ) {
        let mut graph = tools().initializer("random pads", &[8], Data::Int64(pads.to_vec()));
        for (place, number) in numbers.iter().enumerate() {
            graph = graph.initializer(&format!("n{place}"), &[1], Data::Int64(vec![*number]));
        }
        let graph = if padding {
            let mode = Attribute::Text(["constant", "edge", "reflect"][mode].to_owned());
            graph.node("Pad", &["x", "random pads"], &["y"], &[("mode", mode)])
        } else {
            graph.node("Slice", &["x", "n0", "n1", "n2", "n3"], &["y"], &[])
        };
        if judge(&graph, None).is_ok() && let Ok(shape) = run(&graph) {
            prop_assert!(judge(&graph, Some(&shape)).is_ok(), "{numbers:?} {pads:?} makes {shape:?}");
        }
    }
}
