//! Manifests from an origin that answers, changes, breaks and goes away.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use wayside_balance::level::Level;
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::{
        asset::{Asset, AssetState, Balancer, Existing, RelativePath},
        base::BaseUrl,
        signing::{Scheme, SigningSpec},
    },
    target::Target,
};
use wayside_stream::rendition::Rendition;
use wayside_upstream::http::Roots;

use super::{
    Manifests, NoManifest, Settings, Wanted,
    heavy::Reader,
    held::SlotRef,
    kind::Kind,
    ready::{Place, Ready, Session},
    seats,
    slot::Slot,
};
use crate::streams::{
    fetch::Fetcher,
    secrets::{Signers, Variable},
    tokens::{Pass, Tokens},
};

const PLAYLIST: &str = "\u{feff}#EXTM3U\r\n#EXT-X-VENDOR:a=\"b\" , c\r\n\r\n# a comment\r\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=1280x720\r\nv1/main.m3u8\r\n#EXT-X-SESSION-DATA:DATA-ID=\"x\"\r\n";
const MPD: &str = "<?xml version=\"1.0\"?>\r\n<!-- kept -->\r\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\">\r\n\
    <Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"5\"/></AdaptationSet></Period>\r\n</MPD>\r\n";

/// What the origin says, and what it was asked.
#[derive(Debug, Default)]
struct Script {
    answer: String,
    asked: Vec<String>,
}

struct Origin {
    script: Arc<Mutex<Script>>,
    folder: BaseUrl,
    task: JoinHandle<()>,
}

impl Origin {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let folder = format!("http://{}/vod/film", listener.local_addr().expect("an address"));
        let script = Arc::new(Mutex::new(Script {
            answer,
            asked: Vec::new(),
        }));
        let told = Arc::clone(&script);
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let told = Arc::clone(&told);
                tokio::spawn(async move {
                    let mut request = vec![0; 8_192];
                    let read = socket.read(&mut request).await.unwrap_or_default();
                    let answer = {
                        let mut script = told.lock().expect("the script");
                        script
                            .asked
                            .push(String::from_utf8_lossy(&request[..read]).into_owned());
                        script.answer.clone()
                    };
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self {
            script,
            folder: BaseUrl::parse(&folder).expect("a folder"),
            task,
        }
    }

    fn say(&self, answer: String) {
        self.script.lock().expect("the script").answer = answer;
    }

    fn asked(&self) -> Vec<String> {
        self.script.lock().expect("the script").asked.clone()
    }

    fn asset(&self) -> Asset {
        Asset {
            id: name("film"),
            source: Some(self.folder.clone()),
            hls: Some(RelativePath::parse("hls", "master.m3u8").expect("a path")),
            dash: Some(RelativePath::parse("dash", "film.mpd").expect("a path")),
            pathways: Box::default(),
            all_since_ms: 0,
            named_before: Box::default(),
            state: AssetState::Ready,
            balancer: Balancer::default(),
            ttl_s: 30,
            existing: Existing::Replace,
            ingest_key: None,
            tags: Box::default(),
            attributes: Box::default(),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(text: &str) -> Name {
    Name::parse("name", text).expect(text)
}

fn file(fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

fn manifests_in(disk: Option<&Path>) -> Manifests {
    let loopback = vec!["127.0.0.0/8".parse().expect("a network")];
    let fetcher = Fetcher::new(loopback, Roots::default(), 100).expect("a client");
    let settings = Settings {
        memory_bytes_max: 64 * 1024 * 1024,
        disk: disk.map(|folder| (folder.to_owned(), 1_000_000)),
        stale_max: Duration::from_secs(86_400),
        wait_max: Duration::from_secs(20),
    };
    Manifests::new(settings, Arc::new(fetcher), Arc::default())
}

/// How soon the disk takes another of the same manifest.
fn set_interval(manifests: &mut Manifests, interval: Duration) {
    let shared = Arc::get_mut(&mut manifests.shared).expect("nothing is under way");
    shared.disk.as_mut().expect("a disk").set_interval(interval);
}

fn manifests() -> Manifests {
    manifests_in(None)
}

fn places(pass: Pass) -> Vec<Place> {
    let place = |id: &str| Place {
        id: name(id),
        base: BaseUrl::parse(&format!("https://{id}.example/film")).expect("a folder"),
        pass: pass.clone(),
    };
    vec![place("a"), place("b")]
}

async fn ready(manifests: &Manifests, asset: &Asset, kind: Kind) -> Result<Arc<Ready>, NoManifest> {
    let tenant = name("t");
    let wanted = Wanted {
        tenant: &tenant,
        site: SiteId(7),
        site_name: &tenant,
        asset,
        kind,
    };
    manifests.ready(&wanted, places(Pass::Open)).await
}

async fn text(ready: &Arc<Ready>) -> String {
    let bytes = write(&manifests(), ready).await.expect("steered");
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn write(manifests: &Manifests, ready: &Arc<Ready>) -> Result<Bytes, NoManifest> {
    write_to(manifests, ready, "t", 1).await
}

/// To a player at this address.
async fn write_to(manifests: &Manifests, ready: &Arc<Ready>, tenant: &str, address: u32) -> Result<Bytes, NoManifest> {
    let reader = Reader {
        tenant: &name(tenant),
        address: Ipv4Addr::from(0xC000_0200 + address).into(),
    };
    let url = |text: &str| Target::parse(text).expect(text);
    let session = Session {
        server: url("https://s.example/steer?session=x&y=1"),
        own: url("https://s.example/film.mpd"),
        first: name("b"),
    };
    manifests.write(ready, session, &reader).await
}

/// A playlist of a little more than so many bytes.
fn large(bytes: usize) -> String {
    PLAYLIST.replace(
        "# a comment",
        &format!("# {}\r\n", "x".repeat(998)).repeat(bytes / 1_000),
    )
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(tokio::time::Instant::now() < give_up, "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Where an asset's playlist is.
fn url_of(asset: &Asset) -> Target {
    let source = asset.source.as_ref().expect("a source");
    source.join("master.m3u8").expect("a URL")
}

/// What players get, or what the log says.
async fn get(manifests: &Manifests, asset: &Asset) -> Result<String, String> {
    match ready(manifests, asset, Kind::Hls).await {
        Ok(ready) => Ok(text(&ready).await),
        Err(error) => Err(error.to_string()),
    }
}

/// Lets so much time pass.
fn age(manifests: &Manifests, asset: &Asset, seconds: u64) {
    slot(manifests, asset).age(Duration::from_secs(seconds));
}

/// Where the playlist is kept.
fn slot(manifests: &Manifests, asset: &Asset) -> Arc<Slot> {
    let key = SlotRef {
        site: SiteId(7),
        kind: Kind::Hls,
        folder: asset.source.as_ref().expect("a source"),
        path: "master.m3u8",
    };
    manifests.shared.slots.get(&key).expect("held").0
}

/// Asks until the answer is as expected: what is renewed behind comes a little later.
async fn until(manifests: &Manifests, asset: &Asset, is_expected: impl Fn(&Result<String, String>) -> bool) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let got = get(manifests, asset).await;
        if is_expected(&got) {
            return;
        }
        assert!(tokio::time::Instant::now() < give_up, "still {got:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn all_but_the_pathways_is_byte_for_byte_what_the_origin_sent() {
    let origin = Origin::start(file("", PLAYLIST)).await;
    let expected = "\u{feff}#EXTM3U\r\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://s.example/steer?session=x&y=1\",PATHWAY-ID=\"b\"\r\n\
        #EXT-X-VENDOR:a=\"b\" , c\r\n\r\n# a comment\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=1280x720,PATHWAY-ID=\"a\"\r\nhttps://a.example/film/v1/main.m3u8\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=1280x720,PATHWAY-ID=\"b\"\r\nhttps://b.example/film/v1/main.m3u8\r\n\
        #EXT-X-SESSION-DATA:DATA-ID=\"x\"\r\n";
    let manifests = manifests();
    let asset = origin.asset();
    assert_eq!(get(&manifests, &asset).await.expect("a playlist"), expected);
    assert!(origin.asked()[0].starts_with("GET /vod/film/master.m3u8 HTTP/1.1\r\n"));
    origin.say(file("", MPD));
    let playlist = ready(&manifests, &asset, Kind::Hls).await.expect("a playlist");
    assert_eq!(playlist.top_kbit_s, Some(1_280));
    let mpd = text(&ready(&manifests, &asset, Kind::Dash).await.expect("an MPD")).await;
    let added = "<BaseURL serviceLocation=\"a\">https://a.example/film/</BaseURL>\r\n\
        <BaseURL serviceLocation=\"b\">https://b.example/film/</BaseURL>\r\n\
        <ContentSteering defaultServiceLocation=\"b\" queryBeforeStart=\"false\" clientRequirement=\"true\">\
        https://s.example/steer?session=x&amp;y=1</ContentSteering>\r\n";
    assert!(mpd.contains(added), "{mpd}");
    assert_eq!(mpd.replace(added, ""), MPD);
}

#[tokio::test]
async fn one_manifest_of_two_assets_is_looked_at_by_the_folder_of_each() {
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, film) = (manifests(), origin.asset());
    let mut all = film.clone();
    all.source = Some(BaseUrl::parse(origin.folder.as_str().trim_end_matches("film/")).expect("a folder"));
    all.hls = Some(RelativePath::parse("hls", "film/master.m3u8").expect("a path"));
    for (asset, expected) in [
        (&film, "\nhttps://a.example/film/v1/"),
        (&all, "\nhttps://a.example/film/film/v1/"),
    ] {
        let playlist = get(&manifests, asset).await.expect("a playlist");
        assert!(playlist.contains(expected), "{playlist}");
    }
}

#[tokio::test]
async fn nobody_waits_for_what_a_manifest_lists() {
    // It never answers.
    let origin = Origin::start(String::new()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hung = format!("http://{}/film", listener.local_addr().expect("an address"));
    let (manifests, mut asset, tenant) = (manifests(), origin.asset(), name("t"));
    let listed = |asset: &Asset| {
        manifests.renditions(&Wanted {
            tenant: &tenant,
            site: SiteId(7),
            site_name: &tenant,
            asset,
            kind: Kind::Hls,
        })
    };
    asset.source = Some(BaseUrl::parse(&hung).expect("a folder"));
    assert_eq!(listed(&asset), None);
    listener.accept().await.expect("it is asked for behind");
    assert_eq!(listed(&asset), None);
    origin.say(file("", PLAYLIST));
    let asset = origin.asset();
    eventually("a playlist", || listed(&asset).is_some()).await;
    let renditions = listed(&asset).expect("seen");
    assert_eq!((renditions.len(), renditions[0].resolution), (1, Some((1280, 720))));
}

#[tokio::test]
async fn what_a_manifest_lists_is_short_however_long_the_manifest_and_counts_for_what_it_takes() {
    let variant = |name: &str| format!("#EXT-X-STREAM-INF:BANDWIDTH=9,NAME=\"{name}\",CODECS=\"{name}\"\na\n");
    let weigh = async |playlist: String| {
        let origin = Origin::start(file("", &playlist)).await;
        let (manifests, asset, tenant) = (manifests(), origin.asset(), name("t"));
        get(&manifests, &asset).await.expect("a playlist");
        let listed = manifests.renditions(&Wanted {
            tenant: &tenant,
            site: SiteId(7),
            site_name: &tenant,
            asset: &asset,
            kind: Kind::Hls,
        });
        let told: usize = listed.expect("seen").iter().map(Rendition::weight).sum();
        let beside = manifests.shared.slots.weight() - playlist.len() as u64;
        (told as u64, beside)
    };
    let (told, _) = weigh(format!("#EXTM3U\n{}", variant(&"x".repeat(3_000_000)))).await;
    assert!(told < 1_000, "{told} bytes");
    let (few, beside_few) = weigh(format!("#EXTM3U\n{}", variant("x"))).await;
    let (many, beside_many) = weigh(format!("#EXTM3U\n{}", variant(&"x".repeat(100)).repeat(60))).await;
    assert!(many > few + 12_000, "{many} bytes");
    assert_eq!(beside_many - beside_few, many - few);
}

#[tokio::test]
async fn servers_of_one_tenant_that_never_answer_keep_no_other_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hung = format!("http://{}/film", listener.local_addr().expect("an address"));
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, asset, tenant) = (manifests(), origin.asset(), name("slow"));
    for number in 0..seats::OF_TENANT + 10 {
        let mut asset = asset.clone();
        asset.source = Some(BaseUrl::parse(&format!("{hung}/{number}")).expect("a folder"));
        let wanted = Wanted {
            tenant: &tenant,
            site: SiteId(8),
            site_name: &tenant,
            asset: &asset,
            kind: Kind::Hls,
        };
        assert_eq!(manifests.renditions(&wanted), None);
        if number >= seats::OF_TENANT {
            let refused = manifests.ready(&wanted, places(Pass::Open)).await;
            assert_eq!(ready_error(refused), "shed", "{number} of one tenant");
        }
    }
    get(&manifests, &asset).await.expect("another tenant's");
}

#[tokio::test]
async fn what_is_fetched_behind_counts_for_what_it_takes() {
    let origin = Origin::start(file("Cache-Control: max-age=10\r\n", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    get(&manifests, &asset).await.expect("a playlist");
    let before = manifests.shared.slots.weight();
    origin.say(file("Cache-Control: max-age=10\r\n", &large(100_000)));
    age(&manifests, &asset, 12);
    let held = get(&manifests, &asset).await.expect("a playlist");
    assert!(held.len() < 10_000, "nobody waits");
    until(&manifests, &asset, |got| {
        got.as_ref().is_ok_and(|text| text.len() > 100_000)
    })
    .await;
    let after = manifests.shared.slots.weight();
    assert!(after >= before + 100_000, "{before} to {after} bytes");
}

/// Memory lets go of a manifest while it is fetched, and somebody asks for it again.
#[tokio::test]
async fn what_comes_for_whom_memory_let_go_of_does_not_displace_who_has_the_place() {
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    get(&manifests, &asset).await.expect("a playlist");
    let let_go = slot(&manifests, &asset);
    manifests.shared.slots.clear();
    let_go.weigh(&manifests.shared);
    assert!(Arc::ptr_eq(&slot(&manifests, &asset), &let_go), "nobody has the place");
    manifests.shared.slots.clear();
    get(&manifests, &asset).await.expect("a playlist, fetched again");
    let has_place = slot(&manifests, &asset);
    assert!(!Arc::ptr_eq(&let_go, &has_place));
    for late in [&let_go, &has_place] {
        late.weigh(&manifests.shared);
        assert!(Arc::ptr_eq(&slot(&manifests, &asset), &has_place));
    }
    assert!(manifests.shared.slots.weight() > PLAYLIST.len() as u64);
}

#[tokio::test]
async fn a_playlist_is_fetched_once_however_many_ask_and_asked_for_again_by_its_validators() {
    let origin = Origin::start(file("ETag: \"v1\"\r\nCache-Control: max-age=60\r\n", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let all = join_all((0..50).map(|_| get(&manifests, &asset))).await;
    assert!(all.iter().all(|got| *got == all[0]) && all[0].is_ok());
    assert_eq!(origin.asked().len(), 1);
    age(&manifests, &asset, 59);
    get(&manifests, &asset).await.expect("fresh");
    assert_eq!(origin.asked().len(), 1);
    // A little old: served at once and asked for behind.
    origin.say("HTTP/1.1 304 Not Modified\r\nConnection: close\r\nCache-Control: max-age=60\r\n\r\n".to_owned());
    age(&manifests, &asset, 2);
    get(&manifests, &asset).await.expect("a little old");
    eventually("it is asked again", || origin.asked().len() == 2).await;
    assert!(
        origin.asked()[1]
            .to_ascii_lowercase()
            .contains("if-none-match: \"v1\"\r\n")
    );
    // What it is told next is not to be told before it has heard this.
    eventually("it is renewed", || slot(&manifests, &asset).has_landed()).await;
    // Old: waited for.
    let other = PLAYLIST.replace("v1/", "v2/");
    origin.say(file("", &other));
    age(&manifests, &asset, 600);
    until(&manifests, &asset, |got| {
        got.as_ref().is_ok_and(|text| text.contains("/v2/"))
    })
    .await;
}

#[tokio::test]
async fn the_last_playlist_is_served_while_the_origin_is_away_or_broken() {
    let origin = Origin::start(file("Cache-Control: max-age=10\r\n", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let good = get(&manifests, &asset).await.expect("a playlist");
    for bad in [
        status(500),
        status(403),
        String::new(),
        file("", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"),
        "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
    ] {
        let asked = origin.asked().len();
        origin.say(bad);
        // Old, and due for another try: behind, for nobody waits for one after one that has failed.
        age(&manifests, &asset, 3_600);
        assert_eq!(get(&manifests, &asset).await.as_ref(), Ok(&good));
        eventually("it is asked for", || origin.asked().len() > asked).await;
        eventually("the answer is read", || slot(&manifests, &asset).has_landed()).await;
        assert_eq!(get(&manifests, &asset).await.as_ref(), Ok(&good));
        eventually("nothing is on its way", || slot(&manifests, &asset).has_landed()).await;
    }
    age(&manifests, &asset, 2 * 86_400);
    let refused = get(&manifests, &asset).await.expect_err("too old");
    assert!(refused.contains("found status 302 with the location"), "{refused}");
    origin.say(file("", PLAYLIST));
    age(&manifests, &asset, 60);
    until(&manifests, &asset, |got| got.as_ref() == Ok(&good)).await;
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_what_is_not_there_yet() {
    let origin = Origin::start(status(404)).await;
    let (manifests, mut asset) = (manifests(), origin.asset());
    let found = |error| ready_error(error);
    let before = Instant::now();
    assert_eq!(found(ready(&manifests, &asset, Kind::Hls).await), "missing");
    // It is not asked for again for a while, which may pass before this test has gone on.
    let rests_until = slot(&manifests, &asset).delay(Duration::from_secs(3_600));
    assert!(rests_until >= before + Duration::from_secs(3_602));
    asset.state = AssetState::Transcoding;
    assert_eq!(found(ready(&manifests, &asset, Kind::Hls).await), "not yet");
    assert_eq!(origin.asked().len(), 1, "it was just asked for");
    origin.say(file("", PLAYLIST));
    age(&manifests, &asset, 4_000);
    get(&manifests, &asset).await.expect("there now");
    // Gone is gone, also when there was one.
    origin.say(status(410));
    asset.state = AssetState::Ready;
    age(&manifests, &asset, 600);
    assert_eq!(found(ready(&manifests, &asset, Kind::Hls).await), "missing");
    asset.hls = None;
    assert_eq!(found(ready(&manifests, &asset, Kind::Hls).await), "missing");
}

fn ready_error(found: Result<Arc<Ready>, NoManifest>) -> &'static str {
    match found.expect_err("no manifest") {
        NoManifest::Missing(_) => "missing",
        NoManifest::NotYet(_) => "not yet",
        NoManifest::Away(_) => "away",
        NoManifest::Broken(_) => "broken",
        NoManifest::Shed(_) => "shed",
        NoManifest::Unread { .. } => "unread",
    }
}

#[tokio::test]
async fn a_broken_playlist_is_named_with_its_line() {
    let origin = Origin::start(file("", "#EXTM3U\n\n#EXT-X-STREAM-INF:BANDWIDTH\na.m3u8\n")).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let refused = get(&manifests, &asset).await.expect_err("broken");
    let expected = format!(
        "{}master.m3u8: line 3: found \"BANDWIDTH\", expected an attribute, NAME=value",
        asset.source.as_ref().expect("a source")
    );
    assert_eq!(refused, expected);
    let refused = ready(&manifests, &asset, Kind::Dash)
        .await
        .expect_err("no MPD")
        .to_string();
    assert!(refused.contains("film.mpd: line 1: found \"#EXTM3U"), "{refused}");
    // What only this asset refuses.
    origin.say(file(
        "",
        &PLAYLIST.replace("# a comment", "#EXT-X-CONTENT-STEERING:SERVER-URI=\"x\""),
    ));
    let mut strict = asset.clone();
    strict.existing = Existing::Refuse;
    age(&manifests, &asset, 60);
    until(&manifests, &asset, Result::is_ok).await;
    let refused = get(&manifests, &strict).await.expect_err("steered already");
    assert!(
        refused.contains("line 4") && refused.contains("expected no steering of the origin's own"),
        "{refused}"
    );
}

#[tokio::test]
async fn other_tokens_and_other_urls_make_another_playlist_and_tokens_for_one_url_none() {
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    let spec = |scheme| SigningSpec {
        scheme,
        secret: name("k"),
        valid_s: 600,
        window_s: 60,
        skew_s: 0,
        has_start: false,
    };
    let variables = HashMap::from([("T__K".to_owned(), Variable::new("00ff".to_owned()))]);
    let tokens = Tokens::new(Signers::new(None, variables));
    let (tenant, base) = (name("t"), BaseUrl::parse("https://a.example/film").expect("a folder"));
    let wanted = Wanted {
        tenant: &tenant,
        site: SiteId(7),
        site_name: &tenant,
        asset: &asset,
        kind: Kind::Hls,
    };
    let signed = tokens.source(&tenant, &spec(Scheme::Hmac { is_in_path: true }), &base);
    let mut texts = std::collections::BTreeSet::new();
    for now_s in [1_800_000_000, 1_800_000_000, 1_800_000_060, 1_800_000_120] {
        let pass = signed.pass(now_s).await.expect("a token");
        let ready = manifests.ready(&wanted, places(pass)).await.expect("a playlist");
        texts.insert(text(&ready).await);
    }
    assert_eq!((texts.len(), manifests.ready.len()), (3, 3), "one for each window");
    assert_eq!(origin.asked().len(), 1);
    let each = tokens
        .source(&tenant, &spec(Scheme::Fastly), &base)
        .pass(1_800_000_000)
        .await;
    let refused = manifests.ready(&wanted, places(each.expect("a key"))).await;
    let refused = refused.expect_err("one URL each").to_string();
    assert!(
        refused.contains("pathways: found none, expected one or more"),
        "{refused}"
    );
    let refused = Kind::Hls
        .carries(Some(&spec(Scheme::Fastly)))
        .expect_err("one URL each");
    assert!(
        refused.contains("expected one whose token holds for a folder"),
        "{refused}"
    );
    for (kind, scheme, is_carried) in [
        (Kind::Hls, Scheme::Fastly, false),
        (Kind::Hls, Scheme::Cloudflare, false),
        (Kind::Dash, Scheme::Fastly, false),
        (Kind::Hls, Scheme::Akamai, true),
        (Kind::Dash, Scheme::Akamai, false),
        (Kind::Dash, Scheme::Hmac { is_in_path: false }, false),
        (Kind::Dash, Scheme::Hmac { is_in_path: true }, true),
    ] {
        assert_eq!(
            kind.carries(Some(&spec(scheme.clone()))).is_ok(),
            is_carried,
            "{kind:?} {scheme:?}"
        );
    }
    Kind::Dash.carries(None).expect("not signed");
}

#[tokio::test]
async fn a_node_with_too_much_to_do_fetches_nothing_and_serves_what_it_has() {
    let origin = Origin::start(file("", PLAYLIST)).await;
    let (manifests, asset) = (manifests(), origin.asset());
    manifests.level.set(Level::CoreOnly);
    assert_eq!(ready_error(ready(&manifests, &asset, Kind::Hls).await), "shed");
    manifests.level.set(Level::Full);
    let good = get(&manifests, &asset).await.expect("a playlist");
    manifests.level.set(Level::CoreOnly);
    age(&manifests, &asset, 600);
    assert_eq!(get(&manifests, &asset).await, Ok(good));
    assert_eq!(origin.asked().len(), 1);
}

mod disk;
mod large;
