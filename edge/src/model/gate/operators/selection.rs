//! Operators that pick from a tensor, or sum it up.

use anyhow::{Context as _, Result, bail, ensure};

use super::super::shapes::shown;
use super::{Call, Outcome, Value, axes, axis, size};
use crate::model::onnx::{Data, Element};

/// Sorting takes longer than looking.
const SORT_WORK: u64 = 32;

pub fn reduce<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    let keep = call.flag("keepdims", true)?;
    ensure!(
        !call.flag("noop_with_empty_axes", false)?,
        "its attribute \"noop_with_empty_axes\" is not supported"
    );
    // ReduceSum took its axes as an input long before the others did.
    let as_input = call.node.operator == "ReduceSum" || call.opset >= 18;
    let listed = call.ints("axes")?;
    ensure!(
        !(as_input && listed.is_some()) && (as_input || call.inputs.len() == 1),
        "its axes are not where opset {} has them",
        call.opset
    );
    let rank = input.dims.len();
    let places = if call.optional(1).is_some() {
        axes(&call.constant(1, "its axes")?, rank)?
    } else if let Some(listed) = listed {
        axes(listed, rank)?
    } else {
        (0..rank).collect()
    };
    let mut dims = input.dims.clone();
    for &place in places.iter().rev() {
        if keep {
            dims[place] = 1;
        } else {
            dims.remove(place);
        }
    }
    Ok(Outcome::one(Value::float(dims), input.elements()))
}

pub fn arg_max<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    let axis = axis(call.int("axis", 0)?, input.dims.len())?;
    call.flag("select_last_index", false)?;
    let mut dims = input.dims.clone();
    if call.flag("keepdims", true)? {
        dims[axis] = 1;
    } else {
        dims.remove(axis);
    }
    Ok(Outcome::one(
        Value::of_type(Element::Int64, dims),
        input.elements(),
    ))
}

pub fn top_k<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    let axis = axis(call.int("axis", -1)?, input.dims.len())?;
    for name in ["largest", "sorted"] {
        call.flag(name, true)?;
    }
    let [count] = call.constant(1, "its k")?[..] else {
        bail!("its k is not a single number");
    };
    let whole = input.dims[axis];
    let mut dims = input.dims.clone();
    dims[axis] = u64::try_from(count)
        .ok()
        .filter(|count| (1..=whole).contains(count))
        .with_context(|| format!("its k is {count}, of {whole} elements"))?;
    Ok(Outcome {
        outputs: vec![
            Value::float(dims.clone()),
            Value::of_type(Element::Int64, dims),
        ],
        work: SORT_WORK * input.elements(),
        workspace: 2 * input.elements(),
    })
}

pub fn gather<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let (input, places) = (call.input(0)?, call.input(1)?);
    let axis = axis(call.int("axis", 0)?, input.dims.len())?;
    let whole = i64::try_from(input.dims[axis])?;
    let good = |place: i64| (-whole..whole).contains(&place);
    let good = match places.constant.map(|tensor| &tensor.data) {
        Some(Data::Int64(values)) => values.iter().all(|&place| good(place)),
        Some(Data::Int32(values)) => values.iter().all(|&place| good(place.into())),
        Some(_) => bail!("its places are {}, not int64", places.element),
        None => bail!("its places are calculated at run time: fold the constants"),
    };
    ensure!(good, "it picks places outside of {whole} elements");
    let rank = input.dims.len() - 1 + places.dims.len();
    ensure!(rank <= 8, "its result has {rank} dimensions");
    let mut dims = input.dims.clone();
    dims.splice(axis..=axis, places.dims.iter().copied());
    let elements = dims
        .iter()
        .fold(1, |product: u64, &size| product.saturating_mul(size));
    Ok(Outcome::one(Value::of_type(input.element, dims), elements))
}

/// Whether the places lie within is for the runtime to see: they come from the frame.
pub fn gather_elements<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let (input, places) = (call.input(0)?, call.input(1)?);
    let axis = axis(call.int("axis", 0)?, input.dims.len())?;
    ensure!(
        places.element == Element::Int64,
        "its places are {}, not int64",
        places.element
    );
    let fits = places.dims.len() == input.dims.len()
        && (0..input.dims.len())
            .all(|place| place == axis || places.dims[place] <= input.dims[place]);
    ensure!(fits, "its places {} do not fit", shown(&places.dims));
    let dims = places.dims.clone();
    Ok(Outcome::one(
        Value::of_type(input.element, dims),
        places.elements(),
    ))
}

pub fn slice<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let (starts, ends) = (
        call.constant(1, "its starts")?,
        call.constant(2, "its ends")?,
    );
    let rank = input.dims.len();
    let places = if call.optional(3).is_some() {
        call.constant(3, "its axes")?
    } else {
        (0_i64..).take(starts.len()).collect()
    };
    let steps = if call.optional(4).is_some() {
        call.constant(4, "its steps")?
    } else {
        vec![1; starts.len()]
    };
    ensure!(
        starts.len() == ends.len() && starts.len() == places.len() && starts.len() == steps.len(),
        "its starts, ends, axes and steps are not equally many"
    );
    axes(&places, rank)?;
    let mut dims = input.dims.clone();
    for (index, &place) in places.iter().enumerate() {
        let place = axis(place, rank)?;
        let whole = i64::try_from(dims[place])?;
        let bound = |value: i64| {
            let value = if value < 0 {
                value.saturating_add(whole)
            } else {
                value
            };
            value.clamp(0, whole)
        };
        let (start, end) = (bound(starts[index]), bound(ends[index]));
        // Counted backwards, ends mean something else; no exporter of classifiers needs that.
        let step = size(steps[index], 1, "step")?;
        ensure!(
            start < end,
            "it takes nothing of {whole} elements ({start} to {end})"
        );
        dims[place] = (end - start).unsigned_abs().div_ceil(step);
    }
    let output = Value::of_type(input.element, dims);
    let work = output.elements();
    Ok(Outcome::one(output, work))
}
