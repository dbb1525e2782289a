//! Shader permutations: those that the build composed and validated, and those that others bring.

use std::borrow::Cow;

use crate::contract::{Binding, Contract, Member, Scalar};
use crate::document::Document;
use crate::dtype::Storage;
use crate::{reflect, unroll};

/// One shader permutation, ready for the driver.
#[derive(Debug)]
pub struct Program {
    /// `file/entry`, the name under which kernels, profile rows and errors know it.
    pub name: Cow<'static, str>,
    /// The features it was composed with, sorted.
    pub features: &'static [&'static str],
    /// The entry point.
    pub entry: Cow<'static, str>,
    /// What it expects of its host.
    pub contract: Contract,
    /// Plain WGSL.
    pub source: Cow<'static, str>,
}

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// Every permutation in the build.
pub fn programs() -> &'static [Program] {
    PROGRAMS
}

/// The permutation of `name` (`file/entry`) with exactly these features, in any order, if the shader lists it.
pub fn program(name: &str, features: &[&str]) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| {
        program.name == name
            && program.features.len() == features.len()
            && features.iter().all(|feature| program.features.contains(feature))
    })
}

impl Program {
    /// A shader of one's own: plain WGSL whose bindings have their shapes in comments, as those of this crate do. Loops
    /// marked `@unroll` are written out.
    ///
    /// # Errors
    /// If it does not parse or validate, has no such entry point, or a binding or parameter is not as the rules in `CONTRIBUTING.md` say.
    pub fn from_wgsl(name: &str, source: &str, entry: &str) -> Result<Self, String> {
        let document = Document::read(source)?;
        let source = unroll::unroll(source)?;
        let module = reflect::module(&source)?;
        if module.entry_points.iter().all(|point| point.name != entry) {
            return Err(format!("it has no entry point {entry}"));
        }
        let contract = reflect::contract(&module, &source, &[], &document, &|name| (&document, name.to_owned()))?;
        contract.check(&contract.unset())?;
        let (name, entry) = (name.to_owned().into(), entry.to_owned().into());
        Ok(Self { name, features: &[], entry, contract, source: source.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_can_be_checked() {
        for program in programs() {
            let contract = &program.contract;
            contract.check(&contract.unset()).unwrap_or_else(|problem| panic!("{}: {problem}", program.name));
        }
    }

    #[test]
    fn storage_of_operands_is_that_of_their_features() {
        let product = program("product_tiled/main", &["nt", "a_f32", "b_quantized", "c_f32", "bias"]).unwrap();
        let storages: Vec<_> =
            product.contract.bindings.iter().map(|binding| (&*binding.name, binding.storage)).collect();
        let expected = [("a", Storage::F32), ("b", Storage::Quantized), ("c", Storage::F32), ("bias", Storage::F32)];
        assert_eq!(storages, expected);
        let wide = program("product_register/main", &["wide", "nt", "a_f32", "b_f16", "c_f32"]).unwrap();
        let storages: Vec<_> = wide.contract.bindings.iter().map(|binding| binding.storage).collect();
        assert_eq!(storages, [Storage::F32, Storage::F16, Storage::F32]);
    }

    #[test]
    fn features_are_found_in_any_order_and_no_others() {
        assert!(program("rope/main", &["x_bf16"]).is_some() && program("rope/main", &[]).is_some());
        assert!(program("attention/forward", &["x_bf16", "head_32"]).is_some());
        assert!(program("add/main", &["nt"]).is_none() && program("add", &[]).is_none());
    }
}
