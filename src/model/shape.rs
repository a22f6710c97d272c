//! The shape of evidence and of arguments: what a spec may name, known before anything runs.
//!
//! Shapes are read from the JSON Schema that `schemars` derives, so a kind declares its fields
//! once, in Rust, and matchers, `explain`, the published schema and diagnostics follow.

use super::path::normalise;
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// How text is compared and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Compared as it stands.
    Plain,
    /// A path inside an image: compared after [`normalise`].
    Path,
    /// In lowercase in the evidence, and in any case in a spec: the name of a header.
    Folded,
}

impl TextKind {
    /// Writes a text of a spec as the evidence has it.
    pub fn written(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Path => normalise(text),
            Self::Folded => text.to_ascii_lowercase(),
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing in particular.
    None,
    /// Bytes; a spec may write `8 MiB`.
    Bytes,
    /// Seconds; a spec may write `90s`.
    Seconds,
}

/// The type of a value in evidence or arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Anything: a document whose fields only the world knows.
    Any,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number(Unit),
    /// Text.
    Text(TextKind),
    /// One of a closed set of words.
    Enum(Vec<String>),
    /// A list of one shape.
    List(Box<Shape>),
    /// Named fields, all known.
    Record(Record),
    /// Free keys, and how they are written; values of one shape.
    Map(Box<Shape>, TextKind),
    /// The shape, or nothing.
    Optional(Box<Shape>),
}

/// A record: its fields, and the one that stands for it where a spec writes only text.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Fields in the order they are declared.
    pub fields: Vec<Field>,
    /// The field a plain text is compared with (`contain: init` means the entry whose path is `init`).
    pub key: Option<String>,
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name as written in a spec.
    pub name: String,
    /// Its documentation.
    pub doc: String,
    /// Its shape.
    pub shape: Shape,
    /// Whether arguments must give it.
    pub required: bool,
    /// Whether it differs from run to run, so that a snapshot leaves it out.
    pub volatile: bool,
}

impl Record {
    /// Finds a field by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

impl Shape {
    /// Reads the shape of a type from the schema it derives.
    pub fn of<T: JsonSchema>() -> Self {
        let schema = schemars::schema_for!(T).to_value();
        let definitions = match schema.get("$defs") {
            Some(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        Reader { definitions }.shape(&schema, 0)
    }

    /// Strips `Optional`.
    pub fn required(&self) -> &Shape {
        match self {
            Self::Optional(inner) => inner.required(),
            other => other,
        }
    }

    /// Names the shape in the words diagnostics use.
    pub fn describe(&self) -> String {
        match self {
            Self::Any => "any value".into(),
            Self::Bool => "true or false".into(),
            Self::Number(Unit::None) => "a number".into(),
            Self::Number(Unit::Bytes) => "a size".into(),
            Self::Number(Unit::Seconds) => "a duration".into(),
            Self::Text(TextKind::Plain | TextKind::Folded) => "text".into(),
            Self::Text(TextKind::Path) => "a path".into(),
            Self::Enum(words) => format!("one of {}", words.join(", ")),
            Self::List(of) => format!("a list of {}", of.plural()),
            Self::Record(_) => "a record".into(),
            Self::Map(of, _) => format!("a map of {}", of.plural()),
            Self::Optional(of) => format!("{}, or nothing", of.describe()),
        }
    }

    fn plural(&self) -> String {
        match self.required() {
            Self::Any => "values".into(),
            Self::Bool => "booleans".into(),
            Self::Number(_) => "numbers".into(),
            Self::Text(TextKind::Plain | TextKind::Folded) => "texts".into(),
            Self::Text(TextKind::Path) => "paths".into(),
            Self::Enum(words) => words.join(" | "),
            Self::List(_) => "lists".into(),
            Self::Record(_) => "records".into(),
            Self::Map(..) | Self::Optional(_) => "maps".into(),
        }
    }
}

/// Deeper schemas than this do not come from an evidence type; the rest is taken as `Any`.
const MAX_DEPTH: usize = 16;

struct Reader {
    definitions: Map<String, Value>,
}

impl Reader {
    fn shape(&self, schema: &Value, depth: usize) -> Shape {
        let Value::Object(map) = schema else {
            return Shape::Any;
        };
        if depth > MAX_DEPTH {
            return Shape::Any;
        }
        if let Some(name) = map.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or(name);
            return match self.definitions.get(name) {
                Some(target) => self.shape(target, depth + 1),
                None => Shape::Any,
            };
        }
        if let Some(words) = enum_words(map) {
            let nullable = map.get("type").is_some_and(Value::is_array);
            let words = Shape::Enum(words);
            return if nullable {
                Shape::Optional(Box::new(words))
            } else {
                words
            };
        }
        if let Some(Value::Array(choices)) = map.get("anyOf") {
            return self.choices(choices, depth);
        }
        match map.get("type") {
            Some(Value::String(name)) => self.typed(name, map, depth),
            Some(Value::Array(names)) => {
                let mut named = names.iter().filter_map(Value::as_str);
                match (named.find(|n| *n != "null"), names.len()) {
                    (Some(name), 2) => Shape::Optional(Box::new(self.typed(name, map, depth))),
                    _ => Shape::Any,
                }
            }
            _ => Shape::Any,
        }
    }

    fn choices(&self, choices: &[Value], depth: usize) -> Shape {
        let is_null = |c: &&Value| c.get("type").and_then(Value::as_str) == Some("null");
        let mut real = choices.iter().filter(|c| !is_null(c));
        match (
            real.next(),
            real.next(),
            choices.iter().any(|c| is_null(&c)),
        ) {
            (Some(one), None, true) => Shape::Optional(Box::new(self.shape(one, depth + 1))),
            (Some(one), None, false) => self.shape(one, depth + 1),
            _ => Shape::Any,
        }
    }

    fn typed(&self, name: &str, map: &Map<String, Value>, depth: usize) -> Shape {
        let format = map.get("format").and_then(Value::as_str).unwrap_or("");
        match name {
            "boolean" => Shape::Bool,
            "integer" | "number" => {
                Shape::Number(match map.get("x-unit").and_then(Value::as_str) {
                    Some("bytes") => Unit::Bytes,
                    Some("seconds") => Unit::Seconds,
                    _ => Unit::None,
                })
            }
            "string" if format == "image-path" => Shape::Text(TextKind::Path),
            "string" => Shape::Text(TextKind::Plain),
            "array" => {
                let items = map.get("items").unwrap_or(&Value::Bool(true));
                Shape::List(Box::new(self.shape(items, depth + 1)))
            }
            "object" => self.object(map, depth),
            _ => Shape::Any,
        }
    }

    fn object(&self, map: &Map<String, Value>, depth: usize) -> Shape {
        let Some(Value::Object(properties)) = map.get("properties") else {
            let keys = match map.get("x-keys").and_then(Value::as_str) {
                Some("folded") => TextKind::Folded,
                Some(_) | None => TextKind::Plain,
            };
            let of = match map.get("additionalProperties") {
                Some(Value::Bool(_)) | None => Shape::Any,
                Some(of) => self.shape(of, depth + 1),
            };
            return Shape::Map(Box::new(of), keys);
        };
        let required = map.get("required").and_then(Value::as_array);
        let fields = properties
            .iter()
            .map(|(name, schema)| Field {
                name: name.clone(),
                doc: schema
                    .get("description")
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned(),
                shape: self.shape(schema, depth + 1),
                required: required.is_some_and(|r| r.iter().any(|n| n == name)),
                volatile: schema.get("x-volatile") == Some(&Value::Bool(true)),
            })
            .collect();
        let key = map.get("x-key").and_then(Value::as_str).map(str::to_owned);
        Shape::Record(Record { fields, key })
    }
}

/// Reads the words of a unit enum, in either form `schemars` writes: `enum`, or `oneOf` of `const`.
fn enum_words(map: &Map<String, Value>) -> Option<Vec<String>> {
    let word = |v: &Value| v.as_str().map(str::to_owned);
    if let Some(Value::Array(words)) = map.get("enum") {
        return words.iter().map(word).collect();
    }
    let Some(Value::Array(choices)) = map.get("oneOf") else {
        return None;
    };
    let mut words = Vec::new();
    for choice in choices {
        match (choice.get("const"), choice.get("enum")) {
            (Some(one), _) => words.push(word(one)?),
            (None, Some(Value::Array(some))) => {
                words.extend(some.iter().map(word).collect::<Option<Vec<_>>>()?);
            }
            _ => return None,
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize, JsonSchema)]
    #[schemars(extend("x-key" = "path"))]
    #[serde(rename_all = "kebab-case")]
    struct Entry {
        /// Where it is.
        #[schemars(extend("format" = "image-path"))]
        path: String,
        #[schemars(extend("x-unit" = "bytes"))]
        file_size: u64,
        target: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code)]
    enum Sort {
        /// Documented.
        BigOne,
        Small,
    }

    #[derive(Serialize, JsonSchema)]
    struct Seen {
        entries: Vec<Entry>,
        sort: Sort,
        maybe: Option<Entry>,
        free: Value,
    }

    #[test]
    fn a_shape_follows_the_type() {
        let Shape::Record(seen) = Shape::of::<Seen>() else {
            panic!("a struct is a record")
        };
        let Shape::List(entry) = &seen.fields[0].shape else {
            panic!("a Vec is a list")
        };
        let Shape::Record(entry) = entry.as_ref() else {
            panic!("of records")
        };
        assert_eq!(entry.key.as_deref(), Some("path"));
        assert_eq!(entry.fields[0].doc, "Where it is.");
        assert_eq!(entry.fields[0].shape, Shape::Text(TextKind::Path));
        assert_eq!(entry.fields[1].name, "file-size");
        assert_eq!(entry.fields[1].shape, Shape::Number(Unit::Bytes));
        assert!(matches!(entry.fields[2].shape, Shape::Optional(_)));
        assert!(matches!(&seen.field("sort").unwrap().shape, Shape::Enum(w) if w.len() == 2));
        assert!(matches!(
            &seen.field("maybe").unwrap().shape,
            Shape::Optional(_)
        ));
        assert_eq!(seen.field("free").unwrap().shape, Shape::Any);
    }
}
