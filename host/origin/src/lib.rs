//! The control plane: the API, the store, tokens and the change feed.
