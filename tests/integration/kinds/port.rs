//! The kind `port`: listeners of the test's own, and a network without a way out.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::peers::own_network;
use crate::world::{Report, World, ran};

/// Listens, and lets `answer` have each connection.
fn listen(answer: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap());
        }
    });
    port
}

fn spec(checks: &[String]) -> String {
    let checks: String = checks.iter().map(|c| format!("  - {{ {c} }}\n")).collect();
    format!("spec: port\nchecks:\n{checks}")
}

#[test]
fn what_takes_connections_and_what_it_says() {
    let greets = listen(|mut stream| {
        // In two pieces, and more than a line; not all who come wait for that.
        let _ = stream.write_all(b"SSH-2.0-");
        thread::sleep(std::time::Duration::from_millis(30));
        let _ = stream.write_all(b"test\r\nmore");
    });
    let asked = listen(|mut stream| {
        let mut said = [0; 6];
        stream.read_exact(&mut said).unwrap();
        stream.write_all(b"\x1b[31mPONG ").unwrap();
        stream.write_all(&said[..4]).unwrap();
    });
    let floods = listen(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    // Silent, and never taken: the system does that.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap().port(), silent);
    // An address of this machine that nothing else uses.
    let closed = "127.77.0.1:1";
    let world = World::new();
    let report = world.run(&spec(&[
        format!("name: pass open, port: '127.0.0.1:{greets}', expect: {{ state: open, reason: null, banner: SSH-2.0-test, duration: {{ lt: 2s }}, addresses: [{{ address: 127.0.0.1, family: ipv4, state: open }}] }}"),
        format!("name: pass by name, port: 'localhost:{greets}', expect: {{ state: open, addresses: {{ any: {{ family: ipv4, state: open, reason: null }} }} }}"),
        format!("name: pass asked, port: {{ address: '127.0.0.1:{asked}', send: \"PING\\r\\n\" }}, expect: {{ banner: '\\u{{1b}}[31mPONG PING' }}"),
        format!("name: pass a flood is cut, port: '127.0.0.1:{floods}', expect: {{ banner: {{ len: 1024 }} }}"),
        format!("name: pass silent, port: {{ address: '127.0.0.1:{}', within: 200ms }}, expect: {{ state: open, banner: null }}", silent.0),
        format!("name: pass closed, port: '{closed}', expect: {{ state: closed, reason: refused, banner: null }}"),
        format!("name: fail closed, port: '{closed}', expect: {{ state: open }}"),
        format!("name: fail open, port: '127.0.0.1:{greets}', expect: {{ state: closed }}"),
        format!("name: fail banner, port: '127.0.0.1:{greets}', expect: {{ banner: {{ starts-with: HTTP }} }}"),
        format!("name: error no banner of a closed port, port: '{closed}', expect: {{ banner: null }}"),
        "name: error no such name, port: 'nowhere.invalid:80', expect: { state: closed }".into(),
    ]));
    report.as_named();
    let text = report.json.to_string();
    assert!(text.contains("a check that names `state`"), "{text}");
    assert!(
        text.contains("nowhere.invalid cannot be looked up"),
        "{text}"
    );
}

#[test]
fn a_port_that_opens_later_is_waited_for() {
    let reserved = TcpListener::bind("127.77.0.2:0").unwrap();
    let place = reserved.local_addr().unwrap();
    drop(reserved);
    let late = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(700));
        let listener = TcpListener::bind(place).unwrap();
        listener.accept().unwrap();
    });
    let world = World::new();
    let report = world.run(&spec(&[format!(
        "name: pass at last, port: '{place}', eventually: 20s, expect: {{ state: open }}"
    )]));
    report.as_named();
    assert!(
        report.trials()[0]["tries"].as_u64().unwrap() > 1,
        "{:#}",
        report.json
    );
    late.join().unwrap();
}

/// A network of its own, in which nobody answers: one address is on a link that swallows all, and
/// to others the kernel itself says no.
const NETWORK: &str = "\
ip link set lo up
ip link add swallows type veth peer name end
ip link set end up
ip link set swallows up
ip addr add 10.9.0.1/24 dev swallows
ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev swallows nud permanent
ip route add prohibit 10.9.1.1
ip route add unreachable 10.9.2.1
";

#[test]
fn what_a_firewall_swallows_and_where_no_way_leads() {
    let Some(unshare) = own_network() else { return };
    let world = World::new();
    world.write(
        "specs/it.yaml",
        spec(&[
            "name: pass swallowed, port: { address: '10.9.0.2:80', within: 300ms }, expect: { state: filtered, reason: no answer, duration: { ge: 300ms, lt: 3s } }".into(),
            "name: pass forbidden, port: '10.9.1.1:80', expect: { state: filtered, reason: { contain: denied } }".into(),
            "name: pass no route, port: '10.9.2.1:80', expect: { state: unreachable }".into(),
            "name: pass no network, port: '203.0.113.1:80', expect: { state: unreachable, addresses: { len: 1 } }".into(),
            "name: fail swallowed, port: { address: '10.9.0.2:80', within: 300ms }, expect: { state: { one-of: [open, closed] } }".into(),
            "name: error swallowed, port: { address: '10.9.0.2:80', within: 300ms }, expect: { duration: { lt: 10s } }".into(),
            "name: error no time, port: '10.9.0.2:80', timeout: 300ms, expect: { state: open }".into(),
        ]),
    );
    let script = format!("set -e\n{NETWORK}exec \"$0\" run specs --format json");
    let mut command = Command::new(unshare);
    command
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_tdg"))
        .current_dir(world.path())
        .env("TDG_CACHE", "off");
    Report::of(ran(&mut command)).as_named();
}

#[test]
fn what_is_no_place_is_said_before_anything_runs() {
    let world = World::new();
    for (place, said) in [
        ("bastion", "no port"),
        ("bastion:0", "from 1 to 65535"),
        ("bastion:65536", "from 1 to 65535"),
        ("bastion:+80", "from 1 to 65535"),
        ("bastion:http", "from 1 to 65535"),
        (":80", "the machine has no name"),
        ("http://bastion:80", "brackets"),
        ("bas tion:80", "the machine has no name"),
        ("fd00::1:80", "stands in brackets"),
        ("[fd00::1:80", "not closed"),
        ("[bastion]:80", "no IPv6 address"),
    ] {
        world.refuses(
            &format!("name: x, port: '{place}', expect: {{ state: open }}"),
            said,
        );
    }
    let long = "name: x, port: { address: 'a:1', within: 20m }, expect: { state: open }";
    world.refuses(long, "`within`");
}
