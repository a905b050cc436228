//! What has to hold of the files before SQLite may touch them: a local filesystem, one owner, one reader.

use super::error::OpenError;
use rustix::fs::{FlockOperation, flock, statfs};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Only the daemon's own user reads the catalog.
const MODE: u32 = 0o600;

/// Proof that this process owns the catalog: held as long as anything may write.
///
/// The kernel drops the lock with the process, however it ends, so a stale lock file is no obstacle.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Checks the place, takes the lock, and creates the file where it is missing. The path it answers with has no
/// symbolic links in it, so that two names of one catalog share a lock.
///
/// Blocks on the filesystem.
pub(super) fn claim(path: &Path) -> Result<(PathBuf, Lock), OpenError> {
    let path = place(path)?;
    let lock = lock(&path)?;
    // The file is created and its mode set before SQLite opens it, and never opened by us after that: closing any
    // descriptor of it would drop the POSIX locks that SQLite holds.
    let failed = |action| {
        let path = path.clone();
        move |source| OpenError::File { action, path, source }
    };
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path) {
        Ok(_) => {
            let directory = path.parent().unwrap_or(&path);
            File::open(directory).and_then(|opened| opened.sync_all()).map_err(failed("sync the directory of"))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("create")(error)),
    }
    let mode = path.metadata().map_err(failed("read the mode of"))?.permissions().mode();
    if mode & 0o777 != MODE {
        std::fs::set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed("set the mode of"))?;
    }
    Ok((path, lock))
}

/// Finds the file's real place and refuses one that is not on a local filesystem. Blocks on the filesystem.
pub(super) fn place(path: &Path) -> Result<PathBuf, OpenError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Err(OpenError::NoDirectory(parent.to_path_buf()));
    }
    let failed = |action| move |source| OpenError::File { action, path: path.to_path_buf(), source };
    let real = if path.exists() {
        path.canonicalize().map_err(failed("find"))?
    } else {
        let name = path.file_name().ok_or_else(|| OpenError::NoCatalog(path.to_path_buf().into()))?;
        parent.canonicalize().map_err(failed("find"))?.join(name)
    };
    let looked_at = if real.exists() { real.as_path() } else { real.parent().unwrap_or(parent) };
    match not_local(magic(looked_at).map_err(failed("look up the filesystem of"))?) {
        Some(kind) => Err(OpenError::NotLocal { path: real, kind }),
        None => Ok(real),
    }
}

/// The filesystem's type. Its width and sign differ between architectures; the magic is its lower 32 bits.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the lower 32 bits count")]
fn magic(path: &Path) -> std::io::Result<u32> {
    Ok(statfs(path)?.f_type as u32)
}

/// The lock file beside the catalog, with the holder's process id in it.
fn lock(path: &Path) -> Result<Lock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |action| {
        let path = name.clone();
        move |source| OpenError::File { action, path, source }
    };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(&name).map_err(
            |error| match held(&name) {
                Some(pid) => OpenError::InUse { path: path.to_path_buf(), pid },
                None => failed("open")(error),
            },
        )?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed("read"))?;
            return Err(OpenError::InUse { path: path.to_path_buf(), pid: text.trim().parse().ok() });
        }
        Err(error) => return Err(failed("lock")(error.into())),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(failed("write"))?;
    // The id only serves the message of a second daemon: a full disk must not keep the first one from recovery.
    if let Err(error) = writeln!(file, "{}", std::process::id()) {
        tracing::warn!(path = %name.display(), %error, "could not write the process id into the lock file");
    }
    Ok(Lock { _file: file })
}

/// Whether another process holds a lock file that cannot be opened for writing (a filesystem that turned read-only
/// under it), and its id.
fn held(name: &Path) -> Option<Option<u32>> {
    let mut file = File::open(name).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive) != Err(rustix::io::Errno::WOULDBLOCK) {
        return None;
    }
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    Some(text.trim().parse().ok())
}

/// The name of a filesystem on which locks, shared memory or fsync are not to be relied on.
///
/// FUSE is refused whole: GlusterFS, sshfs and the object stores' mounts all look the same from here, and none
/// tells whether an fsync reached a disk.
const fn not_local(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB/CIFS",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564C => "NCP",
        0x00C3_6400 => "Ceph",
        0x0102_1997 => "9p",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0116_1970 => "GFS2",
        0x7461_636F => "OCFS2",
        0x786F_4256 => "a VirtualBox shared folder",
        0x6573_5546 => "FUSE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_known_by_name() {
        for (magic, name) in [
            (0x6969, "NFS"),
            (0xFF53_4D42, "SMB/CIFS"),
            (0xFE53_4D42, "SMB/CIFS"),
            (0x5346_414F, "AFS"),
            (0x00C3_6400, "Ceph"),
            (0x0102_1997, "9p"),
            (0x0BD0_0BD0, "Lustre"),
            (0x6573_5546, "FUSE"),
        ] {
            assert_eq!(not_local(magic), Some(name));
        }
    }

    #[test]
    fn the_filesystem_is_asked_where_the_file_is() {
        assert_eq!(magic(Path::new("/proc")).unwrap(), 0x9FA0);
        assert_eq!(place(Path::new("/proc/catalog.db")).unwrap(), Path::new("/proc/catalog.db"));
        assert!(matches!(place(Path::new("/none/catalog.db")), Err(OpenError::NoDirectory(_))));
    }

    #[test]
    fn local_filesystems_are_let_through() {
        for (magic, name) in [
            (0xEF53, "ext4"),
            (0x5846_5342, "xfs"),
            (0x9123_683E, "btrfs"),
            (0x2FC1_2FC1, "zfs"),
            (0x794C_7630, "overlay"),
            (0x0102_1994, "tmpfs"),
            (0xF2F5_2010, "f2fs"),
        ] {
            assert_eq!(not_local(magic), None, "{name}");
        }
    }

    #[test]
    fn two_names_of_one_catalog_share_a_lock() {
        let directory = tempfile::tempdir().unwrap();
        let (path, alias) = (directory.path().join("catalog.db"), directory.path().join("alias.db"));
        let held = claim(&path).unwrap();
        std::os::unix::fs::symlink(&path, &alias).unwrap();
        assert!(matches!(claim(&alias), Err(OpenError::InUse { pid, .. }) if pid == Some(std::process::id())));
        drop(held);
        claim(&alias).unwrap();
    }
}
