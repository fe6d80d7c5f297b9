//! Tokens into a tree.
//!
//! Depth and size are bounded, so that everything that walks a tree may recurse. The messages are those of the reference
//! where its users meet them (an expression that ends early or goes on too long).

use super::ast::{Ast, Const, Entry, Expr, Id, Item, Kind};
use super::lex::{Token, TokenKind, tokens};
use super::{CompileError, Issue, macros};

/// How deep an expression may nest, as parsed.
const MAX_DEPTH: u32 = 160;
/// How many brackets may be open at once.
const MAX_OPEN: u32 = 60;
/// How many nodes an expression may have.
const MAX_NODES: usize = 20_000;
/// How long the source may be, in characters.
const MAX_LENGTH: usize = 100_000;

const EXPECTED: &str =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Words that no variable may have as its name.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

/// Reads an expression.
pub(super) fn parse(source: &str) -> Result<Ast, CompileError> {
    let chars: Vec<char> = source.chars().collect();
    let fail = |issues: Vec<Issue>| Err(CompileError::new(source, issues));
    if chars.len() > MAX_LENGTH {
        return fail(vec![Issue {
            at: 0,
            text: format!(
                "expression code point size exceeds limit: size: {}, limit {MAX_LENGTH}",
                chars.len()
            ),
        }]);
    }
    let (tokens, issues) = tokens(&chars);
    let mut parser = Parser {
        source: &chars,
        tokens,
        at: 0,
        nodes: Vec::new(),
        issues,
        open: 0,
    };
    let root = parser.expr();
    if let Ok(root) = root {
        if parser.token().kind != TokenKind::End {
            let token = parser.token().clone();
            let only = parser.at + 2 == parser.tokens.len();
            let what = if only { "extraneous" } else { "mismatched" };
            let text = format!("Syntax error: {what} input '{}' expecting <EOF>", parser.shown(&token));
            parser.issues.push(Issue { at: token.at, text });
        }
        if parser.issues.is_empty() {
            let offsets = parser.nodes.iter().map(|node| node.0).collect();
            return Ok(Ast { root, offsets });
        }
    }
    fail(parser.issues)
}

/// An issue was noted; there is no tree.
pub(super) struct Stop;

pub(super) struct Parser<'s> {
    source: &'s [char],
    tokens: Vec<Token>,
    at: usize,
    /// Place and depth of each node.
    nodes: Vec<(usize, u32)>,
    issues: Vec<Issue>,
    open: u32,
}

impl Parser<'_> {
    /// A node at a place of the source.
    pub(super) fn node(&mut self, at: usize, kind: Kind) -> Result<Expr, Stop> {
        let mut below = 0;
        let mut see = |expr: &Expr| below = below.max(self.nodes.get(expr.id).map_or(0, |node| node.1));
        match &kind {
            Kind::Const(_) | Kind::Ident(_) | Kind::Struct(_) => {}
            Kind::Select { operand, .. } => see(operand),
            Kind::Call { target, args, .. } => target.iter().map(AsRef::as_ref).chain(args).for_each(see),
            Kind::List(items) => items.iter().for_each(|item| see(&item.value)),
            Kind::Map(entries) => entries.iter().for_each(|entry| {
                see(&entry.key);
                see(&entry.value);
            }),
            Kind::Fold(fold) => [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result]
                .into_iter()
                .for_each(see),
        }
        if below >= MAX_DEPTH {
            return Err(self.stop(at, format!("expression recursion limit exceeded: {MAX_DEPTH}")));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(self.stop(at, format!("expression has more than {MAX_NODES} parts")));
        }
        self.nodes.push((at, below + 1));
        Ok(Expr {
            id: self.nodes.len() - 1,
            kind,
        })
    }

    /// Where a node stands.
    pub(super) fn place(&self, id: Id) -> usize {
        self.nodes.get(id).map_or(0, |node| node.0)
    }

    pub(super) fn stop(&mut self, at: usize, text: impl Into<String>) -> Stop {
        self.issues.push(Issue { at, text: text.into() });
        Stop
    }

    pub(super) fn call(&mut self, at: usize, function: &str, args: Vec<Expr>) -> Result<Expr, Stop> {
        let function = function.to_owned();
        let kind = Kind::Call {
            function,
            target: None,
            args,
        };
        self.node(at, kind)
    }

    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token().kind, TokenKind::Symbol(own) if own == symbol)
    }

    fn accept(&mut self, symbol: &str) -> Option<usize> {
        let at = self.token().at;
        self.is(symbol).then(|| {
            self.at += 1;
            at
        })
    }

    fn expect(&mut self, symbol: &str) -> Result<usize, Stop> {
        match self.accept(symbol) {
            Some(at) => Ok(at),
            None => Err(self.unexpected(&format!("'{symbol}'"))),
        }
    }

    fn unexpected(&mut self, expected: &str) -> Stop {
        let token = self.token().clone();
        let text = format!(
            "Syntax error: mismatched input '{}' expecting {expected}",
            self.shown(&token)
        );
        self.stop(token.at, text)
    }

    fn shown(&self, token: &Token) -> String {
        if token.kind == TokenKind::End {
            "<EOF>".to_owned()
        } else {
            self.source[token.at..token.end].iter().collect()
        }
    }

    fn expr(&mut self) -> Result<Expr, Stop> {
        if self.open >= MAX_OPEN {
            let at = self.token().at;
            return Err(self.stop(at, format!("expression recursion limit exceeded: {MAX_OPEN}")));
        }
        self.open += 1;
        let condition = self.binary(0)?;
        let result = if let Some(at) = self.accept("?") {
            let then = self.binary(0)?;
            self.expect(":")?;
            let otherwise = self.expr()?;
            self.call(at, "_?_:_", vec![condition, then, otherwise])
        } else {
            Ok(condition)
        };
        self.open -= 1;
        result
    }

    /// Operators of a level and above; both logical ones make balanced trees, so that long chains stay flat.
    fn binary(&mut self, level: usize) -> Result<Expr, Stop> {
        const LEVELS: [&[&str]; 5] = [
            &["||"],
            &["&&"],
            &["==", "!=", "<=", ">=", "<", ">", "in"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(symbols) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        let mut terms = Vec::new();
        while let Some((symbol, at)) = symbols
            .iter()
            .find_map(|symbol| Some((*symbol, self.is(symbol).then(|| self.token().at)?)))
        {
            self.at += 1;
            let right = self.binary(level + 1)?;
            if level < 2 {
                terms.push((at, right));
            } else {
                let function = if symbol == "in" {
                    "@in".to_owned()
                } else {
                    format!("_{symbol}_")
                };
                left = self.call(at, &function, vec![left, right])?;
            }
        }
        if terms.is_empty() {
            return Ok(left);
        }
        let function = if level == 0 { "_||_" } else { "_&&_" };
        let mut all = vec![(0, left)];
        all.append(&mut terms);
        self.balanced(function, all)
    }

    fn balanced(&mut self, function: &str, mut terms: Vec<(usize, Expr)>) -> Result<Expr, Stop> {
        while terms.len() > 1 {
            let mut next = Vec::with_capacity(terms.len().div_ceil(2));
            let mut iter = terms.into_iter();
            while let Some((at, left)) = iter.next() {
                match iter.next() {
                    Some((place, right)) => next.push((at, self.call(place, function, vec![left, right])?)),
                    None => next.push((at, left)),
                }
            }
            terms = next;
        }
        match terms.pop() {
            Some((_, expr)) => Ok(expr),
            None => Err(Stop),
        }
    }

    fn unary(&mut self) -> Result<Expr, Stop> {
        let mut operators = Vec::new();
        let symbol = ["!", "-"].into_iter().find(|symbol| self.is(symbol));
        if let Some(symbol) = symbol {
            while let Some(at) = self.accept(symbol) {
                operators.push(at);
            }
        }
        let negative = if symbol == Some("-")
            && matches!(&self.token().kind, TokenKind::Literal(Const::Int(_) | Const::Double(_)))
        {
            operators.pop()
        } else {
            None
        };
        let mut expr = self.member(negative)?;
        // An even number of the same operator is as good as none.
        if operators.len() % 2 == 1
            && let (Some(symbol), Some(at)) = (symbol, operators.first())
        {
            let function = if symbol == "!" { "!_" } else { "-_" };
            expr = self.call(*at, function, vec![expr])?;
        }
        Ok(expr)
    }

    fn member(&mut self, negative: Option<usize>) -> Result<Expr, Stop> {
        let mut expr = self.primary(negative)?;
        loop {
            if let Some(dot) = self.accept(".") {
                let optional = self.accept("?").is_some();
                let token = self.token().clone();
                let TokenKind::Ident(name) = token.kind else {
                    return Err(self.unexpected("IDENTIFIER"));
                };
                self.at += 1;
                if !optional && self.is("(") {
                    let (at, args) = self.arguments()?;
                    expr = macros::expand(self, at, Some(expr), name, args)?;
                } else if self.is("{") && !optional {
                    return self.message(dot, &name);
                } else if optional {
                    let field = self.node(token.at, Kind::Const(Const::String(name.into())))?;
                    expr = self.call(dot, "_?._", vec![expr, field])?;
                } else {
                    let kind = Kind::Select {
                        operand: Box::new(expr),
                        field: name,
                        test: false,
                    };
                    expr = self.node(dot, kind)?;
                }
            } else if let Some(at) = self.accept("[") {
                let optional = self.accept("?").is_some();
                let index = self.expr()?;
                self.expect("]")?;
                let function = if optional { "_[?_]" } else { "_[_]" };
                expr = self.call(at, function, vec![expr, index])?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn arguments(&mut self) -> Result<(usize, Vec<Expr>), Stop> {
        let at = self.expect("(")?;
        let mut args = Vec::new();
        if self.accept(")").is_some() {
            return Ok((at, args));
        }
        loop {
            args.push(self.expr()?);
            if self.accept(",").is_none() {
                self.expect(")")?;
                return Ok((at, args));
            }
        }
    }

    fn primary(&mut self, negative: Option<usize>) -> Result<Expr, Stop> {
        let token = self.token().clone();
        match token.kind {
            TokenKind::Literal(literal) => {
                self.at += 1;
                let literal = match (literal, negative) {
                    (Const::Int(i64::MIN), None) => {
                        return Err(self.stop(token.at, "Syntax error: invalid int literal"));
                    }
                    (Const::Int(number), Some(_)) => Const::Int(number.wrapping_neg()),
                    (Const::Double(number), Some(_)) => Const::Double(-number),
                    (literal, _) => literal,
                };
                self.node(negative.unwrap_or(token.at), Kind::Const(literal))
            }
            TokenKind::Symbol("(") => {
                self.at += 1;
                let expr = self.expr()?;
                self.expect(")")?;
                Ok(expr)
            }
            TokenKind::Symbol("[") => self.list(),
            TokenKind::Symbol("{") => self.map(),
            TokenKind::Symbol(".") => {
                self.at += 1;
                match self.token().kind.clone() {
                    TokenKind::Ident(name) => self.name(name),
                    _ => Err(self.unexpected("IDENTIFIER")),
                }
            }
            TokenKind::Ident(name) => self.name(name),
            _ => Err(self.unexpected(EXPECTED)),
        }
    }

    fn name(&mut self, name: String) -> Result<Expr, Stop> {
        let at = self.token().at;
        self.at += 1;
        if RESERVED.contains(&name.as_str()) {
            return Err(self.stop(at, format!("reserved identifier: {name}")));
        }
        if self.is("(") {
            let (at, args) = self.arguments()?;
            return macros::expand(self, at, None, name, args);
        }
        if self.is("{") {
            return self.message(at, &name);
        }
        self.node(at, Kind::Ident(name))
    }

    /// A message: its fields are read and dropped, because no type that can be made this way is known.
    fn message(&mut self, at: usize, name: &str) -> Result<Expr, Stop> {
        self.expect("{")?;
        while !self.is("}") {
            match self.token().kind {
                TokenKind::Ident(_) => self.at += 1,
                _ => return Err(self.unexpected("IDENTIFIER")),
            }
            self.expect(":")?;
            self.expr()?;
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        self.node(at, Kind::Struct(name.to_owned()))
    }

    fn list(&mut self) -> Result<Expr, Stop> {
        let at = self.expect("[")?;
        let mut items = Vec::new();
        while !self.is("]") {
            let optional = self.accept("?").is_some();
            let value = self.expr()?;
            items.push(Item { value, optional });
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("]")?;
        self.node(at, Kind::List(items))
    }

    fn map(&mut self) -> Result<Expr, Stop> {
        let at = self.expect("{")?;
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.accept("?").is_some();
            let key = self.expr()?;
            self.expect(":")?;
            let value = self.expr()?;
            entries.push(Entry { key, value, optional });
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        self.node(at, Kind::Map(entries))
    }
}
