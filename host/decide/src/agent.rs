//! What a `User-Agent` says about the visitor's device, in the few classes that routing needs.
//!
//! Client hints, where a browser sends them, go before the text (`Sec-CH-UA-Mobile`, `Sec-CH-UA-Platform`).

/// A device by the size and use of its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// `desktop`, `phone`, `tablet`, `tv` or `unknown`.
    pub device: &'static str,
    /// `android`, `ios`, `windows`, `macos`, `linux`, `chromeos` or `other`.
    pub os: &'static str,
    /// `chrome`, `safari`, `firefox`, `edge`, `opera`, `samsung` or `other`.
    pub browser: &'static str,
    /// Whether it says that it is a program rather than a person's browser.
    pub is_bot: bool,
}

/// Classifies a visitor by the text of `User-Agent` and two client hints.
#[must_use]
pub fn classify(user_agent: &str, hint_mobile: Option<&str>, hint_platform: Option<&str>) -> Agent {
    let text = user_agent.to_ascii_lowercase();
    let os = hint_platform.and_then(os_of_hint).unwrap_or_else(|| os_of(&text));
    let is_bot = is_bot(&text);
    let device = if is_bot {
        "unknown"
    } else {
        device_of(&text, os, hint_mobile == Some("?1"))
    };
    Agent {
        device,
        os,
        browser: if is_bot { "other" } else { browser_of(&text) },
        is_bot,
    }
}

fn has(text: &str, marks: &[&str]) -> bool {
    marks.iter().any(|mark| text.contains(mark))
}

/// Crawlers, link previews, libraries and monitors name themselves by one of these.
fn is_bot(text: &str) -> bool {
    const MARKS: [&str; 22] = [
        "bot",
        "crawl",
        "spider",
        "slurp",
        "preview",
        "facebookexternalhit",
        "whatsapp/",
        "embedly",
        "curl/",
        "wget/",
        "python-",
        "python/",
        "go-http-client",
        "okhttp",
        "java/",
        "libwww",
        "headlesschrome",
        "lighthouse",
        "monitor",
        "pingdom",
        "axios/",
        "scrapy",
    ];
    text.is_empty() || (has(text, &MARKS) && !text.contains("cubot"))
}

fn os_of_hint(hint: &str) -> Option<&'static str> {
    match hint.trim_matches('"').to_ascii_lowercase().as_str() {
        "android" => Some("android"),
        "ios" => Some("ios"),
        "windows" => Some("windows"),
        "macos" => Some("macos"),
        "linux" => Some("linux"),
        "chrome os" | "chromeos" | "chromium os" => Some("chromeos"),
        _ => None,
    }
}

fn os_of(text: &str) -> &'static str {
    // Order matters: Windows phones name Android, Android and ChromeOS name Linux, iPads name Mac OS X.
    if text.contains("windows") {
        "windows"
    } else if has(text, &["iphone", "ipad", "ipod"]) {
        "ios"
    } else if text.contains("android") {
        "android"
    } else if text.contains("cros ") {
        "chromeos"
    } else if has(text, &["macintosh", "mac os x"]) {
        "macos"
    } else if has(text, &["linux", "x11"]) {
        "linux"
    } else {
        "other"
    }
}

fn device_of(text: &str, os: &str, hinted_mobile: bool) -> &'static str {
    const TV: [&str; 10] = [
        "smart-tv", "smarttv", "appletv", "apple tv", "googletv", "hbbtv", "web0s", "webos.tv", "aft", "roku",
    ];
    if has(text, &TV) || (text.contains("tizen") && text.contains(" tv")) || text.contains("android tv") {
        "tv"
    } else if text.contains("ipad") || has(text, &["tablet", "kindle", "silk/", "playbook"]) {
        "tablet"
    } else if hinted_mobile || has(text, &["iphone", "ipod", "mobile", "windows phone"]) {
        "phone"
    } else if os == "android" {
        // Google's rule since Android 3: a tablet's browser leaves out `Mobile`.
        "tablet"
    } else if matches!(os, "windows" | "macos" | "linux" | "chromeos") {
        "desktop"
    } else {
        "unknown"
    }
}

fn browser_of(text: &str) -> &'static str {
    // Order matters: nearly all name Chrome and Safari besides themselves.
    if has(text, &["edg/", "edge/", "edga/", "edgios/"]) {
        "edge"
    } else if has(text, &["opr/", "opera", "opios/"]) {
        "opera"
    } else if text.contains("samsungbrowser/") {
        "samsung"
    } else if has(text, &["firefox/", "fxios/"]) {
        "firefox"
    } else if has(text, &["chrome/", "crios/", "chromium/"]) {
        "chrome"
    } else if text.contains("safari/") {
        "safari"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::classify;

    /// User agent, device, system, browser, bot.
    const VISITORS: &[(&str, &str, &str, &str, bool)] = &[
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "phone",
            "ios",
            "safari",
            false,
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1",
            "tablet",
            "ios",
            "chrome",
            false,
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
            "phone",
            "android",
            "chrome",
            false,
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0 Safari/537.36",
            "tablet",
            "android",
            "samsung",
            false,
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0",
            "desktop",
            "windows",
            "edge",
            false,
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
            "desktop",
            "macos",
            "safari",
            false,
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "desktop",
            "linux",
            "firefox",
            false,
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0 Mobile Safari/537.36",
            "phone",
            "android",
            "chrome",
            false,
        ),
        (
            "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0 Safari/537.36",
            "tv",
            "linux",
            "chrome",
            false,
        ),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "unknown",
            "other",
            "other",
            true,
        ),
        ("curl/8.5.0", "unknown", "other", "other", true),
        ("", "unknown", "other", "other", true),
    ];

    #[test]
    fn the_usual_visitors() {
        for &(text, device, os, browser, is_bot) in VISITORS {
            let agent = classify(text, None, None);
            assert_eq!(
                (agent.device, agent.os, agent.browser, agent.is_bot),
                (device, os, browser, is_bot),
                "{text}"
            );
        }
    }

    #[test]
    fn hints_go_before_the_text() {
        let frozen =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
        let agent = classify(frozen, Some("?1"), Some("\"Android\""));
        assert_eq!((agent.device, agent.os), ("phone", "android"));
    }
}
