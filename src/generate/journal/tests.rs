use super::*;

#[test]
fn a_torn_line_is_dropped_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    assert!(read(&path).unwrap().lines.is_empty());
    let journal = Journal::open(&path, "m").unwrap();
    journal.append(Record::LoopResumed).unwrap();
    journal.append(Record::LoopFinished).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let before = read(&path).unwrap().lines.len();
        let journal = Journal::open(&path, "n").unwrap();
        journal.append(Record::LoopFinished).unwrap();
        let told = read(&path).unwrap();
        assert_eq!(told.lines.len(), before + 1, "cut at {cut}");
        assert_eq!(told.faults, [], "cut at {cut}");
    }
    std::fs::write(&path, [&whole[..], b"\0\0garbage\n", &whole].concat()).unwrap();
    let told = read(&path).unwrap();
    assert_eq!(told.lines.len(), 4);
    assert_eq!(told.faults.len(), 1);
    assert_eq!(told.faults[0].what, "line 3 is damaged");
}

#[test]
fn a_missing_line_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::open(&path, "m").unwrap();
    (0..5).for_each(|_| drop(journal.append(Record::LoopResumed).unwrap()));
    let text = std::fs::read_to_string(&path).unwrap();
    for gone in 0..4 {
        let left: Vec<&str> = text
            .lines()
            .enumerate()
            .filter(|(i, _)| *i != gone)
            .map(|(_, l)| l)
            .collect();
        let told = parse(format!("{}\n", left.join("\n")).as_bytes());
        let [fault] = &told.faults[..] else {
            panic!("{gone}: {:?}", told.faults);
        };
        assert_eq!(fault.after, gone);
        assert!(
            fault.what.ends_with("what was between is missing"),
            "{}",
            fault.what
        );
    }
    // Threads that append at once leave no gap.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope
                .spawn(|| (0..10).for_each(|_| drop(journal.append(Record::LoopResumed).unwrap())));
        }
    });
    let told = read(&path).unwrap();
    assert_eq!((told.lines.len(), told.faults.len()), (45, 0));
}
