use serde_json::{Value, json};

use super::*;

/// A schema whose `spec` is this.
fn spec(inner: &Value) -> Value {
    json!({"type": "object", "properties": {"spec": inner}})
}

#[track_caller]
fn check_rules(schema: &Value, old: Option<&Value>, new: &Value, expected: &[&str]) {
    let validator = Validator::compile(schema).expect("rules");
    let found = validator.validate(new, old);
    let texts: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, expected);
}

fn numbers(rules: &Value) -> Value {
    spec(
        &json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
            "x": {"type": "integer"}, "y": {"type": "integer"}, "name": {"type": "string"},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "a-b.c": {"type": "integer"}, "in": {"type": "boolean"},
            "port": {"x-kubernetes-int-or-string": true},
            "at": {"type": "string", "format": "date-time"}, "for": {"type": "string", "format": "duration"},
            "ratio": {"type": "number"},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
        }}),
    )
}

#[test]
fn rules_judge_objects() {
    let sum = numbers(&json!([{"rule": "self.x + self.y > 0"}]));
    check_rules(&sum, None, &json!({"spec": {"x": 1, "y": 0}}), &[]);
    check_rules(
        &sum,
        None,
        &json!({"spec": {"x": 0, "y": 0}}),
        &["spec: Invalid value: failed rule: self.x + self.y > 0"],
    );
    check_rules(
        &sum,
        None,
        &json!({"spec": {"x": 0}}),
        &["spec: Invalid value: \"object\": no such key: y evaluating rule: self.x + self.y > 0"],
    );
    check_rules(&sum, None, &json!({}), &[]);
    check_rules(&sum, None, &json!({"spec": null}), &[]);
    for (rule, object) in [
        (
            "self.a__dash__b__dot__c == 1 && self.__in__",
            json!({"a-b.c": 1, "in": true}),
        ),
        (
            "type(self.port) == int ? self.port < 1000 : self.port.startsWith('h')",
            json!({"port": "http"}),
        ),
        (
            "self.at > timestamp('2020-01-01T00:00:00Z') && self.__for__ < duration('2h')",
            json!({"at": "2024-01-01T00:00:00Z", "for": "1h"}),
        ),
        ("self.ratio + 0.5 == 1.5", json!({"ratio": 1})),
        (
            "self.set == ['b', 'a'] && self.set + ['a', 'c'] == ['a', 'b', 'c']",
            json!({"set": ["a", "b"]}),
        ),
        (
            "self.list.exists(e, e.k == 'a' && e.v == 1)",
            json!({"list": [{"k": "a", "v": 1}]}),
        ),
        (
            "self.map.all(k, self.map[k] > 0) && self.map.all(k, v, v > 0)",
            json!({"map": {"a": 1}}),
        ),
        ("!has(self.x) && self.?x.orValue(3) == 3", json!({})),
    ] {
        let schema = numbers(&json!([{"rule": rule}]));
        check_rules(&schema, None, &json!({"spec": object}), &[]);
    }
    let root = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('a')"}]});
    check_rules(
        &root,
        None,
        &json!({"metadata": {"name": "b"}}),
        &["<nil>: Invalid value: failed rule: self.metadata.name.startsWith('a')"],
    );
}

#[test]
fn messages_reasons_and_paths() {
    for (rule, expected) in [
        (
            json!({"rule": "self.x > 0", "message": "x is positive"}),
            "spec: Invalid value: x is positive",
        ),
        (
            json!({"rule": "self.x > 0", "messageExpression": "'x is %d'.format([self.x])"}),
            "spec: Invalid value: x is 0",
        ),
        (
            json!({"rule": "self.x > 0", "message": "m", "messageExpression": "self.name"}),
            "spec: Invalid value: m",
        ),
        (
            json!({"rule": "self.x > 0", "reason": "FieldValueForbidden"}),
            "spec: Forbidden: failed rule: self.x > 0",
        ),
        (
            json!({"rule": "self.x > 0", "reason": "FieldValueRequired", "message": "m"}),
            "spec: Required value: m",
        ),
        (
            json!({"rule": "self.x > 0", "reason": "FieldValueDuplicate"}),
            "spec: Duplicate value",
        ),
        (
            json!({"rule": "self.x > 0", "message": "m", "fieldPath": ".x"}),
            "spec.x: Invalid value: m",
        ),
        (
            json!({"rule": "self.x > 0", "message": "m", "fieldPath": ".map['a.b']"}),
            "spec.map[a.b]: Invalid value: m",
        ),
        (
            json!({"rule": "self.port + 1 > 0"}),
            "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self.port + 1 > 0",
        ),
    ] {
        check_rules(
            &numbers(&json!([rule])),
            None,
            &json!({"spec": {"x": 0, "port": "a"}}),
            &[expected],
        );
    }
}

#[test]
fn transitions_compare_what_belongs_together() {
    let same = json!([{"rule": "self == oldSelf", "message": "is immutable"}]);
    let schema = spec(&json!({"type": "object", "properties": {
        "name": {"type": "string", "x-kubernetes-validations": same},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "x-kubernetes-validations": same}}}},
        "once": {"type": "integer", "x-kubernetes-validations": [{"rule": "oldSelf.hasValue() || self == 1", "optionalOldSelf": true}]},
    }}));
    let of = |name: &str, list: Value| json!({"spec": {"name": name, "list": list}});
    let old = of("a", json!([{"k": "x", "v": 1}, {"k": "y", "v": 2}]));
    check_rules(&schema, None, &old, &[]);
    check_rules(&schema, Some(&old), &old, &[]);
    check_rules(&schema, Some(&json!({})), &old, &[]);
    check_rules(
        &schema,
        Some(&old),
        &of("b", json!([{"k": "y", "v": 2}, {"k": "x", "v": 3}, {"k": "z", "v": 9}])),
        &[
            "spec.list[1].v: Invalid value: 3: is immutable",
            "spec.name: Invalid value: \"b\": is immutable",
        ],
    );
    check_rules(
        &schema,
        None,
        &json!({"spec": {"once": 2}}),
        &["spec.once: Invalid value: 2: failed rule: oldSelf.hasValue() || self == 1"],
    );
    check_rules(
        &schema,
        Some(&json!({"spec": {"once": 1}})),
        &json!({"spec": {"once": 2}}),
        &[],
    );
}

#[test]
fn what_was_wrong_before_is_tolerated() {
    let schema = spec(&json!({"type": "object", "properties": {
        "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 10"}]},
        "b": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 10"}]},
        "plain": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 10"}]}},
    }}));
    let old = json!({"spec": {"a": 1, "b": 1, "plain": [1]}});
    let validator = Validator::compile(&schema).unwrap();
    let found = validator.validate(&json!({"spec": {"a": 1, "b": 2, "plain": [1]}}), Some(&old));
    let texts = |list: &[FieldError]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        texts(&found.errors),
        ["spec.b: Invalid value: 2: failed rule: self > 10"]
    );
    assert_eq!(
        texts(&found.tolerated),
        [
            "spec.a: Invalid value: 1: failed rule: self > 10",
            "spec.plain[0]: Invalid value: 1: failed rule: self > 10",
        ]
    );
    let found = validator.validate(&json!({"spec": {"plain": [1, 2]}}), Some(&old));
    assert_eq!(found.errors.len(), 2, "elements of a changed list have no predecessor");
}

#[test]
fn budgets_end_validation() {
    let schema = spec(
        &json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
            {"rule": "self.all(x, self.all(y, self.all(z, x + y + z >= 0)))", "message": "never"},
            {"rule": "false"},
        ]}),
    );
    let list: Vec<u32> = (0..300).collect();
    check_rules(
        &schema,
        None,
        &json!({"spec": list}),
        &[
            "spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: never",
        ],
    );
    let each = spec(
        &json!({"type": "array", "items": {"type": "array", "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x + y >= 0))"}]}}),
    );
    let inner: Vec<u32> = (0..300).collect();
    let found = Validator::compile(&each)
        .unwrap()
        .validate(&json!({"spec": vec![inner; 40]}), None);
    assert_eq!(found.errors.len(), 1);
    let text = found.errors[0].to_string();
    assert!(
        text.ends_with(&format!("Invalid value: \"array\": {OUT_OF_BUDGET}")),
        "{text}"
    );
}

#[track_caller]
fn check_definition(schema: &Value, expected: &[&str]) {
    let errors: Vec<String> = check(schema, "s").iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn definitions_with_bad_rules_are_refused() {
    let at = "s.properties[spec].x-kubernetes-validations[0]";
    let shown = |rule: &str| {
        format!(
            "{}",
            json!({"Rule": rule, "Message": "", "MessageExpression": "", "Reason": null, "FieldPath": "", "OptionalOldSelf": null})
        )
    };
    for (rule, problem) in [
        (
            "self.z == 100",
            "ERROR: <input>:1:5: undefined field 'z'\n | self.z == 100\n | ....^",
        ),
        ("self.x", "cel expression must evaluate to a bool"),
        (
            "self.x == 'a'",
            "ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, string)'\n | self.x == 'a'\n | .......^",
        ),
    ] {
        let problem = if problem.starts_with("ERROR") {
            format!("compilation failed: {problem}")
        } else {
            problem.to_owned()
        };
        let expected = format!("{at}.rule: Invalid value: {}: {problem}", shown(rule));
        check_definition(&numbers(&json!([{"rule": rule}])), &[&expected]);
    }
    for (rule, expected) in [
        (
            json!({"rule": " "}),
            format!("{at}.rule: Required value: rule is not specified"),
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            format!("{at}.message: Invalid value: \"a\\nb\": message must not contain line breaks"),
        ),
        (
            json!({"rule": "true &&\ntrue"}),
            format!("{at}.message: Required value: message must be specified if rule contains line breaks"),
        ),
        (
            json!({"rule": "true", "reason": "Odd"}),
            format!(
                "{at}.reason: Unsupported value: \"Odd\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "fieldPath": ".nothing"}),
            format!("{at}.fieldPath: Invalid value: \".nothing\": fieldPath must be a valid path"),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            format!("{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        ),
    ] {
        check_definition(&numbers(&json!([rule])), &[&expected]);
    }
    let set = spec(
        &json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "maxLength": 10,
        "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}}),
    );
    check_definition(
        &set,
        &[
            "s.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[spec]",
        ],
    );
    let default = spec(&json!({"type": "integer", "default": 1, "x-kubernetes-validations": [{"rule": "self > 10"}]}));
    check_definition(
        &default,
        &["s.properties[spec].default: Invalid value: 1: failed rule: self > 10"],
    );
}

#[test]
fn definitions_are_estimated() {
    let nested = |bound: Option<u64>| {
        let mut list = json!({"type": "array", "items": {"type": "string", "maxLength": 10}, "x-kubernetes-validations": [
            {"rule": "self.all(x, self.all(y, self.all(z, x == y || y == z)))"},
        ]});
        if let Some(bound) = bound {
            list["maxItems"] = json!(bound);
        }
        spec(&list)
    };
    check_definition(&nested(Some(20)), &[]);
    let hint = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let at = "s.properties[spec].x-kubernetes-validations[0].rule";
    check_definition(
        &nested(None),
        &[
            &format!("{at}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {hint}"),
            &format!(
                "{at}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            ),
            &format!(
                "s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x {hint}"
            ),
        ],
    );
    // Rules as they are found in the definitions of others, with their bounds.
    for (schema, rule) in [
        (
            json!({"type": "string", "maxLength": 253}),
            "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        ),
        (
            json!({"type": "object", "maxProperties": 8, "additionalProperties": {"type": "string", "maxLength": 4096}}),
            "self.all(key, key.matches(r\"\"\"^(([a-zA-Z0-9])*([-_a-zA-Z0-9]*[a-zA-Z0-9])*\\/)?[A-Za-z0-9][-A-Za-z0-9_.]*$\"\"\"))",
        ),
        (
            json!({"type": "array", "maxItems": 16, "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}}}),
            "self.all(a, self.exists_one(b, has(a.name) && has(b.name) && a.name == b.name))",
        ),
        (
            json!({"type": "object", "properties": {"x": {"type": "string"}}}),
            "self == oldSelf && (!has(oldSelf.x) || has(self.x))",
        ),
        (
            json!({"type": "string"}),
            "self.startsWith('https://') && self.size() > 3 && self in ['a', 'b']",
        ),
        (json!({"type": "string"}), "self == oldSelf"),
        (
            json!({"x-kubernetes-int-or-string": true}),
            "type(self) == string ? quantity(self).compareTo(quantity('1Gi')) >= 0 : self >= 1",
        ),
        (
            json!({"type": "string", "maxLength": 1024}),
            r#"self.matches(r"""^(?i)\.?[a-z_][\w-.]*$""")"#,
        ),
        (
            json!({"type": "string"}),
            "quantity(self).isLessThan(quantity('1Gi')) && isIP(self)",
        ),
    ] {
        let mut schema = schema;
        schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
        let errors = check(&spec(&schema), "s");
        assert!(errors.is_empty(), "{rule}: {errors:?}");
    }
    let costly = spec(
        &json!({"type": "object", "properties": {"min": {"type": "integer"}}, "x-kubernetes-validations": [
        {"rule": "self.min > 0", "messageExpression": "'min is ' + string(self.min)"}]}),
    );
    let at = "s.properties[spec].x-kubernetes-validations[0].messageExpression";
    assert_eq!(
        check(&costly, "s")[0].to_string(),
        format!("{at}: Forbidden: estimated messageExpression cost exceeds budget by factor of more than 100x {hint}")
    );
}
