//! OpenAPI v3 schemas of built-in types, made from the type model.
//!
//! [`components`] gives the schemas of some types and of everything they refer to, as they stand under
//! `components.schemas`. Descriptions are not in the model; whoever serves the document adds them.
//!
//! Never here: paths and operations, and the schemas of custom resources, which are published as they were written.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::facts;
use crate::model::{Field, Form, ListKind, Scalar, Shape, StructDef, StructId, Types};

#[cfg(test)]
mod tests;

/// The schemas of the named types (`apps.v1.Deployment`) and of all they refer to, by OpenAPI name. Option kinds, which
/// exist in every group and version, are listed under `versions` (group, version).
pub fn components(types: &Types, roots: &[&str], versions: &[(&str, &str)]) -> Map<String, Value> {
    let mut schemas = Map::new();
    let mut pending: Vec<StructId> = roots.iter().filter_map(|name| types.find(name)).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while let Some(id) = pending.pop() {
        let def = types.get(id);
        let Some(name) = facts::openapi_name(&def.name).filter(|name| seen.insert(name.clone())) else {
            continue;
        };
        let mut maker = Maker {
            types,
            referred: Vec::new(),
        };
        let schema = maker.definition(def, versions);
        pending.extend(maker.referred);
        schemas.insert(name, schema);
    }
    schemas
}

/// Where a schema of this name lies in a document.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

struct Maker<'a> {
    types: &'a Types,
    referred: Vec<StructId>,
}

impl Maker<'_> {
    fn definition(&mut self, def: &StructDef, versions: &[(&str, &str)]) -> Value {
        let mut schema = match def.form {
            Some(form) => formed(form),
            None => self.object(def),
        };
        if let Some(object) = schema.as_object_mut() {
            let kinds: Vec<Value> = def
                .gvks
                .iter()
                .flat_map(|gvk| match gvk.group.as_str() {
                    "*" => versions
                        .iter()
                        .map(|(group, version)| json!({"group": group, "version": version, "kind": gvk.kind}))
                        .collect(),
                    group => vec![json!({"group": group, "version": gvk.version, "kind": gvk.kind})],
                })
                .collect();
            if !kinds.is_empty() {
                object.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds));
            }
            if def.atomic {
                object.insert("x-kubernetes-map-type".to_owned(), Value::from("atomic"));
            }
            if let Some(unions) = &def.unions {
                object.insert("x-kubernetes-unions".to_owned(), unions.clone());
            }
        }
        schema
    }

    fn object(&mut self, def: &StructDef) -> Value {
        let mut properties = Map::new();
        let mut required = BTreeSet::new();
        if def.typemeta {
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
        }
        self.properties(def, &mut properties, &mut required);
        let mut schema = json!({"type": "object"});
        if !properties.is_empty() {
            schema["properties"] = Value::Object(properties);
        }
        if !required.is_empty() {
            schema["required"] = required.into_iter().collect();
        }
        schema
    }

    /// The fields of a struct, those of inlined structs among them.
    fn properties(&mut self, def: &StructDef, properties: &mut Map<String, Value>, required: &mut BTreeSet<String>) {
        let is_list_of_kind = def.fields.iter().any(|field| self.is_struct(field, "meta.v1.ListMeta"));
        for field in &def.fields {
            if field.inline {
                if let Shape::Struct(id) = field.shape.bare() {
                    let inner = self.types.get(*id);
                    self.properties(inner, properties, required);
                }
                continue;
            }
            if field.required {
                required.insert(field.json.clone());
            }
            let bare_list = is_list_of_kind && field.json == "items";
            properties.insert(field.json.clone(), self.property(field, bare_list));
        }
    }

    fn is_struct(&self, field: &Field, name: &str) -> bool {
        matches!(field.shape.bare(), Shape::Struct(id) if self.types.get(*id).name == name)
    }

    fn property(&mut self, field: &Field, bare_list: bool) -> Value {
        let shape = field.shape.bare();
        let mut extras = Map::new();
        if let Some(default) = self.default(field) {
            extras.insert("default".to_owned(), default);
        }
        if let Some(format) = &field.format {
            extras.insert("format".to_owned(), Value::from(format.as_str()));
        }
        match shape {
            Shape::List { kind, .. } if !bare_list => list_extensions(kind, &mut extras),
            Shape::Map { atomic: true, .. } => {
                extras.insert("x-kubernetes-map-type".to_owned(), Value::from("atomic"));
            }
            Shape::Struct(id) if self.types.get(*id).name.ends_with("#granular") => {
                extras.insert("x-kubernetes-map-type".to_owned(), Value::from("granular"));
            }
            _ => {}
        }
        let strategies = [
            (field.patch_replace, "replace"),
            (field.patch_merge, "merge"),
            (field.patch_retain_keys, "retainKeys"),
        ];
        let strategies: Vec<&str> = strategies
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| *name)
            .collect();
        if !strategies.is_empty() {
            extras.insert(
                "x-kubernetes-patch-strategy".to_owned(),
                Value::from(strategies.join(",")),
            );
        }
        if let Some(key) = &field.merge_key {
            extras.insert("x-kubernetes-patch-merge-key".to_owned(), Value::from(key.as_str()));
        }
        let mut schema = self.shape(shape);
        if extras.is_empty() {
            return schema;
        }
        // A reference stands alone; what is said beside it goes around it.
        if schema.get("$ref").is_some() {
            schema = json!({"allOf": [schema]});
        }
        if let Some(object) = schema.as_object_mut() {
            object.extend(extras);
        }
        schema
    }

    /// The declared default, or the zero of what is always there.
    fn default(&self, field: &Field) -> Option<Value> {
        if field.default.is_some() || field.ptr {
            return field.default.clone();
        }
        match field.shape.bare() {
            Shape::Struct(id) if self.types.get(*id).form.is_none() => Some(json!({})),
            Shape::Scalar(scalar) if field.emit => match scalar {
                Scalar::String => Some(json!("")),
                Scalar::Bool => Some(json!(false)),
                Scalar::Int32 | Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 | Scalar::Double => Some(json!(0)),
                _ => None,
            },
            _ => None,
        }
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape.bare() {
            Shape::Scalar(scalar) => self.scalar(*scalar),
            Shape::Struct(id) => self.structure(*id),
            Shape::List { element, .. } => json!({"type": "array", "items": self.shape(element)}),
            Shape::Map { value, .. } => json!({"type": "object", "additionalProperties": self.shape(value)}),
            Shape::Checked { shape, .. } => self.shape(shape),
        }
    }

    fn structure(&mut self, id: StructId) -> Value {
        let def = self.types.get(id);
        if def.no_api {
            // Wrappers exist on the wire only.
            return match (def.form, def.fields.first()) {
                (Some(Form::Unwrap), Some(field)) => self.shape(&field.shape),
                _ => self.object(def),
            };
        }
        match facts::openapi_name(&def.name) {
            Some(name) => {
                self.referred.push(id);
                reference(&name)
            }
            None => json!({"type": "object"}),
        }
    }

    fn scalar(&mut self, scalar: Scalar) -> Value {
        let defined = match scalar {
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Time => "meta.v1.Time",
            Scalar::MicroTime => "meta.v1.MicroTime",
            Scalar::RawExtension => "runtime.RawExtension",
            Scalar::FieldsV1 => "meta.v1.FieldsV1",
            Scalar::Any => "apiextensions.v1.JSON",
            other => return plain(other),
        };
        match self.types.find(defined) {
            Some(id) => self.structure(id),
            None => plain(scalar),
        }
    }
}

fn list_extensions(kind: &ListKind, extras: &mut Map<String, Value>) {
    let name = match kind {
        ListKind::Atomic => "atomic",
        ListKind::Set => "set",
        ListKind::Map(keys) => {
            extras.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            "map"
        }
    };
    extras.insert("x-kubernetes-list-type".to_owned(), Value::from(name));
}

fn plain(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String | Scalar::Duration => json!({"type": "string"}),
        Scalar::Bool => json!({"type": "boolean"}),
        Scalar::Int32 => json!({"type": "integer", "format": "int32"}),
        Scalar::Int64 | Scalar::Uint32 | Scalar::Uint64 => json!({"type": "integer", "format": "int64"}),
        Scalar::Double => json!({"type": "number", "format": "double"}),
        Scalar::Bytes => json!({"type": "string", "format": "byte"}),
        Scalar::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        Scalar::IntOrString => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        Scalar::Time | Scalar::MicroTime => json!({"type": "string", "format": "date-time"}),
        Scalar::RawExtension | Scalar::FieldsV1 => json!({"type": "object"}),
        Scalar::Any => json!({}),
    }
}

/// The definition of a type whose JSON is not an object of its fields.
fn formed(form: Form) -> Value {
    match form {
        Form::Scalar(scalar) => plain(scalar),
        Form::Object => json!({"type": "object"}),
        Form::Unwrap => json!({"type": "array", "items": {"type": "string"}}),
        // A schema, or something else: anything goes.
        Form::Alias | Form::SchemaOrList | Form::SchemaOrBool | Form::SchemaOrStrings => json!({}),
    }
}
