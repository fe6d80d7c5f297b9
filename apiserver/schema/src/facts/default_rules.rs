//! Reads the tables of defaulting rules. [`crate::defaults`] interprets them.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::lines::{condition, lines, path};
use super::tables;

/// The rules of one type.
#[derive(Debug, Default)]
pub(crate) struct TypeRules {
    /// For every value of the type.
    pub(crate) always: Vec<DefaultRule>,
    /// Only where the value is the whole object.
    pub(crate) root: Vec<DefaultRule>,
    /// Once, when the object is made.
    pub(crate) create: Vec<DefaultRule>,
}

/// Packages whose declared quantities are rounded up to thousandths.
pub(crate) const ROUNDED_QUANTITIES: &str = "core.v1.";

/// One rule.
#[derive(Debug)]
pub(crate) struct DefaultRule {
    /// Lists to go through first.
    pub(crate) each: Option<Vec<&'static str>>,
    /// Where it acts, from each element.
    pub(crate) path: Vec<&'static str>,
    /// What it does.
    pub(crate) operation: Operation,
    /// When.
    pub(crate) condition: Condition,
    /// Missing parents of the path are made: rules for new objects.
    pub(crate) makes_parents: bool,
}

/// What a rule does.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Assign when unset.
    Default(Expression),
    /// Assign.
    Set(Expression),
    /// Remove.
    Drop,
    /// Add an element to a list that lacks it.
    Append(Value),
}

/// What is assigned.
#[derive(Debug)]
pub(crate) enum Expression {
    /// This value.
    Literal(Value),
    /// What stands elsewhere.
    Copy(Target),
    /// What a function makes.
    Call(Call),
}

/// A path and where it starts.
#[derive(Debug)]
pub(crate) struct Target {
    /// From the root object rather than from the value at hand.
    pub(crate) root: bool,
    /// Keys.
    pub(crate) path: Vec<Segment>,
}

/// A key of a path.
pub(crate) type Segment = &'static str;

/// Functions of the tables.
#[derive(Debug)]
pub(crate) enum Call {
    /// Keys of a map that the target lacks.
    Missing(Target),
    /// Pull policy of an image reference.
    Pull(Target),
    /// Lower case.
    Lower(Target),
    /// A text appended.
    Cat(Target, String),
    /// The time of the request.
    Now,
    /// A literal overlaid by the set members of a value.
    Overlay(Target, Value),
    /// Name of the version that is stored.
    StorageVersion(Target),
    /// Huge page limits of a pod, from its containers.
    PodHugepageLimits,
    /// Requests of a pod, from its containers and limits.
    PodRequests,
    /// Quality of service class of a pod.
    Qos(Target),
    /// A field of the user of the request.
    User(&'static str),
}

/// When a rule applies.
#[derive(Debug)]
pub(crate) enum Condition {
    /// Always, or all of these.
    All(Vec<Test>),
    /// Any of these.
    Any(Vec<Test>),
}

/// One test.
#[derive(Debug)]
pub(crate) enum Test {
    /// Equal to a value.
    Equal(Target, Value),
    /// Not equal to a value.
    NotEqual(Target, Value),
    /// Set.
    Set(Target),
    /// Not set.
    Unset(Target),
    /// A feature is on.
    Gate(bool),
    /// No field of the value is set.
    Empty,
}

/// Features of the release that are off.
const GATES_OFF: &[&str] = &[
    "MaxUnavailableStatefulSet",
    "VolumeLimitScaling",
    "PodLogsQuerySplitStreams",
];

/// The rules of every type, by name.
pub(crate) fn default_rules() -> &'static HashMap<&'static str, TypeRules> {
    static RULES: OnceLock<HashMap<&'static str, TypeRules>> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut types: HashMap<&'static str, TypeRules> = HashMap::new();
        for text in tables::DEFAULTS {
            let mut current = None;
            for (indented, line) in lines(text) {
                if !indented {
                    let mut words = line.split(' ');
                    let create = words.next() == Some("create");
                    current = words.next().map(|name| (name, create, words.next() == Some("root")));
                } else if let Some((name, create, root)) = current
                    && let Some(rule) = rule(line, create)
                {
                    let rules = types.entry(name).or_default();
                    match (create, root) {
                        (true, _) => rules.create.push(rule),
                        (false, true) => rules.root.push(rule),
                        (false, false) => rules.always.push(rule),
                    }
                }
            }
        }
        types
    })
}

fn rule(line: &'static str, makes_parents: bool) -> Option<DefaultRule> {
    let (text, condition_text) = condition(line);
    let condition = condition_text.map_or(Some(Condition::All(Vec::new())), parse_condition)?;
    let (each, text) = match text.strip_prefix("each ") {
        Some(rest) => {
            let (list, rest) = rest.split_once(' ')?;
            (Some(path(list)), rest)
        }
        None => (None, text),
    };
    if let Some(place) = text.strip_prefix("drop ") {
        return Some(DefaultRule {
            each,
            path: path(place),
            operation: Operation::Drop,
            condition,
            makes_parents,
        });
    }
    if let Some(rest) = text.strip_prefix("+ ") {
        let (place, value) = rest.split_once(' ')?;
        let operation = Operation::Append(serde_json::from_str(value).ok()?);
        return Some(DefaultRule {
            each,
            path: path(place),
            operation,
            condition,
            makes_parents,
        });
    }
    let (place, operation) = if let Some((place, value)) = text.split_once(" := ") {
        (place, Operation::Set(expression(value)?))
    } else {
        let (place, value) = text.split_once(" = ")?;
        (place, Operation::Default(expression(value)?))
    };
    Some(DefaultRule {
        each,
        path: path(place),
        operation,
        condition,
        makes_parents,
    })
}

fn target(text: &'static str) -> Target {
    let (text, root) = text.strip_prefix('^').map_or((text, false), |text| (text, true));
    Target { root, path: path(text) }
}

fn expression(text: &'static str) -> Option<Expression> {
    if let Some(place) = text.strip_prefix('$') {
        return Some(Expression::Copy(target(place)));
    }
    if let Some((name, arguments)) = text
        .split_once('(')
        .filter(|_| text.starts_with(|first: char| first.is_ascii_lowercase()))
    {
        return call(name, arguments.strip_suffix(')')?).map(Expression::Call);
    }
    serde_json::from_str(text).ok().map(Expression::Literal)
}

fn call(name: &str, arguments: &'static str) -> Option<Call> {
    let (first, rest) = arguments.split_once(',').unwrap_or((arguments, ""));
    let place = target(first.strip_prefix('$').unwrap_or(first));
    Some(match name {
        "missing" => Call::Missing(place),
        "pull" => Call::Pull(place),
        "lower" => Call::Lower(place),
        "cat" => Call::Cat(place, serde_json::from_str(rest).ok()?),
        "now" => Call::Now,
        "overlay" => Call::Overlay(place, serde_json::from_str(rest).ok()?),
        "storageVersion" => Call::StorageVersion(place),
        "podHugepageLimits" => Call::PodHugepageLimits,
        "podRequests" => Call::PodRequests,
        "qos" => Call::Qos(place),
        "user" => Call::User(arguments),
        _ => return None,
    })
}

fn parse_condition(text: &'static str) -> Option<Condition> {
    if text.contains(" | ") {
        return text.split(" | ").map(test).collect::<Option<_>>().map(Condition::Any);
    }
    text.split(" & ").map(test).collect::<Option<_>>().map(Condition::All)
}

fn test(text: &'static str) -> Option<Test> {
    let inside = |name: &str| text.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    if let Some(place) = inside("set(") {
        return Some(Test::Set(target(place)));
    }
    if let Some(place) = inside("unset(") {
        return Some(Test::Unset(target(place)));
    }
    if let Some(name) = inside("gate(") {
        return Some(Test::Gate(!GATES_OFF.contains(&name)));
    }
    if text == "none()" {
        return Some(Test::Empty);
    }
    if let Some((place, value)) = text.split_once(" == ") {
        return Some(Test::Equal(target(place), serde_json::from_str(value).ok()?));
    }
    let (place, value) = text.split_once(" != ")?;
    Some(Test::NotEqual(target(place), serde_json::from_str(value).ok()?))
}
