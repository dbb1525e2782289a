//! A contract out of a WGSL module: what naga knows of it, and what its comments say.

use naga::proc::Layouter;
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Expression, Literal, Module, ScalarKind, StorageAccess, TypeInner};

use crate::contract::{Binding, Constant, Contract, Member, Scalar};
use crate::document::Document;
use crate::dtype::Storage;
use crate::expression::Requirement;

/// Storage buffers that portable adapters bind for one shader.
const MAX_BINDINGS: usize = 8;
/// Bytes of the window through which a shader sees its parameters.
const MAX_PARAMETER_BYTES: usize = 256;

/// Parses and validates a module.
///
/// # Errors
/// What naga says, with its place in the source.
pub(crate) fn module(source: &str) -> Result<Module, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    // What an adapter must offer is decided at run time; here every language feature the engine may use is allowed.
    let capabilities = Capabilities::SUBGROUP
        | Capabilities::SHADER_INT64
        | Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::COOPERATIVE_MATRIX;
    Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    Ok(module)
}

/// Where the comments of a variable are: the file that declares it, and its name there.
pub(crate) type Origin<'a> = (&'a Document, String);

/// What a shader expects of its host. `own` are the comments of its file; `origin` finds those of a variable of the module,
/// whose names may be mangled, as files import each other; `source` is the text of the module.
///
/// Requirements on constants that the permutation does not have are left out.
///
/// # Errors
/// If bindings leave gaps or are too many, parameters are not words, or a comment is missing.
pub(crate) fn contract<'a>(
    module: &Module,
    source: &str,
    features: &[&str],
    own: &'a Document,
    origin: &dyn Fn(&str) -> Origin<'a>,
) -> Result<Contract, String> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let mut members = vec![];
    let mut required = own.requirements(features)?;
    let mut bindings: Vec<(u32, Binding)> = vec![];
    for (_, variable) in module.global_variables.iter() {
        let (Some(binding), Some(mangled)) = (variable.binding.as_ref(), variable.name.as_ref()) else { continue };
        let (document, name) = origin(mangled);
        match variable.space {
            AddressSpace::Uniform => {
                if (binding.group, binding.binding) != (0, 0) {
                    return Err(format!("{name}: parameters are binding 0 of group 0"));
                }
                members = parameters(module, &module.types[variable.ty].inner)?;
                if !std::ptr::eq(document, own) {
                    required.extend(document.requirements(features)?);
                }
            }
            AddressSpace::Storage { access } => {
                let shape = document.shape(&name, features)?.ok_or_else(|| {
                    format!(
                        "{name}: the comment above it gives no shape, such as `/// [rows, columns4]: what it holds`"
                    )
                })?;
                let inner = &module.types[variable.ty].inner;
                let bytes = match inner {
                    TypeInner::Array { stride, .. } => *stride,
                    _ => layouter[variable.ty].size,
                };
                let storage = storage(module, inner, declared_type(source, mangled))
                    .ok_or_else(|| format!("{name}: no storage of tensors has this type"))?;
                let writable = access.contains(StorageAccess::STORE);
                let binding_of =
                    Binding { name: name.into(), storage, bytes, writable, shape: shape.text.clone().into() };
                bindings.push((binding.binding, binding_of));
            }
            _ => {}
        }
    }
    bindings.sort_by_key(|(place, _)| *place);
    if bindings.len() > MAX_BINDINGS {
        return Err(format!("{} storage buffers; portable adapters bind {MAX_BINDINGS}", bindings.len()));
    }
    if let Some((expected, (place, binding))) = (1..).zip(&bindings).find(|(expected, (place, _))| place != expected) {
        let name = &binding.name;
        return Err(format!("{name}: storage bindings must be 1, 2, 3 … in order; {place} stands in place {expected}"));
    }
    let mut contract = Contract {
        members: members.into(),
        bindings: bindings.into_iter().map(|(_, binding)| binding).collect(),
        constants: constants(module, origin).into(),
        requirements: vec![].into(),
    };
    for text in required {
        let requirement = Requirement::parse(text)?;
        if contract.unknown(|visit| requirement.names(visit)).is_none() {
            contract.requirements.to_mut().push(text.to_owned().into());
        }
    }
    Ok(contract)
}

fn parameters(module: &Module, inner: &TypeInner) -> Result<Vec<Member>, String> {
    let TypeInner::Struct { members, .. } = inner else { return Err("parameters must be a struct".into()) };
    if members.len() * 4 > MAX_PARAMETER_BYTES {
        return Err(format!("{} bytes of parameters; a shader sees {MAX_PARAMETER_BYTES}", members.len() * 4));
    }
    members
        .iter()
        .map(|member| {
            let name = member.name.clone().unwrap_or_default();
            let scalar = match &module.types[member.ty].inner {
                TypeInner::Scalar(naga::Scalar { kind: ScalarKind::Uint, width: 4 }) => Scalar::U32,
                TypeInner::Scalar(naga::Scalar { kind: ScalarKind::Sint, width: 4 }) => Scalar::I32,
                TypeInner::Scalar(naga::Scalar { kind: ScalarKind::Float, width: 4 }) => Scalar::F32,
                _ => return Err(format!("parameter {name} must be u32, i32 or f32")),
            };
            Ok(Member { name: name.into(), scalar })
        })
        .collect()
}

/// The type of a variable as the source spells it: aliases tell storage types apart whose words are the same.
fn declared_type<'a>(source: &'a str, variable: &str) -> &'a str {
    let after = |text: &'a str| text.split_once('>').map(|(_, rest)| rest.trim_start());
    source
        .split("var<storage")
        .skip(1)
        .filter_map(after)
        .find_map(|text| {
            let rest = text.strip_prefix(variable)?.trim_start().strip_prefix(':')?;
            rest.split(';').next().map(str::trim)
        })
        .unwrap_or("")
}

fn storage(module: &Module, inner: &TypeInner, declared: &str) -> Option<Storage> {
    let packed = [
        ("_bf16_", Storage::Bf16),
        ("_f16_", Storage::F16),
        ("_quantized_", Storage::Quantized),
        ("_f32_", Storage::F32),
    ];
    if let Some((_, storage)) = packed.into_iter().find(|(part, _)| declared.contains(part)) {
        return Some(storage);
    }
    match inner {
        TypeInner::Array { base, .. } => storage(module, &module.types[*base].inner, declared),
        TypeInner::Struct { members, .. } => {
            members.first().and_then(|member| storage(module, &module.types[member.ty].inner, declared))
        }
        _ => match inner.scalar() {
            Some(naga::Scalar { kind: ScalarKind::Float, width: 4 }) => Some(Storage::F32),
            Some(naga::Scalar { kind: ScalarKind::Float, width: 2 }) => Some(Storage::F16),
            Some(naga::Scalar { kind: ScalarKind::Uint, width: 4 }) => Some(Storage::U32),
            _ => None,
        },
    }
}

fn constants<'a>(module: &Module, origin: &dyn Fn(&str) -> Origin<'a>) -> Vec<Constant> {
    let value = |init| match module.global_expressions[init] {
        Expression::Literal(Literal::U32(value)) => Some(value),
        Expression::Literal(Literal::AbstractInt(value)) => u32::try_from(value).ok(),
        _ => None,
    };
    let fixed = module.constants.iter().filter_map(|(_, constant)| {
        let value = value(constant.init)?;
        Some((origin(constant.name.as_ref()?).1, Some(value)))
    });
    // A default that is made of other constants is left to the driver, and no comment may name it.
    let overridable = module.overrides.iter().filter_map(|(_, constant)| match constant.init.map(value) {
        Some(None) => None,
        default => Some((origin(constant.name.as_ref()?).1, default.flatten())),
    });
    fixed.chain(overridable).map(|(name, value)| (name.into(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "
/// requires: rows <= LIMIT
struct Params { rows: u32, scale: f32, }
const LIMIT: u32 = 2u * 4u;
override LANES: u32 = 8u;
@group(0) @binding(0) var<uniform> params: Params;
";

    fn contract_of(source: &str) -> Result<Contract, String> {
        let document = Document::read(source)?;
        contract(&module(source)?, source, &[], &document, &|name| (&document, name.to_owned()))
    }

    #[test]
    fn a_module_gives_its_contract() {
        let source = HEAD.replace("{ rows: u32, scale: f32, }", "{\n rows: u32,\n scale: f32,\n}")
            + "
/// [rows]: what is read.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// [2 * rows]: places.
@group(0) @binding(2) var<storage, read_write> places: array<u32>;
@compute @workgroup_size(LANES)
fn main() { places[0] = u32(x[0].x * params.scale) + min(params.rows, LIMIT); }
";
        let contract = contract_of(&source).unwrap();
        let members: Vec<_> = contract.members.iter().map(|m| (&*m.name, m.scalar)).collect();
        assert_eq!(members, [("rows", Scalar::U32), ("scale", Scalar::F32)]);
        let bindings: Vec<_> =
            contract.bindings.iter().map(|b| (&*b.name, b.storage, b.bytes, b.writable, &*b.shape)).collect();
        assert_eq!(
            bindings,
            [("x", Storage::F32, 16, false, "[rows]"), ("places", Storage::U32, 4, true, "[2 * rows]")]
        );
        assert_eq!(contract.requirements[..], ["rows <= LIMIT"]);
        assert!(contract.constants.contains(&("LIMIT".into(), Some(8))), "{:?}", contract.constants);
        assert!(contract.constants.contains(&("LANES".into(), Some(8))));
    }

    #[test]
    fn what_the_host_could_not_be_held_against_is_refused() {
        let with = |bindings: &str, body: &str| {
            contract_of(&format!(
                "{HEAD}{bindings}
@compute @workgroup_size(LANES)
fn main() {{ {body} }}"
            ))
        };
        for (bindings, body, problem) in [
            ("@group(0) @binding(1) var<storage, read_write> x: array<f32>;", "x[0] = params.scale;", "gives no shape"),
            (
                "/// [1]: x\n@group(0) @binding(2) var<storage, read_write> x: array<f32>;",
                "x[0] = params.scale;",
                "1, 2, 3",
            ),
            (
                "/// [1]: x\n@group(0) @binding(1) var<storage, read_write> x: array<i32>;",
                "x[0] = 1 + i32(params.rows);",
                "no storage",
            ),
            ("", "let x = params.scale +;", "expected"),
        ] {
            let refused = with(bindings, body).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
        let vector = HEAD.replace("scale: f32", "scale: vec2<f32>");
        let source = format!("{vector}@compute @workgroup_size(LANES)\nfn main() {{ let x = params.rows; }}");
        assert!(contract_of(&source).unwrap_err().contains("scale must be u32, i32 or f32"));
    }
}
