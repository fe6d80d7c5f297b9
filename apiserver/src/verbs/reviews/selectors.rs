//! Selectors in a question about access: what they have to look like, and what is said about those that cannot be read.
//!
//! No authorizer here looks at them: what a role allows, it allows for all objects. A question with an unreadable selector is
//! answered as one about more objects, and the answer says so.

use schema::selector::{FieldSelector, LabelSelector, label_key_errors, label_value_errors};
use schema::status::FieldError;
use serde_json::{Value, json};

use crate::verbs::object::texts;

/// What a selector selects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Fields.
    Field,
    /// Labels.
    Label,
}

impl Kind {
    fn member(self) -> &'static str {
        match self {
            Self::Field => "fieldSelector",
            Self::Label => "labelSelector",
        }
    }

    fn path(self) -> String {
        format!("spec.resourceAttributes.{}", self.member())
    }
}

/// Finds what a selector may not look like. An operator that nobody knows yet may be there: the asking side can be newer.
pub(super) fn check(kind: Kind, attributes: &Value, problems: &mut Vec<FieldError>) {
    let (selector, path) = (&attributes[kind.member()], kind.path());
    if !selector.is_object() {
        return;
    }
    let raw = text(&selector["rawSelector"]);
    let requirements = requirements(selector);
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => problems.push(FieldError::invalid(
            format!("{path}.rawSelector"),
            json!(raw),
            "may not specified at the same time as requirements",
        )),
        (true, true) => problems.push(FieldError::required(
            format!("{path}.requirements"),
            format!("when {path} is specified, requirements or rawSelector is required"),
        )),
        _ => {}
    }
    for (index, requirement) in requirements.iter().enumerate() {
        check_requirement(kind, requirement, &format!("{path}.requirements[{index}]"), problems);
    }
}

fn check_requirement(kind: Kind, requirement: &Value, path: &str, problems: &mut Vec<FieldError>) {
    let (key, values) = (text(&requirement["key"]), texts(&requirement["values"]));
    if kind == Kind::Field && key.is_empty() {
        problems.push(FieldError::required(format!("{path}.key"), "must be specified"));
    }
    match text(&requirement["operator"]) {
        "In" | "NotIn" if values.is_empty() => problems.push(FieldError::required(
            format!("{path}.values"),
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => problems.push(FieldError::forbidden(
            format!("{path}.values"),
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        _ => {}
    }
    if kind == Kind::Label {
        let keys = label_key_errors(key).into_iter();
        problems.extend(keys.map(|problem| FieldError::invalid(format!("{path}.key"), json!(key), problem)));
        for (index, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{index}]");
            let wrong = label_value_errors(value).into_iter();
            problems.extend(wrong.map(|problem| FieldError::invalid(path.clone(), json!(value), problem)));
        }
    }
}

/// What an answer says about selectors that could not be read, wholly or in part.
pub(super) fn ignored(attributes: &Value) -> String {
    let told = [Kind::Field, Kind::Label].into_iter().filter_map(|kind| {
        let how = if unreadable(kind, &attributes[kind.member()])? {
            "ignored"
        } else {
            "partially ignored"
        };
        Some(format!("{} {how} due to parse error", kind.path()))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Whether nothing of a selector can be read, or only a part of it; `None` when there is nothing wrong.
fn unreadable(kind: Kind, selector: &Value) -> Option<bool> {
    let requirements = requirements(selector);
    if requirements.is_empty() {
        let raw = text(&selector["rawSelector"]);
        let read = match kind {
            Kind::Field => FieldSelector::parse_any(raw).is_ok(),
            Kind::Label => LabelSelector::parse(raw).is_ok(),
        };
        return (!read).then_some(true);
    }
    let wrong = |requirement: &&Value| {
        let operator = text(&requirement["operator"]);
        match kind {
            Kind::Field => !matches!(operator, "In" | "NotIn") || texts(&requirement["values"]).len() != 1,
            Kind::Label => !matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist"),
        }
    };
    match requirements.iter().filter(wrong).count() {
        0 => None,
        some => Some(some == requirements.len()),
    }
}

fn requirements(selector: &Value) -> &[Value] {
    selector["requirements"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attributes: &Value, wrong: &str, told: &str) {
        let mut problems = Vec::new();
        super::check(Kind::Field, attributes, &mut problems);
        super::check(Kind::Label, attributes, &mut problems);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.join("; "), wrong, "{attributes}");
        if wrong.is_empty() {
            assert_eq!(ignored(attributes), told, "{attributes}");
        }
    }

    #[test]
    fn selectors_are_refused_or_ignored_as_kubernetes_does() {
        let field = |selector: Value| json!({"fieldSelector": selector});
        let label = |selector: Value| json!({"labelSelector": selector});
        let term =
            |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        check(&json!({}), "", "");
        check(&field(json!({"rawSelector": "spec.any=1,a!=b"})), "", "");
        check(&label(json!({"rawSelector": "a in (b,c),!d"})), "", "");
        check(
            &json!({"fieldSelector": {"rawSelector": "key in value"}, "labelSelector": {"rawSelector": "&"}}),
            "",
            "spec.resourceAttributes.fieldSelector ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error",
        );
        check(
            &field(json!({})),
            "spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
            "",
        );
        check(
            &label(json!({"rawSelector": "foo", "requirements": [term("a", "Exists", &[])]})),
            r#"spec.resourceAttributes.labelSelector.rawSelector: Invalid value: "foo": may not specified at the same time as requirements"#,
            "",
        );
        let path = "spec.resourceAttributes.fieldSelector.requirements[0]";
        for (wrong, problem) in [
            (term("", "Exists", &[]), "key: Required value: must be specified"),
            (
                term("a", "In", &[]),
                "values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            ),
            (
                term("a", "Exists", &["b"]),
                "values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
        ] {
            check(
                &field(json!({"requirements": [wrong]})),
                &format!("{path}.{problem}"),
                "",
            );
        }
        check(
            &label(json!({"requirements": [term("a", "In", &["&"])]})),
            r#"spec.resourceAttributes.labelSelector.requirements[0].values[0]: Invalid value: "&": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#,
            "",
        );
        let ignored = "spec.resourceAttributes.fieldSelector ignored due to parse error";
        let partially = "spec.resourceAttributes.fieldSelector partially ignored due to parse error";
        let good = term("a", "In", &["b"]);
        check(&field(json!({"requirements": [good]})), "", "");
        for odd in [
            term("a", "Exists", &[]),
            term("a", "In", &["b", "c"]),
            term("a", "Resembles", &["b"]),
        ] {
            check(&field(json!({"requirements": [odd]})), "", ignored);
            check(&field(json!({"requirements": [good, odd]})), "", partially);
        }
        check(
            &label(json!({"requirements": [term("a", "Resembles", &["b"])]})),
            "",
            "spec.resourceAttributes.labelSelector ignored due to parse error",
        );
    }
}
