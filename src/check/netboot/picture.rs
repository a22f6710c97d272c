//! A walk drawn for people.

use crate::model::size::show_size;
use serde_json::Value;

/// Steps that are drawn; more of them are a script that goes round.
const MOST: usize = 30;

/// Draws what was asked and what came, from above to below, and where it ends.
pub(super) fn draw(evidence: &Value) -> Vec<String> {
    let steps = evidence.get("steps").and_then(Value::as_array);
    let steps = steps.map(Vec::as_slice).unwrap_or_default();
    let hidden = steps.len().saturating_sub(MOST);
    let from = |step: &Value| text(step, "from").chars().count();
    let width = steps.iter().map(from).max().unwrap_or(0).min(40);
    let mut lines = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // The beginning says what was offered, the end what went wrong.
        if index == MOST / 2 && hidden > 0 {
            lines.push(format!("  ⋮    {hidden} more"));
        }
        if index >= MOST / 2 && index < MOST / 2 + hidden {
            continue;
        }
        let (protocol, host) = (text(step, "protocol"), text(step, "from"));
        lines.push(format!(
            "{protocol:<5}  {host:width$}  {}",
            text(step, "what")
        ));
        let size = step.get("size").and_then(Value::as_u64);
        let size = size.map(|size| format!(", {}", show_size(size)));
        lines.push(format!(
            "  │    {:width$}  {}{}",
            "",
            text(step, "came"),
            size.unwrap_or_default()
        ));
    }
    lines.push(end(evidence));
    lines
}

fn end(evidence: &Value) -> String {
    let reason = text(evidence, "reason");
    let kernel = evidence.get("kernel").map(|kernel| text(kernel, "url"));
    match (evidence.get("fault").and_then(Value::as_str), kernel) {
        (Some(fault), _) => format!("  ╳    {fault} ({}): {reason}", text(evidence, "stage")),
        (None, Some(url)) if !url.is_empty() => {
            format!("  ▼    {url} starts: {}", text(evidence, "arguments"))
        }
        (None, _) => format!("  ▼    {}: {reason}", text(evidence, "outcome")),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(protocol: &str, what: &str, came: &str, size: Option<u64>) -> Value {
        json!({ "protocol": protocol, "from": "10.0.0.1", "what": what, "came": came, "size": size })
    }

    #[test]
    fn a_walk_is_drawn_to_where_it_stops() {
        let steps = [
            step("dhcp", "DISCOVER of PXEClient", "boot file `x.efi`", None),
            step(
                "tftp",
                "tftp://10.0.0.1/x.efi",
                "ipxe, pe for amd64",
                Some(4096),
            ),
        ];
        let stopped = json!({
            "steps": steps, "outcome": "stopped", "fault": "wrong-architecture", "stage": "boot-file",
            "reason": "`x.efi` is for amd64",
        });
        let wanted = "\
dhcp   10.0.0.1  DISCOVER of PXEClient
  │              boot file `x.efi`
tftp   10.0.0.1  tftp://10.0.0.1/x.efi
  │              ipxe, pe for amd64, 4.0 KiB
  ╳    wrong-architecture (boot-file): `x.efi` is for amd64";
        assert_eq!(draw(&stopped).join("\n"), wanted);
        let boots = json!({
            "steps": [], "outcome": "boot", "fault": null, "kernel": { "url": "http://h/kernel" },
            "arguments": "quiet", "reason": null,
        });
        assert_eq!(draw(&boots), ["  ▼    http://h/kernel starts: quiet"]);
        let disk = json!({ "outcome": "disk", "fault": null, "kernel": null, "reason": "a disk" });
        assert_eq!(draw(&disk), ["  ▼    disk: a disk"]);
    }

    #[test]
    fn of_many_steps_the_first_and_the_last_are_drawn() {
        let steps: Vec<Value> = (0..100)
            .map(|n| step("http", &format!("step {n}."), "", None))
            .collect();
        let lines = draw(&json!({ "steps": steps, "outcome": "stopped", "fault": "loop" }));
        assert_eq!(lines.len(), 2 * MOST + 2);
        let all = lines.join("\n");
        assert!(all.contains("step 0.") && all.contains("step 99.") && all.contains("70 more"));
        assert!(!all.contains("step 50."));
    }
}
