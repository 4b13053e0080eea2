//! The edge's cache of links: memory, single flight and freshness.
