//! The folder of a tree: tiles, the checkpoint, its history, and the lock.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tlog_tiles::{Error, HASH_SIZE, Hash, Tile, TileReader};

use super::edge::{HEIGHT, WIDTH};

#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// The folder beside a log: `audit.jsonl.tree`.
    pub(super) fn beside(log: &Path) -> Self {
        let mut name = OsString::from(log.as_os_str());
        name.push(".tree");
        Self(name.into())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn create(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)
    }

    /// Locks the tree for this process. The lock ends with the file.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.path("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "another process writes the tree `{}`; give each process its own log",
                    self.0.display()
                ),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Replaces a file in one step.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()> {
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.0);
        if !parent.exists() {
            fs::create_dir_all(parent)?;
        }
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(parent)?;
        file.write_all(bytes)?;
        if durable {
            file.as_file().sync_all()?;
        }
        file.persist(&path).map_err(|error| error.error)?;
        if durable && cfg!(unix) {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    pub(super) fn write_tile(&self, tile: Tile, bytes: &[u8]) -> io::Result<()> {
        self.replace(&tile_name(tile), bytes, false)
    }

    pub(super) fn remove_tile(&self, tile: Tile) {
        let path = self.path(&tile_name(tile));
        let _ = fs::remove_file(&path);
        // The folder of incomplete tiles, if this was the last one.
        if let Some(parent) = path.parent() {
            let _ = fs::remove_dir(parent);
        }
    }

    /// The hashes of a tile, from its file or from one of a wider form of the same tile.
    pub(super) fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        let length = tile.width() as usize * HASH_SIZE;
        let exact = |tile: Tile| fs::read(self.path(&tile_name(tile))).ok();
        if let Some(bytes) = exact(tile).filter(|bytes| bytes.len() == length) {
            return Some(bytes);
        }
        let (level, number) = (tile.level(), tile.level_index());
        let wider =
            (tile.width() + 1..=WIDTH as u32).map(|width| Tile::new(HEIGHT, level, number, width, false));
        // Few widths exist at a time, and asking for each costs a system call.
        wider.rev().find_map(|wider| {
            let bytes = exact(wider).filter(|bytes| bytes.len() == wider.width() as usize * HASH_SIZE)?;
            bytes.get(..length).map(<[u8]>::to_vec)
        })
    }

    /// The signed checkpoints of each start, rotation and end, oldest first.
    pub(super) fn history(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        match fs::read_dir(self.path("history")) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        names.retain(|name| !name.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
        names.sort();
        names.into_iter().map(fs::read_to_string).collect()
    }
}

/// The name of a tile in C2SP tlog-tiles, which always has tiles of 256 hashes: `tile/0/x001/234.p/5`.
fn tile_name(tile: Tile) -> String {
    tile.path().replacen(&format!("tile/{HEIGHT}/"), "tile/", 1)
}

impl TileReader for Folder {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        tiles.iter().map(|tile| self.tile(*tile).ok_or(Error::InvalidTile)).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The leaves of a tree in order, from the tiles of level 0.
#[derive(Debug)]
pub(super) struct Leaves<'f> {
    folder: &'f Folder,
    size: u64,
    current: Option<(u64, Vec<u8>)>,
}

impl<'f> Leaves<'f> {
    pub(super) fn new(folder: &'f Folder, size: u64) -> Self {
        Self { folder, size, current: None }
    }

    /// The leaf with a number; `None` if its tile is missing or damaged.
    pub(super) fn get(&mut self, number: u64) -> Option<Hash> {
        if number >= self.size {
            return None;
        }
        let tile = number >> HEIGHT;
        if self.current.as_ref().is_none_or(|(current, _)| *current != tile) {
            let width = (self.size - (tile << HEIGHT)).min(WIDTH as u64);
            let wanted = Tile::new(HEIGHT, 0, tile, u32::try_from(width).ok()?, false);
            self.current = Some((tile, self.folder.tile(wanted)?));
        }
        let (_, bytes) = self.current.as_ref()?;
        let start = usize::try_from(number % WIDTH as u64).ok()? * HASH_SIZE;
        Some(Hash(bytes.get(start..start + HASH_SIZE)?.try_into().ok()?))
    }
}
