//! What `tdg push` and `tdg pull` have in common: how something is carried, what is seen of it,
//! and how it ends.

use super::{exit, look};
use crate::format::Limits;
use crate::format::oci::Descriptor;
use crate::model::size::{parse_size, show_duration, show_size};
use crate::probe::exec::watch_signals;
use crate::probe::http::Patience;
use crate::probe::registry::{Event, Name, Options, Progress, RegistryError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How it is carried
#[derive(clap::Args)]
#[command(next_help_heading = "Transfer")]
pub struct Carry {
    /// Speak plain HTTP to this registry; only this machine's is spoken to so without being asked
    #[arg(long)]
    plain_http: bool,
    /// Blobs that are under way at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: u8,
    /// Times that the same is tried where the registry is busy or the connection breaks
    #[arg(long, value_name = "N", default_value_t = Patience::LONG.tries, value_parser = clap::value_parser!(u32).range(1..=100))]
    tries: u32,
    /// Time after which it ends, done or not [default: none]
    #[arg(long, value_name = "TIME", value_parser = look::duration)]
    timeout: Option<Duration>,
    /// Bytes of one blob [default: 1 TiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_decoded: Option<u64>,
    /// The output format
    #[arg(long, value_enum, default_value_t = look::Format::Human)]
    format: look::Format,
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "write a size such as 512 MiB".into())
}

impl Carry {
    /// Reads a name.
    pub fn name(&self, text: &str) -> Result<Name, RegistryError> {
        if !text.starts_with("oci://") {
            return Err(RegistryError::Name {
                address: crate::model::address::shown(text),
                what: "it does not begin with oci://".into(),
            });
        }
        let name = Name::parse(text)?;
        Ok(if self.plain_http { name.plain() } else { name })
    }

    /// Gives the options.
    pub fn options(&self) -> Options {
        let usual = Options::default();
        Options {
            limits: Limits {
                deadline: self.timeout.map(|time| Instant::now() + time),
                max_decoded: self.max_decoded.unwrap_or(usual.limits.max_decoded),
                ..usual.limits
            },
            jobs: usize::from(self.jobs),
            patience: Patience {
                tries: self.tries,
                ..Patience::LONG
            },
            ..usual
        }
    }

    /// Carries something, shows how it goes and what came of it; gives the exit code.
    pub fn carry<T>(
        &self,
        work: impl FnOnce(&Progress) -> Result<T, RegistryError>,
        json: impl FnOnce(&T) -> Value,
        human: impl FnOnce(&T) -> String,
    ) -> u8 {
        if let Err(error) = watch_signals() {
            look::complain(&format!("signals cannot be watched: {error}"));
            return exit::ERROR;
        }
        let bar = bar();
        let shown = bar.clone();
        let progress: Progress = Arc::new(move |event| show(shown.as_ref(), event));
        let done = work(&progress);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        match done {
            Ok(done) => {
                match self.format {
                    look::Format::Json => say!("{:#}", json(&done)),
                    look::Format::Human => say!("{}", human(&done)),
                }
                0
            }
            Err(error) => refuse(&error),
        }
    }
}

/// Says why it did not go well; gives the exit code.
pub fn refuse(error: &RegistryError) -> u8 {
    look::complain(&format!("{error}{}", error.advice()));
    if error.is_interrupted() {
        return exit::INTERRUPTED;
    }
    if error.is_wrong() {
        return exit::FAILED;
    }
    match error {
        RegistryError::Name { .. } => exit::USAGE,
        RegistryError::Http(_)
        | RegistryError::Refused { .. }
        | RegistryError::Credentials { .. }
        | RegistryError::Document { .. }
        | RegistryError::Wrong { .. }
        | RegistryError::Layout { .. }
        | RegistryError::Platform { .. } => exit::ERROR,
    }
}

/// Makes the bar, where somebody sees it.
fn bar() -> Option<ProgressBar> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style =
        "{spinner} {bytes}/{total_bytes} {bar:20} {binary_bytes_per_sec} [{elapsed}] {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    Some(bar)
}

fn show(bar: Option<&ProgressBar>, event: &Event<'_>) {
    if let Event::Retry { what, why, pause } = event {
        let text = format!("{what}: {why}; again in {}", show_duration(*pause));
        match bar {
            Some(bar) => bar.println(crate::model::path::printable(&text)),
            None => look::complain_line(&text),
        }
    }
    let Some(bar) = bar else { return };
    match event {
        Event::Planned { bytes, .. } => bar.set_length(*bytes),
        Event::Bytes(bytes) => bar.inc(*bytes),
        Event::Back(bytes) => bar.set_position(bar.position().saturating_sub(*bytes)),
        Event::Blob { digest, how, .. } => {
            bar.set_message(format!("{} {}", digest.short(), how.words()));
        }
        Event::Manifest { digest } => bar.set_message(format!("{} a manifest", digest.short())),
        Event::Tag { tag } => bar.set_message(format!("the tag {tag}")),
        Event::Retry { .. } => {}
    }
}

/// Writes a descriptor for programs.
pub fn descriptor(descriptor: &Descriptor) -> Value {
    json!({
        "digest": descriptor.digest.to_string(),
        "media-type": descriptor.media_type,
        "size": descriptor.size,
        "artifact-type": descriptor.artifact_type,
    })
}

/// Says how much there was for people.
pub fn amount(manifests: usize, blobs: usize, bytes: u64, carried: u64) -> String {
    let s = |n: usize| if n == 1 { "" } else { "s" };
    format!(
        "{manifests} manifest{}, {blobs} blob{}, {}; {} went over",
        s(manifests),
        s(blobs),
        show_size(bytes),
        show_size(carried)
    )
}
