//! Operators that order the same numbers differently, put together, take apart and pad.

use anyhow::{Context as _, Result, bail, ensure};

use super::super::shapes::shown;
use super::{Call, Outcome, Value, axes, axis, size};

/// Tensors of more dimensions are no classifier's.
const MOST_DIMS: usize = 8;

pub fn reshape<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let target = call.constant(1, "its target shape")?;
    ensure!(
        target.len() <= MOST_DIMS,
        "its target has {} dimensions",
        target.len()
    );
    ensure!(
        !call.flag("allowzero", false)? || !target.contains(&0),
        "its target {target:?} has no elements"
    );
    let mut dims = Vec::with_capacity(target.len());
    let mut open = None;
    for (index, &wanted) in target.iter().enumerate() {
        dims.push(match wanted {
            0 => *input.dims.get(index).with_context(|| {
                format!("its target {target:?} copies a size that is not there")
            })?,
            -1 => {
                ensure!(
                    open.is_none(),
                    "its target {target:?} leaves two sizes open"
                );
                open = Some(index);
                1
            }
            1.. => wanted.unsigned_abs(),
            _ => bail!("its target {target:?} has a negative size"),
        });
    }
    let known = dims
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size));
    let elements = input.elements();
    let fits = match (known, open) {
        (Some(known), Some(index)) if elements.is_multiple_of(known) => {
            dims[index] = elements / known;
            true
        }
        (Some(known), None) => known == elements,
        _ => false,
    };
    ensure!(
        fits,
        "its target {target:?} does not fit {elements} elements"
    );
    Ok(Outcome::one(Value::of_type(input.element, dims), elements))
}

pub fn flatten<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let rank = input.dims.len();
    let place = call.int("axis", 1)?;
    let split = if usize::try_from(place) == Ok(rank) {
        rank
    } else {
        axis(place, rank)?
    };
    let (outer, inner) = input.dims.split_at(split);
    let dims = vec![outer.iter().product(), inner.iter().product()];
    Ok(Outcome::one(
        Value::of_type(input.element, dims),
        input.elements(),
    ))
}

pub fn transpose<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let rank = input.dims.len();
    let order = match call.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(order) => {
            let named = order.iter().map(|&place| usize::try_from(place));
            let named: Vec<usize> = named
                .collect::<Result<_, _>>()
                .context("its order is negative")?;
            let mut sorted = named.clone();
            sorted.sort_unstable();
            ensure!(
                sorted.into_iter().eq(0..rank),
                "its order {order:?} is none of {rank} dimensions"
            );
            named
        }
    };
    let dims = order.into_iter().map(|place| input.dims[place]).collect();
    Ok(Outcome::one(
        Value::of_type(input.element, dims),
        input.elements(),
    ))
}

pub fn squeeze<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let axes = axes(&call.constant(1, "its axes")?, input.dims.len())?;
    let mut dims = input.dims.clone();
    for &axis in axes.iter().rev() {
        ensure!(dims.remove(axis) == 1, "its axis {axis} is not of size 1");
    }
    Ok(Outcome::one(
        Value::of_type(input.element, dims),
        input.elements(),
    ))
}

pub fn unsqueeze<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let places = call.constant(1, "its axes")?;
    let rank = input.dims.len() + places.len();
    ensure!(rank <= MOST_DIMS, "its result has {rank} dimensions");
    let mut dims = input.dims.clone();
    for axis in axes(&places, rank)? {
        dims.insert(axis, 1);
    }
    Ok(Outcome::one(
        Value::of_type(input.element, dims),
        input.elements(),
    ))
}

pub fn concat<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let first = call.input(0)?;
    call.attribute("axis")
        .context("it does not say along which axis")?;
    let axis = axis(call.int("axis", 0)?, first.dims.len())?;
    let mut dims = first.dims.clone();
    for index in 1..call.inputs.len() {
        let next = call.input(index)?;
        let fits = next.element == first.element
            && next.dims.len() == dims.len()
            && (0..dims.len()).all(|place| place == axis || next.dims[place] == dims[place]);
        ensure!(
            fits,
            "its input {index}, {}, does not fit the first",
            shown(&next.dims)
        );
        dims[axis] = dims[axis].saturating_add(next.dims[axis]);
    }
    let output = Value::of_type(first.element, dims);
    let work = output.elements();
    Ok(Outcome::one(output, work))
}

pub fn split<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let axis = axis(call.int("axis", 0)?, input.dims.len())?;
    let (whole, parts) = (input.dims[axis], call.node.outputs.len() as u64);
    let claimed = call.int("num_outputs", i64::try_from(parts)?)?;
    ensure!(
        u64::try_from(claimed) == Ok(parts),
        "it has {parts} outputs, but says {claimed}"
    );
    let sizes = if call.optional(1).is_some() {
        let sizes = call.constant(1, "its split")?;
        sizes
            .iter()
            .map(|&part| size(part, 1, "split"))
            .collect::<Result<Vec<_>>>()?
    } else {
        ensure!(
            parts > 0 && whole.is_multiple_of(parts),
            "{whole} cannot be split into {parts} equal parts: give the sizes"
        );
        vec![whole / parts; call.node.outputs.len()]
    };
    ensure!(
        sizes.len() as u64 == parts && sizes.iter().sum::<u64>() == whole,
        "its parts {sizes:?} are not {whole} in {parts} outputs"
    );
    let outputs = sizes.into_iter().map(|part| {
        let mut dims = input.dims.clone();
        dims[axis] = part;
        Value::of_type(input.element, dims)
    });
    Ok(Outcome {
        outputs: outputs.collect(),
        work: input.elements(),
        workspace: 0,
    })
}

pub fn pad<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    let rank = input.dims.len();
    let pads = call.constant(1, "its pads")?;
    ensure!(
        pads.len() == 2 * rank,
        "it has {} pads for {rank} dimensions",
        pads.len()
    );
    ensure!(
        call.optional(3).is_none(),
        "its axes are not supported: pad all dimensions"
    );
    if call.optional(2).is_some() {
        let filling = call.float(2)?;
        ensure!(
            filling.floats().is_some_and(|numbers| numbers.len() == 1),
            "its filling is not a single constant number"
        );
    }
    let mode = call.text("mode", "constant")?;
    let mut dims = input.dims.clone();
    let mut elements = 1_u64;
    for (place, length) in dims.iter_mut().enumerate() {
        let [before, after] = [pads[place], pads[place + rank]].map(|pad| size(pad, 0, "padding"));
        let (before, after) = (before?, after?);
        match mode {
            "constant" | "edge" => {}
            // A mirror shows each pixel once at most, and not the one at the edge.
            "reflect" => ensure!(
                before < *length && after < *length,
                "it mirrors {} of {length} elements",
                before.max(after)
            ),
            other => bail!("its mode {other:?} is not supported"),
        }
        *length += before + after;
        elements = elements.saturating_mul(*length);
    }
    Ok(Outcome::one(Value::float(dims), elements))
}
