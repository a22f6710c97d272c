use super::super::expected::Expected;
use super::super::inputs::Inputs;
use super::super::journal::Line;
use super::*;

fn line(second: u64, record: Record) -> Line {
    Line {
        version: 1,
        seq: 0,
        at: format!("2026-01-02T03:{:02}:{:02}Z", second / 60, second % 60),
        mark: "m".into(),
        record,
    }
}

fn began(second: u64, stage: Stage) -> Line {
    let variant = "v".to_owned();
    line(second, Record::StageStarted { variant, stage })
}

fn ended(second: u64, stage: Stage) -> Line {
    line(
        second,
        Record::StageFinished {
            variant: "v".into(),
            stage,
            inputs: Inputs::default(),
            success: Success::default(),
        },
    )
}

fn told(lines: Vec<Line>) -> Told {
    Told {
        lines,
        ..Told::default()
    }
}

fn begin_loop(second: u64, number: u32) -> Line {
    line(
        second,
        Record::LoopStarted {
            number,
            recipe: "r".into(),
            law: std::collections::BTreeMap::new(),
        },
    )
}

fn attempt(second: u64, attempt: u32) -> Line {
    let variant = "v".to_owned();
    line(second, Record::AttemptStarted { variant, attempt })
}

fn attempt_ended(second: u64) -> Line {
    line(
        second,
        Record::AttemptFinished {
            variant: "v".into(),
            attempt: 1,
            inputs: String::new(),
            failures: String::new(),
            spent_ms: 0,
            loop_ms: 0,
        },
    )
}

#[test]
fn each_stage_has_its_time_and_its_end() {
    let history = History::of(&told(vec![
        begin_loop(0, 1),
        attempt(0, 1),
        began(0, Stage::Patch),
        ended(2, Stage::Patch),
        began(2, Stage::Build),
        attempt_ended(65),
        attempt(66, 2),
        began(66, Stage::Build),
        line(70, Record::LoopResumed),
        attempt(70, 2),
        began(71, Stage::Build),
        ended(80, Stage::Build),
        line(81, Record::LoopFinished),
        begin_loop(100, 2),
    ]));
    let numbers: Vec<u32> = history.loops.iter().map(|l| l.number).collect();
    assert_eq!(numbers, [2, 1], "newest first");
    assert_eq!(history.loops[0].end, PastEnd::Open);
    let first = &history.loops[1];
    assert_eq!((first.end, first.resumed), (PastEnd::Finished, 1));
    assert_eq!(first.duration_s, 81.0);
    let attempts = &first.variants[0].attempts;
    let seen = |a: &PastAttempt| -> Vec<(Stage, StageOutcome, Option<f64>)> {
        let of = |s: &PastStage| (s.stage, s.end, s.duration_s);
        a.stages.iter().map(of).collect()
    };
    assert_eq!(attempts.len(), 2, "one that is gone on with is one");
    assert_eq!(
        seen(&attempts[0]),
        [
            (Stage::Patch, StageOutcome::Done, Some(2.0)),
            (Stage::Build, StageOutcome::Failed, Some(63.0)),
        ]
    );
    assert_eq!(
        seen(&attempts[1]),
        [
            (Stage::Build, StageOutcome::BrokeOff, None),
            (Stage::Build, StageOutcome::Done, Some(9.0)),
        ]
    );
}

#[test]
fn what_is_expected_is_the_median_of_what_succeeded() {
    let mut lines = Vec::new();
    for (nth, took) in [5, 1, 9].into_iter().enumerate() {
        let at = 100 * nth as u64;
        lines.extend([
            begin_loop(at, 1),
            began(at, Stage::Build),
            ended(at + took, Stage::Build),
        ]);
    }
    // One that broke off, and a clock that was set back, say nothing.
    lines.extend([began(400, Stage::Build), line(401, Record::LoopResumed)]);
    lines.extend([ended(450, Stage::Build), began(470, Stage::Build)]);
    lines.push(ended(460, Stage::Build));
    let expected = Expected::of(&told(lines));
    let build = expected.median("v", Stage::Build);
    assert_eq!(build, Some(Duration::from_secs(5)));
    assert_eq!(expected.median("v", Stage::Verify), None);
    assert_eq!(expected.median("w", Stage::Build), None);
}
