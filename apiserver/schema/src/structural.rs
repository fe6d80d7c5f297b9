//! Structural schemas of custom resources, turned into the type model.
//!
//! [`from_crd_schema`] takes the raw `openAPIV3Schema` of one version and gives an arena with its root, in which the root
//! has `apiVersion`, `kind` and a `metadata` of the built-in type, or says what keeps the schema from being structural.
//!
//! CEL rules are read from the raw schema by [`crate::cel::rules`], not here.

mod definition;
mod rules;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use definition::{Approval, check_definition, schema_path};

use crate::facts;
use crate::model::{Checks, Field, ListKind, Scalar, Shape, StructDef, StructId, Types};
use crate::status::FieldError;

/// How deep a schema may nest.
const MAX_DEPTH: usize = 100;

/// Reads a schema. Paths of errors start at the schema (`properties[spec].type`); an empty path is the schema itself.
pub fn from_crd_schema(schema: &Value) -> Result<(Types, StructId), Vec<FieldError>> {
    let errors = check_schema(schema, "");
    if errors.is_empty() {
        Ok(read(schema))
    } else {
        Err(errors)
    }
}

/// What keeps the schema at `path` from being served.
pub fn check_schema(schema: &Value, path: &str) -> Vec<FieldError> {
    let errors = rules::check(schema, path);
    if errors.is_empty() {
        let (types, root) = read(schema);
        rules::check_defaults(&types, root, path)
    } else {
        errors
    }
}

/// The type that a schema describes. Of a schema that is not structural what can be understood.
fn read(schema: &Value) -> (Types, StructId) {
    let mut reader = Reader {
        types: Types::default(),
        metadata: None,
    };
    let shape = reader.shape(schema, true, "", MAX_DEPTH);
    let root = match shape.bare() {
        Shape::Struct(id) => *id,
        _ => reader.types.insert(StructDef {
            custom: true,
            preserve_unknown: true,
            ..StructDef::named("")
        }),
    };
    reader.make_root(root);
    (reader.types, root)
}

/// The type with a root whose objects carry nothing but metadata and what the client wrote: for versions without a schema.
pub fn free_form() -> (Types, StructId) {
    let mut reader = Reader {
        types: Types::default(),
        metadata: None,
    };
    let root = reader.types.insert(StructDef {
        custom: true,
        preserve_unknown: true,
        ..StructDef::named("")
    });
    reader.make_root(root);
    (reader.types, root)
}

struct Reader {
    types: Types,
    /// `ObjectMeta` in this arena, once somebody needed it.
    metadata: Option<StructId>,
}

impl Reader {
    fn make_root(&mut self, root: StructId) {
        let metadata = self.metadata();
        let mut def = self.types.get(root).clone();
        def.typemeta = true;
        def.fields
            .retain(|field| !matches!(field.json.as_str(), "apiVersion" | "kind" | "metadata"));
        def.fields.insert(0, Field::new("metadata", Shape::Struct(metadata)));
        self.types.insert(def);
    }

    /// `ObjectMeta` and what it needs, copied from the built-in types.
    fn metadata(&mut self) -> StructId {
        if let Some(id) = self.metadata {
            return id;
        }
        let builtin = facts::builtin_types();
        let id = match builtin.find("meta.v1.ObjectMeta") {
            Some(id) => copy_struct(builtin, id, &mut self.types),
            None => self.types.reserve("meta.v1.ObjectMeta"),
        };
        self.metadata = Some(id);
        id
    }

    /// The shape of a schema. `name` is what its struct is called.
    fn shape(&mut self, schema: &Value, is_root: bool, name: &str, depth: usize) -> Shape {
        let free = Shape::Scalar(Scalar::Any);
        let Some(object) = schema.as_object().filter(|_| depth > 0) else {
            return free;
        };
        let checks = checks(object);
        let shape = self.bare_shape(object, is_root, name, depth);
        if checks == Checks::default() {
            shape
        } else {
            Shape::Checked {
                shape: Box::new(shape),
                checks: Box::new(checks),
            }
        }
    }

    fn bare_shape(&mut self, schema: &Map<String, Value>, is_root: bool, name: &str, depth: usize) -> Shape {
        if flag(schema, "x-kubernetes-int-or-string") {
            return Shape::Scalar(Scalar::IntOrString);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => self.list(schema, name, depth),
            Some("string") => Shape::Scalar(Scalar::String),
            Some("boolean") => Shape::Scalar(Scalar::Bool),
            Some("number") => Shape::Scalar(Scalar::Double),
            Some("integer") if schema.get("format") == Some(&Value::from("int32")) => Shape::Scalar(Scalar::Int32),
            Some("integer") => Shape::Scalar(Scalar::Int64),
            Some("object") => self.object(schema, is_root, name, depth),
            _ if schema.contains_key("properties") => self.object(schema, is_root, name, depth),
            _ => Shape::Scalar(Scalar::Any),
        }
    }

    fn list(&mut self, schema: &Map<String, Value>, name: &str, depth: usize) -> Shape {
        let items = schema.get("items").unwrap_or(&Value::Null);
        let element = self.shape(items, false, &format!("{name}[]"), depth - 1);
        let kind = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map(texts(schema.get("x-kubernetes-list-map-keys"))),
            _ => ListKind::Atomic,
        };
        Shape::List {
            element: Box::new(element),
            kind,
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, is_root: bool, name: &str, depth: usize) -> Shape {
        let atomic = schema.get("x-kubernetes-map-type") == Some(&Value::from("atomic"));
        let properties = schema.get("properties").and_then(Value::as_object);
        if properties.is_none_or(Map::is_empty) {
            match schema.get("additionalProperties") {
                Some(Value::Object(inner)) => {
                    let inner = Value::Object(inner.clone());
                    let value = self.shape(&inner, false, &format!("{name}{{}}"), depth - 1);
                    return Shape::Map {
                        value: Box::new(value),
                        atomic,
                    };
                }
                Some(Value::Bool(true)) => {
                    return Shape::Map {
                        value: Box::new(Shape::Scalar(Scalar::Any)),
                        atomic,
                    };
                }
                _ => {}
            }
        }
        let required = texts(schema.get("required"));
        let embedded = flag(schema, "x-kubernetes-embedded-resource");
        let mut def = StructDef {
            custom: true,
            atomic,
            preserve_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields"),
            embedded_resource: embedded,
            ..StructDef::named(name)
        };
        // A key with a dot may give a name that is taken already.
        while self.types.find(&def.name).is_some() {
            def.name.push('~');
        }
        let id = self.types.reserve(&def.name);
        for (key, property) in properties.into_iter().flatten() {
            let child = if name.is_empty() {
                key.clone()
            } else {
                format!("{name}.{key}")
            };
            // The type of metadata is given; a schema may restrict names, which the server checks anyway.
            let shape = if (is_root || embedded) && key == "metadata" {
                Shape::Struct(self.metadata())
            } else {
                self.shape(property, false, &child, depth - 1)
            };
            let mut field = Field::new(key, shape);
            field.ptr = true;
            field.required = required.contains(key);
            field.nullable = property.get("nullable") == Some(&Value::Bool(true));
            field.default = property
                .get("default")
                .filter(|default| field.nullable || !default.is_null())
                .cloned();
            def.fields.push(field);
        }
        if embedded {
            for key in ["apiVersion", "kind"] {
                if !def.fields.iter().any(|field| field.json == key) {
                    let mut field = Field::new(key, Shape::Scalar(Scalar::String));
                    (field.ptr, field.required) = (true, true);
                    def.fields.push(field);
                }
            }
            if !def.fields.iter().any(|field| field.json == "metadata") {
                let mut field = Field::new("metadata", Shape::Struct(self.metadata()));
                field.ptr = true;
                def.fields.push(field);
            }
        }
        self.types.insert(def);
        Shape::Struct(id)
    }
}

/// Copies a struct and all it refers to into another arena.
pub(crate) fn copy_struct(from: &Types, id: StructId, to: &mut Types) -> StructId {
    let def = from.get(id);
    if let Some(existing) = to.find(&def.name) {
        return existing;
    }
    let copy = to.reserve(&def.name);
    let mut def = def.clone();
    for field in &mut def.fields {
        field.shape = copy_shape(from, &field.shape, to);
    }
    to.insert(def);
    copy
}

fn copy_shape(from: &Types, shape: &Shape, to: &mut Types) -> Shape {
    match shape {
        Shape::Struct(id) => Shape::Struct(copy_struct(from, *id, to)),
        Shape::List { element, kind } => Shape::List {
            element: Box::new(copy_shape(from, element, to)),
            kind: kind.clone(),
        },
        Shape::Map { value, atomic } => Shape::Map {
            value: Box::new(copy_shape(from, value, to)),
            atomic: *atomic,
        },
        Shape::Checked { shape, checks } => Shape::Checked {
            shape: Box::new(copy_shape(from, shape, to)),
            checks: checks.clone(),
        },
        Shape::Scalar(scalar) => Shape::Scalar(*scalar),
    }
}

/// The value validations of a schema.
pub(crate) fn checks(schema: &Map<String, Value>) -> Checks {
    let count = |key: &str| schema.get(key).and_then(Value::as_u64);
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let text = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let list = |key: &str| schema.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let known = schema.get("properties").and_then(Value::as_object);
    let mut required = texts(schema.get("required"));
    required.retain(|key| !known.is_some_and(|known| known.contains_key(key)));
    Checks {
        one_of_values: list("enum"),
        pattern: text("pattern"),
        format: text("format").filter(|format| !matches!(format.as_str(), "int32" | "int64" | "float" | "double")),
        min_length: count("minLength").filter(|count| *count > 0),
        max_length: count("maxLength"),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag(schema, "exclusiveMinimum"),
        exclusive_maximum: flag(schema, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_items: count("minItems").filter(|count| *count > 0),
        max_items: count("maxItems"),
        min_properties: count("minProperties").filter(|count| *count > 0),
        max_properties: count("maxProperties"),
        all_of: list("allOf"),
        any_of: list("anyOf"),
        exactly_one_of: list("oneOf"),
        not: schema.get("not").filter(|value| value.is_object()).cloned(),
        nullable: flag(schema, "nullable"),
        required,
    }
}

pub(crate) fn flag(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn texts(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() {
        step.to_owned()
    } else if step.is_empty() {
        path.to_owned()
    } else {
        format!("{path}.{step}")
    }
}
