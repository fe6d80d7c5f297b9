//! The named formats of `format.named()`.

use crate::validate;

const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

/// The format of this name.
pub(super) fn find(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|own| *own == name)
}

/// What keeps text from having a format.
pub(super) fn problems(format: &str, text: &str) -> Vec<String> {
    // The name that a prefix ending in a dash leads to has something after it.
    let masked = match text.strip_suffix('-') {
        Some(start) if format.ends_with("Prefix") => format!("{start}a"),
        _ => text.to_owned(),
    };
    let problem = match format {
        "dns1123Label" | "dns1123LabelPrefix" => validate::label_problem(&masked),
        "dns1123Subdomain" | "dns1123SubdomainPrefix" => validate::subdomain_problem(&masked),
        "dns1035Label" | "dns1035LabelPrefix" => validate::label_1035_problem(&masked),
        "qualifiedName" => validate::qualified_name_problem(text),
        "labelValue" => validate::label_value_problem(text),
        "datetime" => (!validate::has_format("date-time", text)).then(|| "invalid datetime".to_owned()),
        "uri" => super::url::parse(text).err(),
        other => (!validate::has_format(other, text)).then(|| match other {
            "uuid" => "does not match the UUID format".to_owned(),
            "byte" => "invalid base64".to_owned(),
            _ => "invalid date".to_owned(),
        }),
    };
    problem.into_iter().collect()
}
