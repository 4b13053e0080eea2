//! The data plane: listeners, the request pipeline, geography and the admin endpoint.

pub mod geo;
