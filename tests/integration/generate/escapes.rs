//! Remedies that go where they must not, by real programs: each is stopped, and the report says so.

use super::world::{World, git, patch, told};
use std::fs;
use std::time::{Duration, Instant};
use tdg::generate::RemedyEnd;
use tdg::probe::exec::Cancel;

#[test]
fn what_decides_is_put_back_and_the_loop_ends() {
    for (script, what) in [
        ("echo ok >specs/a.spec", "specs/a.spec was changed (undone)"),
        ("rm specs/a.spec", "specs/a.spec was removed (undone)"),
        ("echo >specs/new.spec", "specs/new.spec was added (undone)"),
        (
            "sed -i s/60s/61s/ tdg.yaml",
            "tdg.yaml was changed (undone)",
        ),
        ("echo changed >extra.txt", "extra.txt was changed (undone)"),
        (
            "chmod 600 specs/a.spec",
            "specs/a.spec was changed (undone)",
        ),
        ("sed -i s/v1/v2/ tdg.lock", "tdg.lock was changed (undone)"),
        (
            "mv specs ../away; ln -s ../away specs",
            "specs was changed (undone), specs/a.spec was removed (undone)",
        ),
        (
            "echo '[core] fsmonitor = touch pwned' >>.tdg/source.git/config",
            ".tdg/source.git/config was changed (undone)",
        ),
        (
            "mkdir -p .tdg/source.git/hooks; echo x >.tdg/source.git/hooks/post-checkout",
            ".tdg/source.git/hooks/post-checkout was added (undone)",
        ),
        (
            "echo /elsewhere >.tdg/source.git/objects/info/alternates",
            ".tdg/source.git/objects/info/alternates was added (undone)",
        ),
        (
            "sed -i s/default/de-fault/ .tdg/records/default.json",
            ".tdg/records/default.json was changed (undone)",
        ),
        (
            "echo arm64 >.tdg/work/default/out/image",
            ".tdg/work/default was changed (it is made anew)",
        ),
        (
            "git config core.hooksPath /elsewhere",
            ".git/config was changed (undone)",
        ),
        (
            "echo arm64 >_out/assets/image",
            "_out/assets/image was changed (left as it is)",
        ),
        ("echo x >notes.txt", "notes.txt was added (left as it is)"),
        (
            "echo '{\"version\":1}' >>.tdg/journal.jsonl",
            ".tdg/journal.jsonl had lines added (undone)",
        ),
        (
            "echo '{}' >.tdg/journal.jsonl",
            ".tdg/journal.jsonl was changed (could not be undone)",
        ),
    ] {
        let world = World::mended_by(&format!(
            "set -e\n{script}\nsed -i s/armv7/arm64/ patches/01.patch"
        ));
        world.write("project/extra.txt", "what a spec includes\n");
        git(&world.project(), &["init", "--quiet", "."]);
        let spec = world.read("project/specs/a.spec");
        let recipe = world.read("project/tdg.yaml");
        let told = world.run();
        let said = told.error();
        assert!(
            said.starts_with(&format!(
                "the remedy `./remedy` went out of its bounds: {what}"
            )),
            "{script}: {said}"
        );
        assert_eq!(told.result.as_ref().unwrap_err().exit_code(), 4);
        assert!(told.says("(refused: "), "{script}: {:?}", told.lines);
        assert_eq!(world.read("project/specs/a.spec"), spec, "{script}");
        assert_eq!(world.read("project/tdg.yaml"), recipe, "{script}");
        assert_eq!(world.read("project/extra.txt"), "what a spec includes\n");
        assert!(!world.path("project/specs/new.spec").exists());
        assert!(
            !fs::symlink_metadata(world.path("project/specs"))
                .unwrap()
                .is_symlink()
        );
        assert_eq!(
            world.read("project/patches/01.patch"),
            patch("amd64", "armv7")
        );
        let config = world.read("project/.tdg/source.git/config");
        assert!(!config.contains("pwned"), "{config}");
        // What is put back does not stand in the way of the next loop.
        world.remedy("true", "");
        if !script.contains("notes") {
            assert_eq!(world.run().ends()[0].1, "stuck", "{script}");
        }
    }
}

#[test]
fn what_leads_out_of_the_work_tree_is_refused_unread() {
    let outside = "project/specs/a.spec";
    for (script, what) in [
        (
            "ln -s /etc/passwd x",
            "x is a link that leads out, to /etc/passwd",
        ),
        (
            "mkdir d; ln -s ../../../../../specs/a.spec d/x",
            "d/x is a link that leads out",
        ),
        ("ln -s . d; ln -s d/../../x y", "y is a link that leads out"),
        (
            "rm word.txt; ln -s ../../../../tdg.yaml word.txt",
            "word.txt is a link that leads out",
        ),
        ("ln ../../../../remedy2 x", "x is a hard link"),
        ("mkfifo x", "x is a FIFO"),
        ("rm word.txt; mkfifo word.txt", "word.txt is a FIFO"),
        ("git init -q sub", "sub/.git is a repository of its own"),
        (
            "mkdir sub; echo 'gitdir: ../../x' >sub/.git",
            "sub/.git is a repository",
        ),
        (
            "rm -rf .git; echo 'gitdir: ../../../source.git' >.git",
            "`.git` of the work tree leads elsewhere",
        ),
        (
            "cd ..; mv tree gone; ln -s gone tree",
            "it is not a folder any more",
        ),
        (
            "cd ..; mv tree gone; cp -r gone tree",
            "the work tree is another folder now",
        ),
        (
            "head -c 20000000 /dev/zero >big",
            "big has more than 16777216 bytes",
        ),
    ] {
        let world = World::mended_by(&format!(
            "set -e\ncd $TDG_WORKTREE\n{script}\necho arm64 >>other.txt"
        ));
        world.write("project/.gitignore", "");
        // The hard link's other end is no part of the project: its own link count would tell.
        let script = script.replace(
            "../../../../remedy2",
            &world.path("secret").display().to_string(),
        );
        world.write("secret", "secret\n");
        world.remedy(
            &format!("set -e\ncd $TDG_WORKTREE\n{script}\n[ ! -d . ] || echo arm64 >>other.txt"),
            "",
        );
        let begin = Instant::now();
        let told = world.run();
        assert_eq!(told.ends(), [("default".into(), "stuck", 1)], "{script}");
        let did = told.did();
        assert_eq!(did.end, RemedyEnd::Refused, "{script}: {did:?}");
        assert!(did.why.contains(what), "{script}: {did:?}");
        assert!(told.outcome().variants[0].why.contains(what), "{script}");
        assert_eq!(world.read("project/patches/series"), "01.patch\n");
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{script} made it wait"
        );
        assert!(world.read(outside).contains("arm64"));
    }
}

#[test]
fn what_the_upstream_links_and_what_is_ignored_is_let_be() {
    let world = World::mended_by(
        "set -e; cd $TDG_WORKTREE; mkdir -p out; ln -s /usr/bin/env out/env; mkfifo out/p; echo arm64 >word.txt",
    );
    let upstream = world.path("upstream");
    std::os::unix::fs::symlink("/etc/os-release", upstream.join("absolute")).unwrap();
    world.write("upstream/.gitignore", "out\n");
    git(&upstream, &["add", "."]);
    git(&upstream, &["commit", "--quiet", "-m", "link"]);
    git(&upstream, &["tag", "-f", "v1"]);
    assert_eq!(world.run().ends(), [("default".into(), "green", 2)]);
}

#[test]
fn what_leads_out_of_the_patches_is_refused_unread() {
    for (script, what) in [
        (
            "ln -s ../specs/a.spec patches/02.patch; echo 02.patch >>patches/series",
            "patches/02.patch is a link that leads out",
        ),
        (
            "rm patches/01.patch; ln -s /etc/passwd patches/01.patch",
            "patches/01.patch is a link that leads out",
        ),
        (
            "rm patches/series; ln -s ../specs/a.spec patches/series",
            "patches/series is a link that leads out",
        ),
        (
            "ln ../secret patches/02.patch; echo 02.patch >>patches/series",
            "patches/02.patch is a hard link",
        ),
        (
            "mkfifo patches/02.patch; echo 02.patch >>patches/series",
            "patches/02.patch is a FIFO",
        ),
        (
            "mv patches ../p; ln -s ../p patches",
            "patches leads elsewhere now",
        ),
    ] {
        let world = World::mended_by(&format!("set -e\n{script}"));
        world.write("secret", "secret\n");
        let told = world.run();
        assert_eq!(told.ends(), [("default".into(), "stuck", 1)], "{script}");
        let did = told.did();
        assert_eq!(did.end, RemedyEnd::Refused, "{script}: {did:?}");
        assert!(did.why.contains(what), "{script}: {did:?}");
        assert_eq!(
            world.read("project/patches/01.patch"),
            patch("amd64", "armv7")
        );
        assert_eq!(world.read("project/patches/series"), "01.patch\n");
        assert!(
            fs::symlink_metadata(world.path("project/patches"))
                .unwrap()
                .is_dir()
        );
        assert!(!world.path("project/patches/02.patch").exists(), "{script}");
    }
}

#[test]
fn programs_that_a_remedy_hides_in_its_repository_never_run() {
    let world = World::mended_by("");
    let trap = world.path("trap");
    world.write("trap", "#!/bin/sh\necho \"$0 $*\" >>${0%/*}/sprung\ncat\n");
    fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let trap = trap.display();
    let script = format!(
        "set -e; cd $TDG_WORKTREE; echo arm64 >word.txt
mkdir -p .git/hooks
for hook in pre-commit post-checkout post-index-change post-commit reference-transaction pre-applypatch applypatch-msg post-applypatch; do cp {trap} .git/hooks/$hook; done
git config core.fsmonitor {trap}
git config core.hooksPath $PWD/.git/hooks
git config core.sshCommand {trap}
git config core.pager {trap}
git config core.editor {trap}
git config core.gitProxy {trap}
git config gpg.program {trap}
git config log.showSignature true
git config diff.external {trap}
git config filter.x.clean {trap}
git config filter.x.smudge {trap}
git config diff.x.textconv {trap}
git config diff.x.command {trap}
git config merge.x.driver {trap}
git config core.attributesFile $PWD/.gitattributes
git config credential.helper {trap}
printf '* filter=x diff=x merge=x\\n' >.gitattributes
mkdir -p .git/info; cp .gitattributes .git/info/attributes"
    );
    world.remedy(&script, "");
    let told = world.run();
    assert_eq!(
        told.ends(),
        [("default".into(), "green", 2)],
        "{:?}",
        told.lines
    );
    assert_eq!(world.read("sprung"), "");
    assert_eq!(world.runs(), 2);
}

/// Tells whether a process with these words in its command line is there.
fn runs(words: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|p| {
        let line = fs::read(p.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(words)
    })
}

#[test]
fn time_and_output_are_bounds_and_nothing_is_left_running() {
    for (script, keys, what) in [
        (
            "setsid sleep 4711 & sleep 4711",
            "timeout: 1s",
            "ended: its time of 1.00 s was up",
        ),
        (
            "setsid sleep 4711 & yes",
            "output: 100 kB",
            "ended: it wrote more than 97.7 KiB",
        ),
        (
            "setsid sleep 4711 & exec head -c 1000000 /dev/zero",
            "output: 100 kB",
            "ended: it wrote more than",
        ),
    ] {
        let world = World::mended_by(script);
        let text = world.read("project/tdg.yaml").replace(
            "{ run: [./remedy] }",
            &format!("{{ run: {{ argv: [./remedy], {keys} }} }}"),
        );
        world.write("project/tdg.yaml", &text);
        let begin = Instant::now();
        let told = world.run();
        assert_eq!(told.ends(), [("default".into(), "stuck", 1)], "{script}");
        let did = told.did();
        assert_eq!(did.end, RemedyEnd::Failed);
        assert!(did.why.contains(what), "{script}: {did:?}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert!(!runs("sleep 4711"), "{script}");
        let log = fs::metadata(world.project().join(did.log.unwrap())).map_or(0, |m| m.len());
        assert!(log < 200_000, "{log}");
    }
}

#[test]
fn a_loop_that_broke_off_undoes_half_a_remedy_without_following_it() {
    let world = World::mended_by(
        "[ -e ../began ] && exit 0; ln -sf ../specs/a.spec patches/01.patch; \
         echo x >patches/new.patch; mkfifo patches/pipe; touch ../began; sleep 30",
    );
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !world.path("began").exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
            cancel.set();
        });
        let outcome = told(&world.options(), &cancel);
        assert_eq!(outcome.ends()[0].1, "interrupted");
    });
    let spec = world.read("project/specs/a.spec");
    let mut options = world.options();
    options.resume = true;
    let told = world.run_with(&options);
    assert_eq!(told.ends(), [("default".into(), "stuck", 1)]);
    assert!(told.says("a remedy broke off"), "{:?}", told.lines);
    assert_eq!(world.read("project/specs/a.spec"), spec);
    let link = fs::symlink_metadata(world.path("project/patches/01.patch")).unwrap();
    assert!(link.is_file());
    assert_eq!(
        world.read("project/patches/01.patch"),
        patch("amd64", "armv7")
    );
    for gone in ["new.patch", "pipe"] {
        assert!(!world.path("project/patches").join(gone).exists(), "{gone}");
    }
}

#[test]
fn another_upstream_in_place_of_the_pinned_one_is_no_way() {
    let source = "set -e; : >patches/series; cd .tdg/source.git; commit=$(basename refs/tdg/*)\n\
        other=$(echo arm64 | git hash-object -w --stdin)\n\
        place() { echo objects/$(echo $1 | cut -c1-2)/$(echo $1 | cut -c3-); }\n";
    for (script, what) in [
        (
            "tree=$(git ls-tree $commit | sed \"s/[0-9a-f]\\{40\\}\\tword/$other\\tword/\" | git mktree)\n\
             git replace $commit $(git -c user.name=x -c user.email=x commit-tree -m x $tree)",
            ".tdg/source.git/refs/replace",
        ),
        (
            "file=$(place $(git rev-parse $commit:word.txt)); chmod u+w $file; cp $(place $other) $file",
            ".tdg/source.git/objects was changed (it is made anew)",
        ),
        (
            "rm -rf objects/pack objects/??",
            ".tdg/source.git/objects was changed (it is made anew)",
        ),
    ] {
        let world = World::mended_by(&format!("{source}{script}"));
        let told = world.run();
        let said = told.error();
        assert!(said.contains(what), "{script}: {said}");
        // Nor is anything of it left for the next loop.
        world.write("project/patches/series", "");
        world.remedy("true", "");
        assert_eq!(world.run().ends()[0].1, "stuck", "{script}");
        assert_eq!(world.read("project/.tdg/work/default/word.txt"), "amd64\n");
    }
}
