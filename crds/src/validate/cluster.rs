//! `Cluster` (§1.5).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Problem, Problems, list, models, names, present, text};

const ID_LIMIT: usize = 128_000;
const URL_FORM: &str = "; desired format: https://host[/path]";

/// Everything that is wrong with a Cluster.
pub fn cluster(object: &Value) -> Vec<Problem> {
    let mut problems = Problems::default();
    name(&object["metadata"], &mut problems);
    let spec = &object["spec"];
    if ID_LIMIT < text(spec, "id").chars().count() {
        problems.invalid(
            "spec.id",
            &Value::from(""),
            format!("must be no more than {ID_LIMIT} characters"),
        );
    }
    match text(spec, "syncMode") {
        "Push" | "Pull" => {}
        "" => problems.required("spec.syncMode", ""),
        _ => problems.not_supported("spec.syncMode", &spec["syncMode"], &["Pull", "Push"]),
    }
    endpoint(spec, &mut problems);
    for field in ["secretRef", "impersonatorSecretRef"] {
        if present(spec, field) {
            for part in ["namespace", "name"] {
                if text(&spec[field], part).is_empty() {
                    problems.required(format!("spec.{field}.{part}"), "");
                }
            }
        }
    }
    proxy(spec, &mut problems);
    location(spec, &mut problems);
    taints(spec, &mut problems);
    models::check(spec, &mut problems);
    problems.0
}

fn name(metadata: &Value, problems: &mut Problems) {
    let name = text(metadata, "name");
    if name.is_empty() {
        problems.required("metadata.name", "name or generateName is required");
        return;
    }
    for wrong in names::cluster(name) {
        problems.invalid("metadata.name", &metadata["name"], wrong);
    }
}

/// The parts of a URL that matter here: scheme, user, host, query and fragment.
struct Url<'a> {
    scheme: &'a str,
    user: bool,
    host: &'a str,
    query: bool,
    fragment: bool,
}

impl<'a> Url<'a> {
    /// Reads RFC 3986's generic form; `None` when it has characters that no URL has.
    fn read(text: &'a str) -> Option<Self> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (rest, fragment) = text
            .split_once('#')
            .map_or((text, false), |(rest, tail)| (rest, !tail.is_empty()));
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, false), |(rest, tail)| (rest, !tail.is_empty()));
        let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
        let authority = if scheme.is_empty() {
            ""
        } else {
            rest.split('/').next().unwrap_or_default()
        };
        let (user, host) = authority
            .rsplit_once('@')
            .map_or((false, authority), |(_, host)| (true, host));
        // An IPv6 address has colons of its own, within brackets.
        let port = host
            .rsplit_once(':')
            .map_or("", |(_, port)| if port.contains(']') { "" } else { port });
        let valid = port.bytes().all(|byte| byte.is_ascii_digit());
        valid.then_some(Self {
            scheme,
            user,
            host,
            query,
            fragment,
        })
    }
}

fn endpoint(spec: &Value, problems: &mut Problems) {
    let given = text(spec, "apiEndpoint");
    if given.is_empty() {
        return;
    }
    let mut refuse = |why: &str| problems.invalid("spec.apiEndpoint", &spec["apiEndpoint"], format!("{why}{URL_FORM}"));
    let Some(url) = Url::read(given) else {
        refuse("url must be a valid URL");
        return;
    };
    if url.host.is_empty() {
        refuse("host must be specified");
    }
    if url.user {
        refuse("user information is not permitted in the URL");
    }
    if url.fragment {
        refuse("fragments are not permitted in the URL");
    }
    if url.query {
        refuse("query parameters are not permitted in the URL");
    }
}

fn proxy(spec: &Value, problems: &mut Problems) {
    let given = text(spec, "proxyURL");
    if given.is_empty() {
        return;
    }
    let scheme = Url::read(given).map_or("", |url| url.scheme);
    if !matches!(scheme, "http" | "https" | "socks5") {
        let detail = format!("unsupported scheme {scheme:?}, must be http, https, or socks5");
        problems.invalid("spec.proxyURL", &spec["proxyURL"], detail);
    }
}

fn location(spec: &Value, problems: &mut Problems) {
    for field in ["provider", "region", "zone"] {
        for wrong in names::label_value(text(spec, field)) {
            problems.invalid(format!("spec.{field}"), &spec[field], wrong);
        }
    }
    for (index, zone) in list(spec, "zones").iter().enumerate() {
        for wrong in names::label_value(zone.as_str().unwrap_or_default()) {
            problems.invalid(format!("spec.zones[{index}]"), zone, wrong);
        }
    }
    if !text(spec, "zone").is_empty() && !list(spec, "zones").is_empty() {
        problems.invalid("spec.zone", &spec["zone"], "Zone and Zones cannot co-exist");
    }
}

fn taints(spec: &Value, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, taint) in list(spec, "taints").iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        self::taint(taint, &path, problems);
        if !seen.insert((text(taint, "key"), text(taint, "effect"))) {
            problems.duplicate(path, taint, "taints must be unique by key and effect pair");
        }
    }
}

/// What is wrong with a taint by itself.
pub(super) fn taint(taint: &Value, path: &str, problems: &mut Problems) {
    let (key, effect) = (text(taint, "key"), text(taint, "effect"));
    for wrong in names::qualified(key) {
        problems.invalid(format!("{path}.key"), &Value::from(key), wrong);
    }
    for wrong in names::label_value(text(taint, "value")) {
        problems.invalid(format!("{path}.value"), &taint["value"], wrong);
    }
    match effect {
        "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
        "" => problems.required(format!("{path}.effect"), ""),
        _ => {
            let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
            problems.not_supported(format!("{path}.effect"), &taint["effect"], &supported);
        }
    }
}
