//! Bearer tokens: what they look like, what they allow, how they are checked without being kept.

use std::fmt;

use wayside_decide::{invalid::Invalid, name::Name};

use crate::{
    secret::{Secret, random},
    store::{StoreError, TokenRecord},
};

const ID_DIGITS: usize = 12;

/// The public part of a token: 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenId(Box<str>);

impl TokenId {
    /// Reads an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token's holder may do; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look.
    Read,
    /// Change sites, links, rules, policies and bindings.
    Write,
    /// Make and revoke tokens.
    Admin,
}

impl Scope {
    /// Reads `read`, `write` or `admin`.
    ///
    /// # Errors
    /// [`Invalid`] when it is none of them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(Invalid::text("scope", text, "`read`, `write` or `admin`")),
        }
    }

    /// The scope's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Whose things a token reaches, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// One tenant's; every tenant's for an operator, who has none.
    pub tenant: Option<Name>,
    /// How far.
    pub scope: Scope,
}

/// A token as its holder keeps it: `ws_` id `_` secret. Shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: TokenId,
    secret: Secret,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Token({}, …)", self.id.as_str())
    }
}

impl Token {
    /// A new token and what is recorded of it.
    ///
    /// # Errors
    /// [`StoreError`] when the system gives no randomness.
    pub fn mint(grant: Grant, name: &str, now_s: u64) -> Result<(Self, TokenRecord), StoreError> {
        let id: String = random::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = Self {
            id: TokenId(id.into()),
            secret: Secret::generate()?,
        };
        let record = TokenRecord {
            id: token.id.clone(),
            hash: token.secret.hash(),
            grant,
            name: name.to_owned(),
            created_at: now_s,
            revoked_at: None,
        };
        Ok((token, record))
    }

    /// Reads a token as its holder sends it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("ws_")?.split_once('_')?;
        Some(Self {
            id: TokenId::parse(id)?,
            secret: Secret::parse(secret)?,
        })
    }

    /// The token's public part.
    #[must_use]
    pub const fn id(&self) -> &TokenId {
        &self.id
    }

    /// The token's text.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("ws_{}_{}", self.id.as_str(), self.secret.expose())
    }

    /// Whether `record` is this token's and still holds. Takes the same time wherever the secrets differ.
    #[must_use]
    pub fn fits(&self, record: &TokenRecord) -> bool {
        self.secret.fits(&record.hash) && self.id == record.id && record.revoked_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::{Grant, Scope, Token};

    #[test]
    fn a_token_fits_its_record_and_no_other() {
        let grant = Grant {
            tenant: None,
            scope: Scope::Read,
        };
        let (token, mut record) = Token::mint(grant.clone(), "t", 1).expect("token");
        let (other, _) = Token::mint(grant, "t", 1).expect("token");
        let read = Token::parse(&token.expose()).expect("token");
        assert!(read.fits(&record) && !other.fits(&record));
        assert!(
            !format!("{token:?}").contains(token.secret.expose()),
            "no secret in debug output"
        );
        record.revoked_at = Some(2);
        assert!(!read.fits(&record));
        for bad in ["", "ws_", "ws_zz_x", "ws_0123456789ab_", "xx_0123456789ab_s"] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }
}
