//! What is dispatched: a permutation of a shader with its constants, a number of workgroups, and their cost.

use std::sync::Arc;

use wgr_shaders::{Program, Quantized, program};

use crate::{Error, Result};

/// The cost of a dispatch, for splitting submits and for the roofline in profiles.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: f64,
    /// Those of them that run on cooperative matrices, which have a ceiling of their own.
    pub cooperative_flops: f64,
    /// Bytes read and written, each operand counted once.
    pub bytes: f64,
    /// Rounds of all loops of an invocation together, at most; 0 where they are few on any operands.
    pub rounds: f64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.cooperative_flops += other.cooperative_flops;
        self.bytes += other.bytes;
        self.rounds = self.rounds.max(other.rounds);
    }
}

/// The permutation to run, with its constants.
#[derive(Debug, Clone)]
pub struct Kernel {
    pub(super) source: Source,
    pub(super) features: Vec<&'static str>,
    pub(super) constants: Vec<(&'static str, u32)>,
}

/// The origin of a kernel's shader.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// One of the engine's, as `file/entry`.
    Engine(&'static str),
    /// The caller's WGSL.
    Own(Arc<Program>),
}

/// A shader as the key of its pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    Engine(&'static str),
    Own(usize),
}

impl Kernel {
    /// A shader of the engine by its name, `file/entry`, without features or constants.
    pub fn new(name: &'static str) -> Self {
        Self { source: Source::Engine(name), features: vec![], constants: vec![] }
    }

    /// A shader of one's own: plain WGSL with parameters at binding 0 of group 0, tensors at 1, 2, 3 …, and the shape of
    /// each in a comment above it, in the grammar that `CONTRIBUTING.md` describes. It runs with the driver's checks of
    /// bounds and loops in either [`Mode`](super::Mode).
    ///
    /// # Errors
    /// If the source does not validate, has no such entry point, or does not say what it expects; the error shows where.
    pub fn from_wgsl(name: &str, source: &str, entry: &str) -> Result<Self> {
        let program = Program::from_wgsl(name, source, entry).map_err(|problem| Error::kernel(name, problem))?;
        Ok(Self { source: Source::Own(Arc::new(program)), features: vec![], constants: vec![] })
    }

    /// The name in errors and profiles.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Engine(name) => name,
            Source::Own(program) => &program.name,
        }
    }

    /// The identity of its shader, valid while that is alive: the name, or the address of the caller's shader.
    pub(super) fn identity(&self) -> Identity {
        match &self.source {
            Source::Engine(name) => Identity::Engine(name),
            Source::Own(program) => Identity::Own(Arc::as_ptr(program).addr()),
        }
    }

    /// The permutation that it names. This is a search, so it is done once per pipeline.
    pub(super) fn program(&self) -> Result<&Program> {
        match &self.source {
            Source::Engine(name) => program(name, &self.features)
                .ok_or_else(|| Error::kernel(*name, format!("there is none for {}", self.features.join(", ")))),
            Source::Own(program) => Ok(program),
        }
    }

    /// Adds a feature.
    pub fn feature(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }

    /// Adds a feature if a condition holds.
    pub fn feature_if(self, condition: bool, feature: &'static str) -> Self {
        if condition { self.feature(feature) } else { self }
    }

    /// Sets an `override` constant.
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// Sets the constants that tell one quantised storage from another.
    pub fn quantized(self, layout: Quantized) -> Self {
        self.constant("CODES", layout.codes as u32).constant("SCALES", layout.scales as u32)
    }
}

/// Workgroups of a one-dimensional dispatch, folded if a dimension would exceed the portable limit of 65,535.
pub fn grid(workgroups: u32) -> [u32; 3] {
    const MAX: u32 = 65_535;
    if workgroups <= MAX { [workgroups, 1, 1] } else { [MAX, workgroups.div_ceil(MAX), 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_grids_fold_into_two_dimensions_and_lose_nothing() {
        for workgroups in [1, 65_535, 65_536, 1_000_000] {
            let [x, y, z] = grid(workgroups);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(x * y >= workgroups && x * y - workgroups < x, "{workgroups}");
        }
    }
}
