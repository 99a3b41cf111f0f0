//! The folder of the trail. `audit-N.jsonl` begins with the line of number N; the newest is written, the others stay as
//! they are until the operator moves them away or, where the config says so, room is needed for new ones.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const START: &str = "audit-";
const ENDING: &str = ".jsonl";

/// The longest line that a file may have; ours are far shorter.
pub(super) const LINE_BYTES_MAX: usize = 8 << 20;

/// Makes the folder, for its owner alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The files of a folder in the order of their lines.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if first_seq(&path).is_some() {
            found.push(path);
        }
    }
    // The numbers have leading zeros, so the order of names is theirs.
    found.sort();
    Ok(found)
}

/// Bytes of all files.
pub(super) fn bytes(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for path in files(folder)? {
        sum += fs::metadata(path)?.len();
    }
    Ok(sum)
}

/// The path of the file that begins with line `seq`.
pub(super) fn path(folder: &Path, seq: u64) -> PathBuf {
    folder.join(format!("{START}{seq:020}{ENDING}"))
}

/// The number that the name of a file tells.
pub(super) fn first_seq(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(START)?.strip_suffix(ENDING)?.parse().ok()
}

/// Opens a file for writing, which its owner alone can read, whatever it was before.
pub(super) fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
