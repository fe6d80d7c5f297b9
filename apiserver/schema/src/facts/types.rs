//! Reads the tables of types into a [`Types`] arena.

use std::collections::HashMap;

use serde_json::Value;

use super::lines::{gvk, lines, list, pair};
use crate::model::{Field, Form, ListKind, Scalar, Shape, StructDef, StructId, Types};

/// The arena, and for every package its prefix in OpenAPI.
pub(super) fn parse(texts: &[&'static str]) -> (Types, HashMap<&'static str, &'static str>) {
    let mut types = Types::default();
    let mut prefixes = HashMap::new();
    let mut granular = Vec::new();
    for text in texts {
        let mut package = "";
        let mut current: Option<StructDef> = None;
        for (indented, line) in lines(text) {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            if indented {
                let field = field(&mut types, package, first, words, &mut granular);
                if let Some(def) = &mut current {
                    def.fields.push(field);
                }
            } else if first == "package" {
                package = words.next().unwrap_or_default();
                prefixes.insert(package, words.next().map_or("", |word| pair(word).1));
            } else if let Some(def) = current.replace(structure(package, first, words)) {
                types.insert(def);
            }
        }
        if let Some(def) = current {
            types.insert(def);
        }
    }
    // A place that merges what its type declares atomic points to a twin of the type.
    for (twin, name) in granular {
        if let Some(original) = types.find(&name) {
            let def = StructDef {
                name: twin,
                atomic: false,
                gvks: Vec::new(),
                ..types.get(original).clone()
            };
            types.insert(def);
        }
    }
    (types, prefixes)
}

fn structure(package: &str, name: &str, words: impl Iterator<Item = &'static str>) -> StructDef {
    let mut def = StructDef::named(&format!("{package}.{name}"));
    for word in words {
        match pair(word) {
            ("typemeta", _) => def.typemeta = true,
            ("kind", text) => def.gvks.push(gvk(text, name)),
            ("atomic", _) => def.atomic = true,
            ("wireonly", _) => def.no_api = true,
            ("unions", json) => def.unions = serde_json::from_str(json).ok(),
            ("form", text) => def.form = form(text),
            _ => {}
        }
    }
    def
}

fn form(text: &str) -> Option<Form> {
    Some(match text {
        "unwrap" => Form::Unwrap,
        "alias" => Form::Alias,
        "object" => Form::Object,
        "schema-or-list" => Form::SchemaOrList,
        "schema-or-bool" => Form::SchemaOrBool,
        "schema-or-strings" => Form::SchemaOrStrings,
        other => Form::Scalar(scalar(other)?),
    })
}

fn scalar(text: &str) -> Option<Scalar> {
    Some(match text {
        "string" => Scalar::String,
        "bool" => Scalar::Bool,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "uint32" => Scalar::Uint32,
        "uint64" => Scalar::Uint64,
        "double" => Scalar::Double,
        "bytes" => Scalar::Bytes,
        "quantity" => Scalar::Quantity,
        "intorstring" => Scalar::IntOrString,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "duration" => Scalar::Duration,
        "rawextension" => Scalar::RawExtension,
        "fieldsv1" => Scalar::FieldsV1,
        "any" | "json" => Scalar::Any,
        _ => return None,
    })
}

fn field(
    types: &mut Types,
    package: &str,
    json: &'static str,
    mut words: impl Iterator<Item = &'static str>,
    granular: &mut Vec<(String, String)>,
) -> Field {
    let number = words.next().and_then(|word| word.parse().ok());
    let text = words.next().unwrap_or_default();
    let (text, ptr) = text.strip_suffix('?').map_or((text, false), |text| (text, true));
    let mut field = Field::new(if json == "-" { "" } else { json }, shape(types, package, text));
    field.number = number;
    field.ptr = ptr;
    for word in words {
        match pair(word) {
            ("required", _) => field.required = true,
            ("emit", _) => field.emit = true,
            ("omitzero", _) => field.omit_zero = true,
            ("inline", _) => field.inline = true,
            ("proto", name) => field.proto = Some(name.to_owned()),
            ("default", json) => field.default = serde_json::from_str::<Value>(&json.replace("\\x20", " ")).ok(),
            ("enum", text) => {
                field.allowed = text
                    .split('|')
                    .map(|item| {
                        if item == "\"\"" {
                            String::new()
                        } else {
                            item.replace("\\x20", " ")
                        }
                    })
                    .collect();
            }
            ("key", key) => field.merge_key = Some(key.to_owned()),
            ("merge", text) => {
                field.patch_merge = list(text).contains(&"merge");
                field.patch_replace = list(text).contains(&"replace");
                field.patch_retain_keys = list(text).contains(&"retainKeys");
            }
            ("list", text) => set_list(&mut field.shape, text),
            ("map", "granular") => {
                if let Shape::Struct(id) = field.shape {
                    let name = types.get(id).name.clone();
                    let twin = format!("{name}#granular");
                    field.shape = Shape::Struct(types.reserve(&twin));
                    granular.push((twin, name));
                }
            }
            ("map", "atomic") => {
                if let Shape::Map { atomic, .. } = &mut field.shape {
                    *atomic = true;
                }
            }
            _ => {}
        }
    }
    field
}

fn set_list(shape: &mut Shape, text: &'static str) {
    if let Shape::List { kind, .. } = shape {
        *kind = match text.split_once(':') {
            Some(("map", keys)) => ListKind::Map(list(keys).into_iter().map(str::to_owned).collect()),
            _ if text == "set" => ListKind::Set,
            _ => ListKind::Atomic,
        };
    }
}

fn shape(types: &mut Types, package: &str, text: &str) -> Shape {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Shape::List {
            element: Box::new(shape(types, package, inner)),
            kind: ListKind::Atomic,
        };
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return Shape::Map {
            value: Box::new(shape(types, package, inner)),
            atomic: false,
        };
    }
    if let Some(scalar) = scalar(text) {
        return Shape::Scalar(scalar);
    }
    Shape::Struct(reference(types, package, text))
}

fn reference(types: &mut Types, package: &str, text: &str) -> StructId {
    if text.contains('.') {
        types.reserve(text)
    } else {
        types.reserve(&format!("{package}.{text}"))
    }
}
