//! Which webhooks there are, and which of them a kind of request concerns.
//!
//! The index is built when a configuration changes. What it says about one resource and operation is worked out when the
//! first such request comes and kept, so that a later one costs a lookup. Without webhooks a request costs the load of one
//! pointer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwapOption;
use runtime::webhook::{Client, Services, SystemRoots, Target, TargetError};
use schema::entry::GroupResource;
use storage::{Scope, Snapshot, Store};
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::rules::{Configuration, Operation, Terms};
use crate::metrics::Metrics;
use crate::registry::{Registry, ResourceDef};

/// The group of the configurations.
const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";
/// What webhooks know the server as.
const AGENT: &str = "kube-apiserver-admission";
const RESOURCES: [&str; 2] = [MUTATING, VALIDATING];

/// Whether a change of this resource changes what is called.
pub(crate) fn is_configuration(def: &ResourceDef) -> bool {
    def.group == GROUP && RESOURCES.contains(&def.plural.as_str())
}

/// Whether no webhook is ever asked about this resource: who could not undo a mistake in a webhook's configuration, for
/// the webhook refuses it, would be stuck.
pub(super) fn is_exempt(def: &ResourceDef) -> bool {
    def.custom.is_none()
        && def.group == GROUP
        && (is_configuration(def)
            || matches!(
                def.plural.as_str(),
                "mutatingadmissionpolicies"
                    | "mutatingadmissionpolicybindings"
                    | "validatingadmissionpolicies"
                    | "validatingadmissionpolicybindings"
            ))
}

/// One webhook of a stored configuration.
pub(super) struct Hook {
    pub(super) terms: Terms,
    pub(super) client: Result<Arc<Client>, TargetError>,
}

/// A webhook that the rules allow for a resource.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) hook: Arc<Hook>,
    /// The resource as the webhook wants to see it: that of the request, or one that is equivalent.
    pub(super) seen_as: Arc<ResourceDef>,
}

/// The webhooks that the rules allow for a resource, in the order in which they are called.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) mutating: Vec<Candidate>,
    pub(super) validating: Vec<Candidate>,
}

impl Selection {
    fn is_empty(&self) -> bool {
        self.mutating.is_empty() && self.validating.is_empty()
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Asked {
    operation: Operation,
    group: String,
    version: String,
    plural: String,
    subresource: String,
}

#[derive(Default)]
struct Known {
    /// What the answers are true of.
    registry: Option<Arc<Registry>>,
    answers: HashMap<Asked, Option<Arc<Selection>>>,
}

/// Every webhook at one moment.
struct Index {
    mutating: Vec<Arc<Hook>>,
    validating: Vec<Arc<Hook>>,
    clients: HashMap<Target, Arc<Client>>,
    known: RwLock<Known>,
}

/// The webhooks of a server.
#[derive(Default)]
pub(crate) struct Webhooks {
    index: ArcSwapOption<Index>,
    /// The revisions of the configurations that the index was built from, held while it is built anew.
    building: Mutex<Vec<u64>>,
    roots: SystemRoots,
    pub(super) counts: Counts,
}

impl Webhooks {
    /// Shows what is counted of calls.
    pub(crate) fn register(&self, metrics: &Metrics) {
        self.counts.register(metrics);
    }

    /// Follows the configurations that are stored.
    pub(crate) fn refresh(&self, store: &Store) {
        let mut built_from = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = RESOURCES.map(|plural| store.snapshot(&GroupResource::new(GROUP, plural)));
        let revisions = stored.iter().flat_map(Snapshot::iter).map(|entry| entry.revision());
        let revisions: Vec<u64> = revisions.collect();
        // A revision is of one object: the same ones are the same configurations.
        if *built_from == revisions {
            return;
        }
        *built_from = revisions;
        let before = self.index.load();
        let found = store.clone();
        let services: Services = Arc::new(move |key| found.get(key));
        let mut clients = HashMap::new();
        let mut hooks = |stored: &Snapshot| {
            let mut hooks = Vec::new();
            for entry in stored.iter() {
                let configuration: Configuration = match entry.typed() {
                    Ok(configuration) => configuration,
                    Err(problem) => {
                        tracing::error!(%problem, key = %entry.key(), "a webhook configuration cannot be read");
                        continue;
                    }
                };
                for webhook in configuration.webhooks {
                    let target = webhook.client_config.clone();
                    let known = clients
                        .get(&target)
                        .or_else(|| before.as_ref()?.clients.get(&target))
                        .cloned();
                    let client = match known {
                        Some(client) => Ok(client),
                        None => Client::new(&target, AGENT, services.clone(), &self.roots).map(Arc::new),
                    };
                    if let Ok(client) = &client {
                        clients.insert(target, client.clone());
                    }
                    hooks.push(Arc::new(Hook {
                        terms: Terms::new(webhook),
                        client,
                    }));
                }
            }
            hooks
        };
        let [mutating, validating] = stored.each_ref().map(&mut hooks);
        if mutating.is_empty() && validating.is_empty() {
            self.index.store(None);
            return;
        }
        self.index.store(Some(Arc::new(Index {
            mutating,
            validating,
            clients,
            known: RwLock::default(),
        })));
    }

    /// Follows them until told to stop. A write does that itself before it is answered; this is for what nobody waits for, such
    /// as a write whose client went away.
    pub(crate) async fn follow(&self, store: &Store, stop: &CancellationToken) {
        let scope = Scope {
            resources: RESOURCES.map(|plural| GroupResource::new(GROUP, plural)).to_vec(),
            namespace: None,
            name: None,
            label: None,
            field: None,
        };
        while !store.is_closed() {
            let (_, _, mut watch) = store.watch_with_snapshot(scope.clone());
            self.refresh(store);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    event = watch.recv() => match event {
                        Some(_) => self.refresh(store),
                        None => break,
                    },
                }
            }
        }
    }

    /// The webhooks whose rules cover this; `None` when there are none.
    pub(super) fn select(
        &self,
        registry: &Arc<Registry>,
        def: &Arc<ResourceDef>,
        operation: Operation,
        subresource: &str,
    ) -> Option<Arc<Selection>> {
        let guard = self.index.load();
        let index = guard.as_ref()?;
        if is_exempt(def) {
            return None;
        }
        index.select(registry, def, operation, subresource)
    }
}

impl Index {
    fn select(
        &self,
        registry: &Arc<Registry>,
        def: &Arc<ResourceDef>,
        operation: Operation,
        subresource: &str,
    ) -> Option<Arc<Selection>> {
        let asked = Asked {
            operation,
            group: def.group.clone(),
            version: def.version.clone(),
            plural: def.plural.clone(),
            subresource: subresource.to_owned(),
        };
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.registry.as_ref().is_some_and(|own| Arc::ptr_eq(own, registry))
                && let Some(answer) = known.answers.get(&asked)
            {
                return answer.clone();
            }
        }
        let equivalents: Vec<&Arc<ResourceDef>> = registry
            .resources
            .iter()
            .filter(|other| other.storage == def.storage && !Arc::ptr_eq(other, def))
            .filter(|other| subresource.is_empty() || other.subresource(subresource).is_some())
            .collect();
        let candidates = |hooks: &[Arc<Hook>]| -> Vec<Candidate> {
            let found = hooks.iter().filter_map(|hook| {
                let covered = |def: &Arc<ResourceDef>| {
                    let mut rules = hook.terms.rules.iter();
                    rules.any(|rule| rule.covers(operation, def, subresource))
                };
                let others = equivalents.iter().copied().filter(|_| hook.terms.equivalent);
                let seen_as = std::iter::once(def).chain(others).find(|def| covered(def))?;
                Some(Candidate {
                    hook: hook.clone(),
                    seen_as: seen_as.clone(),
                })
            });
            found.collect()
        };
        let selection = Selection {
            mutating: candidates(&self.mutating),
            validating: candidates(&self.validating),
        };
        let answer = (!selection.is_empty()).then(|| Arc::new(selection));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if !known.registry.as_ref().is_some_and(|own| Arc::ptr_eq(own, registry)) {
            *known = Known {
                registry: Some(registry.clone()),
                ..Known::default()
            };
        }
        known.answers.insert(asked, answer.clone());
        answer
    }
}
