//! What must be in a cluster before a template: its namespace, and what it depends on.
//!
//! A template is held back from a cluster until the members' answer about each of those is there, be it yes or no: a dependency that
//! a member rejects is told on its own binding and blocks nobody. Who needs whom is a directed graph; objects that need each
//! other in a circle do not wait for one another. Only the first copy in a cluster waits, never an update.
//!
//! Start with [`before`] and [`unanswered`].

use std::collections::HashMap;

use petgraph::algo::has_path_connecting;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
use runtime::hub::Resource;
use schema::entry::{Entry, Key};
use serde::Deserialize;

use super::reconcile::objects;
use crate::aggregate::plan::WorkView;
use crate::context::Context;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::namespaces;

/// Who needs whom: an edge goes from a template to what it needs. Templates without edges are not in it.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    graph: StableDiGraph<Key, ()>,
    nodes: HashMap<Key, NodeIndex>,
}

impl Graph {
    /// Says anew what a template needs.
    pub(crate) fn set(&mut self, template: &Key, needs: &[Key]) {
        if needs.is_empty() && !self.nodes.contains_key(template) {
            return;
        }
        let node = self.node(template);
        let old: Vec<_> = self.graph.edges(node).map(|edge| (edge.id(), edge.target())).collect();
        let kept = |key: &Key| needs.contains(key);
        let mut touched = vec![node];
        for (edge, target) in old {
            if !self.graph.node_weight(target).is_some_and(kept) {
                self.graph.remove_edge(edge);
                touched.push(target);
            }
        }
        for need in needs {
            let target = self.node(need);
            self.graph.update_edge(node, target, ());
        }
        for node in touched {
            self.forget_alone(node);
        }
    }

    /// What a template needs and what does not need it in turn.
    pub(crate) fn before(&self, template: &Key) -> Vec<Key> {
        let Some(node) = self.nodes.get(template) else {
            return Vec::new();
        };
        let needs = self.graph.neighbors(*node);
        let mut needs: Vec<Key> = needs
            .filter(|need| !has_path_connecting(&self.graph, *need, *node, None))
            .filter_map(|need| self.graph.node_weight(need).cloned())
            .collect();
        needs.sort_unstable();
        needs
    }

    fn node(&mut self, key: &Key) -> NodeIndex {
        if let Some(node) = self.nodes.get(key) {
            return *node;
        }
        let node = self.graph.add_node(key.clone());
        self.nodes.insert(key.clone(), node);
        node
    }

    fn forget_alone(&mut self, node: NodeIndex) {
        if self.graph.neighbors_undirected(node).next().is_none()
            && let Some(key) = self.graph.remove_node(node)
        {
            self.nodes.remove(&key);
        }
    }
}

/// The names of what must be in every cluster before a template: kind, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prerequisite {
    kind: String,
    namespace: String,
    name: String,
}

impl Prerequisite {
    fn work(&self, cluster: &str) -> Key {
        let name = names::work_name(&self.kind, &self.name, &self.namespace);
        kinds::key(&kinds::WORK, &names::execution_namespace(cluster), &name)
    }
}

/// What must be in a cluster before this template.
pub(crate) async fn before(context: &Context, template: &Entry, follows: bool) -> Vec<Prerequisite> {
    let mut found = Vec::new();
    if !template.namespace().is_empty()
        && let Some(namespace) = context.get(&kinds::NAMESPACE, "", template.namespace())
        && namespaces::plan::travels(namespace.meta(), &context.config.skipped_namespaces)
    {
        found.push(Prerequisite {
            kind: "Namespace".to_owned(),
            namespace: String::new(),
            name: template.namespace().to_owned(),
        });
    }
    if !follows {
        context.index.order(template.key(), &[]);
        return found;
    }
    // Nothing waits for a script that fails; who distributes the dependencies tells of it.
    let needed = interpret::dependencies(context, &template.unowned())
        .await
        .unwrap_or_default();
    let needed: Vec<(Resource, _)> = objects(context, &needed);
    let keys: Vec<Key> = needed.iter().map(|(_, entry)| entry.key().clone()).collect();
    let before = context.index.order(template.key(), &keys);
    let ordered = needed.iter().filter(|(_, entry)| before.contains(entry.key()));
    found.extend(ordered.map(|(resource, entry)| Prerequisite {
        kind: resource.kind.to_string(),
        namespace: entry.namespace().to_owned(),
        name: entry.name().to_owned(),
    }));
    found
}

/// The Works among these that a cluster has not answered yet.
pub(crate) fn unanswered(context: &Context, prerequisites: &[Prerequisite], cluster: &str) -> Vec<Key> {
    let works = prerequisites.iter().map(|prerequisite| prerequisite.work(cluster));
    works
        .filter(|key| !context.hub.get(key).is_some_and(|work| is_answered(&work)))
        .collect()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Suspended {
    spec: SuspendedSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SuspendedSpec {
    suspend_dispatching: bool,
}

/// A member has said yes or no, or is not to be asked.
pub(crate) fn is_answered(work: &Entry) -> bool {
    let applied = work
        .typed::<WorkView>()
        .is_ok_and(|view| view.condition("Applied").is_some());
    applied
        || work
            .typed::<Suspended>()
            .is_ok_and(|work| work.spec.suspend_dispatching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use petgraph::algo::toposort;
    use schema::entry::GroupResource;

    fn key(name: &str) -> Key {
        Key::new(GroupResource::new("", "configmaps"), "default", name)
    }

    fn check(edges: &[(&str, &[&str])], template: &str, expected: &[&str]) {
        let mut graph = Graph::default();
        for (from, to) in edges {
            let needs: Vec<Key> = to.iter().map(|name| key(name)).collect();
            graph.set(&key(from), &needs);
        }
        let found: Vec<String> = graph
            .before(&key(template))
            .iter()
            .map(|key| key.name.to_string())
            .collect();
        assert_eq!(found, expected, "{template} in {edges:?}");
        // Whatever the edges, waiting ends: what waits for what has no circle.
        let mut waits = StableDiGraph::<(), ()>::new();
        let nodes: HashMap<Key, NodeIndex> = graph
            .nodes
            .keys()
            .map(|key| (key.clone(), waits.add_node(())))
            .collect();
        for (name, node) in &nodes {
            for need in graph.before(name) {
                waits.add_edge(*node, nodes[&need], ());
            }
        }
        assert!(toposort(&waits, None).is_ok(), "{edges:?}");
    }

    #[test]
    fn dependencies_come_first_and_circles_do_not_wait() {
        check(&[], "a", &[]);
        check(&[("web", &["config", "secret"])], "web", &["config", "secret"]);
        check(&[("web", &["config"]), ("config", &["key"])], "web", &["config"]);
        check(&[("web", &["config"]), ("web", &["secret"])], "web", &["secret"]);
        check(&[("web", &["config"]), ("web", &[])], "web", &[]);
        check(&[("a", &["a"])], "a", &[]);
        check(&[("a", &["b"]), ("b", &["a"])], "a", &[]);
        check(&[("a", &["b", "d"]), ("b", &["c"]), ("c", &["a"])], "a", &["d"]);
        check(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])], "x", &["a"]);
    }

    #[test]
    fn nothing_is_left_of_what_needs_nothing() {
        let mut graph = Graph::default();
        graph.set(&key("a"), &[key("b"), key("c")]);
        graph.set(&key("d"), &[key("b")]);
        graph.set(&key("a"), &[]);
        graph.set(&key("d"), &[]);
        assert_eq!((graph.nodes.len(), graph.graph.node_count()), (0, 0));
    }
}
