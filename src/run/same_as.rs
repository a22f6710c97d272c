//! What `same-as` may name: a check of the plan, a row it has, a field its evidence has.

use crate::model::Shape;
use crate::spec::Diagnostic;
use crate::spec::matcher::Reference;
use std::collections::BTreeSet;

/// Says why a reference names no trial. `known` holds the ids of the file, each with its row.
pub(super) fn unknown<'k>(
    reference: &Reference,
    known: impl Iterator<Item = (&'k str, String)> + Clone,
) -> Diagnostic {
    let what = &reference.check;
    let rows: Vec<String> = (known.clone())
        .filter(|(id, _)| id == what)
        .map(|(_, row)| row)
        .collect();
    if rows.is_empty() {
        let ids: BTreeSet<&str> = known.map(|(id, _)| id).collect();
        return Diagnostic::new(reference.span, format!("no check has the id `{what}`"))
            .suggest(what, ids);
    }
    Diagnostic::new(reference.span, format!("`{what}` has no such row")).help(
        match rows.iter().all(String::is_empty) {
            true => "its file has no matrix; leave the row out".to_owned(),
            false => format!("its rows: {}", rows.join(", ")),
        },
    )
}

/// Says why a reference leads nowhere in the evidence of the check it names.
pub(super) fn misses(reference: &Reference, evidence: &Shape) -> Option<Diagnostic> {
    let mut here = evidence.required();
    let parts = reference.path.split(['.', '[']).filter(|p| !p.is_empty());
    for part in parts.map(|p| p.trim_end_matches(']')) {
        here = match here {
            Shape::Any => return None,
            Shape::Map(of) => of.required(),
            Shape::List(of) if part.parse::<usize>().is_ok() => of.required(),
            Shape::Record(record) => match record.field(part) {
                Some(field) => field.shape.required(),
                None => {
                    let fields = record.fields.iter().map(|f| f.name.as_str());
                    let message = format!("`{}` sees no field `{part}`", reference.check);
                    return Some(Diagnostic::new(reference.span, message).suggest(part, fields));
                }
            },
            Shape::Bool | Shape::Number(_) | Shape::Text(_) | Shape::Enum(_) | Shape::List(_) => {
                let message = format!("`{part}` leads nowhere: here is {}", here.describe());
                return Some(Diagnostic::new(reference.span, message));
            }
            Shape::Optional(inner) => inner.required(),
        };
    }
    None
}
