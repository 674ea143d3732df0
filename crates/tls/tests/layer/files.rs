//! Files that are not what they should be: each is named, with what to do.

use crate::identity::{Identity, LOCALHOST};
use halfopen_tls::{ClientTls, ServerTls, Trust};
use std::fs;

#[test]
fn a_table_of_files_that_make_no_server() {
    let other = Identity::of("localhost");
    let (cert, key) = (LOCALHOST.file("cert.pem"), LOCALHOST.file("key.pem"));
    let file = |name: &str, text: &str| {
        let path = other.file(name);
        fs::write(&path, text).unwrap();
        path
    };
    let whole = fs::read_to_string(&cert).unwrap();
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let table = [
        (other.file("none.pem"), key.clone(), "none.pem: No such file"),
        (file("empty.pem", ""), key.clone(), "empty.pem holds no certificate in PEM"),
        (key.clone(), key.clone(), "key.pem holds no certificate"),
        (file("cut.pem", &whole[..whole.len() / 2]), key.clone(), "cut.pem is damaged"),
        (cert.clone(), cert.clone(), "cert.pem holds no private key in PEM"),
        (cert.clone(), file("locked.pem", locked), "locked.pem is encrypted: `openssl pkey"),
        (cert.clone(), other.file("key.pem"), "do not go together"),
    ];
    for (cert, key, words) in table {
        let error = ServerTls::from_files(&cert, &key).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_file_of_whom_to_trust_that_is_none_is_named() {
    let trust = |name: &str| Trust::File(LOCALHOST.file(name));
    let error = ClientTls::new("localhost", &trust("nowhere.pem")).unwrap_err().to_string();
    assert!(error.contains("nowhere.pem") && error.contains("check the path"), "{error}");
    let error = ClientTls::new("localhost", &trust("key.pem")).unwrap_err().to_string();
    assert!(error.contains("key.pem holds no certificate"), "{error}");
    let error = ClientTls::new("a b", &Trust::Anyone).unwrap_err().to_string();
    assert!(error.contains("`a b` is no name"), "{error}");
}
