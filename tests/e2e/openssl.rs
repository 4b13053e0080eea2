//! Keys and tokens by openssl rather than by us: who checks a token elsewhere has no code of ours.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// What a command of openssl makes of this.
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run openssl, which tests/setup installs");
    let mut stdin = child.stdin.take().expect("stdin");
    // One that needs no input may have ended.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("openssl");
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// The HMAC-SHA256 of a message in hexadecimal digits, by a key as openssl takes it: `hexkey:…` or `key:…`.
pub(crate) fn hmac_sha256(key: &str, message: &[u8]) -> String {
    let told = openssl(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", key], message);
    let told = String::from_utf8_lossy(&told);
    told.split_whitespace().next_back().unwrap_or_default().to_owned()
}

/// What stands in base64, its padding or not, by the standard's letters or by those that are safe in URLs.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let mut text = text.replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    openssl(&["base64", "-d", "-A"], text.as_bytes())
}

/// Bytes in base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&openssl(&["base64", "-A"], bytes))
        .trim()
        .to_owned()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
