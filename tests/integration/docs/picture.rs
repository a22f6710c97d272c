//! `docs/demo.svg`: what a newcomer must see of a real run of `tdg demo`, and nothing else.

use anstyle::{Color, RgbColor};
use anstyle_svg::{Palette, Term};

/// The lines of the run that are shown, by how they begin; each has to be there. Of a variant's
/// part only the first one is shown: they go the same way.
const SHOWN: &[&str] = &[
    "A small upstream builds",
    "tailscale extensions, in two",
    "spin-only, before any work",
    "spin-only, attempt",
    "  patch ",
    "  build ",
    "  verify ",
    "  fail ",
    "          present:",
    "          version:",
    "  remedy ",
    "           changed",
    "After ",
    "  green ",
];

/// Shortens a run: the lines of [`SHOWN`], a blank line before each part.
pub fn shorten(run: &str) -> String {
    let mut shown = vec!["\u{1b}[1m$ tdg demo\u{1b}[0m".to_owned()];
    let mut used = vec![false; SHOWN.len()];
    let mut second = false;
    for line in run.lines() {
        let plain = anstream::adapter::strip_str(line).to_string();
        second |= plain.contains("spin-tailscale: building");
        let end = plain.starts_with("After ") || plain.starts_with("  green ");
        if second && !end {
            continue;
        }
        let Some(index) = SHOWN.iter().position(|begin| plain.starts_with(begin)) else {
            continue;
        };
        used[index] = true;
        if plain.starts_with("spin-only,") {
            shown.push(String::new());
        }
        if plain.starts_with("After ") {
            shown.push("⋮".into());
        }
        shown.push(line.to_owned());
    }
    let unused: Vec<&str> = (SHOWN.iter().zip(used))
        .filter_map(|(begin, used)| (!used).then_some(*begin))
        .collect();
    assert!(unused.is_empty(), "the run has no such line: {unused:?}");
    shown.join("\n")
}

/// Draws it as a terminal of its own, which is legible on light and dark pages alike.
pub fn draw(text: &str) -> String {
    let rgb = |hex: u32| RgbColor((hex >> 16) as u8, (hex >> 8) as u8, hex as u8);
    let palette = Palette::from(PALETTE.map(rgb));
    let svg = Term::new()
        .palette(palette)
        .fg_color(Color::Rgb(rgb(0xe6edf3)))
        .bg_color(Color::Rgb(rgb(0x161b22)))
        .render_svg(text);
    // The frame keeps it apart from a page of its own colour; what is dimmed has to be read, too.
    svg.replace("opacity: 0.4", "opacity: 0.7").replace(
        "rx=\"4.5\" class=\"bg\" />",
        "rx=\"6\" class=\"bg\" stroke=\"#6e7681\" />",
    )
}

/// The sixteen colours of a terminal, chosen to be read on a dark ground.
const PALETTE: [u32; 16] = [
    0x484f58, 0xff7b72, 0x3fb950, 0xd29922, 0x58a6ff, 0xbc8cff, 0x39c5cf, 0xb1bac4, //
    0x6e7681, 0xffa198, 0x56d364, 0xe3b341, 0x79c0ff, 0xd2a8ff, 0x56d4dd, 0xf0f6fc,
];
