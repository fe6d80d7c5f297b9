//! The whole document as a client reads it: through messages that the derive macro of another crate decodes, with the
//! numbers of gnostic's `OpenAPIv2.proto`, and back into JSON.

use std::collections::HashMap;

use prost::Message;
use serde_json::Map;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Schemas>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPath>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedPath {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Clone, PartialEq, Message)]
struct PathItem {
    #[prost(message, optional, tag = "2")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "3")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "4")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "6")]
    options: Option<Operation>,
    #[prost(message, optional, tag = "7")]
    head: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
    #[prost(message, repeated, tag = "9")]
    parameters: Vec<ParametersItem>,
    #[prost(message, repeated, tag = "10")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, repeated, tag = "1")]
    tags: Vec<String>,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "5")]
    id: String,
    #[prost(string, repeated, tag = "6")]
    produces: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    consumes: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(string, repeated, tag = "10")]
    schemes: Vec<String>,
    #[prost(message, repeated, tag = "13")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(message, optional, tag = "1")]
    body: Option<BodyParameter>,
    #[prost(message, optional, tag = "2")]
    other: Option<NonBodyParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct BodyParameter {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    place: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct NonBodyParameter {
    #[prost(message, optional, tag = "3")]
    query: Option<QueryParameter>,
    #[prost(message, optional, tag = "4")]
    path: Option<PathParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryParameter {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    kind: String,
    #[prost(bool, tag = "20")]
    unique: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PathParameter {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    kind: String,
    #[prost(bool, tag = "19")]
    unique: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Responses {
    #[prost(message, repeated, tag = "1")]
    codes: Vec<NamedResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedResponse {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<ResponseValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<Wrapped>,
}

/// `SchemaItem` and `ItemsItem`.
#[derive(Clone, PartialEq, Message)]
struct Wrapped {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Additional {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
    #[prost(bool, optional, tag = "2")]
    boolean: Option<bool>,
}

/// `Definitions` and `Properties`.
#[derive(Clone, PartialEq, Message)]
struct Schemas {
    #[prost(message, repeated, tag = "1")]
    named: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

#[derive(Clone, PartialEq, Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "3")]
    title: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(double, optional, tag = "7")]
    maximum: Option<f64>,
    #[prost(double, optional, tag = "9")]
    minimum: Option<f64>,
    #[prost(int64, optional, tag = "11")]
    max_length: Option<i64>,
    #[prost(int64, optional, tag = "12")]
    min_length: Option<i64>,
    #[prost(string, tag = "13")]
    pattern: String,
    #[prost(int64, optional, tag = "14")]
    max_items: Option<i64>,
    #[prost(int64, optional, tag = "15")]
    min_items: Option<i64>,
    #[prost(int64, optional, tag = "17")]
    max_properties: Option<i64>,
    #[prost(int64, optional, tag = "18")]
    min_properties: Option<i64>,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    choices: Vec<Any>,
    #[prost(message, optional, tag = "21")]
    additional: Option<Additional>,
    #[prost(message, optional, tag = "22")]
    kind: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    items: Option<Wrapped>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Schemas>,
    #[prost(message, repeated, tag = "31")]
    extensions: Vec<NamedAny>,
}

/// An object of what is there.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(mut self, name: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            assert!(self.0.insert(name.to_owned(), value).is_none(), "{name} twice");
        }
        self
    }

    fn text(self, name: &str, text: &str) -> Self {
        self.put(name, (!text.is_empty()).then(|| text.into()))
    }

    fn texts(self, name: &str, texts: &[String]) -> Self {
        self.put(name, (!texts.is_empty()).then(|| texts.to_vec().into()))
    }

    fn flag(self, name: &str, flag: bool) -> Self {
        self.put(name, flag.then_some(Value::Bool(true)))
    }

    fn extensions(self, extensions: &[NamedAny]) -> Self {
        extensions.iter().fold(self, |own, any| {
            own.put(&any.name, Some(of_any(any.value.as_ref().unwrap())))
        })
    }

    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

fn of_any(any: &Any) -> Value {
    serde_json::from_str(&any.yaml).unwrap()
}

fn of_schemas(schemas: &Schemas) -> Value {
    let named = schemas.named.iter();
    named
        .fold(Object::default(), |all, own| {
            all.put(&own.name, own.value.as_ref().map(of_schema))
        })
        .value()
}

fn of_schema(schema: &Schema) -> Value {
    let count = |count: Option<i64>| count.map(Value::from);
    // Whole numbers are written as such in JSON.
    #[allow(clippy::cast_possible_truncation, reason = "limits in schemas are small")]
    let number = |number: Option<f64>| {
        number.map(|number| {
            if number.fract() == 0.0 {
                Value::from(number as i64)
            } else {
                Value::from(number)
            }
        })
    };
    let wrapped = |own: &Wrapped| of_schema(&own.schema[0]);
    Object::default()
        .text("$ref", &schema.reference)
        .text("format", &schema.format)
        .text("title", &schema.title)
        .text("description", &schema.description)
        .text("pattern", &schema.pattern)
        .put("maximum", number(schema.maximum))
        .put("minimum", number(schema.minimum))
        .put("maxLength", count(schema.max_length))
        .put("minLength", count(schema.min_length))
        .put("maxItems", count(schema.max_items))
        .put("minItems", count(schema.min_items))
        .put("maxProperties", count(schema.max_properties))
        .put("minProperties", count(schema.min_properties))
        .texts("required", &schema.required)
        .put(
            "enum",
            (!schema.choices.is_empty()).then(|| schema.choices.iter().map(of_any).collect()),
        )
        .put(
            "additionalProperties",
            schema.additional.as_ref().map(|own| match &own.schema {
                Some(schema) => of_schema(schema),
                None => own.boolean.unwrap().into(),
            }),
        )
        .put("type", schema.kind.as_ref().map(|own| own.value[0].as_str().into()))
        .put("items", schema.items.as_ref().map(wrapped))
        .put("properties", schema.properties.as_ref().map(of_schemas))
        .extensions(&schema.extensions)
        .value()
}

fn of_parameter(item: &ParametersItem) -> Value {
    let parameter = item.parameter.as_ref().unwrap();
    if let Some(body) = &parameter.body {
        return Object::default()
            .text("description", &body.description)
            .text("name", &body.name)
            .text("in", &body.place)
            .flag("required", body.required)
            .put("schema", body.schema.as_ref().map(of_schema))
            .value();
    }
    let other = parameter.other.as_ref().unwrap();
    let (required, place, description, name, kind, unique) = match (&other.query, &other.path) {
        (Some(own), None) => (
            own.required,
            &own.place,
            &own.description,
            &own.name,
            &own.kind,
            own.unique,
        ),
        (None, Some(own)) => (
            own.required,
            &own.place,
            &own.description,
            &own.name,
            &own.kind,
            own.unique,
        ),
        other => panic!("{other:?}"),
    };
    Object::default()
        .flag("required", required)
        .text("in", place)
        .text("description", description)
        .text("name", name)
        .text("type", kind)
        .flag("uniqueItems", unique)
        .value()
}

fn of_parameters(items: &[ParametersItem]) -> Option<Value> {
    (!items.is_empty()).then(|| items.iter().map(of_parameter).collect())
}

fn of_operation(operation: &Operation) -> Value {
    let responses = operation.responses.iter().flat_map(|responses| &responses.codes);
    let responses = responses.fold(Object::default(), |all, named| {
        let response = named.value.as_ref().unwrap().response.as_ref().unwrap();
        let schema = response.schema.as_ref().map(|own| of_schema(&own.schema[0]));
        let value = Object::default()
            .text("description", &response.description)
            .put("schema", schema);
        all.put(&named.name, Some(value.value()))
    });
    Object::default()
        .texts("tags", &operation.tags)
        .text("description", &operation.description)
        .text("operationId", &operation.id)
        .texts("produces", &operation.produces)
        .texts("consumes", &operation.consumes)
        .texts("schemes", &operation.schemes)
        .put("parameters", of_parameters(&operation.parameters))
        .put("responses", Some(responses.value()))
        .extensions(&operation.extensions)
        .value()
}

fn of_path(item: &PathItem) -> Value {
    let operation = |operation: &Option<Operation>| operation.as_ref().map(of_operation);
    Object::default()
        .put("get", operation(&item.get))
        .put("put", operation(&item.put))
        .put("post", operation(&item.post))
        .put("delete", operation(&item.delete))
        .put("options", operation(&item.options))
        .put("head", operation(&item.head))
        .put("patch", operation(&item.patch))
        .put("parameters", of_parameters(&item.parameters))
        .extensions(&item.extensions)
        .value()
}

/// What protobuf cannot tell from nothing.
fn without_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                let extension = name.starts_with("x-");
                if !extension {
                    without_empty(member);
                }
                extension || ![json!(false), json!(""), json!([])].contains(member)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(without_empty),
        _ => {}
    }
}

#[test]
fn somebody_elses_decoder_reads_the_same_document() {
    for registry in [registry(), Registry::builtin()] {
        let body = get(&registry, PROTOBUF[0], None).body;
        let document = Document::decode(&body[..]).unwrap();
        let info = document.info.unwrap();
        let named = document.paths.unwrap().path;
        let count = named.len();
        let paths: HashMap<String, Value> = named
            .into_iter()
            .map(|path| (path.name, of_path(&path.value.unwrap())))
            .collect();
        assert_eq!(paths.len(), count, "a path twice");
        let decoded = json!({
            "swagger": document.swagger,
            "info": {"title": info.title, "version": info.version},
            "paths": paths,
            "definitions": of_schemas(&document.definitions.unwrap()),
        });
        let mut expected: Value = serde_json::from_slice(&get(&registry, JSON, None).body).unwrap();
        without_empty(&mut expected);
        assert_eq!(difference("", &decoded, &expected), None);
    }
}

/// The first place where two documents differ: they are too large to print.
fn difference(path: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(ours), Value::Object(theirs)) => ours.keys().chain(theirs.keys()).find_map(|key| {
            let missing = Value::Null;
            let [left, right] = [ours, theirs].map(|own| own.get(key).unwrap_or(&missing));
            difference(&format!("{path}/{key}"), left, right)
        }),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.find_map(|(index, (left, right))| difference(&format!("{path}/{index}"), left, right))
        }
        _ => (left != right).then(|| format!("{path}: {left} and {right}")),
    }
}
