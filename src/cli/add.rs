//! `tdg add`: one more check in a spec, filled in from what is there.

use super::look::{self, Bounds};
use super::plan_args::pair;
use super::{exit, explain};
use crate::check::{AnyKind, SubjectUse, Subjects};
use crate::inspect::append::{AppendError, File};
use crate::inspect::describe::{self, Asked, Check, Looking, Strictness, check_lines};
use crate::model::{Address, SourceId};
use crate::probe::exec::Cancel;
use crate::spec::{Diagnostics, document};
use serde_json::{Map, Value};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

/// Append one check to a spec, filled in from what is there
///
/// The kind looks as it would for a spec, and what it sees becomes what is demanded. The new check is
/// run before the file is written; everything else in the file stays as it is, byte for byte. A spec
/// that does not exist is made.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg add kernel --in _out/assets/kernel-arm64 --to specs/image.yaml
  tdg add extension spin --in _out/assets/initramfs-metal-arm64.xz --to specs/image.yaml --loose
  tdg add file /etc/os-release --in initramfs.xz --to specs/image.yaml --field present --field mode")]
pub struct Args {
    /// The kind of check
    kind: String,
    /// Its main argument
    arg: Option<String>,
    /// What it looks at: PATH, or PATH!/path/inside
    #[arg(long = "in", value_name = "ADDRESS", value_parser = look::address)]
    subject: Option<Address>,
    /// The spec file that the check is appended to
    #[arg(long, value_name = "SPEC")]
    to: PathBuf,
    /// The name of the check [default: the kind and its argument]
    #[arg(long)]
    name: Option<String>,
    /// Another argument of the kind (repeatable)
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = pair)]
    args: Vec<(String, String)>,
    /// Only this field of what is seen (repeatable)
    #[arg(long = "field", value_name = "NAME")]
    fields: Vec<String>,
    /// Versions as ranges, sizes as bounds, no digests
    #[arg(long)]
    loose: bool,
    #[command(flatten)]
    bounds: Bounds,
}

/// Why nothing was written: what to say, and the exit code.
struct Refused(String, u8);

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    match added(&args) {
        Ok(name) => {
            say!("added `{name}` to {}", args.to.display());
            0
        }
        Err(Refused(message, code)) => {
            // Each line by itself: what is to be pasted has several.
            message.lines().for_each(look::complain_line);
            code
        }
    }
}

fn added(args: &Args) -> Result<String, Refused> {
    let kind = kind(args)?;
    let place = args.to.canonicalize().unwrap_or_else(|_| args.to.clone());
    let old = match fs::read_to_string(&place) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("error: {}: {error}", args.to.display());
            return Err(Refused(message, exit::USAGE));
        }
    };
    let name = args.to.display().to_string();
    let file = match &old {
        Some(text) => Some(File::read(&name, text).map_err(|error| unfit(args, &error, ""))?),
        None => None,
    };
    let asked = Asked {
        name: check_name(args, file.as_ref())?,
        kind,
        args: arguments(args, kind)?,
        at: args.subject.clone(),
        fields: args.fields.clone(),
    };
    let check = observed(args, asked)?;
    let text = match &file {
        Some(file) => {
            let subject = args.subject.as_ref().map(ToString::to_string);
            let subject = subject.filter(|subject| file.subject() != Some(subject));
            let subject = subject.map(|subject| describe::literal(&subject));
            let lines = |indent| check_lines(&check, indent, subject.as_deref());
            file.with(lines)
                .map_err(|error| unfit(args, &error, &lines(2)))?
        }
        None => made(args, &check),
    };
    written(args, &place, old.as_deref(), &text, &check.asked.name)?;
    Ok(check.asked.name)
}

fn kind(args: &Args) -> Result<&'static dyn AnyKind, Refused> {
    let usage = |message: String| Err(Refused(message, exit::USAGE));
    let kind = explain::kind(&args.kind);
    let kind = kind.map_err(|message| Refused(format!("error: {message}"), exit::USAGE))?;
    match (kind.subject(), &args.subject) {
        (SubjectUse::Required, None) => usage(format!(
            "error: `{}` needs a subject: --in ADDRESS",
            args.kind
        )),
        (SubjectUse::None, Some(_)) => usage(format!(
            "error: `{}` looks at no subject; leave --in out",
            args.kind
        )),
        (SubjectUse::Required | SubjectUse::Optional, Some(_))
        | (SubjectUse::Optional | SubjectUse::None, None) => Ok(kind),
    }
}

/// Gives the arguments as a spec writes them.
fn arguments(args: &Args, kind: &dyn AnyKind) -> Result<Value, Refused> {
    let read = |text: &str| {
        let mut quiet = Diagnostics::default();
        document::parse(SourceId::default(), text, &mut quiet)
            .filter(|_| quiet.is_empty())
            .map_or_else(|| Value::from(text), |node| node.to_value())
    };
    match (&args.arg, args.args.as_slice()) {
        (None, []) => Ok(Value::Null),
        // A main argument is text, or words of a command; a number in it stays as written.
        (Some(arg), []) if kind.main().is_some() => Ok(match read(arg) {
            list @ Value::Array(_) => list,
            _ => Value::from(arg.as_str()),
        }),
        (arg, more) => {
            let mut map = Map::new();
            if let Some(arg) = arg {
                let main = kind.main().ok_or_else(|| {
                    let message = format!("error: `{}` takes no argument of its own", args.kind);
                    Refused(message, exit::USAGE)
                })?;
                map.insert(main.to_owned(), Value::from(arg.as_str()));
            }
            map.extend(more.iter().map(|(name, value)| (name.clone(), read(value))));
            Ok(Value::Object(map))
        }
    }
}

/// Gives the check a name that no other of the file has.
fn check_name(args: &Args, file: Option<&File<'_>>) -> Result<String, Refused> {
    let taken = |name: &str| file.is_some_and(|file| file.has(name));
    if let Some(name) = &args.name {
        if taken(name) {
            let message = format!("error: {} has a check named `{name}`", args.to.display());
            return Err(Refused(message, exit::USAGE));
        }
        return Ok(name.clone());
    }
    let plain = match &args.arg {
        Some(arg) => format!("{} {arg}", args.kind),
        None => args.kind.clone(),
    };
    let mut numbered = (2..).map(|number| format!("{plain} {number}"));
    match taken(&plain) {
        false => Ok(plain),
        true => Ok(numbered.find(|name| !taken(name)).unwrap_or(plain)),
    }
}

fn observed(args: &Args, asked: Asked) -> Result<Check, Refused> {
    let limits = match &args.subject {
        Some(address) => args.bounds.limits_at(address),
        None => args.bounds.limits(),
    };
    let looking = Looking {
        subjects: &Subjects::new(limits.clone()),
        root: Path::new(""),
        limits: &limits,
        strictness: match args.loose {
            true => Strictness::Loose,
            false => Strictness::Exact,
        },
        cancel: &Cancel::default(),
    };
    looking.look(asked).map_err(|error| {
        let help = error.remedy.map(|remedy| format!("\n  help: {remedy}"));
        let message = format!("error: {}{}", error.message, help.unwrap_or_default());
        Refused(message, exit::ERROR)
    })
}

/// Says why nothing is appended, and what to paste instead.
fn unfit(args: &Args, error: &AppendError, lines: &str) -> Refused {
    let name = args.to.display();
    let message = match error {
        AppendError::Broken(said) => format!("{said}\n\nerror: {name} is no spec"),
        AppendError::Form(_) if lines.is_empty() => format!("error: {name}: {error}"),
        AppendError::Form(_) => format!("error: {name}: {error}:\n{lines}"),
    };
    Refused(message, exit::SPEC)
}

/// Makes a new spec of one check.
fn made(args: &Args, check: &Check) -> String {
    let stem = args.to.file_stem().unwrap_or_default().to_string_lossy();
    let title = stem.replace(['-', '_'], " ");
    let subject = args.subject.as_ref();
    let subject = subject.map(|subject| describe::literal(&subject.to_string()));
    describe::new_file(&title, &check_lines(check, 2, subject.as_deref()))
}

/// Runs the new check, and only then puts the file in its place.
fn written(
    args: &Args,
    place: &Path,
    old: Option<&str>,
    text: &str,
    name: &str,
) -> Result<(), Refused> {
    let said = |error: std::io::Error| {
        Refused(
            format!("error: {}: {error}", args.to.display()),
            exit::ERROR,
        )
    };
    let folder = place.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    if old.is_none() {
        fs::create_dir_all(folder).map_err(said)?;
    }
    // Beside the file: what it includes is found from there.
    let mut file = tempfile::Builder::new()
        .prefix(".tdg-")
        .suffix(".yaml")
        .tempfile_in(folder)
        .map_err(said)?;
    file.write_all(text.as_bytes()).map_err(said)?;
    file.as_file().sync_all().map_err(said)?;
    let limits = match &args.subject {
        Some(address) => args.bounds.limits_at(address),
        None => args.bounds.limits(),
    };
    let shown = |text: String| {
        text.replace(
            &file.path().display().to_string(),
            &args.to.display().to_string(),
        )
    };
    let failed = describe::verify(file.path(), Some(name), &limits, &Cancel::default())
        .map_err(|message| Refused(shown(message), exit::SPEC))?;
    if let Some(failed) = failed.first() {
        let message = format!(
            "error: the check does not hold, nothing is written\n{}",
            failed.why
        );
        return Err(Refused(shown(message), exit::ERROR));
    }
    let mode = match place.metadata() {
        Ok(meta) => {
            // Another owner's file stays theirs, where that is allowed.
            let _ = chown(file.path(), Some(meta.uid()), Some(meta.gid()));
            meta.permissions().mode()
        }
        Err(_) => 0o644,
    };
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).map_err(said)?;
    match old {
        None => file
            .persist_noclobber(place)
            .map_err(|error| said(error.error))?,
        Some(old) if fs::read_to_string(place).is_ok_and(|now| now == old) => {
            file.persist(place).map_err(|error| said(error.error))?
        }
        Some(_) => {
            let message = format!(
                "error: {} was changed meanwhile; try again",
                args.to.display()
            );
            return Err(Refused(message, exit::ERROR));
        }
    };
    Ok(())
}
