//! Looking into images without a spec, held against the tools that unpack them.
//!
//! Run by hand: `tests/peers/fetch && cargo bench --bench initramfs --bench look`. Needs what the
//! other benchmark needs (whose initramfs it takes), and sfdisk, mkfs.vfat and mcopy. Both sides run
//! in turn in one process tree; medians are printed, and each ratio beside what it is meant to be at
//! most. It fails no test: it tells.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

mod support;

use support::{ROUNDS, median, peak_memory, shell, time};

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let initramfs = work.join("initramfs-metal-arm64.xz");
    if !initramfs.exists() {
        eprintln!("first: cargo bench --bench initramfs");
        std::process::exit(2);
    }
    println!("medians of {ROUNDS} rounds, in one run:");
    listing(&initramfs);
    one_file(&work);
    raw_disk(&work, &initramfs);
    compressed_disk(&work);
    one_path_of_a_million(&work);
    two_images(&work);
    many_checks(&work, &initramfs);
}

/// Every entry of every segment against decompressing it and throwing it away.
fn listing(initramfs: &Path) {
    let zstd = || shell("zstd -dcq \"$1\" > /dev/null", &[initramfs]);
    let tdg = || tdg(&["ls", "-R", &initramfs.to_string_lossy()]);
    let (tdg, zstd) = race(tdg, zstd);
    println!("\nlisting an initramfs of {} MB", megabytes(initramfs));
    show("tdg ls -R", tdg);
    show("zstd -dc", zstd);
    ratio("tdg : zstd", tdg, zstd, 1.5);
}

/// One file of a large squashfs image.
fn one_file(work: &Path) {
    let image = work.join("large.sqsh");
    if !image.exists() {
        script(
            r#"
            cd "$1"; rm -rf large; mkdir -p large/usr/share/noise; cp -a root/. large/
            for n in $(seq 160); do head -c 1000000 /dev/urandom > "large/usr/share/noise/$n"; done
            mksquashfs large large.partial -all-root -noappend -comp zstd -Xcompression-level 3 -no-progress
            mv large.partial large.sqsh
            "#,
            &[work],
        );
    }
    let address = format!("{}!/usr/bin/containerd", image.display());
    let cat = || tdg(&["cat", &address]);
    let this = || unsquashfs(work, &image, "usr/bin/containerd");
    let all = || unsquashfs(work, &image, "");
    let (mut ours, mut theirs, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(time(cat()));
        theirs.push(time(this()));
        whole.push(time(all()));
    }
    let (ours, theirs, whole) = (median(ours), median(theirs), median(whole));
    println!("\none file of a squashfs image of {} MB", megabytes(&image));
    show("tdg cat", ours);
    show("unsquashfs of that file", theirs);
    show("unsquashfs of it all", whole);
    ratio("tdg : that file", ours, theirs, 1.0);
    ratio("tdg : it all", ours, whole, 0.1);
}

fn unsquashfs(work: &Path, image: &Path, path: &str) -> Command {
    let script = "rm -rf \"$1/out\"; unsquashfs -q -n -d \"$1/out\" \"$2\" $3 > /dev/null";
    let mut command = Command::new("bash");
    command
        .args(["-c", script, "bash"])
        .arg(work)
        .arg(image)
        .arg(path);
    command
}

/// Memory, on a disk of 2 GB that holds the initramfs in a partition.
fn raw_disk(work: &Path, initramfs: &Path) {
    let disk = work.join("metal.raw");
    if !disk.exists() {
        script(
            r#"
            cd "$1"; rm -f metal.partial; truncate -s 2G metal.partial
            printf 'label: gpt\nstart=2048,size=2097152,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B,name=EFI\n' | sfdisk -q metal.partial
            mkfs.vfat -F 32 --offset 2048 metal.partial 1048576 > /dev/null
            mcopy -i metal.partial@@1M "$2" ::initramfs.xz
            mv metal.partial metal.raw
            "#,
            &[work, initramfs],
        );
    }
    let memory = peak_memory(&["tree", &disk.to_string_lossy()]);
    println!("\ntdg tree on a raw disk of {} MB", megabytes(&disk));
    println!(
        "  peak memory {:>27.1} MB  (at most 256)",
        memory as f64 / 1e6
    );
}

/// That disk, compressed as Talos does it, written out whole and asked for one
/// file.
fn compressed_disk(work: &Path) {
    let disk = work.join("metal.raw.xz");
    if !disk.exists() {
        script(
            "cd \"$1\"; xz -k -0 -T2 -c metal.raw > part.xz; mv part.xz metal.raw.xz",
            &[work],
        );
    }
    let whole = format!("{}!/", disk.display());
    let (ours, theirs) = race(
        || tdg(&["cat", "--timeout", "5m", &whole]),
        || shell("xz -dc -T2 \"$1\" > /dev/null", &[&disk]),
    );
    println!("\na compressed disk of {} MB", megabytes(&disk));
    show("tdg cat DISK!/", ours);
    show("xz -dc -T2", theirs);
    ratio("tdg : xz", ours, theirs, 1.05);
    let memory = peak_memory(&["cat", "--timeout", "5m", &whole]);
    println!(
        "  peak memory {:>27.1} MB  (at most 256)",
        memory as f64 / 1e6
    );
}

/// One path of an image of a million entries against one of ten.
fn one_path_of_a_million(work: &Path) {
    let (few, many) = (work.join("few.sqsh"), work.join("million.sqsh"));
    if !many.exists() {
        script(
            r#"
            cd "$1"; rm -rf few many; mkdir -p few/d0/e0 many
            for n in 0 1 2 3 4 5 6 7 8 9; do echo $n > few/d0/e0/f$n; done
            mksquashfs few few.partial -all-root -noappend -comp zstd -no-progress
            mv few.partial few.sqsh
            python3 - many <<'END'
            import os, sys
            for d in range(100):
                for e in range(10):
                    folder = f"{sys.argv[1]}/d{d}/e{e}"
                    os.makedirs(folder)
                    for f in range(1000):
                        open(f"{folder}/f{f}", "w").write(f"{f % 10}\n")
            END
            mksquashfs many million.partial -all-root -noappend -comp zstd -no-progress
            rm -rf many; mv million.partial million.sqsh
            "#,
            &[work],
        );
    }
    let cat = |image: &Path, path: &str| tdg(&["cat", &format!("{}!/{path}", image.display())]);
    let (large, small) = race(|| cat(&many, "d57/e3/f777"), || cat(&few, "d0/e0/f7"));
    println!("\none path of a squashfs image of a million files");
    show("of a million", large);
    show("of ten", small);
    ratio("a million : ten", large, small, 2.0);
}

/// Two file systems, and two initramfs files that hold them, of 243 MB and 50,000
/// entries each, of which 40 differ; against unpacking both and `diff -r`.
fn two_images(work: &Path) {
    let folder = work.join("two");
    if !folder.exists() {
        script(
            r#"
            cd "$1"; rm -rf two.partial; mkdir -p two.partial; cd two.partial
            python3 - <<'END'
            import os, random
            random.seed(1)
            for d in range(200):
                os.makedirs(f"a/usr/share/d{d}")
                for f in range(250):
                    open(f"a/usr/share/d{d}/f{f}", "wb").write(random.randbytes(random.randrange(100, 4000)))
            os.makedirs("a/noise")
            for n in range(140):
                open(f"a/noise/{n}", "wb").write(random.randbytes(1000000))
            END
            cp -a a b
            for n in $(seq 0 7 139); do printf changed | dd of=b/noise/$n conv=notrunc status=none; done
            for d in $(seq 0 10 199); do echo text > b/usr/share/d$d/f3; done
            for side in a b; do
              mksquashfs $side $side.sqsh -all-root -noappend -comp zstd -Xcompression-level 1 -no-progress
              rm -r $side; mkdir $side; mv $side.sqsh $side/rootfs.sqsh
              (cd $side; echo rootfs.sqsh | cpio -o -H newc --quiet | zstd -q -1) > $side.initramfs
              mv $side/rootfs.sqsh $side.sqsh; rmdir $side
            done
            cd ..; mv two.partial two
            "#,
            &[work],
        );
    }
    println!("\ntwo images of 243 MB, 50,000 entries, 40 of which differ");
    for kind in ["sqsh", "initramfs"] {
        let [a, b] = ["a", "b"].map(|side| folder.join(format!("{side}.{kind}")));
        let arguments = ["diff", &a.to_string_lossy(), &b.to_string_lossy()].map(str::to_owned);
        let arguments = arguments.each_ref().map(String::as_str);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(support::time_of(tdg(&arguments), 1));
        }
        show(&format!("tdg diff, {kind}"), median(times));
        let memory = support::peak_memory_of(&arguments, 1);
        println!(
            "  peak memory {:>27.1} MB  (at most 300)",
            memory as f64 / 1e6
        );
    }
    let both = r#"
        cd "$1"; rm -rf x y
        unsquashfs -q -n -d x a.sqsh > /dev/null; unsquashfs -q -n -d y b.sqsh > /dev/null
        ! diff -rq x y > /dev/null; rm -rf x y
        "#;
    let times = (0..3).map(|_| time(shell(both, &[&folder]))).collect();
    show("unsquashfs twice, diff -rq", median(times));
}

/// Ten thousand checks on one image against one.
fn many_checks(work: &Path, initramfs: &Path) {
    let spec = |name: &str, count: usize| -> PathBuf {
        let mut text = format!("spec: {name}\nsubject: {}\nchecks:\n", initramfs.display());
        for n in 0..count {
            text.push_str(&format!(
                "  - name: check {n}\n    file: usr/bin/containerd\n    expect: {{ present: true, size: {{ ge: {n} }} }}\n"
            ));
        }
        let path = work.join(format!("{name}.yaml"));
        fs::write(&path, text).expect("a spec is written");
        path
    };
    let (ten_thousand, one) = (spec("ten-thousand", 10_000), spec("one", 1));
    let run = |spec: &Path| tdg(&["run", "-q", &spec.to_string_lossy()]);
    let (many, single) = race(|| run(&ten_thousand), || run(&one));
    println!("\nchecks on one initramfs");
    show("10,000 checks", many);
    show("1 check", single);
    let each = many.saturating_sub(single).as_secs_f64() * 1e6 / 10_000.0;
    println!("  each further check {each:>20.1} µs");
}

fn tdg(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.args(arguments).env("TDG_CACHE", "off");
    command
}

/// Runs two commands in turn; gives the medians.
fn race(ours: impl Fn() -> Command, theirs: impl Fn() -> Command) -> (Duration, Duration) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        left.push(time(ours()));
        right.push(time(theirs()));
    }
    (median(left), median(right))
}

fn show(what: &str, time: Duration) {
    println!("  {what:<26} {:>9.1} ms", time.as_secs_f64() * 1000.0);
}

fn ratio(what: &str, ours: Duration, theirs: Duration, at_most: f64) {
    support::ratio(what, ours.as_secs_f64() / theirs.as_secs_f64(), at_most);
}

fn megabytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len()) / 1_000_000
}

fn script(text: &str, arguments: &[&Path]) {
    // Here-documents in it end at the margin.
    let margin = " ".repeat(12);
    let text: String = text
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix(&margin).unwrap_or(line)))
        .collect();
    let status = shell(&text, arguments)
        .stdout(Stdio::null())
        .status()
        .expect("bash starts");
    assert!(status.success(), "{text} failed");
}
