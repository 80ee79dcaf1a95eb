//! Operators that treat each element for itself, and those that pass a value on.

use anyhow::{Context as _, Result, bail, ensure};

use super::super::shapes::shown;
use super::{Call, Outcome, Value, axis};
use crate::model::onnx::{Attribute, Data, Element};

/// Exponentials take longer than a multiplication.
const FUNCTION_WORK: u64 = 8;

pub fn unary<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    for name in ["alpha", "beta"] {
        call.number(name, 0.0)?;
    }
    let input = call.float(0)?;
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        FUNCTION_WORK * input.elements(),
    ))
}

pub fn broadcast<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let mut dims = call.float(0)?.dims.clone();
    for index in 1..call.inputs.len() {
        dims = broadcast_dims(&dims, &call.float(index)?.dims)?;
    }
    let output = Value::float(dims);
    let inputs = call.inputs.len() as u64;
    let work = elements_within_reason(&output)? * inputs;
    Ok(Outcome::one(output, work))
}

pub fn p_relu<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let (input, slope) = (call.float(0)?, call.float(1)?);
    ensure!(
        broadcast_dims(&input.dims, &slope.dims)? == input.dims,
        "its slope {} does not fit",
        shown(&slope.dims)
    );
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        input.elements(),
    ))
}

pub fn softmax<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    axis(call.int("axis", -1)?, input.dims.len())?;
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        FUNCTION_WORK * input.elements(),
    ))
}

pub fn clip<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    let limit = |index| {
        if call.optional(index).is_none() {
            return Ok(None);
        }
        let value = call.float(index)?;
        match value.floats() {
            Some(&[limit]) if value.dims.is_empty() => Ok(Some(limit)),
            _ => bail!("its limits must be single constant numbers: fold the constants"),
        }
    };
    if let (Some(low), Some(high)) = (limit(1)?, limit(2)?) {
        ensure!(
            low <= high,
            "its lower limit {low} is above its upper limit {high}"
        );
    }
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        input.elements(),
    ))
}

pub fn batch_normalization<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    ensure!(
        !call.flag("training_mode", false)?,
        "it is in training mode: export the model for inference"
    );
    call.number("momentum", 0.9)?;
    let epsilon = call.number("epsilon", 1e-5)?;
    ensure!(epsilon >= 0.0, "its epsilon {epsilon} is negative");
    let channels = *input.dims.get(1).context("its input has no channels")?;
    for index in 1..5 {
        let numbers = call.float(index)?;
        ensure!(
            numbers.dims == [channels],
            "its input {index} is {} for {channels} channels",
            shown(&numbers.dims)
        );
    }
    let variance = call.float(4)?.floats();
    let variance = variance.context("its variance is calculated at run time")?;
    ensure!(
        variance.iter().all(|&variance| variance + epsilon > 0.0),
        "its variance is not positive: train or export the model again"
    );
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        2 * input.elements(),
    ))
}

pub fn dropout<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.float(0)?;
    call.int("seed", 0)?;
    if call.optional(1).is_some() {
        call.float(1)?;
    }
    if let Some(training) = call.optional(2) {
        let data = training.constant.map(|tensor| &tensor.data);
        ensure!(
            matches!(data, Some(Data::Bool(values)) if values[..] == [false]),
            "it is in training mode: export the model for inference"
        );
    }
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        input.elements(),
    ))
}

pub fn cast<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    let to = Element::from_code(call.int("to", 0)?);
    call.int("saturate", 1)?;
    ensure!(
        to == Element::Float,
        "it casts to {to}: only casts to float32 are supported"
    );
    Ok(Outcome::one(
        Value::float(input.dims.clone()),
        input.elements(),
    ))
}

/// Exporters write it where one constant is used twice.
pub fn identity<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let input = call.input(0)?;
    Ok(Outcome::one(input.clone(), input.elements()))
}

pub fn constant<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    match call.attribute("value") {
        Some(Attribute::Tensor(tensor)) => Ok(Outcome::one(Value::of(tensor), 0)),
        _ => bail!("it has no tensor as its value"),
    }
}

/// The shape that both are stretched to.
pub fn broadcast_dims(left: &[u64], right: &[u64]) -> Result<Vec<u64>> {
    let rank = left.len().max(right.len());
    let at = |dims: &[u64], index: usize| {
        (index + dims.len())
            .checked_sub(rank)
            .map_or(1, |index| dims[index])
    };
    (0..rank)
        .map(|index| match (at(left, index), at(right, index)) {
            (left, right) if left == right => Ok(left),
            (1, size) | (size, 1) => Ok(size),
            _ => bail!("{} and {} do not fit each other", shown(left), shown(right)),
        })
        .collect()
}

/// For shapes that may be far larger than those they come from.
fn elements_within_reason(value: &Value<'_>) -> Result<u64> {
    value
        .dims
        .iter()
        .try_fold(1_u64, |product, &size| product.checked_mul(size))
        .filter(|&elements| elements < 1 << 40)
        .with_context(|| format!("its result would be {}", shown(&value.dims)))
}
