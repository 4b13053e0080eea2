//! What tokens cost: made anew in each scheme, and one that was kept put on a URL.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros make public items; a bench stops when it cannot go on"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use wayside_decide::{stream::base::BaseUrl, target::Target};
use wayside_stream::sign::{
    Signing,
    akamai::Akamai,
    cat::Cat,
    cloudflare::Cloudflare,
    cloudfront::{CloudFront, Hash},
    fastly::Fastly,
    hmac::{Placement, PlainHmac},
    secret::Secret,
    validity::Validity,
};

const RSA: &str = include_str!("../tests/keys/rsa-2048.pem");

fn sign(criterion: &mut Criterion) {
    let validity = Validity::new(3_600, 300, 30, false).expect("lengths");
    let window = validity.window(1_800_000_000, 7);
    let key = || Secret::from_bytes(*b"a key of thirty-two bytes, or so").expect("a key");
    let folder = BaseUrl::parse("https://cdn.example.com/live/event/").expect("a folder");
    let url = Target::parse("https://cdn.example.com/live/event/v1.m3u8").expect("a URL");
    let folders = [
        (
            "cloudfront",
            Signing::CloudFront(CloudFront::new("K", RSA, Hash::Sha256).expect("a key")),
        ),
        ("akamai", Signing::Akamai(Akamai::new(key()))),
        ("cat", Signing::Cat(Cat::new(key(), "k", "i").expect("names"))),
        ("hmac", Signing::Hmac(PlainHmac::new(key(), Placement::Query))),
    ];
    for (name, signing) in &folders {
        criterion.bench_function(&format!("token/{name}"), |bench| {
            bench.iter(|| signing.token(black_box(&folder), &window));
        });
    }
    let kept = folders[1].1.token(&folder, &window).expect("a token");
    criterion.bench_function("put-on/akamai", |bench| bench.iter(|| kept.add_to(black_box(&url))));
    let urls = [
        ("fastly", Signing::Fastly(Fastly::new(key()))),
        ("cloudflare", Signing::Cloudflare(Cloudflare::new(key()))),
    ];
    for (name, signing) in &urls {
        criterion.bench_function(&format!("sign/{name}"), |bench| {
            bench.iter(|| signing.sign(black_box(&url), &window));
        });
    }
}

criterion_group!(benches, sign);
criterion_main!(benches);
