//! What two containers say about themselves, beside what is in them.

use std::collections::BTreeSet;

use super::compare::decoded;
use super::contents::Contents;
use super::facts::Failed;
use super::{Difference, Options, Side, partitions};
use crate::format::{Content, pe};
use crate::image::Image;

/// Gives what differs. Of the two addresses themselves (`outermost`) the format
/// is no difference: they may be a folder and what was packed from it.
///
/// Errors name the side that could not be read.
pub(super) fn differences(
    pair: &[Contents; 2],
    outermost: bool,
    options: &Options,
) -> Result<Vec<Difference>, Failed> {
    let mut found = Vec::new();
    let [a, b] = pair;
    if a.merged && b.merged {
        let layers = |side, contents: &Contents| match contents.image.merged() {
            Ok(merged) => Ok(merged.layers().to_vec()),
            Err(error) => Err((side, error)),
        };
        layers_of(layers(Side::A, a)?, layers(Side::B, b)?, &mut found);
        return Ok(found);
    }
    if !outermost {
        let format = |side, contents: &Contents| contents.format().map_err(|error| (side, error));
        found.extend(Difference::both(
            "format",
            format(Side::A, a)?,
            format(Side::B, b)?,
        ));
    }
    let [a, b] = [decoded(Side::A, &a.image)?, decoded(Side::B, &b.image)?];
    let is = |content| a.content() == Some(content) && b.content() == Some(content);
    let disk = |image: &Image| matches!(image.content(), Some(Content::Gpt | Content::Mbr));
    if disk(&a) && disk(&b) {
        let source = |side, image: &Image| image.source().cloned().map_err(|error| (side, error));
        let (from_a, from_b) = (source(Side::A, &a)?, source(Side::B, &b)?);
        let differences = partitions::differences([&from_a, &from_b], options, a.limits());
        found.extend(differences.map_err(|(side, error)| match side {
            Side::A => (side, a.failed(error)),
            Side::B => (side, b.failed(error)),
        })?);
    } else if is(Content::Pe) {
        let machine = |side, image: &Image| {
            let source = image.source().map_err(|error| (side, error))?;
            let headers = pe::Headers::read(&**source);
            let headers = headers.map_err(|error| (side, image.failed(error)))?;
            Ok(pe::arch(headers.machine))
        };
        found.extend(Difference::both(
            "machine",
            machine(Side::A, &a)?,
            machine(Side::B, &b)?,
        ));
    } else {
        let packed = |side, image: &Image| -> Result<Option<String>, Failed> {
            if !image.is_initramfs().map_err(|error| (side, error))? {
                return Ok(None);
            }
            let packing = image.packing().map_err(|error| (side, error))?;
            let names: Vec<&str> = packing
                .iter()
                .map(|compression| compression.name())
                .collect();
            Ok(Some(names.join(" ")))
        };
        if let (Some(a), Some(b)) = (packed(Side::A, &a)?, packed(Side::B, &b)?) {
            found.extend(Difference::both("segments", a, b));
        }
    }
    Ok(found)
}

/// Compares the layers of two merged views.
fn layers_of(a: Vec<String>, b: Vec<String>, found: &mut Vec<Difference>) {
    let missing = |list: &[String], other: &[String]| -> Vec<String> {
        let other: BTreeSet<&String> = other.iter().collect();
        list.iter()
            .filter(|name| !other.contains(name))
            .cloned()
            .collect()
    };
    let layer = |a, b| Difference::of("layer", a, b);
    let (removed, added) = (missing(&a, &b), missing(&b, &a));
    found.extend(removed.iter().filter_map(|name| layer(Some(name), None)));
    found.extend(added.iter().filter_map(|name| layer(None, Some(name))));
    let kept = |list: &[String], gone: &[String]| {
        let names = list.iter().filter(|name| !gone.contains(name));
        names.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let (a, b) = (kept(&a, &removed), kept(&b, &added));
    found.extend(Difference::both("order of layers", a, b));
}
