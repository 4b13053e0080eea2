//! What a target says, as the command line gives it.

use clap::Args;
use serde_json::{Value, json};
use wayside_decide::stream::target::Service;

use crate::commands::fields::{Fields, number_or_none, set, set_list, text_or_none, within};

/// What is said of a target. What is not named stays, or is as the API has it.
#[derive(Args, PartialEq, Default)]
pub(crate) struct Content {
    /// The URL of a folder that it serves from, the first one preferred; repeat for more, `none` for none
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// Where it stands: a region's name, or that of a group of coverage zones
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Where on the globe: degrees north and east, such as `52.5,13.4`; `none` for nobody knows
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    at: Option<Value>,
    /// How much it carries beside others; 0 for one that takes nobody
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    weight: Option<u32>,
    /// Sessions that it can carry; `none` for any number
    #[arg(long, value_name = "N", value_parser = number_or_none)]
    sessions_max: Option<Value>,
    /// What it can send, in kbit/s; `none` for no limit
    #[arg(long, value_name = "N", value_parser = number_or_none)]
    kbit_s_max: Option<Value>,
    /// What is paid for anyhow, in kbit/s: past this it is taken when there is no other; `none` for no such thing
    #[arg(long, value_name = "N", value_parser = number_or_none)]
    kbit_s_commit: Option<Value>,
    /// What it costs beside others, in any unit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    cost: Option<u32>,
    /// A country that it may serve, by its two letters; repeat for more, `all` for every one
    #[arg(long = "country", value_name = "CC")]
    countries: Vec<String>,
    /// `in`, `draining` (nobody new, sessions are moved) or `out`
    #[arg(long, value_name = "SERVICE", value_parser = service)]
    service: Option<String>,
    /// Where a recorder sends a stream to, with `{asset}` for the asset's id; repeat for more, `none` for none
    #[arg(long = "ingest", value_name = "URL")]
    ingest: Vec<String>,
    #[command(flatten)]
    probe: Probe,
    #[command(flatten)]
    signing: Signing,
}

/// How a target is asked whether it serves.
#[derive(Args, PartialEq, Default)]
struct Probe {
    /// Ask for this again and again, whether it serves: a path below its first URL, an absolute `http` or `https` URL, or
    /// `tcp://HOST:PORT` for no more than a connection; `none` for not at all
    #[arg(long = "probe", value_name = "PATH|URL", value_parser = text_or_none)]
    asks: Option<Value>,
    /// How long between two probes, in milliseconds
    #[arg(long = "probe-interval", value_name = "MS")]
    interval_ms: Option<u32>,
    /// How long a probe's answer may take, in milliseconds
    #[arg(long = "probe-timeout", value_name = "MS")]
    timeout_ms: Option<u32>,
    /// The status of a probe's good answer
    #[arg(long = "probe-status", value_name = "CODE")]
    status: Option<u16>,
    /// From when on an answer is so late that the target counts as degraded, in milliseconds; `none` for never
    #[arg(long = "probe-degraded", value_name = "MS", value_parser = number_or_none)]
    degraded_ms: Option<Value>,
}

/// How a target's URLs are signed.
#[derive(Args, PartialEq, Default)]
struct Signing {
    /// Sign its URLs: `cloudfront`, `akamai`, `fastly`, `cloudflare`, `cat` or `hmac`; `none` for not at all
    #[arg(long = "signing", value_name = "SCHEME", value_parser = text_or_none)]
    scheme: Option<Value>,
    /// What the key is called where nodes keep their secrets
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// How long a token holds at least, in seconds
    #[arg(long, value_name = "SECONDS")]
    valid_s: Option<u32>,
    /// How long the same token is given out, in seconds
    #[arg(long, value_name = "SECONDS")]
    window_s: Option<u32>,
    /// How far clocks may differ, in seconds
    #[arg(long, value_name = "SECONDS")]
    skew_s: Option<u32>,
    /// Whether tokens also say from when on they hold
    #[arg(long, value_name = "BOOL")]
    has_start: Option<bool>,
    /// For `cloudfront`: what it calls the key's public half
    #[arg(long, value_name = "ID")]
    key_pair_id: Option<String>,
    /// For `cloudfront`: `sha1` or `sha256`
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    /// For `cat`: what the key is called in tokens
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// For `cat`: who gives tokens out
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// For `hmac`: `query` or `path`, where the token stands
    #[arg(long, value_name = "PLACE")]
    placement: Option<String>,
}

impl Content {
    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes what was named.
    pub(super) fn apply(self, target: &mut Fields) -> anyhow::Result<()> {
        set_list(target, "urls", self.urls);
        set(target, "region", self.region);
        set(target, "coordinates", self.at);
        set(target, "weight", self.weight);
        set(target, "sessions_max", self.sessions_max);
        set(target, "kbit_s_max", self.kbit_s_max);
        set(target, "kbit_s_commit", self.kbit_s_commit);
        set(target, "cost", self.cost);
        if self.countries.iter().any(|country| country == "all") {
            set(target, "countries", Some(Value::Null));
        } else {
            set_list(target, "countries", self.countries);
        }
        set(target, "service", self.service);
        set_list(target, "ingest", self.ingest);
        self.probe.apply(target)?;
        self.signing.apply(target)
    }
}

impl Probe {
    fn apply(self, target: &mut Fields) -> anyhow::Result<()> {
        if self.asks == Some(Value::Null) {
            set(target, "probe", Some(Value::Null));
            return Ok(());
        }
        if self == Self::default() {
            return Ok(());
        }
        let probe = within(target, "probe")?;
        if let Some(asks) = self.asks {
            // One takes the place of the other.
            let is_url = asks.as_str().is_some_and(|text| text.contains("://"));
            let (path, url) = if is_url {
                (Value::Null, asks)
            } else {
                (asks, Value::Null)
            };
            set(probe, "path", Some(path));
            set(probe, "url", Some(url));
        }
        set(probe, "interval_ms", self.interval_ms);
        set(probe, "timeout_ms", self.timeout_ms);
        set(probe, "status", self.status);
        set(probe, "degraded_ms", self.degraded_ms);
        Ok(())
    }
}

impl Signing {
    fn apply(self, target: &mut Fields) -> anyhow::Result<()> {
        if self.scheme == Some(Value::Null) {
            set(target, "signing", Some(Value::Null));
            return Ok(());
        }
        if self == Self::default() {
            return Ok(());
        }
        let signing = within(target, "signing")?;
        if self.scheme.is_some() && signing.get("scheme") != self.scheme.as_ref() {
            // What only the scheme before had says nothing of this one.
            for name in ["key_pair_id", "hash", "key_id", "issuer", "placement"] {
                signing.remove(name);
            }
        }
        set(signing, "scheme", self.scheme);
        set(signing, "secret", self.secret);
        set(signing, "valid_s", self.valid_s);
        set(signing, "window_s", self.window_s);
        set(signing, "skew_s", self.skew_s);
        set(signing, "has_start", self.has_start);
        set(signing, "key_pair_id", self.key_pair_id);
        set(signing, "hash", self.hash);
        set(signing, "key_id", self.key_id);
        set(signing, "issuer", self.issuer);
        set(signing, "placement", self.placement);
        Ok(())
    }
}

fn place(text: &str) -> Result<Value, String> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let read = text.split_once(',').and_then(|(north, east)| {
        let (north, east): (f64, f64) = (north.trim().parse().ok()?, east.trim().parse().ok()?);
        (north.is_finite() && east.is_finite()).then(|| json!([north, east]))
    });
    read.ok_or_else(|| "expected degrees north and east, such as `52.5,13.4`, or `none`".to_owned())
}

fn service(text: &str) -> Result<String, String> {
    let service = Service::parse(text).map_err(|invalid| format!("expected {}", invalid.expected))?;
    Ok(service.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use serde_json::{Value, json};

    use super::{Content, Fields};

    fn changed(before: Value, words: &[&str]) -> Value {
        let mut target: Fields = serde_json::from_value(before).expect("fields");
        let command = Content::augment_args(clap::Command::new("set").no_binary_name(true));
        let matches = command.try_get_matches_from(words).expect("words");
        let content = Content::from_arg_matches(&matches).expect("content");
        assert_eq!(content.is_empty(), words.is_empty());
        content.apply(&mut target).expect("applied");
        target.into()
    }

    #[test]
    fn all_that_a_target_says_can_be_said() {
        let words = "--url https://a.example/ --url http://a.example/ --region eu --at -33.9,18.4 --weight 3 \
            --sessions-max 10 --kbit-s-max 20 --kbit-s-commit 5 --cost 2 --country DE --country FR --service out \
            --ingest rtmp://a.example/{asset} --probe up --probe-interval 500 --probe-timeout 100 --probe-status 204 \
            --probe-degraded 50 --signing cloudfront --secret k --valid-s 60 --window-s 30 --skew-s 5 --has-start true \
            --key-pair-id K --hash sha256 --key-id one --issuer us --placement path";
        let words: Vec<&str> = words.split_whitespace().collect();
        let expected = json!({
            "urls": ["https://a.example/", "http://a.example/"], "region": "eu", "coordinates": [-33.9, 18.4],
            "weight": 3, "sessions_max": 10, "kbit_s_max": 20, "kbit_s_commit": 5, "cost": 2,
            "countries": ["DE", "FR"], "service": "out", "ingest": ["rtmp://a.example/{asset}"],
            "probe": {"path": "up", "url": null, "interval_ms": 500, "timeout_ms": 100, "status": 204, "degraded_ms": 50},
            "signing": {"scheme": "cloudfront", "secret": "k", "valid_s": 60, "window_s": 30, "skew_s": 5,
                "has_start": true, "key_pair_id": "K", "hash": "sha256", "key_id": "one", "issuer": "us",
                "placement": "path"},
        });
        assert_eq!(changed(json!({}), &words), expected);
        assert_eq!(changed(expected.clone(), &[]), expected);
        let words = "--url none --at none --sessions-max none --kbit-s-max none --kbit-s-commit none --country all \
            --ingest none --probe none --signing none --weight 1";
        let words: Vec<&str> = words.split_whitespace().collect();
        let bare = json!({
            "urls": [], "region": "eu", "coordinates": null, "weight": 1, "sessions_max": null, "kbit_s_max": null,
            "kbit_s_commit": null, "cost": 2, "countries": null, "service": "out", "ingest": [], "probe": null,
            "signing": null,
        });
        assert_eq!(changed(expected, &words), bare);
        assert_eq!(
            changed(bare, &["--probe-interval", "300"])["probe"],
            json!({"interval_ms": 300})
        );
        let signed = json!({"signing": {"scheme": "cat", "secret": "k", "key_id": "one", "issuer": "us"}});
        assert_eq!(
            changed(signed.clone(), &["--signing", "akamai"])["signing"],
            json!({"scheme": "akamai", "secret": "k"}),
            "what was the other scheme's is gone"
        );
        assert_eq!(changed(signed.clone(), &["--signing", "cat"]), signed);
        let asked = json!({"probe": {"path": "up", "url": null, "interval_ms": 300}});
        for url in ["tcp://in.example:1935", "http://in.example:9997/v3/paths/list"] {
            assert_eq!(
                changed(asked.clone(), &["--probe", url])["probe"],
                json!({"path": null, "url": url, "interval_ms": 300})
            );
        }
    }
}
