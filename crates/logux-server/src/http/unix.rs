//! Unix sockets: a file that clients on this machine, or a proxy, connect to.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// The file of a socket. Dropping it removes the file, if it is still the same one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and number: what makes it the same file.
    identity: Option<(u64, u64)>,
}

/// Listens on a path. A file that a server has left behind is replaced, one that somebody listens on is not.
pub(crate) fn bind(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, SocketFile)> {
    make_way(path)?;
    // Made under another name, so that nobody meets it before its mode is right and it listens.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let unborn = path.with_file_name(name);
    let _ = fs::remove_file(&unborn);
    let listener = UnixListener::bind(&unborn)?;
    let named = mode
        .map_or(Ok(()), |mode| fs::set_permissions(&unborn, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&unborn, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&unborn);
        return Err(error);
    }
    Ok((listener, SocketFile { path: path.to_owned(), identity: identity(path) }))
}

/// Makes sure that there is nothing in the way but what nobody misses.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file that is no socket",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}
