//! TLS for both roles in one world.

use halfopen_tls::{ClientTls, ServerTls, Trust};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;

/// A server with a certificate for `localhost`, and a client that trusts it.
pub(crate) fn both() -> (ServerTls, ClientTls) {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("it has room");
        path
    };
    let cert = file("cert.pem", cert.pem());
    let key = file("key.pem", signing_key.serialize_pem());
    let server = ServerTls::from_files(&cert, &key).expect("they go together");
    (server, ClientTls::new("localhost", &Trust::File(cert)).expect("it is a certificate"))
}
