//! Forms of names, with the texts that Kubernetes gives when they are broken.

use crate::selector::{label_key_errors, label_value_errors};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
     alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and \
     end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_label(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    ends(text.as_bytes().first())
        && ends(text.as_bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What is wrong with a DNS-1123 subdomain.
pub fn subdomain_problem(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    (!text.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with a DNS-1123 label.
pub fn label_problem(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!is_label(text)).then(|| LABEL.to_owned())
}

/// What is wrong with a DNS-1035 label.
pub(crate) fn label_1035_problem(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    let starts = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    (!starts || !is_label(text)).then(|| LABEL_1035.to_owned())
}

/// What is wrong with a path segment.
pub(crate) fn path_problem(text: &str) -> Option<String> {
    if matches!(text, "." | "..") {
        return Some(format!("may not be '{text}'"));
    }
    ['/', '%']
        .into_iter()
        .find(|bad| text.contains(*bad))
        .map(|bad| format!("may not contain '{bad}'"))
}

/// What is wrong with a qualified name, the key of a label or annotation: an optional subdomain and a slash, then a name.
pub fn qualified_name_problem(text: &str) -> Option<String> {
    joined(&label_key_errors(text))
}

/// What is wrong with the value of a label.
pub(crate) fn label_value_problem(text: &str) -> Option<String> {
    joined(&label_value_errors(text))
}

fn joined(problems: &[String]) -> Option<String> {
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// What is wrong with a key of a config map or secret.
pub(crate) fn data_key_problem(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    if text.is_empty()
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', \
             regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match text {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        other if other.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

/// Whether text is a DNS-1123 label.
pub fn is_dns_label(text: &str) -> bool {
    label_problem(text).is_none()
}

/// Whether text is a DNS-1123 subdomain.
pub fn is_dns_subdomain(text: &str) -> bool {
    subdomain_problem(text).is_none()
}

/// Whether text may be the key of a label.
pub fn is_qualified_name(text: &str) -> bool {
    qualified_name_problem(text).is_none()
}

/// Whether text may be the value of a label.
pub fn is_label_value(text: &str) -> bool {
    label_value_problem(text).is_none()
}
