//! The data plane: listeners, request pipeline, geography, admin endpoint.
