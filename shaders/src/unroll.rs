//! Loops that the build writes out: `@unroll for (var i = 0u; i < ROWS; i++) { … }` becomes one block for each value of the
//! counter, with literals in its place.
//!
//! A driver keeps an array in registers if it knows every index into it. Some unroll such a loop themselves, up to a size
//! that differs by version; beyond it, or without it, each access goes through memory.

use naga::{Expression, Literal, Module};

/// Blocks that one loop may become; more is a mistake, or a driver's compiler at work for seconds.
const MAX_BLOCKS: u32 = 128;

/// Writes out every marked loop of a module; a bound is a literal or the name of a constant.
///
/// # Errors
/// If a marked loop has another form, its bound is not known, or its counter is declared again inside.
pub(crate) fn unroll(source: &str) -> Result<String, String> {
    if !source.contains(MARK) {
        return Ok(source.to_owned());
    }
    let module = naga::front::wgsl::parse_str(&source.replace(MARK, "")).map_err(|e| e.emit_to_string(source))?;
    written_out(source, &module)
}

const MARK: &str = "@unroll";

fn written_out(source: &str, module: &Module) -> Result<String, String> {
    let Some((before, marked)) = source.split_once(MARK) else { return Ok(source.to_owned()) };
    let (header, after) = marked.split_once('{').ok_or("a marked loop has no body")?;
    let (counter, bound) = counted(header)
        .ok_or_else(|| format!("{MARK}{header}: only `for (var i = 0u; i < BOUND; i++)` can be written out"))?;
    let count = value(bound, module).ok_or_else(|| format!("{MARK}{header}: {bound} is not a constant"))?;
    if count > MAX_BLOCKS {
        return Err(format!("{MARK}{header}: {count} blocks; the maximum is {MAX_BLOCKS}"));
    }
    let end = closing_brace(after).ok_or("the body of a marked loop is not closed")?;
    let body = written_out(&after[..end], module)?;
    let mut blocks = before.to_owned();
    for i in 0..count {
        blocks.push('{');
        blocks.push_str(&with_literal(&body, counter, i)?);
        blocks.push_str("}\n");
    }
    blocks.push_str(&written_out(&after[end + 1..], module)?);
    Ok(blocks)
}

/// Counter and bound of ` for (var i = 0u; i < BOUND; i++) `.
fn counted(header: &str) -> Option<(&str, &str)> {
    let inner = header.trim().strip_prefix("for")?.trim_start().strip_prefix('(')?.strip_suffix(')')?;
    let mut parts = inner.split(';').map(str::trim);
    let (start, condition, step) = (parts.next()?, parts.next()?, parts.next()?);
    let (counter, first) = start.strip_prefix("var")?.split_once('=')?;
    let (left, bound) = condition.split_once('<')?;
    let (counter, bound) = (counter.trim(), bound.trim());
    if bound.starts_with('=') {
        return None;
    }
    let fits =
        first.trim() == "0u" && left.trim() == counter && step.strip_suffix("++").map(str::trim) == Some(counter);
    (fits && parts.next().is_none()).then_some((counter, bound))
}

/// The value of a literal or of a constant of the module.
fn value(bound: &str, module: &Module) -> Option<u32> {
    if let Some(digits) = bound.strip_suffix('u') {
        return digits.parse().ok();
    }
    let (_, constant) = module.constants.iter().find(|(_, constant)| constant.name.as_deref() == Some(bound))?;
    match module.global_expressions[constant.init] {
        Expression::Literal(Literal::U32(value)) => Some(value),
        _ => None,
    }
}

/// Where the brace is that closes the one before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        (depth == 0).then_some(at)
    })
}

/// The text with a literal for each use of a name.
fn with_literal(text: &str, name: &str, value: u32) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word == name && !out.ends_with('.') {
            let declared = out.trim_end();
            if declared.ends_with("let") || declared.ends_with("var") {
                return Err(format!("{name}: the counter of a loop that is written out is declared again inside"));
            }
            out.push_str(&format!("{value}u"));
        } else {
            out.push_str(word);
        }
        let other = after.find(is_part).unwrap_or(after.len());
        out.push_str(&after[..other]);
        rest = &after[other..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
const ROWS: u32 = 8u / PARTS;
const PARTS: u32 = 4u;
fn sum(v: vec4<f32>) -> f32 {
    var sums: array<f32, ROWS>;
    @unroll for (var i = 0u; i < ROWS; i++) {
        @unroll for (var j = 0u; j < 2u; j++) { sums[i] += v.x * f32(i + j); }
        for (var k = 0u; k < i; k++) { sums[i] += f32(k); }
    }
    return sums[0] + sums[1];
}";

    #[test]
    fn a_marked_loop_becomes_blocks_with_literals() {
        let unrolled = unroll(SOURCE).unwrap();
        naga::front::wgsl::parse_str(&unrolled).unwrap();
        assert!(!unrolled.contains(MARK));
        for expected in ["sums[0u] += v.x * f32(0u + 1u);", "sums[1u] += v.x * f32(1u + 0u);", "k < 1u; k++"] {
            assert_eq!(unrolled.matches(expected).count(), 1, "{expected}\n{unrolled}");
        }
        assert_eq!(unrolled.matches("for").count(), 2, "loops without a mark stay");
        let plain = SOURCE.replace(MARK, "");
        assert_eq!(unroll(&plain).unwrap(), plain);
    }

    #[test]
    fn what_cannot_be_written_out_is_an_error() {
        let refused = |from: &str, to: &str| unroll(&SOURCE.replace(from, to)).unwrap_err();
        assert!(refused("i < ROWS", "i <= ROWS").contains("can be written out"));
        assert!(refused("i++", "i += 2u").contains("can be written out"));
        assert!(refused("i < ROWS", "i < u32(v.x)").contains("u32(v.x) is not a constant"));
        assert!(refused("j < 2u", "j < 200u").contains("the maximum is 128"));
        let inner = "for (var k = 0u; k < i; k++) { sums[i] += f32(k); }";
        assert!(refused(inner, "{ let i = 1u; sums[i] += 1.0; }").contains("declared again"));
    }

    #[test]
    fn members_of_the_counters_name_stay() {
        assert_eq!(with_literal("a.x + x * max(x, 1u) + xx", "x", 3).unwrap(), "a.x + 3u * max(3u, 1u) + xx");
    }
}
