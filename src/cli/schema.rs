//! `tdg schema`: a JSON Schema of spec files, for editors.
//!
//! It is made of the same shapes that specs are typed by. What only the whole file can tell (that an
//! id exists, what an expression gives) is left to `tdg list`.

use crate::check::{AnyKind, KINDS};
use crate::model::shape::{Record, Shape, TextKind, Unit};
use crate::spec::fields::{Quarantine, Requires, Retry};
use crate::spec::matcher::{OPERATORS, Operator};
use serde_json::{Map, Value, json};

/// Print a JSON Schema of spec files, for completion in editors
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tdg schema > spec.schema.json")]
pub struct Args {}

/// Carries the command out and gives the exit code.
pub fn run(_: &Args) -> u8 {
    put!("{}", lines(&document()));
    0
}

/// Writes a line for each definition: a difference shows which one it is in.
fn lines(schema: &Value) -> String {
    let mut out = String::from("{\n");
    for (key, value) in schema.as_object().into_iter().flatten() {
        let end = if key == "definitions" { "\n}\n" } else { ",\n" };
        match value.as_object() {
            Some(map) if matches!(key.as_str(), "definitions" | "properties") => {
                let lines = map.iter().map(|(k, v)| format!("{}:{v}", json!(k)));
                let lines: Vec<String> = lines.collect();
                out.push_str(&format!(
                    "{}:{{\n{}\n}}{end}",
                    json!(key),
                    lines.join(",\n")
                ));
            }
            _ => out.push_str(&format!("{}:{value}{end}", json!(key))),
        }
    }
    out
}

/// Makes the schema, in draft 7 of JSON Schema: what editors know.
fn document() -> Value {
    let mut schema = Schema::default();
    let check = schema.check();
    let mut properties = file_properties();
    properties.insert(
        "checks".into(),
        json!({"description": "What has to hold.", "type": "array", "minItems": 1, "items": check}),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A spec of tdg",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        // A file without `spec` is one that others include.
        "anyOf": [
            {"required": ["spec", "checks"]},
            {"required": ["spec", "include"]},
            {"not": {"required": ["spec"]}},
        ],
        "definitions": schema.definitions(),
    })
}

fn file_properties() -> Map<String, Value> {
    let scalars = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let properties = json!({
        "spec": {"description": "What must be true, as a title.", "type": "string"},
        "tags": described("Words to choose the checks by.", texts()),
        "vars": {"description": "Values by name: `${{ vars.NAME }}`.", "type": "object"},
        "matrix": {
            "description": "Names with lists of values; every check runs for each combination.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "array", "minItems": 1},
        },
        "subject": {"description": "What checks look at that name nothing else.", "type": "string"},
        "subjects": described("Subjects by name, for `in`.", scalars),
        "requires": described("What has to be here; without it, a skip.", requires()),
        "if": described("A condition; false is a skip.", condition()),
        "include": described("Files whose checks, variables, subjects and tags become part of this one.", texts()),
        "secrets": described("Environment variables whose values reach no report.", texts()),
    });
    into_map(properties)
}

fn check_properties() -> Map<String, Value> {
    let duration = || literal(&Shape::Number(Unit::Seconds));
    let properties = json!({
        "name": {"description": "What it is called.", "type": "string"},
        "id": {"description": "What `needs` and `same-as` call it.", "type": "string"},
        "in": {"description": "What it looks at, where not the file's subject.", "type": "string"},
        "expect": {"description": "What is demanded of the evidence."},
        "snapshot": {"description": "Whether the evidence is held against a stored one.", "type": "boolean"},
        "if": described("A condition; false is a skip.", condition()),
        "needs": described("Ids of checks that have to pass first.", texts()),
        "requires": described("What has to be here; without it, a skip.", requires()),
        "tags": described("Words to choose it by, beside the file's.", texts()),
        "timeout": described("How long one try may take.", duration()),
        "retry": described("How often it is tried.", literal(&Shape::of::<Retry>())),
        "eventually": described("How long it is tried until it passes.", duration()),
        "quarantine": described("Until this day a failure is a skip.", literal(&Shape::of::<Quarantine>())),
        "allow-empty": {"description": "Whether what is demanded of every element may hold of none.", "type": "boolean"},
    });
    into_map(properties)
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn texts() -> Value {
    json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
}

fn condition() -> Value {
    json!({"type": ["boolean", "string"]})
}

fn requires() -> Value {
    json!({"anyOf": [texts(), literal(&Shape::of::<Requires>())]})
}

fn described(text: &str, schema: Value) -> Value {
    let mut schema = into_map(schema);
    schema.shift_insert(
        0,
        "description".into(),
        Value::from(text.replace('\n', " ")),
    );
    Value::Object(schema)
}

fn expression() -> Value {
    json!({"type": "string", "pattern": "\\$\\{\\{"})
}

fn any_of(choices: impl IntoIterator<Item = Value>) -> Value {
    json!({"anyOf": choices.into_iter().collect::<Vec<_>>()})
}

/// What may stand where a value of a shape is meant.
fn literal(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Bool => any_of([json!({"type": "boolean"}), expression()]),
        Shape::Number(Unit::None) => any_of([json!({"type": "number"}), expression()]),
        Shape::Number(Unit::Bytes | Unit::Seconds) => json!({"type": ["number", "string"]}),
        Shape::Text(TextKind::Plain | TextKind::Path | TextKind::Folded) => {
            json!({"type": ["string", "number", "boolean"]})
        }
        Shape::Enum(words) => any_of([json!({"enum": words}), expression()]),
        Shape::List(of) => any_of([json!({"type": "array", "items": literal(of)}), literal(of)]),
        Shape::Map(of, _) => json!({"type": "object", "additionalProperties": literal(of)}),
        Shape::Optional(of) => any_of([json!({"type": "null"}), literal(of)]),
        Shape::Record(record) => {
            let fields = record.fields.iter();
            let properties: Map<String, Value> = fields
                .clone()
                .map(|f| (f.name.clone(), described(&f.doc, literal(&f.shape))))
                .collect();
            let required: Vec<&String> = fields.filter(|f| f.required).map(|f| &f.name).collect();
            json!({
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            })
        }
    }
}

/// The definitions of matchers, each shape's once.
#[derive(Default)]
struct Schema {
    known: Vec<(Shape, String)>,
    definitions: Map<String, Value>,
}

impl Schema {
    fn definitions(self) -> Map<String, Value> {
        self.definitions
    }

    fn check(&mut self) -> Value {
        let mut properties = check_properties();
        let mut one = Vec::new();
        let mut each = Vec::new();
        for kind in KINDS {
            let name = kind.name();
            properties.insert(name.into(), described(kind.summary(), arguments(*kind)));
            one.push(json!({"required": [name]}));
            let expect = self.matcher(kind.evidence(), name);
            each.push(json!({
                "if": {"required": [name]},
                "then": {"properties": {"expect": expect}},
            }));
        }
        let check = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "oneOf": one,
            "anyOf": [{"required": ["expect"]}, {"required": ["snapshot"]}],
            "allOf": each,
        });
        self.definitions.insert("check".into(), check);
        reference("check")
    }

    /// Refers to what may be demanded of a shape; `name` is where it was met first.
    fn matcher(&mut self, shape: &Shape, name: &str) -> Value {
        let shape = shape.required();
        if shape == &Shape::Any {
            return json!({});
        }
        if let Some((_, known)) = self.known.iter().find(|(s, _)| s == shape) {
            return reference(known);
        }
        let name = match shape {
            Shape::Bool => "a boolean".to_owned(),
            Shape::Number(Unit::None) => "a number".to_owned(),
            Shape::Number(Unit::Bytes) => "a size".to_owned(),
            Shape::Number(Unit::Seconds) => "a duration".to_owned(),
            Shape::Text(TextKind::Plain | TextKind::Folded) => "a text".to_owned(),
            Shape::Text(TextKind::Path) => "a path".to_owned(),
            Shape::Enum(_)
            | Shape::List(_)
            | Shape::Record(_)
            | Shape::Map(..)
            | Shape::Any
            | Shape::Optional(_) => name.to_owned(),
        };
        self.known.push((shape.clone(), name.clone()));
        let mut properties = Map::new();
        for operator in OPERATORS {
            // Presence is a matter of what may be missing, which a definition does not know.
            let presence = matches!(operator.name, "present" | "absent");
            if presence || (operator.fits)(shape) {
                let operand = self.operand(operator, shape, &name);
                properties.insert(operator.name.into(), operand);
            }
        }
        properties.insert("allow-empty".into(), json!({"type": "boolean"}));
        let mut choices = vec![json!({"type": "null"}), expression()];
        let mut rest = Value::Bool(false);
        match shape {
            Shape::Record(record) => {
                self.fields(record, &name, &mut properties);
                choices.extend(record.key.as_ref().map(|_| json!({"type": "string"})));
            }
            Shape::List(of) => {
                let items = self.matcher(of, &format!("{name}[]"));
                choices.push(json!({"type": "array", "items": items}));
            }
            Shape::Map(of, _) => rest = self.matcher(of, &format!("{name}[]")),
            _ => choices.push(literal(shape)),
        }
        choices.push(json!({
            "type": "object",
            "minProperties": 1,
            "properties": properties,
            "additionalProperties": rest,
        }));
        self.definitions.insert(name.clone(), any_of(choices));
        reference(&name)
    }

    fn fields(&mut self, record: &Record, name: &str, properties: &mut Map<String, Value>) {
        for field in &record.fields {
            let matcher = self.matcher(&field.shape, &format!("{name}.{}", field.name));
            // Beside a `$ref` draft 7 reads nothing.
            let matcher = json!({"allOf": [matcher]});
            properties.insert(field.name.clone(), described(&field.doc, matcher));
        }
    }

    /// Gives the schema of an operator's operand; one that is the same for all shapes is shared.
    fn operand(&mut self, operator: &Operator, shape: &Shape, name: &str) -> Value {
        let own = || reference(name);
        let shared = match operator.name {
            // What may be demanded of a record says all a record may say.
            "equals" if matches!(shape, Shape::List(_) | Shape::Map(..) | Shape::Record(_)) => {
                return own();
            }
            "equals" | "gt" | "ge" | "lt" | "le" => return literal(shape),
            "between" => {
                let of = literal(shape);
                return json!({"type": "array", "items": of, "minItems": 2, "maxItems": 2});
            }
            "not" => return own(),
            "one-of" => return json!({"type": "array", "items": own(), "minItems": 1}),
            "contain" | "contain-only" => {
                let item = self.element(shape, name);
                return any_of([json!({"type": "array", "items": item, "minItems": 1}), item]);
            }
            "every" | "any" | "none" => return self.element(shape, name),
            "len" => json!({"allOf": [self.matcher(&Shape::Number(Unit::None), "")]}),
            "present" | "absent" => literal(&Shape::Bool),
            "unique" => json!({"type": ["boolean", "string"]}),
            "json" => json!({"type": "object", "minProperties": 1}),
            // The rest is about text.
            _ => json!({"type": ["string", "number"]}),
        };
        let name = format!("matcher {}", operator.name);
        let entry = self.definitions.entry(name.as_str());
        entry.or_insert_with(|| described(operator.doc, shared));
        reference(&name)
    }

    fn element(&mut self, shape: &Shape, name: &str) -> Value {
        match shape {
            Shape::List(of) | Shape::Map(of, _) => self.matcher(of, &format!("{name}[]")),
            _ => literal(&Shape::Text(TextKind::Plain)),
        }
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{}", name.replace(' ', "%20"))})
}

/// What may stand as the value of a kind's key.
fn arguments(kind: &dyn AnyKind) -> Value {
    let mut choices = vec![json!({"type": "null"})];
    if let Shape::Record(record) = kind.args() {
        if record.fields.iter().any(|f| f.required) {
            choices.clear();
        }
        let main = kind.main().and_then(|main| record.field(main));
        choices.extend(main.map(|field| literal(field.shape.required())));
    }
    choices.push(literal(kind.args()));
    any_of(choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::FILE_KEYS;
    use crate::spec::file::CHECK_KEYS;
    use std::collections::BTreeSet;

    fn keys<'v>(value: &'v Value, path: &str) -> BTreeSet<&'v str> {
        let map = value.pointer(path).and_then(Value::as_object).unwrap();
        map.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_has_the_keys_of_the_language_and_every_reference_leads_somewhere() {
        let schema = document();
        let file: BTreeSet<&str> = FILE_KEYS.iter().copied().collect();
        assert_eq!(keys(&schema, "/properties"), file);
        let kinds = KINDS.iter().map(|k| k.name());
        let check: BTreeSet<&str> = CHECK_KEYS.iter().copied().chain(kinds).collect();
        assert_eq!(keys(&schema, "/definitions/check/properties"), check);
        let text = schema.to_string();
        let mut seen = 0;
        for rest in text.split("\"$ref\":\"#").skip(1) {
            let target = rest.split('"').next().unwrap().replace("%20", " ");
            assert!(schema.pointer(&target).is_some(), "{target}");
            seen += 1;
        }
        assert!(seen > 100, "only {seen} references");
    }
}
