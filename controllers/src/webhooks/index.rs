//! Which webhook answers which question: rules with `*`, and among those that match the one with the least
//! `<configuration>/<webhook>`.

use std::sync::Arc;
use std::time::Duration;

use interpreter::Operation;
use runtime::webhook::Target;
use schema::entry::Entry;
use serde::Deserialize;
use serde_json::Value;

use super::TIMEOUT;

/// The version of the context that is spoken.
const VERSION: &str = "v1alpha1";

/// What a configuration says.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    #[serde(default)]
    client_config: Target,
    #[serde(default)]
    rules: Vec<Rule>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    interpreter_context_versions: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    kinds: Vec<String>,
}

impl Rule {
    fn covers(&self, operation: Operation, group: &str, version: &str, kind: &str) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|own| own == "*" || own == name);
        has(&self.operations, operation.as_str())
            && has(&self.api_groups, group)
            && has(&self.api_versions, version)
            && has(&self.kinds, kind)
    }
}

/// One webhook.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// `<configuration>/<webhook>`.
    pub(super) uid: String,
    pub(super) target: Target,
    pub(super) timeout: Duration,
    /// It knows the version that is spoken here.
    pub(super) speaks: bool,
    rules: Vec<Rule>,
}

/// All webhooks, in the order in which they are asked.
#[derive(Debug)]
pub(super) struct Index {
    hooks: Vec<Arc<Terms>>,
    /// The revisions of what it was made of.
    pub(super) version: u64,
}

impl Index {
    pub(super) fn new(configurations: &[Arc<Entry>]) -> Self {
        let mut hooks = Vec::new();
        for entry in configurations {
            let configuration: Configuration = match entry.typed() {
                Ok(configuration) => configuration,
                Err(problem) => {
                    tracing::error!(%problem, key = %entry.key(), "a configuration of interpreter webhooks cannot be read");
                    continue;
                }
            };
            hooks.extend(configuration.webhooks.into_iter().map(|webhook| {
                let timeout = webhook.timeout_seconds.map(|seconds| seconds.clamp(1, 30));
                Arc::new(Terms {
                    uid: format!("{}/{}", entry.name(), webhook.name),
                    target: webhook.client_config,
                    timeout: timeout.map_or(TIMEOUT, Duration::from_secs),
                    speaks: webhook
                        .interpreter_context_versions
                        .iter()
                        .any(|known| known == VERSION),
                    rules: webhook.rules,
                })
            }));
        }
        hooks.sort_by(|one, other| one.uid.cmp(&other.uid));
        let version = configurations.iter().map(|entry| entry.revision()).max();
        Self {
            hooks,
            version: version.unwrap_or_default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hooks.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.hooks.iter().map(|terms| &*terms.uid)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.hooks.iter().map(|terms| &terms.target)
    }

    /// Who answers a question about an object.
    pub(super) fn find(&self, operation: Operation, object: &Value) -> Option<Arc<Terms>> {
        let api_version = object["apiVersion"].as_str()?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = object["kind"].as_str()?;
        let covers = |terms: &&Arc<Terms>| {
            let mut rules = terms.rules.iter();
            rules.any(|rule| rule.covers(operation, group, version, kind))
        };
        self.hooks.iter().find(covers).cloned()
    }
}
