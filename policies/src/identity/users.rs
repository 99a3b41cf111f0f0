//! The users file.
//!
//! ```toml
//! [[user]]
//! name = "ada"
//! password_hash = "$argon2id$v=19$m=19456,t=2,p=1$..."
//! roles = ["analyst"]
//! tenant = "acme"                              # optional
//! attributes = { region = "eu", level = 3 }    # optional; texts, whole numbers, booleans, lists of the first two
//! ```
//!
//! Invariants: names are unique and fit into a Basic header; every hash is argon2id with bounded cost, so that a
//! typing error in the file cannot eat the memory of the node.

use crate::document;
use crate::error::{Error, Result};
use crate::identity::password;
use crate::principal::{Attributes, Principal, TENANT};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// One account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name to log in with: not empty, without a colon or control characters.
    pub name: String,
    /// The argon2id hash of the password as a PHC string, as [`crate::hash_password`] makes it.
    pub password_hash: String,
    /// The roles that policies speak of.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// Whose data the user works with; `default` when not written.
    #[serde(default = "default_tenant")]
    pub tenant: String,
    /// What row filters may compare with.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

fn default_tenant() -> String {
    TENANT.to_owned()
}

impl User {
    pub(super) fn principal(&self) -> Principal {
        Principal::new(&self.name, self.roles.clone())
            .of_tenant(&self.tenant)
            .with_attributes(self.attributes.clone())
    }

    /// A mark of the password in force. Tokens carry it, so that a changed password ends them.
    pub(super) fn stamp(&self) -> u64 {
        let hash = digest(&SHA256, self.password_hash.as_bytes());
        hash.as_ref()
            .iter()
            .take(8)
            .fold(0, |stamp, byte| (stamp << 8) | u64::from(*byte))
    }
}

impl fmt::Debug for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("User")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The checked content of a users file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    by_name: BTreeMap<String, User>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    user: Vec<User>,
}

impl Users {
    /// Reads a users file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, otherwise as [`Users::parse`].
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::File {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a users file. `path` only names it in errors.
    ///
    /// # Errors
    /// [`Error::Document`] naming the line and the key, or the user, at fault. A hash is never shown.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let written: Written = document::read(text, path)?;
        Self::of(written.user).map_err(|reason| Error::Document {
            path: path.to_owned(),
            line: None,
            reason,
        })
    }

    /// The accounts of a list.
    ///
    /// # Errors
    /// A sentence that names the user at fault.
    pub fn of(list: impl IntoIterator<Item = User>) -> std::result::Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for user in list {
            let name = user.name.clone();
            if name.is_empty() {
                return Err("a user has an empty name".to_owned());
            }
            if name.contains(|letter: char| letter == ':' || letter.is_control()) {
                return Err(format!(
                    "user {name:?} has a colon or a control character in the name"
                ));
            }
            if user.tenant.is_empty() || user.tenant.contains(char::is_control) {
                return Err(format!(
                    "the tenant of user `{name}` is empty or holds a control character"
                ));
            }
            password::check_cost(&user.password_hash)
                .map_err(|reason| format!("the password_hash of user `{name}` {reason}"))?;
            if by_name.insert(name.clone(), user).is_some() {
                return Err(format!("two users have the name `{name}`"));
            }
        }
        Ok(Self { by_name })
    }

    /// The account of this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    /// All accounts in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_name.values()
    }

    /// The users file that holds these accounts. It is for the owner's eyes only (mode 0600).
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        let written = Written {
            user: self.iter().cloned().collect(),
        };
        toml::to_string(&written).map_err(|_| Error::Internal {
            operation: "writing users as TOML",
        })
    }
}
