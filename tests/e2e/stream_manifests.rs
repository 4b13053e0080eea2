//! Manifests with steering and signed URLs in them: what a player begins with, whatever becomes of their origin.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Dev, Process, Response, eventually};

const PLAYLIST: &str =
    "#EXTM3U\r\n#EXT-X-VENDOR:kept\r\n#EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=1280x720\r\nv1/main.m3u8\r\n";
const MPD: &str = "<MPD><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"5\"/></AdaptationSet></Period></MPD>\n";
/// A variable for each tenant's key; that of nobody's business is no key of ours.
const KEYS: [(&str, &str); 2] = [
    ("WAYSIDE_SECRET_DEFAULT__IN_PATH", "00112233445566778899aabbccddeeff"),
    ("WAYSIDE_SECRET_DEFAULT__FASTLY", "c2VjcmV0"),
];

/// A server with the site's own files.
struct Source {
    /// Status, and what follows the head.
    answer: Arc<Mutex<(u16, &'static str)>>,
    url: String,
}

impl Source {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/vod/film/", listener.local_addr().expect("an address"));
        let answer = Arc::new(Mutex::new((200, PLAYLIST)));
        let told = Arc::clone(&answer);
        // Until the test ends.
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (Ok(mut socket), (status, playlist)) = (socket, *told.lock().expect("the answer")) else {
                    return;
                };
                let mut request = [0; 4_096];
                let read = socket.read(&mut request).unwrap_or_default();
                let is_mpd = String::from_utf8_lossy(&request[..read]).contains(".mpd");
                let body = if is_mpd { MPD } else { playlist };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nCache-Control: max-age=1\r\nContent-Length: {length}\r\n\r\n"
                );
                let _ = socket.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { answer, url }
    }

    fn say(&self, status: u16, playlist: &'static str) {
        *self.answer.lock().expect("the answer") = (status, playlist);
    }
}

fn start() -> Dev {
    let folder = tempfile::tempdir().expect("folder");
    Dev {
        process: process(folder.path()),
        folder,
    }
}

fn process(folder: &std::path::Path) -> Process {
    let mut command = Process::dev_command(folder, &[]);
    command.envs(KEYS);
    Process::run(command, "ready")
}

fn add(dev: &Dev, command: &[&str], described: &Value) {
    let file = dev.folder.path().join("described.json");
    fs::write(&file, described.to_string()).expect("a file");
    let file = file.to_str().expect("a path");
    dev.ok(&[command, &["--file", file]].concat());
}

fn add_target(dev: &Dev, name: &str, signing: Option<Value>) {
    let url = format!("https://{name}.example/");
    let target = json!({"name": name, "region": "eu", "urls": [url], "signing": signing});
    add(dev, &["target", "add", name], &target);
}

fn add_asset(dev: &Dev, id: &str, described: Value) {
    let mut asset = json!({"site": "localhost", "id": id});
    let (into, from) = (asset.as_object_mut(), described.as_object());
    into.expect("an object").extend(from.expect("an object").clone());
    add(dev, &["stream", "add", "localhost", id], &asset);
}

/// Manifests at the source, on all targets.
fn manifests(source: &Source) -> Value {
    json!({"source": source.url, "hls": "main.m3u8", "dash": "main.mpd"})
}

fn get(dev: &Dev, path: &str) -> Response {
    dev.process.get(path)
}

/// The part of a text between two others.
fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).map_or(rest, |(between, _)| between)
}

#[test]
fn players_begin_with_the_sites_manifest_and_every_pathway_in_it() {
    let (dev, source) = (start(), Source::start());
    dev.ok(&["site", "set", "localhost", "--streams", "/video"]);
    add_target(&dev, "open", None);
    add_target(
        &dev,
        "signed",
        Some(json!({"scheme": "hmac", "placement": "path", "secret": "in-path"})),
    );
    add_target(&dev, "each", Some(json!({"scheme": "fastly", "secret": "fastly"})));
    add_target(&dev, "no-key", Some(json!({"scheme": "akamai", "secret": "absent"})));
    add_asset(&dev, "film", manifests(&source));
    add_asset(&dev, "files", json!({"pathways": [{"target": "each"}]}));
    let mut unsigned = manifests(&source);
    unsigned["pathways"] = json!([{"target": "no-key"}]);
    add_asset(&dev, "unsigned", unsigned);
    eventually("the film is known", || get(&dev, "/video/film/main.m3u8").status == 200);
    eventually("an asset without a key is known", || {
        get(&dev, "/video/unsigned/main.m3u8").status == 503
    });
    let playlist = get(&dev, "/video/film/main.m3u8");
    assert_eq!(
        playlist.header("content-type").as_deref(),
        Some("application/vnd.apple.mpegurl")
    );
    assert!(
        playlist.header("access-control-allow-origin").is_some(),
        "{}",
        playlist.head
    );
    assert_eq!(playlist.header("cache-control").as_deref(), Some("no-store"));
    let lines: Vec<&str> = playlist.body.split("\r\n").collect();
    assert_eq!((lines[0], lines[2]), ("#EXTM3U", "#EXT-X-VENDOR:kept"));
    assert!(
        playlist.body.contains("\r\nhttps://open.example/film/v1/main.m3u8\r\n"),
        "{}",
        playlist.body
    );
    let signed = lines
        .iter()
        .find(|line| line.starts_with("https://signed.example/"))
        .expect("a signed URL");
    assert!(
        signed.ends_with("/film/v1/main.m3u8") && signed.matches('_').count() == 2,
        "{signed}"
    );
    assert!(
        !playlist.body.contains("each"),
        "tokens for one URL each have no place in it: {}",
        playlist.body
    );
    check_steering(&dev, &playlist.body);
    check_mpd(&get(&dev, "/video/film/main.mpd"));
    check_others(&dev);
}

/// What the playlist says is where its players are steered.
fn check_steering(dev: &Dev, playlist: &str) {
    let server = between(playlist, "SERVER-URI=\"", "\"");
    let steering = get(
        dev,
        server
            .split_once("localhost")
            .expect("a host")
            .1
            .trim_start_matches(|c: char| c != '/'),
    );
    let steering: Value = serde_json::from_str(&steering.body).expect("JSON");
    let priority = steering["PATHWAY-PRIORITY"].as_array().expect("pathways");
    assert!(
        priority.contains(&json!("open")) && priority.contains(&json!("signed")),
        "{steering}"
    );
    assert!(!priority.contains(&json!("each")), "{steering}");
}

fn check_mpd(mpd: &Response) {
    assert_eq!(mpd.header("content-type").as_deref(), Some("application/dash+xml"));
    assert!(
        mpd.body
            .contains("<BaseURL serviceLocation=\"open\">https://open.example/film/</BaseURL>"),
        "{}",
        mpd.body
    );
    assert!(
        mpd.body.contains("<ContentSteering ") && mpd.body.contains("session="),
        "{}",
        mpd.body
    );
}

/// Targets that sign each URL serve what is not a manifest, and whoever asks where to play.
fn check_others(dev: &Dev) {
    eventually("files are sent to a target that signs each URL", || {
        let moved = get(dev, "/video/files/v1/1.mp4").location();
        moved.is_some_and(|moved| moved.starts_with("https://each.example/files/v1/1.mp4?token="))
    });
    let play: Value = serde_json::from_str(&get(dev, "/.wayside/play/film").body).expect("JSON");
    assert_eq!(
        (&play["levels"][0]["bandwidth"], &play["levels"][0]["height"]),
        (&json!(1_280_000), &json!(720))
    );
    assert_eq!(play["hls"]["fallbacks"].as_array().map(Vec::len), Some(2), "{play}");
}

#[test]
fn the_last_manifest_is_served_while_its_origin_is_away_also_after_a_restart() {
    let (dev, source) = (start(), Source::start());
    dev.ok(&["site", "set", "localhost", "--streams", "/video"]);
    add_target(&dev, "open", None);
    source.say(200, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH\nv1\n");
    add_asset(&dev, "film", manifests(&source));
    let path = "/video/film/main.m3u8";
    eventually("a broken playlist is a bad gateway", || get(&dev, path).status == 502);
    source.say(404, "");
    eventually("no playlist is none", || get(&dev, path).status == 404);
    dev.ok(&["stream", "set", "localhost", "film", "--state", "transcoding"]);
    eventually("one that is being made is to come", || {
        let answer = get(&dev, path);
        answer.status == 503 && answer.header("retry-after").is_some()
    });
    let play = get(&dev, "/.wayside/play/film");
    assert_eq!((play.status, play.header("retry-after").is_some()), (503, true));
    source.say(200, PLAYLIST);
    eventually("the renditions that exist are served", || get(&dev, path).status == 200);
    let play: Value = serde_json::from_str(&get(&dev, "/.wayside/play/film").body).expect("JSON");
    assert_eq!(
        play["hls"]["url"],
        json!("https://open.example/film/main.m3u8"),
        "{play}"
    );
    let kept = dev.folder.path().join("node/manifests");
    eventually("it is on disk", || {
        fs::read_dir(&kept).is_ok_and(|mut files| files.next().is_some())
    });
    source.say(500, "");
    let Dev {
        process: before,
        folder,
    } = dev;
    assert_eq!(before.end(), Some(0));
    let dev = Dev {
        process: process(folder.path()),
        folder,
    };
    eventually("the last one is served", || {
        get(&dev, path).body.contains("https://open.example/film/v1/main.m3u8")
    });
}

#[test]
fn tokens_that_no_manifest_can_carry_are_told_of() {
    let (dev, source) = (start(), Source::start());
    dev.ok(&["site", "set", "localhost", "--streams", "/video"]);
    add_target(&dev, "each", Some(json!({"scheme": "fastly", "secret": "fastly"})));
    // It names no pathways, so that nobody could refuse it.
    add_asset(&dev, "film", manifests(&source));
    eventually("players are told why", || {
        let refused = get(&dev, "/video/film/main.m3u8");
        refused.status == 503 && refused.body.contains("tokens that no playlist can carry")
    });
    for path in ["/video/film/main.mpd", "/.wayside/steer/film"] {
        let refused = get(&dev, path);
        assert_eq!(refused.status, 503, "{path}");
        assert!(
            refused.body.contains("tokens that no playlist can carry"),
            "{refused:?}"
        );
    }
    let explained = dev.ok(&["stream", "explain", "localhost", "--asset", "film", "--ip", "192.0.2.1"]);
    let line = explained.lines().find(|line| line.starts_with("each: score "));
    let line = line.unwrap_or_else(|| panic!("{explained}"));
    for manifests in ["HLS playlists", "MPDs"] {
        let problem = format!("; {manifests} cannot carry its tokens: found a target signed by fastly");
        assert!(line.contains(&problem), "{line}");
    }
    assert_eq!(get(&dev, "/video/film/v1/1.ts").status, 302, "files are another matter");
}

#[test]
fn who_reads_no_large_manifest_keeps_it_from_nobody_at_another_address() {
    let (folder, source) = (tempfile::tempdir().expect("folder"), Source::start());
    let process = Process::dev(folder.path(), &["--trust-proxy", "127.0.0.0/8"]);
    let dev = Dev { process, folder };
    dev.ok(&["site", "set", "localhost", "--streams", "/video"]);
    add_target(&dev, "open", None);
    let comments = format!("#{}\r\n", "x".repeat(997)).repeat(9_500);
    let large = format!("{PLAYLIST}{comments}");
    source.say(200, large.leak());
    add_asset(&dev, "film", manifests(&source));
    let (path, idle, other) = ("/video/film/main.m3u8", "192.0.2.1", [("X-Forwarded-For", "192.0.2.2")]);
    eventually("the film is known", || dev.process.get_with(path, &other).status == 200);
    let ask = |_| {
        let mut socket = TcpStream::connect(dev.process.edge()).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {idle}\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("asked");
        let mut begun = [0; "HTTP/1.1 200".len()];
        socket.read_exact(&mut begun).expect("an answer");
        (socket, String::from_utf8_lossy(&begun).into_owned())
    };
    // None is read any further.
    let held: Vec<(TcpStream, String)> = (0..7).map(ask).collect();
    let begun = held.iter().filter(|(_, begun)| begun.ends_with("200"));
    assert_eq!(begun.count(), 1);
    assert_eq!(held[6].1, "HTTP/1.1 503");
    let answer = dev.process.get_with(path, &other);
    assert_eq!((answer.status, answer.body.len() > 9_000_000), (200, true));
}

#[test]
fn keys_are_in_the_folder_and_the_log_says_once_which_is_not_and_whose_manifest_is_broken() {
    let (folder, source) = (tempfile::tempdir().expect("folder"), Source::start());
    let (secrets, log) = (folder.path().join("secrets"), folder.path().join("log"));
    fs::create_dir_all(secrets.join("default")).expect("a folder");
    fs::write(secrets.join("default/in-folder"), KEYS[0].1).expect("a key");
    let mut command = Process::dev_command(folder.path(), &["--secrets", secrets.to_str().expect("a path")]);
    command.stderr(fs::File::create(&log).expect("a log"));
    let process = Process::run(command, "ready");
    let dev = Dev { process, folder };
    dev.ok(&["site", "set", "localhost", "--streams", "/video"]);
    let signing = |secret: &str| Some(json!({"scheme": "hmac", "placement": "path", "secret": secret}));
    add_target(&dev, "signed", signing("in-folder"));
    add_target(&dev, "keyless", signing("absent"));
    source.say(200, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH\nv1\n");
    add_asset(&dev, "film", manifests(&source));
    let play = || get(&dev, "/.wayside/play/film");
    eventually("the asset is there", || play().status == 200);
    let explain = ["stream", "explain", "localhost", "--asset", "film", "--ip", "127.0.0.1"];
    eventually("all targets are there", || {
        dev.ok(&explain).contains("keyless: signing: no key that can be used")
    });
    for _ in 0..20 {
        let play: Value = serde_json::from_str(&play().body).expect("JSON");
        assert_eq!(
            (&play["target"]["id"], &play["hls"]["fallbacks"]),
            (&json!("signed"), &json!([]))
        );
    }
    assert_eq!(get(&dev, "/video/film/main.m3u8").status, 502);
    let logged = || fs::read_to_string(&log).expect("a log");
    let with = |text: &str| {
        logged()
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let keys = with("a key cannot be used");
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(
        keys[0].contains("WARN") && keys[0].contains("secret absent of tenant default"),
        "{keys:?}"
    );
    let broken = with("kept the manifest that was there");
    let line: Value = serde_json::from_str(broken.first().expect("a line")).expect("JSON");
    assert!(
        line.to_string().contains("\"site\":\"localhost\"") && line.to_string().contains("\"asset\":\"film\""),
        "{line}"
    );
}
