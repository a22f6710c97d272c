//! What bzip2, lzma and lzop write.

use tdg::format::kernel::Kernel;
use tdg::format::{Budget, Compression, FormatError, Limits, stream};

use crate::images::{Random, pipe};
use crate::peers::peer;
use crate::world::World;

/// Each tool in each way that makes another file.
const WAYS: [(&str, &[&str], Compression); 12] = [
    ("bzip2", &["-1"], Compression::Bzip2),
    ("bzip2", &["-9"], Compression::Bzip2),
    ("xz", &["--format=lzma", "-0"], Compression::Lzma),
    ("xz", &["--format=lzma", "-9e"], Compression::Lzma),
    (
        "xz",
        &["--format=lzma", "--lzma1=lc=0,lp=2,pb=0,dict=1MiB"],
        Compression::Lzma,
    ),
    ("lzop", &["-1"], Compression::Lzo),
    ("lzop", &["-3"], Compression::Lzo),
    ("lzop", &["-7"], Compression::Lzo),
    ("lzop", &["-9"], Compression::Lzo),
    ("lzop", &["-F"], Compression::Lzo),
    ("lzop", &["--crc32"], Compression::Lzo),
    ("lzop", &["-CC"], Compression::Lzo),
];

fn compress(program: &str, way: &[&str], data: &[u8]) -> Option<Vec<u8>> {
    let tool = peer(program)?;
    let arguments = [way, &["-c"]].concat();
    Some(pipe(&tool, &std::env::temp_dir(), &arguments, data))
}

/// Data that compress well, a little, and not at all.
fn samples() -> Vec<Vec<u8>> {
    let mut random = Random::new(11);
    let noise: Vec<u8> = (0..40_000)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    vec![
        Vec::new(),
        b"x".to_vec(),
        vec![0; 700_000],
        random.bytes(1_000_000),
        b"some words and the same words again, ".repeat(9000),
        noise,
    ]
}

#[test]
fn every_way_to_compress_gives_the_data_back() {
    for (program, way, compression) in WAYS {
        if way.contains(&"--lzma1=lc=0,lp=2,pb=0,dict=1MiB") {
            // Only this one has other parameters than the usual ones, and so another first byte:
            // the kernel does not know it by that, and neither is it told apart here.
            let Some(packed) = compress(program, way, b"it") else {
                return;
            };
            assert_eq!(Compression::detect(&packed), Compression::None);
        }
        for data in samples() {
            let Some(packed) = compress(program, way, &data) else {
                return;
            };
            let room = || Budget::of(data.len() as u64);
            let follow = [&packed[..], b"070701 and so on"].concat();
            let member = stream::decode_member(compression, &follow, &mut room()).unwrap();
            assert!(
                member.data == data,
                "{program} {way:?}: {} bytes",
                data.len()
            );
            assert_eq!(member.consumed, packed.len(), "{program} {way:?}");
            if !data.is_empty() {
                let mut little = Budget::of(data.len() as u64 - 1);
                let error = stream::decode_member(compression, &packed, &mut little).unwrap_err();
                assert!(
                    matches!(error, FormatError::Limit { .. }),
                    "{program} {way:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn several_members_are_one_file_and_a_cut_one_is_none() {
    for (program, way, compression) in WAYS {
        let data = b"some words, and the same words again. ".repeat(40);
        let Some(one) = compress(program, way, &data) else {
            return;
        };
        if Compression::detect(&one) != compression {
            continue;
        }
        let budget = || Budget::of(1 << 20);
        let three = [&one[..], &one, &[0; 12], &one].concat();
        let all = stream::decode_all(compression, &three, &mut budget()).unwrap();
        assert!(all == data.repeat(3), "{program} {way:?}");
        let junk = [&one[..], b"junk"].concat();
        assert!(stream::decode_all(compression, &junk, &mut budget()).is_err());
        for cut in 0..one.len() {
            let error = stream::decode_member(compression, &one[..cut], &mut budget());
            let error = error.expect_err("a member that is cut");
            assert!(
                matches!(error, FormatError::Truncated { .. }),
                "{program} {way:?} at {cut}: {error}"
            );
        }
        // LZMA has no checksum, and `-F` leaves out those of lzop.
        if compression == Compression::Lzma || way.contains(&"-F") {
            continue;
        }
        for at in 0..one.len() {
            let mut broken = one.clone();
            broken[at] ^= 0x10;
            if let Ok(member) = stream::decode_member(compression, &broken, &mut budget()) {
                assert!(
                    member.data == data,
                    "{program} {way:?}: a change of byte {at} is not seen"
                );
            }
        }
    }
}

#[test]
fn a_large_file_is_read_as_a_stream() {
    let mut random = Random::new(5);
    let data: Vec<u8> = (0..1_300_000)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    for (program, way) in [
        ("bzip2", &["-1"][..]),
        ("xz", &["--format=lzma", "-0"]),
        ("lzop", &[]),
    ] {
        let Some(packed) = compress(program, way, &data) else {
            return;
        };
        assert!(packed.len() > 8 << 20, "small files are not streamed");
        let world = World::new();
        world.write("it", &packed);
        let cat = world
            .command(&["cat", "it!/", "--timeout", "100s"])
            .output()
            .unwrap();
        assert!(
            cat.stdout == data,
            "{program}: {}",
            String::from_utf8_lossy(&cat.stderr)
        );
        world.write("it", &packed[..packed.len() - 10]);
        let cat = world
            .command(&["cat", "it!/", "--timeout", "100s"])
            .output()
            .unwrap();
        assert_eq!(cat.status.code(), Some(4), "{program}");
    }
}

#[test]
fn a_kernel_of_any_compression_tells_its_version() {
    let text = b"Linux version 6.1.0-x86 (builder) #1 SMP of an image";
    let image = [&vec![7; 5000][..], text, &[0; 5000]].concat();
    for (program, way, compression) in WAYS {
        let Some(mut payload) = compress(program, way, &image) else {
            return;
        };
        if Compression::detect(&payload) != compression {
            continue;
        }
        // The kernel's build puts the size behind it.
        payload.extend_from_slice(&u32::try_from(image.len()).unwrap().to_le_bytes());
        let kernel = Kernel::read(&bzimage(&payload), &Limits::default()).unwrap();
        assert_eq!(kernel.compression, compression);
        let banner = kernel.banner.unwrap_or_default();
        assert!(banner.contains("(builder)"), "{program} {way:?}: {banner}");
    }
}

/// A bzImage of boot protocol 2.15 around a payload.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 0x400];
    let paragraphs = payload.len().div_ceil(16);
    image[0x1f1] = 1;
    image[0x1f4..0x1f8].copy_from_slice(&u32::try_from(paragraphs).unwrap().to_le_bytes());
    image[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    image.extend_from_slice(payload);
    image.resize(0x400 + paragraphs * 16, 0);
    image
}
