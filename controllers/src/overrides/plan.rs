//! Which override policies concern a template and a cluster, and what they make of its manifest.
//!
//! Start with [`Override::parse`], [`order`] and [`apply`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::placement::ClusterAffinity;
use json_patch::Patch;
use scheduler::ClusterView;
use schema::entry::{Entry, Key};
use schema::selector::LabelSelector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::edit::{self, Format, Operation};
use super::image::Image;
use super::shape;
use crate::detect::plan::{Selector, Template};
use crate::render::plan::Reference;

/// Kinds whose containers overriders know, of any API version.
const WORKLOADS: [&str; 6] = ["Pod", "ReplicaSet", "Deployment", "DaemonSet", "StatefulSet", "Job"];

/// An override policy of either scope, parsed once per change.
#[derive(Debug)]
pub struct Override {
    /// Its name in the store.
    pub key: Key,
    /// What it is about; none means everything.
    pub selectors: Vec<Selector>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// Where it stands in the policy.
    path: String,
    target: Option<ClusterAffinity>,
    /// As written, for the record on the Work.
    written: Value,
    /// What to do, or why it cannot be read.
    overriders: Result<Overriders, String>,
    /// JSON patch of the whole object, or why it is none.
    plaintext: Option<Result<Patch, String>>,
    /// Patches of documents within fields: path, format, patch.
    fields: Vec<(String, Format, Result<Patch, String>)>,
}

#[derive(Deserialize)]
struct RawPolicy {
    #[serde(default)]
    spec: RawSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    resource_selectors: Vec<RawSelector>,
    override_rules: Vec<RawRule>,
    target_cluster: Option<ClusterAffinity>,
    overriders: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSelector {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    label_selector: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    target_cluster: Option<ClusterAffinity>,
    #[serde(default)]
    overriders: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Overriders {
    image_overrider: Vec<ImageEdit>,
    command_overrider: Vec<Words>,
    args_overrider: Vec<Words>,
    labels_overrider: Vec<Texts>,
    annotations_overrider: Vec<Texts>,
    field_overrider: Vec<FieldEdit>,
    plaintext: Vec<Operation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageEdit {
    predicate: Option<ImagePredicate>,
    component: String,
    operator: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImagePredicate {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Words {
    container_name: String,
    operator: String,
    value: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Texts {
    operator: String,
    value: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FieldEdit {
    field_path: String,
    json: Vec<Operation>,
    yaml: Vec<Operation>,
}

/// An override that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{title}: {path}: {why}")]
pub struct Refused {
    /// The policy, as events name it.
    pub title: String,
    /// Where in the policy.
    pub path: String,
    /// Why.
    pub why: String,
}

/// What was applied to one manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// Rules of cluster-wide policies, as the Work records them.
    pub cluster_wide: Vec<Value>,
    /// Rules of the namespace's policies.
    pub namespaced: Vec<Value>,
    /// The policies that had a rule for the cluster, in order, as events name them.
    pub titles: Vec<String>,
}

impl Override {
    /// Parses a stored policy; `None` when it is not one that can be understood.
    pub fn parse(entry: &Entry) -> Option<Self> {
        let raw: RawPolicy = entry.typed().ok()?;
        let own = &entry.key().namespace;
        let selectors = raw.spec.resource_selectors.into_iter().map(|selector| Selector {
            api_version: selector.api_version,
            kind: selector.kind,
            // A policy of a namespace never looks beyond it.
            namespace: if own.is_empty() {
                selector.namespace
            } else {
                own.to_string()
            },
            name: selector.name,
            // A selector that cannot be read selects nothing: better than too much.
            labels: selector
                .label_selector
                .map(|labels| LabelSelector::from_json(&labels).unwrap_or_else(|_| LabelSelector::nothing())),
        });
        let rules = raw.spec.override_rules.into_iter().enumerate();
        let mut rules: Vec<Rule> = rules
            .map(|(index, rule)| {
                let path = format!("spec.overrideRules[{index}].overriders");
                Rule::new(path, rule.target_cluster, rule.overriders)
            })
            .collect();
        if rules.is_empty()
            && let Some(overriders) = raw.spec.overriders
        {
            rules.push(Rule::new(
                "spec.overriders".to_owned(),
                raw.spec.target_cluster,
                overriders,
            ));
        }
        Some(Self {
            key: entry.key().clone(),
            selectors: selectors.collect(),
            rules,
        })
    }

    /// How closely it selects a template: 3 by name, 2 by labels, 1 by kind alone or without any selector, 0 not at all.
    pub fn closeness(&self, template: &Template<'_>) -> u8 {
        if !self.key.namespace.is_empty() && *self.key.namespace != *template.meta.namespace {
            return 0;
        }
        if self.selectors.is_empty() {
            return 1;
        }
        let closeness = self.selectors.iter().map(|selector| selector.closeness(template));
        closeness.max().unwrap_or(0)
    }

    /// Whether it may select an object, of which not even the labels are known; without a name, any object of its kind.
    pub fn may_concern(&self, object: &Reference) -> bool {
        let same = |wanted: &str, have: &str| wanted.is_empty() || have.is_empty() || wanted == have;
        let selects = |selector: &Selector| {
            selector.api_version == object.api_version
                && selector.kind == object.kind
                && same(&selector.namespace, &object.namespace)
                && same(&selector.name, &object.name)
        };
        self.selectors.is_empty() || self.selectors.iter().any(selects)
    }

    /// Whether a change of a cluster's labels or fields may change what it does there.
    pub fn looks_at_clusters(&self) -> bool {
        let targets = self.rules.iter().filter_map(|rule| rule.target.as_ref());
        targets
            .into_iter()
            .any(|target| target.label_selector.is_some() || target.field_selector.is_some())
    }

    /// The rules that concern a cluster, in order.
    fn rules_for(&self, cluster: &ClusterView) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| {
            let target = rule.target.as_ref();
            target.is_none_or(|target| scheduler::affinity::matches(target, cluster))
        })
    }

    /// As events name it.
    pub fn title(&self) -> String {
        if self.key.namespace.is_empty() {
            format!("cluster override policy({})", self.key.name)
        } else {
            format!("override policy({}/{})", self.key.namespace, self.key.name)
        }
    }
}

impl Rule {
    fn new(path: String, target: Option<ClusterAffinity>, written: Value) -> Self {
        let overriders = Overriders::deserialize(&written).map_err(|error| error.to_string());
        let own = overriders.as_ref().ok();
        let plaintext = own
            .filter(|own| !own.plaintext.is_empty())
            .map(|own| edit::patch(&own.plaintext));
        let fields = own.into_iter().flat_map(|own| &own.field_overrider).map(|field| {
            let (format, operations) = if field.json.is_empty() {
                (Format::Yaml, &field.yaml)
            } else {
                (Format::Json, &field.json)
            };
            (field.field_path.clone(), format, edit::patch(operations))
        });
        Self {
            path,
            target,
            fields: fields.collect(),
            plaintext,
            overriders,
            written,
        }
    }

    fn apply(&self, manifest: &mut Value) -> Result<(), (String, String)> {
        let own = self
            .overriders
            .as_ref()
            .map_err(|why| (self.path.clone(), why.clone()))?;
        let at = |name: &str, index: usize| format!("{}.{name}[{index}]", self.path);
        for (index, edit) in own.image_overrider.iter().enumerate() {
            edit_images(manifest, edit).map_err(|why| (at("imageOverrider", index), why))?;
        }
        for (name, field, list) in [
            ("commandOverrider", "command", &own.command_overrider),
            ("argsOverrider", "args", &own.args_overrider),
        ] {
            for (index, words) in list.iter().enumerate() {
                edit_words(manifest, field, words).map_err(|why| (at(name, index), why))?;
            }
        }
        for (name, field, list) in [
            ("labelsOverrider", "labels", &own.labels_overrider),
            ("annotationsOverrider", "annotations", &own.annotations_overrider),
        ] {
            for (index, texts) in list.iter().enumerate() {
                edit_texts(manifest, field, texts).map_err(|why| (at(name, index), why))?;
            }
        }
        for (index, (pointer, format, patch)) in self.fields.iter().enumerate() {
            let done = patch
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|patch| edit::apply_within(manifest, pointer, *format, patch));
            done.map_err(|why| (at("fieldOverrider", index), why))?;
        }
        if let Some(patch) = &self.plaintext {
            let done = patch
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|patch| edit::apply(manifest, patch));
            done.map_err(|why| (format!("{}.plaintext", self.path), why))?;
        }
        Ok(())
    }
}

/// The policies that concern a template, in the order in which they are applied: cluster-wide ones first, then those of the
/// namespace; within each, those that select less closely first, then by name.
pub fn order(policies: impl IntoIterator<Item = Arc<Override>>, template: &Template<'_>) -> Vec<Arc<Override>> {
    let mut matching: Vec<(bool, u8, Arc<Override>)> = policies
        .into_iter()
        .filter_map(|policy| {
            let closeness = policy.closeness(template);
            (0 < closeness).then(|| (!policy.key.namespace.is_empty(), closeness, policy))
        })
        .collect();
    matching.sort_by(|(left_own, left, one), (right_own, right, other)| {
        (left_own, left, &one.key.name).cmp(&(right_own, right, &other.key.name))
    });
    matching.into_iter().map(|(.., policy)| policy).collect()
}

/// Applies to a manifest what the policies, already in order, say about a cluster. On a refusal the manifest is half done.
pub fn apply(policies: &[Arc<Override>], cluster: &ClusterView, manifest: &mut Value) -> Result<Applied, Refused> {
    let mut applied = Applied::default();
    let before = identity(manifest);
    let mut original = None;
    for policy in policies {
        let mut any = false;
        for rule in policy.rules_for(cluster) {
            any = true;
            original.get_or_insert_with(|| manifest.clone());
            let done = rule.apply(manifest).and_then(|()| {
                let kept = identity(manifest) == before && is_whole(manifest);
                let why = "apiVersion, kind, name and namespace of the object must stay, and labels and annotations must be texts";
                kept.then_some(()).ok_or_else(|| (rule.path.clone(), why.to_owned()))
            });
            done.map_err(|(path, why)| Refused {
                title: policy.title(),
                path,
                why,
            })?;
            let record = json!({"policyName": *policy.key.name, "overriders": rule.written});
            if policy.key.namespace.is_empty() {
                applied.cluster_wide.push(record);
            } else {
                applied.namespaced.push(record);
            }
        }
        if any {
            applied.titles.push(policy.title());
        }
    }
    match original {
        Some(original) => stays_valid(policies, cluster, &original, manifest).map(|()| applied),
        None => Ok(applied),
    }
}

/// Refuses what an API server would refuse in the manifest and did not in the original, by the rule that brought it in. Rules may
/// mend what earlier ones spoil, so only the end counts.
fn stays_valid(
    policies: &[Arc<Override>],
    cluster: &ClusterView,
    original: &Value,
    manifest: &Value,
) -> Result<(), Refused> {
    let mut left = shape::problems(manifest);
    if left.is_empty() {
        return Ok(());
    }
    let mut before = shape::problems(original);
    left.retain(|problem| !before.contains(problem));
    let Some(problem) = left.pop_first() else { return Ok(()) };
    let mut step = original.clone();
    let mut culprit = None;
    for policy in policies {
        for rule in policy.rules_for(cluster) {
            // It went well a moment ago.
            let _done = rule.apply(&mut step);
            let after = shape::problems(&step);
            if after.contains(&problem) && !before.contains(&problem) {
                culprit = Some((policy.title(), rule.path.clone()));
            }
            before = after;
        }
    }
    let (title, path) = culprit.unwrap_or_default();
    let why = format!("the object would be invalid: {problem}");
    Err(Refused { title, path, why })
}

/// Writes down on a Work what was applied to its manifest; what no longer is, is taken off.
pub fn record(work: &mut Value, applied: &Applied) {
    for (key, items) in [
        (crds::annotations::APPLIED_CLUSTER_OVERRIDES, &applied.cluster_wide),
        (crds::annotations::APPLIED_OVERRIDES, &applied.namespaced),
    ] {
        if !items.is_empty() {
            work["metadata"]["annotations"][key] = Value::Array(items.clone()).to_string().into();
        } else if let Some(annotations) = work["metadata"]["annotations"].as_object_mut() {
            annotations.remove(key);
        }
    }
}

/// What makes an object the one that it is.
fn identity(manifest: &Value) -> [Value; 4] {
    let metadata = &manifest["metadata"];
    [
        manifest["apiVersion"].clone(),
        manifest["kind"].clone(),
        metadata["name"].clone(),
        metadata["namespace"].clone(),
    ]
}

/// Labels and annotations are what the next steps add to.
fn is_whole(manifest: &Value) -> bool {
    ["labels", "annotations"]
        .iter()
        .all(|field| match &manifest["metadata"][*field] {
            Value::Null => true,
            Value::Object(map) => map.values().all(Value::is_string),
            _ => false,
        })
}

/// The containers of a workload; none of any other kind.
fn containers(manifest: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let pointer = match manifest["kind"].as_str() {
        Some("Pod") => "/spec/containers",
        Some(kind) if WORKLOADS.contains(&kind) => "/spec/template/spec/containers",
        _ => "",
    };
    let list = (!pointer.is_empty()).then(|| manifest.pointer_mut(pointer)).flatten();
    let list = list.and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn edit_images(manifest: &mut Value, edit: &ImageEdit) -> Result<(), String> {
    if let Some(predicate) = &edit.predicate {
        let image = manifest
            .pointer_mut(&predicate.path)
            .ok_or_else(|| format!("there is no field {}", predicate.path))?;
        return edit_image(image, edit);
    }
    for container in containers(manifest) {
        if let Some(image) = container.get_mut("image") {
            edit_image(image, edit)?;
        }
    }
    Ok(())
}

fn edit_image(field: &mut Value, edit: &ImageEdit) -> Result<(), String> {
    let text = field.as_str().ok_or("an image is a text")?;
    let mut image = Image::parse(text).ok_or_else(|| format!("{text:?} is not the name of an image"))?;
    let changed = |current: &str| match edit.operator.as_str() {
        "add" => format!("{current}{}", edit.value),
        "replace" => edit.value.clone(),
        _ => String::new(),
    };
    match edit.component.as_str() {
        "Registry" => image.registry = changed(&image.registry),
        "Repository" => image.repository = changed(&image.repository),
        _ => {
            let tag = changed(image.tag_or_digest());
            image.set_tag_or_digest(&tag);
        }
    }
    let made = image.to_string();
    if Image::parse(&made).is_none() {
        return Err(format!("{made:?}, made of {text:?}, is not the name of an image"));
    }
    *field = made.into();
    Ok(())
}

fn edit_words(manifest: &mut Value, field: &str, words: &Words) -> Result<(), String> {
    let own = containers(manifest).filter(|container| {
        let name = container.get("name");
        name.is_some_and(|name| *name == *words.container_name)
    });
    for container in own {
        let adds = words.operator == "add";
        if !adds && !container.contains_key(field) {
            continue;
        }
        let list = container.entry(field).or_insert_with(|| json!([]));
        let list = list.as_array_mut().ok_or_else(|| format!("{field} is not a list"))?;
        if adds {
            list.extend(words.value.iter().map(|word| json!(word)));
        } else {
            list.retain(|word| {
                word.as_str()
                    .is_none_or(|word| !words.value.iter().any(|gone| gone == word))
            });
        }
    }
    Ok(())
}

fn edit_texts(manifest: &mut Value, field: &str, texts: &Texts) -> Result<(), String> {
    let metadata = manifest["metadata"].as_object_mut().ok_or("there is no metadata")?;
    if texts.operator != "add" && !metadata.contains_key(field) {
        return Ok(());
    }
    let map = metadata.entry(field).or_insert_with(|| json!({}));
    let map = map.as_object_mut().ok_or_else(|| format!("{field} is not a map"))?;
    for (key, value) in &texts.value {
        match texts.operator.as_str() {
            "add" => drop(map.insert(key.clone(), json!(value))),
            "replace" => {
                if let Some(current) = map.get_mut(key) {
                    *current = json!(value);
                }
            }
            _ => drop(map.remove(key)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
