//! Label selectors in their string form (`a=b,c in (x,y),!d`) and their JSON form (`matchLabels`, `matchExpressions`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::names::{label_key_errors, label_value_errors};
use crate::entry::Pairs;
use crate::status::Status;

/// How a requirement compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label has one of the values; `=` and `==` are this with one value.
    In,
    /// The label is absent or has none of the values; `!=` is this with one value.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer above the value.
    GreaterThan,
    /// The label is an integer below the value.
    LessThan,
}

/// One term of a label selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Label.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Operands, sorted.
    pub values: BTreeSet<String>,
    /// Written with `=`, `==` or `!=`; only matters for [`fmt::Display`].
    single: bool,
}

impl Requirement {
    /// A requirement with Kubernetes' checks; the error is its text.
    pub fn new(
        key: &str,
        operator: Operator,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, String> {
        let values: BTreeSet<String> = values.into_iter().map(Into::into).collect();
        check_key(key)?;
        let listed = || serde_json::to_string(&values).unwrap_or_default();
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                return Err(format!(
                    "values: Invalid value: {}: for 'in', 'notin' operators, values set can't be empty",
                    listed()
                ));
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                return Err(format!(
                    "values: Invalid value: {}: values set must be empty for exists and does not exist",
                    listed()
                ));
            }
            Operator::GreaterThan | Operator::LessThan => match values.first() {
                Some(value) if values.len() == 1 => {
                    if value.parse::<i64>().is_err() {
                        return Err(format!(
                            "values[0]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                            quote(value)
                        ));
                    }
                }
                _ => {
                    return Err(format!(
                        "values: Invalid value: {}: for 'Gt', 'Lt' operators, exactly one value is required",
                        listed()
                    ));
                }
            },
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            let errors = label_value_errors(value);
            if !errors.is_empty() {
                return Err(format!(
                    "values[{index}][{key}]: Invalid value: {}: {}",
                    quote(value),
                    errors.join("; ")
                ));
            }
        }
        Ok(Self {
            key: key.to_owned(),
            operator,
            values,
            single: false,
        })
    }

    fn equality(key: &str, operator: Operator, value: String) -> Result<Self, String> {
        Self::new(key, operator, [value]).map(|requirement| Self {
            single: true,
            ..requirement
        })
    }

    /// Whether a label with this value, or its absence, satisfies the requirement.
    pub fn accepts(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let actual = value.and_then(|value| value.parse::<i64>().ok());
                let bound = self.values.first().and_then(|value| value.parse::<i64>().ok());
                match (actual, bound) {
                    (Some(actual), Some(bound)) if self.operator == Operator::GreaterThan => bound < actual,
                    (Some(actual), Some(bound)) => actual < bound,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.values.first().map_or("", String::as_str);
        let list = || self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::In if self.single => write!(formatter, "{}={first}", self.key),
            Operator::NotIn if self.single => write!(formatter, "{}!={first}", self.key),
            Operator::In => write!(formatter, "{} in ({})", self.key, list()),
            Operator::NotIn => write!(formatter, "{} notin ({})", self.key, list()),
            Operator::Exists => formatter.write_str(&self.key),
            Operator::DoesNotExist => write!(formatter, "!{}", self.key),
            Operator::GreaterThan => write!(formatter, "{}>{first}", self.key),
            Operator::LessThan => write!(formatter, "{}<{first}", self.key),
        }
    }
}

/// Terms that must all hold; without terms everything matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// `None` matches nothing, which an absent `LabelSelector` field means.
    requirements: Option<Vec<Requirement>>,
}

impl Default for LabelSelector {
    fn default() -> Self {
        Self::everything()
    }
}

/// Labels as somebody keeps them.
pub trait Labels {
    /// The value of one of them.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Pairs {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self {
            requirements: Some(Vec::new()),
        }
    }

    /// Matches no object.
    pub fn nothing() -> Self {
        Self { requirements: None }
    }

    /// A selector of requirements already checked.
    pub fn from_requirements(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Self {
            requirements: Some(requirements),
        }
    }

    /// Reads the string form of a query parameter or a command line. An error is a 400 with Kubernetes' text.
    pub fn parse(text: &str) -> Result<Self, Status> {
        parse_text(text)
            .map(Self::from_requirements)
            .map_err(Status::bad_request)
    }

    /// Reads the JSON form. Null or a missing field (the caller passes `Value::Null`) selects nothing, `{}` everything.
    pub fn from_json(selector: &Value) -> Result<Self, Status> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        requirements_of(selector)
            .map(Self::from_requirements)
            .map_err(Status::bad_request)
    }

    /// The terms; none when everything or nothing matches.
    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }

    /// Whether this selector cannot refuse anything.
    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether these labels satisfy all terms.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        self.matches_with(|key| labels.label(key))
    }

    /// [`LabelSelector::matches`] for labels that live elsewhere.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .as_ref()
            .is_some_and(|terms| terms.iter().all(|term| term.accepts(label(&term.key))))
    }

    /// The one value that a label must have, if the selector says so.
    pub fn requires_exact(&self, key: &str) -> Option<&str> {
        self.requirements()
            .iter()
            .filter(|term| term.operator == Operator::In && term.values.len() == 1)
            .find(|term| term.key == key)
            .and_then(|term| term.values.first().map(String::as_str))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
            if 0 < index {
                formatter.write_str(",")?;
            }
            write!(formatter, "{requirement}")?;
        }
        Ok(())
    }
}

fn requirements_of(selector: &Value) -> Result<Vec<Requirement>, String> {
    let fields = selector.as_object().ok_or("label selector is not an object")?;
    let mut requirements = Vec::new();
    match fields.get("matchLabels") {
        None | Some(Value::Null) => {}
        Some(Value::Object(labels)) => {
            for (key, value) in labels {
                let value = value
                    .as_str()
                    .ok_or_else(|| format!("matchLabels[{key}] is not a string"))?;
                requirements.push(Requirement::equality(key, Operator::In, value.to_owned())?);
            }
        }
        Some(_) => return Err("matchLabels is not an object".to_owned()),
    }
    match fields.get("matchExpressions") {
        None | Some(Value::Null) => {}
        Some(Value::Array(expressions)) => {
            for expression in expressions {
                requirements.push(requirement_of(expression)?);
            }
        }
        Some(_) => return Err("matchExpressions is not a list".to_owned()),
    }
    Ok(requirements)
}

fn requirement_of(expression: &Value) -> Result<Requirement, String> {
    let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(format!("{} is not a valid label selector operator", quote(other))),
    };
    let values = match expression.get("values") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or("values holds something that is not a string")
            })
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => return Err("values is not a list".to_owned()),
    };
    Requirement::new(text("key"), operator, values)
}

/// A token of the string form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Open,
    Close,
    Comma,
    End,
}

/// Splits the text into tokens; `position` is the token to read next.
struct Tokens<'a> {
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        let special = |letter: char| matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<');
        let mut tokens = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let Some(first) = rest.chars().next() else { break };
            let (token, length) = match first {
                '(' => (Token::Open, 1),
                ')' => (Token::Close, 1),
                ',' => (Token::Comma, 1),
                '>' => (Token::Greater, 1),
                '<' => (Token::Less, 1),
                '!' if rest.starts_with("!=") => (Token::NotEquals, 2),
                '!' => (Token::Not, 1),
                '=' if rest.starts_with("==") => (Token::DoubleEquals, 2),
                '=' => (Token::Equals, 1),
                _ => {
                    let stop = |letter: char| special(letter) || matches!(letter, ' ' | '\t' | '\r' | '\n');
                    (Token::Word, rest.find(stop).unwrap_or(rest.len()))
                }
            };
            tokens.push((token, &rest[..length]));
            rest = &rest[length..];
        }
        Self { tokens, position: 0 }
    }

    fn peek(&self) -> (Token, &'a str) {
        self.tokens.get(self.position).copied().unwrap_or((Token::End, ""))
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }
}

fn parse_text(text: &str) -> Result<Vec<Requirement>, String> {
    let mut tokens = Tokens::new(text);
    let mut requirements = Vec::new();
    loop {
        match tokens.peek() {
            (Token::Word | Token::Not, _) => {
                let requirement =
                    parse_requirement(&mut tokens).map_err(|error| format!("unable to parse requirement: {error}"))?;
                requirements.push(requirement);
                match tokens.next() {
                    (Token::End, _) => return Ok(requirements),
                    (Token::Comma, _) => {
                        let (token, found) = tokens.peek();
                        if !matches!(token, Token::Word | Token::Not) {
                            return Err(format!("found '{found}', expected: identifier after ','"));
                        }
                    }
                    (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                }
            }
            (Token::End, _) => return Ok(requirements),
            (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
        }
    }
}

fn parse_requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let negated = tokens.peek().0 == Token::Not;
    if negated {
        tokens.next();
    }
    let (token, key) = tokens.next();
    if token != Token::Word {
        return Err(format!("found '{key}', expected: identifier"));
    }
    check_key(key)?;
    if negated {
        return Requirement::new(key, Operator::DoesNotExist, [""; 0]);
    }
    if matches!(tokens.peek().0, Token::End | Token::Comma) {
        return Requirement::new(key, Operator::Exists, [""; 0]);
    }
    match tokens.next() {
        (Token::Word, "in") => Requirement::new(key, Operator::In, parse_values(tokens)?),
        (Token::Word, "notin") => Requirement::new(key, Operator::NotIn, parse_values(tokens)?),
        (Token::Equals | Token::DoubleEquals, _) => Requirement::equality(key, Operator::In, parse_exact(tokens)?),
        (Token::NotEquals, _) => Requirement::equality(key, Operator::NotIn, parse_exact(tokens)?),
        (Token::Greater, _) => Requirement::new(key, Operator::GreaterThan, [parse_exact(tokens)?]),
        (Token::Less, _) => Requirement::new(key, Operator::LessThan, [parse_exact(tokens)?]),
        (_, found) => Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
    }
}

fn parse_exact(tokens: &mut Tokens<'_>) -> Result<String, String> {
    if matches!(tokens.peek().0, Token::End | Token::Comma) {
        return Ok(String::new());
    }
    match tokens.next() {
        (Token::Word, word) => Ok(word.to_owned()),
        (_, found) => Err(format!("found '{found}', expected: identifier")),
    }
}

/// Reads `(x,y)`. A comma without a word beside it stands for the empty value.
fn parse_values(tokens: &mut Tokens<'_>) -> Result<BTreeSet<String>, String> {
    let (token, found) = tokens.next();
    if token != Token::Open {
        return Err(format!("found '{found}' expected: '('"));
    }
    let mut values = BTreeSet::new();
    match tokens.peek() {
        (Token::Close, _) => {
            tokens.next();
            return Ok(values);
        }
        (Token::Word | Token::Comma, _) => {}
        (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
    }
    loop {
        let word = match tokens.peek() {
            (Token::Word, word) => {
                tokens.next();
                word
            }
            (Token::Comma | Token::Close, _) => "",
            (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
        };
        values.insert(word.to_owned());
        match tokens.next() {
            (Token::Comma, _) => {}
            (Token::Close, _) => return Ok(values),
            (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let errors = label_key_errors(key);
    // The path in front is what Kubernetes prints for a path that is not there.
    if errors.is_empty() {
        Ok(())
    } else {
        Err(format!("<nil>: Invalid value: {}: {}", quote(key), errors.join("; ")))
    }
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
