// Plays one URL with one player and says what happens, one JSON object a POST. The players are as they come, but for what
// is said where it is set.
//
// What counts is said of the video element alone, the same for all players: where the playhead is, and how long it
// stood still. What the players say of themselves helps to understand a failure.

const LOOK_EVERY_MS = 50;
const SAY_EVERY_MS = 250;
// Below this a playhead has not stood still, it is only seldom told where it is.
const STALL_S = 0.25;

const query = new URLSearchParams(location.search);
const who = query.get("who");
const url = query.get("url");
const video = document.querySelector("video");

function say(what, more = {}) {
  const body = JSON.stringify({ who, what, page_s: performance.now() / 1000, ...more });
  fetch("/report", { method: "POST", headers: { "Content-Type": "application/json" }, body }).catch(() => {});
}

function load(file) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `/players/${file}`;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${file} is not there: npm ci --prefix tests/players`));
    document.head.append(script);
  });
}

// The playhead stood still for what the clock went on beyond the media; how late this looks does not matter.
function watch() {
  let position = null;
  let moved = 0;
  let said = 0;
  let longest = 0;
  setInterval(() => {
    const now = performance.now() / 1000;
    const at = video.currentTime;
    if (position === null && at > 0) {
      [position, moved] = [at, now];
      say("started", { position: at });
    }
    if (position === null) return;
    const over = video.ended;
    // It goes back when another source takes the place of one.
    const played = Math.max(0, at - position);
    const still = now - moved - played / (video.playbackRate || 1);
    if (at !== position) [position, moved] = [at, now];
    longest = Math.max(longest, over ? 0 : still);
    if (now - said > SAY_EVERY_MS / 1000) {
      said = now;
      if (longest > STALL_S) say("stall", { seconds: longest, position: at });
      longest = 0;
      const ranges = video.buffered;
      const buffered = ranges.length ? ranges.end(ranges.length - 1) - at : 0;
      say("position", { position: at, buffered, ended: over });
    }
  }, LOOK_EVERY_MS);
  video.addEventListener("error", () => say("error", { player: "video", text: String(video.error?.message) }));
}

const players = {
  async "hls.js"(source = url, more = {}) {
    await load("hls.js");
    // Its limit for streams of a few Mbit/s is one in bytes. Ours are smaller: it would fetch all at once.
    const hls = new Hls({ maxMaxBufferLength: 30, ...more });
    hls.on(Hls.Events.STEERING_MANIFEST_LOADED, (_, { steeringManifest, url }) =>
      say("steering", { url, manifest: steeringManifest }));
    hls.on(Hls.Events.FRAG_LOADED, (_, { frag }) => say("segment", { url: frag.url }));
    hls.on(Hls.Events.LEVELS_UPDATED, () => say("levels", { pathways: hls.pathways }));
    hls.on(Hls.Events.ERROR, (_, { details, fatal, response, url, frag }) =>
      say("error", { text: details, fatal, status: response?.code, url: url ?? frag?.url }));
    hls.loadSource(source);
    hls.attachMedia(video);
    return hls;
  },

  async "dash.js"(source = url, more = {}) {
    await load("dash.js");
    const player = dashjs.MediaPlayer().create();
    // It would ask a server on the Internet for the time.
    player.updateSettings({ streaming: { utcSynchronization: { enabled: false }, ...more } });
    const events = dashjs.MediaPlayer.events;
    player.on(events.CONTENT_STEERING_REQUEST_COMPLETED, ({ currentSteeringResponseData, url }) =>
      say("steering", { url, manifest: currentSteeringResponseData }));
    player.on(events.FRAGMENT_LOADING_COMPLETED, ({ request }) => say("segment", { url: request.url }));
    player.on(events.ERROR, ({ error }) => say("error", { text: error.message ?? String(error), code: error.code }));
    player.initialize(video, source, true);
  },

  async shaka(build = "shaka.js", source = url, more = {}) {
    await load(build);
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.configure(more);
    await player.attach(video);
    player.addEventListener("error", ({ detail }) =>
      say("error", { text: String(detail.message ?? detail), code: detail.code, fatal: detail.severity === 2 }));
    player.addEventListener("downloadcompleted", ({ requestType, request, response }) => {
      const { SEGMENT, CONTENT_STEERING } = shaka.net.NetworkingEngine.RequestType;
      if (requestType === SEGMENT) say("segment", { url: response.uri });
      if (requestType === CONTENT_STEERING) say("steering", { url: request.uris[0] });
    });
    await player.load(source);
  },

  // The build with names as they are in the source.
  "shaka-debug": () => players.shaka("shaka-debug.js"),

  // A page that asks where to begin, and where to go on when that fails, and reports. It has no steering.
  async page() {
    const answer = await (await fetch(url)).json();
    say("play", { answer });
    const [first, ...others] = [answer.hls.url, ...answer.hls.fallbacks];
    // How it goes, and each segment that comes, in batches.
    const reports = { url: answer.reports, version: 2, events: ["ps", "t", "rr"], interval: 2, batchSize: 4 };
    const cmcd = { version: 2, sessionId: answer.session, contentId: answer.asset, eventTargets: [reports] };
    const hls = await players["hls.js"](first, { cmcd });
    hls.on(Hls.Events.ERROR, (_, { fatal }) => {
      if (!fatal || !others.length) return;
      hls.config.startPosition = video.currentTime;
      hls.loadSource(others.shift());
    });
  },

  // The other players, steered and told to report.
  async "page-dash"() {
    const answer = await (await fetch(url)).json();
    const reports = { enabled: true, url: answer.reports, events: ["ps", "t", "rr"], interval: 2 };
    const cmcd = { enabled: true, sid: answer.session, cid: answer.asset, version: 2, eventTargets: [reports] };
    await players["dash.js"](answer.dash.steered, { cmcd });
  },

  async "page-shaka"() {
    const answer = await (await fetch(url)).json();
    const reports = { enabled: true, mode: "event", url: answer.reports, events: ["ps", "t", "rr"], interval: 2 };
    const cmcd = { enabled: true, sessionId: answer.session, contentId: answer.asset, version: 2, eventTargets: [reports] };
    await players.shaka("shaka.js", answer.dash.steered, { cmcd });
  },

  async video() {
    video.src = url;
  },
};

watch();
window.addEventListener("error", ({ message }) => say("error", { text: message }));
try {
  await players[query.get("player")]();
} catch (error) {
  say("error", { text: String(error?.message ?? error), code: error?.code, fatal: true });
}
