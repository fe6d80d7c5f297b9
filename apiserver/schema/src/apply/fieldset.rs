//! Sets of field paths, as `metadata.managedFields[].fieldsV1` holds them.
//!
//! A set is a tree. A node stands for one step of a path: a field by name (`f:name`), a list item by its keys
//! (`k:{"name":"x"}`), by its value (`v:"x"`) or by its index (`i:0`). A node may be a member of the set itself, which its JSON
//! shows as `{}`, or as `.` when members lie below it as well.
//!
//! Items are kept in the text that the JSON has, with the keys of `k:` sorted, so that encoding is a walk without work.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    fields: BTreeMap<Box<str>, Node>,
    items: BTreeMap<Box<str>, Node>,
}

/// One step of the paths in a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// The path that ends here is in the set.
    pub(super) member: bool,
    /// Paths that go on.
    pub(super) children: FieldSet,
}

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A field or map key.
    Field(&'a str),
    /// A list item, in `FieldsV1` notation: `k:{…}`, `v:…` or `i:…`.
    Item(&'a str),
}

impl Node {
    pub(super) fn leaf() -> Self {
        Self {
            member: true,
            children: FieldSet::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    fn union(&mut self, other: Node) {
        self.member |= other.member;
        self.children.union(other.children);
    }
}

impl FieldSet {
    /// A set of dotted field names, for sets written in code: `["status", "metadata.name"]`.
    pub fn of_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for path in paths {
            let steps: Vec<Step<'_>> = path.split('.').map(Step::Field).collect();
            set.insert(&steps);
        }
        set
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.items.is_empty()
    }

    /// Adds a path. The empty path is not a member of any set.
    pub fn insert(&mut self, path: &[Step<'_>]) {
        if let [first, rest @ ..] = path {
            let node = self.slot(*first);
            if rest.is_empty() {
                node.member = true;
            } else {
                node.children.insert(rest);
            }
        }
    }

    /// Whether this very path is in the set; its parents and children do not count.
    pub fn contains(&self, path: &[Step<'_>]) -> bool {
        match path {
            [] => false,
            [last] => self.node(*last).is_some_and(|node| node.member),
            [first, rest @ ..] => self.node(*first).is_some_and(|node| node.children.contains(rest)),
        }
    }

    pub(super) fn node(&self, step: Step<'_>) -> Option<&Node> {
        match step {
            Step::Field(name) => self.fields.get(name),
            Step::Item(text) => self.items.get(text),
        }
    }

    fn slot(&mut self, step: Step<'_>) -> &mut Node {
        match step {
            Step::Field(name) => self.fields.entry(name.into()).or_default(),
            Step::Item(text) => self.items.entry(text.into()).or_default(),
        }
    }

    /// Puts a subtree in place, unless it is empty.
    pub(super) fn put(&mut self, step: Step<'_>, node: Node) {
        if !node.is_empty() {
            self.slot(step).union(node);
        }
    }

    /// Every step below this set with its node.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Step<'_>, &Node)> {
        let fields = self.fields.iter().map(|(name, node)| (Step::Field(name), node));
        fields.chain(self.items.iter().map(|(text, node)| (Step::Item(text), node)))
    }

    /// Adds every path of the other set.
    pub fn union(&mut self, other: FieldSet) {
        for (mine, theirs) in [(&mut self.fields, other.fields), (&mut self.items, other.items)] {
            if mine.is_empty() {
                *mine = theirs;
                continue;
            }
            for (step, node) in theirs {
                mine.entry(step).or_default().union(node);
            }
        }
    }

    /// Takes out the paths that are in the other set.
    pub fn subtract(&mut self, other: &FieldSet) {
        self.subtract_with(other, |mine, theirs| {
            mine.member &= !theirs.member;
            mine.children.subtract(&theirs.children);
        });
    }

    /// Takes out the paths that are in the other set, and everything below them.
    pub fn subtract_below(&mut self, other: &FieldSet) {
        self.subtract_with(other, |mine, theirs| {
            if theirs.member {
                *mine = Node::default();
            } else {
                mine.children.subtract_below(&theirs.children);
            }
        });
    }

    fn subtract_with(&mut self, other: &FieldSet, subtract: impl Fn(&mut Node, &Node)) {
        for (mine, theirs) in [(&mut self.fields, &other.fields), (&mut self.items, &other.items)] {
            for (step, node) in theirs {
                if let Some(own) = mine.get_mut(step) {
                    subtract(own, node);
                    if own.is_empty() {
                        mine.remove(step);
                    }
                }
            }
        }
    }

    /// The paths that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let mut both = FieldSet::default();
        for (step, mine) in self.nodes() {
            if let Some(theirs) = other.node(step) {
                let children = mine.children.intersection(&theirs.children);
                both.put(
                    step,
                    Node {
                        member: mine.member && theirs.member,
                        children,
                    },
                );
            }
        }
        both
    }

    /// The paths of the set as Kubernetes prints them (`.spec.ports[port=80,protocol="TCP"].name`), in order.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        for (step, node) in self.nodes() {
            let path = format!("{prefix}{}", printed(step));
            if node.member {
                paths.push(path.clone());
            }
            node.children.collect_paths(&path, paths);
        }
    }

    /// Reads `fieldsV1`. The error is for people.
    pub fn from_json(json: &Value) -> Result<Self, String> {
        let fields = json.as_object().ok_or("a field set is a JSON object")?;
        let mut set = Self::default();
        for (key, below) in fields {
            let mut node = Node {
                member: is_member(below),
                children: Self::from_json(below)?,
            };
            if let Some(name) = key.strip_prefix("f:") {
                set.put(Step::Field(name), node);
            } else if key == "." {
                // Membership of the parent, which reads it itself.
                node.children = FieldSet::default();
            } else {
                set.put(Step::Item(&canonical_item(key)?), node);
            }
        }
        Ok(set)
    }

    /// Writes `fieldsV1`; equal sets give equal bytes.
    pub fn to_json(&self) -> Value {
        Value::Object(self.to_map())
    }

    fn to_map(&self) -> Map<String, Value> {
        let mut map = Map::new();
        for (step, node) in self.nodes() {
            let mut below = Map::new();
            if node.member && !node.children.is_empty() {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            below.extend(node.children.to_map());
            let key = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Item(text) => text.to_owned(),
            };
            map.insert(key, Value::Object(below));
        }
        map
    }

    /// Whether a set in its JSON form shares a path with this one. Saves decoding the set in the common case that it does not.
    pub(super) fn touches_json(&self, json: &Value) -> bool {
        let mut key = String::new();
        self.nodes().any(|(step, node)| {
            json_child(json, step, &mut key).is_some_and(|below| {
                (node.member && is_member(below)) || (!node.children.is_empty() && node.children.touches_json(below))
            })
        })
    }

    /// Whether a set in its JSON form has every path of this one.
    pub(super) fn within_json(&self, json: &Value) -> bool {
        let mut key = String::new();
        self.nodes().all(|(step, node)| {
            json_child(json, step, &mut key).is_some_and(|below| {
                (!node.member || is_member(below)) && (node.children.is_empty() || node.children.within_json(below))
            })
        })
    }
}

/// Whether the path of this JSON node is in the set: nothing below it, or a dot.
fn is_member(below: &Value) -> bool {
    below
        .as_object()
        .is_some_and(|map| map.is_empty() || map.contains_key("."))
}

fn json_child<'a>(json: &'a Value, step: Step<'_>, key: &mut String) -> Option<&'a Value> {
    match step {
        Step::Field(name) => {
            key.clear();
            key.push_str("f:");
            key.push_str(name);
            json.get(key.as_str())
        }
        Step::Item(text) => json.get(text),
    }
}

/// An item step in the form that this module compares: keys of `k:` sorted, no white space.
fn canonical_item(key: &str) -> Result<String, String> {
    let wrong = || format!("not a path element of a field set: {key:?}");
    let (kind, text) = key.split_once(':').ok_or_else(wrong)?;
    match kind {
        "k" => {
            let keys: BTreeMap<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
            Ok(item_by_keys(keys.iter().map(|(name, value)| (name.as_str(), value))))
        }
        "v" => {
            let value: Value = serde_json::from_str(text).map_err(|_| wrong())?;
            Ok(item_by_value(&value))
        }
        "i" => text
            .parse::<u64>()
            .map(|index| format!("i:{index}"))
            .map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// `k:{…}`; the names must come sorted.
pub(super) fn item_by_keys<'a>(keys: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let mut text = "k:{".to_owned();
    for (index, (name, value)) in keys.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Names go through JSON too, for the sake of quotes in them. Writing to a string cannot fail.
        let _ = write!(text, "{comma}{}:{value}", Value::from(name));
    }
    text.push('}');
    text
}

/// `v:…`.
pub(super) fn item_by_value(value: &Value) -> String {
    format!("v:{value}")
}

/// A step as it stands in a path for people.
pub(super) fn printed(step: Step<'_>) -> String {
    match step {
        Step::Field(name) => format!(".{name}"),
        Step::Item(text) => match text.split_once(':') {
            Some(("k", keys)) => {
                let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
            Some(("v", value)) => format!("[={value}]"),
            Some((_, index)) => format!("[{index}]"),
            None => format!("[{text}]"),
        },
    }
}
