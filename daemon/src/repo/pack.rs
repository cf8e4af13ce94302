//! Packs of objects that we know better than git does: of a file that only grows, all versions are
//! the beginning of the newest one, so they are stored as that, without a search for similar
//! objects. The same holds for folders, whose entries mostly stay.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::{Compression, write::ZlibEncoder};
use git2::{ObjectType, Oid};
use sha1::{Digest, Sha1};

use super::error::{io, object};
use super::{RepoError, Result};

/// Marks a pack as ours, so that `git gc` leaves it as it is and does not count it.
pub(super) const KEEP: &str = "spectask history\n";

/// What was not written to for so long is nobody's work any more.
const LEFT: Duration = Duration::from_secs(3600);

/// An object of recorded history.
pub(super) struct Packed {
    pub(super) id: Oid,
    pub(super) kind: ObjectType,
    pub(super) data: Vec<u8>,
    /// What it is a version of; versions come oldest first.
    pub(super) line: String,
}

/// Writes a pack of these objects and its index; returns the pack's file. It is durable when this
/// returns.
pub(super) fn write(folder: &Path, objects: &[Packed]) -> Result<PathBuf> {
    let mut body = Vec::new();
    let mut lines: BTreeMap<(u8, &str), Vec<&Packed>> = BTreeMap::new();
    for entry in objects {
        let order = match entry.kind {
            ObjectType::Commit => 0,
            ObjectType::Tree => 1,
            _ => 2,
        };
        lines
            .entry((order, entry.line.as_str()))
            .or_default()
            .push(entry);
    }
    for ((order, _), versions) in lines {
        let mut newest: Option<(usize, Base<'_>)> = None;
        for entry in versions.into_iter().rev() {
            let at = body.len();
            let delta = newest
                .as_ref()
                .and_then(|(start, base)| Some((start, base.delta(&entry.data)?)));
            match delta {
                Some((start, delta)) => {
                    header(&mut body, 6, delta.len());
                    offset(&mut body, at - start);
                    deflate(&mut body, &delta)?;
                }
                None => {
                    header(&mut body, type_number(entry.kind), entry.data.len());
                    deflate(&mut body, &entry.data)?;
                    if order > 0 {
                        newest = Some((at, Base::new(entry)));
                    }
                }
            }
        }
    }
    index(folder, objects.len(), &[&body])
}

/// Joins packs as they are into one; returns its file.
pub(super) fn join(folder: &Path, packs: &[PathBuf]) -> Result<PathBuf> {
    let mut count = 0;
    let mut bodies = Vec::new();
    for pack in packs {
        let mut bytes = fs::read(pack).map_err(io("read", pack))?;
        let damaged = || RepoError::Io {
            operation: "read",
            path: pack.clone(),
            source: std::io::Error::from(std::io::ErrorKind::InvalidData),
        };
        if bytes.len() < 32 || !bytes.starts_with(b"PACK\0\0\0\x02") {
            return Err(damaged());
        }
        let number: [u8; 4] = bytes[8..12].try_into().map_err(|_| damaged())?;
        count += u32::from_be_bytes(number) as usize;
        bytes.truncate(bytes.len() - 20);
        bytes.drain(..12);
        bodies.push(bytes);
    }
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    index(folder, count, &bodies)
}

/// Puts a pack of these entries into the folder, by libgit2's indexer, which reads every object.
fn index(folder: &Path, count: usize, bodies: &[&[u8]]) -> Result<PathBuf> {
    let about = || folder.display().to_string();
    fs::create_dir_all(folder).map_err(io("make", folder))?;
    clear_left(folder, LEFT);
    let mut start = b"PACK\0\0\0\x02".to_vec();
    start.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    let mut digest = Sha1::new();
    let mut indexer =
        git2::Indexer::new(None, folder, 0o444, false).map_err(object("pack", about()))?;
    for part in [start.as_slice()].iter().chain(bodies) {
        digest.update(part);
        indexer.write_all(part).map_err(io("pack", folder))?;
    }
    let end: [u8; 20] = digest.finalize().into();
    indexer.write_all(&end).map_err(io("pack", folder))?;
    let name = indexer.commit().map_err(object("pack", about()))?;
    let pack = folder.join(format!("pack-{name}.pack"));
    for file in [&pack, &pack.with_extension("idx")] {
        sync(file)?;
    }
    let keep = pack.with_extension("keep");
    fs::write(&keep, KEEP).map_err(io("mark", &keep))?;
    Ok(pack)
}

/// Removes what libgit2 had not finished when it was killed; git does not know these names.
fn clear_left(folder: &Path, age: Duration) {
    let Some(before) = SystemTime::now().checked_sub(age) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_left = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with("pack_git2_"));
        let written = entry.metadata().and_then(|about| about.modified());
        if is_left && written.is_ok_and(|written| written < before) {
            let file = entry.path();
            make_writable(&file);
            drop(fs::remove_file(file));
        }
    }
}

fn sync(file: &Path) -> Result<()> {
    // Windows syncs only what is open for writing, and a pack is read-only.
    if cfg!(windows) {
        return Ok(());
    }
    fs::File::open(file)
        .and_then(|file| file.sync_all())
        .map_err(io("sync", file))
}

/// The ids in the index of a pack, in order.
pub(super) fn ids(pack: &Path) -> Result<Vec<Oid>> {
    let path = pack.with_extension("idx");
    let bytes = fs::read(&path).map_err(io("read", &path))?;
    let damaged = || RepoError::Io {
        operation: "read",
        path: path.clone(),
        source: std::io::Error::from(std::io::ErrorKind::InvalidData),
    };
    let number = |at: usize| -> Option<usize> {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes) as usize)
    };
    if !bytes.starts_with(b"\xfftOc\0\0\0\x02") {
        return Err(damaged());
    }
    let count = number(8 + 255 * 4).ok_or_else(damaged)?;
    (0..count)
        .map(|at| {
            let start = 8 + 1024 + at * 20;
            let id = bytes.get(start..start + 20).ok_or_else(damaged)?;
            Oid::from_bytes(id).map_err(object("read", path.display().to_string()))
        })
        .collect()
}

/// Packs of ours in the folder, with their sizes.
pub(super) fn ours(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let keep = entry.path();
        let pack = keep.with_extension("pack");
        if keep.extension().is_some_and(|ext| ext == "keep")
            && fs::read_to_string(&keep).is_ok_and(|text| text == KEEP)
            && let Ok(about) = fs::metadata(&pack)
        {
            found.push((pack, about.len()));
        }
    }
    found.sort();
    found
}

/// Removes a pack of ours whose objects are in another.
pub(super) fn remove(pack: &Path) {
    // Without its index it is not looked into any more.
    for extension in ["idx", "keep", "pack"] {
        let file = pack.with_extension(extension);
        make_writable(&file);
        if let Err(error) = fs::remove_file(&file) {
            tracing::debug!(%error, file = %file.display(), "a pack that is not needed stays");
        }
    }
}

/// Windows does not remove what is read-only.
#[cfg(windows)]
#[allow(clippy::permissions_set_readonly_false)]
pub(super) fn make_writable(file: &Path) {
    if let Ok(about) = fs::metadata(file) {
        let mut permissions = about.permissions();
        permissions.set_readonly(false);
        drop(fs::set_permissions(file, permissions));
    }
}

#[cfg(not(windows))]
pub(super) fn make_writable(_file: &Path) {}

fn type_number(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::Commit => 1,
        ObjectType::Tree => 2,
        _ => 3,
    }
}

/// Type and size: three bits of type and four of size, then seven of size a byte, lowest first.
fn header(out: &mut Vec<u8>, kind: u8, size: usize) {
    let mut rest = size >> 4;
    let mut byte = (kind << 4) | (size & 15) as u8;
    while rest > 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
}

/// How far back the base begins: seven bits a byte, highest first, each but the last less one.
fn offset(out: &mut Vec<u8>, back: usize) {
    let mut bytes = vec![(back & 0x7f) as u8];
    let mut rest = back >> 7;
    while rest > 0 {
        rest -= 1;
        bytes.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.extend(bytes.iter().rev());
}

fn deflate(out: &mut Vec<u8>, data: &[u8]) -> Result<()> {
    let mut encoder = ZlibEncoder::new(out, Compression::fast());
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish().map(drop))
        .map_err(io("deflate", "an object"))
}

/// What other versions are told by.
struct Base<'a> {
    data: &'a [u8],
    /// Where each entry of a tree begins, by its bytes.
    entries: HashMap<&'a [u8], usize>,
}

impl<'a> Base<'a> {
    fn new(object: &'a Packed) -> Self {
        let data = object.data.as_slice();
        let entries = if object.kind == ObjectType::Tree {
            entries(data)
                .map(|entry| (entry, entry.as_ptr() as usize - data.as_ptr() as usize))
                .collect()
        } else {
            HashMap::new()
        };
        Self { data, entries }
    }

    /// How `target` comes of the base, when that is worth it.
    fn delta(&self, target: &[u8]) -> Option<Vec<u8>> {
        let mut delta = Vec::new();
        number(&mut delta, self.data.len());
        number(&mut delta, target.len());
        if !self.entries.is_empty() {
            // Where entries that follow each other in both begin, and their length.
            let mut run = (0, 0);
            for entry in entries(target) {
                match self.entries.get(entry) {
                    Some(at) if run.1 > 0 && *at == run.0 + run.1 => run.1 += entry.len(),
                    Some(at) => {
                        copy(&mut delta, run);
                        run = (*at, entry.len());
                    }
                    None => {
                        copy(&mut delta, run);
                        run = (0, 0);
                        insert(&mut delta, entry);
                    }
                }
            }
            copy(&mut delta, run);
            return (delta.len() < target.len() / 2).then_some(delta);
        }
        if target.len() < 64 || !self.data.starts_with(target) {
            return None;
        }
        copy(&mut delta, (0, target.len()));
        Some(delta)
    }
}

/// The entries of a tree: mode, name, zero byte, id.
fn entries(tree: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = tree;
    std::iter::from_fn(move || {
        let name = rest.iter().position(|byte| *byte == 0)?;
        if rest.len() < name + 21 {
            return None;
        }
        let (entry, after) = rest.split_at(name + 21);
        rest = after;
        Some(entry)
    })
}

fn number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn insert(out: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.chunks(127) {
        out.push(part.len() as u8);
        out.extend_from_slice(part);
    }
}

/// Copies from the base: offset and length, lowest byte first, bytes of zero left out.
fn copy(out: &mut Vec<u8>, (mut from, mut length): (usize, usize)) {
    while length > 0 {
        let part = length.min(0xffff);
        let place = out.len();
        out.push(0x80);
        for (bit, byte) in (from as u32).to_le_bytes().into_iter().enumerate() {
            if byte != 0 {
                out[place] |= 1 << bit;
                out.push(byte);
            }
        }
        for (bit, byte) in (part as u32).to_le_bytes().into_iter().take(2).enumerate() {
            if byte != 0 {
                out[place] |= 0x10 << bit;
                out.push(byte);
            }
        }
        from += part;
        length -= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_unfinished_goes_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "pack_git2_a1idx.lock",
            "pack_git2_b2",
            "pack-1.pack",
            "tmp_pack_x",
        ];
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let there = || names.map(|name| folder.path().join(name).exists());
        clear_left(folder.path(), LEFT);
        assert_eq!(there(), [true; 4]);
        std::thread::sleep(Duration::from_millis(20));
        clear_left(folder.path(), Duration::ZERO);
        assert_eq!(there(), [false, false, true, true]);
    }
}
