//! Reads a file that may contain a secret: of bounded size, into a buffer that is zeroed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::problem::{Outcome, Problem, ProblemCode};

/// Far larger than any key or key set.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a file of bounded size into a buffer that is zeroed.
pub(crate) fn read(path: &Path) -> Outcome<Zeroizing<Vec<u8>>> {
    let failed = |error| Problem::io("read", path, &error).help("check the path and its permissions");
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    // Allocate the whole file size first: a buffer that grows leaves copies of its content behind.
    let room = usize::try_from(size.min(MAX_FILE_BYTES)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("`{}` is larger than {MAX_FILE_BYTES} bytes", path.display());
        return Err(Problem::new(ProblemCode::BadKey, reason).help("check that it is the right file"));
    }
    Ok(bytes)
}
