//! `matchbox`: its groups and profiles, and what a machine gets by them.

mod lint;
mod store;

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::matchbox::{Profile, labels, select};
use crate::model::Address;
use crate::model::path::normalise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::Store;

/// The kind.
pub struct TheKind;

/// Which machine asks.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// What the machine says of itself, in the query of `/ipxe`: `mac`, `uuid`, `serial`,
    /// `hostname`, `domain`, `arch`, or what else a script chains with. Left out, a machine that
    /// says nothing.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The folder, inside of the subject, that is served at `/assets/`; `assets` where left out.
    pub assets: Option<String>,
}

/// What is there. matchbox itself says nothing of what is wrong with it, but in its log.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The files of `groups/`, those that are no groups to matchbox left out.
    pub groups: Vec<GroupSeen>,
    /// The files of `profiles/`, those that are no profiles to matchbox left out.
    pub profiles: Vec<ProfileSeen>,
    /// What the machine gets.
    pub selected: Selected,
    /// What is wrong or leads nowhere.
    pub problems: Vec<Problem>,
}

/// A group.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct GroupSeen {
    /// Its file.
    pub file: String,
    /// Its `id`.
    pub id: String,
    /// Its `name`.
    pub name: String,
    /// The profile that it names.
    pub profile: String,
    /// What a machine has to say of itself; a MAC address in its usual form.
    pub selector: BTreeMap<String, String>,
    /// The names of its metadata.
    pub metadata: Vec<String>,
}

/// A profile.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct ProfileSeen {
    /// Its file.
    pub file: String,
    /// Its `id`; groups call it by its file's name, without `.json`.
    pub id: String,
    /// Its `name`.
    pub name: String,
    /// The kernel; absent where nothing is started.
    pub kernel: Option<String>,
    /// The kernel's arguments, on one line.
    pub arguments: String,
    /// The files of the kernel and the initrds, in this order.
    pub files: Vec<Asset>,
    /// The files of the groups that name it.
    pub groups: Vec<String>,
}

/// A file that a profile starts with.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "url"))]
pub struct Asset {
    /// Its address, as the profile writes it.
    pub url: String,
    /// Its path inside of the subject; absent where another server has it, or where only iPXE knows
    /// the address.
    pub path: Option<String>,
    /// Its size; absent where it is not there, or not here.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
}

/// What a machine gets.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Selected {
    /// `boots`; `no-group` (none matches), `no-profile` (the group names one that is not there or
    /// cannot be read), `nothing` (the profile has nothing to start), all three a 404 to iPXE;
    /// `ambiguous` (several groups are equal in all, and nothing says which is taken).
    #[schemars(extend("enum" = ["boots", "no-group", "no-profile", "nothing", "ambiguous"]))]
    pub outcome: String,
    /// The file of the group; of several that are equal, of each.
    pub groups: Vec<String>,
    /// The profile that the group names.
    pub profile: Option<String>,
    /// The kernel.
    pub kernel: Option<String>,
    /// The initrds, as iPXE is told them.
    pub initrds: Vec<String>,
    /// The kernel's arguments, on one line.
    pub arguments: Option<String>,
    /// The script that `/ipxe` answers.
    pub script: Option<String>,
}

/// Something that is wrong.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct Problem {
    /// The file.
    pub file: String,
    /// What it is: `unreadable` (matchbox passes over the file), `ignored` (a file that it never
    /// reads), `ambiguous` (another group has the same selectors), `never-matches` (no machine says
    /// this of itself), `no-profile`, `unused` (no group names the profile), `no-kernel`,
    /// `no-asset`, `no-template`, `initrd-name` (an argument `initrd=` names none of the initrds).
    #[schemars(extend("enum" = lint::WHATS))]
    pub what: String,
    /// How it is wrong.
    pub text: String,
}

impl Kind for TheKind {
    const NAME: &'static str = "matchbox";
    const SUMMARY: &'static str =
        "matchbox's groups and profiles: what a machine gets, what is wrong with them";
    const MAIN: Option<&'static str> = None;
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: each node gets the kernel of its architecture
  matchbox: { labels: { mac: \"52:54:00:12:34:56\", arch: arm64 } }
  in: bastion/matchbox
  expect:
    problems: { len: 0 }
    selected: { outcome: boots, kernel: /assets/talos/arm64/vmlinuz }";
    const DESCRIBES: &'static [&'static str] = &["groups", "profiles", "selected", "problems"];
    type Args = Args;
    type Evidence = Evidence;

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| {
            ProbeError::new("no folder is named").remedy("write `in: var/lib/matchbox`")
        })?;
        let image = context.image(subject)?;
        let assets = normalise(args.assets.as_deref().unwrap_or("assets"));
        let store = Store::read(&image, &assets)?;
        let groups = store.groups.iter().map(|(file, group)| GroupSeen {
            file: file.clone(),
            id: group.id.clone(),
            name: group.name.clone(),
            profile: group.profile.clone(),
            selector: group.selector.clone(),
            metadata: group.metadata.clone(),
        });
        let mut profiles = Vec::new();
        for (file, profile) in &store.profiles {
            profiles.push(ProfileSeen {
                file: file.clone(),
                id: profile.id.clone(),
                name: profile.name.clone(),
                kernel: profile.boot.as_ref().map(|boot| boot.kernel.clone()),
                arguments: profile
                    .boot
                    .as_ref()
                    .map_or(String::new(), |b| b.args.join(" ")),
                files: store.assets(profile)?,
                groups: store.naming(file).map(|(file, _)| file.clone()).collect(),
            });
        }
        Ok(Evidence {
            groups: groups.collect(),
            problems: lint::problems(&store, &profiles)?,
            profiles,
            selected: selected(&store, &labels(&args.labels)),
        })
    }
}

fn selected(store: &Store, labels: &BTreeMap<String, String>) -> Selected {
    let found = select(store.groups.iter().map(|(_, group)| group), labels);
    let found: Vec<_> = found.iter().filter_map(|i| store.groups.get(*i)).collect();
    let outcome = |outcome: &str| Selected {
        outcome: outcome.into(),
        groups: found.iter().map(|(file, _)| file.clone()).collect(),
        ..Selected::default()
    };
    let [(_, group)] = found.as_slice() else {
        return outcome(match found.is_empty() {
            true => "no-group",
            false => "ambiguous",
        });
    };
    let named = Some(group.profile.clone());
    let Some(profile) = store.profile(&group.profile) else {
        return Selected {
            profile: named,
            ..outcome("no-profile")
        };
    };
    let (Some(boot), Some(script)) = (&profile.boot, Profile::script(profile)) else {
        return Selected {
            profile: named,
            ..outcome("nothing")
        };
    };
    Selected {
        profile: named,
        kernel: Some(boot.kernel.clone()),
        initrds: boot.initrd.clone(),
        arguments: Some(boot.args.join(" ")),
        script: Some(script),
        ..outcome("boots")
    }
}
