//! The kind `dns`, held to dnsmasq and to a server that lies.

use std::net::UdpSocket;

use crate::servers::{dnsmasq, free_port};
use crate::world::World;

/// Runs checks with the server put in for `AT`, and holds them to the first words of their names.
fn hold(world: &World, port: u16, checks: &[&str]) {
    let at = format!("server: '127.0.0.1:{port}'");
    let checks: String = checks
        .iter()
        .map(|c| format!("  - {{ {} }}\n", c.replace("AT", &at)))
        .collect();
    world
        .run(&format!("spec: dns\nchecks:\n{checks}"))
        .as_named();
}

#[test]
fn what_dnsmasq_answers() {
    let world = World::new();
    let mut arguments: Vec<String> = [
        "--host-record=boot.example,192.0.2.7,2001:db8::7,300",
        "--cname=ipxe.example,boot.example",
        "--mx-host=example,mail.example,10",
        "--srv-host=_http._tcp.example,boot.example,8080,1,2",
        "--txt-record=note.example,one,two",
        "--local=/example/",
    ]
    .map(str::to_owned)
    .to_vec();
    // More than fits into a packet.
    arguments.extend((0..120).map(|n| format!("--host-record=many.example,192.0.2.{n}")));
    let Some(server) = dnsmasq(world.path(), &arguments) else {
        return;
    };
    hold(
        &world,
        server.port,
        &[
            "name: pass an address, dns: { name: boot.example, AT }, expect: { rcode: noerror, values: [192.0.2.7], answers: { len: 1, every: { name: boot.example., type: A, ttl: 300s } }, tcp: false, truncated: false, recursion-available: true, duration: { lt: 5s } }",
            "name: pass over TCP, dns: { name: Boot.Example., tcp: true, AT }, expect: { values: [192.0.2.7], tcp: true, truncated: false }",
            "name: pass IPv6, dns: { name: boot.example, type: AAAA, AT }, expect: { values: ['2001:db8::7'] }",
            "name: pass another name, dns: { name: ipxe.example, AT }, expect: { values: [192.0.2.7], answers: { contain: [{ type: CNAME, value: boot.example. }, 192.0.2.7] } }",
            "name: pass mail, dns: { name: example, type: MX, AT }, expect: { values: [10 mail.example.] }",
            "name: pass a service, dns: { name: _http._tcp.example, type: SRV, AT }, expect: { values: [1 2 8080 boot.example.] }",
            "name: pass texts, dns: { name: note.example, type: TXT, AT }, expect: { values: [onetwo] }",
            "name: pass the name of an address, dns: { name: 192.0.2.7, type: PTR, AT }, expect: { values: [boot.example.] }",
            "name: pass more than fits, dns: { name: many.example, AT }, expect: { values: { len: 120 }, truncated: true, tcp: true }",
            "name: pass no such name, dns: { name: nobody.example, AT }, expect: { rcode: nxdomain, values: { len: 0 } }",
            "name: pass not asked for others, dns: { name: elsewhere.invalid, AT }, expect: { rcode: refused }",
            "name: fail another address, dns: { name: boot.example, AT }, expect: { values: [192.0.2.8] }",
            "name: fail no such name, dns: { name: nobody.example, AT }, expect: { rcode: noerror }",
            "name: fail every of nothing, dns: { name: nobody.example, AT }, expect: { values: { every: { starts-with: '192.' } } }",
        ],
    );
}

#[test]
fn no_answer_is_an_error() {
    let world = World::new();
    hold(
        &world,
        free_port(),
        &[
            "name: error nobody, dns: { name: a.example, AT }, expect: { rcode: { not: noerror } }",
            "name: error nobody over TCP, dns: { name: a.example, tcp: true, AT }, expect: { values: { len: 0 } }",
        ],
    );
    // A server that answers with noise, with its own question, and with another's answer.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut space = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut space) {
            let _ = socket.send_to(&[0xff; 40], from);
            let _ = socket.send_to(&space[..length], from);
            let mut other = space[..length].to_vec();
            other[0] ^= 1;
            other[2] |= 0x80;
            let _ = socket.send_to(&other, from);
        }
    });
    hold(
        &world,
        port,
        &[
            "name: error lies, timeout: 1s, dns: { name: a.example, AT }, expect: { rcode: { not: x } }",
        ],
    );
}

#[test]
fn mistakes_in_arguments_are_told_before_anything_is_asked() {
    let world = World::new();
    for (args, said) in [
        ("{ name: 'a..b' }", "is no name"),
        (
            "{ name: a, server: nowhere }",
            "no address of a name server",
        ),
        ("{ name: a, type: ANY }", "not a value this can have"),
    ] {
        world.write("specs/it.yaml", format!("spec: it\nchecks:\n  - name: it\n    dns: {args}\n    expect: {{ rcode: noerror }}\n"));
        let ran = world.tdg(&["run"]);
        assert_eq!(ran.code, 3, "{args}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args}: {}", ran.stderr);
    }
}
