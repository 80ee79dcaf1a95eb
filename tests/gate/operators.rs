use edge::model::onnx::Attribute;

use super::models::{bytes, ints, on_frame};
use super::node::{node, number, text, tools};
use super::refused;

#[test]
fn operators_not_on_the_list_are_refused() {
    let foreign = {
        let mut graph = on_frame().node("Relu", &["x"], &["y"], &[]);
        graph.nodes[0].domain = "com.microsoft".to_owned();
        bytes(&graph)
    };
    refused(vec![
        ("If", node("If", &["yes"], &[]), "branches and loops"),
        (
            "Loop",
            node("Loop", &["1", "yes"], &[]),
            "branches and loops",
        ),
        ("Scan", node("Scan", &["x"], &[]), "branches and loops"),
        ("Expand", node("Expand", &["x", "huge"], &[]), "fixed sizes"),
        ("Tile", node("Tile", &["x", "huge"], &[]), "fixed sizes"),
        ("Resize", node("Resize", &["x"], &[]), "fixed sizes"),
        ("Range", node("Range", &["0", "7", "1"], &[]), "fixed sizes"),
        ("NonZero", node("NonZero", &["x"], &[]), "fixed sizes"),
        (
            "ConstantOfShape",
            node("ConstantOfShape", &["huge"], &[]),
            "fixed sizes",
        ),
        (
            "RandomNormal",
            node("RandomNormal", &[], &[]),
            "not on the list",
        ),
        ("QLinearConv", node("QLinearConv", &["x"], &[]), "quantised"),
        (
            "unheard of",
            node("Mystery", &["x"], &[]),
            "\"Mystery\" is not on the list",
        ),
        ("no name", node("", &["x"], &[]), "not on the list"),
        ("another domain", foreign, "domain \"com.microsoft\""),
        (
            "unknown attribute",
            node("Relu", &["x"], &[("speed", number(1))]),
            "\"speed\" is not supported",
        ),
        (
            "too many inputs",
            node("Relu", &["x", "x"], &[]),
            "it has 2 inputs",
        ),
        (
            "too few inputs",
            node("Add", &["x"], &[]),
            "it has 1 inputs",
        ),
        (
            "input left out",
            node("Add", &["x", ""], &[]),
            "input 1 is left out",
        ),
        (
            "whole numbers divided",
            node("Div", &["1", "0"], &[]),
            "only float32",
        ),
    ]);
}

#[test]
fn shapes_are_known_and_possible() {
    let calculated = tools().node("ArgMax", &["x"], &["at"], &[]);
    let reshaped = calculated
        .clone()
        .node("Reshape", &["x", "at"], &["y"], &[]);
    let gathered = calculated.node("Gather", &["x", "at"], &["y"], &[]);
    refused(vec![
        (
            "reshape to another size",
            node("Reshape", &["x", "769"], &[]),
            "does not fit 768 elements",
        ),
        (
            "reshape with two open",
            node("Reshape", &["x", "-1 -1"], &[]),
            "two sizes open",
        ),
        (
            "reshape negative",
            node("Reshape", &["x", "-5"], &[]),
            "negative size",
        ),
        (
            "reshape giant",
            node("Reshape", &["x", "huge"], &[]),
            "does not fit",
        ),
        (
            "reshape to many dimensions",
            node("Reshape", &["x", "many"], &[]),
            "has 300 dimensions",
        ),
        (
            "reshape to a float",
            node("Reshape", &["x", "unit"], &[]),
            "is float32, not int64",
        ),
        (
            "reshape while running",
            bytes(&reshaped),
            "its target shape is calculated at run time",
        ),
        (
            "gather while running",
            bytes(&gathered),
            "calculated at run time",
        ),
        (
            "gather beyond",
            node("Gather", &["x", "7"], &[]),
            "outside of 1 elements",
        ),
        (
            "gather by a float",
            node("Gather", &["x", "unit"], &[]),
            "not int64",
        ),
        (
            "gather along axis 4",
            node("Gather", &["x", "0"], &[("axis", number(4))]),
            "axis 4 is outside of 4",
        ),
        (
            "gather elements",
            node("GatherElements", &["x", "0"], &[]),
            "do not fit",
        ),
        (
            "top 33 of 32",
            node("TopK", &["x", "33"], &[]),
            "k is 33, of 32",
        ),
        ("top 0", node("TopK", &["x", "0"], &[]), "k is 0"),
        (
            "top many",
            node("TopK", &["x", "huge"], &[]),
            "not a single number",
        ),
        (
            "softmax along axis -5",
            node("Softmax", &["x"], &[("axis", number(-5))]),
            "axis -5",
        ),
        (
            "axis of the wrong type",
            node("Softmax", &["x"], &[("axis", text("1"))]),
            "no whole number",
        ),
        (
            "flatten axis",
            node("Flatten", &["x"], &[("axis", number(5))]),
            "axis 5",
        ),
        (
            "transpose",
            node("Transpose", &["x"], &[("perm", ints(&[0, 0, 1, 2]))]),
            "is none of 4 dimensions",
        ),
        (
            "transpose negative",
            node("Transpose", &["x"], &[("perm", ints(&[0, 1, 2, -1]))]),
            "negative",
        ),
        (
            "squeeze what is not 1",
            node("Squeeze", &["x", "-1"], &[]),
            "not of size 1",
        ),
        (
            "squeeze twice",
            node("Squeeze", &["x", "1 1"], &[]),
            "a dimension twice",
        ),
        (
            "unsqueeze much",
            node("Unsqueeze", &["x", "many"], &[]),
            "304 dimensions",
        ),
        (
            "unsqueeze smallest",
            node("Unsqueeze", &["x", "min"], &[]),
            "is outside",
        ),
        (
            "concat of unlike",
            node("Concat", &["x", "matrix"], &[("axis", number(0))]),
            "does not fit the first",
        ),
        (
            "concat nowhere",
            node("Concat", &["x", "x"], &[]),
            "along which axis",
        ),
        (
            "split in parts",
            bytes(&tools().node(
                "Split",
                &["x", "12 11"],
                &["y", "z"],
                &[("axis", number(2))],
            )),
            "are not 24 in 2",
        ),
        (
            "split unevenly",
            bytes(&tools().node(
                "Split",
                &["x"],
                &["a", "b", "c", "d", "y"],
                &[("axis", number(2))],
            )),
            "5 equal parts",
        ),
        (
            "slice of nothing",
            node("Slice", &["x", "7", "7", "-1"], &[]),
            "takes nothing",
        ),
        (
            "slice by 0",
            node("Slice", &["x", "0", "7", "-1", "0"], &[]),
            "step is 0",
        ),
        (
            "slice backwards",
            node("Slice", &["x", "7", "0", "-1", "-1"], &[]),
            "step is -1",
        ),
        (
            "slice uneven",
            node("Slice", &["x", "0", "7", "1 1"], &[]),
            "not equally many",
        ),
        (
            "sum along axis 7",
            node("ReduceSum", &["x", "7"], &[]),
            "axis 7",
        ),
        (
            "sum of axes as later",
            node("ReduceMean", &["x", "1"], &[]),
            "not where opset 17 has them",
        ),
    ]);
}

#[test]
fn numbers_are_sensible() {
    let pad = |pads: &str| node("Pad", &["x", pads], &[("mode", text("edge"))]);
    let normal = |variance: &str, attributes: &[(&str, Attribute)]| {
        node(
            "BatchNormalization",
            &["x", "unit", "unit", "unit", variance],
            attributes,
        )
    };
    refused(vec![
        ("pads negative", pad("negative pads"), "padding is -1"),
        (
            "pads large",
            pad("large pads"),
            "would be [1,1,60024,60032]",
        ),
        ("pads giant", pad("giant pads"), "padding is 1099511627776"),
        (
            "pads of two dimensions",
            pad("1 1"),
            "2 pads for 4 dimensions",
        ),
        (
            "mirror larger than the picture",
            node("Pad", &["x", "mirror pads"], &[("mode", text("reflect"))]),
            "mirrors 24 of 24",
        ),
        (
            "pad mode",
            node("Pad", &["x", "pads"], &[("mode", text("wrap"))]),
            "mode \"wrap\"",
        ),
        (
            "pad with two numbers",
            node("Pad", &["x", "pads", "two"], &[]),
            "single constant number",
        ),
        (
            "clip the wrong way",
            node("Clip", &["x", "one", "none"], &[]),
            "lower limit 1 is above its upper limit 0",
        ),
        (
            "clip by a list",
            node("Clip", &["x", "two"], &[]),
            "single constant numbers",
        ),
        (
            "variance negative",
            normal("minus", &[]),
            "variance is not positive",
        ),
        (
            "variances of other channels",
            normal("two", &[]),
            "is [2] for 1 channels",
        ),
        (
            "training",
            normal("unit", &[("training_mode", number(1))]),
            "training mode",
        ),
        (
            "dropout in training",
            node("Dropout", &["x", "one", "yes"], &[]),
            "training mode",
        ),
        (
            "cast to int64",
            node("Cast", &["x"], &[("to", number(7))]),
            "casts to int64",
        ),
        (
            "cast to float16",
            node("Cast", &["x"], &[("to", number(10))]),
            "casts to float16",
        ),
        (
            "constant without value",
            node("Constant", &[], &[]),
            "no tensor",
        ),
        (
            "matrices",
            node("MatMul", &["matrix", "matrix"], &[]),
            "5 columns by 3 rows",
        ),
        (
            "matrix by number",
            node("MatMul", &["x", "one"], &[]),
            "two dimensions or more",
        ),
        (
            "gemm of a frame",
            node("Gemm", &["x", "matrix"], &[]),
            "no matrix",
        ),
        (
            "gemm bias",
            node(
                "Gemm",
                &["matrix", "matrix", "two"],
                &[("transB", number(1))],
            ),
            "do not fit each other",
        ),
        (
            "gemm half transposed",
            node("Gemm", &["matrix", "matrix"], &[("transB", number(2))]),
            "neither 0 nor 1",
        ),
        (
            "sum of unlike",
            node("Add", &["x", "matrix"], &[]),
            "do not fit each other",
        ),
        (
            "slopes of unlike",
            node("PRelu", &["one", "matrix"], &[]),
            "its slope [3,5]",
        ),
    ]);
}
