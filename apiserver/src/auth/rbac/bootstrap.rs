//! The roles and bindings that a server starts with. What is missing of them is put back at every start: objects, rules,
//! subjects, labels. What somebody added stays, and so does an object whose annotation forbids to touch it.
//!
//! [`plan`] decides for one object; everything is written at once, so that it ends in few commits.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use schema::entry::{GroupResource, Key, Pairs};
use schema::facts::{AccessFacts, AccessSet, BindingFacts, RoleFacts, SubjectFacts, access};
use serde::Deserialize;
use serde_json::{Value, json};

use super::GROUP;
use super::aggregate::{self, Part};
use super::cover::{compact, missing};
use super::rule::PolicyRule;
use crate::api::{Api, OpenError, Profile};
use crate::bootstrap::{create, done, request};
use crate::request::Verb;
use crate::verbs::call::Payload;

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");

/// One object that must be there.
struct Wanted {
    plural: &'static str,
    namespace: &'static str,
    object: Value,
}

/// What is to be done about one object.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// It is not there.
    Create,
    /// It is bound to another role, which cannot be changed.
    Replace,
    /// A merge patch.
    Patch(Value),
}

/// Stores what is missing.
pub(crate) async fn ensure(api: &Api) -> Result<(), OpenError> {
    let sets: &[AccessSet] = match api.config.profile {
        Profile::Hub => &[
            AccessSet::Core,
            AccessSet::Control,
            AccessSet::Workloads,
            AccessSet::Federation,
        ],
        // Simulated members are many: they get what people use, not what controllers that they do not run would.
        Profile::Kubernetes => &[AccessSet::Core],
    };
    let mut all = AccessFacts::default();
    for facts in sets.iter().copied().map(access) {
        all.roles.extend(facts.roles);
        all.bindings.extend(facts.bindings);
    }
    let mut wanted: Vec<Wanted> = roles(&all.roles);
    wanted.extend(all.bindings.iter().map(binding));
    try_join_all(wanted.into_iter().map(|one| reconcile(api, one))).await?;
    Ok(())
}

async fn reconcile(api: &Api, wanted: Wanted) -> Result<(), OpenError> {
    let Wanted {
        plural,
        namespace,
        object,
    } = wanted;
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let key = Key::new(GroupResource::new(GROUP, plural), namespace, name.as_str());
    let stored = api.store.get(&key).map(|entry| entry.value());
    let resource = (GROUP, "v1", plural);
    match plan(stored.as_ref(), &object) {
        None => Ok(()),
        Some(Step::Create) => create(api, resource, namespace, object).await,
        Some(Step::Replace) => {
            let request = request(resource, namespace, &name, Verb::Delete);
            done(&name, api.run(&request, Payload::Value(json!({}))).await.map(drop))?;
            create(api, resource, namespace, object).await
        }
        Some(Step::Patch(patch)) => {
            let mut request = request(resource, namespace, &name, Verb::Patch);
            "application/merge-patch+json".clone_into(&mut request.content_type);
            done(&name, api.run(&request, Payload::Value(patch)).await.map(drop))
        }
    }
}

/// What to do about an object, given what is stored.
pub(super) fn plan(stored: Option<&Value>, wanted: &Value) -> Option<Step> {
    let Some(stored) = stored else {
        return Some(Step::Create);
    };
    if stored["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return None;
    }
    if stored["roleRef"] != wanted["roleRef"] {
        return Some(Step::Replace);
    }
    let mut patch = json!({});
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].as_object().into_iter().flatten() {
            if stored["metadata"][field].get(key).is_none() {
                patch["metadata"][field][key] = value.clone();
            }
        }
    }
    let list = |object: &Value, path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut add = |path: &str, patched: Option<Vec<Value>>| {
        let Some(items) = patched else { return };
        let mut value = json!(items);
        for name in path.rsplit('/').filter(|name| !name.is_empty()) {
            value = json!({ name: value });
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            patch[name] = value.clone();
        }
    };
    let union = |path: &str| {
        let mut items = list(stored, path);
        let before = items.len();
        for item in list(wanted, path) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
        (items.len() > before).then_some(items)
    };
    add("/subjects", union("/subjects"));
    let selectors = "/aggregationRule/clusterRoleSelectors";
    add(selectors, union(selectors));
    // The rules of an aggregated role are not its own.
    if wanted["aggregationRule"].is_null() {
        let rules = |object: &Value| Option::<Vec<PolicyRule>>::deserialize(&object["rules"]).ok().flatten();
        let lacking = missing(&rules(stored).unwrap_or_default(), &rules(wanted).unwrap_or_default());
        let more: Vec<Value> = compact(lacking).iter().map(|rule| json!(rule)).collect();
        add(
            "/rules",
            (!more.is_empty()).then(|| [list(stored, "/rules"), more].concat()),
        );
    }
    (patch != json!({})).then_some(Step::Patch(patch))
}

fn metadata(namespace: &str, name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().chain([BOOTSTRAPPING]).collect();
    let mut metadata = json!({"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// The roles; those that are put together of others have their rules from the start.
fn roles(facts: &[RoleFacts]) -> Vec<Wanted> {
    let labels: Vec<Pairs> = facts.iter().map(|role| role.labels.iter().copied().collect()).collect();
    let mut rules: Vec<Vec<PolicyRule>> = facts
        .iter()
        .map(|role| role.rules.iter().map(PolicyRule::from).collect())
        .collect();
    let mut order: Vec<usize> = (0..facts.len())
        .filter(|index| facts[*index].namespace.is_empty())
        .collect();
    order.sort_by_key(|index| facts[*index].name);
    // A role may be put together of roles that are themselves put together.
    loop {
        let before = rules.clone();
        for (index, role) in facts.iter().enumerate().filter(|(_, role)| !role.aggregate.is_empty()) {
            let selectors = aggregate::selectors(&json!({"aggregationRule": aggregation(role)})).unwrap_or_default();
            let parts: Vec<Part<'_>> = order
                .iter()
                .map(|part| Part {
                    name: facts[*part].name,
                    labels: &labels[*part],
                    rules: Box::new(|| before[*part].clone()),
                })
                .collect();
            rules[index] = aggregate::gather(role.name, &selectors, &parts);
        }
        if rules == before {
            break;
        }
    }
    facts
        .iter()
        .zip(rules)
        .map(|(role, rules)| self::role(role, &rules))
        .collect()
}

fn aggregation(role: &RoleFacts) -> Value {
    let selectors: Vec<Value> = role
        .aggregate
        .iter()
        .map(|(key, value)| json!({"matchLabels": {*key: *value}}))
        .collect();
    json!({"clusterRoleSelectors": selectors})
}

fn role(facts: &RoleFacts, rules: &[PolicyRule]) -> Wanted {
    let cluster = facts.namespace.is_empty();
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": if cluster { "ClusterRole" } else { "Role" },
        "metadata": metadata(facts.namespace, facts.name, &facts.labels),
        "rules": rules,
    });
    if !facts.aggregate.is_empty() {
        object["aggregationRule"] = aggregation(facts);
    }
    Wanted {
        plural: if cluster { "clusterroles" } else { "roles" },
        namespace: facts.namespace,
        object,
    }
}

fn binding(facts: &BindingFacts) -> Wanted {
    let cluster = facts.namespace.is_empty();
    let subjects: Vec<Value> = facts.subjects.iter().map(subject).collect();
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": if cluster { "ClusterRoleBinding" } else { "RoleBinding" },
        "metadata": metadata(facts.namespace, facts.name, &[]),
        "roleRef": {
            "apiGroup": GROUP,
            "kind": if cluster { "ClusterRole" } else { "Role" },
            "name": facts.role,
        },
    });
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    Wanted {
        plural: if cluster { "clusterrolebindings" } else { "rolebindings" },
        namespace: facts.namespace,
        object,
    }
}

fn subject(facts: &SubjectFacts) -> Value {
    match facts {
        SubjectFacts::User(name) => json!({"apiGroup": GROUP, "kind": "User", "name": name}),
        SubjectFacts::Group(name) => json!({"apiGroup": GROUP, "kind": "Group", "name": name}),
        SubjectFacts::ServiceAccount(namespace, name) => {
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
    }
}
