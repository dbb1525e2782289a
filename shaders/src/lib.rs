//! The WGSL kernels of `wgr`, what each of them expects of its host, and their CPU twins.
//!
//! Every `*.wgsl` beside this crate's sources has entry points whose comments list their permutations, and the build script
//! composes and validates all of them. [`programs`] are the outcome: plain WGSL with a [`Contract`], read from the shader
//! itself and from its comments. [`params`] are the parameters of every shader as Rust structs. [`mod@reference`] computes
//! the same on the CPU.
//!
//! Features of permutations:
//!
//! | feature | meaning |
//! |---|---|
//! | `a_ b_ c_ x_ y_ w_` and `f32 bf16 f16 quantized` | storage of one operand |
//! | `wide` | operands are words of 64 bits, which standard WGSL does not have |
//! | `nt nn tn` | which operand of a product is transposed |
//! | `few rows_1 rows_4 rows_16` | products of at most 16 rows, or as many as the name says |
//! | `tile_8 tile_16` | the side of the cooperative matrices, of which adapters list those they have |
//! | `rows_64` | tiles of 64 rows instead of 32 |
//! | `bias residual` | what a product adds to its result |
//! | `erf tanh` | which GELU |
//! | `fma f16` | how ceilings of arithmetic are measured: by the builtin `fma`, in f16 |
//! | `first last mean` | what a sequence is pooled to |
//! | `cache_f16` | keys and values are kept as f16 instead of f32 |
//! | `copy_bf16 copy_f16` | the copy of a weight that its update writes |
//! | `head_32 head_64 head_128` | the largest head that the registers have room for |
//! | `columns_2 columns_4 columns_8` | groups of columns of a head that each lane of a subgroup owns, if not one |
//! | `subgroup` | loads are shared among the lanes of a subgroup instead of through workgroup memory |

mod contract;
mod document;
mod dtype;
mod expression;
mod parameters;
mod program;
mod quantized;
pub mod reference;
mod reflect;
mod step;
mod unroll;

pub use contract::{Binding, Check, Constant, Contract, Member, Operand, Scalar};
pub use document::{Conditional, Described, Document, Documented};
pub use dtype::{Dtype, Storage};
pub use parameters::{Parameters, Word};
pub use program::{FINGERPRINT, Program, program, programs};
pub use quantized::{Codes, GROUP, Quantized, SUPERGROUP, Scales, UNEVEN};
pub use step::{CLIP, STEP, Step};

/// The parameters of every shader: one module per file, generated from its `struct Params`.
pub mod params {
    include!(concat!(env!("OUT_DIR"), "/params.rs"));
}

impl serde::Serialize for Dtype {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
