//! Integer expressions over parameters and constants: the dimensions in shaders' comments, and what they require.
//!
//! ```text
//! shape        [rows, columns4]
//! requirement  columns4 <= 64
//! expression   names, integers, + - * / %, parentheses, min max div_ceil stride
//! ```

use std::fmt;

use crate::quantized::Quantized;

/// An integer expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    /// An integer.
    Integer(u64),
    /// A parameter or constant.
    Name(String),
    /// Two expressions and `+ - * / %`.
    Binary(char, Box<Expression>, Box<Expression>),
    /// A function and its arguments.
    Call(Function, Vec<Expression>),
}

/// The functions that expressions may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// The smaller of two.
    Min,
    /// The larger of two.
    Max,
    /// A quotient, rounded up.
    DivCeil,
    /// Elements of a row of so many groups of four values: their number, or the words of a quantised row.
    Stride,
}

impl Function {
    fn of(name: &str) -> Option<(Self, usize)> {
        match name {
            "min" => Some((Self::Min, 2)),
            "max" => Some((Self::Max, 2)),
            "div_ceil" => Some((Self::DivCeil, 2)),
            "stride" => Some((Self::Stride, 1)),
            _ => None,
        }
    }
}

/// What names stand for.
pub(crate) struct Values<'a> {
    /// The value of a name.
    pub of: &'a dyn Fn(&str) -> Option<u64>,
    /// How rows are quantised whose `stride` counts, if they are.
    pub quantized: Option<Quantized>,
}

impl Expression {
    /// Calls `visit` with every name.
    pub(crate) fn names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Integer(_) => {}
            Self::Name(name) => visit(name),
            Self::Binary(_, left, right) => {
                left.names(visit);
                right.names(visit);
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.names(visit)),
        }
    }

    /// # Errors
    /// If a name has no value, or the result is negative, not a number, or beyond 64 bits.
    pub(crate) fn evaluate(&self, values: &Values) -> Result<u64, String> {
        match self {
            Self::Integer(value) => Ok(*value),
            Self::Name(name) => (values.of)(name).ok_or_else(|| format!("{name} has no value")),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.evaluate(values)?, right.evaluate(values)?);
                let result = match operator {
                    '+' => left.checked_add(right),
                    '-' => left.checked_sub(right),
                    '*' => left.checked_mul(right),
                    '/' => left.checked_div(right),
                    _ => left.checked_rem(right),
                };
                result.ok_or_else(|| format!("{left} {operator} {right} is not a size"))
            }
            Self::Call(function, arguments) => {
                let of = |place: usize| arguments[place].evaluate(values);
                match function {
                    Function::Min => Ok(of(0)?.min(of(1)?)),
                    Function::Max => Ok(of(0)?.max(of(1)?)),
                    Function::DivCeil => match (of(0)?, of(1)?) {
                        (_, 0) => Err("a division by 0 is not a size".into()),
                        (dividend, divisor) => Ok(dividend.div_ceil(divisor)),
                    },
                    Function::Stride => match values.quantized {
                        Some(layout) => {
                            let columns = of(0)?.checked_mul(4).ok_or("a row is too long")?;
                            Ok(layout.row_words(columns as usize) as u64)
                        }
                        None => of(0),
                    },
                }
            }
        }
    }
}

/// The dimensions of a binding, in elements of the array that the shader declares; all of them count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape(Vec<Expression>);

impl Shape {
    /// # Errors
    /// Where the text is no list of expressions in brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text };
        parser.expect("[")?;
        let mut dimensions = vec![parser.sum()?];
        while parser.take(",") {
            dimensions.push(parser.sum()?);
        }
        parser.expect("]")?;
        parser.end()?;
        Ok(Self(dimensions))
    }

    /// Calls `visit` with every name.
    pub(crate) fn names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.iter().for_each(|dimension| dimension.names(visit));
    }

    /// The number of elements.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub(crate) fn elements(&self, values: &Values) -> Result<u64, String> {
        self.0.iter().try_fold(1u64, |product, dimension| {
            let size = dimension.evaluate(values)?;
            product.checked_mul(size).ok_or_else(|| format!("{product} x {size} is not a size"))
        })
    }
}

/// A comparison that parameters and constants must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requirement {
    left: Expression,
    comparison: Comparison,
    right: Expression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    LessOrEqual,
    Less,
    Equal,
}

impl Comparison {
    const ALL: [(&'static str, Self); 3] = [("<=", Self::LessOrEqual), ("==", Self::Equal), ("<", Self::Less)];
}

impl Requirement {
    /// # Errors
    /// Where the text is no comparison of two expressions.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text };
        let left = parser.sum()?;
        let found = Comparison::ALL.into_iter().find(|(sign, _)| parser.take(sign));
        let (_, comparison) = found.ok_or_else(|| parser.problem("<=, < or =="))?;
        let right = parser.sum()?;
        parser.end()?;
        Ok(Self { left, comparison, right })
    }

    /// Calls `visit` with every name.
    pub(crate) fn names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.left.names(visit);
        self.right.names(visit);
    }

    /// The values of both sides, and whether they compare as required.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub(crate) fn holds(&self, values: &Values) -> Result<(u64, u64, bool), String> {
        let (left, right) = (self.left.evaluate(values)?, self.right.evaluate(values)?);
        let holds = match self.comparison {
            Comparison::LessOrEqual => left <= right,
            Comparison::Less => left < right,
            Comparison::Equal => left == right,
        };
        Ok((left, right, holds))
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn problem(&self, expected: impl fmt::Display) -> String {
        format!("{:?}: expected {expected} at {:?}", self.text, self.rest.trim_start())
    }

    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.problem(format_args!("{sign:?}"))) }
    }

    fn end(&self) -> Result<(), String> {
        if self.rest.trim().is_empty() { Ok(()) } else { Err(self.problem("the end")) }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.rest = &rest[end..];
        &rest[..end]
    }

    fn binary(
        &mut self,
        operators: &[char],
        operand: fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        let mut left = operand(self)?;
        while let Some(operator) = self.rest.trim_start().chars().next().filter(|next| operators.contains(next)) {
            self.rest = &self.rest.trim_start()[1..];
            left = Expression::Binary(operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expression, String> {
        self.binary(&['+', '-'], |parser| parser.binary(&['*', '/', '%'], Self::operand))
    }

    fn operand(&mut self) -> Result<Expression, String> {
        if self.take("(") {
            let inner = self.sum()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let before = self.rest;
        let word = self.word();
        if word.is_empty() {
            return Err(self.problem("a name, an integer or \"(\""));
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            // WGSL's suffix of unsigned integers may stand here too.
            return word.trim_end_matches('u').parse().map(Expression::Integer).map_err(|_| {
                self.rest = before;
                self.problem("an integer")
            });
        }
        if !self.take("(") {
            return Ok(Expression::Name(word.to_owned()));
        }
        let (function, count) = Function::of(word).ok_or_else(|| {
            self.rest = before;
            self.problem("min, max, div_ceil or stride")
        })?;
        let mut arguments = vec![self.sum()?];
        while arguments.len() < count {
            self.expect(",")?;
            arguments.push(self.sum()?);
        }
        self.expect(")")?;
        Ok(Expression::Call(function, arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(quantized: Option<Quantized>) -> Values<'static> {
        Values {
            of: &|name| [("rows", 7), ("columns4", 12)].into_iter().find(|(n, _)| *n == name).map(|n| n.1),
            quantized,
        }
    }

    fn parsed(text: &str) -> Result<Expression, String> {
        let mut parser = Parser { text, rest: text };
        let expression = parser.sum()?;
        parser.end().map(|()| expression)
    }

    fn evaluated(text: &str) -> Result<u64, String> {
        parsed(text)?.evaluate(&values(None))
    }

    #[test]
    fn arithmetic_binds_as_in_wgsl() {
        assert_eq!(evaluated("1 + rows * 2u - 3"), Ok(12));
        assert_eq!(evaluated("(1 + rows) * 2"), Ok(16));
        assert_eq!(evaluated("100 / rows % 4"), Ok(2));
        assert_eq!(evaluated("div_ceil(rows, 4) + min(rows, 3) + max(rows, columns4)"), Ok(17));
    }

    #[test]
    fn strides_of_quantised_rows_count_their_scales() {
        let stride = parsed("stride(columns4)").unwrap();
        assert_eq!(stride.evaluate(&values(None)), Ok(12));
        // 48 values, filled up to 64, in 16 words, and two scales.
        assert_eq!(stride.evaluate(&values(Some(Quantized::Q8))), Ok(18));
    }

    #[test]
    fn what_is_no_size_is_an_error() {
        for (text, problem) in [
            ("rows - 8", "7 - 8"),
            ("rows / 0", "7 / 0"),
            ("div_ceil(rows, 0)", "division by 0"),
            ("tokens", "tokens has no value"),
            ("18446744073709551615 * rows", "is not a size"),
        ] {
            assert!(evaluated(text).unwrap_err().contains(problem), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        for (text, problem) in [
            ("rows +", "a name"),
            ("(rows", "\")\""),
            ("rows columns4", "the end at \"columns4\""),
            ("abs(rows)", "min, max"),
            ("min(rows)", "\",\""),
            ("1x", "an integer"),
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
        assert!(Shape::parse("rows").is_err() && Shape::parse("[]").is_err() && Shape::parse("[rows]]").is_err());
        assert!(Requirement::parse("rows >= 1").is_err());
    }

    #[test]
    fn shapes_count_elements_and_requirements_compare() {
        assert_eq!(Shape::parse("[rows, 2, columns4 / 4]").unwrap().elements(&values(None)), Ok(42));
        for (text, holds) in [("rows <= 7", true), ("rows < 7", false), ("rows + 5 == columns4", true)] {
            assert_eq!(Requirement::parse(text).unwrap().holds(&values(None)).unwrap().2, holds, "{text}");
        }
    }
}
