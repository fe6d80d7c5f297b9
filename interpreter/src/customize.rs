//! `ResourceInterpreterCustomization`s: which script of a user answers which question about which kind (§4.1, §4.5).
//!
//! Several may speak of one kind: in the order of their names the first that has a script for an operation answers, except for
//! dependencies, where all do. Scripts are read once, and again only when their text changes. A script that cannot be read
//! answers with what is wrong with it: the rules that ship might take away what it is there to keep.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crds::validate::script;
use serde_json::Value;

use crate::Operation;
use crate::error::InterpretError;
use crate::lua::Script;

/// A kind that customizations speak of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// `apiVersion`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
}

/// All customizations at one moment.
#[derive(Debug, Default)]
pub(crate) struct Customizations {
    kinds: HashMap<String, Rules>,
    /// By text; kept from one moment to the next.
    scripts: HashMap<String, Read>,
}

/// A script as it was read.
type Read = Result<Arc<Script>, InterpretError>;

/// A script and whose it is.
#[derive(Debug)]
pub(crate) struct Custom {
    customization: Arc<str>,
    script: Read,
}

impl Custom {
    /// Name of the customization.
    pub(crate) fn name(&self) -> &str {
        &self.customization
    }

    /// As [`Script::call`]; a failure names the customization.
    pub(crate) fn call(
        &self,
        function: &'static str,
        arguments: &[Value],
        references: &[&Value],
    ) -> Result<Value, InterpretError> {
        self.script(function)?
            .call(function, arguments, references)
            .map_err(|error| self.blame(error))
    }

    /// As [`Script::call_many`]; a failure names the customization.
    pub(crate) fn call_many(
        &self,
        function: &'static str,
        arguments: &[Value],
        references: &[&[&Value]],
    ) -> Result<Vec<Value>, InterpretError> {
        self.script(function)?
            .call_many(function, arguments, references)
            .map_err(|error| self.blame(error))
    }

    /// Says whose fault an answer is.
    pub(crate) fn blame(&self, cause: InterpretError) -> InterpretError {
        InterpretError::Customized {
            customization: self.customization.clone(),
            cause: Box::new(cause),
        }
    }

    fn script(&self, function: &'static str) -> Result<&Script, InterpretError> {
        self.script.as_deref().map_err(|error| {
            let message = error.to_string();
            self.blame(InterpretError::Script { function, message })
        })
    }
}

/// The scripts for one kind.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Another number for other scripts.
    pub(crate) version: u64,
    pub(crate) retain: Option<Custom>,
    pub(crate) replicas: Option<Custom>,
    pub(crate) components: Option<Custom>,
    pub(crate) revise: Option<Custom>,
    pub(crate) reflect: Option<Custom>,
    pub(crate) aggregate: Option<Custom>,
    pub(crate) health: Option<Custom>,
    pub(crate) dependencies: Vec<Custom>,
}

impl Rules {
    /// Where the script of a field of a customization goes.
    fn slot(&mut self, field: &str) -> Option<&mut Option<Custom>> {
        Some(match field {
            "retention" => &mut self.retain,
            "replicaResource" => &mut self.replicas,
            "componentResource" => &mut self.components,
            "replicaRevision" => &mut self.revise,
            "statusReflection" => &mut self.reflect,
            "statusAggregation" => &mut self.aggregate,
            "healthInterpretation" => &mut self.health,
            _ => return None,
        })
    }
}

/// What is wrong with each script of a customization, and what is not: those that cannot be read, that fail before they are
/// asked anything, and that lack the function of their operation.
pub fn check_customization(customization: &Value) -> Vec<(Operation, Result<(), InterpretError>)> {
    let checked = crds::validate::SCRIPTS.iter().filter_map(|(field, operation)| {
        let text = script(customization, field)?;
        let operation = Operation::parse(operation)?;
        let outcome = Script::read(text).and_then(|script| script.defines(operation.function()));
        Some((operation, outcome))
    });
    checked.collect()
}

/// Reads a script, and says what is wrong with it.
pub fn check_script(text: &str) -> Result<(), String> {
    Script::read(text)
        .map(|_| ())
        .map_err(|error: InterpretError| error.to_string())
}

impl Customizations {
    /// The customizations of the next moment.
    pub(crate) fn next<'a>(&self, all: impl IntoIterator<Item = &'a Value>) -> Self {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<&Value> = all.into_iter().collect();
        all.sort_by_cached_key(|object| name(object));
        let mut next = Self::default();
        for object in all {
            let Some(kind) = kind(&object["spec"]["target"]) else {
                continue;
            };
            let customization: Arc<str> = name(object).into();
            for (field, _) in crds::validate::SCRIPTS {
                let Some(text) = script(object, field) else { continue };
                let script = Custom {
                    customization: customization.clone(),
                    script: self.read(&mut next.scripts, text),
                };
                let rules = next.kinds.entry(kind.clone()).or_default();
                let mut version = DefaultHasher::new();
                (rules.version, &customization, field, text).hash(&mut version);
                rules.version = version.finish();
                match rules.slot(field) {
                    Some(slot) => *slot = slot.take().or(Some(script)),
                    None => rules.dependencies.push(script),
                }
            }
        }
        next
    }

    /// The kinds about which another moment says something else.
    pub(crate) fn changes(&self, next: &Self) -> Vec<Target> {
        let version = |of: &Self, kind: &str| of.kinds.get(kind).map(|rules| rules.version);
        let kinds: BTreeSet<&String> = self.kinds.keys().chain(next.kinds.keys()).collect();
        let changed = kinds
            .into_iter()
            .filter(|kind| version(self, kind) != version(next, kind));
        let target = |kind: &String| {
            let (api_version, kind) = kind.rsplit_once('/')?;
            Some(Target {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            })
        };
        changed.filter_map(target).collect()
    }

    fn read(&self, scripts: &mut HashMap<String, Read>, text: &str) -> Read {
        let known = scripts.get(text).or_else(|| self.scripts.get(text)).cloned();
        let script = known.unwrap_or_else(|| Script::read(text).map(Arc::new));
        scripts.insert(text.to_owned(), script.clone());
        script
    }

    /// The scripts for an object's kind.
    pub(crate) fn of(&self, object: &Value) -> Option<&Rules> {
        if self.kinds.is_empty() {
            return None;
        }
        self.kinds.get(&kind(object)?)
    }
}

/// `apiVersion/kind` of an object or a target.
fn kind(object: &Value) -> Option<String> {
    Some(format!(
        "{}/{}",
        object["apiVersion"].as_str()?,
        object["kind"].as_str()?
    ))
}
