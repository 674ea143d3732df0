//! Sessions that fail: who is told what.

use crate::identity::{Identity, LOCALHOST};
use crate::pair::{End, ID, Pair, Told};
use halfopen_driver::{Cause, Event, Opening};
use halfopen_tls::{ClientTls, Trust};

/// A fatal alert (RFC 8446 §6): content type 21, level 2.
fn has_alert(wire: &[u8]) -> bool {
    wire.first() == Some(&21)
}

#[test]
fn plain_http_is_answered_by_an_alert_and_fin() {
    let mut server = End::server(LOCALHOST.server());
    server.tell(Event::Opened { id: ID, by: Opening::Accepted });
    server.hear(&mut b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned());
    assert!(has_alert(&server.wire), "{:?}", server.wire);
    assert!(server.shut && !server.aborted);
    let failure = server.script().failure().expect("it is told");
    assert!(failure.starts_with("tls ") && failure.contains("plain ws://"), "{failure}");
    assert_eq!(server.script().heard(), b"");
    // What follows is not looked at.
    server.hear(&mut [0; 100]);
    server.close(Cause::Fin);
    assert_eq!(server.script().told.last(), Some(&Told::Closed(Cause::Fin)));
}

#[test]
fn a_server_that_speaks_plain_http_is_called_so_and_aborted_behind_the_alert() {
    let mut client = End::client(LOCALHOST.client());
    client.tell(Event::Opened { id: ID, by: Opening::Connected(halfopen_driver::Token(1)) });
    client.bring_home();
    client.wire.clear();
    client.hear(&mut b"HTTP/1.1 400 Bad Request\r\n\r\n".to_owned());
    assert!(has_alert(&client.wire) && !client.aborted);
    client.bring_home();
    assert!(client.aborted && !client.shut);
    let failure = client.script().failure().expect("it is told");
    assert!(failure.contains("is not TLS"), "{failure}");
}

/// What a client makes of the certificate for `localhost`, and the server of the client.
fn judged(client: ClientTls) -> (String, String) {
    let mut pair = Pair::new(client, LOCALHOST.server());
    pair.client.send(b"request");
    pair.settle();
    assert!(pair.client.aborted, "a client has nothing to wait for");
    assert_eq!(pair.server.script().heard(), b"", "nothing is said to a stranger");
    let words = |end: &End| end.script().failure().expect("it is told").to_owned();
    (words(&pair.client), words(&pair.server))
}

#[test]
fn an_unknown_issuer_is_told_with_the_two_ways_out() {
    let other = Identity::of("localhost");
    let trust = Trust::File(other.file("cert.pem"));
    let (client, server) = judged(ClientTls::new("localhost", &trust).unwrap());
    assert!(client.starts_with("tls_certificate "), "{client}");
    assert!(client.contains("--cacert FILE") && client.contains("--insecure"), "{client}");
    assert!(
        server.starts_with("tls ") && server.contains("does not trust our certificate"),
        "{server}"
    );
}

#[test]
fn a_certificate_for_another_name_is_told_with_both() {
    let trust = Trust::File(LOCALHOST.file("cert.pem"));
    let (client, _) = judged(ClientTls::new("127.0.0.1", &trust).unwrap());
    assert!(client.starts_with("tls_certificate "), "{client}");
    assert!(client.contains("127.0.0.1") && client.contains("localhost"), "{client}");
}

#[test]
fn who_accepts_anyone_is_content() {
    let client = ClientTls::new("example.org", &Trust::Anyone).unwrap();
    let mut pair = Pair::new(client, LOCALHOST.server());
    pair.client.send(b"request");
    pair.settle();
    assert_eq!(pair.server.script().heard(), b"request");
}

#[test]
fn a_certificate_that_is_its_own_ca_is_trusted_by_whom_it_was_given_to_and_for_its_name_alone() {
    let identity = Identity::that_is_a_ca("localhost");
    let trust = Trust::File(identity.file("cert.pem"));
    for (name, is_trusted) in [("localhost", true), ("example.org", false)] {
        let client = ClientTls::new(name, &trust).unwrap();
        let mut pair = Pair::new(client, identity.server());
        pair.client.send(b"request");
        pair.settle();
        assert_eq!(pair.server.script().heard() == b"request", is_trusted, "{name}");
        let failure = pair.client.script().failure();
        assert_eq!(failure.is_some_and(|failure| failure.contains("example.org")), !is_trusted);
    }
}

#[test]
fn a_bad_record_ends_the_session_behind_what_was_good() {
    for to_server in [true, false] {
        let mut pair = Pair::established();
        let Pair { client, server } = &mut pair;
        let (from, to) = if to_server { (client, server) } else { (server, client) };
        from.send(b"good");
        from.bring_home();
        let good = from.wire.len();
        from.send(b"spoilt");
        let mut wire = std::mem::take(&mut from.wire);
        wire[good + 10] ^= 1;
        to.hear(&mut wire);
        let told = &to.script().told[2..];
        assert!(matches!(told, [Told::Received(_), Told::Failed(_)]), "{told:?}");
        assert_eq!(to.script().heard(), b"good");
        assert_eq!(to.sends, if to_server { 2 } else { 3 }, "an alert leaves");
        to.bring_home();
        assert_eq!((to.shut, to.aborted), (to_server, !to_server));
        assert_eq!(to.layer.held_bytes(), 0);
    }
}

#[test]
fn noise_of_any_kind_fails_and_nothing_is_held() {
    let heads: [&[u8]; 6] = [
        &[0x16, 3, 1, 0xff, 0xff],                // a record longer than any may be
        &[0x16, 3, 1, 0, 0],                      // an empty handshake
        &[0x17, 3, 3, 0, 1, 0],                   // data before a key
        &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff], // a message of 16 MiB
        &[0x14, 3, 3, 0, 1, 1],                   // a change of ciphers out of nowhere
        &[0xff; 64],
    ];
    for head in heads {
        let mut server = End::server(LOCALHOST.server());
        server.tell(Event::Opened { id: ID, by: Opening::Accepted });
        for _ in 0..100 {
            server.hear(&mut head.to_vec());
            server.bring_home();
        }
        assert!(server.shut && server.script().failure().is_some(), "{head:?}");
        assert_eq!(server.layer.held_bytes(), 0, "{head:?}");
    }
}
