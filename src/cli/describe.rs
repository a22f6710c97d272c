//! `tdg describe`: a spec that holds of what is there.

use super::look::{self, Bounds, Format};
use super::{exit, explain};
use crate::check::{AnyKind, ProbeError, Subjects};
use crate::inspect::describe::{self, Check, Choice, Looking, Spec, Strictness};
use crate::model::Address;
use crate::model::path::printable;
use crate::probe::exec::Cancel;
use serde_json::json;
use std::path::Path;

/// Print a spec that holds of a file, a folder or anything in an image
///
/// The kinds of check are chosen by the content, and filled in from what they see. The spec is run
/// before it is printed: what does not hold or cannot be read is left out, named in a comment, and
/// ends with exit code 4.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg describe _out/assets/initramfs-metal-arm64.xz > specs/initramfs.yaml
  tdg describe --loose 'metal-arm64.raw.xz!/EFI/EFI/Linux/*.efi'
  tdg describe --kind kernel --subject '${{ vars.assets }}/kernel-arm64' _out/assets/kernel-arm64")]
pub struct Args {
    /// What to describe: PATH, or PATH!/path/inside!/further/inside
    #[arg(value_parser = look::address)]
    address: Address,
    /// What the spec names as its subject, in the place of the address
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only this kind of check (repeatable)
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Versions as ranges, sizes as bounds, no digests
    #[arg(long)]
    loose: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    bounds: Bounds,
}

/// A check that is not part of the spec, and why.
struct Missing {
    check: String,
    why: String,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let mut kinds = Vec::new();
    for name in &args.kinds {
        match explain::kind(name) {
            Ok(kind) => kinds.push(kind),
            Err(message) => {
                look::complain(&message);
                return exit::USAGE;
            }
        }
    }
    let (checks, missing) = match seen(&args, &kinds) {
        Ok(seen) => seen,
        Err(error) => return look::refuse(&error),
    };
    let (checks, missing) = match held(&args, checks, missing) {
        Ok(held) => held,
        Err(message) => {
            message.lines().for_each(look::complain_line);
            return exit::ERROR;
        }
    };
    for missing in &missing {
        look::complain(&format!(
            "not described: {}: {}",
            missing.check, missing.why
        ));
    }
    if checks.is_empty() {
        look::complain(&format!("nothing can be said of {}", args.address));
        return exit::ERROR;
    }
    let text = spec(&args, &checks, &missing, args.subject.as_deref()).text();
    match args.format {
        Format::Human => put!("{text}"),
        Format::Json => {
            let document = json!({
                "version": 1,
                "address": args.address.to_string(),
                "complete": missing.is_empty(),
                "spec": text,
                "checks": checks.iter().map(check).collect::<Vec<_>>(),
                "missing": missing
                    .iter()
                    .map(|m| json!({"check": m.check, "error": m.why}))
                    .collect::<Vec<_>>(),
            });
            say!("{document:#}");
        }
    }
    match missing.is_empty() {
        true => 0,
        false => exit::ERROR,
    }
}

/// Looks; each check is filled in, or missing.
fn seen(
    args: &Args,
    kinds: &[&'static dyn AnyKind],
) -> Result<(Vec<Check>, Vec<Missing>), ProbeError> {
    let limits = args.bounds.limits_at(&args.address);
    let subjects = Subjects::new(limits.clone());
    let choice = match kinds {
        [] => describe::choose(&args.address, &subjects)?,
        kinds => Choice {
            asked: describe::of_kinds(kinds, &args.address),
            unread: Vec::new(),
        },
    };
    let looking = Looking {
        subjects: &subjects,
        root: Path::new(""),
        limits: &limits,
        strictness: match args.loose {
            true => Strictness::Loose,
            false => Strictness::Exact,
        },
        cancel: &Cancel::default(),
    };
    let (mut checks, mut missing) = (Vec::new(), Vec::new());
    missing.extend(choice.unread.into_iter().map(|(check, error)| Missing {
        check,
        why: error.message,
    }));
    for asked in choice.asked {
        let check = asked.name.clone();
        match looking.look(asked) {
            Ok(check) => checks.push(check),
            Err(error) => missing.push(Missing {
                check,
                why: error.message,
            }),
        }
    }
    Ok((checks, missing))
}

/// Runs the checks as a spec; those that do not pass are missing.
fn held(
    args: &Args,
    mut checks: Vec<Check>,
    mut missing: Vec<Missing>,
) -> Result<(Vec<Check>, Vec<Missing>), String> {
    if checks.is_empty() {
        return Ok((checks, missing));
    }
    let said = |error: std::io::Error| format!("the spec could not be run: {error}");
    let folder = tempfile::tempdir().map_err(said)?;
    let file = folder.path().join("description.yaml");
    std::fs::write(&file, spec(args, &checks, &missing, None).text()).map_err(said)?;
    let limits = args.bounds.limits_at(&args.address);
    for failed in describe::verify(&file, None, &limits, &Cancel::default())? {
        checks.retain(|check| check.asked.name != failed.check);
        missing.push(Missing {
            check: failed.check,
            why: failed.why.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
    Ok((checks, missing))
}

fn spec<'s>(
    args: &'s Args,
    checks: &'s [Check],
    missing: &[Missing],
    subject: Option<&str>,
) -> Spec<'s> {
    let address = args.address.to_string();
    let name = address.trim_end_matches(['/', '!']).rsplit('/').next();
    let holds = match missing.is_empty() {
        true => "Every check holds of it; loosen what may change.",
        false => "Every check holds of it, but this is not all of it.",
    };
    let mut notes = vec![
        format!("What tdg {} saw in {address}.", env!("CARGO_PKG_VERSION")),
        holds.to_owned(),
    ];
    let not = |missing: &Missing| format!("Not described: {}: {}", missing.check, missing.why);
    notes.extend(missing.iter().map(not));
    Spec {
        title: format!("What {} is", printable(name.unwrap_or(&address))),
        notes,
        address: &args.address,
        subject: subject.map_or_else(|| describe::literal(&address), str::to_owned),
        checks,
    }
}

fn check(check: &Check) -> serde_json::Value {
    json!({
        "name": check.asked.name,
        "kind": check.asked.kind.name(),
        "args": check.asked.args,
        "in": check.asked.at.as_ref().map(ToString::to_string),
        "expect": check.expect,
    })
}
