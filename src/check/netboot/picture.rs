//! From evidence to a walk that can be drawn.

use crate::model::picture::{End, How, Picture, Step, Walk};
use serde_json::Value;

/// Gives what was asked and what came, and where it ends.
pub(super) fn picture(args: &Value, evidence: &Value) -> Picture {
    let steps = evidence.get("steps").and_then(Value::as_array);
    let steps = steps.into_iter().flatten().map(step).collect();
    Picture::Walk(Walk::new(machine(args), steps, end(evidence)))
}

fn machine(args: &Value) -> String {
    let firmware = match args.get("firmware").and_then(Value::as_str) {
        Some("http") => "HTTP boot",
        Some("ipxe") => "iPXE",
        Some(_) | None => "PXE",
    };
    let mac = args.get("mac").and_then(Value::as_str);
    let parts = [Some(text(args, "arch")), Some(firmware), mac];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

fn step(step: &Value) -> Step {
    let owned = |key: &str| text(step, key).to_owned();
    Step {
        protocol: owned("protocol"),
        role: owned("role"),
        from: owned("from"),
        what: owned("what"),
        came: owned("came"),
        size: step.get("size").and_then(Value::as_u64),
        took: step.get("took").and_then(Value::as_f64),
    }
}

fn end(evidence: &Value) -> End {
    let reason = text(evidence, "reason");
    let kernel = evidence.get("kernel").map(|kernel| text(kernel, "url"));
    let fault = evidence.get("fault").and_then(Value::as_str);
    let (how, name, text) = match (fault, kernel) {
        (Some(fault), _) => (How::Stopped, fault, reason.to_owned()),
        (None, Some(url)) if !url.is_empty() => {
            let starts = format!("{url} starts: {}", text(evidence, "arguments"));
            (How::Arrived, text(evidence, "outcome"), starts)
        }
        (None, _) => (How::Elsewhere, text(evidence, "outcome"), reason.to_owned()),
    };
    let stage = evidence.get("stage").and_then(Value::as_str);
    End {
        how,
        name: name.to_owned(),
        stage: stage.map(str::to_owned),
        text,
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_walk_ends_where_the_evidence_says() {
        let args = json!({ "arch": "arm64", "mac": "52:54:00:12:34:56" });
        let drawn = |evidence: &Value| match picture(&args, evidence) {
            Picture::Walk(walk) => walk,
            Picture::Files(files) => panic!("{files:?}"),
        };
        let stopped = drawn(&json!({
            "steps": [{
                "protocol": "dhcp", "role": "proxy-dhcp", "from": "10.0.0.1",
                "what": "DISCOVER", "came": "no boot file", "size": null, "took": 0.5,
            }],
            "outcome": "stopped", "fault": "nothing-offered", "stage": "dhcp", "reason": "why",
        }));
        assert_eq!(stopped.machine, "arm64, PXE, 52:54:00:12:34:56");
        assert_eq!(stopped.steps[0].role, "proxy-dhcp");
        assert_eq!(stopped.steps[0].took, Some(0.5));
        let end = &stopped.end;
        assert_eq!((end.how, &*end.name), (How::Stopped, "nothing-offered"));
        assert_eq!((end.stage.as_deref(), &*end.text), (Some("dhcp"), "why"));
        let boots = drawn(&json!({
            "steps": [], "outcome": "boot", "fault": null, "kernel": { "url": "http://h/kernel" },
            "arguments": "quiet", "reason": null,
        }));
        assert_eq!((boots.end.how, &*boots.end.name), (How::Arrived, "boot"));
        assert_eq!(boots.end.text, "http://h/kernel starts: quiet");
        let disk =
            drawn(&json!({ "outcome": "disk", "fault": null, "kernel": null, "reason": "a disk" }));
        assert_eq!((disk.end.how, &*disk.end.text), (How::Elsewhere, "a disk"));
    }
}
