//! What a steering manifest costs beside a choice, what its query costs to read, and what splicing a
//! playlist costs once and for each session.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros make public items; a bench stops when it cannot go on"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wayside_decide::{
    name::Name,
    stream::{asset::Existing, base::BaseUrl},
    target::Target,
};
use wayside_stream::{
    cmcd,
    hls::multivariant,
    pathway::{Pathway, Proof, Source},
    sign::{Signing, akamai::Akamai, secret::Secret, validity::Validity},
    steering::{
        manifest::{Manifest, PathwayClone},
        request,
    },
};

const REPORT: &str = r#"CMCD=bl%3D2100%2Cbr%3D5000%2Cbs%2Cd%3D4004%2Cmtp%3D25400%2Cot%3Dv%2Csf%3Dh%2Csid%3D%226e2fb550%22%2Cst%3Dv%2Ctb%3D6000"#;

fn steering(criterion: &mut Criterion) {
    let name = |place: usize| Name::parse("name", &format!("cdn-{place}")).expect("a name");
    let names: Vec<Name> = (0..4).map(name).collect();
    let bases: Vec<BaseUrl> = (0..4)
        .map(|place| BaseUrl::parse(&format!("https://cdn-{place}.example/live/event")).expect("a folder"))
        .collect();
    let signing = Signing::Akamai(Akamai::new(Secret::from_bytes(*b"a key of some bytes").expect("a key")));
    let window = Validity::new(3_600, 300, 30, false)
        .expect("lengths")
        .window(1_800_000_000, 7);
    let tokens: Vec<_> = bases
        .iter()
        .map(|base| signing.token(base, &window).expect("a token"))
        .collect();
    let pathways: Vec<Pathway<'_>> = (0..4)
        .map(|place| Pathway {
            id: &names[place],
            base: &bases[place],
            proof: Proof::Token(&tokens[place]),
        })
        .collect();
    let clones: Vec<PathwayClone> = pathways[2..]
        .iter()
        .map(|clone| PathwayClone::new(&pathways[0], clone).expect("a clone"))
        .collect();
    let reload = Target::parse("https://edge.example/.wayside/steer/event?session=0123456789").expect("a URL");
    let known = [&names[0], &names[1]];
    let listed: Vec<&Name> = names.iter().collect();
    for (title, clones) in [("of-4", Vec::new()), ("of-4-with-2-clones", clones)] {
        criterion.bench_function(&format!("manifest/{title}"), |bench| {
            bench.iter(|| {
                let made = Manifest::new(10, &reload, &listed, &clones, |id| known.contains(&id));
                made.expect("a manifest").to_json()
            });
        });
    }
    criterion.bench_function("request/dash", |bench| {
        let query = "session=0123456789&_DASH_pathway=%22cdn-0%2Ccdn-1%22&_DASH_throughput=5140000%2C3000000";
        bench.iter(|| request::read(black_box(query)));
    });
    criterion.bench_function("cmcd/query", |bench| bench.iter(|| cmcd::from_query(black_box(REPORT))));

    let folder = BaseUrl::parse("https://origin.example/live/event").expect("a folder");
    let url = Target::parse("https://origin.example/live/event/main.m3u8").expect("a URL");
    let source = Source::new(&url, &folder).expect("below");
    let mut group = criterion.benchmark_group("splice/hls");
    for variants in [8, 1_000] {
        let mut playlist = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
        for place in 0..variants {
            playlist.push_str(&format!(
                "#EXT-X-STREAM-INF:BANDWIDTH={place}00000,CODECS=\"avc1.640028,mp4a.40.2\",AUDIO=\"aac\"\nv{place}/main.m3u8\n"
            ));
        }
        group.throughput(Throughput::Bytes(playlist.len() as u64));
        group.bench_function(format!("{variants}-variants-to-2"), |bench| {
            bench.iter(|| {
                multivariant::prepare(
                    black_box(playlist.as_bytes()),
                    &source,
                    &pathways[..2],
                    Existing::Replace,
                )
            });
        });
        let prepared = multivariant::prepare(playlist.as_bytes(), &source, &pathways[..2], Existing::Replace);
        let prepared = prepared.expect("spliced");
        group.bench_function(format!("{variants}-variants-for-a-session"), |bench| {
            bench.iter(|| prepared.steered(black_box(&reload), &names[1]));
        });
    }
}

criterion_group!(benches, steering);
criterion_main!(benches);
