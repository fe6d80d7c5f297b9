use std::collections::HashSet;

use super::*;
use crate::model::{Shape, TypeRef};

fn gvk(group: &str, version: &str, kind: &str) -> GroupVersionKind {
    GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    }
}

fn collect(shape: &Shape, used: &mut HashSet<crate::model::StructId>) {
    match shape {
        Shape::Struct(id) => drop(used.insert(*id)),
        Shape::List { element, .. } => collect(element, used),
        Shape::Map { value, .. } => collect(value, used),
        Shape::Checked { shape, .. } => collect(shape, used),
        Shape::Scalar(_) => {}
    }
}

#[test]
fn every_type_is_defined() {
    let types = builtin_types();
    assert_eq!(types.iter().filter(|(_, def)| !def.name.contains('#')).count(), 938);
    assert_eq!(
        types
            .iter()
            .filter(|(_, def)| !def.name.contains('#'))
            .map(|(_, def)| def.fields.len())
            .sum::<usize>(),
        3290
    );
    let mut used = HashSet::new();
    for (_, def) in types.iter() {
        def.fields.iter().for_each(|field| collect(&field.shape, &mut used));
    }
    let memberless: Vec<&str> = used
        .iter()
        .map(|id| types.get(*id))
        .filter(|def| def.fields.is_empty() && def.form.is_none())
        .map(|def| def.name.as_str())
        .collect();
    let known = ["Empty", "Overhead"];
    for name in memberless {
        assert!(
            openapi_name(name).is_some() || known.contains(&name),
            "{name} is used and not defined"
        );
    }
}

#[test]
fn every_served_kind_has_a_type() {
    for resource in resources() {
        assert!(kind(&resource.kind).is_some(), "{:?}", resource.kind);
        for sub in &resource.subresources {
            assert!(kind(&sub.kind).is_some(), "{:?}", sub.kind);
        }
    }
    assert_eq!(resources().len(), 95);
    assert_eq!(
        resources()
            .iter()
            .map(|resource| resource.subresources.len())
            .sum::<usize>(),
        55
    );
    assert_eq!(groups().len(), 23);
    assert_eq!(groups().iter().map(|group| group.versions.len()).sum::<usize>(), 36);
}

#[test]
fn a_deployment_is_known_in_depth() {
    let types = builtin_types();
    let id = kind(&gvk("apps", "v1", "Deployment")).unwrap();
    assert_eq!(types.get(id).name, "apps.v1.Deployment");
    let shape = Shape::Struct(id);
    let root = TypeRef { types, shape: &shape };
    let containers = ["spec", "template", "spec", "containers"]
        .iter()
        .fold(root, |place, key| place.child(key).unwrap());
    let ports = containers.element().unwrap().field("ports").unwrap();
    assert_eq!(ports.merge_key.as_deref(), Some("containerPort"));
    assert!(
        matches!(&ports.shape, Shape::List { kind: crate::model::ListKind::Map(keys), .. } if keys == &["containerPort", "protocol"])
    );
    assert_eq!(
        openapi_name("apps.v1.Deployment").as_deref(),
        Some("io.k8s.api.apps.v1.Deployment")
    );

    let facts = resources().iter().find(|facts| facts.plural == "deployments").unwrap();
    assert_eq!(
        (facts.group, facts.version, facts.short_names.as_slice()),
        ("apps", "v1", &["deploy"][..])
    );
    assert_eq!(facts.verbs.len(), 8);
    assert_eq!(facts.storage_hash, "8aSe+NMegvE=");
    let pods = resources().iter().find(|facts| facts.plural == "pods").unwrap();
    assert!(pods.field_selectors.contains(&FieldSelector {
        label: "spec.host",
        field: "spec.nodeName"
    }));
    assert_eq!(pods.delete_answer, DeleteAnswer::Object);
}

#[test]
fn rules_are_found_for_any_version_of_a_kind() {
    assert_eq!(
        name_rule(&gvk("batch", "v1", "CronJob")),
        NameRule {
            format: NameFormat::Subdomain,
            max_length: Some(52)
        }
    );
    assert_eq!(name_rule(&gvk("example.com", "v1", "Widget")), NameRule::default());
    let rules = update_rules(&gvk("apps", "v1", "Deployment"));
    assert_eq!(rules.len(), 1);
    assert_eq!(
        (&rules[0].action, rules[0].path.as_slice()),
        (&RuleAction::Fixed(Vec::new()), &["spec", "selector"][..])
    );
    let rules = update_rules(&gvk("", "v1", "Service"));
    assert!(
        rules
            .iter()
            .any(|rule| rule.path == ["spec", "ipFamilies"] && rule.conditions.len() == 2)
    );
}

#[test]
fn every_default_rule_is_understood() {
    let rules = default_rules();
    let lines = tables::DEFAULTS
        .iter()
        .flat_map(|text| lines::lines(text))
        .filter(|(indented, _)| *indented)
        .count();
    let parsed: usize = rules
        .values()
        .map(|rules| rules.always.len() + rules.root.len() + rules.create.len())
        .sum();
    assert_eq!(parsed, lines);
    for name in rules.keys() {
        assert!(builtin_types().find(name).is_some(), "{name}");
    }
}
