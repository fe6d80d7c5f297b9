//! Reads the tables of rules about names and updates.

use std::collections::HashMap;

use serde_json::Value;

use super::lines::{condition, gvk, lines, list, pair, path};
use crate::model::GroupVersionKind;

/// All rules, by group and kind.
pub(super) struct Table {
    kinds: HashMap<(String, String), KindRules>,
}

/// The rules of one kind.
pub(super) struct KindRules {
    pub(super) name: NameRule,
    pub(super) updates: Vec<UpdateRule>,
}

impl Table {
    pub(super) fn find(&self, gvk: &GroupVersionKind) -> Option<&KindRules> {
        self.kinds.get(&(gvk.group.clone(), gvk.kind.clone()))
    }
}

/// How the names of a kind are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameRule {
    /// The form.
    pub format: NameFormat,
    /// A bound that is tighter than the form's own.
    pub max_length: Option<usize>,
}

/// Forms of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameFormat {
    /// DNS-1123 subdomain, at most 253.
    #[default]
    Subdomain,
    /// DNS-1123 label, at most 63.
    Label,
    /// DNS-1035 label, at most 63.
    Label1035,
    /// A path segment: not `.` or `..`, no `/`, no `%`.
    Path,
    /// Canonical IP address.
    Ip,
    /// Letters, digits, `-`, `_`, `.`; at most 253.
    Key,
    /// Subdomain; the prefix `system-` belongs to built-in classes.
    PriorityClass,
    /// `spec.names.plural` + `.` + `spec.group`.
    CustomResourceDefinition,
    /// `spec.version` + `.` + `spec.group`.
    ApiService,
    /// Bound to `spec.signerName`.
    TrustBundle,
    /// `GROUP.RESOURCE`.
    StorageVersion,
}

/// Something that an update may not do.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateRule {
    /// Holds for this subresource only; none: for the resource itself.
    pub subresource: Option<&'static str>,
    /// What is not allowed.
    pub action: RuleAction,
    /// Where; empty for notes.
    pub path: Vec<&'static str>,
    /// All must hold for the rule to apply.
    pub conditions: Vec<RuleCondition>,
}

/// What an update may not do to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAction {
    /// The value stays as it is, but for these fields below it.
    Fixed(Vec<&'static str>),
    /// It may be set, then it is fixed.
    Once,
    /// Elements may be added, none removed or changed.
    Keep,
    /// It may change but not be unset.
    Stay,
    /// Elements may only be added.
    Add,
    /// Elements may only be removed.
    Cut,
    /// A number may only go down.
    Down,
    /// A rule that needs code; the word names it.
    Note(&'static str),
}

/// Which object a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The stored object.
    Old,
    /// The object of the request.
    New,
}

/// A condition of an [`UpdateRule`].
#[derive(Debug, Clone, PartialEq)]
pub struct RuleCondition {
    /// Which object.
    pub side: Side,
    /// Where.
    pub path: Vec<&'static str>,
    /// What must hold there.
    pub test: RuleTest,
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleTest {
    /// Equal to this.
    Equal(Value),
    /// Not equal to this.
    NotEqual(Value),
    /// Present and not null.
    Set,
    /// Absent or null.
    Unset,
}

pub(super) fn parse(texts: &[&'static str]) -> Table {
    let mut kinds: HashMap<(String, String), KindRules> = HashMap::new();
    for text in texts {
        let mut current = None;
        for (indented, line) in lines(text) {
            if indented {
                if let Some(rules) = current.as_ref().and_then(|key| kinds.get_mut(key)) {
                    rules.updates.push(update(line));
                }
                continue;
            }
            let mut words = line.split(' ');
            let kind = gvk(words.next().unwrap_or_default(), "");
            let mut name = NameRule::default();
            for word in words {
                match pair(word) {
                    ("name", format) => name.format = name_format(format),
                    ("maxlen", number) => name.max_length = number.parse().ok(),
                    _ => {}
                }
            }
            let key = (kind.group, kind.kind);
            kinds.insert(
                key.clone(),
                KindRules {
                    name,
                    updates: Vec::new(),
                },
            );
            current = Some(key);
        }
    }
    Table { kinds }
}

fn name_format(text: &str) -> NameFormat {
    match text {
        "label" => NameFormat::Label,
        "label1035" => NameFormat::Label1035,
        "path" | "any" => NameFormat::Path,
        "ip" => NameFormat::Ip,
        "key" => NameFormat::Key,
        "priorityclass" => NameFormat::PriorityClass,
        "crd" => NameFormat::CustomResourceDefinition,
        "apiservice" => NameFormat::ApiService,
        "trustbundle" => NameFormat::TrustBundle,
        "storageversion" => NameFormat::StorageVersion,
        _ => NameFormat::Subdomain,
    }
}

fn update(line: &'static str) -> UpdateRule {
    let (rule, condition) = condition(line);
    let mut words = rule.split(' ');
    let mut word = words.next().unwrap_or_default();
    let mut subresource = None;
    if word == "on" {
        subresource = words.next();
        word = words.next().unwrap_or_default();
    }
    let target = words.next().unwrap_or_default();
    let except = if words.next() == Some("except") {
        list(words.next().unwrap_or_default())
    } else {
        Vec::new()
    };
    let action = match word {
        "fixed" => RuleAction::Fixed(except),
        "once" => RuleAction::Once,
        "keep" => RuleAction::Keep,
        "stay" => RuleAction::Stay,
        "add" => RuleAction::Add,
        "cut" => RuleAction::Cut,
        "down" => RuleAction::Down,
        _ => RuleAction::Note(target),
    };
    let path = if matches!(action, RuleAction::Note(_)) {
        Vec::new()
    } else {
        path(target)
    };
    let conditions = condition.map_or_else(Vec::new, |text| text.split(" & ").filter_map(rule_condition).collect());
    UpdateRule {
        subresource,
        action,
        path,
        conditions,
    }
}

fn rule_condition(line: &'static str) -> Option<RuleCondition> {
    let (place, asked) = if let Some(place) = line.strip_prefix("set(").and_then(|rest| rest.strip_suffix(')')) {
        (place, RuleTest::Set)
    } else if let Some(place) = line.strip_prefix("unset(").and_then(|rest| rest.strip_suffix(')')) {
        (place, RuleTest::Unset)
    } else if let Some((place, value)) = line.split_once(" == ") {
        (place, RuleTest::Equal(serde_json::from_str(value).ok()?))
    } else {
        let (place, value) = line.split_once(" != ")?;
        (place, RuleTest::NotEqual(serde_json::from_str(value).ok()?))
    };
    let (side, place) = match place.split_once('.')? {
        ("old", place) => (Side::Old, place),
        (_, place) => (Side::New, place),
    };
    Some(RuleCondition {
        side,
        path: path(place),
        test: asked,
    })
}
