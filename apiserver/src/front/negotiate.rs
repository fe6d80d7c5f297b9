//! Which form an answer takes: the object itself, a Table, or metadata only.
//!
//! Of what the client accepts, the first that can be given counts. JSON is the only encoding of answers; typed Go clients
//! that prefer protobuf name JSON behind it.

use schema::status::{Reason, Status};

use crate::views::accept;

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

/// Chooses a form; 406 when there is none.
pub fn choose(header: &str, content: Content) -> Result<Form, Status> {
    let metadata = if content == Content::List {
        "PartialObjectMetadataList"
    } else {
        "PartialObjectMetadata"
    };
    let mut forms = accept::parse(header)
        .into_iter()
        .filter(accept::Media::takes_json)
        .filter_map(|media| {
            let versioned = media.parameter("g") == Some("meta.k8s.io") && media.parameter("v") == Some("v1");
            match media.parameter("as") {
                None | Some("") => Some(Form::Object),
                Some("Table") if versioned => Some(Form::Table),
                Some(kind) if versioned && kind == metadata => Some(Form::Metadata),
                Some(_) => None,
            }
        });
    forms.next().ok_or_else(|| {
        let text = "only the following media types are accepted: application/json";
        Status::failure(406, Reason::NotAcceptable, text)
    })
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
}
