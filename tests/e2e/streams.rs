//! Streams over real sockets: where players and downloads are sent, what steering manifests say, and what becomes of that
//! when targets die, drain and come back. Players themselves are in `players`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{Dev, Response, eventually, request};

mod audience;
mod balancers;
mod idle;
mod ingest;
mod places;
mod reports;
mod secrets;
mod shared;
mod site;
mod tokens;

/// A target that answers everything with one status, at once or as late as it is told, until it is told to refuse connections.
struct Target {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    late_ms: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Target {
    fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    /// One where there was another, perhaps.
    fn start_at(address: SocketAddr) -> Self {
        let socket = TcpListener::bind(address).expect("a port");
        let address = socket.local_addr().expect("an address");
        let (status, late_ms) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU64::new(0)));
        let ends = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (status, late_ms, ends) = (Arc::clone(&status), Arc::clone(&late_ms), Arc::clone(&ends));
            move || {
                for stream in socket.incoming() {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    if let Ok(stream) = stream {
                        std::thread::sleep(Duration::from_millis(late_ms.load(Ordering::SeqCst)));
                        answer(stream, status.load(Ordering::SeqCst));
                    }
                }
            }
        });
        Self {
            address,
            status,
            late_ms,
            ends,
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn is_late_by(&self, late_ms: u64) {
        self.late_ms.store(late_ms, Ordering::SeqCst);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

fn answer(mut stream: TcpStream, status: u16) {
    let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
    // Up to the empty line, or as far as it comes.
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let head = format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
}

/// A node with a site whose assets are below `/video`.
fn with_site() -> Dev {
    // It believes who comes from this machine about addresses.
    let dev = Dev::start_with(&["--trust-proxy", "127.0.0.0/8"]);
    dev.ok(&["site", "add", "video", "--host", "video.test", "--streams", "/video"]);
    dev
}

fn add_target(dev: &Dev, name: &str, url: &str, more: &[&str]) {
    let arguments = ["target", "add", name, "--url", url, "--region", "eu"];
    dev.ok(&[&arguments, more].concat());
}

fn get(dev: &Dev, path: &str) -> Response {
    request(dev.process.edge(), "GET", "video.test", path, &[])
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}"))
}

/// The pathways of a steering manifest, the chosen one first.
fn pathways(response: &Response) -> Vec<String> {
    let manifest = json(response);
    let priority = manifest["PATHWAY-PRIORITY"].as_array().expect("a list").clone();
    let text = |name: &Value| name.as_str().expect("a name").to_owned();
    priority.iter().map(text).collect()
}

/// Whether the path leads to a URL that starts so.
fn leads_to(dev: &Dev, path: &str, start: &str) -> bool {
    let response = get(dev, path);
    response.status == 302 && response.location().is_some_and(|location| location.starts_with(start))
}

fn explained(dev: &Dev) -> String {
    dev.ok(&["stream", "explain", "video", "--asset", "film", "--ip", "127.0.0.1"])
}

#[test]
fn any_file_of_an_asset_is_on_a_target_and_nothing_else_is() {
    let dev = with_site();
    let target = Target::start();
    add_target(&dev, "one", &target.url(), &[]);
    dev.ok(&["stream", "add", "video", "film", "--pathway", "one=copies/film"]);
    let copy = format!("{}copies/film/", target.url());
    eventually("the asset is there", || leads_to(&dev, "/video/film/a/b.ts", &copy));
    let file = get(&dev, "/video/film/a/b.ts?start=5");
    assert_eq!(file.location(), Some(format!("{copy}a/b.ts?start=5")));
    // A cache would keep the file once for each viewer.
    dev.ok(&["stream", "add", "video", "another"]);
    eventually("another asset is there", || {
        get(&dev, "/.wayside/play/another").status == 200
    });
    let another = json(&get(&dev, "/.wayside/play/another"));
    let session = another["session"].as_str().expect("a session");
    let strange = get(
        &dev,
        &format!("/video/film/a/b.ts?session={session}&start=5&session=mine"),
    );
    assert_eq!(strange.location(), Some(format!("{copy}a/b.ts?start=5&session=mine")));
    assert_eq!(file.header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(file.header("cache-control").as_deref(), Some("no-store"));
    for (path, status) in [
        ("/video/film/../../etc/passwd", 404),
        ("/video/film/%2e%2e/%2e%2e/x", 404),
        ("/video/other/a.ts", 404),
        ("/video/film/", 404),
        ("/.wayside/steer/other", 404),
        ("/.wayside/play/other", 404),
        ("/.wayside/steer/..%2f", 404),
        ("/.wayside/other/film", 404),
    ] {
        assert_eq!(get(&dev, path).status, status, "{path}");
    }
    let edge = dev.process.edge();
    assert_eq!(
        request(edge, "DELETE", "video.test", "/video/film/a.ts", &[]).status,
        405
    );
    let readable = |method, path, status| {
        let answer = request(edge, method, "video.test", path, &[("Origin", "https://a.test")]);
        let by_whom = answer.header("access-control-allow-origin");
        assert_eq!(
            (answer.status, by_whom.as_deref()),
            (status, Some("*")),
            "{method} {path}"
        );
    };
    readable("OPTIONS", "/.wayside/steer/film", 204);
    // A page of another site is told that there is no such asset, rather than nothing.
    readable("OPTIONS", "/video/other/a.ts", 204);
    readable("GET", "/video/other/a.ts", 404);
}

#[test]
fn links_stand_where_there_is_no_asset() {
    let dev = with_site();
    dev.ok(&["link", "add", "video", "/video/about/us", "https://about.example/"]);
    eventually("the link is there", || {
        get(&dev, "/video/about/us").location().as_deref() == Some("https://about.example/")
    });
}

#[test]
fn who_deletes_an_asset_ends_its_steering() {
    let dev = with_site();
    let target = Target::start();
    add_target(&dev, "one", &target.url(), &[]);
    dev.ok(&["stream", "add", "video", "film"]);
    eventually("the asset is there", || get(&dev, "/.wayside/steer/film").status == 200);
    dev.ok(&["stream", "rm", "video", "film"]);
    eventually("the asset is gone", || get(&dev, "/.wayside/steer/film").status == 410);
    assert_eq!(get(&dev, "/video/film/a.ts").status, 410);
    dev.ok(&["stream", "add", "video", "film"]);
    eventually("the asset is back", || get(&dev, "/.wayside/steer/film").status == 200);
}

#[test]
fn a_dead_target_is_left_and_comes_back() {
    let dev = with_site();
    let (near, far) = (Target::start(), Target::start());
    let probe = ["--probe", "up", "--probe-interval", "250", "--probe-timeout", "3000"];
    add_target(&dev, "near", &near.url(), &[&probe[..], &["--weight", "9"]].concat());
    add_target(&dev, "far", &far.url(), &probe);
    dev.ok(&[
        "stream",
        "add",
        "video",
        "film",
        "--balancer",
        "consistent-hash",
        "--ttl",
        "1",
    ]);
    let both = || get(&dev, "/.wayside/steer/film");
    eventually("both are listed", || {
        both().status == 200 && pathways(&both()).len() == 2
    });
    let first = pathways(&both())[0].clone();
    let (dies, stays, other) = match first.as_str() {
        "near" => (&near, &far, "far"),
        _ => (&far, &near, "near"),
    };
    dies.answers(503);
    eventually("who is left leads", || pathways(&both())[0] == other);
    assert!(leads_to(&dev, "/video/film/a.ts", &stays.url()));
    let share = || {
        let shown: Value = serde_json::from_str(&dev.process.admin("/streams/targets").body).expect("JSON");
        let shown = shown["items"].as_array().expect("targets").clone();
        let of = shown.into_iter().find(|shown| shown["target"] == first.as_str());
        of.expect("the target")["share_percent"].as_u64().expect("a share")
    };
    assert_eq!(share(), 0);
    dies.answers(200);
    eventually("it comes back, slowly", || (1..100).contains(&share()));
    // Nobody is well: somebody serves all the same.
    near.answers(500);
    far.answers(500);
    eventually("both are down", || explained(&dev).matches("health: down").count() == 2);
    assert_eq!(get(&dev, "/video/film/a.ts").status, 302);
    assert_eq!(pathways(&both()).len(), 2);
}

#[test]
fn a_target_that_answers_late_is_taken_when_it_is_alone_until_it_recovers() {
    // Later than a busy machine makes those that are not.
    const LATE_MS: u64 = 4_000;
    let dev = with_site();
    let (slow, quick) = (Target::start(), Target::start());
    let probe = "--probe up --probe-interval 250 --probe-timeout 20000 --probe-degraded 2000";
    let probe: Vec<&str> = probe.split(' ').collect();
    add_target(&dev, "slow", &slow.url(), &probe);
    add_target(&dev, "quick", &quick.url(), &probe);
    // By turns: how quick a target was is remembered for longer than it is ill.
    dev.ok(&["stream", "add", "video", "film", "--balancer", "round-robin"]);
    let begin = || {
        let begun = get(&dev, "/.wayside/play/film");
        let begun: Value = serde_json::from_str(&begun.body).unwrap_or_default();
        begun["target"]["id"].as_str().unwrap_or_default().to_owned()
    };
    eventually("both serve", || begin() == "slow" && begin() == "quick");
    let health = |name: &str| {
        let shown = dev.ok(&["target", "status"]);
        let of = shown.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        let of = of.unwrap_or_else(|| panic!("{name} in {shown}"));
        of.split_whitespace().nth(4).expect("a word").to_owned()
    };
    assert_eq!(
        (health("slow").as_str(), health("quick").as_str()),
        ("healthy", "healthy")
    );
    slow.is_late_by(LATE_MS);
    eventually("it is degraded", || health("slow") == "degraded");
    assert_eq!(health("quick"), "healthy");
    for _ in 0..20 {
        assert_eq!(begin(), "quick", "others are preferred");
    }
    assert!(leads_to(&dev, "/video/film/a.ts", &quick.url()));
    dev.ok(&["target", "drain", "quick"]);
    eventually("it is taken when there is no other", || begin() == "slow");
    assert_eq!(health("slow"), "degraded");
    dev.ok(&["target", "restore", "quick"]);
    eventually("the other is back", || begin() == "quick");
    assert_eq!(begin(), "quick", "and preferred again");
    slow.is_late_by(0);
    eventually("it recovers", || health("slow") == "healthy");
    eventually("new sessions begin on it", || begin() == "slow");
}

#[test]
fn a_target_that_drains_is_left_by_who_is_there() {
    let dev = with_site();
    let (one, two) = (Target::start(), Target::start());
    add_target(&dev, "one", &one.url(), &[]);
    add_target(&dev, "two", &two.url(), &[]);
    dev.ok(&["stream", "add", "video", "film"]);
    let steer = || get(&dev, "/.wayside/steer/film");
    eventually("both are listed", || {
        steer().status == 200 && pathways(&steer()).len() == 2
    });
    let first = pathways(&steer())[0].clone();
    dev.ok(&["target", "drain", &first]);
    eventually("it is left", || pathways(&steer())[0] != first);
    dev.ok(&["target", "restore", &first]);
    let other = pathways(&steer())[0].clone();
    dev.ok(&["target", "drain", &other]);
    eventually("it is taken again", || pathways(&steer())[0] == first);
}

#[test]
fn steering_manifests_are_as_players_want_them() {
    let dev = with_site();
    let target = Target::start();
    let other = format!("http://b.test:{}/", target.address.port());
    add_target(&dev, "one", &target.url(), &[]);
    dev.ok(&["stream", "add", "video", "film", "--ttl", "7"]);
    eventually("the asset is there", || get(&dev, "/.wayside/play/film").status == 200);
    let play = json(&get(&dev, "/.wayside/play/film"));
    assert_eq!((&play["target"]["id"], &play["ttl_s"]), (&"one".into(), &7.into()));
    let steering = play["steering"].as_str().expect("a URL").to_owned();
    let path = steering
        .strip_prefix("http://video.test")
        .expect("the site's own")
        .to_owned();
    // A target that comes after the session has begun is a clone of one that the player knows.
    add_target(&dev, "two", &other, &[]);
    eventually("the clone is there", || {
        json(&get(&dev, &path))["PATHWAY-CLONES"][0]["ID"] == "two"
    });
    let answered = get(&dev, &path);
    assert_eq!(
        answered.header("content-type").as_deref(),
        Some("application/json"),
        "no HLS manifest"
    );
    let manifest = json(&answered);
    assert_eq!((&manifest["VERSION"], &manifest["TTL"]), (&1.into(), &7.into()));
    assert_eq!(manifest["RELOAD-URI"], steering.as_str());
    let clone = &manifest["PATHWAY-CLONES"][0];
    assert_eq!(
        (&clone["BASE-ID"], &clone["URI-REPLACEMENT"]["HOST"]),
        (&"one".into(), &"b.test".into())
    );
    // Who begins now knows both.
    let later = json(&get(&dev, "/.wayside/play/film"));
    let later = later["steering"].as_str().expect("a URL");
    let later = json(&get(
        &dev,
        later.strip_prefix("http://video.test").expect("the site's own"),
    ));
    assert!(later.get("PATHWAY-CLONES").is_none(), "{later}");
    // Whatever a player says, it gets its manifest.
    for query in [
        "_HLS_pathway=%22one%22&_HLS_throughput=5000000",
        "_HLS_pathway=one&_HLS_throughput=-12",
        "_HLS_pathway=&_HLS_throughput=",
        "_DASH_pathway=%22one%2Ctwo%22&_DASH_throughput=1,2",
        "_HLS_pathway=one&_HLS_pathway=two&_HLS_pathway=%00",
        "_HLS_throughput=1e309&_HLS_pathway=nobody",
        "session=forged&_HLS_pathway=one",
    ] {
        let answered = get(&dev, &format!("/.wayside/steer/film?{query}"));
        assert_eq!(answered.status, 200, "{query}");
        assert_eq!(answered.header("cache-control").as_deref(), Some("no-store"), "{query}");
        assert!(!pathways(&answered).is_empty(), "{query}");
    }
    let hls = get(&dev, "/.wayside/steer/film?_HLS_pathway=one");
    assert_eq!(
        hls.header("content-type").as_deref(),
        Some("application/vnd.apple.steering-list")
    );
}

#[test]
fn who_cannot_be_signed_for_is_neither_chosen_nor_counted_nor_named() {
    let dev = with_site();
    let (open, keyless) = (Target::start(), Target::start());
    // Whoever drains comes last.
    add_target(&dev, "open", &open.url(), &["--service", "draining"]);
    let signing = ["--weight", "5", "--signing", "akamai", "--secret", "absent"];
    add_target(&dev, "keyless", &keyless.url(), &signing);
    dev.ok(&["stream", "add", "video", "film"]);
    dev.ok(&["stream", "add", "video", "alone", "--pathway", "keyless"]);
    let steer = || get(&dev, "/.wayside/steer/film");
    eventually("the asset is there", || steer().status == 200);
    eventually("all targets are there", || explained(&dev).contains("keyless: "));
    assert_eq!(pathways(&steer()), ["open"]);
    assert!(explained(&dev).contains("target    open: "), "{}", explained(&dev));
    let play = json(&get(&dev, "/.wayside/play/film"));
    assert_eq!(play["target"]["id"], "open");
    assert!(leads_to(&dev, "/video/film/a.ts", &open.url()));
    let known = dev.process.admin("/streams/targets").body;
    let known: Value = serde_json::from_str(&known).expect("JSON");
    let counted = |name: &str| {
        let items = known["items"].as_array().expect("targets");
        let item = items.iter().find(|item| item["target"] == name).expect(name);
        item["sessions"].as_u64().expect("a count")
    };
    assert_eq!((counted("open") > 0, counted("keyless")), (true, 0), "{known}");
    // Where nobody else is left, that is why.
    assert_eq!(get(&dev, "/.wayside/steer/alone").status, 503);
    let told = dev.ok(&["stream", "explain", "video", "--asset", "alone", "--ip", "127.0.0.1"]);
    assert!(
        told.contains("target keyless: found no key that URLs on it could be signed with"),
        "{told}"
    );
}

#[test]
fn an_explanation_names_what_took_each_target_out() {
    let dev = with_site();
    let target = Target::start();
    for (name, more) in [
        ("here", &[][..]),
        ("drained", &["--service", "draining"]),
        ("elsewhere", &["--country", "JP"]),
        ("weightless", &["--weight", "0"]),
        ("without", &[]),
    ] {
        add_target(&dev, name, &target.url(), more);
    }
    let named = ["here", "drained", "elsewhere", "weightless"];
    let pathways = named.iter().flat_map(|name| ["--pathway", name]);
    let arguments = ["stream", "add", "video", "film"].into_iter().chain(pathways);
    dev.ok(&arguments.collect::<Vec<_>>());
    eventually("the asset is there", || get(&dev, "/.wayside/play/film").status == 200);
    let explain = || dev.ok(&["stream", "explain", "video", "--asset", "film", "--ip", "192.0.2.1"]);
    // Targets come with the directory, which may be behind the asset.
    eventually("all targets are there", || explain().contains("without: "));
    let told = explain();
    for line in [
        "target    here: the balancer took it from the best group",
        "here: score ",
        "drained: health: draining",
        "elsewhere: geography: not for this country",
        "weightless: policy: weight 0",
        "without: asset: no copy",
    ] {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line}: {told}");
    }
    let refused = dev.fails(&["stream", "explain", "video", "--asset", "nothing", "--ip", "192.0.2.1"]);
    assert!(refused.contains("site video has no asset nothing"), "{refused}");
}
