//! The spec of a Talos-shaped initramfs of 60 MB, held against the shell way of asking the same.
//!
//! Run by hand: `tests/peers/fetch && cargo bench --bench initramfs`. Needs mksquashfs, unsquashfs,
//! cpio, zstd, file and GNU time. Both sides run in turn in one process tree; medians are printed,
//! and each ratio beside what it is meant to be at most. It fails no test: it tells.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

mod support;

use support::{ROUNDS, median, peak_memory, ratio, shell, time};

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    if !peers.join("complete").exists() {
        eprintln!("first: tests/peers/fetch");
        std::process::exit(2);
    }
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let image = build(&peers, &work);
    let size = fs::metadata(&image).map_or(0, |m| m.len());
    let whole = work.join("whole.yaml");
    let single = work.join("single.yaml");
    let checks = specs(&image, &whole, &single);

    // Both sides see the same page cache, and take turns.
    let (mut tdg, mut one, mut shell) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        tdg.push(time(run_tdg(&whole)));
        one.push(time(run_tdg(&single)));
        shell.push(time(shell_way(&image, &work.join("shell"))));
    }
    let (tdg, one, shell) = (median(tdg), median(one), median(shell));
    let (memory, elves) = (
        peak_memory(&["run", &whole.to_string_lossy()]),
        elf_files(&single),
    );
    let decoded = decoded_size(&image);

    println!(
        "an initramfs of {} MB, {} MB decoded, {elves} ELF files",
        size / 1_000_000,
        decoded / 1_000_000
    );
    println!("medians of {ROUNDS} rounds, in one run:");
    println!("  tdg, {checks} checks        {:>7.1} ms", ms(tdg));
    println!("  tdg, 1 check          {:>7.1} ms", ms(one));
    println!("  the shell way         {:>7.1} ms", ms(shell));
    println!("  peak memory of tdg    {:>7.1} MB", memory as f64 / 1e6);
    ratio("whole spec : shell way", ms(tdg) / ms(shell), 0.15);
    ratio("ELF headers : shell way", ms(one) / ms(shell), 0.08);
    ratio("whole spec : one check", ms(tdg) / ms(one), 1.3);
    ratio("memory : decoded size", memory as f64 / decoded as f64, 3.0);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn run_tdg(spec: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.arg("run").arg(spec).env("TDG_CACHE", "off");
    command
}

/// Splits the segments, unpacks everything and asks `file`, as a careful shell script does.
fn shell_way(image: &Path, scratch: &Path) -> Command {
    let script = r#"
        set -euo pipefail
        rm -rf "$2"; mkdir -p "$2/tree" "$2/root"; cd "$2"
        # zstd decodes all frames; cpio stops at each trailer and is called for every archive.
        zstd -dcq "$1" > all.cpio
        { while cpio -idmu --quiet -D tree 2>/dev/null; do :; done; } < all.cpio
        cd tree
        unsquashfs -q -n -f -d ../root rootfs.sqsh >/dev/null
        for n in $(seq 0 9); do unsquashfs -q -n -f -d ../root $n.sqsh >/dev/null; done
        find ../root -type f -print0 | xargs -0 file -N | grep -c 'ELF 64-bit.*aarch64'
    "#;
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(image).arg(scratch);
    command
}

fn sh(script: &str, arguments: &[&Path]) {
    let status = shell(script, arguments).stdout(Stdio::null()).status();
    assert!(status.expect("bash starts").success(), "{script} failed");
}

/// Makes the image from Debian's ARM64 programs, once.
fn build(peers: &Path, work: &Path) -> PathBuf {
    let image = work.join("initramfs-metal-arm64.xz");
    if image.exists() {
        return image;
    }
    fs::create_dir_all(work).expect("a folder for the benchmark");
    sh(
        r#"
        peers=$1; cd "$2"; rm -rf root ext base top; mkdir -p root ext base top
        cp -a "$peers/arm64/." root/
        mkdir -p root/usr/lib/modules
        modules=$(echo "$peers"/kernel/lib/modules/*)
        (cd "$modules" && find . -name '*.ko' | sort | head -n 420 | cpio -pdm --quiet "$OLDPWD/root/usr/lib/modules")
        mksquashfs root base/rootfs.sqsh -all-root -noappend -comp zstd -Xcompression-level 18 -no-progress
        printf 'layers:\n' > top/extensions.yaml
        for n in $(seq 0 9); do
          mkdir -p "ext/$n/usr/local/bin" "ext/$n/usr/local/share/doc"
          cp "$peers/arm64/bin/busybox" "ext/$n/usr/local/bin/tool-$n"
          echo "extension $n" > "ext/$n/usr/local/share/doc/$n"
          mksquashfs "ext/$n" "top/$n.sqsh" -all-root -noappend -comp zstd -no-progress
          printf '    - image: %s.sqsh\n      metadata:\n        name: ext-%s\n        version: v1.%s.0\n' $n $n $n >> top/extensions.yaml
        done
        printf '#!/bin/sh\n' > base/init; chmod 755 base/init
        (cd base && printf '.\ninit\nrootfs.sqsh\n' | cpio -o -H newc -R 0:0 --quiet | zstd -q -3) > initramfs.partial
        (cd top && find . -type f | sed 's,^\./,,' | sort | cpio -o -H newc -R 0:0 --quiet | zstd -q -3) >> initramfs.partial
        mv initramfs.partial initramfs-metal-arm64.xz
        "#,
        &[peers, work],
    );
    image
}

/// Writes a spec of many checks and one of a single check; gives how many are many.
fn specs(image: &Path, whole: &Path, single: &Path) -> usize {
    let head = format!("spec: a benchmark\nsubject: {}\nchecks:\n", image.display());
    let elf = "  - name: every program is for ARM64\n    elf: \"**\"\n    \
               expect: { count: { ge: 1000 }, files: { every: { machine: aarch64 } } }\n";
    fs::write(single, format!("{head}{elf}")).expect("a spec");
    let mut text = format!("{head}{elf}");
    text += "  - name: segments\n    initramfs:\n    expect: { segments: 2, \
             entries: { contain: [init, rootfs.sqsh, extensions.yaml, 9.sqsh] } }\n";
    text += "  - name: interpreters\n    elf: usr/bin/*\n    \
             expect: { files: { every: { interpreter: { resolves: true } } } }\n";
    text += "  - name: modules\n    elf: usr/lib/modules/**\n    \
             expect: { files: { every: { type: rel } } }\n";
    text += "  - name: world-writable\n    tree: usr/**\n    \
             expect: { entries: { none: { type: file, mode: { match: '[2367]$' } } } }\n";
    for n in 0..10 {
        text += &format!(
            "  - name: extension {n}\n    extension: ext-{n}\n    \
             expect: {{ present: true, version: {{ semver: '>=1.{n}' }}, \
             files: {{ contain: usr/local/bin/tool-{n} }} }}\n"
        );
        text += &format!(
            "  - name: tool {n}\n    file: usr/local/bin/tool-{n}\n    \
             expect: {{ mode: \"0755\", layer: ext-{n}, size: {{ ge: 1 MiB }} }}\n"
        );
        text += &format!(
            "  - name: static {n}\n    elf: usr/local/bin/tool-{n}\n    \
             expect: {{ count: 1, files: {{ every: {{ static: true }} }} }}\n"
        );
    }
    fs::write(whole, &text).expect("a spec");
    text.matches("- name:").count()
}

/// Gives the peak of resident memory, in bytes, as GNU time sees it.
fn elf_files(single: &Path) -> u64 {
    let image = fs::read_to_string(single).expect("a spec");
    let image = image.replace("count: { ge: 1000 }", "count: 0");
    let probe = single.with_file_name("count.yaml");
    fs::write(&probe, image).expect("a spec");
    let output = Command::new(env!("CARGO_BIN_EXE_tdg"))
        .args(["run", "--format", "json"])
        .arg(&probe)
        .output()
        .expect("tdg starts");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["trials"][0]["failures"][0]["actual"]
        .as_u64()
        .unwrap_or(0)
}

fn decoded_size(image: &Path) -> u64 {
    let output = Command::new("zstd")
        .arg("-dcq")
        .arg(image)
        .output()
        .expect("zstd starts");
    output.stdout.len() as u64
}
