//! The worlds of the contract: what a policy may be, told by what it exports.

/// What a policy implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It routes requests.
    Redirect,
    /// It plans who serves a stream.
    Stream,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 2] = [Self::Redirect, Self::Stream];

    /// Its name in the contract, with package and version.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redirect => "wayside:policy/redirect-policy@1.0.0",
            Self::Stream => "wayside:policy/stream-policy@1.0.0",
        }
    }

    /// The function that a policy of it exports, which no policy of another does.
    pub(crate) const fn export(self) -> &'static str {
        match self {
            Self::Redirect => "decide",
            Self::Stream => "plan",
        }
    }

    /// The interfaces of the contract that belong to other worlds only.
    pub(crate) const fn foreign(self) -> &'static [&'static str] {
        match self {
            Self::Redirect => &["streams", "plans"],
            Self::Stream => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::World;

    #[test]
    fn the_worlds_are_those_of_the_contract() {
        let contract = include_str!("../../../wit/policy.wit");
        let worlds: Vec<&str> = contract.split("\nworld ").skip(1).collect();
        assert_eq!(worlds.len(), World::ALL.len());
        for (world, text) in World::ALL.into_iter().zip(worlds) {
            let name = text.split(' ').next().unwrap_or_default();
            assert_eq!(world.as_str(), format!("wayside:policy/{name}@1.0.0"));
            assert!(
                text.contains(&format!("    export {}: func()", world.export())),
                "{name}"
            );
            for interface in world.foreign() {
                assert!(!text.contains(&format!("import {interface};")), "{name} {interface}");
            }
        }
    }
}
