//! What a shader expects of its host, and whether what the host is about to bind meets it.
//!
//! The build reads a [`Contract`] out of every shader: its parameters and bindings from the module that naga validated, the
//! extents and requirements from the comments of the file. Recording a dispatch holds the host against it.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::dtype::{Dtype, Storage};
use crate::expression::{Requirement, Shape, Values};

/// A word of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// An unsigned integer.
    U32,
    /// A signed integer.
    I32,
    /// A float.
    F32,
}

impl Scalar {
    /// The name in WGSL and in Rust.
    pub fn name(self) -> &'static str {
        match self {
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
        }
    }
}

/// A parameter: the members of `Params` follow each other word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its type.
    pub scalar: Scalar,
}

/// A storage binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The variable.
    pub name: Cow<'static, str>,
    /// How its values are stored.
    pub storage: Storage,
    /// Bytes of an element of its array.
    pub bytes: u32,
    /// Whether the shader writes it.
    pub writable: bool,
    /// Its dimensions in elements, as the comment above it gives them: expressions in brackets.
    pub shape: Cow<'static, str>,
}

/// A constant with its value; a pipeline-overridable one with its default, where it has one.
pub type Constant = (Cow<'static, str>, Option<u32>);

/// What a shader expects of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The members of `Params`, in order.
    pub members: Cow<'static, [Member]>,
    /// Storage bindings 1, 2, … in order.
    pub bindings: Cow<'static, [Binding]>,
    /// Constants that expressions may name.
    pub constants: Cow<'static, [Constant]>,
    /// What parameters and constants must satisfy; a comparison of two expressions.
    pub requirements: Cow<'static, [Cow<'static, str>]>,
}

/// A tensor, or a piece of one, that is about to be bound.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// Its name in errors.
    pub label: &'a str,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Bytes of its rows.
    pub bytes: u64,
}

/// A contract whose expressions are parsed and whose constants are decided: what a pipeline is checked with.
#[derive(Debug)]
pub struct Check {
    contract: Contract,
    shapes: Vec<Shape>,
    requirements: Vec<Requirement>,
    constants: Vec<(Cow<'static, str>, u32)>,
}

impl Contract {
    /// Decides constants and parses expressions.
    ///
    /// # Errors
    /// If a constant that is set does not exist, one that has no default is not set, or an expression is none or names
    /// what is neither a constant nor an integer parameter.
    pub fn check(&self, set: &[(&str, u32)]) -> Result<Check, String> {
        if let Some((name, _)) = set.iter().find(|(name, _)| self.constants.iter().all(|constant| constant.0 != *name))
        {
            return Err(format!("it has no constant {name}"));
        }
        let decided = |(name, default): &Constant| {
            let set = set.iter().find(|(set, _)| set == name).map(|(_, value)| *value);
            let value = set.or(*default).ok_or_else(|| format!("its constant {name} is not set"))?;
            Ok::<_, String>((name.clone(), value))
        };
        let shape = |binding: &Binding| {
            let shape = Shape::parse(&binding.shape).map_err(|problem| format!("{}: {problem}", binding.name))?;
            self.known(&binding.name, |visit| shape.names(visit))?;
            Ok::<_, String>(shape)
        };
        let requirement = |text: &Cow<'static, str>| {
            let requirement = Requirement::parse(text)?;
            self.known("requires", |visit| requirement.names(visit))?;
            Ok::<_, String>(requirement)
        };
        Ok(Check {
            shapes: self.bindings.iter().map(shape).collect::<Result<_, _>>()?,
            requirements: self.requirements.iter().map(requirement).collect::<Result<_, _>>()?,
            constants: self.constants.iter().map(decided).collect::<Result<_, _>>()?,
            contract: self.clone(),
        })
    }

    /// Values for the constants that must be set: enough to [`check`](Self::check) expressions by.
    pub fn unset(&self) -> Vec<(&str, u32)> {
        self.constants.iter().filter(|(_, default)| default.is_none()).map(|(name, _)| (&**name, 0)).collect()
    }

    /// The first name that is neither a u32 parameter nor a constant.
    pub(crate) fn unknown<'a>(&self, names: impl FnOnce(&mut dyn FnMut(&'a str))) -> Option<&'a str> {
        let mut unknown = None;
        names(&mut |name| {
            let parameter = self.members.iter().any(|member| member.name == name && member.scalar == Scalar::U32);
            if !parameter && self.constants.iter().all(|constant| constant.0 != name) {
                unknown.get_or_insert(name);
            }
        });
        unknown
    }

    fn known<'a>(&self, place: &str, names: impl FnOnce(&mut dyn FnMut(&'a str))) -> Result<(), String> {
        match self.unknown(names) {
            None => Ok(()),
            Some(name) => Err(format!("{place}: {name} is neither a u32 parameter nor a constant")),
        }
    }
}

impl Check {
    /// Compares parameters, `words` of the `members`, and what is bound with the contract.
    ///
    /// # Errors
    /// The first difference, in words: number, names or types of parameters, number of bindings, storage or extent of one
    /// of them, or a requirement that is not met.
    pub fn compare(&self, members: &[Member], words: &[u32], operands: &[Operand]) -> Result<(), String> {
        let Contract { members: declared, bindings, .. } = &self.contract;
        if members != &declared[..] || words.len() != members.len() {
            return Err(format!(
                "the parameters given are ({}), and the shader declares ({})",
                listed(members),
                listed(declared)
            ));
        }
        if operands.len() != bindings.len() {
            let names: Vec<&str> = bindings.iter().map(|binding| &*binding.name).collect();
            return Err(format!(
                "{} tensors are bound, and the shader declares {}: {}",
                operands.len(),
                names.len(),
                names.join(", ")
            ));
        }
        let of = |name: &str| {
            let parameter = declared.iter().zip(words).find(|(member, _)| member.name == name).map(|(_, word)| *word);
            let constant = || self.constants.iter().find(|constant| constant.0 == name).map(|constant| constant.1);
            parameter.or_else(constant).map(u64::from)
        };
        for (requirement, text) in self.requirements.iter().zip(self.contract.requirements.iter()) {
            let (left, right, holds) = requirement.holds(&Values { of: &of, quantized: None })?;
            if !holds {
                return Err(format!("it requires {text}, and these are {left} and {right}"));
            }
        }
        for ((operand, binding), shape) in operands.iter().zip(bindings.iter()).zip(&self.shapes) {
            let named = |problem: String| format!("operand {} ({}) {problem}", binding.name, operand.label);
            if operand.dtype.storage() != binding.storage {
                return Err(named(format!("is {}, and the shader declares {}", operand.dtype, binding.storage)));
            }
            let quantized = match operand.dtype {
                Dtype::Quantized(layout) => Some(layout),
                _ => None,
            };
            let elements = shape.elements(&Values { of: &of, quantized }).map_err(named)?;
            let needed = elements.checked_mul(u64::from(binding.bytes)).ok_or_else(|| named("is too large".into()))?;
            if operand.bytes < needed {
                let held = operand.bytes;
                return Err(named(format!("holds {held} bytes, and {} needs {needed}", binding.shape)));
            }
        }
        Ok(())
    }
}

fn listed(members: &[Member]) -> String {
    let mut text = String::new();
    for member in members {
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}{}: {}", member.name, member.scalar.name()).expect("writing to a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &'static str, scalar: Scalar) -> Member {
        Member { name: name.into(), scalar }
    }

    fn binding(name: &'static str, storage: Storage, bytes: u32, shape: &'static str) -> Binding {
        Binding { name: name.into(), storage, bytes, writable: false, shape: shape.into() }
    }

    fn contract() -> Contract {
        Contract {
            members: vec![member("rows", Scalar::U32), member("eps", Scalar::F32)].into(),
            bindings: vec![
                binding("x", Storage::F32, 16, "[rows, WIDTH]"),
                binding("w", Storage::Quantized, 4, "[rows, stride(WIDTH)]"),
            ]
            .into(),
            constants: vec![("WIDTH".into(), Some(3)), ("LANES".into(), None)].into(),
            requirements: vec!["rows <= LANES".into()].into(),
        }
    }

    fn compared(members: &[Member], words: &[u32], operands: &[Operand]) -> Result<(), String> {
        contract().check(&[("LANES", 8)]).unwrap().compare(members, words, operands)
    }

    #[test]
    fn what_fits_passes_and_every_kind_of_misfit_is_named() {
        let members = [member("rows", Scalar::U32), member("eps", Scalar::F32)];
        let x = Operand { label: "hidden", dtype: Dtype::F32, bytes: 2 * 3 * 16 };
        // 12 values, filled up to 32: eight words, a scale, and one for an even number.
        let w = Operand { label: "weight", dtype: Dtype::Q8, bytes: 2 * 10 * 4 };
        compared(&members, &[2, 0], &[x, w]).unwrap();
        let swapped = [members[1].clone(), members[0].clone()];
        for (outcome, expected) in [
            (
                compared(&swapped, &[2, 0], &[x, w]),
                "the parameters given are (eps: f32, rows: u32), and the shader declares (rows: u32, eps: f32)",
            ),
            (compared(&members[..1], &[2], &[x, w]), "the shader declares (rows: u32, eps: f32)"),
            (compared(&members, &[2, 0], &[x]), "1 tensors are bound, and the shader declares 2: x, w"),
            (
                compared(&members, &[2, 0], &[Operand { dtype: Dtype::Bf16, ..x }, w]),
                "operand x (hidden) is bf16, and the shader declares f32",
            ),
            (
                compared(&members, &[2, 0], &[Operand { bytes: 95, ..x }, w]),
                "operand x (hidden) holds 95 bytes, and [rows, WIDTH] needs 96",
            ),
            (compared(&members, &[2, 0], &[x, Operand { bytes: 28, ..w }]), "operand w (weight) holds 28 bytes"),
            (compared(&members, &[9, 0], &[x, w]), "it requires rows <= LANES, and these are 9 and 8"),
        ] {
            let problem = outcome.unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn constants_and_names_must_exist() {
        let problem = |contract: Contract, set: &[(&str, u32)]| contract.check(set).err().unwrap();
        assert_eq!(problem(contract(), &[]), "its constant LANES is not set");
        assert_eq!(problem(contract(), &[("LANES", 8), ("LANE", 1)]), "it has no constant LANE");
        let mut wrong = contract();
        wrong.bindings.to_mut()[0].shape = "[rows, eps]".into();
        assert_eq!(problem(wrong, &[("LANES", 8)]), "x: eps is neither a u32 parameter nor a constant");
    }
}
