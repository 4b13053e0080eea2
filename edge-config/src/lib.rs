//! The configuration file of a Wayside process: schema, checking and defaults.
