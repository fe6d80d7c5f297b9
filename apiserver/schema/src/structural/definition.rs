//! What keeps a `CustomResourceDefinition` from being stored, its schemas included. Start with [`check_definition`].
//!
//! Never here: whether its names are free, which only a server knows.

use std::collections::HashSet;

use serde_json::Value;

use super::check_schema;
use crate::status::{FieldError, FieldErrorKind};
use crate::validate::{label_1035_problem, subdomain_problem};

/// The annotation that definitions in protected groups need.
const APPROVAL: &str = "api-approved.kubernetes.io";
const APPROVAL_RULE: &str = "https://github.com/kubernetes/enhancements/pull/1111";
/// How many fields may be selected by.
const MAX_SELECTABLE: usize = 8;
const MAX_WARNING: usize = 256;

/// Whether somebody answers for a definition in a group of the Kubernetes community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// The group is not protected.
    NotNeeded,
    /// The annotation is not there.
    Missing,
    /// The annotation says neither.
    Invalid,
    /// It says where it was approved.
    Approved(String),
    /// It says that it was not.
    Bypassed(String),
}

impl Approval {
    /// What a definition's group and annotation say.
    pub fn of(definition: &Value) -> Self {
        let group = text(&definition["spec"], "group");
        let is_protected = ["k8s.io", "kubernetes.io"]
            .iter()
            .any(|domain| group == *domain || group.ends_with(&format!(".{domain}")));
        if !is_protected {
            return Self::NotNeeded;
        }
        let annotation = text(&definition["metadata"]["annotations"], APPROVAL);
        let is_url = annotation
            .split_once("://")
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/'));
        match annotation {
            "" => Self::Missing,
            url if is_url => Self::Approved(url.to_owned()),
            other if other.starts_with("unapproved") => Self::Bypassed(other.to_owned()),
            _ => Self::Invalid,
        }
    }

    /// For people.
    pub fn message(&self) -> String {
        let needed = format!("protected groups must have approval annotation \"{APPROVAL}\"");
        match self {
            Self::NotNeeded => String::new(),
            Self::Missing => format!("{needed}, see {APPROVAL_RULE}"),
            Self::Invalid => {
                format!("{needed} with either a URL or a reason starting with \"unapproved\", see {APPROVAL_RULE}")
            }
            Self::Approved(url) => format!("approved in {url}"),
            Self::Bypassed(reason) => format!("not approved: {reason:?}"),
        }
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn has_subresource(version: &Value, name: &str) -> bool {
    version["subresources"].get(name).is_some_and(|value| !value.is_null())
}

/// Where the parts of a version stand in messages: what all versions have in common counts as the definition's own.
fn place(versions: &[Value], index: usize, key: &str, common: &str) -> String {
    let first = versions.first().map(|version| &version[key]);
    if versions.iter().all(|version| Some(&version[key]) == first) {
        format!("spec.{common}")
    } else {
        format!("spec.versions[{index}].{key}")
    }
}

/// Where the schema of a version stands in messages.
pub fn schema_path(definition: &Value, index: usize) -> String {
    let place = place(list(&definition["spec"], "versions"), index, "schema", "validation");
    format!("{place}.openAPIV3Schema")
}

/// Checks a definition in canonical form and with defaults; metadata is checked elsewhere.
pub fn check_definition(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &definition["spec"];
    let approval = Approval::of(definition);
    let annotation = format!("metadata.annotations[{APPROVAL}]");
    match approval {
        Approval::Missing => errors.push(FieldError::required(annotation, approval.message())),
        Approval::Invalid => {
            let value = text(&definition["metadata"]["annotations"], APPROVAL);
            errors.push(FieldError::invalid(annotation, value.into(), approval.message()));
        }
        _ => {}
    }
    group_and_scope(&mut errors, spec);
    names(&mut errors, &spec["names"]);
    let versions = list(spec, "versions");
    version_names(&mut errors, spec, versions);
    for (index, version) in versions.iter().enumerate() {
        self::version(&mut errors, definition, versions, index, version);
    }
    conversion(&mut errors, &spec["conversion"]);
    // What all versions have in common was found once for each.
    let mut seen = HashSet::new();
    errors.retain(|error| seen.insert(error.to_string()));
    errors
}

fn not_supported(path: &str, value: &str, supported: [&str; 2]) -> FieldError {
    FieldError {
        path: path.to_owned(),
        kind: FieldErrorKind::NotSupported,
        value: Some(value.into()),
        detail: format!("supported values: {:?}, {:?}", supported[0], supported[1]),
    }
}

fn group_and_scope(errors: &mut Vec<FieldError>, spec: &Value) {
    let scope = text(spec, "scope");
    if !matches!(scope, "Cluster" | "Namespaced" | "") {
        errors.push(not_supported("spec.scope", scope, ["Cluster", "Namespaced"]));
    }
    let group = text(spec, "group");
    if !group.is_empty() {
        if let Some(problem) = subdomain_problem(group) {
            errors.push(FieldError::invalid("spec.group", group.into(), problem));
        } else if !group.contains('.') {
            let detail = "should be a domain with at least one dot";
            errors.push(FieldError::invalid("spec.group", group.into(), detail));
        }
    }
    if spec["preserveUnknownFields"] == true {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true.into(), detail));
    }
}

fn names(errors: &mut Vec<FieldError>, names: &Value) {
    let mut check = |path: String, name: &str, mixed: bool| {
        let problem = if mixed {
            label_1035_problem(&name.to_lowercase())
        } else {
            label_1035_problem(name)
        };
        if let Some(problem) = problem {
            let detail = if mixed {
                format!("may have mixed case, but should otherwise match: {problem}")
            } else {
                problem
            };
            errors.push(FieldError::invalid(path, name.into(), detail));
        }
    };
    for (field, mixed) in [
        ("plural", false),
        ("singular", false),
        ("kind", true),
        ("listKind", true),
    ] {
        let name = text(names, field);
        if !name.is_empty() {
            check(format!("spec.names.{field}"), name, mixed);
        }
    }
    for field in ["shortNames", "categories"] {
        for (index, name) in list(names, field).iter().enumerate() {
            check(
                format!("spec.names.{field}[{index}]"),
                name.as_str().unwrap_or_default(),
                false,
            );
        }
    }
    let kind = text(names, "kind");
    for field in ["singular", "listKind"] {
        if text(names, field).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    if !kind.is_empty() && kind == text(names, "listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", kind.into(), detail));
    }
}

fn version_names(errors: &mut Vec<FieldError>, spec: &Value, versions: &[Value]) {
    let mut known = HashSet::new();
    let mut unique = true;
    for (index, version) in versions.iter().enumerate() {
        let name = text(version, "name");
        unique &= known.insert(name);
        if !name.is_empty()
            && let Some(problem) = label_1035_problem(name)
        {
            let path = format!("spec.versions[{index}].name");
            errors.push(FieldError::invalid(path, name.into(), problem));
        }
        warning(errors, index, version);
    }
    let mut refuse = |detail: &str| errors.push(FieldError::invalid("spec.versions", spec["versions"].clone(), detail));
    if !unique {
        refuse("must contain unique version names");
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        refuse("must have exactly one version marked as storage version");
    }
}

fn warning(errors: &mut Vec<FieldError>, index: usize, version: &Value) {
    let Some(warning) = version["deprecationWarning"].as_str() else {
        return;
    };
    let mut refuse = |detail: String| {
        let path = format!("spec.versions[{index}].deprecationWarning");
        errors.push(FieldError::invalid(path, warning.into(), detail));
    };
    if version["deprecated"] != true {
        refuse("can only be set for deprecated versions".to_owned());
    }
    if warning.len() > MAX_WARNING {
        refuse(format!("must be <= {MAX_WARNING} characters long"));
    }
    if warning.is_empty() {
        refuse("must not be an empty string".to_owned());
    }
}

/// Keywords that the root of a schema may have beside the status subresource.
const AT_ROOT: [&str; 23] = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
    "XMapType",
];

fn is_allowed_at_root(key: &str) -> bool {
    match key {
        "x-kubernetes-preserve-unknown-fields" | "x-kubernetes-validations" | "x-kubernetes-map-type" => true,
        key => AT_ROOT.iter().any(|allowed| allowed.eq_ignore_ascii_case(key)),
    }
}

fn version(errors: &mut Vec<FieldError>, definition: &Value, versions: &[Value], index: usize, version: &Value) {
    let schema = &version["schema"]["openAPIV3Schema"];
    let path = schema_path(definition, index);
    if let Some(object) = schema.as_object() {
        let says = |value: &Value| !value.is_null() && *value != false && *value != "";
        if has_subresource(version, "status")
            && object
                .iter()
                .any(|(key, value)| says(value) && !is_allowed_at_root(key))
        {
            let detail = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
                AT_ROOT[..22].join(" ")
            );
            errors.push(FieldError::invalid(path.clone(), schema.clone(), detail));
        }
        let problems = check_schema(schema, &path);
        if problems.is_empty() {
            errors.extend(crate::cel::rules::check(schema, &path));
        }
        errors.extend(problems);
    } else {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        errors.push(FieldError::required(path, "schemas are required"));
    }
    let path = place(versions, index, "additionalPrinterColumns", "additionalPrinterColumns");
    for (index, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        self::column(errors, &format!("{path}[{index}]"), column);
    }
    if has_subresource(version, "scale") {
        let path = place(versions, index, "subresources", "subresources");
        scale(errors, &format!("{path}.scale"), &version["subresources"]["scale"]);
    }
    let path = place(versions, index, "selectableFields", "selectableFields");
    selectable(errors, &path, list(version, "selectableFields"), schema);
}

/// A path of dots and names. Whether what it names exists, nobody knows before there are objects.
fn simple_path(errors: &mut Vec<FieldError>, path: &str, value: &str) -> bool {
    let is_simple = value.starts_with('.');
    if !is_simple {
        let detail = "must be a simple json path starting with .";
        errors.push(FieldError::invalid(path, value.into(), detail));
    }
    is_simple
}

fn column(errors: &mut Vec<FieldError>, path: &str, column: &Value) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = [
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    if text(column, "name").is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let kind = text(column, "type");
    let detail = format!("must be one of {}", TYPES.join(","));
    if kind.is_empty() {
        errors.push(FieldError::required(format!("{path}.type"), detail));
    } else if !TYPES.contains(&kind) {
        errors.push(FieldError::invalid(format!("{path}.type"), kind.into(), detail));
    }
    let format = text(column, "format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let detail = format!("must be one of {}", FORMATS.join(","));
        errors.push(FieldError::invalid(format!("{path}.format"), format.into(), detail));
    }
    let json_path = text(column, "jsonPath");
    if json_path.is_empty() {
        errors.push(FieldError::required(format!("{path}.JSONPath"), ""));
    } else {
        simple_path(errors, &format!("{path}.JSONPath"), json_path);
    }
}

fn scale(errors: &mut Vec<FieldError>, path: &str, scale: &Value) {
    let rules: [(&str, &[&str], &str); 3] = [
        ("specReplicasPath", &[".spec."], "should be a json path under .spec"),
        (
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            &[".status.", ".spec."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (field, roots, detail) in rules {
        let (path, value) = (format!("{path}.{field}"), text(scale, field));
        if value.is_empty() {
            if field != "labelSelectorPath" {
                errors.push(FieldError::required(path, ""));
            }
            continue;
        }
        if simple_path(errors, &path, value) && !roots.iter().any(|root| value.starts_with(root)) {
            errors.push(FieldError::invalid(path, value.into(), detail));
        }
    }
}

/// Fields that lists may be selected by: single values that the schema knows.
fn selectable(errors: &mut Vec<FieldError>, path: &str, fields: &[Value], schema: &Value) {
    if fields.len() > MAX_SELECTABLE {
        errors.push(FieldError {
            path: path.to_owned(),
            kind: FieldErrorKind::TooMany,
            value: Some(fields.len().into()),
            detail: format!("must have at most {MAX_SELECTABLE} items"),
        });
    }
    let mut seen = HashSet::new();
    for (index, field) in fields.iter().enumerate() {
        let (at, json_path) = (format!("{path}[{index}].jsonPath"), text(field, "jsonPath"));
        let mut refuse = |detail: &str| errors.push(FieldError::invalid(at.clone(), json_path.into(), detail));
        if json_path.is_empty() {
            continue;
        }
        let steps: Vec<&str> = json_path.split('.').skip(1).collect();
        let described = steps
            .iter()
            .try_fold(schema, |schema, step| schema["properties"].get(*step));
        if !json_path.starts_with('.') || steps.iter().any(|step| step.is_empty()) {
            refuse("is an invalid path: must be a simple json path starting with .");
        } else if steps[0] == "metadata" {
            refuse("must not point to fields in metadata");
        } else if let Some(described) = described {
            if !matches!(text(described, "type"), "string" | "boolean" | "integer") {
                refuse(
                    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
                );
            }
        } else {
            refuse("is an invalid path: does not refer to a valid field");
        }
        if !seen.insert(json_path) {
            errors.push(FieldError {
                path: at,
                kind: FieldErrorKind::Duplicate,
                value: Some(json_path.into()),
                detail: String::new(),
            });
        }
    }
}

fn conversion(errors: &mut Vec<FieldError>, conversion: &Value) {
    // As Kubernetes prints the paths, which are those of its own form of the object.
    let (client, reviews) = (
        "spec.conversion.webhookClientConfig",
        "spec.conversion.conversionReviewVersions",
    );
    let webhook = &conversion["webhook"];
    let config = &webhook["clientConfig"];
    let versions = list(webhook, "conversionReviewVersions");
    match text(conversion, "strategy") {
        "Webhook" => {
            if config.is_null() {
                errors.push(FieldError::required(client, "required when strategy is set to Webhook"));
            } else {
                client_config(errors, client, config);
            }
            review_versions(errors, reviews, versions);
        }
        "None" => {
            let detail = "should not be set when strategy is not set to Webhook";
            if !config.is_null() {
                errors.push(FieldError::forbidden(client, detail));
            }
            if !versions.is_empty() {
                errors.push(FieldError::forbidden(reviews, detail));
            }
        }
        "" => {}
        other => errors.push(not_supported("spec.conversion.strategy", other, ["None", "Webhook"])),
    }
}

fn client_config(errors: &mut Vec<FieldError>, path: &str, config: &Value) {
    let (url, service) = (config["url"].as_str(), &config["service"]);
    if url.is_some() != service.is_null() {
        errors.push(FieldError::required(path, "exactly one of url or service is required"));
    }
    if let Some(url) = url
        && !url.starts_with("https://")
    {
        let scheme = url.split(':').next().unwrap_or_default();
        let detail = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        errors.push(FieldError::invalid(format!("{path}.url"), scheme.into(), detail));
    }
}

fn review_versions(errors: &mut Vec<FieldError>, path: &str, versions: &[Value]) {
    if versions.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in versions.iter().enumerate() {
        let (path, name) = (format!("{path}[{index}]"), version.as_str().unwrap_or_default());
        if !seen.insert(name) {
            errors.push(FieldError::invalid(path, name.into(), "duplicate version"));
        } else if let Some(problem) = label_1035_problem(name) {
            errors.push(FieldError::invalid(path, name.into(), problem));
        }
    }
    if !seen.iter().any(|name| matches!(*name, "v1" | "v1beta1")) {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid(path, versions.to_vec().into(), detail));
    }
}
