//! Characters into tokens. What is no token is reported in the words of the reference's lexer, and skipped.

use std::sync::Arc;

use super::Issue;
use super::ast::Const;

/// A token and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: usize,
    /// One past its last character.
    pub(super) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Ident(String),
    Literal(Const),
    /// Operators, brackets, `in`.
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}", "`", "in",
];

/// All tokens of a source, the last of which is [`TokenKind::End`].
pub(super) fn tokens(source: &[char]) -> (Vec<Token>, Vec<Issue>) {
    let mut lexer = Lexer {
        source,
        at: 0,
        issues: Vec::new(),
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next() {
        tokens.push(token);
    }
    tokens.push(Token {
        kind: TokenKind::End,
        at: source.len(),
        end: source.len(),
    });
    (tokens, lexer.issues)
}

struct Lexer<'s> {
    source: &'s [char],
    at: usize,
    issues: Vec<Issue>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, c)| self.peek(index) == Some(c))
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let c = self.peek(0)?;
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
                continue;
            }
            if self.starts("//") {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
                continue;
            }
            let at = self.at;
            if let Some(kind) = self.token(c) {
                return Some(Token { kind, at, end: self.at });
            }
        }
    }

    /// A token, or nothing when an issue was noted; either way the place moves on.
    fn token(&mut self, c: char) -> Option<TokenKind> {
        if let Some((raw, bytes, prefix)) = self.string_prefix() {
            return self.string(raw, bytes, prefix);
        }
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            return self.number();
        }
        if c == '_' || c.is_ascii_alphabetic() {
            let start = self.at;
            while self.peek(0).is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) {
                self.at += 1;
            }
            let word: String = self.source[start..self.at].iter().collect();
            return Some(match word.as_str() {
                "true" => TokenKind::Literal(Const::Bool(true)),
                "false" => TokenKind::Literal(Const::Bool(false)),
                "null" => TokenKind::Literal(Const::Null),
                "in" => TokenKind::Symbol("in"),
                _ => TokenKind::Ident(word),
            });
        }
        if c != '`'
            && let Some(symbol) = SYMBOLS.iter().find(|symbol| self.starts(symbol))
        {
            self.at += symbol.len();
            return Some(TokenKind::Symbol(symbol));
        }
        // The reference names the text up to the character that made it fail.
        let length = if matches!(c, '=' | '&' | '|') && self.peek(1).is_some() {
            2
        } else {
            1
        };
        self.unknown(length);
        self.at += 1;
        None
    }

    fn unknown(&mut self, length: usize) {
        let end = (self.at + length).min(self.source.len());
        let text: String = self.source[self.at..end].iter().collect();
        self.issue(format!("Syntax error: token recognition error at: '{text}'"));
    }

    fn issue(&mut self, text: String) {
        self.issues.push(Issue { at: self.at, text });
    }

    /// Whether a string begins here: raw, bytes, and how many characters come before the quote.
    fn string_prefix(&self) -> Option<(bool, bool, usize)> {
        let mut raw = false;
        let mut bytes = false;
        for ahead in 0..3 {
            match self.peek(ahead)? {
                '"' | '\'' => return Some((raw, bytes, ahead)),
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes => bytes = true,
                _ => return None,
            }
        }
        None
    }

    fn string(&mut self, raw: bool, bytes: bool, prefix: usize) -> Option<TokenKind> {
        let start = self.at;
        let quote = self.source[start + prefix];
        let triple = (0..3).all(|index| self.peek(prefix + index) == Some(quote));
        let width = if triple { 3 } else { 1 };
        let mut at = start + prefix + width;
        let mut out = Vec::new();
        loop {
            let closing = (0..width).all(|index| self.source.get(at + index) == Some(&quote));
            if closing {
                break;
            }
            match self.source.get(at).copied() {
                None => {
                    self.unknown(self.source.len() - start);
                    self.at = self.source.len();
                    return None;
                }
                Some('\n' | '\r') if !triple => {
                    self.unknown(at - start);
                    self.at = at;
                    return None;
                }
                Some('\\') if !raw => {
                    let Some(length) = escape(&self.source[at + 1..], bytes, &mut out) else {
                        self.unknown(at + 2 - start);
                        self.at = (at + 2).min(self.source.len());
                        return None;
                    };
                    at += 1 + length;
                }
                Some(c) => {
                    // A quote that a raw string escapes stays with its backslash.
                    push(c, &mut out);
                    at += 1;
                    if raw
                        && c == '\\'
                        && let Some(next) = self.source.get(at).copied()
                    {
                        push(next, &mut out);
                        at += 1;
                    }
                }
            }
        }
        self.at = at + width;
        if bytes {
            return Some(TokenKind::Literal(Const::Bytes(Arc::from(out))));
        }
        if let Ok(text) = String::from_utf8(out) {
            return Some(TokenKind::Literal(Const::String(Arc::from(text))));
        }
        self.issues.push(Issue {
            at: start,
            text: "Syntax error: invalid string literal".to_owned(),
        });
        None
    }

    fn number(&mut self) -> Option<TokenKind> {
        let start = self.at;
        if self.starts("0x") || self.starts("0X") {
            self.at += 2;
            while self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) {
                self.at += 1;
            }
            let digits: String = self.source[start + 2..self.at].iter().collect();
            return self.integer(start, u64::from_str_radix(&digits, 16).ok());
        }
        let mut double = false;
        self.digits();
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                self.at += 1 + sign;
                self.digits();
            }
        }
        let text: String = self.source[start..self.at].iter().collect();
        if double {
            return match text.parse::<f64>() {
                Ok(number) => Some(TokenKind::Literal(Const::Double(number))),
                Err(_) => None,
            };
        }
        self.integer(start, text.parse().ok())
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// A whole number: unsigned with its suffix, otherwise signed. One past the largest is kept for a minus before it.
    fn integer(&mut self, start: usize, number: Option<u64>) -> Option<TokenKind> {
        let unsigned = matches!(self.peek(0), Some('u' | 'U'));
        if unsigned {
            self.at += 1;
        }
        let kind = match number {
            Some(number) if unsigned => Some(Const::Uint(number)),
            Some(number) if number == 1 << 63 => Some(Const::Int(i64::MIN)),
            Some(number) => i64::try_from(number).ok().map(Const::Int),
            None => None,
        };
        if kind.is_none() {
            let what = if unsigned { "uint" } else { "int" };
            self.issues.push(Issue {
                at: start,
                text: format!("Syntax error: invalid {what} literal"),
            });
        }
        kind.map(TokenKind::Literal)
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads what follows a backslash; how many characters that was.
fn escape(rest: &[char], bytes: bool, out: &mut Vec<u8>) -> Option<usize> {
    let simple = match *rest.first()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        c @ ('\\' | '?' | '"' | '\'' | '`') => u8::try_from(u32::from(c)).ok()?,
        'x' | 'X' => return coded(rest, 1, 2, 16, bytes, out),
        'u' if !bytes => return coded(rest, 1, 4, 16, false, out),
        'U' if !bytes => return coded(rest, 1, 8, 16, false, out),
        '0'..='3' => return coded(rest, 0, 3, 8, bytes, out),
        _ => return None,
    };
    out.push(simple);
    Some(1)
}

fn coded(rest: &[char], skip: usize, length: usize, radix: u32, bytes: bool, out: &mut Vec<u8>) -> Option<usize> {
    let digits: String = rest.get(skip..skip + length)?.iter().collect();
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(&digits, radix).ok()?;
    if bytes {
        out.push(u8::try_from(code).ok()?);
    } else {
        push(char::from_u32(code)?, out);
    }
    Some(skip + length)
}
