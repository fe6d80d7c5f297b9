//! `ResourceInterpreterCustomization`s: which script of a user answers which question about which kind (§4.1, §4.5).
//!
//! Several may speak of one kind: in the order of their names the first that has a script for an operation answers, except for
//! dependencies, where all do. Scripts are read once, and again only when their text changes.

use std::collections::HashMap;
use std::sync::Arc;

use crds::validate::script;
use serde_json::Value;

use crate::error::InterpretError;
use crate::lua::Script;

/// All customizations at one moment.
#[derive(Debug, Default)]
pub(crate) struct Customizations {
    kinds: HashMap<String, Rules>,
    /// By text; kept from one moment to the next.
    scripts: HashMap<String, Arc<Script>>,
}

/// The scripts for one kind.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) retain: Option<Arc<Script>>,
    pub(crate) replicas: Option<Arc<Script>>,
    pub(crate) components: Option<Arc<Script>>,
    pub(crate) revise: Option<Arc<Script>>,
    pub(crate) reflect: Option<Arc<Script>>,
    pub(crate) aggregate: Option<Arc<Script>>,
    pub(crate) health: Option<Arc<Script>>,
    pub(crate) dependencies: Vec<Arc<Script>>,
}

impl Rules {
    /// Where the script of a field of a customization goes.
    fn slot(&mut self, field: &str) -> Option<&mut Option<Arc<Script>>> {
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

/// Reads a script, and says what is wrong with it.
pub fn check_script(text: &str) -> Result<(), String> {
    Script::read(text)
        .map(|_| ())
        .map_err(|error: InterpretError| error.to_string())
}

impl Customizations {
    /// The customizations of the next moment. Scripts that cannot be read are left out.
    pub(crate) fn next<'a>(&self, all: impl IntoIterator<Item = &'a Value>) -> Self {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<&Value> = all.into_iter().collect();
        all.sort_by_cached_key(|object| name(object));
        let mut next = Self::default();
        for object in all {
            let Some(kind) = kind(&object["spec"]["target"]) else {
                continue;
            };
            for (field, _) in crds::validate::SCRIPTS {
                let Some(script) = script(object, field).and_then(|text| self.read(&mut next.scripts, text)) else {
                    continue;
                };
                let rules = next.kinds.entry(kind.clone()).or_default();
                match rules.slot(field) {
                    Some(slot) => *slot = slot.take().or(Some(script)),
                    None => rules.dependencies.push(script),
                }
            }
        }
        next
    }

    fn read(&self, scripts: &mut HashMap<String, Arc<Script>>, text: &str) -> Option<Arc<Script>> {
        let known = scripts.get(text).or_else(|| self.scripts.get(text)).cloned();
        let script = known.or_else(|| Script::read(text).ok().map(Arc::new))?;
        scripts.insert(text.to_owned(), script.clone());
        Some(script)
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
