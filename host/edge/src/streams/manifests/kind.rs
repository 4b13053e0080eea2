//! The kinds of manifests, and which targets each can name.

use wayside_decide::stream::{
    asset::Asset,
    signing::{Scheme, SigningSpec},
};

/// Which of an asset's manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// HLS: a multivariant playlist.
    Hls,
    /// DASH: an MPD.
    Dash,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Hls, Self::Dash];

    /// Which manifest of an asset a file below it is; none when it is another file.
    pub(crate) fn of(asset: &Asset, file: &str) -> Option<Self> {
        let is_named = |kind: &Self| kind.path(asset).is_some_and(|path| path == file);
        Self::ALL.into_iter().find(is_named)
    }

    /// Its type on the wire.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Hls => "application/vnd.apple.mpegurl",
            Self::Dash => "application/dash+xml",
        }
    }

    /// Whether a manifest can have pathways to a target that signs so. The error is why not.
    pub(crate) fn carries(self, signing: Option<&SigningSpec>) -> Result<(), String> {
        let Some(scheme) = signing.map(|signing| &signing.scheme) else {
            return Ok(());
        };
        let word = scheme.as_str();
        // What has no proof for a folder is in no manifest (`Pass::proof`).
        if scheme.is_for_one_url() {
            return Err(format!(
                "found a target signed by {word}, whose tokens hold for one URL each, expected one whose token holds for a \
                 folder: media playlists would have to be rewritten"
            ));
        }
        match (self, scheme) {
            (Self::Hls, _) | (Self::Dash, Scheme::Hmac { is_in_path: true }) => Ok(()),
            (Self::Dash, _) => Err(format!(
                "found a target signed by {word} with a token in the query, expected one in the path: DASH resolves segments \
                 without the query"
            )),
        }
    }

    /// Where it is below the asset's source.
    pub(in crate::streams) fn path(self, asset: &Asset) -> Option<&str> {
        let path = match self {
            Self::Hls => asset.hls.as_ref(),
            Self::Dash => asset.dash.as_ref(),
        };
        path.map(|path| path.as_str())
    }
}
