//! iPXE's script language: read, and carried out without a machine.
//!
//! [`script`] takes a script apart as iPXE does; [`setting`] keeps its variables, which [`value`]
//! reads and writes;
//! [`walk`] is what carrying it out gives; [`evaluate()`] does that, with a [`Fetch`] for what scripts
//! load and the settings of a machine that is only described. Nothing is guessed: a command whose
//! result only a real machine knows ends the walk with [`Outcome::Unknown`].
//!
//! Sources: iPXE's `core/exec.c`, `image/script.c`, `core/settings.c`, `core/getopt.c`,
//! `core/parseopt.c`, `usr/imgmgmt.c` and `hci/commands/*.c`.

mod boot;
pub mod evaluate;
mod flow;
mod options;
pub mod script;
pub mod setting;
pub mod value;
pub mod walk;

pub use evaluate::{Start, evaluate};
pub use script::{Script, is_script};
pub use setting::Settings;
pub use value::SettingType;
pub use walk::{Bounds, Failed, Fetch, Loaded, Machine, Outcome, Picked, Platform, Step, Walk};
