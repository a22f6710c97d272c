//! A walk as SVG: for wide pages the servers side by side, for narrow ones the steps one below the
//! other. What a text has room for is counted in columns of a monospaced font.

use super::svg::{LINE, Svg, wrap};
use crate::model::picture::{End, How, Step, Walk};
use crate::model::size::show_duration;
use std::time::Duration;

/// More servers than this share the last lane.
const LANES: usize = 5;

/// A server, in what it is to the machine.
struct Lane<'w> {
    role: &'static str,
    from: &'w str,
    x: f64,
}

/// Draws a walk twice; the page shows the one that fits. What has the id `told` describes it.
pub(super) fn draw(walk: &Walk, told: &str) -> String {
    let title = format!("The walk of {}: {}", walk.machine, summary(&walk.end));
    let wide = wide(walk).finish("wide", &title, told);
    let narrow = narrow(walk).finish("narrow", &title, told);
    format!("{wide}{narrow}")
}

/// Says in a few words where a walk ends.
pub(super) fn summary(end: &End) -> String {
    match end.how {
        How::Arrived => "a kernel starts".to_owned(),
        How::Elsewhere => format!("it ends elsewhere ({})", end.name),
        How::Stopped => match &end.stage {
            Some(stage) => format!("stopped by {} at {stage}", end.name),
            None => format!("stopped by {}", end.name),
        },
    }
}

fn role(step: &Step) -> &'static str {
    match (step.role.as_str(), step.protocol.as_str()) {
        ("proxy-dhcp" | "boot-server", _) => "ProxyDHCP",
        ("dhcp", _) => "DHCP",
        (_, "dhcp") => "DHCP",
        (_, "tftp") => "TFTP",
        (_, "http") => "HTTP",
        (_, "https") => "HTTPS",
        (_, _) => "server",
    }
}

/// What came, with its size and how long it took.
fn answer(step: &Step) -> String {
    let took = step
        .took
        .and_then(|took| Duration::try_from_secs_f64(took).ok());
    match took {
        Some(took) => {
            // A number stays on the line of its unit.
            let took = show_duration(took).replace(' ', "\u{a0}");
            format!("{} · {took}", step.answer())
        }
        None => step.answer(),
    }
}

/// The number of a step, those that are left out counted.
fn number(walk: &Walk, index: usize) -> String {
    let before = match walk.gap() {
        Some(gap) if index >= gap => walk.left_out,
        Some(_) | None => 0,
    };
    (index + 1 + before).to_string()
}

/// A file that was asked for did not come.
fn missed(step: &Step) -> bool {
    step.protocol != "dhcp" && step.size.is_none()
}

fn end_class(end: &End) -> &'static str {
    match end.how {
        How::Arrived => "arrived",
        How::Elsewhere => "elsewhere",
        How::Stopped => "stopped",
    }
}

const WIDE: f64 = 960.0;
/// Where the machine's line is.
const MACHINE: f64 = 110.0;
const ROW: f64 = 66.0;
/// How wide the heads of lines are, at most.
const BOX: f64 = 176.0;

fn lanes(walk: &Walk) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for step in &walk.steps {
        let (role, from) = (role(step), step.from.as_str());
        let known = lanes.iter().any(|l| l.role == role && l.from == from);
        if !known && lanes.len() < LANES {
            lanes.push(Lane { role, from, x: 0.0 });
        } else if !known && let Some(last) = lanes.last_mut() {
            (last.role, last.from) = ("others", "");
        }
    }
    let space = (WIDE - MACHINE - BOX / 2.0 - 4.0) / lanes.len().max(2) as f64;
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.x = MACHINE + space * (index as f64 + 1.0);
    }
    lanes
}

fn wide(walk: &Walk) -> Svg {
    let lanes = lanes(walk);
    let mut svg = Svg::new(WIDE, 13.0);
    let gap = walk.gap().map_or(0.0, |_| 30.0);
    let space = lanes.first().map_or(160.0, |lane| lane.x - MACHINE);
    let boxed = (space - 12.0).min(BOX);
    let all = lanes
        .iter()
        .map(|lane| (boxed, lane.role, lane.from, lane.x));
    let all: Vec<_> = all
        .chain([(BOX, "machine", walk.machine.as_str(), MACHINE)])
        .collect();
    let two =
        |(width, _, of, _): &(f64, _, &str, _)| wrap(of, svg.columns(width - 12.0), 2).len() > 1;
    let head = if all.iter().any(two) {
        50.0 + LINE
    } else {
        50.0
    };
    let top = 8.0 + head;
    let foot = top + 22.0 + ROW * walk.steps.len() as f64 + gap + 14.0;
    for lane in &lanes {
        svg.line("life", (lane.x, top), (lane.x, foot));
    }
    svg.line("life own", (MACHINE, top), (MACHINE, foot));
    for (width, name, of, x) in all {
        svg.rect("head", (x - width / 2.0, 8.0), (width, head));
        let room = svg.columns(width - 12.0);
        svg.middle("role in", (x, 28.0), name, room);
        svg.middle("of in", (x, 47.0), of, room);
    }
    let mut y = top + 22.0;
    let room = svg.columns(WIDE - MACHINE - 28.0);
    for (index, step) in walk.steps.iter().enumerate() {
        if walk.gap() == Some(index) {
            let more = format!("⋮ {} more", walk.left_out);
            svg.text("dim", (MACHINE + 14.0, y + 12.0), &more, room);
            y += gap;
        }
        let role = role(step);
        let lane = lanes
            .iter()
            .find(|lane| lane.role == role && lane.from == step.from);
        let lane = lane.or(lanes.last());
        let x = lane.map_or(WIDE - 80.0, |lane| lane.x);
        let shared = lane.is_some_and(|lane| lane.role == "others");
        let what = match shared {
            true => format!("{role} {}: {}", step.from, step.what),
            false => step.what.clone(),
        };
        let number = number(walk, index);
        svg.badge((MACHINE - 24.0, y + 22.0), &number);
        svg.text("asked", (MACHINE + 14.0, y + 14.0), &what, room);
        svg.arrow("ask", (MACHINE, y + 22.0), (x, y + 22.0));
        let class = if missed(step) { "miss" } else { "came" };
        svg.text(class, (MACHINE + 14.0, y + 42.0), &answer(step), room);
        svg.arrow(class, (x, y + 50.0), (MACHINE, y + 50.0));
        y += ROW;
    }
    ends(&mut svg, &walk.end, MACHINE, foot + 16.0);
    svg
}

/// Draws the end of the machine's line, and says there why it ends.
fn ends(svg: &mut Svg, end: &End, x: f64, y: f64) {
    let class = end_class(end);
    let left = x + 30.0;
    let room = svg.columns(svg.width - left - 22.0);
    let name = match &end.stage {
        Some(stage) => format!("{} ({stage})", end.name),
        None => end.name.clone(),
    };
    svg.line(&format!("own {class}"), (x, y - 16.0), (x, y - 10.0));
    svg.mark(class, (x, y), end.how == How::Stopped);
    svg.text(&format!("name {class}"), (left, y + 5.0), &name, room);
    let lines = svg.paragraph("why", (left, y + 25.0), &end.text, room, 6);
    let height = 34.0 + LINE * lines as f64;
    svg.rect(
        &format!("end {class}"),
        (left - 10.0, y - 16.0),
        (svg.width - left + 6.0, height),
    );
    svg.grow(y - 16.0 + height + 8.0);
}

const NARROW: f64 = 344.0;

fn narrow(walk: &Walk) -> Svg {
    let mut svg = Svg::new(NARROW, 12.0);
    let (line, left) = (14.0, 34.0);
    let room = svg.columns(NARROW - left - 6.0);
    svg.text(
        "role",
        (2.0, 18.0),
        &format!("machine: {}", walk.machine),
        room + 4,
    );
    let mut rows = Svg::new(NARROW, 12.0);
    let mut y = 44.0;
    for (index, step) in walk.steps.iter().enumerate() {
        if walk.gap() == Some(index) {
            rows.text("dim", (left, y), &format!("⋮ {} more", walk.left_out), room);
            y += 26.0;
        }
        let number = number(walk, index);
        rows.badge((line, y - 4.0), &number);
        rows.text(
            "role",
            (left, y),
            &format!("{} {}", role(step), step.from),
            room,
        );
        let came = if missed(step) { "miss" } else { "came" };
        for (class, arrow, said) in [("asked", "→", step.what.clone()), (came, "←", answer(step))]
        {
            rows.text(class, (left, y + LINE), arrow, 1);
            let at = (left + 2.0 * rows.cell(), y + LINE);
            y += LINE * rows.paragraph(class, at, &said, room - 2, 3).max(1) as f64;
        }
        y += 28.0;
    }
    svg.line("life own", (line, 28.0), (line, y));
    svg.append(&rows);
    ends(&mut svg, &walk.end, line, y + 8.0);
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_by_what_they_are_to_the_machine() {
        let step = |role: &str, protocol: &str, from: &str| Step {
            protocol: protocol.to_owned(),
            role: role.to_owned(),
            from: from.to_owned(),
            what: String::new(),
            came: String::new(),
            size: None,
            took: None,
        };
        let steps = vec![
            step("dhcp", "dhcp", "a"),
            step("proxy-dhcp", "dhcp", "a"),
            step("boot-server", "dhcp", "a"),
            step("tftp", "tftp", "a"),
            step("http", "http", "a"),
            step("http", "http", "b"),
        ];
        let end = End {
            how: How::Stopped,
            name: "loop".to_owned(),
            stage: None,
            text: String::new(),
        };
        let mut walk = Walk::new(String::new(), steps, end);
        let roles = |walk: &Walk| lanes(walk).iter().map(|l| l.role).collect::<Vec<_>>();
        assert_eq!(roles(&walk), ["DHCP", "ProxyDHCP", "TFTP", "HTTP", "HTTP"]);
        walk.steps.push(step("http", "http", "c"));
        assert_eq!(
            roles(&walk),
            ["DHCP", "ProxyDHCP", "TFTP", "HTTP", "others"]
        );
        assert!(
            lanes(&walk)
                .windows(2)
                .all(|pair| pair[1].x - pair[0].x > 140.0)
        );
        assert!(lanes(&walk).iter().all(|lane| lane.x < WIDE - BOX / 3.0));
    }
}
