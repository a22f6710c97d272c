//! What `same-as` may name: a check of the plan, a row it has, a field its evidence has.

use crate::model::Shape;
use crate::model::value::heads;
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
    nowhere(reference, &reference.path, evidence)
}

fn nowhere(reference: &Reference, path: &str, here: &Shape) -> Option<Diagnostic> {
    let here = here.required();
    let mut heads = heads(path).into_iter();
    let (head, rest) = heads.next()?;
    match here {
        Shape::Any => None,
        // Any of its ways may be the right one: a key may have dots in it.
        Shape::Map(of, _) => {
            let first = nowhere(reference, rest, of);
            let others = |rest| nowhere(reference, rest, of).is_none();
            first.filter(|_| !heads.any(|(_, rest)| others(rest)))
        }
        Shape::List(of) if head.parse::<usize>().is_ok() => nowhere(reference, rest, of),
        Shape::Record(record) => match record.field(head) {
            Some(field) => nowhere(reference, rest, &field.shape),
            None => {
                let fields = record.fields.iter().map(|f| f.name.as_str());
                let message = format!("`{}` sees no field `{head}`", reference.check);
                Some(Diagnostic::new(reference.span, message).suggest(head, fields))
            }
        },
        Shape::Bool | Shape::Number(_) | Shape::Text(_) | Shape::Enum(_) | Shape::List(_) => {
            let message = format!("`{head}` leads nowhere: here is {}", here.describe());
            Some(Diagnostic::new(reference.span, message))
        }
        Shape::Optional(inner) => nowhere(reference, path, inner),
    }
}
