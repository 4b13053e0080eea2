//! Keys that URLs are signed with stay where they are: whatever a node and its origin keep, log and answer, no key is in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{HOST, source, target};
use crate::{
    harness::{Process, eventually, send, text},
    openssl::{from_base64, openssl, to_base64, to_hex},
    origins::{edge_command, origin_command, write},
};

const IN_FILE: &str = "5ec2e7f11e0123456789abcdef0fed98";
const IN_VARIABLE: &str = "ba5eba11c0ffee00ddba11fee1600d42";
/// Text of which no key can be made.
const NO_KEY: &str = "hunter2-is-not-hexadecimal-hunter2";
const IN_BASE64: &str = "TmljaHQgd2VpdGVyc2FnZW4sIGJpdHRlIQ==";

/// An origin and an edge that write all that they have to say into files.
struct Talkative {
    /// `node`, `origin`, `logs`; and `answers`, for what was answered.
    folder: TempDir,
    edge: Process,
    origin: Process,
}

/// All that they have left.
struct Left {
    folder: TempDir,
}

impl Talkative {
    fn start(secrets: &Path) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["logs", "answers"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let talks = |mut command: Command, name: &str| {
            let log = File::create(folder.path().join("logs").join(name)).expect("a log");
            command.stderr(log);
            command.env("WAYSIDE__LOG__LEVEL", "trace");
            command.env("WAYSIDE__LOG__REQUESTS", "true");
            command
        };
        let origin = talks(origin_command(folder.path(), "127.0.0.1:0"), "origin");
        let origin = Process::run(origin, "origin");
        let url = format!("http://{}", origin.origin.expect("an origin"));
        let mut edge = talks(edge_command(folder.path(), &url), "edge");
        edge.env("WAYSIDE__STREAMS__SECRETS", secrets)
            .env("WAYSIDE__STREAMS__PRIVATE_NETWORKS", "127.0.0.0/8")
            .env("WAYSIDE_SECRET_DEFAULT__IN_VARIABLE", IN_VARIABLE)
            .env("WAYSIDE_SECRET_DEFAULT__IN_BASE64", IN_BASE64);
        Self {
            edge: Process::run(edge, "admin"),
            origin,
            folder,
        }
    }

    fn write(&self, method: &str, path: &str, content: &Value) {
        let origin = self.origin.origin.expect("an origin");
        let answer = write(self.folder.path(), origin, method, path, content);
        self.keep(path, &answer.to_string());
    }

    /// Keeps an answer.
    fn keep(&self, path: &str, answer: &str) {
        let name: String = path
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        fs::write(self.folder.path().join("answers").join(name), answer).expect("write");
    }

    /// What the edge answers to a visitor.
    fn get(&self, path: &str) -> u16 {
        let answer = send(self.edge.edge(), "GET", HOST, path, &[], "");
        self.keep(path, &format!("{}\n{}", answer.head, answer.body));
        answer.status
    }

    /// What the origin answers to its nodes and its operators.
    fn ask_origin(&self, path: &str) -> String {
        let origin = self.origin.origin.expect("an origin");
        let token = fs::read_to_string(self.folder.path().join("origin/token")).expect("a token");
        let authorization = format!("Bearer {}", token.trim());
        let fields = [("Authorization", authorization.as_str()), ("Wayside-Tenant", "default")];
        let answer = send(origin, "GET", "origin", path, &fields, "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        self.keep(path, &answer.body);
        answer.body
    }

    /// Ends both.
    fn end(self) -> Left {
        assert_eq!((self.edge.end(), self.origin.end()), (Some(0), Some(0)));
        Left { folder: self.folder }
    }
}

impl Left {
    /// The files in which one of these stands.
    fn with_one_of(&self, needles: &[String]) -> Vec<PathBuf> {
        let list = tempfile::NamedTempFile::new().expect("a file");
        fs::write(list.path(), needles.join("\n")).expect("write");
        let mut grep = Command::new("grep");
        // As bytes. It knows by itself that the holes in the file of links hold nothing.
        grep.env("LC_ALL", "C");
        grep.args(["--recursive", "--files-with-matches", "--fixed-strings", "--file"]);
        let output = grep.arg(list.path()).arg(self.folder.path()).output();
        let output = output.expect("run grep");
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(PathBuf::from).collect()
    }
}

/// A key in the forms in which it could stand somewhere: as it was written, and its bytes in digits and letters.
fn forms(written: &str, bytes: &[u8]) -> Vec<String> {
    let mut forms = vec![
        written.to_owned(),
        to_base64(written.as_bytes()),
        to_hex(written.as_bytes()),
    ];
    forms.extend([to_hex(bytes), to_hex(bytes).to_uppercase(), to_base64(bytes)]);
    let safe: Vec<String> = forms
        .iter()
        .map(|form| form.replace('+', "-").replace('/', "_"))
        .collect();
    forms.extend(safe);
    // Padding says nothing.
    forms.iter().map(|form| form.trim_end_matches('=').to_owned()).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    digits.map(|byte| byte.expect("digits")).collect()
}

/// Signs in all ways in which a key comes, and with keys that are none.
fn add_targets(node: &Talkative) {
    node.write(
        "POST",
        "/v1/sites",
        &json!({"name": "films", "hosts": [HOST], "streams": "/video"}),
    );
    let source = source();
    for (name, signing) in [
        (
            "by-path",
            json!({"scheme": "hmac", "placement": "path", "secret": "in-file"}),
        ),
        ("by-token", json!({"scheme": "akamai", "secret": "in-variable"})),
        ("each", json!({"scheme": "fastly", "secret": "in-base64"})),
        (
            "rsa",
            json!({"scheme": "cloudfront", "key_pair_id": "K1", "secret": "rsa"}),
        ),
        ("broken", json!({"scheme": "akamai", "secret": "no-key"})),
        ("absent", json!({"scheme": "akamai", "secret": "nowhere"})),
    ] {
        let mut signed = target(name);
        signed["signing"] = signing;
        node.write("POST", "/v1/targets", &signed);
        let mut asset = json!({"site": "films", "id": name, "pathways": [{"target": name}]});
        if name != "each" {
            asset["source"] = source.clone().into();
            asset["hls"] = "main.m3u8".into();
        }
        node.write("POST", "/v1/assets", &asset);
    }
}

/// Asks for all that is signed, and for what cannot be.
fn visit(node: &Talkative) {
    for name in ["by-path", "by-token", "rsa"] {
        let playlist = format!("/video/{name}/main.m3u8");
        eventually(&playlist, || node.get(&playlist) == 200);
    }
    for name in ["by-path", "by-token", "each", "rsa"] {
        let file = format!("/video/{name}/1.ts");
        eventually(&file, || node.get(&file) == 302);
        // Whose tokens are for one URL each is no pathway.
        let steered = if name == "each" { 503 } else { 200 };
        assert_eq!(node.get(&format!("/.wayside/steer/{name}")), steered);
        assert_eq!(node.get(&format!("/.wayside/play/{name}")), 200);
    }
    for name in ["broken", "absent"] {
        for path in [format!("/video/{name}/1.ts"), format!("/video/{name}/main.m3u8")] {
            eventually(&path, || node.get(&path) == 503);
        }
        node.get(&format!("/.wayside/steer/{name}"));
        node.get(&format!("/.wayside/play/{name}"));
        let path = format!("/streams/explain?tenant=default&site=films&asset={name}&ip=192.0.2.1");
        node.keep(&path, &node.edge.admin(&path).body);
    }
}

/// Asks edge and origin for all that they tell operators and nodes.
fn look(node: &Talkative) {
    for path in ["/metrics", "/status", "/streams/targets", "/policies"] {
        node.keep(path, &node.edge.admin(path).body);
    }
    let directory: Value = serde_json::from_str(&node.ask_origin("/v1/edge/directory")).expect("JSON");
    let number = &directory["sites"][0]["id"];
    let number = number.as_u64().unwrap_or_else(|| panic!("{directory}"));
    node.ask_origin(&format!("/v1/edge/assets?site_id={number}&id=by-path"));
    for path in [
        "/v1/targets",
        "/v1/targets/by-token",
        "/v1/assets?site=films",
        "/v1/openapi.json",
    ] {
        node.ask_origin(path);
    }
}

#[test]
fn no_key_is_kept_logged_or_answered() {
    let secrets = tempfile::tempdir().expect("folder");
    let keys = secrets.path().join("default");
    fs::create_dir(&keys).expect("a folder");
    let rsa = keys.join("rsa").to_str().expect("a path").to_owned();
    openssl(&["genrsa", "-out", &rsa, "2048"], b"");
    fs::write(keys.join("in-file"), IN_FILE).expect("write");
    fs::write(keys.join("no-key"), NO_KEY).expect("write");
    let node = Talkative::start(secrets.path());
    add_targets(&node);
    visit(&node);
    look(&node);
    // All that they restart from is on disk then.
    let left = node.end();

    // What does stand there is found, so that what is not found is not there.
    let told = left.with_one_of(&["in-variable".to_owned()]);
    for part in ["origin", "node", "answers"] {
        let part = left.folder.path().join(part);
        assert!(told.iter().any(|file| file.starts_with(&part)), "{part:?}: {told:?}");
    }
    let logged = left.with_one_of(&["no-key".to_owned()]);
    let log = left.folder.path().join("logs/edge");
    assert!(
        logged.contains(&log),
        "what is wrong with a key is logged by its name: {logged:?}"
    );

    let written = fs::read_to_string(&rsa).expect("a key");
    let inner = written.lines().filter(|line| !line.starts_with('-'));
    let lines: Vec<String> = inner.map(str::to_owned).filter(|line| line.len() > 30).collect();
    assert!(lines.len() > 20, "{} lines of a key", lines.len());
    let needles = [
        forms(IN_FILE, &from_hex(IN_FILE)),
        forms(IN_VARIABLE, &from_hex(IN_VARIABLE)),
        forms(IN_BASE64, &from_base64(IN_BASE64)),
        forms(NO_KEY, NO_KEY.as_bytes()),
        lines,
    ];
    let found = left.with_one_of(&needles.concat());
    assert!(found.is_empty(), "{found:?}");
}
