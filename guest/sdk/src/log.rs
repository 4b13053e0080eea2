//! Notes for the policy's author.
//!
//! They change nothing, and they are spoken only when the policy is run afresh, not when its decision was remembered.
//! The host keeps 16 notes of a run and 1 KiB of each.

use crate::contract::log as contract;

/// For following a policy step by step.
pub fn debug(message: impl AsRef<str>) {
    contract::write(contract::Level::Debug, message.as_ref());
}

/// What is worth knowing.
pub fn info(message: impl AsRef<str>) {
    contract::write(contract::Level::Info, message.as_ref());
}

/// What should be looked at.
pub fn warn(message: impl AsRef<str>) {
    contract::write(contract::Level::Warn, message.as_ref());
}

/// What went wrong.
pub fn error(message: impl AsRef<str>) {
    contract::write(contract::Level::Error, message.as_ref());
}
