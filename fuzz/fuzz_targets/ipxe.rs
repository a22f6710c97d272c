//! iPXE's scripts, carried out: the input is the script that every address leads to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::ipxe::{
    Bounds, Failed, Fetch, Loaded, Machine, Outcome, Script, Start, Step, evaluate, is_script,
};
use url::Url;

/// Gives the same bytes for every address, or what its last letter says.
struct Same<'b>(&'b [u8]);

impl Fetch for Same<'_> {
    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        match url.as_str().as_bytes().last() {
            Some(b'0') => Err(Failed::Refused("no".into())),
            Some(b'1') => Err(Failed::Unreachable("no".into())),
            Some(b'2') => Ok(Loaded::Other { content: "pe".into(), pe_machine: Some(0xaa64), size: None }),
            _ if is_script(self.0) => Ok(Loaded::Script(self.0.to_vec())),
            _ => Ok(Loaded::Other { content: "unknown".into(), pe_machine: None, size: Some(1) }),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let script = Script::parse(bytes);
    for (index, line) in script.lines().iter().enumerate() {
        assert!(line.commands().iter().flat_map(|c| &c.words).all(|word| !word.is_empty()));
        if let Some(label) = &line.label {
            assert!(script.find(label).is_some_and(|found| found <= index));
        }
    }
    let settings = [("buildarch", "arm64"), ("mac", "52:54:00:12:34:56"), ("ip", "10.0.0.7")];
    let machine = Machine {
        settings: settings.map(|(n, v)| (n.to_owned(), v.to_owned())).into_iter().collect(),
        ..Machine::default()
    };
    // Most loops show what is in them soon; some inputs are walked further, and twice.
    let far = bytes.len() % 64 == 0;
    let steps = if far { 500 } else { 40 };
    let bounds = Bounds { steps, depth: 5, fetches: 50, ..Bounds::default() };
    let start = Start::Script { name: "it".into(), bytes: bytes.to_vec(), base: Url::parse("http://h/").ok() };
    let walk = evaluate(&start, &machine, &mut Same(bytes), &bounds);
    assert!(walk.steps.len() <= bounds.steps);
    let kept = |step: &Step| {
        let said = step.failed.iter().chain(&step.note).map(String::len).sum::<usize>();
        step.script.len() + step.command.len() + said
    };
    // One command more may have been kept than there was room for.
    assert!(walk.steps.iter().map(kept).sum::<usize>() <= bounds.kept + (1 << 20));
    assert!(walk.settings.values().map(String::len).sum::<usize>() <= 4 << 20);
    if let Outcome::Boot(kernel) = &walk.outcome {
        // Nothing starts that was not fetched, and nothing that no UEFI of the machine would start.
        assert!(kernel.url.ends_with('2') && kernel.pe_machine == Some(0xaa64), "{kernel:?}");
    }
    if far {
        assert_eq!(walk, evaluate(&start, &machine, &mut Same(bytes), &bounds));
    }
});
