//! Products of matrices.

use anyhow::{Result, bail, ensure};

use super::super::shapes::shown;
use super::elementwise::broadcast_dims;
use super::{Call, Outcome, Value};

pub fn gemm<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    for name in ["alpha", "beta"] {
        call.number(name, 1.0)?;
    }
    let matrix = |index: usize, transposed: &str| -> Result<[u64; 2]> {
        let [rows, columns] = call.float(index)?.dims[..] else {
            bail!("its input {index} is no matrix");
        };
        Ok(if call.flag(transposed, false)? {
            [columns, rows]
        } else {
            [rows, columns]
        })
    };
    let ([rows, inner], [other, columns]) = (matrix(0, "transA")?, matrix(1, "transB")?);
    ensure!(
        inner == other,
        "its matrices do not fit: {inner} columns by {other} rows"
    );
    if call.optional(2).is_some() {
        let bias = &call.float(2)?.dims;
        ensure!(
            bias.len() <= 2 && broadcast_dims(&[rows, columns], bias)? == [rows, columns],
            "its bias {} does not fit",
            shown(bias)
        );
    }
    let output = Value::float(vec![rows, columns]);
    Ok(Outcome::one(output, product(&[rows, inner, columns])))
}

pub fn mat_mul<'a>(call: &Call<'a>) -> Result<Outcome<'a>> {
    let ([left @ .., rows, inner], [right @ .., other, columns]) =
        (&call.float(0)?.dims[..], &call.float(1)?.dims[..])
    else {
        bail!("its inputs must have two dimensions or more");
    };
    ensure!(
        inner == other,
        "its matrices do not fit: {inner} columns by {other} rows"
    );
    let mut dims = broadcast_dims(left, right)?;
    let work = product(&[product(&dims), *rows, *inner, *columns]);
    dims.extend([*rows, *columns]);
    Ok(Outcome::one(Value::float(dims), work))
}

/// Sizes may be so large that only "too much" is left to say.
fn product(sizes: &[u64]) -> u64 {
    sizes
        .iter()
        .fold(1, |product: u64, &size| product.saturating_mul(size))
}
