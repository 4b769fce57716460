//! Opens a file of records. Its first bytes tell whether it is compressed, because a name may be anything.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

const BLOCK: usize = 256 * 1024;
const GZIP: [u8; 4] = [0x1f, 0x8b, 0x08, 0];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A reader of decompressed lines.
pub(crate) struct Source<R> {
    pub(crate) reader: R,
    position: Arc<AtomicU64>,
}

impl<R> Source<R> {
    pub(crate) fn plain(reader: R) -> Self {
        Self { reader, position: Arc::default() }
    }

    /// How many bytes of the file were read from the disk.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }
}

/// Counts what passes, before decompression.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Whether the file begins like gzip or zstd.
pub(crate) fn is_compressed(path: &Path) -> io::Result<bool> {
    let mut start = [0; 4];
    read_start(&mut File::open(path)?, &mut start)?;
    Ok(start == ZSTD || start.starts_with(GZIP.get(..3).unwrap_or(&GZIP)))
}

/// Whether a file can be opened. A pipe is not opened: what was read of it is gone.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let found = std::fs::metadata(path).map_err(|error| named(path, &error))?;
    if found.is_dir() {
        let text = format!("`{}` is a directory; name the files in it", path.display());
        return Err(io::Error::new(io::ErrorKind::IsADirectory, text));
    }
    if found.is_file() {
        File::open(path).map_err(|error| named(path, &error))?;
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

pub(crate) fn open(path: &Path) -> io::Result<Source<Box<dyn BufRead + Send>>> {
    let explained = |error: io::Error| named(path, &error);
    check(path)?;
    let mut file = File::open(path).map_err(explained)?;
    let mut start = [0; 4];
    let read = read_start(&mut file, &mut start).map_err(explained)?;
    let position = Arc::new(AtomicU64::new(0));
    // A pipe cannot go back, so its first bytes are put before the rest.
    let ahead: &[u8] = if file.rewind().is_ok() { &[] } else { start.get(..read).unwrap_or_default() };
    let counted = Counted { file, position: Arc::clone(&position) };
    let reader = BufReader::with_capacity(BLOCK, io::Cursor::new(ahead.to_owned()).chain(counted));
    let reader: Box<dyn BufRead + Send> = match start {
        ZSTD => Box::new(BufReader::with_capacity(BLOCK, ZstdFrames::new(reader))),
        [one, two, three, _] if [one, two, three] == GZIP[..3] => {
            Box::new(BufReader::with_capacity(BLOCK, MultiGzDecoder::new(reader)))
        }
        _ => Box::new(reader),
    };
    Ok(Source { reader, position })
}

fn read_start(file: &mut File, start: &mut [u8; 4]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = start.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The frames of a zstd file, one after the other.
struct ZstdFrames<R: BufRead> {
    state: Frame<R>,
}

enum Frame<R: BufRead> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Failed,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(reader: R) -> Self {
        Self { state: Frame::Between(reader) }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, Frame::Failed) {
                Frame::Between(mut reader) => {
                    if reader.fill_buf()?.is_empty() {
                        self.state = Frame::Between(reader);
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(reader).map_err(io::Error::other)?;
                    self.state = Frame::Within(Box::new(decoder));
                }
                Frame::Within(mut decoder) => {
                    let read = decoder.read(into)?;
                    if read > 0 || into.is_empty() {
                        self.state = Frame::Within(decoder);
                        return Ok(read);
                    }
                    self.state = Frame::Between(decoder.into_inner());
                }
                Frame::Failed => return Err(io::Error::other("an earlier frame is damaged")),
            }
        }
    }
}
