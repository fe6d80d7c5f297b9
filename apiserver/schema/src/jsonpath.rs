//! The part of `JSONPath` that printer columns, scale subresources and policies use: fields, indices, slices, `*`, and filters that
//! compare a field with a constant.

use serde_json::Value;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    All,
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Filter {
        path: JsonPath,
        test: Option<(Comparison, Value)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Parses a path such as `.status.conditions[?(@.type=="Ready")].status`; `None` when it is not in the subset.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
            .map_or(text, str::trim);
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(inner) = rest.strip_prefix('[') {
                let end = bracket_end(inner)?;
                (parse_bracket(inner[..end].trim())?, &inner[end + 1..])
            } else {
                parse_field(rest.strip_prefix('.').unwrap_or(rest))?
            };
            steps.push(step);
            rest = after;
        }
        Some(Self { steps })
    }

    /// Everything that the path leads to.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![root], |places, step| {
            places.into_iter().flat_map(|place| step.walk(place)).collect()
        })
    }
}

impl Step {
    fn walk<'a>(&self, place: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => place.get(name).into_iter().collect(),
            Self::All => match place {
                Value::Array(items) => items.iter().collect(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            },
            Self::Index(index) => {
                let items = place.as_array().map_or(&[][..], Vec::as_slice);
                position(*index, items.len())
                    .and_then(|index| items.get(index))
                    .into_iter()
                    .collect()
            }
            Self::Slice(from, to) => {
                let items = place.as_array().map_or(&[][..], Vec::as_slice);
                let from = from
                    .map_or(Some(0), |from| position(from, items.len()))
                    .unwrap_or(items.len());
                let to = to
                    .and_then(|to| position(to, items.len()))
                    .unwrap_or(items.len())
                    .min(items.len());
                items.get(from..to).unwrap_or_default().iter().collect()
            }
            Self::Filter { path, test } => place
                .as_array()
                .into_iter()
                .flatten()
                .filter(|item| {
                    let found = path.find(item);
                    match test {
                        None => !found.is_empty(),
                        Some((comparison, constant)) => found.iter().any(|value| comparison.holds(value, constant)),
                    }
                })
                .collect(),
        }
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            _ => left
                .as_f64()
                .zip(right.as_f64())
                .and_then(|(left, right)| left.partial_cmp(&right)),
        };
        match self {
            Self::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Self::Different => !order.is_some_and(std::cmp::Ordering::is_eq),
            Self::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
            Self::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

/// Where the bracket that is open at the start of `text` closes, quoted text aside.
fn bracket_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        if let Some(open) = quote {
            quote = (open != character).then_some(open);
            continue;
        }
        match character {
            '\'' | '"' => quote = Some(character),
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn parse_bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|inner| inner.strip_suffix(')')) {
        return parse_filter(condition);
    }
    if let Some(name) = unquote(inner) {
        return Some(Step::Field(name.to_owned()));
    }
    if let Some((from, to)) = inner.split_once(':') {
        let bound = |text: &str| {
            if text.is_empty() {
                Some(None)
            } else {
                text.parse().ok().map(Some)
            }
        };
        return Some(Step::Slice(bound(from.trim())?, bound(to.trim())?));
    }
    inner.parse().ok().map(Step::Index)
}

fn parse_filter(condition: &str) -> Option<Step> {
    const OPERATORS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::Different),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = OPERATORS
        .iter()
        .filter_map(|(sign, comparison)| condition.find(sign).map(|at| (at, *sign, *comparison)))
        .min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()));
    let operand = |text: &str| JsonPath::parse(text.trim().strip_prefix('@')?);
    match found {
        None => Some(Step::Filter {
            path: operand(condition)?,
            test: None,
        }),
        Some((at, sign, comparison)) => {
            let constant = condition[at + sign.len()..].trim();
            let constant = match unquote(constant) {
                Some(text) => Value::from(text),
                None => serde_json::from_str(constant).ok()?,
            };
            Some(Step::Filter {
                path: operand(&condition[..at])?,
                test: Some((comparison, constant)),
            })
        }
    }
}

fn unquote(text: &str) -> Option<&str> {
    ['\'', '"']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
}

/// A field name up to the next `.` or `[`; a backslash takes the next character as it is.
fn parse_field(text: &str) -> Option<(Step, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.push(characters.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            _ => name.push(character),
        }
    }
    if name.is_empty() {
        return None;
    }
    let step = if name == "*" { Step::All } else { Step::Field(name) };
    Some((step, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_where_they_say() {
        let object = json!({
            "metadata": {"labels": {"app.kubernetes.io/name": "x"}},
            "spec": {"list": [1, 2, 3], "quoted key": 5},
            "status": {"conditions": [{"type": "Ready", "status": "True", "n": 2}, {"type": "a]b", "status": "False"}]},
        });
        let check = |path: &str, expected: Value| {
            let found = JsonPath::parse(path).map(|path| json!(path.find(&object)));
            assert_eq!(found, Some(expected), "{path}");
        };
        check(".spec.list", json!([[1, 2, 3]]));
        check("{.spec.list[0]}", json!([1]));
        check(".spec.list[-1]", json!([3]));
        check(".spec.list[7]", json!([]));
        check(".spec.list[*]", json!([1, 2, 3]));
        check(".spec.list[0:2]", json!([1, 2]));
        check(".spec['quoted key']", json!([5]));
        check(r".metadata.labels.app\.kubernetes\.io/name", json!(["x"]));
        check(".metadata.labels['app.kubernetes.io/name']", json!(["x"]));
        check(r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"]));
        check(".status.conditions[?(@.type == 'a]b')].status", json!(["False"]));
        check(".status.conditions[?(@.n>=2)].status", json!(["True"]));
        check(".status.conditions[?(@.n)].type", json!(["Ready"]));
        check(".missing.deeper", json!([]));
        assert_eq!(JsonPath::parse("..recursive"), None);
        assert_eq!(JsonPath::parse(".a[?(@.b==c)]"), None);
    }
}
