//! `tftp`: a file, fetched as firmware would.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::tftp::{Agreed, Asked, LARGEST, Stopped};
use crate::format::{Content, Limits, ReadAt};
use crate::model::Address;
use crate::probe::boot_file;
use crate::probe::temporary::Temporary;
use crate::probe::tftp::{self, Fetch, TftpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The kind.
pub struct TheKind;

/// Which file, and what is asked for beside.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Where it is: `tftp://10.0.0.1/ipxe-arm64.efi`. What follows the `/` behind the host is the name
    /// that the server is asked for.
    pub url: String,
    /// Whose requests these are like: `edk2`, where nothing is said (`tsize`, `blksize` 1468,
    /// `windowsize` 4), `ipxe` (`tsize`, `blksize` 1432), or `plain`, with no options at all.
    #[schemars(extend("enum" = ["edk2", "ipxe", "plain"]))]
    pub like: Option<String>,
    /// Bytes of a block to ask for, 8 to 65464.
    pub blksize: Option<u16>,
    /// Blocks before an answer to ask for.
    pub windowsize: Option<u16>,
    /// Seconds after which the server is asked to send again, 1 to 255.
    pub resend: Option<u8>,
}

/// What the server has. Where it never answers, nothing is known, and that is an error.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether the file came whole.
    pub present: bool,
    /// Why it did not: what the server says, or what it did wrong.
    pub failure: Option<String>,
    /// The code of the server's error: 1 is no such file, 2 no permission.
    pub error_code: Option<u16>,
    /// The bytes that came.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// The SHA-256 digest of a file that came whole.
    pub sha256: Option<String>,
    /// What it is, told from its content: `pe`, `zboot`, `image`, `gzip`, `script` (of iPXE), ….
    pub content: Option<String>,
    /// The machine that a program or kernel is for: `arm64`, `amd64`, `i386`, ….
    pub arch: Option<String>,
    /// What the server granted of what was asked for.
    pub options: Options,
    /// Whether the server refused to hear of options, and was asked again without.
    pub without_options: bool,
    /// The blocks it took.
    pub blocks: u64,
    /// How often something had to be sent again: packets were lost, or the server is slow.
    #[schemars(extend("x-volatile" = true))]
    pub retransmissions: u64,
    /// Blocks that came again, or out of order.
    #[schemars(extend("x-volatile" = true))]
    pub duplicates: u64,
    /// Packets that came from another address or port than the transfer's; each was refused.
    #[schemars(extend("x-volatile" = true))]
    pub strangers: u64,
    /// What is odd: a size that is not the one the server announced.
    pub problems: Vec<String>,
}

/// What was agreed on; nothing of what the server did not grant.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// Bytes of a block; 512 where nothing stands here.
    pub blksize: Option<u16>,
    /// The file's size, as the server announces it.
    #[schemars(extend("x-unit" = "bytes"))]
    pub tsize: Option<u64>,
    /// Blocks before an answer; 1 where nothing stands here.
    pub windowsize: Option<u16>,
    /// Seconds after which the server sends again.
    #[schemars(extend("x-unit" = "seconds"))]
    pub timeout: Option<u8>,
}

impl Kind for TheKind {
    const NAME: &'static str = "tftp";
    const SUMMARY: &'static str = "a file on a TFTP server, fetched as firmware would";
    const MAIN: Option<&'static str> = Some("url");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the boot file is there, and for ARM64
  tftp: tftp://10.0.0.1/ipxe-arm64.efi
  expect:
    present: true
    arch: arm64
    options: { blksize: { ge: 1024 }, tsize: { present: true } }
    problems: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &["present", "size", "sha256", "content", "arch"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        let url = parsed(&args.url)?;
        if url.scheme() != "tftp" {
            let what = format!(
                "`{}` does not begin with `tftp://`",
                url.scheme().escape_debug()
            );
            return Err(ProbeError::new(what).remedy("write tftp://HOST/FILE"));
        }
        if args
            .blksize
            .is_some_and(|size| !(8..=LARGEST).contains(&size))
        {
            return Err(ProbeError::new(format!("`blksize` is from 8 to {LARGEST}")));
        }
        if args.windowsize == Some(0) || args.resend == Some(0) {
            return Err(ProbeError::new("`windowsize` and `resend` are at least 1"));
        }
        Ok(())
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let (server, file) = tftp::url::parse(&parsed(&args.url)?)?;
        let fetch = Fetch {
            server,
            file: &file,
            asked: asked(&args),
            max: Limits::default().max_decoded,
            deadline: context.deadline,
            cancel: context.cancel,
        };
        let failed = |error: std::io::Error| {
            ProbeError::new(format!("what came cannot be put away: {error}"))
        };
        let mut held = Temporary::new().map_err(failed)?;
        let got = tftp::get(&fetch, &mut |bytes| held.take(bytes).map(|()| true))?;
        let (source, digest) = held.finish().map_err(failed)?;
        let head = source.up_to(0, Content::HEAD);
        let head = head.map_err(|error| ProbeError::new(error.to_string()))?;
        let whole = got.whole;
        let mut problems = Vec::new();
        if let Some(announced) = got.agreed.tsize.filter(|size| whole && *size != got.size) {
            problems.push(format!(
                "the server announced {announced} bytes, and sent {}",
                got.size
            ));
        }
        let content = match crate::format::ipxe::is_script(&head) {
            true => "script",
            false => Content::detect(&head).name(),
        };
        Ok(Evidence {
            present: whole,
            error_code: match &got.stopped {
                Some(Stopped::Refused { code, .. }) => Some(*code),
                Some(Stopped::Wrong(_)) | None => None,
            },
            failure: got.stopped.as_ref().map(Stopped::shown),
            size: got.size,
            sha256: whole.then(|| digest.to_string()),
            content: whole.then(|| content.to_owned()),
            arch: boot_file::arch(&head).filter(|_| whole),
            options: Options::of(&got.agreed),
            without_options: got.without_options,
            blocks: got.blocks,
            retransmissions: got.retransmissions,
            duplicates: got.duplicates,
            strangers: got.strangers,
            problems,
        })
    }
}

fn parsed(url: &str) -> Result<Url, ProbeError> {
    Url::parse(url).map_err(|error| {
        let said = ProbeError::new(format!("`{}`: {error}", url.escape_debug()));
        said.remedy("write tftp://HOST/FILE")
    })
}

fn asked(args: &Args) -> Asked {
    let like = match args.like.as_deref() {
        Some("plain") => Asked::default(),
        Some("ipxe") => Asked::ipxe(),
        _ => Asked::edk2(),
    };
    Asked {
        blksize: args.blksize.or(like.blksize),
        windowsize: args.windowsize.or(like.windowsize),
        timeout: args.resend,
        tsize: like.tsize,
    }
}

impl Options {
    fn of(agreed: &Agreed) -> Self {
        Self {
            blksize: agreed.blksize,
            tsize: agreed.tsize,
            windowsize: agreed.windowsize,
            timeout: agreed.timeout,
        }
    }
}

impl From<TftpError> for ProbeError {
    fn from(error: TftpError) -> Self {
        let said = Self::new(error.to_string());
        let said = match &error {
            TftpError::NoAnswer { .. } => said.remedy(
                "see whether the server runs, and whether a firewall lets its answers through: they come from another port than 69",
            ),
            TftpError::Silent { .. } => said.remedy("see whether the server still runs"),
            TftpError::Address { .. } => said.remedy("write tftp://HOST/FILE"),
            TftpError::Late { .. }
            | TftpError::Interrupted
            | TftpError::Limit { .. }
            | TftpError::Local { .. } => said,
        };
        if error.is_transient() {
            said.transient()
        } else {
            said
        }
    }
}
