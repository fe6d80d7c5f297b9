//! Which form an answer takes: the object itself, a Table, or metadata only.
//!
//! Of what the client accepts, the first that can be given counts. Typed Go clients that prefer protobuf name JSON behind it
//! and get JSON, which needs no conversion.

use schema::status::{Reason, Status};

use crate::views::accept::{self, Media};
use crate::views::encode::Encoding;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The object or list itself.
    Object,
    /// A Table.
    Table,
    /// Metadata only.
    Metadata,
}

/// What is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// One object.
    One,
    /// A list.
    List,
    /// A stream of events, each with one object.
    Events,
}

/// Chooses a form of an event stream, which is always JSON; 406 when there is none.
pub fn choose(header: &str, content: Content) -> Result<Form, Status> {
    let ranges = accept::parse(header);
    let mut forms = ranges
        .iter()
        .filter(|media| media.takes_json())
        .filter_map(|media| form(media, content));
    forms.next().ok_or_else(|| not_acceptable(&[Encoding::Json]))
}

/// Chooses form and encoding of an object or a list; 406 when there is none. The first form that can be given counts, in
/// the cheapest encoding that the client takes it in. Custom kinds have no protobuf form, and what is not kept has only one.
pub fn choose_encoded(header: &str, content: Content, custom: bool, kept: bool) -> Result<(Form, Encoding), Status> {
    let served: &[Encoding] = if custom { &Encoding::ALL[..2] } else { &Encoding::ALL };
    let ranges = accept::parse(header);
    let offers = || {
        ranges.iter().filter_map(|media| {
            let encoding = Encoding::of(media).filter(|encoding| served.contains(encoding))?;
            let form = form(media, content).filter(|form| kept || *form == Form::Object)?;
            Some((form, encoding))
        })
    };
    let (form, _) = offers().next().ok_or_else(|| not_acceptable(served))?;
    let encodings = offers().filter(|(own, _)| *own == form).map(|(_, encoding)| encoding);
    Ok((form, Encoding::cheapest(encodings).unwrap_or_default()))
}

fn form(media: &Media<'_>, content: Content) -> Option<Form> {
    let metadata = if content == Content::List {
        "PartialObjectMetadataList"
    } else {
        "PartialObjectMetadata"
    };
    let versioned = media.parameter("g") == Some("meta.k8s.io") && media.parameter("v") == Some("v1");
    match media.parameter("as") {
        None | Some("") => Some(Form::Object),
        Some("Table") if versioned => Some(Form::Table),
        Some(kind) if versioned && kind == metadata => Some(Form::Metadata),
        Some(_) => None,
    }
}

/// 406 with what would be accepted.
pub fn not_acceptable(served: &[Encoding]) -> Status {
    let served: Vec<&str> = served.iter().map(|encoding| encoding.content_type()).collect();
    let text = format!("only the following media types are accepted: {}", served.join(", "));
    Status::failure(406, Reason::NotAcceptable, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, content: Content, expected: Option<Form>) {
        assert_eq!(
            choose(header, content)
                .map_err(|status| assert_eq!(status.code, 406))
                .ok(),
            expected,
            "{header}"
        );
    }

    #[test]
    fn the_first_form_that_can_be_given_counts() {
        use Content::{Events, List, One};
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let typed = "application/vnd.kubernetes.protobuf,application/json";
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        check("", One, Some(Form::Object));
        check("*/*", List, Some(Form::Object));
        check(typed, One, Some(Form::Object));
        check(kubectl, List, Some(Form::Table));
        check(kubectl, Events, Some(Form::Table));
        check(metadata, One, Some(Form::Metadata));
        check(metadata, Events, Some(Form::Metadata));
        check(metadata, List, Some(Form::Object));
        check(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            List,
            Some(Form::Metadata),
        );
        check("application/json;as=Table;v=v1beta1;g=meta.k8s.io", One, None);
        check("application/vnd.kubernetes.protobuf", One, None);
        check("application/cbor", List, None);
    }

    #[test]
    fn the_cheapest_encoding_of_the_first_form_counts() {
        let check = |header: &str, custom: bool, expected: Result<(Form, Encoding), &str>| {
            let found = choose_encoded(header, Content::One, custom, true).map_err(|status| status.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{header}");
        };
        let all = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
        let some = "only the following media types are accepted: application/json, application/yaml";
        check("application/yaml", false, Ok((Form::Object, Encoding::Yaml)));
        check("application/yaml, */*", false, Ok((Form::Object, Encoding::Json)));
        check(
            "application/yaml;as=Table;v=v1;g=meta.k8s.io, application/json",
            false,
            Ok((Form::Table, Encoding::Yaml)),
        );
        check(
            "application/vnd.kubernetes.protobuf",
            false,
            Ok((Form::Object, Encoding::Protobuf)),
        );
        check("application/vnd.kubernetes.protobuf", true, Err(some));
        check("application/cbor", false, Err(all));
    }
}
