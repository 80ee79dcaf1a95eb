//! The graph of a scene: from a repaired frame to its scores, step by step what `residual::assess` calculates in Rust.
//!
//! Input `frame` [n,1,24,32] in deg C; outputs `scores` [n,1+labels] (`anomaly` first), `map` [n,768] (score by
//! threshold), `index`, `delta_t`, `ratio`, `shift`, and the maps `R` and `E` behind them. Every attribute of a Conv is
//! written out, although they are the defaults: rten does not know the defaults. The same model gives the same bytes.

use super::{Attribute, Data, Dim, Element, Graph, encode, graph_digest};
use crate::frame::{COLUMNS, PIXELS, ROWS};
use crate::model::metadata::{self, Metadata};
use crate::model::residual::{
    BELIEVED, EXTRA_SHARE, HEAT_DOUBT, LARGEST_SHIFT, LOGIT_AT_LIMIT, SHAKE, STEEPNESS, STILLNESS,
};
use crate::model::smooth::elementary::{exp, single};
use crate::model::smooth::{BACKGROUND_RANK, ENVELOPE_SCALE, REACH, SIGMAS};
use crate::model::{Model, SCALES};

const P: i64 = length(PIXELS);
const H: i64 = length(ROWS);
const W: i64 = length(COLUMNS);

/// Side of the smoothing kernels.
const KERNEL: usize = 2 * REACH + 1;

/// The bytes of an ONNX file (opset 17, IR 8) that calculates what `residual::assess` does.
///
/// The model has at least one mode and one label.
pub fn write(model: &Model, metadata: &Metadata) -> Vec<u8> {
    let graph = graph(model);
    let mut entries = metadata.to_entries();
    entries.push((metadata::DIGEST.to_owned(), graph_digest(&graph)));
    encode(&graph, &entries)
}

fn graph(model: &Model) -> Graph {
    let mut scene = Scene {
        graph: Graph::new("thermal_watch_scene"),
    };
    scene.declare(model);
    scene.movement(model);
    scene.residual();
    scene.residual_map(model);
    scene.envelope_map(model);
    scene.scores(model);
    scene.graph
}

/// The graph so far; each step uses what the ones before it have named.
struct Scene {
    graph: Graph,
}

impl Scene {
    fn declare(&mut self, model: &Model) {
        let n = |sizes: &[i64]| {
            let named = std::iter::once(Dim::Named("n".to_owned()));
            named
                .chain(sizes.iter().map(|&size| Dim::Size(size)))
                .collect::<Vec<_>>()
        };
        let scores = length(model.labels.names.len()) + 1;
        self.graph = std::mem::take(&mut self.graph)
            .input("frame", Element::Float, &n(&[1, H, W]))
            .output("scores", Element::Float, &n(&[scores]))
            .output("map", Element::Float, &n(&[P]))
            .output("index", Element::Int64, &n(&[1]))
            .output("delta_t", Element::Float, &n(&[1]))
            .output("ratio", Element::Float, &n(&[1]))
            .output("shift", Element::Float, &n(&[2]))
            .output("R", Element::Float, &n(&[P]))
            .output("E", Element::Float, &n(&[P]));
    }

    /// How far the camera moved: what the modes do not explain, against the gradients of what they do.
    fn movement(&mut self, model: &Model) {
        let modes = model.k + 1;
        let transposed = (0..modes)
            .flat_map(|mode| (0..PIXELS).map(move |pixel| (pixel, mode)))
            .map(|(pixel, mode)| model.basis[pixel * modes + mode])
            .collect();
        self.ints("axis", &[1]);
        self.ints("flat", &[-1, P]);
        self.floats("mean", &[1, P], model.mean.clone());
        self.floats("basis", &[P, length(modes)], model.basis.clone());
        self.floats("basis_transposed", &[length(modes), P], transposed);
        self.op("Reshape", &["frame", "flat"], "Z");
        self.op("Sub", &["Z", "mean"], "D0");
        self.op("MatMul", &["D0", "basis"], "c0");
        self.op("MatMul", &["c0", "basis_transposed"], "X0");
        self.op("Sub", &["D0", "X0"], "R0");
        self.op("Add", &["X0", "mean"], "T0");
        self.gradients();

        let sigma = |with: fn(f32) -> f32| model.sigma.iter().map(|&sigma| with(sigma)).collect();
        self.floats("low", &[1, P], sigma(|sigma| -single(BELIEVED) * sigma));
        self.floats("high", &[1, P], sigma(|sigma| single(BELIEVED) * sigma));
        self.floats("weight", &[1, P], sigma(|sigma| 1.0 / (sigma * sigma)));
        self.floats("prior", &[1, 1], vec![single(STILLNESS)]);
        self.op("Max", &["R0", "low"], "R0_low");
        self.op("Min", &["R0_low", "high"], "R0_clipped");
        self.op("Mul", &["gy", "weight"], "wgy");
        self.op("Mul", &["gx", "weight"], "wgx");
        self.dot("wgy", "gy", "a0");
        self.op("Add", &["a0", "prior"], "a");
        self.dot("wgy", "gx", "b");
        self.dot("wgx", "gx", "d0");
        self.op("Add", &["d0", "prior"], "d");
        self.dot("wgy", "R0_clipped", "u");
        self.dot("wgx", "R0_clipped", "v");

        // The solution of two equations by Cramer's rule.
        self.difference_of_products(["a", "d"], ["b", "b"], "det_free");
        // In exact arithmetic it is never smaller; in f32 it could be lost, and 0 / 0 be the answer.
        self.number("det_least", single(STILLNESS * STILLNESS));
        self.op("Max", &["det_free", "det_least"], "det");
        self.difference_of_products(["d", "u"], ["b", "v"], "dy_det");
        self.difference_of_products(["a", "v"], ["b", "u"], "dx_det");
        self.number("shift_low", -single(LARGEST_SHIFT));
        self.number("shift_high", single(LARGEST_SHIFT));
        for direction in ["dy", "dx"] {
            self.op(
                "Div",
                &[&format!("{direction}_det"), "det"],
                &format!("{direction}_free"),
            );
            self.op(
                "Clip",
                &[&format!("{direction}_free"), "shift_low", "shift_high"],
                direction,
            );
        }
        self.with("Concat", &["dy", "dx"], &["shift"], &[("axis", int(1))]);
    }

    /// Central differences of `T0`, with its edges drawn out by a pixel.
    fn gradients(&mut self) {
        let mut kernels = [0.0; 2 * 9];
        (kernels[7], kernels[1]) = (0.5, -0.5);
        (kernels[9 + 5], kernels[9 + 3]) = (0.5, -0.5);
        self.ints("image", &[-1, 1, H, W]);
        self.ints("margin_1", &[0, 0, 1, 1, 0, 0, 1, 1]);
        self.ints("two_maps", &[-1, 2, P]);
        self.floats("gradient_kernels", &[2, 1, 3, 3], kernels.to_vec());
        self.op("Reshape", &["T0", "image"], "T0_image");
        self.pad("T0_image", "margin_1", "T0_padded");
        self.convolve("T0_padded", "gradient_kernels", "gradient_images");
        self.op("Reshape", &["gradient_images", "two_maps"], "gradients");
        self.with(
            "Split",
            &["gradients"],
            &["gy_1", "gx_1"],
            &[("axis", int(1))],
        );
        self.op("Squeeze", &["gy_1", "axis"], "gy");
        self.op("Squeeze", &["gx_1", "axis"], "gx");
    }

    /// What neither the movement nor the modes explain, and the variance that edges and heat bring.
    fn residual(&mut self) {
        self.op("Mul", &["dy", "gy"], "moved_y");
        self.op("Mul", &["dx", "gx"], "moved_x");
        self.op("Sub", &["D0", "moved_y"], "D1");
        self.op("Sub", &["D1", "moved_x"], "D");
        self.op("MatMul", &["D", "basis"], "c");
        self.op("MatMul", &["c", "basis_transposed"], "X");
        self.op("Sub", &["D", "X"], "R");
        self.op("Add", &["X", "mean"], "T");

        self.ints("background_count", &[length(BACKGROUND_RANK) + 1]);
        self.ints("background_last", &[length(BACKGROUND_RANK)]);
        self.number("heat_noise", single(HEAT_DOUBT));
        self.number("edge_noise", single(SHAKE * SHAKE));
        self.background("T");
        self.op("Sub", &["T", "T_background"], "height");
        self.op("Mul", &["height", "heat_noise"], "heat");
        self.op("Mul", &["heat", "heat"], "heat_variance");
        self.op("Mul", &["gy", "gy"], "gy_squared");
        self.op("Mul", &["gx", "gx"], "gx_squared");
        self.op("Add", &["gy_squared", "gx_squared"], "slope");
        self.op("Mul", &["slope", "edge_noise"], "edge_variance");
        self.op("Add", &["edge_variance", "heat_variance"], "extra");
    }

    /// The residual at each scale, in multiples of its noise; the worst of them by its threshold.
    fn residual_map(&mut self, model: &Model) {
        let scales = length(SCALES);
        self.ints("margin_3", &margin(length(REACH)));
        self.ints("scale_maps", &[-1, scales, P]);
        let kernels = SIGMAS.iter().flat_map(|&sigma| kernel(sigma)).collect();
        let side = length(KERNEL);
        self.floats("smoothing_kernels", &[scales, 1, side, side], kernels);
        self.floats(
            "extra_by_scale",
            &[1, scales, 1],
            EXTRA_SHARE.map(single).to_vec(),
        );
        self.floats("variance", &[1, scales, P], model.variance.concat());
        self.number(
            "residual_threshold",
            single(model.residual_threshold.clamped),
        );
        self.op("Reshape", &["R", "image"], "R_image");
        self.pad("R_image", "margin_3", "R_padded");
        self.convolve("R_padded", "smoothing_kernels", "S_images");
        self.op("Reshape", &["S_images", "scale_maps"], "S");
        self.op("Unsqueeze", &["extra", "axis"], "extra_1");
        self.op("Mul", &["extra_1", "extra_by_scale"], "extra_scaled");
        self.op("Add", &["extra_scaled", "variance"], "variance_here");
        self.op("Sqrt", &["variance_here"], "noise");
        self.op("Div", &["S", "noise"], "z");
        self.op("Abs", &["z"], "z_absolute");
        let attributes = [("axes", Attribute::Ints(vec![1])), ("keepdims", int(0))];
        self.with("ReduceMax", &["z_absolute"], &["z_worst"], &attributes);
        self.op("Div", &["z_worst", "residual_threshold"], "residual_ratio");
    }

    /// How far each place is beyond the hottest it ever was, both as it is and above the frame's background.
    fn envelope_map(&mut self, model: &Model) {
        let side = length(KERNEL);
        let kernel = kernel(SIGMAS[ENVELOPE_SCALE]);
        self.floats("envelope_kernel", &[1, 1, side, side], kernel);
        self.floats("hottest", &[1, P], model.hottest.clone());
        self.floats("hottest_rise", &[1, P], model.hottest_rise.clone());
        self.number(
            "envelope_threshold",
            single(model.envelope_threshold.clamped),
        );
        self.op("Reshape", &["Z", "image"], "Z_image");
        self.pad("Z_image", "margin_3", "Z_padded");
        self.convolve("Z_padded", "envelope_kernel", "A_image");
        self.op("Reshape", &["A_image", "flat"], "A");
        self.background("Z");
        self.op("Sub", &["A", "hottest"], "excess");
        self.op("Sub", &["A", "Z_background"], "rise");
        self.op("Sub", &["rise", "hottest_rise"], "rise_excess");
        self.op("Min", &["excess", "rise_excess"], "E");
        self.op("Div", &["E", "envelope_threshold"], "envelope_ratio");
        self.op("Max", &["residual_ratio", "envelope_ratio"], "map");
    }

    fn scores(&mut self, model: &Model) {
        let (k, labels) = (length(model.k), length(model.labels.names.len()));
        self.number("steepness", single(STEEPNESS));
        self.number("offset", single(LOGIT_AT_LIMIT - STEEPNESS));
        self.ints("first_mode", &[1]);
        self.ints("after_modes", &[k + 1]);
        self.floats("label_weights", &[k, labels], model.labels.weights.clone());
        self.floats("label_bias", &[labels], model.labels.bias.clone());
        self.number("one", 1.0);
        let axis = |keep: i64| [("axes", Attribute::Ints(vec![1])), ("keepdims", int(keep))];
        self.with("ReduceMax", &["map"], &["ratio"], &axis(1));
        let attributes = [("axis", int(1)), ("keepdims", int(1))];
        self.with("ArgMax", &["map"], &["index"], &attributes);
        self.with(
            "GatherElements",
            &["R", "index"],
            &["delta_t"],
            &[("axis", int(1))],
        );
        self.op("Mul", &["ratio", "steepness"], "steep");
        self.op("Add", &["steep", "offset"], "logit");
        self.op("Sigmoid", &["logit"], "anomaly");
        self.op(
            "Slice",
            &["c", "first_mode", "after_modes", "axis"],
            "features",
        );
        self.op(
            "Gemm",
            &["features", "label_weights", "label_bias"],
            "label_logits",
        );
        self.with(
            "Softmax",
            &["label_logits"],
            &["labels"],
            &[("axis", int(1))],
        );
        self.op("Sub", &["one", "anomaly"], "normal");
        self.op("Mul", &["labels", "normal"], "labels_scaled");
        self.with(
            "Concat",
            &["anomaly", "labels_scaled"],
            &["scores"],
            &[("axis", int(1))],
        );
    }

    /// The background of a frame: its pixel of a fixed rank.
    fn background(&mut self, of: &str) {
        let (ranked, places) = (format!("{of}_ranked"), format!("{of}_places"));
        let attributes = [("axis", int(1)), ("largest", int(0)), ("sorted", int(1))];
        self.with(
            "TopK",
            &[of, "background_count"],
            &[&ranked, &places],
            &attributes,
        );
        let output = format!("{of}_background");
        self.with(
            "Gather",
            &[&ranked, "background_last"],
            &[&output],
            &[("axis", int(1))],
        );
    }

    fn dot(&mut self, left: &str, right: &str, output: &str) {
        let products = format!("{output}_products");
        self.op("Mul", &[left, right], &products);
        self.with(
            "ReduceSum",
            &[&products, "axis"],
            &[output],
            &[("keepdims", int(1))],
        );
    }

    fn difference_of_products(&mut self, plus: [&str; 2], minus: [&str; 2], output: &str) {
        let (left, right) = (format!("{output}_plus"), format!("{output}_minus"));
        self.op("Mul", &plus, &left);
        self.op("Mul", &minus, &right);
        self.op("Sub", &[&left, &right], output);
    }

    fn pad(&mut self, input: &str, margin: &str, output: &str) {
        let mode = Attribute::Text("edge".to_owned());
        self.with("Pad", &[input, margin], &[output], &[("mode", mode)]);
    }

    fn convolve(&mut self, input: &str, kernels: &str, output: &str) {
        let attributes = [
            ("strides", Attribute::Ints(vec![1, 1])),
            ("pads", Attribute::Ints(vec![0; 4])),
            ("dilations", Attribute::Ints(vec![1, 1])),
            ("group", int(1)),
        ];
        self.with("Conv", &[input, kernels], &[output], &attributes);
    }

    fn op(&mut self, operator: &str, inputs: &[&str], output: &str) {
        self.with(operator, inputs, &[output], &[]);
    }

    fn with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        self.graph = std::mem::take(&mut self.graph).node(operator, inputs, outputs, attributes);
    }

    fn ints(&mut self, name: &str, values: &[i64]) {
        let data = Data::Int64(values.to_vec());
        self.graph =
            std::mem::take(&mut self.graph).initializer(name, &[length(values.len())], data);
    }

    fn floats(&mut self, name: &str, dims: &[i64], values: Vec<f32>) {
        self.graph = std::mem::take(&mut self.graph).initializer(name, dims, Data::Float(values));
    }

    fn number(&mut self, name: &str, value: f32) {
        self.floats(name, &[], vec![value]);
    }
}

#[expect(clippy::cast_possible_wrap, reason = "sizes of the order of a frame")]
const fn length(count: usize) -> i64 {
    count as i64
}

fn int(value: i64) -> Attribute {
    Attribute::Int(value)
}

/// For Pad, on a frame's rows and columns.
fn margin(pixels: i64) -> [i64; 8] {
    [0, 0, pixels, pixels, 0, 0, pixels, pixels]
}

/// A Gaussian of 7 x 7 that sums to 1; of sigma 0, the pixel alone.
fn kernel(sigma: f64) -> Vec<f32> {
    let row = [-3.0_f64, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0].map(|distance| match sigma {
        0.0 => f64::from(u8::from(distance == 0.0)),
        sigma => exp(-distance * distance / (2.0 * sigma * sigma)),
    });
    let sum: f64 = row.iter().sum::<f64>().powi(2);
    row.iter()
        .flat_map(|&vertical| row.iter().map(move |&across| vertical * across))
        .map(|weight| single(weight / sum))
        .collect()
}

#[cfg(test)]
mod tests;
