use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn any(names: &[&str]) -> Environment {
    names.iter().fold(Environment::new(), |environment, name| {
        environment.with(name, Decl::new(DeclKind::Dyn))
    })
}

/// What an expression gives, as JSON or as the words of its failure.
fn run(source: &str, data: &Value) -> Result<Value, String> {
    let program = Program::compile(source, &any(&["self"])).map_err(|error| error.to_string())?;
    let value = program
        .eval(&[("self", data)], Budget::default())
        .map_err(|error| error.to_string())?;
    value.to_json().ok_or_else(|| "no JSON".to_owned())
}

#[track_caller]
fn check(source: &str, data: &Value, expected: &Value) {
    assert_eq!(run(source, data), Ok(expected.clone()), "{source}");
}

#[track_caller]
fn check_true(source: &str) {
    check(source, &Value::Null, &json!(true));
}

#[track_caller]
fn check_error(source: &str, expected: &str) {
    assert_eq!(run(source, &Value::Null).unwrap_err(), expected, "{source}");
}

#[test]
fn literals_and_operators() {
    for source in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "0x10 == 16 && 10u + 1u == 11u && 1.5e1 == 15.0",
        "'a' + \"b\" == 'ab' && r'\\n' == '\\\\n' && '''x'y''' == \"x'y\"",
        "b'\\x41' == bytes('A') && '\\u00e9' == '\u{e9}' && '\\101' == 'A'",
        "[1, 2] + [3] == [1, 2, 3] && {'a': 1}['a'] == 1 && {'a': 1}.a == 1",
        "1 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1}",
        "true ? true : 1 / 0 == 0",
        "true || 1 / 0 == 0",
        "1 / 0 == 0 || true",
        "!(1 / 0 == 0 && false)",
        "1 < 2.5 && 2u > 1 && 'a' < 'b' && !(0.0/0.0 < 1.0)",
        "dyn(1) == dyn(1.0) && dyn(1) != dyn('1')",
        "-9223372036854775808 < 0 && - -1 == 1 && !!true",
        "type(1) == int && type('') == string && type([]) == list",
        "size('h\u{e9}') == 2 && [1].size() == 1 && size({}) == 0",
        "int('3') == 3 && string(3) == '3' && double('1.5') == 1.5 && uint(3) == 3u && bool('true')",
    ] {
        check_true(source);
    }
    check_error(
        "timestamp('2024-01-01T00:00:00Z').getHours('europe/berlin')",
        "unknown time zone europe/berlin",
    );
    check_error("1 / 0", "division by zero");
    check_error("9223372036854775807 + 1", "integer overflow");
    check_error("[1][3]", "index out of bounds: 3");
    check_error("{'a': 1}['b']", "no such key: b");
    check_error("dyn(1) + dyn('a')", "no such overload");
}

#[test]
fn macros_and_loops() {
    for source in [
        "[1, 2].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x == 2)",
        "[0, 2].exists(x, 4 / x == 2)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[[1], [2, 3]].map(l, l.map(x, x + 1)) == [[2], [3, 4]]",
        "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "cel.bind(x, 20 + 1, x * 2) == 42",
        "[5, 6].all(i, v, v == i + 5) && {'a': 1}.exists(k, v, k == 'a' && v == 1)",
        "[1, 2].transformList(i, v, i + v) == [1, 3] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "{'a': 1}.transformMapEntry(k, v, {v: k}) == {1: 'a'}",
        "{'a': {'b': 1}}.?a.?b.orValue(0) == 1 && {'a': 1}[?'b'].orValue(7) == 7",
        "optional.of(1).optMap(x, x + 1).value() == 2 && !optional.none().hasValue()",
        "[?optional.none(), ?optional.of(2)] == [2]",
        "optional.ofNonZeroValue('').or(optional.of('x')).value() == 'x'",
    ] {
        check_true(source);
    }
}

#[test]
fn libraries() {
    for source in [
        "'Hello'.lowerAscii() == 'hello' && 'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
        "'hello'.substring(1, 3) == 'el' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3",
        "'aXbX'.replace('X', '') == 'ab' && ' a '.trim() == 'a' && 'abc'.charAt(1) == 'b'",
        "'%s is %d, %.2f, %x'.format(['a', 3, 1.0, 255]) == 'a is 3, 1.00, ff'",
        "'abc123'.matches('^[a-z]+[0-9]+$') && 'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
        "[1, 2, 3].isSorted() && [1, 2].sum() == 3 && [3, 1].max() == 3 && [3, 1].min() == 1 && [1, 2].indexOf(2) == 1",
        "[3, 1, 3].distinct() == [3, 1] && [3, 1].sort() == [1, 3] && [[1], [2]].flatten() == [1, 2] && lists.range(2) == [0, 1]",
        "sets.contains([1, 2], [1]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [2])",
        "math.greatest(1, 5) == 5 && math.least([3, 2]) == 2 && math.ceil(1.2) == 2.0 && math.bitAnd(6, 3) == 2 && math.abs(-1) == 1",
        "url('https://u@example.com:80/p?a=1&a=2').getHost() == 'example.com:80' && isURL('/path') && !isURL('../x')",
        "url('https://[::1]:80/p?a=1&a=2').getQuery()['a'] == ['1', '2'] && url('https://[::1]:80/').getHostname() == '::1'",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('10.0.0') && ip('127.0.0.1').isLoopback()",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !isCIDR('10.0.0.0/33')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('50k').add(20) == quantity('50020') && !isQuantity('1x')",
        "quantity('200M').asInteger() == 200000000 && quantity('-1').sign() == -1",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').compareTo(semver('1.0.0')) == -1 && semver('v1.2', true).minor() == 2",
        "!format.named('dns1123Label').value().validate('ok').hasValue() && format.dns1123Label().validate('-').hasValue()",
        "duration('1h').getMinutes() == 60 && timestamp('2024-02-29T12:00:00Z').getFullYear() == 2024",
        "timestamp('2024-02-29T23:00:00Z').getDayOfMonth('+02:00') == 0 && timestamp('2024-01-01T00:00:00Z') + duration('24h') == timestamp('2024-01-02T00:00:00Z')",
        "timestamp('2024-07-01T22:30:00Z').getHours('Europe/Berlin') == 0 && timestamp('2024-01-01T22:30:00Z').getHours('America/New_York') == 17",
        "string(duration('90s')) == '90s' && duration('1m') < duration('61s')",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
    ] {
        check_true(source);
    }
}

#[test]
fn data_is_read_where_it_lies() {
    let data = json!({"a": {"b": [1, 2.5, "x", null, true]}, "n": {}});
    check("self.a.b.size()", &data, &json!(5));
    check("self.a.b[1] + 0.5", &data, &json!(3.0));
    check("self.a.b[3] == null", &data, &json!(true));
    check("has(self.a.c) || !has(self.n.x)", &data, &json!(true));
    check("self.a", &data, &data["a"]);
}

#[test]
fn what_does_not_compile_is_shown() {
    for (source, expected) in [
        (
            "self.x +",
            "ERROR: <input>:1:9: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | self.x +\n | ........^",
        ),
        (
            "'a' + this does not compile",
            "ERROR: <input>:1:12: Syntax error: mismatched input 'does' expecting <EOF>\n | 'a' + this does not compile\n | ...........^",
        ),
        (
            "self = 42",
            "ERROR: <input>:1:6: Syntax error: token recognition error at: '= '\n | self = 42\n | .....^\nERROR: <input>:1:8: Syntax error: extraneous input '42' expecting <EOF>\n | self = 42\n | .......^",
        ),
        (
            "foo(self)",
            "ERROR: <input>:1:4: undeclared reference to 'foo' (in container '')\n | foo(self)\n | ...^",
        ),
        (
            "other == 1",
            "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other == 1\n | ^",
        ),
        (
            "1 == 'a'",
            "ERROR: <input>:1:3: found no matching overload for '_==_' applied to '(int, string)'\n | 1 == 'a'\n | ..^",
        ),
        (
            "'a'.startsWith(1)",
            "ERROR: <input>:1:15: found no matching overload for 'startsWith' applied to 'string.(int)'\n | 'a'.startsWith(1)\n | ..............^",
        ),
        (
            "[1, 'a']",
            "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^",
        ),
        (
            "1.all(x, true)",
            "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | 1.all(x, true)\n | ^",
        ),
        (
            "(1).a",
            "ERROR: <input>:1:4: type 'int' does not support field selection\n | (1).a\n | ...^",
        ),
        ("for", "ERROR: <input>:1:1: reserved identifier: for\n | for\n | ^"),
        (
            "duration('1x') > duration('1s')",
            "ERROR: <input>:1:10: invalid duration argument\n | duration('1x') > duration('1s')\n | .........^",
        ),
        (
            "timestamp('yesterday') == timestamp('2024-01-01T00:00:00Z')",
            "ERROR: <input>:1:11: invalid timestamp argument\n | timestamp('yesterday') == timestamp('2024-01-01T00:00:00Z')\n | ..........^",
        ),
        (
            "'a'.matches('(')",
            "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^",
        ),
    ] {
        let error = Program::compile(source, &any(&["self", "this"])).unwrap_err();
        assert_eq!(error.to_string(), expected, "{source}");
    }
}

#[test]
fn admission_knows_its_variables() {
    let environment = Environment::admission();
    let program = Program::compile(
        "request.operation == 'CREATE' && !(object.metadata.name in request.userInfo.groups) && oldObject == null",
        &environment,
    )
    .unwrap();
    let (object, request) = (
        json!({"metadata": {"name": "a"}}),
        json!({"operation": "CREATE", "userInfo": {"groups": ["b"]}}),
    );
    let variables = [("object", &object), ("request", &request), ("oldObject", &Value::Null)];
    assert_eq!(
        program.eval(&variables, Budget::default()).unwrap().as_bool(),
        Some(true)
    );
    let error = Program::compile("request.user == ''", &environment).unwrap_err();
    assert!(error.to_string().contains("undefined field 'user'"));
}

/// Everything that must end soon, with the budget and not the machine as its bound.
#[test]
fn nothing_runs_away() {
    let data = json!({
        "list": (0..1000).collect::<Vec<_>>(),
        "text": "a".repeat(100_000),
    });
    let cases = [
        "self.list.all(a, self.list.all(b, self.list.all(c, a + b + c >= 0)))".to_owned(),
        "self.list.map(a, self.list.map(b, self.list)).size() > 0".to_owned(),
        "self.list.all(x, !(self.text + string(x)).matches('(a*)*b'))".to_owned(),
        "self.list.all(x, !self.text.matches('((a{0,50}){0,50}){0,3}' + string(x)))".to_owned(),
        doubled("self.text + ''", 60),
        doubled("self.list + []", 60),
        format!("{}[]{}", "[".repeat(50), "]".repeat(50)),
        "self.list.map(x, lists.range(1000000)).size() > 0".to_owned(),
        "self.list.all(x, self.text.replace('a', self.text) != '')".to_owned(),
        "self.list.all(x, '%s'.format([self.list]) != '')".to_owned(),
    ];
    for source in cases {
        match Program::compile(&source, &any(&["self"])) {
            Ok(program) => {
                let result = program.eval(&[("self", &data)], Budget::default());
                let short: String = source.chars().take(60).collect();
                assert!(
                    matches!(result, Err(EvalError::CostExceeded | EvalError::Failed(_))) || source.starts_with("[["),
                    "{short}: {result:?}"
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn doubled(start: &str, times: usize) -> String {
    let mut source = format!("cel.bind(v0, {start}, ");
    for index in 0..times {
        let _ = write!(source, "cel.bind(v{}, v{index} + v{index}, ", index + 1);
    }
    let _ = write!(source, "v{times}.size() > 0");
    source.push_str(&")".repeat(times + 1));
    source
}

#[test]
fn deep_expressions_are_refused_or_fit_the_stack() {
    for source in [
        "(".repeat(10_000),
        "[".repeat(10_000),
        "-!".repeat(10_000) + "1",
        "!".repeat(50_001) + "true",
        "a.".repeat(10_000) + "a",
        "1".to_owned() + &"+1".repeat(10_000),
        "true".to_owned() + &"&&true".repeat(5_000),
        "true".to_owned() + &"?true:true".repeat(5_000),
        "{1:".repeat(5_000),
        "[1].all(x, ".repeat(5_000),
        "[1].map(x, ".repeat(50) + "x" + &")".repeat(50),
        "f(".repeat(5_000),
        "1".to_owned() + &"+1".repeat(150),
    ] {
        if let Ok(program) = Program::compile(&source, &any(&["a"])) {
            let _result = program.eval(&[("a", &Value::Null)], Budget::default());
        }
    }
    check_true(&("true".to_owned() + &"&&true".repeat(4_000)));
    check_true(&format!("{} == 151", "1".to_owned() + &"+1".repeat(150)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_source_panics(source in "\\PC{0,60}") {
        let _result = run(&source, &json!({"a": [1, "x"]}));
    }

    #[test]
    fn no_expression_panics_and_none_costs_more_than_its_budget(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "self", ".a", ".b", "[0]", " + ", " - ", " == ", " && ", " || ", " ? ", " : ", "(", ")", "[", "]", "{", "}", ",", "1",
            "'x'", "1.5", "2u", "null", "true", ".all(x, ", ".map(x, ", ".exists(x, ", "x", "has(", "size(", ".?a", "[?0]", "!", "-",
            ".matches('a+')", ".split('')", ".join('-')", " in ", "string(", ".substring(", "\u{e9}", "b'\\xff'", ".lastIndexOf('x', ",
        ]), 0..14),
    ) {
        let source = parts.concat();
        if let Ok(program) = Program::compile(&source, &any(&["self"])) {
            let data = json!({"a": [1, "x\u{e9}", {"b": [[]]}], "b": "text"});
            let (result, cost) = program.run([("self", CelValue::from_json(&data, None))], Budget { cost: 500 });
            prop_assert!(cost <= 600 || result == Err(EvalError::CostExceeded) || cost < 2_000);
        }
    }
}

impl PartialEq for CelValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_json().is_some() && self.to_json() == other.to_json()
    }
}
