//! YAML as nodes that know where they stand (YAML 1.2.2, core schema).
//!
//! Duplicate keys, a second document, custom tags and merge keys are refused; aliases are copied
//! within a budget, so that an alias bomb ends in a diagnostic.

use super::diagnostic::{Diagnostic, Diagnostics};
use crate::model::value::Value;
use crate::model::{SourceId, Span};
use granit_parser::{Event, Marker, Parser, ScalarStyle};
use std::collections::HashMap;

/// A value in a source file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
    /// The text of a scalar as written, so that `1.10` and `0755` can be text where text is meant.
    pub raw: Option<String>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Vec<Entry>),
}

/// One key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Makes a node out of a computed value, standing where the expression stood.
    pub fn from_value(value: &Value, span: Span) -> Self {
        let kind = match value {
            Value::Null => NodeKind::Null,
            Value::Bool(b) => NodeKind::Bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(i), _) => NodeKind::Int(i),
                (None, f) => NodeKind::Float(f.unwrap_or(f64::NAN)),
            },
            Value::String(s) => NodeKind::Text(s.clone()),
            Value::Array(items) => {
                NodeKind::List(items.iter().map(|v| Self::from_value(v, span)).collect())
            }
            Value::Object(map) => NodeKind::Map(
                map.iter()
                    .map(|(key, v)| Entry {
                        key: key.clone(),
                        key_span: span,
                        value: Self::from_value(v, span),
                    })
                    .collect(),
            ),
        };
        let raw = match value {
            Value::Number(n) => Some(n.to_string()),
            Value::Bool(b) => Some(b.to_string()),
            Value::String(s) => Some(s.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        Self { span, kind, raw }
    }

    /// Gives the plain value, positions dropped.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(b) => Value::Bool(*b),
            NodeKind::Int(i) => Value::from(*i),
            NodeKind::Float(f) => Value::from(*f),
            NodeKind::Text(s) => Value::String(s.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_value()))
                    .collect(),
            ),
        }
    }

    /// Gives the value of a key, where the node is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            NodeKind::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// Gives the text of a scalar; numbers and booleans as they were written.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(s) => Some(s),
            NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) => self.raw.as_deref(),
            NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
        }
    }

    /// Names what the node is, in the words diagnostics use.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Int(_) => "an integer",
            NodeKind::Float(_) => "a number",
            NodeKind::Text(_) => "text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a map",
        }
    }
}

/// No more nodes than this are made from one file, copies through aliases included.
const MAX_NODES: usize = 200_000;
/// No deeper than this do lists and maps nest.
const MAX_DEPTH: usize = 64;

/// Reads one YAML document.
///
/// Returns `None` where the text is not YAML at all; every mistake, duplicate keys among them, is
/// added to `diagnostics`.
pub fn parse(source: SourceId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder {
        source,
        text,
        parser: Parser::new_from_str_with_options(
            text,
            granit_parser::options! { emit_comments: false },
        ),
        anchors: HashMap::new(),
        nodes: 0,
        diagnostics,
    };
    builder.document()
}

struct Builder<'t, 'd> {
    source: SourceId,
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    diagnostics: &'d mut Diagnostics,
}

/// A mistake has been reported and the document cannot be read on.
struct Stop;

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            match self.next().ok()? {
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => break,
                (event, span) if root.is_none() => root = Some(self.node(event, span, 0).ok()?),
                (_, span) => {
                    self.report(span, "a second document in one file", |d| {
                        d.help("write one document a file; remove the `---`")
                    });
                    break;
                }
            }
        }
        Some(root.unwrap_or(Node {
            span: Span {
                source: self.source,
                start: 0,
                end: 0,
                line: 1,
                column: 1,
            },
            kind: NodeKind::Null,
            raw: None,
        }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Anchor(..) | Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => return Ok((event, self.span(span.start, span.end))),
                Some(Err(error)) => {
                    let span = self.span(*error.marker(), *error.marker());
                    let message = format!("not valid YAML: {}", error.info());
                    self.diagnostics.push(Diagnostic::new(span, message));
                    return Err(Stop);
                }
                None => return Err(Stop),
            }
        }
    }

    fn span(&self, start: Marker, end: Marker) -> Span {
        let first = start.byte_offset().unwrap_or(0).min(self.text.len());
        let mut last = end.byte_offset().unwrap_or(first);
        last = last.clamp(first, self.text.len());
        // The end of a block collection is where the next token stands: cut trailing white space.
        while last > first && self.text.as_bytes()[last - 1].is_ascii_whitespace() {
            last -= 1;
        }
        Span {
            source: self.source,
            start: first,
            end: last,
            line: u32::try_from(start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(start.col() + 1).unwrap_or(u32::MAX),
        }
    }

    fn report(&mut self, span: Span, message: &str, with: impl FnOnce(Diagnostic) -> Diagnostic) {
        self.diagnostics.push(with(Diagnostic::new(span, message)));
    }

    fn count(&mut self, span: Span, more: usize) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            self.report(
                span,
                "the file is too large once its aliases are followed",
                |d| d.help(format!("a file may hold {MAX_NODES} values")),
            );
            return Err(Stop);
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        self.count(span, 1)?;
        if depth > MAX_DEPTH {
            self.report(span, "nested too deeply", |d| {
                d.help(format!("lists and maps nest {MAX_DEPTH} deep at most"))
            });
            return Err(Stop);
        }
        if event.tag().is_some() {
            self.report(span, "a tag has no meaning here", |d| {
                d.help("remove the `!…`")
            });
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style, span), anchor),
            Event::SequenceStart(.., anchor, _) => (self.list(span, depth)?, anchor),
            Event::MappingStart(.., anchor, _) => (self.map(span, depth)?, anchor),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    self.report(span, "an alias without its anchor", |d| d);
                    return Err(Stop);
                };
                self.count(span, size(&node))?;
                (node, 0)
            }
            _ => {
                self.report(span, "not valid YAML here", |d| d);
                return Err(Stop);
            }
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, end) => {
                    let fallback = items.last().map(|n: &Node| n.span);
                    return Ok(Node {
                        span: join(start, end, fallback),
                        kind: NodeKind::List(items),
                        raw: None,
                    });
                }
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, end) => {
                    let fallback = entries.last().map(|e| e.value.span);
                    return Ok(Node {
                        span: join(start, end, fallback),
                        kind: NodeKind::Map(entries),
                        raw: None,
                    });
                }
                (event, span) => {
                    let key_node = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let value = self.node(event, span, depth + 1)?;
                    self.entry(key_node, value, &mut entries);
                }
            }
        }
    }

    fn entry(&mut self, key: Node, value: Node, entries: &mut Vec<Entry>) {
        let Some(text) = key.as_text().map(str::to_owned) else {
            self.report(key.span, "a key has to be a word", |d| {
                d.label(format!("this is {}", key.describe()))
            });
            return;
        };
        if text == "<<" && key.raw.as_deref() == Some("<<") {
            self.report(key.span, "merge keys are not part of YAML 1.2", |d| {
                d.help("use `include` or `vars` to share")
            });
            return;
        }
        if let Some(first) = entries.iter().find(|e| e.key == text) {
            let line = first.key_span.line;
            let message = format!("the key `{text}` is given twice");
            self.report(key.span, &message, |d| {
                d.help(format!("the first one is on line {line}; keep one of them"))
            });
            return;
        }
        entries.push(Entry {
            key: text,
            key_span: key.span,
            value,
        });
    }
}

/// Spans a collection from its first token to its last child: an end marker stands on the next token.
fn join(start: Span, end: Span, last: Option<Span>) -> Span {
    let stop = match last {
        Some(last) if end.end == end.start => last.end,
        _ => end.end,
    };
    Span {
        end: stop.max(start.start),
        ..start
    }
}

fn size(node: &Node) -> usize {
    match &node.kind {
        NodeKind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        NodeKind::Map(entries) => 1 + entries.iter().map(|e| size(&e.value)).sum::<usize>(),
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Int(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_) => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, span: Span) -> Node {
    let kind = if style == ScalarStyle::Plain {
        resolve(text)
    } else {
        NodeKind::Text(text.to_owned())
    };
    Node {
        span,
        kind,
        raw: Some(text.to_owned()),
    }
}

/// Resolves a plain scalar by the core schema (YAML 1.2.2, section 10.3.2): `no` is text.
fn resolve(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "true" | "True" | "TRUE" => return NodeKind::Bool(true),
        "false" | "False" | "FALSE" => return NodeKind::Bool(false),
        _ => {}
    }
    let radix = |prefix: &str, base| {
        let digits = text.strip_prefix(prefix)?;
        let plain = digits.bytes().all(|b| b.is_ascii_alphanumeric());
        plain.then(|| i64::from_str_radix(digits, base).ok())?
    };
    if let Some(i) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return NodeKind::Int(i);
    }
    if let Ok(i) = text.parse::<i64>() {
        return NodeKind::Int(i);
    }
    let numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(f) if numeric => NodeKind::Float(f),
        _ => NodeKind::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(SourceId(0), text, &mut diagnostics);
        let messages = diagnostics
            .sorted()
            .iter()
            .map(|d| format!("{}:{} {}", d.span.line, d.span.column, d.message))
            .collect();
        (node, messages)
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let (node, wrong) = read("a: no\nb: 0o17\nc: 0755\nd: 1.10\ne: ~\nf: '1'\ng: 1e3\nh: .5.");
        assert!(wrong.is_empty());
        let node = node.unwrap();
        let kind = |k: &str| node.get(k).unwrap().kind.clone();
        assert_eq!(kind("a"), NodeKind::Text("no".into()));
        assert_eq!(kind("b"), NodeKind::Int(15));
        assert_eq!(node.get("c").unwrap().as_text(), Some("0755"));
        assert_eq!(node.get("d").unwrap().as_text(), Some("1.10"));
        assert_eq!(kind("e"), NodeKind::Null);
        assert_eq!(kind("f"), NodeKind::Text("1".into()));
        assert_eq!(kind("g"), NodeKind::Float(1000.0));
        assert_eq!(kind("h"), NodeKind::Text(".5.".into()));
    }

    #[test]
    fn comments_are_no_values() {
        let (node, wrong) = read("# first\na: 1 # one\n# between\nb:\n  # inside\n  - x # two\n");
        assert!(wrong.is_empty(), "{wrong:?}");
        let want = serde_json::json!({"a": 1, "b": ["x"]});
        assert_eq!(node.unwrap().to_value(), want);
    }

    #[test]
    fn positions_are_those_of_the_text() {
        let (node, _) = read("ä: [x,\n  {k: wörd}]\n");
        let node = node.unwrap();
        let NodeKind::List(items) = &node.get("ä").unwrap().kind else {
            panic!("a list")
        };
        let word = items[1].get("k").unwrap();
        assert_eq!((word.span.line, word.span.column), (2, 7));
        assert_eq!(word.span.end - word.span.start, "wörd".len());
    }

    #[test]
    fn all_duplicate_keys_are_reported_at_once() {
        let (_, wrong) = read("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n");
        assert_eq!(
            wrong,
            [
                "2:1 the key `a` is given twice",
                "5:3 the key `c` is given twice"
            ]
        );
    }

    #[test]
    fn an_alias_bomb_ends_in_a_diagnostic() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let prev = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", vec![prev; 10].join(","));
        }
        let (node, wrong) = read(&text);
        assert!(node.is_none());
        assert!(
            wrong[0].contains("too large once its aliases are followed"),
            "{wrong:?}"
        );
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused() {
        for (text, message) in [
            ("a: 1\n---\nb: 2\n", "a second document in one file"),
            ("a: !x 1\n", "a tag has no meaning here"),
            ("? [1]\n: 2\n", "a key has to be a word"),
            ("a: [1\nb: 2\n", "not valid YAML"),
            ("b: &x {}\na:\n  <<: *x\n", "merge keys"),
        ] {
            let (_, wrong) = read(text);
            assert!(
                wrong.iter().any(|w| w.contains(message)),
                "{text:?} gave {wrong:?}"
            );
        }
        let deep = "[".repeat(5000);
        assert!(!read(&deep).1.is_empty());
    }
}
