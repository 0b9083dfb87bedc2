//! Reads from an executable which dynamic loader it asks for.

use std::{
    fs::File,
    io,
    os::unix::{ffi::OsStringExt, fs::FileExt},
    path::{Path, PathBuf},
};

const HEADER: usize = 64;
const ENTRY: usize = 56;
const PT_INTERP: u32 = 3;

/// The dynamic loader of a 64-bit little-endian ELF file; nothing when it is linked statically.
///
/// # Errors
/// The file cannot be read or is no such file, such as a script.
pub(super) fn loader(executable: &Path) -> io::Result<Option<PathBuf>> {
    let file = File::open(executable)?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(io::Error::other("it is not a 64-bit little-endian ELF executable"));
    }
    let table = number(&header, 32, 8);
    let (size, count) = (number(&header, 54, 2), number(&header, 56, 2));
    for index in 0..count {
        let mut entry = [0; ENTRY];
        file.read_exact_at(&mut entry, table.saturating_add(index * size))?;
        if number(&entry, 0, 4) == u64::from(PT_INTERP) {
            let length = usize::try_from(number(&entry, 32, 8)).unwrap_or(usize::MAX).min(4096);
            let mut path = vec![0; length];
            file.read_exact_at(&mut path, number(&entry, 8, 8))?;
            path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(length));
            return Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(path))));
        }
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_loader_of_this_very_test() {
        let loader = loader(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(loader.to_string_lossy().contains("/ld-"), "{}", loader.display());
    }

    #[test]
    fn refuses_what_is_not_an_executable() {
        assert!(loader(Path::new("/etc/services")).is_err());
    }
}
