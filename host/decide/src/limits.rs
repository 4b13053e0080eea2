//! One table of limits, compiled into the publisher (origin) and the edge.
//!
//! The publisher refuses at the `*_PUBLISH` value; the edge accepts up to the larger value, so that nothing
//! that was published can be refused by a node that runs an older or a newer build.

/// Longest redirect target that can be published, in bytes of its normalised form.
pub const TARGET_BYTES_PUBLISH: usize = 8 * 1024;
/// Longest redirect target that the edge sends, in bytes.
pub const TARGET_BYTES_MAX: usize = 10 * 1024;
/// Longest link path or rule pattern, in bytes.
pub const PATH_BYTES_MAX: usize = 2 * 1024;
/// Longest host name, in bytes (RFC 1035 §2.3.4, without the trailing dot).
pub const HOST_BYTES_MAX: usize = 253;
/// Longest name of a tenant, site, policy or setting, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Host patterns of one site.
pub const SITE_HOSTS_MAX: usize = 1_000;
/// How long a site may let caches keep a redirect, in seconds: a year.
pub const MAX_AGE_S_MAX: u32 = 365 * 86_400;
/// Rules of one site.
pub const SITE_RULES_MAX: usize = 10_000;
/// Bindings of one site.
pub const SITE_BINDINGS_MAX: usize = 100;
/// Tags of one link.
pub const LINK_TAGS_MAX: usize = 32;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 64;
/// Attributes of one link.
pub const LINK_ATTRIBUTES_MAX: usize = 16;
/// Longest value of an attribute, in bytes.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 1024;
/// Settings of one binding.
pub const BINDING_SETTINGS_MAX: usize = 256;
/// Longest value of a setting, in bytes.
pub const SETTING_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Placeholders in one template.
pub const TEMPLATE_PLACEHOLDERS_MAX: usize = 16;
/// Different questions one run may ask.
pub const QUESTIONS_MAX: usize = 64;
/// Longest text a guest may pass in a question (a header's name, a salt, a list of networks), in bytes.
pub const QUESTION_BYTES_MAX: usize = 8 * 1024;
/// Items in a question's list (languages, networks).
pub const QUESTION_ITEMS_MAX: usize = 1_024;
/// Points in one question for the nearest.
pub const NEAREST_POINTS_MAX: usize = 64;
/// Longest component a tenant may upload, in bytes. A JavaScript guest is about 12 MB.
pub const COMPONENT_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Longest request target the edge reads, in bytes (RFC 9110 §4.1 asks for at least 8,000).
pub const URI_BYTES_MAX: usize = 8 * 1024;
/// All header fields of one request together, in bytes of names and values.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Header fields of one request.
pub const HEADER_COUNT_MAX: usize = 64;
/// Links in one batch of the API.
pub const BATCH_LINKS_MAX: usize = 10_000;
/// Assets in one batch of the API.
pub const BATCH_ASSETS_MAX: usize = 1_000;
/// Items on one page of a listing.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Targets for streams of one tenant.
pub const STREAM_TARGETS_MAX: usize = 64;
/// Tiers of a plan for a stream.
pub const STREAM_PLAN_TIERS_MAX: usize = 8;
/// Largest weight of a target for streams.
pub const TARGET_WEIGHT_MAX: u32 = 10_000;
/// URLs of one target to serve from, and as many to send streams to.
pub const TARGET_URLS_MAX: usize = 8;
/// Countries that one target may be kept to: about as many as there are.
pub const TARGET_COUNTRIES_MAX: usize = 256;
/// Longest URL of a target or an asset, in bytes.
pub const URL_BYTES_MAX: usize = 2 * 1024;
/// Longest name of a key at a CDN, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 64;
/// Longest time for which a token of a signed URL holds, in seconds: a week. Whoever copies one can use it for so long.
pub const TOKEN_VALID_S_MAX: u64 = 7 * 86_400;
/// Coverage zones' networks of one tenant.
pub const ZONE_NETWORKS_MAX: usize = 100_000;
