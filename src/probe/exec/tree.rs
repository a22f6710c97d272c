//! Everything that one command started: found in `/proc`, ended, reaped.
//!
//! A process group misses a child that called `setsid`; a look at parents misses one whose parent
//! has gone. So four things are looked at together: the group and session, the parents, a word in
//! the environment that is unique to the command, and, because this process is a *child
//! subreaper* (prctl(2)), the orphans that the kernel hands to it.

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// The environment variable that marks what a command started, as `:outer:inner:`.
pub(super) const MARKER: &str = "TDG_TREE";

/// What `/proc/PID/stat` says of a process (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// Clock ticks after boot; with the pid, unique while the machine runs.
    started: u64,
    dead: bool,
}

fn process(pid: i32) -> Option<Process> {
    parse_stat(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    // The program's name may hold anything, brackets and spaces too; what counts is after the last.
    let close = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<i32>().ok();
    Some(Process {
        pid,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
    })
}

/// Lists every process that started at or after a time, this one left out.
fn processes_since(started: u64) -> Vec<Process> {
    let own = own_pid();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter_map(process)
        .filter(|p| p.started >= started)
        .collect()
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// Gives when this process started, in clock ticks after boot; 0 where `/proc` does not say.
pub(super) fn own_start() -> u64 {
    process(own_pid()).map_or(0, |p| p.started)
}

/// Tells whether a process carries one marker, its own or that of a command around it.
fn carries(pid: i32, marker: &str) -> bool {
    marker_of(pid).is_some_and(|all| all.contains(&format!(":{marker}:")))
}

fn marker_of(pid: i32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|b| *b == 0)
        .find_map(|pair| pair.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Gives the value of [`MARKER`] for a child: what is around this process, then the child's own.
pub(super) fn marker_value(marks: &[&str]) -> String {
    let outer = std::env::var(MARKER).unwrap_or_default();
    let mut value = if outer.is_empty() { ":".into() } else { outer };
    for mark in marks {
        value.push_str(mark);
        value.push(':');
    }
    value
}

/// Marks that every command gets, whoever starts it.
static MARKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Marks every command of this process until it is dropped.
#[derive(Debug)]
pub struct MarkAll(String);

/// Marks every command that this process starts from now on, so that a later process can find by
/// [`end_marked`] what this one left running when it was killed.
pub fn mark_all(mark: &str) -> MarkAll {
    marks().push(mark.to_owned());
    MarkAll(mark.to_owned())
}

pub(super) fn marks() -> MutexGuard<'static, Vec<String>> {
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for MarkAll {
    fn drop(&mut self) {
        let mut marks = marks();
        if let Some(at) = marks.iter().position(|m| *m == self.0) {
            marks.remove(at);
        }
    }
}

/// How long zombies that another process should reap are waited for.
const REAP: Duration = Duration::from_millis(100);

/// The commands that run now.
static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, Debug)]
struct Running {
    leader: i32,
    started: u64,
    /// It sweeps, or will no more: nothing can be left to it.
    ending: bool,
    /// It cleans up behind this process.
    outlives: bool,
}

fn running() -> MutexGuard<'static, Vec<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the process group of every command but those that clean up, without a wait: for a program that exits right after.
pub(super) fn kill_every_group() {
    for command in running().iter().filter(|command| !command.outlives) {
        let _ = killpg(Pid::from_raw(command.leader), Signal::SIGKILL);
    }
}

/// Makes orphaned descendants children of this process, once.
fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Where the kernel refuses, the markers still find what has been orphaned.
        let _ = nix::sys::prctl::set_child_subreaper(true);
    });
}

/// Everything that one command started.
#[derive(Debug)]
pub(super) struct Tree {
    leader: i32,
    started: u64,
    marker: String,
    known: HashSet<(i32, u64)>,
    /// Groups and sessions that a member leads or led.
    groups: HashSet<i32>,
}

impl Tree {
    /// Starts a command's first process by `spawn`, which gives its pid, and follows it.
    ///
    /// The process has to lead a process group of its own and to carry the marker.
    pub(super) fn start<T, E>(
        marker: &str,
        outlives: bool,
        spawn: impl FnOnce() -> Result<(T, u32), E>,
    ) -> Result<(T, Self), E> {
        adopt_orphans();
        // No sweep may look between fork and exec: the new process has no marker yet.
        let mut running = running();
        let (child, pid) = spawn()?;
        let leader = i32::try_from(pid).unwrap_or(0);
        let started = process(leader).map_or(0, |p| p.started);
        running.push(Running {
            leader,
            started,
            ending: false,
            outlives,
        });
        let tree = Self {
            leader,
            started,
            marker: marker.to_owned(),
            known: HashSet::from([(leader, started)]),
            groups: HashSet::from([leader]),
        };
        Ok((child, tree))
    }

    /// Looks at what there is now: remembers new members, reaps dead orphans, gives the living.
    pub(super) fn observe(&mut self) -> Vec<u32> {
        let running = running();
        let members = self.members(&running, false);
        let living = members.iter().filter(|p| !p.dead);
        living.filter_map(|p| u32::try_from(p.pid).ok()).collect()
    }

    /// Ends every member but the leader's zombie: asks first, kills after `grace`.
    ///
    /// Returns what could not be ended within `limit` (another user's process, or one that the
    /// kernel holds).
    pub(super) fn end(&mut self, grace: Duration, limit: Duration) -> Vec<u32> {
        for command in running().iter_mut() {
            command.ending |= command.leader == self.leader;
        }
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut asked: HashSet<i32> = HashSet::new();
        loop {
            let (living, unreaped) = {
                let running = running();
                let members = self.members(&running, true);
                // A zombie whose parent has just died is handed to us in the next round.
                let own = own_pid();
                let unreaped = members.iter().any(|p| p.dead && p.parent != own);
                let living: Vec<Process> = members.into_iter().filter(|p| !p.dead).collect();
                for member in &living {
                    let force = start.elapsed() >= grace;
                    let signal = if force {
                        Signal::SIGKILL
                    } else if asked.insert(member.pid) {
                        Signal::SIGTERM
                    } else {
                        continue;
                    };
                    // The pid may have gone to someone else since the list was made.
                    if process(member.pid).is_some_and(|now| now.started == member.started) {
                        let _ = kill(Pid::from_raw(member.pid), signal);
                        if !force {
                            // A stopped process sees the request only when it goes on.
                            let _ = kill(Pid::from_raw(member.pid), Signal::SIGCONT);
                        }
                    }
                }
                (living, unreaped)
            };
            if living.is_empty() && !(unreaped && start.elapsed() < grace.max(REAP)) {
                return Vec::new();
            }
            if start.elapsed() >= grace + limit {
                return living
                    .iter()
                    .filter_map(|p| u32::try_from(p.pid).ok())
                    .collect();
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Finds the members among all processes, and reaps the dead ones that were handed to us.
    ///
    /// `last`: nothing comes after this, so orphans that only ending commands could still claim
    /// are claimed too.
    fn members(&mut self, running: &[Running], last: bool) -> Vec<Process> {
        let own = own_pid();
        let all = processes_since(self.started);
        let mut member = vec![false; all.len()];
        for (i, p) in all.iter().enumerate() {
            member[i] = self.known.contains(&(p.pid, p.started))
                || self.in_groups(p)
                || (!p.dead && carries(p.pid, &self.marker))
                || (p.parent == own && self.is_stray(p, running, last));
        }
        loop {
            for (i, p) in all.iter().enumerate() {
                if member[i] {
                    self.known.insert((p.pid, p.started));
                    self.groups
                        .extend([p.group, p.session].iter().filter(|g| **g == p.pid));
                }
            }
            let pids: HashSet<i32> = all
                .iter()
                .zip(&member)
                .filter_map(|(p, is)| is.then_some(p.pid))
                .collect();
            let mut grew = false;
            for (i, p) in all.iter().enumerate() {
                if !member[i] && (pids.contains(&p.parent) || self.in_groups(p)) {
                    member[i] = true;
                    grew = true;
                }
            }
            if !grew {
                break;
            }
        }
        let members: Vec<Process> = all
            .into_iter()
            .zip(member)
            .filter_map(|(p, is)| is.then_some(p))
            .collect();
        for p in &members {
            if p.dead && p.parent == own && p.pid != self.leader {
                let _ = waitpid(Pid::from_raw(p.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
        members
    }

    fn in_groups(&self, p: &Process) -> bool {
        self.groups.contains(&p.group) || self.groups.contains(&p.session)
    }

    /// Tells whether a child of ours is an orphan that no other trace leads to.
    ///
    /// Such a process left its group and wiped its environment. Children that other code of this
    /// program started share our group. Where several commands could have started it, it is left
    /// to the last of them to end.
    fn is_stray(&self, p: &Process, running: &[Running], last: bool) -> bool {
        let others = || running.iter().filter(|r| r.leader != self.leader);
        p.group != getpgrp().as_raw()
            && !others().any(|r| r.leader == p.pid || r.leader == p.group)
            && !others().any(|r| !(last && r.ending) && r.started <= p.started)
            && (p.dead || marker_of(p.pid).is_none())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        running().retain(|r| r.leader != self.leader);
    }
}

/// Ends every process of this machine that carries a marker, with what it started since: what a
/// killed loop left running.
///
/// Returns how many were found and which of them could not be ended.
pub fn end_marked(marker: &str, limit: Duration) -> (usize, Vec<u32>) {
    let start = Instant::now();
    let mut found: HashSet<(i32, u64)> = HashSet::new();
    loop {
        let all = processes_since(0);
        let marked: HashSet<i32> = all
            .iter()
            .filter(|p| !p.dead && carries(p.pid, marker))
            .map(|p| p.pid)
            .collect();
        let own = own_pid();
        for p in all.iter().filter(|p| p.dead && p.parent == own) {
            if found.contains(&(p.pid, p.started)) {
                let _ = waitpid(Pid::from_raw(p.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
        let living: Vec<&Process> = all
            .iter()
            .filter(|p| !p.dead)
            .filter(|p| {
                marked.contains(&p.pid)
                    || marked.contains(&p.parent)
                    || marked.contains(&p.session)
                    || found.contains(&(p.pid, p.started))
            })
            .collect();
        if living.is_empty() {
            return (found.len(), Vec::new());
        }
        if start.elapsed() > limit {
            let left = living.iter().filter_map(|p| u32::try_from(p.pid).ok());
            return (found.len(), left.collect());
        }
        for p in living {
            found.insert((p.pid, p.started));
            let _ = kill(Pid::from_raw(p.pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = b"77 (a) Z 1 (b) S 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9000 1 2";
        let p = parse_stat(77, stat).unwrap();
        assert_eq!((p.parent, p.group, p.session, p.started), (5, 6, 7, 9000));
        assert!(!p.dead);
        assert!(parse_stat(1, b"1 (x) S 5").is_none());
    }

    #[test]
    fn this_process_is_in_proc() {
        assert!(own_start() > 0);
        assert!(marker_value(&["a", "b"]).ends_with(":a:b:"));
    }
}
