//! Warns if tokens are printed into a file that other users can read.
//!
//! The shell creates the file of `generate orders > orders.token` with mode 0644 before this program runs, so only a
//! warning is possible.

use crate::output;

/// Warns if standard output is such a file.
pub(crate) fn warn_if_others_can_read() {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(copy) = std::io::stdout().as_fd().try_clone_to_owned() else { return };
        let Ok(found) = std::fs::File::from(copy).metadata() else { return };
        let mode = found.permissions().mode() & 0o777;
        if found.is_file() && mode & 0o077 != 0 {
            output::warning(&format!(
                "other users can read the file that standard output writes the token to (mode {mode:04o}): run `chmod 600` on it; `--out FILE` and `--out-dir DIR` of `generate` write files with mode 0600"
            ));
        }
    }
}
