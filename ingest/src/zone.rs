//! The three zones of the lake and the place of ingest's own records, each one namespace of the catalog.

use iceberg::NamespaceIdent;

/// How refined a dataset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// As received, append only.
    Bronze,
    /// Typed, deduplicated, checked.
    Silver,
    /// Modelled for questions.
    Gold,
    /// No zone of data: what ingest tells about its own work.
    System,
}

impl Zone {
    /// The zones of data, from raw to refined.
    pub const ALL: [Zone; 3] = [Zone::Bronze, Zone::Silver, Zone::Gold];

    /// The zone's name, which is also its namespace's.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Bronze => "bronze",
            Zone::Silver => "silver",
            Zone::Gold => "gold",
            Zone::System => "system",
        }
    }

    /// The namespace of the zone in every catalog.
    pub fn namespace(self) -> NamespaceIdent {
        NamespaceIdent::new(self.name().to_owned())
    }

    /// One sentence for the catalog.
    pub fn comment(self) -> &'static str {
        match self {
            Zone::Bronze => "Records as received, append only",
            Zone::Silver => "Typed, deduplicated and checked records",
            Zone::Gold => "Tables modelled for questions",
            Zone::System => "What ingest tells about its own work",
        }
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_its_namespace() {
        for zone in Zone::ALL {
            assert_eq!(zone.namespace().as_ref(), &vec![zone.to_string()]);
        }
    }
}
