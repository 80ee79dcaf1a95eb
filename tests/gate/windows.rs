use edge::model::onnx::Attribute;

use super::models::ints;
use super::node::{node, number, text};
use super::refused;

#[test]
fn windows_fit_their_pictures() {
    let conv = |name: &'static str, value| node("Conv", &["x", "w"], &[(name, value)]);
    let pool = |attributes: &[(&str, Attribute)]| {
        let kernel = [("kernel_shape", ints(&[2, 2]))];
        node("MaxPool", &["x"], &[&kernel[..], attributes].concat())
    };
    refused(vec![
        (
            "stride 0",
            conv("strides", ints(&[0, 1])),
            "strides is 0, and must be 1",
        ),
        (
            "stride negative",
            conv("strides", ints(&[1, -1])),
            "strides is -1",
        ),
        ("one stride", conv("strides", ints(&[1])), "needs 2 numbers"),
        (
            "stride of the wrong type",
            conv("strides", number(1)),
            "no list of whole numbers",
        ),
        (
            "dilation 0",
            conv("dilations", ints(&[1, 0])),
            "dilations is 0",
        ),
        (
            "dilation beyond the picture",
            conv("dilations", ints(&[12, 1])),
            "larger than the 24 pixels",
        ),
        (
            "dilation of 2^62",
            conv("dilations", ints(&[1 << 62, 1])),
            "dilations is",
        ),
        ("group 0", conv("group", number(0)), "group is 0"),
        ("group negative", conv("group", number(-1)), "group is -1"),
        (
            "group 4 of 1",
            conv("group", number(4)),
            "do not fit 1 channels",
        ),
        (
            "group does not divide",
            node("Conv", &["x", "w6"], &[("group", number(4))]),
            "do not fit",
        ),
        (
            "pads negative",
            conv("pads", ints(&[0, 0, -1, 0])),
            "pads is -1",
        ),
        (
            "pads giant",
            conv("pads", ints(&[1 << 40; 4])),
            "pads is 1099511627776",
        ),
        (
            "pads larger than the kernel",
            conv("pads", ints(&[4; 4])),
            "larger than its kernel",
        ),
        (
            "pads and auto_pad",
            node(
                "Conv",
                &["x", "w"],
                &[("auto_pad", text("SAME_UPPER")), ("pads", ints(&[1; 4]))],
            ),
            "auto_pad \"SAME_UPPER\"",
        ),
        (
            "auto_pad unknown",
            conv("auto_pad", text("MOST")),
            "auto_pad \"MOST\"",
        ),
        (
            "kernel of another shape",
            conv("kernel_shape", ints(&[5, 5])),
            "not that of its weights",
        ),
        (
            "kernel larger than the picture",
            node("Conv", &["x", "big"], &[]),
            "larger than the 24 pixels",
        ),
        (
            "channels of the weights",
            node("Conv", &["x", "w2"], &[]),
            "do not fit 1 channels",
        ),
        (
            "bias of another size",
            node("Conv", &["x", "w", "two"], &[]),
            "its bias [2]",
        ),
        (
            "weights of two dimensions",
            node("Conv", &["x", "matrix"], &[]),
            "four dimensions",
        ),
        (
            "conv of a matrix",
            node("Conv", &["matrix", "w"], &[]),
            "is not [1, channels, height, width]",
        ),
        (
            "pool without kernel",
            node("MaxPool", &["x"], &[]),
            "\"kernel_shape\"",
        ),
        (
            "pool of 0",
            node("MaxPool", &["x"], &[("kernel_shape", ints(&[0, 2]))]),
            "kernel_shape is 0",
        ),
        (
            "pool larger than the picture",
            node("MaxPool", &["x"], &[("kernel_shape", ints(&[2, 33]))]),
            "larger than the 32 pixels",
        ),
        (
            "pool of padding alone",
            pool(&[("pads", ints(&[2; 4]))]),
            "as large as its kernel",
        ),
        (
            "pool stride 0",
            pool(&[("strides", ints(&[0, 0]))]),
            "strides is 0",
        ),
        (
            "pool by columns",
            pool(&[("storage_order", number(1))]),
            "storage order",
        ),
        (
            "pool half up",
            pool(&[("ceil_mode", number(2))]),
            "neither 0 nor 1",
        ),
        (
            "global pool of a matrix",
            node("GlobalAveragePool", &["matrix"], &[]),
            "is not [1, channels",
        ),
    ]);
}
