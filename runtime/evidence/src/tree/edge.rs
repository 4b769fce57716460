//! The right edge of a tree: the incomplete tile of each level. It is all that is needed to add leaves and to compute the
//! root.

use tlog_tiles::{Error, HASH_SIZE, Hash, HashReader, Tile, tree_hash};

/// The height of a tile: 256 hashes (C2SP tlog-tiles).
pub(super) const HEIGHT: u8 = 8;
pub(super) const WIDTH: usize = 1 << HEIGHT;

#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    size: u64,
    levels: Vec<Vec<u8>>,
}

impl Edge {
    /// The edge of a tree of which the incomplete tiles are known. `None` if they do not fit the size.
    pub(super) fn of(size: u64, tile: impl Fn(Tile) -> Option<Vec<u8>>) -> Option<Self> {
        let mut edge = Self { size, levels: Vec::new() };
        for level in 0.. {
            let Some(partial) = partial(size, level) else {
                if size >> (u32::from(level) * u32::from(HEIGHT)) == 0 {
                    break;
                }
                edge.levels.push(Vec::new());
                continue;
            };
            let bytes = tile(partial)?;
            let bytes = bytes.get(..partial.width() as usize * HASH_SIZE)?;
            edge.levels.push(bytes.to_vec());
        }
        Some(edge)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. Each tile that it completes is passed on.
    pub(super) fn push(&mut self, leaf: Hash, mut complete: impl FnMut(Tile, &[u8])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8.. {
            let index = usize::from(level);
            if self.levels.len() <= index {
                self.levels.push(Vec::with_capacity(WIDTH * HASH_SIZE));
            }
            let Some(tile) = self.levels.get_mut(index) else { return };
            tile.extend_from_slice(&hash.0);
            if tile.len() < WIDTH * HASH_SIZE {
                return;
            }
            let number = (self.size >> (u32::from(HEIGHT) * (u32::from(level) + 1))) - 1;
            complete(Tile::new(HEIGHT, level, number, 1 << HEIGHT, false), tile);
            hash = Tile::subtree_hash(tile);
            tile.clear();
        }
    }

    /// The incomplete tiles.
    pub(super) fn partial_tiles(&self) -> impl Iterator<Item = (Tile, &[u8])> {
        let tiles = (0_u8..).zip(&self.levels);
        tiles.filter_map(|(level, bytes)| Some((partial(self.size, level)?, bytes.as_slice())))
    }

    pub(super) fn root(&self) -> Result<Hash, Error> {
        tree_hash(self.size, self)
    }
}

/// The incomplete tile of a level.
fn partial(size: u64, level: u8) -> Option<Tile> {
    let hashes = size >> (u32::from(HEIGHT) * u32::from(level)).min(63);
    let width = u32::try_from(hashes % WIDTH as u64).ok().filter(|width| *width > 0)?;
    Some(Tile::new(HEIGHT, level, hashes >> HEIGHT, width, false))
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        indexes
            .iter()
            .map(|index| {
                let wanted = Tile::from_index(HEIGHT, *index);
                let own = partial(self.size, wanted.level()).ok_or(Error::IndexesNotInTree)?;
                if own.level_index() != wanted.level_index() {
                    return Err(Error::IndexesNotInTree);
                }
                let bytes = self.levels.get(usize::from(own.level())).ok_or(Error::IndexesNotInTree)?;
                own.hash_at_index(bytes, *index)
            })
            .collect()
    }
}
