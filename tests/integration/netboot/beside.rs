//! Servers at the other end of a wire, in a network namespace of the test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::peers::{own_network, peer};
use crate::world::{Report, World, ran_while};

/// Two network cards with a wire between them, each in a namespace of its own; one or two dnsmasq are
/// at the other end, and a web server. `here` is a bridge, where a machine can be at the same wire: its
/// card is `tap0`. A dnsmasq looks whether an address is free only where its configuration says `# looks
/// first`, as it takes three seconds to. All of it is gone when the script ends, or is killed: it is the first process of a
/// namespace of its own, and nothing outlives that.
const WIRE: &str = r#"
set -eu
address="$1"; first="$2"; second="$3"; web="$4"; shift 4
ip link set lo up
unshare -n sh -c '
  : >"$1.there"
  for turn in $(seq 500); do ip link show there >/dev/null 2>&1 && break; sleep 0.02; done
  ip link set lo up; ip addr add 10.77.0.1/24 dev there; ip addr add 10.77.0.2/24 dev there; ip link set there up
  [ ! -s "$3" ] || "$WEB_SERVER" -c "$3" 2>"$3.log" &
  for conf in "$1" "$2"; do
    looks=--no-ping; ! grep -q "^# looks first" "$conf" || looks=
    [ ! -s "$conf" ] || "$DNSMASQ" --no-daemon --conf-file="$conf" --pid-file= --port=0 \
      --interface=there --bind-interfaces $looks --leasefile-ro --log-facility="$conf.log" 2>/dev/null &
  done
  sleep 600' sh "$first" "$second" "$web" &
other=$!
for turn in $(seq 500); do [ ! -e "$first.there" ] || break; sleep 0.02; done
ip link add name here type bridge
ip link add name near type veth peer name there netns $other
ip tuntap add tap0 mode tap
for card in near tap0; do ip link set $card master here; ip link set $card up; done
ip link set here up
# A card that is down, and one whose other end is.
ip link add loose0 type veth peer name down0; ip link set loose0 up
# A bridge takes a moment until it lets anything through.
for turn in $(seq 500); do ip -d link show near | grep -q "state forwarding" && break; sleep 0.02; done
[ -z "$address" ] || ip addr add "$address/24" dev here
for conf in "$first" "$second"; do
  [ -s "$conf" ] || continue
  for turn in $(seq 500); do grep -q started "$conf.log" 2>/dev/null && break; sleep 0.02; done
  [ "$turn" != 500 ] || { cat "$conf.log" >&2; exit 99; }
done
if [ -s "$web" ]; then
  for turn in $(seq 500); do [ -s "$web.pid" ] && break; sleep 0.02; done
  [ "$turn" != 500 ] || { cat "$web.log" >&2; exit 99; }
fi
[ -z "$MACHINE" ] || sh -c "$MACHINE" >"$first.machine" 2>&1 &
code=0
"$@" || code=$?
# What is seen of the machine is told by the test.
[ -z "$MACHINE" ] || for turn in $(seq 1200); do [ ! -e "$first.seen" ] || break; sleep 0.1; done
exit $code
"#;

/// What specs know as the secret `SECRET`.
pub(super) const SECRET: &str = "hunter2-and-more";

/// Runs a spec at one end of a wire, with a dnsmasq for each configuration at the other. `None` where a
/// namespace or a program is missing, which has been said.
pub(super) fn beside(world: &World, confs: [&str; 2], address: &str, spec: &str) -> Option<Report> {
    with_web(world, confs, "", address, spec)
}

/// Does the same with nginx at the other end, which has what is in `files`: `server` is what it does
/// beside listening on port 80 of 10.77.0.1.
pub(crate) fn with_web(
    world: &World,
    confs: [&str; 2],
    server: &str,
    address: &str,
    spec: &str,
) -> Option<Report> {
    with_machine(world, confs, server, (address, spec), "", || {})
}

/// Does the same while a machine boots beside it from `tap0`, that this line of a shell starts:
/// `meanwhile` looks at its console, and the machine is gone after that.
pub(super) fn with_machine(
    world: &World,
    confs: [&str; 2],
    server: &str,
    (address, spec): (&str, &str),
    machine: &str,
    meanwhile: impl FnOnce(),
) -> Option<Report> {
    let other = Other {
        confs,
        ..Other::default()
    };
    let other = match server {
        "" => other,
        server => {
            let folder = world.path().display();
            fs::create_dir_all(world.path().join("files")).unwrap();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {folder}/tmp;\n"))
                .collect();
            let settings = format!(
                "user root; daemon off; master_process off; pid {folder}/web.pid; error_log stderr;\nevents {{}}\n\
                 http {{\n{temporary}access_log off; default_type application/octet-stream;\n\
                 server {{ listen 10.77.0.1:80; root {folder}/files;\n{server} }}\n}}\n"
            );
            Other {
                program: peer("nginx")?,
                settings,
                ..other
            }
        }
    };
    at_the_other_end(world, &other, (address, spec), machine, meanwhile)
}

/// Does the same with `tdg serve` at the other end, and a dnsmasq that gives addresses alone. What the
/// server tells is in `serve.log`.
pub(super) fn with_serve(
    world: &World,
    arguments: &str,
    address: &str,
    spec: &str,
) -> Option<Report> {
    let script = format!(
        "#!/bin/sh
'{}' serve {arguments} --interface there >serve.log 2>&1 &
for turn in $(seq 500); do
  ! grep -q 'boot-server listens' serve.log || {{ echo $! >web.pid; break; }}
  sleep 0.02
done
cat serve.log >&2
wait
",
        env!("CARGO_BIN_EXE_tdg")
    );
    let program = world.write("serve.sh", script);
    world.mode("serve.sh", 0o755);
    let other = Other {
        confs: ["dhcp-range=10.77.0.50,10.77.0.99,10m\n", ""],
        program,
        settings: arguments.to_owned(),
    };
    at_the_other_end(world, &other, (address, spec), "", || {})
}

/// Does the same with a program of the test's own at the other end, beside dnsmasq; it says in the file
/// `web.pid` that it listens.
pub(super) fn with_program(
    world: &World,
    confs: [&str; 2],
    program: &str,
    (address, spec): (&str, &str),
    machine: &str,
    meanwhile: impl FnOnce(),
) -> Option<Report> {
    let other = Other {
        confs,
        program: world.write("program.sh", program),
        settings: "a program".to_owned(),
    };
    world.mode("program.sh", 0o755);
    at_the_other_end(world, &other, (address, spec), machine, meanwhile)
}

/// Who is at the other end: a dnsmasq for each configuration, and a web server, where there are settings.
#[derive(Default)]
struct Other<'c> {
    confs: [&'c str; 2],
    program: PathBuf,
    settings: String,
}

fn at_the_other_end(
    world: &World,
    other: &Other,
    (address, spec): (&str, &str),
    machine: &str,
    meanwhile: impl FnOnce(),
) -> Option<Report> {
    let (dnsmasq, unshare) = (peer("dnsmasq")?, own_network()?);
    world.write("specs/it.yaml", spec);
    let arguments = ["run", "specs", "--format", "json", "--jobs", "4"];
    let tdg = world.command(&[&arguments[..], &["--report", "reports"]].concat());
    let mut command = Command::new(unshare);
    command
        .args(["-rn", "--pid", "--fork", "--kill-child"])
        .args(["sh", "-c", WIRE, "sh", address])
        .args([
            world.write("first", other.confs[0]),
            world.write("second", other.confs[1]),
            world.write("web", &other.settings),
        ])
        .arg(tdg.get_program())
        .args(tdg.get_args())
        .current_dir(world.path())
        .env("DNSMASQ", dnsmasq)
        .env("WEB_SERVER", &other.program)
        .env("MACHINE", machine)
        .env("SECRET", SECRET);
    for (name, value) in tdg.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    Some(Report::of(ran_while(&mut command, |_| {
        meanwhile();
        world.write("first.seen", "");
    })))
}
