//! The documentation as files: its fenced blocks with what stands before them, its links.

use std::fs;
use std::path::PathBuf;

use regex::Regex;

use super::root;

/// The hand-written and the generated documentation.
pub fn files() -> Vec<String> {
    let mut files = vec!["README.md".to_owned()];
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    files.extend(
        names
            .filter(|n| n.ends_with(".md"))
            .map(|n| format!("docs/{n}")),
    );
    files.sort();
    files
}

/// A file of the documentation.
pub struct Document {
    /// Its path in the repository.
    pub name: String,
    /// Its lines.
    pub lines: Vec<String>,
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
}

/// A fenced block.
pub struct Block {
    /// The line of its opening fence, counted from 0.
    pub line: usize,
    /// The line of its closing fence.
    pub end: usize,
    /// What follows the opening fence.
    pub language: String,
    /// The comments right before it: `<!-- name: value -->`.
    directives: Vec<(String, String)>,
    /// What is between the fences.
    pub text: String,
}

impl Block {
    /// Gives the value of a directive; empty where it has none.
    pub fn says(&self, name: &str) -> Option<&str> {
        let found = self.directives.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

const DIRECTIVES: &[&str] = &[
    "any order",
    "exit",
    "file",
    "layout",
    "output",
    "run",
    "same as",
    "says",
    "work",
];

impl Document {
    pub fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut blocks = Vec::new();
        let mut directives = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let line = &lines[at];
            if let Some(language) = line.strip_prefix("```") {
                let end = (at + 1..lines.len())
                    .find(|i| lines[*i] == "```")
                    .unwrap_or_else(|| panic!("{name}:{}: a fence without its end", at + 1));
                blocks.push(Block {
                    line: at,
                    end,
                    language: language.to_owned(),
                    directives: std::mem::take(&mut directives),
                    text: lines[at + 1..end].join("\n") + "\n",
                });
                at = end + 1;
                continue;
            }
            match comment(line) {
                Some((key, value)) if DIRECTIVES.contains(&key) => {
                    directives.push((key.to_owned(), value.to_owned()));
                }
                _ => assert!(
                    directives.is_empty(),
                    "{name}:{at}: a directive without a block"
                ),
            }
            at += 1;
        }
        Self {
            name: name.to_owned(),
            lines,
            blocks,
        }
    }

    /// Gives the value of a comment of the whole file.
    pub fn says(&self, name: &str) -> Option<&str> {
        let found = self.lines.iter().filter_map(|l| comment(l));
        found
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    }

    pub fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.name, block.line + 1)
    }
}

fn comment(line: &str) -> Option<(&str, &str)> {
    let inner = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    Some(inner.split_once(": ").unwrap_or((inner, "")))
}

/// The name GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let text = heading.trim_start_matches('#').trim();
    let text: String = text.chars().filter(kept).collect();
    text.to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_inside_the_documentation_leads_somewhere() {
    let link = Regex::new(r"(?s)\]\(([^)\s]+)\)").unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for name in files() {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            seen += 1;
            let (path, wanted) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => root().join(&name),
                path => {
                    let folder = PathBuf::from(&name).parent().unwrap().to_owned();
                    root().join(folder).join(path)
                }
            };
            if !file.exists() {
                wrong.push(format!("{name}: {target}: there is no such file"));
            } else if !wanted.is_empty() {
                let text = fs::read_to_string(&file).unwrap();
                let mut headings = text.lines().filter(|l| l.starts_with('#'));
                if !headings.any(|h| anchor(h) == wanted) {
                    wrong.push(format!("{name}: {target}: there is no such heading"));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} links were seen");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
