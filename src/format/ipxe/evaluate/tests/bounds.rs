//! What never ends, and what a short script makes large.

use super::*;

#[test]
fn a_state_that_comes_again_is_a_loop_and_another_is_none() {
    for again in [
        "set x 1\n:a set x 2\nset x 1\ngoto a",
        "set x 1\n:a clear x\nset x 1\ngoto a",
        ":a menu m\nitem b\nchoose --keep c\ngoto a",
        "kernel k\n:a imgargs k b\ngoto a",
    ] {
        let seen = among(&format!("#!ipxe\n{again}\n"));
        assert!(
            matches!(seen.outcome, Outcome::Loop(_)),
            "{again}: {seen:?}"
        );
        assert!(seen.steps.len() < 20);
    }
    for other in [
        "menu\n:a item b\ngoto a",
        "menu\n:a item ${x}\ninc x\ngoto a",
        "kernel k\n:a inc x\nimgargs k ${x}\ngoto a",
        ":a inc x\nset y ${x}\ngoto a",
    ] {
        let seen = among(&format!("#!ipxe\n{other}\n"));
        assert!(
            matches!(seen.outcome, Outcome::Limit(_)),
            "{other}: {seen:?}"
        );
    }
}

#[test]
fn what_a_short_script_makes_large_has_bounds() {
    let doubled = "#!ipxe\nset x aaaaaaaa\n".to_owned() + &"set x ${x}${x}\n".repeat(12);
    let bounds = Bounds {
        read: 2 << 20,
        kept: 1 << 20,
        ..Bounds::default()
    };
    let limit = |script: &str| {
        let seen = bounded(script, &bounds);
        let kept: usize = seen.steps.iter().map(|step| step.command.len()).sum();
        assert!(kept <= bounds.kept, "{kept}");
        match seen.outcome {
            Outcome::Limit(why) => (seen.steps.len(), why),
            other => panic!("{other:?}"),
        }
    };
    // A line of many words, each of them large.
    let (_, why) = limit(&format!("{doubled}echo ${{x}} ${{x}}\n"));
    assert!(why.contains("becomes endless"), "{why}");
    // Many lines, and many items of a menu.
    for large in ["echo ${x}", "item ${x}"] {
        let (steps, why) = limit(&format!("{doubled}menu\n:a inc n\n{large}\ngoto a\n"));
        assert!(why.contains("bytes of commands") && steps < 150, "{why}");
    }
    // Values that are looked up and are nothing as what they are looked up as.
    let (steps, why) = limit(&format!("{doubled}:a inc n\necho ${{x:ipv4}}\ngoto a\n"));
    assert!(why.contains("becomes endless") && steps < 7_000, "{why}");
    // Lines that do nothing, gone through again and again; commands that do nothing.
    let idle = "#!ipxe\n:a inc n\n".to_owned() + &"# nothing\n".repeat(500) + "goto a\n";
    let (steps, why) = limit(&idle);
    assert!(why.contains("gone through") && steps < 200, "{why}");
    let idle = "#!ipxe\n:a inc n\n".to_owned() + &"; ".repeat(MAX_LINE / 2) + "\ngoto a\n";
    let (steps, why) = limit(&idle);
    assert!(why.contains("gone through") && steps < 100, "{why}");
    // A label that is searched far.
    let far = format!(
        "#!ipxe\n:b inc n\ngoto a\n{}:a goto b\n",
        "\n".repeat(90_000)
    );
    let (steps, why) = limit(&far);
    assert!(why.contains("gone through") && steps < 100, "{why}");
    let (_, why) = limit(&format!("#!ipxe{}", "\n".repeat(MAX_LINES + 1)));
    assert!(why.contains("100000 lines"), "{why}");
    let (_, why) = limit(&format!("#!ipxe\necho {}\n", "a".repeat(MAX_LINE)));
    assert!(why.contains("more than 65536 bytes"), "{why}");
}

/// Gives the same script for every address, until a time.
struct Large(String, std::time::Instant);

impl Fetch for Large {
    fn fetch(&mut self, _: &Url) -> Result<Loaded, Failed> {
        Ok(Loaded::Script(self.0.clone().into_bytes()))
    }

    fn over(&self) -> bool {
        std::time::Instant::now() >= self.1
    }
}

fn among_large(script: String, time: u64) -> Outcome {
    let start = Start::Script {
        name: "it".to_owned(),
        bytes: script.into_bytes(),
        base: Url::parse("http://h/").ok(),
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(time);
    let mut served = Large(format!("#!ipxe\n{}", "# nothing\n".repeat(10_000)), end);
    evaluate(&start, &machine(), &mut served, &Bounds::default()).outcome
}

#[test]
fn a_loop_among_large_images_costs_no_more_than_another() {
    let mut script = "#!ipxe\nset x:int32 0\n".to_owned();
    for number in 0..99 {
        script.push_str(&format!("imgfetch --name i{number} it\n"));
    }
    script.push_str(":top\ninc x\niseq ${x} 1000 || goto top\nexit\n");
    assert_eq!(among_large(script, 60), Outcome::Exit);
}

#[test]
fn a_walk_ends_when_its_time_does() {
    let counts = "#!ipxe\nset x:int32 0\n:top\ninc x\ngoto top\n";
    let Outcome::Limit(why) = among_large(counts.to_owned(), 0) else {
        panic!("it goes on");
    };
    assert!(why.contains("no time is left"), "{why}");
}
