//! Reads an `Accept` header far enough to choose a form of an answer.
//!
//! Kubernetes clients order what they like best first and give parameters (`as`, `g`, `v`); weights are ignored, as
//! kube-apiserver does.

/// One media range of an `Accept` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media<'a> {
    /// For example `application/json` or `*/*`.
    pub range: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Media<'a> {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    /// Whether JSON satisfies it.
    pub fn takes_json(&self) -> bool {
        matches!(self.range, "application/json" | "application/*" | "*/*")
    }
}

/// The media ranges in order; an absent or empty header means anything.
pub fn parse(header: &str) -> Vec<Media<'_>> {
    let ranges: Vec<Media<'_>> = header
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(media)
        .collect();
    if ranges.is_empty() {
        vec![Media {
            range: "*/*",
            parameters: Vec::new(),
        }]
    } else {
        ranges
    }
}

fn media(text: &str) -> Media<'_> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let parameters = parts
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .collect();
    Media { range, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_nothing_means_anything() {
        let ranges = parse("application/json;as=Table;v=v1;g=meta.k8s.io, application/json");
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0].parameter("as"), Some("Table"));
        assert_eq!(ranges[1].parameter("as"), None);
        assert!(parse("")[0].takes_json());
        assert!(!parse("application/vnd.kubernetes.protobuf")[0].takes_json());
    }
}
