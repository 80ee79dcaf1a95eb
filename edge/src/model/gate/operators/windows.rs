//! Convolution and pooling over rows and columns.

use anyhow::{Result, bail, ensure};

use super::super::shapes::shown;
use super::{Call, Outcome, Value, size};

pub fn conv<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let image = image(call)?;
    let [filters, depth, height, width] = call.float(1)?.dims[..] else {
        bail!("its weights must have four dimensions");
    };
    let group = size(call.int("group", 1)?, 1, "group")?;
    ensure!(
        image.channels == depth * group && filters % group == 0,
        "its weights and group {group} do not fit {} channels",
        image.channels
    );
    if call.optional(2).is_some() {
        let bias = &call.float(2)?.dims;
        ensure!(
            *bias == [filters],
            "its bias {} does not fit {filters} filters",
            shown(bias)
        );
    }
    let window = Window::of(call, Some([height, width]))?;
    let [rows, columns] = window.slide(&image)?;
    ensure!(
        (0..4).all(|side| window.pads[side] <= window.extent(side % 2)),
        "its pads {:?} are larger than its kernel",
        window.pads
    );
    let places = rows.saturating_mul(columns);
    let weights = depth * height * width;
    let workspace = weights.saturating_mul(places);
    Ok(Outcome {
        outputs: vec![Value::float(vec![1, filters, rows, columns])],
        work: workspace.saturating_mul(filters),
        workspace,
    })
}

pub fn pool<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let image = image(call)?;
    let average = call.node.operator == "AveragePool";
    ensure!(
        !call.flag("storage_order", false)?,
        "its storage order is not supported"
    );
    ensure!(
        !call.flag("count_include_pad", false)? || average,
        "its attribute \"count_include_pad\" is not supported"
    );
    ensure!(
        !average || call.opset >= 19 || call.ints("dilations")?.is_none(),
        "its attribute \"dilations\" is not supported before opset 19"
    );
    let window = Window::of(call, None)?;
    let [rows, columns] = window.slide(&image)?;
    // A window that lies in the padding altogether has no largest value and no mean.
    ensure!(
        (0..4).all(|side| window.pads[side] < window.kernel[side % 2]),
        "its pads {:?} are as large as its kernel",
        window.pads
    );
    let output = Value::float(vec![1, image.channels, rows, columns]);
    let kernel = window.kernel[0] * window.kernel[1];
    let places = image.channels.saturating_mul(rows).saturating_mul(columns);
    Ok(Outcome::one(output, places.saturating_mul(kernel)))
}

pub fn global_pool<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let image = image(call)?;
    let work = call.float(0)?.elements();
    Ok(Outcome::one(
        Value::float(vec![1, image.channels, 1, 1]),
        work,
    ))
}

struct Image {
    channels: u64,
    sides: [u64; 2],
}

fn image(call: &Call<'_>) -> Result<Image> {
    let dims = &call.float(0)?.dims;
    let [1, channels, height, width] = dims[..] else {
        bail!(
            "its input {} is not [1, channels, height, width]",
            shown(dims)
        );
    };
    Ok(Image {
        channels,
        sides: [height, width],
    })
}

#[derive(PartialEq, Eq)]
enum Padding {
    Given,
    /// As much as keeps the size, before strides.
    Same,
}

/// By rows, then columns.
struct Window {
    kernel: [u64; 2],
    strides: [u64; 2],
    dilations: [u64; 2],
    /// Top, left, bottom, right.
    pads: [u64; 4],
    padding: Padding,
    ceil: bool,
}

impl Window {
    /// `weights` are the kernel's sides where the weights give them.
    fn of(call: &Call<'_>, weights: Option<[u64; 2]>) -> Result<Self> {
        let given = call.attribute("kernel_shape").is_some();
        let kernel = match weights {
            Some(weights) => weights,
            None => list(call, "kernel_shape", None, 1)?,
        };
        ensure!(
            !given || list::<2>(call, "kernel_shape", None, 1)? == kernel,
            "its kernel shape is not that of its weights"
        );
        let pads = list(call, "pads", Some(0), 0)?;
        let padding = match call.text("auto_pad", "NOTSET")? {
            "NOTSET" => Padding::Given,
            "VALID" if pads == [0; 4] => Padding::Given,
            "SAME_UPPER" | "SAME_LOWER" if pads == [0; 4] => Padding::Same,
            other => bail!("its auto_pad {other:?} with the pads {pads:?} is not supported"),
        };
        Ok(Self {
            kernel,
            strides: list(call, "strides", Some(1), 1)?,
            dilations: list(call, "dilations", Some(1), 1)?,
            pads,
            padding,
            ceil: call.flag("ceil_mode", false)?,
        })
    }

    /// How many pixels the kernel spans.
    fn extent(&self, side: usize) -> u64 {
        (self.kernel[side] - 1) * self.dilations[side] + 1
    }

    /// In how many places it stands.
    fn slide(&self, image: &Image) -> Result<[u64; 2]> {
        Ok([self.places(image, 0)?, self.places(image, 1)?])
    }

    fn places(&self, image: &Image, side: usize) -> Result<u64> {
        let (length, stride) = (image.sides[side], self.strides[side]);
        if self.padding == Padding::Same {
            return Ok(length.div_ceil(stride));
        }
        let padded = length + self.pads[side] + self.pads[side + 2];
        let Some(room) = padded.checked_sub(self.extent(side)) else {
            bail!(
                "its kernel of {} pixels is larger than the {padded} pixels of its padded input",
                self.extent(side)
            );
        };
        if !self.ceil {
            return Ok(1 + room / stride);
        }
        let places = 1 + room.div_ceil(stride);
        // A last window must not begin in the padding behind the picture.
        let beyond = (places - 1) * stride >= length + self.pads[side];
        Ok(places - u64::from(beyond))
    }
}

fn list<const N: usize>(
    call: &Call<'_>,
    name: &str,
    default: Option<u64>,
    least: i64,
) -> Result<[u64; N]> {
    match (call.ints(name)?, default) {
        (None, Some(default)) => Ok([default; N]),
        (Some(values), _) if values.len() == N => {
            let mut sizes = [0; N];
            for (to, &value) in sizes.iter_mut().zip(values) {
                *to = size(value, least, name)?;
            }
            Ok(sizes)
        }
        (values, _) => bail!("its attribute {name:?} is {values:?}, and needs {N} numbers"),
    }
}
