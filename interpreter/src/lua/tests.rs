use serde_json::{Value, json};

use super::Script;

/// What a script answers when it is asked for `f(object)`, or what went wrong.
fn ask(script: &str, object: &Value) -> Result<Value, String> {
    let script = Script::read(script).map_err(|error| error.to_string())?;
    script
        .call("f", std::slice::from_ref(object), &[object])
        .map_err(|error| error.to_string())
}

#[track_caller]
fn check(body: &str, expected: Value) {
    let object = json!({"spec": {"replicas": 2, "empty": {}, "list": [], "deep": [{"none": {}}]}, "status": {}});
    let answer = ask(
        &format!("local kube = require('kube')\nfunction f(o)\n{body}\nend"),
        &object,
    );
    assert_eq!(answer, Ok(expected), "{body}");
}

#[track_caller]
fn fails(script: &str, with: &str) {
    let error = ask(script, &json!({"x": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})).expect_err(script);
    assert!(error.contains(with), "{script}: {error}");
    assert!(error.len() < 1024, "{error}");
}

#[test]
fn section_4_5_values_come_back_as_they_went() {
    check(
        "return o",
        json!({"spec": {"replicas": 2, "empty": {}, "list": [], "deep": [{"none": {}}]}, "status": {}}),
    );
    check("return o.spec.replicas + 1", json!(3));
    check("return 5 / 2", json!(2.5));
    check("return nil", Value::Null);
    check("return {a = 1, b = {}}", json!({"a": 1}));
    check("return {1, 2, 'x'}", json!([1, 2, "x"]));
    check(
        "o.spec.new = {}; o.spec.replicas = nil; return o.spec",
        json!({"deep": [{}]}),
    );
}

#[test]
fn section_4_5_library() {
    check("return kube.resourceAdd('100m', '1', nil, '0.5')", json!("1600m"));
    check("return kube.getResourceQuantity('1Ki')", json!(1024));
    check("return kube.getResourceQuantity('250m')", json!(0.25));
    check(
        "return kube.accuratePodRequirements({spec = {containers = {{resources = {requests = {cpu = '1'}}}}}})",
        json!({"resourceRequest": {"cpu": "1"}}),
    );
    check(
        "return kube.getPodDependencies({spec = {serviceAccountName = 'a'}}, nil)",
        json!([{"apiVersion": "v1", "kind": "ServiceAccount", "name": "a", "namespace": "default"}]),
    );
    fails(
        "function f() return require('kube').getResourceQuantity('-1') end",
        "negative",
    );
    fails(
        "function f() return require('kube').resourceAdd('many') end",
        "no quantity",
    );
    fails(
        "function f() return require('io') end",
        "script:1: module \"io\" not found",
    );
}

#[test]
fn scripts_that_never_end_are_stopped() {
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "repeat local ok = pcall(error, 'x') until false",
        "local s = string.rep('a', 5000) return string.find(s, '.-.-.-.-.-.-b')",
        "return string.gsub(string.rep('a', 100000), '.*.*.*b', '')",
    ] {
        fails(&format!("function f(o) {body} end"), "too many steps");
    }
    fails("while true do end", "too many steps");
}

#[test]
fn scripts_that_take_too_much_are_stopped() {
    for body in [
        "return string.rep('a', 1e9)",
        "local s = 'a' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "return table.create(1e8, 1)",
    ] {
        let error = ask(&format!("function f(o) {body} end"), &json!({})).expect_err(body);
        let told = ["memory", "too large", "too many steps", "table overflow"];
        assert!(told.iter().any(|told| error.contains(told)), "{body}: {error}");
    }
}

#[test]
fn work_that_is_done_in_one_go_is_counted() {
    // What is one call to the machine may take hours: each of these is stopped in less than the time that a test may take.
    for body in [
        "local s = string.rep('a', 4000000) return string.find(s, string.rep('a', 2000000) .. 'b', 1, true)",
        "local s = string.rep('a', 4000000) return s:find(s:sub(1, 2000000) .. 'b')",
        "local s = string.rep('a', 1000000) while true do s:find('b', 1, true) end",
        "local s = string.rep('ab', 1000000) while true do string.split(s, 'ba') end",
        "local t = table.create(500000, 1) while true do table.sort(t) end",
        "local t = table.create(500000, 1) while true do table.insert(t, 1, 1) end",
        "local t = table.create(500000, 1) while true do table.find(t, 2) end",
        "local t = table.create(100000, 'aaaaaaaaaa') while true do table.concat(t) end",
        "while true do pcall(string.rep, 'a', 10000000) end",
        "while true do local t = table.create(1000000) end",
        "local s = string.rep('a', 1000000) while true do local t = s:upper() end",
        "local s = string.rep('1', 1000000) while true do local t = tonumber(s) end",
        "local a, b = string.rep('a', 4000000) .. 'b', string.rep('a', 4000000) .. 'c' while true do local t = a < b end",
        "local a = string.rep('a', 4000000) while true do local t = a .. 'b' end",
        "local a = string.rep('a', 1000) return (a:gsub('.', a:rep(1000)))",
        "return ('x'):rep(1e9)",
        "return ('%s'):rep(1000000):format()",
        "local s = string.rep('é', 1000000) while true do utf8.len(s) end",
    ] {
        let error = ask(&format!("function f(o)\n{body} end"), &json!({})).expect_err(body);
        let told = ["memory", "too large", "too many steps", "missing argument"];
        assert!(told.iter().any(|told| error.contains(told)), "{body}: {error}");
    }
}

#[test]
fn failures_name_the_line() {
    for (body, expected) in [
        ("\nerror('mine')", "f: script:3: mine"),
        ("\nreturn o.a.b", "f: script:3: attempt to index nil with 'b'"),
        ("\nreturn string.rep()", "f: script:3: "),
        ("\nwhile true do end", "f: script:3: the script took too many steps"),
        (
            "\nlocal kube = require('kube')\nreturn kube.resourceAdd('x')",
            "f: script:4: \"x\" is no quantity",
        ),
        ("\nreturn table.concat({{}})", "f: script:3: "),
        ("\nreturn require('os')", "f: script:3: module \"os\" not found"),
        ("\n\nreturn 1 + {}", "f: script:4: "),
    ] {
        let error = ask(&format!("function f(o)\n{body}\nend"), &json!({})).expect_err(body);
        assert!(error.starts_with(expected), "{body}: {error}");
    }
}

#[test]
fn deep_recursion_and_odd_values_are_told() {
    fails(
        "function f(o) local function g() return 1 + g() end return g() end",
        "stack overflow",
    );
    fails("function f(o) local t = {} t.t = t return t end", "nested too deep");
    fails("function f(o) return f end", "type function");
    fails("function f(o) return 0/0 end", "no number");
    fails("function f(o) return {[true] = 1} end", "key of type boolean");
    fails("function f(o) return '\\255' end", "utf-8");
    fails("function f(o) error({}) end", "");
    fails("function f(o) error('no such thing') end", "no such thing");
    fails("function f(o) error(string.rep('x', 100000)) end", "xxx");
    fails("function g() end", "not found function f");
    fails("function f(", "script:1");
    fails(
        "function f(o) local a = {} for i = 1, 60 do a = {a, a} end return a end",
        "too large",
    );
}

#[test]
fn scripts_reach_nothing_outside() {
    for name in [
        "io",
        "os",
        "load",
        "loadstring",
        "dofile",
        "getfenv",
        "setmetatable",
        "rawset",
        "collectgarbage",
        "debug",
        "coroutine",
    ] {
        check(&format!("return {name} == nil"), json!(true));
    }
    check("return math.random == nil", json!(true));
    // What one call leaves behind the next does not see.
    let script = Script::read("n = (n or 0) + 1 function f() return n end").unwrap();
    for _ in 0..2 {
        assert_eq!(script.call("f", &[], &[]), Ok(json!(1)));
    }
}
