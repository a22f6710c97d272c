//! Which refs of the upstream are meant, and their commits.

use super::super::error::GenerateError;
use super::super::recipe::Recipe;
use super::super::source;
use crate::image::Pattern;
use crate::probe::git::Git;
use std::cmp::Ordering;

/// A ref of the upstream that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) commit: String,
}

/// How many refs are fetched at once, and at most.
const AT_ONCE: usize = 200;
const MOST: usize = 2000;

/// Fetches what is wanted; gives it in the order of versions, each once.
pub(super) fn fetch(
    git: &Git,
    recipe: &Recipe,
    wanted: &[String],
) -> Result<Vec<Name>, GenerateError> {
    let address = source::address(recipe);
    let git = git.clone().network();
    let shown = || recipe.source.git.clone();
    let output = git.output(&[
        "ls-remote",
        "--tags",
        "--heads",
        "--refs",
        "--end-of-options",
        &address,
    ])?;
    if !output.success() {
        return Err(GenerateError::NoUpstream {
            upstream: shown(),
            words: output.stderr.text().trim().to_owned(),
        });
    }
    let text = output.stdout.text();
    let all: Vec<&str> = text
        .lines()
        .filter_map(|l| Some(l.split_once('\t')?.1))
        .collect();
    let of = |start: &str| -> Vec<String> {
        let mut names: Vec<String> = all
            .iter()
            .filter_map(|name| name.strip_prefix(start))
            .map(str::to_owned)
            .collect();
        names.sort_by(|a, b| versions(a, b));
        names
    };
    let (tags, heads) = (of("refs/tags/"), of("refs/heads/"));
    let mut refs: Vec<(String, String)> = Vec::new();
    let mut commits = Vec::new();
    for name in wanted {
        let found = chosen(name, &tags, &heads);
        if found.is_empty() && is_commit(name) {
            commits.push(name.clone());
        } else if found.is_empty() {
            return Err(GenerateError::NoRef {
                upstream: shown(),
                name: name.clone(),
            });
        }
        refs.extend(found);
    }
    let count = refs.len() + commits.len();
    if count > MOST {
        return Err(GenerateError::TooManyRefs { count, most: MOST });
    }
    bring(&git, &address, &refs, &commits)?;
    let mut names: Vec<Name> = Vec::new();
    let places = refs
        .iter()
        .map(|(kind, name)| (format!("refs/upstream/{kind}/{name}"), name));
    for (place, name) in places.chain(commits.iter().map(|c| (c.clone(), c))) {
        let Some(commit) = git.commit(&place)? else {
            return Err(GenerateError::NoRef {
                upstream: shown(),
                name: name.clone(),
            });
        };
        if !names.iter().any(|n| n.name == *name) {
            names.push(Name {
                name: name.clone(),
                commit,
            });
        }
    }
    Ok(names)
}

fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Gives what a name, a pattern or a range means: `tags` or `heads`, and the name.
fn chosen(wanted: &str, tags: &[String], heads: &[String]) -> Vec<(String, String)> {
    let tag = |name: &String| ("tags".to_owned(), name.clone());
    if tags.iter().any(|t| t == wanted) {
        return vec![("tags".into(), wanted.to_owned())];
    }
    if heads.iter().any(|h| h == wanted) {
        return vec![("heads".into(), wanted.to_owned())];
    }
    if let Some((from, to)) = wanted.split_once("..") {
        let place = |name: &str| tags.iter().position(|t| t == name);
        let (Some(from), Some(to)) = (place(from), place(to)) else {
            return Vec::new();
        };
        return tags
            .get(from..=to)
            .unwrap_or_default()
            .iter()
            .map(tag)
            .collect();
    }
    if !Pattern::is_pattern(wanted) {
        return Vec::new();
    }
    match Pattern::new(wanted) {
        Ok(pattern) => tags
            .iter()
            .filter(|t| pattern.matches(t))
            .map(tag)
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn bring(
    git: &Git,
    address: &str,
    refs: &[(String, String)],
    commits: &[String],
) -> Result<(), GenerateError> {
    let specs = refs
        .iter()
        .map(|(kind, name)| format!("+refs/{kind}/{name}:refs/upstream/{kind}/{name}"));
    let mut specs: Vec<String> = specs.collect();
    make_room(git, refs)?;
    for commit in commits {
        if git.commit(commit)?.is_none() {
            specs.push(commit.clone());
        }
    }
    for some in specs.chunks(AT_ONCE) {
        let mut arguments = vec![
            "fetch",
            "--quiet",
            "--force",
            "--no-tags",
            "--end-of-options",
            address,
        ];
        arguments.extend(some.iter().map(String::as_str));
        git.ok(&arguments)?;
    }
    Ok(())
}

/// Removes what was fetched earlier where it is in the way: a tag `v1` that went, and `v1/x` that
/// came.
fn make_room(git: &Git, refs: &[(String, String)]) -> Result<(), GenerateError> {
    let known = git.ok(&["for-each-ref", "--format=%(refname)", "refs/upstream/"])?;
    let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    for old in known.lines() {
        let in_the_way = refs.iter().any(|(kind, name)| {
            let new = format!("refs/upstream/{kind}/{name}");
            below(&new, old) || below(old, &new)
        });
        if in_the_way {
            git.ok(&["update-ref", "-d", old])?;
        }
    }
    Ok(())
}

/// Compares names as versions: numbers as numbers, and `1.0-rc1` before `1.0`.
fn versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.chars().next(), b.chars().next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(c)) => {
                return if c == '-' {
                    Ordering::Greater
                } else {
                    Ordering::Less
                };
            }
            (Some(c), None) => {
                return if c == '-' {
                    Ordering::Less
                } else {
                    Ordering::Greater
                };
            }
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let number = |text: &str| {
                    let end = text
                        .find(|c: char| !c.is_ascii_digit())
                        .unwrap_or(text.len());
                    let (digits, rest) = text.split_at(end);
                    let digits = digits.trim_start_matches('0').to_owned();
                    (digits.len(), digits, rest.len())
                };
                let (x, y) = (number(a), number(b));
                match (x.0, &x.1).cmp(&(y.0, &y.1)) {
                    Ordering::Equal => {}
                    other => return other,
                }
                a = a.get(a.len() - x.2..).unwrap_or("");
                b = b.get(b.len() - y.2..).unwrap_or("");
            }
            (Some(x), Some(y)) if x == y => {
                a = a.get(x.len_utf8()..).unwrap_or("");
                b = b.get(y.len_utf8()..).unwrap_or("");
            }
            (Some('-'), Some(_)) => return Ordering::Less,
            (Some(_), Some('-')) => return Ordering::Greater,
            (Some(x), Some(y)) => return x.cmp(&y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_went_makes_room_for_those_below_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [up, own] = ["up", "own"].map(|name| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            let git = Git::at(path);
            git.ok(&["init", "--quiet", "."]).unwrap();
            git
        });
        up.ok(&["commit", "--quiet", "--allow-empty", "-m", "start"])
            .unwrap();
        let address = up.folder().to_string_lossy().into_owned();
        for name in ["v1", "v1/x", "v1", "v10"] {
            if name != "v10" {
                let tags = up.ok(&["tag", "--list"]).unwrap();
                tags.lines()
                    .for_each(|t| drop(up.ok(&["tag", "-d", t]).unwrap()));
            }
            up.ok(&["tag", name]).unwrap();
            let refs = [("tags".to_owned(), name.to_owned())];
            bring(&own, &address, &refs, &[]).unwrap();
            let there = own.commit(&format!("refs/upstream/tags/{name}")).unwrap();
            assert!(there.is_some(), "{name}");
        }
        // Nothing else went.
        assert!(own.commit("refs/upstream/tags/v1").unwrap().is_some());
    }

    #[test]
    fn names_are_sorted_as_versions_and_chosen_by_name_pattern_and_range() {
        let mut tags: Vec<String> = [
            "v1.10.0",
            "v1.2.0",
            "v1.2.0-rc.1",
            "v0.9",
            "v1.2.0-alpha.10",
            "v1.2.0-alpha.9",
            "v1.2",
        ]
        .map(str::to_owned)
        .to_vec();
        tags.sort_by(|a, b| versions(a, b));
        let sorted = [
            "v0.9",
            "v1.2",
            "v1.2.0-alpha.9",
            "v1.2.0-alpha.10",
            "v1.2.0-rc.1",
            "v1.2.0",
            "v1.10.0",
        ];
        assert_eq!(tags, sorted);
        let heads = vec!["main".to_owned()];
        let names = |wanted: &str| -> Vec<String> {
            chosen(wanted, &tags, &heads)
                .into_iter()
                .map(|(_, n)| n)
                .collect()
        };
        assert_eq!(names("v1.2"), ["v1.2"]);
        assert_eq!(names("main"), ["main"]);
        assert_eq!(names("v1.2.0..v1.10.0"), ["v1.2.0", "v1.10.0"]);
        assert_eq!(names("v1.2.0-*").len(), 3);
        assert!(names("v2..v3").is_empty() && names("v1.10.0..v0.9").is_empty());
        assert!(names("nothing").is_empty());
    }
}
