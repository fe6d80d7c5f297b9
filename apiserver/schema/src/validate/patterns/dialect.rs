//! Patterns are written for Go's engine. [`translate`] says the same for the engine at hand, or what Go says is wrong.
//!
//! Where the two differ: classes like `\d` and `\b` know ASCII only; `[`, `&&` and `--` mean nothing within a class;
//! `{` that begins no count stands for itself; `\Q…\E` quotes; `\<` and its like are the character.

use std::fmt::Write as _;

/// The largest count that a repetition may name.
const MAX_COUNT: u32 = 1_000;

/// What the pattern means, in the words of the engine at hand.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut reader = Reader {
        chars: &chars,
        at: 0,
        out: String::with_capacity(pattern.len() + 8),
    };
    reader.read()?;
    Ok(reader.out)
}

struct Reader<'p> {
    chars: &'p [char],
    at: usize,
    out: String,
}

fn wrong<T>(what: &str, text: &str) -> Result<T, String> {
    Err(format!("error parsing regexp: {what}: `{text}`"))
}

/// What an escape stands for.
enum Escaped {
    Char(char),
    /// The inside of a class, and whether it is what is not in it.
    Class(&'static str, bool),
    /// Something for the engine as it is.
    Same(String),
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars[from.min(self.chars.len())..to.min(self.chars.len())]
            .iter()
            .collect()
    }

    fn rest(&self, from: usize) -> String {
        self.text(from, self.chars.len())
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn read(&mut self) -> Result<(), String> {
        let mut open = 0_usize;
        // Where the last repetition began, when nothing came after it.
        let mut repeated: Option<usize> = None;
        // Whether there is something that may be repeated.
        let mut operand = false;
        while let Some(c) = self.peek(0) {
            let start = self.at;
            let mut repeats = false;
            match c {
                '\\' if self.peek(1) == Some('Q') => {
                    self.quoted();
                    operand = true;
                }
                '\\' => {
                    match self.escape()? {
                        Escaped::Char(c) => self.literal(c),
                        Escaped::Class(inside, negated) => self.class_of(inside, negated),
                        Escaped::Same(text) => self.out.push_str(&text),
                    }
                    operand = true;
                }
                '[' => {
                    self.class()?;
                    operand = true;
                }
                '(' => {
                    open += usize::from(self.group()?);
                    operand = false;
                }
                ')' => {
                    if open == 0 {
                        return wrong("unexpected )", &self.rest(0));
                    }
                    open -= 1;
                    self.at += 1;
                    self.out.push(')');
                    operand = true;
                }
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                    operand = false;
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    self.out.push(c);
                    repeats = true;
                }
                '{' => {
                    repeats = self.count()?;
                    if !repeats {
                        self.at += 1;
                        self.literal('{');
                        operand = true;
                    }
                }
                '^' | '$' | '.' => {
                    self.at += 1;
                    self.out.push(c);
                    operand = true;
                }
                c => {
                    self.at += 1;
                    self.literal(c);
                    operand = true;
                }
            }
            if !repeats {
                repeated = None;
                continue;
            }
            if !operand {
                return wrong("missing argument to repetition operator", &self.text(start, self.at));
            }
            if let Some(before) = repeated {
                return wrong("invalid nested repetition operator", &self.text(before, self.at));
            }
            if self.peek(0) == Some('?') {
                self.at += 1;
                self.out.push('?');
            }
            repeated = Some(start);
        }
        if open > 0 {
            return wrong("missing closing )", &self.rest(0));
        }
        Ok(())
    }

    /// `\Q` up to `\E` or the end.
    fn quoted(&mut self) {
        self.at += 2;
        while let Some(c) = self.peek(0) {
            if c == '\\' && self.peek(1) == Some('E') {
                self.at += 2;
                return;
            }
            self.at += 1;
            self.literal(c);
        }
    }

    /// The head of a group, or flags; false when they open nothing, as in `(?i)`.
    fn group(&mut self) -> Result<bool, String> {
        let start = self.at;
        self.at += 1;
        if self.peek(0) != Some('?') {
            self.out.push('(');
            return Ok(true);
        }
        let named = self.peek(1) == Some('P') && self.peek(2) == Some('<');
        let short = self.peek(1) == Some('<') && !matches!(self.peek(2), Some('=' | '!'));
        if !named && !short {
            self.at += 1;
            return self.flags(start);
        }
        while self.peek(0).is_some_and(|c| c != '>') {
            self.at += 1;
        }
        self.at = (self.at + 1).min(self.chars.len());
        let head = self.text(start, self.at);
        self.out.push_str(&head);
        Ok(true)
    }

    /// Flags up to their `:` or `)`, each said once: Go takes `(?)` and `(?ii)` too, and of `(?i-i)` the last. False
    /// when they open no group.
    fn flags(&mut self, start: usize) -> Result<bool, String> {
        let (mut on, mut off) = (String::new(), String::new());
        let mut minus = false;
        let opens = loop {
            let Some(c) = self.peek(0) else {
                return wrong("missing argument to repetition operator", "?");
            };
            self.at += 1;
            match c {
                'i' | 'm' | 's' | 'U' => {
                    let said = if minus { &mut off } else { &mut on };
                    if !said.contains(c) {
                        said.push(c);
                    }
                }
                '-' if !minus => minus = true,
                ':' | ')' if !minus || !off.is_empty() => break c == ':',
                _ => return wrong("invalid or unsupported Perl syntax", &self.text(start, self.at)),
            }
        };
        on.retain(|flag| !off.contains(flag));
        let sign = if off.is_empty() { "" } else { "-" };
        if opens {
            let _ = write!(self.out, "(?{on}{sign}{off}:");
        } else if !on.is_empty() || !off.is_empty() {
            let _ = write!(self.out, "(?{on}{sign}{off})");
        }
        Ok(opens)
    }

    /// A count in braces; false when the brace begins none.
    fn count(&mut self) -> Result<bool, String> {
        let mut at = self.at + 1;
        let number = |at: &mut usize| -> Option<u32> {
            let from = *at;
            while self.chars.get(*at).is_some_and(char::is_ascii_digit) {
                *at += 1;
            }
            let digits: String = self.chars[from..*at].iter().collect();
            // Go takes `01` for text.
            let plain = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
            plain.then(|| digits.parse().unwrap_or(u32::MAX))
        };
        let Some(min) = number(&mut at) else { return Ok(false) };
        let mut max = Some(min);
        if self.chars.get(at) == Some(&',') {
            at += 1;
            if self.chars.get(at) == Some(&'}') {
                max = None;
            } else {
                max = number(&mut at);
                if max.is_none() {
                    return Ok(false);
                }
            }
        }
        if self.chars.get(at) != Some(&'}') {
            return Ok(false);
        }
        let text = self.text(self.at, at + 1);
        if min > MAX_COUNT || max.is_some_and(|max| max > MAX_COUNT || max < min) {
            return wrong("invalid repeat count", &text);
        }
        self.at = at + 1;
        self.out.push_str(&text);
        Ok(true)
    }

    /// What follows a backslash, outside of `\Q`.
    fn escape(&mut self) -> Result<Escaped, String> {
        let start = self.at;
        let Some(c) = self.peek(1) else {
            return Err("error parsing regexp: trailing backslash at end of expression: ``".to_owned());
        };
        self.at += 2;
        let class = |inside, negated| Ok(Escaped::Class(inside, negated));
        match c {
            'd' | 'D' => class("0-9", c == 'D'),
            'w' | 'W' => class("0-9A-Za-z_", c == 'W'),
            's' | 'S' => class("\\t\\n\\x0C\\r ", c == 'S'),
            'b' => Ok(Escaped::Same("(?-u:\\b)".to_owned())),
            'A' | 'z' | 'B' => Ok(Escaped::Same(format!("\\{c}"))),
            'a' => Ok(Escaped::Char('\u{7}')),
            'f' => Ok(Escaped::Char('\u{c}')),
            'n' => Ok(Escaped::Char('\n')),
            'r' => Ok(Escaped::Char('\r')),
            't' => Ok(Escaped::Char('\t')),
            'v' => Ok(Escaped::Char('\u{b}')),
            'p' | 'P' => {
                let braced = self.peek(0) == Some('{');
                while braced && self.peek(0).is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                self.at = (self.at + 1).min(self.chars.len());
                Ok(Escaped::Same(self.text(start, self.at)))
            }
            'x' => self.hex(start),
            '0'..='7' if c == '0' || self.peek(0).is_some_and(|c| c.is_digit(8)) => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                Ok(Escaped::Char(char::from_u32(code).unwrap_or_default()))
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(Escaped::Char(c)),
            _ => wrong("invalid escape sequence", &self.text(start, self.at)),
        }
    }

    fn hex(&mut self, start: usize) -> Result<Escaped, String> {
        let braced = self.peek(0) == Some('{');
        self.at += usize::from(braced);
        let from = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) && (braced || self.at < from + 2) {
            self.at += 1;
        }
        let digits = self.text(from, self.at);
        let closed = if braced {
            self.peek(0) == Some('}')
        } else {
            digits.len() == 2
        };
        self.at += usize::from(braced && closed);
        match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
            Some(c) if closed => Ok(Escaped::Char(c)),
            _ => wrong("invalid escape sequence", &self.text(start, self.at)),
        }
    }

    fn class_of(&mut self, inside: &str, negated: bool) {
        let sign = if negated { "^" } else { "" };
        let _ = write!(self.out, "[{sign}{inside}]");
    }

    /// A class in brackets.
    fn class(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += 1;
        self.out.push('[');
        if self.peek(0) == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let first = self.at;
        loop {
            let Some(c) = self.peek(0) else {
                return wrong("missing closing ]", &self.rest(start));
            };
            if c == ']' && self.at > first {
                self.at += 1;
                self.out.push(']');
                return Ok(());
            }
            if c == '[' && self.peek(1) == Some(':') && self.named_class()? {
                continue;
            }
            let from = self.at;
            let low = match self.single()? {
                Escaped::Char(c) => c,
                Escaped::Class(inside, negated) => {
                    self.class_of(inside, negated);
                    continue;
                }
                Escaped::Same(text) => {
                    self.out.push_str(&text);
                    continue;
                }
            };
            self.literal(low);
            if self.peek(0) != Some('-') || matches!(self.peek(1), Some(']') | None) {
                continue;
            }
            self.at += 1;
            match self.single()? {
                Escaped::Char(high) if high >= low => {
                    self.out.push('-');
                    self.literal(high);
                }
                _ => return wrong("invalid character class range", &self.text(from, self.at)),
            }
        }
    }

    /// One character of a class, or what an escape in it stands for.
    fn single(&mut self) -> Result<Escaped, String> {
        match self.peek(0) {
            Some('\\') => {
                let start = self.at;
                match self.escape()? {
                    Escaped::Same(text) if !text.starts_with("\\p") && !text.starts_with("\\P") => {
                        wrong("invalid escape sequence", &self.text(start, self.at))
                    }
                    escaped => Ok(escaped),
                }
            }
            Some(c) => {
                self.at += 1;
                Ok(Escaped::Char(c))
            }
            None => wrong("missing closing ]", &self.rest(0)),
        }
    }

    /// `[:alpha:]` and its like; false when the bracket stands for itself.
    fn named_class(&mut self) -> Result<bool, String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        let Some(length) = (2..self.chars.len() - self.at)
            .find(|ahead| self.peek(*ahead) == Some(':') && self.peek(ahead + 1) == Some(']'))
        else {
            return Ok(false);
        };
        let text = self.text(self.at, self.at + length + 2);
        let name = &text[2..text.len() - 2];
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return wrong("invalid character class range", &text);
        }
        self.at += length + 2;
        self.out.push_str(&text);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, matches: &[&str], others: &[&str]) {
        let regex = Regex::new(&translate(pattern).unwrap()).unwrap();
        for text in matches {
            assert!(regex.is_match(text), "{pattern} should match {text:?}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{pattern} should not match {text:?}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_go() {
        check("^(?i)[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["Ab-1"], &["-a", "a_"]);
        check(r"^\d+\w*\s?$", &["1a "], &["\u{661}", "1\u{e9}", "1\u{a0}"]);
        check(r"^[\w-.]+$", &["a-b.c"], &["a b", "\u{e9}"]);
        check(r"^[!-/:-@[-`{-~]$", &["[", "~", "!"], &["a", "0"]);
        check(r"^[a&&b~~,--]+$", &["a&b~,-"], &["c"]);
        check(r"^\<a\>\_\-\/$", &["<a>_-/"], &["a"]);
        check(r"^{a}{,2}$|^x{2,3}?$", &["{a}{,2}", "xx"], &["a"]);
        check(r"^\Qa.b\E.$", &["a.bc"], &["axbc"]);
        check(r"^[[:alpha:]_[:^digit:]]+$", &["ab", "-"], &["1"]);
        check(r"^[]a]+[^]a]$", &["]ab"], &["a]"]);
        check(r"^\x41\x{e9}\101\0?[\n\t]\z", &["A\u{e9}A\n"], &["A"]);
        check(r"\bfoo\b", &["a foo b"], &["afoo"]);
        check(r"^\p{Greek}\pL[\p{Lu}\d]$", &["\u{3b1}aB", "\u{3b1}a1"], &["aaa"]);
        check("^(?P<a>x)(?:y)(?s:.)(?i)Z$|(|a)()", &["xy\nz"], &[]);
        check(r"^[^\S\n]+$", &[" \t"], &["\n", "a"]);
        check(r"^%[-+<>#]$", &["%<", "%-"], &["%a"]);
        check("^[a-\u{e9}]$", &["\u{e0}"], &["A"]);
        check("^(?)a(?ii)B(?i-is:C)$", &["abC", "aBC"], &["Abc", "abc"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_go_says_it() {
        for (pattern, expected) in [
            ("a**", "invalid nested repetition operator: `**`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("(a", "missing closing ): `(a`"),
            ("a)", "unexpected ): `a)`"),
            ("[a", "missing closing ]: `[a`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            (r"\y", r"invalid escape sequence: `\y`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?-)", "invalid or unsupported Perl syntax: `(?-)`"),
            ("(?i--s:a)", "invalid or unsupported Perl syntax: `(?i--`"),
            ("(?<!a)", "invalid or unsupported Perl syntax: `(?<`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("[[:x:]]", "invalid character class range: `[:x:]`"),
        ] {
            assert_eq!(
                translate(pattern),
                Err(format!("error parsing regexp: {expected}")),
                "{pattern}"
            );
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "[", "]", "(", ")", "{", "}", "1", ",", "\\", "Q", "E", "^", "-", ":", "alpha", "?", "P<", ">", "x", "p", "*", "|", "\u{e9}", "d", "(?", "i", "s",
        ]), 0..12)) {
            let pattern = parts.concat();
            if let Ok(text) = translate(&pattern) {
                // What the engine still refuses are names: of groups, of scripts.
                if !pattern.contains('<') && !pattern.contains('p') {
                    prop_assert!(Regex::new(&text).is_ok(), "{pattern} -> {text}: {:?}", Regex::new(&text));
                }
            }
        }
    }
}
