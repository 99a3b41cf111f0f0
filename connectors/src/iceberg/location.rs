//! Where a file lies, in the spellings that Iceberg writers use.
//!
//! Invariant: two spellings of one place are one [`Location`]; a spelling that could mean two places is none.

use object_store::path::Path;

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scheme {
    /// Local disk.
    File,
    /// S3 and what speaks like it.
    S3,
    /// Azure's Blob Storage and Data Lake Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "file" => Some(Self::File),
            "s3" | "s3a" | "s3n" => Some(Self::S3),
            "abfs" | "abfss" | "wasb" | "wasbs" => Some(Self::Azure),
            "gs" | "gcs" => Some(Self::Gcs),
            _ => None,
        }
    }

    /// The scheme in addresses and cache keys.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::S3 => "s3",
            Self::Azure => "azure",
            Self::Gcs => "gcs",
        }
    }
}

/// A place in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Location {
    /// The kind of store.
    pub(super) scheme: Scheme,
    /// The bucket, or `container@host` of Azure; nothing for local disk.
    pub(super) authority: String,
    /// The path below it, without a slash at its start or its end.
    pub(super) path: String,
}

impl Location {
    /// Takes a location apart. `None` for an unknown scheme, a missing bucket, a relative path, and for a path with
    /// `..` in it. Nothing is percent-decoded: writers put the path down as it is.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match scheme_end(text) {
            Some(end) => (Scheme::of(&text[..end])?, &text[end + 1..]),
            None => (Scheme::File, text),
        };
        let (authority, path) = match (scheme, rest.strip_prefix("//")) {
            // file:///a, file://localhost/a and file:/a all mean /a, and so does //a.
            (Scheme::File, Some(after)) if after.starts_with('/') => ("", after),
            (Scheme::File, Some(after)) if scheme_end(text).is_some() => (
                "",
                after
                    .strip_prefix("localhost")
                    .filter(|path| path.starts_with('/'))?,
            ),
            (Scheme::File, _) => ("", rest),
            (_, Some(after)) => after.split_once('/').unwrap_or((after, "")),
            (_, None) => return None,
        };
        let is_local = scheme == Scheme::File;
        if is_local != authority.is_empty() || (is_local && !path.starts_with('/')) {
            return None;
        }
        // Doubled slashes and single dots, which writers do produce, are left out.
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"..") || path.contains('\0') {
            return None;
        }
        Some(Self {
            scheme,
            authority: authority.to_owned(),
            path: parts.join("/"),
        })
    }

    /// The path of this place from `root` on; `None` when it does not lie below it.
    pub(super) fn below(&self, root: &Self) -> Option<&str> {
        if self.scheme != root.scheme || self.authority != root.authority {
            return None;
        }
        match self.path.strip_prefix(root.path.as_str())? {
            "" => Some(""),
            rest if root.path.is_empty() => Some(rest),
            rest => rest.strip_prefix('/'),
        }
    }

    /// The place of the folder above; itself at the top.
    pub(super) fn parent(&self) -> Self {
        let above = self.path.rsplit_once('/').map_or("", |(above, _)| above);
        Self {
            path: above.to_owned(),
            ..self.clone()
        }
    }

    /// The top of the bucket or of the disk.
    pub(super) fn home(&self) -> Self {
        Self {
            path: String::new(),
            ..self.clone()
        }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The folder of the table whose metadata file this is: the one above `metadata`, where writers put it.
    pub(super) fn table_folder(&self) -> Self {
        let folder = self.parent();
        match folder.name() {
            "metadata" => folder.parent(),
            _ => folder,
        }
    }

    /// The path in a store whose root is that of the scheme and the authority.
    pub(super) fn key(&self) -> Option<Path> {
        Path::parse(&self.path).ok()
    }
}

/// Where a scheme at the start of `text` ends.
fn scheme_end(text: &str) -> Option<usize> {
    text.find(':').filter(|end| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text[..*end]
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Location {
        Location::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn every_spelling_of_a_place_is_that_place() {
        for spelling in [
            "/w/t",
            "//w/t/",
            "file:/w/t",
            "file:///w/t",
            "FILE:///w//t",
            "file://localhost/w/./t",
        ] {
            assert_eq!(parsed(spelling), parsed("/w/t"), "{spelling}");
        }
        for spelling in ["s3://b/w/t", "s3a://b/w//t/", "S3N://b/./w/t"] {
            assert_eq!(parsed(spelling), parsed("s3://b/w/t"), "{spelling}");
        }
        let azure = parsed("abfss://c@a.dfs.core.windows.net/w/t");
        assert_eq!(
            (azure.scheme, azure.authority.as_str()),
            (Scheme::Azure, "c@a.dfs.core.windows.net")
        );
        assert_eq!(parsed("gs://b/w").scheme, Scheme::Gcs);
        assert_eq!(parsed("/w/a:b").path, "w/a:b");
        assert_eq!(parsed("s3://b").path, "");
    }

    #[test]
    fn what_means_no_place_is_refused() {
        for text in [
            "w/t",
            "",
            "file://host/w",
            "hdfs://n/w",
            "http://h/w",
            "s3:/b/w",
            "s3:///w",
            "s3://b/w/../x",
            "/w/../x",
            "s3://b/w\0",
        ] {
            assert_eq!(Location::parse(text), None, "{text}");
        }
    }

    #[test]
    fn below_counts_whole_parts() {
        let root = parsed("s3://b/w/t");
        assert_eq!(parsed("s3a://b/w/t/a/b").below(&root), Some("a/b"));
        assert_eq!(parsed("s3://b/w/t").below(&root), Some(""));
        for other in [
            "s3://b/w/t2/a",
            "s3://c/w/t/a",
            "gs://b/w/t/a",
            "s3://b/w",
            "/w/t/a",
        ] {
            assert_eq!(parsed(other).below(&root), None, "{other}");
        }
        assert_eq!(parsed("s3://b/a").below(&parsed("s3://b")), Some("a"));
        let file = parsed("s3://b/w/t/metadata/00001-x.metadata.json");
        assert_eq!(file.table_folder(), root);
        assert_eq!(parsed("s3://b/w/t/00001-x.metadata.json").table_folder(), root);
    }
}
