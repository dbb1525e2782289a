//! The host's side of a shader's `Params`.

use crate::contract::{Member, Scalar};

/// Parameters of a dispatch: what [`parameters!`](crate::parameters) makes of a struct.
pub trait Parameters {
    /// Names and types of the fields, in order: those of the shader's `Params`.
    const MEMBERS: &'static [Member];

    /// The fields' bits, in order.
    fn words(&self) -> Vec<u32>;
}

/// A type that a parameter may have.
pub trait Word: Copy {
    /// Its type in the shader.
    const SCALAR: Scalar;

    /// Its bits.
    fn word(self) -> u32;
}

impl Word for u32 {
    const SCALAR: Scalar = Scalar::U32;

    fn word(self) -> u32 {
        self
    }
}

impl Word for i32 {
    const SCALAR: Scalar = Scalar::I32;

    fn word(self) -> u32 {
        self.cast_unsigned()
    }
}

impl Word for f32 {
    const SCALAR: Scalar = Scalar::F32;

    fn word(self) -> u32 {
        self.to_bits()
    }
}

/// Declares a struct of `u32`, `i32` and `f32` fields as the parameters of a shader, with the names and the order of the
/// shader's `Params`:
///
/// ```
/// wgr_shaders::parameters! {
///     struct Params {
///         count: u32,
///         factor: f32,
///     }
/// }
/// let params = Params { count: 3, factor: 0.5 };
/// assert_eq!(wgr_shaders::Parameters::words(&params), [3, 0.5f32.to_bits()]);
/// ```
#[macro_export]
macro_rules! parameters {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$documentation:meta])* $member_visibility:vis $member:ident: $scalar:ty,)*
    }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, Default)]
        $visibility struct $name {
            $($(#[$documentation])* $member_visibility $member: $scalar,)*
        }

        impl $crate::Parameters for $name {
            const MEMBERS: &'static [$crate::Member] = &[$($crate::Member {
                name: ::std::borrow::Cow::Borrowed(stringify!($member)),
                scalar: <$scalar as $crate::Word>::SCALAR,
            }),*];

            fn words(&self) -> ::std::vec::Vec<u32> {
                ::std::vec![$($crate::Word::word(self.$member)),*]
            }
        }
    };
}
