//! Repacked weights: the tiles that the CPU's kernels read, made from a GGUF, and kept on disk where its hash is known, so that they are made once.
//!
//! In memory they lie in large pages, all in one map that has room for such. Each token reads all of them: with pages of 4 KiB most of that time goes into the
//! translation of addresses, and a copy from the system's cache of the file costs a start about what mapping that would.
//!
//! The file lies beside the model (`<file>.tiles`): a header that names the model by its sha256 and the layout by its version, then the tiles of every matrix in the
//! order of the GGUF's tensor names, each from a cache line on. Where a matrix lies follows from the GGUF's header alone, so the file needs no index, and one made of
//! another model, by another version or cut short is known by its first bytes and its length. It is written under another name and renamed when it is whole.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hearth_kernels::{Experts, Linear, WeightError, WeightType};
#[cfg(not(target_family = "wasm"))]
use memmap2::MmapMut;

use crate::gguf::{Gguf, TensorInfo};

const MAGIC: &[u8; 16] = b"hearth tiles\0\0\0\0";
/// Bytes before the first tile: magic, version, sha256, length.
const HEADER: usize = 128;
/// Where matrices begin.
const LINE: usize = 64;

/// The tiles of a model's matrices.
#[derive(Debug)]
pub struct Packed {
    tiles: Bytes,
    matrices: BTreeMap<String, Matrix>,
}

/// What a matrix is, or a stack of them, and where its tiles lie.
#[derive(Debug, Clone)]
struct Matrix {
    ty: WeightType,
    /// Matrices of the stack.
    count: usize,
    rows: usize,
    columns: usize,
    range: Range<usize>,
}

impl Packed {
    /// Reads the tiles of `gguf`, the file at `path` with this sha256 (hexadecimal); makes and keeps them where they are not there yet.
    ///
    /// # Errors
    /// What the system says, when they can be neither read nor written: the model can then be repacked in memory.
    pub fn open(gguf: &Gguf<'_>, path: &Path, sha256: &str) -> io::Result<Self> {
        let (matrices, len) = plan(gguf)?;
        let header = header(sha256, len)?;
        let path = beside(path, "tiles");
        let tiles = match read(&path, &header, len) {
            Some(tiles) => tiles,
            None => make(&path, &header, len, |out| pack(gguf, &matrices, out))?,
        };
        Ok(Self { tiles: Bytes::from_owner(tiles), matrices })
    }

    /// Makes the tiles of `gguf` in memory.
    ///
    /// # Errors
    /// What the system says, when it has no such memory.
    pub fn in_memory(gguf: &Gguf<'_>) -> io::Result<Self> {
        let (matrices, len) = plan(gguf)?;
        let mut tiles = room(len)?;
        pack(gguf, &matrices, &mut tiles)?;
        Ok(Self { tiles: Bytes::from_owner(tiles), matrices })
    }

    /// Bytes of a tensor's tiles; `None` for one that is no matrix and stays as it is.
    pub(crate) fn tensor_bytes(info: &TensorInfo) -> Option<u64> {
        let [columns, rows, count] = dimensions(info)?;
        Experts::tile_bytes(info.ty, count, rows, columns).map(|bytes| bytes as u64)
    }

    /// Rows `range` of the matrix `name`, if the tiles have it in this shape and the range begins and ends with a tile.
    ///
    /// # Errors
    /// [`WeightError`], as for [`Linear::new`].
    pub(crate) fn rows(
        &self,
        name: &str,
        ty: WeightType,
        [rows, columns]: [usize; 2],
        range: Range<usize>,
    ) -> Option<Result<Linear, WeightError>> {
        let tiles = self.tiles(name, ty, [1, rows, columns])?;
        // The last tile may be a part of one.
        let is_whole = |row: usize| row == rows || row.is_multiple_of(Linear::TILE_ROWS);
        if !is_whole(range.start) || !is_whole(range.end) {
            return None;
        }
        let at = |row: usize| Linear::tile_bytes(ty, row, columns);
        Some(Linear::from_tiles(ty, range.len(), columns, tiles.slice(at(range.start)?..at(range.end)?)))
    }

    /// The stack of matrices `name`, if the tiles have it in this shape.
    ///
    /// # Errors
    /// [`WeightError`], as for [`Experts::new`].
    pub(crate) fn experts(
        &self,
        name: &str,
        ty: WeightType,
        count: usize,
        rows: usize,
        columns: usize,
    ) -> Option<Result<Experts, WeightError>> {
        Some(Experts::from_tiles(ty, count, rows, columns, self.tiles(name, ty, [count, rows, columns])?))
    }

    fn tiles(&self, name: &str, ty: WeightType, shape: [usize; 3]) -> Option<Bytes> {
        let matrix = self.matrices.get(name).filter(|m| m.ty == ty && [m.count, m.rows, m.columns] == shape)?;
        Some(self.tiles.slice(matrix.range.clone()))
    }
}

/// Where each matrix lies, and the length of the whole.
fn plan(gguf: &Gguf<'_>) -> io::Result<(BTreeMap<String, Matrix>, usize)> {
    let mut matrices = BTreeMap::new();
    let mut end = HEADER;
    for (name, info) in &gguf.tensors {
        let Some([columns, rows, count]) = dimensions(info) else { continue };
        let Some(bytes) = Experts::tile_bytes(info.ty, count, rows, columns) else { continue };
        let range = end..end.checked_add(bytes).ok_or_else(|| io::Error::other("the tiles have no size that a computer could hold"))?;
        end = range.end.next_multiple_of(LINE);
        matrices.insert((*name).to_owned(), Matrix { ty: info.ty, count, rows, columns, range });
    }
    Ok((matrices, end))
}

/// Columns, rows and matrices of a tensor that is a matrix or a stack of them.
fn dimensions(info: &TensorInfo) -> Option<[usize; 3]> {
    let dimension = |at: usize| usize::try_from(info.dimensions.get(at).copied().unwrap_or(1)).ok();
    match (dimension(0)?, dimension(1)?, dimension(2)?, dimension(3)?) {
        (columns, rows @ 2.., count, 1) => Some([columns, rows, count]),
        _ => None,
    }
}

fn header(sha256: &str, len: usize) -> io::Result<[u8; HEADER]> {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..20].copy_from_slice(&Linear::TILES_VERSION.to_le_bytes());
    header[24..32].copy_from_slice(&(len as u64).to_le_bytes());
    let sha256 = sha256.as_bytes();
    if sha256.len() != 64 {
        return Err(io::Error::other("a sha256 has 64 hexadecimal digits"));
    }
    header[32..96].copy_from_slice(sha256);
    Ok(header)
}

/// WebAssembly has neither maps nor pages of several sizes.
#[cfg(target_family = "wasm")]
type MmapMut = Vec<u8>;

/// So many zeros.
#[cfg(target_family = "wasm")]
fn room(len: usize) -> io::Result<MmapMut> {
    let mut room = Vec::new();
    room.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    room.resize(len, 0);
    Ok(room)
}

/// So many zeros, in large pages where the system has them.
#[cfg(not(target_family = "wasm"))]
fn room(len: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(len)?;
    #[cfg(target_os = "linux")]
    if let Err(error) = map.advise(memmap2::Advice::HugePage) {
        tracing::debug!(%error, "no large pages for weights");
    }
    Ok(map)
}

/// What is in the file if it is the one that `header` speaks of.
fn read(path: &Path, header: &[u8; HEADER], len: usize) -> Option<MmapMut> {
    let mut file = File::open(path).ok()?;
    let mut found = [0; HEADER];
    file.read_exact(&mut found).ok()?;
    if found != *header || !file.metadata().is_ok_and(|m| m.is_file() && m.len() == len as u64) {
        return None;
    }
    let mut tiles = room(len).ok()?;
    file.read_exact(&mut tiles[HEADER..]).ok()?;
    Some(tiles)
}

/// Writes the file with what `fill` puts behind the header.
fn make(path: &Path, header: &[u8; HEADER], len: usize, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<MmapMut> {
    let part = beside(path, "part");
    let mut file = claim(&part)?;
    let made = (|| {
        let mut tiles = room(len)?;
        fill(&mut tiles)?;
        tiles[..HEADER].copy_from_slice(header);
        // A process that ended here may have left anything.
        file.set_len(0)?;
        file.write_all(&tiles)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        Ok(tiles)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&part);
    }
    made
}

/// The unfinished file, for this process alone.
fn claim(part: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(part)?;
    file.try_lock().map_err(|_| io::Error::other("another process is writing it"))?;
    // Between opening and locking, its maker may have finished it and given it its name: then it must not be touched.
    match is_same(&file.metadata()?, &fs::metadata(part)?) {
        true => Ok(file),
        false => Err(io::Error::other("another process has just written it")),
    }
}

#[cfg(unix)]
fn is_same(ours: &fs::Metadata, named: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// Where files have no numbers, none can be locked either: `claim` does not come so far.
#[cfg(not(unix))]
fn is_same(_ours: &fs::Metadata, _named: &fs::Metadata) -> bool {
    false
}

fn pack(gguf: &Gguf<'_>, matrices: &BTreeMap<String, Matrix>, out: &mut [u8]) -> io::Result<()> {
    for (name, matrix) in matrices {
        let info = &gguf.tensors[name.as_str()];
        let bytes = gguf.tensor_bytes(info);
        let &Matrix { ty, count, rows, columns, .. } = matrix;
        Experts::pack(ty, &bytes, count, rows, columns, &mut out[matrix.range.clone()]).map_err(io::Error::other)?;
        gguf.release(info);
    }
    Ok(())
}

/// `<path>.<ending>`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(ending);
    name.into()
}
