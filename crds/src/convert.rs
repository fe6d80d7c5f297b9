//! Brings bindings of one served version into the other: `work.karmada.io/v1alpha1`, as old clients write it, and `v1alpha2`, as they
//! are stored.
//!
//! The old version keeps replicas and requests within `spec.resource`. What it has no field for rides along in an annotation, so that
//! an old client that reads, changes and writes loses nothing. Start with [`convert`]. No shape makes it fail.

use serde_json::{Map, Value, json};

const OLD: &str = "work.karmada.io/v1alpha1";
const NEW: &str = "work.karmada.io/v1alpha2";
/// Carries what `v1alpha1` has no field for.
const REST: &str = "work.flotilla.dev/v1alpha2";

type Fields = Map<String, Value>;

/// Whether objects of a kind have other fields in another version.
pub fn differs(kind: &str, from: &str, to: &str) -> bool {
    matches!(kind, "ResourceBinding" | "ClusterResourceBinding") && matches!((from, to), (OLD, NEW) | (NEW, OLD))
}

/// Brings an object of one `apiVersion` into another, `apiVersion` included. Returns whether it had to; otherwise the object is
/// untouched.
pub fn convert(kind: &str, from: &str, to: &str, object: &mut Value) -> bool {
    if !differs(kind, from, to) {
        return false;
    }
    let Some(fields) = object.as_object_mut() else {
        return false;
    };
    if to == OLD {
        to_old(fields);
    } else {
        to_new(fields);
    }
    fields.insert("apiVersion".to_owned(), to.into());
    true
}

fn to_old(object: &mut Fields) {
    let mut rest = Fields::new();
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        put(&mut rest, "spec", some(shrink_spec(spec)));
    }
    if let Some(Value::Object(status)) = object.get_mut("status") {
        put(&mut rest, "status", some(shrink_status(status)));
    }
    if rest.is_empty() {
        return;
    }
    let annotations = member(member(object, "metadata"), "annotations");
    annotations.insert(REST.to_owned(), Value::Object(rest).to_string().into());
}

/// Keeps what the old version can say, and answers with the rest.
fn shrink_spec(spec: &mut Fields) -> Fields {
    let mut rest = take_except(spec, &["resource", "clusters"]);
    let replicas = rest.remove("replicas");
    let requests = rest
        .get_mut("replicaRequirements")
        .and_then(Value::as_object_mut)
        .and_then(|needs| needs.remove("resourceRequest"));
    if let Some(Value::Object(resource)) = spec.get_mut("resource") {
        let uid = resource.remove("uid");
        put(&mut rest, "resource", uid.map(|uid| json!({"uid": uid})));
        put(resource, "replicas", replicas);
        put(resource, "resourcePerReplicas", requests);
    }
    let clusters = split_items(spec.get_mut("clusters"), "name", &["name", "replicas"]);
    put(&mut rest, "clusters", clusters);
    rest
}

fn shrink_status(status: &mut Fields) -> Fields {
    let mut rest = take_except(status, &["conditions", "aggregatedStatus"]);
    let shown = ["clusterName", "status", "applied", "appliedMessage"];
    let items = split_items(status.get_mut("aggregatedStatus"), "clusterName", &shown);
    put(&mut rest, "aggregatedStatus", items);
    rest
}

fn to_new(object: &mut Fields) {
    let mut rest = take_rest(object);
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        let mut rest = taken(&mut rest, "spec");
        if let Some(Value::Object(resource)) = spec.get_mut("resource") {
            let (replicas, requests) = (resource.remove("replicas"), resource.remove("resourcePerReplicas"));
            lay_under(resource, taken(&mut rest, "resource"));
            put(spec, "replicas", replicas);
            if let Some(requests) = requests {
                member(&mut rest, "replicaRequirements").insert("resourceRequest".to_owned(), requests);
            }
        }
        join_items(spec.get_mut("clusters"), "name", rest.remove("clusters").as_ref());
        lay_under(spec, rest);
    }
    if let Some(Value::Object(status)) = object.get_mut("status") {
        let mut rest = taken(&mut rest, "status");
        let items = rest.remove("aggregatedStatus");
        join_items(status.get_mut("aggregatedStatus"), "clusterName", items.as_ref());
        lay_under(status, rest);
    }
}

/// Takes the annotation off, with the map that held only it.
fn take_rest(object: &mut Fields) -> Fields {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return Fields::new();
    };
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return Fields::new();
    };
    let Some(text) = annotations.remove(REST) else {
        return Fields::new();
    };
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    // Whoever spoilt the annotation has an object without what it carried.
    text.as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Leaves the fields of these names and answers with all others.
fn take_except(fields: &mut Fields, names: &[&str]) -> Fields {
    let all = std::mem::take(fields);
    let (kept, rest) = all.into_iter().partition(|(field, _)| names.contains(&field.as_str()));
    *fields = kept;
    rest
}

/// Leaves the fields of these names in every element; the others go into a list of their own, under the same key.
fn split_items(list: Option<&mut Value>, key: &str, names: &[&str]) -> Option<Value> {
    let items = list.and_then(Value::as_array_mut)?;
    let mut rests = Vec::new();
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        let mut rest = take_except(item, names);
        if let (false, Some(name)) = (rest.is_empty(), item.get(key)) {
            rest.insert(key.to_owned(), name.clone());
            rests.push(Value::Object(rest));
        }
    }
    (!rests.is_empty()).then_some(Value::Array(rests))
}

/// The way back of [`split_items`]: an element that is gone, or new, has no rest.
fn join_items(list: Option<&mut Value>, key: &str, rests: Option<&Value>) {
    let rests = rests.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let items = list.and_then(Value::as_array_mut).into_iter().flatten();
    for item in items.filter_map(Value::as_object_mut) {
        let own = rests.iter().find(|rest| rest.get(key) == item.get(key));
        lay_under(item, own.and_then(Value::as_object).cloned().unwrap_or_default());
    }
}

/// Adds what is not there.
fn lay_under(fields: &mut Fields, rest: Fields) {
    for (field, value) in rest {
        fields.entry(field).or_insert(value);
    }
}

fn taken(fields: &mut Fields, name: &str) -> Fields {
    match fields.remove(name) {
        Some(Value::Object(map)) => map,
        _ => Fields::new(),
    }
}

/// A member that is an object, made if it is none.
fn member<'a>(fields: &'a mut Fields, name: &str) -> &'a mut Fields {
    let value = fields.entry(name).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

fn put(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn some(fields: Fields) -> Option<Value> {
    (!fields.is_empty()).then_some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(to: &str, object: &Value) -> Value {
        let mut object = object.clone();
        let from = if to == OLD { NEW } else { OLD };
        assert!(convert("ResourceBinding", from, to, &mut object));
        object
    }

    #[test]
    fn section_1_4_replicas_and_requests_move() {
        let old = json!({"apiVersion": OLD, "kind": "ResourceBinding", "metadata": {"name": "b"}, "spec": {
            "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "b", "replicas": 3, "resourcePerReplicas": {"cpu": "1"}},
            "clusters": [{"name": "m1", "replicas": 3}]}});
        let new = json!({"apiVersion": NEW, "kind": "ResourceBinding", "metadata": {"name": "b"}, "spec": {
            "resource": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "b"}, "replicas": 3,
            "replicaRequirements": {"resourceRequest": {"cpu": "1"}},
            "clusters": [{"name": "m1", "replicas": 3}]}});
        assert_eq!(converted(NEW, &old), new);
        let mut shown = converted(OLD, &new);
        assert_eq!(
            shown["metadata"]["annotations"][REST],
            r#"{"spec":{"replicaRequirements":{}}}"#
        );
        shown["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(shown, old);
    }

    #[test]
    fn an_old_client_loses_nothing() {
        let new = json!({"apiVersion": NEW, "kind": "ResourceBinding", "metadata": {"name": "b"}, "spec": {
            "resource": {"kind": "Deployment", "uid": "1"}, "replicas": 2, "propagateDeps": true, "placement": {"clusterAffinity": {}},
            "replicaRequirements": {"nodeClaim": {}, "resourceRequest": {"cpu": "1"}},
            "clusters": [{"name": "m1", "replicas": 2, "components": [{"name": "c", "replicas": 1}]}]},
            "status": {"lastScheduledTime": "t", "conditions": [{"type": "Scheduled"}], "aggregatedStatus": [
                {"clusterName": "m1", "health": "Healthy", "applied": true}, {"clusterName": "m2", "applied": false}]}});
        let mut old = converted(OLD, &new);
        assert_eq!(old["spec"]["clusters"], json!([{"name": "m1", "replicas": 2}]));
        assert_eq!(
            old["status"]["aggregatedStatus"][0],
            json!({"clusterName": "m1", "applied": true})
        );
        assert_eq!(old["spec"].get("placement"), None);
        old["spec"]["resource"]["replicas"] = json!(5);
        let mut expected = new;
        expected["spec"]["replicas"] = json!(5);
        assert_eq!(converted(NEW, &old), expected);
    }

    #[test]
    fn only_bindings_between_their_two_versions() {
        for (kind, from, to) in [
            ("Work", OLD, NEW),
            ("ResourceBinding", OLD, OLD),
            ("ResourceBinding", "v1", NEW),
        ] {
            let mut object = json!({"apiVersion": from, "spec": {"replicas": 1}});
            assert!(!convert(kind, from, to, &mut object));
            assert_eq!(object, json!({"apiVersion": from, "spec": {"replicas": 1}}));
        }
        assert!(!convert("ResourceBinding", OLD, NEW, &mut json!([])));
    }

    /// A map with some of these fields.
    fn some_of(fields: &Value) -> impl Strategy<Value = Value> + use<> {
        let fields = fields.as_object().cloned().unwrap_or_default();
        prop::collection::vec(any::<bool>(), fields.len()).prop_map(move |chosen| {
            let kept = fields.clone().into_iter().zip(chosen).filter(|(_, kept)| *kept);
            kept.map(|(field, _)| field).collect()
        })
    }

    /// Up to three items of these fields, each with a name of its own.
    fn items(key: &'static str, fields: &Value) -> impl Strategy<Value = Value> + use<> {
        let named = prop::collection::vec(some_of(fields), 0..4);
        named.prop_map(move |mut items| {
            for (index, item) in items.iter_mut().enumerate() {
                item[key] = json!(format!("m{index}"));
            }
            items.into()
        })
    }

    fn metadata() -> impl Strategy<Value = Value> {
        let annotated = json!({"annotations": {"a": "b"}, "labels": {"c": "d"}, "namespace": "default"});
        some_of(&annotated).prop_map(|mut metadata| {
            metadata["name"] = json!("b");
            metadata
        })
    }

    /// A binding in the new version, with any of its fields.
    fn new_binding() -> impl Strategy<Value = Value> {
        let spec = some_of(
            &json!({"replicas": 3, "propagateDeps": true, "placement": {"clusterAffinity": {}}, "schedulerName": "s",
            "requiredBy": [{"name": "x", "clusters": [{"name": "m1"}]}], "components": [{"name": "c", "replicas": 1}]}),
        );
        let needs = prop::option::of(some_of(
            &json!({"resourceRequest": {"cpu": "1"}, "namespace": "default", "nodeClaim": {"nodeSelector": {"a": "b"}}}),
        ));
        let resource = some_of(&json!({"uid": "u", "namespace": "default", "resourceVersion": "7"}));
        let clusters = prop::option::of(items(
            "name",
            &json!({"replicas": 2, "components": [{"name": "c", "replicas": 1}]}),
        ));
        let shown = items(
            "clusterName",
            &json!({"applied": true, "health": "Healthy", "status": {"x": 1}, "appliedMessage": "m"}),
        );
        let status = prop::option::of((
            some_of(&json!({"lastScheduledTime": "t", "conditions": [{"type": "Scheduled"}],
            "schedulerObservedGeneration": 2})),
            shown,
        ));
        (metadata(), spec, needs, resource, clusters, status).prop_map(
            |(metadata, mut spec, needs, mut resource, clusters, status)| {
                resource["apiVersion"] = json!("apps/v1");
                resource["kind"] = json!("Deployment");
                resource["name"] = json!("b");
                spec["resource"] = resource;
                if let Some(needs) = needs {
                    spec["replicaRequirements"] = needs;
                }
                if let Some(clusters) = clusters {
                    spec["clusters"] = clusters;
                }
                let mut object =
                    json!({"apiVersion": NEW, "kind": "ResourceBinding", "metadata": metadata, "spec": spec});
                if let Some((mut status, shown)) = status {
                    status["aggregatedStatus"] = shown;
                    object["status"] = status;
                }
                object
            },
        )
    }

    /// A binding in the old version, as old clients write it.
    fn old_binding() -> impl Strategy<Value = Value> {
        let resource = some_of(
            &json!({"replicas": 2, "resourcePerReplicas": {"cpu": "1"}, "namespace": "default", "resourceVersion": "7"}),
        );
        let clusters = prop::option::of(items("name", &json!({"replicas": 2})));
        let shown = prop::option::of(items(
            "clusterName",
            &json!({"applied": true, "status": {"x": 1}, "appliedMessage": "m"}),
        ));
        (metadata(), resource, clusters, shown).prop_map(|(metadata, mut resource, clusters, shown)| {
            resource["kind"] = json!("Deployment");
            let mut object = json!({"apiVersion": OLD, "kind": "ResourceBinding", "metadata": metadata, "spec": {"resource": resource}});
            if let Some(clusters) = clusters {
                object["spec"]["clusters"] = clusters;
            }
            if let Some(shown) = shown {
                object["status"] = json!({"aggregatedStatus": shown});
            }
            object
        })
    }

    fn odd() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        let fields = [
            "spec",
            "status",
            "metadata",
            "annotations",
            REST,
            "resource",
            "replicas",
            "replicaRequirements",
            "resourceRequest",
            "clusters",
            "name",
            "components",
            "aggregatedStatus",
            "clusterName",
            "health",
            "uid",
        ];
        leaf.prop_recursive(5, 64, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(fields.to_vec()), inner, 0..5)
                    .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        /// There and back again changes nothing, from either side; the way through the old version needs no more than its annotation.
        #[test]
        fn section_1_4_a_round_trip_changes_nothing(new in new_binding(), old in old_binding()) {
            prop_assert_eq!(converted(NEW, &converted(OLD, &new)), new);
            let mut back = converted(OLD, &converted(NEW, &old));
            // What an object has only because of its way is allowed to ride along.
            if let Some(annotations) = back["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(REST);
                if annotations.is_empty() {
                    back["metadata"].as_object_mut().map(|metadata| metadata.remove("annotations"));
                }
            }
            prop_assert_eq!(back, old);
        }

        /// What the old version has is what the new one says, whatever an old client makes of it.
        #[test]
        fn section_1_4_an_old_client_decides_what_it_sees(new in new_binding(), replicas in 0..9) {
            let mut old = converted(OLD, &new);
            old["spec"]["resource"]["replicas"] = json!(replicas);
            let mut expected = new;
            expected["spec"]["replicas"] = json!(replicas);
            prop_assert_eq!(converted(NEW, &old), expected);
        }

        #[test]
        fn no_shape_stops_it(object in odd()) {
            for to in [OLD, NEW] {
                let from = if to == OLD { NEW } else { OLD };
                let mut object = object.clone();
                convert("ResourceBinding", from, to, &mut object);
            }
        }
    }
}
