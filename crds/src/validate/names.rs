//! The forms of names and label values (Kubernetes, "Object Names and IDs" and "Labels and Selectors").

const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
    with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
    start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
    character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
    '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// Begins and ends with a letter or digit, with nothing else but these characters between.
fn is_word(text: &str, inner: impl Fn(u8) -> bool, edge: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| edge(*byte))
        && bytes.last().is_some_and(|byte| edge(*byte))
        && bytes.iter().all(|byte| edge(*byte) || inner(*byte))
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label_word(text: &str) -> bool {
    is_word(text, |byte| b"-_.".contains(&byte), |byte| byte.is_ascii_alphanumeric())
}

fn is_dns_label(text: &str) -> bool {
    is_word(text, |byte| byte == b'-', is_lower)
}

/// What is wrong with a qualified name (a label key): an optional DNS subdomain with `/`, and a name.
pub(super) fn qualified(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                &QUALIFIED["name part ".len()..]
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else if 253 < prefix.len() {
                wrong.push("prefix part must be no more than 253 bytes".to_owned());
            } else if !prefix.split('.').all(is_dns_label) {
                wrong.push(format!("prefix part {DNS_SUBDOMAIN}"));
            }
            name
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if 63 < name.len() {
        wrong.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_label_word(name) {
        wrong.push(QUALIFIED.to_owned());
    }
    wrong
}

/// What is wrong with a label value.
pub(super) fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if 63 < text.len() {
        wrong.push("must be no more than 63 bytes".to_owned());
    }
    if !text.is_empty() && !is_label_word(text) {
        wrong.push(LABEL_VALUE.to_owned());
    }
    wrong
}

/// What is wrong with the name of a cluster. It is shorter than a label, because it becomes part of other names.
pub(super) fn cluster(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if 48 < text.len() {
        wrong.push("must be no more than 48 characters".to_owned());
    }
    if !is_dns_label(text) {
        wrong.push(DNS_LABEL.to_owned());
    }
    wrong
}

/// What is wrong with the name of a Service.
pub(super) fn dns_1035(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if 63 < text.len() {
        wrong.push("must be no more than 63 characters".to_owned());
    }
    if !is_dns_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        wrong.push(DNS_1035.to_owned());
    }
    wrong
}

/// What is wrong with a name that must be a domain of three parts or more.
pub(super) fn fully_qualified(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["must not be empty".to_owned()];
    }
    if 253 < text.len() || !text.split('.').all(is_dns_label) {
        return vec![DNS_SUBDOMAIN.to_owned()];
    }
    if text.split('.').count() < 3 {
        return vec!["should be a domain with at least three segments separated by dots".to_owned()];
    }
    Vec::new()
}
