//! Guards that several kernels share; trusted shaders have no bounds checks and rely on them.

use crate::Result;
use crate::gpu::{Dtype, Tensor, refuse};

/// Refuses tensors of another storage type than the shader reads.
pub(super) fn check_dtype(kernel: &str, dtype: Dtype, tensors: &[&Tensor]) -> Result<()> {
    match tensors.iter().find(|tensor| tensor.dtype() != dtype) {
        None => Ok(()),
        Some(tensor) => Err(refuse(kernel, format!("{} is {:?}, not {dtype:?}", tensor.label(), tensor.dtype()))),
    }
}

/// Whether activations are stored as bf16 rather than f32; refuses a mixture and anything else.
pub(super) fn stored_as_bf16(kernel: &str, tensors: &[&Tensor]) -> Result<bool> {
    let bf16 = tensors[0].dtype() == Dtype::Bf16;
    check_dtype(kernel, if bf16 { Dtype::Bf16 } else { Dtype::F32 }, tensors)?;
    Ok(bf16)
}

/// Refuses tensors whose rows are laid out differently.
pub(super) fn check_columns(kernel: &str, tensors: &[&Tensor]) -> Result<()> {
    let columns = tensors[0].columns().padded();
    match tensors.iter().find(|tensor| tensor.columns().padded() != columns) {
        None => Ok(()),
        Some(tensor) => {
            Err(refuse(kernel, format!("the columns of {} and {} differ", tensor.label(), tensors[0].label())))
        }
    }
}

/// Refuses a list of integers that is too short.
pub(super) fn check_list(kernel: &str, list: &Tensor, len: usize) -> Result<()> {
    check_dtype(kernel, Dtype::U32, &[list])?;
    if list.columns().len() < len {
        return Err(refuse(kernel, format!("{} holds {} values, {len} needed", list.label(), list.columns().len())));
    }
    Ok(())
}
