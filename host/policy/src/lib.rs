//! Runs a tenant's policy, a WebAssembly component, as a Decider.
